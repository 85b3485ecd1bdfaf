"""Who answers when the call has failed: a simpler model, a cached answer, a message for the user."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

from breakerlab.policy.value import Value, value


@value
class Fallback(Value):
    """Answers to fall back on, tried in order until one comes without an exception; its name says who served.

        Fallback("The assistant is resting.")                                   # served by "fallback"
        Fallback(ask_small_model)                                               # a function of the error
        Fallback(small_model=ask_small_model, cache=look_up, message="Try again soon.")

    A function takes the error that ended the call (or the failed result, where none was raised); in an async call it
    may be a coroutine function. Any other value is the answer. What fallbacks take comes on top of the policy's total
    time. Raises ValueError without answers, or for two of one name.
    """

    chain: tuple[tuple[str, Any], ...]

    def __init__(self, /, *answers: Any, **named: Any) -> None:
        chain = (*((_name_of(answer), answer) for answer in answers), *named.items())
        if not chain:
            raise ValueError("Fallback needs an answer: a value, a function of the error, or several of them by name")
        names = [name for name, _ in chain]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"Fallback has two answers named {name!r}; give each a name: Fallback(cache=..., ...)")
        self._set(chain=chain)

    def __hash__(self) -> int:
        return hash(tuple(name for name, _ in self.chain))  # an answer may be a dict, which has no hash

    def __repr__(self) -> str:
        if all(name.isidentifier() and not iskeyword(name) for name, _ in self.chain):
            return f"Fallback({', '.join(f'{name}={_shown(answer)}' for name, answer in self.chain)})"
        return f"Fallback(**{{{', '.join(f'{name!r}: {_shown(answer)}' for name, answer in self.chain)}}})"

    def to_dict(self) -> dict[str, Any]:
        """The answers by name as a plain dict; of a function only its name, since JSON and TOML cannot hold it."""
        return {name: _plain(answer) for name, answer in self.chain}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fallback:
        """The fallback of these answers by name, {"message": "Try again soon."}; one that is itself a dict stands in
        {"value": ...}. Raises ValueError for an answer that was a function."""
        if not isinstance(data, Mapping):
            raise ValueError(f"Fallback must be a table of its answers, not {data!r}")
        for name, answer in data.items():
            if isinstance(answer, Mapping) and list(answer) != ["value"]:
                raise ValueError(
                    f"Fallback.{name} must be a plain value or a table with a 'value', not {answer!r}; a function "
                    "cannot be read back: add it with dataclasses.replace(policy, fallback=Fallback(...))"
                )
        return cls(**{name: given["value"] if isinstance(given, Mapping) else given for name, given in data.items()})


def _plain(answer: Any) -> Any:
    if callable(answer):
        return {"function": _shown(answer)}
    return {"value": answer} if isinstance(answer, Mapping) or answer is None else answer


def _name_of(answer: Any) -> str:
    name = getattr(answer, "__name__", "") if callable(answer) else ""
    return name if name.isidentifier() else "fallback"


def _shown(answer: Any) -> str:
    return getattr(answer, "__qualname__", type(answer).__qualname__) if callable(answer) else repr(answer)
