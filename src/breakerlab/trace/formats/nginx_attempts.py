"""What one line of nginx stands for: the request that it answered itself, or every attempt that it passed on.

nginx writes a line when a request has ENDED, times in seconds with three decimals. Of a request that it passed on it
tells each attempt, with ", " between them, and " : " where another group of servers took over:

    request_time 0.122, upstream_addr "127.0.0.1:1, 127.0.0.1:2", upstream_status "502, 200",
    upstream_response_time "0.001, 0.120", upstream_connect_time "-, 0.000", upstream_header_time "-, 0.119"

The status of an attempt that nobody answered is nginx's own: 504 when it waited in vain, 502 when it got no connection
or no answer that was HTTP. Only a header time of "-" tells that from a server's own 504 or 502. An attempt that was
not sent, because every server of the group is marked as failed, has the name of the group for an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.rows import NANOSECONDS, Rows, outcome_of, seconds, status_code
from breakerlab.trace.schema import MAX_ATTEMPT

GONE: Final = "499"
"""nginx's status for a caller that closed the connection before it had an answer."""

MADE_UP: Final = {502: "connection", 504: "timeout"}
"""What happened where nginx had to put a status of its own."""

NOTHING: Final = ("", "-")

_BETWEEN: Final = re.compile(r" : |, ?")


class Moment(NamedTuple):
    """A time in a log."""

    ns: int
    """Nanoseconds since 1970."""
    has_parts: bool
    """Whether it tells less than seconds."""
    has_zone: bool


@dataclass(frozen=True, slots=True)
class Served:
    """What a line says, as text; empty or "-" is what it does not say."""

    end: int
    """Nanoseconds since 1970."""
    status: str
    request_time: str
    client: str
    endpoint: str
    addresses: str
    statuses: str
    response_times: str
    connect_times: str
    header_times: str
    retry_after: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    start: int
    latency: float | None
    status: int | None
    outcome: str
    instance: str | None


def add_attempts(rows: Rows, line: Served) -> None:
    """Add all that the line stands for, or nothing: raises BadRow."""
    attempts = _passed_on(line) if was_passed_on(line) else [_answered(line)]
    retry_after = asked_to_wait(line.retry_after)
    for attempt in attempts:
        rows.check(start=attempt.start, latency=attempt.latency, status=attempt.status, retry_after=retry_after)
    request = rows.new_request()
    for number, attempt in enumerate(attempts, 1):
        rows.add(
            start=attempt.start,
            latency=attempt.latency,
            status=attempt.status,
            outcome=attempt.outcome,
            request=request,
            attempt=number,
            client=line.client,
            endpoint=line.endpoint,
            instance=attempt.instance,
            retry_after=retry_after if number == len(attempts) else None,
        )


def was_passed_on(line: Served) -> bool:
    """Whether the line names an attempt on another server."""
    return any(text not in NOTHING for text in (line.addresses, line.statuses, line.response_times))


def asked_to_wait(text: str) -> float | None:
    """Seconds of a Retry-After header. What else a server may have written there, a date too, counts as nothing."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def was_not_sent(address: str) -> bool:
    """Whether the address is the name of a group: none of its servers was thought alive, and none was asked."""
    return address not in NOTHING and ":" not in address


def _answered(line: Served) -> _Attempt:
    latency, status = seconds(line.request_time), status_code(line.status)
    return _Attempt(line.end - _ns(latency), latency, status, outcome_of(status), None)


def _passed_on(line: Served) -> list[_Attempt]:
    addresses, statuses, took, connected, headers = _columns(line)
    request_time = seconds(line.request_time)
    latencies = [seconds(text) for text in took]
    start = line.end - (sum(map(_ns, latencies)) if request_time is None else _ns(request_time))
    if latencies[-1] is None and request_time is not None and None not in latencies[:-1]:
        before = sum(latency or 0.0 for latency in latencies[:-1])
        latencies[-1] = max(0.0, round(request_time - before, 9)) if before else request_time
    attempts = []
    last = len(addresses) - 1
    for place, latency in enumerate(latencies):
        text = statuses[place] or (line.status if place == last else "")
        status, outcome = _fate(addresses[place], text, connected[place], headers[place])
        if place == last and line.status == GONE:
            outcome = "cancelled"
        elif status is None and not text:
            outcome = "error"  # it went wrong, or nginx would not have tried again
        attempts.append(
            _Attempt(start, latency, status, outcome, None if addresses[place] in NOTHING else addresses[place])
        )
        start += _ns(latency)
    return attempts


def _columns(line: Served) -> list[list[str]]:
    """Addresses, statuses, response, connect and header times, as many of each as there are attempts."""
    named = {
        "upstream_addr": line.addresses,
        "upstream_status": line.statuses,
        "upstream_response_time": line.response_times,
        "upstream_connect_time": line.connect_times,
        "upstream_header_time": line.header_times,
    }
    split = {name: _split(text) for name, text in named.items()}
    most = max(map(len, split.values()))
    if most > MAX_ATTEMPT:
        raise BadRow("upstream_status", f"{most:,} attempts", f"at most {MAX_ATTEMPT:,}")
    for name, texts in split.items():
        if len(texts) not in (0, most):
            raise BadRow(name, f"{len(texts)} of them", f"{most}, as many as the line has attempts")
    return [texts or [""] * most for texts in split.values()]


def _split(text: str) -> list[str]:
    """The entries of a list; none where the line does not say."""
    text = text.removesuffix(" :").removesuffix(" : ")  # a group of which no server was asked any more
    return [] if text == "" else _BETWEEN.split(text)


def _fate(address: str, text: str, connected: str, header: str) -> tuple[int | None, str]:
    """Status and outcome of one attempt; no status where no server sent one."""
    status = status_code(text)
    if was_not_sent(address):
        return None, "rejected"
    if status in MADE_UP and "-" in (connected, header):
        return None, MADE_UP[status]
    return status, outcome_of(status)


def _ns(latency: float | None) -> int:
    return 0 if latency is None else round(latency * NANOSECONDS)
