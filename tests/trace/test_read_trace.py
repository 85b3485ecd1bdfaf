"""Reading: every field of a good row, every kind of bad row, and a good row next to a bad one."""

from __future__ import annotations

import gzip
import io
import json
import math
import pickle
import tracemalloc
from datetime import UTC, datetime

import pytest

from breakerlab.trace import TraceError, content, read_trace

HEADER = {
    "kind": "trace",
    "version": 1,
    "start": "2026-11-24T15:00:00.000000+01:00",
    "source": {"scenario": "calm", "parameters": {"seed": 1}},
}


def test_begin_and_end_make_one_attempt(read, begin, end):
    trace = read(
        begin(1.0, "a", client="pipeline", endpoint="POST /v1/chat", request=7, attempt=2),
        end(1.5, "a", outcome="error", status=503, retry_after=2),
    )
    assert trace.attempts.to_dict("records") == [
        {
            "time": 1.0, "latency": 0.5, "status": 503, "outcome": "error", "service": "llm", "request": 7,
            "attempt": 2, "client": "pipeline", "endpoint": "POST /v1/chat", "retry_after": 2.0,
        }
    ]  # fmt: skip
    assert trace.skipped == ()


def test_latency_counts_from_the_intended_time(read, begin, end):
    attempts = read(begin(1.25, "a", due=1.0), end(2.0, "a")).attempts
    assert attempts["time"].tolist() == [1.0]
    assert attempts["latency"].tolist() == [1.0]


def test_a_begin_without_an_end_is_lost(read, begin):
    attempts = read(begin(1.0, "a")).attempts
    assert attempts["outcome"].tolist() == ["lost"]
    assert math.isnan(attempts["latency"][0])
    assert attempts["status"].isna().all()


@pytest.mark.parametrize("kind", [{}, {"kind": "attempt"}])
def test_a_whole_attempt_on_one_line(read, flat, kind):
    row = flat(client="app", endpoint="POST /v1/chat", retry_after=1.5) | kind
    attempts = read(row, flat(time=2.0, latency=None, status=None, outcome="connection")).attempts
    assert attempts.drop(columns=["latency", "status"]).to_dict("records")[0] == {
        "time": 1.0, "outcome": "ok", "service": "llm", "request": 1, "attempt": 1, "client": "app",
        "endpoint": "POST /v1/chat", "retry_after": 1.5,
    }  # fmt: skip
    assert attempts["client"].tolist() == ["app", ""]
    assert attempts["status"].isna().tolist() == [False, True]
    assert attempts["latency"].isna().tolist() == [False, True]
    assert attempts["retry_after"].isna().tolist() == [False, True]


def test_the_types_of_the_columns(read, flat, event):
    trace = read(flat(instance="eu", tokens_in=1, tokens_out=2, idempotent=True), event(1.0, "pool", 3))
    assert {name: str(dtype) for name, dtype in trace.attempts.dtypes.items()} == {
        "time": "float64",
        "latency": "float64",
        "status": "Int16",
        "outcome": "category",
        "service": "category",
        "request": "int64",
        "attempt": "int16",
        "client": "category",
        "endpoint": "category",
        "retry_after": "float64",
        "instance": "category",
        "tokens_in": "Int64",
        "tokens_out": "Int64",
        "idempotent": "boolean",
    }
    assert {name: str(dtype) for name, dtype in trace.events.dtypes.items()} == {
        "time": "float64",
        "instance": "category",
        "kind": "category",
        "value": "float64",
    }


def test_optional_columns_are_there_only_if_a_row_has_them(read, flat):
    attempts = read(flat(), flat(time=2.0, tokens_out=5)).attempts
    assert {"instance", "tokens_in", "idempotent"} & set(attempts) == set()
    assert attempts["tokens_out"].isna().tolist() == [True, False]
    assert attempts["tokens_out"][1] == 5


def test_the_header_tells_start_and_facts(read, flat):
    trace = read(HEADER, flat())
    assert trace.start == datetime(2026, 11, 24, 14, tzinfo=UTC)
    assert trace.source.facts == HEADER["source"]
    assert trace.source.format == "jsonl"
    assert trace.source.has_retries
    assert trace.source.name == "<buffer>"
    assert read(flat()).start is None


def test_attempts_are_in_order_of_time_and_equal_times_stay_in_order(read, begin):
    attempts = read(
        begin(1.0, "a", request=1), begin(2.0, "b", request=2, due=0.5), begin(2.0, "c", request=3, due=1.0)
    ).attempts
    assert attempts["request"].tolist() == [2, 1, 3]


