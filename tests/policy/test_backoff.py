"""The waits: their size, their cap, and what jitter does to a herd."""

import itertools
import math
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import Backoff
from breakerlab.policy.backoff import JITTERS, grown, largest_safe_exponent

UNIFORM = st.floats(0.0, 1.0, exclude_max=True)
ATTEMPT = st.integers(1, 10_000)
ALMOST_1 = 1.0 - 2.0**-53


def growing(jitter: str) -> st.SearchStrategy[Backoff]:
    return st.builds(
        lambda base, factor, times: Backoff(base, factor, base * times, jitter),
        st.floats(1e-3, 1e6), st.floats(1.0, 1e6), st.floats(1.0, 1e12),
    )  # fmt: skip


def term_of(backoff: Backoff, attempt: int) -> float:
    return Backoff(backoff.base, backoff.factor, backoff.cap, "none").delay(attempt, 0.0, 0.0)


def delays(backoff: Backoff, draw: Callable[[], float]) -> Iterator[float]:
    """The delays of one call that always fails."""
    previous = 0.0
    for attempt in itertools.count(1):
        previous = backoff.delay(attempt, previous, draw())
        yield previous


def test_without_jitter_each_wait_is_factor_times_the_last_until_the_cap() -> None:
    backoff = Backoff(base=0.5, factor=3.0, cap=10.0, jitter="none")
    assert list(itertools.islice(delays(backoff, lambda: 0.7), 5)) == [0.5, 1.5, 4.5, 10.0, 10.0]


BY_HAND = {
    "none": [4.0, 4.0, 4.0],
    "full": [0.0, 1.0, 2.0],
    "additive": [4.0, 4.5, 5.0],
    "equal": [2.0, 2.5, 3.0],
    "decorrelated": [1.0, 3.0, 5.0],  # from the base to three times the previous delay of 3 s
    "sdk": [4.0, 3.75, 3.5],
}


@pytest.mark.parametrize("jitter", JITTERS)
def test_a_third_delay_by_hand(jitter: str) -> None:
    backoff = Backoff(base=1.0, factor=2.0, cap=60.0, jitter=jitter)
    assert [backoff.delay(3, 3.0, u) for u in (0.0, 0.25, 0.5)] == BY_HAND[jitter]


