"""The yardstick of the reference checks, for rows with one number and a seed that is a whole number."""

from collections.abc import Callable

import pytest


@pytest.fixture
def reproduces(yardstick: Callable[..., None]) -> Callable[..., None]:
    def check(row: str, expected: float, replicate: Callable[[int], float]) -> None:
        yardstick(row, {"mean": expected}, lambda seed: [replicate(int.from_bytes(seed[:7]))])

    return check
