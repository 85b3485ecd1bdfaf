"""Our own CSV: attempts and events in one table, one row a line, as `Trace.write` writes it.

    # breakerlab trace {"kind":"trace","version":1,"start":"2026-11-24T14:00:00.000000+00:00", ...}     optional
    kind,time,latency,status,outcome,service,request,attempt,client,endpoint,retry_after,value
    attempt,1.23,0.6,200,ok,llm,17,1,pipeline,POST /v1/chat,,
    pool,2.0,,,,,,,,,,12

Without the column `kind` every row is an attempt. An empty field is a missing value. Numbers have all their digits.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import Final

from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Head
from breakerlab.trace.formats.own import Attempts, Events, text_in, value_in
from breakerlab.trace.formats.reading import LineReading, line_format, text_of
from breakerlab.trace.header import OPTIONAL, Header, header_in, object_in
from breakerlab.trace.redaction import described
from breakerlab.trace.schema import EVENT_KINDS, FIELDS
from breakerlab.trace.table import Source, Trace

COMMENT: Final = "# breakerlab trace "
COLUMNS: Final = (
    "kind", "time", "latency", "status", "outcome", "service", "request", "attempt", "client", "endpoint",
    "retry_after", *OPTIONAL, "value",
)  # fmt: skip

_ROW: Final = "a row of a breakerlab CSV"
_REQUIRED: Final = ("time", "latency", "outcome", "service", "request", "attempt")


class _Reading(LineReading):
    """The header, then the names of the columns, then rows."""

    expected = _ROW

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._attempts = Attempts()
        self._events = Events()
        self._header: Header | None = None
        self._columns: list[str] = []
        self._headings = 0

    def take_line(self, number: int, line: bytes) -> None:
        text = text_of(line, _ROW)
        if self._columns:
            self._row(_cells(text))
        elif self.lines == 1 and text.startswith(COMMENT):
            self._header = header_in(self.name, object_in(text[len(COMMENT) :].encode("utf-8", "surrogatepass")))
            self._headings += 1
        else:
            self._columns = self._names(number, _cells(text))
            self._headings += 1

    def _names(self, number: int, cells: list[str]) -> list[str]:
        if missing := [name for name in _REQUIRED if name not in cells]:
            raise TraceError(self.name, number, missing[0], "no such column", "the columns of a breakerlab CSV")
        known = [name for name in cells if name in COLUMNS]
        if len(set(known)) < len(known):
            raise TraceError(self.name, number, None, "a column twice", "each column once")
        self._attempts.expect(self._header.columns if self._header else known)
        return cells

    def _row(self, cells: list[str]) -> None:
        if len(cells) != len(self._columns):
            raise BadRow(None, f"{len(cells):,} fields", f"{len(self._columns):,}, one a column")
        told = dict(zip(self._columns, cells, strict=True))
        kind = told.get("kind", "attempt")
        row = {name: _VALUES[name](name, text) for name, text in told.items() if name in _VALUES and text}
        if kind == "attempt":
            self._attempts.add_whole({"latency": None, "status": None} | row)
        elif kind in EVENT_KINDS:
            self._events.add(value_in(row, "time"), kind, text_in(row, "instance"), value_in(row, "value"))
        else:
            raise BadRow("kind", described(kind), f"attempt or one of {', '.join(EVENT_KINDS)}")

    def finish(self) -> Trace | None:
        if not (self._attempts.time or self._events.time):
            return None
        header = self._header or Header()
        lines = self.lines - self.skipped.lines - self._headings
        return Trace.from_columns(
            self._attempts.columns(),
            self._events.columns(),
            start=header.start,
            source=Source(self.name, "csv", header.has_retries, header.cannot_tell, lines, header.facts),
            skipped=self.skipped.errors(),
        )


def _cells(text: str) -> list[str]:
    try:
        [cells] = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise BadRow(None, "quotes that do not match", _ROW) from None
    return cells


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRow(name, described(text), FIELDS[name].expected) from None


def _integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise BadRow(name, described(text), FIELDS[name].expected)
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise BadRow(name, described(text), FIELDS[name].expected)
    return text == "true"


def _text(name: str, text: str) -> str:
    return text


_VALUES: Final[Mapping[str, Callable[[str, str], object]]] = {
    "time": _number,
    "latency": _number,
    "status": _integer,
    "outcome": _text,
    "service": _text,
    "request": _integer,
    "attempt": _integer,
    "client": _text,
    "endpoint": _text,
    "retry_after": _number,
    "instance": _text,
    "tokens_in": _integer,
    "tokens_out": _integer,
    "idempotent": _flag,
    "value": _number,
}


def _likeness(head: Head) -> float:
    first = next(iter(head.lines), "").removeprefix("\ufeff")
    return float(first.startswith(COMMENT) or set(_REQUIRED) <= set(first.split(",")))


FORMAT: Final = line_format("csv", "breakerlab's own CSV", _likeness, _Reading)
