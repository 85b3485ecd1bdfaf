"""Traces as values: equal or not, cut by time, chosen by name, joined on one axis."""

from __future__ import annotations

import itertools
import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.trace import Source, Trace, TraceError

START = datetime(2026, 11, 24, 14, tzinfo=UTC)


def made(start=START, source=None, skipped=(), events=True, **changes):
    columns = {
        "time": np.array([0.0, 1.0, 2.0, 3.0]),
        "latency": np.array([0.5, np.nan, 0.5, 0.5]),
        "status": np.array([200, 0, 503, 200]),
        "outcome": ["ok", "lost", "error", "ok"],
        "service": ["llm", "llm", "app", "app"],
        "request": np.array([0, 1, 1, 2]),
        "attempt": np.array([1, 1, 1, 1]),
        "client": ["a", "b", "a", "a"],
        "endpoint": ["POST /a", "POST /b", "POST /a", "GET /c"],
    } | changes
    beside = {"time": [0.5, 2.0, 3.0], "kind": "pool", "value": [1.0, 2.0, 3.0]} if events else None
    return Trace.from_columns(columns, beside, start=start, source=source, skipped=skipped)


def test_equal_traces_are_equal_and_have_one_hash():
    assert made() == made()
    assert hash(made()) == hash(made())
    assert len({made(), made(), pickle.loads(pickle.dumps(made()))}) == 1
    assert made() != "a trace"


def test_words_count_and_not_their_codes():
    other = made(service=(np.array([1, 1, 0, 0]), ("app", "llm", "unused")))
    assert other == made()
    assert hash(other) == hash(made())


@pytest.mark.parametrize(
    "changes",
    [
        {"time": np.array([0.0, 1.0, 2.0, 3.5])},
        {"latency": np.array([0.5, 0.5, 0.5, 0.5])},
        {"status": np.array([200, 200, 503, 200])},
        {"outcome": ["ok", "lost", "error", "error"]},
        {"service": "llm"},
        {"request": np.array([0, 1, 2, 2])},
        {"attempt": np.array([1, 1, 2, 1])},
        {"client": "a"},
        {"client": ["a", "never", "a", "a"]},
        {"endpoint": "POST /a"},
        {"retry_after": np.array([1.0, np.nan, np.nan, np.nan])},
        {"instance": ""},
        {"idempotent": [True] * 4},
        {"start": None},
        {"start": START + timedelta(microseconds=1)},
        {"events": False},
        {"source": Source(has_retries=False)},
        {"source": Source(cannot_tell=("latency",))},
        {"source": Source(facts={"a": 1})},
    ],
)
def test_any_difference_counts(changes):
    assert made(**changes) != made()


def test_file_format_and_what_was_skipped_do_not_count():
    error = TraceError("a", 1, None, "x", "y")
    assert made(source=Source(name="a", format="csv", lines=9), skipped=[error]) == made()


def test_a_tuple_in_the_facts_says_what_a_list_says():
    assert made(source=Source(facts={"a": (1, 2)})) == made(source=Source(facts={"a": [1, 2]}))


def test_between_takes_whole_rows_by_their_start():
    error = TraceError("a", 1, None, "x", "y")
    part = made(source=Source(name="x"), skipped=[error]).between(1.0, 3.0)
    assert part.attempts["time"].tolist() == [1.0, 2.0]
    assert list(part.attempts.index) == [0, 1]
    assert part.events["time"].tolist() == [2.0]
    assert (part.start, part.source, part.skipped) == (START, Source(name="x"), (error,))
    assert part.attempts["latency"].tolist()[1] == 0.5


def test_between_open_ends_and_datetimes():
    trace = made()
    assert trace.between() == trace
    assert trace.between(end=1.0).attempts["time"].tolist() == [0.0]
    assert trace.between(2).attempts["time"].tolist() == [2.0, 3.0]
    moment = (START + timedelta(seconds=1)).astimezone()
    assert trace.between(moment, 3.0) == trace.between(1.0, 3.0)
    assert len(trace.between(7.0, 7.0).attempts) == len(trace.between(9, 10).events) == 0
    assert len(trace.between(1.0, 1.0).attempts) == 0


@pytest.mark.parametrize(
    ("begin", "end", "message"),
    [
        (2, 1, "begin is 2 s and end is 1 s"),
        (datetime(2026, 1, 1), None, "no time zone"),
        (float("nan"), None, "A moment is"),
        ("1", None, "A moment is"),
        (True, None, "A moment is"),
    ],
)
def test_moments_that_are_none(begin, end, message):
    with pytest.raises(ValueError, match=message):
        made().between(begin, end)


def test_without_a_start_a_datetime_says_nothing():
    with pytest.raises(ValueError, match="does not know its start"):
        made(start=None).between(START)


