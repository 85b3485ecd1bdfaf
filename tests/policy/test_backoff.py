"""The waits: their size, their cap, and what jitter does to a herd."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import Backoff

UNIFORM = st.floats(0.0, 1.0, exclude_max=True)
ATTEMPT = st.integers(1, 10_000)


def growing(jitter: str) -> st.SearchStrategy[Backoff]:
    return st.builds(
        lambda base, factor, times: Backoff(base, factor, base * times, jitter),
        st.floats(1e-3, 1e6), st.floats(1.0, 1e6), st.floats(1.0, 1e12),
    )  # fmt: skip


def test_without_jitter_each_wait_is_factor_times_the_last_until_the_cap() -> None:
    backoff = Backoff(base=0.5, factor=3.0, cap=10.0, jitter="none")
    assert [backoff.delay(n, 0.7) for n in (1, 2, 3, 4, 5)] == [0.5, 1.5, 4.5, 10.0, 10.0]


def test_full_jitter_draws_from_zero_to_the_term() -> None:
    backoff = Backoff(base=1.0, factor=2.0, cap=60.0, jitter="full")
    assert [backoff.delay(3, u) for u in (0.0, 0.25, 0.5)] == [0.0, 1.0, 2.0]


def test_additive_jitter_adds_up_to_half_the_term() -> None:
    backoff = Backoff(base=2.0, factor=1.0, cap=2.0, jitter="additive")
    assert [backoff.delay(1, u) for u in (0.0, 0.5)] == [2.0, 2.5]


@pytest.mark.parametrize("jitter", ["none", "full", "additive"])
@pytest.mark.parametrize("factor", [1.0, 1.0000001, 2.0, 1e300])
@pytest.mark.parametrize("base", [1e-300, 1.0, 1e300])
def test_no_attempt_is_too_late_for_the_arithmetic(jitter: str, factor: float, base: float) -> None:
    backoff = Backoff(base=base, factor=factor, cap=1e300, jitter=jitter)
    for attempt in (1, 2, 1024, 1025, 5000, 2**53):
        assert 0.0 <= backoff.delay(attempt, 0.999) <= 1.5e300


def test_attempt_5000_waits_the_cap() -> None:
    assert Backoff(jitter="none").delay(5000, 0.5) == 60.0
    assert Backoff(base=1e-3, factor=1.01, cap=86400.0, jitter="none").delay(5000, 0.0) == 86400.0


@given(growing("none"), ATTEMPT, UNIFORM)
def test_a_wait_never_shrinks_nor_passes_the_cap(backoff: Backoff, attempt: int, u: float) -> None:
    assert backoff.delay(attempt, u) <= backoff.delay(attempt + 1, u) <= backoff.cap
    assert backoff.delay(1, u) == backoff.base


@given(growing("full"), ATTEMPT, UNIFORM)
def test_the_cap_comes_before_the_draw(backoff: Backoff, attempt: int, u: float) -> None:
    """Full jitter is the capped term times the draw, so that late draws do not pile up at the cap."""
    term = Backoff(backoff.base, backoff.factor, backoff.cap, "none").delay(attempt, u)
    assert backoff.delay(attempt, u) == term * u


@given(growing("additive"), ATTEMPT, UNIFORM)
def test_additive_jitter_passes_the_cap_by_at_most_half(backoff: Backoff, attempt: int, u: float) -> None:
    term = Backoff(backoff.base, backoff.factor, backoff.cap, "none").delay(attempt, u)
    assert term <= backoff.delay(attempt, u) <= 1.5 * backoff.cap
    assert backoff.delay(attempt, u) == pytest.approx(term * (1.0 + u / 2.0))


@pytest.mark.parametrize("n", [0, 1, 3, 6])
@pytest.mark.parametrize(("jitter", "share"), [("none", 1.0), ("full", 0.5), ("additive", 1.25)])
def test_r6_the_mean_wait(reproduces: Callable[..., None], jitter: str, share: float, n: int) -> None:
    """Mean 2**n * b / 2 with full jitter, the first delay being n = 0."""
    backoff = Backoff(base=0.7, factor=2.0, cap=1e6, jitter=jitter)

    def mean_wait(seed: int) -> float:
        draw = random.Random(seed).random
        return math.fsum(backoff.delay(n + 1, draw()) for _ in range(3000)) / 3000

    if jitter == "none":
        assert mean_wait(0) == pytest.approx(2.0**n * 0.7)
    else:
        reproduces(f"R6 {jitter} {n}", share * 2.0**n * 0.7, mean_wait)


@pytest.mark.parametrize(("jitter", "busiest"), [("none", 1000.0), ("full", 18.8)])
def test_r8_how_a_herd_comes_back(reproduces: Callable[..., None], jitter: str, busiest: float) -> None:
    """1000 clients fail at once; the busiest tenth of a second when they come back over 10 s."""
    backoff = Backoff(base=10.0, factor=1.0, cap=10.0, jitter=jitter)

    def busiest_bin(draw: Callable[[], float]) -> int:
        bins = [0] * 101
        for _ in range(1000):
            bins[int(backoff.delay(1, draw()) / 0.1)] += 1
        return max(bins)

    def mean_busiest(seed: int) -> float:
        draw = random.Random(seed).random
        return sum(busiest_bin(draw) for _ in range(40)) / 40

    if jitter == "none":
        assert busiest_bin(random.Random(0).random) == busiest
    else:
        reproduces("R8 full", busiest, mean_busiest)
