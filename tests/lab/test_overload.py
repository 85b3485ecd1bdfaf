"""The overload of notebook 05: its callers, the ten ways to meet it, and turning callers away."""

import numpy as np
import pandas as pd
import pytest

from breakerlab.lab.overload import ONE_RETRY, SERVICE, Way, back_after, overload, shedding, ways
from breakerlab.replay import Fault, recovery_map, replay


def test_it_is_a_cell_of_the_map() -> None:
    run = replay(overload(280, 10), ONE_RETRY)
    requests = run.requests
    last = requests[(requests["time"] >= 310) & (requests["time"] < 340)]
    assert (last["outcome"] == "ok").mean() == 0.0
    assert recovery_map(SERVICE, ONE_RETRY, [280], [10]).loc[10.0, 280.0] == 0.0
    assert overload(280, 10).faults == (Fault(30.0, 40.0, capacity=0.0),)
    assert overload(280, 0).faults == ()


def test_only_the_share_is_turned_away_and_only_meanwhile() -> None:
    everybody = overload(280).arrivals(0)
    let_in = overload(280, turned_away=0.75, seconds=60).arrivals(0)
    kept = np.isin(everybody.time, let_in.time)
    during = (everybody.time >= 100) & (everybody.time < 160)
    assert kept[~during].all()
    assert kept[during].mean() == pytest.approx(0.25, abs=0.01)
    assert overload(280, turned_away=1.0, seconds=0).arrivals(0).time.tolist() == everybody.time.tolist()


def test_of_nobody_turned_away_the_callers_are_drawn_by_the_replays_seed() -> None:
    assert overload(280).arrivals(1).time[0] != overload(280).arrivals(0).time[0]


@pytest.mark.parametrize("share", [-0.1, 1.1, "half"])
def test_a_share_that_cannot_be_is_named(share: object) -> None:
    with pytest.raises(ValueError, match="turned_away"):
        overload(280, turned_away=share)


def test_what_brings_it_back_and_what_does_not() -> None:
    found = back_after(ways(), seeds=1)["latest"]
    down = [
        "one retry, at once",
        "30 s of jitter",
        "budget: 10 % of calls",
        "late work is dropped",
        "adaptive throttle",
    ]
    assert list(found.index[np.isinf(found)]) == down
    assert found["no retry"] == pytest.approx(found["budget: 10 % of successes"], abs=15)
    assert (found[["circuit breaker", "last in, first out", "queue of 270"]] <= 2.0).all()


def test_the_table_holds_the_soonest_the_latest_and_the_mean() -> None:
    way = ways()["no retry"]
    [row] = back_after({"no retry": way}, seeds=3).itertuples()
    runs = [replay(overload(), way.policy, seed).summary() for seed in range(3)]
    waits = [run["time_to_recover"] for run in runs]
    assert (row.soonest, row.latest) == (min(waits), max(waits))
    assert row.answered == pytest.approx(np.mean([run["success_rate"] for run in runs]))


def test_a_way_may_change_the_service() -> None:
    assert {name for name, way in ways().items() if way.service != SERVICE} == {
        "late work is dropped", "last in, first out", "queue of 270",
    }  # fmt: skip
    assert ways()["one retry, at once"] == Way(SERVICE, ONE_RETRY)


def test_half_is_not_enough_and_everybody_for_long_enough_is() -> None:
    found = shedding([0.4, 1.0], [60, 75])
    assert found.index.tolist() == [0.4, 1.0]
    assert found.columns.tolist() == [60, 75]
    assert pd.isna(found.loc[0.4]).all()
    assert pd.isna(found.loc[1.0, 60])
    assert found.loc[1.0, 75] == pytest.approx(280 * 75, rel=0.03)
