"""The access log of AWS load balancers: lines by hand and real lines of others. No program outside AWS writes it."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd
import pytest

from breakerlab.trace import Trace, read_trace

REAL = Path(__file__).parents[4] / "shared" / "traces" / "format_samples" / "aws-alb-logs.log"
NAN = math.nan
ACCOUNT = "210987654321"
GROUP = f"arn:aws:elasticloadbalancing:us-east-2:{ACCOUNT}:targetgroup/checkout/73e2d6bc24d8a067"
CERTIFICATE = f"arn:aws:acm:us-east-2:{ACCOUNT}:certificate/12345678-1234-1234-1234-123456789012"
END = "2026-11-25T18:40:10.500000Z"
CREATED = "2026-11-25T18:40:10.250000Z"
NEWER = ' "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90 "-" "-" "-" future "columns too"'


def _line(
    times: str = "0.050 0.150 0.050",
    statuses: str = "200 200",
    *,
    end: str = END,
    target: str = "10.0.0.1:80",
    request: str = "GET https://www.example.com:443/v1/users/42?token=abc HTTP/1.1",
    agent: str = "curl/7.46.0",
    group: str = GROUP,
    created: str = CREATED,
    rest: str = NEWER,
) -> str:
    return (
        f'https {end} app/my-lb/50dc6c495c0c9188 192.0.2.7:2817 {target} {times} {statuses} 0 57 "{request}" "{agent}" '
        f'ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 {group} "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" '
        f'"{CERTIFICATE}" 1 {created}{rest}'
    )


CLASSIC = (
    f"{CREATED} my-lb 192.0.2.7:2817 10.0.0.1:80 0.050 0.150 0.050 200 200 0 29 "
    '"GET http://www.example.com:80/v1/users/42 HTTP/1.1" "curl/7.38.0" - -'
)


def _read(*lines: str) -> Trace:
    return read_trace(io.BytesIO("\n".join(lines).encode()), format="alb")


def _only(line: str) -> pd.Series:
    (_, row) = next(_read(line).attempts.iterrows())
    return row


@pytest.mark.parametrize(
    "line",
    [
        _line(),
        _line(rest=""),  # as in 2018
        " ".join(_line().split()[:20]),  # as in 2016: until the trace id, and no creation time
        _line(created="-"),
        _line(created="2018-07-02T22:22:48.364000Z"),  # in some samples it has nothing to do with the other times
        _line(agent=r"an \"agent\" with quotes and \\"),
    ],
)
def test_a_whole_row_however_many_columns(line: str) -> None:
    trace = _read(line)
    assert str(trace.start) == "2026-11-25 18:40:10+00:00"
    (row,) = trace.attempts.to_dict("records")
    assert row | {"retry_after": None} == {
        "time": 0.25,
        "latency": 0.25,
        "status": 200,
        "outcome": "ok",
        "service": "checkout",
        "request": 0,
        "attempt": 1,
        "client": "192.0.2.7",
        "endpoint": "GET /v1/users/{id}",
        "retry_after": None,
        "instance": "10.0.0.1:80",
    }
    assert not trace.source.has_retries
    assert trace.source.cannot_tell == ("retries",)


def test_the_time_of_a_classic_load_balancer_is_the_start() -> None:
    trace = _read(CLASSIC)
    (row,) = trace.attempts.to_dict("records")
    assert (row["time"], row["latency"], row["service"]) == (0.25, 0.25, "api")


@pytest.mark.parametrize(
    ("times", "statuses", "outcome", "status"),
    [
        ("0.050 0.150 0.050", "200 200", "ok", 200),
        ("0.050 0.150 0.050", "503 503", "error", 503),
        ("0.050 0.150 0.050", "504 504", "error", 504),  # the target itself said so
        ("0.050 0.150 0.050", "429 429", "throttled", 429),
        ("0.050 0.150 0.050", "499 499", "cancelled", 499),
        ("-1 -1 -1", "504 -", "timeout", 504),
        ("0.001 -1 -1", "504 -", "timeout", 504),
        ("-1 -1 -1", "502 -", "connection", 502),
        ("-1 -1 -1", "503 -", "error", 503),
        ("-1 -1 -1", "460 -", "cancelled", 460),
        ("-1 -1 -1", "463 -", "client_error", 463),
        ("-1 -1 -1", "561 -", "error", 561),
        ("-1 -1 -1", "404 -", "client_error", 404),
        ("-1 -1 -1", "- -", "connection", None),
    ],
)
def test_outcomes(times: str, statuses: str, outcome: str, status: int | None) -> None:
    target = "-" if times == "-1 -1 -1" else "10.0.0.1:80"
    row = _only(_line(times, statuses, target=target))
    assert row["outcome"] == outcome
    assert pd.isna(row["status"]) if status is None else row["status"] == status
    assert row["latency"] == pytest.approx(0.25)  # from the creation time where a time is -1


def test_without_creation_time_and_answer_neither_start_nor_latency_is_told() -> None:
    trace = _read(_line("-1 -1 -1", "504 -", created="-"))
    assert trace.attempts["time"].tolist() == [0.5]
    assert trace.attempts["latency"].isna().all()
    assert trace.source.cannot_tell[1:] == (
        "latency of requests without an answer of a target",
        "start of requests without an answer of a target",
        "latency",
    )


def test_account_numbers_stay_behind() -> None:
    trace = _read(_line(), _line(group=GROUP.replace("targetgroup/", "something/")), _line(group=ACCOUNT))
    assert trace.attempts["service"].tolist() == ["checkout", "api", "api"]
    assert ACCOUNT not in trace.attempts.to_csv() + str(trace.source)


@pytest.mark.parametrize("asked", ["- http://lb.example.com:80- -", "-"])
def test_a_request_that_was_none(asked: str) -> None:
    assert _only(_line(request=asked))["endpoint"] == ""


def test_an_ipv6_client() -> None:
    line = _line().replace("192.0.2.7:2817", "[2001:db8::7]:2817")
    assert _only(line)["client"] == "2001:db8::7"


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("Enable AccessLog for ELB: my-lb", None),  # the file that AWS writes to test the bucket
        (_line()[:150], None),
        (_line()[:200], None),
        (" ".join(_line().split()[:19]), None),
        (_line(end="2026-11-25"), "time"),
        (_line(end="2026-02-30T18:40:10.500000Z"), "time"),
        (_line("0.1 x 0.1"), "processing time"),
        (_line("0.1 nan 0.1"), "processing time"),
        (_line("0.1 -2 0.1"), "processing time"),
        (_line("0.1 1e300 0.1"), "processing time"),
        (_line(statuses="20 200"), "status"),
        (_line(statuses="200 x"), "status"),
        (_line(created="soon"), "request creation time"),
        (_line(created="2026-11-25T18:40:10.600000Z"), "request creation time"),
        (_line("99999999 0 0", end="1970-01-01T00:00:10Z", created="-"), "time"),
    ],
)
def test_lines_that_cannot_be_read(line: str, column: str | None) -> None:
    trace = _read(_line(), line)
    assert len(trace.attempts) == 1
    (error,) = trace.skipped
    assert (error.line, error.column) == (2, column)


@pytest.mark.skipif(not REAL.exists(), reason="the real logs are not here")
def test_real_lines() -> None:
    trace = read_trace(REAL)
    assert not trace.skipped
    assert trace.source.lines == len(trace.attempts) == 14
    attempts = trace.attempts.set_index("request").sort_index()
    assert attempts["latency"][[0, 1, 2]].tolist() == [0.001, 0.171, 0.002]
    assert attempts["latency"][3] == 0.001895  # -1 three times: from the creation time to the end
    assert set(attempts["service"]) == {"my-targets", "api"}
