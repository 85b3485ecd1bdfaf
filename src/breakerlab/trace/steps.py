"""The eight steps of a meltdown, found in a trace: which of them can be seen, and from which second on.

Each is a plain question to the recorded attempts and events. Nothing is estimated; a question that the trace cannot
answer counts as not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from breakerlab.trace.facts import recorded_parameter
from breakerlab.trace.table import Trace

WINDOW = 5.0  # s over which load is compared
EXCESS = 1.5  # attempts for each request that count as load above the offered load


@dataclass(frozen=True)
class Step:
    """One step: its number (1 to 8), its name, the second at which it is first seen (None: never), and how often."""

    number: int
    name: str
    seen_at: float | None
    evidence: str

    @property
    def seen(self) -> bool:
        return self.seen_at is not None


def eight_steps(trace: Trace) -> tuple[Step, ...]:
    """The eight steps in order, for a trace with the services "app" and "llm".

    How many workers there are is read from the trace's parameters; without them, "pool full" counts as not seen.
    """
    attempts, events = trace.attempts, trace.events
    llm = _by_time(attempts[attempts["service"] == "llm"])
    app = _by_time(attempts[attempts["service"] == "app"])
    found = (
        ("the provider answers 503", _unavailable(llm)),
        ("the pipeline retries", _retries(llm)),
        ("retries meet more 503s than first attempts do", _more_unavailable(llm)),
        ("load above the offered load", _excess_load(llm, app)),
        ("pool full", _pool_full(trace, events)),
        ("other endpoints time out", _others_time_out(llm, app)),
        ("health check fails", _health_fails(events)),
        ("restart loses requests in flight", _restart_loses(llm, events)),
    )
    return tuple(Step(number, name, *answer) for number, (name, answer) in enumerate(found, start=1))


_Answer = tuple[float | None, str]


def _unavailable(llm: pd.DataFrame) -> _Answer:
    ends = _ends(llm[llm["status"] == 503])
    return _first(ends), f"{len(ends)} answers"


def _retries(llm: pd.DataFrame) -> _Answer:
    retries = llm.loc[llm["attempt"] > 1, "time"]
    return _first(retries), f"{len(retries)} retries of {llm['request'].nunique()} requests"


def _more_unavailable(llm: pd.DataFrame) -> _Answer:
    """The first second in which retries get more 503s than first attempts."""
    unavailable = llm[llm["status"] == 503]
    retry = unavailable["attempt"] > 1
    to_retries = _per_second(_ends(unavailable[retry]))
    to_firsts = _per_second(_ends(unavailable[~retry])).reindex(to_retries.index, fill_value=0)
    more = to_retries.index[to_retries > to_firsts].to_series()
    return _first(more), f"{int(retry.sum())} 503s to retries, {int((~retry).sum())} to first attempts"


def _excess_load(llm: pd.DataFrame, app: pd.DataFrame) -> _Answer:
    """The end of the first window in which more than ``EXCESS`` attempts are sent for each request offered."""
    offered = app.loc[_needs_llm(app, llm), "time"].to_numpy()
    attempts = llm.loc[llm["outcome"] != "rejected", "time"].to_numpy()  # what the breaker refused loads nobody
    ends = np.arange(WINDOW, max(attempts.max(initial=0.0), WINDOW) + 1.0)
    ratio = _within_window(attempts, ends) / np.maximum(_within_window(offered, ends), 1)
    above = pd.Series(ends[ratio > EXCESS])
    return _first(above), f"at most {ratio.max():.1f} attempts for each request, over {WINDOW:g} s"


def _pool_full(trace: Trace, events: pd.DataFrame) -> _Answer:
    workers = recorded_parameter(trace.source.facts, "app", "workers")
    pool = events[events["kind"] == "pool"]
    if not isinstance(workers, int | float) or pool.empty:
        return None, "cannot be told from this trace"
    full = pool.loc[pool["value"] >= workers, "time"]
    return _first(full), f"{len(full)} of {len(pool)} samples at {workers:g} workers"


def _others_time_out(llm: pd.DataFrame, app: pd.DataFrame) -> _Answer:
    others = app[~_needs_llm(app, llm)]
    ends = _ends(others[others["outcome"] == "timeout"])
    return _first(ends), f"{len(ends)} of {len(others)} requests"


def _health_fails(events: pd.DataFrame) -> _Answer:
    probes = events[events["kind"] == "health"]
    failed = probes.loc[probes["value"] == 0, "time"]
    return _first(failed), f"{len(failed)} of {len(probes)} probes"


def _restart_loses(llm: pd.DataFrame, events: pd.DataFrame) -> _Answer:
    """The first kill before which an attempt had begun that never ended."""
    kills = events.loc[(events["kind"] == "restart") & (events["value"] == 1), "time"]
    lost = llm.loc[llm["outcome"] == "lost", "time"]
    costly = kills[kills >= lost.min()] if len(lost) else kills[:0]
    return _first(costly), f"restarts: {len(kills)}, attempts lost: {len(lost)}"


def _needs_llm(app: pd.DataFrame, llm: pd.DataFrame) -> pd.Series:
    """Which rows of the app are of an endpoint that asks the LLM."""
    asking = app.loc[app["request"].isin(llm["request"]), "endpoint"].unique()
    return app["endpoint"].isin(asking)


def _by_time(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values("time", kind="stable")


def _ends(rows: pd.DataFrame) -> pd.Series:
    return (rows["time"] + rows["latency"]).dropna().sort_values()


def _per_second(times: pd.Series) -> pd.Series:
    return np.floor(times).value_counts().sort_index()


def _within_window(times: np.ndarray, ends: np.ndarray) -> np.ndarray:
    return np.searchsorted(times, ends) - np.searchsorted(times, ends - WINDOW)


def _first(times: pd.Series) -> float | None:
    return float(times.iloc[0]) if len(times) else None
