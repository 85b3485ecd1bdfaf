"""The same traffic from a few large clients or from many small ones, each with a breaker of its own.

A breaker knows what its own client has seen. With many clients each sees little: it notices an outage late, and a rule
that is quick enough is also quick to open by chance (M. Brooker, "Will circuit breakers solve my problems?", 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import pandas as pd

from breakerlab.policy import Backoff, Breaker, Policy, Retry
from breakerlab.replay import App, Fault, Lognormal, Poisson, Scenario, Service, replay

RATE: Final = 50.0  # requests/s of all clients together
OUTAGE: Final = (30.0, 60.0)  # s
DURATION: Final = 90.0  # s
CALM_FAILURES: Final = 0.05  # of the attempts on a calm day
PATIENCE: Final = 3600.0  # s

RETRY: Final = Retry(attempts=3, total_time=10.0, backoff=Backoff(base=0.2, cap=2.0))


class Rule(NamedTuple):
    """A breaker, or None, and whether all clients share its state."""

    breaker: Breaker | None
    shared: bool = False


RULES: Final[Mapping[str, Rule]] = {
    "no breaker": Rule(None),
    "window of 20": Rule(Breaker(failure_rate=0.5, window=20, minimum_calls=20, recovery_timeout=5.0)),
    "window of 2": Rule(Breaker(failure_rate=0.5, window=2, minimum_calls=2, recovery_timeout=5.0)),
    "window of 20, shared": Rule(Breaker(failure_rate=0.5, window=20, minimum_calls=20, recovery_timeout=5.0), True),
}


def small_clients(clients: Sequence[int] = (1, 3, 10, 30, 100, 300, 1000), *, seed: int = 0) -> pd.DataFrame:
    """For each of `RULES` and each number of clients: attempts in an outage, and what the rule costs on a calm day.

    Columns: `rule`; `clients`; `attempts`, per request that comes while the service is down; `answered`, the share of
    requests answered on a day on which 5 % of the attempts fail.
    """
    rows = [
        {"rule": name, "clients": count, "attempts": _attempts(rule, count, seed), "answered": _calm(rule, count, seed)}
        for name, rule in RULES.items()
        for count in clients
    ]
    return pd.DataFrame(rows)


def many_clients(clients: int, *, shared: bool = False, faults: Sequence[Fault] = ()) -> Scenario:
    """50 requests/s in all from so many clients, each an instance of the app with a breaker of its own."""
    return Scenario(
        Poisson(RATE),
        Service(slots=1000, queue_limit=None, time=Lognormal(0.2, 0.5)),
        App(workers=10_000, pool_timeout=PATIENCE, health_interval=PATIENCE, instances=clients, shared_breaker=shared),
        tuple(faults),
        duration=DURATION,
        name=f"{clients:,} clients",
    )


def _attempts(rule: Rule, clients: int, seed: int) -> float:
    """Attempts that reach the service while it refuses everything, per request that comes in this time."""
    start, end = OUTAGE
    run = replay(many_clients(clients, shared=rule.shared, faults=[Fault(start, end, refuse=1.0)]), _policy(rule), seed)
    timeline = run.trace.timeline(1.0)
    down = timeline[(timeline.index >= start) & (timeline.index < end)]
    return float(down["attempts"].sum() / down["offered"].sum())


def _calm(rule: Rule, clients: int, seed: int) -> float:
    scenario = many_clients(clients, shared=rule.shared, faults=[Fault(0.0, PATIENCE, error=CALM_FAILURES)])
    return replay(scenario, _policy(rule), seed).summary()["success_rate"]


def _policy(rule: Rule) -> Policy:
    return Policy(retry=RETRY, breaker=rule.breaker)
