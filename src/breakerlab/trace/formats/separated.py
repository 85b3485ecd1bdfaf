"""Logs of separated values: quoted cells that may run over several lines, and headers wherever they stand.

A row that runs over several lines is one row; each of its lines counts as a line read, or as a line skipped. A quote
that nothing closes must not swallow the rest of the file, so a line that is a whole row by itself ends the row before.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.reading import LineReading, text_of
from breakerlab.trace.schema import MAX_LINE

DELIMITERS: Final = (",", ";", "\t", "|")


class Cells:
    """The cells of one row, fed line by line."""

    def __init__(self, delimiter: str) -> None:
        self.cells: list[str] = []
        self._delimiter = delimiter
        self._open: list[str] | None = None
        self._stray = False

    def feed(self, text: str) -> bool:
        """Take one more line; whether the row is complete, with no quote left open."""
        if self._open is None and '"' not in text:
            self.cells.extend(text.split(self._delimiter))
            return True
        at = 0
        if self._open is not None:
            self._open.append("\n")
            at = self._quoted(text, 0)
            if at >= 0:
                at = self._after_quote(text, at)
        while 0 <= at <= len(text):
            at = self._cell(text, at)
        return self._open is None

    @property
    def is_sound(self) -> bool:
        """Whether nothing but a delimiter follows a closing quote."""
        return not self._stray

    def _cell(self, text: str, at: int) -> int:
        """Where the next cell begins: beyond the end after the last one, -1 inside an open quote."""
        if text.startswith('"', at):
            self._open = []
            end = self._quoted(text, at + 1)
            return end if end < 0 else self._after_quote(text, end)
        end = text.find(self._delimiter, at)
        self.cells.append(text[at:] if end < 0 else text[at:end])
        return len(text) + 1 if end < 0 else end + 1

    def _quoted(self, text: str, at: int) -> int:
        """The place behind the closing quote, or -1 if the line ends before it."""
        parts = self._open
        assert parts is not None
        while True:
            end = text.find('"', at)
            if end < 0:
                parts.append(text[at:])
                return -1
            parts.append(text[at:end])
            if not text.startswith('"', end + 1):
                self.cells.append("".join(parts))
                self._open = None
                return end + 1
            parts.append('"')
            at = end + 2

    def _after_quote(self, text: str, at: int) -> int:
        end = text.find(self._delimiter, at)
        stop = len(text) if end < 0 else end
        self._stray = self._stray or bool(text[at:stop].strip())
        return stop + 1


def cells_of(text: str, delimiter: str) -> list[str] | None:
    """The cells of a row on one line; None if a quote is left open or text follows a closed one."""
    if '"' not in text:
        return text.split(delimiter)
    row = Cells(delimiter)
    return row.cells if row.feed(text) and row.is_sound else None


class SeparatedReading(LineReading):
    """One reading of a log of separated values. A format gives `take_cells`, `is_row` and `finish`."""

    def __init__(self, name: str, delimiter: str = ",") -> None:
        super().__init__(name)
        self.delimiter = delimiter
        self._row: Cells | None = None
        self._held: list[int] = []
        self._size = 0

    @abstractmethod
    def take_cells(self, cells: list[str]) -> None:
        """Read one row; raises BadRow, and then has added nothing."""

    @abstractmethod
    def is_row(self, cells: list[str]) -> bool:
        """Whether these cells are surely a row of their own and no text inside a quote."""

    def text(self, line: bytes) -> str:
        """The line as text; raises NotText."""
        return text_of(line, self.expected)

    def header_taken(self) -> None:
        """A header counts neither as read nor as skipped."""
        self.lines -= 1

    def take_line(self, number: int, line: bytes) -> None:
        text = self.text(line)
        if self._row is not None:
            self._go_on(self._row, number, text)
            return
        row = Cells(self.delimiter)
        if not row.feed(text):
            self._row, self._held, self._size = row, [number], len(line)
            return
        self._complete(row)

    def end_open_row(self) -> None:
        """To be called by `finish`: a row whose quote is still open cannot be read."""
        if self._row is not None:
            self._give_up(BadRow(None, "a quote that is never closed", self.expected))

    def expect_cells(self, cells: list[str], width: int) -> None:
        """Raises BadRow where a row comes before any header (which is `width` cells wide), or is wider or narrower."""
        if not width:
            raise BadRow(None, "a row before any header", self.expected)
        if len(cells) != width:
            raise BadRow(None, f"{len(cells):,} cells", f"{width:,}, as many as the header has")

    def _go_on(self, row: Cells, number: int, text: str) -> None:
        alone = cells_of(text, self.delimiter)
        self._size += len(text)
        if (alone is not None and self.is_row(alone)) or self._size > MAX_LINE:
            self._give_up(BadRow(None, "a quote that is never closed", self.expected))
            self._complete_line(text)
            return
        self._held.append(number)
        if not row.feed(text):
            return
        try:
            self._complete(row)
        except BadRow as bad:
            *self._held, _ = self._held  # the last line is skipped by whoever catches this
            last = self._give_up(bad)
            raise last from None
        self._row = None

    def _complete_line(self, text: str) -> None:
        row = Cells(self.delimiter)
        if not row.feed(text):
            raise BadRow(None, "a quote that is never closed", self.expected)
        self._complete(row)

    def _complete(self, row: Cells) -> None:
        if not row.is_sound:
            raise BadRow(None, "text behind a closing quote", self.expected)
        self.take_cells(row.cells)

    def _give_up(self, bad: BadRow) -> BadRow:
        """List the lines of the open row as skipped; what is to be said of one more line of it."""
        first, *others = self._held
        self._row = None
        rest = BadRow(None, f"the rest of the row that begins on line {first:,}", self.expected)
        self.skip(first, bad)
        for number in others:
            self.skip(number, rest)
        return rest


class SeparatedOrJsonReading(SeparatedReading):
    """The same of tools that write separated values or JSON, as they are told: a line with a brace in front is JSON."""

    @abstractmethod
    def take_object(self, line: bytes) -> None:
        """Read one line of JSON; raises BadRow, and then has added nothing."""

    def take_line(self, number: int, line: bytes) -> None:
        if line.startswith(b"{"):
            self.end_open_row()
            self.take_object(line)
        else:
            super().take_line(number, line)
