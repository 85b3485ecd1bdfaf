"""The C program, and what is measured beside it, simulate the storm that they say they do."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import retry_storm
from retry_storm import SplitMix64, StormError, Tally

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")


@pytest.fixture(scope="module", params=[(), ("-DREPLACES_FIRST",)], ids=["textbook", "replaces the first"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which(os.environ.get("CC") or "gcc"):
        pytest.skip("there is no C compiler here")
    return retry_storm.compile_c(tmp_path_factory.mktemp("storm"), *WARNINGS, *request.param)


@pytest.mark.parametrize(("requests", "seed"), [(0, 1), (1, 2), (40, 3), (5000, 4), (5000, 2**64 - 1)])
def test_given_the_same_draws_c_counts_as_the_python_program(program: Path, requests: int, seed: int) -> None:
    compiled = retry_storm.in_c(program, requests, seed)
    plain = retry_storm.with_heapq(requests, SplitMix64(seed))
    assert (compiled.attempts, compiled.refused, compiled.answered) == (plain.attempts, plain.refused, plain.answered)
    assert compiled.latency == pytest.approx(plain.latency)


def test_the_storm_is_the_one_that_its_description_tells_of() -> None:
    storm = retry_storm.with_heapq(50_000, SplitMix64(1))
    assert storm.attempts == storm.answered + storm.refused
    assert storm.attempts / storm.requests == pytest.approx(1.6, abs=0.05)
    assert storm.refused / storm.attempts == pytest.approx(0.45, abs=0.03)


def test_without_refusals_the_answers_take_as_long_as_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 slots at 8 a second are nearly always free: M/M/16 has a mean wait of 0.1 % of a service time."""
    monkeypatch.setattr(retry_storm, "RATE", 8.0)
    calm = retry_storm.with_heapq(50_000, SplitMix64(1))
    assert calm.attempts == pytest.approx(calm.requests, rel=1e-3)
    assert calm.latency / calm.answered == pytest.approx(1.0, abs=0.02)


def test_the_draws_are_those_of_splitmix64() -> None:
    """The first outputs for the seed 1234567, as the generator's authors give them."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    chance = SplitMix64(1234567)
    assert [chance.random() for _ in known] == [(z >> 11) / 2**53 for z in known]


@pytest.mark.parametrize(("compiler", "sentence"), [("no-such-cc", "install gcc, or say in CC"), ("false", "compile")])
def test_without_a_compiler_a_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str, sentence: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(StormError, match=sentence):
        retry_storm.compile_c(tmp_path)


def test_without_simpy_a_sentence_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simpy", None)
    with pytest.raises(StormError, match="`make bench` installs"):
        retry_storm.with_simpy(1, SplitMix64(1))


def test_tallies_add_up() -> None:
    both = Tally(10, 12, 3, 9, 4.0, 0.5) + Tally(20, 24, 6, 18, 8.0, 1.0)
    assert both == Tally(30, 36, 9, 27, 12.0, 1.5)
    assert both.rate == 24.0
    assert both.shares() == {"attempts per request": 1.2, "share refused": 0.25, "mean latency": 12.0 / 27}
