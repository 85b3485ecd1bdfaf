"""The Common Log Format, which nginx, Apache and Traefik all build upon, in pieces.

    vhost.example:443 192.0.2.7 - user name [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 2326 "referrer" "agent"

The virtual host may be there or not, and what follows the size differs from server to server. User names hold spaces
and brackets; a quote or backslash that belongs to a value is escaped, as `\\x22` (nginx) or `\\"` (Apache). The request
line is whatever the client sent: "-", nothing, or the bytes of a TLS handshake.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.instants import decimals_ns
from breakerlab.trace.formats.reading import text_of
from breakerlab.trace.formats.rows import NANOSECONDS
from breakerlab.trace.redaction import described

TIME: Final = r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}"
"""A pattern of the time, without its brackets."""

QUOTED: Final = r'"(?:[^"\\]++|\\.)*+"'
"""A pattern of a quoted value that never tries anything twice: time grows with the length of the line only."""

TIME_EXPECTED: Final = "a time as in 10/Oct/2000:13:55:36 -0700"

_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: number for number, name in enumerate(_NAMES, 1)}
_TIME: Final = re.compile(TIME, re.ASCII)
_LOCAL_TIME: Final = re.compile(
    r"(\d?\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?: ([+-]\d{4}))?", re.ASCII
)
_SECOND: Final = len("10/Oct/2000:13:55:36")
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()

# A user name cannot imitate this: the quote in it would be escaped.
_MIDDLE: Final = re.compile(rf"(?:^|(?<= ))\[({TIME})\] ({QUOTED}) (\d{{1,4}}|-)(?: (\d+|-))?(?=\s|$)", re.ASCII)
_ADDRESS: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[0-9a-fA-F]*:[0-9a-fA-F:.]+(?:%\w+)?", re.ASCII)
_CLOCK: Final = re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)
_MOST_WORDS: Final = 16
"""So many words stand at most before the time, of those that are looked at."""
_FIELD: Final = re.compile(rf"(?:([A-Za-z_][A-Za-z0-9_]*)=)?(?:({QUOTED})|(\S+))", re.ASCII)
_REQUEST: Final = re.compile(r"([A-Z][A-Z_-]{0,31}) (\S+)(?: .*)?", re.ASCII | re.DOTALL)


class CommonLine(NamedTuple):
    """The parts of one line as they stand there; quoted ones without their quotes, escapes and all."""

    client: str
    time: str
    request: str
    status: str
    size: str
    """Empty where the line has none."""
    rest: str
    """What follows the size, without the space between."""


class FieldText(NamedTuple):
    """One value of the rest of a line: `urt="0.010, 0.200"`, `"agent"` or `0.123`."""

    name: str
    """Empty where the value has no name."""
    text: str
    quoted: bool


def common_line(line: bytes, expected: str) -> CommonLine:
    """The parts of a line. Raises BadRow: it is no line of this format; `expected` says what should stand there.

    Bytes that are not UTF-8 are let pass in what is dropped anyway: some servers write them as clients send them.
    """
    found = common_line_in(line.decode("utf-8", "replace"))
    if found is not None:
        return found
    text_of(line, expected)
    raise BadRow(None, "a line without time, request and status in their places", expected)


def common_line_in(text: str) -> CommonLine | None:
    """The parts of a line, or None if it is no line of this format."""
    middle = _MIDDLE.search(text)
    if middle is None:
        return None
    time, request, status, size = middle.groups("")
    client = client_in(text[: middle.start()])
    return CommonLine(client, time, request[1:-1], status, size, text[middle.end() :].strip())


def client_in(beginning: str) -> str:
    """The client in what stands before the time: the first word, or the first address before two other words.

    Before the address may stand the name of a virtual host, or what a collector adds ("2024-03-10T13:55:36Z stdout F").
    Of a list of addresses, as X-Forwarded-For has it, it is the first.
    """
    first = beginning.partition(" ")[0].partition(",")[0]
    if _ADDRESS.fullmatch(first):
        return first
    words = beginning.split(maxsplit=_MOST_WORDS)[:_MOST_WORDS]
    for word in words[1:-2] if len(words) > 3 else words[1:2]:
        if _ADDRESS.fullmatch(word) and not _CLOCK.fullmatch(word):
            return word
    return "" if first == "-" else first


def fields_in(rest: str) -> list[FieldText]:
    """The values in the rest of a line, in their order."""
    return [
        FieldText(name, quoted[1:-1] if quoted else bare, bool(quoted)) for name, quoted, bare in _FIELD.findall(rest)
    ]


@lru_cache(maxsize=4096)  # lines of one second stand together
def clf_seconds(text: str) -> int:
    """Seconds since 1970 (UTC) of a time without its brackets. Raises BadRow."""
    if _TIME.fullmatch(text) is None:
        raise BadRow("time", described(text), TIME_EXPECTED)
    try:
        day = date(int(text[7:11]), _MONTHS[text[3:6]], int(text[0:2])).toordinal() - _UNIX_DAY
    except (ValueError, KeyError):
        raise BadRow("time", "a day that no calendar has", TIME_EXPECTED) from None
    hour, minute, second = int(text[12:14]), int(text[15:17]), int(text[18:20])
    zone_hours, zone_minutes = int(text[22:24]), int(text[24:26])
    if hour > 23 or minute > 59 or second > 60 or zone_hours > 23 or zone_minutes > 59:
        raise BadRow("time", "a time of day that no clock shows", TIME_EXPECTED)
    east = (zone_hours * 3600 + zone_minutes * 60) * (-1 if text[21] == "-" else 1)
    return day * 86_400 + hour * 3600 + minute * 60 + second - east


def clf_ns(text: str) -> int:
    """Nanoseconds since 1970 (UTC) of a time without its brackets. Raises BadRow."""
    return clf_seconds(text) * NANOSECONDS


def local_clf_ns(text: str) -> tuple[int, bool]:
    """The same of a time that may have decimals and no zone, as in 10/Oct/2000:13:55:36.067; whether it has one.

    Without a zone it is UTC. Raises BadRow.
    """
    found = _LOCAL_TIME.fullmatch(text)
    if found is None:
        raise BadRow("time", described(text), TIME_EXPECTED)
    second, decimals, zone = found.groups()
    return clf_ns(f"{second.zfill(_SECOND)} {zone or '+0000'}") + decimals_ns(decimals), zone is not None


def endpoint_in(request: str) -> str:
    """ "METHOD target" of a request line; empty for "-", nothing, or bytes that are no request."""
    found = _REQUEST.fullmatch(request)
    return f"{found[1]} {found[2]}" if found else ""
