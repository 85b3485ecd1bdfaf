"""nginx: lines made by hand, a recording beside what the servers saw, and a fresh run of the real program."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorders import nginx

from breakerlab.trace import Trace, TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import FORMATS
from breakerlab.trace.formats.nginx import FORMAT

DATA = Path(__file__).parents[3] / "data/formats"
REAL = Path(__file__).parents[4] / "shared" / "traces"
TOKEN = "secret-of-a-caller"

# (start from 13:59:59.878 in ms, latency in s, status, outcome, instance) of each attempt
Row = tuple[float, float | None, int | None, str, str]


def read(*lines: str | bytes | dict[str, object], format: str | None = "nginx") -> Trace:
    as_bytes = (json.dumps(line) if isinstance(line, dict) else line for line in lines)
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in as_bytes)
    return read_trace(io.BytesIO(data), format=format)


def rows_of(trace: Trace) -> list[Row]:
    attempts = trace.attempts
    assert trace.start is not None
    begin = trace.start.timestamp() - 1795614000.0
    return [
        (
            round((begin + row.time) * 1000 + 122),
            None if math.isnan(row.latency) else row.latency,
            None if row.status is None or row.status != row.status else int(row.status),
            row.outcome,
            getattr(row, "instance", ""),
        )
        for row in attempts.astype({"status": "float64"}).itertuples()
    ]


def line(**changes: object) -> dict[str, object]:
    return {
        "msec": "1795614000.000",  # 24 November 2026, 13:40 UTC
        "remote_addr": "10.0.0.1",
        "request": "GET /v1/items/7?key=abc HTTP/1.1",
        "status": "200",
        "request_time": "0.122",
    } | changes


def upstream(addr: str, status: str, took: str, **times: str) -> dict[str, object]:
    names = {"upstream_addr": addr, "upstream_status": status, "upstream_response_time": took}
    return names | {f"upstream_{name}_time": text for name, text in times.items()}


A, B = "10.1.0.1:80", "10.1.0.2:80"

LINES: list[tuple[str, dict[str, object], list[Row]]] = [
    ("answered by nginx", line(status=429), [(0, 0.122, 429, "throttled", "")]),
    ("no upstream", line(**upstream("", "", "")), [(0, 0.122, 200, "ok", "")]),
    ("no upstream, dashes", line(**upstream("-", "-", "-")), [(0, 0.122, 200, "ok", "")]),
    ("numbers", line(msec=1795614000.0, status=503, request_time=0.122), [(0, 0.122, 503, "error", "")]),
    ("caller gone", line(status="499"), [(0, 0.122, 499, "cancelled", "")]),
    ("closed without an answer", line(status="000"), [(0, 0.122, None, "connection", "")]),
    ("no latency", line(request_time="-"), [(122, None, 200, "ok", "")]),
    ("one attempt", line(**upstream(A, "200", "0.120")), [(0, 0.12, 200, "ok", A)]),
    (
        "passed on",
        line(**upstream(f"{A}, {B}", "502, 200", "0.002, 0.120")),
        [(0, 0.002, 502, "error", A), (2, 0.12, 200, "ok", B)],
    ),
    (
        "two groups of servers",
        line(status="504", **upstream(f"{A}, {B} : {A}", "502, 504 : 200", "0.002, 0.100 : 0.020")),
        [(0, 0.002, 502, "error", A), (2, 0.1, 504, "error", B), (102, 0.02, 200, "ok", A)],
    ),
    (
        "refused: no connect time",
        line(**upstream(f"{A}, {B}", "502, 200", "0.000, 0.120", connect="-, 0.001", header="-, 0.120")),
        [(0, 0.0, None, "connection", A), (0, 0.12, 200, "ok", B)],
    ),
    (
        "timed out: no header time",
        line(status="504", **upstream(f"{A}, {B}", "504, 504", "0.060, 0.060", connect="0.000, 0.001", header="-, -")),
        [(0, 0.06, None, "timeout", A), (60, 0.06, None, "timeout", B)],
    ),
    (
        "a 504 of the server's own",
        line(status="504", **upstream(A, "504", "0.120", connect="0.000", header="0.119")),
        [(0, 0.12, 504, "error", A)],
    ),
    (
        "no server thought alive",
        line(status="502", **upstream("llm", "502", "0.000", connect="-", header="-")),
        [(0, 0.0, None, "rejected", "llm")],
    ),
    (
        "caller gone before an answer",
        line(status="499", **upstream(f"{A}, {B}", "503, -", "0.002, 0.118")),
        [(0, 0.002, 503, "error", A), (2, 0.118, None, "cancelled", B)],
    ),
    (
        "caller gone in the middle of an answer",
        line(status="499", **upstream(A, "200", "0.122")),
        [(0, 0.122, 200, "cancelled", A)],
    ),
    (
        "the last attempt has no time",
        line(status="499", **upstream(f"{A}, {B}", "503, -", "0.002, -")),
        [(0, 0.002, 503, "error", A), (2, 0.12, None, "cancelled", B)],
    ),
    (
        "statuses are not logged",
        line(upstream_addr=f"{A}, {B}", upstream_response_time="0.002, 0.120"),
        [(0, 0.002, None, "error", A), (2, 0.12, 200, "ok", B)],
    ),
    (
        "times of attempts are not logged",
        line(upstream_addr=f"{A}, {B}", upstream_status="502, 200"),
        [(0, None, 502, "error", A), (0, None, 200, "ok", B)],
    ),
    (
        "a socket for a server",
        line(**upstream("unix:/run/app.sock", "200", "0.120")),
        [(0, 0.12, 200, "ok", "unix:/run/app.sock")],
    ),
    (
        "other names for the keys",
        {"timestamp": "2026-11-25T13:40:00.000+00:00", "clientip": "10.0.0.1", "url": "/a", "responsetime": 0.122,
         "upstreamtime": "0.120", "upstreamhost": A, "status": "200"},
        [(0, 0.12, 200, "ok", A)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "rows"), [case[1:] for case in LINES], ids=[case[0] for case in LINES])
def test_a_line_of_json(fields: dict[str, object], rows: list[Row]) -> None:
    trace = read(fields)
    assert rows_of(trace) == rows
    assert trace.attempts.attempt.tolist() == list(range(1, len(rows) + 1))
    assert set(trace.attempts.request) == {0}
    assert (trace.source.lines, trace.source.has_retries, trace.source.format) == (1, False, "nginx")


TAIL = '"GET /v1/items/7?key=abc HTTP/1.1" {} 512 "https://h/?token=abc" "agent (ua=\\x22x\\x22)"'
BEGIN = "10.0.0.1 - anna [25/Nov/2026:13:40:00 +0000] "

TEXT: list[tuple[str, str, list[Row]]] = [
    ("request time", BEGIN + TAIL.format(200) + " 0.122", [(0, 0.122, 200, "ok", "")]),
    ("quoted", BEGIN + TAIL.format(200) + ' "-" "0.122" "0.120"', [(0, 0.12, 200, "ok", "")]),
    ("both times", BEGIN + TAIL.format(200) + ' "10.9.9.9" 0.122 0.120', [(0, 0.12, 200, "ok", "")]),
    ("not passed on", BEGIN + TAIL.format(429) + " 0.122 -", [(0, 0.122, 429, "throttled", "")]),
    (
        "lists without names",
        BEGIN + TAIL.format(200) + f' 0.122 "{A}, {B}" "502, 200" "0.002, 0.120"',
        [(0, 0.002, 502, "error", A), (2, 0.12, 200, "ok", B)],
    ),
    (
        "a list without quotes",
        BEGIN + TAIL.format(200) + " 0.122 0.002, 0.120",
        [(0, 0.002, None, "error", ""), (2, 0.12, 200, "ok", "")],
    ),
    (
        "names",
        BEGIN
        + TAIL.format(200)
        + f' rt=0.122 ua="{A}, {B}" us="502, 200" urt="0.002, 0.120" uct="-, 0.001" uht="-, 0.1"',
        [(0, 0.002, None, "connection", A), (2, 0.12, 200, "ok", B)],
    ),
    ("ua is the agent", BEGIN + TAIL.format(200) + ' rt=0.122 ua="curl/8 (x)"', [(0, 0.122, 200, "ok", "")]),
    (
        "ingress-nginx",
        BEGIN
        + TAIL.format(200)
        + f" 431 0.122 [shop-web-80] [] {A}, {B} 0, 512 0.002, 0.120 502, 200 5d41402abc4b2a76",
        [(0, 0.002, 502, "error", A), (2, 0.12, 200, "ok", B)],
    ),
    (
        "ingress-nginx, not passed on",
        BEGIN + TAIL.format(503) + " 431 0.122 [shop-web-80] [] - - - - 5d41402abc4b2a76",
        [(0, 0.122, 503, "error", "")],
    ),
]


@pytest.mark.parametrize(("text", "rows"), [case[1:] for case in TEXT], ids=[case[0] for case in TEXT])
def test_a_line_of_text(text: str, rows: list[Row]) -> None:
    assert FORMAT.likeness(Head(text.encode())) == 1.0
    trace = read(text, format=None)
    assert rows_of(trace) == rows
    assert set(trace.attempts.endpoint) == {"GET /v1/items/{id}"}
    assert set(trace.attempts.client) == {"10.0.0.1"}
    assert trace.source.cannot_tell[0] in ("retries", "retries of the callers")
    assert trace.source.cannot_tell[1] == "sub-second times"


@pytest.mark.parametrize(
    ("keys", "endpoint"),
    [
        ({"request": "POST /a/b?x=1 HTTP/2.0"}, "POST /a/b"),
        ({"request": "-"}, ""),
        ({"request": ""}, ""),
        ({"request": "\x16\x03\x01 abc"}, ""),
        ({"request": "/a"}, "/a"),
        ({"request": "", "request_method": "PUT", "uri": "/a?b"}, "PUT /a"),
        ({"request_method": "PUT", "request_uri": "/a?b", "uri": "/c"}, "PUT /a"),
        ({"uri": "/a b"}, "/a"),
        ({"request": "GET http://host.example/a?b HTTP/1.1"}, "GET /a"),
        ({}, ""),
    ],
)
def test_the_endpoint(keys: dict[str, object], endpoint: str) -> None:
    row = {key: value for key, value in line().items() if key != "request"} | keys
    assert read(row).attempts.endpoint.tolist() == [endpoint]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1795614000.5", ()),
        ("1795614000", ("sub-second times",)),
        ("1795614000500", ()),
        ("2026-11-25T13:40:00+00:00", ("sub-second times",)),
        ("2026-11-25T15:40:00.500+02:00", ()),
        ("2026-11-25 13:40:00", ("sub-second times", "time zone")),
        ("25/Nov/2026:05:40:00 -0800", ("sub-second times",)),
        ("[25/Nov/2026:13:40:00 +0000]", ("sub-second times",)),
    ],
)
def test_times(text: str, told: tuple[str, ...]) -> None:
    trace = read(line(msec=text, request_time="0.000"))
    assert trace.start is not None and trace.start.isoformat() == "2026-11-25T13:40:00+00:00"
    assert trace.attempts.time.tolist() == [0.0 if "sub-second times" in told else 0.5]
    assert set(trace.source.cannot_tell) == {"retries", *told}


def test_what_a_log_cannot_tell() -> None:
    row = {"msec": 1795614000.5, "status": 200, "upstream_addr": f"{A}, {B}", "upstream_status": "502, 200"}
    told = read(row).source.cannot_tell
    assert told == ("retries of the callers", "timeouts", "start of each attempt", "latency", "client", "endpoint")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("", None), ("-", None), ("Wed, 25 Nov 2026 13:41:00 GMT", None), ("-1", None), ("9" * 30, None)],
)
def test_retry_after_belongs_to_the_last_attempt(header: str, seconds: float | None) -> None:
    row = line(**upstream(f"{A}, {B}", "503, 503", "0.002, 0.120"), upstream_http_retry_after=header)
    first, last = read(row).attempts.retry_after
    assert math.isnan(first)
    assert (None if math.isnan(last) else last) == seconds


BAD: list[tuple[str | bytes | dict[str, object], str | None, str]] = [
    (line(status="abc"), "status", "text of 3 characters"),
    (line(status="009"), "status", '"009"'),
    (line(status=20), "status", '"20"'),
    (line(status=True), None, "true"),
    (line(status={"a": 1}), None, "an object"),
    ({"msec": 1.0}, "status", "no such key"),
    (line(request_time="0.1s"), "latency", "text of 4 characters"),
    (line(request_time=-1), "latency", '"-1"'),
    (line(request_time=10**400), None, "a number of more than 40 digits"),
    (line(msec="now"), "time", "text of 3 characters"),
    (line(msec=""), "time", "no time"),
    (line(msec="99/Nov/2026:13:40:00 +0000"), "time", "a day that no calendar has"),
    (line(msec="9999-12-31T23:59:59+00:00"), "time", "253402300798878000000"),
    (line(msec="0.1"), "time", "-22000000"),
    (line(**upstream(f"{A}, {B}", "502, 503, 200", "0.002, 0.120")), "upstream_addr", "2 of them"),
    (line(**upstream(A, "abc", "0.002")), "status", "text of 3 characters"),
    (b'{"msec":', None, "a truncated line (it ends after character 8)"),
    (b'{"msec":NaN,"status":200}', None, "NaN or infinity"),
    (b'{"upstream_status":502, 200,"status":1}', None, "broken JSON (at character 25)"),
    (b'{"a":' + b"[" * 100_000, None, "an object nested too deep"),
    (b'{"a":' + b"9" * 10_000 + b"}", None, "a number of thousands of digits"),
    (b'{"status":"\xff"}', None, "binary data (byte 12 is not UTF-8)"),
    (b"\x00", None, "binary data (a NUL byte)"),
    ("2026/11/25 13:40:00 [error] 31#31: *46 connect() failed", None, "a line without time, request and status"),
    ("x" * 500_000, None, "a line without time, request and status"),
]


@pytest.mark.parametrize(("bad", "column", "found"), BAD)
def test_a_bad_line_costs_itself_only(bad: str | bytes | dict[str, object], column: str | None, found: str) -> None:
    trace = read(line(), bad, line())
    (error,) = trace.skipped
    assert (error.line, error.column, len(trace.attempts), trace.source.lines) == (2, column, 2, 2)
    assert error.found.startswith(found)


@pytest.mark.parametrize("mark", ['"', "\\", "[", " ", "a", "1", "-", ",", "{", ", ", " : ", "rt=", "0.1,"])
def test_a_line_of_one_mark_takes_no_time(mark: str) -> None:
    rest = mark * (100_000 // len(mark))
    begun = time.process_time()
    read(line(), rest, BEGIN + rest, BEGIN + TAIL.format(200) + " " + rest, line(upstream_status=rest))
    assert time.process_time() - begun < 10.0  # quadratic time would be minutes


def test_secrets_stay_out() -> None:
    secrets = ("sk-abcdefghijklmnop1234", "anna@example.org", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.abc")
    lines: list[object] = []
    for secret in secrets:
        lines += [line(request=f"GET /a/{secret}?k={secret} HTTP/1.1", http_user_agent=secret, remote_user=secret)]
        lines += [line(status=secret), line(msec=secret), line(request_time=secret), line(upstream_addr=secret)]
        lines += [
            f'10.0.0.1 - {secret} [25/Nov/2026:13:40:00 +0000] "GET /?{secret} HTTP/1.1" 200 5 "{secret}" "x" 0.1'
        ]
        lines += [secret, '{"' + secret + '":' + secret]
    trace = read(*lines)  # type: ignore[arg-type]
    told = trace.attempts.to_csv() + repr(trace) + str(trace.source) + "".join(map(str, trace.skipped))
    assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize("name", ["nginx_json.log", "nginx_text.log"])
def test_every_line_is_accounted_for_when_the_recording_is_damaged(name: str) -> None:
    data = (DATA / name).read_bytes()
    lines = data.count(b"\n")

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, len(data) - 1), st.binary(min_size=1, max_size=3), st.integers(0, 60))
    def damage(at: int, put: bytes, cut: int) -> None:
        damaged = data[:at] + put + data[at + cut :]
        try:
            trace = read_trace(io.BytesIO(damaged), format="nginx")
        except TraceError:
            pytest.fail("one damaged place made the whole file unreadable")
        there = sum(1 for one in damaged.split(b"\n") if one.strip())
        assert trace.source.lines + sum(error.lines for error in trace.skipped) == there
        assert trace.attempts.request.nunique() == trace.source.lines
        assert lines - 60 <= there

    damage()


@pytest.mark.parametrize(
    "foreign",
    [
        b'{"kind":"attempt","time":1.0,"latency":0.5,"status":200,"outcome":"ok","service":"llm","request":1,"attempt":1}',
        b'{"level":"info","ts":1693840791.7,"request":{"remote_ip":"10.0.0.1","method":"GET"},"duration":0.1,"status":200}',
        b'{"ClientAddr":"10.0.0.1:1","DownstreamStatus":200,"Duration":357313,"RetryAttempts":0,"time":"2026-11-24T14:00:00Z"}',
        b'{"start_time":"2026-11-24T14:00:00.000Z","response_code":200,"response_flags":"-","duration":5,"path":"/"}',
        b'{"attack":"","seq":0,"code":200,"timestamp":"2026-11-24T14:00:00Z","latency":5,"method":"GET","url":"http://h/"}',
        b'127.0.0.1 - - [24/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl"',
        b'127.0.0.1 - - [24/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 5 "0.123" "0.123"',
        b'127.0.0.1 - - [24/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl" 1234',
        b'127.0.0.1 - - [24/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl" 190 "r" "http://h:80" 12ms',
        b"[1, 2]",
        b"{" * 10_000,
        b"",
    ],
)
def test_foreign_lines_do_not_look_like_nginx(foreign: bytes) -> None:
    assert FORMAT.likeness(Head(foreign)) == 0.0


@pytest.mark.skipif(not REAL.exists(), reason="the real traces are not on this machine")
def test_foreign_files_do_not_look_like_nginx() -> None:
    for path in REAL.rglob("*"):
        if path.is_file() and path.suffix != ".gz":
            assert FORMAT.likeness(Head(path.read_bytes()[:65536])) == 0.0, path.name


# ---- what nginx wrote, beside what the servers saw

MILLISECONDS = 0.001
LOG_CLOCK = 0.006
"""nginx takes the time once per round of its loop, in whole milliseconds, and a start is a time less a duration."""
BUSY = 0.25
"""How late a server may notice a request, or that it is done; in the recording, on a machine with little to do."""
LOADED = 5.0
"""The same in a fresh run, on a machine that may run other tests."""


def check(trace: Trace, numbers: list[int], truth: list[dict[str, str]], resolution: float, busy: float = BUSY) -> None:
    """Attempts that reached a server are those that the servers saw, and nearly at the same time."""
    assert trace.start is not None
    zero = round(trace.start.timestamp() * 1e9)
    attempts = trace.attempts
    sent = attempts[~attempts.outcome.isin(["connection", "rejected"]) & (attempts.instance != "")]
    seen: dict[int, list[dict[str, str]]] = {}
    for row in truth:
        seen.setdefault(int(row["number"]), []).append(row)
    assert len(sent) == len(truth)
    latenesses, longer = [], []
    for request, rows in sent.groupby("request"):
        account = seen[numbers[int(request)]]
        assert rows.instance.tolist() == [row["server"] for row in account]
        for row, own in zip(rows.itertuples(), account, strict=True):
            if row.outcome not in ("timeout", "cancelled"):
                assert str(row.status) == own["status"]
                took = (int(own["ended"]) - int(own["begun"])) / 1e9
                assert -busy < row.latency - took < busy
                longer.append(row.latency - took)
            lateness = (int(own["begun"]) - zero) / 1e9 - row.time
            assert -LOG_CLOCK - (busy - BUSY) < lateness < resolution + busy
            latenesses.append(lateness)
    assert sorted(latenesses)[len(latenesses) // 2] < resolution + busy / 10
    assert -2 * LOG_CLOCK < sorted(longer)[len(longer) // 2] < busy / 10


def check_the_rest(trace: Trace, requests: int, busy: float = BUSY) -> None:
    attempts = trace.attempts
    assert attempts.request.nunique() == requests == trace.source.lines
    outcomes = Counter(attempts.outcome)
    assert {"ok", "error", "timeout", "connection", "rejected", "cancelled"} == set(outcomes)
    assert not trace.skipped
    assert attempts.time.min() >= 0.0 and attempts.latency.notna().all()
    timed_out = attempts.latency[attempts.outcome == "timeout"]
    assert (timed_out - nginx.READ_TIMEOUT).abs().max() < busy
    assert TOKEN not in attempts.to_csv()
    assert set(attempts.endpoint) == {"POST /v1/chat", "GET /alive", "POST /half", "POST /none"}


def numbers_in(path: Path) -> list[int]:
    return [int(json.loads(line)["number"]) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("name", "resolution"), [("nginx_json.log", MILLISECONDS), ("nginx_text.log", 1.0)])
def test_the_recording_tells_what_the_servers_saw(name: str, resolution: float) -> None:
    numbers = numbers_in(DATA / "nginx_json.log")
    with open(DATA / "nginx.truth.csv", encoding="utf-8", newline="") as file:
        truth = list(csv.DictReader(file))
    trace = read_trace(DATA / name)
    check(trace, numbers, truth, resolution)
    check_the_rest(trace, len(numbers))
    assert trace.source.cannot_tell == ("retries of the callers", *(() if "json" in name else ("sub-second times",)))


def test_both_recordings_tell_the_same() -> None:
    as_json, text = (read_trace(DATA / name).attempts for name in ("nginx_json.log", "nginx_text.log"))
    order = ["request", "attempt"]
    kept = [*order, "latency", "status", "outcome", "instance", "endpoint", "retry_after"]
    left, right = (
        frame.sort_values(order)[kept].astype({"outcome": str, "instance": str, "endpoint": str})
        for frame in (as_json, text)
    )
    assert left.reset_index(drop=True).equals(right.reset_index(drop=True))


def test_a_fresh_run_of_nginx(tmp_path: Path) -> None:
    recording = nginx.run(tmp_path, calm=20, bad=24)
    names = ("number", "server", "begun", "ended", "method", "path", "status")
    truth = [dict(zip(names, map(str, row), strict=True)) for row in recording.truth()]
    numbers = numbers_in(tmp_path / "nginx_json.log")
    for name, resolution in (("nginx_json.log", MILLISECONDS), ("nginx_text.log", 1.0)):
        trace = read_trace(tmp_path / name)
        check(trace, numbers, truth, resolution, LOADED)
        check_the_rest(trace, len(numbers), LOADED)


def test_the_formats_are_told_apart() -> None:
    chosen = {}
    for name in nginx.LOGS:
        head = Head((DATA / name).read_bytes()[:65536])
        chosen[name] = max(FORMATS, key=lambda known: known.likeness(head)).name
    assert chosen == {"nginx_json.log": "nginx", "nginx_text.log": "nginx", "combined.log": "combined"}
