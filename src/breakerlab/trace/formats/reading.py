"""What every reader of lines has in common: lines are counted, a bad one costs itself only, and none goes unsaid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from breakerlab.trace.content import BreaksOff, Content
from breakerlab.trace.errors import BadRow, NotText, TraceError
from breakerlab.trace.format import Format, Head
from breakerlab.trace.formats.rows import Rows
from breakerlab.trace.formats.untold import untold
from breakerlab.trace.schema import MAX_LINE
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Source, Trace
from breakerlab.trace.wrapped import unwrapped

BINARY_LINES: Final = 1_000  # a file that begins with so many lines that are no text is given up


class LineReading(ABC):
    """One reading of one log, line by line. A format gives `take_line` and `finish`."""

    expected: ClassVar[str]
    """What a line of this format is, for error messages: "an nginx access-log line in JSON"."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.skipped = Skipped()
        self.lines = 0
        """Lines so far that are not blank, the skipped ones too."""
        self._binary_lines = 0

    @abstractmethod
    def take_line(self, number: int, line: bytes) -> None:
        """Read one line that is not blank, stripped of white space; raises BadRow, and then has added nothing."""

    @abstractmethod
    def finish(self) -> Trace | None:
        """The trace, once all lines were taken; None if there is nothing in it."""

    def read(self, content: Content) -> Trace:
        """The trace on these lines.

        Raises:
            TraceError: no line is readable, or the file is binary.
        """
        number = 0
        try:
            for number, line in content.lines():
                self.take(number, line)
        except BreaksOff as end:
            self.lines += 1
            self.skip(number + 1, breaks_off(end))
        trace = self.finish()
        if trace is None:
            raise self._nothing_read()
        return trace

    def take(self, number: int, line: bytes | None) -> None:
        """Read one line, or skip it and say why. Blank lines mean nothing."""
        if line is not None:
            line = line.strip()
            if not line:
                return
        self.lines += 1
        try:
            if line is None:
                raise BadRow(None, f"a line of more than {MAX_LINE:,} bytes", self.expected)
            if b"\0" in line:
                raise NotText(None, "binary data (a NUL byte)", self.expected)
            self.take_line(number, unwrapped(line))
        except BadRow as bad:
            self.skip(number, bad)

    def skip(self, number: int, bad: BadRow) -> None:
        """List the line among the skipped."""
        self.skipped.add(TraceError(self.name, number, bad.column, bad.found, bad.expected))
        if isinstance(bad, NotText):
            self._binary_lines += 1
            if self._binary_lines == BINARY_LINES == self.lines:
                found = f"binary data in all of its first {BINARY_LINES:,} lines"
                raise TraceError(self.name, None, None, found, self.expected)

    def trace_of(
        self,
        rows: Rows,
        format: str,
        words: Mapping[str, object],
        *,
        has_retries: bool = False,
        relative: bool = False,
    ) -> Trace | None:
        """The trace of these rows, as `Rows.trace` makes it; `words` are those of `untold`."""
        source = Source(
            name=self.name,
            format=format,
            has_retries=has_retries,
            cannot_tell=untold(words, rows),
            lines=self.lines - self.skipped.lines,
        )
        return rows.trace(source, self.skipped, relative=relative)

    def _nothing_read(self) -> TraceError:
        first = self.skipped.first
        if first is None:
            found = "a header and no row" if self.lines else "an empty file"
            return TraceError(self.name, None, None, found, self.expected)
        found = f"{first.found} here and no readable row in the file"
        return TraceError(self.name, first.line, first.column, found, first.expected)


def line_format(
    name: str,
    title: str,
    likeness: Callable[[Head], float],
    reading: Callable[[str], LineReading],
) -> Format:
    """A format whose content is read by `reading`, given the name of the file."""
    return Format(name, title, likeness, lambda content: reading(content.name).read(content))


def share_of(fits: Callable[[str], bool]) -> Callable[[Head], float]:
    """The likeness of a format that is told by its single lines."""
    return lambda head: head.share(fits)


def breaks_off(end: BreaksOff) -> BadRow:
    """The row that stands for all that could not be read."""
    return BadRow(None, str(end), "readable content up to the end of the file")


def text_of(line: bytes, expected: str) -> str:
    """The line as text, for formats that are always UTF-8; raises NotText."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise NotText(None, f"binary data (byte {error.start + 1} is not UTF-8)", expected) from None
