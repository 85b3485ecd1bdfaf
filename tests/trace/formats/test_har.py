import contextlib
import io
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorders.truth import read_truth

from breakerlab.trace import TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import FORMATS

DATA = Path(__file__).resolve().parents[3] / "data" / "formats"
SHARED = Path(__file__).parents[4] / "shared" / "traces"


def entry(status=200, method="GET", url="https://api.example/v1/users/42?key=1", headers=(), response=None, **more):
    return {
        "startedDateTime": "2026-11-24T12:00:00.250Z",
        "time": 123.5,
        "request": {"method": method, "url": url, "headers": [{"name": "cookie", "value": "cookie-secret"}]},
        "response": {"status": status, "headers": [{"name": n, "value": v} for n, v in headers], **(response or {})},
        "serverIPAddress": "192.0.2.1",
        **more,
    }


def read(*entries):
    content = json.dumps({"log": {"version": "1.2", "creator": {"name": "x"}, "entries": list(entries)}})
    trace = read_trace(io.BytesIO(content.encode()))
    assert trace.source.format == "har"
    assert trace.source.lines + len(trace.skipped) == len(entries)
    return trace


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (entry(), (200, "ok", 0.1235)),
        (entry(503), (503, "error", 0.1235)),
        (entry(time=-1), (200, "ok", None)),
        (entry(0), (None, "connection", 0.1235)),
        (entry(-1, response={"_failureText": "net::ERR_CONNECTION_REFUSED"}), (None, "connection", 0.1235)),
        (entry(-1, response={"_failureText": "net::ERR_ABORTED"}), (None, "cancelled", 0.1235)),
        (entry(0, response={"_error": "net::ERR_CONNECTION_TIMED_OUT"}), (None, "timeout", 0.1235)),
        (entry(0, response={"_error": "net::ERR_TIMED_OUT"}), (None, "timeout", 0.1235)),
        (entry(0, response={"_error": "net::ERR_BLOCKED_BY_CLIENT"}), (None, "rejected", 0.1235)),
        (entry(0, _error="NS_BINDING_ABORTED"), (None, "cancelled", 0.1235)),
        (entry(0, response={"statusText": "NS_ERROR_NET_TIMEOUT"}), (None, "timeout", 0.1235)),
    ],
)
def test_an_entry_is_an_attempt(made, expected):
    trace = read(made)
    (row,) = trace.attempts.itertuples()
    status, latency = (None if pd.isna(value) else value for value in (row.status, row.latency))
    assert (status, row.outcome, latency) == expected
    assert (row.time, row.service, row.endpoint, row.instance) == (
        0.25,
        "api.example",
        "GET /v1/users/{id}",
        "192.0.2.1",
    )
    assert ("latency" in trace.source.cannot_tell) == (latency is None)
    assert {"retries", "client"} <= set(trace.source.cannot_tell)
    assert not trace.source.has_retries


def test_the_time_zone_and_the_reason_are_said_to_be_missing():
    assert "time zone" in read(entry(startedDateTime="2026-11-24T12:00:00")).source.cannot_tell
    assert "why there was no answer" in read(entry(0)).source.cannot_tell
    moved = read(entry(startedDateTime="2026-11-24T14:00:00.250+02:00"))
    assert moved.start == read(entry()).start


@pytest.mark.parametrize(
    ("value", "expected"), [("7", 7.0), ("1.5", 1.5), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
def test_retry_after_is_the_only_header_that_is_read(value, expected):
    (wait,) = read(entry(503, headers=[("Retry-After", value)])).attempts.retry_after
    assert (None if pd.isna(wait) else wait) == expected


@pytest.mark.parametrize(
    "bad",
    [
        None,
        1,
        "x",
        [],
        {},
        entry("200"),
        entry(99),
        entry(10**30),
        entry(200.5),
        entry(True),
        entry([]),
        entry(float("nan")),
        entry(time="1"),
        entry(time=-5),
        entry(time=1e300),
        entry(time=float("inf")),
        entry(time=[]),
        entry(startedDateTime=None),
        entry(startedDateTime="yesterday"),
        entry(startedDateTime="9999-12-31T23:59:59-23:59"),
        entry(startedDateTime=10**30),
        entry(startedDateTime="0001-01-01T00:00:00+23:59"),
        entry(url="data:text/plain,x"),
        entry(url="chrome-extension://x"),
        entry(url="ws://x/y"),
        entry(url=3),
        entry(_fromCache="disk"),
        entry(_wasFulfilled=True),
        entry() | {"request": 3},
    ],
)
def test_a_bad_entry_costs_itself_only(bad):
    trace = read(entry(), bad, entry())
    assert [error.line for error in trace.skipped] == [2]


def test_wrong_types_where_nothing_is_needed_do_no_harm():
    for made in (
        entry(serverIPAddress=3),
        entry() | {"serverIPAddress": []},
        entry(method=7),
        entry(response={"headers": 3}),
    ):
        assert len(read(made).attempts) == 1


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"log":' * 100_000, "nested too deep|broken JSON"),
        (b"[" * 100_000, "nested too deep|broken JSON"),
        (b'{"log":{"entries":[]}}', "no entry"),
        (b'{"log":{"entries":3}}', "without log.entries"),
        (b"[]", "without log.entries"),
        (b'{"log":{"entries":[{]', "broken JSON"),
        (b"\xff\xfe", "binary data"),
        (b'{"log":{"entries":[1]}}', "line 1: found 1 here and no readable entry"),
    ],
)
def test_what_is_no_har_is_one_sentence(content, match):
    with pytest.raises(TraceError, match=match):
        read_trace(io.BytesIO(content), format="har")


