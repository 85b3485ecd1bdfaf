"""Our own CSV by hand: with and without its first line, and every kind of bad row."""

from __future__ import annotations

import io

import pytest

from breakerlab.trace import TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats.own_csv import FORMAT

NAMES = "time,latency,status,outcome,service,request,attempt,client"
GOOD = "1.5,0.25,200,ok,llm,7,1,a"
COMMENT = '# breakerlab trace {"kind":"trace","version":1,"start":"2026-11-24T14:00:00+00:00","source":{"a":1}}'


def read(*lines, **options):
    return read_trace(io.BytesIO("\n".join(lines).encode("utf-8", "surrogatepass")), **options)


def test_rows_without_header_and_kind_are_attempts():
    trace = read(NAMES, GOOD, "", '0.5,,,timeout,"a ""b"", c",0,2,')
    assert trace.attempts.drop(columns=["status", "latency", "retry_after"]).to_dict("records") == [
        {"time": 0.5, "outcome": "timeout", "service": 'a "b", c', "request": 0, "attempt": 2, "client": "",
         "endpoint": ""},
        {"time": 1.5, "outcome": "ok", "service": "llm", "request": 7, "attempt": 1, "client": "a", "endpoint": ""},
    ]  # fmt: skip
    assert trace.attempts["latency"].isna().tolist() == [True, False]
    assert trace.attempts["status"].isna().tolist() == [True, False]
    assert trace.source.lines == 2
    assert trace.source.has_retries
    assert trace.start is None


def test_what_pandas_writes_of_the_attempts_reads_back(tmp_path):
    trace = read(COMMENT, NAMES, GOOD, GOOD.replace("1.5", "0.5"))
    text = trace.attempts.to_csv(index=False)
    assert read_trace(io.StringIO(text)).attempts.equals(trace.attempts)


def test_events_and_the_header():
    names = f"kind,{NAMES},instance,value"
    trace = read(COMMENT, names, f"attempt,{GOOD},,", "pool,2.0,,,,,,,,eu,3", "breaker,1.0,,,,,,,,,1")
    assert trace.events.to_dict("records") == [
        {"time": 1.0, "instance": "", "kind": "breaker", "value": 1.0},
        {"time": 2.0, "instance": "eu", "kind": "pool", "value": 3.0},
    ]
    assert trace.source.facts == {"a": 1}
    assert trace.source.lines == 3
    assert "instance" not in trace.attempts  # of attempts the header does not speak


@pytest.mark.parametrize(
    ("row", "column", "found"),
    [
        ("x,0.25,200,ok,llm,7,1,a", "time", "text of 1 character"),
        (",0.25,200,ok,llm,7,1,a", "time", "no such key"),
        ("nan,0.25,200,ok,llm,7,1,a", "time", "nan"),
        ("1.5,-1,200,ok,llm,7,1,a", "latency", "-1.0"),
        ("1.5,inf,200,ok,llm,7,1,a", "latency", "inf"),
        ("1.5,0.25,99,ok,llm,7,1,a", "status", "99"),
        ("1.5,0.25,2e2,ok,llm,7,1,a", "status", '"2e2"'),
        ("1.5,0.25,\u0662\u0660\u0660,ok,llm,7,1,a", "status", "text of 3 characters"),
        ("1.5,0.25,200,fine,llm,7,1,a", "outcome", "text of 4 characters"),
        ("1.5,0.25,200,,llm,7,1,a", "outcome", "no such key"),
        ("1.5,0.25,200,ok,,7,1,a", "service", "no such key"),
        ("1.5,0.25,200,ok,llm,-7,1,a", "request", '"-7"'),
        ("1.5,0.25,200,ok,llm,99999999999999999,1,a", "request", "99999999999999999"),
        (f"1.5,0.25,200,ok,llm,{'9' * 5_000},1,a", "request", "text of 5,000 characters"),
        ("1.5,0.25,200,ok,llm,7,0,a", "attempt", "0"),
        ("1.5,0.25,200,ok,llm,7,1,\ud800", None, "binary data"),
        ("1.5,0.25,200,ok,llm,7,1,a\u0007", "client", "text of 2 characters"),
        ("1.5,0.25,200,ok,llm,7,1", None, "7 fields"),
        ("1.5,0.25,200,ok,llm,7,1,a,b", None, "9 fields"),
        ('1.5,0.25,200,ok,llm,7,1,"a', None, "quotes that do not match"),
        ('1.5,0.25,200,ok,llm,7,1,"a"b', None, "quotes that do not match"),
        ("1.5,0.25,200,ok,llm,7,1,a\x00", None, "binary data (a NUL byte)"),
        (f"1.5,0.25,200,ok,llm,7,1,{'a' * 200_000}", None, "quotes that do not match"),
    ],
)
def test_a_bad_row_is_named_and_costs_itself_only(row, column, found):
    trace = read(NAMES, GOOD, row, GOOD)
    assert len(trace.attempts) == trace.source.lines == 2
    [error] = trace.skipped
    assert (error.line, error.column) == (3, column)
    assert error.found.startswith(found)


@pytest.mark.parametrize(
    ("row", "column"),
    [("pol,1,1", "kind"), (",1,1", "kind"), ("pool,1,", "value"), ("pool,x,1", "time"), ("pool,1,nan", "value")],
)
def test_a_bad_event_is_named(row, column):
    kind, time, value = row.split(",")
    trace = read(f"kind,{NAMES},value", f"attempt,{GOOD},", f"{kind},{time},,,,,,,,{value}")
    assert [(error.line, error.column) for error in trace.skipped] == [(3, column)]


@pytest.mark.parametrize(
    ("header", "column"), [("{", "version"), ('{"version":1,"start":5}', "start"), ("[]", "version")]
)
def test_a_bad_first_line_is_skipped_and_the_rows_are_kept(header, column):
    trace = read(f"# breakerlab trace {header}", NAMES, GOOD)
    assert [(error.line, error.column) for error in trace.skipped] == [(1, column)]
    assert trace.source.lines == 1


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["# breakerlab trace {}", "time,latency", "1,2"], "no such column"),
        ([NAMES + ",time", GOOD + ",1"], "a column twice"),
        ([NAMES], "a header and no row"),
        ([COMMENT, NAMES], "a header and no row"),
        ([COMMENT.replace('"version":1', '"version":2'), NAMES, GOOD], "2"),
        ([NAMES, "x"], "1 fields here and no readable row"),
    ],
)
def test_without_columns_or_rows_there_is_no_trace(lines, found):
    with pytest.raises(TraceError) as raised:
        read(*lines, format="csv")
    assert raised.value.found.startswith(found)


def test_it_is_recognised_by_its_first_line_or_its_columns():
    assert FORMAT.likeness(Head(COMMENT.encode())) == 1.0
    assert FORMAT.likeness(Head(b"\xef\xbb\xbf" + COMMENT.encode())) == 1.0
    assert FORMAT.likeness(Head(NAMES.encode())) == 1.0
    for foreign in (b"", b"\xff\x00", b"time,latency\n1,2", b"timeStamp,elapsed,label\n1,2,3", b'{"time":1}'):
        assert FORMAT.likeness(Head(foreign)) == 0.0
