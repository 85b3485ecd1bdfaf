"""Spans of OpenTelemetry in OTLP-JSON, as the file exporters of the collector and of the SDKs write them.

    {"resourceSpans":[{"resource":{...},"scopeSpans":[{"scope":{...},"spans":[{"traceId":"..","kind":3,...}]}]}]}

One such object a line, or one document. Times are nanoseconds, START and end, as text or number. A client span with
HTTP attributes, of the old or the new names, is an attempt; a span of an LLM call (`gen_ai.*`) is one where no HTTP
span lies below it. `http.request.resend_count` is missing on the first attempt and counts from 1 on the others; without
it nothing ties a retry to its request, for a parent may call the same service twice. Server spans are read where the
file has no client spans. Each span is an entry: it becomes a row or is listed in `skipped`, by the number of its line,
or in a single document by its own number. Prompts and all other attributes are not looked at.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from breakerlab.trace.content import CHUNK, MAX_DOCUMENT, BreaksOff, Content, numbered
from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats.addresses import authority_in
from breakerlab.trace.formats.json_values import document_of, list_under, object_under, text_or_none, value_of
from breakerlab.trace.formats.reading import breaks_off
from breakerlab.trace.formats.rows import MAX_MOMENT, NANOSECONDS, SERVICE, Rows, outcome_of
from breakerlab.trace.formats.untold import RETRIES, untold
from breakerlab.trace.redaction import described
from breakerlab.trace.schema import FIELDS, MAX_ATTEMPT, MAX_STATUS, MIN_STATUS
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Source, Trace

_LINE: Final = "spans in OTLP-JSON"
_SPAN: Final = "a span of an HTTP or LLM call"

Side = Literal["client", "llm", "server"]


@dataclass(frozen=True, slots=True)
class _Span:
    """One attempt, before it is known to which request it belongs. `place` is its line or number."""

    place: int
    start: int
    end: int
    status: int | None
    outcome: str
    resends: int | None
    identity: str
    parent: str
    service: str
    client: str
    endpoint: str
    tokens_in: int | None
    tokens_out: int | None


class _Reading:
    """What has been read so far."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._skipped = Skipped()
        self._spans: dict[Side, list[_Span]] = {"client": [], "llm": [], "server": []}
        self._others = array("q")
        self._entries = 0
        self._is_uncertain = False

    def take_lines(self, content: Content) -> None:
        """Read an object a line; lines of any length that fits into a document."""
        number = 0
        try:
            for first, block in numbered(content.blocks(CHUNK)):
                for number, line in enumerate(block.split(b"\n"), first):
                    if line.strip():
                        self.take_line(number, line)
        except BreaksOff as end:
            self._skip(number + 1, breaks_off(end))

    def take_line(self, number: int, line: bytes) -> None:
        try:
            if len(line) > MAX_DOCUMENT:
                raise BadRow(None, f"a line of more than {MAX_DOCUMENT:,} bytes", _LINE)
            value = value_of(line.strip(), _LINE)
        except BadRow as bad:
            self._skip(number, bad)
            return
        self.take(value, number)

    def take(self, value: object, place: int | None) -> None:
        """Read all spans of an export; without a place each has its own number."""
        exports = value if isinstance(value, list) else [value]
        for export in exports:
            if not isinstance(export, dict) or not any(key in export for key in _RESOURCE_SPANS):
                found = (
                    "metrics or logs" if isinstance(export, dict) and _is_other_signal(export) else described(export)
                )
                self._skip(place or self._entries + 1, BadRow(None, found, _LINE))
                continue
            for resource, span in _spans_of(export):
                self._take_span(span, resource, place or self._entries + 1)

    def finish(self) -> Trace:
        spans, left_out = self._chosen()
        for place, found in left_out:
            self._skip(place, BadRow(None, found, _SPAN), is_new=False)
        for place in self._others:
            self._skip(place, BadRow(None, "a span of something else", _SPAN), is_new=False)
        rows = Rows()
        has_retries = self._fill(rows, spans)
        kept = self._entries - self._skipped.lines
        source = Source(self._name, "otlp", has_retries, untold({RETRIES: not has_retries}, rows), kept)
        trace = rows.trace(source, self._skipped)
        if trace is None:
            raise self._nothing_read()
        return trace

    def _nothing_read(self) -> TraceError:
        first = self._skipped.first
        if first is None:
            return TraceError(self._name, None, None, "no span", _LINE)
        found = f"{first.found} here and no readable span in the file"
        return TraceError(self._name, first.line, first.column, found, first.expected)

    def _skip(self, place: int, bad: BadRow, is_new: bool = True) -> None:
        self._entries += is_new
        self._skipped.add(TraceError(self._name, place, bad.column, bad.found, bad.expected))

    def _take_span(self, span: object, resource: Mapping[str, Any], place: int) -> None:
        try:
            side, read = _read_span(span, resource, place)
        except BadRow as bad:
            self._skip(place, bad)
            return
        self._entries += 1
        if side is None or read is None:
            self._others.append(place)
        else:
            self._spans[side].append(read)

    def _chosen(self) -> tuple[list[_Span], Iterator[tuple[int, str]]]:
        """The spans that are attempts, and why the others are none."""
        client, llm, server = self._spans["client"], self._spans["llm"], self._spans["server"]
        above = {span.parent for span in client}
        around = [span for span in llm if span.identity in above]
        chosen = client + [span for span in llm if span.identity not in above]
        left_out: list[tuple[list[_Span], str]] = [(around, "the call around attempts that have their own spans")]
        if chosen:
            left_out.append((server, "a server's span beside those of its callers"))
        return chosen or server, ((span.place, found) for spans, found in left_out for span in spans)

    def _fill(self, rows: Rows, spans: list[_Span]) -> bool:
        """Make the rows, in order of time; whether retries are told from new requests."""
        spans.sort(key=lambda span: span.start)
        chains: dict[tuple[str, str, str], list[_Chain]] = {}
        has_resends = any(span.resends for span in spans)
        for span in spans:
            request, number = self._numbered(rows, span, chains) if has_resends else (rows.new_request(), 1)
            rows.add(
                start=span.start,
                latency=(span.end - span.start) / NANOSECONDS,
                status=span.status,
                outcome=span.outcome,
                request=request,
                attempt=number,
                service=span.service,
                client=span.client,
                endpoint=span.endpoint,
                tokens_in=span.tokens_in,
                tokens_out=span.tokens_out,
            )
        return has_resends and not self._is_uncertain

    def _numbered(self, rows: Rows, span: _Span, chains: dict[tuple[str, str, str], list[_Chain]]) -> tuple[int, int]:
        """The request and the attempt of a span, where spans count how often a request was sent again.

        A resend continues the one chain below the same parent that has so many attempts and has ended; where several
        do, it is not told which.
        """
        resends = span.resends or 0
        open_chains = chains.setdefault((span.parent, span.service, span.endpoint), [])
        fitting = [chain for chain in open_chains if chain.attempts == resends and chain.end <= span.start]
        if resends and span.parent and len(fitting) == 1:
            chain = fitting[0]
            chain.attempts, chain.end = resends + 1, span.end
            return chain.request, chain.attempts
        self._is_uncertain |= resends > 0
        chain = _Chain(rows.new_request(), resends + 1, span.end)
        if span.parent:
            open_chains.append(chain)
        return chain.request, chain.attempts


