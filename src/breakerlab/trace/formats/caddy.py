"""Caddy's access log in JSON; other lines of Caddy's log may stand between.

    {"level":"info","ts":1795632161.8267865,"logger":"http.log.access.log0","msg":"handled request",
     "request":{"remote_ip":"192.0.2.7","method":"POST","uri":"/a?b", ...},"duration":0.025977228,"status":200, ...}

`ts` is the END of the request (seconds since 1970, or an ISO time), `duration` is in seconds. Status 0 stands for a
caller who went away before there was an answer, and for a request that no handler took, which Caddy answers at once.
"""

from __future__ import annotations

from typing import Final

from breakerlab.trace.content import Content
from breakerlab.trace.errors import BadRow
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats.json_fields import Row, integer_at, iso_ns, object_on, text_at
from breakerlab.trace.header import object_in
from breakerlab.trace.reading import LineReading
from breakerlab.trace.redaction import described
from breakerlab.trace.rows import MAX_MOMENT, NANOSECONDS, Rows, outcome_of
from breakerlab.trace.schema import MAX_STATUS, MIN_STATUS
from breakerlab.trace.table import Source, Trace

_EXPECTED: Final = "an entry of Caddy's access log in JSON"
_DAY: Final = 86_400.0
_AT_ONCE: Final = NANOSECONDS // 1_000


class _Reading(LineReading):
    expected = _EXPECTED

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._latency = self._client = self._unanswered = False

    def take_line(self, number: int, line: bytes) -> None:
        row = object_on(line, _EXPECTED)
        request = row.get("request")
        if not is_entry(row) or not isinstance(request, dict):
            raise BadRow(None, "a JSON object that is no entry of an access log", _EXPECTED)
        end, duration, status, client = _end(row), _duration(row), _status(row), _client(request)
        method, uri = text_at(request, "method", "endpoint"), text_at(request, "uri", "endpoint")
        self._rows.add(
            start=end - (duration or 0),
            latency=None if duration is None else duration / NANOSECONDS,
            status=status,
            outcome=outcome_of(status) if status is not None else _unanswered(duration),
            client=client,
            endpoint=f"{method} {uri}".strip(),
        )
        self._latency = self._latency or duration is not None
        self._client = self._client or client != ""
        self._unanswered = self._unanswered or status is None

    def finish(self) -> Trace | None:
        said = {
            "retries": True,
            "latency": not self._latency,
            "client": not self._client,
            "what became of requests with status 0": self._unanswered,
        }
        source = Source(
            name=self.name,
            format="caddy",
            has_retries=False,
            cannot_tell=tuple(word for word, unknown in said.items() if unknown),
            lines=self.lines - self.skipped.lines,
        )
        return self._rows.trace(source, self.skipped)


def is_entry(row: Row) -> bool:
    """Whether a JSON object is an entry of Caddy's access log, and not of its error log."""
    request = row.get("request")
    return (
        "ts" in row
        and "status" in row
        and "err_id" not in row
        and isinstance(request, dict)
        and "uri" in request
        and "method" in request
    )


def _end(row: Row) -> int:
    value = row.get("ts")
    if isinstance(value, str):
        return iso_ns(value)
    if type(value) not in (int, float) or not 0 <= value <= MAX_MOMENT // NANOSECONDS:  # type: ignore[operator]
        raise BadRow("time", described(value), "seconds since 1970, or an ISO 8601 time")
    return round(value * 1_000_000) * 1_000  # type: ignore[operator]  # a float of today ends near the microsecond


def _duration(row: Row) -> int | None:
    value = row.get("duration")
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= _DAY:  # type: ignore[operator]
        raise BadRow("latency", described(value), "seconds, at most a day (duration_format seconds)")
    return round(value * NANOSECONDS)  # type: ignore[operator]


def _status(row: Row) -> int | None:
    status = integer_at(row, "status", "status", MAX_STATUS)
    if status and status < MIN_STATUS:
        raise BadRow("status", str(status), f"0 or an integer from {MIN_STATUS} to {MAX_STATUS}")
    return status or None


def _unanswered(duration: int | None) -> str:
    """Nobody goes away within a millisecond: nothing was asked, Caddy had no handler or cut the connection."""
    return "rejected" if duration is not None and duration < _AT_ONCE else "cancelled"


def _client(request: Row) -> str:
    for key in ("client_ip", "remote_ip"):
        client = text_at(request, key, "client")
        if client:
            return client
    return text_at(request, "remote_addr", "client").rpartition(":")[0]  # until version 2.4, with the port


def _is_ours(line: str) -> bool:
    return line.startswith("{") and is_entry(object_in(line.encode("utf-8", "replace")))


def _likeness(head: Head) -> float:
    return head.share(_is_ours)


def _read(content: Content) -> Trace:
    return _Reading(content.name).read(content)


FORMAT: Final = Format("caddy", "Caddy's access log (JSON)", _likeness, _read)
