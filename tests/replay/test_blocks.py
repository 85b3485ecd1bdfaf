"""Memory that a run leaves to the next: nothing of the one is seen in the other, and nobody else's is taken."""

import gc

import numpy as np
import pytest

from breakerlab.policy import Policy
from breakerlab.replay import Poisson, Scenario, Service, replay
from breakerlab.replay.blocks import HUGE_PAGE, KEPT, block, zeros

LARGE = 2 * HUGE_PAGE


@pytest.fixture
def dirty() -> None:
    """Every block that is kept has been written full by somebody before."""
    held = [block(LARGE) for _ in range(KEPT)]
    for one in held:
        one.fill(0xFF)


@pytest.mark.parametrize("size", [1, 4096, HUGE_PAGE - 1, HUGE_PAGE, LARGE])
def test_zeros_are_zero_whoever_had_the_memory_before(dirty: None, size: int) -> None:
    found = zeros(size)
    assert found.shape == (size,)
    assert not found.any()


def test_memory_is_not_given_away_while_a_view_of_it_is_held() -> None:
    view = block(LARGE)[100:108].view(np.float64)
    view[0] = 42.0
    gc.collect()
    for _ in range(2 * KEPT):
        block(LARGE).fill(0)
    assert view[0] == 42.0


def test_what_is_gone_serves_the_next_and_only_so_much_is_kept() -> None:
    places = set()
    for _ in range(3 * KEPT):
        places.add(block(LARGE).ctypes.data)
    assert len(places) <= KEPT
    held = [block(LARGE) for _ in range(3 * KEPT)]
    assert len({one.ctypes.data for one in held}) == len(held)


def test_a_large_run_is_the_same_in_used_memory(dirty: None) -> None:
    """Over 20,000 requests; some still under way when it is stopped, with the numbers that they have not got yet."""
    scenario = Scenario(Poisson(200.0), Service(40, 40), duration=120.0)
    runs = [replay(scenario, Policy.naive(), seed=3, most_seconds=0.5) for _ in range(3)]
    block(LARGE).fill(0xFF)
    first, second, third = runs
    assert first.cut_off is not None
    assert first.trace == second.trace == third.trace
    assert first.summary() == pytest.approx(third.summary(), nan_ok=True)
    assert (first.requests["attempts"] >= 0).all()
    assert first.trace.attempts.loc[first.trace.attempts["outcome"] == "lost", "status"].isna().all()
