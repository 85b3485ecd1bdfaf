"""How much load retries may add: a bucket of tokens that calls fill and retries spend.

A cap on attempts bounds what one call may do, a budget what all calls together may do: with a ratio of 0.1 retries add
at most a tenth to the load, however many calls fail (Google, "Site Reliability Engineering", 2016, ch. 21). The rules
are plain functions over a state object `t`, as in `breaker.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import field
from types import SimpleNamespace
from typing import Any, Final

from breakerlab.policy import parameter
from breakerlab.policy.lock import fork_safe_lock
from breakerlab.policy.value import Value, checked, value

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

    ratio: float = checked(parameter.share, default=0.1)
    deposit: str = checked(parameter.choice, default="call", choices=("call", "success"))
    minimum_rate: float = checked(parameter.real, default=0.0, or_equal=True)
    burst: float = checked(parameter.real, default=10.0, above=1.0, or_equal=True)
    per_success: int = field(init=False)

    def __post_init__(self) -> None:
        self._set(per_success=int(self.deposit == "success"))


class TokenBucket:
    """The tokens of one retry budget, for any number of threads, tasks and guards.

    budget: its rules. clock: seconds. A copy, or what comes out of a pickle, is a new full bucket under the same rules.
    """

    __slots__ = ("_clock", "_level", "_lock", "budget")

    def __init__(self, budget: RetryBudget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget: Final = budget
        self._clock, self._lock = clock, fork_safe_lock()
        rules = ("burst", "minimum_rate", "per_success", "ratio")
        self._level = SimpleNamespace(**{name: getattr(budget, name) for name in rules})  # what the rules call `t`
        fill(self._level, clock())

    @property
    def tokens(self) -> float:
        """The tokens held now, from 0 to `budget.burst`."""
        with self._lock:
            earn(self._level, self._clock())
            return float(self._level.tokens)

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
        return type(self), (self.budget, self._clock)

    def __repr__(self) -> str:
        return f"<TokenBucket {self.tokens:.3g} of {self.budget.burst:g}>"
