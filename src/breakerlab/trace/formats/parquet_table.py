"""The attempt table from slices of a Parquet file, which polars decodes. Importing this loads polars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl

from breakerlab.trace.columns import category, events_frame, in_order
from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.formats.own import Events, text_in, value_in
from breakerlab.trace.formats.rows import Words
from breakerlab.trace.header import OPTIONAL, Header
from breakerlab.trace.redaction import redacted
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
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Source, Trace

KINDS: Final = ("attempt", *EVENT_KINDS)

_REQUIRED: Final = ("time", "latency", "outcome", "service", "request", "attempt")
_WORDS: Final = ("service", "client", "endpoint", "instance")

Array = np.ndarray[Any, np.dtype[Any]]


class Scan:
    """Slices of the table. polars panics on damaged data; a panic is no Exception to Python, but ends nothing here."""

    def __init__(self, source: str | bytes) -> None:
        self._source = source

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self._source, glob=False, hive_partitioning=False)

    def kinds_of_columns(self) -> Mapping[str, str] | None:
        """What each column holds: "numbers", "integers", "words", "flags" or "other"; None if it cannot be told."""
        schema = self._attempt(lambda: self._scan().collect_schema())
        return None if schema is None else {name: self._kind(dtype) for name, dtype in schema.items()}

    def _kind(self, dtype: pl.DataType) -> str:
        if dtype.is_integer():
            return "integers"
        if dtype.is_float():
            return "numbers"
        if isinstance(dtype, pl.Null):
            return "nothing"
        if isinstance(dtype, (pl.String, pl.Enum, pl.Categorical)):
            return "words"
        return "flags" if isinstance(dtype, pl.Boolean) else "other"

    def rows(self, columns: Sequence[str], first: int, rows: int) -> pl.DataFrame | None:
        """So many rows from the row `first` (from 0) on; None if they cannot be decoded."""
        frame = self._attempt(lambda: self._scan().select(columns).slice(first, rows).collect())
        return frame if frame is not None and len(frame) == rows else None

    def _attempt(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (Exception, pl.exceptions.PanicException):
            return None


_HOLDS: Final[Mapping[str, tuple[str, ...]]] = {
    "numbers": ("time", "latency", "retry_after", "value"),
    "integers": ("status", "request", "attempt", "tokens_in", "tokens_out"),
    "words": ("kind", "outcome", *_WORDS),
    "flags": ("idempotent",),
}


class Table:
    """The attempt table, as large as the file says, filled slice by slice."""

    def __init__(
        self, name: str, expected: str, rows: int, kinds: Mapping[str, str], header: Header | BadRow | None
    ) -> None:
        self.name, self._expected = name, expected
        self.columns = [column for column in (*_ATTEMPTS, "kind", "value") if column in kinds]
        self._check_columns(kinds)
        self._skipped = Skipped()
        if isinstance(header, BadRow):
            self._skip(None, header)
        given = header if isinstance(header, Header) else None
        self._header = given or Header(columns=tuple(column for column in OPTIONAL if column in kinds))
        optional = [column for column in OPTIONAL if column not in self._header.columns]
        self._made: dict[str, Array] = {
            column: np.empty(rows, dtype) for column, dtype in _ATTEMPTS.items() if column not in optional
        }
        self._words = {column: Words(redacted) for column in _WORDS}
        self._filled = 0
        self._events = Events()

    def _check_columns(self, kinds: Mapping[str, str]) -> None:
        for column in _REQUIRED:
            if column not in kinds:
                raise TraceError(self.name, None, column, "no such column", self._expected)
        for kind, columns in _HOLDS.items():
            also = "integers" if kind == "numbers" else kind
            for column in columns:
                if kinds.get(column, kind) not in (kind, also, "nothing"):
                    raise TraceError(self.name, None, column, "a column of another type", f"a column of {kind}")

    def _skip(self, row: int | None, bad: BadRow, rows: int = 1) -> None:
        self._skipped.add(TraceError(self.name, row, bad.column, bad.found, bad.expected, rows))

    def take(self, first: int, rows: int, frame: pl.DataFrame | None) -> None:
        """Rows of the file from the row `first` (from 0) on; None: they could not be decoded."""
        if frame is None:
            self._skip(first + 1, BadRow(None, f"{rows:,} rows of damaged data", "data that can be decoded"), rows)
            return
        places = np.arange(first + 1, first + rows + 1)
        if "kind" in frame.columns:
            codes = _codes(frame["kind"], lambda word: KINDS.index(word) if word in KINDS else -1, -1)
            if codes.any():
                self._take_others(frame, codes, places)
                frame, places = frame.filter(codes == 0), places[codes == 0]
        self._take_attempts(frame, places)

    def _take_others(self, frame: pl.DataFrame, codes: Array, places: Array) -> None:
        chosen = [name for name in ("time", "kind", "instance", "value") if name in frame.columns]
        others = frame.select(chosen).filter(codes != 0)
        for place, row in zip(places[codes != 0].tolist(), others.iter_rows(named=True), strict=True):
            try:
                kind = row["kind"]
                if kind not in EVENT_KINDS:
                    raise BadRow("kind", shown(kind), f"one of {', '.join(KINDS)}")
                self._events.add(value_in(row, "time"), kind, text_in(row, "instance"), value_in(row, "value"))
            except BadRow as bad:
                self._skip(place, bad)

    def _take_attempts(self, frame: pl.DataFrame, places: Array) -> None:
        made = {name: self._column(name, frame) for name in self._made}
        good = np.ones(len(frame), bool)
        for name, values in made.items():
            fits = _FITS[name](values)
            if not fits.all():
                self._refuse(name, frame, places, good & ~fits)
                good &= fits
        if not good.all():
            made = {name: values[good] for name, values in made.items()}
        begin, self._filled = self._filled, self._filled + len(made["time"])
        for name, values in made.items():
            self._made[name][begin : self._filled] = values

    def _refuse(self, name: str, frame: pl.DataFrame, places: Array, bad: Array) -> None:
        for index in np.flatnonzero(bad).tolist():
            value = frame[name][index] if name in frame.columns else None
            self._skip(int(places[index]), BadRow(name, shown(value), FIELDS[name].expected))

    def _column(self, name: str, frame: pl.DataFrame) -> Array:
        dtype = _ATTEMPTS[name]
        if name not in frame.columns or frame[name].dtype == pl.Null:
            missing = self._words[name].code("") if name in ("client", "endpoint", "instance") else _MISSING[name]
            return np.full(len(frame), missing, dtype)
        series = frame[name]
        if name == "outcome":
            return _codes(series, lambda word: OUTCOMES.index(word) if word in OUTCOMES else -1, -1)
        if name in _WORDS:
            return _codes(series, lambda word: self._code(name, word), self._code(name, None))
        if dtype is np.float64:
            return _floats(series)
        return _integers(series, int(_MISSING[name]))

    def _code(self, name: str, word: str | None) -> int:
        """The code of a word in its column; -1 if it may not stand there."""
        try:
            return self._words[name].code(text_in({} if word is None else {name: word}, name))
        except BadRow:
            return -1

    def trace(self) -> Trace:
        if not (self._filled or self._events.time):
            raise self._nothing_read()
        source = Source(
            self.name,
            "parquet",
            self._header.has_retries,
            self._header.cannot_tell,
            self._filled + len(self._events.time),
            self._header.facts,
        )
        return Trace.adopt(
            in_order({name: self._finished(name, values[: self._filled]) for name, values in self._made.items()}),
            events_frame(self._events.columns() if self._events.time else None),
            source=source,
            start=self._header.start,
            skipped=self._skipped.errors(),
        )

    def _finished(self, name: str, values: Array) -> Any:
        if name == "outcome":
            return category(values, OUTCOMES)
        if name in self._words:
            return category(values, self._words[name].pair()[1])
        if name == "status":
            return pd.arrays.IntegerArray(values, values == 0)
        if name in ("tokens_in", "tokens_out"):
            return pd.arrays.IntegerArray(np.where(values < 0, 0, values), values < 0)
        if name == "idempotent":
            return pd.arrays.BooleanArray(values > 0, values < 0)
        return values

    def _nothing_read(self) -> TraceError:
        first = self._skipped.first
        if first is None:
            return TraceError(self.name, None, None, "a table without rows", self._expected)
        found = f"{first.found} here and no readable row in the file"
        return TraceError(self.name, first.line, first.column, found, first.expected)


def _floats(series: pl.Series) -> Array:
    """Numbers as float64, NaN where there is none."""
    return np.asarray(series.cast(pl.Float64).to_numpy())


def _integers(series: pl.Series, missing: int) -> Array:
    """Integers or flags; `missing` where there is none, -9 where one is beyond 64 bits."""
    if series.dtype == pl.Boolean:
        series = series.cast(pl.Int8)
    if not series.null_count() and series.dtype != pl.UInt64:
        return np.asarray(series.to_numpy())
    numbers = series.cast(pl.Int64, strict=False).fill_null(_BEYOND).to_numpy(writable=True)
    numbers[series.is_null().to_numpy()] = missing
    return np.asarray(numbers)


def _codes(series: pl.Series, code: Callable[[str], int], missing: int) -> Array:
    """The code of each row's word, `missing` where there is none; `code` is asked once for each word."""
    if not isinstance(series.dtype, pl.Enum):
        series = series.cast(pl.String)
        series = series.cast(pl.Enum(series.drop_nulls().unique(maintain_order=True)))
    words = series.dtype.categories.to_list()  # type: ignore[attr-defined]
    recoded = np.array([*map(code, words), missing], np.int32)
    physical = series.to_physical()
    if physical.null_count():
        physical = physical.cast(pl.UInt32).fill_null(len(words))
    codes = physical.to_numpy()
    if (recoded[:-1] == np.arange(len(words))).all() and not series.null_count():
        return codes
    return np.asarray(recoded[codes])


