"""A trace in a few numbers: what was asked, what reached a caller, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from breakerlab.trace import Trace


def summary(trace: Trace) -> dict[str, float]:
    """What happened in `trace`, a log or a run, counted from its tables.

    requests: logical requests that need the service. answered: those whose caller got an answer while still waiting.
    attempts: attempts sent to the service. amplification: attempts per request. status_503: attempts it refused.
    rejected: attempts refused locally, by a breaker, budget, throttle or full pool, and never sent. other_requests,
    other_failed: on the endpoints that never call the service. pool_peak: most workers in use at a sample.
    failed_probes and restarts of the app. lost: attempts that the app had in flight when it was killed. median_failure:
    seconds until a caller knew of a failure, the median; NaN if nobody failed.
    """
    attempts, events, timeline = trace.attempts, trace.events, trace.timeline(1.0)
    asked = float(timeline["offered"].sum())
    sent = float(timeline["attempts"].sum())
    app = attempts[attempts["service"] == "app"]
    failures = app[app["outcome"] != "ok"]
    return {
        "requests": asked,
        "answered": float(timeline["goodput"].sum()),
        "attempts": sent,
        "amplification": sent / asked if asked else float("nan"),
        "status_503": float(timeline["status_503"].sum()),
        "rejected": float(timeline["rejected"].sum()),
        "other_requests": float(timeline["other_offered"].sum()),
        "other_failed": float(timeline["other_failed"].sum()),
        "pool_peak": float(timeline["pool"].max()),
        "failed_probes": float(timeline["health_failed"].sum()),
        "restarts": _count(events, "restart", 1),
        "lost": float((attempts["outcome"] == "lost").sum()),
        "median_failure": float(failures["latency"].median()),
    }


def _count(events: pd.DataFrame, kind: str, value: float) -> float:
    return float(((events["kind"] == kind) & (events["value"] == value)).sum())
