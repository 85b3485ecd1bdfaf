"""Exercises that check themselves: the reader's function is called with cases whose answers are known."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, NamedTuple

CHAPTERS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12)  # notebooks with exercises
LONGEST: Final = 80  # characters of a value in a sentence
NOT_YET, RIGHT, WRONG = "not yet", "right", "wrong"


@dataclass(frozen=True)
class Case:
    """Inputs by name, what the function should give for them, and in which situation, for the sentence ("")."""

    inputs: Mapping[str, Any]
    expected: Any
    about: str = ""


@dataclass(frozen=True)
class Pair:
    """Two calls whose results should be the same, or should differ, whatever they are."""

    inputs: Mapping[str, Any]
    others: Mapping[str, Any]
    same: bool
    about: str = ""


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    name: of the function. task: what it gives, one sentence for "not yet". why: what a right answer shows. cases:
    tried in order, the first that fails is told. tolerance: relative, for numbers that are not whole.
    """

    name: str
    task: str
    why: str
    cases: Sequence[Case | Pair]
    tolerance: float = 1e-6


class Verdict(NamedTuple):
    """What came of a check: "not yet", "right" or "wrong", and one sentence."""

    status: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.status}: {self.sentence}"


def check(name: str, function: Callable[..., Any]) -> None:
    """Try the reader's `function` on the cases of the exercise `name`, and print one line that says what came of it.

    Raises ValueError for a name that no exercise has.
    """
    print(judge(exercise(name), function))


def exercise(name: str) -> Exercise:
    """The exercise of that name. Raises ValueError if there is none."""
    known = exercises()
    if name not in known:
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(map(repr, known))}")
    return known[name]


def exercises() -> dict[str, Exercise]:
    """All exercises by name, in the order of the course."""
    found = (one for chapter in CHAPTERS for one in in_chapter(chapter))
    return {one.name: one for one in found}


def in_chapter(number: int) -> tuple[Exercise, ...]:
    """The exercises of one notebook, by its number."""
    chapter: tuple[Exercise, ...] = import_module(f"breakerlab.lab.exercises.notebook_{number:02}").EXERCISES
    return chapter


def judge(asked: Exercise, function: Callable[..., Any]) -> Verdict:
    """What `check` prints."""
    if not callable(function):
        return Verdict(NOT_YET, f"give the check your function {asked.name} itself, not {_shown(function)}.")
    for case in asked.cases:
        try:
            off = _off(asked, case, function)
        except NotImplementedError:
            return Verdict(NOT_YET, asked.task)
        if off:
            return Verdict(WRONG, off)
    return Verdict(RIGHT, asked.why)


def _off(asked: Exercise, case: Case | Pair, function: Callable[..., Any]) -> str | None:
    """One sentence on what is off with this case; None if nothing is."""
    situation = f", {case.about}" if case.about else ""
    call = _call_shown(asked.name, case.inputs)
    try:
        got = function(**copy.deepcopy(dict(case.inputs)))
        if isinstance(case, Pair):
            other = function(**copy.deepcopy(dict(case.others)))
            return _off_pair(asked, case, got, other)
    except NotImplementedError:
        raise
    except Exception as error:  # whatever the reader's code raises is told, not thrown
        wanted = "an answer" if isinstance(case, Pair) else _shown(case.expected)
        return f"{call} raises {type(error).__name__} ({_short(str(error))}), expected {wanted}{situation}."
    if got is None and case.expected is not None:
        return f"{call} gives nothing (is a return missing?), expected {_shown(case.expected)}{situation}."
    if not _agrees(got, case.expected, asked.tolerance):
        return f"{call} gives {_shown(got)}, expected {_shown(case.expected)}{situation}."
    return None


def _off_pair(asked: Exercise, case: Pair, got: Any, other: Any) -> str | None:
    calls = f"{_call_shown(asked.name, case.inputs)} and {_call_shown(asked.name, case.others)}"
    situation = f", {case.about}" if case.about else ""
    if got is None or other is None:
        return f"{calls} give nothing (is a return missing?), expected an answer{situation}."
    if _agrees(got, other, 0.0) is case.same:
        return None
    expected = "the same from both" if case.same else "two that differ"
    return f"{calls} give {_shown(got)} and {_shown(other)}, expected {expected}{situation}."


def _agrees(got: Any, expected: Any, tolerance: float) -> bool:
    """Whether an answer is right: numbers within the tolerance, yes and no as such, sequences item by item."""
    try:
        return _same(getattr(got, "tolist", lambda: got)(), expected, tolerance)
    except Exception:  # a value that cannot be compared is not the expected one
        return False


def _same(got: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, bool) or isinstance(got, bool) or expected is None or got is None:
        return type(got) is type(expected) and got == expected
    if isinstance(expected, int | float):
        if not isinstance(got, int | float):
            return False
        return math.isclose(got, expected, rel_tol=tolerance, abs_tol=1e-12)
    if isinstance(expected, tuple | list):
        alike = isinstance(got, tuple | list) and len(got) == len(expected)
        return alike and all(_agrees(one, other, tolerance) for one, other in zip(got, expected, strict=True))
    return bool(got == expected)


def _call_shown(name: str, inputs: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={_shown(value)}' for key, value in inputs.items())})"


def _shown(value: Any) -> str:
    """A value as a person reads it: floats with 6 digits, and never longer than a line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    try:
        return _short(repr(getattr(value, "tolist", lambda: value)()))
    except Exception:  # the reader's own class may have a repr that fails
        return f"a {type(value).__name__}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
