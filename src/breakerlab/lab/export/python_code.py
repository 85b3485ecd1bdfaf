"""Python: the code that makes the policy and its guard, to be pasted into a service."""

from __future__ import annotations

import builtins
import keyword
from typing import Any

from breakerlab.lab.export.left_out import is_plain, own_name
from breakerlab.lab.export.notes import Notes
from breakerlab.policy import Fallback, Policy
from breakerlab.policy.value import Value

WIDTH = 100
_TAKEN = {"Backoff", "Breaker", "Fallback", "Policy", "Retry", "RetryBudget", "Throttle", "guard", "policy"}


def write(policy: Policy, name: str, notes: Notes) -> str:
    """The imports, the policy, the guard; functions of a fallback by name only."""
    borrowed = _borrowed(policy.fallback, notes)
    imports = f"from breakerlab.policy import {', '.join(sorted(_classes(policy)))}"
    theirs = [f"# {word}: yours, to be imported or defined above" for word in borrowed.values()]
    return "\n".join(
        [
            imports,
            *theirs,
            "",
            f"policy = {_code(policy, borrowed, indent=0, before=9)}",
            f'guard = policy.guard("{name}")',
            "# answer = guard.call(ask, question)                     ask: a plain function that makes one attempt",
            "# answer = await guard.call_async(ask, question)         or one that gives an awaitable",
            "",
        ]
    )


def _classes(value: Value) -> set[str]:
    parts = [getattr(value, field) for field in _fields(value)] if not isinstance(value, Fallback) else []
    return {type(value).__name__}.union(*(_classes(part) for part in parts if isinstance(part, Value)))


def _fields(value: Value) -> list[str]:
    """The fields that its code names: all that are given, and those that are None though their default is not."""
    fields = value.__dataclass_fields__
    return [n for n, field in fields.items() if field.init and not (getattr(value, n) is None is field.default)]


def _code(value: Any, borrowed: dict[str, str], indent: int, before: int) -> str:
    """The expression that makes `value`, broken between fields if its line would be too long."""
    if not isinstance(value, Value):
        return repr(value)
    if isinstance(value, Fallback):
        given = {name: borrowed.get(name) or repr(answer) for name, answer in value.chain}
        if all(name.isidentifier() and not keyword.iskeyword(name) for name in given):
            parts = [f"{name}={code}" for name, code in given.items()]
        else:
            parts = [f"**{{{', '.join(f'{name!r}: {code}' for name, code in given.items())}}}"]
    else:
        parts = [f"{n}={_code(getattr(value, n), borrowed, indent + 4, indent + 5 + len(n))}" for n in _fields(value)]
    opening = f"{type(value).__name__}("
    line = f"{opening}{', '.join(parts)})"
    if before + len(line) + 1 <= WIDTH and "\n" not in line:
        return line
    inner = " " * (indent + 4)
    return f"{opening}\n{''.join(f'{inner}{part},' + chr(10) for part in parts)}{' ' * indent})"


def _borrowed(fallback: Fallback | None, notes: Notes) -> dict[str, str]:
    """The answers that no code can write, and the word that stands for each."""
    words: dict[str, str] = {}
    for name, answer in () if fallback is None else fallback.chain:
        if not is_plain(answer):
            words[name] = _word(name, answer, {*_TAKEN, *words.values()})
            kind = "a function" if callable(answer) else "an object"
            notes.say(f"The fallback's answer {name!r} is {kind}, of which only a name can be written: {words[name]}.")
    return words


def _word(name: str, answer: Any, taken: set[str]) -> str:
    wanted = own_name(answer) if callable(answer) else "unnamed"
    if wanted == "unnamed":
        wanted = name if name.isidentifier() and name.isascii() else "answer"
    if keyword.iskeyword(wanted) or hasattr(builtins, wanted):
        wanted = f"my_{wanted}"
    word, number = wanted, 2
    while word in taken:
        word, number = f"{wanted}_{number}", number + 1
    return word
