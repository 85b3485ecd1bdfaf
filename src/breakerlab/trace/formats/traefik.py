"""Traefik's access log, as JSON or as text; both may stand in one file, between lines of Traefik's own log.

    {"ClientHost":"192.0.2.7","DownstreamStatus":200,"Duration":357313,"OriginDuration":324669,"OriginStatus":200,
     "RequestMethod":"GET","RequestPath":"/a?b","RetryAttempts":0,"RouterName":"web@docker","ServiceName":"api@docker",
     "ServiceURL":"http://10.0.0.3:80","StartUTC":"2026-11-24T14:02:43.587782192Z", ...}
    192.0.2.7 - - [24/Nov/2026:14:02:43 +0000] "GET /a?b HTTP/1.1" 200 357 "-" "agent" 500 "web@file" "http://a:80" 12ms

Both tell the START of a request. JSON durations are nanoseconds; a request that Traefik tried again is one line, and
both of its durations are from the first attempt to the last: all attempts are put at the start, and the last has the
whole duration. In the text the number after the agent counts requests and is no status, durations are whole
milliseconds, the agent's quotes are not escaped, and `- -` stands where Traefik sent nothing on: without a status it is
told by the missing server that no backend is to blame. The text names no service; the router that leads to it stands
for it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.addresses import authority_in
from breakerlab.trace.formats.common_log import TIME, clf_ns
from breakerlab.trace.formats.instants import zoned_ns
from breakerlab.trace.formats.json_values import Object, integer_or_none, object_on, status_at, text_at
from breakerlab.trace.formats.proxied import add_attempts
from breakerlab.trace.formats.reading import LineReading, line_format, share_of
from breakerlab.trace.formats.rows import NANOSECONDS, SERVICE, Rows, outcome_of, status_code
from breakerlab.trace.formats.untold import (
    OUTCOME_BEFORE_LAST,
    RETRIES,
    RETRIES_OF_CALLERS,
    START_OF_EACH,
    SUB_SECOND,
)
from breakerlab.trace.header import object_in
from breakerlab.trace.table import Trace

MAX_RETRIES: Final = 100
"""More retries than this in one line are no log but a flood of rows."""

_EXPECTED: Final = "a line of Traefik's access log, in JSON or in its common format"
_MADE_UP: Final = {502: "connection", 504: "timeout"}
_PROVIDER: Final = re.compile(r"@[a-z]{2,24}$", re.ASCII)
_MAX_NS: Final = 10**9 * NANOSECONDS
_MILLISECOND: Final = 1_000_000
_DURATION: Final = f"nanoseconds, an integer from 0 to {_MAX_NS:,}"
_RETRIES: Final = f"an integer from 0 to {MAX_RETRIES:,}"

_BEGINNING: Final = re.compile(rf'\[({TIME})\] "(\S+) (\S+) \S+" (\d{{1,3}}|-) (?:\d+|-) "', re.ASCII)
_ENDING: Final = re.compile(r'" (?:\d+|-) "([^"]*)" "([^"]*)" (\d{1,18})ms$', re.ASCII)
_ENDING_LENGTH: Final = 8_192  # where to look for the ending, from the right
_SIGNS: Final = frozenset(
    (
        *("StartUTC", "StartLocal", "Duration", "OriginDuration", "DownstreamStatus", "OriginStatus", "RetryAttempts"),
        *("RequestMethod", "RequestPath", "ClientHost", "RouterName", "ServiceName", "entryPointName"),
    )
)
_ENOUGH_SIGNS: Final = 4


class _Entry(NamedTuple):
    """One line, whichever its form. The duration is nanoseconds; words are empty where the line does not tell them."""

    start: int
    duration: int | None
    status: int | None
    retries: int
    service: str
    client: str
    endpoint: str
    server: str
    outcome: str


class _Reading(LineReading):
    expected = _EXPECTED

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._json = self._text = self._retried = False
        self._unsent = False

    def take_line(self, number: int, line: bytes) -> None:
        is_json = line.startswith(b"{")
        entry = _json_entry(object_on(line, _EXPECTED)) if is_json else _text_entry(line)
        self._add(entry)
        self._json, self._text = self._json or is_json, self._text or not is_json
        self._retried = self._retried or entry.retries > 0
        self._unsent = self._unsent or entry.outcome == "rejected"

    def _add(self, entry: _Entry) -> None:
        add_attempts(
            self._rows,
            entry.retries + 1,
            start=entry.start,
            last_start=entry.start,
            latency=None if entry.duration is None else entry.duration / NANOSECONDS,
            status=entry.status,
            outcome=entry.outcome,
            # Unless told to retry on statuses (version 3.7), Traefik tries again only where nobody took the request; it
            # tells the number of these attempts and nothing else.
            earlier="connection",
            instance=entry.server or None,
            service=entry.service or SERVICE,
            client=entry.client,
            endpoint=entry.endpoint,
        )

    def finish(self) -> Trace | None:
        words = {
            RETRIES: not self._retried,
            RETRIES_OF_CALLERS: self._retried,
            START_OF_EACH: self._retried,
            OUTCOME_BEFORE_LAST: self._retried,
            SUB_SECOND: self._text and not self._json,
            "status of what was not sent on": self._unsent,
        }
        return self.trace_of(self._rows, "traefik", words, has_retries=self._retried)


def _json_entry(row: Object) -> _Entry:
    if not is_entry(row):
        raise BadRow(None, "a JSON object that is no entry of an access log", _EXPECTED)
    method, path = text_at(row, "RequestMethod", "endpoint"), text_at(row, "RequestPath", "endpoint")
    router, server = text_at(row, "RouterName", "service"), text_at(row, "ServiceAddr", "instance")
    client = text_at(row, "ClientHost", "client") or text_at(row, "ClientAddr", "client")
    duration = integer_or_none(row, "Duration", "latency", _DURATION, _MAX_NS)
    server = server or _address(_server_url(row))
    status, outcome = _fate(row, server)
    return _Entry(
        start=_start(row, duration),
        duration=duration,
        status=status,
        retries=integer_or_none(row, "RetryAttempts", "attempt", _RETRIES, MAX_RETRIES) or 0,
        service=_name(text_at(row, "ServiceName", "service") or router),
        client=_first(client),
        endpoint=f"{method} {path}".strip(),
        server=server,
        outcome=outcome,
    )


def _start(row: Object, duration: int | None) -> int:
    for key in ("StartUTC", "StartLocal"):
        if row.get(key) is not None:
            return zoned_ns(row[key])
    return zoned_ns(row.get("time")) - (duration or 0)  # when the line was written


def _fate(row: Object, server: str) -> tuple[int | None, str]:
    """Status and outcome; no status where nothing answered, or Traefik made it up because the server gave none."""
    status, origin = status_at(row, "DownstreamStatus"), status_at(row, "OriginStatus")
    if status in _MADE_UP and server and row.get("OriginStatus") == 0:
        return None, _MADE_UP[status]
    return _known(status or origin, server)


def _known(status: int | None, server: str) -> tuple[int | None, str]:
    return status, outcome_of(status) if status is not None or server else "rejected"


def _server_url(row: Object) -> str:
    """The address is an object in older versions, and text in newer ones."""
    value = row.get("ServiceURL")
    return text_at(value, "Host", "instance") if isinstance(value, dict) else text_at(row, "ServiceURL", "instance")


def _text_entry(line: bytes) -> _Entry:
    text = line.decode("utf-8", "replace")
    beginning = _BEGINNING.search(text)
    ending = _ending(text)
    if beginning is None or ending is None:
        raise BadRow(None, "a line without time, request, status and duration in their places", _EXPECTED)
    time, method, path, status = beginning.groups()
    router, server, milliseconds = ending.groups()
    duration = int(milliseconds) * _MILLISECOND
    if duration > _MAX_NS:
        raise BadRow("latency", milliseconds, f"a duration of at most {_MAX_NS // _MILLISECOND:,} ms")
    client = text[: beginning.start()].partition(" - ")[0]
    server = "" if server == "-" else _address(server)
    code, outcome = _known(status_code(status), server)
    return _Entry(
        start=clf_ns(time),
        duration=duration,
        status=code,
        retries=0,
        service="" if router == "-" else _name(router),
        client=_first("" if client == "-" else client),
        endpoint=f"{method} {path}" if method != "-" else "",
        server=server,
        outcome=outcome,
    )


def _ending(text: str) -> re.Match[str] | None:
    return _ENDING.search(text, max(0, len(text) - _ENDING_LENGTH))


def _name(service: str) -> str:
    """The name without "@docker", which would look like an e-mail address; of "parent@file -> child@file" the last."""
    return _PROVIDER.sub("", service.rpartition(" -> ")[2])


def _first(client: str) -> str:
    """The first of the addresses that a proxy before Traefik named."""
    return client.partition(",")[0].strip()


def _address(url: str) -> str:
    """Host and port."""
    return authority_in(url) or url.rpartition("@")[2]


def is_entry(row: Object) -> bool:
    """Whether a JSON object has the keys of Traefik's access log; its own log has none of them."""
    return len(_SIGNS & row.keys()) >= _ENOUGH_SIGNS


def is_text_entry(line: str) -> bool:
    """Whether a line is in Traefik's own form of the Common Log Format."""
    return _ending(line) is not None and _BEGINNING.search(line) is not None


def _is_ours(line: str) -> bool:
    return is_entry(object_in(line.encode("utf-8", "replace"))) if line.startswith("{") else is_text_entry(line)


FORMAT: Final = line_format("traefik", "Traefik's access log (JSON or common)", share_of(_is_ours), _Reading)
