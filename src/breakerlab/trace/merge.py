"""One recording of several: each process writes its own file, and a trace is one file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from breakerlab.trace.header import header_line, moment_of, object_in
from breakerlab.trace.schema import FIELDS


class _Group(NamedTuple):
    """A line that tells its time, and the unreadable lines directly behind it."""

    t: float
    lines: list[bytes]


def merge_recordings(
    parts: Iterable[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    source: Mapping[str, object],
    start: datetime,
) -> None:
    """Write the lines of all parts to one file, in order of time, under one header.

    Lines of one time stay in the order of `parts`, and of their file. A line that tells no time, because it is
    truncated, say, stays directly behind the line before it. No line is lost but the headers of the parts and blank
    lines. `path` is written beside itself and then renamed: it is whole or not there.

    Args:
        parts: recordings whose time axes all begin at `start`.
        path: the file to write; one that exists is replaced.
        source: facts about the recording, for the header.
        start: the zero of the time axis, an aware datetime.

    Raises:
        ValueError: a part begins at another time, or `start` has no time zone.
        OSError: a part cannot be read, or `path` cannot be written.
    """
    if start.tzinfo is None:
        raise ValueError("start has no time zone; give an aware datetime, for example datetime.now(UTC).")
    groups = [group for part in parts for group in _groups(Path(part), start)]
    groups.sort(key=lambda group: group.t)
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(header_line(start, source))
            for group in groups:
                file.writelines(group.lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _groups(part: Path, start: datetime) -> Iterator[_Group]:
    group = _Group(float("-inf"), [])
    with open(part, "rb") as file:
        for number, line in enumerate(file):
            if not line.strip():
                continue
            row = object_in(line)
            if number == 0 and row.get("kind") == "trace":
                _check_start(part, row, start)
                continue
            whole = line if line.endswith(b"\n") else line + b"\n"
            t = row.get("time" if row.get("kind", "attempt") == "attempt" else "t")
            if FIELDS["t"].accepts(t):
                yield group
                group = _Group(float(t), [whole])  # type: ignore[arg-type]
            else:
                group.lines.append(whole)
    yield group


def _check_start(part: Path, header: Mapping[str, object], start: datetime) -> None:
    begins = moment_of(header.get("start"))
    if begins is None or abs((begins - start).total_seconds()) > 1e-6:
        raise ValueError(f"{part} does not begin at {start.isoformat()} as the other parts do.")
