"""The circuit breaker that guards calls: the rules of `breaker.py` under a lock, around functions of every kind."""

from __future__ import annotations

import contextvars
import functools
import inspect
import math
import os
import random as chance
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final, NamedTuple, TypeVar

from breakerlab.policy import breaker as rules  # but by name what each call needs: a look into a module costs 10 ns
from breakerlab.policy import parameter
from breakerlab.policy.breaker import (
    METRICS_ONLY,
    OPEN,
    REFUSED,
    STATES,
    UNCOUNTED,
    Breaker,
    CircuitOpenError,
    State,
    admit,
    admit_first,
    fail,
    ignore,
    succeed,
)
from breakerlab.policy.check_and_record import CheckAndRecord
from breakerlab.policy.lock import fork_safe_lock
from breakerlab.policy.mishap import log_mishap
from breakerlab.policy.outcome import FAILURE, IGNORED, SUCCESS, Classify, Outcome, is_plain, judge
from breakerlab.policy.retry_after import retry_after_in

Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])

_LAZY = frozenset((CoroutineType, GeneratorType, AsyncGeneratorType))
_PLAIN = frozenset((type(None), bool, int, float, str, bytes, tuple, list, dict))  # what carries no HTTP status
_entered: contextvars.ContextVar[tuple[Permit, ...]] = contextvars.ContextVar("breakerlab_entered", default=())


class BreakerEvent(NamedTuple):
    """What a listener is told: kind "transition" (from `before` to `state`) or "rejection" (a call was refused).

    time: on the breaker's clock. retry_in: seconds until the next probe. reason: why the circuit last opened. In
    METRICS_ONLY `enforced` is False: this is what the breaker would have done.
    """

    kind: str
    name: str
    before: State
    state: State
    time: float
    retry_in: float
    reason: str
    enforced: bool


class Snapshot(NamedTuple):
    """A breaker at one moment, for dashboards.

    decision: closed, open or half-open by the rules; differs from `state` when that was set by hand. reason: why the
    circuit last opened. retry_in: seconds until the next probe. failure_rate, slow_call_rate: from 0 to 1, of the
    `calls` in the window. failures: in a row. probes: in flight. openings: since the circuit was last closed. The rest
    since the beginning; late are results that came when the state that admitted their call had ended.
    """

    name: str
    state: State
    decision: State
    reason: str
    retry_in: float
    failure_rate: float
    slow_call_rate: float
    calls: int
    failures: int
    probes: int
    openings: int
    succeeded: int
    failed: int
    ignored: int
    rejected: int
    late: int


class _AsyncBlock:
    """What `with` does, `async with` does too: nothing here waits."""

    __slots__ = ()

    async def __aenter__(self: Any) -> Permit:
        permit: Permit = self.__enter__()
        return permit

    async def __aexit__(self: Any, kind: object, error: BaseException | None, traceback: object) -> None:
        self.__exit__(kind, error, traceback)


class Permit(_AsyncBlock):
    """One admitted call. Spend it once, with `success`, `failure` or `ignored`; spending it again changes nothing.

    As a context manager, `with` or `async with`, it is spent by what the block does.
    """

    __slots__ = ("_began", "_breaker", "_generation", "_took")

    def __init__(self, breaker: CircuitBreaker, generation: int, began: float) -> None:
        self._breaker, self._generation, self._began = breaker, generation, began
        self._took: float | None = None

    def success(self) -> None:
        """The call succeeded."""
        self._breaker._spend(SUCCESS, self._held(), self._start(), 0.0)

    def failure(self, retry_after: float = 0.0) -> None:
        """The call failed; the server asked to be left alone for `retry_after` seconds (0.0: it did not ask)."""
        self._breaker._spend(FAILURE, self._held(), self._start(), retry_after)

    def ignored(self) -> None:
        """The call said nothing about the service's health: it was cancelled, or the request itself was wrong."""
        self._breaker._spend(IGNORED, self._held(), 0.0, 0.0)

    def spend(self, outcome: Outcome, retry_after: float = 0.0) -> None:
        """The call had this outcome; `retry_after` as for `failure`."""
        self._breaker._spend(outcome, self._held(), self._start(), retry_after)

    def stop_clock(self) -> None:
        """The service has answered: what its reader takes from now on does not make the call a slow one."""
        self._took = self._breaker._clock() - self._began

    def _start(self) -> float:
        return self._began if self._took is None else self._breaker._clock() - self._took

    def _held(self) -> int:
        """What is held, which is nothing from now on."""
        with self._breaker._lock:
            held, self._generation = self._generation, UNCOUNTED
        return held

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            self.success()
        else:
            self._breaker._raised(error, self._held(), self._start())


