"""Settings for every test."""

import pytest
from hypothesis import settings

# No timing asserts anywhere: a slow machine must not turn a property red. One seed, so that two runs test the same.
settings.register_profile("breakerlab", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("breakerlab")


@pytest.fixture(autouse=True)
def no_tuning_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's subprocesses start from the environment that `make test` gives, not from what a person has exported."""
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
