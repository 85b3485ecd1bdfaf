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

from breakerlab.trace.formats.envoy_entry import (
    KEYS,
    LINE,
    Entry,
    entry_of,
    looks_like_text,
    spelled,
)
from breakerlab.trace.formats.proxied import add_attempts
from breakerlab.trace.formats.reading import LineReading, line_format, share_of
from breakerlab.trace.formats.rows import SERVICE, Rows, outcome_of
from breakerlab.trace.formats.untold import (
    LATENCY,
    OUTCOME_BEFORE_LAST,
    RETRIES,
    RETRIES_OF_CALLERS,
    SOME_LATENCY,
    START_OF_EACH,
    TIME_ZONE,
)
from breakerlab.trace.header import object_in
from breakerlab.trace.table import Trace

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
        self._counted = self._with_zone = 0
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
            service=entry.cluster or SERVICE,
            client=entry.client,
            endpoint=entry.endpoint,
        )
        self._counted += entry.attempts is not None
        self._with_zone += entry.zone_told
        self._retried |= count > 1
        self._guessed |= entry.attempts is None and used_up
        self._latency_untold |= entry.latency is None

    def finish(self) -> Trace | None:
        read = self.lines - self.skipped.lines
        has_retries = self._counted == read
        words = {
            RETRIES: not has_retries,
            RETRIES_OF_CALLERS: has_retries,
            "how many attempts a line with URX stands for (read as 2, the least)": self._guessed,
            START_OF_EACH: self._retried,
            OUTCOME_BEFORE_LAST: self._retried,
            SOME_LATENCY: self._latency_untold and self._rows.tells(LATENCY),
            TIME_ZONE: self._with_zone < read,
        }
        return self.trace_of(self._rows, "envoy", words, has_retries=has_retries)


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
    return _has_our_keys(object_in(line.encode("utf-8", "replace"))) if line.startswith("{") else looks_like_text(line)


def _has_our_keys(row: dict[str, object]) -> bool:
    keys = {spelled(key) for key in row}

    def has(name: str) -> bool:
        return not keys.isdisjoint(KEYS[name])

    return has("time") and has("status") and (has("flags") or ("response_code" in keys and has("host")))


FORMAT: Final = line_format("envoy", "Envoy's access log", share_of(_is_ours), _Reading)
