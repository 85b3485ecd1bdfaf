"""JMeter's results: rows by hand with every trap, a real file, and what the witness saw of a real JMeter."""

from __future__ import annotations

import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace import Trace, TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import jmeter

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "data" / "formats"
LOGS = {"csv": "jmeter.csv", "xml": "jmeter_xml.xml"}
REAL = ROOT.parent / "shared" / "traces" / "jmeter_rodcul_pfc_a.jtl.csv"
HEADER = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,URL,Latency"
GOOD = "1715342400123,250,Home,200,OK,Users 1-1,text,true,,http://example.org/a/17?key=QUERY-7f3a,200"


def read(*lines: str, header: str = HEADER, ending: str = "\n") -> Trace:
    text = ending.join([header, *lines] if header else lines)
    return read_trace(io.BytesIO(text.encode("utf-8", "surrogatepass")), format="jmeter")


def row(code: str = "200", message: str = "OK", success: str = "true", url: str = "null", label: str = "Home") -> str:
    return f"1715342400123,250,{label},{code},{message},Users 1-1,text,{success},,{url},200"


def only(trace: Trace) -> dict[str, object]:
    assert len(trace.attempts) == 1
    return trace.attempts.iloc[0].to_dict()


def lines_of(data: bytes) -> int:
    """Lines that are neither blank nor a header."""
    return sum(bool(line.strip()) and not line.startswith(b"timeStamp,") for line in data.split(b"\n"))


def test_a_sample_is_an_attempt_that_began_at_its_time_stamp() -> None:
    trace = read(GOOD)
    attempt = only(trace)
    assert trace.start is not None and trace.start.isoformat() == "2024-05-10T12:00:00+00:00"
    assert (attempt["time"], attempt["latency"], attempt["status"], attempt["outcome"]) == (0.123, 0.25, 200, "ok")
    assert (attempt["client"], attempt["endpoint"], attempt["service"]) == ("Users 1-1", "/a/{id}", "api")
    assert trace.source.cannot_tell == ("retries",) and not trace.source.has_retries
    assert trace.source.lines == 1 and trace.skipped == ()


NO_RESPONSE = "Non HTTP response code: "


@pytest.mark.parametrize(
    ("code", "message", "success", "status", "outcome"),
    [
        ("503", "Service Unavailable", "false", 503, "error"),
        ("429", "Too Many Requests", "false", 429, "throttled"),
        ("404", "Not Found", "true", 404, "client_error"),
        ("200", "OK", "false", 200, "ok"),
        (NO_RESPONSE + "java.net.SocketTimeoutException", "Read timed out", "false", None, "timeout"),
        (NO_RESPONSE + "org.apache.http.conn.ConnectTimeoutException", "x", "false", None, "timeout"),
        (NO_RESPONSE + "java.net.ConnectException", "Operation timed out", "false", None, "connection"),
        (NO_RESPONSE + "org.apache.http.conn.HttpHostConnectException", "refused", "false", None, "connection"),
        (NO_RESPONSE + "java.net.UnknownHostException", "nobody.invalid", "false", None, "connection"),
        (NO_RESPONSE + "org.apache.http.NoHttpResponseException", "x", "false", None, "connection"),
        (NO_RESPONSE + "javax.net.ssl.SSLHandshakeException", "x", "false", None, "connection"),
        (NO_RESPONSE + "java.net.SocketException", "Socket closed", "false", None, "cancelled"),
        (NO_RESPONSE + "java.net.SocketException", "Connection reset", "false", None, "connection"),
        (NO_RESPONSE + "org.apache.http.conn.ConnectionPoolTimeoutException", "x", "false", None, "rejected"),
        (NO_RESPONSE + "java.net.URISyntaxException", "Illegal character", "false", None, "rejected"),
        ("", "", "true", None, "ok"),
        ("", "", "false", None, "error"),
        ("0", "OK", "true", None, "ok"),
        ("OK", "", "false", None, "error"),
    ],
)
def test_the_response_code_says_what_became_of_it(
    code: str, message: str, success: str, status: int | None, outcome: str
) -> None:
    attempt = only(read(row(code, message, success)))
    assert attempt["outcome"] == outcome
    assert attempt["status"] == status


