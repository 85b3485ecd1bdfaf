"""`replay`: one policy in one scenario, and what came of it, as the same `Trace` that a log gives."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from breakerlab.policy import Policy
from breakerlab.replay import compiled, engine
from breakerlab.replay.scenario import Scenario, Workload
from breakerlab.replay.summary import summary
from breakerlab.replay.tables import ATTEMPTS, EVENTS, World
from breakerlab.replay.world import new_world
from breakerlab.trace import Source, Trace
from breakerlab.trace.schema import EVENT_KINDS, OUTCOMES

MOST_ATTEMPTS = 20_000_000


class ReplayError(RuntimeError):
    """A replay had to be stopped; the message says at which limit, and what to change."""


@dataclass(frozen=True, slots=False, eq=False)
class Run:
    """What came of one policy in one scenario. `trace` has the schema of a log: the app as its callers see it
    (service "app") and the service as the app sees it (service "llm")."""

    scenario: Scenario
    policy: Policy
    seed: int
    _world: World

    @cached_property
    def trace(self) -> Trace:
        """All attempts and events."""
        app, llm = _app_rows(self), _llm_rows(self)
        columns = {name: np.concatenate([app[name], llm[name]]) for name in app}
        endpoints = self.scenario.workload.endpoints
        attempts: dict[str, Any] = {
            **columns,
            "outcome": (columns["outcome"], OUTCOMES),
            "service": (columns["service"], ("app", "llm")),
            "client": (columns["service"], ("callers", "app")),
            "endpoint": (columns["endpoint"], endpoints),
        }
        return Trace.from_columns(attempts, _event_rows(self), source=self._source())

    @property
    def requests(self) -> pd.DataFrame:
        """One row per logical request and service; see `Trace.requests`."""
        return self.trace.requests

    def timeline(self, bin: float = 1.0) -> pd.DataFrame:
        """Rates and states over time, in bins of `bin` seconds; see `Trace.timeline`."""
        return self.trace.timeline(bin)

    def summary(self) -> dict[str, float]:
        """What happened in a few numbers; see `breakerlab.replay.summary`."""
        return summary(self.trace)

    def _source(self) -> Source:
        return Source(
            name=f"replay of {self.scenario.name}",
            format="simulated",
            has_retries=True,
            cannot_tell=(),
            facts={"policy": self.policy.to_dict(), "seed": self.seed, "parameters": self.scenario.parameters()},
        )


def replay(scenario: Scenario, policy: Policy, seed: int = 0, *, interpreted: bool = False) -> Run:
    """Play `scenario` under `policy`. The same arguments give the same run, to the last bit.

    seed: 0 to 2**63 - 1; it decides the jitter, the arrivals are the scenario's. interpreted: run the engine
    uncompiled, for debugging and teaching; the result is the same. Raises ValueError for a seed or policy that cannot
    be, and ReplayError when a run would make more than 20 million attempts.
    """
    if not isinstance(scenario, Scenario):
        raise ValueError(f"scenario must be a Scenario, not {scenario!r}")
    if not isinstance(policy, Policy):
        raise ValueError(f"policy must be a breakerlab.policy.Policy, not {policy!r}")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1, not {seed!r}")
    play = compiled.play_interpreted if interpreted else compiled.play
    room = 2 * len(scenario.workload) + 64
    while True:
        world = new_world(scenario, policy, seed, min(room, MOST_ATTEMPTS))
        if play(world) == engine.FINISHED:
            return Run(scenario, policy, seed, world)
        if room >= MOST_ATTEMPTS:
            break
        room *= 4
    raise ReplayError(
        f"the run needs more than {MOST_ATTEMPTS:,} attempts; lower Retry.attempts or shorten the scenario"
    )


def warm_up() -> None:
    """Compile the simulator now, so that the first replay of any later process starts at once."""
    once = np.zeros(1, np.int64)
    one = Workload(time=np.zeros(1), endpoint=once, tokens=np.ones(1), request=once, endpoints=("POST /answer",))
    replay(Scenario(one, duration=5.0), Policy.recommended())


def _app_rows(run: Run) -> dict[str, Any]:
    requests = run._world.requests
    n = len(requests)
    return {
        "time": requests.due,
        "latency": requests.end - requests.due,
        "status": requests.status,
        "outcome": requests.outcome,
        "service": np.zeros(n, np.int64),
        "request": requests.number,
        "attempt": np.ones(n, np.int64),
        "endpoint": run.scenario.workload.endpoint,
        "retry_after": np.full(n, np.nan),
    }


def _llm_rows(run: Run) -> dict[str, Any]:
    attempts = run._world.attempts[: run._world.used[ATTEMPTS]]
    asked_to_wait = attempts.status == 503
    return {
        "time": attempts.time,
        "latency": attempts.end - attempts.time,
        "status": attempts.status,
        "outcome": attempts.outcome,
        "service": np.ones(len(attempts), np.int64),
        "request": run._world.requests.number[attempts.request],
        "attempt": attempts.number,
        "endpoint": run.scenario.workload.endpoint[attempts.request],
        "retry_after": np.where(asked_to_wait, run.scenario.service.retry_after, np.nan),
    }


def _event_rows(run: Run) -> dict[str, Any]:
    events = run._world.events[: run._world.used[EVENTS]]
    return {
        "time": events.time,
        "instance": (np.zeros(len(events), np.int64), ("app",)),
        "kind": (events.kind, EVENT_KINDS),
        "value": events.value.astype(np.float64),
    }
