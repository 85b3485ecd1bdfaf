"""Values of a foreign JSON log line, checked: whatever stands there, it is a good value or a BadRow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.header import moment_of, object_in
from breakerlab.trace.reading import text_of
from breakerlab.trace.redaction import described
from breakerlab.trace.rows import moment_ns

_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)", re.ASCII | re.IGNORECASE
)
_TIME: Final = "an ISO 8601 time with a time zone"

Row = Mapping[str, object]


def object_on(line: bytes, expected: str) -> Row:
    """The JSON object on a line. Raises BadRow."""
    text_of(line, expected)
    row = object_in(line)
    if not row:
        raise BadRow(None, "text that is no JSON object", expected)
    return row


def text_at(row: Row, key: str, column: str) -> str:
    """The text under a key; empty for null, for "-" and where there is no such key. Raises BadRow."""
    value = row.get(key)
    if value is None or value == "-":
        return ""
    if not isinstance(value, str):
        raise BadRow(column, described(value), "text")
    return value


def integer_at(row: Row, key: str, column: str, most: int) -> int | None:
    """The integer from 0 to `most` under a key; None for null and where there is no such key. Raises BadRow."""
    value = row.get(key)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= most:
        raise BadRow(column, described(value), f"an integer from 0 to {most:,}")
    return value


def iso_ns(value: object, column: str = "time") -> int:
    """Nanoseconds since 1970 (UTC) of an ISO 8601 text with a time zone, exact to nine places. Raises BadRow."""
    found = _ISO.fullmatch(value) if isinstance(value, str) else None
    moment = None if found is None else moment_of(found[1] + found[3].upper())
    if found is None or moment is None:
        raise BadRow(column, described(value), _TIME)
    return moment_ns(moment) + int((found[2] or "").ljust(9, "0"))
