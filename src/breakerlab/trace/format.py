"""What a log format is to `read_trace`: a name, a look, and a way to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from breakerlab.trace.content import Content
from breakerlab.trace.table import Trace
from breakerlab.trace.wrapped import unwrapped


@dataclass(frozen=True)
class Head:
    """The beginning of a content, up to 64 KiB, by which its format is recognised."""

    data: bytes

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Its whole lines that are not blank, at most 200; the only line too, if there is no second."""
        *whole, last = self.data.split(b"\n")
        lines = [unwrapped(line.strip()).decode("utf-8", "replace") for line in whole or [last]]
        return tuple(line for line in lines if line)[:200]

    def share(self, fits: Callable[[str], bool]) -> float:
        """The part of the lines, 0 to 1, that fit."""
        return sum(map(fits, self.lines)) / len(self.lines) if self.lines else 0.0


@dataclass(frozen=True)
class Format:
    """One log format.

    Attributes:
        name: what `read_trace(..., format=name)` calls it.
        title: what an error message calls it.
        likeness: how much of a head is in this format, from 0 to 1; never raises.
        read: the trace; raises TraceError.
    """

    name: str
    title: str
    likeness: Callable[[Head], float]
    read: Callable[[Content], Trace]
