"""Parts that the log lines of several proxies share: a request line, an address with a port, an ISO time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.redaction import described
from breakerlab.trace.rows import MAX_MOMENT, NANOSECONDS, Rows, moment_ns

_METHOD: Final = re.compile(r"[A-Za-z_-]{1,32}")
_ISO_SECOND: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_ISO_REST: Final = re.compile(r"(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?")
_CLF_TIME: Final = re.compile(
    r"(\d\d?)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: ([+-]\d\d)(\d\d))?"
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}


def called(request: str) -> str:
    """ "METHOD target" of a request line "METHOD target HTTP/1.1"; empty if it is none."""
    method, space, rest = request.partition(" ")
    if not space or not _METHOD.fullmatch(method) or method == "-":
        return ""
    target, _, protocol = rest.rpartition(" ")
    return f"{method} {target}" if target and protocol.startswith("HTTP/") else f"{method} {rest}"


def without_port(address: str) -> str:
    """The host of "10.0.0.1:80", "[fd00::1]:80" or "fd00::1"; empty for "-"."""
    if address == "-":
        return ""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def iso_ns(text: str, column: str = "time") -> tuple[int, bool]:
    """Nanoseconds since 1970 of an ISO 8601 date and time, and whether it tells its zone; without one it is UTC.

    Raises:
        BadRow: it is no such time.
    """
    second, rest = _ISO_SECOND.match(text), None
    if second is not None:
        rest = _ISO_REST.fullmatch(text, second.end())
    if second is None or rest is None:
        raise _no_time(text, column)
    digits, zone = rest.groups()
    try:
        whole = _second_ns(second[0])
    except ValueError:
        raise _no_time(text, column) from None
    return whole + int((digits or "0").ljust(9, "0")) - _zone_ns(zone), zone is not None


@lru_cache(maxsize=4_096)
def _second_ns(text: str) -> int:
    return moment_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


def _zone_ns(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (-minutes if zone[0] == "-" else minutes) * 60 * NANOSECONDS


def clf_ns(text: str, column: str = "time") -> tuple[int, bool]:
    """The same of a time like "25/Nov/2026:18:40:08.067", with or without a fraction and a zone. Raises BadRow."""
    found = _CLF_TIME.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        raise _no_time(text, column)
    day, month, year, hour, minute, second, digits, zone_hours, zone_minutes = found.groups()
    try:
        moment = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        raise _no_time(text, column) from None
    zone = None if zone_hours is None else zone_hours + zone_minutes
    return moment_ns(moment) + int((digits or "0").ljust(9, "0")) - _zone_ns(zone), zone is not None


def _no_time(text: str, column: str) -> BadRow:
    return BadRow(column, described(text), "a date and time of day")


def whole_number(text: str, column: str, most: int) -> int:
    """A count from its decimal text. Raises BadRow."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= most):
        raise BadRow(column, described(text), f"a whole number from 0 to {most:,}")
    return int(text)


def told(*facts: tuple[bool, str]) -> tuple[str, ...]:
    """The words whose condition holds."""
    return tuple(word for holds, word in facts if holds)


def first_of(values: Iterable[str]) -> str:
    """The first that is neither empty nor "-"; empty if there is none."""
    return next((value for value in values if value not in ("", "-")), "")


def add_attempts(
    rows: Rows,
    count: int,
    *,
    start: int,
    last_start: int,
    latency: float | None,
    status: int | None,
    outcome: str,
    earlier: str,
    instance: str | None,
    earlier_instance: str | None,
    service: str,
    client: str,
    endpoint: str,
) -> None:
    """The attempts of one request, of which the log tells how many there were and how the last one ended.

    Those before it have begun somewhere between `start` and `last_start`; they are put at `start`, with an outcome
    (`earlier`) but without latency and status. Raises BadRow, and then has added nothing.
    """
    if not 0 <= start <= last_start <= MAX_MOMENT:
        raise BadRow("time", described(start), "a time from 1970 to 2099")
    request = rows.new_request()
    for attempt in range(1, count):
        rows.add(
            start=start,
            latency=None,
            status=None,
            outcome=earlier,
            request=request,
            attempt=attempt,
            service=service,
            client=client,
            endpoint=endpoint,
            instance=earlier_instance,
        )
    rows.add(
        start=last_start,
        latency=latency,
        status=status,
        outcome=outcome,
        request=request,
        attempt=count,
        service=service,
        client=client,
        endpoint=endpoint,
        instance=instance,
    )
