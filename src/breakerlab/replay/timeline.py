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

Array = np.ndarray[Any, np.dtype[Any]]
ROUNDING = 1e-9  # of a bin, as in a trace's timeline


def run_timeline(trace: Trace, w: World, chain: Sequence[str], bin: float) -> pd.DataFrame:
    """The columns that `Run.timeline` describes."""
    frame = trace.timeline(bin)
    bins = _Bins(frame.index.to_numpy(), bin)
    clock = first_of(w.clock)
    rows = w.rows
    n = clock.rows
    throttled = (rows.service[:n] == LLM) & (rows.status[:n] == 429)
    frame["status_429"] = bins.counts((rows.time[:n] + rows.latency[:n])[throttled]) / bin
    samples = w.samples
    for name, values in (("in_service", samples.in_service), ("queued", samples.queued)):
        frame[name] = bins.means(samples.time[: clock.samples], values[: clock.samples])
    _add_events(frame, bins, w)
    row = w.requests.row[: clock.arrived]
    server = w.requests.server[: clock.arrived]
    for code, name in enumerate(servers(chain)[1:], start=1):
        served = row[(server == code) & (rows.outcome[row] == OK)]
        frame[f"served_by_{name}"] = bins.counts(rows.time[served] + rows.latency[served]) / bin
    return frame


def _add_events(frame: pd.DataFrame, bins: _Bins, w: World) -> None:
    n = w.clock["events"][0]
    time, kind, value, instance = (
        column[:n] for column in (w.events.time, w.events.kind, w.events.value, w.events.instance)
    )
    frame["health"] = bins.means(time[kind == HEALTH], value[kind == HEALTH])
    frame["restarts"] = bins.counts(time[(kind == RESTART) & (value == 1)])
    names = instance_names(w)
    if len(names) > 1:
        for i, name in enumerate(names):
            mine = (kind == POOL) & (instance == i)
            frame[f"pool {name}"] = bins.means(time[mine], value[mine])


class _Bins:
    """The bins of a trace's timeline."""

    def __init__(self, edges: Array, width: float) -> None:
        self._left = float(edges[0]) if len(edges) else 0.0
        self._width = width
        self._count = len(edges)

    def _index(self, time: Array) -> Array:
        places = np.floor((time - self._left) / self._width + ROUNDING).astype(np.int64)
        return np.minimum(places, self._count - 1)

    def counts(self, time: Array) -> Array:
        return np.bincount(self._index(time), minlength=self._count).astype(np.float64)

    def means(self, time: Array, values: Array) -> Array:
        place = self._index(time)
        n = np.bincount(place, minlength=self._count)
        total = np.bincount(place, weights=values, minlength=self._count)
        mean: Array = np.divide(total, n, out=np.full(self._count, np.nan), where=n > 0)
        return mean