def test_an_assertion_that_failed_is_counted_and_does_not_change_the_outcome() -> None:
    trace = read(GOOD, row("200", "OK", "false"), row("503", "no", "false"))
    assert trace.source.facts == {"failed_assertions": 1}
    assert list(trace.attempts["outcome"]) == ["ok", "ok", "error"]


@pytest.mark.parametrize(
    ("url", "label", "endpoint"),
    [
        ("http://user:PASSWORD@example.org:8080/a/b?token=KEY", "x", "/a/b"),
        ("null", "GET /a/12?q=1", "GET /a/{id}"),
        ("", "Home page", "Home page"),
        ("null", "https://example.org/a?key=KEY", "/a"),
        ("https://example.org/u/joe@example.org", "x", "/u/{email}"),
    ],
)
def test_the_endpoint_is_the_route_of_the_address_or_the_label(url: str, label: str, endpoint: str) -> None:
    assert only(read(row(url=url, label=label)))["endpoint"] == endpoint


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_stand_in_any_order_with_any_delimiter(delimiter: str) -> None:
    names = ["label", "success", "responseCode", "elapsed", "threadName", "timeStamp", "SESSION_ID"]
    values = ["Home", "false", "503", "1500", "Users 1-1", "1715342400123", "KEY-7f3a"]
    trace = read(delimiter.join(values), header=delimiter.join(names))
    attempt = only(trace)
    assert (attempt["status"], attempt["latency"], attempt["endpoint"]) == (503, 1.5, "Home")
    assert "KEY-7f3a" not in repr(trace) + str(attempt)


def test_an_empty_last_cell_after_a_tab_is_not_missed() -> None:
    trace = read("1715342400123\t5\tHome\t200\t", header="timeStamp\telapsed\tlabel\tresponseCode\tfailureMessage")
    assert len(trace.attempts) == 1


def test_columns_that_are_missing_are_what_it_cannot_tell() -> None:
    trace = read("1715342400123,true,Home", header="timeStamp,success,label")
    assert math.isnan(only(trace)["latency"])  # type: ignore[arg-type]
    assert trace.source.cannot_tell == ("retries", "status", "latency", "client")


def test_an_old_file_without_a_header_is_read() -> None:
    data = b"1715342400123,250,Home,200,OK,Users 1-1,text,true,512,200\n1715342400500,9,Home,503,no,U,text,false,5,9\n"
    trace = read_trace(io.BytesIO(data))
    assert trace.source.format == "jmeter" and trace.source.lines == 2
    assert list(trace.attempts["status"]) == [200, 503]


def test_a_time_with_a_date_lacks_its_zone() -> None:
    trace = read(GOOD.replace("1715342400123", "2024/05/10 12:00:00.123"))
    assert only(trace)["time"] == 0.123
    assert trace.source.cannot_tell == ("retries", "time zone")


def test_a_header_again_in_the_middle_is_no_row() -> None:
    trace = read(GOOD, HEADER, GOOD)
    assert (trace.source.lines, trace.skipped, len(trace.attempts)) == (2, (), 2)


def test_a_failure_message_over_several_lines_is_one_row() -> None:
    long = row().replace(",true,,", ',false,"expected: ""a"", \nprompt: PROMPT-7f3a,\n\n1715342400123,no\n",')
    trace = read(GOOD, long, GOOD)
    assert len(trace.attempts) == 3 and trace.skipped == ()
    assert trace.source.lines == 6  # the blank one inside the quotes counts as none
    assert "PROMPT" not in repr(trace)


def test_a_bad_row_of_several_lines_is_skipped_with_each_of_them() -> None:
    bad = row().replace(",250,", ",soon,").replace(",true,,", ',false,"one\ntwo\nPROMPT-7f3a",')
    trace = read(GOOD, bad, GOOD)
    assert [error.line for error in trace.skipped] == [3, 4, 5]
    assert "milliseconds" in trace.skipped[0].reason and "line 3" in trace.skipped[2].reason
    assert trace.source.lines == 2 and "PROMPT" not in repr(trace) + repr(trace.skipped)


