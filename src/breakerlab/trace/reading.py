"""What every reader of lines has in common: lines are counted, a bad one costs itself only, and none goes unsaid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

from breakerlab.trace.content import BreaksOff, Content
from breakerlab.trace.errors import BadRow, NotText, TraceError
from breakerlab.trace.schema import MAX_LINE
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Trace

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
            self.take_line(number, line)
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

    def _nothing_read(self) -> TraceError:
        first = self.skipped.first
        if first is None:
            found = "a header and no row" if self.lines else "an empty file"
            return TraceError(self.name, None, None, found, self.expected)
        found = f"{first.found} here and no readable row in the file"
        return TraceError(self.name, first.line, first.column, found, first.expected)


def breaks_off(end: BreaksOff) -> BadRow:
    """The row that stands for all that could not be read."""
    return BadRow(None, str(end), "readable content up to the end of the file")


def text_of(line: bytes, expected: str) -> str:
    """The line as text, for formats that are always UTF-8; raises NotText."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise NotText(None, f"binary data (byte {error.start + 1} is not UTF-8)", expected) from None
