"""Clients who contend for one row: the model behind the figure of the AWS Architecture Blog, 2015.

Optimistic concurrency: a client reads the row's version, then writes, which fails if another has written since; then it
backs off and reads again. Each way to the row or back takes |N(10, 2)| ms. (M. Brooker, "Exponential Backoff And
Jitter"; his program is aws-arch-backoff-simulator.)
"""

import heapq
import random
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from breakerlab.policy import Backoff
from breakerlab.replay.comparison import t_quantile

WAY_MEAN, WAY_DEVIATION = 0.010, 0.002  # s
# His base is 5 ms and his cap 2 s; his first exponential term is twice the base, his first decorrelated delay not.
STRATEGIES: Final[Mapping[str, Backoff | None]] = {
    "none": None,
    "exponential": Backoff(base=0.010, factor=2.0, cap=2.0, jitter="none"),
    "decorrelated": Backoff(base=0.005, cap=2.0, jitter="decorrelated"),
    "equal": Backoff(base=0.010, factor=2.0, cap=2.0, jitter="equal"),
    "full": Backoff(base=0.010, factor=2.0, cap=2.0, jitter="full"),
}
# Calls of 100 clients, by the article's own program run as published, the mean of 100 runs.
PUBLISHED: Final = {"none": 2421, "exponential": 1860, "decorrelated": 1002, "equal": 812, "full": 794}


class Race(NamedTuple):
    """How many writes were tried until each client had written once, and how many seconds it took."""

    calls: int
    seconds: float


def race(clients: int, backoff: Backoff | None, draw: random.Random) -> Race:
    """Let `clients` (at least 1) contend until each has changed the row once; backoff None is to try again at once."""

    def way() -> float:
        return abs(draw.normalvariate(WAY_MEAN, WAY_DEVIATION))

    version, calls, now = 0, 0, 0.0
    failures, waited, read = [0] * clients, [0.0] * clients, [-1] * clients  # read: -1 while the row is to be read
    at_the_row = [(way(), client) for client in range(clients)]
    heapq.heapify(at_the_row)
    while at_the_row:
        now, client = at_the_row[0]
        if read[client] < 0:
            read[client] = version
            heapq.heapreplace(at_the_row, (now + way() + way(), client))
            continue
        calls += 1
        if read[client] == version:
            version += 1
            heapq.heappop(at_the_row)
            continue
        read[client] = -1
        failures[client] += 1
        if backoff is not None:
            waited[client] = backoff.delay(failures[client], waited[client], draw.random())
        heapq.heapreplace(at_the_row, (now + way() + way() + waited[client], client))
    return Race(calls, now + way())


def races(
    clients: Sequence[int] = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100),
    strategies: Mapping[str, Backoff | None] = STRATEGIES,
    *,
    runs: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """One row for each strategy and number of clients, means of `runs` (at least 2) with their 95 % intervals.

    Columns: `strategy`, `clients`; `calls`, `calls_low`, `calls_high`; `seconds`, `seconds_low`, `seconds_high` until
    the last client has written.
    """
    rows = []
    for name, backoff in strategies.items():
        for number in clients:
            played = [race(number, backoff, random.Random(f"{seed} {name} {number} {run}")) for run in range(runs)]
            columns = zip(Race._fields, zip(*played, strict=True), strict=True)
            figures = {key: value for field, values in columns for key, value in _interval(field, values).items()}
            rows.append({"strategy": name, "clients": number, **figures})
    return pd.DataFrame(rows)


def _interval(name: str, values: Sequence[float]) -> dict[str, float]:
    mean = float(np.mean(values))
    half = t_quantile(0.975, len(values) - 1) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
