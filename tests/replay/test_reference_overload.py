"""REFERENCE_CHECKS B1 to B6 through the simulator: breakers that trip, overload that lasts, clients that hold back."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from breakerlab.policy import Breaker, Policy, Throttle
from breakerlab.replay import Bursts, Constant, Exponential, Fault, Poisson, RateLimit, Run, Scenario, Service, replay

from . import closed_forms as theory
from .measured import calls_of_the_app, on_the_service, retrying

CLOSED, OPEN, HALF_OPEN = 0.0, 1.0, 2.0
T_999 = 3.883  # Student's t for 99.9 %, 19 degrees of freedom: 20 replications
FOREVER = 1e6  # s
BRISK = Service(slots=10**6, queue_limit=0, time=Constant(1e-4))


def seed_of(draw: np.random.Generator) -> int:
    return int(draw.integers(2**62))


def circuits(run: Run) -> pd.DataFrame:
    """What became of the circuits, in order of time; `value` is the new state."""
    events = run.trace.events
    return events[events["kind"] == "breaker"]


@pytest.mark.parametrize(("failing", "threshold"), [(0.5, 5), (0.3, 2), (0.8, 4), (0.1, 1)])
def test_b1_the_mean_number_of_calls_to_a_trip(roomy_app, reproduces, failing: float, threshold: int) -> None:
    """B1: trip after 5 failures in a row, each call fails with probability 0.5: 62 calls.

    One caller asks again and again; each time the circuit has closed, it begins to count anew. Probes do not count.
    """
    expected = theory.calls_to_trip(threshold, failing)
    every, trips = 0.01, 2300
    breaker = Breaker(failure_threshold=threshold, recovery_timeout=every / 2.0, half_open_max_calls=1)
    calls = trips * (expected + 1.0 / (1.0 - failing))

    def replicate(draw: np.random.Generator) -> tuple[float]:
        scenario = Scenario(
            Bursts(1, every), BRISK, roomy_app(), [Fault(0.0, math.inf, error=failing)], duration=calls * every
        )
        run = replay(scenario, Policy(timeout=1.0, breaker=breaker), seed_of(draw))
        states = [CLOSED, *circuits(run)["value"]]
        changes = list(pairwise(states))
        tripped, probes = changes.count((CLOSED, OPEN)), changes.count((OPEN, HALF_OPEN))
        assert run.summary()["rejected"] == 0.0
        return ((run.summary()["attempts"] - probes) / tripped,)

    reproduces(f"B1 {failing} {threshold} simulated", {"calls": expected}, replicate)


@pytest.mark.parametrize(
    ("window", "rate", "failing"), [(10, 0.5, 0.2), (20, 0.35, 0.2), (7, 1.0, 0.6), (10, 0.45, 0.7)]
)
def test_b2_the_chance_that_a_full_window_trips(roomy_app, reproduces, window, rate, failing) -> None:
    """B2: 10 calls, of which half must fail, each with probability 0.2: 0.03279.

    Each of many instances makes as many calls as its window holds, one after the other.
    """
    expected = theory.binomial_tail(window, math.ceil(rate * window), failing)
    if (window, rate, failing) == (10, 0.5, 0.2):
        assert round(expected, 5) == 0.03279
    instances = 1000
    breaker = Breaker(failure_rate=rate, window=window, minimum_calls=window, recovery_timeout=FOREVER)
    scenario = Scenario(
        Bursts(instances, 0.01), BRISK, roomy_app(instances=instances), [Fault(0.0, math.inf, error=failing)],
        duration=0.01 * (window - 0.5),
    )  # fmt: skip

    def replicate(draw: np.random.Generator) -> tuple[float]:
        run = replay(scenario, Policy(timeout=1.0, breaker=breaker), seed_of(draw))
        assert run.summary()["attempts"] == instances * window
        changed = circuits(run)
        assert changed["instance"].is_unique and (changed["value"] == OPEN).all()
        return (len(changed) / instances,)

    reproduces(f"B2 {window} {rate} {failing} simulated", {"P(trip)": expected}, replicate)


OUTAGES = {
    "no slots": {"capacity": 0.0},
    "errors": {"error": 1.0},
    "refused connections": {"refuse": 1.0},
    "silence": {"hang": 1.0},
}


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize(("probes", "threshold", "retries"), [(1, 5, 1), (3, 1, 4), (2, 10, 3)])
def test_b3_an_outage_sees_no_more_than_the_probes(roomy_app, yardstick, outage, probes, threshold, retries) -> None:
    """B3: after the trip never more than `half_open_max_calls` attempts in any recovery timeout, of each instance."""
    recovery, begins, length, instances = 3.0, 10.0, 200.0, 2
    retry = retrying(retries, wait_for_probe=retries == 3).retry
    breaker = Breaker(failure_threshold=threshold, recovery_timeout=recovery, half_open_max_calls=probes)
    policy = Policy(timeout=1.0, retry=retry, breaker=breaker)
    scenario = Scenario(
        Poisson(40.0), Service(20, None, time=Constant(0.1)), roomy_app(instances=instances),
        [Fault(begins, begins + length, **OUTAGES[outage])], duration=begins + length,
    )  # fmt: skip

    def replicate(seed: bytes) -> list[float]:
        run = replay(scenario, policy, int.from_bytes(seed[:7]))
        attempts, changed = run.trace.attempts, circuits(run)
        sent = attempts[(attempts["service"] == "llm") & (attempts["outcome"] != "rejected")]
        for name, opened in changed[changed["value"] == OPEN].groupby("instance", observed=True):
            tripped = opened["time"].iloc[0]
            assert begins <= tripped < begins + 20.0
            time = sent["time"][(sent["instance"] == name) & (sent["time"] > tripped)].to_numpy()
            time = time[time < begins + length]
            assert len(time) > 0.5 * length / (recovery + 1.0)  # somebody does look whether it is over
            ahead = np.searchsorted(time, time + recovery - 1e-9) - np.arange(len(time))
            assert (ahead <= probes).all()
            assert (time >= tripped + recovery - 1e-9).all()
        return [float(changed["instance"].nunique())]

    yardstick(f"B3 {outage} {probes} {threshold} {retries}", {"instances that tripped": instances}, replicate)


BROOKER = (100, 4, 0.1, 0.2)


@pytest.mark.parametrize(
    ("calls", "attempts", "rate", "failing"), [BROOKER, (100, 4, 0.1, 0.05), (50, 3, 0.25, 0.2), (100, 4, 0.5, 0.3)]
)
def test_b4_retries_while_few_fail(roomy_app, reproduces, calls, attempts, rate, failing) -> None:
    """B4: 100 clients with 100 calls each, up to 4 attempts while less than a tenth have failed, each with probability
    0.2: load 1.001 and success 0.804, which is one run of Brooker's program; it must look like one more of ours. On
    average it is 1.0019 and 0.8015: as good as no retries, 1 and 0.8; without a breaker it would be 1.248 and 0.998."""
    instances, every = 100, 0.1
    breaker = Breaker(failure_rate=rate, window=1024, minimum_calls=1, recovery_timeout=FOREVER, guards="retries")
    policy = Policy(timeout=1e3, retry=retrying(attempts).retry, breaker=breaker)
    scenario = Scenario(
        Bursts(instances, every), BRISK, roomy_app(instances=instances), [Fault(0.0, math.inf, error=failing)],
        duration=every * (calls - 0.5),
    )  # fmt: skip
    runs = []

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        summary = replay(scenario, policy, seed_of(draw)).summary()
        assert summary["requests"] == instances * calls
        runs.append((summary["amplification"], summary["success_rate"]))
        return runs[-1]

    load, success = theory.retries_until_the_trip(calls, attempts, rate, failing)
    reproduces(f"B4 {calls} {attempts} {rate} {failing}", {"load": load, "success": success}, replicate)
    if (calls, attempts, rate, failing) == BROOKER:
        mean, deviation = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1)
        one_more = T_999 * deviation * math.sqrt(1.0 + 1.0 / len(runs))
        assert (one_more <= [0.004, 0.016]).all()
        assert (np.abs(np.array([1.001, 0.804]) - mean) <= one_more).all()


@pytest.mark.parametrize("rate", [120.0, 140.0, 160.0, 220.0, 280.0])
def test_b5_five_minutes_later(roomy_app, reproduces, rate: float) -> None:
    """B5: 30 slots of 0.1 s, one retry at once after 1 s, 10 s without service; abandoned work goes on.

    At 120/s and 140/s everything is as before; from 160/s on nothing is answered in time, and 2 attempts a call come.
    """
    before, outage, after, window = 10.0, 10.0, 300.0, 30.0
    end = before + outage + after
    scenario = Scenario(
        Poisson(rate), Service(30, None, time=Constant(0.1)), roomy_app(),
        [Fault(before, before + outage, capacity=0.0)], duration=end,
    )  # fmt: skip

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        run = replay(scenario, retrying(2, timeout=1.0), seed_of(draw))
        calls, attempts = calls_of_the_app(run), on_the_service(run)
        known = (calls["time"] + calls["latency"])[calls["outcome"] == "ok"]
        answered = known.between(end - window, end).sum()
        came = ((attempts.time >= end - window) & (attempts.time < end)).sum()
        assert (known < before).any()  # it did work once
        return answered / window, came / window

    expected = {"goodput": rate, "offered": rate} if rate < 150.0 else {"goodput": 0.0, "offered": 2.0 * rate}
    reproduces(f"B5 {rate:g}", expected, replicate)


def sent_under(roomy_app, draw: np.random.Generator, ratio: float, rate: float, service: Service) -> float:
    """Attempts per second on the service, once the throttle's window has filled."""
    window, span = 60.0, 400.0
    policy = Policy(timeout=1e9, throttle=Throttle(ratio, window))
    scenario = Scenario(Poisson(rate), service, roomy_app(), duration=2.0 * window + span)
    sent = on_the_service(replay(scenario, policy, seed_of(draw)))
    return float(((sent.time >= 2.0 * window) & (sent.time < 2.0 * window + span)).sum()) / span


