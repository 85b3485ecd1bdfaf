"""k6's measurements, as `k6 run --out csv=...` and `--out json=...` write them: one row per metric, many per request.

    metric_name,timestamp,metric_value,check,error,error_code,...,method,name,...,status,...,url,extra_tags,metadata
    http_req_duration,1715342400,221.899000,,,,...,GET,http://example.org/a,...,200,...,http://example.org/a,,

    {"metric":"http_req_duration","type":"Point","data":{"time":"2024-05-10T14:00:00.12+02:00","value":221.9,
     "tags":{"method":"GET","name":"...","status":"200","url":"..."}}}

An attempt is the row of `http_req_duration`. All other metrics are read, and counted as read, and are no attempts. The
time is the END of the request, in whole seconds unless `K6_CSV_TIME_FORMAT` asked for more; the value is milliseconds,
without the time to get a connection. Where no connection came about, k6 writes 0, and how long it tried is not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.format import Head
from breakerlab.trace.formats.go_errors import outcome_of_error
from breakerlab.trace.formats.instants import decimal_ns, epoch_unit, iso_ns
from breakerlab.trace.formats.json_values import number_at, object_on, text_at
from breakerlab.trace.formats.reading import line_format
from breakerlab.trace.formats.rows import NANOSECONDS, Rows, status_code
from breakerlab.trace.formats.separated import SeparatedOrJsonReading, cells_of
from breakerlab.trace.formats.untold import RETRIES, SUB_SECOND, TIME_ZONE
from breakerlab.trace.header import object_in
from breakerlab.trace.redaction import described
from breakerlab.trace.table import Trace

_CSV: Final = "a row of k6's CSV output"
_JSON: Final = "a line of k6's JSON output"
_REQUIRED: Final = ("metric_name", "timestamp", "metric_value")
_TAGS: Final = ("error", "error_code", "method", "name", "status", "url", "extra_tags", "metadata")
_DURATION: Final = "http_req_duration"
_MILLISECOND: Final = 1_000_000
_WHOLE: Final = re.compile(r"\d{1,19}", re.ASCII)
_VALUE: Final = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,4})?|NaN|[-+]Inf", re.ASCII)
_VIRTUAL_USER: Final = re.compile(r"(?:^|&)vu=(\d{1,12})(?:&|$)", re.ASCII)

_TIMED_OUT: Final = ("1050", "1211")
_NEVER_SENT: Final = ("1020", "1110", "1111")
"""An address that is none, or that the test's own list forbids."""