@dataclass(slots=True)
class _Chain:
    """The attempts of one request so far."""

    request: int
    attempts: int
    end: int


# One span.

_RESOURCE_SPANS: Final = ("resourceSpans", "resource_spans")
_SCOPE_SPANS: Final = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
_KINDS: Final[Mapping[object, str]] = {
    **dict.fromkeys((2, "2", "SPAN_KIND_SERVER"), "server"),
    **dict.fromkeys((3, "3", "SPAN_KIND_CLIENT"), "client"),
}
_ERRORS: Final = (
    (re.compile(r"timeout|timed[ _]?out|deadline", re.IGNORECASE), "timeout"),
    (re.compile(r"cancel|abort", re.IGNORECASE), "cancelled"),
    (re.compile(r"circuit|breaker|poolrejected", re.IGNORECASE), "rejected"),
    (re.compile(r"connect|socket|resolve|dns|network|unreachable|refused|reset|protocol|ssl|tls", re.I), "connection"),
    (re.compile(r"ratelimit|rate_limit|throttl|toomanyrequests", re.IGNORECASE), "throttled"),
    (re.compile(r"badrequest|authentication|permission|notfound|unprocessable|validation", re.I), "client_error"),
)


def _is_other_signal(export: Mapping[str, Any]) -> bool:
    return "resourceMetrics" in export or "resourceLogs" in export


