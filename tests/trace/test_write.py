"""What is written reads back equal, in every format; a file is whole or not there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breakerlab.trace import Source, Trace, read_trace
from breakerlab.trace.redaction import redacted
from breakerlab.trace.schema import EVENT_KINDS, OUTCOMES

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
START = datetime(2026, 11, 24, 14, 0, 0, 123_456, tzinfo=UTC)

TRACE = Trace.from_columns(
    {
        "time": [0.1, 0.30000000000000004, 0.30000000000000004, 7.0],
        "latency": [1e-9, np.nan, 0.1 + 0.2, 1e10],
        "status": [200, 0, 503, 429],
        "outcome": ["ok", "lost", "error", "throttled"],
        "service": ["llm", 'a "b", c', "llm", "ü;\u3042"],
        "request": [0, 2**53, 7, 7],
        "attempt": [1, 1, 1, 32_767],
        "client": ["", "x,y", " spaced ", "'"],
        "endpoint": ["POST /v1/chat", "=1+1", "% no \u00df", "\\n"],
        "retry_after": [np.nan, 0.0, 1.5, np.nan],
        "instance": ["", "eu", "", ""],
        "tokens_in": pd.array([1, None, 2**53, 0], dtype="Int64"),
        "tokens_out": pd.array([None] * 4, dtype="Int64"),
        "idempotent": pd.array([True, None, False, None], dtype="boolean"),
    },
    {"time": [-1.0, 0.30000000000000004, 9.0], "kind": ["pool", "breaker", "health"], "value": [3.0, -0.5, 2.0**53]},
    start=START,
    source=Source("a.log", "nginx", False, ("latency", "time zone"), 4, {"scenario": "x", "list": [1, {"a": None}]}),
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_value_reads_back_as_it_was(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    TRACE.write(path)
    again = read_trace(path)
    assert again == TRACE
    assert again.skipped == ()
    assert again.source.lines == 7
    assert again.source.format == suffix.removesuffix(".gz").removeprefix(".")
    assert again.source.cannot_tell == ("latency", "time zone")
    assert not again.source.has_retries
    assert [str(dtype) for dtype in again.attempts.dtypes] == [str(dtype) for dtype in TRACE.attempts.dtypes]
    assert hash(again) == hash(TRACE)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with open(path, "rb") as file:
        assert read_trace(file) == TRACE


def words(least):
    cleaned = st.text(min_size=least, max_size=6).map(redacted)
    return cleaned.filter(lambda text: text == redacted(text) and len(text) >= least)


@st.composite
def traces(draw):
    rows = draw(st.integers(0, 6))
    beside = draw(st.integers(0 if rows else 1, 3))

    def column(values, size=rows):
        return draw(st.lists(values, min_size=size, max_size=size))

    seconds = st.floats(-1e10, 1e10)
    duration = st.floats(0, 1e10) | st.just(float("nan"))
    count = st.integers(0, 2**53)
    attempts = {
        "time": np.array(column(seconds), float),
        "latency": np.array(column(duration), float),
        "status": np.array(column(st.just(0) | st.integers(100, 999)), int),
        "outcome": column(st.sampled_from(OUTCOMES)),
        "service": column(words(1)),
        "request": np.array(column(count), int),
        "attempt": np.array(column(st.integers(1, 32_767)), int),
        "client": column(words(0)),
        "endpoint": column(words(0)),
        "retry_after": np.array(column(duration), float),
    }
    optional = {
        "instance": lambda: column(words(0)),
        "tokens_in": lambda: pd.array(column(count | st.none()), dtype="Int64"),
        "tokens_out": lambda: pd.array(column(count | st.none()), dtype="Int64"),
        "idempotent": lambda: pd.array(column(st.booleans() | st.none()), dtype="boolean"),
    }
    attempts |= {name: make() for name, make in optional.items() if draw(st.booleans())}
    events = {
        "time": np.array(column(seconds, beside), float),
        "kind": column(st.sampled_from(EVENT_KINDS), beside),
        "value": np.array(column(st.floats(-(2**53), 2**53), beside), float),
        "instance": column(words(0), beside),
    }
    json_values = st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda v: st.lists(v, max_size=2))
    source = Source(
        has_retries=draw(st.booleans()),
        cannot_tell=tuple(draw(st.lists(words(0), max_size=2))),
        facts=draw(st.dictionaries(st.text(max_size=3), json_values, max_size=2)),
    )
    start = draw(st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
    return Trace.from_columns(attempts, events if beside else None, start=start, source=source)


@given(trace=traces())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_trace_reads_back_equal(tmp_path, trace):
    for suffix in (".jsonl", ".csv", ".parquet"):
        path = tmp_path / f"a{suffix}"
        trace.write(path)
        again = read_trace(path)
        assert again == trace
        assert hash(again) == hash(trace)
        assert again.skipped == ()
        assert again.source.lines == len(trace.attempts) + len(trace.events)


def test_lines_of_both_tables_are_in_order_of_time(tmp_path, monkeypatch):
    from breakerlab.trace import writing

    monkeypatch.setattr(writing, "_ROWS", 2)
    path = tmp_path / "a.jsonl"
    TRACE.write(path)
    header, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert header["kind"] == "trace"
    assert [row.get("time", row.get("t")) for row in rows] == [-1.0, 0.1, *[0.1 + 0.2] * 3, 7.0, 9.0]
    assert [row["kind"] for row in rows].count("event") == 3
    assert read_trace(path) == TRACE


def test_a_csv_is_a_csv_to_others(tmp_path):
    path = tmp_path / "a.csv"
    TRACE.write(path)
    with open(path, encoding="utf-8", newline="") as file:
        comment = file.readline()
        rows = list(csv.DictReader(file))
    assert comment.startswith('# breakerlab trace {"kind":"trace","version":1,')
    assert [row["kind"] for row in rows] == ["pool", "attempt", "attempt", "attempt", "breaker", "attempt", "health"]
    assert rows[3]["latency"] == "0.30000000000000004"
    assert rows[2]["service"] == 'a "b", c'
    assert rows[2]["status"] == rows[1]["retry_after"] == rows[1]["value"] == ""
    assert rows[0]["value"] == "3.0"


def test_a_parquet_is_a_table_to_others(tmp_path):
    import polars as pl

    path = tmp_path / "a.parquet"
    TRACE.write(path)
    frame = pl.read_parquet(path)
    assert frame["kind"].to_list() == ["attempt"] * 4 + ["pool", "breaker", "health"]
    assert frame["latency"].to_list()[:3] == [1e-9, None, 0.1 + 0.2]
    assert frame["status"].to_list() == [200, None, 503, 429, None, None, None]
    assert frame["service"].to_list()[1] == 'a "b", c'
    assert json.loads(pl.read_parquet_metadata(path)["breakerlab"])["cannot_tell"] == ["latency", "time zone"]


def test_many_words_are_written_as_text(tmp_path, monkeypatch):
    from breakerlab.trace import parquet_writing

    monkeypatch.setattr(parquet_writing, "_MAX_DICTIONARY", 3)
    TRACE.write(tmp_path / "a.parquet")
    assert read_trace(tmp_path / "a.parquet") == TRACE


def test_what_was_recorded_reads_back_equal_from_every_format(tmp_path, begin, end, event, read):
    trace = read(begin(1.0, "a"), event(1.5, "pool", 2), end(2.0, "a", outcome="error", status=503), begin(3.0, "b"))
    for suffix in SUFFIXES:
        trace.write(tmp_path / f"a{suffix}")
        assert read_trace(tmp_path / f"a{suffix}") == trace


@pytest.mark.parametrize("name", ["a", "a.txt", "a.parquet.gz", "csv", "a.csv.zip", "jsonl.gz"])
def test_an_unknown_suffix_is_one_sentence(tmp_path, name):
    with pytest.raises(ValueError, match=r"let it end in .jsonl, .jsonl.gz, .csv, .csv.gz or .parquet\.$"):
        TRACE.write(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_upper_case_suffixes_count(tmp_path):
    TRACE.write(tmp_path / "A.CSV")
    assert read_trace(tmp_path / "A.CSV") == TRACE


def test_an_empty_trace_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="nothing to write"):
        TRACE.between(100, 200).write(tmp_path / "a.csv")


@pytest.mark.parametrize("facts", [{"a": float("nan")}, {"a": object()}, {"a": "x" * 2**20}])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_facts_that_are_no_json_leave_the_old_file_alone(tmp_path, facts, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    trace = Trace.from_columns(TRACE.attempts, source=Source(facts=facts))
    with pytest.raises((ValueError, TypeError)):
        trace.write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_while_writing_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        TRACE.write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_query_string_that_no_reader_has_cut_off_is_cut_off_on_reading_back(tmp_path):
    trace = Trace.from_columns({**TRACE.attempts, "endpoint": "GET /a?key=SECRET-1", "client": "me@example.org"})
    for suffix in SUFFIXES:
        trace.write(tmp_path / f"a{suffix}")
        again = read_trace(tmp_path / f"a{suffix}").attempts
        assert set(again["endpoint"]) == {"GET /a"}
        assert set(again["client"]) == {"{email}"}


def test_gzip_is_the_same_each_time(tmp_path):
    TRACE.write(tmp_path / "a.jsonl.gz")
    TRACE.write(tmp_path / "b.jsonl.gz")
    first, second = ((tmp_path / name).read_bytes() for name in ("a.jsonl.gz", "b.jsonl.gz"))
    assert first == second
    TRACE.write(tmp_path / "a.jsonl")
    assert gzip.decompress(first) == (tmp_path / "a.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"has_retries": 1}, "has_retries"),
        ({"cannot_tell": "latency"}, "cannot_tell"),
        ({"cannot_tell": [1]}, "cannot_tell"),
        ({"cannot_tell": ["a"] * 101}, "cannot_tell"),
        ({"columns": ["time"]}, "columns"),
        ({"columns": None}, "columns"),
    ],
)
def test_a_bad_header_is_skipped_and_named(read, flat, change, column):
    header = {"kind": "trace", "version": 1, "start": None, "source": {}}
    trace = read(header | change, flat())
    assert [(error.line, error.column) for error in trace.skipped] == [(1, column)]
    assert trace.source.lines == 1


def test_the_header_is_no_line_of_the_log(read, flat):
    trace = read({"kind": "trace", "version": 1, "start": None}, flat(), "x")
    assert trace.source.lines == 1
    assert len(trace.skipped) == 1


def test_start_is_kept_to_the_microsecond(tmp_path):
    moved = Trace.from_columns(TRACE.attempts, start=START + timedelta(microseconds=1))
    moved.write(tmp_path / "a.csv")
    assert read_trace(tmp_path / "a.csv").start == START + timedelta(microseconds=1)
    assert read_trace(tmp_path / "a.csv") != Trace.from_columns(TRACE.attempts, start=START)


def test_any_order_of_the_columns_of_a_csv(tmp_path):
    TRACE.write(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    comment, table = text.split("\n", 1)
    frame = pd.read_csv(io.StringIO(table), dtype=str, keep_default_na=False)
    turned = frame[list(frame)[::-1]].to_csv(index=False, lineterminator="\r\n")
    assert read_trace(io.StringIO(f"\ufeff{comment}\r\n{turned}")) == TRACE
