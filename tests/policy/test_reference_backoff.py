"""REFERENCE_CHECKS R8: what jitter does to clients who come back together. (R6, R7: test_backoff.py; R9: tests/lab.)"""

import random
from collections.abc import Callable

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
