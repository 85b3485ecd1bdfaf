"""The cache of notebook 06: who gets an old answer, and how many of these are no longer true."""

import math

import pytest

from breakerlab.lab.stale import stale_answers


def test_one_question_is_always_in_the_cache() -> None:
    [row] = stale_answers([14_400.0], questions=1, outage=600.0).itertuples()
    assert row.served == 1.0
    assert row.age == pytest.approx(300.0, abs=15.0)
    # the age is uniform from 0 to 600 s, so that 1 - (1 - e**(-1/6)) * 6 have changed
    assert row.outdated == pytest.approx(1.0 - 6.0 * (1.0 - math.exp(-1.0 / 6.0)), abs=0.005)


def test_a_limit_shorter_than_the_outage_serves_its_beginning_only() -> None:
    [row] = stale_answers([60.0], questions=1, outage=600.0).itertuples()
    assert row.served == pytest.approx(0.1, abs=0.01)


def test_asked_alike_an_answer_is_there_as_the_poisson_law_has_it() -> None:
    """4 h of 9/s over 100,000 questions: 1.296 each; the answer is missing with e**-1.296."""
    [row] = stale_answers([1e9], questions=100_000, skew=0.0).itertuples()
    assert row.served == pytest.approx(1.0 - math.exp(-1.296), abs=0.02)


def test_older_answers_serve_more_and_are_less_often_true() -> None:
    table = stale_answers()
    assert table["served"].is_monotonic_increasing
    share = table["outdated"] / table["served"]
    assert share.is_monotonic_increasing
    assert (table["outdated"] < table["served"]).all()


def test_what_never_changes_is_never_out_of_date() -> None:
    assert stale_answers([3600.0], changes=1e12)["outdated"].iloc[0] == pytest.approx(0.0, abs=1e-6)


def test_where_nobody_is_served_no_age_is_told() -> None:
    [row] = stale_answers([1e-6], questions=1000).itertuples()
    assert (row.served, row.outdated) == (0.0, 0.0)
    assert math.isnan(row.age)
