"""Times of foreign logs as nanoseconds since 1970 (UTC), in integers: a float would lose the last digits."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.redaction import described
from breakerlab.trace.rows import NANOSECONDS, moment_ns

_ISO: Final = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d{0,9})? ?(Z|z|[+-]\d\d:?\d\d)?", re.ASCII
)
_DECIMAL: Final = re.compile(r"(\d{1,20})(?:\.(\d{1,9})\d{0,30})?", re.ASCII)
_EXPECTED: Final = "a date and time from 1970 to 2099"


def iso_ns(text: str, column: str = "time") -> tuple[int, bool]:
    """Nanoseconds of "2024-05-10T00:00:00.009930123+02:00", and whether a zone stands there; without one it is UTC.

    Raises:
        BadRow: it is no such time.
    """
    found = _ISO.fullmatch(text)
    if found is None:
        raise BadRow(column, described(text), _EXPECTED)
    *parts, fraction, zone = found.groups()
    try:
        moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        raise BadRow(column, described(text), _EXPECTED) from None
    return moment_ns(moment) + int((fraction or "").ljust(9, "0")) - _offset_ns(zone), zone is not None


def decimal_ns(text: str, unit: int, column: str = "time") -> int:
    """Nanoseconds of a decimal number of `unit` nanoseconds each. Raises BadRow."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise BadRow(column, described(text), "a number, 0 or more")
    whole, fraction = found.groups()
    return int(whole) * unit + int((fraction or "").ljust(9, "0")) * unit // NANOSECONDS


def epoch_unit(digits: str) -> int:
    """The unit, in nanoseconds, of a number of seconds, ms, us or ns since 1970; its length tells which."""
    length = len(digits)
    return NANOSECONDS if length <= 11 else 1_000_000 if length <= 14 else 1_000 if length <= 17 else 1


def _offset_ns(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (minutes if zone[0] == "+" else -minutes) * 60 * NANOSECONDS
