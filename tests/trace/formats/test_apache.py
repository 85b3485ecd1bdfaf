"""Apache's access log with %D, as Apache's own recording and lines made by hand have it."""

from __future__ import annotations

import io

import pytest

from breakerlab.trace import Trace, TraceError, read_trace

BEGINNING = '192.0.2.7 - bob [24/Nov/2026:14:02:43 +0100] "GET /users/42?key=hidden HTTP/1.1"'
AGENT = '"http://example.test/hidden" "agent \\"hidden\\" 77"'


def read(*lines: str) -> Trace:
    return read_trace(io.BytesIO("\n".join(lines).encode("utf-8", "surrogateescape")), format="apache")


def latency(rest: str) -> float | None:
    trace = read(f"{BEGINNING} 200 357 {rest}")
    value = trace.attempts["latency"][0]
    assert ("latency" in trace.source.cannot_tell) == (value != value)
    return None if value != value else value


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (f"{AGENT} 12345", 0.012345),
        ("12345", 0.012345),  # common with %D
        (f"{AGENT} 12345 +", 0.012345),
        (f'{AGENT} "192.0.2.9" 12345', 0.012345),
        (f'{AGENT} 12345 "192.0.2.9"', 0.012345),
        (f"{AGENT} **12345**", 0.012345),
        (f"{AGENT} 12345us", 0.012345),
        (f"{AGENT} 12345µs", 0.012345),
        (f"{AGENT} 12ms", 0.012),
        (f"{AGENT} 3s", 3.0),
        (f"{AGENT} D=12345", 0.012345),
        (f"{AGENT} duration=12ms", 0.012),
        (f"{AGENT} 3/3012345", 3.012345),  # %T/%D
        (f"{AGENT} **0/12345**", 0.012345),
        (f"{AGENT} 223 364", None),  # %I %O, bytes in and out
        (f"{AGENT} 3/12345", None),
        (f"{AGENT} 0.012", None),  # nginx
        (f"{AGENT} 0.012 357", None),
        (f"{AGENT} ttfb=12ms", None),
        (f"{AGENT} -", None),
        (AGENT, None),
        ("", None),
        (f"{AGENT} 5", None),  # nothing takes 5 microseconds
        (f"{AGENT} 0", None),
    ],
)
def test_what_a_line_tells_of_its_duration(rest, expected):
    assert latency(rest) == expected


def test_a_whole_row():
    trace = read(f"www.example.test:443 {BEGINNING} 503 357 {AGENT} 12345")
    row = trace.attempts.iloc[0].to_dict()
    assert trace.start.isoformat() == "2026-11-24T13:02:43+00:00"  # the START of the request; +0100 in the log
    assert row["retry_after"] != row["retry_after"]
    del row["retry_after"]
    assert row == {
        "time": 0.0, "latency": 0.012345, "status": 503, "outcome": "error", "service": "api", "request": 0,
        "attempt": 1, "client": "192.0.2.7", "endpoint": "GET /users/{id}",
    }  # fmt: skip
    assert not trace.source.has_retries
    assert trace.source.cannot_tell == ("retries", "sub-second times")


@pytest.mark.parametrize(("decimals", "time"), [(".5", 0.5), (".587", 0.587), (".587782", 0.587782)])
def test_a_time_may_have_decimals(decimals, time):
    trace = read(f"{BEGINNING} 200 357 {AGENT} 12345".replace(":43 ", f":43{decimals} "))
    assert trace.attempts["time"][0] == time
    assert trace.source.cannot_tell == ("retries",)


@pytest.mark.parametrize(
    ("request_line", "status", "end", "endpoint", "outcome"),
    [
        ("GET / HTTP/1.1", "200", "12345 X", "GET /", "cancelled"),
        ("GET / HTTP/1.1", "200", "12345 -", "GET /", "ok"),
        ("GET / HTTP/1.1", "-", "12345", "GET /", "connection"),
        ("GET / HTTP/1.1", "429", "12345", "GET /", "throttled"),
        ("-", "408", "20012345", "", "client_error"),
        ("\\x16\\x03\\x01", "400", "12345", "", "client_error"),
        ('GET /a%20b\\"c HTTP/1.1', "404", "12345", 'GET /a%20b\\"c', "client_error"),
        ("OPTIONS * HTTP/1.0", "200", "12345", "OPTIONS *", "ok"),
    ],
)
def test_outcomes_and_endpoints(request_line, status, end, endpoint, outcome):
    row = read(f'192.0.2.7 - - [24/Nov/2026:14:02:43 +0000] "{request_line}" {status} - {AGENT} {end}').attempts.iloc[0]
    assert (row["endpoint"], row["outcome"]) == (endpoint, outcome)


