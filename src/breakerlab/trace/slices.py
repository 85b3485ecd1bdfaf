"""Parts of a trace, and traces put together: by time, by name, and on one axis."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from breakerlab.trace.schema import named

Moment = float | datetime | None

_NAMED: Final = 5
_COMPARED: Final = 5_000


def seconds_of(moment: Moment, start: datetime | None, open_end: float) -> float:
    """A moment on the axis that begins at `start`; `open_end` for None. Raises ValueError."""
    if moment is None:
        return open_end
    if not isinstance(moment, datetime):
        if not isinstance(moment, (int, float)) or isinstance(moment, bool) or math.isnan(moment):
            raise ValueError("A moment is a number of seconds since the start of the trace, or an aware datetime.")
        return float(moment)
    if moment.tzinfo is None:
        raise ValueError("The moment has no time zone; give an aware datetime, for example datetime.now(UTC).")
    if start is None:
        raise ValueError("The trace does not know its start, so it can be cut by seconds only, not by a datetime.")
    return (moment - start).total_seconds()


def between(frame: pd.DataFrame, begin: float, end: float) -> pd.DataFrame:
    """The rows from `begin` up to, not including, `end`."""
    first, last = np.searchsorted(frame["time"].to_numpy(), (begin, end), "left")
    return frame.iloc[first : max(first, last)].reset_index(drop=True)


def where(attempts: pd.DataFrame, wanted: dict[str, str | Iterable[str]]) -> pd.DataFrame:
    """The rows whose words are among those wanted of each column. Raises ValueError for a word that none has."""
    chosen = np.ones(len(attempts), bool)
    for column, words in wanted.items():
        if column not in attempts:
            raise ValueError(f"The trace has no column {column}.")
        array = attempts[column].array
        known = {word: code for code, word in enumerate(array.categories)}
        asked = [words] if isinstance(words, str) else list(words)
        for word in asked:
            if word not in known:
                raise ValueError(_unknown(column, word, array))
        chosen &= np.isin(array.codes, [known[word] for word in asked])
    return attempts[chosen].reset_index(drop=True)


def _unknown(column: str, word: object, array: Any) -> str:
    counts = np.bincount(array.codes, minlength=len(array.categories))
    often = np.argsort(-counts, kind="stable")[:_COMPARED]
    known = [array.categories[place] for place in often.tolist() if counts[place]]
    near = difflib.get_close_matches(str(word)[:100], known, _NAMED, 0.5) or known[:_NAMED]
    listed = ", ".join(map(named, near)) or "none"
    more = f"; it has {len(known):,} in all" if len(known) > len(near) else ""
    return f"No attempt has the {column} {named(str(word))}. The trace has {listed}{more}."


class Part(NamedTuple):
    """One of the traces to put together."""

    attempts: pd.DataFrame
    events: pd.DataFrame
    start: datetime | None


def joined(parts: Sequence[Part]) -> tuple[dict[str, object], dict[str, object], datetime | None]:
    """The columns of attempts and of events on one axis, and when it begins. Raises ValueError."""
    starts = [part.start for part in parts if part.start is not None]
    if starts and len(starts) < len(parts):
        raise ValueError("Some of the traces know their start and some do not, so they have no time axis in common.")
    zero = min(starts) if starts else None
    shifts = [0.0 if zero is None or part.start is None else (part.start - zero).total_seconds() for part in parts]
    attempts = _columns([part.attempts for part in parts], shifts)
    attempts["request"] = _disjoint([part.attempts["request"].to_numpy() for part in parts])
    return attempts, _columns([part.events for part in parts], shifts), zero


def _columns(frames: Sequence[pd.DataFrame], shifts: Sequence[float]) -> dict[str, object]:
    names = list(dict.fromkeys(name for frame in frames for name in frame))
    columns: dict[str, object] = {name: _column(name, frames) for name in names if name != "time"}
    times = [frame["time"].to_numpy() for frame in frames]
    moved = [np.round(time + shift, 9) if shift else time for time, shift in zip(times, shifts, strict=True)]
    return {"time": np.concatenate(moved), **columns}


def _column(name: str, frames: Sequence[pd.DataFrame]) -> object:
    """The column of all frames one after the other; what a frame does not have is missing there, or empty text."""
    sample = next(frame[name] for frame in frames if name in frame)
    if isinstance(sample.dtype, pd.CategoricalDtype):
        return _words([frame[name].array if name in frame else len(frame) for frame in frames])
    if isinstance(sample.array, (pd.arrays.IntegerArray, pd.arrays.BooleanArray)):
        parts = [frame[name] if name in frame else _missing(len(frame), sample.dtype) for frame in frames]
        return pd.concat(parts, ignore_index=True).array
    return np.concatenate([frame[name].to_numpy() for frame in frames])


def _missing(rows: int, dtype: Any) -> pd.Series:
    return pd.Series(pd.array([pd.NA] * rows, dtype=dtype))


def _words(arrays: Sequence[Any]) -> tuple[Any, list[str]]:
    place: dict[str, int] = {}
    codes = []
    for array in arrays:
        if isinstance(array, int):
            codes.append(np.full(array, place.setdefault("", len(place)), np.int32))
        else:
            recoded = np.array([place.setdefault(word, len(place)) for word in array.categories], np.int32)
            codes.append(recoded[array.codes] if len(array) else np.empty(0, np.int32))
    return np.concatenate(codes), list(place)


def _disjoint(numbers: Sequence[Any]) -> Any:
    """Request numbers moved so that no two parts share one; the first part keeps its own."""
    free, moved = 0, []
    for place, of_part in enumerate(numbers):
        if len(of_part):
            of_part = of_part - of_part.min() + free if place else of_part
            free = max(free, int(of_part.max()) + 1)
        moved.append(of_part)
    return np.concatenate(moved)
