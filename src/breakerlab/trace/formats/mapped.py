"""Any CSV or DataFrame, once it is said which of its columns is which of ours.

    read_trace(path, columns={"time": "started_at", "latency": "elapsed", "status": "code"}, units={"latency": "ms"})

`time` is the START of each attempt, as seconds since 1970 (or another unit) or as ISO 8601 text; `latency` and
`retry_after` are durations; `status` may be text such as "timeout"; `request` and `attempt` go together. What is not
mapped is not told, and the trace says so. Commas, semicolons, tabs and bars separate fields; a quoted field may have
line breaks in it, so that a row is several lines: it is named by the first of them.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

import pandas as pd

from breakerlab.trace.content import BreaksOff, Content, Lines
from breakerlab.trace.errors import BadRow, NotText, TraceError
from breakerlab.trace.format import Head
from breakerlab.trace.formats.reading import breaks_off, text_of
from breakerlab.trace.formats.rows import NANOSECONDS, SERVICE, Rows, moment_ns, outcome_of
from breakerlab.trace.formats.separated import DELIMITERS
from breakerlab.trace.formats.untold import CLIENT, ENDPOINT, LATENCY, RETRIES, SUB_SECOND, TIME_ZONE
from breakerlab.trace.redaction import described
from breakerlab.trace.schema import FIELDS, MAX_LINE, OUTCOMES
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Source, Trace

UNITS: Final[Mapping[str, int]] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""How many of a unit are a second."""

COLUMNS: Final = (
    "time", "latency", "status", "outcome", "service", "client", "endpoint", "instance", "request", "attempt",
    "retry_after", "tokens_in", "tokens_out",
)  # fmt: skip
WITH_UNITS: Final = ("time", "latency", "retry_after")

_ROW: Final = "a row of the table"
_MAX_LINES_OF_A_ROW: Final = 1_000
_AT_ONCE: Final = 65_536
_NOTHING: Final = frozenset(("", "-", "null", "none", "nan", "nat", "n/a", "na"))
_TOLD: Final = (LATENCY, CLIENT, ENDPOINT)
_OUTCOME: Final = f"a status, or one of {', '.join(OUTCOMES)}"
_TIME: Final = "a time since 1970 in the unit that units= gives, or an ISO 8601 time"


class Plan:
    """Which column is which, and in what unit.

    Raises:
        ValueError: `columns` or `units` name what there is not, or leave out what is needed.
    """

    def __init__(self, columns: Mapping[str, Hashable], units: Mapping[str, str] | None) -> None:
        units = units or {}
        if unknown := [name for name in columns if name not in COLUMNS]:
            raise ValueError(f"columns has the key {unknown[0]!r}, expected some of {', '.join(COLUMNS)}.")
        if "time" not in columns:
            raise ValueError("columns does not say which column is the time; it needs the key 'time'.")
        if ("request" in columns) != ("attempt" in columns):
            raise ValueError("columns has one of request and attempt; only both together tell retries.")
        if unknown := [name for name in units if name not in WITH_UNITS or name not in columns]:
            raise ValueError(
                f"units has the key {unknown[0]!r}, expected some of {', '.join(WITH_UNITS)}, as in columns."
            )
        if wrong := [name for name, unit in units.items() if unit not in UNITS]:
            raise ValueError(f"the unit of {wrong[0]} is {units[wrong[0]]!r}, expected one of {', '.join(UNITS)}.")
        self.columns = dict(columns)
        self.per_second = {name: UNITS[units.get(name, "s")] for name in WITH_UNITS}


