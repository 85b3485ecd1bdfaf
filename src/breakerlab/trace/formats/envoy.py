"""Envoy's access log: its default text format, Istio's, and JSON with keys named after Envoy's operators.

    [2016-04-15T20:17:00.310Z] "POST /v1/chat HTTP/1.1" 204 - 154 0 226 100 "10.0.35.28" "ua" "id" "host" "10.0.2.1:80"
    {"start_time":"2026-01-24T01:34:36.743Z","response_code":503,"response_flags":"URX,UF","duration":28, ...}

with or without what a container runtime puts before it. The time is the START of the request, in UTC; the duration is
milliseconds until the last byte was out. A line is written at the end, so the lines are out of order.

* The response flags say what the status does not: `UO` is a request that a full circuit turned away, `UT` a timeout,
  `UF`, `UC` a connection that failed. Code 0 is no status: most often the caller has gone.
* A line stands for all attempts that Envoy made. How many is told by %UPSTREAM_REQUEST_ATTEMPT_COUNT% alone, as a JSON
  key or as the last field of the text. Without it, `URX` says that the retries were used up: that is read as two
  attempts, the least there can be, and `Source.cannot_tell` says so.
* Of the attempts before the last nothing is told: they are put at the start of the request, as errors without a status
  or latency, and the last one has the latency of the whole.
* Lines of TCP connections have no request and are skipped.
"""

from __future__ import annotations

from typing import Final

from breakerlab.trace.content import Content
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats.envoy_entry import (
    KEYS,
    LINE,
    Entry,
    entry_of,
    looks_like_text,
    spelled,
    without_container,
)
from breakerlab.trace.formats.parts import add_attempts, told
from breakerlab.trace.header import object_in
from breakerlab.trace.reading import LineReading
from breakerlab.trace.rows import SERVICE, Rows, outcome_of
from breakerlab.trace.table import Source, Trace

_USED_UP: Final = frozenset({"URX", "UpstreamRetryLimitExceeded"})

_CALLER_GONE: Final = frozenset(
    {"DC", "DownstreamConnectionTermination", "DR", "DownstreamRemoteReset"},
)
_LIMITED: Final = frozenset({"RL", "RateLimited"})
_TURNED_AWAY: Final = frozenset(
    {
        *("UO", "UpstreamOverflow", "UH", "NoHealthyUpstream", "OM", "OverloadManagerTerminated"),
        *("DO", "DropOverload", "DropOverLoad", "UDO", "UnconditionalDropOverload", "LH", "FailedLocalHealthCheck"),
    }
)
_TIMED_OUT: Final = frozenset(
    {
        *("UT", "UpstreamRequestTimeout", "SI", "StreamIdleTimeout", "DT", "DurationTimeout"),
        *("UMSDR", "UpstreamMaxStreamDurationReached"),
    }
)
_CUT: Final = frozenset(
    {
        *("UF", "UpstreamConnectionFailure", "UC", "UpstreamConnectionTermination", "UR", "UpstreamRemoteReset"),
        *("LR", "LocalReset", "UPE", "UpstreamProtocolError", "DF", "DnsResolutionFailed"),
    }
)


class _Reading(LineReading):
    expected = LINE

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._counted = self._with_zone = self._with_client = 0
        self._retried = self._guessed = self._latency_untold = False

    def take_line(self, number: int, line: bytes) -> None:
        entry = entry_of(line)
        used_up = not entry.flags.isdisjoint(_USED_UP)
        count = entry.attempts
        if count is None:
            count = 2 if used_up else 1
        add_attempts(
            self._rows,
            max(count, 1),
            start=entry.start,
            last_start=entry.start,
            latency=entry.latency,
            status=entry.status,
            outcome=outcome(entry),
            earlier="error",
            instance=entry.host or None,
            earlier_instance=None,
            service=entry.cluster or SERVICE,
            client=entry.client,
            endpoint=entry.endpoint,
        )
        self._counted += entry.attempts is not None
        self._with_zone += entry.zone_told
        self._with_client += entry.client != ""
        self._retried |= count > 1
        self._guessed |= entry.attempts is None and used_up
        self._latency_untold |= entry.latency is None

    def finish(self) -> Trace | None:
        read = self.lines - self.skipped.lines
        has_retries = self._counted == read
        cannot_tell = told(
            (not has_retries, "retries"),
            (has_retries, "retries of the callers"),
            (self._guessed, "how many attempts a line with URX stands for (read as 2, the least)"),
            (self._retried, "start of each attempt"),
            (self._retried, "outcome of the attempts before the last"),
            (self._latency_untold, "latency of some requests"),
            (not self._with_client, "client"),
            (self._with_zone < read, "time zone"),
        )
        source = Source(name=self.name, format="envoy", has_retries=has_retries, cannot_tell=cannot_tell, lines=read)
        return self._rows.trace(source, self.skipped)


def outcome(entry: Entry) -> str:
    """What the flags say, else what the status says.

    An overflow of which the upstream's own answer came through is a retry that was not made: the answer counts.
    """
    flags = entry.flags
    if flags & _CALLER_GONE:
        return "cancelled"
    if flags & _LIMITED:
        return "throttled"
    if flags & _TURNED_AWAY and not entry.answered:
        return "rejected"
    if flags & _TIMED_OUT:
        return "timeout"
    if flags & _CUT:
        return "connection"
    return "cancelled" if entry.status is None else outcome_of(entry.status)


def _is_ours(line: str) -> bool:
    text = without_container(line)
    if not text.startswith("{"):
        return looks_like_text(text)
    row = object_in(text.encode("utf-8", "replace"))
    inner = row.get("log")
    if isinstance(inner, str) and "stream" in row:
        return looks_like_text(inner) or _has_our_keys(object_in(inner.encode("utf-8", "replace")))
    return _has_our_keys(row)


def _has_our_keys(row: dict[str, object]) -> bool:
    keys = {spelled(key) for key in row}

    def has(name: str) -> bool:
        return not keys.isdisjoint(KEYS[name])

    return has("time") and has("status") and (has("flags") or ("response_code" in keys and has("host")))


def _likeness(head: Head) -> float:
    return head.share(_is_ours)


def _read(content: Content) -> Trace:
    return _Reading(content.name).read(content)


FORMAT: Final = Format("envoy", "Envoy's access log", _likeness, _read)
