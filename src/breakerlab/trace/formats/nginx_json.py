"""A line of nginx in JSON, of any `log_format ... escape=json` whose keys are named after the variables, or nearly.

    {"msec":"1795631975.759","remote_addr":"127.0.0.1","request":"GET /a?b HTTP/1.1","status":200,
     "request_time":"0.001","upstream_addr":"127.0.0.1:1, 127.0.0.1:2","upstream_status":"502, 200", ...}

Numbers may be numbers or text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.common_log import TIME, clf_ns, endpoint_in
from breakerlab.trace.formats.instants import decimal_ns, epoch_unit, iso_ns
from breakerlab.trace.formats.json_values import object_of
from breakerlab.trace.formats.nginx_attempts import Moment, Served
from breakerlab.trace.formats.reading import text_of
from breakerlab.trace.formats.rows import NANOSECONDS
from breakerlab.trace.redaction import described

EXPECTED: Final = "an nginx access-log line"

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("msec", "timestamp", "@timestamp", "time_iso8601", "ts", "time", "time_local", "date"),
    "status": ("status", "response", "status_code", "http_status"),
    "request_time": ("request_time", "responsetime", "response_time", "duration"),
    "client": ("remote_addr", "remote_ip", "clientip", "client_ip", "client"),
    "request": ("request",),
    "method": ("request_method", "method"),
    "target": ("request_uri", "uri", "request_path", "url", "path"),
    "addresses": ("upstream_addr", "upstreamhost"),
    "statuses": ("upstream_status",),
    "response_times": ("upstream_response_time", "upstreamtime", "upstream_time"),
    "connect_times": ("upstream_connect_time",),
    "header_times": ("upstream_header_time",),
    "retry_after": ("upstream_http_retry_after", "sent_http_retry_after"),
}
"""Under which keys the parts of a line stand; of several the first that the line has."""

NGINX_ONLY: Final = frozenset(
    key
    for keys in (
        ("msec", "time_iso8601", "time_local", "request_time", "responsetime", "request_uri", "request_method"),
        ("remote_addr", "remote_user", "body_bytes_sent", "bytes_sent"),
        ("http_user_agent", "http_referer", "http_referrer"),
        ("upstream_addr", "upstreamhost", "upstream_status", "upstream_response_time", "upstreamtime"),
    )
    for key in keys
)
"""Keys that hardly anything but nginx writes."""

NUMBER: Final = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,9}))?", re.ASCII)
_TIME_EXPECTED: Final = "$msec, $time_iso8601 or $time_local"
_MAX_INTEGER: Final = 10**18
_CLF: Final = re.compile(rf"\[?({TIME})\]?", re.ASCII)
_EPOCH: Final = re.compile(r"[0-9]{13}|[0-9]{16}|[0-9]{19}")
"""An epoch time in ms, us or ns."""


def served_in(line: bytes) -> tuple[Served, Moment]:
    """What the line says. Raises BadRow."""
    row = object_of(text_of(line, EXPECTED), EXPECTED, once=True, finite=True)
    texts = {part: _text(row, KEYS[part]) for part in _KEPT}
    if not texts["status"]:
        raise BadRow("status", "no such key", "an HTTP status")
    request = _text(row, KEYS["request"])
    method, target = ("", "") if request else (_text(row, KEYS["method"]), _text(row, KEYS["target"]))
    moment = moment_in(_text(row, KEYS["time"]))
    served = Served(
        end=moment.ns,
        endpoint=asked(asked_text(request, method, target)),
        **texts,
    )
    return served, moment


_KEPT: Final = tuple(part for part in KEYS if part not in ("time", "request", "method", "target"))


def key_of(part: str, keys: Mapping[str, Any]) -> str | None:
    """The key under which a line with these keys has this part."""
    return next((key for key in KEYS[part] if key in keys), None)


def asked_text(request: str, method: str, target: str) -> str:
    """What was asked for, the query cut off: "GET /a HTTP/1.1", or "GET /a" from its parts."""
    return (request or f"{method} {target}").partition("?")[0]


@lru_cache(maxsize=2**16)
def asked(text: str) -> str:
    """The endpoint in what was asked for; empty if that was no request."""
    text = text.strip()
    return text.partition(" ")[0] if text.startswith("/") else endpoint_in(text)


@lru_cache(maxsize=4096)  # lines of one second stand together
def moment_in(text: str) -> Moment:
    """The time in any of the three ways in which nginx writes it. Raises BadRow."""
    if NUMBER.fullmatch(text):
        return Moment(decimal_ns(text, NANOSECONDS), "." in text, True)
    if _EPOCH.fullmatch(text):
        return Moment(int(text) * epoch_unit(int(text)), True, True)
    if found := _CLF.fullmatch(text):
        return Moment(clf_ns(found[1]), False, True)
    try:
        moment, has_zone = iso_ns(text)
    except BadRow:
        raise BadRow("time", described(text) if text else "no time", _TIME_EXPECTED) from None
    return Moment(moment, "." in text, has_zone)


def is_ours(row: Mapping[str, object]) -> bool:
    """Whether an object with these keys and values may be a line of nginx."""
    values = (row.get(key) for keys in KEYS.values() for key in keys)
    if any(isinstance(value, (dict, list, bool)) for value in values) or "kind" in row:
        return False
    return NGINX_ONLY.isdisjoint(row) is False and all(key_of(part, row) for part in ("time", "status"))


def _text(row: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """The first of these keys that the row has, as text; a number as a log would write it."""
    key = next((key for key in keys if key in row), None)
    value = "" if key is None else row[key]
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_INTEGER:
        value = int(value)
    if isinstance(value, float) or (type(value) is int and abs(value) < _MAX_INTEGER):
        return f"{value}"
    raise BadRow(None, described(value), f"text or a number under each key of {EXPECTED}")
