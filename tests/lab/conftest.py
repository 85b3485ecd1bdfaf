"""A small incident that melts down within a minute, and what two policies make of it."""

import numpy as np
import pytest

from breakerlab.policy import Policy
from breakerlab.replay import App, Fault, OtherEndpoint, Run, Scenario, Workload, replay


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    draws = np.random.default_rng(7)
    time = np.sort(draws.uniform(0.0, 60.0, 1200))
    endpoint = (draws.uniform(size=1200) < 0.5).astype(np.int64)
    tokens = np.where(endpoint == 0, 60.0, 0.0)
    workload = Workload(time, endpoint, tokens, np.arange(1200), ("POST /answer", "GET /search"))
    app = App(other={"GET /search": OtherEndpoint()})
    return Scenario(workload, app=app, faults=(Fault(10.0, 40.0, 0.125),), duration=60.0, name="small")


@pytest.fixture(scope="session")
def naive(scenario: Scenario) -> Run:
    return replay(scenario, Policy.naive())


@pytest.fixture(scope="session")
def guarded(scenario: Scenario) -> Run:
    return replay(scenario, Policy.recommended())
