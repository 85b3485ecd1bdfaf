"""A trace in a few plain lines: what an engineer wants to know of it first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from breakerlab.trace import Source, Trace, TraceError, read_trace

DATA = Path(__file__).parents[2] / "data"


def of_times(time, failed=(), outcome="error", **changes):
    time = np.asarray(time, float)
    outcomes = np.where(np.isin(np.arange(len(time)), list(failed)), outcome, "ok")
    columns = {
        "time": time, "latency": np.full(len(time), 0.25), "outcome": list(outcomes), "service": "llm",
        "request": np.arange(len(time)), "attempt": np.ones(len(time), int),
    } | changes  # fmt: skip
    return Trace.from_columns(columns)


def test_the_whole_text():
    time = np.arange(100) * 0.1
    failed = np.isin(np.arange(100), [20, 21, 22, 30, 31, 32, 90])
    trace = Trace.from_columns(
        {
            "time": time,
            "latency": np.where(failed, np.nan, 0.25),
            "status": np.where(failed, 0, 200),
            "outcome": np.where(failed, "timeout", "ok").tolist(),
            "service": np.where(np.arange(100) % 4, "llm", "app").tolist(),
            "request": np.arange(100) // 2,
            "attempt": np.ones(100, int),
            "client": np.array(["a", "b", "c", "d"])[np.arange(100) % 4].tolist(),
            "endpoint": "POST /v1/chat",
        },
        {"time": [0.0, 1.0, 2.0], "kind": ["pool", "pool", "health"], "value": [1, 2, 0]},
        start=datetime(2026, 11, 24, 14, tzinfo=UTC),
        source=Source("/logs/a.log", "nginx", True, ("client", "time zone"), 100),
        skipped=[
            TraceError("/logs/a.log", 7, "latency", "-1", "seconds"),
            TraceError("/logs/a.log", 8, "latency", "-2", "seconds"),
            TraceError("/logs/a.log", 9, None, "a truncated line", "an nginx line", 5),
        ],
    )
    assert str(trace.describe()) == "\n".join(
        [
            "Trace of a.log (nginx): 100 attempts of 75 logical requests",
            "  span        0.0 to 9.9 s (9.9 s), 10.1 attempts/s; 2026-11-24 14:00:00 to 2026-11-24 14:00:09 UTC",
            "  services    2",
            "              llm 75: 70 ok, 5 failed (6.7%): timeout 5",
            "              app 25: 23 ok, 2 failed (8.0%): timeout 2",
            "  clients     a 25, b 25, c 25, 1 more",
            "  endpoints   POST /v1/chat 100",
            "  outcomes    93 ok, 7 failed (7.0%): timeout 7",
            "  status      200: 93, none: 7",
            "  latency     p50 0.25 s, p90 0.25 s, p99 0.25 s (of the 93 attempts that tell it)",
            "  bursts      1 of failures (10% or more in each 1 s, 5 or more in all)",
            "              from 2 s (2026-11-24 14:00:02 UTC) for 2 s: 6 of 20 failed, 30%",
            "  events      pool 2, health 1",
            "  cannot tell client, time zone",
            "  skipped     7 rows",
            "              5, first in line 9: found a truncated line, expected an nginx line",
            "              2, first in line 7: column latency: found -1, expected seconds",
        ]
    )


def test_repr_and_str_are_the_same_and_values_are_at_hand():
    described = of_times(np.arange(50) / 10, failed=range(10, 20)).describe()
    assert repr(described) == str(described)
    [burst] = described.bursts
    assert (burst.start, burst.length, burst.attempts, burst.failures, burst.share) == (1.0, 1.0, 10, 10, 1.0)
    assert described.services == {"llm": {"ok": 40, "error": 10}}
    assert described.outcomes == {"ok": 40, "error": 10}
    assert described.latency == {0.5: 0.25, 0.9: 0.25, 0.99: 0.25}
    assert described.requests == 50


def test_requests_are_unknown_if_retries_are():
    trace = Trace.from_columns(of_times([0.0]).attempts, source=Source(has_retries=False))
    assert trace.describe().requests is None
    assert str(trace.describe()).startswith("Trace: 1 attempt\n")


@pytest.mark.parametrize(("outcome", "bursts"), [("timeout", 1), ("client_error", 0), ("cancelled", 0), ("lost", 1)])
def test_what_the_caller_did_wrong_is_no_burst(outcome, bursts):
    described = of_times(np.arange(50) / 10, failed=range(10, 20), outcome=outcome).describe()
    assert len(described.bursts) == bursts
    assert ("none of failures" in str(described)) == (bursts == 0)


@pytest.mark.parametrize(("failed", "bursts"), [(range(10, 14), 0), (range(10, 15), 1), ([0, 11, 22, 33, 44], 1)])
def test_a_burst_is_five_failures_and_a_tenth_of_each_bin(failed, bursts):
    assert len(of_times(np.arange(50) / 10, failed=failed).describe().bursts) == bursts


def test_the_worst_bursts_come_first_and_three_are_shown():
    time = np.arange(1_000) / 10
    failed = [k for begin, size in ((100, 6), (200, 9), (300, 7), (400, 8)) for k in range(begin, begin + size)]
    described = of_times(time, failed).describe()
    assert [burst.failures for burst in described.bursts] == [9, 8, 7, 6]
    assert "4 of failures in all; the 3 worst" in str(described)
    assert "6 of 10 failed" not in str(described)


def test_bins_are_wider_where_attempts_are_few_or_the_time_is_long():
    assert of_times(np.arange(100) * 0.1).describe().bin == 1.0
    assert of_times(np.arange(100) * 10.0).describe().bin == 60.0
    assert of_times([0.0, 1e10]).describe().bin >= 1e6
    assert of_times([-1e10, 1e10]).describe().attempts == 2


def test_nothing_but_events_and_nothing_at_all():
    beside = Trace.from_columns({**of_times([]).attempts}, {"time": [1.0], "kind": "pool", "value": [1.0]})
    assert str(beside.describe()) == "Trace: 0 attempts\n  events      pool 1"
    assert str(of_times([]).describe()) == "Trace: 0 attempts"


def test_long_names_are_shortened_and_most_reasons_are_left_out():
    skipped = [TraceError("a", k, f"column{k}", "x", "y") for k in range(9)]
    trace = Trace.from_columns({**of_times([0.0]).attempts, "endpoint": "e" * 1_000}, skipped=skipped)
    text = str(trace.describe())
    assert max(map(len, text.splitlines())) < 130
    assert "and 4 other reasons" in text


def test_a_time_beyond_the_calendar_is_said():
    start = datetime(2900, 1, 1, tzinfo=UTC)
    trace = Trace.from_columns({**of_times([0.0, 1e10, 9.9e9]).attempts}, start=start.replace(year=9900))
    assert "beyond the calendar" in str(trace.describe())


def test_the_recorded_incident():
    described = read_trace(DATA / "incident_naive.jsonl").describe()
    text = str(described)
    assert described.attempts == 3_593
    assert described.outcomes["error"] == described.statuses[503] == 337
    assert {30.0 < burst.start < 60.0 for burst in described.bursts} == {True}
    assert len(text.splitlines()) < 20
    assert max(map(len, text.splitlines())) <= 120
