"""One line of a Python log, as far as it tells something about an HTTP request of the OpenAI or Anthropic SDK or httpx.

The layout in front of the message is anybody's (logging's, loguru's, structlog's, celery's, or JSON with a key for the
message), so the message is found by its wording and the time by its look. What a message quotes (prompts in "Request
options", headers) is not looked into, but for the method, the path and the key by which the SDK repeats a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.instants import calendar_ns, epoch_unit
from breakerlab.trace.formats.rows import MAX_MOMENT, NANOSECONDS
from breakerlab.trace.header import object_in
from breakerlab.trace.redaction import described
from breakerlab.trace.schema import MIN_STATUS

EXPECTED: Final = "a log line of the OpenAI or Anthropic SDK or of httpx"
HOW_TO_ADD_THE_TIME: Final = (
    'a date and a time on each line; have them written by logging.basicConfig(format="%(asctime)s %(threadName)s '
    '%(name)s %(levelname)s %(message)s")'
)

Kind = Literal["transport", "options", "sending", "response", "timeout", "failure", "retry", "note", "wire", "broken"]


@dataclass(frozen=True)
class Message:
    """What one message says; what it does not say is None.

    Kinds: `transport` httpx has received response headers; `options` an SDK builds a request; `sending` it sends one;
    `response`, `timeout`, `failure` how that ended; `retry` it will try again; `wire` a step of httpcore; `note`
    nothing that counts; `broken` the beginning of one of these with another continuation.
    """

    kind: Kind
    method: str | None = None
    url: str | None = None
    status: int | None = None
    retry_after: float | None = None
    wait: float | None = None
    retries: int | None = None
    key: str | None = None
    hides_retries: bool = False


@dataclass(frozen=True)
class Line:
    """A message, and when (nanoseconds since 1970) and where it was logged."""

    time: int
    has_zone: bool
    has_fraction: bool
    flow: str
    """The threads, tasks and processes that the layout names; "" if it names none."""
    sdk: str | None
    """The SDK that wrote the line, if the layout names the logger; None for httpx."""
    message: Message


def read_line(text: str) -> Line:
    """The line, if it is about a request. Raises BadRow; `column` is "time" where only the time is missing."""
    entry = _json_entry(text) if text.startswith("{") else None
    plain = _ANSI.sub("", text) if "\x1b" in text else text
    prefix, message = _split(plain if entry is None else _text_under(entry, _MESSAGE_KEYS))
    if message is None:
        has_time = entry is not None or _TIME.search(prefix)
        raise BadRow(None, "a line about something else" if has_time else "a line without a time", EXPECTED)
    if message.kind == "broken":
        raise BadRow(None, "a message about a request that is cut off or worded differently", EXPECTED)
    time = (None if entry is None else _json_moment(entry)) or _moment(prefix)
    if time is None:
        raise BadRow("time", "no date and time", HOW_TO_ADD_THE_TIME)
    moment, has_zone, has_fraction = time
    if not 0 <= moment <= MAX_MOMENT:
        raise BadRow("time", described(moment // NANOSECONDS), "a time from 1970 to 2099")
    if entry is None:
        flow, logger = " ".join(_FLOW.findall(_TIME.sub(" ", prefix))), prefix
    else:
        flow = " ".join(f"{entry[key]!s:.64}" for key in _FLOW_KEYS if isinstance(entry.get(key), (str, int)))
        logger = _text_under(entry, _LOGGER_KEYS)[:_MAX_PREFIX] or prefix
    sdk = _SDK.search(logger)
    return Line(moment, has_zone, has_fraction, flow, None if sdk is None else sdk[1], message)


def is_message(text: str) -> bool:
    """Whether a line, with a time or not, says something that only an SDK or httpx says."""
    entry = _json_entry(text) if text.startswith("{") else None
    if entry is not None:
        text = _text_under(entry, _MESSAGE_KEYS)
    message = _split(text)[1]
    return message is not None and message.kind in ("transport", "sending", "response", "retry")


# The message.

_ANSI: Final = re.compile(r"\x1b\[[0-9;]{0,20}m")
_MAX_PREFIX: Final = 400
_WORDS: Final = (
    "HTTP Request: ",
    "HTTP Response: ",
    "Sending HTTP Request: ",
    "Building HTTP request: ",
    "Request options: ",
    "Retrying request ",
    "Retrying due to status code ",
    "Retrying as header `x-should-retry`",
    "Not retrying",
    "Encountered httpx",
    "Encountered a timeout exception",
    "Encountered exception",
    "Encountered Exception",
    "Encountered an HTTP status error",
    "Raising timeout error",
    "Raising connection error",
    "Re-raising status error",
    "request_id: ",
    "workspace_id: ",
    "message='",
    "load_ssl_context ",
    "load_verify_locations ",
)
_WIRE: Final = (
    r"(?:connect_tcp|connect_unix_socket|start_tls|send_request_headers|send_request_body|receive_response_headers"
    r"|receive_response_body|response_closed|close|send_connection_init|retry)\.(?:started|complete|failed)\b"
)
_MARK: Final = re.compile(
    r"(?:^|(?<=[\s\]:|>)}\-]))(?:(?P<words>"
    + "|".join(map(re.escape, _WORDS))
    + r")|(?P<wire>"
    + _WIRE
    + r")|(?P<left>\d{1,6} retr(?:y|ies) left))"
)

_ANSWER: Final = re.compile(
    r'HTTP (?P<word>Request|Response): (?P<method>[A-Za-z]{1,20}|<custom>) (?:(?P<url>[^\s"\d]\S*+) )?'
    r'(?P<quote>"?)(?P<version>HTTP/\d(?:\.\d)? )?(?P<status>\d{3})(?!\d)'
)
_SENDING: Final = re.compile(r"Sending HTTP Request: (?P<method>[A-Za-z]{1,20}|<custom>)(?: (?P<url>\S+))?")
_BUILDING: Final = re.compile(
    r"Building HTTP request: method=(?P<method>[A-Za-z]{1,20}|<custom>) retries_taken=(\d{1,5})"
)
_OPTIONS: Final = re.compile(
    r"Request options: \{'method': '(?P<method>[A-Za-z]{1,20})', 'url': '(?P<url>[^']{1,2000})'"
)
_KEY: Final = re.compile(r"'idempotency_key': '([\w\-]{1,100})'")
_KEY_PLACE: Final = 4_000  # it stands before the prompts, which come last
_RETRY: Final = re.compile(
    r"Retrying request (?:to (?P<url>\S+) )?in (?P<wait>\d{1,7}(?:\.\d{1,20})?(?:e-\d{1,3})?) ?s"
    r"(?:econds?)?(?: \(retry (?P<number>\d{1,5}) of )?"
)
_RETRY_AFTER: Final = re.compile(
    r"""['"]retry-after(?P<ms>-ms)?['"](?::|,) ?['"](?P<value>\d{1,9}(?:\.\d{1,9})?)['"]""", re.IGNORECASE
)
_OLD_REQUEST: Final = re.compile(r"message='Request to OpenAI API' method=(?P<method>[A-Za-z]{1,20}) path=(?P<url>\S+)")
_OLD_RESPONSE: Final = re.compile(r"message='OpenAI API response' path=(?P<url>\S+) .{0,400}?\bresponse_code=(\d{3})\b")
_WIRE_METHOD: Final = re.compile(r"request=<Request \[b'([A-Za-z]{1,20})'\]>")
_WIRE_EXCEPTION: Final = re.compile(r"\.failed exception=(\w{0,60})")


