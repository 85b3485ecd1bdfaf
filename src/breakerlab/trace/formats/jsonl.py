"""Our own format: one JSON object a line, as the recorder writes it.

    {"kind":"trace","version":1,"start":"2026-11-24T14:00:00.000000+00:00","source":{...}}     first line, optional
    {"kind":"begin","t":1.23,"id":"a-1","service":"llm","request":17,"attempt":1, ...}          an attempt begins
    {"kind":"end","t":1.83,"id":"a-1","outcome":"ok","status":200,"retry_after":null}           and ends
    {"kind":"event","t":2.0,"event":"pool","instance":"pipeline","value":12}                    beside the calls
    {"kind":"attempt","time":1.23,"latency":0.6,"status":200,"outcome":"ok", ...}               a whole attempt

Only the fields of the schema are taken from a line. A bad line costs itself and nothing else: it is skipped, and named.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np

from breakerlab.trace.content import Content
from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Format, Head
from breakerlab.trace.header import MAX_DEPTH, is_shallow, moment_of, object_in
from breakerlab.trace.reading import LineReading, text_of
from breakerlab.trace.rows import MISSING, Words, with_gaps
from breakerlab.trace.schema import EVENT_KINDS, FIELDS, OUTCOMES, VERSION, shown, without_query
from breakerlab.trace.table import Source, Trace

_OBJECT: Final = "one JSON object a line, as breakerlab records it"
_REQUIRED: Final = object()

Row = Mapping[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]


class _Reading(LineReading):
    """What has been read so far."""

    expected = _OBJECT

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._attempts = _Attempts()
        self._events = _Events()
        self._row_of: dict[str, int] = {}
        self._previous = float("-inf")
        self._start: datetime | None = None
        self._facts: Mapping[str, object] = {}
        self._readers: Mapping[str, Callable[[Row], None]] = {
            "attempt": self._attempt,
            "begin": self._begin,
            "end": self._end,
            "event": self._event,
        }

    def take_line(self, number: int, line: bytes) -> None:
        self._read(_row(line))

    def finish(self) -> Trace | None:
        if not (self._attempts.time or self._events.time):
            return None
        return Trace.from_columns(
            self._attempts.columns(),
            self._events.columns(),
            start=self._start,
            source=Source(name=self.name, format="jsonl", lines=self.lines - self.skipped.lines, facts=self._facts),
            skipped=self.skipped.errors(),
        )

    def _read(self, row: Row) -> None:
        kind = row.get("kind", "attempt")
        if kind == "trace":
            self._header(row)
            return
        reader = self._readers.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise BadRow("kind", shown(kind), "one of trace, " + ", ".join(self._readers))
        self._keep_order(row, "time" if kind == "attempt" else "t")
        reader(row)

    def _keep_order(self, row: Row, name: str) -> None:
        """Compared with the line directly above only, so that one wrong time costs one row."""
        time = _value(row, name)
        previous, self._previous = self._previous, time
        if time < previous:
            raise BadRow(name, shown(time), f"no time before {shown(previous)}, that of the row above")

    def _header(self, row: Row) -> None:
        if self.lines > 1:
            raise BadRow("kind", "a header", "a header on the first line only")
        version = row.get("version", _REQUIRED)
        if type(version) is int and version > VERSION:
            expected = f"version {VERSION}; a newer breakerlab may read it"
            raise TraceError(self.name, 1, "version", shown(version), expected)
        if type(version) is not int or version != VERSION:
            raise BadRow("version", _found(version), f"version {VERSION}")
        start, facts = row.get("start"), row.get("source", {})
        moment = moment_of(start)
        if moment is None and start is not None:
            raise BadRow("start", shown(start), "an ISO 8601 time with a time zone, or null")
        if not isinstance(facts, dict) or not is_shallow(facts):
            raise BadRow("source", shown(facts), f"an object, nested at most {MAX_DEPTH} deep")
        self._start, self._facts = moment, facts

    def _attempt(self, row: Row) -> None:
        self._attempts.add(
            row,
            time=row["time"],
            latency=_value(row, "latency"),
            status=_value(row, "status"),
            outcome=_value(row, "outcome"),
            retry_after=_value(row, "retry_after", None),
        )

    def _begin(self, row: Row) -> None:
        due, identity = _value(row, "due", None), _value(row, "id")
        if identity in self._row_of:
            raise BadRow("id", shown(identity), "an id that no attempt before has")
        time = row["t"] if due is None else due
        self._attempts.add(row, time=time, latency=None, status=None, outcome="lost", retry_after=None)
        self._row_of[identity] = len(self._attempts.time) - 1

    def _end(self, row: Row) -> None:
        outcome, identity = _value(row, "outcome"), _value(row, "id")
        status, retry_after = _value(row, "status", None), _value(row, "retry_after", None)
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
        self._events.add(row["t"], _value(row, "event"), _text(row, "instance"), _value(row, "value"))


def _row(line: bytes) -> Row:
    text = text_of(line, _OBJECT)
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadRow(None, _broken(line, error), _OBJECT) from None
    except ValueError:  # an integer of more digits than Python converts
        raise BadRow(None, "a number of thousands of digits", _OBJECT) from None
    except RecursionError:
        raise BadRow(None, "an object nested too deep", _OBJECT) from None
    if not isinstance(row, dict):
        raise BadRow(None, f"{_KINDS.get(type(row), 'null')} instead of an object", _OBJECT)
    return row


_KINDS: Final[Mapping[type, str]] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
}


def _broken(line: bytes, error: json.JSONDecodeError) -> str:
    if not line.startswith(b"{"):
        return "text that is no JSON object"
    if error.pos >= len(error.doc) or not line.endswith(b"}"):
        return f"a truncated line (it ends after character {len(error.doc):,})"
    return f"broken JSON (at character {error.pos + 1:,})"


def _found(value: object) -> str:
    return "no such key" if value is _REQUIRED else shown(value)


def _value(row: Row, name: str, default: object = _REQUIRED) -> Any:
    field = FIELDS[name]
    value = row.get(name, default)
    if value is _REQUIRED or not field.accepts(value):
        raise BadRow(name, _found(value), field.expected)
    return value


def _text(row: Row, name: str, default: object = None) -> str:
    """Text without a query string; null or absent is empty, where that is allowed."""
    value = row.get(name, default)
    if isinstance(value, str):
        value = without_query(value)
    elif value is None and default is None:
        value = ""
    if value is _REQUIRED or not FIELDS[name].accepts(value):
        raise BadRow(name, _found(value), FIELDS[name].expected)
    return str(value)


class _Attempts:
    """The columns of the attempt table, growing."""

    def __init__(self) -> None:
        self.time = array("d")
        self._latency = array("d")
        self._retry_after = array("d")
        self._status = array("h")
        self._outcome = array("b")
        self._request = array("q")
        self._attempt = array("h")
        self._words = {name: Words() for name in ("service", "client", "endpoint", "instance")}
        self._optional = {"tokens_in": array("q"), "tokens_out": array("q"), "idempotent": array("b")}
        self._seen: set[str] = set()

    def add(self, row: Row, *, time: float, latency: object, status: object, outcome: str, retry_after: object) -> None:
        """Everything is checked before anything is added: a bad row leaves no half row behind."""
        request, attempt = _value(row, "request"), _value(row, "attempt")
        words = {name: _text(row, name, _REQUIRED if name == "service" else None) for name in self._words}
        optional = {name: _value(row, name, None) for name in self._optional}

        self.time.append(time)
        self._latency.append(_or_nan(latency))
        self._retry_after.append(_or_nan(retry_after))
        self._status.append(status or 0)  # type: ignore[arg-type]
        self._outcome.append(OUTCOMES.index(outcome))
        self._request.append(request)
        self._attempt.append(attempt)
        for name, word in words.items():
            self._words[name].add(word)
        for name, value in optional.items():
            self._optional[name].append(MISSING if value is None else value)
            if value is not None:
                self._seen.add(name)
        if row.get("instance") is not None:
            self._seen.add("instance")

    def finish(self, place: int, latency: float, status: object, outcome: str, retry_after: object) -> None:
        self._latency[place] = latency
        self._status[place] = status or 0  # type: ignore[call-overload]
        self._outcome[place] = OUTCOMES.index(outcome)
        self._retry_after[place] = _or_nan(retry_after)

    def columns(self) -> dict[str, object]:
        columns: dict[str, object] = {
            "time": np.asarray(self.time),
            "latency": np.asarray(self._latency),
            "status": np.asarray(self._status),
            "outcome": (np.asarray(self._outcome), OUTCOMES),
            "request": np.asarray(self._request),
            "attempt": np.asarray(self._attempt),
            "retry_after": np.asarray(self._retry_after),
        }
        always = {"service", "client", "endpoint"}
        columns |= {name: words.pair() for name, words in self._words.items() if name in always | self._seen}
        columns |= {name: with_gaps(values) for name, values in self._optional.items() if name in self._seen}
        return columns


def _or_nan(value: Any) -> float:
    return float("nan") if value is None else float(value)


class _Events:
    """The columns of the event table, growing."""

    def __init__(self) -> None:
        self.time = array("d")
        self._value = array("d")
        self._kind = array("b")
        self._instance = Words()

    def add(self, time: float, kind: str, instance: str, value: float) -> None:
        self.time.append(time)
        self._value.append(value)
        self._kind.append(EVENT_KINDS.index(kind))
        self._instance.add(instance)

    def columns(self) -> dict[str, object]:
        return {
            "time": np.asarray(self.time),
            "kind": (np.asarray(self._kind), EVENT_KINDS),
            "instance": self._instance.pair(),
            "value": np.asarray(self._value),
        }


def _likeness(head: Head) -> float:
    return head.share(_is_ours)


def _is_ours(line: str) -> bool:
    row = object_in(line.encode())
    return row.get("kind") in _KINDS_OF_LINES or {"time", "outcome", "service"} <= row.keys()


_KINDS_OF_LINES: Final = ("trace", "begin", "end", "event", "attempt")


def _read_jsonl(content: Content) -> Trace:
    return _Reading(content.name).read(content)


FORMAT: Final = Format("jsonl", "breakerlab's own JSON lines", _likeness, _read_jsonl)
