"""Published arrivals of LLM requests: a workload only, with token counts and without latency.

    TIMESTAMP,ContextTokens,GeneratedTokens                                      Azure; UTC, in 2024 with its zone
    2023-11-16 18:17:03.9799600,4808,10

    Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type         BurstGPT; s since its first day
    5,ChatGPT,472,18,490,Conversation log

    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}      Mooncake; ms since 0

Every request is `ok` for want of better, and the trace says that it cannot tell the outcome; only in BurstGPT is an
answer of 0 tokens a failure. A time that is a plain number counts from the trace's own zero: no date is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.format import Head
from breakerlab.trace.formats.instants import decimal_ns, iso_ns
from breakerlab.trace.formats.json_values import integer_at, number_at, object_on
from breakerlab.trace.formats.reading import line_format
from breakerlab.trace.formats.rows import NANOSECONDS, Rows, seconds
from breakerlab.trace.formats.separated import SeparatedOrJsonReading, cells_of
from breakerlab.trace.formats.untold import RETRIES, TIME_ZONE
from breakerlab.trace.header import object_in
from breakerlab.trace.redaction import described
from breakerlab.trace.table import Trace

_AZURE: Final = {"TIMESTAMP": "time", "ContextTokens": "tokens_in", "GeneratedTokens": "tokens_out"}
_BURSTGPT: Final = {
    "Timestamp": "time",
    "Model": "model",
    "Request tokens": "tokens_in",
    "Response tokens": "tokens_out",
    "Elapsed time": "latency",
}
_OPTIONAL: Final = ("model", "latency")
_KEYS: Final = frozenset(("timestamp", "input_length", "output_length"))
_ROW: Final = "a row of Azure LLM, BurstGPT or Mooncake arrivals"
_COUNT: Final = "an integer, 0 or more"
_TOKENS: Final = re.compile(r"(\d{1,15})(?:\.0{1,9})?", re.ASCII)
_TIME: Final = re.compile(r"\d[0-9T:+. \-]{0,40}Z?", re.ASCII)


class _Reading(SeparatedOrJsonReading):
    """What has been read so far. Dates and plain numbers do not go together: the first row says which it is."""

    expected = _ROW

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._columns: Mapping[str, int] = {}
        self._width = 0
        self._tells_failures = self._has_zone = False
        self._is_relative: bool | None = None

    def is_row(self, cells: list[str]) -> bool:
        place = self._columns.get("time")
        return place is not None and len(cells) == self._width and _TIME.fullmatch(cells[place]) is not None

    def take_cells(self, cells: list[str]) -> None:
        known = _columns(cells)
        if known is not None:
            self._columns, self._width = known, len(cells)
            self._tells_failures = "Response tokens" in cells
            self.header_taken()
            return
        self.expect_cells(cells, self._width)
        row = {name: cells[place].strip() for name, place in self._columns.items()}
        if self._tells_failures:
            time, has_zone, is_relative = decimal_ns(row["time"], NANOSECONDS), False, True
        else:
            (time, has_zone), is_relative = iso_ns(row["time"]), False
        tokens_in, tokens_out = _tokens(row["tokens_in"], "tokens_in"), _tokens(row["tokens_out"], "tokens_out")
        latency = seconds(row.get("latency", ""))
        self._add(time, is_relative, tokens_in, tokens_out, row.get("model", ""), latency)
        self._has_zone = self._has_zone or has_zone

    def finish(self) -> Trace | None:
        self.end_open_row()
        is_relative = bool(self._is_relative)
        words = {
            "status": True,
            RETRIES: True,
            "outcome": not self._tells_failures,
            "kind of failure": self._tells_failures,
            "date": is_relative,
            TIME_ZONE: not (self._has_zone or is_relative),
        }
        return self.trace_of(self._rows, "arrivals", words, relative=is_relative)

    def take_object(self, line: bytes) -> None:
        row = object_on(line, _ROW)
        time = number_at(row, "timestamp", "time", "milliseconds, 0 or more")
        tokens_in, tokens_out = (integer_at(row, f"{name}_length", name, _COUNT) for name in ("input", "output"))
        self._add(round(time * 1_000_000), True, tokens_in, tokens_out, "", None)

    def _add(
        self, time: int, is_relative: bool, tokens_in: int, tokens_out: int, model: str, latency: float | None
    ) -> None:
        if self._is_relative is not None and self._is_relative != is_relative:
            raise BadRow("time", "another kind of time than above", "dates only, or seconds from a zero only")
        failed = self._tells_failures and is_relative and tokens_out == 0
        self._rows.add(
            start=time,
            latency=latency,
            status=None,
            outcome="error" if failed else "ok",
            endpoint=model,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
        )
        self._is_relative = is_relative


def _columns(cells: list[str]) -> Mapping[str, int] | None:
    """Where each of our columns stands, if these cells are one of the two headers."""
    names = [cell.strip() for cell in cells]
    for header in (_AZURE, _BURSTGPT):
        found = {ours: names.index(name) for name, ours in header.items() if name in names}
        if {*header.values()} - found.keys() <= {*_OPTIONAL}:
            return found
    return None


def _tokens(text: str, column: str) -> int:
    found = _TOKENS.fullmatch(text)
    if found is None:
        raise BadRow(column, described(text), _COUNT)
    return int(found.group(1))


def _likeness(head: Head) -> float:
    if any(_columns(cells_of(line.removeprefix("\ufeff"), ",") or []) for line in head.lines[:5]):
        return 1.0
    return head.share(lambda line: line.startswith("{") and object_in(line.encode()).keys() >= _KEYS)


FORMAT: Final = line_format("arrivals", "LLM arrivals (Azure, BurstGPT, Mooncake)", _likeness, _Reading)
