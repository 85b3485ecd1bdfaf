"""Rows of our own formats: what a value must be, and the columns that they grow into."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.rows import MISSING, AttemptColumns, Words, or_nan
from breakerlab.trace.redaction import redacted
from breakerlab.trace.schema import EVENT_KINDS, FIELDS, OUTCOMES, shown, without_query

REQUIRED: Final = object()
MAX_REMEMBERED: Final = 50_000

Row = Mapping[str, Any]


def found(value: object) -> str:
    return "no such key" if value is REQUIRED else shown(value)


def value_in(row: Row, name: str, default: object = REQUIRED) -> Any:
    """The value of a field; raises BadRow."""
    field = FIELDS[name]
    value = row.get(name, default)
    if value is REQUIRED or not field.accepts(value):
        raise BadRow(name, found(value), field.expected)
    return value


def text_in(row: Row, name: str, default: object = None) -> str:
    """Text without a query string; null or absent is empty, where that is allowed."""
    value = row.get(name, default)
    if isinstance(value, str):
        value = without_query(value)
    elif value is None and default is None:
        value = ""
    if value is REQUIRED or not FIELDS[name].accepts(value):
        raise BadRow(name, found(value), FIELDS[name].expected)
    return str(value)


class Attempts(AttemptColumns):
    """The columns of the attempt table, growing."""

    def __init__(self) -> None:
        words = {name: Words(redacted) for name in ("service", "client", "endpoint", "instance")}
        super().__init__(words, {"tokens_in": array("q"), "tokens_out": array("q"), "idempotent": array("b")})
        self.time = array("d")
        self._checked: dict[str, dict[str, str]] = {name: {} for name in words}

    def expect(self, names: Iterable[str]) -> None:
        """Optional columns that the table has, whether or not a row tells them."""
        self._seen.update(name for name in names if name == "instance" or name in self._optional)

    def add_whole(self, row: Row) -> None:
        """An attempt that is one row. Raises BadRow."""
        self.add(
            row,
            time=value_in(row, "time"),
            latency=value_in(row, "latency"),
            status=value_in(row, "status"),
            outcome=value_in(row, "outcome"),
            retry_after=value_in(row, "retry_after", None),
        )

    def add(self, row: Row, *, time: float, latency: object, status: object, outcome: str, retry_after: object) -> None:
        """Everything is checked before anything is added: a bad row leaves no half row behind."""
        request, attempt = value_in(row, "request"), value_in(row, "attempt")
        words = {name: self._word(row, name) for name in self._words}
        optional = {name: value_in(row, name, None) for name in self._optional}

        self.time.append(time)
        self._latency.append(or_nan(latency))
        self._retry_after.append(or_nan(retry_after))
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

    def _word(self, row: Row, name: str) -> str:
        """A word that was seen before was checked then."""
        raw = row.get(name)
        known = self._checked[name].get(raw) if type(raw) is str else None
        if known is None:
            known = text_in(row, name, REQUIRED if name == "service" else None)
            if type(raw) is str and len(self._checked[name]) < MAX_REMEMBERED:
                self._checked[name][raw] = known
        return known

    def finish(self, place: int, latency: float, status: object, outcome: str, retry_after: object) -> None:
        """The end of an attempt that was added before."""
        self._latency[place] = latency
        self._status[place] = status or 0  # type: ignore[call-overload]
        self._outcome[place] = OUTCOMES.index(outcome)
        self._retry_after[place] = or_nan(retry_after)

    def columns(self) -> dict[str, object]:
        return self._columns_at(np.asarray(self.time))


class Events:
    """The columns of the event table, growing."""

    def __init__(self) -> None:
        self.time = array("d")
        self._value = array("d")
        self._kind = array("b")
        self._instance = Words(redacted)

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