def test_blank_lines_carriage_returns_and_a_byte_order_mark_mean_nothing(read, flat):
    trace = read(b"\xef\xbb\xbf" + json.dumps(flat()).encode() + b"\r", b"", b"  \r", json.dumps(flat(time=2.0)), b"")
    assert len(trace.attempts) == 2
    assert trace.skipped == ()


def test_a_log_of_one_line_with_a_byte_order_mark_is_recognised():
    line = (
        '{"time":"2024-03-10T13:55:36+00:00","remote_addr":"192.0.2.7","request":"GET / HTTP/1.1",'
        '"status":200,"request_time":0.1}'
    )
    assert read_trace(io.BytesIO(b"\xef\xbb\xbf" + line.encode())).source.format == "nginx"


def test_a_byte_order_mark_alone_is_an_empty_file():
    with pytest.raises(TraceError) as raised:
        read_trace(io.BytesIO(b"\xef\xbb\xbf"))
    assert raised.value.found == "an empty file"


def test_a_file_of_which_nothing_can_be_read_is_not_called_empty():
    damaged = bytearray(gzip.compress(b"some log, and more of it\n" * 9))
    damaged[12] ^= 0xFF
    for data, found in ((damaged, "damaged gzip data"), (damaged[:10], "the end of the file inside gzip data")):
        with pytest.raises(TraceError) as raised:
            read_trace(io.BytesIO(bytes(data)))
        assert raised.value.found == found
    with open(__file__, "rb") as closed:
        pass
    with pytest.raises(TraceError) as raised:
        read_trace(closed)
    assert raised.value.found == "a read error"


BAD_ATTEMPTS = [
    ({"latency": -0.2}, "latency", "-0.2", "from 0 to"),
    ({"latency": "fast"}, "latency", "text of 4 characters", "a number"),
    ({"latency": math.inf}, "latency", "inf", "a number"),
    ({"time": "12:00"}, "time", 'text "12:00"', "a number of seconds"),
    ({"time": True}, "time", "true", "a number of seconds"),
    ({"time": math.nan}, "time", "nan", "a number of seconds"),
    ({"time": None}, "time", "null", "a number of seconds"),
    ({"time": 10**300}, "time", "more than 40 digits", "a number of seconds"),
    ({"status": 9999}, "status", "9999", "an integer from 100 to 999"),
    ({"status": 0}, "status", "0", "an integer from 100 to 999"),
    ({"status": "200"}, "status", 'text "200"', "an integer from 100 to 999"),
    ({"status": 200.5}, "status", "200.5", "an integer from 100 to 999"),
    ({"outcome": "fine"}, "outcome", "text of 4 characters", "one of ok, error"),
    ({"outcome": ["ok"]}, "outcome", "a list", "one of ok, error"),
    ({"service": ""}, "service", "text of 0 characters", "1 to 1,000 characters"),
    ({"service": 5}, "service", "5", "printable text"),
    ({"service": "a\u0000b"}, "service", "text of 3 characters", "printable text"),
    ({"service": "\ud800"}, "service", "text of 1 character", "printable text"),
    ({"service": "s" * 1001}, "service", "text of 1,001 characters", "1 to 1,000 characters"),
    ({"request": 2**63}, "request", str(2**63), "an integer from 0"),
    ({"request": "17"}, "request", 'text "17"', "an integer from 0"),
    ({"request": -1}, "request", "-1", "an integer from 0"),
    ({"attempt": 0}, "attempt", "0", "an integer from 1"),
    ({"attempt": 1.0}, "attempt", "1.0", "an integer from 1"),
    ({"attempt": False}, "attempt", "false", "an integer from 1"),
    ({"attempt": 32_768}, "attempt", "32768", "an integer from 1"),
    ({"retry_after": -1}, "retry_after", "-1", "from 0 to"),
    ({"client": {"a": 1}}, "client", "an object", "printable text"),
    ({"endpoint": 3}, "endpoint", "3", "printable text"),
    ({"tokens_in": 1.5}, "tokens_in", "1.5", "an integer from 0"),
    ({"idempotent": 1}, "idempotent", "1", "true, false or null"),
    ({"kind": "span"}, "kind", "text of 4 characters", "one of trace, attempt, begin, end, event"),
    ({"kind": ["end"]}, "kind", "a list", "one of trace"),
]


