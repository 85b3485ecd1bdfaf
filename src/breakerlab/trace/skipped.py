"""The lines that could not be read: each is listed, up to a bound, and all are counted."""

from __future__ import annotations

from typing import Final

from breakerlab.trace.errors import TraceError

MAX_LISTED: Final = 100_000


class Skipped:
    """Collects errors; beyond 100,000 of them, one last entry stands for all further lines, and says for how many."""

    def __init__(self) -> None:
        self._listed: list[TraceError] = []
        self._first_unlisted: TraceError | None = None
        self.lines = 0

    def add(self, error: TraceError) -> None:
        self.lines += error.lines
        if len(self._listed) < MAX_LISTED:
            self._listed.append(error)
        elif self._first_unlisted is None:
            self._first_unlisted = error

    @property
    def first(self) -> TraceError | None:
        return self._listed[0] if self._listed else None

    def errors(self) -> tuple[TraceError, ...]:
        if self._first_unlisted is None:
            return tuple(self._listed)
        first, unlisted = self._first_unlisted, self.lines - sum(error.lines for error in self._listed)
        found = f"{unlisted:,} more lines that cannot be read, from here on; in the first of them {first.found}"
        return (*self._listed, TraceError(first.file, first.line, first.column, found, first.expected, unlisted))
