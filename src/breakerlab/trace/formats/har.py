"""HAR, the HTTP archive that browsers, playwright and proxies write: one JSON document with `log.entries`.

`startedDateTime` is the START; `time` is in milliseconds and is the sum of the timings, waiting for a free connection
(`blocked`) included: what the page had to wait. A request without an answer has the status 0 or -1, and, where the
program says it, a `_failureText` or `_error` such as net::ERR_CONNECTION_REFUSED. What came from the browser's cache
was no attempt, nor what playwright answered or stopped itself. Bodies, cookies, headers and query strings are not
kept; of the headers only Retry-After is read.
"""

from __future__ import annotations

import re
from typing import Any, Final

from breakerlab.trace.content import Content
from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats.addresses import authority_in
from breakerlab.trace.formats.instants import iso_ns
from breakerlab.trace.formats.json_values import document_of, list_under, object_under, text_or_none, value_of
from breakerlab.trace.formats.rows import SERVICE, Rows, outcome_of
from breakerlab.trace.formats.untold import LATENCY, RETRIES, SOME_LATENCY, TIME_ZONE, untold
from breakerlab.trace.redaction import described
from breakerlab.trace.schema import MAX_SECONDS, MAX_STATUS, MIN_STATUS
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Source, Trace

_DOCUMENT: Final = "a HAR document, with log.entries"
_ENTRY: Final = "an entry of a HAR document"
_ADDRESS: Final = re.compile(r"https?://[^/?#\s]{1,400}", re.IGNORECASE)
_PORTS: Final = (":80", ":443")
_SECONDS: Final = re.compile(r"\s{0,10}(\d{1,9}(?:\.\d{1,9})?)\s{0,10}")
_OUTCOMES: Final = (
    (re.compile(r"timed?[_ ]?out", re.IGNORECASE), "timeout"),
    (re.compile(r"ERR_BLOCKED|blocked", re.IGNORECASE), "rejected"),
    (re.compile(r"abort|cancel", re.IGNORECASE), "cancelled"),
)


class _Reading:
    """What has been read so far of one document."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows = Rows()
        self._skipped = Skipped()
        self._lacks_zone = self._lacks_latency = self._lacks_reason = False

    def read(self, entries: list[Any]) -> Trace:
        for number, entry in enumerate(entries, 1):
            try:
                self._take(entry)
            except BadRow as bad:
                self._skipped.add(TraceError(self._name, number, bad.column, bad.found, bad.expected))
        source = Source(
            name=self._name,
            format="har",
            has_retries=False,
            cannot_tell=self._cannot_tell(),
            lines=len(entries) - self._skipped.lines,
        )
        trace = self._rows.trace(source, self._skipped)
        if trace is None:
            first = self._skipped.first
            found = "no entry" if first is None else f"{first.found} here and no readable entry in the document"
            place = (None, None, _DOCUMENT) if first is None else (first.line, first.column, first.expected)
            raise TraceError(self._name, place[0], place[1], found, place[2])
        return trace

    def _cannot_tell(self) -> tuple[str, ...]:
        words = {
            RETRIES: True,
            SOME_LATENCY: self._lacks_latency and self._rows.tells(LATENCY),
            "why there was no answer": self._lacks_reason,
            TIME_ZONE: self._lacks_zone,
        }
        return untold(words, self._rows)

    def _take(self, entry: object) -> None:
        if not isinstance(entry, dict):
            raise BadRow(None, described(entry), _ENTRY)
        request, response = object_under(entry, "request"), object_under(entry, "response")
        url = text_or_none(request.get("url")) or ""
        address = _ADDRESS.match(url)
        if address is None:
            raise BadRow("endpoint", described(request.get("url")), "an address of http or https")
        if text_or_none(entry.get("_fromCache")):
            raise BadRow(None, "an answer from the browser's cache", "a request that was sent")
        if entry.get("_wasFulfilled") is True or entry.get("_wasAborted") is True:
            raise BadRow(None, "an answer of the program that drives the browser", "a request that was sent")
        moment, has_zone = iso_ns(entry.get("startedDateTime"))
        status = _status(response.get("status"))
        latency = _latency(entry.get("time"))
        reason = None if status is not None else _reason(entry, response)
        self._rows.add(
            start=moment,
            latency=latency,
            status=status,
            outcome=outcome_of(status) if status is not None else _outcome(reason),
            service=_host(authority_in(address[0])) or SERVICE,
            endpoint=f"{text_or_none(request.get('method')) or ''} {url}".strip(),
            instance=text_or_none(entry.get("serverIPAddress")),
            retry_after=_retry_after(response),
        )
        self._lacks_zone |= not has_zone
        self._lacks_latency |= latency is None
        self._lacks_reason |= status is None and reason is None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _status(value: Any) -> int | None:
    """None for what stands for no answer: 0, -1, nothing."""
    if value is None or (_is_number(value) and value in (0, -1)):
        return None
    if not (_is_number(value) and MIN_STATUS <= value <= MAX_STATUS and value == int(value)):
        raise BadRow("status", described(value), "an HTTP status, or 0 or -1")
    return int(value)


def _latency(value: Any) -> float | None:
    """Seconds, from milliseconds; None for -1 and nothing."""
    if value is None or (_is_number(value) and value == -1):
        return None
    if not (_is_number(value) and 0 <= value <= MAX_SECONDS * 1_000):
        raise BadRow("latency", described(value), "milliseconds, or -1")
    return float(value) / 1_000


def _reason(entry: dict[str, Any], response: dict[str, Any]) -> str | None:
    places = (response.get("_failureText"), response.get("_error"), entry.get("_error"), response.get("statusText"))
    return next((place for place in places if isinstance(place, str) and place), None)


def _outcome(reason: str | None) -> str:
    words = (word for pattern, word in _OUTCOMES if reason is not None and pattern.search(reason[:1_000]))
    return next(words, "connection")


def _host(address: str) -> str:
    return address.lower().removesuffix(_PORTS[0]).removesuffix(_PORTS[1])


def _retry_after(response: dict[str, Any]) -> float | None:
    for header in list_under(response, "headers"):
        name, value = (header.get("name"), header.get("value")) if isinstance(header, dict) else (None, None)
        if isinstance(name, str) and isinstance(value, str) and name.lower() == "retry-after":
            found = _SECONDS.fullmatch(value[:100])
            return None if found is None else float(found[1])
    return None


_BEGINNING: Final = re.compile(rb'\s*\{\s*"log"\s*:\s*\{')


def _likeness(head: Head) -> float:
    if not _BEGINNING.match(head.data.removeprefix(b"\xef\xbb\xbf")[:2_000]):
        return 0.0
    return 1.0 if b'"entries"' in head.data or b'"creator"' in head.data else 0.0


def _read_har(content: Content) -> Trace:
    try:
        document = value_of(document_of(content, "HAR files"), _DOCUMENT)
    except BadRow as bad:
        raise TraceError(content.name, None, None, bad.found, bad.expected) from None
    entries = object_under(document, "log").get("entries")
    if not isinstance(entries, list):
        raise TraceError(content.name, None, None, "a JSON document without log.entries", _DOCUMENT)
    return _Reading(content.name).read(entries)


FORMAT: Final = Format("har", "HAR of a browser", _likeness, _read_har)
