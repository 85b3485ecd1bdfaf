"""What a Parquet file says about itself, checked before polars believes it.

A page that claims a negative number of values makes polars ask for exabytes and end the process. So the footer and the
header of every page (Thrift, compact protocol) are read here first: all sizes must lie in the file, and all counts must
add up. Only flat tables pass, in pages of the first version, which is what polars, pyarrow and DuckDB write by default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

MAGIC: Final = b"PAR1"
MAX_GROUP: Final = 2**22
"""Rows of one row group, which is decoded at once."""

_MAX_FOOTER: Final = 2**26
_MAX_HEADER: Final = 2**16
_FIRST_LOOK: Final = 2**11
_MAX_PAGE: Final = 2**30
_MAX_COLUMNS: Final = 1_000
_MAX_DEPTH: Final = 16
_LEAST_PAGE: Final = 2_048
_FEW_PAGES: Final = 2**14
_ROWS_PER_BYTE: Final = 4
_UNPACKED: Final = 2**26
_UNPACKED_PER_BYTE: Final = 200
_FEW_ROWS: Final = 2**20

_DATA_PAGE: Final = 0
_DICTIONARY_PAGE: Final = 2

Struct = Mapping[int, Any]


class NotParquet(Exception):  # noqa: N818 - becomes a TraceError with the name of the file
    """The file is not one that may be read; the text says what was found."""


@dataclass(frozen=True)
class Shape:
    """Rows of the whole file, and the texts that are stored beside the table."""

    rows: int
    texts: Mapping[str, str]


def checked(file: BinaryIO) -> Shape:
    """What the file holds; raises NotParquet."""
    try:
        return _checked(file, file.seek(0, os.SEEK_END))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise NotParquet("a damaged footer or page") from None


def _checked(file: BinaryIO, size: int) -> Shape:
    footer, begins = _footer(file, size)
    rows, groups, texts = footer[3], footer[4], _texts(footer.get(5, []))
    columns = [one for one in footer[2] if 5 not in one]
    if any(one.get(3, 0) > 1 for one in columns) or len(footer[2]) != len(columns) + 1:
        raise NotParquet("nested columns")
    if not 0 < len(columns) <= _MAX_COLUMNS:
        raise NotParquet(f"{len(columns):,} columns")
    _check_rows(rows, [group[3] for group in groups], size)
    pages = unpacked = 0
    for group in groups:
        if len(group[1]) != len(columns):
            raise NotParquet("a row group that lacks columns")
        for chunk in group[1]:
            of_chunk, unpacked_of_chunk = _check_chunk(file, chunk[3], group[3], begins)
            pages, unpacked = pages + of_chunk, unpacked + unpacked_of_chunk
            if pages > _FEW_PAGES + size // _LEAST_PAGE:
                raise NotParquet("pages of a few bytes each")
            if unpacked > _UNPACKED + size * _UNPACKED_PER_BYTE:
                raise NotParquet("data that unpacks to far more than it may")
    return Shape(rows, texts)


def _footer(file: BinaryIO, size: int) -> tuple[Struct, int]:
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if len(tail) < 8 or tail[4:] != MAGIC:
        raise NotParquet("a file that breaks off, or is no Parquet file")
    if not 0 < length <= min(_MAX_FOOTER, size - 12):
        raise NotParquet("a footer of an impossible size")
    file.seek(size - 8 - length)
    return _struct(file.read(length))[0], size - 8 - length


def _check_rows(rows: int, of_groups: list[int], size: int) -> None:
    if any(not 0 <= count <= MAX_GROUP for count in of_groups):
        raise NotParquet(f"a row group of more than {MAX_GROUP:,} rows")
    if sum(of_groups) != rows:
        raise NotParquet("row groups that do not add up to the rows of the file")
    if rows > max(_FEW_ROWS, size * _ROWS_PER_BYTE):
        raise NotParquet("more rows than its size can hold")


def _texts(pairs: list[Struct]) -> dict[str, str]:
    return {pair[1].decode(): pair.get(2, b"").decode("utf-8", "replace") for pair in pairs}


def _check_chunk(file: BinaryIO, chunk: Struct, rows: int, end_of_data: int) -> tuple[int, int]:
    """How many pages this column has in one row group, and how many bytes they unpack to."""
    at = min(chunk[9], chunk.get(11, chunk[9]))
    end = at + chunk[7]
    if not 4 <= at <= end <= end_of_data or chunk[5] != rows:
        raise NotParquet("a column that lies outside of the file")
    values = pages = total = 0
    while at < end:
        header, length = _page_header(file, at, end)
        unpacked, packed = header[2], header[3]
        if not (0 <= unpacked <= _MAX_PAGE and 0 <= packed <= end - at - length):
            raise NotParquet("a page of an impossible size")
        if header[1] == _DATA_PAGE:
            count = header[5][1]
            values += count
        elif header[1] == _DICTIONARY_PAGE:
            count = header[7][1]
        else:
            raise NotParquet("a page of a kind that is not read here")
        if not 0 <= count <= MAX_GROUP:
            raise NotParquet("a page of an impossible number of values")
        at += length + packed
        pages += 1
        total += unpacked
    if values != rows:
        raise NotParquet("pages that do not add up to the rows")
    return pages, total


def _page_header(file: BinaryIO, at: int, end: int) -> tuple[Struct, int]:
    file.seek(at)
    data = file.read(min(_FIRST_LOOK, end - at))
    try:
        return _struct(data)
    except IndexError:
        data += file.read(min(_MAX_HEADER, end - at) - len(data))
        return _struct(data)


def _struct(data: bytes) -> tuple[Struct, int]:
    reader = _Thrift(data)
    return reader.struct(0), reader.place


class _Thrift:
    """Values of the compact protocol; IndexError where the data ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def struct(self, depth: int) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        field = 0
        while kind := self._byte():
            field = field + (kind >> 4) if kind >> 4 else self._integer()
            if field in fields:
                raise ValueError("a field twice")
            fields[field] = self._value(kind & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            return self._list(depth + 1)
        if kind == 12 and depth < _MAX_DEPTH:
            return self.struct(depth + 1)
        raise ValueError("a value of a kind that is not used")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self._unsigned()
        if size > len(self._data) - self.place or depth > _MAX_DEPTH:
            raise ValueError("a list longer than the data")
        if kind in (1, 2):
            return [self._byte() == 1 for _ in range(size)]
        return [self._value(kind, depth) for _ in range(size)]

    def _byte(self) -> int:
        self.place += 1
        return self._data[self.place - 1]

    def _bytes(self, size: int) -> bytes:
        begin, self.place = self.place, self.place + size
        if self.place > len(self._data):
            raise IndexError
        return self._data[begin : self.place]

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("an integer of more than 64 bits")

    def _integer(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)
