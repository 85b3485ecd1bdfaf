"""`replay`: one policy in one scenario, and what came of it, as the same `Trace` that a log gives.

pandas is loaded when a table is first asked for: the numbers of a run are there sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from breakerlab.policy import Policy
from breakerlab.replay import compiled, engine
from breakerlab.replay.conservation import calls_under_way, check_books
from breakerlab.replay.figures import run_figures
from breakerlab.replay.kinds import UNKNOWN
from breakerlab.replay.scenario import Scenario
from breakerlab.replay.tables import LAYERS, World
from breakerlab.replay.workload import Workload
from breakerlab.replay.world import enlarged, new_world

if TYPE_CHECKING:
    import pandas as pd

    from breakerlab.trace import Source, Trace

MOST_ATTEMPTS = 50_000_000
MOST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=False, eq=False)
class Run:
    """What came of one policy, or of several around one another, in one scenario.

    `cut_off` is None for a run that was played to its end, and otherwise says at which limit it was stopped.
    """

    scenario: Scenario
    policies: tuple[Policy, ...]
    seed: int
    cut_off: str | None
    _arrivals: Workload
    _world: World

    @property
    def policy(self) -> Policy:
        """The policy; of several, the outermost."""
        return self.policies[0]

    @cached_property
    def trace(self) -> Trace:
        """All attempts and events, with the schema of a log: the app as its callers see it (service "app") and the
        service as the app sees it (service "llm"). What was under way when a run was cut off reads as `lost`."""
        from breakerlab.replay.frames import attempts_frame, events_frame
        from breakerlab.trace import Trace

        attempts = attempts_frame(self._world, self._arrivals, self.scenario.endpoints)
        return Trace.adopt(attempts, events_frame(self._world), source=self._source())

    @property
    def requests(self) -> pd.DataFrame:
        """One row per logical request, in order of time, as its caller saw it.

        `request`; `time` (s); `latency` (s), until the caller had an answer or gave up, NaN if it still waits;
        `attempts`, on the service, refused ones included; `outcome` and `status`; `served_by`: "llm", the name of a
        fallback, or "" for nobody, and for endpoints that do not use the service; `client`; `endpoint`.
        """
        from breakerlab.replay.frames import requests_frame

        return requests_frame(self._world, self._arrivals, self.scenario.endpoints, self._chain)

    def timeline(self, bin: float = 1.0) -> pd.DataFrame:
        """Rates and states over time, in bins of `bin` seconds: the columns of `Trace.timeline`, and

        status_429: answers 429 of the service, /s. in_service, queued: attempts that the service has in hand, the mean
        of the samples in the bin; NaN without a sample. pool of each instance, if there are several: `pool app-1`, ...
        health: the share of health checks that passed, NaN without one. restarts: instances killed in the bin.
        served_by_llm and one for each fallback: answers that reached a waiting caller, /s.
        Raises ValueError as `Trace.timeline`.
        """
        from breakerlab.replay.timeline import run_timeline

        return run_timeline(self.trace, self._world, self._chain, bin)

    def summary(self) -> dict[str, float]:
        """What happened in a few numbers: those of `breakerlab.replay.summary`, and

        goodput: answers/s that reached a waiting caller. success_rate: answered / requests. timeouts: attempts that
        timed out. status_429: attempts beyond the rate limit. duplicates: times that the service carried a write out
        again. in_flight: requests under way when the run was cut off. latency_p50, _p90, _p99: seconds, of answered
        requests. failure_p50, _p90: seconds until a caller knew of a failure. rejection_p50: the same where an open
        circuit ended the call. time_to_recover: seconds from the end of the last fault until, for good, at least 90 %
        of the requests of any 10 s were answered; infinite if that did not happen, NaN without a fault that ends.
        served_by_llm, served_by_<fallback>: answers by who gave them. NaN where there is nothing to tell.
        """
        return run_figures(self.scenario, self._world, self._arrivals, self._chain)

    @property
    def _chain(self) -> tuple[str, ...]:
        fallback = self.policy.fallback
        return () if fallback is None else tuple(name for name, _ in fallback.chain)

    def _source(self) -> Source:
        from breakerlab.trace import Source

        told = [policy.to_dict() for policy in self.policies]
        return Source(
            name=f"replay of {self.scenario.name}",
            format="simulated",
            has_retries=True,
            cannot_tell=(),
            facts={
                "policy": told[0] if len(told) == 1 else told,
                "seed": self.seed,
                "parameters": self.scenario.parameters(),
                "loop": "closed" if self.scenario.is_closed_loop else "open",
                "cut_off": self.cut_off,
            },
        )


def replay(
    scenario: Scenario,
    policy: Policy | Sequence[Policy],
    seed: int = 0,
    *,
    interpreted: bool = False,
    most_attempts: int = MOST_ATTEMPTS,
    most_seconds: float = MOST_SECONDS,
) -> Run:
    """Play `scenario` under `policy`. The same arguments give the same run, to the last bit.

    policy: one, or up to four around one another, the outermost first: an app's own retries around those of an SDK.
    Only the outermost may have a fallback. seed: 0 to 2**63 - 1; it decides the jitter, the service times, and the
    arrivals where the workload is a recipe. interpreted: run the engine uncompiled, for debugging and teaching; the
    result is the same. most_attempts: attempts on the service, at least 1. most_seconds: simulated seconds after the
    last arrival or the scenario's end, above 0. A run that reaches one of the two is stopped and says so in `cut_off`.
    Raises ValueError for a seed, policy or limit that cannot be.
    """
    policies = _check(scenario, policy, seed)
    if isinstance(most_attempts, bool) or not isinstance(most_attempts, int) or most_attempts < 1:
        raise ValueError(f"most_attempts must be a whole number of at least 1, not {most_attempts!r}")
    if not isinstance(most_seconds, int | float) or not most_seconds > 0.0:
        raise ValueError(f"most_seconds must be a number above 0, not {most_seconds!r}")
    play = compiled.play_interpreted if interpreted else compiled.play
    arrivals = scenario.arrivals(seed)
    last_arrival = float(arrivals.time[-1]) if len(arrivals) else 0.0
    last_moment = max(last_arrival, scenario.duration) + min(most_seconds, 1e9)
    world = new_world(scenario, policies, seed, arrivals, most_attempts=most_attempts, last_moment=last_moment)
    while (code := play(world)) == engine.OUT_OF_ROOM:
        world = enlarged(world)
    if _is_under_way(world):
        code = engine.OUT_OF_TIME if code == engine.FINISHED else code  # what is left would come after the last moment
        _mark_what_is_under_way(world)
    check_books(world)
    return Run(scenario, policies, seed, _cut_off(code, most_attempts, last_moment), arrivals, world)


def _is_under_way(world: World) -> bool:
    return bool(len(calls_under_way(world)) or world.clock["scheduled"][0])


def _mark_what_is_under_way(world: World) -> None:
    """Of an attempt that has not ended nobody knows how long it takes."""
    n = world.clock["rows"][0]
    world.rows.latency[:n][world.rows.outcome[:n] == UNKNOWN] = np.nan


def _cut_off(code: int, most_attempts: int, last_moment: float) -> str | None:
    if code == engine.TOO_MANY_ATTEMPTS:
        return f"stopped after {most_attempts:,} attempts"
    if code == engine.OUT_OF_TIME:
        return f"stopped after {last_moment:,.0f} simulated seconds"
    return None


def _check(scenario: Any, policy: Any, seed: Any) -> tuple[Policy, ...]:
    if not isinstance(scenario, Scenario):
        raise ValueError(f"scenario must be a Scenario, not {scenario!r}")
    policies = (policy,) if isinstance(policy, Policy) else policy
    known = isinstance(policies, Sequence) and all(isinstance(one, Policy) for one in policies)
    if not known or not 1 <= len(policies) <= LAYERS:
        raise ValueError(f"policy must be a breakerlab.policy.Policy, or 1 to {LAYERS} of them, not {policy!r}")
    if any(one.fallback is not None for one in policies[1:]):
        raise ValueError("only the outermost policy may have a fallback: inner ones would hide failures from it")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1, not {seed!r}")
    return tuple(policies)


def warm_up() -> None:
    """Compile the simulator now, so that the first replay of any later process starts at once."""
    once = np.zeros(1, np.int64)
    one = Workload(time=np.zeros(1), endpoint=once, tokens=np.ones(1), request=once, endpoints=("POST /answer",))
    replay(Scenario(one, duration=5.0), Policy.recommended())
