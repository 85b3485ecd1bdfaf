"""vegeta's results. The program was not at hand: the lines are made by hand, after what its encoders write."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace import Trace, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import vegeta

SECRET = "7f3a"


def result(**changes: object) -> str:
    row: dict[str, object] = {
        "attack": "night",
        "seq": 7,
        "code": 200,
        "timestamp": "2024-05-10T14:00:00.123456789+02:00",
        "latency": 1_234_567,
        "bytes_out": 0,
        "bytes_in": 12,
        "error": "",
        "body": "UFJPTVBULTdmM2E=",
        "method": "POST",
        "url": "http://example.org/a/17?key=KEY-7f3a",
        "headers": {"Set-Cookie": ["COOKIE-7f3a"]},
    }
    return json.dumps(row | changes, separators=(",", ":"))


def csv(columns: int = 12, code: str = "200", error: str = "", latency: str = "1234567") -> str:
    address = ["POST", "http://example.org/a/17?key=KEY-7f3a", "U2V0LUNvb2tpZTogNzEzYQ=="]
    cells = ["1715342400123456789", code, latency, "0", "12", error, "UFJPTVBULTdmM2E=", "night", "7", *address]
    return ",".join(cells[:columns])


def read(*lines: str) -> Trace:
    return read_trace(io.BytesIO("\n".join(lines).encode("utf-8", "surrogatepass")), format="vegeta")


@pytest.mark.parametrize("line", [result(), csv()])
def test_a_result_is_an_attempt_that_began_at_its_timestamp(line: str) -> None:
    trace = read_trace(io.BytesIO(line.encode()))
    attempt = trace.attempts.iloc[0]
    assert trace.source.format == "vegeta" and trace.source.lines == 1
    assert trace.start is not None and trace.start.isoformat() == "2024-05-10T12:00:00+00:00"
    assert (attempt["time"], attempt["latency"]) == (0.123456789, 0.001234567)
    assert (attempt["status"], attempt["outcome"], attempt["client"]) == (200, "ok", "night")
    assert attempt["endpoint"] == "POST /a/{id}"
    assert trace.source.cannot_tell == ("retries",) and not trace.source.has_retries
    assert SECRET not in repr(trace) + repr(trace.attempts.to_dict())


DIAL = 'Post "http://example.org/?key=KEY-7f3a": dial tcp 127.0.0.1:9: connect: '
LATE = 'Post "http://example.org/": '


@pytest.mark.parametrize(
    ("code", "error", "status", "outcome"),
    [
        (503, "503 Service Unavailable", 503, "error"),
        (429, "429 Too Many Requests", 429, "throttled"),
        (404, "404 Not Found", 404, "client_error"),
        (302, "", 302, "ok"),
        (0, DIAL + "connection refused", None, "connection"),
        (0, LATE + "EOF", None, "connection"),
        (0, LATE + "dial tcp: lookup nobody.invalid: no such host", None, "connection"),
        (0, LATE + "read: connection reset by peer", None, "connection"),
        (0, LATE + "context deadline exceeded (Client.Timeout exceeded while awaiting headers)", None, "timeout"),
        (0, LATE + "context deadline exceeded", None, "timeout"),
        (0, LATE + "net/http: request canceled (Client.Timeout exceeded while reading body)", None, "timeout"),
        (0, LATE + "dial tcp 10.0.0.1:80: i/o timeout", None, "timeout"),
        (0, LATE + "context canceled", None, "cancelled"),
        (0, "no targets to attack", None, "rejected"),
    ],
)
@pytest.mark.parametrize("kind", ["json", "csv"])
def test_the_code_or_the_error_says_what_became_of_it(
    kind: str, code: int, error: str, status: int | None, outcome: str
) -> None:
    quoted = '"' + error.replace('"', '""') + '"'
    trace = read(result(code=code, error=error) if kind == "json" else csv(code=str(code), error=quoted))
    attempt = trace.attempts.iloc[0].to_dict()
    assert (attempt["status"], attempt["outcome"]) == (status, outcome)
    assert SECRET not in repr(trace) + repr(attempt)


@pytest.mark.parametrize(
    ("columns", "lacking"),
    [(6, ("client", "endpoint")), (7, ("client", "endpoint")), (9, ("endpoint",)), (12, ())],
)
def test_older_versions_write_fewer_columns(columns: int, lacking: tuple[str, ...]) -> None:
    trace = read_trace(io.BytesIO(csv(columns).encode()))
    assert trace.source.format == "vegeta" and trace.source.cannot_tell == ("retries", *lacking)


def test_an_error_over_two_lines_is_one_row() -> None:
    trace = read(csv(), csv(code="0", error='"EOF\nKEY-7f3a"'), csv())
    assert (len(trace.attempts), trace.source.lines, trace.skipped) == (3, 4, ())
    assert SECRET not in repr(trace)


BAD_JSON = [
    ({"timestamp": "soon"}, "date and time"),
    ({"timestamp": None}, "date and time"),
    ({"timestamp": 1715342400}, "text"),
    ({"timestamp": "0001-01-01T00:00:00Z"}, "1970 to 2099"),
    ({"timestamp": "9999-12-31T23:59:59Z"}, "1970 to 2099"),
    ({"code": "200"}, "an HTTP status"),
    ({"code": 99}, "100 to 999"),
    ({"code": True}, "an HTTP status"),
    ({"code": 200.0}, "an HTTP status"),
    ({"latency": -1}, "nanoseconds"),
    ({"latency": float("nan")}, "nanoseconds"),
    ({"latency": 10**30}, "nanoseconds"),
    ({"error": ["KEY-7f3a"]}, "text"),
    ({"method": {"KEY-7f3a": 1}}, "text"),
    ({"url": 5}, "text"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_JSON)
def test_a_bad_result_costs_itself_only(change: dict[str, object], reason: str) -> None:
    trace = read(result(), result(**change), result())
    assert len(trace.attempts) == 2 and trace.source.lines == 2
    assert [error.line for error in trace.skipped] == [2] and reason in trace.skipped[0].reason
    assert SECRET not in repr(trace.skipped)


@pytest.mark.parametrize(
    "bad",
    [
        csv()[:30],
        csv() + ",more",
        csv(code="20x"),
        csv(code="99"),
        csv(latency="-1"),
        csv(latency="9" * 5_000),
        csv(error='"open'),
        result()[:-20],
        "[1]",
        '{"a":' * 100_000,
        '{"code":' + "9" * 5_000 + "}",
        "KEY-7f3a",
        '"' * 1_000_000,
        "," * 1_000_000,
        "\ud800",
    ],
)
def test_a_bad_line_costs_itself_only(bad: str) -> None:
    trace = read(csv(), result(), bad, csv(), result())
    assert len(trace.attempts) == 4 and trace.source.lines == 4
    assert [error.line for error in trace.skipped] == [3]
    assert SECRET not in repr(trace.skipped)


def test_a_key_that_comes_twice_counts_by_its_last_value() -> None:
    assert read(result()[:-1] + ',"code":503}').attempts.iloc[0]["status"] == 503


def test_likeness_is_for_our_own_only() -> None:
    for line in (result(), csv(), csv(6), csv(7), csv(9)):
        assert vegeta.FORMAT.likeness(Head(f"{line}\n{line}\n".encode())) == 1.0
    times = "1715342400123,250,Home,200,OK,Users 1-1,text,true,512,200\n"
    for foreign in ("", '{"time":1,"outcome":"ok","service":"a"}\n', times, "a,b,c\n", "[" * 60_000, "{" * 60_000):
        assert vegeta.FORMAT.likeness(Head(foreign.encode())) == 0.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 30), st.binary(max_size=5)), min_size=1, max_size=6))
def test_every_line_of_a_damaged_file_is_accounted_for(cuts: list[tuple[int, int, bytes]]) -> None:
    data = "\n".join([result(), csv(), csv(code="0", error='"a ""b"""')] * 6).encode()
    for at, length, put in cuts:
        data = data[:at] + put + data[at + length :]
    data += b"\n" + csv().encode()
    trace = read_trace(io.BytesIO(data), format="vegeta")
    assert trace.source.lines + len(trace.skipped) == sum(bool(line.strip()) for line in data.split(b"\n"))
