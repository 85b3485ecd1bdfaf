"""The benchmark notices what would make its table wrong. Its figures are nobody's business here."""

import asyncio
import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import overhead
import pytest
from contenders import JUDGED, PEERS, Guard, Library, Limits


class RefusedError(Exception):
    pass


class StandIn:
    """A breaker that opens after failures in a row; when open it refuses `refusals` calls, then lets all through."""

    def __init__(self, failures: int, refusals: float) -> None:
        self.failures, self.refusals, self.seen = failures, refusals, 0

    def __call__(self, function: Callable[[], Any]) -> Callable[[], Any]:
        @wraps(function)
        def guarded() -> Any:
            self.admit()
            with self:
                return function()

        @wraps(function)
        async def guarded_async() -> Any:
            self.admit()
            with self:
                return await function()

        return guarded_async if inspect.iscoroutinefunction(function) else guarded

    def admit(self) -> None:
        if self.seen >= self.failures and self.refusals > 0:
            self.refusals -= 1
            raise RefusedError

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.seen = self.seen + 1 if kind else 0


def library(refusals: float = float("inf"), keeps: Callable[[Limits], int] = lambda limits: limits.failures) -> Library:
    def make(limits: Limits) -> Guard:
        return Guard(StandIn(keeps(limits), refusals), RefusedError)

    return Library("stand-in", "stand-in", make, make)


def measure(*libraries: Library) -> overhead.Figures:
    return asyncio.run(overhead.measure(libraries, rounds=1, calls=20))


def test_every_state_of_both_kinds_is_measured() -> None:
    cells = {(kind, state) for name, kind, state in measure(library()) if name == "stand-in"}
    assert cells == {(kind, state) for kind in overhead.KINDS for state in overhead.STATES}


def test_a_retry_library_has_no_open_state_and_what_is_missing_is_a_dash() -> None:
    retry = Library("retry", "retry", lambda _: Guard(lambda function: function), None, is_breaker=False)
    fastest = measure(retry)
    assert {cell[1:] for cell in fastest if cell[0] == "retry"} == {("sync", "closed"), ("sync", "failing")}
    assert next(line for line in overhead.table(fastest) if line.startswith("retry")).split().count("-") == 4


WRONG = {
    "lets calls through while it should be open": (library(refusals=30), r"stand-in \(a?sync\) did not stay open"),
    "opens while it should go on failing": (library(keeps=lambda _: 5), r"stand-in \(a?sync\) did not stay failing"),
    "never opens": (library(keeps=lambda _: sys.maxsize), "stand-in .* 1,000 failures do not open it"),
}


@pytest.mark.parametrize(("contender", "sentence"), WRONG.values(), ids=WRONG)
def test_a_breaker_in_the_wrong_state_ends_the_run(contender: Library, sentence: str) -> None:
    with pytest.raises(SystemExit, match=sentence):
        measure(contender)


def test_a_missing_peer_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "purgatory", None)
    purgatory = next(peer for peer in PEERS if peer.name == "purgatory")
    with pytest.raises(SystemExit, match=r"purgatory cannot be imported .*: `make bench` installs"):
        measure(purgatory)


def figures(ours: float, circuitbreaker: float, interlock: float) -> overhead.Figures:
    rows = {library.name: ours for library in overhead.OURS}
    rows |= {"circuitbreaker": circuitbreaker, "interlock-cb": interlock}
    cells = [(kind, state) for kind in overhead.KINDS for state in overhead.STATES]
    return {(name, *cell): time for name, time in rows.items() for cell in cells}


MISSED_AT = [(1000.0, set()), (1001.0, {"interlock-cb"}), (1201.0, {"interlock-cb", "circuitbreaker"})]


@pytest.mark.parametrize(("ours", "missed"), MISSED_AT)
def test_a_target_is_missed_as_soon_as_it_is_passed(ours: float, missed: set[str]) -> None:
    found = overhead.ratios(figures(ours, circuitbreaker=600.0, interlock=4000.0))
    assert {ratio.peer for ratio in found if ratio.is_missed} == missed
    assert {(ratio.ours, ratio.state) for ratio in found if ratio.is_missed} <= {(JUDGED, "closed"), (JUDGED, "open")}


def test_a_missed_target_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    overhead.conclude(overhead.ratios(figures(1000.0, 600.0, 4000.0)))
    assert "all 8 targets met" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="4 of 8 targets missed"):
        overhead.conclude(overhead.ratios(figures(1001.0, 600.0, 4000.0)))


def test_what_an_open_circuit_takes_is_not_reduced_by_the_call_that_was_not_made() -> None:
    guarded = {("x", "sync", "closed"): 100.0, ("x", "sync", "open"): 500.0}
    fastest = {(overhead.UNGUARDED, "sync", "closed"): 30.0, **guarded}
    assert overhead.added(fastest) == {("x", "sync", "closed"): 70.0, ("x", "sync", "open"): 500.0}