class _Reading(SeparatedOrJsonReading):
    """What has been read so far, in either form; a line that begins with a brace is JSON."""

    expected = "a line of k6's CSV or JSON output"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._columns: Mapping[str, int] = {}
        self._width = 0
        self._lacking = {"status", "outcome", SUB_SECOND, TIME_ZONE}

    def is_row(self, cells: list[str]) -> bool:
        place = self._columns.get("timestamp")
        return place is not None and len(cells) == self._width and _TIME.fullmatch(cells[place]) is not None

    def take_cells(self, cells: list[str]) -> None:
        if _is_header(cells):
            self._columns = {name: cells.index(name) for name in (*_REQUIRED, *_TAGS) if name in cells}
            self._width = len(cells)
            self.header_taken()
            return
        self.expect_cells(cells, self._width)
        metric, time, value = (cells[self._columns[name]] for name in _REQUIRED)
        if metric != _DURATION:
            _check_other(metric, time, value)
            return
        duration = decimal_ns(value, _MILLISECOND, "latency")
        tags = {name: cells[place] for name, place in self._columns.items()}
        labels = f"{tags.get('extra_tags', '')}&{tags.get('metadata', '')}"
        user = _VIRTUAL_USER.search(labels)
        self._add(*_moment(time), duration, tags, user.group(1) if user else "")

    def finish(self) -> Trace | None:
        self.end_open_row()
        words = {RETRIES: True, "time to connect": True, **dict.fromkeys(sorted(self._lacking), True)}
        return self.trace_of(self._rows, "k6", words)

    def take_object(self, line: bytes) -> None:
        row = object_on(line, _JSON)
        kind, metric = row.get("type"), text_at(row, "metric", "metric_name")
        if kind not in ("Point", "Metric") or not isinstance(row.get("data"), dict):
            raise BadRow("type", described(kind), "Point or Metric, with data")
        if kind == "Metric" or metric != _DURATION:
            return
        data = row["data"]
        value = number_at(data, "value", "latency", "milliseconds, 0 or more")
        tags, metadata = data.get("tags") or {}, data.get("metadata") or {}
        if not isinstance(tags, dict) or not isinstance(metadata, dict):
            raise BadRow("tags", described(tags), "an object of texts")
        told = {name: text_at(tags, name, name) for name in _TAGS if name in tags}
        user = text_at(metadata, "vu", "client") or text_at(tags, "vu", "client")
        self._add(*_moment(text_at(data, "time", "time")), round(value * _MILLISECOND), told, user)

    def _add(self, end: int, has_zone: bool, duration: int, tags: Mapping[str, str], user: str) -> None:
        status = status_code(tags.get("status", ""))
        name, url, method = tags.get("name", ""), tags.get("url", ""), tags.get("method", "")
        never_connected = status is None and duration == 0
        self._rows.add(
            start=end - duration,
            latency=None if never_connected else duration / NANOSECONDS,
            status=status,
            outcome=None if status else _failure(tags),
            client=f"vu {user}" if user else "",
            endpoint=f"{method} {name or url}".strip() if name or url else "",
        )
        told = {"status": "status" in tags}
        told["outcome"] = any(tag in tags for tag in ("status", "error", "error_code"))
        told |= {SUB_SECOND: end % NANOSECONDS != 0, TIME_ZONE: has_zone}
        self._lacking -= {what for what, is_told in told.items() if is_told}


def _moment(text: str) -> tuple[int, bool]:
    """When it ended, and whether the time zone is sure; k6 writes seconds, ms, us or ns since 1970, or RFC 3339."""
    if _WHOLE.fullmatch(text):
        return int(text) * epoch_unit(int(text)), True
    return iso_ns(text)


def _failure(tags: Mapping[str, str]) -> str:
    """The outcome of an attempt without a status, from k6's error code, else from the error's text."""
    code, error = tags.get("error_code", ""), tags.get("error", "")
    if code in _TIMED_OUT:
        return "timeout"
    if code in _NEVER_SENT:
        return "rejected"
    if not any(tag in tags for tag in ("status", "error", "error_code")):
        return "ok"  # for want of better; the trace says that it cannot tell the outcome
    return outcome_of_error(error)


def _check_other(metric: str, time: str, value: str) -> None:
    if not metric:
        raise BadRow("metric_name", "nothing", "the name of a metric")
    if not _TIME.fullmatch(time):
        raise BadRow("time", described(time), "a time as k6 writes it")
    if not _VALUE.fullmatch(value):
        raise BadRow("metric_value", described(value), "a number")


_TIME: Final = re.compile(r"\d{9,19}|\d{4}-\d\d-\d\dT[0-9:.]{8,18}(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def _is_header(cells: list[str]) -> bool:
    return set(_REQUIRED) <= set(cells)


def _likeness(head: Head) -> float:
    if any(_is_header(cells_of(line.removeprefix("\ufeff"), ",") or []) for line in head.lines[:5]):
        return 1.0
    return head.share(_is_ours)


def _is_ours(line: str) -> bool:
    row: Mapping[str, Any] = object_in(line.encode()) if line.startswith("{") else {}
    return row.get("type") in ("Metric", "Point") and "metric" in row and isinstance(row.get("data"), dict)


FORMAT: Final = line_format("k6", "k6 metrics", _likeness, _Reading)
