"""The clients who contend for one row are those of the AWS article (reference check R9)."""

import random
from collections.abc import Callable, Sequence

import pandas as pd
import pytest

from breakerlab.lab.contention import PUBLISHED, STRATEGIES, race, races

WIDE = {"none": 3, "exponential": 3, "decorrelated": 3, "equal": 1, "full": 1}  # runs in a mean; some vary less


def test_r9_the_calls_of_100_clients(yardstick: Callable[..., None]) -> None:
    def replicate(seed: bytes) -> Sequence[float]:
        draw = random.Random(seed)
        calls = {
            name: sum(race(100, STRATEGIES[name], draw).calls for _ in range(runs)) / runs
            for name, runs in WIDE.items()
        }
        return [*calls.values(), calls["full"] / calls["exponential"]]

    expected = {name: float(PUBLISHED[name]) for name in WIDE} | {"full/exponential": 0.43}
    yardstick("R9 lab 100", expected, replicate)


def test_one_client_writes_once_after_four_ways() -> None:
    alone = race(1, None, random.Random(1))
    assert alone.calls == 1
    assert alone.seconds == pytest.approx(0.04, abs=0.02)


def test_the_table_has_means_with_intervals_and_is_the_same_again() -> None:
    table = races(clients=(2, 5), runs=4)
    assert list(table["strategy"].unique()) == list(STRATEGIES)
    assert len(table) == 2 * len(STRATEGIES)
    for name in ("calls", "seconds"):
        assert ((table[f"{name}_low"] <= table[name]) & (table[name] <= table[f"{name}_high"])).all()
    pd.testing.assert_frame_equal(table, races(clients=(2, 5), runs=4))
    assert not table.equals(races(clients=(2, 5), runs=4, seed=1))
