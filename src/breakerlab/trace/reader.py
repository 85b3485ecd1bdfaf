"""`read_trace`: whatever is at the path, as one attempt table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Final

import pandas as pd

from breakerlab.trace.content import BreaksOff, Buffer, Content, opened
from breakerlab.trace.errors import TraceError
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats import FORMATS
from breakerlab.trace.formats.mapped import Plan, looks_like_csv, read_frame, read_table
from breakerlab.trace.table import Trace

LARGE: Final = 2**26
"""A file of so many bytes takes long enough for a progress bar."""

_MAPPING: Final = (
    'columns={"time": ..., "latency": ..., "status": ...} to say which column is what (only time is required)'
)


def read_trace(
    path_or_buffer: str | bytes | os.PathLike[str] | os.PathLike[bytes] | Buffer | pd.DataFrame,
    format: str | None = None,
    *,
    columns: Mapping[str, Hashable] | None = None,
    units: Mapping[str, str] | None = None,
) -> Trace:
    """Read a log, plain or gzipped, in any of the formats that docs/formats.md lists, or any table.

    A row that cannot be read is kept out and listed in `Trace.skipped` with its line and the reason; the rows next to
    it are kept. `Trace.source` says what the format cannot tell. Prompts, keys, cookies and query strings are dropped.

    Args:
        path_or_buffer: a path, an open file or buffer of bytes or text, or a DataFrame.
        format: the name of the format; None: it is recognised by its first 64 KiB.
        columns: for a DataFrame or a CSV of any kind: which of its columns is which of ours, such as
            `{"time": "started_at", "latency": "elapsed", "status": "code"}`. Required is `time`, the start of an
            attempt; the others are `latency`, `status`, `outcome`, `service`, `client`, `endpoint`, `instance`,
            `request` with `attempt`, `retry_after`, `tokens_in` and `tokens_out`.
        units: "ms", "us" or "ns" for `time` (since 1970, where it is a number), `latency` and `retry_after`, where
            they are not in seconds.

    Raises:
        TraceError: the file is missing, empty or binary, its format is unknown, no row of it is readable, or it is
            gzip data that unpacks to more than 1 GiB.
        ValueError: there is no format of that name, or `columns` and `units` do not fit together.
    """
    plan = _plan(columns, units, format)
    if isinstance(path_or_buffer, pd.DataFrame):
        if plan is None:
            raise ValueError('A DataFrame needs columns=, such as {"time": ..., "latency": ..., "status": ...}.')
        return read_frame(path_or_buffer, plan)
    chosen = None if format is None else _named(format)
    with opened(path_or_buffer) as (name, buffer):
        path = name if isinstance(path_or_buffer, (str, bytes, os.PathLike)) else None
        with _progress(path) as progress:
            content = Content(name, buffer, path, progress)
            if plan is not None:
                return read_table(content, plan)
            return (chosen or recognised(content)).read(content)


def _plan(columns: Mapping[str, Hashable] | None, units: Mapping[str, str] | None, format: str | None) -> Plan | None:
    if columns is None:
        if units is not None:
            raise ValueError("units goes with columns; without columns the format says what the units are.")
        return None
    if format not in (None, "csv"):
        raise ValueError(f"columns goes with a CSV or a DataFrame, not with format={format!r}.")
    return Plan(columns, units)


def recognised(content: Content) -> Format:
    """The format that the content looks most like. Raises TraceError."""
    head = Head(content.head())
    if not head.data.strip():
        try:
            next(content.lines(), None)
        except BreaksOff as end:
            raise TraceError(content.name, None, None, str(end), "a log") from None
        raise TraceError(content.name, None, None, "an empty file", "a log")
    likeness, place = max((known.likeness(head), -place) for place, known in enumerate(FORMATS))
    if likeness <= 0.0 and looks_like_csv(head):
        raise TraceError(content.name, None, None, "a CSV of an unknown kind", _MAPPING)
    if likeness <= 0.0:
        expected = f"a log of one of these kinds: {', '.join(known.name for known in FORMATS)} (see docs/formats.md)"
        raise TraceError(content.name, None, None, "no format that is known", expected)
    return FORMATS[-place]


def _named(name: str) -> Format:
    for known in FORMATS:
        if known.name == name:
            return known
    raise ValueError(f"format is {name!r}, expected one of {', '.join(known.name for known in FORMATS)}.")


@contextlib.contextmanager
def _progress(path: str | None) -> Iterator[Callable[[int], object] | None]:
    size = 0 if path is None else os.path.getsize(path)
    if size < LARGE:
        yield None
        return
    from tqdm.auto import tqdm  # takes a while to import

    with tqdm(total=size, unit="B", unit_scale=True, desc="reading", leave=False) as bar:
        yield bar.update
