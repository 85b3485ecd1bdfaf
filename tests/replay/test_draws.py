"""Keyed draws: uniform, independent, and the same whoever asks first."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from breakerlab.replay import Constant, Empirical, Exponential, Lognormal
from breakerlab.replay.draws import BACKOFF, NETWORK, SIZE, THINK, WORK, drawn, request_key, seed_key
from breakerlab.replay.draws import uniform as draw


@pytest.fixture(autouse=True)
def wraps_around() -> Iterator[None]:
    with np.errstate(over="ignore"):
        yield


def uniform(seed: int, request: int, attempt: int, stream: np.uint64) -> float:
    return draw(request_key(seed_key(seed), request), attempt, stream)


def draws(seed: int = 0, requests: int = 20_000, attempt: int = 1, stream: np.uint64 = BACKOFF) -> np.ndarray:
    return np.array([uniform(seed, request, attempt, stream) for request in range(requests)])


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_draws_are_uniform(seed: int) -> None:
    u = draws(seed)
    assert 0.0 <= u.min() < u.max() < 1.0
    error = 4.0 / np.sqrt(len(u))  # four standard errors, times the standard deviation of each
    assert abs(u.mean() - 1 / 2) < error * np.sqrt(1 / 12)
    assert abs((u**2).mean() - 1 / 3) < error * np.sqrt(4 / 45)
    counts = np.bincount((u * 100).astype(int), minlength=100)
    assert ((counts - 200.0) ** 2 / 200.0).sum() < 99 + 4 * np.sqrt(2 * 99)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"attempt": 2}, {"stream": np.uint64(2)}], ids=["seed", "attempt", "stream"]
)
def test_another_key_gives_an_unrelated_draw(other: dict) -> None:
    u, v = draws(), draws(**other)
    assert abs(np.corrcoef(u, v)[0, 1]) < 4.0 / np.sqrt(len(u))


def test_neighbouring_requests_are_unrelated() -> None:
    u = draws()
    for lag in (1, 2, 16):
        assert abs(np.corrcoef(u[lag:], u[:-lag])[0, 1]) < 4.0 / np.sqrt(len(u))


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    keys = list(product((0, 9), range(50), range(1, 6)))
    in_order = {key: uniform(*key, BACKOFF) for key in keys}
    backwards = {key: uniform(*key, BACKOFF) for key in reversed(keys)}
    assert in_order == backwards
    assert len(set(in_order.values())) == len(keys)  # seed, request and attempt are not mixed up with one another


@pytest.mark.parametrize("stream", [WORK, NETWORK, THINK, SIZE])
@pytest.mark.parametrize(
    ("distribution", "mean", "deviation"),
    [
        (Constant(2.5), 2.5, 0.0),
        (Exponential(2.0), 2.0, 2.0),
        (Lognormal(3.0, 0.5), 3.0, 3.0 * (np.exp(0.25) - 1) ** 0.5),
        (Empirical([1.0, 2.0, 6.0]), 3.0, (14 / 3) ** 0.5),
    ],
)
def test_distributions_have_their_moments(distribution, mean: float, deviation: float, stream: np.uint64) -> None:
    first, second = distribution.numbers()
    values, key = distribution.table(), seed_key(3)
    n = 20_000
    u = [
        drawn(distribution.code, first, second, values, len(values), request_key(key, request), 1, stream)
        for request in range(n)
    ]
    assert abs(np.mean(u) - mean) <= 4.0 * deviation / np.sqrt(n)
    assert abs(np.std(u) - deviation) <= 0.05 * deviation
    sampled = distribution.sample(np.random.default_rng(1), n)
    assert abs(sampled.mean() - mean) <= 4.0 * deviation / np.sqrt(n)