@pytest.mark.parametrize(("change", "column", "found", "expected"), BAD_ATTEMPTS)
def test_a_bad_value_is_named_and_costs_its_row_only(read, flat, change, column, found, expected):
    trace = read(flat(), flat(time=1.5, request=2) | change, flat(time=2.0, request=3))
    assert trace.attempts["request"].tolist() == [1, 3]
    [error] = trace.skipped
    assert (error.file, error.line, error.column) == ("<buffer>", 2, column)
    assert found in error.found
    assert expected in error.expected
    assert f"<buffer>, line 2, column {column}: found " in str(error)
    assert error.reason in str(error)


@pytest.mark.parametrize("column", ["time", "latency", "status", "outcome", "service", "request", "attempt"])
def test_a_missing_column_is_named(read, flat, column):
    row = flat(time=1.5)
    del row[column]
    trace = read(flat(), row, flat(time=2.0))
    assert len(trace.attempts) == 2
    assert [(e.line, e.column, e.found) for e in trace.skipped] == [(2, column, "no such key")]


BAD_LINES = [
    (b'{"time":1.5,"latency":0.', "a truncated line (it ends after character 24)"),
    (b'{"time":1.5,"outcome":"o', "a truncated line (it ends after character 24)"),
    (b"{", "a truncated line"),
    (b'{"time" 1.5}', "broken JSON (at character 9)"),
    (b'{"time":1.5} {"time":1.6}', "broken JSON (at character 14)"),
    (b"127.0.0.1 - - [24/Nov/2026:14:00:00]", "text that is no JSON object"),
    (b"[1,2]", "a list instead of an object"),
    (b'"text"', "text instead of an object"),
    (b"17", "a number instead of an object"),
    (b"true", "true or false instead of an object"),
    (b"null", "null instead of an object"),
    (b'{"time":\xff}', "binary data (byte 9 is not UTF-8)"),
    (b'{"time":1\x00}', "binary data (a NUL byte)"),
    (b'{"time":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "an object nested too deep"),
    (b'{"time":' + b"9" * 5_000 + b"}", "a number of thousands of digits"),
    (b'{"time":1.5,"prompt":"' + b"x" * 2**20 + b'"}', "a line of more than 1,048,576 bytes"),
]


@pytest.mark.parametrize(("line", "found"), BAD_LINES, ids=[found for _, found in BAD_LINES])
def test_a_bad_line_is_named_and_the_rows_next_to_it_are_kept(read, flat, line, found):
    trace = read(flat(), line, flat(time=2.0))
    assert trace.attempts["time"].tolist() == [1.0, 2.0]
    [error] = trace.skipped
    assert (error.line, error.column) == (2, None)
    assert error.found.startswith(found)
    assert error.expected == "one JSON object a line, as breakerlab records it"


def test_nan_and_infinity_in_keys_that_are_not_read_do_no_harm(read, flat):
    assert read(flat(other=math.nan, more=math.inf)).skipped == ()


def test_one_wrong_time_costs_one_row(read, flat):
    late = read(*[flat(time=t) for t in (1.0, 2.0, 1000.0, 3.0, 4.0)])
    assert late.attempts["time"].tolist() == [1.0, 2.0, 4.0, 1000.0]
    early = read(*[flat(time=t) for t in (1.0, 2.0, 0.5, 3.0, 4.0)])
    assert early.attempts["time"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert [(e.line, e.column, e.found) for e in late.skipped] == [(4, "time", "3.0")]
    assert [(e.line, e.column, e.found) for e in early.skipped] == [(3, "time", "0.5")]
    assert early.skipped[0].expected == "no time before 2.0, that of the row above"


def test_a_row_that_is_bad_otherwise_still_tells_the_time(read, flat):
    trace = read(flat(time=5.0, status=1), flat(time=4.0), flat(time=6.0))
    assert [(e.line, e.column) for e in trace.skipped] == [(1, "status"), (2, "time")]


def test_a_begin_with_the_id_of_another_is_skipped(read, begin, end):
    trace = read(begin(1.0, "a"), begin(2.0, "a", request=2), end(3.0, "a"), begin(4.0, "a"))
    assert trace.attempts["request"].tolist() == [1]
    assert trace.attempts["latency"].tolist() == [2.0]
    assert [(e.line, e.column, e.found) for e in trace.skipped] == [
        (2, "id", "text of 1 character"),
        (4, "id", "text of 1 character"),
    ]


def test_an_end_without_a_begin_or_before_it_is_skipped(read, begin, end):
    trace = read(begin(1.0, "a"), end(2.0, "b"), begin(3.0, "b"))
    assert trace.attempts["outcome"].tolist() == ["lost", "lost"]
    [error] = trace.skipped
    assert (error.line, error.column, error.expected) == (2, "id", "the id of an attempt that has begun")


def test_a_second_end_is_skipped(read, begin, end):
    trace = read(begin(1.0, "a"), end(2.0, "a"), end(3.0, "a", outcome="timeout", status=None))
    assert trace.attempts["outcome"].tolist() == ["ok"]
    assert [(e.line, e.column) for e in trace.skipped] == [(3, "id")]


def test_an_end_before_the_intended_time_is_a_negative_latency(read, begin, end):
    trace = read(begin(1.0, "a", due=3.0), end(2.0, "a"))
    assert trace.attempts["outcome"].tolist() == ["lost"]
    [error] = trace.skipped
    assert (error.line, error.column, error.found) == (2, "t", "2.0")
    assert error.expected == "no time before 3.0, when the attempt began"


def test_a_latency_beyond_all_bounds_is_skipped(read, begin, end):
    trace = read(begin(1.0, "a", due=-1e10), end(1e10, "a"))
    assert [(e.line, e.column) for e in trace.skipped] == [(2, "t")]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"event": "reboot"}, "event"),
        ({"value": None}, "value"),
        ({"value": math.nan}, "value"),
        ({"value": True}, "value"),
        ({"value": 10**400}, "value"),
        ({"instance": 5}, "instance"),
        ({"t": "now"}, "t"),
    ],
)
def test_a_bad_event_is_named(read, event, change, column):
    trace = read(event(1.0, "pool", 2), event(2.0, "pool", 3) | change, event(3.0, "pool", 4))
    assert trace.events["value"].tolist() == [2.0, 4.0]
    assert [(e.line, e.column) for e in trace.skipped] == [(2, column)]


