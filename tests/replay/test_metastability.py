"""The overload that outlives its cause (row B5): Bronson et al., "Metastable Failures in Distributed Systems", 2021."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from breakerlab.policy import Backoff, Policy, Retry, RetryBudget
from breakerlab.replay import Constant, Service, recovery_map

NO_WAIT = Backoff(base=1e-6, cap=1e-6, jitter="none")
AT_ONCE = Retry(attempts=2, total_time=None, final_reserve=0.0, backoff=NO_WAIT)
ONE_RETRY = Policy(timeout=1.0, retry=AT_ONCE)
NO_RETRY = Policy(timeout=1.0, retry=None, breaker=None)
# A tenth of the calls would be 308 a second, more than there is; a tenth of the successes is nothing while it is down.
TENTH = RetryBudget(ratio=0.1, deposit="success")
BUDGET = Policy(timeout=1.0, retry=replace(AT_ONCE, budget=TENTH))


def thirty_slots(**fields: Any) -> Service:
    """30 slots of 0.1 s, no limit to the queue: 300 requests a second."""
    return Service(slots=30, queue_limit=None, time=Constant(0.1), **fields)


def shares(policy: Policy, loads: list[float], outages: list[float], **options: Any) -> pd.DataFrame:
    return recovery_map(thirty_slots(**options.pop("service", {})), policy, loads, outages, **options)


def test_below_half_of_the_capacity_it_recovers_and_above_it_stays_down() -> None:
    found = shares(ONE_RETRY, [120.0, 140.0, 160.0, 280.0], [10.0])
    assert (found.loc[10.0, [120.0, 140.0]] > 0.95).all()
    assert (found.loc[10.0, [160.0, 280.0]] < 0.05).all()


def test_near_capacity_half_a_second_is_survived_and_two_are_not() -> None:
    found = shares(ONE_RETRY, [280.0], [0.5, 2.0])
    assert found.loc[0.5, 280.0] > 0.95
    assert found.loc[2.0, 280.0] < 0.05


@pytest.mark.parametrize(
    ("policy", "service"),
    [(NO_RETRY, {}), (BUDGET, {}), (ONE_RETRY, {"discipline": "lifo"})],
    ids=["none", "budget", "lifo"],
)
def test_without_retries_with_a_budget_or_last_in_first_out_it_recovers(policy: Policy, service: Any) -> None:
    assert shares(policy, [280.0], [10.0], service=service).loc[10.0, 280.0] > 0.9


def test_jitter_alone_does_not_help() -> None:
    spread = replace(AT_ONCE, backoff=Backoff(base=30.0, cap=30.0, jitter="full"))
    assert shares(Policy(timeout=1.0, retry=spread), [280.0], [10.0]).loc[10.0, 280.0] < 0.05


def test_the_map_has_outages_down_and_loads_across() -> None:
    found = shares(NO_RETRY, [30.0, 60.0], [0.0, 1.0, 2.0], after=40.0, before=2.0)
    assert (found.index.name, list(found.index)) == ("outage", [0.0, 1.0, 2.0])
    assert (found.columns.name, list(found.columns)) == ("load", [30.0, 60.0])
    assert found.map(lambda share: 0.9 < share < 1.1).all(axis=None)


def test_with_a_share_it_is_a_map_of_yes_and_no() -> None:
    arguments = {"loads": [120.0, 280.0], "outages": [10.0], "after": 80.0}
    values = shares(ONE_RETRY, **arguments)
    answers = shares(ONE_RETRY, **arguments, share=0.5)
    assert answers.to_numpy().tolist() == [[True, False]] == (values >= 0.5).to_numpy().tolist()


def test_too_early_nobody_has_recovered() -> None:
    """The backlog of 10 s at 120/s takes longer than 2 s to work off, and all of it is past its time."""
    assert shares(ONE_RETRY, [120.0], [10.0], after=2.0).loc[10.0, 120.0] < 0.1


def test_several_seeds_are_averaged() -> None:
    cell = {"loads": [120.0], "outages": [10.0], "after": 45.0}
    each = [shares(ONE_RETRY, **cell, seeds=[seed]).loc[10.0, 120.0] for seed in (3, 4)]
    assert each[0] != each[1]
    assert shares(ONE_RETRY, **cell, seeds=[3, 4]).loc[10.0, 120.0] == pytest.approx(sum(each) / 2.0)


def test_progress_is_told_after_every_replay() -> None:
    told: list[tuple[int, int]] = []
    shares(NO_RETRY, [30.0], [0.0, 1.0], after=2.0, seeds=2, progress=lambda *counts: told.append(counts))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loads": [0.0]}, "loads must be a finite number above 0"),
        ({"loads": []}, "loads and outages must each have at least one value"),
        ({"outages": []}, "loads and outages must each have at least one value"),
        ({"outages": [-1.0]}, "outages must be a finite number at least 0"),
        ({"after": 0.0}, "after must be a finite number above 0"),
        ({"before": -1.0}, "before must be a finite number above 0"),
        ({"share": 1.5}, "share must be a number from 0 to 1"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shares(NO_RETRY, **{"loads": [1.0], "outages": [1.0], "after": 1.0, **change})
