"""HAProxy's HTTP log (`option httplog` or `option httpslog`), with or without what syslog puts before it.

    10.0.1.2:33317 [06/Feb/2009:12:14:14.655] front api/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET / ..."
    client         start                      front- backend/ TR/Tw/Tc/Tr/Ta status    |  state  .../retries  request
                                              end    server   in milliseconds  bytes  cookies

The time is the START of the request: its first byte, so an idle connection before it does not count (since 1.7; older
ones print the time at which the connection was accepted). It is local time and names no zone. A line is written at the
end, so the lines are out of order.

* -1 among the timers: that stage was never reached. `+` before the last: logged early (`option logasap`).
* retries counts the attempts before the last; `+` before it: the last went to another server. Tw is the time until the
  last attempt was sent off: waiting in queues, and all attempts before it.
* The first two letters of the state say who ended it and when; `sH` with 504 is a timeout, `CH` with 400 a caller gone.
"""

from __future__ import annotations

import re
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.common_log import endpoint_in, local_clf_ns
from breakerlab.trace.formats.proxied import add_attempts
from breakerlab.trace.formats.reading import LineReading, line_format, share_of
from breakerlab.trace.formats.rows import Rows, outcome_of, status_code, whole_number
from breakerlab.trace.formats.untold import (
    OUTCOME_BEFORE_LAST,
    RETRIES_OF_CALLERS,
    START_OF_EACH,
    SUB_SECOND,
    TIME_ZONE,
)
from breakerlab.trace.redaction import described
from breakerlab.trace.table import Trace

_LINE: Final = "a line of HAProxy's HTTP log"
_DATE: Final = re.compile(r" \[(\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: [+-]\d{4})?)\] ")
_TIMERS: Final = re.compile(r"(-?\d{1,12})/(-?\d{1,12})/(-?\d{1,12})/(-?\d{1,12})/(\+?)(-?\d{1,12})")
_TCP_TIMERS: Final = re.compile(r"-?\d{1,12}/-?\d{1,12}/\+?-?\d{1,12}")
_STATE: Final = re.compile(r"[A-Za-z-]{2}(?:[A-Za-z-]{2})?")
_COUNTS: Final = re.compile(r"\d{1,12}/\d{1,12}/\d{1,12}/\d{1,12}/(\+?)(\d{1,12})")
_QUEUES: Final = re.compile(r"\d{1,12}/\d{1,12}")
_NO_SERVER: Final = "<NOSRV>"
_MAX_RETRIES: Final = 1_000
_MILLISECOND: Final = 1_000_000

_TIMED_OUT: Final = frozenset({"sC", "sH", "sD", "sL"})
_CUT: Final = frozenset({"SC", "SH", "SD", "SL", "D", "K", "U"})
_TURNED_AWAY: Final = frozenset({"sQ", "SQ", "PC", "PQ", "R"})


class _Reading(LineReading):
    expected = _LINE

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._zones = self._fractions = 0
        self._retried = self._early = False

    def take_line(self, number: int, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        date = _DATE.search(text)
        if date is None:
            raise BadRow(None, "a line without a request", _LINE)
        start, zone_told = local_clf_ns(date[1])
        client = text[: date.start()].rpartition(" ")[2].rpartition(":")[0]
        fields = text[date.end() :].split(None, 10)
        timers = _timers(fields)
        if len(fields) < 11:
            raise BadRow(None, "a line that ends too early", _LINE)
        _, target, _, status, _, _, _, state, counts, queues, rest = fields
        backend, _, server = target.partition("/")
        retries, redispatched = _retries(counts, queues)
        waited, total, early = timers
        code = status_code(status)
        if _STATE.fullmatch(state) is None:
            raise BadRow("termination state", described(state), "two or four letters")
        outcome = _outcome(state, code, server)
        instance = None if server == _NO_SERVER else server
        late = waited if retries else 0
        add_attempts(
            self._rows,
            retries + 1,
            start=start,
            last_start=start + late * _MILLISECOND,
            latency=None if total is None else max(total - late, 0) / 1_000,
            status=code,
            outcome=outcome,
            earlier="connection",
            instance=instance,
            earlier_instance=None if redispatched else instance,
            service=backend,
            client=client,
            endpoint=endpoint_in(rest.partition('"')[2].partition('"')[0]),
        )
        self._zones += zone_told
        self._fractions += "." in date[1]
        self._retried |= retries > 0
        self._early |= early

    def finish(self) -> Trace | None:
        read = self.lines - self.skipped.lines
        words = {
            RETRIES_OF_CALLERS: True,
            START_OF_EACH: self._retried,
            OUTCOME_BEFORE_LAST: self._retried,
            TIME_ZONE: self._zones < read,
            SUB_SECOND: self._fractions < read,
            "time until the whole answer (option logasap)": self._early,
        }
        return self.trace_of(self._rows, "haproxy", words)


def _timers(fields: list[str]) -> tuple[int, int | None, bool]:
    """Milliseconds from the start to the last attempt, and in all; whether the line was logged before the end."""
    if len(fields) < 3 or "/" not in fields[1]:
        raise BadRow(None, "a line without a request", _LINE)
    found = _TIMERS.fullmatch(fields[2])
    if found is None:
        tcp = _TCP_TIMERS.fullmatch(fields[2]) is not None
        raise BadRow("timers", "those of a TCP log" if tcp else described(fields[2]), "TR/Tw/Tc/Tr/Ta")
    total = int(found[6])
    return max(int(found[1]), 0) + max(int(found[2]), 0), None if total < 0 else total, found[5] == "+"


def _retries(counts: str, queues: str) -> tuple[int, bool]:
    found = _COUNTS.fullmatch(counts)
    if found is None:
        raise BadRow("connections", described(counts), "actconn/feconn/beconn/srv_conn/retries")
    if _QUEUES.fullmatch(queues) is None:
        raise BadRow("queues", described(queues), "srv_queue/backend_queue")
    return whole_number(found[2], "retries", _MAX_RETRIES), found[1] == "+"


def _outcome(state: str, status: int | None, server: str) -> str:
    """Who ended it tells more than the status: HAProxy itself answers 400, 408, 502, 503 and 504 for others."""
    who, ended = state[0], state[:2]
    if who == "C" or ended in ("cD", "cH", "cL"):
        return "cancelled"
    if ended in _TURNED_AWAY or who in _TURNED_AWAY or (ended == "SC" and server == _NO_SERVER):
        return "rejected"
    if ended in _TIMED_OUT:
        return "timeout"
    if ended in _CUT or who in _CUT:
        return "connection"
    if ended in ("PR", "PT") and status is not None and status >= 500:
        return "rejected"
    if status is None:
        return "cancelled" if who == "c" else "connection"
    return outcome_of(status)


def _is_ours(line: str) -> bool:
    date = _DATE.search(line)
    if date is None:
        return False
    fields = line[date.end() :].split(None, 10)
    return (
        len(fields) >= 10
        and "/" in fields[1]
        and _TIMERS.fullmatch(fields[2]) is not None
        and _COUNTS.fullmatch(fields[8]) is not None
    )


FORMAT: Final = line_format("haproxy", "HAProxy's HTTP log", share_of(_is_ours), _Reading)
