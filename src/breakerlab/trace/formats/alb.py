"""The access log of an AWS Application Load Balancer, and of its forerunner, the Classic Load Balancer.

    https 2023-04-26T12:23:00.186641Z app/my-lb/50dc 192.168.1.10:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57
      "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ... arn:aws:...:targetgroup/my-targets/73e2 ...

Fields are parted by spaces, those with spaces in them are quoted (`\\"` inside), and over the years more were added at
the end: what matters stands among the first 22, and the 22nd may be missing.

* The time is the END of the request, in UTC; field 22, the creation time, is its START. The three times after the
  addresses are seconds, and their sum is the latency; -1 where the request never reached a target or the target never
  answered. A Classic log has no type in front, and its time is the START.
* The status of the load balancer is what the caller saw. Without one of the target, 504 is a timeout and 502 a
  connection that failed; 460 is a caller who has gone.
* The service is the name of the target group; account numbers, which stand in its ARN, are left behind.
"""

from __future__ import annotations

import re
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.addresses import without_port
from breakerlab.trace.formats.common_log import endpoint_in
from breakerlab.trace.formats.instants import iso_ns
from breakerlab.trace.formats.reading import LineReading, line_format, share_of
from breakerlab.trace.formats.rows import NANOSECONDS, SERVICE, Rows, outcome_of, seconds, status_code
from breakerlab.trace.formats.untold import RETRIES
from breakerlab.trace.redaction import described
from breakerlab.trace.table import Trace

_LINE: Final = "a line of an AWS load balancer's access log"
_FIELD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(?= |$)|(\S+)')
_BEGINS: Final = re.compile(
    r"(?:(?:https?|h2|grpcs?|wss?) )?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z \S{1,200} \S{1,60} \S{1,60}"
    r" -?\d{1,9}(?:\.\d{1,9})? -?\d{1,9}(?:\.\d{1,9})? -?\d{1,9}(?:\.\d{1,9})? "
)
_TARGET_GROUP: Final = re.compile(r"arn:[^\s/]{1,200}:targetgroup/([^\s/]{1,64})(?:/\S{0,64})?")
_REQUEST: Final = 12
_ARN: Final = 16
_CREATED: Final = 21
_LEAST_CLASSIC: Final = 13
_LEAST: Final = 18
"""So many there were from the beginning; a line of fewer was cut."""
_NEVER: Final = ("-1", "-1.000", "-1.000000")
_MAX_DIFFERENCE: Final = 3_600 * NANOSECONDS


class _Reading(LineReading):
    expected = _LINE

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._start_untold = self._latency_untold = False

    def take_line(self, number: int, line: bytes) -> None:
        fields = _fields(line.decode("utf-8", "replace"))
        classic = fields[0][:1].isdigit()
        if classic:
            fields = ["", *fields]
        least = _LEAST_CLASSIC if classic else _LEAST
        if len(fields) < least:
            raise BadRow(None, f"{len(fields):,} fields", f"{_LINE}, of {least} or more")
        logged, _ = iso_ns(fields[1])
        spans = [_nanoseconds(text) for text in fields[5:8]]
        took = None if None in spans else sum(span or 0 for span in spans)
        start = logged if classic else _start(logged, took, fields)
        if start is not None and took is None and not classic:
            took = logged - start
        status, answered = status_code(fields[8]), status_code(fields[9]) is not None
        group = "" if classic or len(fields) <= _ARN else fields[_ARN]
        target_group = _TARGET_GROUP.fullmatch(group)
        self._rows.add(
            start=logged if start is None else start,
            latency=None if took is None else took / NANOSECONDS,
            status=status,
            outcome=_outcome(status, answered),
            service=target_group[1] if target_group else SERVICE,
            client=without_port(fields[3]),
            endpoint=endpoint_in(fields[_REQUEST]),
            instance="" if fields[4] == "-" else fields[4],
        )
        self._start_untold |= start is None
        self._latency_untold |= took is None

    def finish(self) -> Trace | None:
        words = {
            RETRIES: True,
            "latency of requests without an answer of a target": self._latency_untold,
            "start of requests without an answer of a target": self._start_untold,
        }
        return self.trace_of(self._rows, "alb", words)


def _fields(text: str) -> list[str]:
    if "\\" not in text:
        parts = text.split('"')
        if len(parts) % 2 == 0:
            raise _not_closed()
        return [field for place, part in enumerate(parts) for field in ([part] if place % 2 else part.split())]
    fields = []
    for found in _FIELD.finditer(text):
        quoted, bare = found.groups()
        if bare is not None and bare.startswith('"'):
            raise _not_closed()
        fields.append(bare if quoted is None else quoted)
    return fields


def _not_closed() -> BadRow:
    return BadRow(None, "a truncated line (a quote is not closed)", _LINE)


def _nanoseconds(text: str) -> int | None:
    """A time of the line; None for -1, which stands for none."""
    value = None if text in _NEVER else seconds(text, "processing time")
    return None if value is None else round(value * NANOSECONDS)


def _start(end: int, took: int | None, fields: list[str]) -> int | None:
    """The creation time if it is told and the other times agree with it; else the end without the latency."""
    reckoned = None if took is None else end - took
    if len(fields) <= _CREATED or fields[_CREATED] == "-":
        return reckoned
    created, _ = iso_ns(fields[_CREATED], "request creation time")
    if reckoned is not None and abs(created - reckoned) > _MAX_DIFFERENCE:
        return reckoned
    if created > end:
        raise BadRow("request creation time", described(fields[_CREATED]), "no time after the end of the request")
    return created


def _outcome(status: int | None, answered: bool) -> str:
    if status is None:
        return "connection"
    if status == 460:
        return "cancelled"
    if not answered and status in (502, 504):
        return "timeout" if status == 504 else "connection"
    return outcome_of(status)


def _is_ours(line: str) -> bool:
    return _BEGINS.match(line) is not None


FORMAT: Final = line_format("alb", "the access log of an AWS load balancer", share_of(_is_ours), _Reading)