def test_a_quote_that_nothing_closes_costs_only_its_own_row() -> None:
    trace = read(GOOD, row().replace(",OK,", ',"OK,'), GOOD, GOOD, row().replace(",OK,", ',"OK,'))
    assert [error.line for error in trace.skipped] == [3, 6]
    assert all("never closed" in error.reason for error in trace.skipped)
    assert len(trace.attempts) == 3 and trace.source.lines == 3


def test_a_transaction_is_not_counted_again() -> None:
    parent = (
        '1715342400000,900,visit,200,"Number of samples in transaction : 2, number of failing samples : 0",U 1,,true'
    )
    trace = read(GOOD, f"{parent},,null,0", GOOD)
    assert len(trace.attempts) == 2 and trace.skipped[0].line == 3 and "transaction" in trace.skipped[0].reason


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (GOOD.replace("1715342400123", "soon"), "date and time"),
        (GOOD.replace("1715342400123", "99999999999999999"), "1970 to 2099"),
        (GOOD.replace("1715342400123", "-5"), "date and time"),
        (GOOD.replace("1715342400123", "2024/13/40 99:00:00"), "date and time"),
        (GOOD.replace(",250,", ",-1,"), "milliseconds"),
        (GOOD.replace(",250,", "," + "9" * 5000 + ","), "milliseconds"),
        (GOOD.replace("true", "KEY-7f3a"), "true or false"),
        (GOOD + ",more", "12 cells"),
        ("1715342400123,250,Home", "3 cells"),
        (GOOD.replace(",OK,", ',"OK"x,'), "closing quote"),
    ],
)
def test_a_bad_row_costs_itself_only(bad: str, reason: str) -> None:
    trace = read(GOOD, bad, GOOD)
    assert len(trace.attempts) == 2 and trace.source.lines == 2
    assert [error.line for error in trace.skipped] == [3]
    assert reason in trace.skipped[0].reason and "KEY-7f3a" not in str(trace.skipped)


def test_a_row_that_sums_up_several_samples_is_refused() -> None:
    trace = read(f"{GOOD},1", f"{GOOD},25", header=f"{HEADER},SampleCount")
    assert len(trace.attempts) == 1 and "SampleCount" in str(trace.skipped[0])


def test_windows_line_ends_a_byte_order_mark_and_gzip() -> None:
    data = b"\xef\xbb\xbf" + "\r\n".join((HEADER, GOOD, GOOD)).encode()
    for content in (data, gzip.compress(data)):
        assert len(read_trace(io.BytesIO(content)).attempts) == 2


def test_labels_that_are_not_utf_8_are_kept() -> None:
    trace = read_trace(io.BytesIO(f"{HEADER}\n".encode() + row(label="Café").encode("latin-1")))
    assert only(trace)["endpoint"] == "Caf\ufffd"


@pytest.mark.skipif(not REAL.exists(), reason="the real traces are not here")
def test_a_real_file_is_read_whole() -> None:
    trace = read_trace(REAL)
    counts = trace.attempts["outcome"].value_counts()
    assert trace.source.format == "jmeter"
    assert (trace.source.lines, len(trace.attempts), trace.skipped) == (412, 412, ())
    assert {name: int(counts[name]) for name in ("ok", "error", "timeout", "connection")} == {
        "ok": 362,
        "error": 31,
        "timeout": 16,
        "connection": 3,
    }
    with REAL.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda one: int(one["timeStamp"]))
    assert trace.start is not None
    start = round(trace.start.timestamp() * 1000)
    assert np.array_equal(np.round(trace.attempts["time"] * 1000) + start, [int(one["timeStamp"]) for one in rows])
    assert np.allclose(trace.attempts["latency"], [int(one["elapsed"]) / 1000 for one in rows])


