"""What is wrong in a file, and where."""

from __future__ import annotations


class TraceError(ValueError):
    """One thing in a log that cannot be read, as one sentence.

    Attributes:
        file: the file, as it was named.
        line: the line, counted from 1; None if the whole file is meant.
        column: the field; None if no single field is to blame.
        found: what stands there; text of the log only where it is harmless.
        expected: what should stand there.
        lines: how many lines this error stands for; above 1 only in the last entry of a very long `Trace.skipped`.
    """

    def __init__(
        self, file: str, line: int | None, column: str | None, found: str, expected: str, lines: int = 1
    ) -> None:
        super().__init__(file, line, column, found, expected, lines)
        self.file = file
        self.line = line
        self.column = column
        self.found = found
        self.expected = expected
        self.lines = lines

    @property
    def reason(self) -> str:
        """The sentence without the place."""
        return f"found {self.found}, expected {self.expected}"

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        column = "" if self.column is None else f", column {self.column}"
        return f"{self.file}{line}{column}: {self.reason}."


class BadRow(Exception):  # noqa: N818 - never leaves the readers: it becomes a TraceError with file and line
    """One row that cannot be read: the column to blame (None: the whole row), what stands there, what should."""

    def __init__(self, column: str | None, found: str, expected: str) -> None:
        super().__init__(column, found, expected)
        self.column, self.found, self.expected = column, found, expected


class NotText(BadRow):
    """The row is binary data."""
