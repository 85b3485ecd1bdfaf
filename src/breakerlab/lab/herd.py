"""A thundering herd: many clients fail at the same moment, and come back as their backoff lets them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.policy.backoff import JITTERS
from breakerlab.replay import App, Bursts, Constant, Fault, Run, Scenario, Service, replay

PATIENCE: Final = 3600.0  # s; callers and app wait for as long as the policy does
NO_LIMIT: Final = 10**6  # workers


def herd(
    backoff: Backoff,
    *,
    jitters: Sequence[str] = tuple(JITTERS),
    clients: int = 1000,
    outage: float = 30.0,
    attempts: int = 5,
    seed: int = 0,
) -> Mapping[str, Run]:
    """One run for each of `jitters`: `clients` ask at second 0, and are refused at once until second `outage`.

    backoff: base, factor and cap; its jitter is replaced. Service and app are no limit: what is seen is the backoff's
    doing alone. attempts: per client, the first included.
    """
    scenario = Scenario(
        Bursts(size=clients, every=PATIENCE),
        Service(slots=NO_LIMIT, queue_limit=None, time=Constant(0.001)),
        App(workers=NO_LIMIT, pool_timeout=PATIENCE, caller_timeout=PATIENCE, health_interval=PATIENCE),
        (Fault(0.0, outage, refuse=1.0),),
        duration=outage,
        name="a common failure",
    )
    return {jitter: replay(scenario, _policy(replace(backoff, jitter=jitter), attempts), seed) for jitter in jitters}


def _policy(backoff: Backoff, attempts: int) -> Policy:
    return Policy(retry=Retry(attempts=attempts, total_time=None, final_reserve=0.0, backoff=backoff))
