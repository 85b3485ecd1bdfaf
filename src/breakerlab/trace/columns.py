"""Checked columns: from arrays as a reader or the simulator has them to the exact types of the attempt table.

Checks are vectorised, and a refused value is named with its column and row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from breakerlab.trace.schema import (
    EVENT_KINDS,
    FIELDS,
    MAX_ATTEMPT,
    MAX_COUNT,
    MAX_SECONDS,
    MAX_STATUS,
    MIN_STATUS,
    OUTCOMES,
    shown,
)

Array = np.ndarray[Any, np.dtype[Any]]
Make = Callable[[str, object, int], Any]


def attempts_frame(columns: Mapping[str, object]) -> pd.DataFrame:
    """The attempt table in order of time; see `Trace.from_columns` for what a column may be."""
    return _frame("attempts", columns, _ATTEMPTS, _ATTEMPT_DEFAULTS, _ATTEMPT_OPTIONAL)


def events_frame(columns: Mapping[str, object] | None) -> pd.DataFrame:
    """The event table in order of time; empty without columns."""
    empty: dict[str, object] = {"time": np.empty(0), "kind": (np.empty(0, np.int8), ()), "value": np.empty(0)}
    return _frame("events", empty if columns is None else columns, _EVENTS, {"instance": ""}, ())


def _frame(
    table: str,
    columns: Mapping[str, object],
    makers: Mapping[str, Make],
    defaults: Mapping[str, object],
    optional: Sequence[str],
) -> pd.DataFrame:
    if unknown := [name for name in columns if name not in makers]:
        raise ValueError(f"{table} has no column {unknown[0]}; its columns are {', '.join(makers)}.")
    if missing := [name for name in makers if name not in {*columns, *defaults, *optional}]:
        raise ValueError(f"{table} lacks the column {missing[0]}.")
    given = {**defaults, **columns}
    time = _seconds("time", given["time"], -1)
    made = {name: make(name, given[name], len(time)) for name, make in makers.items() if name in given}
    return in_order(made)


def in_order(made: Mapping[str, Any]) -> pd.DataFrame:
    """Columns of the exact types of a trace as a frame in order of time; not copied where they are in order."""
    time = made["time"]
    if (time[1:] < time[:-1]).any():
        order = np.argsort(time, kind="stable")
        made = {name: column.take(order) for name, column in made.items()}
    return pd.DataFrame(made, copy=False)


def category(codes: Array, words: Sequence[str]) -> Any:
    """A column of words from codes (int32) that are known to be right."""
    return _categorical(codes, _dtype(words))


def _refuse(name: str, row: int, value: object, expected: str) -> ValueError:
    return ValueError(f"column {name}, row {row}: found {shown(value)}, expected {expected}.")


def _check_all(name: str, values: Array, good: Array, expected: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise _refuse(name, row, values[row].item(), expected)


def _check_shape(name: str, values: Array, rows: int) -> None:
    if values.ndim != 1:
        raise ValueError(f"column {name} has {values.ndim} dimensions, expected 1.")
    if rows >= 0 and len(values) != rows:
        raise ValueError(f"column {name} has {len(values)} rows, the column time has {rows}.")


def _numbers(name: str, values: object, rows: int) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"column {name} holds {array.dtype}, expected numbers.")
    _check_shape(name, array, rows)
    return array.astype(np.float64)


def _seconds(name: str, values: object, rows: int) -> Array:
    array = _numbers(name, values, rows)
    _check_all(name, array, np.abs(array) <= MAX_SECONDS, FIELDS["time"].expected)
    return array


def _duration(name: str, values: object, rows: int) -> Array:
    if values is None:
        return np.full(rows, np.nan)
    array = _numbers(name, values, rows)
    good = ((array >= 0.0) & (array <= MAX_SECONDS)) | np.isnan(array)
    _check_all(name, array, good, f"seconds from 0 to {MAX_SECONDS:.0e}, or NaN")
    return array


def _value(name: str, values: object, rows: int) -> Array:
    array = _numbers(name, values, rows)
    _check_all(name, array, np.abs(array) <= MAX_COUNT, FIELDS["value"].expected)
    return array


def _integers(name: str, values: object, rows: int, low: int, high: int, expected: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise ValueError(f"column {name} holds {array.dtype}, expected integers.")
    _check_shape(name, array, rows)
    _check_all(name, array, (array >= low) & (array <= high), expected)
    return array


def _request(name: str, values: object, rows: int) -> Array:
    return _integers(name, values, rows, 0, MAX_COUNT, FIELDS[name].expected).astype(np.int64)


def _attempt(name: str, values: object, rows: int) -> Array:
    return _integers(name, values, rows, 1, MAX_ATTEMPT, FIELDS[name].expected).astype(np.int16)


def _masked(name: str, values: object, dtype: str) -> tuple[Array, Array]:
    """Integers and which of them are missing, from anything with missing values that pandas understands."""
    try:
        array = pd.array(values, dtype=dtype)
    except (TypeError, ValueError):
        raise ValueError(f"column {name} cannot be read as {dtype}.") from None
    return array.to_numpy(dtype=dtype.lower(), na_value=0), np.asarray(array.isna())


def _status(name: str, values: object, rows: int) -> Any:
    if values is None:
        values = np.zeros(rows, np.int16)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        numbers = values
    else:
        numbers, _ = _masked(name, values, "Int16")  # what is missing becomes 0
    _check_shape(name, numbers, rows)
    missing = numbers == 0
    good = missing | ((numbers >= MIN_STATUS) & (numbers <= MAX_STATUS))
    _check_all(name, numbers, good, f"an integer from {MIN_STATUS} to {MAX_STATUS}, or 0 for none")
    return pd.arrays.IntegerArray(numbers.astype(np.int16), missing)


def _tokens(name: str, values: object, rows: int) -> Any:
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        numbers, missing = values, np.zeros(len(values), bool)
    else:
        numbers, missing = _masked(name, values, "Int64")
    _integers(name, numbers, rows, 0, MAX_COUNT, FIELDS[name].expected)
    return pd.arrays.IntegerArray(numbers.astype(np.int64), missing.copy())


def _flags(name: str, values: object, rows: int) -> Any:
    try:
        array = pd.array(values, dtype="boolean", copy=True)
    except (TypeError, ValueError):
        raise ValueError(f"column {name} cannot be read as true, false or missing.") from None
    _check_shape(name, array, rows)
    return array


def _words(name: str, values: object, rows: int) -> tuple[Array, list[str]]:
    """Codes and their words, from a pair of both, one word for all rows, or a word a row."""
    if isinstance(values, str):
        return np.zeros(rows, np.int8), [values]
    if isinstance(values, tuple) and len(values) == 2 and not isinstance(values[0], str):
        codes, words = np.asarray(values[0]), list(values[1])
        if not codes.size:
            codes = codes.astype(np.int8)
    else:
        found = pd.Categorical(values)
        codes, words = np.asarray(found.codes), list(found.categories)
    expected = f"a code from 0 to {len(words) - 1}"
    return _integers(name, codes, rows, 0, len(words) - 1, expected), words


def _category(name: str, values: object, rows: int) -> Any:
    codes, words = _words(name, values, rows)
    field = FIELDS[name]
    for code, word in enumerate(words):
        if not field.accepts(word):
            raise ValueError(f"column {name}, category {code}: found {shown(word)}, expected {field.expected}.")
    if len(set(words)) < len(words):
        raise ValueError(f"column {name} names a category twice.")
    return _categorical(codes, _dtype(words))


def _categorical(codes: Array, dtype: Any) -> Any:
    return pd.Categorical.from_codes(codes.astype(np.int32, copy=False), dtype=dtype, validate=False)


def _dtype(words: Sequence[str]) -> Any:
    return pd.CategoricalDtype(pd.Index(list(words), dtype="str"))


def _one_of(vocabulary: Sequence[str]) -> Make:
    """A maker of categories that are always the whole vocabulary, in its order."""
    dtype = _dtype(vocabulary)
    code_of = {word: code for code, word in enumerate(vocabulary)}

    def make(name: str, values: object, rows: int) -> Any:
        codes, words = _words(name, values, rows)
        if unknown := [word for word in words if word not in code_of]:
            raise ValueError(f"column {name}: found {shown(unknown[0])}, expected one of {', '.join(vocabulary)}.")
        recoded = np.array([code_of[word] for word in words], np.int32)
        return _categorical(recoded[codes] if rows else codes, dtype)

    return make


_ATTEMPTS: Final[Mapping[str, Make]] = {
    "time": _seconds,
    "latency": _duration,
    "status": _status,
    "outcome": _one_of(OUTCOMES),
    "service": _category,
    "request": _request,
    "attempt": _attempt,
    "client": _category,
    "endpoint": _category,
    "retry_after": _duration,
    "instance": _category,
    "tokens_in": _tokens,
    "tokens_out": _tokens,
    "idempotent": _flags,
}
_ATTEMPT_DEFAULTS: Final = {"status": None, "client": "", "endpoint": "", "retry_after": None}
_ATTEMPT_OPTIONAL: Final = ("instance", "tokens_in", "tokens_out", "idempotent")
_EVENTS: Final[Mapping[str, Make]] = {
    "time": _seconds,
    "instance": _category,
    "kind": _one_of(EVENT_KINDS),
    "value": _value,
}
