"""Envoy's access log: lines by hand, what the real program wrote beside what the server saw, real lines of others."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from recorders.envoy import TRY_TIMEOUT
from recorders.truth import read_truth
from recorders.witness import Seen

from breakerlab.trace import Trace, read_trace

DATA = Path(__file__).parents[3] / "data" / "formats"
REAL = Path(__file__).parents[4] / "shared" / "traces" / "format_samples" / "envoy.log"
NAN = math.nan

RESOLUTION = 0.001
"""Envoy writes whole milliseconds, cut off."""
OVERHEAD = 0.25
"""A busy machine may let a request wait so long between the proxy and the server; the median is held to less."""

DEFAULT = (
    '[2016-04-15T20:17:00.310Z] "POST /api/v1/locations?token=abc HTTP/2" 204 - 154 0 226 100 "10.0.35.28, 10.0.0.1" '
    '"nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"'
)


def _text(code: str = "200", flags: str = "-", end: str = "", *, served: str = "100", host: str = "10.0.2.1:80") -> str:
    counts = f"{code} {flags} 0 1 226 {served}"
    return f'[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" {counts} "-" "agent" "id" "api" "{host}"{end}'


def _json(**changes: object) -> str:
    row: dict[str, object] = {
        "start_time": "2026-01-24T01:34:36.743Z",
        "method": "GET",
        "path": "/v1/users/42?token=abc",
        "protocol": "HTTP/2",
        "response_code": 200,
        "response_flags": "-",
        "duration": 20,
        "upstream_host": "10.0.2.1:80",
        "upstream_cluster": "users",
    }
    return json.dumps({key: value for key, value in (row | changes).items() if value != "absent"})


def _read(*lines: str | bytes) -> Trace:
    text = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return read_trace(io.BytesIO(text), format="envoy")


def _only(line: str) -> pd.Series:
    (_, row) = next(_read(line).attempts.iterrows())
    return row


def test_a_whole_row_of_text() -> None:
    trace = _read(DEFAULT)
    assert str(trace.start) == "2016-04-15 20:17:00+00:00"
    (row,) = trace.attempts.to_dict("records")
    assert row == {
        "time": 0.31,
        "latency": 0.226,
        "status": 204,
        "outcome": "ok",
        "service": "api",
        "request": 0,
        "attempt": 1,
        "client": "10.0.35.28",
        "endpoint": "POST /api/v1/locations",
        "retry_after": pytest.approx(NAN, nan_ok=True),
        "instance": "10.0.2.1:80",
    }
    assert not trace.source.has_retries
    assert trace.source.cannot_tell == ("retries",)


def test_a_whole_row_of_json() -> None:
    trace = _read(_json(**{"x-forwarded-for": "192.0.2.7,10.0.0.1"}))
    (row,) = trace.attempts.to_dict("records")
    assert str(trace.start) == "2026-01-24 01:34:36+00:00"
    assert row | {"retry_after": None} == {
        "time": 0.743,
        "latency": 0.02,
        "status": 200,
        "outcome": "ok",
        "service": "users",
        "request": 0,
        "attempt": 1,
        "client": "192.0.2.7",
        "endpoint": "GET /v1/users/{id}",
        "retry_after": None,
        "instance": "10.0.2.1:80",
    }


ISTIO = (
    '[2026-01-24T01:34:36.743Z] "GET /a HTTP/1.1" 503 URX,UF upstream_reset_before_response_started{remote_reset} - '
    '"delayed connect error: 111" 0 152 40 - "-" "curl/8" "id" "orders" "10.1.0.9:80" '
    "outbound|80||orders.shop.svc.cluster.local 10.1.0.8:1 10.2.0.1:80 10.1.0.8:55555 - default"
)


@pytest.mark.parametrize(
    ("line", "service", "client", "attempts"),
    [
        (ISTIO, "outbound|80||orders.shop.svc.cluster.local", "10.1.0.8", 2),
        (f"{ISTIO} 3", "outbound|80||orders.shop.svc.cluster.local", "10.1.0.8", 3),
        (_text("503", "URX", " 4"), "api", "", 4),
        (_text("503", "URX", " chat 4"), "chat", "", 4),
        (_text("503", "URX", " - 1"), "api", "", 1),
        (_text("503", "URX", ""), "api", "", 2),
        (_text("404", "NR", " - 0", host="-"), "api", "", 1),
        (_json(upstream_request_attempt_count="3"), "users", "", 3),
        (_json(response_flags="URX,UT", response_code=504), "users", "", 2),
        (_json(response_flags="UpstreamRetryLimitExceeded", response_code=504), "users", "", 2),
    ],
)
def test_a_line_stands_for_all_its_attempts(line: str, service: str, client: str, attempts: int) -> None:
    trace = _read(line)
    rows = trace.attempts
    assert rows["attempt"].tolist() == list(range(1, attempts + 1))
    assert set(rows["request"]) == {0} and set(rows["service"]) == {service} and set(rows["client"]) == {client}
    assert set(rows["outcome"][:-1]) <= {"error"}
    assert rows["status"][:-1].isna().all() and rows["latency"][:-1].isna().all()
    (request,) = trace.requests.to_dict("records")
    assert request["latency"] == rows["latency"].iloc[-1] > 0  # in all what the line says
    counted = line.endswith(tuple("01234")) or "attempt_count" in line
    guessed = "how many attempts a line with URX stands for (read as 2, the least)"
    assert trace.source.has_retries is counted
    assert ("retries" in trace.source.cannot_tell) is not counted
    assert (guessed in trace.source.cannot_tell) is (not counted and attempts == 2)


@pytest.mark.parametrize(
    ("code", "flags", "served", "outcome"),
    [
        ("200", "-", "9", "ok"),
        ("503", "-", "9", "error"),
        ("429", "RL", "-", "throttled"),
        ("429", "-", "9", "throttled"),
        ("404", "NR", "-", "client_error"),
        ("503", "UO", "-", "rejected"),
        ("503", "UO", "9", "error"),  # the retry, not the request, was turned away
        ("503", "UH", "-", "rejected"),
        ("504", "UT", "-", "timeout"),
        ("504", "UT,URX", "-", "timeout"),
        ("408", "SI", "-", "timeout"),
        ("503", "UF", "-", "connection"),
        ("503", "URX,UF", "-", "connection"),
        ("503", "UC", "-", "connection"),
        ("503", "LR", "-", "connection"),
        ("200", "UR", "9", "connection"),
        ("0", "DC", "-", "cancelled"),
        ("200", "DC", "9", "cancelled"),
        ("0", "-", "-", "cancelled"),
        ("0", "UF", "-", "connection"),
        ("503", "UpstreamOverflow", "-", "rejected"),
        ("503", "SomethingNew", "-", "error"),
    ],
)
def test_outcomes_in_text_and_json(code: str, flags: str, served: str, outcome: str) -> None:
    text = _text(code, flags, " 1", served=served)
    row = _json(
        response_code=int(code),
        response_flags=None if flags == "-" else flags,
        response_code_details="via_upstream" if served == "9" else "other",
        upstream_request_attempt_count=1,
    )
    for line in (text, row):
        found = _only(line)
        assert found["outcome"] == outcome
        assert pd.isna(found["status"]) if code == "0" else found["status"] == int(code)


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-24T01:34:36.743000000+00:00 stdout F " + _json(),
        json.dumps({"log": _json() + "\n", "stream": "stdout", "time": "2026-01-24T01:34:36.743Z"}),
        _json(start_time=1769218476.743),
        _json(start_time="1769218476.743"),
        _json(start_time="1769218476743"),
        _json(start_time="2026-01-24T03:34:36.743+02:00"),
        _json(start_time="2026-01-23T23:34:36.743-0200"),
        _json(start_time="absent", timestamp="2026-01-24T01:34:36.743Z"),
        _json(start_time="absent", **{"@timestamp": "2026-01-24T01:34:36.743Z"}),  # Contour
        _json(duration="20"),
        _json(response_code="200"),
        _json(method="absent", **{":METHOD": "GET"}),
        _json(path="/rewritten", **{"x-envoy-origin-path": "/v1/users/42"}),
        _json(response_flags="absent"),
    ],
)
def test_spellings_of_json(line: str) -> None:
    trace = _read(line)
    assert str(trace.start) == "2026-01-24 01:34:36+00:00"
    (row,) = trace.attempts.to_dict("records")
    assert (row["time"], row["latency"], row["status"]) == (0.743, 0.02, 200)
    assert row["endpoint"] == "GET /v1/users/{id}"
    assert "time zone" not in trace.source.cannot_tell


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711, 10.0.0.1", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("unknown", "unknown"),
        ("-", "10.9.9.9"),
        (None, "10.9.9.9"),
        ("<what a caller likes to write>", "10.9.9.9"),
    ],
)
def test_clients(forwarded: str | None, client: str) -> None:
    row = _only(_json(x_forwarded_for=forwarded, downstream_remote_address="10.9.9.9:4711"))
    assert row["client"] == client


def test_the_mark_before_the_text_of_emissary() -> None:
    assert _only(f"ACCESS {DEFAULT}")["status"] == 204


def test_docker_wraps_text_too() -> None:
    line = json.dumps({"log": DEFAULT + "\n", "stream": "stdout", "time": "2026-01-24T01:34:36.743Z"})
    assert _only(line)["status"] == 204


def test_what_a_line_does_not_tell() -> None:
    trace = _read(_json(duration=None, start_time="2026-01-24T01:34:36.743"))
    assert math.isnan(trace.attempts["latency"][0])
    assert trace.source.cannot_tell == ("retries", "time zone", "latency", "client")


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('[2026-01-24T01:34:36.743Z] "- - -" 0 - - - "-" 0 0 5 - "-" "-" "-" "-" "10.0.0.1:3306"', "request"),
        ("[2026-01-24 01:34:36.743][1][info][main] starting main dispatch loop", None),
        ('[yesterday] "GET /a HTTP/1.1" 200 - 0 1 2 3 "-" "-" "-" "-" "-"', "time"),
        ('[2026-13-24T01:34:36.743Z] "GET /a HTTP/1.1" 200 - 0 1 2 3 "-" "-" "-" "-" "-"', "time"),
        ('[2026-01-24T01:34:36.743Z] "GET /a HTTP/1.1" 2000 - 0 1 2 3 "-" "-" "-" "-" "-"', "status"),
        (_text()[:60], None),
        (_text(end=" 1001"), "attempt count"),
        (_json(upstream_request_attempt_count=10**30), "attempt count"),
        (_json(upstream_request_attempt_count=1.5), "attempt count"),
        (_json(upstream_request_attempt_count=True), "attempt count"),
        (_json(start_time="absent"), "time"),
        (_json(start_time=True), "time"),
        (_json(start_time=math.inf), "time"),
        (_json(start_time="9999-12-31T23:59:59Z"), "time"),
        (_json(start_time="1969-12-31T23:59:59Z"), "time"),
        (_json(duration=-1), "latency"),
        (_json(duration=math.nan), "latency"),
        (_json(duration=10**400), "latency"),
        (_json(duration=[1]), "latency"),
        (_json(response_code=99), "status"),
        (_json(response_code=False), "status"),
        (_json(response_flags=["UF"]), "flags"),
        (_json(response_flags="my secret"), "flags"),
        (_json(method=1), "method"),
        (_json(path={"a": 1}), "path"),
        (_json(method=None, path=None, protocol=None, response_code=0), "request"),
        ('{"start_time":"2026-01-24T01:34:36.743Z","start_time":"2026-01-24T01:34:36.743Z"}', None),
        (_json()[:-9], None),
        ('{"start_time":' + "9" * 5000 + "}", None),
        ('{"start_time":' + "[" * 100_000 + "}", None),
        ('{"log":"{","stream":"stdout"}', None),
        ('{"log":"hello","stream":"stdout"}', None),
        ("{}", "time"),
    ],
)
def test_lines_that_cannot_be_read(line: str, column: str | None) -> None:
    trace = _read(DEFAULT, line)
    assert len(trace.attempts) == 1
    (error,) = trace.skipped
    assert (error.line, error.column) == (2, column)
    assert "secret" not in str(error)


def test_bytes_that_are_no_utf_8_cost_nothing_in_text() -> None:
    assert len(_read(DEFAULT.encode().replace(b"nsq2http", b"\xff\xfe")).attempts) == 1


def test_lone_surrogates_do_no_harm() -> None:
    assert _only(_json().replace("users/42", "\\ud800/42"))["endpoint"] == "GET /v1/\ufffd/{id}"


@pytest.mark.skipif(not REAL.exists(), reason="the real logs are not here")
def test_real_lines() -> None:
    trace = read_trace(REAL)
    assert not trace.skipped
    attempts = trace.attempts.set_index("request").sort_index()
    assert attempts["latency"].tolist() == [0.011, 0.0, 0.005, 0.226, 0.05, 0.0, 0.015, 0.02, 0.03, 0.04]
    assert attempts["client"].tolist()[4:8] == ["fd00:1234:5678::5a24"] * 2 + ["192.168.1.100", "fd00:1234:5678::5a24"]


def _truth() -> dict[str, list[Seen]]:
    truth: dict[str, list[Seen]] = {}
    for one in sorted(read_truth(DATA / "envoy.truth.csv"), key=lambda one: one.begun):
        truth.setdefault(one.headers["x-request-id"], []).append(one)
    return truth


@pytest.mark.parametrize("name", ["envoy_text", "envoy_json"])
def test_as_the_server_itself_saw_it(name: str) -> None:
    log = (DATA / f"{name}.log").read_text()
    trace = read_trace(DATA / f"{name}.log")
    assert not trace.skipped and trace.source.has_retries
    assert trace.source.lines == log.count("\n")
    assert {"timeout", "connection", "rejected", "cancelled", "error", "client_error"} <= set(trace.attempts["outcome"])
    ids = re.findall(r'"(r\d+)"', log)
    truth, starts, latencies = _truth(), [], []
    assert trace.start is not None
    zero = int(trace.start.timestamp()) * 10**9
    reached = trace.attempts[trace.attempts["service"].isin(["chat", "narrow"])]
    for number, attempts in reached.groupby("request"):
        met = truth.pop(ids[number], [])
        first, last = attempts.iloc[0], attempts.sort_values("attempt").iloc[-1]
        if last["outcome"] == "rejected":
            assert not met
            continue
        assert len(attempts) == len(met)
        starts.append((met[0].begun - zero) / 1e9 - first["time"])
        if last["outcome"] in ("ok", "error"):
            assert last["status"] == met[-1].status
            latencies.append(last["latency"] - (met[-1].ended - met[0].begun) / 1e9)
    assert not truth  # every request that the server saw is in the log
    assert min(starts) >= -RESOLUTION and max(starts) < OVERHEAD
    assert pd.Series(starts).median() < 0.02
    assert max(map(abs, latencies)) < OVERHEAD
    assert abs(pd.Series(latencies).median()) < 0.02
    timed_out = trace.requests.query("outcome == 'timeout'")
    assert set(timed_out["attempts"]) == {3}
    assert (timed_out["latency"] >= 3 * TRY_TIMEOUT - RESOLUTION).all()
    assert set(trace.requests.query("service == 'dead'")["attempts"]) == {3}


def test_the_three_recordings_tell_the_same() -> None:
    text, rows, default = (read_trace(DATA / f"envoy_{name}.log") for name in ("text", "json", "default"))
    pd.testing.assert_frame_equal(
        text.attempts.drop(columns=["client"]), rows.attempts.drop(columns=["client"]), check_categorical=False
    )
    columns = ["time", "latency", "status", "outcome", "endpoint"]
    ours, theirs = (one.requests.sort_values("request").reset_index()[columns] for one in (default, text))
    pd.testing.assert_frame_equal(ours, theirs, check_categorical=False)
    assert "retries" in default.source.cannot_tell
    assert (default.requests.sort_values("request")["attempts"].to_numpy() <= 2).all()