class CircuitBreaker(CheckAndRecord, _AsyncBlock):
    """A circuit breaker for calls from any number of threads or tasks; no lock is held while a call runs.

        breaker = CircuitBreaker(failure_rate=0.5, recovery_timeout=30.0, name="llm")

        @breaker                                        # functions, coroutines, generators, async generators
        def ask(prompt): ...

        answer = breaker.call(client.post, url)         # raises CircuitOpenError when open
        with breaker: ...                               # any block; `async with` likewise
        with breaker.acquire() as permit: ...           # also where blocks interleave, or change their context
        if breaker.can_execute(): ...                   # then record_success() or record_failure()

    Takes the fields of `Breaker`, kept as `config`. name: for errors and events. clock: seconds, must never go
    backwards. random: draws from [0, 1), for the recovery's jitter. classify: what counts as a failure; without it,
    exceptions and returned responses are judged by their HTTP status where they have one. listeners: called with each
    `BreakerEvent`, transitions in order, outside the lock; what a listener raises is logged and never reaches the call.
    A stream is never slow, since its reader's pace is in it.

    A copy or an unpickled breaker has the same rules, and has seen nothing. A forked child goes on with its parent's
    state of that moment, on its own. Raises ValueError naming a parameter that is out of range.
    """

    __slots__ = (
        "__weakref__", "_classify", "_clock", "_delivering", "_events", "_listeners", "_lock", "_random", "_timed",
        "bucket", "bucket_seconds", "calls", "config", "failed", "failure_rate", "failure_threshold", "failures",
        "free_permit", "generation", "guards_retries_only", "half_open_max_calls", "half_open_timeout", "has_window",
        "ignored", "late", "minimum_calls", "mode", "name", "openings", "probe_at", "probes", "probes_until",
        "reason", "recovery_cap", "recovery_growth", "recovery_jitter", "recovery_timeout", "rejected", "ring",
        "ring_at", "slow_call_duration", "slow_call_rate", "state_code", "succeeded", "success_threshold", "successes",
        "top_exponent", "window", "window_failures", "window_slow",
    )  # fmt: skip
    state_code: int
    mode: int
    free_permit: int
    probe_at: float
    recovery_jitter: float
    bucket_seconds: float
    guards_retries_only: int
    slow_call_duration: float
    window_failures: int
    window_slow: int
    calls: int
    reason: int

    def __init__(
        self, failure_threshold: int | None = None, recovery_timeout: float = 30.0, half_open_max_calls: int = 1, *,
        failure_rate: float | None = None, slow_call_rate: float | None = None, slow_call_duration: float = 60.0,
        window: int = 20, window_seconds: float | None = None, minimum_calls: int = 10, recovery_growth: float = 1.0,
        recovery_cap: float | None = None, recovery_jitter: float = 0.0, success_threshold: int | None = None,
        half_open_timeout: float | None = None, guards: str = "all", name: str = "",
        clock: Callable[[], float] = time.monotonic, random: Callable[[], float] = chance.random,
        classify: Classify | None = None, listeners: Iterable[Callable[[BreakerEvent], object]] = (),
    ) -> None:  # fmt: skip
        self.config: Final = Breaker(
            failure_threshold, recovery_timeout, half_open_max_calls, failure_rate, slow_call_rate, slow_call_duration,
            window, window_seconds, minimum_calls, recovery_growth, recovery_cap, recovery_jitter, success_threshold,
            half_open_timeout, guards,
        )  # fmt: skip
        parameter.instance("classify", classify, of=Classify, or_none=True)
        for rule, value in self.config.rules().items():
            setattr(self, rule, value)
        self.ring = [0] * max(self.config.window, 3 * rules.BUCKETS)
        self.name, self._clock, self._random, self._classify = name, clock, random, classify
        self._listeners = tuple(listeners)
        self._timed = self.bucket_seconds > 0.0 or self.slow_call_duration < math.inf
        self._events: deque[BreakerEvent] = deque()
        self._delivering: tuple[int, int] | None = None
        self._lock = fork_safe_lock()
        self._open_books()
        rules.reset(self)

    @property
    def state(self) -> State:
        """The state the breaker is in. An open circuit becomes half-open when a call asks, not by itself."""
        return STATES[self.mode or self.state_code]

    @property
    def retry_in(self) -> float:
        """Seconds until an open circuit admits a probe; 0 if it would now, infinite while held open by hand."""
        with self._lock:
            return 0.0 if self.mode == METRICS_ONLY else self._retry_in(self._clock())

    # ---- by hand

    def force_open(self) -> None:
        """Refuse every call until told otherwise."""
        self._take_in_hand(rules.FORCED_OPEN)

    def disable(self) -> None:
        """Let every call through and count nothing, until told otherwise."""
        self._take_in_hand(rules.DISABLED)

    def metrics_only(self) -> None:
        """Decide and report, from a closed circuit on, but refuse no call, until told otherwise."""
        self._take_in_hand(METRICS_ONLY)

    def reset(self) -> None:
        """Close the circuit, with nothing counted, and let the rules decide again."""
        self._take_in_hand(rules.AUTOMATIC)

    def _take_in_hand(self, mode: int) -> None:
        with self._lock:
            before = self.state
            rules.set_mode(self, mode)
            if self.state is not before:
                self._note(before, self.state)
        self._deliver()

    # ---- around calls

    def acquire(self, *, retry: bool = False) -> Permit:
        """A permit for one call, a `retry` or (as in all other ways in) a first attempt. Raises CircuitOpenError."""
        permit = self.free_permit
        if permit < 0:
            permit = self._ask(retry)
        return Permit(self, permit, self._clock() if self._timed else 0.0)

    def call(self, function: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Result:
        """`function(*args, **kwargs)`, if the circuit allows it. Raises CircuitOpenError, or what `function` does.

        If it returns a coroutine or a generator, that is guarded instead, from its first step to its end.
        """
        permit = self.free_permit
        if permit < 0:
            permit = self._ask()
        began = self._clock() if self._timed else 0.0
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            self._raised(error, permit, began)
            raise
        returned: Result = self._returned(result, permit, began)
        return returned

    def __call__(self, function: Function) -> Function:
        """Decorate `function`: each call of it, each awaiting, each iteration is one guarded call."""
        wrapper = self._around_coroutine(function) if inspect.iscoroutinefunction(function) else self._around(function)
        return functools.wraps(function)(wrapper)  # type: ignore[return-value]

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # the body of `call`, since one more call would cost 0.1 µs
            permit = self.free_permit
            if permit < 0:
                permit = self._ask()
            began = self._clock() if self._timed else 0.0
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._raised(error, permit, began)
                raise
            return self._returned(result, permit, began)

        return wrapper

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            permit = self.free_permit
            if permit < 0:
                permit = self._ask()
            began = self._clock() if self._timed else 0.0
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                self._raised(error, permit, began)
                raise
            return self._returned(result, permit, began)

        return wrapper

    def _when_it_runs(self, lazy: Any, permit: int) -> Any:
        """A coroutine or generator has done nothing yet: its permit is for when it does."""
        if permit < 0:
            return lazy
        with self._lock:
            rules.give_back(self, permit)
        if isinstance(lazy, CoroutineType):
            return self._coroutine(lazy)
        return self._stream(lazy) if isinstance(lazy, GeneratorType) else self._async_stream(lazy)

    async def _coroutine(self, inner: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await self._around_coroutine(lambda: inner)()
        finally:
            inner.close()  # if it was refused, so that Python does not warn of a coroutine that was never awaited

    def _stream(self, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        with self._untimed():
            return (yield from inner)

    async def _async_stream(self, inner: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        with self._untimed():
            try:
                item = await anext(inner)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await inner.aclose()
                        raise
                    except BaseException as thrown:
                        item = await inner.athrow(thrown)
                    else:
                        item = await inner.asend(sent)
            except StopAsyncIteration:
                return

    def _untimed(self) -> Permit:
        permit = self.acquire()
        permit._began = math.inf
        return permit

    def __enter__(self) -> Permit:
        permit = self.acquire()
        _entered.set((*_entered.get(), permit))
        return permit

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        permits = _entered.get()
        mine = next((permit for permit in reversed(permits) if permit._breaker is self), None)
        if mine is not None:  # None: the block was left in another context than it was entered in
            _entered.set(tuple(permit for permit in permits if permit is not mine))
            mine.__exit__(kind, error, traceback)

    # ---- the rules, under the lock

    # From here on `acquire` and `release` by hand where a call passes: a `with` takes 0.1 µs more. A signal handler may
    # raise between any two calls, hence `acquire` inside the `try`, and the question whether the lock is held.

    def _ask(self, retry: bool = False) -> int:
        """A permit by the rules, where reading `free_permit` gave none. Raises CircuitOpenError."""
        lock, rejection = self._lock, None
        try:
            lock.acquire()
            now = self._clock()
            before = self.state_code
            first = self.guards_retries_only and not retry
            permit = admit_first(self, now) if first else admit(self, now)
            if permit == REFUSED:
                refused_by = self.mode or self.state_code
                retry_in = self.probe_at - now if refused_by == OPEN else self._retry_in(now)
                if self._listeners:
                    by = STATES[self.state_code if refused_by == METRICS_ONLY else refused_by]
                    rejection = self._event("rejection", by, by, now)
                if refused_by == METRICS_ONLY:
                    permit = UNCOUNTED
            elif self.state_code != before:
                self._note(STATES[before], STATES[self.state_code])
            lock.release()
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise
        if self._events:
            try:
                self._deliver()
            except BaseException:  # interrupted in a listener: the permit must not be lost
                self._spend(IGNORED, permit, 0.0, 0.0)
                raise
        if rejection is not None:
            self._tell_rejection(rejection)
        if permit == REFUSED:
            raise CircuitOpenError(self.name, STATES[refused_by], retry_in)
        return permit

    def _returned(self, result: Any, permit: int, began: float) -> Any:
        """A call returned: a success, unless what it returned says otherwise or has still to run."""
        if type(result) not in _PLAIN or self._classify is not None:
            if type(result) in _LAZY:
                return self._when_it_runs(result, permit)
            outcome = self._outcome(result, None, permit)
            if outcome is not SUCCESS:
                self._spend(outcome, permit, began, retry_after_in(result))
                return result
        self._spend(SUCCESS, permit, began, 0.0)
        return result

    def _raised(self, error: BaseException, permit: int, began: float) -> None:
        if self._classify is None and is_plain(error):
            self._spend(FAILURE, permit, began, 0.0)
        else:
            self._spend(self._outcome(None, error, permit), permit, began, retry_after_in(error))

    def _outcome(self, result: object, error: BaseException | None, permit: int) -> Outcome:
        try:
            return judge(self._classify, result, error)
        except BaseException:  # interrupted while judging: the permit must not be lost
            self._spend(IGNORED, permit, 0.0, 0.0)
            raise

    def _spend(self, outcome: Outcome, permit: int, began: float, retry_after: float) -> None:
        """The call that holds `permit`, and began then, is over. (A default would make this slower.)"""
        if permit < 0:
            return
        lock = self._lock
        try:
            lock.acquire()
            before = self.state_code
            if outcome is SUCCESS and not (self._timed or self.window_failures):
                succeed(self, permit, 0.0, 0.0, 0.0)  # neither the time nor a draw can matter
            elif outcome is SUCCESS or outcome is FAILURE:
                now, u = self._clock(), self._random() if self.recovery_jitter else 0.0
                if outcome is SUCCESS:
                    succeed(self, permit, now, now - began, u)
                else:
                    fail(self, permit, now, now - began, retry_after if retry_after > 0.0 else 0.0, u)
            else:
                ignore(self, permit)
            if self.state_code != before:
                self._note(STATES[before], STATES[self.state_code])
            lock.release()
        except BaseException:
            if lock._is_owned():
                lock.release()
            raise
        if self._events:
            self._deliver()

    def _retry_in(self, now: float) -> float:
        if self.mode == rules.FORCED_OPEN:
            return math.inf
        return max(self.probe_at - now, 0.0) if self.state_code == OPEN else 0.0

    # ---- what others are told

    def _note(self, before: State, after: State) -> None:
        if self._listeners:
            self._events.append(self._event("transition", before, after, self._clock()))

    def _event(self, kind: str, before: State, after: State, now: float) -> BreakerEvent:
        facts = (now, self._retry_in(now), rules.REASONS[self.reason], self.mode != METRICS_ONLY)
        return BreakerEvent(kind, self.name, before, after, *facts)

    def _deliver(self) -> None:
        """Tell the listeners of transitions, in order: whoever delivers first delivers for all.

        A rejection is told by the call that it befalls, lest in an outage one call be kept telling those of all others;
        queued behind the event that its own thread is telling, if a listener was refused.
        """
        me = os.getpid(), threading.get_ident()
        while self._events:
            with self._lock:
                # a forked child must not wait for a thread that it does not have
                if not self._events or (self._delivering is not None and self._delivering[0] == me[0]):
                    return
                self._delivering = me
                event = self._events.popleft()
            try:
                self._tell(event)
            finally:
                self._delivering = None

    def _tell_rejection(self, event: BreakerEvent) -> None:
        if self._delivering == (os.getpid(), threading.get_ident()):
            self._events.append(event)
        else:
            self._tell(event)

    def _tell(self, event: BreakerEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:
                log_mishap(f"a listener of circuit {self.name!r} failed", error)

    def snapshot(self) -> Snapshot:
        """The breaker at this moment."""
        with self._lock:
            now = self._clock()
            if self.bucket_seconds > 0.0:
                rules.roll(self, now)
            calls = max(self.calls, 1)
            rates = self.window_failures / calls, self.window_slow / calls
            states = self.state, STATES[self.state_code], rules.REASONS[self.reason], self._retry_in(now)
            counts = (getattr(self, count) for count in Snapshot._fields[7:])
            return Snapshot(self.name, *states, *rates, *counts)

    def __reduce__(self) -> tuple[Any, ...]:
        live: dict[str, Any] = {
            "name": self.name,
            "clock": self._clock,
            "classify": self._classify,
            "listeners": self._listeners,
        }
        if self._random is not chance.random:  # which would travel with its state: all copies would draw the same
            live["random"] = self._random
        return functools.partial(type(self), **self.config.to_dict(), **live), ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.state.value}>"
