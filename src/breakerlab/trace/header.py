"""The first line of a recording: when its time axis begins, and what it says about itself. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from breakerlab.trace.schema import MAX_LINE, VERSION

MAX_DEPTH: Final = 20


def header_line(start: datetime, source: Mapping[str, object] | None) -> bytes:
    """The header of a recording that begins at `start` (aware); `source` is anything that JSON can hold.

    Raises:
        ValueError: `source` is nested more than 20 deep, is longer than a line may be, or holds NaN or infinity.
        TypeError: `source` holds what JSON cannot.
    """
    facts = dict(source or {})
    if not is_shallow(facts):
        raise ValueError(f"source is nested more than {MAX_DEPTH} deep.")
    moment = start.astimezone(UTC).isoformat(timespec="microseconds")
    line = line_of({"kind": "trace", "version": VERSION, "start": moment, "source": facts})
    if len(line) > MAX_LINE:
        raise ValueError(f"source takes {len(line):,} bytes as JSON, a line at most {MAX_LINE:,}.")
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
