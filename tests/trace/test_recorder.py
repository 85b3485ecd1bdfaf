"""The recorder: what is written can be read, by whichever process, thread or restart it was written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import numpy as np
import pytest

from breakerlab.trace import Recorder, read_trace

EPOCH = 1_800_000_000.0


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def recorder(path, clock, wall=EPOCH, **options):
    return Recorder(path, clock=clock, wall=lambda: wall, **options)


def rows(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_an_attempt_from_begin_to_end(tmp_path):
    path, clock = tmp_path / "a.jsonl", Clock(50.0)
    with recorder(path, clock, source={"scenario": "calm"}) as record:
        clock.now = 51.25
        id = record.begin(
            service="llm", request=17, attempt=2, client="pipeline", endpoint="POST /v1/chat", due=1.0,
            instance="eu-1", tokens_in=10, tokens_out=20, idempotent=True,
        )  # fmt: skip
        clock.now = 52.5
        record.end(id, outcome="error", status=503, retry_after=1.5)
        record.event("pool", 12, instance="pipeline")
    trace = read_trace(path)
    assert trace.attempts.to_dict("records") == [
        {
            "time": 1.0, "latency": 1.5, "status": 503, "outcome": "error", "service": "llm", "request": 17,
            "attempt": 2, "client": "pipeline", "endpoint": "POST /v1/chat", "retry_after": 1.5, "instance": "eu-1",
            "tokens_in": 10, "tokens_out": 20, "idempotent": True,
        }
    ]  # fmt: skip
    assert trace.events.to_dict("records") == [{"time": 2.5, "instance": "pipeline", "kind": "pool", "value": 12.0}]
    assert trace.source.facts == {"scenario": "calm"}
    assert trace.start == datetime.fromtimestamp(EPOCH, UTC)
    assert trace.skipped == ()


def test_the_lines_are_those_of_the_format(tmp_path):
    path, clock = tmp_path / "a.jsonl", Clock()
    with recorder(path, clock) as record:
        id = record.begin(service="llm", request=1, attempt=1)
        record.end(id, outcome="timeout")
    assert rows(path) == [
        {"kind": "trace", "version": 1, "start": "2027-01-15T08:00:00.000000+00:00", "source": {}},
        {
            "kind": "begin", "t": 0.0, "id": id, "service": "llm", "request": 1, "attempt": 1, "client": "",
            "endpoint": "",
        },
        {"kind": "end", "t": 0.0, "id": id, "outcome": "timeout", "status": None, "retry_after": None},
    ]  # fmt: skip


def test_numpy_numbers_can_be_recorded(tmp_path):
    with Recorder(tmp_path / "a.jsonl") as record:
        id = record.begin(service="llm", request=np.int64(3), attempt=np.int16(1), due=np.float64(0.0))
        record.end(id, outcome="ok", status=np.int16(200), retry_after=np.float32(2.0))
        record.event("pool", np.int64(4))
    trace = read_trace(tmp_path / "a.jsonl")
    assert trace.attempts["retry_after"].tolist() == [2.0]
    assert trace.events["value"].tolist() == [4.0]


def test_a_restarted_process_continues_the_recording_on_its_time_axis(tmp_path):
    path = tmp_path / "a.jsonl"
    with recorder(path, Clock(7.0), source={"scenario": "first"}) as first:
        id = first.begin(service="llm", request=1, attempt=1)
    with recorder(path, Clock(1_000.0), wall=EPOCH + 20.0, source={"scenario": "second"}) as second:
        assert second.now() == 20.0
        assert second.start == first.start
        assert second.begin(service="llm", request=2, attempt=1) != id
    trace = read_trace(path)
    assert trace.attempts["time"].tolist() == [0.0, 20.0]
    assert trace.source.facts == {"scenario": "first"}
    assert trace.skipped == ()


def test_time_goes_on_when_the_wall_clock_was_set_back_between_two_processes(tmp_path):
    path, clock = tmp_path / "a.jsonl", Clock()
    with recorder(path, clock) as first:
        clock.now = 30.0
        first.event("pool", 1)
    with recorder(path, Clock(), wall=EPOCH - 3_600.0) as second:
        second.event("pool", 2)
    trace = read_trace(path)
    assert trace.events["time"].tolist() == [30.0, 30.0]
    assert trace.skipped == ()


def test_a_recording_that_breaks_off_in_a_line_is_continued_on_a_new_line(tmp_path):
    path = tmp_path / "a.jsonl"
    with recorder(path, Clock()) as first:
        first.event("pool", 1)
    path.write_bytes(path.read_bytes() + b'{"kind":"event","t":1.0,"eve')
    with recorder(path, Clock(), wall=EPOCH + 5.0) as second:
        second.event("pool", 2)
    trace = read_trace(path)
    assert trace.events["value"].tolist() == [1.0, 2.0]
    assert [error.line for error in trace.skipped] == [3]


def test_several_processes_share_the_axis_by_start(tmp_path):
    start = datetime.fromtimestamp(EPOCH, UTC)
    with recorder(tmp_path / "a.jsonl", Clock(9.0), wall=EPOCH + 2.0, start=start) as late:
        assert late.now() == 2.0
    with recorder(tmp_path / "b.jsonl", Clock(9.0), wall=EPOCH - 3.0, start=start) as early:
        assert early.now() == -3.0
        early.event("pool", 0)
    assert read_trace(tmp_path / "b.jsonl").events["time"].tolist() == [-3.0]


def test_an_existing_recording_with_another_start_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    recorder(path, Clock()).close()
    with pytest.raises(ValueError, match="not at the given start"):
        recorder(path, Clock(), start=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_start_without_a_time_zone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="time zone"):
        Recorder(tmp_path / "a.jsonl", start=datetime(2026, 1, 1))
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize(
    "content", [b"my notes\n", b"\x00\x01", b'{"kind":"begin"}\n', b'{"kind":"trace","version":9}\n']
)
def test_a_file_that_is_no_recording_is_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is no recording"):
        Recorder(path)
    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_recording(tmp_path):
    path = tmp_path / "a.jsonl"
    path.touch()
    Recorder(path).close()
    assert [row["kind"] for row in rows(path)] == ["trace"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"service": ""}, "service is text"),
        ({"request": -1}, "request is -1"),
        ({"attempt": 0}, "attempt is 0"),
        ({"attempt": 40_000}, "attempt is 40000"),
        ({"due": float("nan")}, "due is nan"),
        ({"tokens_in": -5}, "tokens_in is -5"),
        ({"idempotent": "yes"}, "idempotent is text"),
    ],
)
def test_what_the_reader_would_refuse_is_not_recorded(tmp_path, fields, message):
    with Recorder(tmp_path / "a.jsonl") as record, pytest.raises(ValueError, match=message):
        record.begin(**{"service": "llm", "request": 1, "attempt": 1} | fields)
    assert len(rows(tmp_path / "a.jsonl")) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"outcome": "fine"}, "outcome is"),
        ({"outcome": "ok", "status": 9999}, "status is 9999"),
        ({"outcome": "ok", "retry_after": -1.0}, "retry_after is -1.0"),
    ],
)
def test_an_end_that_the_reader_would_refuse_is_not_recorded(tmp_path, fields, message):
    with Recorder(tmp_path / "a.jsonl") as record:
        id = record.begin(service="llm", request=1, attempt=1)
        with pytest.raises(ValueError, match=message):
            record.end(id, **fields)
    assert len(rows(tmp_path / "a.jsonl")) == 2


def test_an_unknown_event_is_refused(tmp_path):
    with Recorder(tmp_path / "a.jsonl") as record, pytest.raises(ValueError, match="event is"):
        record.event("reboot", 1)


def test_only_the_named_fields_can_be_stored(tmp_path):
    with Recorder(tmp_path / "a.jsonl") as record, pytest.raises(TypeError):
        record.begin(service="llm", request=1, attempt=1, prompt="my secret")


def test_what_does_not_print_or_is_a_query_string_is_not_stored(tmp_path):
    with Recorder(tmp_path / "a.jsonl") as record:
        record.begin(service="llm", request=1, attempt=1, endpoint="GET /a?key=SECRET#SECRET", client="a\x1b[31m\ud800")
        record.begin(service="llm", request=2, attempt=1, endpoint="https://me:SECRET@host/b?x", client="c" * 5_000)
    assert "SECRET" not in (tmp_path / "a.jsonl").read_text()
    trace = read_trace(tmp_path / "a.jsonl")
    assert trace.skipped == ()
    assert trace.attempts["endpoint"].tolist() == ["GET /a", "https://host/b"]
    assert trace.attempts["client"].tolist() == ["a\ufffd[31m\ufffd", "c" * 1_000]


@pytest.mark.parametrize("source", [{"a": float("inf")}, {"a": "x" * 2**20}, {"a": json.loads("[" * 30 + "]" * 30)}])
def test_a_source_that_the_reader_would_refuse_is_not_recorded(tmp_path, source):
    with pytest.raises(ValueError):
        Recorder(tmp_path / "a.jsonl", source=source)
    Recorder(tmp_path / "a.jsonl").close()


def test_a_closed_recorder_says_so(tmp_path):
    record = Recorder(tmp_path / "a.jsonl")
    record.close()
    record.close()
    with pytest.raises(ValueError, match="is closed"):
        record.event("pool", 1)


def test_a_line_that_the_disk_takes_in_pieces_is_whole(tmp_path, monkeypatch):
    write = os.write
    with Recorder(tmp_path / "a.jsonl") as record, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:10]))
        record.event("pool", 1)
        record.event("pool", 2)
    assert read_trace(tmp_path / "a.jsonl").skipped == ()


def test_after_a_line_that_a_full_disk_cut_off_recording_goes_on(tmp_path, monkeypatch):
    write = os.write
    with Recorder(tmp_path / "a.jsonl") as record:

        def full(file, data):
            if not data.startswith(b"{"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(file, data[:10])

        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(os, "write", full)
            record.event("pool", 1)
        record.event("pool", 2)
    trace = read_trace(tmp_path / "a.jsonl")
    assert trace.events["value"].tolist() == [2.0]
    assert [error.line for error in trace.skipped] == [2]


def test_threads_share_a_recorder_and_lines_are_in_order_of_time(tmp_path):
    path = tmp_path / "a.jsonl"
    with Recorder(path) as record:

        def work(thread: int) -> None:
            for k in range(200):
                record.end(record.begin(service="llm", request=thread * 200 + k, attempt=1), outcome="ok", status=200)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    trace = read_trace(path)
    assert trace.skipped == ()
    assert sorted(trace.attempts["request"]) == list(range(1_600))
    assert set(trace.attempts["outcome"]) == {"ok"}


def test_two_openers_of_one_new_file_write_one_header(tmp_path):
    for round in range(20):
        path, barrier, opened = tmp_path / f"{round}.jsonl", threading.Barrier(8), []

        def work(path=path, barrier=barrier, opened=opened) -> None:
            barrier.wait()
            opened.append(Recorder(path))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for record in opened:
            record.close()
        assert len(opened) == 8
        assert [row["kind"] for row in rows(path)] == ["trace"]


FORKED = """
import os, sys
from breakerlab.trace import Recorder
record = Recorder(sys.argv[1])
record._lock.acquire()  # as a thread of the parent may hold it while another forks
child = os.fork()
if child == 0:
    try:
        record.event("pool", 1)
    except RuntimeError as error:
        print(error)
    record.close()
    os._exit(0)
