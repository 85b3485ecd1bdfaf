"""Three situations in which another tool serves better than a breaker: your own service, metrics, a managed queue."""

from __future__ import annotations

from typing import Final

from breakerlab.replay import App, Bursts, Fault, Lognormal, OtherEndpoint, Poisson, Scenario, Service

NEVER: Final = 3600.0  # s; no health check comes in between


def batch_job(*, slots: int = 16, workers: int = 1000) -> Scenario:
    """Your batch job and your service: 20 requests/s, and 200 more within 3 s, every 20 s; an answer takes 0.4 s.

    slots: of the service, which has as many places in its queue as it begins with, 16. workers: how many requests the
    job's side has under way at a time; the others wait for a worker, up to 8 s, as their callers do.
    """
    return Scenario(
        [Poisson(20.0), Bursts(size=200, every=20.0, within=3.0, start=10.0)],
        Service(slots=slots, queue_limit=16, time=Lognormal(0.4, 0.5)),
        App(workers=workers, pool_timeout=8.0, caller_timeout=8.0, health_interval=NEVER),
        duration=120.0,
        name="a batch job and its service",
    )


def metrics_collector() -> Scenario:
    """An app with 48 workers sends 20 metrics/s and answers 20 searches/s; from 30 to 60 s the collector hangs."""
    return Scenario(
        [Poisson(20.0, endpoint="POST /metrics"), Poisson(20.0, endpoint="GET /search")],
        Service(slots=1000, queue_limit=None, time=Lognormal(0.02, 0.5)),
        App(workers=48, other={"GET /search": OtherEndpoint()}),
        (Fault(30.0, 60.0, hang=1.0),),
        duration=120.0,
        name="metrics beside searches",
    )


def managed_queue() -> Scenario:
    """30 jobs/s for a service that queues whatever comes; from 30 to 50 s a quarter of its 20 slots is there.

    A job may take 60 s.
    """
    return Scenario(
        Poisson(30.0),
        Service(slots=20, queue_limit=None, time=Lognormal(0.4, 0.5)),
        App(workers=10_000, pool_timeout=60.0, caller_timeout=60.0, health_interval=NEVER),
        (Fault(30.0, 50.0, capacity=0.25),),
        duration=120.0,
        name="jobs for a managed queue",
    )
