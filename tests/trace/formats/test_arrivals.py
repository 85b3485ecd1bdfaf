"""Published arrivals: Azure, BurstGPT and Mooncake, by hand and from the real files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace import Trace, read_trace
from breakerlab.trace.format import Head
from breakerlab.trace.formats import arrivals

SHARED = Path(__file__).parents[4] / "shared" / "traces"
AZURE_FILE = SHARED / "AzureLLMInferenceTrace_code.csv.gz"
MOONCAKE_FILE = SHARED / "mooncake_conversation_first3000.jsonl.gz"

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
AZURE_ROW = "2023-11-16 18:17:03.9799600,4808,10"
BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
BURSTGPT_ROW = "5,ChatGPT,472,18,490,Conversation log"
MOONCAKE_ROW = '{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}'


def read(*lines: str) -> Trace:
    return read_trace(io.BytesIO("\n".join(lines).encode("utf-8", "surrogatepass")), format="arrivals")


@pytest.mark.parametrize(
    ("lines", "start", "time", "endpoint", "tokens", "cannot_tell"),
    [
        (
            (AZURE, AZURE_ROW),
            "2023-11-16T18:17:03+00:00",
            0.97996,
            "",
            (4808, 10),
            ("status", "retries", "client", "latency", "outcome", "endpoint", "time zone"),
        ),
        (
            (AZURE, "2024-05-10 02:00:00.009930+02:00,2162,5"),
            "2024-05-10T00:00:00+00:00",
            0.00993,
            "",
            (2162, 5),
            ("status", "retries", "client", "latency", "outcome", "endpoint"),
        ),
        (
            (BURSTGPT, BURSTGPT_ROW),
            None,
            5.0,
            "ChatGPT",
            (472, 18),
            ("status", "retries", "client", "latency", "kind of failure", "date"),
        ),
        (
            (MOONCAKE_ROW,),
            None,
            27.482,
            "",
            (6955, 52),
            ("status", "retries", "client", "latency", "outcome", "endpoint", "date"),
        ),
    ],
)
def test_an_arrival_is_an_attempt_of_which_little_is_known(
    lines: tuple[str, ...],
    start: str | None,
    time: float,
    endpoint: str,
    tokens: tuple[int, int],
    cannot_tell: tuple[str, ...],
) -> None:
    trace = read_trace(io.BytesIO("\n".join(lines).encode()))
    attempt = trace.attempts.iloc[0]
    assert trace.source.format == "arrivals" and trace.source.lines == 1
    assert (None if trace.start is None else trace.start.isoformat()) == start
    assert (attempt["time"], attempt["endpoint"], attempt["outcome"]) == (time, endpoint, "ok")
    assert (attempt["tokens_in"], attempt["tokens_out"]) == tokens and np.isnan(attempt["latency"])
    assert set(trace.source.cannot_tell) == {*cannot_tell} and not trace.source.has_retries


def test_an_answer_of_no_tokens_is_a_failure_in_burstgpt_only() -> None:
    assert list(read(BURSTGPT, BURSTGPT_ROW, "45.5,GPT-4,400,0,400,API log").attempts["outcome"]) == ["ok", "error"]
    assert list(read(AZURE, "2023-11-16 18:17:03,4808,0").attempts["outcome"]) == ["ok"]
    assert list(read(MOONCAKE_ROW.replace("52", "0")).attempts["outcome"]) == ["ok"]


def test_newer_burstgpt_tells_the_latency_and_not_the_session() -> None:
    header = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
    trace = read(header, "12.25,KEY-7f3a,3.5,GPT-4,400,20,420,API log")
    assert trace.attempts.iloc[0]["latency"] == 3.5 and "latency" not in trace.source.cannot_tell
    assert "KEY-7f3a" not in repr(trace) + repr(trace.attempts.to_dict())


@pytest.mark.parametrize(
    ("lines", "bad"),
    [
        *(
            ((AZURE, AZURE_ROW), bad)
            for bad in (
                "soon,1,2",
                "2023-02-30 00:00:00,1,2",
                "5,1,2",
                AZURE_ROW.replace("10", "-1"),
                AZURE_ROW.replace("4808", "1.5"),
                AZURE_ROW.replace("4808", "9" * 5_000),
                AZURE_ROW.replace("4808", "KEY-7f3a"),
                AZURE_ROW + ",3",
                AZURE_ROW[:27],
                MOONCAKE_ROW,
                '"' + AZURE_ROW,
                "1" * 1_000_000,
                "," * 1_000_000,
            )
        ),
        *(
            ((BURSTGPT, BURSTGPT_ROW), bad)
            for bad in (
                "-5,ChatGPT,1,1,2,API log",
                "nan,ChatGPT,1,1,2,API log",
                "5,ChatGPT,,1,2,API log",
                "9" * 30 + ",ChatGPT,1,1,2,API log",
                "5,ChatGPT,1,1,2",
            )
        ),
        *(
            ((MOONCAKE_ROW,), bad)
            for bad in (
                '{"timestamp": -1, "input_length": 1, "output_length": 1}',
                '{"timestamp": NaN, "input_length": 1, "output_length": 1}',
                '{"timestamp": 1, "input_length": 1.5, "output_length": 1}',
                '{"timestamp": 1, "input_length": true, "output_length": 1}',
                '{"timestamp": 1, "input_length": 1e999, "output_length": 1}',
                '{"timestamp": 1, "output_length": 1}',
                '{"timestamp": "1", "input_length": 1, "output_length": 1}',
                '{"timestamp": 99999999999999999, "input_length": 1, "output_length": 1}',
                MOONCAKE_ROW[:-20],
                "[" * 100_000,
                "\ud800",
            )
        ),
    ],
)
def test_a_bad_line_costs_itself_only(lines: tuple[str, ...], bad: str) -> None:
    trace = read(*lines, bad, lines[-1])
    assert len(trace.attempts) == 2 and trace.source.lines == 2
    assert [error.line for error in trace.skipped] == [len(lines) + 1]
    assert "7f3a" not in repr(trace.skipped)


@pytest.mark.skipif(not AZURE_FILE.exists(), reason="the real traces are not here")
def test_the_real_azure_trace_is_read_whole_and_can_be_replayed() -> None:
    from breakerlab.replay import App, Scenario, Service, Workload

    trace = read_trace(AZURE_FILE)
    with gzip.open(AZURE_FILE, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (trace.source.lines, len(trace.attempts), trace.skipped) == (8819, 8819, ())
    assert int(trace.attempts["tokens_out"].sum()) == sum(int(row["GeneratedTokens"]) for row in rows)
    workload = Workload.from_trace(trace)
    assert len(workload) == 8819 and workload.tokens.sum() == sum(int(row["GeneratedTokens"]) for row in rows)
    assert Scenario(workload, Service(), App()).arrivals(seed=0) is workload


@pytest.mark.skipif(not MOONCAKE_FILE.exists(), reason="the real traces are not here")
def test_the_real_mooncake_trace_is_read_whole() -> None:
    trace = read_trace(MOONCAKE_FILE)
    with gzip.open(MOONCAKE_FILE, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert (trace.source.lines, len(trace.attempts), trace.skipped, trace.start) == (3000, 3000, (), None)
    assert np.allclose(trace.attempts["time"], sorted(row["timestamp"] / 1000 for row in rows), atol=1e-9)
    assert int(trace.attempts["tokens_in"].sum()) == sum(row["input_length"] for row in rows)


def test_likeness_is_for_our_own_only() -> None:
    for data in (f"{AZURE}\n{AZURE_ROW}\n", f"\ufeff{BURSTGPT}\n", f"{MOONCAKE_ROW}\n{MOONCAKE_ROW}\n"):
        assert arrivals.FORMAT.likeness(Head(data.encode())) == 1.0
    for foreign in ("", "TIMESTAMP,status\n", "timestamp,elapsed\n", '{"timestamp": 1}\n', "{" * 60_000, '"' * 60_000):
        assert arrivals.FORMAT.likeness(Head(foreign.encode())) == 0.0


@pytest.mark.parametrize("lines", [(AZURE, AZURE_ROW), (BURSTGPT, BURSTGPT_ROW), (MOONCAKE_ROW, MOONCAKE_ROW)])
@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 20), st.binary(max_size=5)), min_size=1, max_size=5))
def test_every_line_of_a_damaged_file_is_accounted_for(
    lines: tuple[str, str], cuts: list[tuple[int, int, bytes]]
) -> None:
    header, row = lines
    data = "\n".join([row] * 12).encode()
    for at, length, put in cuts:
        data = data[:at] + put + data[at + length :]
    data = f"{header}\n".encode() + row.encode() + b"\n" + data
    trace = read_trace(io.BytesIO(data), format="arrivals")
    counted = [line for line in data.split(b"\n") if line.strip()]
    assert trace.source.lines + len(trace.skipped) == len(counted) - (header != row)
