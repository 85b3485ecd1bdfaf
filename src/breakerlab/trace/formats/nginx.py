"""nginx: its access log in JSON, or as text with `$request_time`; both may stand in one file.

It is written when a request has ended: an attempt began at the time of its line, less `request_time`, plus what the
attempts before it took. Without `$msec`, times are whole seconds, and starts are too early by up to one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from breakerlab.trace.content import BreaksOff, Content, newlines
from breakerlab.trace.formats import nginx_json, nginx_text
from breakerlab.trace.formats.common_log import common_line, common_line_in
from breakerlab.trace.formats.nginx_attempts import add_attempts
from breakerlab.trace.formats.nginx_columns import Block, block_of
from breakerlab.trace.formats.nginx_told import Told
from breakerlab.trace.formats.reading import LineReading, breaks_off, line_format, share_of
from breakerlab.trace.formats.rows import Rows
from breakerlab.trace.formats.untold import RETRIES, RETRIES_OF_CALLERS, START_OF_EACH, SUB_SECOND, TIME_ZONE
from breakerlab.trace.header import object_in
from breakerlab.trace.schema import MAX_LINE
from breakerlab.trace.table import Trace

BLOCK: Final = 2**24
SMALL: Final = 2**19
"""A block below this size is read line by line: that takes less time than to load polars."""
AHEAD: Final = 4
"""So many blocks are prepared while the one before becomes rows."""
MOST_ODD: Final = 20
"""A block is read line by line if more than one line in so many does not look as usual."""


class Reading(LineReading):
    """What has been read so far of one log."""

    expected = nginx_json.EXPECTED

    def __init__(self, name: str, small: int = SMALL, block: int = BLOCK) -> None:
        super().__init__(name)
        self._rows = Rows()
        self._told = Told()
        self._small, self._block = small, block

    def read(self, content: Content) -> Trace:
        number = 1
        try:
            for data, block in self._prepared(content.blocks(self._block)):
                self._take_block(number, data, block)
                number += newlines(data) if block is None else block.lines
        except BreaksOff as end:
            self.lines += 1
            self.skip(number, breaks_off(end))
        trace = self.finish()
        if trace is None:
            raise self._nothing_read()
        return trace

    def take_line(self, number: int, line: bytes) -> None:
        if line.startswith(b"{"):
            served, moment = nginx_json.served_in(line)
        else:
            served, moment = nginx_text.served_in(common_line(line, self.expected)), nginx_text.MOMENT
        add_attempts(self._rows, served)
        self._told.add_line(served, moment)

    def finish(self) -> Trace | None:
        told = self._told
        words = {
            RETRIES: not told.attempts,
            RETRIES_OF_CALLERS: told.attempts,
            SUB_SECOND: not told.parts_of_seconds,
            TIME_ZONE: told.no_zone,
            "timeouts": told.attempts and not told.answers,
            START_OF_EACH: told.several_without_times,
        }
        return self.trace_of(self._rows, "nginx", words)

    def _prepared(self, blocks: Iterator[bytes]) -> Iterator[tuple[bytes, Block | None]]:
        """The blocks in their order, each as columns if it can be; the next ones are prepared meanwhile."""
        waiting: deque[tuple[bytes, Future[Block | None] | None]] = deque()
        end = None
        with ThreadPoolExecutor(AHEAD) as pool:
            try:
                for data in blocks:
                    fits = len(data) >= self._small and data.startswith(b"{")
                    waiting.append((data, pool.submit(block_of, data) if fits else None))
                    if len(waiting) > AHEAD:
                        yield _ready(*waiting.popleft())
            except BreaksOff as error:
                end = error
            while waiting:
                yield _ready(*waiting.popleft())
        if end is not None:
            raise end

    def _take_block(self, number: int, data: bytes, block: Block | None) -> None:
        if block is None or len(block.odd) > block.lines // MOST_ODD:
            self._take_lines(number, data.split(b"\n"))
            return
        lines = data.split(b"\n") if len(block.odd) else []
        begin = 0
        for odd in (*block.odd.tolist(), block.lines):
            block.add_to(self._rows, begin, odd)
            self.lines += odd - begin
            self._take_lines(number + odd, lines[odd : odd + 1])
            begin = odd + 1
        self._told.add(block.told)

    def _take_lines(self, number: int, lines: list[bytes]) -> None:
        for place, line in enumerate(lines):
            self.take(number + place, None if len(line) > MAX_LINE else line)


def _ready(data: bytes, block: Future[Block | None] | None) -> tuple[bytes, Block | None]:
    return data, None if block is None else block.result()


def _is_ours(text: str) -> bool:
    if text.startswith("{"):
        return nginx_json.is_ours(object_in(text.encode()))
    line = common_line_in(text)
    return line is not None and nginx_text.has_time(line)


FORMAT: Final = line_format(
    "nginx", "an nginx access log (JSON, or text with $request_time)", share_of(_is_ours), Reading
)
