"""The first line of a recording: when its time axis begins, and what it says about itself. Standard library only.

A trace that `Trace.write` wrote says more there than a recorder does: what it cannot tell, and its optional columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.schema import FIELDS, MAX_LINE, VERSION, shown

MAX_DEPTH: Final = 20
MAX_GAPS: Final = 100
OPTIONAL: Final = ("instance", "tokens_in", "tokens_out", "idempotent")


@dataclass(frozen=True)
class Header:
    """What the header of one of our own files says; see `Trace` and `Source`. `columns`: the optional ones."""

    start: datetime | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    has_retries: bool = True
    cannot_tell: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def header_in(name: str, row: Mapping[str, object]) -> Header:
    """The header of the file `name`, whose first line holds this object.

    Raises:
        BadRow: it is none.
        TraceError: it is of a newer version.
    """
    version = row.get("version")
    if type(version) is int and version > VERSION:
        raise TraceError(name, 1, "version", shown(version), f"version {VERSION}; a newer breakerlab may read it")
    if type(version) is not int or version != VERSION:
        raise BadRow("version", shown(version) if "version" in row else "no such key", f"version {VERSION}")
    start, facts = row.get("start"), row.get("source", {})
    moment = moment_of(start)
    if moment is None and start is not None:
        raise BadRow("start", shown(start), "an ISO 8601 time with a time zone, or null")
    if not isinstance(facts, dict) or not is_shallow(facts):
        raise BadRow("source", shown(facts), f"an object, nested at most {MAX_DEPTH} deep")
    has_retries = row.get("has_retries", True)
    if not isinstance(has_retries, bool):
        raise BadRow("has_retries", shown(has_retries), "true or false")
    gaps = row.get("cannot_tell", [])
    if not (isinstance(gaps, list) and len(gaps) <= MAX_GAPS and all(map(FIELDS["client"].accepts, gaps))):
        raise BadRow("cannot_tell", shown(gaps), f"a list of at most {MAX_GAPS} words")
    columns = row.get("columns", [])
    if not (isinstance(columns, list) and all(column in OPTIONAL for column in columns)):
        raise BadRow("columns", shown(columns), f"a list of some of {', '.join(OPTIONAL)}")
    return Header(moment, facts, has_retries, tuple(gaps), tuple(columns))


def written_header(
    start: datetime | None,
    facts: Mapping[str, object],
    has_retries: bool,
    cannot_tell: Sequence[str],
    columns: Sequence[str],
) -> bytes:
    """The header, as one line, of a trace that is written. Raises ValueError or TypeError as `header_line` does."""
    more = {"has_retries": has_retries, "cannot_tell": list(cannot_tell), "columns": list(columns)}
    return _header(None if start is None else _iso(start), facts, more)


def header_line(start: datetime, source: Mapping[str, object] | None) -> bytes:
    """The header of a recording that begins at `start` (aware); `source` is anything that JSON can hold.

    Raises:
        ValueError: `source` is nested more than 20 deep, is longer than a line may be, or holds NaN or infinity.
        TypeError: `source` holds what JSON cannot.
    """
    return _header(_iso(start), source or {}, {})


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _header(start: str | None, source: Mapping[str, object], more: Mapping[str, object]) -> bytes:
    facts = dict(source)
    if not is_shallow(facts):
        raise ValueError(f"source is nested more than {MAX_DEPTH} deep.")
    line = line_of({"kind": "trace", "version": VERSION, "start": start, "source": facts, **more})
    room = MAX_LINE - 64 * bool(more)  # where a CSV says what the line is
    if len(line) > room:
        raise ValueError(f"source takes {len(line):,} bytes as JSON, a line at most {room:,}.")
    return line


def is_shallow(value: object, levels: int = MAX_DEPTH) -> bool:
    """Whether objects and lists are nested at most so many levels deep."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return True
    return levels > 0 and all(is_shallow(one, levels - 1) for one in value)


def line_of(row: Mapping[str, object]) -> bytes:
    """One row as one line of JSON, its end included."""
    return json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def moment_of(text: object) -> datetime | None:
    """The UTC time that an ISO 8601 text with a time zone names, or None."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def start_in(line: bytes) -> datetime | None:
    """The start that this line tells, if it is a header."""
    row = object_in(line)
    return moment_of(row.get("start")) if row.get("kind") == "trace" and row.get("version") == VERSION else None


def object_in(line: bytes) -> dict[str, object]:
    """The JSON object on this line; empty if there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
