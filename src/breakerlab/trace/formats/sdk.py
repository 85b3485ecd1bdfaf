"""Log lines of the OpenAI and Anthropic SDKs and of httpx, among those of the application they run in.

    2026-11-24 12:00:00,123 httpx INFO HTTP Request: POST http://x/v1/chat/completions "HTTP/1.1 429 Too Many Requests"
    2026-11-24 12:00:00,124 openai._base_client INFO Retrying request to /chat/completions in 0.390629 seconds
    2026-11-24 12:00:00,520 openai._base_client DEBUG Sending HTTP Request: POST http://x/v1/chat/completions

Traps. httpx writes at the END of an attempt, when the response headers are there. Its start is only in the DEBUG lines
of the SDK, or of httpcore; without them the time of a row is the end, and the trace says so. An attempt without an
answer leaves no line of httpx: at INFO a "Retrying" line is all there is, which does not say whether it was a timeout,
and the last attempt of a request leaves nothing at all. No line has an id. Which lines belong together is certain only
while attempts do not overlap within one thread or task (if the layout names it); where they do, start and latency are
left out rather than guessed, and so are retries.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Head
from breakerlab.trace.formats.reading import LineReading, line_format, text_of
from breakerlab.trace.formats.rows import NANOSECONDS, Rows, outcome_of
from breakerlab.trace.formats.sdk_line import EXPECTED, HOW_TO_ADD_THE_TIME, Line, Message, is_message, read_line
from breakerlab.trace.formats.untold import ENDPOINT, LATENCY, RETRIES, START_OF_EACH, SUB_SECOND, TIME_ZONE
from breakerlab.trace.schema import MAX_ATTEMPT
from breakerlab.trace.table import Trace

_HELD: Final = 3 * NANOSECONDS  # so long after its end an attempt may still be claimed by a line
_HELD_WITHOUT_NAME: Final = 60 * NANOSECONDS  # and so long it waits for a retry that tells the address
_NEXT_LINE: Final = NANOSECONDS // 10  # an SDK says that it will retry right after the answer
_LATE_LINE: Final = 2 * NANOSECONDS  # at DEBUG a traceback may lie between, and no retry stands alone
_ON_TIME: Final = NANOSECONDS // 4  # a retry begins so long after its wait at the latest
_FORGOTTEN: Final = 3_600 * NANOSECONDS
_SECOND: Final = NANOSECONDS
_MAX_OPEN: Final = 500  # in one thread or task, or where none is named in all of them
_MAX_FLOWS: Final = 10_000
_MAX_ROUTES: Final = 500


@dataclass(slots=True, eq=False)
class _Attempt:
    """One attempt: sent and open at first, or known by its end only."""

    method: str | None
    url: str | None
    start: int | None = None
    end: int = 0
    status: int | None = None
    outcome: str = "lost"
    retry_after: float | None = None
    request: int | None = None
    number: int = 1
    key: str | None = None
    sdk: str | None = None
    previous: _Attempt | None = None
    answered: bool = False
    is_wire: bool = False
    headers_sent: bool = False
    is_certain: bool = True
    is_claimed: bool = False
    is_stale: bool = False

    def fits(self, line: Line) -> int:
        """How well a line fits: 2 the same address, 1 nothing speaks against it, 0 not."""
        message = line.message
        if not _same_sdk(self.sdk, line.sdk):
            return 0
        if message.method is not None and self.method is not None and message.method != self.method:
            return 0
        if message.url is None or self.url is None:
            return 1
        return 2 if _path(self.url) == _path(message.url) else 0

    def may_be_retried(self, line: Line) -> bool:
        """Whether this can be the attempt of which the line says that it will be tried again."""
        path, number = line.message.url, line.message.retries
        if self.is_claimed or self.outcome in ("ok", "lost") or not _same_sdk(self.sdk, line.sdk):
            return False
        if _is_of_another_sdk(self, line):
            return False
        if number is not None and self.request is not None and self.is_certain and self.number != number:
            return False
        if self.status is not None and self.status < 500 and self.status not in (408, 409, 429):
            return False
        return path is None or self.url is None or _path(self.url).endswith(_path(path))


@dataclass(slots=True, eq=False)
class _Waiting:
    """A failed attempt of a request that will be tried again at `due`."""

    due: int
    request: int
    attempt: _Attempt

    @property
    def number(self) -> int:
        """That of the attempt to come."""
        return self.attempt.number + 1


@dataclass(slots=True)
class _Flow:
    """What goes on in one thread or task, or, if the layout names none, in all of them."""

    options: deque[Line] = field(default_factory=lambda: deque(maxlen=1_000))
    open: list[_Attempt] = field(default_factory=list)
    ended: deque[_Attempt] = field(default_factory=lambda: deque(maxlen=1_000))
    waiting: list[_Waiting] = field(default_factory=list)


def _recent(flow: _Flow, line: Line, reach: int) -> Iterator[_Attempt]:
    """The attempts that have ended at most `reach` nanoseconds before the line, the last one first."""
    return itertools.takewhile(lambda one: abs(line.time - one.end) <= reach, reversed(flow.ended))


class _Reading(LineReading):
    """What has been read so far."""

    expected = EXPECTED

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._flows: dict[str, _Flow] = {}
        self._held: deque[_Attempt] = deque()
        self._routes: dict[tuple[str | None, str], None] = {}
        self._debug_sdks: set[str | None] = set()
        self._first_without_time: int | None = None
        self._slack = 0
        self._is_debug = self._hides_retries = self._has_answers = False
        self._lacks_zone = self._has_fraction = self._has_wire = False
        self._uncertain = self._by_end_only = self._unexplained = self._nameless = 0
        self._takers: Mapping[str, Callable[[_Flow, Line], None]] = {
            "transport": self._transport,
            "options": self._options,
            "sending": self._sending,
            "response": self._response,
            "timeout": self._no_answer,
            "failure": self._no_answer,
            "retry": self._retry,
            "wire": self._wire,
        }

    def take_line(self, number: int, line: bytes) -> None:
        try:
            read = read_line(text_of(line, EXPECTED))
        except BadRow as bad:
            if bad.column == "time" and self._first_without_time is None:
                self._first_without_time = number
            raise
        self._lacks_zone |= not read.has_zone
        self._has_fraction |= read.has_fraction
        self._slack = 0 if self._has_fraction else _SECOND
        self._let_go(read.time)
        taker = self._takers.get(read.message.kind)
        if taker is not None:
            taker(self._flow(read.flow), read)

    def finish(self) -> Trace | None:
        for flow in self._flows.values():
            self._close_all(flow)
        self._let_go(None)
        if not self._rows and self._first_without_time is not None:
            raise TraceError(self.name, self._first_without_time, "time", "no date and time", HOW_TO_ADD_THE_TIME)
        has_retries = self._is_debug and not (self._hides_retries or self._uncertain or self._by_end_only)
        words = {
            RETRIES: not has_retries,
            LATENCY: self._by_end_only or not self._has_fraction,
            START_OF_EACH: self._by_end_only,
            "outcome of attempts without an answer": self._unexplained,
            "last attempts without an answer": not (self._is_debug or self._has_wire),
            "attempts that were answered": not self._has_answers,
            ENDPOINT: self._nameless,
            TIME_ZONE: self._lacks_zone,
            SUB_SECOND: not self._has_fraction,
        }
        return self.trace_of(self._rows, "sdk", words, has_retries=has_retries)

    def _flow(self, name: str) -> _Flow:
        flow = self._flows.pop(name, None) or _Flow()
        self._flows[name] = flow  # the last one now: the first one has been silent for longest
        if len(self._flows) > _MAX_FLOWS:
            self._close_all(self._flows.pop(next(iter(self._flows))))
        return flow

    # What the lines say.

    def _transport(self, flow: _Flow, line: Line) -> None:
        message, self._has_answers = line.message, True
        self._learn(message)
        open_ones = [one for one in flow.open if not one.answered]
        attempt = self._one_of(open_ones, line)
        if attempt is None:
            self._ended(flow, self._answered(_Attempt(message.method, message.url), line))
            return
        self._answered(attempt, line)
        attempt.url = message.url
        if attempt.is_wire:
            self._close(flow, attempt)

    def _response(self, flow: _Flow, line: Line) -> None:
        message, self._has_answers = line.message, True
        if message.url is not None:
            self._learn(message)
        answered = [one for one in flow.open if one.answered and one.status == message.status]
        attempt = self._one_of(answered, line) or self._one_of([o for o in flow.open if not o.answered], line)
        if attempt is not None:
            self._answered(attempt, line)
            self._close(flow, attempt)
            return
        known = self._just_ended(flow, line)
        if known is None:
            self._ended(flow, self._answered(_Attempt(message.method, message.url), line))
        elif message.retry_after is not None:
            known.retry_after = message.retry_after

    def _just_ended(self, flow: _Flow, line: Line) -> _Attempt | None:
        """The attempt of which httpx has told already."""
        for attempt in _recent(flow, line, _NEXT_LINE + self._slack):
            if attempt.status == line.message.status and attempt.fits(line):
                return attempt
        return None

    def _options(self, flow: _Flow, line: Line) -> None:
        flow.options.append(line)

    def _sending(self, flow: _Flow, line: Line) -> None:
        self._is_debug = True
        self._debug_sdks.add(line.sdk)
        message = line.message
        self._hides_retries |= message.hides_retries
        options = self._options_of(flow, line)
        attempt = _Attempt(message.method, message.url, start=line.time, key=options.key, sdk=line.sdk)
        self._number(flow, attempt, options)
        for one in reversed(flow.ended):
            if one.is_stale:
                break
            one.is_stale = True
        self._open(flow, attempt)

    def _options_of(self, flow: _Flow, line: Line) -> Message:
        for one in flow.options:
            if _same_sdk(one.sdk, line.sdk):
                flow.options.remove(one)
                return one.message
        return Message("options")

    def _no_answer(self, flow: _Flow, line: Line) -> None:
        outcome = "timeout" if line.message.kind == "timeout" else "connection"
        if self._is_debug:
            attempt = self._one_of(flow.open, line)
        else:  # httpcore has told already, if it was asked to
            recent = _recent(flow, line, _NEXT_LINE + self._slack)
            attempt = next((one for one in recent if one.status is None), None)
            if attempt is not None:
                attempt.outcome = outcome
                return
        attempt = attempt or _Attempt(None, None)
        attempt.end, attempt.outcome, attempt.status = line.time, outcome, None
        if attempt in flow.open:
            self._close(flow, attempt)
        else:
            self._ended(flow, attempt)

    def _wire(self, flow: _Flow, line: Line) -> None:
        """A step of httpcore: it counts only where no SDK tells better."""
        if self._is_debug and not any(one.is_wire for one in flow.open):
            return
        self._has_wire, outcome = True, line.message.key
        if outcome is not None:
            attempt = self._one_of([one for one in flow.open if one.is_wire and not one.answered], line)
            if attempt is not None:
                attempt.end, attempt.outcome = line.time, "timeout" if outcome == "timeout" else "connection"
                self._close(flow, attempt)
            return
        connecting = next((one for one in flow.open if not one.headers_sent), None)
        if line.message.method is None:  # connect_tcp
            self._open(flow, self._begun(line))
        elif connecting is not None:
            connecting.headers_sent, connecting.method = True, line.message.method
        else:
            attempt = self._begun(line)
            attempt.headers_sent, attempt.method = True, line.message.method
            self._open(flow, attempt)

    def _begun(self, line: Line) -> _Attempt:
        return _Attempt(None, None, start=line.time, request=self._rows.new_request(), is_wire=True)

    def _retry(self, flow: _Flow, line: Line) -> None:
        message = line.message
        reach = (_LATE_LINE if self._is_debug else _NEXT_LINE) + self._slack
        failed = [one for one in _recent(flow, line, reach) if one.may_be_retried(line)]
        failed.reverse()
        fresh = [one for one in failed if not one.is_stale]
        if not failed and line.sdk in self._debug_sdks:  # then the attempt has a line, but was taken for another's
            self._uncertain += 1
            return
        if not failed:
            method, url = self._route_of(message.url)
            self._unexplained += 1
            attempt = _Attempt(method, url, end=line.time, outcome="connection", is_claimed=True)
            self._ended(flow, attempt)
            return
        attempt = (fresh or failed)[0]
        attempt.is_claimed = True
        if attempt.url is None:
            attempt.method, attempt.url = self._route_of(message.url) if message.url else (attempt.method, None)
        if len(fresh) != 1 or attempt.request is None or not attempt.is_certain:
            self._uncertain += 1
            return
        wait = round((message.wait or 0.0) * 1e9)
        flow.waiting.append(_Waiting(line.time + wait, attempt.request, attempt))
        if len(flow.waiting) > _MAX_OPEN:
            flow.waiting.pop(0)
            self._uncertain += 1

    # Which lines belong together.

    def _one_of(self, attempts: list[_Attempt], line: Line) -> _Attempt | None:
        """The attempt that the line is about; if it could be about several, none of them is certain any more."""
        best = max((one.fits(line) for one in attempts), default=0)
        fitting = [one for one in attempts if best and one.fits(line) == best]
        if len(fitting) > 1:
            for one in fitting:
                one.is_certain = False
        return fitting[0] if fitting else None

    def _number(self, flow: _Flow, attempt: _Attempt, options: Message) -> None:
        """Give a new attempt its request: the one that waits for it, or a new one."""
        now = attempt.start or 0
        is_named = options.key is not None or options.retries is not None
        waiting = [one for one in self._still_waiting(flow, now, is_named) if _same_sdk(one.attempt.sdk, attempt.sdk)]
        if options.key is not None:
            fitting = [one for one in waiting if one.attempt.key == options.key]
        elif options.retries is not None:
            attempt.number = options.retries + 1
            fitting = [one for one in waiting if one.number == attempt.number and not one.attempt.key]
            if len(fitting) > 1:
                fitting = [one for one in fitting if self._is_due(one, now)]
        else:
            fitting = [one for one in waiting if self._is_due(one, now) and _same(one.attempt.url, attempt.url)]
        if len(fitting) == 1:
            attempt.request, attempt.number = fitting[0].request, fitting[0].number
            attempt.previous = fitting[0].attempt
            attempt.url = attempt.url or attempt.previous.url
            flow.waiting.remove(fitting[0])
            return
        attempt.request = self._rows.new_request()
        if fitting or attempt.number > 1:
            self._uncertain += 1

    def _still_waiting(self, flow: _Flow, now: int, is_named: bool) -> list[_Waiting]:
        """Those whose time is not over; a retry that nothing names must come on time."""
        patience = _FORGOTTEN if is_named else _ON_TIME + self._slack
        late = [one for one in flow.waiting if now > one.due + patience]
        for one in late:
            flow.waiting.remove(one)
            self._uncertain += not is_named
        return flow.waiting

    def _is_due(self, waiting: _Waiting, now: int) -> bool:
        return waiting.due - self._slack - _NEXT_LINE <= now <= waiting.due + _ON_TIME + self._slack

    def _learn(self, message: Message) -> None:
        if message.url is not None and len(self._routes) < _MAX_ROUTES:
            self._routes[message.method, _without_query(message.url)] = None

    def _route_of(self, path: str | None) -> tuple[str | None, str | None]:
        """The method and address of a path that a retry names, if exactly one that was seen ends with it."""
        if path is None:
            return None, None
        seen = {route for route in self._routes if _path(route[1]).endswith(_path(path))}
        return next(iter(seen)) if len(seen) == 1 else (None, path)

    # From attempts to rows.

    def _answered(self, attempt: _Attempt, line: Line) -> _Attempt:
        message = line.message
        attempt.end, attempt.status, attempt.answered = line.time, message.status, True
        attempt.outcome = outcome_of(message.status)
        attempt.url = attempt.url or message.url
        self._name_those_before(attempt)
        if message.retry_after is not None:
            attempt.retry_after = message.retry_after
        return attempt

    def _name_those_before(self, attempt: _Attempt) -> None:
        """The attempts of one request have one address, though a timeout does not tell it."""
        one = attempt
        while one.previous is not None:
            one, before = one.previous, one
            one.url, one.method, before.previous = one.url or attempt.url, one.method or attempt.method, None

    def _open(self, flow: _Flow, attempt: _Attempt) -> None:
        """Begin an attempt; one that was begun too long or too many attempts ago counts as lost."""
        first = flow.open[0] if flow.open else attempt
        if len(flow.open) >= _MAX_OPEN or (attempt.start or 0) - (first.start or 0) > _FORGOTTEN:
            self._close(flow, first)
        flow.open.append(attempt)

    def _close(self, flow: _Flow, attempt: _Attempt) -> None:
        flow.open.remove(attempt)
        self._ended(flow, attempt)

    def _ended(self, flow: _Flow, attempt: _Attempt) -> None:
        flow.ended.append(attempt)
        self._held.append(attempt)

    def _close_all(self, flow: _Flow) -> None:
        for attempt in list(flow.open):
            self._close(flow, attempt)

    def _let_go(self, now: int | None) -> None:
        """Make rows of the attempts that no further line can be about."""
        while self._held and (now is None or now - self._held[0].end > _HELD):
            first = self._held[0]
            if now is not None and first.url is None and first.is_claimed and now - first.end <= _HELD_WITHOUT_NAME:
                return
            self._add(self._held.popleft())

    def _add(self, attempt: _Attempt) -> None:
        start, is_lost = attempt.start, attempt.outcome == "lost"
        is_known = start is not None and (is_lost or (attempt.is_certain and attempt.end >= start))
        self._by_end_only += not is_known
        self._nameless += attempt.url is None
        latency = None
        if is_known and not is_lost and self._has_fraction:
            latency = (attempt.end - (start or 0)) / NANOSECONDS
        self._rows.add(
            start=start if is_known and start is not None else attempt.end,
            latency=latency,
            status=attempt.status,
            outcome=attempt.outcome,
            request=attempt.request,
            attempt=min(attempt.number, MAX_ATTEMPT),
            endpoint=" ".join(part for part in (attempt.method, _with_path(attempt.url)) if part),
            instance=_host(attempt.url),
            retry_after=attempt.retry_after,
        )


_HOST: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,20}://([^/?#\s]{1,400})")


def _host(url: str | None) -> str | None:
    found = None if url is None else _HOST.match(url)
    return None if found is None else found[1].rpartition("@")[2]


def _without_query(url: str) -> str:
    return url.partition("?")[0].partition("#")[0][:2_000]


def _path(url: str) -> str:
    """The path of an address, or what stands for it."""
    url = _without_query(url)
    return url if "://" not in url else "/" + url.partition("://")[2].partition("/")[2]


def _with_path(url: str | None) -> str:
    return "" if url is None else _path(url)


def _is_of_another_sdk(attempt: _Attempt, line: Line) -> bool:
    """httpx does not say for whom it sends; only one of the SDKs posts to /v1/messages."""
    is_anthropic = attempt.url is not None and _path(attempt.url).endswith("/v1/messages")
    return attempt.sdk is None and line.sdk is not None and is_anthropic != (line.sdk == "anthropic")


def _same_sdk(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or _path(one) == _path(other)


_PLACES: Final = re.compile(rb'HTTP Request: [A-Z]{3,7} \S{1,2000} "?HTTP/|Retrying request (?:to /\S{0,200} )?in \d')


def _likeness(head: Head) -> float:
    """An application writes much else, so that one certain line in the head is enough to be more than nothing."""
    share = head.share(is_message)
    if share:
        return 0.2 + 0.7 * share
    is_json_document = head.data[:200].lstrip()[:1] in (b"{", b"[") and b'"resourceSpans"' in head.data
    return 0.1 if _PLACES.search(head.data) and not is_json_document else 0.0


FORMAT: Final = line_format("sdk", "log lines of the OpenAI or Anthropic SDK or of httpx", _likeness, _Reading)
