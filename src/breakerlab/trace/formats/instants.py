"""Times of foreign logs as nanoseconds since 1970 (UTC), in integers: a float would lose the last digits."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.rows import NANOSECONDS, moment_ns
from breakerlab.trace.redaction import described

_ISO: Final = re.compile(
    r"(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9})\d{0,9})? ?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)
_DECIMAL: Final = re.compile(r"(\d{1,20})(?:\.(\d{1,9})\d{0,30})?", re.ASCII)


def iso_ns(value: object, column: str = "time") -> tuple[int, bool]:
    """Nanoseconds of "2024-05-10T00:00:00.009930123+02:00", and whether a zone stands there; without one it is UTC.

    Raises:
        BadRow: it is no such text.
    """
    found = _ISO.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        second, fraction, zone = found.groups()
        try:
            return calendar_ns(second, fraction, zone), zone is not None
        except ValueError:
            pass
    raise BadRow(column, described(value), "a date and time in ISO 8601")


def zoned_ns(value: object, column: str = "time") -> int:
    """Nanoseconds of a text like that, which must name its zone. Raises BadRow."""
    moment, has_zone = iso_ns(value, column)
    if not has_zone:
        raise BadRow(column, described(value), "a date and time in ISO 8601 with a time zone")
    return moment


def calendar_ns(second: str, fraction: str | None, zone: str | None) -> int:
    """Nanoseconds of "2024-05-10T00:00:00", the decimals of its second, and its zone: "+02:00", "+0200", "Z" or none.

    Raises:
        ValueError: no calendar or clock shows it.
    """
    return _second_ns(second) + decimals_ns(fraction) - _east_ns(zone)


def decimals_ns(digits: str | None) -> int:
    """Nanoseconds of the decimals of a second, at most nine of them."""
    return int((digits or "").ljust(9, "0"))


def decimal_ns(text: str, unit: int, column: str = "time") -> int:
    """Nanoseconds of a decimal number of `unit` nanoseconds each. Raises BadRow."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise BadRow(column, described(text), "a number, 0 or more")
    whole, fraction = found.groups()
    return int(whole) * unit + decimals_ns(fraction) * unit // NANOSECONDS


def epoch_unit(number: float) -> int:
    """The unit, in nanoseconds, of a number of seconds, ms, us or ns since 1970; its size tells which."""
    return NANOSECONDS if number < 1e11 else 1_000_000 if number < 1e14 else 1_000 if number < 1e17 else 1


@lru_cache(maxsize=4_096)  # lines of one second stand together
def _second_ns(text: str) -> int:
    fields = (text[0:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    return moment_ns(datetime(*map(int, fields), tzinfo=UTC))  # type: ignore[misc,arg-type]


def _east_ns(zone: str | None) -> int:
    if zone is None or zone in ("Z", "z", "UTC"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError
    return (hours * 60 + minutes) * (-60 if zone[0] == "-" else 60) * NANOSECONDS