def _spans_of(export: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], object]]:
    for key in _RESOURCE_SPANS:
        for part in list_under(export, key):
            resource = _attributes(object_under(part, "resource"))
            for scope_key in _SCOPE_SPANS:
                for scope in list_under(part, scope_key):
                    for span in list_under(scope, "spans"):
                        yield resource, span


def _attributes(value: object) -> dict[str, Any]:
    """The attributes that are plain values, by name."""
    found: dict[str, Any] = {}
    for attribute in list_under(value, "attributes"):
        name = attribute.get("key") if isinstance(attribute, dict) else None
        if isinstance(name, str):
            for kind, plain in object_under(attribute, "value").items():
                if kind in _PLAIN:
                    found[name] = plain
    return found


_PLAIN: Final = ("stringValue", "intValue", "doubleValue", "boolValue", "string_value", "int_value", "double_value")


def _read_span(span: object, resource: Mapping[str, Any], place: int) -> tuple[Side | None, _Span | None]:
    if not isinstance(span, dict):
        raise BadRow(None, described(span), _SPAN)
    attributes = _attributes(span)
    side = _side(span, attributes)
    if side is None:
        return None, None
    start = _moment(_first(span, ("startTimeUnixNano", "start_time_unix_nano")), "time")
    end = _moment(_first(span, ("endTimeUnixNano", "end_time_unix_nano")), "latency")
    if end < start:
        raise BadRow("latency", described((end - start) / NANOSECONDS), "an end that is not before the start")
    status = _status(attributes)
    method, target = _target(attributes)
    trace, parent = (text_or_none(_first(span, keys)) or "" for keys in _IDS[:2])
    identity = text_or_none(_first(span, _IDS[2])) or ""
    name = _text(attributes, _MODEL) if side == "llm" and not target else f"{method} {target}".strip()
    return side, _Span(
        place=place,
        start=start,
        end=end,
        status=status,
        outcome=_outcome(span, attributes, status, side),
        resends=_count(attributes, _RESENDS, "attempt", MAX_ATTEMPT - 1),
        identity=f"{trace}/{identity}",
        parent=f"{trace}/{parent}" if parent else "",
        service=_service(attributes, resource, side),
        client=_text(attributes, _CALLER) if side == "server" else _text(resource, ("service.name",)),
        endpoint=name,
        tokens_in=_count(attributes, _TOKENS_IN, "tokens_in"),
        tokens_out=_count(attributes, _TOKENS_OUT, "tokens_out"),
    )


_IDS: Final = (("traceId", "trace_id"), ("parentSpanId", "parent_span_id"), ("spanId", "span_id"))
_METHOD: Final = ("http.request.method", "http.method")
_TARGET: Final = ("url.template", "http.route", "url.path", "url.full", "http.target", "http.url")
_STATUS: Final = ("http.response.status_code", "http.status_code")
_RESENDS: Final = ("http.request.resend_count", "http.resend_count", "http.retry_count")
_HOST: Final = ("server.address", "net.peer.name", "http.host", "net.peer.ip", "net.sock.peer.addr")
_PORT: Final = ("server.port", "net.peer.port")
_CALLER: Final = ("client.address", "http.client_ip", "network.peer.address", "net.sock.peer.addr")
_MODEL: Final = ("gen_ai.request.model", "gen_ai.response.model", "llm.request.model")
_TOKENS_IN: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens")
_TOKENS_OUT: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens")


def _side(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Side | None:
    kind = span.get("kind")
    side = _KINDS.get(kind) if isinstance(kind, (str, int)) and not isinstance(kind, bool) else None
    is_http = any(name in attributes for name in (*_METHOD, *_STATUS))
    if side == "client" and is_http:
        return "client"
    if side == "server":
        return "server" if is_http else None
    return "llm" if any(name in attributes for name in _MODEL) else None


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _text(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := text_or_none(values.get(name)))), "")