def test_where_by_one_name_several_and_several_columns():
    trace = made()
    assert trace.where(endpoint="POST /a").attempts["time"].tolist() == [0.0, 2.0]
    assert trace.where(endpoint=["POST /a", "GET /c"]).attempts["time"].tolist() == [0.0, 2.0, 3.0]
    assert trace.where(service="app", client="a", endpoint="POST /a").attempts["time"].tolist() == [2.0]
    assert len(trace.where(service="llm", endpoint="GET /c").attempts) == 0
    assert trace.where() == trace
    assert len(trace.where(client="b").events) == 3
    assert made(instance=["x", "x", "y", "y"]).where(instance="y").attempts["time"].tolist() == [2.0, 3.0]


def test_an_unknown_name_is_named_with_those_that_are_near():
    many = [f"GET /{k:03}" for k in range(100)]
    trace = Trace.from_columns(
        {"time": np.arange(100.0), "latency": np.zeros(100), "outcome": "ok", "service": "llm",
         "request": np.arange(100), "attempt": np.ones(100, int), "endpoint": many}
    )  # fmt: skip
    with pytest.raises(ValueError, match=r'No attempt has the endpoint "GET /0077"\. The trace has ') as raised:
        trace.where(endpoint="GET /0077")
    assert '"GET /007"' in str(raised.value)
    assert str(raised.value).count('"') == 12
    assert str(raised.value).endswith("; it has 100 in all.")
    with pytest.raises(ValueError, match=r'The trace has "llm"\.$'):
        trace.where(service="x")
    with pytest.raises(ValueError, match="has no column instance"):
        trace.where(instance="x")
    with pytest.raises(ValueError, match=r"x{37}"):
        trace.where(service="x" * 10_000)


def test_a_name_that_is_only_in_the_vocabulary_selects_nothing():
    part = made().where(client="b")
    assert len(part.where(client="a").attempts) == 0


def test_joined_on_the_axis_of_the_earliest():
    later = made(start=START + timedelta(seconds=10), source=Source("b", "csv", False, ("client",), 4))
    whole = Trace.join([later, made(source=Source("a", "jsonl", True, ("latency", "client"), 5))])
    assert whole.start == START
    assert whole.attempts["time"].tolist() == [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]
    assert whole.attempts["request"].tolist() == [3, 4, 4, 5, 0, 1, 1, 2]
    assert whole.events["time"].tolist() == [0.5, 2.0, 3.0, 10.5, 12.0, 13.0]
    assert whole.source == Source("b, a", "joined", False, ("client", "latency"), 9)


def test_joining_keeps_what_is_missing_missing():
    one = made(tokens_in=np.arange(4), instance="eu")
    two = made(idempotent=pd.array([True, None, True, True], dtype="boolean"), start=START + timedelta(seconds=10))
    attempts = Trace.join([one, two]).attempts
    assert attempts["tokens_in"].isna().tolist() == [False] * 4 + [True] * 4
    assert attempts["idempotent"].isna().tolist() == [True] * 4 + [False, True, False, False]
    assert attempts["instance"].tolist() == ["eu"] * 4 + [""] * 4


def test_joining_facts_and_skipped():
    errors = [TraceError("a", line, None, "x", "y") for line in (1, 2)]
    one = made(source=Source(facts={"a": 1, "b": 2, "c": 3}), skipped=errors[:1])
    two = made(source=Source(facts={"a": 1, "b": 3}), skipped=errors[1:])
    whole = Trace.join(iter([one, two]))
    assert whole.source.facts == {"a": 1}
    assert whole.skipped == tuple(errors)


def test_joining_one_or_parts_gives_the_trace_again():
    assert Trace.join([made()]) == made()
    assert Trace.join([made(start=None)]) == made(start=None)
    parts = [made().between(end=2), made().between(2)]
    whole = Trace.join(parts)
    assert whole.attempts.drop(columns="request").equals(made().attempts.drop(columns="request"))


def test_what_cannot_be_joined():
    with pytest.raises(ValueError, match="no trace to join"):
        Trace.join([])
    with pytest.raises(ValueError, match="no time axis in common"):
        Trace.join([made(), made(start=None)])


@given(cuts=st.lists(st.floats(-1, 5), max_size=4), shuffled=st.randoms())
@settings(max_examples=25, deadline=None)
def test_cut_and_joined_is_the_same_table(cuts, shuffled):
    edges = [None, *sorted(cuts), None]
    parts = [made().between(a, b) for a, b in itertools.pairwise(edges)]
    assert sum(len(part.attempts) for part in parts) == 4
    shuffled.shuffle(parts)
    whole = Trace.join(parts)
    assert whole.attempts["endpoint"].tolist() == made().attempts["endpoint"].tolist()
    assert whole.events["value"].tolist() == made().events["value"].tolist()
