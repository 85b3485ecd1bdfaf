"""`read_trace`: whatever is at the path, as one attempt table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Final

from breakerlab.trace.content import Buffer, Content, opened
from breakerlab.trace.errors import TraceError
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats import FORMATS
from breakerlab.trace.table import Trace

LARGE: Final = 2**26
"""A file of so many bytes takes long enough for a progress bar."""


def read_trace(
    path_or_buffer: str | bytes | os.PathLike[str] | os.PathLike[bytes] | Buffer, format: str | None = None
) -> Trace:
    """Read a log, plain or gzipped, in any of the formats that docs/formats.md lists.

    A row that cannot be read is kept out and listed in `Trace.skipped` with its line and the reason; the rows next to
    it are kept. `Trace.source` says what the format cannot tell. Prompts, keys, cookies and query strings are dropped.

    Args:
        path_or_buffer: a path, or an open file or buffer of bytes or text.
        format: the name of the format; None: it is recognised by its first 64 KiB.

    Raises:
        TraceError: the file is missing, empty or binary, its format is unknown, no row of it is readable, or it is
            gzip data that unpacks to more than 1 GiB.
        ValueError: there is no format of that name.
    """
    chosen = None if format is None else _named(format)
    with opened(path_or_buffer) as (name, buffer), _progress(name, path_or_buffer) as progress:
        path = name if isinstance(path_or_buffer, (str, bytes, os.PathLike)) else None
        content = Content(name, buffer, path, progress)
        return (chosen or recognised(content)).read(content)


def recognised(content: Content) -> Format:
    """The format that the content looks most like. Raises TraceError."""
    head = Head(content.head())
    if not head.data.strip():
        raise TraceError(content.name, None, None, "an empty file", "a log")
    likeness, place = max((known.likeness(head), -place) for place, known in enumerate(FORMATS))
    if likeness <= 0.0:
        expected = f"one of {', '.join(known.title for known in FORMATS)}; say which with format="
        raise TraceError(content.name, None, None, "no format that is known", expected)
    return FORMATS[-place]


def _named(name: str) -> Format:
    for known in FORMATS:
        if known.name == name:
            return known
    raise ValueError(f"format is {name!r}, expected one of {', '.join(known.name for known in FORMATS)}.")


@contextlib.contextmanager
def _progress(name: str, source: object) -> Iterator[Callable[[int], object] | None]:
    size = os.path.getsize(name) if isinstance(source, (str, bytes, os.PathLike)) else 0
    if size < LARGE:
        yield None
        return
    from tqdm.auto import tqdm  # takes a while to import

    with tqdm(total=size, unit="B", unit_scale=True, desc="reading", leave=False) as bar:
        yield bar.update