def test_events_alone_are_a_trace(read, event):
    trace = read(event(1.0, "health", 0))
    assert len(trace.attempts) == len(trace.requests) == 0
    assert trace.events["kind"].tolist() == ["health"]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"version": "1"}, "version"),
        ({"version": True}, "version"),
        ({"version": 0}, "version"),
        ({"start": "yesterday"}, "start"),
        ({"start": "2026-11-24T14:00:00"}, "start"),
        ({"start": "0001-01-01T00:00:00+23:00"}, "start"),
        ({"start": 5}, "start"),
        ({"source": "calm"}, "source"),
        ({"source": json.loads('{"a":' * 30 + "1" + "}" * 30)}, "source"),
    ],
)
def test_a_bad_header_is_skipped_and_the_rows_are_kept(read, flat, change, column):
    trace = read(HEADER | change, flat())
    assert len(trace.attempts) == 1
    assert trace.start is None
    assert trace.source.facts == {}
    assert [(e.line, e.column) for e in trace.skipped] == [(1, column)]


def test_a_header_is_on_the_first_line_only(read, flat):
    trace = read(flat(), HEADER)
    assert trace.start is None
    assert [(e.line, e.column) for e in trace.skipped] == [(2, "kind")]


def test_a_newer_version_of_the_format_is_refused(read, flat):
    with pytest.raises(TraceError, match="line 1, column version: found 2, expected version 1"):
        read(HEADER | {"version": 2}, flat())


@pytest.mark.parametrize(
    ("lines", "line", "column", "found"),
    [
        ([], None, None, "an empty file"),
        ([b"", b" ", b"\r"], None, None, "an empty file"),
        ([HEADER], None, None, "a header and no row"),
        ([b"\x89PNG\r\n\x1a\n\x00\x00"], 1, None, "binary data"),
        ([b"\x00" * 5_000], 1, None, "binary data"),
        ([b"\x00\xff"] * 5_000, None, None, "binary data in all of its first 1,000 lines"),
        ([b"", b"hello", b"{"], 2, None, "text that is no JSON object here and no readable row in the file"),
        ([{"time": 1.0}], 1, "latency", "no such key here and no readable row in the file"),
    ],
)
def test_without_a_readable_row_there_is_no_trace(read, lines, line, column, found):
    with pytest.raises(TraceError) as raised:
        read(*lines)
    assert (raised.value.file, raised.value.line, raised.value.column) == ("<buffer>", line, column)
    assert raised.value.found.startswith(found)


@pytest.mark.parametrize("name", ["missing.jsonl", ".", "a\0b", "n" * 5_000])
def test_a_file_that_cannot_be_opened_is_named(tmp_path, name):
    with pytest.raises(TraceError) as raised:
        read_trace(f"{tmp_path}/{name}")
    assert raised.value.file == f"{tmp_path}/{name}"
    assert raised.value.found.startswith("no file to open")


