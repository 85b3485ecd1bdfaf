"""`read_trace`: whatever is at the path, as one attempt table."""

from __future__ import annotations

import os

from breakerlab.trace.content import Buffer, numbered_lines, opened
from breakerlab.trace.jsonl import read_jsonl
from breakerlab.trace.table import Trace


def read_trace(path_or_buffer: str | bytes | os.PathLike[str] | os.PathLike[bytes] | Buffer) -> Trace:
    """Read a recording: JSON lines as `Recorder` writes them, plain or gzipped.

    A row that cannot be read is kept out and listed in `Trace.skipped` with its line and the reason; the rows next to
    it are kept. Only the fields of the trace are taken from a line, and query strings are cut off.

    Args:
        path_or_buffer: a path, or an open file or buffer of bytes or text.

    Raises:
        TraceError: the file is missing, empty or binary, no row of it is readable, it was recorded in a newer version
            of the format, or it is gzip data that unpacks to more than 1 GiB.
    """
    with opened(path_or_buffer) as (name, buffer):
        return read_jsonl(name, numbered_lines(name, buffer))
