"""The guard: calls under a whole policy, fallback( retry( throttle( breaker( timeout( call ))))).

What to do next is decided in one place, `_course`, which neither waits nor calls: it hands out steps, and is told how
they went. One driver carries the steps out for plain functions, another for coroutines.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import itertools
import random as chance
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from breakerlab.policy.breaker import CircuitOpenError, State
from breakerlab.policy.budget import TokenBucket
from breakerlab.policy.circuit import BreakerEvent, CircuitBreaker, Permit
from breakerlab.policy.deadline import Ended, cut_after, discard_late, run_within
from breakerlab.policy.fallback import Fallback
from breakerlab.policy.mishap import log_mishap
from breakerlab.policy.outcome import FAILURE, IGNORED, SUCCESS, Classify, Outcome, described, judge, word_of_error
from breakerlab.policy.policy import Policy
from breakerlab.policy.retry_after import retry_after_in
from breakerlab.policy.throttle import AdaptiveThrottle, LocallyThrottledError

Function = TypeVar("Function", bound=Callable[..., Any])
_TRACE_CODES = {State.OPEN: 1, State.FORCED_OPEN: 1, State.HALF_OPEN: 2}  # all else lets calls through: 0
_LONGEST_WAIT = 1e9  # seconds; what a system's timers can hold
_LONGEST_RECORDED = 1e10  # seconds; servers send anything as Retry-After, but a trace holds no more
_REQUESTS = 20  # bits for the numbers of one guard's requests; the 32 above differ from guard to guard


class Answer(NamedTuple):
    """What a guarded call gave. served_by: the guard's name, or the fallback's that answered in its place. attempts:
    calls made, refusals not counted. error: what the fallback stands in for, else None."""

    value: Any
    served_by: str
    attempts: int
    error: BaseException | None = None


class _Wait(NamedTuple):
    seconds: float


class _Attempt(NamedTuple):
    seconds: float


class _Ask(NamedTuple):
    function: Callable[[Any], Any]
    subject: Any


_Step = _Wait | _Attempt | _Ask


@dataclass(slots=True)
class _Call:
    """One logical call on its way. tries: refusals included; attempts: calls made. wait: the latest backoff."""

    request: int
    started: float
    tries: int = 0
    attempts: int = 0
    wait: float = 0.0
    retry_after: float = 0.0
    ended: Ended = Ended()  # noqa: RUF009
    outcome: Outcome = FAILURE


class Guard:
    """Runs calls under `policy`; made by `Policy.guard`.

        guard = policy.guard("llm")
        text = guard.call(client.complete, prompt)              # a plain function
        text = await guard.call_async(client.complete, prompt)  # anything that gives an awaitable
        answer = guard.answer(client.complete, prompt)          # with who served it
        guard.write("order-17").call(client.post, order)        # a write, retried under its idempotency key

        @guard                                                  # functions and coroutine functions
        def ask(prompt): ...

    Errors: what the last attempt raised; TimeoutError for an attempt cut short; CircuitOpenError or
    LocallyThrottledError when refused. A failed result (such as a response with status 503) is returned as it is. With
    a fallback, its answer instead; not for what is no failure: cancellation, a wrong request. For a stream, guard the
    call that opens it. A coroutine that puts off its cancellation is waited for, whatever its time.

    breaker, bucket, throttle: those shared with others; without them, new ones by the policy. classify, listeners: as
    for `CircuitBreaker`. recorder: a `trace.Recorder`, told of each attempt, and of the circuit's changes if `breaker`
    is not given; labels: more fields for its `begin`. timeout_keyword: the function is given its seconds under this
    name and must keep to them; a plain one then runs in the caller's thread, and else in one of its own, which is
    abandoned in time. discard: given what came too late. clock: seconds, must never go backwards. sleep: given seconds.
    random: draws from [0, 1), for jitter and throttle.

    A copy shares the breaker, the budget and the throttle. Raises ValueError for a recorder without a name, and for
    listeners beside a breaker, which has its own.
    """

    def __init__(
        self,
        policy: Policy,
        name: str = "",
        *,
        breaker: CircuitBreaker | None = None,
        bucket: TokenBucket | None = None,
        throttle: AdaptiveThrottle | None = None,
        classify: Classify | None = None,
        recorder: Any = None,
        labels: dict[str, Any] | None = None,
        timeout_keyword: str | None = None,
        discard: Callable[[Any], object] | None = None,
        listeners: Iterable[Callable[[BreakerEvent], object]] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] | None = None,
        random: Callable[[], float] = chance.random,
    ) -> None:
        if recorder is not None and not name and "service" not in (labels or {}):
            raise ValueError("Guard with a recorder needs a name: it is the service in the trace")
        if breaker is not None and listeners:
            raise ValueError("Guard with a breaker of your own: hand the listeners to the CircuitBreaker that you make")
        if recorder is not None:
            listeners = (*listeners, self._record_transition)
        live: dict[str, Any] = {"clock": clock, "random": random, "classify": classify, "listeners": listeners}
        rules = policy.fitted_breaker()
        if breaker is None and rules is not None:
            breaker = CircuitBreaker(**rules.to_dict(), name=name, **live)
        if bucket is None and policy.retry is not None and policy.retry.budget is not None:
            bucket = TokenBucket(policy.retry.budget, clock)
        if throttle is None and policy.throttle is not None:
            throttle = AdaptiveThrottle(policy.throttle, name=name, clock=clock, random=random)
        self.policy, self.name, self.breaker, self.bucket, self.throttle = policy, name, breaker, bucket, throttle
        self._classify, self._recorder, self._labels = classify, recorder, labels or {}
        self._timeout_keyword, self._discard = timeout_keyword, discard
        self._clock, self._sleep, self._random = clock, sleep, random
        self._repeatable, self._extra = True, dict[str, Any]()
        self._hold: Callable[[Any, Callable[[Ended | None], object]], None] | None = None
        self._requests = itertools.count(chance.getrandbits(32) << _REQUESTS)

    # ---- ways in

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """`function(*args, **kwargs)` under the policy; of a coroutine function, the awaitable of it."""
        if inspect.iscoroutinefunction(function):
            return self.call_async(function, *args, **kwargs)
        return self.answer(function, *args, **kwargs).value

    async def call_async(self, function: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        """`await function(*args, **kwargs)` under the policy."""
        return (await self.answer_async(function, *args, **kwargs)).value

    def answer(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Answer:
        """As `call`, with who served the answer and in how many attempts."""
        with contextlib.closing(self._course()) as course:
            step = next(course)
            while not isinstance(step, Answer | BaseException):
                step = course.send(self._do(step, function, args, kwargs))
        if isinstance(step, BaseException):
            raise step
        return step

    async def answer_async(self, function: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Answer:
        """As `call_async`, with who served the answer and in how many attempts."""
        with contextlib.closing(self._course()) as course:
            step = next(course)
            while not isinstance(step, Answer | BaseException):
                step = course.send(await self._do_async(step, function, args, kwargs))
        if isinstance(step, BaseException):
            raise step
        return step

    def write(self, idempotency_key: str | None = None) -> Guard:
        """This guard for one write: retried only with a key, which each attempt is given as `idempotency_key=`."""
        one = self.label(idempotent=idempotency_key is not None)
        one._repeatable = idempotency_key is not None
        one._extra = {} if idempotency_key is None else {"idempotency_key": idempotency_key}
        return one

    def _for_one(self, repeatable: bool, hold: Any, discard: Any, **labels: Any) -> Guard:
        """This guard for one request, whose success is known only when `hold`, given the result, says so."""
        one = self.label(**labels)
        one._repeatable, one._hold, one._discard = repeatable, hold, discard
        return one

    def label(self, **fields: Any) -> Guard:
        """This guard with more fields for `Recorder.begin`: request, endpoint, client, tokens_in, tokens_out, ..."""
        one = copy.copy(self)
        one._labels = {**self._labels, **fields}
        return one

    def __call__(self, function: Function) -> Function:
        """Decorate `function`, plain or coroutine: every call of it goes under the policy."""
        if inspect.iscoroutinefunction(function):

            async def call_async(*args: Any, **kwargs: Any) -> Any:
                return await self.call_async(function, *args, **kwargs)

            return functools.wraps(function)(call_async)  # type: ignore[return-value]

        def call(*args: Any, **kwargs: Any) -> Any:
            return self.call(function, *args, **kwargs)

        return functools.wraps(function)(call)  # type: ignore[return-value]

    # ---- the course of one call: what to do next

    def _course(self) -> Generator[_Step | Answer | BaseException, Any, None]:
        """The steps of one call, then its answer or its error, which the driver raises: a StopIteration may be one."""
        request = self._labels.get("request")
        call = _Call(next(self._requests) if request is None else request, self._clock())
        if self.bucket is not None:
            self.bucket.call()
        while True:
            yield from self._one_attempt(call)
            start = self._next_start(call) if call.outcome is FAILURE else None
            if start is None:
                break
            yield _Wait(min(max(start - self._clock(), 0.0), _LONGEST_WAIT))
            if self._seconds_allowed(call) <= 0.0:
                break  # overslept: the total time is over
        if call.outcome is SUCCESS and self.bucket is not None:
            self.bucket.success()
        refused_within = call.ended.error is not None and word_of_error(call.ended.error) == "rejected"
        if (call.outcome is FAILURE or refused_within) and self.policy.fallback is not None:
            answer = yield from self._fall_back(call, self.policy.fallback)
            if answer is not None:
                yield answer
        if call.ended.error is not None:
            yield call.ended.error
        yield Answer(call.ended.result, self.name, call.attempts)

    def _one_attempt(self, call: _Call) -> Generator[_Step, Any, None]:
        record = self._begin(call)
        call.tries += 1
        try:
            if self.throttle is not None:
                self.throttle.request()
            permit = None if self.breaker is None else self.breaker.acquire(retry=call.attempts > 0)
        except (CircuitOpenError, LocallyThrottledError) as refusal:
            call.ended, call.outcome = Ended(error=refusal), FAILURE
            self._end(record, "rejected")
            return
        call.attempts += 1
        finish = functools.partial(self._finish, call, permit, record)
        ended = None
        try:
            ended = yield _Attempt(max(self._seconds_allowed(call), 0.0))
        finally:  # also when cancelled
            call.outcome = self._outcome_of(ended)
            if self._hold is not None and call.outcome is SUCCESS and ended is not None:
                if permit is not None:
                    permit.stop_clock()
                self._hold(ended.result, finish)
            else:
                finish(ended)
        call.ended = ended

    def _finish(self, call: _Call, permit: Permit | None, record: Any, ended: Ended | None) -> None:
        """An attempt is over: its permit is spent, its record ends. None: it was cancelled."""
        outcome = call.outcome if self._hold is None else self._outcome_of(ended)
        call.retry_after = 0.0
        if ended is not None:
            call.retry_after = retry_after_in(ended.result if ended.error is None else ended.error)
        if permit is not None:
            permit.spend(outcome, call.retry_after)
        if self.throttle is not None and outcome is not FAILURE:
            self.throttle.accept()
        told = ("cancelled", None) if ended is None else described(ended.result, ended.error, outcome)
        self._end(record, *told, min(call.retry_after, _LONGEST_RECORDED) or None)

    def _outcome_of(self, ended: Ended | None) -> Outcome:
        if ended is None:
            return IGNORED
        return FAILURE if ended.cut else judge(self._classify, ended.result, ended.error)

    def _seconds_allowed(self, call: _Call) -> float:
        retry = self.policy.retry
        if retry is None:
            return self.policy.timeout
        made = call.tries - 1 if self._repeatable else retry.attempts - 1  # a write without a key: its only attempt
        return retry.time_allowed(self.policy.timeout, made, call.started, self._clock())

    def _next_start(self, call: _Call) -> float | None:
        """When the next attempt starts; None if there is none."""
        retry, refusal = self.policy.retry, call.ended.error
        refused = isinstance(refusal, CircuitOpenError)
        if retry is None or isinstance(refusal, LocallyThrottledError) or (refused and not retry.wait_for_probe):
            return None
        if not self._repeatable and call.attempts > 0:
            return None
        call.wait = retry.backoff.delay(call.tries, call.wait, self._random())
        now = self._clock()
        # of the breaker where nothing was refused: a failure may just have opened the circuit
        gate = refusal if isinstance(refusal, CircuitOpenError) else self.breaker
        until_probe = 0.0 if gate is None else gate.retry_in
        asked = 0.0 if refused else call.retry_after
        start = retry.next_start(call.tries, call.started, now, call.wait, asked, now + until_probe)
        if start is not None and not refused and self.bucket is not None and not self.bucket.withdraw():
            self._end(self._begin(call), "rejected")
            return None
        return start

    def _fall_back(self, call: _Call, fallback: Fallback) -> Generator[_Step, Any, Answer | None]:
        cause = call.ended.result if call.ended.error is None else call.ended.error
        for name, answer in fallback.chain:
            ended = (yield _Ask(answer, cause)) if callable(answer) else Ended(answer)
            if ended.error is None:
                return Answer(ended.result, name, call.attempts, call.ended.error)
            log_mishap(f"fallback {name!r} of {self.name!r} failed", ended.error)
        return None

    # ---- the two drivers: how it is done

    def _do(self, step: _Step, function: Callable[..., Any], args: Any, kwargs: Any) -> Ended | None:
        if isinstance(step, _Wait):
            (self._sleep or time.sleep)(step.seconds)
            return None
        if isinstance(step, _Ask):
            ended = _captured(step.function, step.subject)
            if inspect.iscoroutine(ended.result):
                ended.result.close()
                told = f"{_name(step.function)} gave a coroutine, which only `call_async` can await"
                ended = Ended(error=TypeError(told))
            return ended
        work = functools.partial(function, *args, **self._arguments(kwargs, step))
        began = self._clock()
        if self._timeout_keyword is None:
            ended = self._in_time(run_within(step.seconds, work, self._discard), began, step)
        else:
            ended = _captured(work)
        if inspect.iscoroutine(ended.result):
            ended.result.close()
            raise TypeError(f"{_name(function)} gave a coroutine; use `await guard.call_async({_name(function)}, ...)`")
        if inspect.isgenerator(ended.result) or inspect.isasyncgen(ended.result):
            raise TypeError(f"{_name(function)} gave a generator; guard the call that opens a stream, or use a breaker")
        return ended

    async def _do_async(self, step: _Step, function: Callable[..., Any], args: Any, kwargs: Any) -> Ended | None:
        import asyncio  # here, because it takes longer to load than all the rest

        if isinstance(step, _Wait):
            slept = (self._sleep or asyncio.sleep)(step.seconds)
            if inspect.isawaitable(slept):
                await slept
            return None
        if isinstance(step, _Ask):
            return await _captured_async(step.function, step.subject)
        began, scope, plain = self._clock(), asyncio.timeout(step.seconds), False
        try:
            async with scope:
                given = function(*args, **self._arguments(kwargs, step))
                plain = not inspect.isawaitable(given)
                ended = Ended(None if plain else await given)
        except Exception as error:
            ended = cut_after(step.seconds) if scope.expired() else Ended(error=error)
        if plain:
            raise TypeError(f"{_name(function)} gave nothing to await; use `guard.call({_name(function)}, ...)`")
        return self._in_time(ended, began, step)

    def _arguments(self, kwargs: dict[str, Any], attempt: _Attempt) -> dict[str, Any]:
        allowed = {} if self._timeout_keyword is None else {self._timeout_keyword: attempt.seconds}
        return {**kwargs, **self._extra, **allowed}

    def _in_time(self, ended: Ended, began: float, attempt: _Attempt) -> Ended:
        """An answer that came too late is none, whatever held it up."""
        if ended.error is not None or self._clock() - began <= attempt.seconds:
            return ended
        if self._discard is not None:
            discard_late(self._discard, ended.result)
        return cut_after(attempt.seconds)

    # ---- the record, which must not disturb the call

    def _record_transition(self, event: BreakerEvent) -> None:
        if event.kind == "transition" and event.enforced:
            code = _TRACE_CODES.get(event.state, 0)
            self._recorder.event("breaker", code, instance=self._labels.get("client", self.name))

    def _begin(self, call: _Call) -> Any:
        if self._recorder is None:
            return None
        fields = {"service": self.name, **self._labels, "request": call.request, "attempt": call.tries + 1}
        try:
            return self._recorder.begin(**fields)
        except Exception as error:
            log_mishap(f"guard {self.name!r} could not record an attempt", error)
            return None

    def _end(self, record: Any, outcome: str, status: int | None = None, retry_after: float | None = None) -> None:
        if record is None:
            return
        try:
            self._recorder.end(record, outcome=outcome, status=status, retry_after=retry_after)
        except Exception as error:
            log_mishap(f"guard {self.name!r} could not record the end of an attempt", error)


def _captured(function: Callable[..., Any], *args: Any) -> Ended:
    try:
        return Ended(function(*args))
    except Exception as error:
        return Ended(error=error)


async def _captured_async(function: Callable[..., Any], subject: Any) -> Ended:
    try:
        result = function(subject)
        return Ended(await result if inspect.isawaitable(result) else result)
    except Exception as error:
        return Ended(error=error)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
