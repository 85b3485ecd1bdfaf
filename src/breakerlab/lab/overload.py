"""One service, one outage, callers who retry at once: the overload that outlives its cause, and ten ways to meet it.

The service and the callers are those of row B5 of the reference checks, after Bronson et al., "Metastable Failures in
Distributed Systems", HotOS 2021.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from breakerlab.lab.retry_load import AT_ONCE
from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget, Throttle, parameter
from breakerlab.replay import Constant, Scenario, Service, Workload, replay
from breakerlab.replay.metastability import one_outage
from breakerlab.replay.replicates import side_by_side

OUTAGE_AT: Final = 30.0  # s
DURATION: Final = 340.0  # s: five minutes after an outage of ten seconds
SHEDDING_AT: Final = 100.0  # s: an operator needs a minute to notice
CAPACITY: Final = 300.0  # attempts/s
SERVICE: Final = Service(slots=30, queue_limit=None, time=Constant(0.1))
RETRY: Final = Retry(attempts=2, total_time=None, final_reserve=0.0, backoff=AT_ONCE)
ONE_RETRY: Final = Policy(timeout=1.0, retry=RETRY)


class Way(NamedTuple):
    """How the overload is met: what the service does, and what its callers do."""

    service: Service
    policy: Policy


def overload(
    load: float = 280.0,
    outage: float = 10.0,
    *,
    service: Service = SERVICE,
    turned_away: float = 0.0,
    seconds: float = 0.0,
    seed: int = 0,
) -> Scenario:
    """340 s of `load` callers/s; from second 30 on the service has no slots for `outage` seconds.

    turned_away: the share, in [0, 1], of callers who are turned away at the door from second 100 on for `seconds`
    seconds: they never reach the app, and are no requests of the scenario. seed: of these arrivals, which are otherwise
    drawn by the seed of the replay.
    """
    scenario = one_outage(service, load, outage, before=OUTAGE_AT, duration=DURATION)
    if parameter.share("turned_away", turned_away) == 0.0:
        return scenario
    return replace(scenario, workload=_let_in(scenario.arrivals(seed), turned_away, seconds, seed))


def _let_in(callers: Workload, turned_away: float, seconds: float, seed: int) -> Workload:
    shedding = (callers.time >= SHEDDING_AT) & (callers.time < SHEDDING_AT + seconds)
    unlucky = np.random.default_rng([seed, 1]).random(len(callers)) < turned_away
    kept = ~(shedding & unlucky)
    columns = {name: getattr(callers, name)[kept] for name in ("time", "endpoint", "tokens", "request")}
    return Workload(**columns, endpoints=callers.endpoints)


def ways() -> dict[str, Way]:
    """Ten ways by name: one retry as it is, and what is said to help, each on its own."""

    def retrying(**fields: object) -> Way:
        return Way(SERVICE, replace(ONE_RETRY, retry=replace(RETRY, **fields)))

    def serving(**fields: object) -> Way:
        return Way(replace(SERVICE, **fields), ONE_RETRY)

    breaker = Breaker(failure_threshold=5, recovery_timeout=5.0)
    return {
        "one retry, at once": Way(SERVICE, ONE_RETRY),
        "30 s of jitter": retrying(backoff=Backoff(base=30.0, cap=30.0, jitter="full")),
        "budget: 10 % of calls": retrying(budget=RetryBudget(ratio=0.1)),
        "late work is dropped": serving(discipline="deadline"),
        "adaptive throttle": Way(SERVICE, replace(ONE_RETRY, throttle=Throttle())),
        "no retry": Way(SERVICE, replace(ONE_RETRY, retry=None)),
        "budget: 10 % of successes": retrying(budget=RetryBudget(ratio=0.1, deposit="success")),
        "circuit breaker": Way(SERVICE, replace(ONE_RETRY, breaker=breaker)),
        "last in, first out": serving(discipline="lifo"),
        "queue of 270": serving(queue_limit=270),
    }


def back_after(found: Mapping[str, Way], load: float = 280.0, outage: float = 10.0, *, seeds: int = 5) -> pd.DataFrame:
    """Under each way: seconds from the end of the outage until, for good, 90 % of the callers of any 10 s are answered.

    The columns `soonest` and `latest` over the seeds (infinite: not within the run's 340 s), and `answered`, the mean
    share of all callers.
    """
    jobs = [(way, seed) for way in found.values() for seed in range(seeds)]

    def play(job: tuple[Way, int]) -> tuple[float, float]:
        way, seed = job
        n = replay(overload(load, outage, service=way.service), way.policy, seed).summary()
        return n["time_to_recover"], n["success_rate"]

    played = np.reshape(side_by_side(play, jobs), (len(found), seeds, 2))
    waits = played[:, :, 0]
    columns = {"soonest": waits.min(axis=1), "latest": waits.max(axis=1), "answered": played[:, :, 1].mean(axis=1)}
    return pd.DataFrame(columns, pd.Index(found, name="way"))


def shedding(shares: Iterable[float], lengths: Iterable[float], load: float = 280.0) -> pd.DataFrame:
    """How many callers had to be turned away until the overload was over; NaN if that did not end it.

    An outage of 10 s at second 30; from second 100 on a share (the index `turned away`) of all callers is turned away
    for some seconds (the columns `for`). One retry at once, seed 0; "over" as in `back_after`.
    """
    index, columns = list(shares), list(lengths)
    jobs = [(share, seconds) for share in index for seconds in columns]
    everybody = len(overload(load).arrivals(0))

    def play(job: tuple[float, float]) -> float:
        share, seconds = job
        n = replay(overload(load, turned_away=share, seconds=seconds), ONE_RETRY).summary()
        return everybody - n["requests"] if np.isfinite(n["time_to_recover"]) else np.nan

    played = np.reshape(side_by_side(play, jobs), (len(index), len(columns)))
    return pd.DataFrame(played, pd.Index(index, name="turned away"), pd.Index(columns, name="for"))
