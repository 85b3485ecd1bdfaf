"""What would have been predicted of a recording if we had believed in another server than the one that was there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from breakerlab.policy import Policy
from breakerlab.replay import Forecast, Llm, Scenario, ScenarioError, replay, summary, with_measured_ways
from breakerlab.replay.prediction import simultaneous_band
from breakerlab.replay.replicates import side_by_side
from breakerlab.trace import Trace

COUNTS: Final = ("attempts", "status_503", "answered", "restarts")
CONFIDENCE: Final = 0.95
SEEDS: Final = 100


class AssumedServer:
    """A recording of which we may believe that it was made on another server.

    log: a recording of `breakerlab.live`. calm: one of the same machine, from which the ways between the processes are
    measured. `slots` and `slots_in_fault` are those of the server that was there. Raises ScenarioError if the log does
    not name an LLM-like service.
    """

    def __init__(self, log: Trace, calm: Trace, *, seeds: int = SEEDS) -> None:
        self.log, self._seeds = log, seeds
        self._scenario = with_measured_ways(Scenario.from_trace(log), calm)
        self._policy = Policy.from_dict(log.source.facts["policy"])  # type: ignore[arg-type]
        if not isinstance(self._scenario.service.time, Llm):
            raise ScenarioError(f"{log.source.name}: an assumed server needs a service whose time is Llm(...)")
        self.slots = self._scenario.service.slots
        capacity = min((fault.capacity for fault in self._scenario.faults), default=1.0)
        self.slots_in_fault = int(self.slots * capacity)

    def judge(
        self, *, slots: int | None = None, slots_in_fault: int | None = None, answer_time: float = 1.0
    ) -> pd.DataFrame:
        """The four counts of `breakerlab.replay.counts`: predicted for this server, and recorded, as
        `Forecast.judge` tells them.

        slots: at least 1. slots_in_fault: that each fault leaves, 0 to `slots`. None: as recorded. answer_time: times
        the recorded one, above 0.
        """
        slots = self.slots if slots is None else slots
        kept = self.slots_in_fault if slots_in_fault is None else slots_in_fault
        scenario = _with_server(self._scenario, slots, kept, answer_time)
        return predict_counts(scenario, self._policy, seeds=self._seeds).judge(self.log)


def _with_server(scenario: Scenario, slots: int, slots_in_fault: int, answer_time: float) -> Scenario:
    time = scenario.service.time
    assert isinstance(time, Llm)
    slower = replace(time, first_token=answer_time * time.first_token, per_token=answer_time * time.per_token)
    # Half a slot more, since the server rounds down what the fault leaves.
    capacity = min((slots_in_fault + 0.5) / slots, 1.0)
    return replace(
        scenario,
        service=replace(scenario.service, slots=slots, time=slower),
        faults=tuple(replace(fault, capacity=capacity) for fault in scenario.faults),
    )


def predict_counts(
    scenario: Scenario, policy: Policy, names: Sequence[str] = COUNTS, *, seeds: int = SEEDS
) -> Forecast:
    """`predict` for numbers of `breakerlab.replay.summary`, fast enough for a slider: of replays no table is built.

    names: counts of a summary, such as "other_failed". seeds: 38 or more.
    """

    def play(seed: int) -> list[float]:
        found = replay(scenario, policy, seed).summary()
        return [found[name] for name in names]

    def told(trace: Trace) -> dict[str, float]:
        found = summary(trace)
        return {name: found[name] for name in names}

    replicates = np.array(side_by_side(play, range(seeds)))
    low, high, factor = simultaneous_band(replicates, CONFIDENCE)
    columns = {"quantity": names, "low": low, "mean": replicates.mean(axis=0), "high": high, "width": high - low}
    return Forecast(pd.DataFrame(columns), told, CONFIDENCE, seeds, scenario.name, factor)
