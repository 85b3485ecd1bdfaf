"""A run over time: what a log's timeline shows, and what only the simulator sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from breakerlab.replay.frames import instance_names
from breakerlab.replay.kinds import HEALTH, LLM, OK, POOL, RESTART
from breakerlab.replay.pool import servers
from breakerlab.replay.tables import World, first_of
from breakerlab.trace import Trace
from breakerlab.trace.bins import Bins

Array = np.ndarray[Any, np.dtype[Any]]


def run_timeline(trace: Trace, w: World, chain: Sequence[str], bin: float) -> pd.DataFrame:
    """The columns that `Run.timeline` describes."""
    frame = trace.timeline(bin)
    left = float(frame.index[0]) if len(frame) else 0.0
    bins = Bins(left, bin, len(frame))
    columns = _calls(bins, w) | _events(bins, w) | _served(bins, w, chain)
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)


def _calls(bins: Bins, w: World) -> dict[str, Array]:
    clock, rows, samples = first_of(w.clock), w.rows, w.samples
    n = clock.rows
    throttled = (rows.service[:n] == LLM) & (rows.status[:n] == 429)
    seen = bins.index(samples.time[: clock.samples])
    return {
        "status_429": bins.rates(bins.index((rows.time[:n] + rows.latency[:n])[throttled])),
        "in_service": bins.means(seen, samples.in_service[: clock.samples]),
        "queued": bins.means(seen, samples.queued[: clock.samples]),
    }


def _events(bins: Bins, w: World) -> dict[str, Array]:
    n = w.clock["events"][0]
    time, kind, value, instance = (
        column[:n] for column in (w.events.time, w.events.kind, w.events.value, w.events.instance)
    )
    place, health = bins.index(time), kind == HEALTH
    columns = {
        "health": bins.means(place[health], value[health]),
        "restarts": bins.counts(place[(kind == RESTART) & (value == 1)]),
    }
    names = instance_names(w)
    for i, name in enumerate(names if len(names) > 1 else ()):
        mine = (kind == POOL) & (instance == i)
        columns[f"pool {name}"] = bins.means(place[mine], value[mine])
    return columns


def _served(bins: Bins, w: World, chain: Sequence[str]) -> dict[str, Array]:
    arrived, rows = first_of(w.clock).arrived, w.rows
    row, server = w.requests.row[:arrived], w.requests.server[:arrived]
    columns = {}
    for code, name in enumerate(servers(chain)[1:], start=1):
        served = row[(server == code) & (rows.outcome[row] == OK)]
        columns[f"served_by_{name}"] = bins.rates(bins.index(rows.time[served] + rows.latency[served]))
    return columns
