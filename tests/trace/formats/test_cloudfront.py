"""CloudFront's and other W3C extended logs: lines by hand, and real lines of others."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pandas as pd
import pytest

from breakerlab.trace import Trace, TraceError, read_trace

REAL = Path(__file__).parents[4] / "shared" / "traces" / "format_samples" / "aws-cloudfront-logs.log"
FIELDS = (
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    "cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes "
    "time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end"
)
IIS_FIELDS = (
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status "
    "sc-substatus sc-win32-status time-taken"
)

WHEN = "2026-03-12 15:22:28"


def _line(
    status: str = "200",
    taken: str = "0.250",
    detail: str = "Miss",
    *,
    time: str = "15:22:28",
    path: str = "/v1/users/42",
    method: str = "GET",
    client: str = "192.0.2.7",
) -> str:
    fields = [
        *("2026-03-12", time, "CDG50-P2", "703", client, method, "d1.cloudfront.net", path, status, "-", "curl/7.81.0"),
        *("key=secret", "session=secret", "Error", "375WZ==", "www.example.com", "https", "62", taken, "-", "TLSv1.3"),
        *("TLS_AES_128_GCM_SHA256", "Error", "HTTP/2.0", "-", "-", "51754", "0.113", detail, "text/plain", "20", "-"),
        "-",
    ]
    return "\t".join(fields)


def _iis(taken: str = "250") -> str:
    return f"2026-03-12 15:22:28 10.0.0.1 GET /v1/users/42 key=secret 443 DOM\\ann 192.0.2.7 curl 200 0 0 {taken}"


def _read(*lines: str) -> Trace:
    return read_trace(io.BytesIO("\n".join(lines).encode()), format="cloudfront")


@pytest.mark.parametrize(
    "lines",
    [
        ("#Version: 1.0", FIELDS, _line()),
        (_line(),),  # a file that lost its header
        ("\t".join(_line().split("\t")[:19]),),  # an old one: it ended with the time taken
        ("#Software: Microsoft Internet Information Services 10.0", IIS_FIELDS, _iis()),  # milliseconds
        (
            "#Fields: time-taken date time cs-uri-stem cs-method sc-status c-ip",
            f"0.25 {WHEN} /v1/users/42 GET 200 192.0.2.7",
        ),
    ],
)
def test_a_whole_row_under_any_header(lines: tuple[str, ...]) -> None:
    trace = _read(*lines)
    (row,) = trace.attempts.to_dict("records")
    assert str(trace.start) == "2026-03-12 15:22:27+00:00"
    assert row | {"retry_after": None} == {
        "time": 0.75,
        "latency": 0.25,
        "status": 200,
        "outcome": "ok",
        "service": "api",
        "request": 0,
        "attempt": 1,
        "client": "192.0.2.7",
        "endpoint": "GET /v1/users/{id}",
        "retry_after": None,
    }
    assert trace.source.lines == 1
    assert not trace.source.has_retries
    assert trace.source.cannot_tell == ("retries", "sub-second times")


@pytest.mark.parametrize(
    ("status", "detail", "outcome"),
    [
        ("200", "Hit", "ok"),
        ("503", "CapacityExceeded", "error"),
        ("502", "OriginConnectError", "connection"),
        ("502", "OriginDnsError", "connection"),
        ("504", "OriginCommError", "error"),
        ("429", "-", "throttled"),
        ("000", "ClientCommError", "cancelled"),
        ("-", "-", "cancelled"),
    ],
)
def test_outcomes(status: str, detail: str, outcome: str) -> None:
    attempts = _read(FIELDS, _line(status, detail=detail)).attempts
    assert attempts["outcome"].tolist() == [outcome]
    assert attempts["status"].isna().tolist() == [status in ("000", "-")]


def test_a_header_in_the_middle_changes_the_columns() -> None:
    trace = _read(FIELDS, _line(), IIS_FIELDS, _iis(), FIELDS, _line())
    assert trace.attempts["latency"].tolist() == [0.25] * 3
    assert trace.source.lines == 3


def test_what_is_not_told() -> None:
    trace = _read("#Fields: date time sc-status", "2026-03-12 15:22:28 200")
    assert math.isnan(trace.attempts["latency"][0])
    assert "latency" in trace.source.cannot_tell
    assert trace.attempts["endpoint"].tolist() == [""]
    some = _read(FIELDS, _line(taken="-"), _line())
    assert "latency of some requests" in some.source.cannot_tell


def test_secrets_stay_behind() -> None:
    trace = _read(FIELDS, _line(), _line("secret"))
    assert "secret" not in trace.attempts.to_csv() + str(trace.skipped)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (_line(time="25:00:00"), "time"),
        (_line(time="noon"), "time"),
        (_line(status="20"), "status"),
        (_line(taken="-1"), "latency"),
        (_line(taken="long"), "latency"),
        (_line()[:60], None),
        ("2026-03-12 15:22:28 200", None),
    ],
)
@pytest.mark.parametrize("header", [(FIELDS,), ()])
def test_lines_that_cannot_be_read(header: tuple[str, ...], line: str, column: str | None) -> None:
    trace = _read(*header, _line(), line)
    assert len(trace.attempts) == 1
    (error,) = trace.skipped
    assert (error.line, error.column) == (2 + len(header), column)


def test_a_header_without_a_needed_column() -> None:
    with pytest.raises(TraceError, match="no such column"):
        _read("#Fields: date time c-ip", "2026-03-12 15:22:28 192.0.2.7")


def test_a_header_and_no_row() -> None:
    with pytest.raises(TraceError, match="a header and no row"):
        _read("#Version: 1.0", FIELDS)


@pytest.mark.skipif(not REAL.exists(), reason="the real logs are not here")
def test_real_lines() -> None:
    trace = read_trace(REAL)
    assert not trace.skipped
    pd.testing.assert_series_equal(
        trace.attempts["latency"], pd.Series([0.113, 0.113], name="latency"), check_index=False
    )
    assert trace.attempts["endpoint"].tolist() == ["GET /testseb"] * 2