def test_what_is_neither_path_nor_buffer_is_a_type_error():
    with pytest.raises(TypeError, match="A int is neither a path"):
        read_trace(5)


def test_paths_and_buffers_of_bytes_and_text(tmp_path, flat):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(flat(endpoint="POST /é"), ensure_ascii=False), encoding="utf-8")
    with open(path, encoding="utf-8") as text, open(path, "rb") as data:
        traces = [read_trace(path), read_trace(str(path)), read_trace(text), read_trace(data)]
    traces += [read_trace(io.StringIO(path.read_text(encoding="utf-8")))]
    assert [trace.attempts["endpoint"].tolist() for trace in traces] == [["POST /é"]] * 5
    assert [trace.source.name for trace in traces] == [str(path)] * 4 + ["<buffer>"]


def test_text_in_another_encoding_is_read_up_to_where_it_breaks(tmp_path, flat):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(flat()).encode() + b"\n" + b"\n" * 300_000 + b"\xff")
    with open(path, encoding="utf-8") as text:
        trace = read_trace(text)
    assert len(trace.attempts) == 1
    assert "bytes that are not text in its encoding" in trace.skipped[0].found


def test_gzip_is_recognised_by_its_content(flat):
    first, second = (gzip.compress(json.dumps(flat(time=t)).encode() + b"\n") for t in (1.0, 2.0))
    trace = read_trace(io.BytesIO(first + second + b"\0" * 10))
    assert trace.attempts["time"].tolist() == [1.0, 2.0]
    assert trace.skipped == ()


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_damaged_gzip_is_read_up_to_the_damage(flat, damage):
    rows = b"".join(json.dumps(flat(time=float(t), request=t * 7919)).encode() + b"\n" for t in range(20_000))
    packed = gzip.compress(rows)
    half = packed[: len(packed) // 2]
    trace = read_trace(io.BytesIO(half if damage == "cut" else half + b"\xff" * 1_000))
    assert 1_000 < len(trace.attempts) < 19_000
    assert [error.line for error in trace.skipped][-1] == len(trace.attempts) + len(trace.skipped)
    assert "gzip data" in trace.skipped[-1].found


def test_a_gzip_bomb_of_blank_lines_is_refused_before_they_are_read(flat):
    packed = gzip.compress(json.dumps(flat()).encode() + b"\n" * 10**7)
    with pytest.raises(TraceError, match="more than 500 times its size"):
        read_trace(io.BytesIO(packed))


def test_gzip_that_unpacks_to_more_than_the_bound_is_refused(monkeypatch, flat):
    monkeypatch.setattr(content, "MAX_UNPACKED", 2**20)
    packed = gzip.compress(json.dumps(flat()).encode() + b"\n" * 2**21)
    with pytest.raises(TraceError, match="unpack it into a file first"):
        read_trace(io.BytesIO(packed))


class Endless:
    """A buffer that gives the same bytes again and again, so many times."""

    def __init__(self, first: bytes, chunk: bytes, times: int) -> None:
        self.first, self.chunk, self.times = first, chunk, times

    def read(self, size: int = -1) -> bytes:
        if self.first:
            first, self.first = self.first, b""
            return first
        self.times -= 1
        return self.chunk if self.times >= 0 else b""


def test_a_line_of_a_hundred_megabytes_is_skipped_without_being_held(flat):
    row = json.dumps(flat()).encode()
    buffer = Endless(row + b"\n", b"x" * 2**16, 1_600)
    tracemalloc.start()
    try:
        trace = read_trace(buffer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(e.line, e.found) for e in trace.skipped] == [(2, "a line of more than 1,048,576 bytes")]
    assert peak < 20 * 2**20


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(content, "MAX_SKIPPED_LINE", 2**22)
    buffer = Endless(b"x", b"\0" * 2**16, 10**9)
    with pytest.raises(TraceError, match="line 1: found a line of more than"):
        read_trace(buffer, format="jsonl")


def test_every_line_is_counted_when_there_are_more_bad_ones_than_are_listed(monkeypatch, flat):
    from breakerlab.trace import skipped

    monkeypatch.setattr(skipped, "MAX_LISTED", 10)
    row = json.dumps(flat()).encode()
    trace = read_trace(io.BytesIO(row + b"\n" + b"x\n" * 50))
    assert [error.line for error in trace.skipped] == list(range(2, 13))
    assert sum(error.lines for error in trace.skipped) == 50
    assert "40 more lines" in str(trace.skipped[-1])


def test_an_error_survives_pickling(read, flat):
    [error] = read(flat(), flat(time=2.0, latency=-1)).skipped
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert vars(again) == vars(error)
