"""Nothing of a line but the fields of the schema leaves the reader."""

from __future__ import annotations

import io
import pickle

import pandas as pd
import polars as pl
import pytest

from breakerlab.trace import TraceError, read_trace

SECRETS = ("PROMPT-7f3a", "KEY-7f3a", "QUERY-7f3a", "COOKIE-7f3a", "PASSWORD-7f3a", "MAIL-7f3a")
PLANTED = {
    "prompt": "PROMPT-7f3a",
    "headers": {"authorization": "Bearer KEY-7f3a", "cookie": ["COOKIE-7f3a"]},
    "endpoint": "GET https://me:PASSWORD-7f3a@host/search?q=QUERY-7f3a&mail=MAIL-7f3a#QUERY-7f3a",
    "client": "pipeline?key=KEY-7f3a",
    "service": "llm?key=KEY-7f3a",
    "instance": "eu?key=KEY-7f3a",
    "KEY-7f3a": "a key may be a secret too",
}
BROKEN = [
    {"latency": -1},
    {"status": {"KEY-7f3a": "KEY-7f3a"}},
    {"outcome": ["KEY-7f3a"]},
    {"endpoint": "x" * 2_000 + "KEY-7f3a"},
    {"endpoint": "\x00/?q=QUERY-7f3a"},
    {"service": "?QUERY-7f3a"},
    {"client": 7, "prompt": "PROMPT-7f3a"},
    {"time": 0.5},
    {"request": None},
    {"time": "12?KEY-7f3a"},
    {"time": "KEY-7f3a"},
    {"outcome": "PROMPT-7f3a"},
    {"kind": "KEY-7f3a"},
    {"status": "COOKIE-7f3a"},
    {"endpoint": "MAIL-7f3a\n"},
]
LINES = [
    '"KEY-7f3a"',
    '["KEY-7f3a"]',
    "KEY-7f3a",
    '{"prompt":"PROMPT-7f3a", "time": 1',
    '{"prompt":"PROMPT-7f3a',
    '{"prompt":"PROMPT-7f3a\\x"}',
    b'{"prompt":"PROMPT-7f3a\xff"}',
    b'{"prompt":"PROMPT-7f3a\x00"}',
]


def everything_in(trace):
    """All that can be got from a trace, as one text."""
    parts = [repr(trace), str(trace), repr(trace.source), repr(trace.skipped), *map(str, trace.skipped)]
    parts += [str(trace.describe())]
    parts += [frame.to_json() + str(list(frame)) for frame in (trace.attempts, trace.events, trace.requests)]
    for frame in (trace.attempts, trace.events, trace.requests):
        parts += [str(list(frame[name].cat.categories)) for name in frame if frame[name].dtype == "category"]
    return "".join(parts) + repr(pickle.dumps(trace))


def test_planted_secrets_are_nowhere_in_what_was_read(read, flat, begin, end, event):
    rows = [flat(**PLANTED), *(flat(**PLANTED) | broken for broken in BROKEN), *LINES]
    rows += [begin(2.0, "a") | PLANTED, end(3.0, "a") | PLANTED | {"outcome": "ok"}, event(4.0, "pool", 1) | PLANTED]
    rows += [end(5.0, "b?KEY-7f3a"), begin(6.0, "a") | PLANTED]
    trace = read({"kind": "trace", "version": 1, "start": None, "prompt": "PROMPT-7f3a"}, *rows)
    assert len(trace.attempts) == 2
    assert len(trace.skipped) == len(BROKEN) + len(LINES) + 2
    text = everything_in(trace)
    assert [secret for secret in SECRETS if secret in text] == []
    assert set(trace.attempts["endpoint"]) == {"GET https://host/search"}


@pytest.mark.parametrize("row", [*LINES, *({"endpoint": "", **PLANTED} | broken for broken in BROKEN)])
def test_planted_secrets_are_not_in_the_error(read, row):
    with pytest.raises(TraceError) as raised:
        read(row)
    text = str(raised.value) + repr(raised.value) + str(raised.value.__cause__) + repr(vars(raised.value))
    assert [secret for secret in SECRETS if secret in text] == []


CELLS = {
    "time": [1.0, 2.0, 3.0],
    "latency": [0.1, 0.1, -1.0],
    "outcome": ["ok", "PROMPT-7f3a", "ok"],
    "service": ["llm?key=KEY-7f3a", "llm", "llm"],
    "request": [1, 2, 3],
    "attempt": [1, 1, 1],
    "client": ["Bearer KEY-7f3a", "api_key=KEY-7f3a", "x"],
    "endpoint": ["GET https://me:PASSWORD-7f3a@host/search?q=QUERY-7f3a", "/", "COOKIE-7f3a\n"],
    "PROMPT-7f3a": ["PROMPT-7f3a", "KEY-7f3a", "COOKIE-7f3a"],
}


def as_csv(**options):
    return read_trace(io.StringIO(pd.DataFrame(CELLS).to_csv(index=False)), **options)


def as_parquet():
    file = io.BytesIO()
    pl.DataFrame(CELLS).write_parquet(file, metadata={"PROMPT-7f3a": "KEY-7f3a"})
    return read_trace(io.BytesIO(file.getvalue()))


def as_mapped_csv():
    return as_csv(columns={name: name for name in CELLS if name in MAPPED})


def as_frame():
    return read_trace(pd.DataFrame(CELLS), columns={name: name for name in CELLS if name in MAPPED})


MAPPED = ("time", "latency", "outcome", "service", "request", "attempt", "client", "endpoint")


@pytest.mark.parametrize("read_cells", [as_csv, as_parquet, as_mapped_csv, as_frame])
def test_planted_secrets_are_nowhere_in_what_was_read_of_a_table(read_cells):
    trace = read_cells()
    assert len(trace.attempts) == 1
    assert [secret for secret in SECRETS if secret in everything_in(trace)] == []


@pytest.mark.parametrize(
    "text",
    ["PROMPT-7f3a,KEY-7f3a\n1,2\n3,4\n", "PROMPT-7f3a", "time\nPROMPT-7f3a", 'time\n"KEY-7f3a', "time\n1,KEY-7f3a"],
)
def test_planted_secrets_are_not_in_the_error_of_a_table(text):
    for options in ({}, {"columns": {"time": "time"}}):
        with pytest.raises(TraceError) as raised:
            read_trace(io.StringIO(text), **options)
        told = str(raised.value) + repr(raised.value) + str(raised.value.__cause__) + repr(vars(raised.value))
        assert [secret for secret in SECRETS if secret in told] == []


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_planted_secrets_are_not_in_what_is_written(tmp_path, read, flat, suffix):
    trace = read(flat(**PLANTED), flat(**PLANTED) | {"latency": "KEY-7f3a"})
    trace.write(tmp_path / f"a{suffix}")
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert [secret for secret in SECRETS if secret.encode() in data] == []
    assert [secret for secret in SECRETS if secret in everything_in(read_trace(tmp_path / f"a{suffix}"))] == []
