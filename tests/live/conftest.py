"""Short incidents, recorded once: real processes, a few seconds each."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace

import httpx
import pytest

from breakerlab.live import AppSetup, FaultWindow, Incident, Recording, ServiceSetup, Traffic, record
from breakerlab.live.axis import Axis
from breakerlab.live.process import Child, Order, claim_port
from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.trace import Trace, read_trace

STUBBORN = Policy(
    timeout=10.0,
    retry=Retry(
        attempts=12,
        total_time=None,
        final_reserve=0.0,
        backoff=Backoff(0.25, 1.0, 0.25, "none"),
        retry_after_limit=None,
    ),
)
CALM = Incident(
    name="short_calm",
    duration=3.0,
    seed=7,
    service=ServiceSetup(slots=4, queue_limit=30, first_token=0.03, per_token=0.001),
    app=AppSetup(workers=12, search_seconds=0.01, health_interval=1.0, health_timeout=0.9),
    traffic=Traffic(answer_rate=14.0, search_rate=14.0, tokens_mean=60.0, tokens_sigma=0.5),
    policy=STUBBORN,
)
MELTDOWN = replace(
    CALM,
    name="short_meltdown",
    duration=8.0,
    service=replace(CALM.service, queue_limit=2),
    app=AppSetup(
        workers=12,
        pool_timeout=1.5,
        caller_timeout=3.0,
        search_seconds=0.01,
        search_caller_timeout=0.5,
        health_interval=0.5,
        health_timeout=0.25,
        health_failures=3,
        restart_seconds=1.5,
    ),
    faults=(FaultWindow(1.5, 8.0, 0.25),),
)


@dataclass(frozen=True)
class Recorded:
    incident: Incident
    recording: Recording
    trace: Trace

    def attempts(self, service: str):
        return self.trace.attempts[self.trace.attempts["service"] == service]

    def events(self, kind: str):
        return self.trace.events[self.trace.events["kind"] == kind]


@contextlib.asynccontextmanager
async def _running(role: str, incident: Incident, folder, provider_port: int = 0):
    """A process of a recording on its own; yields a client of its port, and the port."""
    with claim_port() as claim:
        port = claim.getsockname()[1]
        child = await Child.start(role, folder)
        try:
            await child.hear("loaded")
            child.give(Order(incident, Axis.beginning_in(0.0), provider_port or port, port, str(folder)))
            await child.hear("open")
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=None, trust_env=False) as client:
                yield client, port
        finally:
            await child.end()


async def _counts(client, until) -> dict[str, int]:
    """What the process counts, as soon as ``until`` holds for it."""
    async with asyncio.timeout(20.0):
        while not until(seen := (await client.get("/stats")).json()):
            await asyncio.sleep(0.02)
    return seen


def recorded(incident: Incident, folder) -> Recorded:
    recording = record(incident, folder, progress=False)
    return Recorded(incident, recording, read_trace(recording.trace_path))


@pytest.fixture
def running():
    return _running


@pytest.fixture
def counts():
    return _counts


@pytest.fixture(scope="session")
def calm(tmp_path_factory) -> Recorded:
    return recorded(CALM, tmp_path_factory.mktemp("calm"))


@pytest.fixture(scope="session")
def meltdown(tmp_path_factory) -> Recorded:
    return recorded(MELTDOWN, tmp_path_factory.mktemp("meltdown"))