def test_a_number_of_thousands_of_digits_costs_its_entry_only():
    content = json.dumps({"log": {"entries": [entry(), entry(12345)]}}).replace("12345", "1" * 6_000)
    trace = read_trace(io.BytesIO(content.encode()))
    assert len(trace.attempts) + len(trace.skipped) == 2


def test_a_document_of_more_than_64_mib_is_refused():
    class Endless(io.RawIOBase):
        def read(self, size=-1, /):
            return b" " * 1_000_000

    with pytest.raises(TraceError, match="HAR files of at most"):
        read_trace(Endless(), format="har")


PLANTED = (
    "noon-secret",
    "sk-live-0123456789abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "jo@example.org",
    "cookie-secret",
)


def test_nothing_planted_leaves_the_reader():
    prompt, key, token, mail, cookie = PLANTED
    one = entry(
        url=f"https://{mail}:{key}@api.example/v1/{key}/{token}?q={prompt}#{prompt}",
        headers=[("Set-Cookie", cookie), ("Retry-After", prompt)],
        response={"content": {"text": prompt}, "statusText": prompt, "cookies": [{"value": cookie}]},
    )
    one["request"]["postData"] = {"text": prompt}
    bad = [entry(prompt), entry(url=prompt), entry(startedDateTime=token), entry(time=key), prompt]
    trace = read(one, *bad)
    left = trace.attempts.to_csv() + str(trace.source) + repr(trace) + " ".join(map(str, trace.skipped))
    assert len(trace.attempts) == 1
    assert not [secret for secret in PLANTED if secret in left]


@settings(max_examples=60)
@given(st.data())
def test_a_mutated_document_is_a_trace_or_one_error(data):
    document = json.loads((DATA / "har.har").read_text())
    document["log"]["entries"] = document["log"]["entries"][:4]
    content = bytearray(json.dumps(document).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(
            st.sampled_from([b"1", b"-", b"null", b"\xff", b'"'])
        )
    with contextlib.suppress(TraceError):
        read_trace(io.BytesIO(bytes(content)), format="har")


@pytest.mark.skipif(not SHARED.exists(), reason="the real traces are not here")
def test_no_other_log_looks_like_one():
    likeness = next(known.likeness for known in FORMATS if known.name == "har")
    for path in [path for path in SHARED.rglob("*") if path.is_file()]:
        assert likeness(Head(path.read_bytes()[:65_536])) == 0, path


# The browser writes a start to a whole millisecond, before it looks for a connection and with the work of the page
# still to do; its clock is the machine's. A timeout is the page's own: it gives up, and that is cancelled.
CUT = 0.002
WORK = 0.4


def agrees_with_the_server(trace, seen, timeout, refused):
    zero = trace.start.timestamp()
    rows = [row for row in trace.attempts.itertuples() if row.outcome != "connection"]
    assert len(trace.attempts) - len(rows) == refused
    given_up = [row for row in rows if row.outcome == "cancelled"]
    answered = [row for row in rows if row.outcome != "cancelled"]
    late = [one for one in seen if one.seconds > timeout]
    in_time = [one for one in seen if one.seconds <= timeout]
    assert len(given_up) == len(late)
    assert Counter(int(row.status) for row in answered) == Counter(one.status for one in in_time)
    for row, one in zip(rows, sorted(seen, key=lambda one: one.begun), strict=True):
        assert -CUT < one.begun / 1e9 - zero - row.time < WORK
    ends = sorted(row.time + row.latency for row in answered)
    for end, one in zip(ends, sorted(one.ended / 1e9 for one in in_time), strict=True):
        assert abs(zero + end - one) < WORK
    assert all(row.latency > timeout - 0.05 for row in given_up)
    assert {row.retry_after for row in answered if row.status == 503} == {1.0}
    assert {row.endpoint for row in rows} == {"POST /v1/chat/completions"}


def test_the_recorded_har_agrees_with_the_server():
    trace = read_trace(DATA / "har.har")
    agrees_with_the_server(trace, read_truth(DATA / "har.truth.csv"), timeout=0.4, refused=2)
    assert len(trace.skipped) == 1  # the page itself, which the recorder answered and no server


def test_a_browser_of_today_agrees_with_the_server(tmp_path):
    from recorders import har

    made = har.run(tmp_path / "page.har", rounds=2)
    trace = read_trace(made.log)
    agrees_with_the_server(trace, made.seen, made.timeout, made.refused)
    assert "planted" not in trace.attempts.to_csv() + " ".join(map(str, trace.skipped))
