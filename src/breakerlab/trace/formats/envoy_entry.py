"""One line of an Envoy access log, text or JSON, as its fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.addresses import without_port
from breakerlab.trace.formats.common_log import endpoint_in
from breakerlab.trace.formats.instants import decimal_ns, epoch_unit, iso_ns
from breakerlab.trace.formats.json_values import object_of
from breakerlab.trace.formats.reading import text_of
from breakerlab.trace.formats.rows import seconds, status_code, whole_number
from breakerlab.trace.redaction import described

LINE: Final = "a line of Envoy's access log"
MAX_ATTEMPTS: Final = 1_000

_TEXT: Final = re.compile(
    r'(?:ACCESS )?\[([^\]\s]{1,64})\] "([^"]*)" (\d{1,9}|-) (-|[A-Za-z,]{1,200}) '
    r'(?:(?:"[^"]*"|[^" ]+) ){0,3}'  # details of the response, of the connection and its failure
    r"(?:\d{1,18}|-) (?:\d{1,18}|-) (\d{1,12}|-) (\d{1,12}|-)(?= \")"
)
_QUOTED: Final = re.compile(r'"([^"]*)"')
_QUOTED_FIELDS: Final = 5  # who forwarded it, user agent, request id, authority, upstream host
_ADDRESS: Final = re.compile(r"[0-9A-Za-z_.:\[\]-]{1,80}")
_FLAGS: Final = re.compile(r"[A-Za-z,]{0,200}|-")
_EPOCH: Final = re.compile(r"(\d{10}|\d{13})(?:\.\d{1,9})?")

_COUNTED_ENDS: Final = (1, 2, 7)
"""How many fields follow the last quote where the very last is the attempt count: it alone, after the cluster, or after
the six that Istio adds.
"""
_ISTIO_END: Final = 6


@dataclass(frozen=True)
class Entry:
    """What a line tells; `attempts` is None where it has no attempt count, `cluster` is empty where it names none."""

    start: int
    zone_told: bool
    latency: float | None
    status: int | None
    flags: frozenset[str]
    answered: bool
    attempts: int | None
    endpoint: str
    client: str
    cluster: str
    host: str


def entry_of(line: bytes) -> Entry:
    """The fields of a line. Raises BadRow."""
    text = line.decode("utf-8", "replace")
    if not text.startswith("{"):
        return _text_entry(text)
    row = object_of(text_of(line, LINE), LINE, once=True)
    return _json_entry(row)


def looks_like_text(text: str) -> bool:
    """Whether the text is a line in one of Envoy's own text formats."""
    return _TEXT.match(text) is not None


def _text_entry(text: str) -> Entry:
    found = _TEXT.match(text)
    if found is None:
        raise BadRow(None, "a line that is neither in Envoy's text format nor a JSON object", LINE)
    time, request, code, flags, duration, service_time = found.groups()
    start, zone_told = iso_ns(time)
    _refuse_tcp(request, code)
    tail = text[found.end() :]
    quoted = _QUOTED.findall(tail)
    if len(quoted) < _QUOTED_FIELDS or tail.count('"') % 2:
        raise BadRow(None, "a line that ends too early", LINE)
    end = tail.rpartition('"')[2].split()
    attempts = end.pop() if len(end) in _COUNTED_ENDS and end[-1].isdigit() else None
    remote = without_port(end[3]) if len(end) == _ISTIO_END else ""
    return Entry(
        start=start,
        zone_told=zone_told,
        latency=seconds(duration, unit=0.001),
        status=status_code(code),
        flags=_flags(flags),
        answered=service_time != "-",
        attempts=None if attempts is None else whole_number(attempts, "attempt count", MAX_ATTEMPTS),
        endpoint=endpoint_in(request),
        client=_first_of((_first_forwarded(quoted[0]), remote)),
        cluster=_first_of(end[:1]),
        host=_host(quoted[-1]),
    )


def _refuse_tcp(request: str, code: str) -> None:
    if request == "- - -" and code in ("0", "-"):
        raise BadRow("request", "a TCP connection", "an HTTP request")


