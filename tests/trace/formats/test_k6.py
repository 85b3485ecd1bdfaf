"""k6's measurements. The program may not be used here, so the lines are made by hand, after what its outputs write."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace import Trace, TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import k6

HEADER = (
    "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,proto,scenario,"
    "service,status,subproto,tls_version,url,extra_tags,metadata"
)
URL = "http://example.org/a/17?key=KEY-7f3a"
SECRET = "7f3a"


def row(
    metric: str = "http_req_duration",
    time: str = "1715342401",
    value: str = "221.899000",
    error: str = "",
    code: str = "",
    name: str = URL,
    status: str = "200",
    url: str = URL,
    extra: str = "",
    metadata: str = "",
) -> str:
    return (
        f"{metric},{time},{value},,{error},{code},true,::main,POST,{name},HTTP/1.1,default,,{status},,,{url},"
        f"{extra},{metadata}"
    )


def point(metric: str = "http_req_duration", **data: object) -> str:
    tags = {"method": "POST", "name": URL, "url": URL, "status": "200", "scenario": "default", "error": ""}
    given = {"time": "2024-05-10T14:00:01.123456789+02:00", "value": 221.899, "tags": tags}
    return json.dumps({"metric": metric, "type": "Point", "data": given | data})


DEFINITION = '{"type":"Metric","data":{"name":"http_req_duration","type":"trend","contains":"time"},"metric":"x"}'


def read(*lines: str, header: str = HEADER) -> Trace:
    text = "\n".join([header, *lines] if header else lines)
    return read_trace(io.BytesIO(text.encode("utf-8", "surrogatepass")), format="k6")


def a_request(**changes: str) -> list[str]:
    """All the rows of one request, in k6's order."""
    others = ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving", "failed")
    metrics = ("http_reqs", "http_req_duration", *(f"http_req_{name}" for name in others))
    return [row(metric, **changes) for metric in metrics]


def test_a_request_ended_at_its_timestamp_and_is_one_attempt() -> None:
    trace = read(*a_request(), row("vus", status="", name="", url=""), row("my_trend", value="-0.5"))
    attempt = trace.attempts.iloc[0].to_dict()
    assert len(trace.attempts) == 1 and trace.source.lines == 11 and trace.skipped == ()
    assert trace.start is not None and trace.start.isoformat() == "2024-05-10T12:00:00+00:00"
    assert (attempt["time"], attempt["latency"]) == (0.778101, 0.221899)
    assert (attempt["status"], attempt["outcome"], attempt["endpoint"]) == (200, "ok", "POST /a/{id}")
    assert trace.source.cannot_tell == ("retries", "time to connect", "sub-second times", "client")
    assert not trace.source.has_retries and SECRET not in repr(trace) + repr(attempt)


def test_json_says_the_same_to_the_nanosecond() -> None:
    trace = read_trace(io.BytesIO("\n".join([DEFINITION, point("http_reqs", value=1), point()]).encode()))
    attempt = trace.attempts.iloc[0].to_dict()
    assert trace.source.format == "k6" and trace.source.lines == 3 and len(trace.attempts) == 1
    assert (attempt["time"], attempt["latency"], attempt["status"]) == (0.901557789, 0.221899, 200)
    assert trace.source.cannot_tell == ("retries", "time to connect", "client")
    assert SECRET not in repr(trace) + repr(attempt)


@pytest.mark.parametrize(
    ("time", "second", "coarse"),
    [
        ("1715342401", 0.778101, True),
        ("1715342401500", 1.278101, False),
        ("1715342401500000", 1.278101, False),
        ("1715342401500000000", 1.278101, False),
        ("2024-05-10T12:00:01Z", 0.778101, True),
        ("2024-05-10T14:00:01.5+02:00", 1.278101, False),
        ("2024-05-10T06:30:01.5-05:30", 1.278101, False),
    ],
)
def test_times_come_in_every_unit(time: str, second: float, coarse: bool) -> None:
    trace = read(row(time=time))
    assert trace.start is not None and trace.start.isoformat() <= "2024-05-10T12:00:01+00:00"
    assert trace.start.timestamp() + trace.attempts.iloc[0]["time"] == pytest.approx(1715342400 + second, abs=1e-6)
    assert ("sub-second times" in trace.source.cannot_tell) == coarse
    assert "time zone" not in trace.source.cannot_tell


@pytest.mark.parametrize(
    ("status", "code", "error", "value", "outcome"),
    [
        ("503", "1503", "", "3.0", "error"),
        ("429", "1429", "", "3.0", "throttled"),
        ("404", "1404", "", "3.0", "client_error"),
        ("0", "1050", "request timeout", "60000.0", "timeout"),
        ("0", "1211", "dial: i/o timeout", "0.000000", "timeout"),
        ("0", "1212", "dial: connection refused", "0.000000", "connection"),
        ("0", "1220", "read: connection reset by peer", "12.0", "connection"),
        ("0", "1101", "lookup: no such host", "0.000000", "connection"),
        ("0", "1310", "x509: unknown authority", "0.000000", "connection"),
        ("0", "1111", "hostname is blocked", "0.000000", "rejected"),
        ("0", "1000", "EOF", "0.5", "connection"),
        ("0", "1000", "context canceled", "0.5", "cancelled"),
        ("", "", "request timeout", "60000.0", "timeout"),
    ],
)
def test_the_status_or_the_error_code_says_what_became_of_it(
    status: str, code: str, error: str, value: str, outcome: str
) -> None:
    attempt = read(row(status=status, code=code, error=error, value=value)).attempts.iloc[0].to_dict()
    assert attempt["outcome"] == outcome
    assert attempt["status"] == (int(status) if status not in ("", "0") else None)
    assert math.isnan(attempt["latency"]) == (value == "0.000000")


