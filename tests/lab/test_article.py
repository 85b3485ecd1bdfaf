"""The article's class has the faults that notebook 02 shows, and ours, with the same parameters, has none of them."""

import pytest

from breakerlab.lab.article import (
    ARTICLE,
    OURS,
    RULES,
    ArticleBreaker,
    Call,
    HandClock,
    fates,
    play,
    side_by_side,
)
from breakerlab.policy import CircuitBreaker, State

THREE = [Call(start, 0.1, False) for start in (1, 2, 3)]


def both(calls, clock=None, first=0):
    table = side_by_side(calls, clock)
    return [table[name].tolist()[first:] for name in (ARTICLE, OURS)]


def test_both_open_at_three_failures_and_close_after_a_probe_that_succeeds() -> None:
    calls = [*THREE, Call(10, 1, True), Call(63, 1, False), Call(64, 1, True), Call(124.5, 1, True), Call(130, 1, True)]
    expected = ["failed"] * 3 + ["refused", "refused", "failed", "ok", "ok"]
    calls[4] = Call(62, 1, True)
    calls[5] = Call(63.2, 1, False)
    assert both(calls) == [expected, expected]


def test_of_32_probes_one_passes_ours_and_all_pass_the_class() -> None:
    article, ours = both([*THREE, *[Call(70, 1, False)] * 32], first=3)
    assert article == ["failed"] * 32
    assert sorted(ours) == ["failed"] + ["refused"] * 31


def test_a_late_success_closes_the_class_alone() -> None:
    calls = [Call(0, 65, True), *THREE, Call(64, 5, False), Call(66, 1, False)]
    assert both(calls, first=4) == [["failed", "failed"], ["failed", "refused"]]


def test_a_late_failure_keeps_the_class_open_for_longer() -> None:
    assert both([Call(0, 50, False), *THREE, Call(64, 1, True), Call(111, 1, True)], first=4) == [
        ["refused", "ok"],
        ["ok", "ok"],
    ]


@pytest.mark.parametrize(("jump", "article"), [(-3600.0, ["refused", "refused"]), (3600.0, ["ok", "ok"])])
def test_a_wall_clock_that_jumps_moves_the_class_alone(jump: float, article: list[str]) -> None:
    found = both([*THREE, Call(31, 1, True), Call(64, 1, True)], HandClock(jump_at=30, jump=jump), first=3)
    assert found == [article, ["refused", "ok"]]


def test_four_failures_in_five_never_open_a_circuit_that_counts_five_in_a_row() -> None:
    calls = [Call(n, 0.1, n % 5 == 4) for n in range(100)]
    clock = HandClock()
    for breaker in (
        ArticleBreaker(failure_threshold=5, clock=clock.wall),
        CircuitBreaker(failure_threshold=5, clock=clock.monotonic),
    ):
        assert "refused" not in play(breaker, clock, calls)
        assert breaker.get_state() == State.CLOSED
    assert fates(calls, failure_rate=0.5, recovery_timeout=200).index("refused") == 10


def test_the_class_may_have_other_parameters_too() -> None:
    table = side_by_side([*THREE, Call(5, 1, True)], article={"failure_threshold": 9})
    assert table.iloc[-1].tolist() == ["ok", "refused"]


def test_other_parameters_may_be_given_to_ours() -> None:
    table = side_by_side([*THREE, Call(5, 1, True)], **{**RULES, "failure_threshold": 9})
    assert table[OURS].tolist()[-1] == "ok"
    assert table[ARTICLE].tolist()[-1] == "refused"
    assert table.index.tolist() == ["1 s", "2 s", "3 s", "5 s"]
