"""A run in a few numbers, counted from the engine's own columns: a slider must not wait for a table to be built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from breakerlab.replay.kinds import HEALTH, LLM, LOST, OK, POOL, REJECTED, RESTART, TIMEOUT, UNKNOWN
from breakerlab.replay.pool import servers
from breakerlab.replay.scenario import Scenario
from breakerlab.replay.tables import World, first_of
from breakerlab.replay.workload import Workload

Array = np.ndarray[Any, np.dtype[Any]]

RECOVERED = 0.9  # share of requests answered
WINDOW = 10  # s


def run_figures(scenario: Scenario, w: World, arrivals: Workload, chain: Sequence[str]) -> dict[str, float]:
    """The numbers that `Run.summary` describes."""
    clock = first_of(w.clock)
    outcome, status = w.rows.outcome[: clock.rows], w.rows.status[: clock.rows]
    llm = w.rows.service[: clock.rows] == LLM
    row = w.requests.row[: clock.arrived]
    uses_llm = _uses_llm(w, arrivals, clock.arrived)
    asked, others = row[uses_llm], row[~uses_llm]
    answered = outcome[asked] == OK
    span = max(scenario.duration, float(arrivals.time[-1]) if len(arrivals) else 0.0)
    sent = int(clock.sent)
    requests = len(asked)
    figures: dict[str, Any] = {
        "requests": requests,
        "answered": np.count_nonzero(answered),
        "attempts": sent,
        "amplification": _ratio(sent, requests),
        "goodput": np.count_nonzero(answered) / span,
        "success_rate": _ratio(np.count_nonzero(answered), requests),
        "status_503": np.count_nonzero(llm & (status == 503)),
        "status_429": np.count_nonzero(llm & (status == 429)),
        "timeouts": np.count_nonzero(llm & (outcome == TIMEOUT)),
        "rejected": np.count_nonzero(llm & (outcome == REJECTED)),
        "other_requests": len(others),
        "other_failed": np.count_nonzero((outcome[others] != OK) & (outcome[others] != UNKNOWN)),
        **_beside(w),
        "lost": np.count_nonzero(llm & (outcome == LOST)),
        "duplicates": _duplicates(scenario, w),
        "in_flight": np.count_nonzero(outcome[row] == UNKNOWN),
        **_seconds(w, row, asked, answered, outcome, uses_llm),
        "time_to_recover": _time_to_recover(scenario, w.rows.time[asked], answered, span),
    }
    by = np.bincount(w.requests.server[: clock.arrived], minlength=len(chain) + 2)
    figures |= {f"served_by_{name}": n for name, n in zip(servers(chain)[1:], by[1:], strict=False)}
    return {name: float(value) for name, value in figures.items()}


def _uses_llm(w: World, arrivals: Workload, n: int) -> Array:
    hold = w.endpoints["hold"]
    if w.app["closed"][0]:
        return np.full(n, hold[0] == 0.0)
    return (hold == 0.0)[arrivals.endpoint[:n]]  # type: ignore[no-any-return]


def _ratio(part: Any, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def _beside(w: World) -> dict[str, Any]:
    n = w.clock["events"][0]
    kind, value = w.events.kind[:n], w.events.value[:n]
    pool = kind == POOL
    return {
        "pool_peak": _pool_peak(w.events.time[:n][pool], value[pool]),
        "failed_probes": np.count_nonzero((kind == HEALTH) & (value == 0)),
        "restarts": np.count_nonzero((kind == RESTART) & (value == 1)),
    }


def _pool_peak(time: Array, in_use: Array) -> float:
    """The most workers in use at a sample, of all instances together."""
    if not len(time):
        return math.nan
    begins = np.flatnonzero(np.append(True, time[1:] != time[:-1]))
    return float(np.add.reduceat(in_use.astype(np.int64), begins).max())


def _duplicates(scenario: Scenario, w: World) -> int:
    if scenario.app.writes == "keyed":
        return 0
    again = w.requests.executed[: w.clock["arrived"][0]]
    return int(again.sum()) - int(np.count_nonzero(again))


def _seconds(w: World, row: Array, asked: Array, answered: Array, outcome: Array, uses_llm: Array) -> dict[str, float]:
    latency = w.rows.latency[row]
    failed = (outcome[row] != OK) & (outcome[row] != UNKNOWN)
    refused = w.requests.refused[: len(row)].astype(bool)
    known = dict(
        zip(
            ("latency_p50", "latency_p90", "latency_p99"),
            _quantiles(latency[uses_llm][answered], (0.5, 0.9, 0.99)),
            strict=True,
        )
    )
    known |= dict(zip(("median_failure", "failure_p90"), _quantiles(latency[failed], (0.5, 0.9)), strict=True))
    known["failure_p50"] = known["median_failure"]
    known["rejection_p50"] = _quantiles(latency[failed & refused], (0.5,))[0]
    return known


def _quantiles(values: Array, shares: Sequence[float]) -> list[float]:
    if not len(values):
        return [math.nan] * len(shares)
    return [float(value) for value in np.quantile(values, shares)]


def _time_to_recover(scenario: Scenario, time: Array, answered: Array, span: float) -> float:
    ends = [fault.end for fault in scenario.faults if fault.end < span]
    if not ends:
        return math.nan
    end = max(ends)
    after = time >= end
    bins = (time[after] - end).astype(np.int64)
    count = math.ceil(span - end)
    offered = np.bincount(bins, minlength=count)
    good = np.bincount(bins, weights=answered[after], minlength=count)
    window = np.ones(min(WINDOW, len(offered)))
    bad = np.convolve(good, window, "valid") < RECOVERED * np.convolve(offered, window, "valid")
    if not bad.any():
        return 0.0
    last = int(np.flatnonzero(bad)[-1])
    return math.inf if last == len(bad) - 1 else float(last + 1)