def lines_of(calls: list[tuple[int, int]]) -> list[str]:
    """Lines as Apache writes them, in order of the ends: (second of the start, what stands at the end)."""
    return [
        f'192.0.2.7 - - [24/Nov/2026:14:{start // 60:02}:{start % 60:02} +0000] "GET / HTTP/1.1" 200 1 {AGENT} {number}'
        for start, number in calls
    ]


def calls_of(unit: float) -> list[tuple[int, int]]:
    """A request every second that takes 0.2 to 0.6 s, and every tenth takes 30 s."""
    calls = [(k, 30.0 if k % 10 == 5 else 0.2 + (k % 5) / 10) for k in range(200)]
    return [(start, int(took / unit)) for start, took in sorted(calls, key=lambda call: call[0] + call[1])]


@pytest.mark.parametrize(("unit", "told"), [(1e-6, True), (1e-3, False), (1.0, False)])
def test_a_number_that_is_no_microseconds_is_told_by_the_order_of_the_lines(unit, told):
    trace = read(*lines_of(calls_of(unit)))
    assert trace.attempts["latency"].notna().all() == told
    assert trace.attempts["latency"].isna().all() != told
    assert ("latency" in trace.source.cannot_tell) != told
    assert any("unit" in word for word in trace.source.cannot_tell) != told


@pytest.mark.parametrize(
    "order",
    [
        lambda calls: sorted(calls),  # sorted by their start afterwards
        lambda calls: calls[100:] + calls[:100],  # the newer file first
        lambda calls: calls + calls,  # two servers one after the other
    ],
)
def test_microseconds_stay_microseconds_however_the_log_was_put_together(order):
    trace = read(*lines_of(order(calls_of(1e-6))))
    assert trace.attempts["latency"].max() == 30.0


def test_one_wrong_time_does_not_hide_the_unit():
    future = lines_of([(0, 12345)])[0].replace("2026", "2027")
    assert read(future, *lines_of(calls_of(1e-3))).attempts["latency"].isna().all()


def test_one_and_the_same_number_on_all_lines_is_no_duration():
    assert read(*lines_of([(k, 8080) for k in range(30)])).attempts["latency"].isna().all()


def test_a_unit_that_is_said_needs_no_evidence():
    lines = [f"{line}ms" for line in lines_of(calls_of(1e-3))]
    assert read(*lines).attempts["latency"].max() == 30.0


@pytest.mark.parametrize(
    ("bad", "column"),
    [
        ("[Thu Oct 13 12:24:49.880562 2022] [auth_basic:error] [pid 10] [client 192.0.2.7] AH01618: user hidden", None),
        (f"{BEGINNING} 99 1 {AGENT} 12345", "status"),
        (f"{BEGINNING} 2000 1 {AGENT} 12345", "status"),
        (f"{BEGINNING} 200 1 {AGENT} 9999999999999999", "latency"),
        (f"{BEGINNING} 200 1 {AGENT} 12345".replace("24/Nov", "31/Nov"), "time"),
        (f"{BEGINNING} 200 1 {AGENT} 12345".replace("2026", "1969"), "time"),
        (f"{BEGINNING} 200 1 {AGENT} 12345".replace("2026", "0000"), "time"),
        ("\udcff\udcfe", None),
        ("[" * 1_000_000, None),
        ('"' * 1_000_000, None),
        (f"{BEGINNING[:-9]}{' ' * 1_000_000}", None),
    ],
)
def test_what_is_no_line_costs_itself_only(bad, column):
    good = f"{BEGINNING} 200 1 {AGENT} 12345"
    trace = read(good, bad, good)
    assert len(trace.attempts) == trace.source.lines == 2
    (skipped,) = trace.skipped
    assert (skipped.line, skipped.column) == (2, column)
    assert "hidden" not in str(skipped)


def test_a_log_of_errors_only_is_refused():
    with pytest.raises(TraceError, match="no readable row"):
        read("[Thu Oct 13 12:24:49.880562 2022] [core:error] hidden")
