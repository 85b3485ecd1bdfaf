"""JMeter's result files (JTL), as CSV and as XML.

    timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,...,URL,...,Latency,...,IdleTime
    1401198648764,1040,HTTP Request,200,OK,Users 1-2,text,true,...,http://example.org/a/2/,...,768,...,0

    <testResults version="1.2">
    <httpSample t="1040" lt="768" ts="1401198648764" s="true" lb="HTTP Request" rc="200" rm="OK" tn="Users 1-2"/>

The columns stand in any order, with any of four delimiters; old versions write no header. `timeStamp` is the START, in
ms since 1970, unless `sampleresult.timestamp.start=false` was set, which the file does not tell. `elapsed` is ms, the
connecting included. `responseCode` is a status or a Java exception. A failure message may run over several lines. The
row of a transaction controller sums up others and is skipped. A file that JMeter appended to repeats its header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from breakerlab.trace.content import Content
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats.jtl import Samples
from breakerlab.trace.formats.jtl_xml import looks_like_xml, read_xml
from breakerlab.trace.formats.separated import DELIMITERS, SeparatedReading, cells_of
from breakerlab.trace.table import Trace

_EXPECTED: Final = "a row of a JMeter result file (CSV with timeStamp, elapsed, label, responseCode, ...)"
_COLUMNS: Final = (
    "timeStamp",
    "elapsed",
    "label",
    "responseCode",
    "responseMessage",
    "threadName",
    "dataType",
    "success",
)
"""The first columns, in the order in which JMeter writes them where nobody chose otherwise."""
_KNOWN: Final = frozenset((*_COLUMNS, "URL", "SampleCount"))
_TIME: Final = re.compile(r"\d{12,13}|\d{4}[-/]\d\d[-/]\d\d[T ][0-9:.,]{8,16}", re.ASCII)


class _Reading(SeparatedReading):
    """What has been read so far."""

    expected = _EXPECTED

    def __init__(self, name: str, delimiter: str) -> None:
        super().__init__(name, delimiter)
        self._samples = Samples()
        self._columns: Mapping[str, int] = {}
        self._width = 0

    def text(self, line: bytes) -> str:
        return line.decode("utf-8", "replace")  # labels may be in the encoding of the machine that JMeter ran on

    def is_row(self, cells: list[str]) -> bool:
        place = self._columns.get("timeStamp")
        return place is not None and len(cells) == self._width and _TIME.fullmatch(cells[place]) is not None

    def take_cells(self, cells: list[str]) -> None:
        if _is_header(cells):
            self._columns = {name: place for place, name in reversed(list(enumerate(cells))) if name in _KNOWN}
            self._width = len(cells)
            self.header_taken()
            return
        if not self._columns and _is_headerless(cells):
            self._columns, self._width = {name: place for place, name in enumerate(_COLUMNS)}, len(cells)
        if self.delimiter == "\t":  # an empty last cell was white space at the end of the line
            cells += [""] * (self._width - len(cells))
        self.expect_cells(cells, self._width)
        self._samples.add({name: cells[place] for name, place in self._columns.items()})

    def finish(self) -> Trace | None:
        self.end_open_row()
        return self._samples.trace(self.name, self.lines - self.skipped.lines, self.skipped)


def _is_header(cells: list[str]) -> bool:
    return "timeStamp" in cells and len(set(_COLUMNS).intersection(cells)) >= 3


def _is_headerless(cells: list[str]) -> bool:
    return (
        len(cells) >= len(_COLUMNS)
        and _TIME.fullmatch(cells[0]) is not None
        and cells[1].isdecimal()
        and cells[7] in ("true", "false")
    )


def _delimiter(head: Head) -> str | None:
    """The delimiter with which a line is a header, or a row that needs none."""
    for line in head.lines[:20]:
        for delimiter in DELIMITERS:
            cells = cells_of(line.removeprefix("\ufeff"), delimiter)
            if cells is not None and (_is_header(cells) or _is_headerless(cells)):
                return delimiter
    return None


def _likeness(head: Head) -> float:
    return 1.0 if looks_like_xml(head) or _delimiter(head) is not None else 0.0


def _read(content: Content) -> Trace:
    head = Head(content.head())
    if looks_like_xml(head):
        return read_xml(content)
    return _Reading(content.name, _delimiter(head) or ",").read(content)


FORMAT: Final = Format("jmeter", "JMeter results (JTL)", _likeness, _read)
