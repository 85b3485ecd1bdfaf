"""A thundering herd: many clients fail at the same moment, and come back as their backoff lets them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from breakerlab.lab.charts.delays import AFTER_DRAW, delays, share_at_cap
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


def at_the_cap(backoff: Backoff, *, clients: int = 1000, attempt: int = 12, bin: float = 0.1) -> pd.DataFrame:
    """How many of `clients` that fail together on their `attempt` come back together, for each jitter.

    Columns: the share of draws that are exactly the cap, the clients in the busiest `bin` (s), and the longest wait.
    backoff: base, factor and cap; its jitter is replaced. The last row is full jitter that is capped after the draw.
    """
    rows = {name: delays(backoff, name, attempt) for name in (*JITTERS, AFTER_DRAW)}
    return pd.DataFrame(
        {
            "exactly at the cap": [f"{share_at_cap(waits, backoff.cap):.0%}" for waits in rows.values()],
            f"back in the same {bin:g} s": [f"{_busiest(waits[:clients, -1], bin):,}" for waits in rows.values()],
            "longest wait": [f"{waits.max():.1f} s" for waits in rows.values()],
        },
        index=list(rows),
    )


def _busiest(waits: np.ndarray[Any, Any], bin: float) -> int:
    return int(np.bincount(np.floor(waits / bin + 1e-9).astype(np.int64)).max())