class Taker:
    """Turns rows of any table into attempts."""

    def __init__(self, name: str, format: str, plan: Plan) -> None:
        self._name, self._format, self._plan = name, format, plan
        self._rows = Rows()
        self.skipped = Skipped()
        self._requests: dict[object, int] = {}
        self._zoneless = False
        self._whole_seconds = True

    def take(self, number: int, values: Mapping[str, object] | BadRow) -> None:
        """One row, by our names; or why there is none."""
        try:
            if isinstance(values, BadRow):
                raise values
            self._add(values)
        except BadRow as bad:
            self.skipped.add(TraceError(self._name, number, bad.column, bad.found, bad.expected))

    def _add(self, values: Mapping[str, object]) -> None:
        told = {name: value for name, value in values.items() if not _is_nothing(value)}
        start = self._moment(told.get("time"))
        status, outcome = _status_and_outcome(values)
        self._rows.add(
            start=start,
            latency=self._duration("latency", told.get("latency")),
            status=status,
            outcome=outcome,
            request=self._request(told),
            attempt=_count("attempt", told["attempt"]) if "attempt" in told else 1,
            service=_text(told.get("service")) or SERVICE,
            client=_text(told.get("client")),
            endpoint=_text(told.get("endpoint")),
            instance=_text(told["instance"]) if "instance" in told else None,
            retry_after=self._duration("retry_after", told.get("retry_after")),
            tokens_in=_count("tokens_in", told["tokens_in"]) if "tokens_in" in told else None,
            tokens_out=_count("tokens_out", told["tokens_out"]) if "tokens_out" in told else None,
        )

    def _request(self, told: Mapping[str, object]) -> int | None:
        if "request" not in self._plan.columns:
            return None
        for name in ("request", "attempt"):
            if name not in told:
                raise BadRow(name, "nothing", FIELDS[name].expected if name == "attempt" else "an id of the request")
        key = str(told["request"])
        if key not in self._requests:
            self._requests[key] = self._rows.new_request()
        return self._requests[key]

    def _moment(self, value: object) -> int:
        """Nanoseconds since 1970 (UTC)."""
        number = _decimal(value)
        if number is not None:
            moment = round(number * (NANOSECONDS // self._plan.per_second["time"]))
        else:
            moment = self._calendar(_time_of_text(value) if isinstance(value, str) else value)
        if moment % NANOSECONDS:
            self._whole_seconds = False
        return moment

    def _calendar(self, value: object) -> int:
        if not isinstance(value, datetime):
            raise BadRow("time", described(value), _TIME)
        if value.tzinfo is None:
            self._zoneless = True
            value = value.replace(tzinfo=UTC)
        try:
            return value.as_unit("ns").value if isinstance(value, pd.Timestamp) else moment_ns(value)
        except (OverflowError, ValueError):
            raise BadRow("time", "a time beyond the calendar", _TIME) from None

    def _duration(self, name: str, value: object) -> float | None:
        if value is None:
            return None
        if isinstance(value, timedelta):
            return value.total_seconds()
        number = _decimal(value)
        if number is None:
            raise BadRow(name, described(value), "a duration of 0 or more")
        return float(number) / self._plan.per_second[name]

    def trace(self) -> Trace:
        """The trace of all that was taken. Raises TraceError."""
        source = Source(
            name=self._name,
            format=self._format,
            has_retries="attempt" in self._plan.columns,
            cannot_tell=tuple(self._gaps()),
            lines=len(self._rows),
        )
        trace = self._rows.trace(source, self.skipped)
        if trace is not None:
            return trace
        first = self.skipped.first
        if first is None:
            raise TraceError(self._name, None, None, "a table without rows", "one row an attempt")
        found = f"{first.found} here and no readable row in the table"
        raise TraceError(self._name, first.line, first.column, found, first.expected)

    def _gaps(self) -> Iterator[str]:
        mapped = self._plan.columns
        yield from (name for name in _TOLD if name not in mapped)
        if "status" not in mapped:
            yield "status"
            if "outcome" not in mapped:
                yield "outcome"
        if "attempt" not in mapped:
            yield RETRIES
        if self._zoneless:
            yield TIME_ZONE
        if self._whole_seconds:
            yield SUB_SECOND


def read_frame(frame: pd.DataFrame, plan: Plan) -> Trace:
    """The rows of a DataFrame; what is skipped is named by its place, counted from 1. Raises TraceError."""
    name = "<DataFrame>"
    for ours, theirs in plan.columns.items():
        if list(frame.columns).count(theirs) != 1:
            raise _no_such_column(name, None, ours)
    taker = Taker(name, "dataframe", plan)
    for first in range(0, len(frame), _AT_ONCE):
        piece = frame.iloc[first : first + _AT_ONCE]
        columns = [piece[theirs].tolist() for theirs in plan.columns.values()]
        for place, row in enumerate(zip(*columns, strict=True), first + 1):
            taker.take(place, dict(zip(plan.columns, row, strict=True)))
    return taker.trace()


def read_table(content: Content, plan: Plan) -> Trace:
    """The rows of a CSV, whose first line has the names of the columns. Raises TraceError."""
    records = Records(content.lines())
    taker = Taker(content.name, "csv", plan)
    places, width = _header(content.name, records, plan)
    try:
        for number, cells in records:
            taker.take(number, _of_our_names(cells, places, width))
    except BreaksOff as end:
        taker.skipped.add(_error(content.name, records.number + 1, breaks_off(end)))
    return taker.trace()


def _error(name: str, line: int, bad: BadRow) -> TraceError:
    return TraceError(name, line, bad.column, bad.found, bad.expected)


def _no_such_column(name: str, line: int | None, ours: str) -> TraceError:
    return TraceError(name, line, ours, "no column, or several, of the name that columns= gives", "one of that name")


def _header(name: str, records: Records, plan: Plan) -> tuple[dict[str, int], int]:
    """Where our columns are, and how many columns there are."""
    try:
        number, line = records.first_line()
    except BreaksOff as end:
        raise _error(name, 1, breaks_off(end)) from None
    except BadRow as bad:
        raise _error(name, 1, bad) from None
    if line is None:
        raise TraceError(name, None, None, "an empty file", "a table whose first line names its columns")
    wanted = list(map(str, plan.columns.values()))
    best: list[str] = []
    for delimiter in DELIMITERS:
        cells = _cells(line, delimiter)
        if sum(map(cells.count, wanted)) > sum(map(best.count, wanted)) or not best:
            best, records.delimiter = cells, delimiter
    for ours, theirs in plan.columns.items():
        if best.count(str(theirs)) != 1:
            raise _no_such_column(name, number, ours)
    return {ours: best.index(str(theirs)) for ours, theirs in plan.columns.items()}, len(best)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except (csv.Error, StopIteration):
        return []


def _of_our_names(
    cells: Sequence[str] | BadRow, places: Mapping[str, int], width: int
) -> Mapping[str, object] | BadRow:
    if isinstance(cells, BadRow):
        return cells
    if len(cells) != width:
        return BadRow(None, f"{len(cells):,} field{'' if len(cells) == 1 else 's'}", f"{width:,}, one a column")
    return {ours: cells[place].strip() for ours, place in places.items()}


class Records:
    """The rows of a CSV, each with the number of its first line; a row that cannot be split is a BadRow."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._again: deque[tuple[int, bytes | None]] = deque()
        self.delimiter = ","
        self.number = 0
        """The line that was read last."""

    def first_line(self) -> tuple[int, str | None]:
        """The first line that is not blank; None without one. Raises BadRow."""
        for number, line in self._next_lines():
            text = _line_text(line)
            if text.strip():
                return number, text
        return 1, None

    def __iter__(self) -> Iterator[tuple[int, list[str] | BadRow]]:
        for number, line in self._next_lines():
            try:
                text = _line_text(line)
                if not text.strip(" \r\n"):
                    continue
                yield number, self._split(text)
            except BadRow as bad:
                yield number, bad

    def _next_lines(self) -> Lines:
        while True:
            if self._again:
                yield self._again.popleft()
                continue
            following = next(self._lines, None)
            if following is None:
                return
            self.number = following[0]
            yield following

    def _split(self, text: str) -> list[str]:
        if '"' not in text:
            return text.split(self.delimiter)
        taken: list[tuple[int, bytes | None]] = []
        try:
            return next(csv.reader(self._and_more(text, taken), delimiter=self.delimiter, strict=True))
        except (csv.Error, StopIteration):
            self._again.extendleft(reversed(taken))
            raise BadRow(None, "quotes that do not match", _ROW) from None

    def _and_more(self, text: str, taken: list[tuple[int, bytes | None]]) -> Iterator[str]:
        """The line, and further ones as long as the row is not complete: csv asks for them."""
        yield text + "\n"
        size = len(text)
        for number, line in self._next_lines():
            taken.append((number, line))
            size += len(line or b"")
            if line is None or size > MAX_LINE or len(taken) >= _MAX_LINES_OF_A_ROW:
                return
            try:
                yield _line_text(line) + "\n"
            except BadRow:
                return


def _line_text(line: bytes | None) -> str:
    if line is None:
        raise BadRow(None, f"a line of more than {MAX_LINE:,} bytes", _ROW)
    if b"\0" in line:
        raise NotText(None, "binary data (a NUL byte)", _ROW)
    return text_of(line, _ROW).removesuffix("\r")


def _is_nothing(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def _time_of_text(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC") + "+00:00" * text.endswith(" UTC"))
    except ValueError:
        raise BadRow("time", described(text), _TIME) from None


def _status_and_outcome(values: Mapping[str, object]) -> tuple[int | None, str | None]:
    """The HTTP status, if there is one, and what became of the attempt; None: what the status stands for."""
    code, word = _status(values.get("status"))
    outcome = values.get("outcome")
    if not _is_nothing(outcome):
        told = _outcome("outcome", outcome)
        by_status = word or outcome_of(code) if "status" in values else "error"
        return code, by_status if told == "error" and by_status != "ok" else told  # a status says more than "failed"
    if "status" in values:
        return code, word
    if "outcome" in values:
        raise BadRow("outcome", "nothing", _OUTCOME)
    return None, "ok"  # an arrival, of which no more is known


def _status(value: object) -> tuple[int | None, str | None]:
    """An HTTP status or none, and what text that is no number says."""
    if _is_nothing(value):
        return None, None
    number = _decimal(value)
    if number is None and isinstance(value, str):
        return None, _outcome("status", value)
    if number in (0, -1):
        return None, None
    if number is None or not (100 <= number <= 999 and number == int(number)):
        raise BadRow("status", described(value), FIELDS["status"].expected)
    return int(number), None


def _decimal(value: object) -> Decimal | None:
    """The exact number that a value is or that its text names, if it is one of a size that can be worked with."""
    if isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() <= 20 else None


def _outcome(column: str, value: object) -> str:
    text = str(value).strip().lower()
    word = _WORDS.get(text) or next((word for part, word in _PARTS if part in text), None)
    if word is None:
        raise BadRow(column, described(value), _OUTCOME)
    return word


_WORDS: Final[Mapping[str, str]] = {
    **{word: word for word in OUTCOMES},
    **dict.fromkeys(("true", "success", "successful", "succeeded", "passed"), "ok"),
    **dict.fromkeys(("false", "failure", "failed", "fail", "err"), "error"),
    "canceled": "cancelled",
    "rate_limited": "throttled",
}
_PARTS: Final = (
    ("timeout", "timeout"),
    ("timed out", "timeout"),
    ("timedout", "timeout"),
    ("connect", "connection"),
    ("econn", "connection"),
    ("refused", "connection"),
    ("reset", "connection"),
    ("unreachable", "connection"),
    ("unknownhost", "connection"),
)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _count(name: str, value: object) -> int:
    number = _decimal(value)
    if number is None or number != int(number):
        raise BadRow(name, described(value), FIELDS[name].expected)
    return int(number)


def looks_like_csv(head: Head) -> bool:
    """Whether the first line of a head names columns and the other lines have as many fields."""
    for delimiter in DELIMITERS:
        rows = [_cells(line, delimiter) for line in head.lines[:20]]
        names = rows[0] if rows else []
        if len(names) > 1 and all(map(_NAME.fullmatch, names)) and {*map(len, rows)} == {len(names)}:
            return True
    return False


_NAME: Final = re.compile(r"\ufeff?[A-Za-z_][\w .()/%-]{0,99}")
