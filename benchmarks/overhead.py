"""Nanoseconds that a breaker or a retry rule adds to one call of a function that does nothing.

usage: python benchmarks/overhead.py [--rounds 200] [--calls 500] [--json FILE]      (`make bench` installs the peers)

In every round each contender is timed once, in shuffled order, over --calls calls. Its figure is its fastest round
minus the fastest round of the same call unguarded. A refusal by an open circuit is timed until it is caught; nothing is
subtracted, since no call is made. Exit code 1 if a target is missed.
"""

import argparse
import asyncio
import gc
import importlib.metadata
import inspect
import platform
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product, repeat
from time import perf_counter_ns
from typing import Any

import command_line
from command_line import read_with_json, whole_number, write_figures
from contenders import JUDGED, OURS, PEERS, CallFailedError, Guard, Library, Limits, never_reached

KINDS = ("sync", "async")
STATES = ("closed", "open", "failing")
UNGUARDED = "the call itself, unguarded"
AT_MOST = {"circuitbreaker": 2.0, "interlock-cb": 0.25}
STATES_WITH_A_TARGET = ("closed", "open")
FAILURES_UNTIL_OPEN = 1000
# The largest window that breakerlab offers has 1,024 places.
MOST_CALLS = 1000

Call = Callable[[], Any]
Cell = tuple[str, str, str]  # library, kind, state
Figures = dict[Cell, float]


class WrongStateError(Exception):
    """A call was answered that should have failed or been refused."""


def answer() -> int:
    return 42


def fail() -> int:
    raise CallFailedError


async def answer_async() -> int:
    return 42


async def fail_async() -> int:
    raise CallFailedError


FUNCTIONS: dict[str, tuple[Call, Call]] = {"sync": (answer, fail), "async": (answer_async, fail_async)}


def time_answers(call: Call, calls: int) -> int:
    started = perf_counter_ns()
    for _ in repeat(None, calls):
        call()
    return perf_counter_ns() - started


def time_errors(call: Call, calls: int, expected: type[Exception]) -> int:
    started = perf_counter_ns()
    for _ in repeat(None, calls):
        try:
            call()
        except expected:
            pass
        else:
            raise WrongStateError("a call was answered")
    return perf_counter_ns() - started


async def time_answers_async(call: Call, calls: int) -> int:
    started = perf_counter_ns()
    for _ in repeat(None, calls):
        await call()
    return perf_counter_ns() - started


async def time_errors_async(call: Call, calls: int, expected: type[Exception]) -> int:
    started = perf_counter_ns()
    for _ in repeat(None, calls):
        try:
            await call()
        except expected:
            pass
        else:
            raise WrongStateError("a call was answered")
    return perf_counter_ns() - started


async def nothing() -> None:
    pass


@dataclass
class Contender:
    """One cell of the table: what is called, what that raises, and what is done untimed before each round."""

    cell: Cell
    call: Call
    raises: type[Exception] | None = None
    before_a_round: Callable[[], Awaitable[None]] = nothing
    times: list[float] = field(default_factory=list)

    async def run(self, calls: int) -> None:
        await self.before_a_round()
        self.times.append(await self.elapsed(calls) / calls)

    async def elapsed(self, calls: int) -> int:
        is_sync = self.cell[1] == "sync"
        if self.raises is None:
            return time_answers(self.call, calls) if is_sync else await time_answers_async(self.call, calls)
        if is_sync:
            return time_errors(self.call, calls, self.raises)
        return await time_errors_async(self.call, calls, self.raises)

    @property
    def fastest(self) -> float:
        return min(self.times[1:])  # the first round warms up and fills the windows


async def result_of(call: Call) -> Any:
    result = call()
    return await result if inspect.isawaitable(result) else result


def unguarded() -> Iterator[Contender]:
    for kind, (answers, fails) in FUNCTIONS.items():
        yield Contender((UNGUARDED, kind, "closed"), answers)
        yield Contender((UNGUARDED, kind, "failing"), fails, CallFailedError)


async def contenders_of(library: Library, calls: int) -> list[Contender]:
    found = []
    for kind, make in (("sync", library.for_sync), ("async", library.for_async)):
        if make is None:
            continue
        found += [closed(library.name, kind, make(Limits())), failing(library.name, kind, make(never_reached(calls)))]
        if library.is_breaker:
            found.append(await opened(library.name, kind, make(Limits())))
    return found


def closed(name: str, kind: str, guard: Guard) -> Contender:
    answers, _ = FUNCTIONS[kind]
    return Contender((name, kind, "closed"), guard.decorate(answers))


def failing(name: str, kind: str, guard: Guard) -> Contender:
    answers, fails = map(guard.decorate, FUNCTIONS[kind])

    async def put_a_success_into_the_window() -> None:
        await result_of(answers)

    return Contender((name, kind, "failing"), fails, CallFailedError, put_a_success_into_the_window)


async def opened(name: str, kind: str, guard: Guard) -> Contender:
    answers, fails = map(guard.decorate, FUNCTIONS[kind])

    async def drop_the_traceback() -> None:
        # purgatory raises the same error object each time, and each raise makes its traceback longer.
        try:
            await result_of(answers)
        except guard.refusal as refused:
            refused.__traceback__ = None

    await fail_until(guard.refusal, fails)
    return Contender((name, kind, "open"), answers, guard.refusal, drop_the_traceback)


async def fail_until(refusal: type[Exception], fails: Call) -> None:
    for _ in range(FAILURES_UNTIL_OPEN):
        try:
            await result_of(fails)
        except CallFailedError:
            continue
        except refusal:
            return
    raise WrongStateError(f"{FAILURES_UNTIL_OPEN:,} failures do not open it")


