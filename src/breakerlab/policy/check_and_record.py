"""The older style of guarding a call: `can_execute()` first, `record_success()` or `record_failure()` afterwards.

Nothing in the caller's hands ties the two together, so the permit is carried for them. Each context (a thread, a task)
has a ledger of the permits it took and has not spent. Child tasks inherit the ledger of their parent, the same object,
so a permit is spent once, whoever records the result. A worker thread inherits nothing: its result is credited to the
permits that are lent in the present state, unless it might as well belong to a call from before; then it is nobody's,
and the probe in question is given up in time.

What this style cannot know: which of several calls of one context a result belongs to (slow calls are timed from the
latest), and whose result a pool thread records that has also guarded calls of its own. `acquire` knows both.
"""

from __future__ import annotations

import contextvars
import math
import weakref
from typing import Any

from breakerlab.policy import breaker as rules
from breakerlab.policy.breaker import CircuitOpenError, State
from breakerlab.policy.outcome import FAILURE, SUCCESS


class Ledger:
    """The permits that one context took in one generation and has not spent."""

    __slots__ = ("__weakref__", "began", "generation", "unspent")

    def __init__(self, generation: int) -> None:
        self.generation, self.unspent, self.began = generation, 0, math.inf


class CheckAndRecord:
    """The four methods of a `CircuitBreaker`, which lends the permits and takes them back."""

    __slots__ = ("_late_until", "_ledger", "_lent", "_lent_in", "_lent_late")

    def _open_books(self: Any) -> None:
        self._ledger = contextvars.ContextVar[Ledger]("breakerlab_ledger")
        self._lent = weakref.WeakSet[Ledger]()  # ledgers of the present generation
        self._lent_in = rules.UNCOUNTED
        self._lent_late = 0  # permits of earlier generations whose results may still come
        self._late_until = -math.inf

    def can_execute(self: Any) -> bool:
        """Whether a call may be made now; if so, its permit is held until its result is recorded."""
        try:
            permit = self._ask()
        except CircuitOpenError:
            if self._ledger.get(None) is None:
                self._ledger.set(Ledger(rules.UNCOUNTED))  # it holds nothing: what it records is nobody else's result
            return False
        with self._lock:
            self._settle()  # before this context's last ledger is dropped, with what it has not spent
            ledger = self._ledger.get(None)
            if ledger is None or ledger.generation != permit:
                ledger = Ledger(permit)
                self._ledger.set(ledger)
            ledger.unspent += 1
            ledger.began = self._clock()
            if permit == self.generation:
                self._lent.add(ledger)
        return True

    def record_success(self: Any) -> None:
        """The call succeeded. Without a permit this counts only while the circuit is closed."""
        permit, began = self._claim()
        self._spend(SUCCESS, permit, began, 0.0)

    def record_failure(self: Any, retry_after: float = 0.0) -> None:
        """The call failed; `retry_after` as in `Permit.failure`. Without a permit as for `record_success`."""
        permit, began = self._claim()
        self._spend(FAILURE, permit, began, retry_after)

    def get_state(self: Any) -> State:
        """The state the breaker is in."""
        state: State = self.state
        return state

    def _claim(self: Any) -> tuple[int, float]:
        """The permit that a result recorded in this context spends, and when its call began."""
        with self._lock:
            self._settle()
            ledger = self._ledger.get(None) or self._credited()
            if ledger is not None and ledger.unspent > 0:
                ledger.unspent -= 1
                return ledger.generation, ledger.began
            counts = self.state_code == rules.CLOSED and self.mode in (rules.AUTOMATIC, rules.METRICS_ONLY)
            return (self.generation if counts else rules.UNCOUNTED), math.inf

    def _credited(self: Any) -> Ledger | None:
        """The ledger that pays for a result from a context that took no permit, if only a present one can."""
        if self._lent_late > 0:
            self._lent_late -= 1
            if self.state_code == rules.HALF_OPEN:
                self._let_go()
            return None
        return next((ledger for ledger in self._lent if ledger.unspent > 0), None)

    def _settle(self: Any) -> None:
        """What was lent in an earlier generation is late from now on, and presumed dead after `half_open_timeout`."""
        if self._clock() >= self._late_until:
            self._lent_late = 0
        if self._lent_in != self.generation:
            self._let_go()
            self._lent_in = self.generation

    def _let_go(self: Any) -> None:
        self._lent_late += sum(ledger.unspent for ledger in self._lent)
        self._late_until = self._clock() + self.half_open_timeout
        self._lent.clear()
