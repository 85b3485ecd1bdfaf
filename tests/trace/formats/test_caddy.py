"""Caddy's access log, line by line."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest

from breakerlab.trace import Trace, read_trace

SAMPLES = Path(__file__).parents[4] / "shared/traces/format_samples"
REQUEST = {
    "remote_ip": "192.0.2.7", "remote_port": "51334", "client_ip": "198.51.100.1", "method": "POST",
    "uri": "/users/42?key=hidden", "headers": {"Authorization": ["Bearer hidden"]},
}  # fmt: skip
GET = {"method": "GET", "uri": "/"}
ENTRY = {
    "level": "info", "ts": 1795632161.826786, "logger": "http.log.access.log0", "msg": "handled request",
    "request": REQUEST, "user_id": "bob", "duration": 0.025977228, "size": 182, "status": 200,
}  # fmt: skip


def read(*entries: object) -> Trace:
    text = "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    return read_trace(io.BytesIO(text.encode()), format="caddy")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"status": 503, "level": "error"}, {"status": 503, "outcome": "error"}),
        ({"status": 504}, {"status": 504, "outcome": "error"}),
        ({"status": 499}, {"status": 499, "outcome": "cancelled"}),
        ({"status": 0}, {"status": None, "outcome": "cancelled"}),
        ({"status": 0, "duration": 0.0000021}, {"status": None, "outcome": "rejected", "latency": 0.0000021}),
        ({"status": 0, "duration": 0}, {"status": None, "outcome": "rejected", "latency": 0.0}),
        ({"duration": None}, {"latency": None}),
        ({"request": GET | {"remote_addr": "[::1]:5"}}, {"client": "[::1]", "endpoint": "GET /"}),
        ({"request": GET | {"remote_ip": "192.0.2.7"}}, {"client": "192.0.2.7", "endpoint": "GET /"}),
    ],
)  # fmt: skip
def test_an_entry(changes, expected):
    trace = read(ENTRY | changes)
    row = trace.attempts.iloc[0].to_dict()
    full = {
        "latency": 0.025977228, "status": 200, "outcome": "ok", "service": "api", "client": "198.51.100.1",
        "endpoint": "POST /users/{id}",
    } | expected  # fmt: skip
    found = {key: value if value == value else None for key, value in row.items() if key in full}
    assert {key: None if value is None or value != value else value for key, value in found.items()} == full
    assert ("what became of requests with status 0" in trace.source.cannot_tell) == (full["status"] is None)


@pytest.mark.parametrize(
    ("ts", "time"),
    [
        (1795632161.826786, 0.800808772),  # `ts` is the end
        ("2026-11-25T18:42:41.826786Z", 0.800808772),
        ("2026-11-25T18:42:41.826+0100", 0.800022772),
    ],
)
def test_it_tells_the_end(ts, time):
    trace = read(ENTRY | {"ts": ts})
    assert trace.attempts["time"][0] == time
    assert trace.start.second == 41


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        ('{"level":"debug","ts":1.5,"logger":"http.handlers.reverse_proxy","msg":"selected upstream"}', None),
        (ENTRY | {"err_id": "a", "logger": "http.log.error"}, None),
        (ENTRY | {"request": "hidden"}, None),
        ("hidden", None),
        ("[" * 100_000, None),
        (ENTRY | {"ts": -1.0}, "time"),
        (ENTRY | {"ts": 1e300}, "time"),
        (ENTRY | {"ts": 1795632161826}, "time"),
        (ENTRY | {"ts": math.nan}, "time"),
        (ENTRY | {"ts": True}, "time"),
        (ENTRY | {"ts": "yesterday"}, "time"),
        (ENTRY | {"ts": 0.01}, "time"),  # it began before 1970
        (ENTRY | {"duration": 25977228}, "latency"),  # nanoseconds
        (ENTRY | {"duration": "26ms"}, "latency"),
        (ENTRY | {"duration": -0.1}, "latency"),
        (ENTRY | {"duration": math.inf}, "latency"),
        (ENTRY | {"status": 1000}, "status"),
        (ENTRY | {"status": 7}, "status"),
        (ENTRY | {"status": None, "duration": {"hidden": 1}}, "latency"),
        (ENTRY | {"request": REQUEST | {"uri": ["hidden"]}}, "endpoint"),
        (ENTRY | {"request": REQUEST | {"client_ip": 5}}, "client"),
    ],
)
def test_what_is_no_entry_costs_itself_only(bad, column):
    trace = read(ENTRY, bad, ENTRY)
    assert len(trace.attempts) == trace.source.lines == 2
    (skipped,) = trace.skipped
    assert (skipped.line, skipped.column) == (2, column)
    assert "hidden" not in str(skipped)


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples are not here")
def test_real_lines():
    trace = read_trace(SAMPLES / "caddy-logs.log")
    assert trace.attempts["outcome"].tolist() == ["rejected"] * 7 + ["client_error"] * 2 + ["ok"]
    assert (trace.source.lines, [error.line for error in trace.skipped]) == (10, [11])
