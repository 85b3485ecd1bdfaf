"""Breakers that open by chance: the formula, against the reference and against breakers in the simulator."""

import numpy as np
import pytest

from breakerlab.lab.false_trips import simulated_trips, trip_probability, wilson
from breakerlab.lab.solutions import solution


def test_b2_the_reference() -> None:
    assert trip_probability(10, 0.5, 0.2) == pytest.approx(0.03279, abs=5e-6)


@pytest.mark.parametrize(("window", "needed"), [(1, 1), (2, 1), (3, 2), (10, 5), (11, 6), (50, 25)])
def test_it_is_the_exercise_with_half_of_the_window_rounded_up(window: int, needed: int) -> None:
    expected = solution("false_trip_probability")(window=window, needed=needed, probability=0.2)
    assert trip_probability(window, 0.5, 0.2) == pytest.approx(expected, rel=1e-12)


def test_a_rate_that_floats_miss_by_a_hair_needs_no_failure_more() -> None:
    """0.07 x 100 is 7.000000000000001."""
    exact = solution("false_trip_probability")(window=100, needed=7, probability=0.02)
    assert trip_probability(100, 0.07, 0.02) == pytest.approx(exact)


def test_breakers_in_the_simulator_open_as_often() -> None:
    found = simulated_trips((2, 10), (0.2, 0.3), clients=1000, seeds=4)
    expected = [trip_probability(row.window, 0.5, row.probability) for row in found.itertuples()]
    error = np.sqrt(np.multiply(expected, np.subtract(1.0, expected)) / 4000)
    assert (np.abs(found["share"] - expected) < 4.0 * error).all()
    assert ((found["low"] < found["share"]) & (found["share"] < found["high"])).all()


def test_wilsons_interval() -> None:
    """Newcombe 1998, table I: 81 of 263."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
