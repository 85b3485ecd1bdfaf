"""The yardstick of the reference checks."""

import hashlib
from collections.abc import Callable, Iterator

import pytest

REPLICATIONS = 20
T_999 = 3.883  # Student's t for 99.9 %, 19 degrees of freedom


def seeds(row: str) -> Iterator[int]:
    for i in range(REPLICATIONS):
        yield int.from_bytes(hashlib.sha256(f"{row} {i}".encode()).digest()[:7])


@pytest.fixture
def reproduces() -> Callable[..., None]:
    """Assert that the mean over 20 replications is `expected`: inside the 99.9 % interval, which is narrow enough."""

    def check(row: str, expected: float, replicate: Callable[[int], float]) -> None:
        values = [replicate(seed) for seed in seeds(row)]
        mean = sum(values) / REPLICATIONS
        variance = sum((value - mean) ** 2 for value in values) / (REPLICATIONS - 1)
        half_width = T_999 * (variance / REPLICATIONS) ** 0.5
        assert half_width <= 0.02 * expected, f"{row}: too short a run, {mean:g} ± {half_width:g}"
        assert abs(mean - expected) <= half_width, f"{row}: {expected:g} expected, {mean:g} ± {half_width:g} found"

    return check
