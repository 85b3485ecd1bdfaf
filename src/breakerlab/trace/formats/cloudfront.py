"""CloudFront's standard log, and other logs in the W3C extended format, among them that of Microsoft IIS.

    #Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status ... time-taken ...
    2026-03-12<TAB>15:22:28<TAB>CDG50-P2<TAB>703<TAB>192.0.2.7<TAB>GET<TAB>d1.cloudfront.net<TAB>/test<TAB>400 ...

* A line of `#Fields` names the columns of the lines after it, and may come again. A CloudFront file that was cut or
  joined may lack it: then the columns are CloudFront's own, which have kept their order while more came at the end.
* Date and time are UTC and the END of the request, in whole seconds. `time-taken` is seconds, but IIS writes
  milliseconds.
* CloudFront parts fields by tabs, IIS by spaces; "-" is nothing. Status 000 is a caller who was gone before the answer.
"""

from __future__ import annotations

import re
from typing import Final

from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Head
from breakerlab.trace.formats.instants import iso_ns
from breakerlab.trace.formats.reading import LineReading, line_format
from breakerlab.trace.formats.rows import NANOSECONDS, Rows, outcome_of, seconds, status_code
from breakerlab.trace.formats.untold import LATENCY, RETRIES, SOME_LATENCY, SUB_SECOND
from breakerlab.trace.table import Trace

_LINE: Final = "a line of a CloudFront or W3C extended log"
_STANDARD: Final = (
    *("date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(host)", "cs-uri-stem", "sc-status"),
    *("cs(referer)", "cs(user-agent)", "cs-uri-query", "cs(cookie)", "x-edge-result-type", "x-edge-request-id"),
    *("x-host-header", "cs-protocol", "cs-bytes", "time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher"),
    *("x-edge-response-result-type", "cs-protocol-version", "fle-status", "fle-encrypted-fields", "c-port"),
    *("time-to-first-byte", "x-edge-detailed-result-type"),
)
_NEEDED: Final = ("date", "time", "sc-status")
_MIN_COLUMNS: Final = _STANDARD.index("time-taken") + 1
_BEGINS: Final = re.compile(r"\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\t[A-Z]{3}[0-9A-Z-]{0,12}\t")
_IIS: Final = ("sc-win32-status", "sc-substatus", "s-sitename", "s-computername")
_ORIGIN_UNREACHED: Final = frozenset({"OriginConnectError", "OriginDnsError"})


class _Reading(LineReading):
    expected = _LINE

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._headers = 0
        self._latency_untold = False
        self._take_columns(_STANDARD)

    def _take_columns(self, names: tuple[str, ...]) -> None:
        self._place = {name: place for place, name in reversed(list(enumerate(names)))}
        self._unit = 0.001 if any(name in self._place for name in _IIS) else 1.0
        self._columns = len(names)

    def take_line(self, number: int, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if text.startswith("#"):
            self.lines -= 1  # a header, not a row
            self._headers += 1
            directive, _, rest = text.partition(":")
            if directive.lower() == "#fields":
                self._take_columns(tuple(rest.lower().split()))
            return
        values = self._values(text)
        end, _ = iso_ns(f"{values['date']}T{values['time']}")
        latency = seconds(values.get("time-taken", "-"), unit=self._unit)
        status = status_code(values["sc-status"])
        method, path = values.get("cs-method", "-"), values.get("cs-uri-stem", "-")
        self._rows.add(
            start=end - round((latency or 0.0) * NANOSECONDS),
            latency=latency,
            status=status,
            outcome=_outcome(status, values.get("x-edge-detailed-result-type", "-")),
            client=values.get("c-ip", "-").removeprefix("-"),
            endpoint="" if "-" in (method, path) else f"{method} {path}",
        )
        self._latency_untold |= latency is None

    def _values(self, text: str) -> dict[str, str]:
        missing = [name for name in _NEEDED if name not in self._place]
        if missing:
            raise BadRow(missing[0], "no such column in the header", "a log with " + ", ".join(_NEEDED))
        parts = text.split("\t") if "\t" in text else text.split(" ")
        if self._headers == 0 and len(parts) < _MIN_COLUMNS:
            raise BadRow(None, f"{len(parts):,} fields", f"{_LINE}, of {_MIN_COLUMNS} or more")
        if len(parts) < min(self._columns, len(_STANDARD)) and self._headers:
            raise BadRow(None, f"{len(parts):,} fields", f"{self._columns:,}, as in the header")
        return {name: parts[place] for name, place in self._place.items() if place < len(parts)}

    def finish(self) -> Trace | None:
        if not self.lines and self._headers:
            raise TraceError(self.name, None, None, "a header and no row", _LINE)
        some = self._rows.tells(LATENCY) and self._latency_untold
        return self.trace_of(self._rows, "cloudfront", {RETRIES: True, SUB_SECOND: True, SOME_LATENCY: some})


def _outcome(status: int | None, detail: str) -> str:
    if status is None:
        return "cancelled"
    return "connection" if detail in _ORIGIN_UNREACHED and status >= 500 else outcome_of(status)


def _likeness(head: Head) -> float:
    lines = head.lines
    if any(line.lower().startswith("#fields:") and "sc-status" in line.lower() for line in lines[:20]):
        return 1.0
    return head.share(lambda line: _BEGINS.match(line) is not None and line.count("\t") + 1 >= _MIN_COLUMNS)


FORMAT: Final = line_format("cloudfront", "a CloudFront or W3C extended log", _likeness, _Reading)
