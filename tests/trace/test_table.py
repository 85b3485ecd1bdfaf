"""The trace as a value: made of columns, checked, sorted, and never changed."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from breakerlab.trace import Source, Trace, TraceError


def columns(**changes):
    return {
        "time": np.array([0.0, 1.0, 2.0]),
        "latency": np.array([0.1, np.nan, 0.3]),
        "status": np.array([200, 0, 503]),
        "outcome": (np.array([0, 2, 1]), ("ok", "error", "lost")),
        "service": (np.array([0, 0, 1]), ["llm", "app"]),
        "request": np.array([0, 1, 1]),
        "attempt": np.array([1, 1, 1]),
        "client": "pipeline",
        "endpoint": ["POST /a", "GET /b", "POST /a"],
        "retry_after": np.array([np.nan, np.nan, 1.5]),
    } | changes


def test_columns_of_arrays_become_the_attempt_table():
    trace = Trace.from_columns(columns(), start=datetime(2026, 11, 24, tzinfo=UTC), source=Source(name="made"))
    attempts = trace.attempts
    assert [str(dtype) for dtype in attempts.dtypes] == [
        "float64", "float64", "Int16", "category", "category", "int64", "int16", "category", "category", "float64",
    ]  # fmt: skip
    assert attempts["status"].isna().tolist() == [False, True, False]
    assert attempts["outcome"].tolist() == ["ok", "lost", "error"]
    assert attempts["service"].tolist() == ["llm", "llm", "app"]
    assert attempts["endpoint"].tolist() == ["POST /a", "GET /b", "POST /a"]
    assert attempts["client"].tolist() == ["pipeline"] * 3
    assert trace.events.empty
    assert trace.source == Source(name="made")
    assert trace.start == datetime(2026, 11, 24, tzinfo=UTC)


def test_outcomes_and_kinds_are_always_the_whole_vocabulary():
    trace = Trace.from_columns(columns(), {"time": [0.0], "kind": "health", "value": [1.0]})
    assert list(trace.attempts["outcome"].cat.categories) == [
        "ok", "error", "throttled", "client_error", "timeout", "connection", "rejected", "cancelled", "lost",
    ]  # fmt: skip
    assert list(trace.events["kind"].cat.categories) == ["pool", "health", "restart", "breaker"]


def test_what_may_be_left_out():
    optional = ("status", "client", "endpoint", "retry_after")
    made = {name: column for name, column in columns().items() if name not in optional}
    attempts = Trace.from_columns(made).attempts
    assert attempts["status"].isna().all()
    assert attempts["retry_after"].isna().all()
    assert set(attempts["client"]) == set(attempts["endpoint"]) == {""}


def test_optional_columns_with_and_without_gaps():
    attempts = Trace.from_columns(
        columns(
            instance="eu",
            tokens_in=np.array([1, 2, 3]),
            tokens_out=pd.array([1, None, 3], dtype="Int64"),
            idempotent=pd.array([True, None, False], dtype="boolean"),
            status=pd.array([200, None, 503], dtype="Int16"),
        )
    ).attempts
    assert attempts["tokens_in"].tolist() == [1, 2, 3]
    assert attempts["tokens_out"].isna().tolist() == [False, True, False]
    assert attempts["idempotent"].isna().tolist() == [False, True, False]
    assert attempts["status"].isna().tolist() == [False, True, False]


def test_rows_are_sorted_by_time_and_equal_times_keep_their_order():
    attempts = Trace.from_columns(columns(time=np.array([2.0, 1.0, 1.0]), request=np.array([7, 8, 9]))).attempts
    assert attempts["request"].tolist() == [8, 9, 7]
    assert attempts["outcome"].tolist() == ["lost", "error", "ok"]
    assert attempts["status"].fillna(0).tolist() == [0, 503, 200]
    assert list(attempts.index) == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency": np.array([0.1, -0.2, 0.3])}, "column latency, row 1: found -0.2, expected seconds from 0"),
        ({"latency": np.array([0.1, np.inf, 0.3])}, "column latency, row 1: found inf"),
        ({"time": np.array([0.0, np.nan, 1.0])}, "column time, row 1: found nan"),
        ({"time": np.array(["a", "b", "c"])}, "column time holds .*, expected numbers"),
        ({"time": np.zeros((3, 1))}, "column time has 2 dimensions"),
        ({"latency": np.zeros(2)}, "column latency has 2 rows, the column time has 3"),
        ({"status": np.array([200, 99, 0])}, "column status, row 1: found 99"),
        ({"status": np.array([200.5, 1.0, 0.0])}, "column status cannot be read as Int16"),
        ({"outcome": (np.array([0, 3, 0]), ("ok", "error", "lost"))}, "column outcome, row 1: found 3, expected a"),
        ({"outcome": (np.array([0, -1, 0]), ("ok",))}, "column outcome, row 1: found -1"),
        ({"outcome": "fine"}, "column outcome: found text of 4 characters, expected one of ok"),
        ({"service": (np.array([0, 0, 0]), ("llm", "llm"))}, "column service names a category twice"),
        ({"service": ""}, "column service, category 0: found text"),
        ({"client": "a\nb"}, "column client, category 0: found text"),
        ({"request": np.array([0, -1, 0])}, "column request, row 1: found -1"),
        ({"request": np.array([0.0, 1.0, 2.0])}, "column request holds float64, expected integers"),
        ({"attempt": np.array([1, 0, 1])}, "column attempt, row 1: found 0"),
        ({"retry_after": np.array([-1.0, 0.0, 0.0])}, "column retry_after, row 0: found -1.0"),
        ({"tokens_in": np.array([1, -1, 0])}, "column tokens_in, row 1: found -1"),
        ({"idempotent": np.array(["yes", "no", "no"])}, "column idempotent cannot be read"),
        ({"latncy": np.zeros(3)}, "attempts has no column latncy"),
    ],
)
def test_a_bad_column_is_named_with_its_row(change, message):
    with pytest.raises(ValueError, match=message):
        Trace.from_columns(columns(**change))


def test_a_missing_column_is_named():
    made = columns()
    del made["request"]
    with pytest.raises(ValueError, match="attempts lacks the column request"):
        Trace.from_columns(made)


def test_bad_events_are_named():
    with pytest.raises(ValueError, match="events lacks the column value"):
        Trace.from_columns(columns(), {"time": [0.0], "kind": "pool"})
    with pytest.raises(ValueError, match="column kind"):
        Trace.from_columns(columns(), {"time": [0.0], "kind": "reboot", "value": [1.0]})
    with pytest.raises(ValueError, match="column value, row 0: found nan"):
        Trace.from_columns(columns(), {"time": [0.0], "kind": "pool", "value": [np.nan]})


def test_no_attempts_at_all_are_a_trace():
    empty = {name: column[:0] for name, column in columns().items() if isinstance(column, np.ndarray)}
    trace = Trace.from_columns(empty | {"outcome": ([], ("ok",)), "service": ([], ()), "endpoint": []})
    assert len(trace.attempts) == len(trace.requests) == len(trace.timeline()) == 0
    assert repr(trace) == "Trace: 0 attempts"


def test_nothing_done_to_what_a_trace_hands_out_changes_it():
    source = Source(facts={"parameters": {"seed": 1}})
    given = columns()
    trace = Trace.from_columns(given, {"time": [0.0], "kind": "pool", "value": [3.0]}, source=source)
    before = [frame.copy() for frame in (trace.attempts, trace.events, trace.requests)]
    for frame in (trace.attempts, trace.events, trace.requests):
        for name in frame:  # first: pandas makes its own copy once a cell is set through the frame
            frame[name].array[0] = frame[name].array[-1]
        frame.loc[0, "time"] = 99.0
        del frame["time"]
    given["time"][0] = 55.0
    given["status"][0] = 404
    given["outcome"][0][0] = 1
    trace.source.facts["parameters"]["seed"] = 2
    source.facts["parameters"]["seed"] = 3
    for frame, unchanged in zip((trace.attempts, trace.events, trace.requests), before, strict=True):
        pd.testing.assert_frame_equal(frame, unchanged)
    assert trace.source.facts == {"parameters": {"seed": 1}}


@pytest.mark.parametrize("name", ["attempts", "start", "note", "_attempts"])
def test_attributes_cannot_be_set_or_deleted(name):
    trace = Trace.from_columns(columns())
    with pytest.raises(AttributeError, match="cannot be changed"):
        setattr(trace, name, None)
    with pytest.raises(AttributeError, match="cannot be changed"):
        delattr(trace, name)


def test_a_trace_is_not_made_by_hand():
    with pytest.raises(TypeError, match="from_columns"):
        Trace()


def test_a_start_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        Trace.from_columns(columns(), start=datetime(2026, 1, 1))


def test_a_trace_survives_pickling():
    trace = Trace.from_columns(columns(), {"time": [0.0], "kind": "pool", "value": [3.0]}, source=Source(name="made"))
    again = pickle.loads(pickle.dumps(trace))
    pd.testing.assert_frame_equal(again.attempts, trace.attempts)
    pd.testing.assert_frame_equal(again.events, trace.events)
    assert again.source == trace.source


def test_repr_tells_rows_span_outcomes_events_and_what_was_skipped():
    errors = [TraceError("/somewhere/a.jsonl", line, "latency", "-1", "seconds") for line in (3, 4, 5, 6)]
    trace = Trace.from_columns(
        columns(),
        {"time": [0.0, 1.0], "kind": "pool", "value": [3.0, 4.0]},
        start=datetime(2026, 11, 24, 14, tzinfo=UTC),
        source=Source(name="/somewhere/a.jsonl"),
        skipped=errors,
    )
    assert repr(trace) == "\n".join(
        [
            "Trace of a.jsonl: 3 attempts, 0.0 to 2.0 s after 2026-11-24 14:00:00 UTC",
            "  llm: 2 attempts (ok 1, lost 1)",
            "  app: 1 attempt (error 1)",
            "  events: pool 2",
            "  skipped: 4 lines",
            "    line 3, column latency: found -1, expected seconds",
            "    line 4, column latency: found -1, expected seconds",
            "    line 5, column latency: found -1, expected seconds",
            "    ...",
        ]
    )
    assert not hasattr(trace, "_repr_html_")


def requests_of(*rows):
    names = ("time", "latency", "service", "request", "attempt", "outcome", "status", "client", "endpoint")
    made = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return Trace.from_columns(made).requests


def test_one_request_of_several_attempts():
    requests = requests_of(
        (1.0, 0.5, "llm", 7, 1, "error", 503, "a", "x"),
        (3.5, 1.0, "llm", 7, 2, "timeout", 0, "b", "y"),
        (6.0, 0.25, "llm", 7, 3, "ok", 200, "c", "z"),
    )
    assert requests.to_dict("records") == [
        {
            "service": "llm", "request": 7, "time": 1.0, "latency": 5.25, "attempts": 3, "outcome": "ok",
            "status": 200, "client": "a", "endpoint": "x",
        }
    ]  # fmt: skip


def test_one_row_per_service_and_request_in_order_of_time():
    requests = requests_of(
        (5.0, 0.1, "app", 2, 1, "ok", 200, "", ""),
        (4.0, 9.0, "app", 1, 1, "timeout", 0, "", ""),
        (4.1, np.nan, "llm", 1, 1, "lost", 0, "", ""),
        (4.2, 0.2, "llm", 2, 1, "ok", 200, "", ""),
    )
    assert list(zip(requests["service"], requests["request"], strict=True)) == [
        ("app", 1),
        ("llm", 1),
        ("llm", 2),
        ("app", 2),
    ]
    assert requests["latency"].tolist()[0] == 9.0
    assert np.isnan(requests["latency"].tolist()[1])
    assert requests["attempts"].tolist() == [1, 1, 1, 1]


def test_the_last_attempt_is_the_one_with_the_highest_number():
    requests = requests_of(
        (1.0, 5.0, "llm", 1, 2, "ok", 200, "second", ""),
        (1.0, 0.1, "llm", 1, 1, "error", 503, "first", ""),
    )
    assert requests["outcome"].tolist() == ["ok"]
    assert requests["client"].tolist() == ["first"]
    assert requests["latency"].tolist() == [5.0]
