"""Traefik's access log, in both of its forms."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest

from breakerlab.trace import Trace, TraceError, read_trace

SAMPLES = Path(__file__).parents[4] / "shared/traces/format_samples"
START = "2026-11-24T14:02:43.587782192Z"
ENTRY = {
    "ClientAddr": "192.0.2.7:39496", "ClientHost": "192.0.2.7", "ClientUsername": "bob", "DownstreamStatus": 200,
    "Duration": 357313, "OriginDuration": 324669, "OriginStatus": 200, "RequestMethod": "GET",
    "RequestPath": "/users/42?key=hidden", "RetryAttempts": 0, "RouterName": "web@docker", "ServiceName": "shop@docker",
    "ServiceAddr": "10.0.0.3:80", "StartUTC": START, "StartLocal": "2026-11-24T15:02:43.587782192+01:00",
    "request_User-Agent": "hidden", "level": "info", "msg": "", "time": "2026-11-24T14:02:43Z",
}  # fmt: skip
BEGINNING = '192.0.2.7 - bob [24/Nov/2026:14:02:43 +0000] "GET /users/42?key=hidden HTTP/1.1"'


def read(*lines: object) -> Trace:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return read_trace(io.BytesIO(text.encode("utf-8", "surrogatepass")), format="traefik")


def without(*keys: str) -> dict[str, object]:
    return {key: value for key, value in ENTRY.items() if key not in keys}


def row_of(trace: Trace) -> dict[str, object]:
    """The only row, without what is missing."""
    assert len(trace.attempts) == 1
    row = trace.attempts.drop(columns=["request", "attempt", "time", "retry_after"]).to_dict("records")[0]
    return {key: value for key, value in row.items() if value == value and value is not None}


FULL = {
    "latency": 0.000357313, "status": 200, "outcome": "ok", "service": "shop", "client": "192.0.2.7",
    "endpoint": "GET /users/{id}", "instance": "10.0.0.3:80",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"DownstreamStatus": 502, "OriginStatus": 502}, {"status": 502, "outcome": "error"}),
        ({"DownstreamStatus": 503, "OriginStatus": 0}, {"status": 503, "outcome": "error"}),
        ({"DownstreamStatus": 502, "OriginStatus": 0}, {"status": None, "outcome": "connection"}),
        ({"DownstreamStatus": 504, "OriginStatus": 0}, {"status": None, "outcome": "timeout"}),
        ({"DownstreamStatus": 504, "OriginStatus": None}, {"status": 504, "outcome": "error"}),
        ({"DownstreamStatus": 499, "OriginStatus": 499}, {"status": 499, "outcome": "cancelled"}),
        ({"DownstreamStatus": 429, "OriginStatus": 0}, {"status": 429, "outcome": "throttled"}),
        # Version 2.9.4 left the origin's status at 0 for everything.
        ({"DownstreamStatus": 200, "OriginStatus": 0}, {"status": 200, "outcome": "ok"}),
        ({"DownstreamStatus": 0, "OriginStatus": 0}, {"status": None, "outcome": "connection"}),
        ({"DownstreamStatus": None, "OriginStatus": 503}, {"status": 503, "outcome": "error"}),
        ({"ServiceName": None}, {"service": "web"}),
        ({"ServiceName": None, "RouterName": "a@file -> b@file"}, {"service": "b"}),
        ({"ServiceName": None, "RouterName": None}, {"service": "api"}),
        ({"ClientHost": "198.51.100.1, 10.0.0.1"}, {"client": "198.51.100.1"}),
        ({"ServiceAddr": None, "ServiceURL": {"Scheme": "http", "Host": "10.0.0.9:80"}}, {"instance": "10.0.0.9:80"}),
        ({"ServiceAddr": None, "ServiceURL": "http://u:p@10.0.0.9:80/x"}, {"instance": "10.0.0.9:80"}),
        ({"Duration": None}, {"latency": None}),
        ({"RequestPath": "/\ud800"}, {"endpoint": "GET /\ufffd"}),
        ({"ServiceName": "bob@example.com"}, {"service": "{email}"}),
    ],
)  # fmt: skip
def test_an_entry_in_json(changes, expected):
    row = FULL | expected
    assert row_of(read(ENTRY | changes)) == {key: value for key, value in row.items() if value is not None}


@pytest.mark.parametrize(
    ("missing", "start"),
    [
        ((), "2026-11-24T14:02:43.587782"),
        (("StartUTC",), "2026-11-24T14:02:43.587782"),
        (("StartUTC", "StartLocal"), "2026-11-24T14:02:42.999643"),  # the time of the line, less the duration
    ],
)
def test_it_tells_the_start(missing, start):
    trace = read(without(*missing))
    seconds = trace.start.timestamp() + trace.attempts["time"][0]
    assert f"{trace.start:%Y-%m-%dT%H:%M:}{seconds % 60:09.6f}" == start


def test_a_start_is_exact_to_nanoseconds():
    assert read(ENTRY).attempts["time"][0] == 0.587782192


def test_a_request_that_was_tried_again_is_several_attempts():
    entry = ENTRY | {"RetryAttempts": 2, "Duration": 3_000_000_000, "OriginDuration": 2_999_000_000}
    trace = read(entry, ENTRY)
    tried = trace.attempts[trace.attempts["request"] == 0]
    assert tried["attempt"].tolist() == [1, 2, 3]
    assert tried["outcome"].tolist() == ["connection", "connection", "ok"]
    assert tried["latency"].tolist()[2] == 3.0
    assert tried["latency"].isna().tolist() == [True, True, False]
    assert tried["status"].isna().tolist() == [True, True, False]
    assert tried["time"].tolist() == [0.587782192] * 3
    whole = trace.requests.loc[trace.requests["request"] == 0].iloc[0]
    assert (whole["attempts"], whole["latency"], whole["outcome"]) == (3, 3.0, "ok")
    assert trace.source.has_retries
    unknown = {"start of each attempt", "outcome of the attempts before the last", "retries of the callers"}
    assert unknown == set(trace.source.cannot_tell)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        # 500 is the number of the request, not a status.
        ('200 414 "-" "curl" 500 "shop@docker" "http://10.0.0.3:80" 12ms', {}),
        ('200 414 "-" "a "b" 7 "c" "d" 9ms" 500 "shop@docker" "http://10.0.0.3:80" 12ms', {}),  # quotes in the agent
        ('503 0 "-" "-" 500 "shop@docker" "http://10.0.0.3:80" 12ms', {"status": 503, "outcome": "error"}),
        ('0 0 "-" "-" 1 "shop@docker" "http://10.0.0.3:80" 12ms', {"status": None, "outcome": "connection"}),
        ('- - "-" "-" 1 "shop@docker" "-" 12ms', {"status": None, "outcome": "rejected", "instance": None}),
        ('- - "-" "-" 1 "-" "-" 12ms', {"status": None, "outcome": "rejected", "instance": None, "service": "api"}),
        ('200 9 "-" "-" 1 "a@file -> shop@file" "http://10.0.0.3:80" 12ms', {}),
    ],
)
def test_an_entry_in_text(rest, expected):
    row = FULL | {"latency": 0.012} | expected
    trace = read(f"{BEGINNING} {rest}")
    assert row_of(trace) == {key: value for key, value in row.items() if value is not None}
    assert trace.start.isoformat() == "2026-11-24T14:02:43+00:00"
    assert "sub-second times" in trace.source.cannot_tell
    assert ("status of what was not sent on" in trace.source.cannot_tell) == (row["outcome"] == "rejected")


def test_a_request_line_with_a_quote_and_a_list_of_addresses():
    line = f'198.51.100.1, 10.0.0.1 - - [24/Nov/2026:14:02:43 +0000] "GET /a?q="x" HTTP/1.1" {TAIL}'
    row = row_of(read(line))
    assert (row["client"], row["endpoint"]) == ("198.51.100.1", "GET /a")


TAIL = '200 414 "-" "curl" 500 "shop@docker" "http://10.0.0.3:80" 12ms'


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        ("DEBUG: 2025/09/05 13:53:40 a plugin speaks", None),
        ({"level": "info", "msg": "Configuration loaded", "time": "2026-11-24T14:02:43Z"}, None),
        ("[1, 2]", None),
        ("{" * 100_000, None),
        ('{"StartUTC":' + "[" * 100_000, None),
        ('{"Duration":' + "9" * 5_000 + "}", None),
        (ENTRY | {"Duration": 1.5}, "latency"),
        (ENTRY | {"Duration": -1}, "latency"),
        (ENTRY | {"Duration": 10**30}, "latency"),
        (ENTRY | {"Duration": math.inf}, "latency"),
        (ENTRY | {"Duration": True}, "latency"),
        (ENTRY | {"DownstreamStatus": 99}, "status"),
        (ENTRY | {"DownstreamStatus": "200"}, "status"),
        (ENTRY | {"RetryAttempts": 101}, "attempt"),
        (ENTRY | {"StartUTC": "2026-11-24T14:02:43"}, "time"),
        (ENTRY | {"StartUTC": "9999-12-31T23:59:59-23:59"}, "time"),
        (ENTRY | {"StartUTC": "1969-12-31T23:59:59Z"}, "time"),
        (ENTRY | {"StartUTC": "1969-12-31T23:59:59Z", "RetryAttempts": 2}, "time"),
        (ENTRY | {"StartUTC": 5}, "time"),
        (ENTRY | {"RequestPath": {"secret": 1}}, "endpoint"),
        (ENTRY | {"ServiceName": ["x"]}, "service"),
        (f"{BEGINNING} 99 {TAIL[4:]}", "status"),
        (f"{BEGINNING} {TAIL[:-4]}{'9' * 16}ms", "latency"),
        (f"{BEGINNING} {TAIL[:-4]}{'9' * 30}ms", None),
        (f"{BEGINNING} {TAIL[:-2]}", None),
        (f"{BEGINNING} {TAIL}".replace("24/Nov", "31/Nov"), "time"),
    ],
)
def test_what_is_no_entry_costs_itself_only(bad, column):
    trace = read(ENTRY, bad, f"{BEGINNING} {TAIL}")
    assert len(trace.attempts) == trace.source.lines == 2
    (skipped,) = trace.skipped
    assert (skipped.line, skipped.column) == (2, column)
    assert "hidden" not in str(skipped)


def test_nothing_of_a_bad_line_is_left_behind():
    with pytest.raises(TraceError, match="no readable row"):
        read(ENTRY | {"RetryAttempts": 3, "StartUTC": "2199-01-01T00:00:00Z"})


@pytest.mark.skipif(not SAMPLES.exists(), reason="the shared samples are not here")
def test_real_lines():
    text = read_trace(SAMPLES / "traefik_clf.log")
    assert text.attempts["status"].isna().sum() == 1
    assert text.attempts["status"].dropna().eq(200).all()
    assert text.attempts["service"].unique().tolist() == ["test", "api", "leaf"]
    assert (text.source.lines, len(text.skipped)) == (7, 0)

    entries = read_trace(SAMPLES / "traefik_json.log")
    assert entries.attempts["status"].tolist() == [200, 200, 204, 200, 200, 404]
    assert entries.attempts["latency"].tolist()[:2] == [0.000357313, 0.000564849]
    assert (entries.source.lines, [error.line for error in entries.skipped]) == (6, [6])