os.waitpid(child, 0)
record._lock.release()
record.event("pool", 2)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_is_told_to_open_its_own_recorder(tmp_path):
    path = tmp_path / "a.jsonl"
    done = subprocess.run([sys.executable, "-c", FORKED, path], check=True, capture_output=True, text=True, timeout=60)
    assert "a forked process must open its own recorder" in done.stdout
    assert read_trace(path).events["value"].tolist() == [2.0]


BUSY = r"""
import os, sys, threading
from breakerlab.trace import Recorder
record = Recorder(sys.argv[1])
def work(thread):
    k = 0
    while True:
        id = record.begin(service="llm", request=k, attempt=1, client=str(thread))
        os.write(1, f"{id}\n".encode())  # one write, so that threads do not mix their lines
        if k % 2:
            record.end(id, outcome="ok", status=200)
        k += 1
for thread in range(3):
    threading.Thread(target=work, args=(thread,)).start()
"""


def readable_rows(path):
    for line in path.read_bytes().splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # the kill may tear a line
            yield json.loads(line)


def run_and_kill(path, lines):
    """Let a real process record until it has told of so many begun attempts, then kill it; what it told."""
    with subprocess.Popen([sys.executable, "-c", BUSY, path], stdout=subprocess.PIPE, text=True) as process:
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    return {line.rstrip() for line in told if line.endswith("\n")}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_loses_no_begun_attempt_and_can_go_on(tmp_path):
    path = tmp_path / "a.jsonl"
    told = run_and_kill(path, 300) | run_and_kill(path, 300)
    trace = read_trace(path)
    assert [error for error in trace.skipped if "truncated" not in error.found] == []
    begun = [row["id"] for row in readable_rows(path) if row["kind"] == "begin"]
    assert len(told) >= 600
    assert told <= set(begun)
    assert len(set(begun)) == len(begun) == len(trace.attempts)
    attempts = trace.attempts
    even = attempts[attempts["request"] % 2 == 0]
    assert set(even["outcome"]) == {"lost"}
    assert even["latency"].isna().all()
    assert (attempts["outcome"] == "ok").sum() > 100