# What the witness saw. JMeter writes whole milliseconds; its first requests take up to 0.2 s before they leave, while
# classes are loaded; later ones a few ms. The server begins after the caller and ends before it.
EARLY, USUAL, LATEST = 0.002, 0.02, 0.4


@pytest.mark.parametrize("kind", ["csv", "xml"])
def test_the_recorded_run_is_what_the_witness_saw(kind: str) -> None:
    trace = read_trace(RECORDED / LOGS[kind])
    with (RECORDED / LOGS[kind]).with_suffix(".truth.csv").open(encoding="utf-8") as file:
        seen = sorted(csv.DictReader(file), key=lambda one: int(one["begun"]))
    attempts = trace.attempts
    arrived = attempts[attempts["outcome"] != "connection"]
    assert trace.start is not None and len(arrived) == len(seen) and len(attempts) == len(seen) + 11
    begun = np.array([int(one["begun"]) / 1e9 for one in seen]) - trace.start.timestamp()
    late = begun - arrived["time"].to_numpy()
    assert late.min() > -EARLY and np.median(late) < USUAL and late.max() < LATEST
    for status in (503, 404):
        assert (arrived["status"] == status).sum() == sum(one["status"] == str(status) for one in seen)
    gave_up = arrived[arrived["outcome"] == "timeout"]
    answered = sum(one["status"] == "200" for one in seen)
    assert len(gave_up) >= 4 and (arrived["outcome"] == "ok").sum() + len(gave_up) == answered
    assert gave_up["latency"].between(0.4, 0.45).all()
    assert (
        trace.source.facts["failed_assertions"]
        == (arrived["endpoint"].str.endswith("completions") & arrived["status"].eq(200)).sum()
    )
    assert all("transaction" in error.reason for error in trace.skipped) and len(trace.skipped) == 6
    assert "planted" not in repr(attempts.to_dict())


@pytest.mark.parametrize("kind", ["csv", "xml"])
def test_latencies_are_those_of_the_witness(kind: str) -> None:
    trace = read_trace(RECORDED / LOGS[kind])
    attempts = trace.attempts
    pages = attempts[attempts["endpoint"].str.startswith("/v1/orders")]["latency"].to_numpy()
    with (RECORDED / LOGS[kind]).with_suffix(".truth.csv").open(encoding="utf-8") as file:
        seen = [one for one in csv.DictReader(file) if one["path"].startswith("/v1/orders")]
    spans = np.array([(int(one["ended"]) - int(one["begun"])) / 1e9 for one in seen])
    extra = pages - spans
    assert len(pages) == 6 and extra.min() > -EARLY and np.median(extra) < USUAL and extra.max() < LATEST


def test_every_line_of_the_recorded_csv_is_accounted_for() -> None:
    data = (RECORDED / LOGS["csv"]).read_bytes()
    trace = read_trace(io.BytesIO(data))
    assert trace.source.lines + len(trace.skipped) == lines_of(data)


XML = """<?xml version="1.0" encoding="UTF-8"?>
<testResults version="1.2">
{}
</testResults>
"""
SAMPLE = '<httpSample t="250" lt="200" ts="1715342400123" s="true" lb="Home" rc="200" rm="OK" tn="Users 1-1"/>'


def xml(*samples: str, document: str = XML) -> Trace:
    return read_trace(io.BytesIO(document.replace("{}", "\n".join(samples)).encode()))


def test_xml_says_the_same_as_csv() -> None:
    url = SAMPLE.replace("/>", ">\n<method>POST</method><java.net.URL>http://example.org/a?k=KEY-7f3a</java.net.URL>")
    trace = xml(SAMPLE, url + '<responseData class="java.lang.String">PROMPT-7f3a</responseData></httpSample>')
    assert list(trace.attempts["endpoint"]) == ["Home", "POST /a"]
    assert list(trace.attempts["latency"]) == [0.25, 0.25] and list(trace.attempts["client"]) == ["Users 1-1"] * 2
    assert trace.source.lines == 2 and trace.source.format == "jmeter"
    assert "7f3a" not in repr(trace.attempts.to_dict())