async def measure(libraries: Sequence[Library], rounds: int, calls: int) -> Figures:
    """The fastest nanoseconds per call of every cell. Exits with a sentence if a library is missing or misbehaves."""
    contenders = list(unguarded())
    for library in libraries:
        contenders += await set_up(library, calls)
    with garbage_left_lying():
        for _ in range(1 + rounds):
            gc.collect()
            await one_round(contenders, calls)
    return {contender.cell: contender.fastest for contender in contenders}


@contextmanager
def garbage_left_lying() -> Iterator[None]:
    """As timeit does: else one contender pays for another's garbage."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def set_up(library: Library, calls: int) -> list[Contender]:
    try:
        return await contenders_of(library, calls)
    except ImportError as error:
        what_to_do = "mend it" if library in OURS else "`make bench` installs what is compared here"
        problem = f"{library.distribution} cannot be imported ({error}): {what_to_do}"
    except WrongStateError as error:
        problem = f"{library.name} cannot be timed while open: {error}"
    raise SystemExit(f"breakerlab: {problem}")


async def one_round(contenders: list[Contender], calls: int) -> None:
    for contender in random.sample(contenders, len(contenders)):
        try:
            await contender.run(calls)
        except Exception as error:
            name, kind, state = contender.cell
            raise SystemExit(f"breakerlab: {name} ({kind}) did not stay {state}: {error!r}") from error


def added(fastest: Figures) -> Figures:
    """What each guard adds to the call itself."""
    return {
        (name, kind, state): time - fastest.get((UNGUARDED, kind, state), 0.0)
        for (name, kind, state), time in fastest.items()
        if name != UNGUARDED
    }


@dataclass(frozen=True)
class Ratio:
    """How many times what a peer adds is added by ours; `at_most` is the target, None where there is none."""

    ours: str
    peer: str
    kind: str
    state: str
    times: float
    at_most: float | None

    @property
    def is_missed(self) -> bool:
        return self.at_most is not None and self.times > self.at_most

    def __str__(self) -> str:
        verdict = "" if self.at_most is None else "missed" if self.is_missed else "met"
        return f"{self.times:.2f} {verdict:6}"


def ratios(figures: Figures) -> list[Ratio]:
    return [
        Ratio(
            ours=library.name,
            peer=peer,
            kind=kind,
            state=state,
            times=figures[library.name, kind, state] / figures[peer, kind, state],
            at_most=at_most if library.name == JUDGED and state in STATES_WITH_A_TARGET else None,
        )
        for library, state, kind, (peer, at_most) in product(OURS, STATES, KINDS, AT_MOST.items())
    ]


def line(head: str, cells: Sequence[str], width: int) -> str:
    return f"{head:28}" + "".join(f"{cell:>{width}}" for cell in cells)


def table(fastest: Figures) -> Iterator[str]:
    """A row per library, a column per kind and state; what does not exist is a dash."""
    columns = list(product(KINDS, STATES))
    shown = {**fastest, **added(fastest)}
    yield line("", [" ".join(column) for column in columns], 15)
    for name in dict.fromkeys(name for name, _, _ in shown):
        cells = [shown.get((name, *column)) for column in columns]
        yield line(name, ["-" if time is None else f"{time:,.0f}" for time in cells], 15)


def ratio_table(found: list[Ratio]) -> Iterator[str]:
    for library in OURS:
        ours = [ratio for ratio in found if ratio.ours == library.name]
        goals = [f" (at most {at_most})" if library.name == JUDGED else "" for at_most in AT_MOST.values()]
        yield ""
        yield line(library.name, [f"x {peer}{goal}" for peer, goal in zip(AT_MOST, goals, strict=True)], 34)
        for state, kind in product(STATES, KINDS):
            cells = [str(ratio) for ratio in ours if (ratio.kind, ratio.state) == (kind, state)]
            yield line(f"  {kind} {state}", cells, 34)


def facts(fastest: Figures, found: list[Ratio], options: argparse.Namespace) -> dict[str, Any]:
    distributions = {library.distribution for library in (*OURS, *PEERS)}
    return {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "rounds": options.rounds,
        "calls": options.calls,
        "versions": {name: importlib.metadata.version(name) for name in sorted(distributions)},
        "unguarded_ns": [row(cell, time) for cell, time in fastest.items() if cell[0] == UNGUARDED],
        "added_ns": [row(cell, time) for cell, time in added(fastest).items()],
        "ratios": [{**vars(ratio), "times": round(ratio.times, 3), "is_missed": ratio.is_missed} for ratio in found],
    }


def row(cell: Cell, time: float) -> dict[str, Any]:
    return {**dict(zip(("library", "kind", "state"), cell, strict=True)), "ns": round(time, 1)}


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a breaker or a retry rule adds to one call.")
    parser.add_argument("--rounds", type=whole_number(1_000_000), default=200, help="rounds that count (default 200)")
    parser.add_argument("--calls", type=whole_number(MOST_CALLS), default=500, help="calls in a round (default 500)")
    return read_with_json(parser)


def main() -> None:
    options = read_options()
    fastest = asyncio.run(measure((*OURS, *PEERS), options.rounds, options.calls))
    found = ratios(added(fastest))
    print(f"Nanoseconds added to one call, the fastest of {options.rounds} rounds of {options.calls} calls.")
    print("open: a refusal, until it is caught. failing, for a retry library: one attempt, which fails.\n")
    print(*table(fastest), *ratio_table(found), "", sep="\n")
    write_figures(options, facts(fastest, found, options))
    conclude(found)


def conclude(found: list[Ratio]) -> None:
    command_line.conclude([ratio for ratio in found if ratio.at_most is not None])


if __name__ == "__main__":
    main()