def _split(text: str) -> tuple[str, Message | None]:
    """What stands before the message, and what the message says."""
    mark = _MARK.search(text[: _MAX_PREFIX + 60])
    if mark is None:
        return text[:_MAX_PREFIX], None
    start = mark.start()
    message = text[start:]
    if mark["left"]:
        return text[:start], Message("note")
    if mark["wire"]:
        return text[:start], _wire(mark["wire"], message)
    return text[:start], _READERS[mark["words"]](message)


def _answer(message: str) -> Message:
    found = _ANSWER.match(message)
    if found is None or int(found["status"]) < MIN_STATUS:
        return Message("broken")
    # the SDK of early 1.x said "HTTP Request" too; only httpx names the version of HTTP
    is_transport = found["word"] == "Request" and (found["version"] is not None or not found["quote"])
    return Message(
        "transport" if is_transport else "response",
        method=found["method"].upper(),
        url=found["url"],
        status=int(found["status"]),
        retry_after=None if is_transport else _retry_after(message),
    )


def _retry_after(message: str) -> float | None:
    """What the server asked for, in seconds; the finer of its two headers counts, as for the SDKs."""
    waits = {found["ms"]: float(found["value"]) for found in _RETRY_AFTER.finditer(message)}
    milliseconds = waits.get("-ms") or waits.get("-MS")
    return waits.get(None) if milliseconds is None else milliseconds / 1_000


def _sending(message: str) -> Message:
    found = _SENDING.match(message)
    return Message("broken") if found is None else Message("sending", found["method"].upper(), found["url"])


def _building(message: str) -> Message:
    found = _BUILDING.match(message)
    return Message("broken") if found is None else Message("options", found["method"].upper(), retries=int(found[2]))


def _options(message: str) -> Message:
    found, key = _OPTIONS.match(message), _KEY.search(message[:_KEY_PLACE])
    if found is None:
        return Message("note")
    return Message("options", found["method"].upper(), found["url"], key=None if key is None else key[1])


