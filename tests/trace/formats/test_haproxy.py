"""HAProxy's HTTP log: lines by hand, what the real program wrote beside what the server saw, real lines of others."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from recorders import haproxy
from recorders.truth import read_truth
from recorders.witness import Seen

from breakerlab.trace import Trace, TraceError, read_trace

DATA = Path(__file__).parents[3] / "data" / "formats"
REAL = Path(__file__).parents[4] / "shared" / "traces" / "format_samples" / "haproxy-logs.log"
NAN = math.nan

RESOLUTION = 0.001
"""HAProxy writes whole milliseconds."""
USUAL, AT_MOST = 0.02, 0.25
"""What lies between the proxy's clock reading and the server's, s: a connection, and the machine's other work. In a run
at test time the machine may be arbitrarily busy, so there it only has to be the same request.
"""


def _line(
    target: str = "api/one",
    timers: str = "0/0/1/20/22",
    status: str = "200",
    state: str = "----",
    counts: str = "1/1/1/1/0",
    rest: str = '"GET /a HTTP/1.1"',
    *,
    before: str = "",
    client: str = "10.0.0.7:5000",
    date: str = "25/Nov/2026:18:40:08.067",
) -> str:
    return f"{before}{client} [{date}] front {target} {timers} {status} 307 - - {state} {counts} 0/0 {rest}"


def _read(*lines: str | bytes) -> Trace:
    text = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return read_trace(io.BytesIO(text), format="haproxy")


def _only(line: str) -> pd.Series:
    (_, row) = next(_read(line).attempts.iterrows())
    return row


def test_a_whole_row() -> None:
    trace = _read(_line(rest='{Mozilla|secret} {} "GET /v1/users/42?token=abc HTTP/1.1"'))
    assert str(trace.start) == "2026-11-25 18:40:08+00:00"
    (row,) = trace.attempts.to_dict("records")
    assert row == {
        "time": 0.067,
        "latency": 0.022,
        "status": 200,
        "outcome": "ok",
        "service": "api",
        "request": 0,
        "attempt": 1,
        "client": "10.0.0.7",
        "endpoint": "GET /v1/users/{id}",
        "retry_after": pytest.approx(NAN, nan_ok=True),
        "instance": "one",
    }
    assert not trace.source.has_retries
    assert trace.source.cannot_tell == ("retries of the callers", "time zone")


@pytest.mark.parametrize(
    ("status", "state", "target", "outcome"),
    [
        ("200", "----", "api/one", "ok"),
        ("200", "--NN", "api/one", "ok"),
        ("200", "--", "api/one", "ok"),
        ("404", "----", "api/one", "client_error"),
        ("429", "----", "api/one", "throttled"),
        ("503", "----", "api/one", "error"),
        ("504", "sH--", "api/one", "timeout"),
        ("503", "sC--", "api/one", "timeout"),
        ("200", "sD--", "api/one", "timeout"),
        ("503", "SC--", "api/one", "connection"),
        ("502", "SH--", "api/one", "connection"),
        ("200", "SD--", "api/one", "connection"),
        ("200", "DDNI", "api/one", "connection"),
        ("503", "SC--", "api/<NOSRV>", "rejected"),
        ("503", "sQ--", "api/<NOSRV>", "rejected"),
        ("503", "PC--", "api/one", "rejected"),
        ("503", "RC--", "api/one", "rejected"),
        ("429", "PR--", "front/<NOSRV>", "throttled"),
        ("403", "PR--", "front/<NOSRV>", "client_error"),
        ("500", "PT--", "front/<NOSRV>", "rejected"),
        ("502", "PH--", "api/one", "error"),
        ("200", "CD--", "api/one", "cancelled"),
        ("200", "cD--", "api/one", "cancelled"),
        ("400", "CH--", "api/one", "cancelled"),
        ("503", "CQ--", "api/<NOSRV>", "cancelled"),
        ("408", "cR--", "front/<NOSRV>", "client_error"),
        ("-1", "CR--", "front/<NOSRV>", "cancelled"),
        ("-1", "cR--", "front/<NOSRV>", "cancelled"),
        ("-1", "----", "api/one", "connection"),
        ("301", "LR--", "front/<NOSRV>", "ok"),
    ],
)
def test_outcomes(status: str, state: str, target: str, outcome: str) -> None:
    row = _only(_line(target, status=status, state=state))
    assert row["outcome"] == outcome
    assert pd.isna(row["status"]) if status == "-1" else row["status"] == int(status)


@pytest.mark.parametrize(
    ("counts", "timers", "expected"),
    [
        ("1/1/1/1/0", "0/30/1/20/51", [(1, 0.067, 0.051, "ok", "one")]),
        ("1/1/1/1/1", "2/200/1/20/223", [(1, 0.067, NAN, "connection", "one"), (2, 0.269, 0.021, "ok", "one")]),
        ("1/1/1/1/+1", "0/0/1/20/21", [(1, 0.067, NAN, "connection", ""), (2, 0.067, 0.021, "ok", "one")]),
        (
            "1/1/1/1/2",
            "0/203/-1/-1/203",
            [(1, 0.067, NAN, "connection", "one"), (2, 0.067, NAN, "connection", "one"), (3, 0.27, 0.0, "ok", "one")],
        ),
    ],
)
def test_a_line_with_retries_is_several_attempts_of_one_request(
    counts: str, timers: str, expected: list[object]
) -> None:
    trace = _read(_line(counts=counts, timers=timers))
    attempts = trace.attempts
    assert set(attempts["request"]) == {0}
    columns = ["attempt", "time", "latency", "outcome", "instance"]
    found = [tuple(row) for row in attempts[columns].itertuples(index=False)]
    assert found == pytest.approx([pytest.approx(row, nan_ok=True) for row in expected])
    (request,) = trace.requests.to_dict("records")
    assert request["attempts"] == len(expected)
    assert request["latency"] == pytest.approx(int(timers.rpartition("/")[2]) / 1000)
    retried = "outcome of the attempts before the last" in trace.source.cannot_tell
    assert retried == (len(expected) > 1)


@pytest.mark.parametrize(
    ("line", "client", "endpoint"),
    [
        (_line(before="Nov 25 18:40:08 lb haproxy[1234]: "), "10.0.0.7", "GET /a"),
        (_line(before='<134>1 2026-11-25T18:40:08Z lb haproxy 12 - [meta x="1"] '), "10.0.0.7", "GET /a"),
        (_line(client="::1:5000"), "::1", "GET /a"),
        (_line(client="::ffff:10.0.0.7:5000"), "::ffff:10.0.0.7", "GET /a"),
        (_line(client="unix:1"), "unix", "GET /a"),
        (_line(rest='"GET https://example.com/a/77?x=1 HTTP/2.0"'), "10.0.0.7", "GET /a/{id}"),
        (_line(rest='"<BADREQ>"'), "10.0.0.7", ""),
        (_line(rest='"GET /a HTTP/1.1" 0/0000000000000000/0/0/0 -/TLSv1.3/TLS_AES'), "10.0.0.7", "GET /a"),
        (_line(rest='{agent|} {} "GET /cut/off/in/the/mid'), "10.0.0.7", "GET /cut/off/in/the/mid"),
        (_line(rest="{an endless header that fills the line"), "10.0.0.7", ""),
    ],
)
def test_clients_and_requests(line: str, client: str, endpoint: str) -> None:
    row = _only(line)
    assert (row["client"], row["endpoint"]) == (client, endpoint)


@pytest.mark.parametrize(("zone", "time"), [("+0130", "17:10:08"), ("-0130", "20:10:08"), ("+0000", "18:40:08")])
def test_dates_with_a_zone_and_without_milliseconds(zone: str, time: str) -> None:
    trace = _read(_line(date=f"25/Nov/2026:18:40:08 {zone}"))
    assert str(trace.start) == f"2026-11-25 {time}+00:00"
    assert trace.source.cannot_tell == ("retries of the callers", "sub-second times")


def test_a_line_logged_as_soon_as_possible_says_so() -> None:
    trace = _read(_line(timers="0/0/1/20/+22"))
    assert trace.attempts["latency"].tolist() == [0.022]
    assert "time until the whole answer (option logasap)" in trace.source.cannot_tell


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("Server api/one is DOWN, reason: Layer4 connection problem", None),
        ("10.0.0.7:5000 [25/Nov/2026:18:40:08.067] front/bind: SSL handshake failure", None),
        ("10.0.0.7:5000 [25/Nov/2026:18:40:08.067] front api/one 0/0/20 100 -- 1/1/1/1/0 0/0", "timers"),
        (_line(date="31/Feb/2026:18:40:08.067"), "time"),
        (_line(date="25/Foo/2026:18:40:08.067"), "time"),
        (_line(date="25/Nov/1969:18:40:08.067"), "time"),
        (_line(date="31/Dec/1969:23:59:59.990", timers="0/20/0/1/21", counts="1/1/1/1/1"), "time"),  # no half request
        (_line(date="25/Nov/9999:23:59:59.999 -1200"), "time"),
        (_line(timers="0/0/1/20"), "timers"),
        (_line(timers="0/0/1/20/x"), "timers"),
        (_line(timers="0/0/1/20/9999999999999"), "timers"),
        (_line(status="2000"), "status"),
        (_line(status="ok"), "status"),
        (_line(state="-"), "termination state"),
        (_line(counts="1/1/1/1"), "connections"),
        (_line(counts="1/1/1/1/40000"), "retries"),
        (_line()[:80], None),
        ("\x00", None),
    ],
)
def test_lines_that_cannot_be_read(line: str, column: str | None) -> None:
    trace = _read(_line(), line)
    assert len(trace.attempts) == 1
    (error,) = trace.skipped
    assert (error.line, error.column) == (2, column)
    assert trace.source.lines == 1


def test_nothing_readable() -> None:
    with pytest.raises(TraceError, match="no readable row"):
        _read("a", "b")


@pytest.mark.skipif(not REAL.exists(), reason="the real logs are not here")
def test_real_lines() -> None:
    trace = read_trace(REAL)
    assert trace.attempts["latency"].tolist() == [0.173, 1.264]
    assert trace.attempts["service"].tolist() == ["xx_server_https", "maskurl"]
    assert [error.line for error in trace.skipped] == [3, 4, 5]


def _recorded() -> tuple[bytes, list[Seen]]:
    return (DATA / "haproxy.log").read_bytes(), read_truth(DATA / "haproxy.truth.csv")


def _live() -> tuple[bytes, list[Seen]]:
    recording = haproxy.run("option httpslog", per_phase=8)
    return recording.log, recording.seen


@pytest.mark.parametrize(
    ("run", "usual", "at_most"), [(_recorded, USUAL, AT_MOST), (_live, 5.0, 10.0)], ids=["committed", "live"]
)
def test_as_the_server_itself_saw_it(run: Callable[[], tuple[bytes, list[Seen]]], usual: float, at_most: float) -> None:
    log, seen = run()
    trace = read_trace(io.BytesIO(log))
    assert not trace.skipped
    assert trace.source.lines == log.count(b"\n")
    assert {"timeout", "connection", "rejected", "cancelled", "throttled", "error"} <= set(trace.attempts["outcome"])

    ids = [found[1] for found in re.finditer(r"\{(r\d+)\}", log.decode())]
    truth: dict[str, list[Seen]] = {}
    for one in sorted(seen, key=lambda one: one.begun):
        truth.setdefault(one.headers["x-request-id"], []).append(one)
    reached = trace.attempts[trace.attempts["service"].isin(["chat", "narrow", "again", "half"])]
    assert trace.start is not None
    zero = int(trace.start.timestamp()) * 10**9
    starts, latencies = [], []
    for request, attempts in reached.groupby("request"):
        last = attempts.sort_values("attempt").iloc[-1]
        met = truth.get(ids[request], [])
        if last["outcome"] == "rejected":
            assert not met
            continue
        # every attempt reached the server, but for those that the closed port refused
        refused = (attempts["attempt"] < last["attempt"]).sum() if last["service"] == "half" else 0
        if last["outcome"] == "cancelled":
            assert len(met) <= len(attempts)
            continue
        assert len(attempts) - refused == len(met)
        if last["outcome"] in ("ok", "error"):
            assert last["status"] == met[-1].status
            latencies.append(last["latency"] - met[-1].seconds)
        starts.append((met[-1].begun - zero) / 1e9 - last["time"])
    assert min(starts) >= -RESOLUTION and max(starts) < at_most
    assert pd.Series(starts).median() < usual
    assert max(map(abs, latencies)) < at_most
    assert abs(pd.Series(latencies).median()) < usual

    dead = trace.requests.query("service == 'dead'")
    assert set(dead["attempts"]) == {3}  # retries 2
    timeouts = trace.attempts.query("outcome == 'timeout'")["latency"]
    assert len(timeouts) and all(haproxy.TIMEOUT - RESOLUTION <= one < haproxy.TIMEOUT + at_most for one in timeouts)
    statuses = Counter(one.status for one in seen)
    ours = Counter(reached.query("outcome in ('ok', 'error')")["status"])
    assert ours[503] <= statuses[503]
    assert ours[200] <= statuses[200]
