"""Several files of one recording become one, in order of time, and no line is lost."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import pytest

from breakerlab.trace import Recorder, merge_recordings, read_trace

START = datetime(2026, 11, 24, 14, tzinfo=UTC)
HEADER = '{"kind":"trace","version":1,"start":"2026-11-24T14:00:00.000000+00:00","source":{"part":1}}'


def event(t, value):
    return json.dumps({"kind": "event", "t": t, "event": "pool", "value": value, "instance": ""})


def part(path, *lines):
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_lines_are_merged_in_order_of_time_under_one_header(tmp_path):
    parts = [
        part(tmp_path / "a", HEADER, event(1.0, 1), event(2.0, 2), event(2.0, 3)),
        part(tmp_path / "b", HEADER, event(0.5, 4), event(2.0, 5), event(3.0, 6), ""),
        part(tmp_path / "c", event(2.0, 7)),
    ]
    merge_recordings(parts, tmp_path / "all", {"scenario": "calm"}, START)
    trace = read_trace(tmp_path / "all")
    assert trace.events["value"].tolist() == [4, 1, 2, 3, 5, 7, 6]
    assert trace.skipped == ()
    assert trace.start == START
    assert trace.source.facts == {"scenario": "calm"}


def test_a_line_without_a_time_stays_behind_the_line_before_it(tmp_path):
    parts = [
        part(tmp_path / "a", HEADER, "first", event(1.0, 1), '{"kind":"ev', "[]", event(5.0, 2), '{"torn'),
        part(tmp_path / "b", HEADER, event(2.0, 3), '{"t":"late"}'),
    ]
    merge_recordings(parts, tmp_path / "all", {}, START)
    assert (tmp_path / "all").read_text().splitlines()[1:] == [
        "first", event(1.0, 1), '{"kind":"ev', "[]", event(2.0, 3), '{"t":"late"}', event(5.0, 2), '{"torn',
    ]  # fmt: skip
    assert (tmp_path / "all").read_text().endswith("\n")


def test_no_line_is_lost_whatever_the_parts_hold(tmp_path):
    draw = random.Random(3)
    parts, lines = [], []
    for k in range(5):
        mine = [draw.choice([event(draw.random(), i), f"junk {k} {i}", '{"t":NaN}', "\x00"]) for i in range(50)]
        lines += mine
        parts.append(part(tmp_path / str(k), HEADER, *mine))
    merge_recordings(parts, tmp_path / "all", {}, START)
    assert sorted((tmp_path / "all").read_text().split("\n")[1:-1]) == sorted(lines)


def test_whole_attempts_are_ordered_by_their_time(tmp_path, flat):
    parts = [part(tmp_path / "a", json.dumps(flat(time=2.0))), part(tmp_path / "b", event(1.0, 1))]
    merge_recordings(parts, tmp_path / "all", {}, START)
    assert read_trace(tmp_path / "all").skipped == ()


def test_what_two_recorders_wrote_is_one_trace(tmp_path):
    with (
        Recorder(tmp_path / "a", start=START) as one,
        Recorder(tmp_path / "b", start=START) as two,
    ):
        for k in range(20):
            first = one.begin(service="app", request=k, attempt=1)
            second = two.begin(service="llm", request=k, attempt=1)
            two.end(second, outcome="ok", status=200)
            one.end(first, outcome="ok", status=200)
    merge_recordings([tmp_path / "a", tmp_path / "b"], tmp_path / "all", {}, START)
    trace = read_trace(tmp_path / "all")
    assert trace.skipped == ()
    assert trace.attempts["service"].value_counts().to_dict() == {"app": 20, "llm": 20}
    assert set(trace.attempts["outcome"]) == {"ok"}


def test_a_part_that_begins_at_another_time_is_refused_and_nothing_is_written(tmp_path):
    parts = [part(tmp_path / "a", HEADER, event(1.0, 1)), part(tmp_path / "b", HEADER.replace("14:00", "15:00"))]
    with pytest.raises(ValueError, match="does not begin at"):
        merge_recordings(parts, tmp_path / "all", {}, START)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_was_there_stays_when_the_merge_fails(tmp_path):
    target = part(tmp_path / "all", "old")
    with pytest.raises(ValueError):
        merge_recordings([], target, {"a": float("nan")}, START)
    with pytest.raises(OSError):
        merge_recordings([tmp_path / "missing"], target, {}, START)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["all"]


def test_a_start_without_a_time_zone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="time zone"):
        merge_recordings([], tmp_path / "all", {}, datetime(2026, 1, 1))
