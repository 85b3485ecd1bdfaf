"""What a policy's parameters may be: each check names the parameter, what it got, and what would be right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

TOO_MANY = 2**53  # beyond this, neither JSON nor the simulator's numbers hold every whole number


def real(
    name: str,
    value: object,
    *,
    above: float = 0.0,
    or_equal: bool = False,
    below: float = math.inf,
    most: float = math.inf,
) -> float:
    """`value` as a finite float in the range asked for. Raises ValueError naming the parameter."""
    number = _as_float(value)
    high_enough = number >= above if or_equal else number > above
    if not (math.isfinite(number) and high_enough and number < below and number <= most):
        bound = f"{'at least' if or_equal else 'above'} {above:g}"
        limit = f" and below {below:g}" if math.isfinite(below) else ""
        limit += f" and at most {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"{name} must be a finite number {bound}{limit}, not {value!r}")
    return number


def share(name: str, value: object) -> float:
    """`value` as a float from 0 to 1, both included. Raises ValueError naming the parameter."""
    number = _as_float(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must be a number from 0 to 1, not {value!r}")
    return number


def _as_float(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def count(name: str, value: object, *, least: int = 1) -> int:
    """`value` as a whole number of at least `least`. Raises ValueError naming the parameter."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < TOO_MANY:
        limit = " and below 2**53" if isinstance(value, int) and value >= TOO_MANY else ""
        raise ValueError(f"{name} must be a whole number of at least {least}{limit}, not {value!r}")
    return value


def choice(name: str, value: object, choices: Iterable[str]) -> str:
    """`value` as one of `choices`. Raises ValueError naming the parameter."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(repr(c) for c in choices)}, not {value!r}")
    return value


def instance(name: str, value: object, *, of: type[Any], or_none: bool = False) -> object:
    """`value`, an instance of a class, or None where that is allowed. Raises ValueError naming the parameter."""
    if not (isinstance(value, of) or (or_none and value is None)):
        kind = "True or False" if of is bool else f"a {of.__name__}"
        raise ValueError(f"{name} must be {kind}{' or None' if or_none else ''}, not {value!r}")
    return value


def known_keys(name: str, data: object, known: Iterable[str]) -> Mapping[str, Any]:
    """`data` as a mapping with no other keys than `known`. Raises ValueError naming the first stranger."""
    if not isinstance(data, Mapping):
        raise ValueError(f"{name} must be a table of its fields, not {data!r}")
    allowed = list(known)
    for key in data:
        if key not in allowed:
            raise ValueError(f"{name} has no field {key!r}; its fields are {', '.join(allowed)}")
    return data
