"""A text line of nginx: the Common Log Format, and after it what the service's `log_format` adds.

    127.0.0.1 - - [24/Nov/2026:14:00:00 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl/8" 0.001
    ... "-" "curl/8" "192.0.2.7" 0.122 0.120
    ... "-" "curl/8" rt=0.122 uct="-, 0.000" uht="-, 0.119" urt="0.001, 0.120" ua="127.0.0.1:1, ..." us="502, 200"
    ... "-" "curl/8" 512 0.122 [shop-web-80] [] 10.0.0.1:80 612 0.120 200 5d41402a         (ingress-nginx)

Times of one value without a name are told by their three decimals: `$request_time` comes before
`$upstream_response_time`. What a client may have sent, referrer and agent, is never taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from breakerlab.trace.formats.common_log import CommonLine, FieldText, clf_ns, endpoint_in, fields_in
from breakerlab.trace.formats.nginx_attempts import Moment, Served

NAMES: Final[Mapping[str, str]] = {
    "rt": "request_time",
    "request_time": "request_time",
    "urt": "response_times",
    "ut": "response_times",
    "upstream_response_time": "response_times",
    "uct": "connect_times",
    "upstream_connect_time": "connect_times",
    "uht": "header_times",
    "upstream_header_time": "header_times",
    "us": "statuses",
    "upstream_status": "statuses",
    "ua": "addresses",
    "upstream_addr": "addresses",
    "retry_after": "retry_after",
    "upstream_http_retry_after": "retry_after",
    "sent_http_retry_after": "retry_after",
}
"""Which part of a line stands under a name."""

MOMENT: Final = Moment(0, has_parts=False, has_zone=True)
"""What a time in the Common Log Format tells."""

_BETWEEN: Final = r"(?: : |, ?)"
_DURATION: Final = r"(?:[0-9]{1,6}\.[0-9]{3}|-)"
_STATUS: Final = r"(?:[0-9]{3}|-)"
_ADDRESS: Final = r"(?:[^\s,\"]{1,255}:[0-9]{1,5}|unix:[^\s,\"]{1,255})"
_ONE_DURATION: Final = re.compile(r"[0-9]{1,6}\.[0-9]{3}")
_DURATIONS: Final = re.compile(rf"{_DURATION}(?:{_BETWEEN}{_DURATION})*+")
_STATUSES: Final = re.compile(rf"{_STATUS}(?:{_BETWEEN}{_STATUS})*+")
_ADDRESSES: Final = re.compile(rf"{_ADDRESS}(?:{_BETWEEN}{_ADDRESS})*+")
_ANY: Final = r"[^\s,]{1,255}"
_LIST: Final = rf"{_ANY}(?:(?: : |, ){_ANY})*+"
_INGRESS: Final = re.compile(
    rf"[0-9]+ ([0-9]+\.[0-9]{{3}}) \[[^\]]*\] (?:\[[^\]]*\] )?({_LIST}) {_LIST} ({_LIST}) ({_LIST}) \S+"
)
_REFERRER_AND_AGENT: Final = 2


def parts_in(line: CommonLine) -> dict[str, str]:
    """What stands behind the size, by the names of `Served`."""
    fields = fields_in(line.rest)
    skipped = _sent_by_the_client(fields)
    if found := _INGRESS.fullmatch(_behind_agent(line.rest)):
        return dict(zip(("request_time", "addresses", "response_times", "statuses"), found.groups(), strict=True))
    parts: dict[str, str] = {}
    for field in _joined(fields[skipped:]):
        part = NAMES.get(field.name) if field.name else _part_of(field.text, parts)
        if part == "addresses" and not _ADDRESSES.fullmatch(field.text) and not _is_group(field.text):
            continue  # `ua` may be the user agent
        if part is not None and part not in parts:
            parts[part] = field.text
    return parts


def served_in(line: CommonLine) -> Served:
    """What the line says. Raises BadRow."""
    parts = parts_in(line)
    return Served(
        end=clf_ns(line.time),
        status=line.status,
        request_time=parts.get("request_time", ""),
        client=line.client,
        endpoint=endpoint_in(line.request.partition("?")[0]),
        addresses=parts.get("addresses", ""),
        statuses=parts.get("statuses", ""),
        response_times=parts.get("response_times", ""),
        connect_times=parts.get("connect_times", ""),
        header_times=parts.get("header_times", ""),
        retry_after=parts.get("retry_after", ""),
    )


def has_time(line: CommonLine) -> bool:
    """Whether the line tells how long the request took."""
    return _ONE_DURATION.fullmatch(parts_in(line).get("request_time", "")) is not None


def _sent_by_the_client(fields: list[FieldText]) -> int:
    """How many fields at the beginning are referrer and agent."""
    quoted = [field.quoted and not field.name for field in fields[:_REFERRER_AND_AGENT]]
    return _REFERRER_AND_AGENT if quoted == [True, True] else 0


def _behind_agent(rest: str) -> str:
    return rest.rpartition('" ')[2]


def _joined(fields: list[FieldText]) -> list[FieldText]:
    """A list without quotes was split at its spaces: put together again."""
    joined: list[FieldText] = []
    for field in fields:
        before = joined[-1] if joined else None
        if (
            before
            and not (before.quoted or field.quoted or field.name)
            and (before.text.endswith((",", " :")) or field.text == ":")
        ):
            joined[-1] = FieldText(before.name, f"{before.text} {field.text}", False)
        else:
            joined.append(field)
    return joined


def _part_of(text: str, known: Mapping[str, str]) -> str | None:
    """The part that a value without a name is, once the request time has told that this is nginx."""
    if "request_time" not in known:
        return "request_time" if _ONE_DURATION.fullmatch(text) else None
    if text == "-":
        return None
    for part, pattern in (("response_times", _DURATIONS), ("statuses", _STATUSES), ("addresses", _ADDRESSES)):
        if pattern.fullmatch(text):
            return part
    return None


def _is_group(text: str) -> bool:
    """Whether the text is one word, as the name of a group of servers is, or none."""
    return bool(text) and len(text) <= 255 and not any(mark in text for mark in " ,/()")
