"""Small worlds to replay in."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from breakerlab.replay import App, OtherEndpoint, Workload

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
def reproduces(yardstick: Callable[..., None]) -> Callable[..., None]:
    """The yardstick of the reference checks, for replications that draw from a numpy generator."""

    def check(row: str, expected: dict[str, float], replicate: Replicate) -> None:
        yardstick(row, expected, lambda seed: replicate(np.random.default_rng([*seed])))

    return check
