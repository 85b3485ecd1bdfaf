"""From a path or a buffer to numbered lines of bytes: in pieces, unpacked, and never more in memory than one line."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from breakerlab.trace.errors import TraceError
from breakerlab.trace.schema import MAX_LINE

CHUNK: Final = 65_536
MAX_UNPACKED: Final = 2**30
MAX_SKIPPED_LINE: Final = 2**30

_GZIP: Final = b"\x1f\x8b"


class Buffer(Protocol):
    """Anything with a `read` that returns bytes or text."""

    def read(self, size: int = ..., /) -> bytes | str: ...


class BreaksOff(Exception):  # noqa: N818 - not an error for the caller: what was read until here is kept
    """The content cannot be read further; what came before is good."""


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


def numbered_lines(name: str, buffer: Buffer) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number from 1, without its end; None for a line of more than 1 MiB.

    Raises:
        BreaksOff: the rest cannot be read.
        TraceError: a line passes 1 GiB, or packed content unpacks to more than 1 GiB.
    """
    return _lines(name, _unpacked(name, _chunks(buffer)))


def _chunks(buffer: Buffer) -> Iterator[bytes]:
    while True:
        try:
            chunk = buffer.read(CHUNK)
        except (OSError, ValueError) as error:  # a text buffer raises UnicodeDecodeError, a ValueError
            reason = "bytes that are not text in its encoding" if isinstance(error, UnicodeError) else "a read error"
            raise BreaksOff(reason) from None
        if not chunk:
            return
        yield chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk


def _unpacked(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(_GZIP):
            break
    chunks = _again(head, chunks)
    return _gunzipped(name, chunks) if head.startswith(_GZIP) else chunks


def _again(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _gunzipped(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    total = 0
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for packed in chunks:
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
            yield plain
            packed = member.unused_data if member.eof else member.unconsumed_tail
            if not packed and len(plain) < CHUNK:
                break
    if not member.eof:
        raise BreaksOff("the end of the file inside gzip data")


def _lines(name: str, chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes | None]]:
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
            raise TraceError(name, number, None, "a line of more than 1 GiB", "one JSON object a line")
    if rest or dropped:
        yield number, None if dropped else rest
