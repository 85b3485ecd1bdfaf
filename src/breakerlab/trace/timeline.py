"""What happened when: rates, pool, health and breaker over time, in bins of one width."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any, Final

import numpy as np
import pandas as pd

from breakerlab.trace.bins import Bins
from breakerlab.trace.facts import recorded_parameter
from breakerlab.trace.schema import OUTCOMES

Array = np.ndarray[Any, np.dtype[Any]]

APP: Final = "app"
LLM: Final = "llm"


def timeline_frame(
    attempts: pd.DataFrame, events: pd.DataFrame, facts: Mapping[str, object], bin: float
) -> pd.DataFrame:
    """The columns that `Trace.timeline` describes; `facts` may name the endpoints that never use the LLM."""
    if not (isinstance(bin, Real) and math.isfinite(bin) and bin > 0):
        raise ValueError(f"bin is {bin!r}, expected a number of seconds above 0.")
    if attempts.empty and events.empty:
        return pd.DataFrame({name: np.empty(0) for name in COLUMNS}, index=_index(np.empty(0)))
    start = attempts["time"].to_numpy()
    latency = attempts["latency"].to_numpy()
    end = np.where(np.isnan(latency), start, start + latency)
    moments = np.concatenate((start, end, events["time"].to_numpy()))
    bins = Bins.over(float(moments.min()), float(moments.max()), float(bin))
    columns = _calls(bins, attempts, bins.index(start), bins.index(end), facts) | _beside(bins, events)
    return pd.DataFrame({name: columns[name] for name in COLUMNS}, index=_index(bins.edges[:-1]), copy=False)


def _index(edges: Array) -> pd.Index:
    return pd.Index(edges, dtype=np.float64, name="time")


def _calls(
    bins: Bins, attempts: pd.DataFrame, start: Array, end: Array, facts: Mapping[str, object]
) -> dict[str, Array]:
    outcome = attempts["outcome"].array.codes
    status = attempts["status"].array.to_numpy(dtype=np.int16, na_value=0)
    ok, timeout, rejected = (outcome == OUTCOMES.index(word) for word in ("ok", "timeout", "rejected"))
    first = attempts["attempt"].to_numpy() == 1
    app, llm = _sides(attempts)
    if app.any():
        other = app & _is_other(attempts, app, llm, facts)
        asked = app & ~other
    else:  # a log of one service: its own first attempts are what was asked for
        other, asked = app, llm
    return {
        "offered": bins.rates(start[asked & first]),
        "attempts": bins.rates(start[llm & ~rejected]),
        "status_503": bins.rates(end[llm & (status == 503)]),
        "timeouts": bins.rates(end[llm & timeout]),
        "rejected": bins.rates(start[llm & rejected]),
        "goodput": bins.rates(end[asked & ok]),
        "other_offered": bins.rates(start[other & first]),
        "other_timeouts": bins.rates(end[other & timeout]),
        "other_failed": bins.rates(end[other & ~ok]),
        "other_goodput": bins.rates(end[other & ok]),
    }


def _sides(attempts: pd.DataFrame) -> tuple[Array, Array]:
    """Which attempts call the app, and which the LLM: the service "llm", or every service but the app."""
    codes, names = attempts["service"].array.codes, list(attempts["service"].array.categories)
    app = codes == names.index(APP) if APP in names else np.zeros(len(codes), bool)
    llm = codes == names.index(LLM) if LLM in names else ~app
    return app, llm


def _is_other(attempts: pd.DataFrame, app: Array, llm: Array, facts: Mapping[str, object]) -> Array:
    """Which attempts are on endpoints that never use the LLM."""
    codes, names = attempts["endpoint"].array.codes, list(attempts["endpoint"].array.categories)
    told = _other_endpoints(facts)
    if told is not None:
        return np.isin(codes, [code for code, name in enumerate(names) if name in told])
    if not llm.any():
        return np.zeros(len(codes), bool)
    request = attempts["request"].to_numpy()
    backed = codes[app & np.isin(request, request[llm])]
    return ~np.isin(codes, np.unique(backed))


def _other_endpoints(facts: Mapping[str, object]) -> Collection[str] | None:
    """facts["parameters"]["app"]["other"], if somebody wrote it there."""
    value = recorded_parameter(facts, "app", "other")
    return value if isinstance(value, Mapping) else None


def _beside(bins: Bins, events: pd.DataFrame) -> dict[str, Array]:
    kind, kinds = events["kind"].array.codes, list(events["kind"].array.categories)
    time, value = events["time"].to_numpy(), events["value"].to_numpy()
    instance = events["instance"].array.codes
    pool, health, restart, breaker = (kind == kinds.index(word) for word in ("pool", "health", "restart", "breaker"))
    running = max(1, len(np.unique(instance[pool | restart])))
    reset = restart & np.isin(instance, instance[breaker])
    state = np.where(breaker, value, 0.0)
    changes = breaker | reset
    return {
        "pool": _pool(bins, instance[pool], bins.index(time[pool]), value[pool]),
        "health_failed": bins.counts(bins.index(time[health & (value == 0.0)])),
        "down": _down(bins, instance[restart], time[restart], value[restart]) / running,
        "breaker": _breaker(bins, instance[changes], bins.index(time[changes]), state[changes]),
    }


def _pool(bins: Bins, instance: Array, place: Array, value: Array) -> Array:
    """The maximum of each instance's samples in a bin, summed over instances."""
    result = np.full(bins.count, np.nan)
    if not len(value):
        return result
    order = np.lexsort((place, instance))
    instance, place, value = instance[order], place[order], value[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (instance[1:] != instance[:-1]) | (place[1:] != place[:-1])
    groups = np.flatnonzero(begins)
    highest, place = np.maximum.reduceat(value, groups), place[groups]
    sampled = np.unique(place)
    result[sampled] = np.bincount(place, weights=highest, minlength=bins.count)[sampled]
    return result


def _down(bins: Bins, instance: Array, time: Array, value: Array) -> Array:
    """Instances down, averaged over each bin; one that never comes back is down to the end."""
    if not len(time):
        return np.zeros(bins.count)
    order = np.argsort(instance, kind="stable")
    instance, time, killed = instance[order], time[order], value[order] != 0.0
    fresh = np.ones(len(order), bool)
    fresh[1:] = instance[1:] != instance[:-1]
    was_down = np.concatenate(([False], killed[:-1])) & ~fresh
    kills, returns = time[killed & ~was_down], time[~killed & was_down]
    knots = np.concatenate((kills, returns))
    steps = np.concatenate((np.ones(len(kills)), -np.ones(len(returns))))
    by_time = np.argsort(knots, kind="stable")
    knots, down = knots[by_time], np.cumsum(steps[by_time])
    if not len(knots):
        return np.zeros(bins.count)
    edges = bins.edges
    knots, down = np.append(knots, max(edges[-1], knots[-1])), np.append(down, 0.0)
    lost = np.concatenate(([0.0], np.cumsum(down[:-1] * np.diff(knots))))
    return np.asarray(np.diff(np.interp(edges, knots, lost)) / bins.width)


def _breaker(bins: Bins, instance: Array, place: Array, state: Array) -> Array:
    """The state at the end of each bin, of several breakers the highest; a breaker begins closed."""
    if not len(state):
        return np.full(bins.count, np.nan)
    highest = np.zeros(bins.count)
    for one in np.unique(instance):
        mine = instance == one
        known = np.full(bins.count, np.nan)
        known[place[mine]] = state[mine]
        latest = np.maximum.accumulate(np.where(np.isnan(known), -1, np.arange(bins.count)))
        highest = np.maximum(highest, np.where(latest < 0, 0.0, known[latest]))
    return highest


COLUMNS: Final = (
    "offered",
    "attempts",
    "status_503",
    "timeouts",
    "rejected",
    "other_offered",
    "other_timeouts",
    "other_failed",
    "pool",
    "health_failed",
    "down",
    "breaker",
    "goodput",
    "other_goodput",
)