@pytest.mark.parametrize("jitter", JITTERS)
@pytest.mark.parametrize("factor", [1.0, 1.0000001, 2.0, 1e300])
@pytest.mark.parametrize("base", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("u", [0.0, 0.5, ALMOST_1])
def test_no_attempt_is_too_late_for_the_arithmetic(jitter: str, factor: float, base: float, u: float) -> None:
    backoff = Backoff(base=base, factor=factor, cap=1.1e308, jitter=jitter)
    for attempt in (1, 2, 1024, 1025, 5000, 2**53):
        for previous in (0.0, base, 1.1e308):
            assert 0.0 <= backoff.delay(attempt, previous, u) <= 1.65e308


def test_attempt_5000_waits_the_cap() -> None:
    assert Backoff(jitter="none").delay(5000, 0.0, 0.5) == 60.0
    assert Backoff(base=1e-3, factor=1.01, cap=86400.0, jitter="none").delay(5000, 0.0, 0.0) == 86400.0


@given(growing("none"), ATTEMPT, UNIFORM)
def test_a_wait_never_shrinks_nor_passes_the_cap(backoff: Backoff, attempt: int, u: float) -> None:
    assert backoff.delay(attempt, 0.0, u) <= backoff.delay(attempt + 1, 0.0, u) <= backoff.cap
    assert backoff.delay(1, 0.0, u) == backoff.base


@given(growing("full"), ATTEMPT, UNIFORM)
def test_the_cap_comes_before_the_draw(backoff: Backoff, attempt: int, u: float) -> None:
    """Full jitter is the capped term times the draw, so that late draws do not pile up at the cap."""
    assert backoff.delay(attempt, 0.0, u) == term_of(backoff, attempt) * u


@given(growing("additive"), ATTEMPT, UNIFORM)
def test_additive_jitter_passes_the_cap_by_at_most_half(backoff: Backoff, attempt: int, u: float) -> None:
    term = term_of(backoff, attempt)
    assert term <= backoff.delay(attempt, 0.0, u) <= 1.5 * backoff.cap
    assert backoff.delay(attempt, 0.0, u) == pytest.approx(term * (1.0 + u / 2.0))


@pytest.mark.parametrize(("jitter", "least"), [("equal", 0.5), ("sdk", 0.75)])
@given(data=st.data(), attempt=ATTEMPT, u=UNIFORM)
def test_equal_and_sdk_jitter_keep_a_share_of_the_term(
    jitter: str, least: float, data: st.DataObject, attempt: int, u: float
) -> None:
    backoff = data.draw(growing(jitter))
    term = term_of(backoff, attempt)
    assert least * term <= backoff.delay(attempt, 0.0, u) <= term
    share = 0.5 + 0.5 * u if jitter == "equal" else 1.0 - 0.25 * u
    assert backoff.delay(attempt, 0.0, u) == pytest.approx(share * term)


@given(growing("decorrelated"), st.lists(UNIFORM | st.sampled_from([0.0, 5e-324, ALMOST_1]), max_size=40))
def test_decorrelated_jitter_stays_between_the_base_and_three_times_the_last(backoff: Backoff, draws: list) -> None:
    previous = 0.0
    for attempt, u in enumerate(draws, 1):
        last, previous = previous, backoff.delay(attempt, previous, u)
        top = 3.0 * max(last, backoff.base)
        assert backoff.base <= previous <= min(backoff.cap, top * (1.0 + 1e-15))
        assert previous == pytest.approx(min(backoff.cap, backoff.base + (top - backoff.base) * u))


@given(growing("decorrelated"), st.floats(0.0, 1e300), UNIFORM)
def test_decorrelated_jitter_is_never_below_the_base_whatever_it_is_told(
    backoff: Backoff, previous: float, u: float
) -> None:
    assert backoff.base <= backoff.delay(3, previous, u) <= backoff.cap


@given(st.floats(1e-300, 1e300), st.floats(1.0, 1e300), st.floats(1.0, 1e6), st.floats(0.0, 1e300))
def test_what_has_grown_stays_between_base_and_cap(base: float, factor: float, times: float, steps: float) -> None:
    cap = base * times
    exponent = largest_safe_exponent(base, factor)
    assert base <= grown(base, factor, cap, exponent, steps) <= cap
    assert grown(base, factor, cap, exponent, 0.0) == base
    assert math.isfinite(base * factor**exponent)


@pytest.mark.parametrize("n", range(7))
@pytest.mark.parametrize(
    ("jitter", "share"), [("none", 1.0), ("full", 0.5), ("additive", 1.25), ("equal", 0.75), ("sdk", 0.875)]
)
def test_r6_the_mean_wait(reproduces: Callable[..., None], jitter: str, share: float, n: int) -> None:
    """Mean 2**n * b / 2 with full jitter and 3/4 * 2**n * b with equal, the first delay being n = 0."""
    backoff = Backoff(base=0.7, factor=2.0, cap=1e6, jitter=jitter)

    def mean_wait(seed: int) -> float:
        draw = random.Random(seed).random
        return math.fsum(backoff.delay(n + 1, 0.0, draw()) for _ in range(3000)) / 3000

    if jitter == "none":
        assert mean_wait(0) == pytest.approx(2.0**n * 0.7)
    else:
        reproduces(f"R6 {jitter} {n}", share * 2.0**n * 0.7, mean_wait)


@pytest.mark.parametrize("n", range(1, 7))
def test_r6_the_mean_decorrelated_wait(reproduces: Callable[..., None], n: int) -> None:
    """Mean b * (2 * 1.5**n - 1), the first delay being n = 1."""
    backoff = Backoff(base=0.7, cap=1e6, jitter="decorrelated")

    def mean_wait(seed: int) -> float:
        draw = random.Random(seed).random
        return math.fsum(next(itertools.islice(delays(backoff, draw), n - 1, None)) for _ in range(8000)) / 8000

    reproduces(f"R6 decorrelated {n}", 0.7 * (2.0 * 1.5**n - 1.0), mean_wait)


def share_at_cap(times: float) -> float:
    """The long-run share of decorrelated draws that are the cap, `times` the base: the fixed point of the density g.

    From x the next draw is uniform on (1, 3x), so g(y) is the integral of g(x) / (3x - 1) over all x > y/3, and what
    would pass the cap is an atom there. (There is no closed form; the midpoint rule converges quickly.)
    """
    cells = 20_000
    width = (times - 1.0) / cells
    x = 1.0 + width * (np.arange(cells) + 0.5)
    density, atom = np.full(cells, 0.5 / (times - 1.0)), 0.5
    reachable = np.searchsorted(x, x / 3.0)
    for _ in range(100):
        flow = density * width / (3.0 * x - 1.0)
        above = np.append(np.cumsum(flow[::-1])[::-1], 0.0)[reachable]
        over = (flow * np.maximum(3.0 * x - times, 0.0)).sum()
        density = above + atom / (3.0 * times - 1.0)
        atom = over + atom * 2.0 * times / (3.0 * times - 1.0)
        whole = density.sum() * width + atom
        density, atom = density / whole, atom / whole
    return float(atom)


@pytest.mark.parametrize("times", [5.0, 20.0, 100.0])
def test_r7_decorrelated_jitter_marches_in_step_at_its_cap(reproduces: Callable[..., None], times: float) -> None:
    """At a cap of 20 times the base 41 % of the draws are exactly the cap: it synchronises again."""
    backoff = Backoff(base=0.3, cap=0.3 * times, jitter="decorrelated")

    def share(seed: int) -> float:
        waits = itertools.islice(delays(backoff, random.Random(seed).random), 100, 50_100)
        return sum(wait == backoff.cap for wait in waits) / 50_000

    reproduces(f"R7 {times:g}", share_at_cap(times), share)


def test_r7_as_published() -> None:
    assert share_at_cap(20.0) == pytest.approx(0.41, abs=0.005)


@pytest.mark.parametrize(("jitter", "busiest"), [("none", 1000.0), ("full", 18.8), ("equal", 30.9)])
def test_r8_how_a_herd_comes_back(reproduces: Callable[..., None], jitter: str, busiest: float) -> None:
    """1000 clients fail at once; the busiest tenth of a second when they come back over 10 s."""
    backoff = Backoff(base=10.0, factor=1.0, cap=10.0, jitter=jitter)

    def busiest_bin(draw: Callable[[], float]) -> int:
        bins = [0] * 101
        for _ in range(1000):
            bins[int(backoff.delay(1, 0.0, draw()) / 0.1)] += 1
        return max(bins)

    def mean_busiest(seed: int) -> float:
        draw = random.Random(seed).random
        return sum(busiest_bin(draw) for _ in range(40)) / 40

    if jitter == "none":
        assert busiest_bin(random.Random(0).random) == busiest
    else:
        reproduces(f"R8 {jitter}", busiest, mean_busiest)