def test_a_name_that_the_author_chose_is_the_endpoint_and_a_virtual_user_the_client() -> None:
    rows = [row(name="orders", metadata="iter=3&vu=12"), row(name="", extra="vu=7"), row(name="http://a.org/${}")]
    trace = read(*rows)
    assert list(trace.attempts["endpoint"]) == ["POST orders", "POST /a/{id}", "POST /${}"]
    assert list(trace.attempts["client"]) == ["vu 12", "vu 7", ""]
    user = read(point(metadata={"vu": "3", "iter": "0"}), header="")
    assert list(user.attempts["client"]) == ["vu 3"] and user.source.cannot_tell == ("retries", "time to connect")


def test_tags_that_were_switched_off_are_what_it_cannot_tell() -> None:
    trace = read("http_req_duration,1715342401,5.0,a=KEY-7f3a", header="metric_name,timestamp,metric_value,extra_tags")
    unknown = ("outcome", "status", "sub-second times", "client", "endpoint")
    assert trace.source.cannot_tell == ("retries", "time to connect", *unknown)
    assert SECRET not in repr(trace) and trace.attempts.iloc[0]["outcome"] == "ok"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(time="soon"), "date and time"),
        (row(time="99999999999"), "1970 to 2099"),
        (row(value="-1"), "a number, 0 or more"),
        (row(value="NaN"), "a number, 0 or more"),
        (row(value="9" * 400), "a number, 0 or more"),
        (row(status="KEY-7f3a"), "three digits"),
        (row("vus", time="KEY-7f3a"), "a time"),
        (row("vus", value="KEY-7f3a"), "a number"),
        (row(""), "the name of a metric"),
        (row() + ",x", "20 cells"),
        (row()[:40], "cells"),
        (row(error='"open'), "never closed"),
        (point(time=None), "date and time"),
        (point(time=5), "text"),
        (point(value="5"), "milliseconds"),
        (point(value=True), "milliseconds"),
        (point(value=float("inf")), "milliseconds"),
        (point(value=-1), "milliseconds"),
        (point(tags=["KEY-7f3a"]), "object"),
        (point(tags={"status": {"KEY-7f3a": 1}}), "text"),
        (point(tags={"status": "20"}), "three digits"),
        ('{"type":"KEY-7f3a","metric":"a","data":{}}', "Point or Metric"),
        ('{"type":"Point","metric":"a","data":[]}', "Point or Metric"),
        ('{"type":' * 100_000, "nested|broken"),
        ('"' * 1_000_000, "cells|closed|closing"),
        ("," * 1_000_000, "cells"),
        ("\ud800", "UTF-8"),
    ],
)
def test_a_bad_line_costs_itself_only(bad: str, reason: str) -> None:
    trace = read(row(), point(), bad, row(), point())
    assert len(trace.attempts) == 4 and trace.source.lines == 4
    assert [error.line for error in trace.skipped] == [4]
    assert any(one in trace.skipped[0].reason for one in reason.split("|"))
    assert SECRET not in repr(trace.skipped)


def test_a_header_again_in_the_middle_is_no_row() -> None:
    trace = read(row(), HEADER, row())
    assert (trace.source.lines, trace.skipped) == (2, ())


def test_a_file_without_a_request_is_refused() -> None:
    with pytest.raises(TraceError, match="no row"):
        read(row("vus"))


def test_likeness_is_for_our_own_only() -> None:
    assert k6.FORMAT.likeness(Head(f"{HEADER}\n{row()}\n".encode())) == 1.0
    assert k6.FORMAT.likeness(Head(f"{DEFINITION}\n{point()}\n".encode())) == 1.0
    for foreign in ("", "metric,value\n", '{"metric":"a","type":"b","data":{}}\n', '{"kind":"trace"}\n', "{" * 60_000):
        assert k6.FORMAT.likeness(Head(foreign.encode())) == 0.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 30), st.binary(max_size=5)), min_size=1, max_size=6))
def test_every_line_of_a_damaged_file_is_accounted_for(cuts: list[tuple[int, int, bytes]]) -> None:
    data = "\n".join([*a_request(), point(), row(error='"a, ""b"""', status="0")] * 3).encode()
    for at, length, put in cuts:
        data = data[:at] + put + data[at + length :]
    data = f"{HEADER}\n".encode() + data + b"\n" + row().encode()
    trace = read_trace(io.BytesIO(data), format="k6")
    lines = [line for line in data.split(b"\n") if line.strip() and line != HEADER.encode()]
    assert trace.source.lines + len(trace.skipped) == len(lines)
