"""Settings for every test."""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import settings

# No timing asserts anywhere: a slow machine must not turn a property red. One seed, so that two runs test the same.
settings.register_profile("breakerlab", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("breakerlab")

REPLICATIONS = 20
T_999 = 3.883  # Student's t for 99.9 %, 19 degrees of freedom


@pytest.fixture(autouse=True)
def no_tuning_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's subprocesses start from the environment that `make test` gives, not from what a person has exported."""
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)


@pytest.fixture
def yardstick() -> Callable[..., None]:
    """Assert that the means over 20 replications are `expected`: each inside its 99.9 % interval, narrow enough.

    A replication is given 32 bytes that follow from the row's name and its own number, and returns as many numbers as
    there are names. Narrow is 2 % of the expected value either way, and 0.01 for probabilities under 0.2, which are
    named P(...).
    """

    def check(row: str, expected: dict[str, float], replicate: Callable[[bytes], Sequence[float]]) -> None:
        seeds = [hashlib.sha256(f"{row} {i}".encode()).digest() for i in range(REPLICATIONS)]
        values = np.array([replicate(seed) for seed in seeds])
        half_widths = T_999 * values.std(axis=0, ddof=1) / np.sqrt(REPLICATIONS)
        for name, truth, mean, half in zip(expected, expected.values(), values.mean(axis=0), half_widths, strict=True):
            enough = 0.01 if name.startswith("P(") and truth < 0.2 else 0.02 * truth
            assert half <= enough, f"{row} {name}: too short a run, {mean:g} ± {half:g}"
            assert abs(mean - truth) <= half, f"{row} {name}: {truth:g} expected, {mean:g} ± {half:g} found"

    return check
