"""What a run leaves behind, as the frames that a trace has; the engine's columns are taken over, not copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from breakerlab.replay.conservation import calls_under_way
from breakerlab.replay.kinds import APP, LOST, UNKNOWN
from breakerlab.replay.pool import servers
from breakerlab.replay.tables import World
from breakerlab.replay.workload import Workload
from breakerlab.trace.schema import EVENT_KINDS, OUTCOMES

Array = np.ndarray[Any, np.dtype[Any]]
SERVICES = ("app", "llm")


def instance_names(w: World) -> tuple[str, ...]:
    """What the trace calls the app's instances."""
    n = w.app["instances"][0]
    return ("app",) if n == 1 else tuple(f"app-{i + 1}" for i in range(n))


def attempts_frame(w: World, arrivals: Workload, endpoints: Sequence[str]) -> pd.DataFrame:
    """The attempts of the callers on the app and of the app on the service, in order of time."""
    rows = w.rows
    n = w.clock["rows"][0]
    request, service, instance = rows.request[:n], rows.service[:n], rows.instance[:n]
    columns: dict[str, Any] = {
        "time": rows.time[:n],
        "latency": rows.latency[:n],
        "status": _status(rows.status[:n]),
        "outcome": _categories(np.where(rows.outcome[:n] == UNKNOWN, np.int8(LOST), rows.outcome[:n]), OUTCOMES),
        "service": _categories(service, SERVICES),
        "request": request.astype(np.int64) if w.app["closed"][0] else arrivals.request[request],
        "attempt": rows.number[:n],
        "client": _clients(w, arrivals),
        "endpoint": _categories(_endpoint_codes(w, arrivals, len(endpoints)), endpoints),
        "retry_after": _retry_after(w),
    }
    if w.app["instances"][0] > 1:
        columns["instance"] = _categories(instance, instance_names(w))
    return pd.DataFrame(columns, copy=False)


def _categories(codes: Array, words: Sequence[str]) -> pd.Categorical:
    small = np.int8 if len(words) < 128 else np.int16
    dtype = pd.CategoricalDtype(pd.Index(list(words), dtype="str"))
    return pd.Categorical.from_codes(codes.astype(small, copy=False), dtype=dtype, validate=False)


def _status(status: Array) -> Any:
    return pd.arrays.IntegerArray(status, status == 0)


def _clients(w: World, arrivals: Workload) -> pd.Categorical:
    """The callers of the app; of an attempt on the service, the instance that made it."""
    rows, n = w.rows, w.clock["rows"][0]
    names = instance_names(w)
    words = list(dict.fromkeys((*arrivals.clients, *names)))
    small = np.int8 if len(words) < 128 else np.int16
    by_instance = np.array([words.index(name) for name in names], small)
    codes = by_instance[rows.instance[:n]]
    callers = rows.service[:n] == APP
    if w.app["closed"][0] or len(arrivals.clients) == 1:
        codes[callers] = 0
    else:
        codes[callers] = arrivals.client.astype(small)[rows.request[:n][callers]]
    return _categories(codes, words)


def _endpoint_codes(w: World, arrivals: Workload, count: int) -> Array:
    request = w.rows.request[: w.clock["rows"][0]]
    if w.app["closed"][0] or count == 1:
        return np.zeros(len(request), np.int8)
    return arrivals.endpoint.astype(np.int8 if count < 128 else np.int16)[request]  # type: ignore[no-any-return]


def _retry_after(w: World) -> Array:
    n, asked = w.clock["rows"][0], w.clock["asked"][0]
    seconds = np.full(n, np.nan)
    seconds[w.rows.status[:n] == 503] = w.service["retry_after"][0]
    seconds[w.rows.service[:n] == APP] = np.nan
    seconds[w.asked.row[:asked]] = w.asked.seconds[:asked]
    return seconds


def events_frame(w: World) -> pd.DataFrame:
    """Pool samples, health probes, restarts and breakers, in order of time."""
    n = w.clock["events"][0]
    return pd.DataFrame(
        {
            "time": w.events.time[:n],
            "instance": _categories(w.events.instance[:n], instance_names(w)),
            "kind": _categories(w.events.kind[:n], EVENT_KINDS),
            "value": w.events.value[:n].astype(np.float64),
        },
        copy=False,
    )


def _attempts_made(w: World) -> Array:
    """Attempts of each request on the service; of one under way, those so far."""
    made = w.requests.attempts[: w.clock["arrived"][0]]
    under_way = calls_under_way(w)
    if len(under_way):
        made = made.copy()
        made[under_way["request"]] = under_way["attempts"]
    return made  # type: ignore[no-any-return]


def requests_frame(w: World, arrivals: Workload, endpoints: Sequence[str], chain: Sequence[str]) -> pd.DataFrame:
    """One row per logical request, in order of time; see `Run.requests`."""
    n = w.clock["arrived"][0]
    row = w.requests.row[:n]
    outcome = w.rows.outcome[row]
    time, latency = w.rows.time[row], w.rows.latency[row]
    closed = w.app["closed"][0]
    codes = np.zeros(n, np.int8) if closed or len(endpoints) == 1 else arrivals.endpoint
    clients = np.zeros(n, np.int8) if closed or len(arrivals.clients) == 1 else arrivals.client
    return pd.DataFrame(
        {
            "request": np.arange(n) if closed else arrivals.request[:n],
            "time": time,
            "latency": latency,
            "attempts": _attempts_made(w),
            "outcome": _categories(np.where(outcome == UNKNOWN, np.int8(LOST), outcome), OUTCOMES),
            "status": _status(w.rows.status[row]),
            "served_by": _categories(w.requests.server[:n], servers(chain)),
            "client": _categories(clients[:n], arrivals.clients),
            "endpoint": _categories(codes[:n], endpoints),
        },
        copy=False,
    )