_BEYOND: Final = -9
_ATTEMPTS: Final[Mapping[str, Any]] = {
    "time": np.float64,
    "latency": np.float64,
    "status": np.int16,
    "outcome": np.int32,
    "service": np.int32,
    "request": np.int64,
    "attempt": np.int16,
    "client": np.int32,
    "endpoint": np.int32,
    "retry_after": np.float64,
    "instance": np.int32,
    "tokens_in": np.int64,
    "tokens_out": np.int64,
    "idempotent": np.int8,
}
_MISSING: Final[Mapping[str, float]] = {
    "time": np.nan,
    "latency": np.nan,
    "retry_after": np.nan,
    "status": 0,
    "outcome": -1,
    "service": -1,
    "request": _BEYOND,
    "attempt": _BEYOND,
    "tokens_in": -1,
    "tokens_out": -1,
    "idempotent": -1,
}


def _is_duration(values: Array) -> Array:
    return ((values >= 0.0) & (values <= MAX_SECONDS)) | np.isnan(values)


def _is_code(codes: Array) -> Array:
    return codes >= 0


def _is_token_count(values: Array) -> Array:
    return (values >= -1) & (values <= MAX_COUNT)


_FITS: Final[Mapping[str, Callable[[Array], Array]]] = {
    "time": lambda values: np.abs(values) <= MAX_SECONDS,
    "latency": _is_duration,
    "retry_after": _is_duration,
    "status": lambda values: (values == 0) | ((values >= MIN_STATUS) & (values <= MAX_STATUS)),
    "outcome": _is_code,
    "service": _is_code,
    "client": _is_code,
    "endpoint": _is_code,
    "instance": _is_code,
    "request": lambda values: (values >= 0) & (values <= MAX_COUNT),
    "attempt": lambda values: (values >= 1) & (values <= MAX_ATTEMPT),
    "tokens_in": _is_token_count,
    "tokens_out": _is_token_count,
    "idempotent": lambda values: values >= -1,
}
