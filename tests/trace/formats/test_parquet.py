"""Parquet: our own, that of other programs with our columns, and files that are damaged or lie."""

from __future__ import annotations

import io
import random

import numpy as np
import pandas as pd
import polars as pl
import pytest

from breakerlab.trace import Trace, TraceError, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import parquet, parquet_check
from breakerlab.trace.formats.parquet_check import NotParquet, _page_header, _struct, checked

ROWS = 40
FRAME = pl.DataFrame(
    {
        "time": np.arange(ROWS) * 1.0,
        "latency": [0.5, None] * (ROWS // 2),
        "status": [200, None] * (ROWS // 2),
        "outcome": ["ok", "lost"] * (ROWS // 2),
        "service": ["llm"] * ROWS,
        "request": np.arange(ROWS),
        "attempt": np.ones(ROWS, int),
    }
)


def packed(frame=FRAME, **options):
    file = io.BytesIO()
    frame.write_parquet(file, **options)
    return file.getvalue()


def read(data, **options):
    return read_trace(io.BytesIO(data), **options)


def changed(column, values, rows=(3, 4)):
    """The frame with other values in some rows of a column."""
    new = FRAME[column].to_list()
    for row, value in zip(rows, values, strict=False):
        new[row] = value
    return FRAME.with_columns(pl.Series(column, new, strict=False))


def test_a_file_of_another_program_with_our_columns():
    trace = read(packed())
    assert trace.source.lines == len(trace.attempts) == ROWS
    assert (trace.source.format, trace.source.has_retries, trace.start) == ("parquet", True, None)
    assert trace.attempts["status"].isna().tolist() == [False, True] * (ROWS // 2)
    assert trace.attempts["latency"].isna().tolist() == [False, True] * (ROWS // 2)
    assert set(trace.attempts["client"]) == {""}
    assert trace.attempts["retry_after"].isna().all()
    assert not {"instance", "tokens_in"} & set(trace.attempts)


@pytest.mark.parametrize("words", [pl.String, pl.Categorical, pl.Enum(["lost", "never", "ok"])])
@pytest.mark.parametrize("numbers", [pl.Int16, pl.UInt64, pl.Int64, pl.UInt16])
def test_words_and_numbers_of_any_type(words, numbers):
    frame = FRAME.with_columns(pl.col("outcome").cast(words), pl.col("status").cast(numbers))
    assert read(packed(frame)) == read(packed())


def test_columns_of_nothing_and_integers_for_numbers():
    frame = FRAME.with_columns(pl.col("time").cast(pl.Int32), status=None, client=None, instance=None, tokens_in=None)
    attempts = read(packed(frame)).attempts
    assert attempts["time"].tolist() == list(range(ROWS))
    assert attempts["status"].isna().all()
    assert attempts["tokens_in"].isna().all()
    assert set(attempts["instance"]) == {""}


def test_rows_out_of_order_are_sorted():
    assert read(packed(FRAME.reverse())).attempts["request"].tolist() == list(range(ROWS))


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("time", (None, float("inf")), "null"),
        ("latency", (-1.0, 1e11), "-1.0"),
        ("status", (99, 70_000), "99"),
        ("outcome", ("fine", None), "text of 4 characters"),
        ("service", (None, ""), "null"),
        ("service", ("a\nb", "x" * 1_001), "text of 3 characters"),
        ("request", (-1, 2**60), "-1"),
        ("request", (None, -9), "null"),
        ("attempt", (0, 40_000), "0"),
    ],
)
def test_bad_values_are_named_by_row_and_the_rows_next_to_them_are_kept(column, values, found):
    trace = read(packed(changed(column, values)))
    assert [(error.line, error.column) for error in trace.skipped] == [(4, column), (5, column)]
    assert trace.skipped[0].found == found
    assert trace.source.lines == len(trace.attempts) == ROWS - 2
    assert trace.attempts["request"].tolist() == [0, 1, 2, *range(5, ROWS)]


def test_a_row_that_is_bad_twice_is_skipped_once():
    trace = read(packed(changed("latency", (-1.0,)).with_columns(attempt=changed("attempt", (0,))["attempt"])))
    assert [(error.line, error.column) for error in trace.skipped] == [(4, "latency")]


def test_unsigned_numbers_beyond_all_bounds():
    frame = changed("request", (2**64 - 1,)).with_columns(pl.Series("request", [2**64 - 1, *range(1, ROWS)], pl.UInt64))
    assert [(error.line, error.column) for error in read(packed(frame)).skipped] == [(1, "request")]


def test_events_by_hand():
    kinds = ["pool", "attempt", None, "reboot", "health", *["attempt"] * (ROWS - 5)]
    frame = FRAME.with_columns(
        kind=pl.Series(kinds), value=pl.Series([1.0, None, 1.0, 1.0, None] + [None] * (ROWS - 5))
    )
    trace = read(packed(frame))
    assert trace.events.to_dict("records") == [{"time": 0.0, "instance": "", "kind": "pool", "value": 1.0}]
    assert [(error.line, error.column) for error in trace.skipped] == [(3, "kind"), (4, "kind"), (5, "value")]
    assert trace.source.lines + len(trace.skipped) == ROWS


def test_slices_are_put_together(monkeypatch):
    whole = read(packed(changed("latency", (-1.0,), rows=(20,))))
    monkeypatch.setattr(parquet, "_AT_ONCE", 7)
    for group in (5, 7, 100):
        again = read(packed(changed("latency", (-1.0,), rows=(20,)), row_group_size=group))
        assert again == whole
        assert [error.line for error in again.skipped] == [21]


def test_from_a_path_with_signs_that_mean_something_elsewhere(tmp_path):
    path = tmp_path / "a*[0-9]?.parquet"
    path.write_bytes(packed())
    assert read_trace(path) == read(packed())
    assert read_trace(path).source.name == str(path)


def test_packed_and_other_compressions():
    import gzip

    assert read(gzip.compress(packed())) == read(packed())
    for compression in ("snappy", "lz4", "gzip", "uncompressed"):
        assert read(packed(compression=compression)) == read(packed())


def test_secrets_in_words_are_redacted_and_words_that_become_one_are_one():
    words = ["Bearer abc.def", "Bearer xyz", "me@example.org", "GET /a?key=SECRET"] * (ROWS // 4)
    attempts = read(packed(FRAME.with_columns(client=pl.Series(words)))).attempts
    assert attempts["client"].tolist()[:4] == ["{token}", "{token}", "{email}", "GET /a"]
    assert "SECRET" not in str(list(attempts["client"].cat.categories))


@pytest.mark.parametrize(
    ("frame", "column", "found"),
    [
        (FRAME.drop("request"), "request", "no such column"),
        (FRAME.with_columns(pl.col("time").cast(pl.String)), "time", "a column of another type"),
        (FRAME.with_columns(pl.col("status").cast(pl.Float64)), "status", "a column of another type"),
        (FRAME.with_columns(service=1), "service", "a column of another type"),
        (FRAME.with_columns(idempotent=1), "idempotent", "a column of another type"),
        (FRAME.clear(), None, "a table without rows"),
        (FRAME.with_columns(outcome=pl.lit("x")), "outcome", "text of 1 character here and no readable row"),
        (FRAME.with_columns(more=pl.struct("time", "latency")), None, "nested columns"),
        (FRAME.with_columns(more=pl.Series([[1]] * ROWS)), None, "nested columns"),
    ],
)
def test_tables_that_are_no_trace(frame, column, found):
    with pytest.raises(TraceError) as raised:
        read(packed(frame))
    assert raised.value.column == column
    assert raised.value.found.startswith(found)


def test_a_bad_or_newer_header():
    trace = read(packed(metadata={"breakerlab": '{"version":1,"start":5}'}))
    assert [(error.line, error.column) for error in trace.skipped] == [(None, "start")]
    assert len(trace.attempts) == ROWS
    with pytest.raises(TraceError, match="a newer breakerlab"):
        read(packed(metadata={"breakerlab": '{"version":2}'}))
    assert [error.column for error in read(packed(metadata={"breakerlab": "\u00e9{"})).skipped] == ["version"]


@pytest.mark.parametrize("data", [b"PAR1", b"PAR1" * 2, b"PAR1" * 100, packed()[:-1], packed()[:100], packed()[50:]])
def test_what_is_cut_is_refused(data):
    with pytest.raises(TraceError, match="expected a Parquet file that breakerlab wrote"):
        read(data, format="parquet")


def test_a_page_that_claims_fewer_than_no_values_never_reaches_polars(monkeypatch):
    data = bytearray(packed(statistics=False, row_group_size=100))
    footer = _struct(data[-8 - int.from_bytes(data[-8:-4], "little") : -8])[0]
    chunk = footer[4][0][1][0][3]
    at = min(chunk[9], chunk.get(11, chunk[9]))
    header, length = _page_header(io.BytesIO(data), at, len(data))
    assert header[5][1] == ROWS
    place = data.index(bytes([ROWS * 2]), at + 1, at + length)  # the count, zigzag
    data[place] = 1  # -1
    monkeypatch.setattr(parquet, "_header", None)  # not even asked
    with pytest.raises(TraceError, match="a page of an impossible number of values"):
        read(bytes(data))


def test_a_page_that_claims_one_value_less():
    data = bytearray(packed(statistics=False, row_group_size=100))
    footer = _struct(data[-8 - int.from_bytes(data[-8:-4], "little") : -8])[0]
    chunk = footer[4][0][1][0][3]
    at = min(chunk[9], chunk.get(11, chunk[9]))
    _, length = _page_header(io.BytesIO(data), at, len(data))
    data[data.index(bytes([ROWS * 2]), at + 1, at + length)] -= 2
    with pytest.raises(TraceError, match="pages that do not add up to the rows"):
        read(bytes(data))


def test_counts_that_do_not_add_up(monkeypatch):
    for name, value, message in (
        ("_ROWS_PER_BYTE", 0, "more rows than its size can hold"),
        ("MAX_GROUP", 10, "a row group of more than 10 rows"),
        ("_MAX_PAGE", 3, "a page of an impossible size"),
        ("_MAX_COLUMNS", 3, "7 columns"),
        ("_FEW_PAGES", 0, "pages of a few bytes each"),
        ("_UNPACKED_PER_BYTE", 0, "data that unpacks to far more than it may"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(parquet_check, name, value)
            patch.setattr(parquet_check, "_FEW_ROWS", 0)
            patch.setattr(parquet_check, "_UNPACKED", 0)
            patch.setattr(parquet_check, "_LEAST_PAGE", 2**30)
            with pytest.raises(NotParquet, match=message):
                checked(io.BytesIO(packed()))


def test_a_bomb_is_refused_before_it_is_unpacked():
    frame = pl.concat([FRAME] * 2_000).with_columns(client=pl.Series(["x" * 3_000 + str(k) for k in range(80_000)]))
    data = packed(frame, compression_level=9)
    assert len(data) < 2**20
    with pytest.raises(TraceError, match="data that unpacks to far more than it may"):
        read(data)


def test_damaged_pages_cost_their_slice(monkeypatch):
    monkeypatch.setattr(parquet, "_AT_ONCE", 10)
    data = bytearray(packed(row_group_size=10, compression="uncompressed", statistics=False))
    footer = _struct(data[-8 - int.from_bytes(data[-8:-4], "little") : -8])[0]
    chunk = next(one[3] for one in footer[4][2][1] if one[3][3] == [b"service"])
    at = min(chunk[9], chunk.get(11, chunk[9]))
    _, length = _page_header(io.BytesIO(data), at, len(data))
    data[at + length : at + length + 4] = b"\xff\xff\xff\x7f"  # the length of the only word
    trace = read(bytes(data))
    assert len(trace.attempts) == ROWS - 10
    [error] = trace.skipped
    assert (error.line, error.lines) == (21, 10)
    assert trace.source.lines + error.lines == ROWS


def test_mutated_files_are_read_or_refused():
    trace = Trace.from_columns(
        {name: FRAME[name].to_list() for name in FRAME.columns if name not in ("latency", "status")}
        | {"latency": np.zeros(ROWS), "tokens_in": pd.array([1, None] * 20, dtype="Int64")},
        {"time": np.arange(5.0), "kind": "pool", "value": np.arange(5.0)},
    )
    file = io.BytesIO()
    from breakerlab.trace.parquet_writing import write_parquet

    write_parquet(trace.attempts, trace.events, b"{}", file)
    for seed in range(400):
        draw = random.Random(seed)
        data = bytearray(file.getvalue())
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(data))
            if draw.random() < 0.8:
                data[place] ^= 1 << draw.randrange(8)
            else:
                del data[place : place + draw.randint(1, 9)]
        try:
            again = read(bytes(data), format="parquet")
        except TraceError as error:
            assert str(error).startswith("<buffer>")
        else:
            assert again.source.lines == len(again.attempts) + len(again.events)


def test_it_is_recognised_by_its_first_bytes():
    assert parquet.FORMAT.likeness(Head(packed())) == 1.0
    assert parquet.FORMAT.likeness(Head(b"PAR")) == 0.0