def _integer(value: object) -> int | None:
    """An integer that may be written as text, as 64-bit integers are in protobuf's JSON."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value == value and abs(value) < 1e18 and value == int(value):
        return int(value)
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) else None


def _moment(value: object, column: str) -> int:
    moment = _integer(value)
    if moment is None or not 0 < moment <= MAX_MOMENT:
        raise BadRow(column, described(value), "nanoseconds since 1970, up to 2099")
    return moment


def _status(attributes: Mapping[str, Any]) -> int | None:
    value = _first(attributes, _STATUS)
    if value is None:
        value = _integer(attributes.get("error.type"))  # where the error is a status, it is named by its number
    if value is None or _integer(value) == 0:
        return None
    status = _integer(value)
    if status is None or not MIN_STATUS <= status <= MAX_STATUS:
        raise BadRow("status", described(value), "an HTTP status of three digits")
    return status


def _count(attributes: Mapping[str, Any], names: tuple[str, ...], column: str, most: int | None = None) -> int | None:
    value = _first(attributes, names)
    count = _integer(value)
    if value is None:
        return None
    if count is None or not FIELDS["tokens_in"].accepts(count) or (most is not None and count > most):
        raise BadRow(column, described(value), FIELDS[column].expected)
    return count


def _target(attributes: Mapping[str, Any]) -> tuple[str, str]:
    target = _text(attributes, _TARGET)
    if target and not target.startswith("/") and "://" not in target:
        target = f"/{target}"
    return _text(attributes, _METHOD), target


def _service(attributes: Mapping[str, Any], resource: Mapping[str, Any], side: Side) -> str:
    if side == "server":
        return _text(resource, ("service.name",)) or SERVICE
    host, port = _text(attributes, _HOST), _integer(_first(attributes, _PORT))
    if not host:
        host = authority_in(_text(attributes, ("url.full", "http.url")))
        return host or _text(attributes, ("gen_ai.system", "gen_ai.provider.name")) or SERVICE
    return host if port in (None, 80, 443) or ":" in host else f"{host}:{port}"


def _outcome(span: Mapping[str, Any], attributes: Mapping[str, Any], status: int | None, side: Side) -> str:
    if status is not None:
        return outcome_of(status)
    failure = span.get("status")
    code = failure.get("code") if isinstance(failure, dict) else None
    names = [*_failures(span, attributes)]
    if not names and code not in (2, "2", "STATUS_CODE_ERROR"):
        if side == "llm":
            return "ok"
        raise BadRow("status", "no status and no error", "an HTTP status or the type of an error")
    for name in names:
        for pattern, outcome in _ERRORS:
            if pattern.search(name):
                return outcome
    return "error" if side == "llm" else "connection"


def _failures(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> Iterator[str]:
    """What names the failure: types of errors, and the message of the status, which is looked at and not kept."""
    yield from (text[:300] for text in (_text(attributes, ("error.type",)),) if text)
    for event in list_under(span, "events"):
        yield from (text[:300] for text in (_text(_attributes(event), ("exception.type",)),) if text)
    message = text_or_none(object_under(span, "status").get("message"))
    if message is not None:
        yield message[:300]


# The file.

_LIKE: Final = re.compile(rb'"(?:resourceSpans|resource_spans)"\s{0,100}:')


def _likeness(head: Head) -> float:
    if not head.data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")):
        return 0.0
    return 1.0 if _LIKE.search(head.data) else 0.0


def _is_by_line(head: bytes) -> bool:
    """Whether each line is an object of its own; a first line that is longer than the head is read as a document."""
    first, newline, _ = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    try:
        return bool(newline) and isinstance(value_of(first, _LINE), dict)
    except BadRow:
        return False


def _read_otlp(content: Content) -> Trace:
    reading = _Reading(content.name)
    if _is_by_line(content.head()):
        reading.take_lines(content)
        return reading.finish()
    data = document_of(content, "OTLP-JSON files whose first line is long or no object")
    try:
        reading.take(value_of(data, _LINE), None)
    except BadRow as bad:
        lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
        if not any(line.lstrip().startswith(b'{"') and line.rstrip().endswith(b"}") for _, line in lines[:2]):
            raise TraceError(content.name, None, None, bad.found, bad.expected) from None
        for number, line in lines:
            reading.take_line(number, line)
    return reading.finish()


FORMAT: Final = Format("otlp", "OpenTelemetry spans in OTLP-JSON", _likeness, _read_otlp)
