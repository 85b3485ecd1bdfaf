"""Our own format: one JSON object a line, as the recorder writes it.

    {"kind":"trace","version":1,"start":"2026-11-24T14:00:00.000000+00:00","source":{...}}     first line, optional
    {"kind":"begin","t":1.23,"id":"a-1","service":"llm","request":17,"attempt":1, ...}          an attempt begins
    {"kind":"end","t":1.83,"id":"a-1","outcome":"ok","status":200,"retry_after":null}           and ends
    {"kind":"event","t":2.0,"event":"pool","instance":"pipeline","value":12}                    beside the calls
    {"kind":"attempt","time":1.23,"latency":0.6,"status":200,"outcome":"ok", ...}               a whole attempt

`Trace.write` writes whole attempts and events.

Only the fields of the schema are taken from a line. A bad line costs itself and nothing else: it is skipped, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.json_values import object_on
from breakerlab.trace.formats.own import Attempts, Events, Row, text_in, value_in
from breakerlab.trace.formats.reading import LineReading, line_format, share_of
from breakerlab.trace.header import Header, header_in, object_in
from breakerlab.trace.schema import FIELDS, shown
from breakerlab.trace.table import Source, Trace

_OBJECT: Final = "one JSON object a line, as breakerlab records it"


class _Reading(LineReading):
    """What has been read so far."""

    expected = _OBJECT

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._attempts = Attempts()
        self._events = Events()
        self._row_of: dict[str, int] = {}
        self._previous = float("-inf")
        self._header: Header | None = None
        self._readers: Mapping[str, Callable[[Row], None]] = {
            "attempt": self._attempts.add_whole,
            "begin": self._begin,
            "end": self._end,
            "event": self._event,
        }

    def take_line(self, number: int, line: bytes) -> None:
        self._read(object_on(line, _OBJECT))

    def finish(self) -> Trace | None:
        if not (self._attempts.time or self._events.time):
            return None
        header = self._header or Header()
        lines = self.lines - self.skipped.lines - (self._header is not None)
        return Trace.from_columns(
            self._attempts.columns(),
            self._events.columns(),
            start=header.start,
            source=Source(self.name, "jsonl", header.has_retries, header.cannot_tell, lines, header.facts),
            skipped=self.skipped.errors(),
        )

    def _read(self, row: Row) -> None:
        kind = row.get("kind", "attempt")
        if kind == "trace":
            self._take_header(row)
            return
        reader = self._readers.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise BadRow("kind", shown(kind), "one of trace, " + ", ".join(self._readers))
        self._keep_order(row, "time" if kind == "attempt" else "t")
        reader(row)

    def _keep_order(self, row: Row, name: str) -> None:
        """Compared with the line directly above only, so that one wrong time costs one row."""
        time = value_in(row, name)
        previous, self._previous = self._previous, time
        if time < previous:
            raise BadRow(name, shown(time), f"no time before {shown(previous)}, that of the row above")

    def _take_header(self, row: Row) -> None:
        if self.lines > 1:
            raise BadRow("kind", "a header", "a header on the first line only")
        self._header = header_in(self.name, row)
        self._attempts.expect(self._header.columns)

    def _begin(self, row: Row) -> None:
        due, identity = value_in(row, "due", None), value_in(row, "id")
        if identity in self._row_of:
            raise BadRow("id", shown(identity), "an id that no attempt before has")
        time = row["t"] if due is None else due
        self._attempts.add(row, time=time, latency=None, status=None, outcome="lost", retry_after=None)
        self._row_of[identity] = len(self._attempts.time) - 1

    def _end(self, row: Row) -> None:
        outcome, identity = value_in(row, "outcome"), value_in(row, "id")
        status, retry_after = value_in(row, "status", None), value_in(row, "retry_after", None)
        place = self._row_of.get(identity)
        if place is None:
            raise BadRow("id", shown(identity), "the id of an attempt that has begun")
        if place < 0:
            raise BadRow("id", shown(identity), "the id of an attempt that has not ended yet")
        begun = self._attempts.time[place]
        latency = round(row["t"] - begun, 9)
        if not FIELDS["latency"].accepts(latency):
            raise BadRow("t", shown(row["t"]), f"no time before {shown(begun)}, when the attempt began")
        self._attempts.finish(place, latency, status, outcome, retry_after)
        self._row_of[identity] = -1

    def _event(self, row: Row) -> None:
        self._events.add(row["t"], value_in(row, "event"), text_in(row, "instance"), value_in(row, "value"))


def _is_ours(line: str) -> bool:
    row = object_in(line.encode())
    return row.get("kind") in _KINDS_OF_LINES or {"time", "outcome", "service"} <= row.keys()


_KINDS_OF_LINES: Final = ("trace", "begin", "end", "event", "attempt")


FORMAT: Final = line_format("jsonl", "breakerlab's own JSON lines", share_of(_is_ours), _Reading)