def test_samples_inside_another_are_part_of_it_but_not_of_a_transaction() -> None:
    whole = SAMPLE.replace("/>", f">{SAMPLE}</httpSample>")
    message = "Number of samples in transaction : 1, number of failing samples : 0"
    trace = xml(
        f'<sample t="9" ts="1715342400000" s="true" lb="visit" rc="200" rm="{message}">{whole}</sample>', SAMPLE
    )
    assert len(trace.attempts) == 2 and trace.source.lines == 2
    assert ["inside another" in error.reason for error in trace.skipped] == [False, True]


def test_broken_xml_costs_the_sample_and_none_other() -> None:
    broken = SAMPLE.replace('lb="Home"', 'lb="Ho<me')
    trace = xml(SAMPLE, broken, SAMPLE.replace("250", "&#0;"), SAMPLE, SAMPLE[:40])
    assert len(trace.attempts) == 2
    assert [error.line for error in trace.skipped] == [4, 5, 8]  # where the XML breaks, the last at the next "<"
    assert all("XML" in error.reason for error in trace.skipped)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]><testResults>&z;</testResults>', "document type"),
        ('<?xml version="1.0" encoding="nonsense"?><testResults></testResults>', "encoding"),
        ("<testResults>" + "<a>" * 100_000, "1,000 deep"),
        ("<testResults>\n", "truncated XML"),
        ("<testResults></testResults>", "without a sample"),
        ("<testResults><httpSample lb='" + "a" * 9_000_000, "a tag of more than"),
    ],
)
def test_xml_that_is_a_trap_is_refused(document: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        read_trace(io.BytesIO(document.encode()), format="jmeter")


def test_likeness_is_for_our_own_only() -> None:
    assert jmeter.FORMAT.likeness(Head(f"{HEADER}\n{GOOD}\n".encode())) == 1.0
    assert jmeter.FORMAT.likeness(Head(XML.encode())) == 1.0
    for foreign in (
        b"",
        b"<html><body>",
        b"time,status\n1,200\n",
        b'{"timeStamp": 1}',
        b"\xff\xfe\x00<",
        b'"' * 60_000,
    ):
        assert jmeter.FORMAT.likeness(Head(foreign)) == 0.0


@pytest.mark.parametrize("line", ['"' * 1_000_000, "," * 1_000_000, "1" * 1_000_000, 'x"' * 500_000, "<" * 1_000_000])
def test_a_megabyte_of_one_character_is_refused_at_once(line: str) -> None:
    trace = read(GOOD, line, GOOD)
    assert len(trace.attempts) == 2 and trace.source.lines + len(trace.skipped) == 3


def test_a_quote_over_a_hundred_thousand_lines_is_given_up_in_linear_time() -> None:
    lines = ['"never closed', *["a, b"] * 100_000, GOOD]
    trace = read(*lines)
    assert len(trace.attempts) == 1 and len(trace.skipped) == 100_001


CUTS = st.lists(st.tuples(st.integers(0, 31_000), st.integers(0, 60), st.binary(max_size=6)), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(CUTS)
def test_every_line_of_a_damaged_file_is_accounted_for(
    cuts: list[tuple[int, int, bytes]],
) -> None:
    data = (RECORDED / LOGS["csv"]).read_bytes()
    head = data.index(b"\n") + 1
    for at, length, put in cuts:
        at = min(head + at, len(data))
        data = data[:at] + put + data[at + length :]
    trace = read_trace(io.BytesIO(data), format="jmeter")
    assert trace.source.lines + len(trace.skipped) == lines_of(data)


@settings(max_examples=60, deadline=None)
@given(CUTS)
def test_damaged_xml_never_crashes(cuts: list[tuple[int, int, bytes]]) -> None:
    data = (RECORDED / LOGS["xml"]).read_bytes()
    for at, length, put in cuts:
        data = data[: 60 + at] + put + data[60 + at + length :]
    try:
        trace = read_trace(io.BytesIO(data), format="jmeter")
    except TraceError:
        return
    assert trace.source.lines == len(trace.attempts)
