"""The benchmark notices programs that differ, and targets that are missed. Its figures are nobody's business here."""

from collections.abc import Callable
from pathlib import Path

import pytest
import retry_storm
import simulator
from retry_storm import StormError, Tally


def tally(seed: int, refused: int = 450) -> Tally:
    return Tally(requests=600, attempts=1000, refused=refused, answered=550, latency=1100.0, seconds=1.0 / seed)


@pytest.mark.parametrize("refused", [446, 450, 454])
def test_programs_that_agree_are_let_through(refused: int) -> None:
    found = simulator.check_the_same_model(tally, lambda seed: tally(seed, refused))
    assert found == {
        "attempts per request": 0.0,
        "share refused": pytest.approx(refused / 450 - 1),
        "mean latency": 0.0,
    }


@pytest.mark.parametrize(("refused", "apart"), [(445, r"-1\.11%"), (455, r"\+1\.11%")])
def test_a_program_that_simulates_something_else_ends_the_run(refused: int, apart: str) -> None:
    with pytest.raises(StormError, match=rf"not simulate the same: share refused {apart}$"):
        simulator.check_the_same_model(tally, lambda seed: tally(seed, refused))


def other_counts(requests: int, chance: object) -> Tally:
    return Tally(requests)


@pytest.mark.parametrize("stranger", ["with_heapq", "with_simpy"])
def test_other_counts_from_the_same_draws_end_the_run(monkeypatch: pytest.MonkeyPatch, stranger: str) -> None:
    heapq = retry_storm.with_heapq
    alike = {"with_heapq": heapq, "with_simpy": heapq, stranger: other_counts}
    for name, program in alike.items():
        monkeypatch.setattr(retry_storm, name, program)
    monkeypatch.setattr(retry_storm, "in_c", lambda _, requests, seed: heapq(requests, retry_storm.SplitMix64(seed)))
    with pytest.raises(StormError, match="given the same draws, the counts differ"):
        simulator.check_the_same_counts(Path("textbook"), Path("replacing"))


def test_the_fastest_round_counts() -> None:
    seeds = []

    def play(seed: int) -> Tally:
        seeds.append(seed)
        return tally(5 if seed == 2 else 1)

    assert simulator.measure({"it": play}, rounds=3) == {"it": pytest.approx(5000.0)}
    assert seeds == [1, 2, 3]


def rates(ours: float, c: float = 10e6, simpy: float = 80e3) -> simulator.Rates:
    return {"C": c, simulator.JUDGED: ours, "heapq": 4e5, "SimPy": simpy}


@pytest.mark.parametrize(
    ("ours", "missed"), [(5.0e6, set()), (4.9e6, {"C"}), (3.9e6, {"C", "SimPy"})], ids=["met", "C", "both"]
)
def test_a_target_is_missed_as_soon_as_it_is_not_reached(ours: float, missed: set[str]) -> None:
    assert {ratio.peer for ratio in simulator.ratios(rates(ours)) if ratio.is_missed} == missed


def test_a_missed_target_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    simulator.conclude(simulator.ratios(rates(5.0e6)))
    assert "all 2 targets met" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1 of 2 targets missed"):
        simulator.conclude(simulator.ratios(rates(4.9e6)))


def test_the_table_has_a_line_for_each_the_fastest_first() -> None:
    lines = list(simulator.table(rates(5.0e6)))
    assert [line.split()[0] for line in lines[1:]] == ["C", "breakerlab", "heapq", "SimPy"]
    assert lines[2].split() == ["breakerlab", "5,000,000", "0.5", "62.5"]


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_what_cannot_be_compared_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["simulator.py"])
    monkeypatch.setattr(simulator, "run", failing(StormError("no C compiler")))
    with pytest.raises(SystemExit, match=r"^breakerlab: no C compiler$"):
        simulator.main()
