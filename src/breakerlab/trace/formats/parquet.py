"""Our own Parquet: attempts and events as one table, with the header of a recording beside it.

    kind         "attempt" for the rows of the attempt table, else the kind of an event
    time, ...    the columns of the attempt table; words are dictionaries, what is missing is null
    instance     also whom an event happens to
    value        of an event; null for attempts

The key "breakerlab" of the file's own metadata holds the header, the JSON object that the first line of a recording is.
A file without it, from any other program, is read as well if its columns have these names. Parquet has no lines: what
is skipped is named by its row, counted from 1.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO, Final

from breakerlab.trace.content import CHUNK, BreaksOff, Content
from breakerlab.trace.errors import BadRow, TraceError
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats.parquet_check import MAGIC, NotParquet, checked
from breakerlab.trace.header import Header, header_in, object_in
from breakerlab.trace.table import Trace

KEY: Final = "breakerlab"

_AT_ONCE: Final = 2**20
_MAX_BUFFER: Final = 2**30
_TABLE: Final = "a Parquet file that breakerlab wrote, or one with the same columns"


def _read_parquet(content: Content) -> Trace:
    if content.path is not None:
        path = os.path.abspath(content.path)
        with open(path, "rb") as file:
            return _read(content.name, file, path, content.progress)
    try:
        data = content.document("Parquet", _MAX_BUFFER)
    except BreaksOff as end:
        raise TraceError(content.name, None, None, str(end), _TABLE) from None
    return _read(content.name, io.BytesIO(data), data, lambda size: None)


def _read(name: str, file: BinaryIO, source: str | bytes, progress: Callable[[int], object]) -> Trace:
    try:
        shape = checked(file)
    except NotParquet as bad:
        raise TraceError(name, None, None, str(bad), _TABLE) from None
    from breakerlab.trace.formats.parquet_table import Scan, Table  # loads polars

    size = max(0, file.seek(0, os.SEEK_END) - CHUNK)  # so much was read when the format was recognised
    scan = Scan(source)
    kinds = scan.kinds_of_columns()
    if kinds is None:
        raise TraceError(name, None, None, "a schema that cannot be read", _TABLE)
    table = Table(name, _TABLE, shape.rows, kinds, _header(name, shape.texts.get(KEY)))
    for first in range(0, shape.rows, _AT_ONCE):
        rows = min(_AT_ONCE, shape.rows - first)
        table.take(first, rows, scan.rows(table.columns, first, rows))
        progress(size * rows // shape.rows)
    return table.trace()


def _header(name: str, text: str | None) -> Header | BadRow | None:
    if text is None:
        return None
    try:
        return header_in(name, object_in(text.encode("utf-8", "replace")))
    except BadRow as bad:
        return bad


def _likeness(head: Head) -> float:
    return float(head.data.startswith(MAGIC))


FORMAT: Final = Format("parquet", "breakerlab's own Parquet", _likeness, _read_parquet)
