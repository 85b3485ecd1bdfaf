"""Common and combined logs, and the pieces of the Common Log Format."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace import Trace, TraceError, read_trace
from breakerlab.trace.errors import BadRow
from breakerlab.trace.format import Head
from breakerlab.trace.formats.combined import FORMAT
from breakerlab.trace.formats.common_log import clf_ns, common_line_in, endpoint_in, fields_in

DATA = Path(__file__).parents[3] / "data/formats"
REAL = Path(__file__).parents[4] / "shared" / "traces"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="the real traces are not on this machine")

TIME = "[10/Oct/2000:13:55:36 -0700]"


def read(*lines: str | bytes) -> Trace:
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    return read_trace(io.BytesIO(data), format="combined")


@pytest.mark.parametrize(
    "prefix",
    [
        "2023-07-12T08:21:44.123456789Z stdout F ",  # Kubernetes
        "2023-07-12T08:21:44.123456789Z ",  # kubectl logs --timestamps
        "<190>Mar 10 13:55:36 web1 nginx: ",
        "Mar 10 13:55:36 web1 nginx[7]: ",
        "Mar 10 13:55:36 web1 nginx[7]: shop.example ",
        "<190>1 2024-03-10T13:55:36Z web1 nginx 7 - - ",
        "web-1  | ",  # Docker Compose
        "198.51.100.9: ",
    ],
)
@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::7", "::1"])
def test_what_a_collector_puts_before_a_line_is_not_the_client(prefix, client):
    found = common_line_in(f'{prefix}{client} - - {TIME} "GET /a HTTP/1.1" 200 5 "-" "curl"')
    assert found.client == client


def test_the_client_is_the_first_that_x_forwarded_for_names():
    for addresses in ("192.0.2.7, 198.51.100.9", "192.0.2.7,198.51.100.9", "192.0.2.7, 198.51.100.9, 10.0.0.1"):
        assert common_line_in(f'{addresses} - - {TIME} "GET /a HTTP/1.1" 200 5').client == "192.0.2.7"


@pytest.mark.parametrize(
    ("line", "client", "endpoint", "status"),
    [
        (f'192.0.2.7 - - {TIME} "GET /a?b HTTP/1.1" 200 5', "192.0.2.7", "GET /a", 200),
        (f'192.0.2.7 - - {TIME} "GET /a HTTP/1.1" 200 5 "-" "curl"', "192.0.2.7", "GET /a", 200),
        (f'192.0.2.7 - anna [x] {TIME} "GET /a HTTP/1.1" 503 - "-" "curl"', "192.0.2.7", "GET /a", 503),
        (f'192.0.2.7 - {TIME} "GET /a HTTP/1.1" 200 5 "-" "curl"', "192.0.2.7", "GET /a", 200),
        (f'shop.example 192.0.2.7 - - {TIME} "GET /a HTTP/1.1" 200 5 "-" "curl"', "192.0.2.7", "GET /a", 200),
        (f'shop.example:443 2001:db8::7 - - {TIME} "GET /a HTTP/1.1" 200 5', "2001:db8::7", "GET /a", 200),
        (
            f'host.example - - {TIME} "POST /a/17 HTTP/2.0" 429 5 "-" "a" "192.0.2.7"',
            "host.example",
            "POST /a/{id}",
            429,
        ),
        (f'192.0.2.7 - - {TIME} "-" 408 0 "-" "-"', "192.0.2.7", "", 408),
        (f'192.0.2.7 - - {TIME} "" 400 0 "-" "-"', "192.0.2.7", "", 400),
        (f'192.0.2.7 - - {TIME} "\\x16\\x03\\x01\\x00" 400 157 "-" "-"', "192.0.2.7", "", 400),
        (f'192.0.2.7 - - {TIME} "GET /a\\"b HTTP/1.1" 200 5 "\\"" "-"', "192.0.2.7", 'GET /a\\"b', 200),
        (f'- - - {TIME} "GET / HTTP/1.1" 200 5', "", "GET /", 200),
        (f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 000 0', "192.0.2.7", "GET /", None),
    ],
)
def test_a_line(line: str, client: str, endpoint: str, status: int | None) -> None:
    assert FORMAT.likeness(Head(line.encode())) == 1.0
    trace = read(line)
    (row,) = trace.attempts.astype({"status": object}).to_dict("records")
    assert (row["client"], row["endpoint"]) == (client, endpoint)
    assert (row["status"] if status else None) == status
    assert row["latency"] != row["latency"]
    assert trace.start == datetime(2000, 10, 10, 20, 55, 36, tzinfo=UTC)
    assert trace.source.cannot_tell[:4] == (
        "retries",
        "sub-second times",
        "whether times are starts or ends",
        "latency",
    )
    assert ("client" in trace.source.cannot_tell) == (client == "")
    assert ("endpoint" in trace.source.cannot_tell) == (endpoint == "")


def test_bytes_that_are_no_text_are_let_pass_where_they_are_dropped() -> None:
    trace = read(f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 200 5 "-" "caf'.encode() + b'\xe9"')
    assert len(trace.attempts) == 1


@pytest.mark.parametrize(
    ("line", "column", "found"),
    [
        ("2021/12/01 13:53:33 [error] 31#31: *46 open() failed", None, "a line of an error log"),
        ("[Thu Oct 13 12:24:49.880562 2022] [core:error] [pid 10] x", None, "a line of an error log"),
        (f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 42 5', "status", '"42"'),
        (
            f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 200 5'.replace("10/Oct", "31/Feb"),
            "time",
            "a day that no calendar has",
        ),
        (f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 200 5'.replace("13:55", "24:55"), "time", "a time of day that no"),
        (f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 200 5'.replace("2000", "1000"), "time", "-305"),
        (f'192.0.2.7 - - {TIME} "GET / HTTP/1.1 200 5', None, "a line without time, request and status"),
        ("sk-abcdefghijklmnop1234", None, "a line without time, request and status"),
        (b"\xff\xfe", None, "binary data (byte 1 is not UTF-8)"),
    ],
)
def test_a_bad_line(line: str | bytes, column: str | None, found: str) -> None:
    good = f'192.0.2.7 - - {TIME} "GET / HTTP/1.1" 200 5'
    trace = read(good, line, good)
    (error,) = trace.skipped
    assert (error.line, error.column, trace.source.lines) == (2, column, 2)
    assert error.found.startswith(found)
    assert "sk-" not in str(error)


@pytest.mark.parametrize(
    "foreign",
    [
        '"GET / HTTP/1.1" 200 5 "-" "curl" 1234',
        '"GET / HTTP/1.1" 200 5 "-" "curl" 0.123',
        '"GET / HTTP/1.1" 200 5 "-" "curl" rt=0.123',
        '"GET / HTTP/1.1" 200 5 "-" "curl" 190 "router" "http://h:80" 12ms',
        '"GET / HTTP/1.1" - - "-" "curl" 190 "-" "-" 0ms',
        "GET / 200",
    ],
)
def test_lines_of_other_formats_do_not_look_like_it(foreign: str) -> None:
    assert FORMAT.likeness(Head(f"192.0.2.7 - - {TIME} {foreign}".encode())) == 0.0


@needs_real
def test_real_files() -> None:
    files = {"nginx_http-logs.log": (8, [9]), "apache2-logs.log": (7, [8, 9])}
    for name, (rows, skipped) in files.items():
        trace = read_trace(REAL / "format_samples" / name)
        assert trace.source.format == "combined"
        assert (len(trace.attempts), [error.line for error in trace.skipped]) == (rows, skipped)


@needs_real
def test_five_thousand_real_lines() -> None:
    path = REAL / "elastic_apache_combined_1-5000.log.gz"
    trace = read_trace(path)
    assert (len(trace.attempts), trace.source.lines, trace.skipped) == (5_000, 5_000, ())
    statuses = [int(line.split(b'" ')[1][:3]) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert sorted(trace.attempts.status) == sorted(statuses)
    assert trace.attempts.outcome.value_counts().to_dict() == {
        "ok": 4889,
        "client_error": 109,
        "error": 2,
    } | dict.fromkeys(set(trace.attempts.outcome.cat.categories) - {"ok", "client_error", "error"}, 0)


@needs_real
def test_other_real_files_do_not_look_like_it() -> None:
    own = {"nginx_http-logs.log", "apache2-logs.log"}
    for path in REAL.rglob("*"):
        if path.is_file() and path.suffix != ".gz" and path.name not in own:
            assert FORMAT.likeness(Head(path.read_bytes()[:65536])) == 0.0, path.name


def test_the_recording_tells_what_the_json_of_the_same_run_tells() -> None:
    trace = read_trace(DATA / "combined.log")
    lines = [json.loads(line) for line in (DATA / "nginx_json.log").read_text(encoding="utf-8").splitlines()]
    attempts = trace.attempts.sort_values("request")
    assert trace.start is not None and not trace.skipped
    assert attempts.status.tolist() == [int(line["status"]) for line in lines]
    ends = [int(float(line["msec"])) for line in lines]  # nginx writes the END of a request, in whole seconds
    assert (attempts.time + trace.start.timestamp()).tolist() == ends
    assert "secret-of-a-caller" not in attempts.to_csv()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.binary(max_size=3), st.integers(0, 40))
def test_damage_costs_the_damaged_lines_only(at: int, put: bytes, cut: int) -> None:
    data = (DATA / "combined.log").read_bytes()
    damaged = data[:at] + put + data[at + cut :]
    trace = read_trace(io.BytesIO(damaged), format="combined")
    there = sum(1 for line in damaged.split(b"\n") if line.strip())
    assert trace.source.lines == len(trace.attempts)
    assert len(trace.attempts) + len(trace.skipped) == there
    assert len(trace.skipped) <= 4


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(TraceError):
        read(data)


# ---- the pieces


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10/Oct/2000:13:55:36 -0700", datetime(2000, 10, 10, 20, 55, 36, tzinfo=UTC)),
        ("29/Feb/2024:23:59:59 +0545", datetime(2024, 2, 29, 18, 14, 59, tzinfo=UTC)),
        ("01/Jan/1970:00:00:00 +0000", datetime(1970, 1, 1, tzinfo=UTC)),
        ("31/Dec/2016:23:59:60 +0000", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert clf_ns(text) == int(moment.timestamp()) * 10**9


@pytest.mark.parametrize(
    "text",
    ["", "10/Okt/2000:13:55:36 -0700", "10/oct/2000:13:55:36 -0700", "00/Oct/2000:13:55:36 -0700", "\u0661" * 26],
)
def test_no_times(text: str) -> None:
    with pytest.raises(BadRow):
        clf_ns(text)


def test_a_user_name_cannot_imitate_a_request() -> None:
    name = f"{TIME} \\x22GET /forged HTTP/1.1\\x22 200 5"
    line = common_line_in(f'192.0.2.7 - {name} {TIME} "GET /real HTTP/1.1" 500 5')
    assert line is not None and (line.request, line.status) == ("GET /real HTTP/1.1", "500")


def test_the_fields_behind_the_size() -> None:
    fields = fields_in('"-" "a \\"b\\" c" rt=0.1 urt="0.1, 0.2" x=')
    assert [(field.name, field.text, field.quoted) for field in fields] == [
        ("", "-", True),
        ("", 'a \\"b\\" c', True),
        ("rt", "0.1", False),
        ("urt", "0.1, 0.2", True),
        ("", "x=", False),
    ]


@pytest.mark.parametrize(
    ("request_line", "endpoint"),
    [
        ("GET / HTTP/1.1", "GET /"),
        ("M-SEARCH * HTTP/1.1", "M-SEARCH *"),
        ("CONNECT h:443 HTTP/1.1", "CONNECT h:443"),
        ("GET /a b HTTP/1.1", "GET /a"),
        ("get / HTTP/1.1", ""),
        ("\\x05\\x01", ""),
        ("GET", ""),
    ],
)
def test_request_lines(request_line: str, endpoint: str) -> None:
    assert endpoint_in(request_line) == endpoint
