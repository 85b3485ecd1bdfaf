"""vegeta's results, as `vegeta encode --to json` and `--to csv` write them.

    {"attack":"","seq":0,"code":200,"timestamp":"2024-05-10T14:00:00.123456789+02:00","latency":1234567,"bytes_out":0,
     "bytes_in":12,"error":"","body":"aGVsbG8=","method":"GET","url":"http://example.org/a","headers":{...}}

    1715342400123456789,200,1234567,0,12,,aGVsbG8=,,0,GET,http://example.org/a,RGF0ZTo...

`timestamp` is the START; `latency` is in nanoseconds. `code` is 0 where nothing came back, and the error's text says
why. The CSV has no header, and the more columns the newer vegeta is: 6 (to the error), 7 (the body), 9 (name of the
attack, number), 12 (method, address, headers). Body and headers are in base64 in it, and are never kept.
"""

from __future__ import annotations

import re
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.go_errors import outcome_of_error
from breakerlab.trace.formats.instants import iso_ns
from breakerlab.trace.formats.json_values import integer_at, object_on, text_at
from breakerlab.trace.formats.reading import line_format, share_of
from breakerlab.trace.formats.rows import NANOSECONDS, Rows
from breakerlab.trace.formats.separated import SeparatedOrJsonReading, cells_of
from breakerlab.trace.formats.untold import RETRIES, TIME_ZONE
from breakerlab.trace.header import object_in
from breakerlab.trace.redaction import described
from breakerlab.trace.table import Trace

_JSON: Final = "a line of JSON of vegeta encode"
_CSV: Final = "a row of vegeta encode --to csv, of 6, 7, 9 or 12 cells"
_WIDTHS: Final = (6, 7, 9, 12)
_KEYS: Final = frozenset(("seq", "code", "timestamp", "latency", "bytes_out", "bytes_in"))
_NUMBER: Final = re.compile(r"\d{1,19}", re.ASCII)
_BEGINNING: Final = re.compile(r'"?\d{16,19}"?,"?(?:0|[1-9]\d\d)"?,"?\d{1,19}"?,"?\d{1,19}"?,"?\d{1,19}"?,', re.ASCII)


class _Reading(SeparatedOrJsonReading):
    """What has been read so far, in either form; a line that begins with a brace is JSON."""

    expected = "a result of vegeta encode"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._has_zone = False

    def is_row(self, cells: list[str]) -> bool:
        return len(cells) in _WIDTHS and all(_NUMBER.fullmatch(cell) for cell in cells[:5]) and len(cells[0]) >= 16

    def take_cells(self, cells: list[str]) -> None:
        if len(cells) not in _WIDTHS:
            raise BadRow(None, f"{len(cells):,} cells", _CSV)
        for column, cell in zip(("time", "status", "latency"), cells, strict=False):
            if not _NUMBER.fullmatch(cell):
                raise BadRow(column, described(cell), _CSV)
        time, code, latency, _, _, error, *rest = cells
        _, attack, _, method, url, _ = [*rest, *[""] * (6 - len(rest))]
        self._add(int(time), int(code), int(latency), error, attack, method, url)
        self._has_zone = True

    def finish(self) -> Trace | None:
        self.end_open_row()
        return self.trace_of(self._rows, "vegeta", {RETRIES: True, TIME_ZONE: not self._has_zone})

    def take_object(self, line: bytes) -> None:
        row = object_on(line, _JSON)
        start, has_zone = iso_ns(text_at(row, "timestamp", "time"))
        code = integer_at(row, "code", "status", "an HTTP status, or 0")
        latency = integer_at(row, "latency", "latency", "nanoseconds, an integer of 0 or more")
        error, attack = text_at(row, "error", "outcome"), text_at(row, "attack", "client")
        method, url = text_at(row, "method", "endpoint"), text_at(row, "url", "endpoint")
        self._add(start, code, latency, error, attack, method, url)
        self._has_zone |= has_zone

    def _add(self, start: int, code: int, latency: int, error: str, attack: str, method: str, url: str) -> None:
        self._rows.add(
            start=start,
            latency=latency / NANOSECONDS,
            status=code or None,
            outcome=None if code else outcome_of_error(error) if error else "ok",
            client=attack,
            endpoint=f"{method} {url}" if url else "",
        )


def _is_ours(line: str) -> bool:
    line = line.removeprefix("\ufeff")
    if line.startswith("{"):
        return object_in(line.encode()).keys() >= _KEYS
    return _BEGINNING.match(line) is not None and len(cells_of(line, ",") or ()) in (0, *_WIDTHS)


FORMAT: Final = line_format("vegeta", "vegeta results", share_of(_is_ours), _Reading)
