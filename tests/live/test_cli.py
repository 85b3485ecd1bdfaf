"""The command line: sentences instead of tracebacks, and no process left behind whatever ends it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from breakerlab.cli import main


def run(capsys, *arguments):
    """Exit code and what stood on stderr."""
    try:
        code = main(["record", "incident", *map(str, arguments)])
    except SystemExit as leaving:
        code = leaving.code
    return code, capsys.readouterr().err


def is_one_sentence(text):
    return text.count("\n") == 1 and text.endswith(".\n") and "Traceback" not in text


def test_help_says_what_is_recorded_and_where_it_goes(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["record", "--help"])
    text = capsys.readouterr().out
    assert leaving.value.code == 0
    assert "--out" in text and "--only" in text and "--seed" in text and "loopback" in text


def test_an_unknown_incident_is_answered_with_those_that_exist(capsys, tmp_path):
    code, error = run(capsys, "--out", tmp_path, "--only", "armageddon")
    assert code == 2 and is_one_sentence(error)
    assert "armageddon" in error and "incident_naive" in error and "calm" in error


@pytest.mark.parametrize("arguments", [[], ["--out"], ["--out", "x", "--seed", "many"]])
def test_a_mistyped_command_is_answered_with_a_sentence(capsys, arguments):
    code, error = run(capsys, *arguments)
    assert code == 2 and is_one_sentence(error)


@pytest.mark.parametrize("option", ["--provider-port", "--app-port"])
def test_a_port_that_is_taken_is_named(capsys, tmp_path, option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = run(capsys, "--out", tmp_path, "--only", "calm", option, port)
    assert code == 2 and is_one_sentence(error)
    assert str(port) in error
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_cannot_exist_is_named(capsys, tmp_path):
    code, error = run(capsys, "--out", tmp_path, "--only", "calm", "--app-port", "70000")
    assert code == 2 and is_one_sentence(error) and "70000" in error


def test_a_folder_that_cannot_be_written_is_named(capsys, tmp_path):
    blocker = tmp_path / "file"
    blocker.touch()
    code, error = run(capsys, "--out", blocker / "recordings", "--only", "calm")
    assert code == 2 and is_one_sentence(error) and "recordings" in error


@contextmanager
def recording(out, under_way):
    """A recording in a process of its own, and the processes that it has started: under way, or still on the way."""
    command = [sys.executable, "-m", "breakerlab.cli", "record", "incident", "--only", "calm", "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: len(psutil.Process(process.pid).children()) == 3)
            wait_for(lambda: not under_way or callers_were_sent(out))
            yield process, psutil.Process(process.pid).children()
        finally:
            process.kill()


def callers_were_sent(out):
    return any('"begin"' in log.read_text() for log in out.glob(".recording-*/**/callers.part.jsonl"))


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the recording did not get under way"
        time.sleep(0.05)


def all_end(children):
    return psutil.wait_procs(children, timeout=10)[1] == []


@pytest.mark.parametrize(("ended_by", "code", "under_way"), [(signal.SIGINT, 130, True), (signal.SIGTERM, 2, False)])
def test_a_recording_that_is_stopped_leaves_no_process_and_no_file(tmp_path, ended_by, code, under_way):
    with recording(tmp_path, under_way) as (process, children):
        process.send_signal(ended_by)
        _, error = process.communicate(timeout=20)
        assert process.returncode == code
        assert "breakerlab: " in error
        assert "Traceback" not in error
        assert all_end(children)
    assert list(tmp_path.iterdir()) == []


def test_no_process_outlives_a_recording_that_is_killed(tmp_path):
    with recording(tmp_path, under_way=True) as (process, children):
        process.kill()
        process.wait()
        assert all_end(children)
    assert not list(tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(("role", "under_way"), [("provider", False), ("pipeline", True)])
def test_a_process_that_dies_ends_the_recording_with_a_sentence(tmp_path, role, under_way):
    with recording(tmp_path, under_way) as (process, children):
        next(child for child in children if child.cmdline()[-1].endswith(role)).kill()
        _, error = process.communicate(timeout=20)
        assert process.returncode == 2
        assert f"breakerlab: the {role} ended" in error and "Traceback" not in error
        assert all_end(children)
    assert list(tmp_path.iterdir()) == []
