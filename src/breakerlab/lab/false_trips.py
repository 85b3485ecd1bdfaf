"""How often a breaker opens by chance: a full window of calls that fail independently, in closed form and simulated.

With a window of n calls and a rule of `rate`, the circuit opens if at least n x rate of them fail: the tail of a
binomial distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import pandas as pd

from breakerlab.policy import Breaker, Policy
from breakerlab.replay import App, Bursts, Constant, Fault, Scenario, Service, replay

PATIENCE: Final = 3600.0  # s
NO_LIMIT: Final = 10**6
NINETY_FIVE: Final = 1.96  # standard errors


def trip_probability(window: int, rate: float, probability: float) -> float:
    """The chance that a full window opens the circuit.

    window: calls, at least 1. rate: the share of failures that opens it, in (0, 1]. probability: that a call fails,
    in [0, 1].
    """
    p, needed = probability, math.ceil(window * rate - 1e-9)
    return sum(math.comb(window, n) * p**n * (1.0 - p) ** (window - n) for n in range(needed, window + 1))


def simulated_trips(
    windows: Sequence[int],
    probabilities: Sequence[float] = (0.1, 0.2, 0.3),
    rate: float = 0.5,
    *,
    clients: int = 1000,
    seeds: int = 5,
) -> pd.DataFrame:
    """The share of breakers that open on their first full window, in `replay`.

    Each of `clients` has a breaker of its own and makes as many calls as its window holds, at each of `seeds`. Columns:
    `window`, `probability`, `share`, and its 95 % interval `low` to `high` (Wilson's).
    """
    rows = []
    for probability in probabilities:
        for window in windows:
            opened = sum(_opened(window, probability, rate, clients, seed) for seed in range(seeds))
            share = opened / (clients * seeds)
            low, high = wilson(share, clients * seeds)
            rows.append({"probability": probability, "window": window, "share": share, "low": low, "high": high})
    return pd.DataFrame(rows)


def _opened(window: int, probability: float, rate: float, clients: int, seed: int) -> int:
    scenario = Scenario(
        Bursts(size=clients * window, every=PATIENCE),
        Service(slots=NO_LIMIT, queue_limit=None, time=Constant(0.001)),
        App(workers=NO_LIMIT, pool_timeout=PATIENCE, health_interval=PATIENCE, instances=clients),
        (Fault(0.0, PATIENCE, error=probability),),
        duration=1.0,
        name=f"{clients:,} clients, {window} calls each",
    )
    breaker = Breaker(failure_rate=rate, window=window, minimum_calls=window, recovery_timeout=PATIENCE)
    events = replay(scenario, Policy(breaker=breaker), seed).trace.events
    return int(((events["kind"] == "breaker") & (events["value"] == 1)).sum())


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of `n` (E. B. Wilson, 1927)."""
    z = NINETY_FIVE
    middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    return middle - half, middle + half