def _retry(message: str) -> Message:
    found = _RETRY.match(message)
    if found is None:
        return Message("broken")
    number = found["number"]
    return Message(
        "retry", url=found["url"], wait=float(found["wait"]), retries=None if number is None else int(number)
    )


def _encountered(message: str) -> Message:
    if "imeout" in message[:60]:
        return Message("timeout")
    return Message("note" if "tatus" in message[:60] else "failure")


def _old(message: str) -> Message:
    """The wording of openai 0.x."""
    if found := _OLD_REQUEST.match(message):
        return Message("sending", found["method"].upper(), found["url"], hides_retries=True)
    if found := _OLD_RESPONSE.match(message):
        return Message("response", url=found["url"], status=max(int(found[2]), MIN_STATUS))
    return Message("note" if message.startswith(("message='Post details'", "message='OpenAI API")) else "broken")


def _note(_: str) -> Message:
    return Message("note")


def _wire(step: str, message: str) -> Message:
    if step == "connect_tcp.started":
        return Message("wire")
    if step == "send_request_headers.started":
        found = _WIRE_METHOD.search(message[:200])
        return Message("wire", method="GET" if found is None else found[1].upper())
    if step.endswith(".failed"):
        found = _WIRE_EXCEPTION.search(message[:200])
        is_timeout = found is not None and "Timeout" in found[1]
        return Message("wire", key="timeout" if is_timeout else "failure")
    return Message("note")


_READERS: Final[Mapping[str, Callable[[str], Message]]] = {word: _note for word in _WORDS} | {
    "HTTP Request: ": _answer,
    "HTTP Response: ": _answer,
    "Sending HTTP Request: ": _sending,
    "Building HTTP request: ": _building,
    "Request options: ": _options,
    "Retrying request ": _retry,
    "Encountered httpx": _encountered,
    "Encountered a timeout exception": _encountered,
    "Encountered exception": _encountered,
    "Encountered Exception": _encountered,
    "message='": _old,
}

# The time and the thread.

Moment = tuple[int, bool, bool]

_TIME: Final = re.compile(
    r"(?<!\d)(\d{4}[-/]\d\d[-/]\d\d[T _]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(?![\d])\s?(Z|UTC|[+-]\d\d:?\d\d)?"
)
_FLOW: Final = re.compile(
    r"\b(?:MainThread|Thread-\d{1,9}|ThreadPoolExecutor-\d{1,9}_\d{1,9}|Task-\d{1,9}|asyncio_\d{1,9}"
    r"|\w{0,20}PoolWorker-\d{1,9}|\w{0,20}Process-\d{1,9}|\d{9,20})\b"
)
_SDK: Final = re.compile(r"\b(openai|anthropic)\b(?!/)")
_LOGGER_KEYS: Final = ("name", "logger", "logger_name", "logger.name")
_MESSAGE_KEYS: Final = ("message", "msg", "event", "text", "log", "MESSAGE", "textPayload")
_TIME_KEYS: Final = ("asctime", "timestamp", "@timestamp", "time", "datetime", "ts", "date", "created", "Timestamp")
_FLOW_KEYS: Final = ("process", "processName", "thread", "threadName", "thread_name", "taskName", "pid")


def _moment(prefix: str) -> Moment | None:
    """The first date and time of the text, to the nanosecond; without a zone it is taken as UTC."""
    found = _TIME.search(prefix)
    if found is None:
        return None
    second, fraction, zone = found.groups()
    try:
        return calendar_ns(second, fraction, zone), zone is not None, fraction is not None
    except ValueError:
        return None


def _json_entry(text: str) -> Mapping[str, object] | None:
    """The entry of a logger that writes JSON; loguru's holds a second one under "record"."""
    entry = object_in(text.encode("utf-8", "replace"))
    record = entry.get("record")
    return record if isinstance(record, dict) else entry or None


def _text_under(entry: Mapping[str, object], keys: tuple[str, ...]) -> str:
    return next((value for key in keys if isinstance(value := entry.get(key), str)), "")


def _json_moment(entry: Mapping[str, object]) -> Moment | None:
    for value in _times(entry):
        if isinstance(value, str) and (moment := _moment(value[:_MAX_PREFIX])):
            return moment
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 1e9 <= value < 5e18:
            return _since_1970(value), True, isinstance(value, float) or value >= 1e11
    return None


def _times(entry: Mapping[str, object]) -> Iterator[object]:
    for key in _TIME_KEYS:
        value = entry.get(key)
        yield value.get("timestamp") if isinstance(value, dict) else value


def _since_1970(value: float) -> int:
    """Nanoseconds from seconds, milliseconds, microseconds or nanoseconds: which of them, its size tells."""
    unit = epoch_unit(value)
    return value * unit if isinstance(value, int) else round(value * unit / 1_000) * 1_000