@pytest.mark.parametrize(
    ("ratio", "offered", "expected"), [(2.0, 3.0, 1.999), (1.5, 4.0, 1.5), (3.0, 5.0, 3.0), (2.0, 1.5, 1.5)]
)
def test_b6_a_service_gets_ratio_times_what_it_can_take(roomy_app, reproduces, ratio, offered, expected) -> None:
    """B6: ratio 2, three times the capacity offered: sent / capacity 1.999. Below the ratio everything is sent.

    The service accepts its capacity and turns the rest away at once: a limit per second, and enough slots for that.
    """
    capacity = 50.0
    service = Service(10**6, 0, time=Constant(0.01), rate_limit=RateLimit(requests=capacity, per=1.0))

    def replicate(draw: np.random.Generator) -> tuple[float]:
        return (sent_under(roomy_app, draw, ratio, offered * capacity, service) / capacity,)

    reproduces(f"B6 {ratio:g} {offered:g} simulated", {"sent / capacity": expected}, replicate)


@pytest.mark.parametrize(("slots", "places", "ratio", "offered"), [(8, 8, 2.0, 3.0), (4, 0, 2.0, 5.0)])
def test_b6_a_full_queue_is_spared_too(roomy_app, reproduces, slots, places, ratio, offered) -> None:
    """M/M/c/K, which at first accepts less than it could serve: sent = ratio times what it accepts of that."""
    mean = 0.1
    rate = offered * slots / mean
    expected = theory.throttled_rate(ratio, rate, slots, places, mean)

    def replicate(draw: np.random.Generator) -> tuple[float]:
        return (sent_under(roomy_app, draw, ratio, rate, Service(slots, places, time=Exponential(mean))),)

    reproduces(f"B6 {slots} {places} {ratio:g} {offered:g}", {"sent": expected}, replicate)
