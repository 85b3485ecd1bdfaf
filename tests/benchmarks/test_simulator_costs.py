"""The benchmark measures what it says, and notices a missed target. Its figures are nobody's business here."""

import threading
from pathlib import Path

import fresh_process
import numba
import numpy as np
import pytest
import simulator_costs
from simulator_costs import Figure


def figure(value: float | None) -> Figure:
    return Figure("a replay", value, "ms", 15.0)


@pytest.mark.parametrize(("value", "verdict"), [(15.0, "met"), (15.1, "missed"), (None, "not measured")])
def test_a_target_is_missed_as_soon_as_it_is_passed(value: float | None, verdict: str) -> None:
    assert str(figure(value)).endswith(f"(at most 15) {verdict}")
    assert figure(value).is_missed == (verdict == "missed")


def test_a_missed_target_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    simulator_costs.conclude([figure(14.0), figure(None)])
    assert capsys.readouterr().out == "breakerlab: all 1 targets met, 1 not measured\n"
    with pytest.raises(SystemExit, match="1 of 2 targets missed: a replay"):
        simulator_costs.conclude([figure(14.0), figure(16.0)])


def test_a_process_that_fails_is_told_in_a_sentence() -> None:
    with pytest.raises(SystemExit, match=r"`fresh_process.py no_such_task` failed: KeyError: 'no_such_task'"):
        simulator_costs.in_a_fresh_process("no_such_task")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux says what a process holds")
def test_the_peak_of_memory_is_seen_after_it_is_over_and_forgotten_with_the_next_start() -> None:
    megabytes = 2**20
    before = fresh_process.start_measuring()
    np.ones(64 * megabytes, np.int8)
    assert 60 * megabytes < fresh_process.bytes_of("VmHWM") - before < 80 * megabytes
    assert fresh_process.bytes_of("VmRSS") - before < 10 * megabytes
    before = fresh_process.start_measuring()
    assert fresh_process.bytes_of("VmHWM") - before < 10 * megabytes


def test_compilations_are_counted_and_a_second_call_is_none() -> None:
    @numba.njit
    def double(x):  # type: ignore[no-untyped-def]
        return 2 * x

    found = []
    for argument in (1, 2, 3.0):
        with fresh_process.compiled_meanwhile() as compiled:
            double(argument)
        found.append(len(compiled))
    assert found == [1, 0, 1]


def test_work_in_threads_runs_at_the_same_time_and_else_in_turn() -> None:
    meeting = threading.Barrier(2, timeout=60.0)
    simulator_costs.in_threads(meeting.wait, meeting.wait)
    done: list[int] = []
    simulator_costs.one_after_the_other(lambda: done.append(1), lambda: done.append(2))
    assert done == [1, 2]
