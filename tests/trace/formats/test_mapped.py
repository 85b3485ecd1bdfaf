"""Any CSV or DataFrame: a mapping says which column is which; every row is in the table or named."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from breakerlab.trace import TraceError, read_trace
from breakerlab.trace.formats import mapped

REAL = Path(__file__).parents[4] / "shared" / "traces"
MAPPING = {"time": "started", "latency": "took", "status": "code", "client": "who"}


def read(*lines, columns=None, units=None, names="started,took,code,who"):
    text = "\n".join([names, *lines])
    return read_trace(io.BytesIO(text.encode("utf-8", "surrogatepass")), columns=columns or MAPPING, units=units)


def one(cell, column="started", units=None, **columns):
    """The only row of a table, in which one cell is as given."""
    cells = {"started": "1700000000", "took": "0.5", "code": "200", "who": "a"} | {column: f'"{cell}"'}
    mapping = MAPPING | columns | ({column: column} if column not in MAPPING.values() else {})
    trace = read(",".join(cells.values()), columns=mapping, units=units, names=",".join(cells))
    return trace, trace.attempts.iloc[0]


@pytest.mark.parametrize(
    ("cell", "unit", "expected"),
    [
        ("1700000000", "s", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000.25", "s", datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
        ("1700000000250", "ms", datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
        ("1.70000000025e15", "us", datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
        ("1700000000250000000", "ns", datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
        ("2023-11-14T22:13:20Z", "s", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14 23:13:20.25+01:00", "s", datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
        ("2023-11-14 22:13:20 UTC", "s", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-14T22:13:20,250", "s", datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)),
        (" 2023-11-14 ", "s", datetime(2023, 11, 14, tzinfo=UTC)),
    ],
)
def test_times(cell, unit, expected):
    trace, row = one(cell, units={"time": unit})
    assert trace.start + timedelta(seconds=row["time"]) == expected
    zoneless = cell.startswith(("2023-11-14T22:13:20,", " 2023"))
    assert ("time zone" in trace.source.cannot_tell) == zoneless
    assert ("sub-second times" in trace.source.cannot_tell) == (expected.microsecond == 0)


def test_nanoseconds_are_exact():
    trace = read(
        "1700000000000000001,0,200,a", "1700000000000000002,0,200,a", units={"time": "ns"}
    )  # a float cannot tell them apart
    assert trace.attempts["time"].tolist() == [1e-9, 2e-9]


@pytest.mark.parametrize(("cell", "unit", "expected"), [("412", "ms", 0.412), ("0.1", "s", 0.1), ("3", "us", 3e-6)])
def test_latencies(cell, unit, expected):
    assert one(cell, "took", units={"latency": unit})[1]["latency"] == expected


@pytest.mark.parametrize("cell", ["", "-", "NULL", "nan", "None", "N/A"])
def test_nothing_is_missing(cell):
    _, row = one(cell, "took")
    assert np.isnan(row["latency"])
    _, row = one(cell, "code")
    assert (row["status"] is pd.NA, row["outcome"]) == (True, "connection")


@pytest.mark.parametrize(
    ("cell", "status", "outcome"),
    [
        ("200", 200, "ok"),
        ("503.0", 503, "error"),
        ("429", 429, "throttled"),
        ("0", None, "connection"),
        ("-1", None, "connection"),
        ("timeout", None, "timeout"),
        ("Rejected", None, "rejected"),
        ("Non HTTP response code: java.net.SocketTimeoutException", None, "timeout"),
        ("Non HTTP response code: java.net.ConnectException", None, "connection"),
        ("ECONNRESET", None, "connection"),
    ],
)
def test_statuses(cell, status, outcome):
    _, row = one(cell, "code")
    assert (None if row["status"] is pd.NA else row["status"], row["outcome"]) == (status, outcome)


@pytest.mark.parametrize(
    ("code", "result", "outcome"),
    [
        ("200", "true", "ok"),
        ("503", "false", "error"),
        ("429", "failed", "throttled"),
        ("0", "failed", "connection"),
        ("timeout", "failed", "timeout"),
        ("", "failed", "connection"),
        ("200", "failed", "error"),
        ("200", "timeout", "timeout"),
        ("", "cancelled", "cancelled"),
        ("503", "", "error"),
    ],
)
def test_an_outcome_beside_a_status(code, result, outcome):
    trace = read(f"1700000000,{code},{result}", names="t,c,r", columns={"time": "t", "status": "c", "outcome": "r"})
    assert trace.attempts["outcome"].tolist() == [outcome]


def test_requests_and_attempts_tell_retries():
    names = "t,id,n,svc,path,in,out,ra,pod"
    columns = {
        "time": "t", "request": "id", "attempt": "n", "service": "svc", "endpoint": "path", "tokens_in": "in",
        "tokens_out": "out", "retry_after": "ra", "instance": "pod",
    }  # fmt: skip
    trace = read(
        "10,x-7,1,llm,POST /v1/users/42?key=SECRET,5,6.0,1500,eu",
        "12,x-7,2,,gpt-4,,,,",
        "11,9,1,llm,/a,1,1,,us",
        "13,,1,llm,/a,,,,",
        names=names, columns=columns, units={"retry_after": "ms"},
    )  # fmt: skip
    attempts = trace.attempts
    assert attempts["request"].tolist() == [0, 1, 0]
    assert attempts["attempt"].tolist() == [1, 1, 2]
    assert attempts["service"].tolist() == ["llm", "llm", "api"]
    assert attempts["endpoint"].tolist() == ["POST /v1/users/{id}", "/a", "gpt-4"]
    assert attempts["tokens_out"].tolist()[0] == 6
    assert attempts["retry_after"].tolist()[0] == 1.5
    assert attempts["instance"].tolist() == ["eu", "us", ""]
    assert trace.source.has_retries
    assert [(error.line, error.column) for error in trace.skipped] == [(5, "request")]


def test_what_is_not_mapped_is_not_told():
    trace = read("1700000000.5,1,200,a", columns={"time": "started"})
    assert trace.source.cannot_tell == ("latency", "client", "endpoint", "status", "outcome", "retries")
    assert not trace.source.has_retries
    assert trace.attempts["outcome"].tolist() == ["ok"]
    assert (trace.source.format, trace.source.name, trace.source.lines) == ("csv", "<buffer>", 1)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiters_line_ends_quotes_and_a_byte_order_mark(delimiter, end, mark):
    rows = [["started", "took", '"code"', "the note"], ["1700000000", "1", "200", f'"a{delimiter} ""b""{end}c"'],
            ["1700000001", "1", "503", "x"]]  # fmt: skip
    text = mark + end + end.join(delimiter.join(row) for row in rows)
    columns = {"time": "started", "status": "code", "client": "the note"}
    trace = read_trace(io.BytesIO(text.encode()), columns=columns)
    assert trace.skipped == ()
    assert trace.attempts["status"].tolist() == [200, 503]
    assert trace.attempts["client"].tolist()[1] == "x"


def test_a_row_of_several_lines_is_named_by_the_first():
    trace = read('1,1,9,"a\n\nb"', "2,1,200,c", '3,1,9,"', '"', "4,1,200,d")
    assert [(error.line, error.column) for error in trace.skipped] == [(2, "status"), (6, "status")]
    assert trace.source.lines == 2


@pytest.mark.parametrize(
    ("row", "column", "found"),
    [
        ("yesterday,1,200,a", "time", "text of 9 characters"),
        (",1,200,a", "time", "nothing"),
        ("-5,1,200,a", "time", "-5000000000"),
        ("1e400,1,200,a", "time", "text of 5 characters"),
        ("1e999999999,1,200,a", "time", '"1e999999999"'),
        ("2023-13-01,1,200,a", "time", '"2023-13-01"'),
        ("1700000000000,1,200,a", "time", "1700000000000000000000"),
        ("1,-1,200,a", "latency", "-1.0"),
        ("1,fast,200,a", "latency", "text of 4 characters"),
        ("1,inf,200,a", "latency", "text of 3 characters"),
        ("1,1,99,a", "status", '"99"'),
        ("1,1,200.5,a", "status", '"200.5"'),
        ("1,1,hello,a", "status", "text of 5 characters"),
        ("1,1,200", None, "3 fields"),
        ("1,1,200,a,b", None, "5 fields"),
        ('1,1,200,"a"b', None, "quotes that do not match"),
        ('1,1,200,"a', None, "quotes that do not match"),
        ("1,1,200,\ud800", None, "binary data (byte 9 is not UTF-8)"),
        ("1,1,200,\x00", None, "binary data (a NUL byte)"),
        ("1,1,200," + "a" * 2**20, None, "a line of more than"),
    ],
)
def test_a_bad_row_is_named_and_the_rows_next_to_it_are_kept(row, column, found):
    trace = read("1,1,200,a", row, "2,1,200,b", "3,1,200,c")
    assert [(error.line, error.column) for error in trace.skipped] == [(3, column)]
    assert found in trace.skipped[0].found or column == "time"
    assert "SECRET" not in str(trace.skipped)
    assert trace.attempts["client"].tolist() == ["a", "b", "c"]


def test_a_quote_that_is_never_closed_costs_one_row_and_no_time():
    started = time.perf_counter()
    trace = read('1,1,200,"', *["2,1,200,b"] * 20_000)
    assert len(trace.attempts) == 20_000
    assert [error.line for error in trace.skipped] == [2]
    assert time.perf_counter() - started < 30


@pytest.mark.parametrize(
    ("columns", "units", "message"),
    [
        ({}, None, "it needs the key 'time'"),
        ({"latency": "took"}, None, "it needs the key 'time'"),
        ({"time": "started", "latncy": "took"}, None, "has the key 'latncy', expected some of time"),
        ({"time": "started", "request": "who"}, None, "only both together tell retries"),
        ({"time": "started"}, {"latency": "ms"}, "units has the key 'latency'"),
        ({"time": "started"}, {"status": "ms"}, "units has the key 'status'"),
        ({"time": "started"}, {"time": "min"}, "the unit of time is 'min', expected one of s, ms, us, ns"),
        ({"time": "begun"}, None, "line 1, column time: found no column, or several, of the name"),
        ({"time": "started", "client": "x"}, None, "column client: found no column, or several"),
    ],
)
def test_a_mapping_that_does_not_fit(columns, units, message):
    with pytest.raises(ValueError, match=message):
        read_trace(io.StringIO("started,took,code,who\n1,1,200,a"), columns=columns, units=units)
    with pytest.raises(ValueError, match=message.removeprefix("line 1, ")):
        read_trace(
            pd.DataFrame({"started": [1], "took": [1], "code": [200], "who": ["a"]}), columns=columns, units=units
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("\n \n", "an empty file"),
        ("started,took\n", "a table without rows"),
        ("started,started\n1,2", "no column, or several"),
        ("started,took\nx,1", "here and no readable row"),
        ("\0", "binary data"),
    ],
)
def test_without_a_row_there_is_no_trace(text, message):
    with pytest.raises(TraceError, match=message):
        read_trace(io.StringIO(text), columns={"time": "started"})


def test_arguments_that_do_not_go_together():
    with pytest.raises(ValueError, match="units goes with columns"):
        read_trace(io.StringIO("a"), units={"time": "ms"})
    with pytest.raises(ValueError, match="not with format='jsonl'"):
        read_trace(io.StringIO("a"), "jsonl", columns={"time": "a"})
    with pytest.raises(ValueError, match="A DataFrame needs columns="):
        read_trace(pd.DataFrame({"time": [1]}))
    assert len(read_trace(io.StringIO("a\n1"), "csv", columns={"time": "a"}).attempts) == 1


def test_a_csv_of_an_unknown_kind_needs_a_mapping():
    with pytest.raises(TraceError, match="a CSV of an unknown kind, expected columns=") as raised:
        read_trace(io.StringIO("started,my secret name\n1,2\n3,4"))
    assert "secret" not in str(raised.value)
    for text in ('{"a":1,"b":2}\n{"a":1,"b":2}', "1,2\n3,4", "some words\nand more", "a,b\n1\n2,3\n"):
        with pytest.raises(TraceError, match="no format that is known"):
            read_trace(io.StringIO(text))


def test_frames_of_any_types():
    moments = pd.to_datetime(
        ["2023-11-14T22:13:20.000000001Z", "2023-11-14T22:13:21Z", None], utc=True, format="ISO8601"
    )
    frame = pd.DataFrame(
        {
            "at": moments,
            "took": pd.to_timedelta(["250ms", None, "1s"]),
            "code": pd.array([200, None, 503], dtype="Int64"),
            "who": pd.Categorical(["a", None, "a"]),
            5: [1.0, np.nan, 2.0],
        },
        index=[7, 7, 7],
    )
    mapping = {"time": "at", "latency": "took", "status": "code", "client": "who", "tokens_in": 5}
    trace = read_trace(frame, columns=mapping)
    assert trace.start == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert trace.attempts["time"].tolist() == [1e-9, 1.0]
    assert trace.attempts["latency"].isna().tolist() == [False, True]
    assert trace.attempts["client"].tolist() == ["a", ""]
    assert trace.attempts["tokens_in"].isna().tolist() == [False, True]
    assert [(error.file, error.line, error.column) for error in trace.skipped] == [("<DataFrame>", 3, "time")]
    assert (trace.source.format, trace.source.lines) == ("dataframe", 2)
    naive = read_trace(frame.assign(at=moments.tz_localize(None)), columns=mapping)
    assert "time zone" in naive.source.cannot_tell
    assert naive.attempts.equals(trace.attempts)
    with pytest.raises(TraceError, match="no column, or several"):
        read_trace(pd.concat([frame, frame[["at"]]], axis=1), columns=mapping)


@pytest.mark.skipif(not REAL.exists(), reason="the folder of real traces is not here")
def test_a_real_csv_and_the_same_as_a_frame():
    path = REAL / "jmeter_rodcul_pfc_a.jtl.csv"
    mapping = {"time": "timeStamp", "latency": "elapsed", "status": "responseCode", "client": "threadName"}
    units = {"time": "ms", "latency": "ms"}
    trace = read_trace(path, columns=mapping, units=units)
    assert len(trace.attempts) == 412
    assert (trace.attempts["status"] == 500).sum() == 31
    assert trace.attempts["outcome"].value_counts()["timeout"] == 16
    assert trace.source.cannot_tell == ("endpoint", "retries")
    assert read_trace(pd.read_csv(path), columns=mapping, units=units) == trace


CELLS = st.text(alphabet='1,"\n\r\0 ;a\u00e9\ud800', max_size=6) | st.sampled_from(["200", "1", "timeout", '"', "1e99"])


@given(st.lists(st.lists(CELLS, min_size=1, max_size=5).map(",".join), max_size=8).map("\n".join))
@example('1,1,200,"\n1,1,200,""\n1,1,200,"a"')
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_named(text):
    try:
        trace = read(text)
    except TraceError as error:
        assert str(error).endswith(".")
        return
    lines = len(text.split("\n")) + 1
    skipped = [error.line for error in trace.skipped]
    assert len(set(skipped)) == len(skipped)
    assert all(2 <= line <= lines for line in skipped)
    assert trace.source.lines == len(trace.attempts)


@given(
    st.dictionaries(
        st.sampled_from(["started", "took", "code", "who"]),
        st.lists(st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.booleans(), min_size=3, max_size=3),
        min_size=4,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_frame_is_read_or_named(columns):
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    try:
        trace = read_trace(frame, columns=MAPPING)
    except TraceError:
        return
    assert len(trace.attempts) + len(trace.skipped) == 3


def test_rows_are_split_as_csv_splits_them(monkeypatch):
    monkeypatch.setattr(mapped, "_MAX_LINES_OF_A_ROW", 3)
    trace = read('1,1,200,"a\nb\nc"', '2,1,200,"a\nb\nc\nd\ne"', "3,1,200,x")
    assert trace.attempts["client"].tolist() == ["a\ufffdb\ufffdc", "x"]
    assert [error.line for error in trace.skipped] == [5, 6, 7, 8, 9]
