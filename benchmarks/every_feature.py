"""Scenarios and policies for simulator_costs.py: one with every feature on at once, and some that differ in kind."""

import math
from dataclasses import replace

from retry_storm import storm_policy, storm_scenario

from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle
from breakerlab.replay import (
    App,
    Bursts,
    ClosedLoop,
    Constant,
    Empirical,
    Exponential,
    Fault,
    Llm,
    Lognormal,
    OtherEndpoint,
    Poisson,
    RateLimit,
    Scenario,
    Service,
    Standby,
)

ANSWER, MENU = "POST /answer", "GET /menu"
DURATION = 120.0

Policies = Policy | list[Policy]

ARRIVALS = (
    Poisson(100.0, ANSWER, tokens=Lognormal(60.0, 0.5), writes=0.3),
    Bursts(200, every=6.0, within=0.5, endpoint=ANSWER, tokens=Constant(40.0), writes=0.1, start=3.0),
    Poisson(4000.0 / DURATION, MENU),
)

SERVICE = Service(
    slots=64,
    queue_limit=64,
    time=Llm(first_token=0.15, per_token=0.005, slowdown=0.5, batch=32),
    discipline="deadline",
    retry_after=1.0,
    rejection_seconds=0.02,
    cancel_on_disconnect=True,
    rate_limit=RateLimit(requests=3000, tokens=200_000, per=60.0),
    network=Lognormal(0.02, 0.5),
)

FAULTS = (
    Fault(30.0, 60.0, capacity=0.25, latency=1.5, error=0.05, refuse=0.02, hang=0.01),
    Fault(50.0, 70.0, error=0.1, status=502, endpoints=(ANSWER,)),
    Fault(100.0, math.inf, latency=1.2),
)

APP = App(
    workers=100,
    other={MENU: OtherEndpoint(seconds=0.03, caller_timeout=2.0)},
    instances=2,
    balancer="least_busy",
    hold_during_backoff=False,
    shared_breaker=True,
    writes="keyed",
    network=Constant(0.003),
    answer_network=Constant(0.002),
    timer_lag=Exponential(0.001),
    fallbacks={"small_model": Standby(seconds=0.3, slots=8, availability=0.9), "message": Standby()},
)


def every_feature() -> Scenario:
    """20,000 requests in two minutes: 12,000 one by one, 4,000 in bursts, 4,000 of another endpoint."""
    return Scenario(ARRIVALS, SERVICE, APP, FAULTS, DURATION, name="every feature")


def every_rule() -> list[Policy]:
    """Retries in the app around the retries of a client library, with everything that a policy can have."""
    circuit = Breaker(
        failure_threshold=20,
        recovery_timeout=2.0,
        half_open_max_calls=3,
        failure_rate=0.5,
        slow_call_rate=0.8,
        slow_call_duration=2.0,
        window=100,
        recovery_growth=2.0,
        recovery_cap=10.0,
        recovery_jitter=0.2,
        success_threshold=2,
        half_open_timeout=30.0,
        guards="retries",
    )
    pauses = Backoff(base=0.2, factor=2.0, cap=2.0, jitter="full")
    fallback = Fallback(small_model="a shorter answer", message="Try again soon.")
    return [
        Policy(timeout=7.0, retry=Retry(2, total_time=7.5, backoff=pauses), fallback=fallback),
        Policy(
            timeout=3.0,
            retry=Retry(3, total_time=6.0, backoff=pauses, wait_for_probe=True, budget=RetryBudget(0.2)),
            breaker=circuit,
            throttle=Throttle(ratio=2.0, window=120.0),
        ),
    ]


def in_kind() -> list[tuple[Scenario, Policies]]:
    """What differs from `every_feature` in kind: nothing of it may need a compilation of its own."""
    workers = ClosedLoop(40, think=Exponential(1.0), endpoint=ANSWER, tokens=Constant(50.0), writes=0.5)
    measured = Service(8, None, Empirical([0.1, 0.2, 0.2, 0.9]), discipline="lifo", network=Constant(0.01))
    plain = Service(8, 8, Constant(0.2))
    app = App(balancer="random", instances=3, writes="blind")
    drawn = Scenario(Poisson(20.0), plain, duration=30.0)
    return [
        (storm_scenario(1000), storm_policy()),
        (Scenario(workers, measured, app, duration=30.0), Policy.naive()),
        (drawn, Policy.none()),
        (replace(drawn, workload=drawn.arrivals(1), service=Service()), Policy.openai_sdk()),
        (replace(drawn, service=replace(plain, time=Lognormal(0.3, 1.0))), Policy.recommended()),
        (drawn, Policy(breaker=Breaker(failure_rate=0.5, window_seconds=10.0))),
    ]
