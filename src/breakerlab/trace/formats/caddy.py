"""Caddy's access log in JSON; other lines of Caddy's log may stand between.

    {"level":"info","ts":1795632161.8267865,"logger":"http.log.access.log0","msg":"handled request",
     "request":{"remote_ip":"192.0.2.7","method":"POST","uri":"/a?b", ...},"duration":0.025977228,"status":200, ...}

`ts` is the END of the request (seconds since 1970, or an ISO time), `duration` is in seconds. Status 0 stands for a
caller who went away before there was an answer, and for a request that no handler took, which Caddy answers at once.
"""

from __future__ import annotations

from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.instants import zoned_ns
from breakerlab.trace.formats.json_values import Object, number_at, object_on, status_at, text_at
from breakerlab.trace.formats.reading import LineReading, line_format, share_of
from breakerlab.trace.formats.rows import MAX_MOMENT, NANOSECONDS, Rows, outcome_of
from breakerlab.trace.formats.untold import RETRIES
from breakerlab.trace.header import object_in
from breakerlab.trace.table import Trace

_EXPECTED: Final = "an entry of Caddy's access log in JSON"
_DAY: Final = 86_400.0
_AT_ONCE: Final = NANOSECONDS // 1_000


class _Reading(LineReading):
    expected = _EXPECTED

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._unanswered = False

    def take_line(self, number: int, line: bytes) -> None:
        row = object_on(line, _EXPECTED)
        request = row.get("request")
        if not is_entry(row) or not isinstance(request, dict):
            raise BadRow(None, "a JSON object that is no entry of an access log", _EXPECTED)
        end, duration, status, client = _end(row), _duration(row), status_at(row, "status"), _client(request)
        method, uri = text_at(request, "method", "endpoint"), text_at(request, "uri", "endpoint")
        self._rows.add(
            start=end - (duration or 0),
            latency=None if duration is None else duration / NANOSECONDS,
            status=status,
            outcome=outcome_of(status) if status is not None else _unanswered(duration),
            client=client,
            endpoint=f"{method} {uri}".strip(),
        )
        self._unanswered = self._unanswered or status is None

    def finish(self) -> Trace | None:
        words = {RETRIES: True, "what became of requests with status 0": self._unanswered}
        return self.trace_of(self._rows, "caddy", words)


def is_entry(row: Object) -> bool:
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


def _end(row: Object) -> int:
    if isinstance(row.get("ts"), str):
        return zoned_ns(row["ts"])
    value = number_at(row, "ts", "time", "seconds since 1970, or an ISO 8601 time", MAX_MOMENT // NANOSECONDS)
    return round(value * 1_000_000) * 1_000  # a float of today ends near the microsecond


def _duration(row: Object) -> int | None:
    if row.get("duration") is None:
        return None
    expected = "seconds, at most a day (duration_format seconds)"
    return round(number_at(row, "duration", "latency", expected, _DAY) * NANOSECONDS)


def _unanswered(duration: int | None) -> str:
    """Nobody goes away within a millisecond: nothing was asked, Caddy had no handler or cut the connection."""
    return "rejected" if duration is not None and duration < _AT_ONCE else "cancelled"


def _client(request: Object) -> str:
    for key in ("client_ip", "remote_ip"):
        client = text_at(request, key, "client")
        if client:
            return client
    return text_at(request, "remote_addr", "client").rpartition(":")[0]  # until version 2.4, with the port


def _is_ours(line: str) -> bool:
    return line.startswith("{") and is_entry(object_in(line.encode("utf-8", "replace")))


FORMAT: Final = line_format("caddy", "Caddy's access log (JSON)", share_of(_is_ours), _Reading)
