"""From a path or a buffer to chunks, lines or blocks of bytes: unpacked, and never more in memory than asked for."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import numpy as np

from breakerlab.trace.errors import TraceError
from breakerlab.trace.schema import MAX_LINE

CHUNK: Final = 262_144
HEAD: Final = 65_536
MAX_UNPACKED: Final = 2**30
BOMB: Final = 2**23
MAX_RATIO: Final = 500
"""No log packs this well: gzip data that unpacks to more than BOMB bytes at such a ratio is made to take long."""
MAX_SKIPPED_LINE: Final = 2**30
MAX_DOCUMENT: Final = 2**26

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_NEWLINE: Final = ord("\n")

Lines = Iterator[tuple[int, bytes | None]]


class Buffer(Protocol):
    """Anything with a `read` that returns bytes or text."""

    def read(self, size: int = ..., /) -> bytes | str: ...


class BreaksOff(Exception):  # noqa: N818 - not an error for the caller: what was read until here is kept
    """The content cannot be read further; what came before is good."""


class Content:
    """What is in one file or buffer, to be read once: by line, by block of lines, or whole.

    Attributes:
        name: the file as it was named, or "<buffer>".
        path: the file, where it is an ordinary one that is not packed; None otherwise.
        progress: told how many bytes more were read, by whoever reads from `path` itself.
    """

    def __init__(
        self, name: str, buffer: Buffer, path: str | None = None, progress: Callable[[int], object] | None = None
    ) -> None:
        self.name = name
        self.progress: Callable[[int], object] = progress or (lambda size: None)
        self._chunks = _chunks(buffer, progress)
        first, self._chunks = _beginning(self._chunks, len(_GZIP))
        packed = first.startswith(_GZIP)
        self.path = None if packed else path
        if packed:
            self._chunks = _gunzipped(name, self._chunks)

    def head(self) -> bytes:
        """The first 64 KiB, or all if there is less, without a byte order mark; whoever reads gets them again."""
        first, self._chunks = _beginning(self._chunks, HEAD)
        return first[:HEAD].removeprefix(_BOM)

    def lines(self) -> Lines:
        """Each line with its number from 1, without its end; None for a line of more than 1 MiB.

        Raises:
            BreaksOff: the rest cannot be read.
            TraceError: a line passes 1 GiB, or packed content unpacks to more than 1 GiB.
        """
        return _lines(self.name, _without_bom(self._chunks))

    def blocks(self, size: int) -> Iterator[bytes]:
        """Whole lines together, about `size` bytes at a time; the last line of the content may lack its end.

        Raises what `lines` raises; a line of more than `size` has a block of its own, and one of more than 1 GiB is
        refused.
        """
        return _blocks(self.name, _without_bom(self._chunks), size)

    def document(self, what: str, limit: int = MAX_DOCUMENT) -> bytes:
        """All of it at once.

        Raises:
            BreaksOff: the rest cannot be read.
            TraceError: there is more than `limit` bytes; `what` names, in the plural, what should be smaller.
        """
        parts, size = [], 0
        for chunk in _without_bom(self._chunks):
            size += len(chunk)
            if size > limit:
                raise TraceError(self.name, None, None, f"more than {limit:,} bytes", f"{what} of at most {limit:,}")
            parts.append(chunk)
        return b"".join(parts)


@contextlib.contextmanager
def opened(source: str | bytes | os.PathLike[str] | os.PathLike[bytes] | Buffer) -> Iterator[tuple[str, Buffer]]:
    """The name of a file or buffer, and something to read from."""
    if not isinstance(source, (str, bytes, os.PathLike)):
        if not hasattr(source, "read"):
            raise TypeError(f"A {type(source).__name__} is neither a path nor a file or buffer to read from.")
        name = getattr(source, "name", None)
        yield name if isinstance(name, str) else "<buffer>", source
        return
    name = os.fsdecode(source)
    try:
        file = open(source, "rb")  # noqa: SIM115 - closed below; a with would catch what the body raises
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name is not possible"
        raise TraceError(name, None, None, f"no file to open ({reason})", "a trace file") from None
    with file:
        yield name, file


def _chunks(buffer: Buffer, progress: Callable[[int], object] | None) -> Iterator[bytes]:
    while True:
        try:
            chunk = buffer.read(CHUNK)
        except (OSError, ValueError) as error:  # a text buffer raises UnicodeDecodeError, a ValueError
            reason = "bytes that are not text in its encoding" if isinstance(error, UnicodeError) else "a read error"
            raise BreaksOff(reason) from None
        if not chunk:
            return
        if progress is not None:
            progress(len(chunk))
        yield chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk


def _beginning(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """At least `size` bytes, or all there are, and the chunks as if nothing had been taken."""
    first, end = b"", None
    try:
        for chunk in chunks:
            first += chunk
            if len(first) >= size:
                break
    except BreaksOff as error:
        end = error
    return first, _again(first, chunks, end)


def _again(first: bytes, rest: Iterator[bytes], end: BreaksOff | None) -> Iterator[bytes]:
    if first:
        yield first
    if end is not None:
        raise end
    yield from rest


def _without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first, chunks = _beginning(chunks, len(_BOM))
    if not first.startswith(_BOM):
        return chunks
    next(chunks)
    return _again(first.removeprefix(_BOM), chunks, None)


def _gunzipped(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    total = taken = 0
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for packed in chunks:
        taken += len(packed)
        while True:
            if member.eof:  # another member may follow, or padding
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                plain = member.decompress(packed, CHUNK)
            except zlib.error:
                raise BreaksOff("damaged gzip data") from None
            total += len(plain)
            if total > MAX_UNPACKED:
                expected = f"at most {MAX_UNPACKED:,} bytes; unpack it into a file first"
                raise TraceError(name, None, None, "gzip data that unpacks to more", expected)
            if total > BOMB and total > MAX_RATIO * (taken - len(member.unconsumed_tail)):
                found = f"gzip data that unpacks to more than {MAX_RATIO} times its size"
                raise TraceError(name, None, None, found, "a log; unpack it into a file first")
            yield plain
            packed = member.unused_data if member.eof else member.unconsumed_tail
            if not packed and len(plain) < CHUNK:
                break
    if not member.eof:
        raise BreaksOff("the end of the file inside gzip data")


def _lines(name: str, chunks: Iterator[bytes]) -> Lines:
    number, rest, dropped = 1, b"", 0
    for chunk in chunks:
        *whole, tail = chunk.split(b"\n")
        for piece in whole:
            line = rest + piece
            yield number, None if dropped or len(line) > MAX_LINE else line
            number, rest, dropped = number + 1, b"", 0
        rest += tail
        if dropped or len(rest) > MAX_LINE:
            dropped, rest = dropped + len(rest), b""
        if dropped > MAX_SKIPPED_LINE:
            raise _endless_line(name, number)
    if rest or dropped:
        yield number, None if dropped else rest


def _blocks(name: str, chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    parts: list[bytes] = []
    held = 0
    try:
        for chunk in chunks:
            end = chunk.rfind(b"\n") + 1
            if end and held + end >= size:
                yield b"".join((*parts, chunk[:end]))
                parts, held = [], 0
                chunk = chunk[end:]
            parts.append(chunk)
            held += len(chunk)
            if held > MAX_SKIPPED_LINE:
                raise _endless_line(name, None)
    except BreaksOff:
        rest = b"".join(parts)
        if end := rest.rfind(b"\n") + 1:
            yield rest[:end]
        raise
    if held:
        yield b"".join(parts)


def numbered(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each block with the number of its first line, from 1."""
    number = 1
    for block in blocks:
        yield number, block
        number += newlines(block)


def newlines(block: bytes) -> int:
    """How many there are; a long block has them counted in a fifth of the time that `bytes.count` takes."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == _NEWLINE))


def _endless_line(name: str, number: int | None) -> TraceError:
    return TraceError(name, number, None, "a line of more than 1 GiB", "one line an entry")
