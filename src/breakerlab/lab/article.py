"""The circuit breaker of the incident article, in our own words, and calls on which it is played beside ours.

Its faults are the point. Do not use it for anything else.
"""

import contextvars
import heapq
import inspect
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd

from breakerlab.policy import CircuitBreaker

OK, FAILED, REFUSED = "ok", "failed", "refused"
ARTICLE, OURS = "article's class", "CircuitBreaker"
ENDS, STARTS = 0, 1  # of two events at one moment, an end comes first
RULES: Final = {"failure_threshold": 3, "recovery_timeout": 60.0, "half_open_max_calls": 1}  # the article's


class ArticleBreaker:
    """Closed, open or half-open, by the clock on the wall; results count whenever they come."""

    def __init__(
        self,
        failure_threshold=3,
        recovery_timeout=60,
        half_open_max_calls=1,
        clock=time.time,
    ):
        self.failure_threshold, self.recovery_timeout = failure_threshold, recovery_timeout
        self.half_open_max_calls, self.clock = half_open_max_calls, clock
        self.state, self.last_failure = "closed", 0.0
        self.failures, self.half_open_calls = 0, 0

    def can_execute(self):
        rested = self.clock() - self.last_failure >= self.recovery_timeout
        if self.state == "open" and rested:
            self.state, self.half_open_calls = "half_open", 0
        if self.state == "half_open":
            return self.half_open_calls < self.half_open_max_calls
        return self.state == "closed"

    def record_success(self):
        self.failures = 0
        if self.state == "half_open":
            self.half_open_calls += 1
            if self.half_open_calls >= self.half_open_max_calls:
                self.state = "closed"

    def record_failure(self):
        self.failures += 1
        self.last_failure = self.clock()
        if self.state == "half_open" or self.failures >= self.failure_threshold:
            self.state = "open"

    def get_state(self):
        return self.state


def source() -> str:
    """The class as text, to be read."""
    return inspect.getsource(ArticleBreaker)


class Call(NamedTuple):
    """A call that would be made at `start` (s), takes `seconds`, and then succeeds or not."""

    start: float
    seconds: float
    ok: bool


class HandClock:
    """A clock that is set by hand, read in two ways: as a stopwatch, and as a clock on the wall that somebody adjusts.

    At `jump_at` (s) the wall clock jumps by `jump` seconds, forwards or backwards.
    """

    def __init__(self, jump_at: float = math.inf, jump: float = 0.0) -> None:
        self.now, self._jump_at, self._jump = 0.0, jump_at, jump

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.now

    def wall(self) -> float:
        """What the clock on the wall says."""
        return self.now + (self._jump if self.now >= self._jump_at else 0.0)


def play(breaker: Any, clock: HandClock, calls: Sequence[Call]) -> list[str]:
    """What became of each call: "ok", "failed" or "refused". Calls overlap, and each records its own result.

    breaker: anything with `can_execute`, `record_success` and `record_failure`, which reads `clock`.
    """
    fates = [REFUSED] * len(calls)
    contexts = [contextvars.Context() for _ in calls]  # each call has one of its own, as in a web server
    due = [(call.start, STARTS, number) for number, call in enumerate(calls)]
    heapq.heapify(due)
    while due:
        clock.now, event, number = heapq.heappop(due)
        call, here = calls[number], contexts[number]
        if event == ENDS:
            here.run(breaker.record_success if call.ok else breaker.record_failure)
        elif here.run(breaker.can_execute):
            fates[number] = OK if call.ok else FAILED
            heapq.heappush(due, (call.start + call.seconds, ENDS, number))
    return fates


def fates(calls: Sequence[Call], **rules: Any) -> list[str]:
    """What becomes of each call under our breaker with these rules."""
    clock = HandClock()
    return play(CircuitBreaker(**rules, clock=clock.monotonic), clock, calls)


def side_by_side(
    calls: Sequence[Call], clock: HandClock | None = None, *, article: Mapping[str, Any] = RULES, **ours: Any
) -> pd.DataFrame:
    """The same calls under the article's class and under ours, one call a row, in the order in which they are given.

    Both have the article's parameters, unless `article` or `ours` name others. clock: with a wall clock that jumps.
    """
    clock = clock or HandClock()
    theirs = play(ArticleBreaker(**article, clock=clock.wall), clock, calls)
    breaker = CircuitBreaker(**(ours or RULES), clock=clock.monotonic)
    rows = pd.Index([f"{call.start:g} s" for call in calls], name="call at")
    return pd.DataFrame({ARTICLE: theirs, OURS: play(breaker, clock, calls)}, index=rows)