def _first_of(values: Iterable[str]) -> str:
    """The first that is neither empty nor "-"; empty if there is none."""
    return next((value for value in values if value not in ("", "-")), "")


def _flags(text: str) -> frozenset[str]:
    return frozenset(text.split(",")) - {"-", ""}


def _first_forwarded(text: str) -> str:
    """Callers write into X-Forwarded-For what they like: what cannot be an address or a name is not taken over."""
    first = text.partition(",")[0].strip()
    return without_port(first) if _ADDRESS.fullmatch(first) else ""


def _host(text: str) -> str:
    return "" if text == "-" else text.removeprefix("tcp://").removeprefix("udp://")


KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("start_time", "starttime", "timestamp", "time", "@timestamp"),
    "status": ("response_code", "status", "status_code", "code"),
    "latency": ("duration", "duration_ms", "request_duration"),
    "flags": ("response_flags", "response_flag", "flags"),
    "details": ("response_code_details",),
    "attempts": ("upstream_request_attempt_count", "request_attempt_count", "attempt_count", "x_envoy_attempt_count"),
    "method": ("method", "request_method", "req_method"),
    "path": ("x_envoy_original_path", "x_envoy_origin_path", "original_path", "path", "request_path", "uri"),
    "protocol": ("protocol",),
    "forwarded": ("x_forwarded_for", "forwarded_for"),
    "remote": ("downstream_remote_address", "downstream_direct_remote_address", "client_ip", "remote_address"),
    "cluster": ("upstream_cluster", "upstream_cluster_raw", "cluster"),
    "host": ("upstream_host", "upstream_remote_address"),
    "service_time": ("x_envoy_upstream_service_time", "upstream_service_time"),
}
"""Keys as people name them, after the operators; the first that is there and not null counts."""


def spelled(key: str) -> str:
    """A key as `KEYS` has it: ":method" is "method", "X-Forwarded-For" is "x_forwarded_for"."""
    return key.lower().lstrip(":").replace("-", "_")


def _json_entry(raw: Mapping[str, Any]) -> Entry:
    by_name = {spelled(key): value for key, value in raw.items()}
    row = {
        name: next((by_name[key] for key in keys if by_name.get(key) is not None), None) for name, keys in KEYS.items()
    }
    start, zone_told = _json_time(row["time"])
    code = _number_text(row["status"], "status")
    flags = _words(row, "flags")
    if _FLAGS.fullmatch(flags) is None:
        raise BadRow("flags", described(flags), 'flags like "UF,URX", or -')
    method, path, protocol = (_words(row, name) for name in ("method", "path", "protocol"))
    if _first_of((method, path, protocol)) == "" and status_code(code) is None:
        raise BadRow("request", "a connection without a request", "an HTTP request")
    attempts = _number_text(row["attempts"], "attempt count")
    details, served = _words(row, "details"), _number_text(row["service_time"], "upstream service time")
    return Entry(
        start=start,
        zone_told=zone_told,
        latency=seconds(_number_text(row["latency"], "latency"), unit=0.001),
        status=status_code(code),
        flags=_flags(flags),
        answered=details == "via_upstream" or served != "-",
        attempts=None if attempts == "-" else whole_number(attempts, "attempt count", MAX_ATTEMPTS),
        endpoint=endpoint_in(f"{method} {path}") or (path if path.startswith("/") else ""),
        client=_first_of((_first_forwarded(_words(row, "forwarded")), without_port(_words(row, "remote")))),
        cluster=_first_of((_words(row, "cluster"),)),
        host=_host(_words(row, "host")),
    )


def _json_time(value: object) -> tuple[int, bool]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise BadRow("time", described(value), "the start of the request")
    epoch = _EPOCH.fullmatch(value)
    if epoch is None:
        return iso_ns(value)
    return decimal_ns(value, epoch_unit(int(epoch[1]))), True


def _number_text(value: object, column: str) -> str:
    """A number, or text of one, as text; "-" for null."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value or "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadRow(column, described(value), "a number")
    return str(value)


def _words(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(name, described(value), "text")
    return value
