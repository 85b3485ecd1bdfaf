"""REFERENCE_CHECKS R8 and R9: what jitter does to clients who come back together. (R6, R7: test_backoff.py.)"""

import heapq
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from breakerlab.policy import Backoff

Yardstick = Callable[..., None]

# ---- R8: a herd after its first failure


def mean_busiest(clients: int, bins: int) -> float:
    """Mean of the fullest of `bins` as likely bins: the exact distribution of a multinomial's maximum.

    Independent Poisson counts, given their sum, are multinomial, so P(none above m) is the chance that those cut off at
    m sum up to `clients`, over the chance that the whole ones do.
    """
    count = np.arange(clients + 1)
    log_factorial = np.cumsum(np.log(np.maximum(count, 1)))
    each = np.exp(count * np.log(clients / bins) - clients / bins - log_factorial)
    whole = np.exp(clients * np.log(clients) - clients - log_factorial[-1])
    mean = 0.0
    for most in range(clients):
        power, left, cut = np.ones(1), bins, each[: most + 1]
        while left:
            if left % 2:
                power = np.convolve(power, cut)[: clients + 1]
            cut = np.convolve(cut, cut)[: clients + 1]
            left //= 2
        below = power[clients] / whole if len(power) > clients else 0.0
        mean += 1.0 - below
        if below > 1.0 - 1e-9:
            break
    return mean


def test_r8_as_published() -> None:
    """Full jitter fills 100 bins of 0.1 s, equal jitter the later 50. (The row has 30.9; exact is 30.72.)"""
    assert (round(mean_busiest(1000, 100), 1), round(mean_busiest(1000, 50), 1)) == (18.8, 30.7)
    assert mean_busiest(7, 1) == 7.0
    assert mean_busiest(2, 4) == pytest.approx(1.25)


USED = {"full": 1.0, "additive": 0.5, "equal": 0.5, "sdk": 0.25}  # the length of the interval, in terms


@pytest.mark.parametrize("jitter", ["none", *USED])
@pytest.mark.parametrize(("clients", "bins"), [(1000, 100), (200, 40), (400, 20)])
def test_r8_how_a_herd_comes_back(reproduces: Yardstick, jitter: str, clients: int, bins: int) -> None:
    """1000 clients, 10 s, bins of 0.1 s: 1000 in the busiest without jitter, 18.8 with full, 30.7 with equal."""
    backoff = Backoff(base=float(bins), factor=1.0, cap=float(bins), jitter=jitter)  # a bin lasts 1

    def busiest(seed: int) -> float:
        draw = random.Random(seed).random
        rounds = 25_000 // clients if jitter in USED else 1
        total = 0
        for _ in range(rounds):
            bin_of = [int(backoff.delay(1, 0.0, draw())) for _ in range(clients)]
            total += int(np.bincount(bin_of).max())
        return total / rounds

    expected = mean_busiest(clients, round(USED[jitter] * bins)) if jitter in USED else clients
    reproduces(f"R8 {jitter} {clients} {bins}", expected, busiest)


# ---- R9: one row, and all want to write it


def writes_until_all_are_through(clients: int, backoff: Backoff, draw: random.Random) -> int:
    """Write attempts until each client has changed the row once (the AWS Architecture Blog's model, 2015).

    Optimistic concurrency: a client reads the row's version, then writes, which fails if another has written since; it
    backs off and reads again. Each way, there or back, takes |N(10, 2)| ms.
    """

    def way() -> float:
        return abs(draw.normalvariate(10.0, 2.0))

    version, writes = 0, 0
    failures, wait, read = [0] * clients, [0.0] * clients, [-1] * clients  # read: -1 while the row is to be read
    at_the_row = [(way(), client) for client in range(clients)]
    heapq.heapify(at_the_row)
    while at_the_row:
        now, client = at_the_row[0]
        if read[client] < 0:
            read[client] = version
            heapq.heapreplace(at_the_row, (now + way() + way(), client))
            continue
        writes += 1
        if read[client] == version:
            version += 1
            heapq.heappop(at_the_row)
            continue
        failures[client] += 1
        read[client] = -1
        wait[client] = backoff.delay(failures[client], wait[client], draw.random())
        heapq.heapreplace(at_the_row, (now + way() + way() + wait[client], client))
    assert version == clients
    return writes


# His base is 5 ms and his cap 2 s; his first exponential term is twice the base, his first decorrelated delay not.
BACKOFFS = {
    "none": Backoff(base=1e-9, factor=1.0, cap=1e-9, jitter="none"),
    "exponential": Backoff(base=10.0, factor=2.0, cap=2000.0, jitter="none"),
    "decorrelated": Backoff(base=5.0, cap=2000.0, jitter="decorrelated"),
    "equal": Backoff(base=10.0, factor=2.0, cap=2000.0, jitter="equal"),
    "full": Backoff(base=10.0, factor=2.0, cap=2000.0, jitter="full"),
}

# For 100 clients the row's, of 100 runs; for the others, of 3000 runs of the model with the back-offs of the article's
# program in place of ours (standard errors 0.06 to 0.5).
CALLS = {
    100: {"none": 2421.0, "exponential": 1860.0, "decorrelated": 1002.0, "equal": 812.0, "full": 794.0},
    50: {"none": 689.6, "exponential": 623.3, "decorrelated": 374.5, "equal": 347.1, "full": 332.6},
    20: {"none": 152.1, "exponential": 150.1, "decorrelated": 101.1, "equal": 108.0, "full": 100.2},
}
ROUNDS = {100: 3, 50: 8, 20: 30}


def mean_calls(clients: int, name: str, draw: random.Random) -> float:
    rounds = ROUNDS[clients] if name not in ("equal", "full") else max(ROUNDS[clients] // 3, 1)  # they vary less
    return sum(writes_until_all_are_through(clients, BACKOFFS[name], draw) for _ in range(rounds)) / rounds


@pytest.mark.parametrize("clients", CALLS)
def test_r9_contention_for_one_row(yardstick: Yardstick, clients: int) -> None:
    """100 clients: 2421 calls without backoff, 1860 exponential, 1002 decorrelated, 812 equal, 794 full; 0.43."""
    expected = dict(CALLS[clients])
    expected["full/exponential"] = 0.43 if clients == 100 else expected["full"] / expected["exponential"]

    def replicate(seed: bytes) -> Sequence[float]:
        draw = random.Random(seed)
        calls = {name: mean_calls(clients, name, draw) for name in BACKOFFS}
        return [*calls.values(), calls["full"] / calls["exponential"]]

    yardstick(f"R9 {clients}", expected, replicate)
