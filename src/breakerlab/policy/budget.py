"""How much load retries may add: a bucket of tokens that calls fill and retries spend.

A cap on attempts bounds what one call may do, a budget what all calls together may do: with a ratio of 0.1 retries add
at most a tenth to the load, however many calls fail (Google, "Site Reliability Engineering", 2016, ch. 21).

The rules are plain functions over a state object `t`, as in `breaker.py`. Time is passed in, never fetched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import field
from typing import Any

from breakerlab.policy import parameter
from breakerlab.policy.lock import fork_safe_lock
from breakerlab.policy.value import Value, value

DEPOSITS = ("call", "success")
ALMOST_ONE = 1.0 - 1e-9  # tokens: what ten deposits of 0.1 come to, rounding included, buys one retry


def fill(t: Any, now: float) -> None:
    """Rule: a full bucket, at `now`."""
    t.tokens = t.burst
    t.refilled_at = now


def note_call(t: Any) -> None:
    """Rule: a call begins; its retries are not calls."""
    if not t.per_success:
        t.tokens = min(t.tokens + t.ratio, t.burst)


def note_success(t: Any) -> None:
    """Rule: an attempt succeeded."""
    if t.per_success:
        t.tokens = min(t.tokens + t.ratio, t.burst)


def withdraw(t: Any, now: float) -> bool:
    """Rule: whether a retry is granted at `now`; if so, its token is spent."""
    earn(t, now)
    if t.tokens < ALMOST_ONE:
        return False
    t.tokens = max(t.tokens - 1.0, 0.0)
    return True


def earn(t: Any, now: float) -> None:
    """Rule: the tokens that time alone has earned since the last look."""
    t.tokens = min(t.tokens + max(now - t.refilled_at, 0.0) * t.minimum_rate, t.burst)
    t.refilled_at = now


@value
class RetryBudget(Value):
    """How many retries all calls together may make.

    ratio: tokens, each worth one retry, that a call earns, from 0 to 1. deposit: "call" earns when a call begins,
    "success" when an attempt succeeds, so that an outage earns nothing. minimum_rate: retries per second that time
    alone earns, at least 0. burst: the most tokens held, at least 1; a new bucket is full.
    Raises ValueError naming the parameter that is out of range.
    """

    ratio: float = 0.1
    deposit: str = "call"
    minimum_rate: float = 0.0
    burst: float = 10.0
    per_success: int = field(init=False)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "ratio", parameter.share("RetryBudget.ratio", self.ratio))
        parameter.choice("RetryBudget.deposit", self.deposit, DEPOSITS)
        set_field(self, "per_success", int(self.deposit == "success"))
        rate = parameter.real("RetryBudget.minimum_rate", self.minimum_rate, or_equal=True)
        set_field(self, "minimum_rate", rate)
        set_field(self, "burst", parameter.real("RetryBudget.burst", self.burst, above=1.0, or_equal=True))


class _Level:
    """The state that the rules read and write."""

    __slots__ = ("burst", "minimum_rate", "per_success", "ratio", "refilled_at", "tokens")
    tokens: float

    def __init__(self, budget: RetryBudget, now: float) -> None:
        self.ratio, self.minimum_rate = budget.ratio, budget.minimum_rate
        self.burst, self.per_success = budget.burst, budget.per_success
        fill(self, now)


class TokenBucket:
    """The tokens of one retry budget, for any number of threads, tasks and guards.

        bucket = TokenBucket(RetryBudget(ratio=0.1))
        bucket.call()                                       # when a call begins
        if bucket.withdraw(): ...                           # before each of its retries
        bucket.success()                                    # when an attempt succeeds

    clock: seconds. A copy, or what comes out of a pickle, is a new full bucket under the same rules.
    """

    __slots__ = ("_budget", "_clock", "_level", "_lock")

    def __init__(self, budget: RetryBudget, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._lock = fork_safe_lock()
        self._level = _Level(budget, clock())

    @property
    def budget(self) -> RetryBudget:
        """The rules of this bucket."""
        return self._budget

    @property
    def tokens(self) -> float:
        """The tokens held now, from 0 to `budget.burst`."""
        with self._lock:
            earn(self._level, self._clock())
            return self._level.tokens

    def call(self) -> None:
        """A call begins; its retries are not calls."""
        with self._lock:
            note_call(self._level)

    def success(self) -> None:
        """An attempt succeeded."""
        with self._lock:
            note_success(self._level)

    def withdraw(self) -> bool:
        """Whether a retry may be made now; if so, its token is spent."""
        with self._lock:
            return withdraw(self._level, self._clock())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._budget, self._clock)

    def __repr__(self) -> str:
        return f"<TokenBucket {self.tokens:.3g} of {self._budget.burst:g}>"
