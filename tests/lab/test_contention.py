"""The clients who contend for one row are those of the AWS article (reference check R9)."""

import random
from collections.abc import Callable, Sequence

import pandas as pd
import pytest

from breakerlab.lab.contention import PUBLISHED, STRATEGIES, race, races

# For 100 clients the article's; for fewer, of 3000 runs of the model with the back-offs of the article's program in
# place of ours (standard errors 0.06 to 0.5).
CALLS = {
    100: {name: float(calls) for name, calls in PUBLISHED.items()},
    50: {"none": 689.6, "exponential": 623.3, "decorrelated": 374.5, "equal": 347.1, "full": 332.6},
    20: {"none": 152.1, "exponential": 150.1, "decorrelated": 101.1, "equal": 108.0, "full": 100.2},
}
RUNS = {100: 3, 50: 8, 20: 30}  # in a mean


def mean_calls(clients: int, name: str, draw: random.Random) -> float:
    runs = RUNS[clients] if name not in ("equal", "full") else max(RUNS[clients] // 3, 1)  # they vary less
    return sum(race(clients, STRATEGIES[name], draw).calls for _ in range(runs)) / runs


@pytest.mark.parametrize("clients", CALLS)
def test_r9_contention_for_one_row(yardstick: Callable[..., None], clients: int) -> None:
    """100 clients: 2421 calls without backoff, 1860 exponential, 1002 decorrelated, 812 equal, 794 full; 0.43."""
    expected = dict(CALLS[clients])
    expected["full/exponential"] = 0.43 if clients == 100 else expected["full"] / expected["exponential"]

    def replicate(seed: bytes) -> Sequence[float]:
        draw = random.Random(seed)
        calls = {name: mean_calls(clients, name, draw) for name in expected if name in STRATEGIES}
        return [*calls.values(), calls["full"] / calls["exponential"]]

    yardstick(f"R9 {clients}", expected, replicate)


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
