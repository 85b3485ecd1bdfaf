"""Small worlds to replay in, and the yardstick of the reference checks."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from breakerlab.replay import App, OtherEndpoint, Workload

REPLICATIONS = 20
T_999 = 3.883  # Student's t for 99.9 %, 19 degrees of freedom
ANSWER, SEARCH = 0, 1
Replicate = Callable[[np.random.Generator], Sequence[float]]


def make_arrivals(time: Any, tokens: Any = 0.0, endpoint: Any = ANSWER) -> Workload:
    """Requests at these times; endpoint 0 is "POST /answer", which calls the service, and 1 is "GET /search"."""
    n = len(time)
    return Workload(
        time=np.asarray(time, float),
        endpoint=np.broadcast_to(endpoint, n),
        tokens=np.broadcast_to(tokens, n),
        request=np.arange(n),
        endpoints=("POST /answer", "GET /search"),
    )


def make_roomy_app(**fields: Any) -> App:
    """An app that is no limit: a worker for everybody, patient callers, no restart."""
    unlimited = {"workers": 10**9, "pool_timeout": 1e9, "caller_timeout": 1e9, "health_interval": 1e6}
    other = {"GET /search": OtherEndpoint(seconds=0.03, caller_timeout=2.0)}
    return App(**{**unlimited, "other": other, **fields})


@pytest.fixture
def arrivals() -> Callable[..., Workload]:
    return make_arrivals


@pytest.fixture
def roomy_app() -> Callable[..., App]:
    return make_roomy_app


@pytest.fixture
def rows() -> Callable[..., pd.DataFrame]:
    """The attempts on one service, in order of request and attempt."""

    def of(run: Any, service: str) -> pd.DataFrame:
        attempts = run.trace.attempts
        return attempts[attempts["service"] == service].sort_values(["request", "attempt"], ignore_index=True)

    return of


@pytest.fixture
def reproduces() -> Callable[..., None]:
    """Assert that the means over 20 replications are `expected`: each inside its 99.9 % interval, narrow enough.

    A replication returns as many numbers as there are names. Narrow is 2 % of the expected value either way, and 0.01
    for probabilities under 0.2, which are named P(...).
    """

    def check(row: str, expected: dict[str, float], replicate: Replicate) -> None:
        seeds = [[*hashlib.sha256(f"{row} {i}".encode()).digest()] for i in range(REPLICATIONS)]
        values = np.array([replicate(np.random.default_rng(seed)) for seed in seeds])
        half_widths = T_999 * values.std(axis=0, ddof=1) / np.sqrt(REPLICATIONS)
        for name, truth, mean, half in zip(expected, expected.values(), values.mean(axis=0), half_widths, strict=True):
            enough = 0.01 if name.startswith("P(") and truth < 0.2 else 0.02 * truth
            assert half <= enough, f"{row} {name}: too short a run, {mean:g} ± {half:g}"
            assert abs(mean - truth) <= half, f"{row} {name}: {truth:g} expected, {mean:g} ± {half:g} found"

    return check
