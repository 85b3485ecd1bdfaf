"""Does the overload end when its cause does? A map over load and length of the outage.

The experiment is Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021: a short outage pushes a
service over an edge behind which its callers' retries keep it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from breakerlab.policy import Policy, parameter
from breakerlab.replay.app import App
from breakerlab.replay.errors import ReplayError
from breakerlab.replay.replicates import Progress, seed_list, side_by_side
from breakerlab.replay.run import replay
from breakerlab.replay.scenario import Scenario
from breakerlab.replay.server import Fault, Service
from breakerlab.replay.workload import Poisson

WINDOW = 30.0  # s, over which the goodput at the end is counted
PATIENCE = 3600.0  # s; callers here wait for as long as the policy does

Cell = tuple[float, float, int]


def recovery_map(
    service: Service,
    policy: Policy | Sequence[Policy],
    loads: Iterable[float],
    outages: Iterable[float],
    *,
    after: float = 300.0,
    before: float = 30.0,
    share: float | None = None,
    seeds: int | Sequence[int] = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Which share of the offered load is answered `after` seconds after an outage, by its length and the load.

    Each cell is one replay for each seed: Poisson callers come to `service` through an app that is no limit, at second
    `before` the service loses all its slots, gets them back at the outage's end, and the callers go on. Counted are the
    answers per request over the last 30 s (over `after`, if that is shorter), averaged over the seeds: near 1 it has
    recovered, near 0 it never will. It can pass 1 while a backlog is worked off.

    loads: requests/s, above 0, the columns `load`. outages: s, at least 0 (0 is no outage), the index `outage`. after,
    before: s, above 0. share: None for the shares themselves; a number from 0 to 1 for a map of True where at least
    that share is answered. seeds: how many (0, 1, ...), or which; all cells have the same. progress: called as
    progress(done, all) after every replay. Requests ask for 0 tokens.

    Raises ValueError naming what cannot be, and ReplayError for a run that was stopped at a limit.
    """
    columns = [parameter.real("loads", load) for load in loads]
    index = [parameter.real("outages", outage, or_equal=True) for outage in outages]
    parameter.real("after", after)
    parameter.real("before", before)
    if share is not None:
        parameter.share("share", share)
    if not columns or not index:
        raise ValueError("loads and outages must each have at least one value")
    listed = seed_list(seeds, least=1)

    def play(cell: Cell) -> float:
        return _answered_share(service, policy, cell, before, after)

    cells = [(outage, load, seed) for outage in index for load in columns for seed in listed]
    played = np.reshape(side_by_side(play, cells, progress), (len(index), len(columns), len(listed)))
    shares = pd.DataFrame(
        played.mean(axis=2), pd.Index(index, name="outage", dtype=float), pd.Index(columns, name="load", dtype=float)
    )
    return shares if share is None else shares >= share


def _answered_share(service: Service, policy: Any, cell: Cell, before: float, after: float) -> float:
    outage, load, seed = cell
    end = before + outage + after
    scenario = one_outage(service, load, outage, before=before, duration=end)
    run = replay(scenario, policy, seed)
    if run.cut_off:
        raise ReplayError(f"load {load:g}/s, outage {outage:g} s: {run.cut_off}")
    requests = run.requests
    began, latency = requests["time"].to_numpy(), requests["latency"].to_numpy()
    ok = (requests["outcome"] == "ok").to_numpy()
    window = min(WINDOW, after)
    offered = np.count_nonzero((began >= end - window) & (began < end))
    answered = np.count_nonzero(ok & (began + latency >= end - window) & (began + latency < end))
    return answered / offered if offered else float("nan")


def one_outage(service: Service, load: float, outage: float, *, before: float, duration: float) -> Scenario:
    """The scenario of a cell of the map: `load` Poisson callers/s for `duration` seconds, through an app that is no
    limit, to a `service` that has no slots for `outage` seconds from second `before` on."""
    return Scenario(
        Poisson(load),
        service,
        App(
            workers=10**9,
            pool_timeout=PATIENCE,
            caller_timeout=PATIENCE,
            health_interval=10.0 * duration,  # never
        ),
        (Fault(before, before + outage, capacity=0.0),) if outage else (),
        duration=duration,
        name=f"{load:g}/s, {outage:g} s without service",
    )
