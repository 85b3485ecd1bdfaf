"""Apache's access log, common or combined, with the time that each request took.

    192.0.2.7 - - [24/Nov/2026:14:02:43 +0000] "GET /a?b HTTP/1.1" 200 357 "-" "agent" 12345
    www.example:443 192.0.2.7 - - [24/Nov/2026:14:02:43.587782 +0000] "GET /a?b HTTP/1.1" 200 357 "-" "agent" 12345 X

The time is the START of the request; it may have decimals (`%{usec_frac}t`). One bare number at the end is `%D`, in
microseconds until the last byte was sent, unless the log speaks against it: then no latency is told rather than a
wrong one. `12ms`, `12345us`, `D=12345` and `0/12345` (`%T/%D`) say their unit. Two bare numbers are as likely bytes in
and out (`%I %O`) and tell nothing. An `X` (from `%X`) says that the caller had gone before the answer was complete.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from breakerlab.trace.errors import BadRow
from breakerlab.trace.format import Head
from breakerlab.trace.formats.common_log import (
    QUOTED,
    FieldText,
    clf_ns,
    common_line,
    common_line_in,
    endpoint_in,
    fields_in,
)
from breakerlab.trace.formats.instants import decimals_ns
from breakerlab.trace.formats.reading import LineReading, line_format
from breakerlab.trace.formats.rows import NANOSECONDS, Rows, outcome_of, status_code
from breakerlab.trace.formats.traefik import is_text_entry
from breakerlab.trace.formats.untold import RETRIES, SUB_SECOND
from breakerlab.trace.table import Trace

_EXPECTED: Final = "a line of Apache's access log, common or combined, with %D"
_MICROSECOND: Final = 1_000
_MAX_NS: Final = 10**9 * NANOSECONDS

_UNSURE: Final = 0.2
_MAX_REST: Final = 65_536

_DECIMALS: Final = re.compile(rb"(\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)\.(\d{1,9})(?= [+-]\d{4}\] \")")
_LABELLED: Final = re.compile(r"(\d{1,18})(us|usec|µs|ms|msec|s|sec)", re.ASCII)
_BARE: Final = re.compile(r"\d{1,18}", re.ASCII)
_SECONDS_AND_MICROSECONDS: Final = re.compile(r"(\d{1,12})/(\d{1,18})", re.ASCII)
_UNITS: Final = {
    "us": _MICROSECOND,
    "usec": _MICROSECOND,
    "µs": _MICROSECOND,
    "ms": 1_000_000,
    "msec": 1_000_000,
    "s": NANOSECONDS,
    "sec": NANOSECONDS,
}
_USUAL: Final = re.compile(rf"(?:{QUOTED} )*+(\d{{1,18}})(?: ([X+-]))?", re.ASCII)
_CONNECTION: Final = ("X", "+", "-")  # what %X writes; the last stands for nothing, too
_NAMES: Final = frozenset(("", "d", "t", "duration", "elapsed", "time", "time_taken", "request_time", "took"))


class _Taken(NamedTuple):
    """What the end of a line tells of the time that the request took."""

    nanoseconds: int | None = None
    number: int | None = None
    """The bare number whose unit the line does not say."""
    aborted: bool = False

    @property
    def told(self) -> bool:
        return self.nanoseconds is not None or self.number is not None


class _Unit:
    """Whether bare numbers can be microseconds.

    Lines are written when requests end. So a line whose request began seconds before that of an earlier line stands for
    a request that took as long; where the number is too small for that in microseconds, but not in milliseconds or
    seconds, it is no `%D`. Nor are numbers below ten (nothing is so fast), and one and the same number on all lines.
    """

    LATE: Final = 3 * NANOSECONDS
    APART: Final = 600 * NANOSECONDS  # two logs one after the other, not one slow request
    IDLE: Final = 60 * NANOSECONDS  # how long nothing may begin before a line is written
    SLACK: Final = 3 * NANOSECONDS // 2  # starts have whole seconds, and clocks and writers some delay
    FASTEST: Final = 10

    def __init__(self) -> None:
        self._numbers = self._tiny = 0
        self._least, self._most = _MAX_NS, 0
        self._latest = 0
        self._late = dict.fromkeys((_MICROSECOND, 1_000_000, NANOSECONDS), 0)
        self._all_late = 0

    def note(self, start: int, number: int) -> None:
        self._numbers += 1
        self._tiny += number < self.FASTEST
        self._least, self._most = min(self._least, number), max(self._most, number)
        behind = self._latest - start
        self._latest = start if behind > self.APART else max(start, self._latest)
        if self.LATE <= behind <= self.APART:
            self._all_late += 1
            for unit in self._late:
                self._late[unit] += behind - self.SLACK <= number * unit <= behind + self.IDLE

    @property
    def used(self) -> bool:
        return self._numbers > 0

    @property
    def doubtful(self) -> bool:
        if self._tiny * 100 > self._numbers or (self._numbers >= 20 and self._least == self._most):
            return True
        micro, *others = self._late.values()
        return self._all_late >= 3 and micro * 10 <= self._all_late and max(others) * 10 >= self._all_late * 9


class _Reading(LineReading):
    expected = _EXPECTED

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._unit = _Unit()
        self._decimals = False

    def take_line(self, number: int, line: bytes) -> None:
        line, decimals = _without_decimals(line)
        parts = common_line(line, _EXPECTED)
        taken = _taken(parts.rest)
        start = clf_ns(parts.time) + decimals_ns(decimals)
        duration = taken.nanoseconds if taken.number is None else taken.number * _MICROSECOND
        if duration is not None and duration > _MAX_NS:
            raise BadRow("latency", "a number of more than 15 digits", "microseconds")
        status = status_code(parts.status)
        self._rows.add(
            start=start,
            latency=None if duration is None else duration / NANOSECONDS,
            status=status,
            outcome="cancelled" if taken.aborted else outcome_of(status),
            client=parts.client,
            endpoint=endpoint_in(parts.request),
        )
        self._decimals = self._decimals or decimals != ""
        if taken.number is not None:
            self._unit.note(start, taken.number)

    def finish(self) -> Trace | None:
        doubtful = self._unit.used and self._unit.doubtful
        if doubtful:
            self._rows.forget_latency()
        words = {
            RETRIES: True,
            SUB_SECOND: not self._decimals,
            "unit of the number at the end, which is no %D": doubtful,
        }
        return self.trace_of(self._rows, "apache", words)


def _without_decimals(line: bytes) -> tuple[bytes, str]:
    """The line with its time in whole seconds, and the decimals that it had."""
    found = _DECIMALS.search(line)
    return (line, "") if found is None else (line[: found.end(1)] + line[found.end() :], found[2].decode())


def _taken(rest: str) -> _Taken:
    """What follows the size tells; nothing where it is longer than the headers that Apache lets pass."""
    usual = _USUAL.fullmatch(rest)
    if usual is not None:
        return _Taken(number=int(usual[1]), aborted=usual[2] == "X")
    fields = fields_in(rest) if len(rest) <= _MAX_REST else []
    bare = [field._replace(text=field.text.strip("*")) for field in fields if not field.quoted]
    aborted = any(field.text == "X" and not field.name for field in bare)
    for field in bare:
        nanoseconds = _said(field)
        if nanoseconds is not None:
            return _Taken(nanoseconds=nanoseconds, aborted=aborted)
    values = [field.text for field in bare if not field.name and field.text not in _CONNECTION]
    is_only_one = len(values) == 1 and _BARE.fullmatch(values[0]) is not None
    return _Taken(number=int(values[0]) if is_only_one else None, aborted=aborted)


def _said(field: FieldText) -> int | None:
    """The nanoseconds that a value means, if it says its unit."""
    labelled = _LABELLED.fullmatch(field.text) if field.name.lower() in _NAMES else None
    if labelled is not None:
        return int(labelled[1]) * _UNITS[labelled[2]]
    if field.name == "D" and _BARE.fullmatch(field.text):
        return int(field.text) * _MICROSECOND
    both = None if field.name else _SECONDS_AND_MICROSECONDS.fullmatch(field.text)
    if both is not None and int(both[1]) == int(both[2]) // 1_000_000:
        return int(both[2]) * _MICROSECOND
    return None


def _likeness(head: Head) -> float:
    """Lines with numbers that tell no duration (`%I %O`) are Apache's too, if nobody else knows them."""
    return max(head.share(_is_ours), _UNSURE * head.share(lambda line: _is_ours(line) or _has_numbers(line)))


def _is_ours(line: str) -> bool:
    whole, decimals = _without_decimals(line.encode("utf-8", "replace"))
    parts = common_line_in(whole.decode())
    if parts is None or is_text_entry(line):
        return False
    return decimals != "" or _taken(parts.rest).told


def _has_numbers(line: str) -> bool:
    parts = common_line_in(line)
    return parts is not None and any(
        _BARE.fullmatch(field.text) and not field.quoted for field in fields_in(parts.rest)
    )


FORMAT: Final = line_format("apache", "Apache's access log with %D", _likeness, _Reading)
