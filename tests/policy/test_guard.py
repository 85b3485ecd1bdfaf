"""The guard: the order of its layers, its time, and what it does with what a function may do to it."""

import asyncio
import contextlib
import contextvars
import copy
import functools
import itertools
import random
import signal
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import (
    Answer,
    Backoff,
    Breaker,
    CircuitBreaker,
    CircuitOpenError,
    Classify,
    Fallback,
    Guard,
    Policy,
    Retry,
    RetryBudget,
    State,
    TokenBucket,
)

ROUNDING = 1e-9  # of the times compared
LONG = 30.0  # s: what nobody waits for
SOON = 10.0  # s: well below LONG, well above what a busy machine needs
STEADY = Backoff(base=1.0, factor=1.0, cap=1.0, jitter="none")
BRISK = Backoff(base=0.001, factor=1.0, cap=0.001, jitter="none")

Call = Callable[..., Answer]


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def guard(self, policy: Policy, name: str = "llm", **live: Any) -> Guard:
        return policy.guard(name, **{"clock": self, "sleep": self.sleep, "random": lambda: 0.5, **live})


class Response:
    def __init__(self, status_code: int, **headers: str) -> None:
        self.status_code = status_code
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


class HTTPError(Exception):
    """As httpx and the SDKs raise it: the status is the response's."""

    def __init__(self, response: Response) -> None:
        super().__init__("the service answered with an error")
        self.response = response


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


@pytest.fixture
def clock() -> Clock:
    return Clock()


def call_plain(guard: Guard, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Answer:
    return guard.answer(function, *args, **kwargs)


def call_coroutine(guard: Guard, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Answer:
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return asyncio.run(guard.answer_async(coroutine, *args, **kwargs))


@pytest.fixture(params=[call_plain, call_coroutine], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    way: Call = request.param
    return way


class Script:
    """A function that does one thing after the other: raises an exception, returns anything else."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **kwargs: Any) -> Any:
        step = self.steps[min(len(self.calls), len(self.steps) - 1)]
        self.calls.append(kwargs)
        if isinstance(step, BaseException):
            raise step
        return step


def retrying(attempts: int = 4, **fields: Any) -> Retry:
    return Retry(**{"attempts": attempts, "total_time": None, "backoff": STEADY, **fields})


# ---- the order: fallback( retry( breaker( timeout( call ))))


def test_a_call_that_succeeds_is_made_once(clock: Clock, call: Call) -> None:
    answer = call(clock.guard(Policy.recommended()), lambda a, b: (a, b), 1, b=2)
    assert answer == Answer((1, 2), "llm", 1, None)
    assert clock.slept == []


def test_a_call_that_fails_is_retried_until_it_succeeds(clock: Clock, call: Call) -> None:
    function = Script(ConnectionError(), Response(503), "fine")
    answer = call(clock.guard(Policy(retry=retrying())), function)
    assert (answer.value, answer.attempts, answer.error) == ("fine", 3, None)
    assert clock.slept == [1.0, 1.0]


def test_the_last_error_is_raised_and_the_last_failed_result_returned(clock: Clock, call: Call) -> None:
    errors = [ConnectionError(str(number)) for number in range(3)]
    with pytest.raises(ConnectionError) as caught:
        call(clock.guard(Policy(retry=retrying(3))), Script(*errors))
    assert caught.value is errors[-1]
    responses = [Response(503) for _ in range(3)]
    answer = call(clock.guard(Policy(retry=retrying(3))), Script(*responses))
    assert answer.value is responses[-1]
    assert answer.attempts == 3


def test_every_attempt_passes_the_breaker_and_the_fallback_comes_last(clock: Clock, call: Call) -> None:
    asked: list[object] = []

    def rescue(error: object) -> str:
        asked.append(error)
        return "rescued"

    policy = Policy(retry=retrying(3), breaker=Breaker(failure_threshold=10), fallback=Fallback(rescue))
    guard = clock.guard(policy)
    error = ConnectionError()
    answer = call(guard, Script(error))
    assert answer == Answer("rescued", "rescue", 3, error)
    assert asked == [error]
    assert guard.breaker is not None
    assert guard.breaker.snapshot().failed == 3


def test_an_open_circuit_ends_the_retries(clock: Clock, call: Call) -> None:
    function = Script(ConnectionError())
    guard = clock.guard(Policy(retry=retrying(9), breaker=Breaker(failure_threshold=2, recovery_timeout=60.0)))
    with pytest.raises(ConnectionError):  # the second failure opens the circuit: its error is the call's
        call(guard, function)
    assert (len(function.calls), len(clock.slept)) == (2, 1)
    with pytest.raises(CircuitOpenError) as caught:
        call(guard, function)
    assert caught.value.name == "llm"
    assert (len(function.calls), len(clock.slept)) == (2, 1)
    assert guard.breaker is not None
    assert guard.breaker.snapshot().rejected == 1


def test_where_only_retries_are_guarded_an_open_circuit_lets_first_attempts_through(clock: Clock, call: Call) -> None:
    breaker = Breaker(failure_threshold=2, recovery_timeout=1000.0, guards="retries")
    guard = clock.guard(Policy(retry=retrying(9), breaker=breaker))
    function = Script(ConnectionError())
    for calls in (2, 3, 4):  # the second failure opens the circuit
        with pytest.raises(ConnectionError):
            call(guard, function)
        assert len(function.calls) == calls
    assert call(guard, Script("fine")).value == "fine"
    assert guard.breaker is not None
    assert guard.breaker.state is State.OPEN
    guard.breaker.force_open()
    with pytest.raises(CircuitOpenError, match="held open by hand"):
        call(guard, function)
    assert len(function.calls) == 4


def test_where_only_retries_are_guarded_a_retry_is_refused_while_the_probe_is_out(clock: Clock, call: Call) -> None:
    guard = opened(clock, Policy(retry=retrying(9), breaker=Breaker(1, recovery_timeout=5.0, guards="retries")))
    clock.now = 5.0
    assert guard.breaker is not None
    probe = guard.breaker.acquire()
    function = Script(ConnectionError())
    with pytest.raises(CircuitOpenError):
        call(guard, function)
    assert len(function.calls) == 1
    probe.success()
    assert guard.breaker.state is State.CLOSED


def test_a_timed_out_attempt_is_a_failure_of_the_breaker(clock: Clock, call: Call) -> None:
    guard = clock.guard(Policy(timeout=2.0, breaker=Breaker(failure_threshold=1)))
    with pytest.raises(TimeoutError, match="no answer within 2 s"):
        call(guard, lambda: clock.sleep(2.5))
    assert guard.breaker is not None
    assert guard.breaker.state is State.OPEN


def opened(clock: Clock, policy: Policy) -> Guard:
    guard = clock.guard(policy)
    assert guard.breaker is not None
    assert policy.breaker is not None
    for _ in range(policy.breaker.failure_threshold or 1):
        guard.breaker.acquire().failure()
    assert guard.breaker.state is State.OPEN
    return guard


def test_a_call_may_wait_for_the_probe(clock: Clock, call: Call) -> None:
    breaker = Breaker(failure_threshold=1, recovery_timeout=16.0)
    guard = opened(clock, Policy(retry=retrying(2, wait_for_probe=True), breaker=breaker))
    answer = call(guard, Script("fine"))
    assert (answer.value, answer.attempts) == ("fine", 1)
    assert clock.slept == [17.0]  # the backoff comes on top
    assert guard.breaker is not None
    assert guard.breaker.state is State.CLOSED


def test_waiting_for_the_probe_is_bounded_by_attempts(clock: Clock, call: Call) -> None:
    breaker = Breaker(failure_threshold=1, recovery_timeout=16.0)
    guard = opened(clock, Policy(retry=retrying(5, wait_for_probe=True), breaker=breaker))
    function = Script(ConnectionError())
    with pytest.raises((ConnectionError, CircuitOpenError)):
        call(guard, function)
    assert guard.breaker is not None
    assert len(function.calls) + guard.breaker.snapshot().rejected == 5


def test_waiting_for_the_probe_is_bounded_by_the_total_time(clock: Clock, call: Call) -> None:
    breaker = Breaker(failure_threshold=1, recovery_timeout=16.0)
    retry = retrying(5, wait_for_probe=True, total_time=20.0, final_reserve=0.25)
    guard = opened(clock, Policy(retry=retry, breaker=breaker))
    with pytest.raises(CircuitOpenError):
        call(guard, Script("fine"))
    assert clock.slept == []


def test_a_circuit_held_open_by_hand_is_not_waited_for(clock: Clock, call: Call) -> None:
    guard = clock.guard(Policy(retry=retrying(5, wait_for_probe=True), breaker=Breaker()))
    assert guard.breaker is not None
    guard.breaker.force_open()
    with pytest.raises(CircuitOpenError):
        call(guard, Script("fine"))
    assert clock.slept == []


def test_a_call_refused_by_a_probe_in_flight_asks_no_more_often_than_it_has_attempts(clock: Clock, call: Call) -> None:
    breaker = Breaker(failure_threshold=1, recovery_timeout=1.0, half_open_timeout=1000.0)
    guard = opened(clock, Policy(retry=retrying(4, wait_for_probe=True), breaker=breaker))
    clock.now = 2.0
    assert guard.breaker is not None
    guard.breaker.acquire()
    function = Script("fine")
    with pytest.raises(CircuitOpenError):
        call(guard, function)
    assert function.calls == []
    assert guard.breaker.snapshot().rejected == 4
    assert clock.slept == [1.0, 1.0, 1.0]


def test_refusals_do_not_spend_the_budget(clock: Clock, call: Call) -> None:
    budget = RetryBudget(ratio=0.0, burst=5.0)
    breaker = Breaker(failure_threshold=1, recovery_timeout=16.0)
    guard = opened(clock, Policy(retry=retrying(2, wait_for_probe=True, budget=budget), breaker=breaker))
    assert call(guard, Script("fine")).value == "fine"
    assert guard.bucket is not None
    assert guard.bucket.tokens == 5.0


# ---- time


@dataclass(frozen=True)
class Try:
    start: float
    seconds: float
    end: float
    retry_after: float


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when it would wait for a timer."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__()
        select = self._selector.select  # type: ignore[attr-defined]

        def at_once(timeout: float | None = None) -> Any:
            assert timeout is not None, "nothing will ever happen"
            self.now += timeout
            return select(0)

        self._selector.select = at_once  # type: ignore[attr-defined]

    def time(self) -> float:
        return self.now


POLICIES = st.builds(
    lambda timeout, retry: Policy(timeout=timeout, retry=retry),
    st.floats(0.1, 50.0),
    st.builds(
        Retry,
        attempts=st.integers(1, 8),
        total_time=st.floats(0.1, 60.0),
        final_reserve=st.sampled_from([0.0, 0.25, 0.5, 0.9]),
        backoff=st.builds(
            lambda base, jitter: Backoff(base, 2.0, 8 * base, jitter),
            st.floats(0.01, 20.0),
            st.sampled_from(["none", "full", "equal", "decorrelated", "additive", "sdk"]),
        ),
        retry_after_limit=st.sampled_from([None, 0.0, 2.0, 60.0]),
    ),
)
# seconds that an attempt needs; seconds its answer asks to wait; whether it raises it or returns it
ANSWERS = st.lists(
    st.tuples(st.floats(0.0, 40.0), st.sampled_from([0.0, 0.0, 0.5, 2.0, 7.0, 100.0]), st.booleans()),
    min_size=1,
    max_size=8,
)
DRAWS = st.integers(0, 1000)


def check_time(policy: Policy, tries: list[Try], ended: float) -> None:
    retry = policy.retry
    assert retry is not None
    assert retry.total_time is not None
    latest = (1 - retry.final_reserve) * retry.total_time
    assert 1 <= len(tries) <= retry.attempts
    assert ended <= retry.total_time + ROUNDING
    for number, one in enumerate(tries, 1):
        assert one.start <= latest + ROUNDING
        assert 0.0 < one.seconds <= policy.timeout
        left = retry.total_time - one.start
        if number == retry.attempts or one.start >= latest - ROUNDING:
            assert one.seconds == pytest.approx(min(policy.timeout, left), rel=1e-9, abs=ROUNDING)
        assert one.seconds <= left + ROUNDING
    limit = retry.retry_after_limit
    for one, following in itertools.pairwise(tries):
        if limit is not None:
            assert one.retry_after <= limit
            assert following.start >= one.end + one.retry_after - ROUNDING
        assert following.start >= one.end - ROUNDING


@given(POLICIES, ANSWERS, DRAWS)
def test_the_total_time_of_a_plain_call_is_never_overshot(
    policy: Policy, answers: list[tuple[float, float, bool]], seed: int
) -> None:
    clock, tries, draw = Clock(), list[Try](), random.Random(seed)

    def function(timeout: float) -> Response:
        needs, asks, raises = answers[min(len(tries), len(answers) - 1)]
        start = clock.now
        clock.now += min(needs, timeout)
        tries.append(Try(start, timeout, clock.now, asks if needs <= timeout else 0.0))
        if needs > timeout:
            raise TimeoutError
        response = Response(503, Retry_After=str(asks)) if asks else Response(503)
        if raises:
            raise HTTPError(response)
        return response

    guard = clock.guard(policy, timeout_keyword="timeout", random=draw.random)
    with contextlib.suppress(HTTPError, TimeoutError):
        assert guard.call(function).status_code == 503
    check_time(policy, tries, clock.now)


@given(POLICIES, ANSWERS, DRAWS)
def test_the_total_time_of_a_coroutine_is_never_overshot(
    policy: Policy, answers: list[tuple[float, float, bool]], seed: int
) -> None:
    tries, draw = list[Try](), random.Random(seed)

    async def run() -> float:
        loop = asyncio.get_running_loop()

        async def function(allowed: float) -> Response:
            needs, asks, raises = answers[min(len(tries), len(answers) - 1)]
            start = loop.time()
            try:
                await asyncio.sleep(needs)
            except BaseException:
                asks = 0.0
                raise
            finally:
                tries.append(Try(start, allowed, loop.time(), asks))
            response = Response(503, Retry_After=str(asks)) if asks else Response(503)
            if raises:
                raise HTTPError(response)
            return response

        guard = policy.guard("llm", clock=loop.time, random=draw.random, timeout_keyword="allowed")
        with contextlib.suppress(HTTPError, TimeoutError):
            assert (await guard.call_async(function)).status_code == 503
        return loop.time()

    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        ended = runner.run(run())
    check_time(policy, tries, ended)


def test_the_final_attempt_has_all_that_is_left(clock: Clock, call: Call) -> None:
    allowed: list[tuple[float, float]] = []

    def function(timeout: float) -> None:
        allowed.append((clock.now, timeout))
        clock.now += timeout
        raise TimeoutError

    retry = Retry(attempts=9, total_time=20.0, final_reserve=0.25, backoff=STEADY)
    with pytest.raises(TimeoutError):
        call(clock.guard(Policy(timeout=100.0, retry=retry), timeout_keyword="timeout"), function)
    assert allowed == [(0.0, pytest.approx(15.0, rel=0.01)), (15.0, 5.0)]
    assert clock.now == 20.0


def test_after_a_sleep_that_took_all_the_time_no_attempt_is_made(clock: Clock, call: Call) -> None:
    function = Script(ConnectionError())
    policy = Policy(retry=Retry(attempts=5, total_time=10.0, backoff=STEADY))
    guard = clock.guard(policy, sleep=lambda seconds: clock.sleep(seconds + 60.0), timeout_keyword="timeout")
    with pytest.raises(ConnectionError):
        call(guard, function)
    assert len(function.calls) == 1


def test_no_function_is_given_less_than_no_time(call: Call) -> None:
    ticks = itertools.count()
    guard = Policy(retry=Retry(attempts=1, total_time=1e-6)).guard(
        "llm", clock=lambda: float(next(ticks)), timeout_keyword="timeout"
    )
    given: list[float] = []
    with pytest.raises((TimeoutError, asyncio.CancelledError)):
        call(guard, lambda timeout: given.append(timeout) or deep(TimeoutError()))
    assert given in ([0.0], [])


@pytest.mark.parametrize("raised", [True, False])
def test_retry_after_is_waited_for_up_to_its_limit(clock: Clock, call: Call, raised: bool) -> None:
    def busy(seconds: str) -> Any:
        response = Response(429, retry_after=seconds)
        return HTTPError(response) if raised else response

    guard = clock.guard(Policy(retry=retrying(retry_after_limit=30.0)))
    assert call(guard, Script(busy("30"), busy("2.5"), "fine")).value == "fine"
    assert clock.slept == [31.0, 3.5]  # the backoff comes on top
    clock.slept.clear()
    function = Script(busy("31"), "fine")
    if raised:
        with pytest.raises(HTTPError):
            call(guard, function)
    else:
        assert call(guard, function).value.status_code == 429
    assert len(function.calls) == 1
    assert clock.slept == []


def test_where_retry_after_is_not_obeyed_the_backoff_counts(clock: Clock, call: Call) -> None:
    guard = clock.guard(Policy(retry=retrying(retry_after_limit=None)))
    assert call(guard, Script(Response(503, retry_after="3600"), "fine")).value == "fine"
    assert clock.slept == [1.0]


def test_retry_after_lengthens_the_time_that_the_circuit_stays_open(clock: Clock, call: Call) -> None:
    guard = clock.guard(Policy(breaker=Breaker(failure_threshold=1, recovery_timeout=5.0)))
    call(guard, Script(Response(429, retry_after="20")))
    assert guard.breaker is not None
    assert guard.breaker.snapshot().retry_in == 20.0


def test_the_backoff_grows_with_each_retry_and_uses_the_draws(clock: Clock, call: Call) -> None:
    backoff = Backoff(base=1.0, factor=2.0, cap=4.0, jitter="full")
    guard = clock.guard(Policy(retry=retrying(5, backoff=backoff)), random=lambda: 0.25)
    with pytest.raises(ConnectionError):
        call(guard, Script(ConnectionError()))
    assert clock.slept == [0.25, 0.5, 1.0, 1.0]


def test_decorrelated_jitter_starts_from_the_delay_before(clock: Clock, call: Call) -> None:
    backoff = Backoff(base=1.0, cap=100.0, jitter="decorrelated")
    guard = clock.guard(Policy(retry=retrying(4, backoff=backoff)), random=lambda: 0.5)
    with pytest.raises(ConnectionError):
        call(guard, Script(ConnectionError()))
    assert clock.slept == [2.0, 3.5, 5.75]


# ---- deadlines of plain functions: a thread of their own


def test_a_plain_function_is_abandoned_at_its_deadline_and_its_late_result_discarded() -> None:
    release, discarded, late = threading.Event(), threading.Event(), list[object]()

    def stuck() -> str:
        release.wait(LONG)
        return "late"

    def discard(result: object) -> None:
        late.append(result)
        discarded.set()

    guard = Policy(timeout=0.05).guard("llm", discard=discard)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        guard.call(stuck)
    assert time.monotonic() - began < SOON
    assert late == []
    release.set()
    assert discarded.wait(SOON)
    assert late == ["late"]


def test_the_total_time_bounds_a_function_that_hangs() -> None:
    release = threading.Event()
    policy = Policy(retry=Retry(attempts=3, total_time=0.2, backoff=BRISK))
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        policy.guard("llm").call(release.wait, LONG)
    assert time.monotonic() - began < SOON
    release.set()


@pytest.mark.parametrize("threaded", [True, False])
def test_a_discard_that_fails_does_not_disturb_the_call(
    clock: Clock, threaded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def discard(result: object) -> None:
        raise ValueError(result)

    release = threading.Event()
    guard = clock.guard(Policy(timeout=0.05), discard=discard)
    with pytest.raises(TimeoutError):
        guard.call((lambda: release.wait(LONG)) if threaded else (lambda: clock.sleep(1.0)))
    release.set()
    deadline = time.monotonic() + SOON
    while "could not be discarded" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "a late result could not be discarded" in caplog.text


def test_a_result_that_was_late_by_the_clock_is_discarded(clock: Clock, call: Call) -> None:
    late: list[object] = []
    guard = clock.guard(Policy(timeout=1.0), discard=late.append)

    def function() -> str:
        clock.now += 1.5
        return "late"

    with pytest.raises(TimeoutError):
        call(guard, function)
    assert late == ["late"]


def test_nothing_is_discarded_of_a_call_that_was_in_time(clock: Clock, call: Call) -> None:
    late: list[object] = []
    assert call(clock.guard(Policy(timeout=1.0), discard=late.append), lambda: "fine").value == "fine"
    assert late == []


USER = contextvars.ContextVar("user", default="nobody")


def test_a_function_sees_the_context_variables_of_its_caller(call: Call) -> None:
    token = USER.set("ada")
    try:
        assert call(Policy.none().guard("llm"), USER.get).value == "ada"
    finally:
        USER.reset(token)


def test_with_a_timeout_keyword_the_function_has_its_seconds_and_stays_in_its_thread(call: Call) -> None:
    def function(*, seconds: float) -> tuple[float, int]:
        return seconds, threading.get_ident()

    guard = Policy(timeout=7.0).guard("llm", timeout_keyword="seconds")
    assert call(guard, function).value == (7.0, threading.get_ident())


def deep(error: BaseException) -> None:
    raise error


def test_an_exception_keeps_its_identity_and_its_traceback(call: Call) -> None:
    error = ConnectionError("here")
    with pytest.raises(ConnectionError) as caught:
        call(Policy(retry=retrying(1)).guard("llm"), deep, error)
    assert caught.value is error
    assert traceback.extract_tb(error.__traceback__)[-1].name == "deep"
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("keyword", [None, "timeout"])
def test_a_stop_iteration_comes_through(keyword: str | None) -> None:
    def function(**kwargs: float) -> object:
        return next(iter(()))

    with pytest.raises(StopIteration):
        Policy.none().guard("llm", timeout_keyword=keyword).call(function)


@pytest.mark.parametrize("keyword", [None, "timeout"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_comes_through_and_counts_nothing(
    clock: Clock, kind: type[BaseException], keyword: str | None
) -> None:
    policy = Policy(retry=retrying(), breaker=Breaker(failure_threshold=1), fallback=Fallback("masked"))
    guard = clock.guard(policy, timeout_keyword=keyword)
    function = Script(kind())
    with pytest.raises(kind):
        guard.call(function)
    assert len(function.calls) == 1
    assert guard.breaker is not None
    snapshot = guard.breaker.snapshot()
    assert (snapshot.state, snapshot.ignored, snapshot.failed) == (State.CLOSED, 1, 0)


# ---- cancellation


def half_open(clock: Clock, **fields: Any) -> Guard:
    policy = Policy(
        retry=retrying(), breaker=Breaker(failure_threshold=1, recovery_timeout=5.0), fallback=Fallback("masked")
    )
    guard = clock.guard(policy, **fields)
    assert guard.breaker is not None
    guard.breaker.acquire().failure()
    clock.now = 6.0
    return guard


def probes(guard: Guard) -> tuple[State, int, int]:
    assert guard.breaker is not None
    snapshot = guard.breaker.snapshot()
    return snapshot.state, snapshot.probes, snapshot.ignored


def test_a_cancelled_call_is_ignored_and_gives_its_permit_back(clock: Clock) -> None:
    guard, calls = half_open(clock), 0

    async def run() -> None:
        async def function() -> None:
            nonlocal calls
            calls += 1
            await asyncio.sleep(LONG)

        task = asyncio.create_task(guard.call_async(function))
        while not calls:
            await asyncio.sleep(0)
        assert probes(guard) == (State.HALF_OPEN, 1, 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(run())
    assert calls == 1
    assert probes(guard) == (State.HALF_OPEN, 0, 1)


def test_a_call_cancelled_between_its_attempts_ends_there(clock: Clock) -> None:
    function = Script(ConnectionError())

    async def run() -> None:
        async def coroutine() -> Any:
            return function()

        waiting = asyncio.Event()

        async def sleep(seconds: float) -> None:
            waiting.set()
            await asyncio.sleep(LONG)

        guard = clock.guard(Policy(retry=retrying(), fallback=Fallback("masked")), sleep=sleep)
        task = asyncio.create_task(guard.call_async(coroutine))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert len(function.calls) == 1


def test_a_coroutine_closed_by_its_driver_gives_its_permit_back(clock: Clock) -> None:
    class Pending:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def function() -> None:
        await Pending()

    async def run() -> None:
        guard = half_open(clock)
        coroutine = guard.call_async(function)
        coroutine.send(None)
        assert probes(guard) == (State.HALF_OPEN, 1, 0)
        coroutine.close()
        assert probes(guard) == (State.HALF_OPEN, 0, 1)

    asyncio.run(run())


def test_an_interrupt_while_waiting_for_the_thread_gives_the_permit_back(clock: Clock) -> None:
    guard = half_open(clock)
    release = threading.Event()

    def function() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        release.wait(LONG)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        guard.call(function)
    assert time.monotonic() - began < SOON
    release.set()
    assert probes(guard) == (State.HALF_OPEN, 0, 1)


def test_a_coroutine_cut_short_is_a_timeout_not_a_cancellation() -> None:
    cancelled: list[bool] = []

    async def function() -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def run() -> None:
        guard = Policy(timeout=0.03, breaker=Breaker(failure_threshold=1)).guard("llm")
        with pytest.raises(TimeoutError, match=r"no answer within 0\.03 s"):
            await guard.call_async(function)
        assert guard.breaker is not None
        assert guard.breaker.state is State.OPEN
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(run())
    assert cancelled == [True]


def test_a_timeout_around_the_guard_belongs_to_whoever_set_it(clock: Clock) -> None:
    guard = half_open(clock)

    async def run() -> None:
        async with asyncio.timeout(0.03):
            await guard.call_async(asyncio.sleep, LONG)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert probes(guard) == (State.HALF_OPEN, 0, 1)


# ---- what is retried


def carriers(status: int) -> list[Any]:
    return [Response(status), StatusError(status), HTTPError(Response(status))]


@pytest.mark.parametrize("which", range(3), ids=["returned", "status_code", "response"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_wrong_request_is_not_retried_and_counts_nothing(clock: Clock, call: Call, status: int, which: int) -> None:
    function = Script(carriers(status)[which])
    policy = Policy(retry=retrying(), breaker=Breaker(failure_threshold=1), fallback=Fallback("masked"))
    guard = clock.guard(policy)
    try:
        assert call(guard, function).value is function.steps[0]
    except (StatusError, HTTPError) as error:
        assert error is function.steps[0]
    assert len(function.calls) == 1
    assert probes(guard) == (State.CLOSED, 0, 1)


@pytest.mark.parametrize("which", range(3), ids=["returned", "status_code", "response"])
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_a_struggling_service_is_asked_again(clock: Clock, call: Call, status: int, which: int) -> None:
    guard = clock.guard(Policy(retry=retrying(), breaker=Breaker()))
    answer = call(guard, Script(carriers(status)[which], "fine"))
    assert (answer.value, answer.attempts) == ("fine", 2)
    assert guard.breaker is not None
    assert guard.breaker.snapshot().failed == 1


@pytest.mark.parametrize(
    ("classify", "step", "attempts"),
    [
        (Classify(failed=KeyError), KeyError(), 2),
        (Classify(failed=KeyError), ConnectionError(), 1),
        (Classify(ignored=ConnectionError), ConnectionError(), 1),
        (Classify(ignored=(KeyError, ValueError)), ConnectionError(), 2),
        (Classify(failed=lambda error: "busy" in str(error)), ValueError("busy"), 2),
        (Classify(failed=lambda error: "busy" in str(error)), ValueError("wrong"), 1),
        (Classify(failed_result=lambda text: text == ""), "", 2),
        (Classify(ignored_result=lambda response: response.status_code == 503), Response(503), 1),
    ],
)
def test_classify_decides_what_is_retried(
    clock: Clock, call: Call, classify: Classify, step: Any, attempts: int
) -> None:
    function = Script(step, "fine")
    try:
        call(clock.guard(Policy(retry=retrying()), classify=classify), function)
    except type(step):
        assert attempts == 1
    assert len(function.calls) == attempts


def test_a_test_of_the_result_is_asked_once_and_its_mishap_is_only_logged(
    clock: Clock, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[object] = []

    def broken(result: object) -> bool:
        asked.append(result)
        raise RuntimeError("a bug in the test")

    guard = clock.guard(Policy(retry=retrying(), breaker=Breaker()), classify=Classify(failed_result=broken))
    assert call(guard, lambda: "fine").value == "fine"
    assert asked == ["fine"]
    assert "a test of an outcome failed" in caplog.text
    assert guard.breaker is not None
    assert guard.breaker.snapshot().succeeded == 1


class Hostile:
    """A result or error of somebody else's class whose attributes raise."""

    @property
    def status(self) -> int:
        raise RuntimeError("outside of a request")

    @property
    def response(self) -> object:
        raise RuntimeError("outside of a request")


class HostileError(Hostile, Exception):
    pass


def test_attributes_that_raise_do_not_disturb_the_call(clock: Clock, call: Call) -> None:
    assert isinstance(call(clock.guard(Policy.recommended()), Hostile).value, Hostile)
    with pytest.raises(HostileError):
        call(clock.guard(Policy(retry=retrying(2))), Script(HostileError()))


# ---- the budget


def test_guards_may_share_a_budget(clock: Clock, call: Call) -> None:
    bucket = TokenBucket(RetryBudget(ratio=0.0, burst=3.0), clock)
    policy = Policy(retry=retrying(3))
    functions = [Script(ConnectionError()) for _ in range(3)]
    for function in functions:
        with pytest.raises(ConnectionError):
            call(clock.guard(policy, bucket=bucket), function)
    assert [len(function.calls) for function in functions] == [3, 2, 1]


def test_a_copy_shares_the_breaker_and_the_budget(clock: Clock) -> None:
    guard = clock.guard(Policy(retry=retrying(budget=RetryBudget()), breaker=Breaker()))
    for other in (copy.copy(guard), guard.label(client="a"), guard.write("key")):
        assert other.breaker is guard.breaker
        assert other.bucket is guard.bucket


@pytest.mark.parametrize(("deposit", "earned"), [("call", 10), ("success", 5)])
def test_the_budget_earns_by_call_or_by_success(clock: Clock, call: Call, deposit: str, earned: int) -> None:
    budget = RetryBudget(ratio=0.125, deposit=deposit, burst=10.0)
    guard = clock.guard(Policy(retry=retrying(1, budget=budget)))
    assert guard.bucket is not None
    for _ in range(10):
        assert guard.bucket.withdraw()
    for number in range(10):
        if number % 2:
            call(guard, lambda: "fine")
        else:
            with pytest.raises(ConnectionError):
                call(guard, Script(ConnectionError()))
    assert guard.bucket.tokens == earned * 0.125


def test_a_retry_that_the_budget_refuses_is_not_made_and_not_waited_for(clock: Clock, call: Call) -> None:
    error = ConnectionError()
    function = Script(error)
    guard = clock.guard(Policy(retry=retrying(9, budget=RetryBudget(ratio=0.0, burst=1.0))))
    with pytest.raises(ConnectionError) as caught:
        call(guard, function)
    assert caught.value is error
    assert len(function.calls) == 2
    assert clock.slept == [1.0]


# ---- writes


def test_a_write_without_a_key_is_not_retried(clock: Clock, call: Call) -> None:
    function = Script(ConnectionError(), "fine")
    with pytest.raises(ConnectionError):
        call(clock.guard(Policy(retry=retrying())).write(), function)
    assert function.calls == [{}]


def test_a_write_has_its_own_key_on_every_attempt(clock: Clock, call: Call) -> None:
    guard = clock.guard(Policy(retry=retrying()))
    first, second = Script(ConnectionError(), "fine"), Script(ConnectionError(), "fine")
    call(guard.write("one"), first, order=1)
    call(guard.write("two"), second)
    assert first.calls == [{"order": 1, "idempotency_key": "one"}] * 2
    assert second.calls == [{"idempotency_key": "two"}] * 2
    read = Script(ConnectionError(), "fine")
    call(guard, read)
    assert read.calls == [{}, {}]


def test_the_only_attempt_of_a_write_has_the_whole_time(clock: Clock, call: Call) -> None:
    policy = Policy(timeout=60.0, retry=Retry(attempts=4, total_time=20.0, final_reserve=0.5))
    guard = clock.guard(policy, timeout_keyword="timeout")
    assert call(guard.write(), lambda timeout: timeout).value == 20.0
    assert call(guard.write("key"), lambda timeout, idempotency_key: timeout).value < 10.0


# ---- ways in


def test_the_guard_decorates_functions_methods_and_coroutine_functions(clock: Clock) -> None:
    guard = clock.guard(Policy(retry=retrying()))

    class Client:
        def __init__(self) -> None:
            self.failures = 1

        @guard
        def ask(self, prompt: str) -> str:
            """Ask."""
            self.failures -= 1
            if self.failures >= 0:
                raise ConnectionError
            return prompt

        @guard
        async def ask_async(self, prompt: str) -> str:
            """Ask, later."""
            self.failures -= 1
            if self.failures >= 0:
                raise ConnectionError
            return prompt

        @staticmethod
        @guard
        def add(a: int, b: int = 2) -> int:
            return a + b

    assert Client().ask("hello") == "hello"
    assert asyncio.run(Client().ask_async("hello")) == "hello"
    assert Client.add(1) == 3
    assert (Client.ask.__name__, Client.ask.__doc__, Client.ask_async.__doc__) == ("ask", "Ask.", "Ask, later.")
    assert len(clock.slept) == 2


def test_call_gives_the_awaitable_of_a_coroutine_function(clock: Clock) -> None:
    async def ask(prompt: str) -> str:
        return prompt

    guard = clock.guard(Policy.recommended())
    assert asyncio.run(guard.call(ask, "hello")) == "hello"
    assert asyncio.run(guard.call(functools.partial(ask, "hello"))) == "hello"


async def ask_later(prompt: str = "") -> str:
    return prompt


def required_args(function: Callable[..., Any]) -> Callable[..., Any]:
    """As the openai SDK does it: a plain wrapper around coroutine functions too."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_a_plain_function_that_gives_a_coroutine_is_told_what_to_use_and_counts_nothing(clock: Clock) -> None:
    wrapped = required_args(ask_later)
    guard = clock.guard(Policy(retry=retrying(), breaker=Breaker(failure_threshold=1), fallback=Fallback("masked")))
    with pytest.raises(TypeError, match=r"ask_later gave a coroutine; use `await guard\.call_async\(ask_later, \.\.\."):
        guard.call(wrapped)
    assert probes(guard) == (State.CLOSED, 0, 1)
    assert clock.slept == []
    assert asyncio.run(guard.call_async(wrapped, "hello")) == "hello"


def test_a_plain_function_is_not_made_twice_where_a_coroutine_is_wanted(clock: Clock) -> None:
    function = Script("fine")
    guard = clock.guard(Policy(retry=retrying(), breaker=Breaker(failure_threshold=1), fallback=Fallback("masked")))
    with pytest.raises(TypeError, match=r"Script gave nothing to await; use `guard\.call\(Script, \.\.\."):
        asyncio.run(guard.call_async(function))  # type: ignore[arg-type]
    assert len(function.calls) == 1
    assert probes(guard) == (State.CLOSED, 0, 1)


def test_an_async_sleep_may_be_given(clock: Clock) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    guard = clock.guard(Policy(retry=retrying()), sleep=sleep)
    assert call_coroutine(guard, Script(ConnectionError(), "fine")).value == "fine"
    assert slept == [1.0]


def test_listeners_and_a_breaker_of_ones_own(clock: Clock, call: Call) -> None:
    heard: list[str] = []
    policy = Policy(breaker=Breaker(failure_threshold=1))
    with pytest.raises(ConnectionError):
        call(clock.guard(policy, listeners=[lambda event: heard.append(event.name)]), Script(ConnectionError()))
    assert heard == ["llm"]
    shared = CircuitBreaker(1, name="shared", clock=clock)
    one, other = (clock.guard(Policy(), breaker=shared) for _ in range(2))
    with pytest.raises(ConnectionError):
        call(one, Script(ConnectionError()))
    with pytest.raises(CircuitOpenError, match="'shared'"):
        call(other, Script("fine"))


def test_a_breaker_of_ones_own_takes_its_listeners_itself() -> None:
    with pytest.raises(ValueError, match="hand the listeners to the CircuitBreaker"):
        Policy().guard("llm", breaker=CircuitBreaker(), listeners=[print])


# ---- many callers at once


def flaky(seed: int) -> Callable[[], str]:
    draw = random.Random(seed)

    def function() -> str:
        fate = draw.random()
        if fate < 0.2:
            raise ConnectionError
        if fate < 0.3:
            raise StatusError(400)
        return "fine"

    return function


BUSY = Policy(retry=retrying(3, backoff=BRISK, budget=RetryBudget()), breaker=Breaker(failure_threshold=1000))


def test_many_threads_share_a_guard() -> None:
    guard = BUSY.guard("llm", sleep=lambda seconds: None)
    counts, errors = list[int](), list[BaseException]()

    def work(seed: int) -> None:
        function, made = flaky(seed), 0

        def counted() -> str:
            nonlocal made
            made += 1
            return function()

        try:
            for _ in range(40):
                with contextlib.suppress(ConnectionError, StatusError):
                    assert guard.call(counted) == "fine"
        except BaseException as error:
            errors.append(error)
        counts.append(made)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert guard.breaker is not None
    snapshot = guard.breaker.snapshot()
    assert snapshot.succeeded + snapshot.failed + snapshot.ignored == sum(counts)
    assert snapshot.late == 0


def test_many_tasks_share_a_guard() -> None:
    guard = BUSY.guard("llm")
    made = 0

    async def work(seed: int) -> None:
        function = flaky(seed)

        async def counted() -> str:
            nonlocal made
            made += 1
            await asyncio.sleep(0)
            return function()

        for _ in range(10):
            with contextlib.suppress(ConnectionError, StatusError):
                assert await guard.call_async(counted) == "fine"

    async def run() -> None:
        await asyncio.gather(*(work(seed) for seed in range(60)))

    asyncio.run(run())
    assert guard.breaker is not None
    snapshot = guard.breaker.snapshot()
    assert snapshot.succeeded + snapshot.failed + snapshot.ignored == made


def test_what_the_reader_of_an_answer_takes_makes_no_call_slow() -> None:
    """As of a transport: the permit is spent when the body ends, and its clock has stopped at the headers."""
    clock = Clock()
    breaker = CircuitBreaker(slow_call_rate=0.5, slow_call_duration=5.0, minimum_calls=1, clock=clock)
    permit = breaker.acquire()
    clock.now += 1.0
    permit.stop_clock()
    clock.now += 100.0
    permit.success()
    assert breaker.snapshot().slow_call_rate == 0.0
    permit = breaker.acquire()
    clock.now += 5.0
    permit.stop_clock()
    permit.success()
    assert breaker.state is State.OPEN


def test_retry_after_holds_also_for_who_waits_for_the_probe(clock: Clock, call: Call) -> None:
    """The circuit gives a server at most its own recovery cap, here 10 s; the retry gives it all that it asked for."""
    policy = Policy(retry=retrying(2, wait_for_probe=True), breaker=Breaker(failure_threshold=1, recovery_timeout=1.0))
    guard = clock.guard(policy)
    assert call(guard, Script(Response(503, retry_after="30"), "fine")).value == "fine"
    assert sum(clock.slept) >= 30.0
    guard.breaker.reset()
    answer = call(guard, Script(Response(503, retry_after="61"), "fine"))  # above the limit: no retry
    assert answer.value.status_code == 503


def test_an_unkeyed_write_that_was_refused_may_wait_for_the_probe(clock: Clock, call: Call) -> None:
    """Nothing was sent. Once something was, there is no second attempt."""
    policy = Policy(retry=retrying(3, wait_for_probe=True), breaker=Breaker(failure_threshold=1, recovery_timeout=1.0))
    guard = clock.guard(policy)
    guard.breaker.record_failure()
    function = Script(ConnectionError())
    with pytest.raises(ConnectionError):
        call(guard.write(), function)
    assert len(function.calls) == 1


def test_the_reserve_is_used_although_timers_are_late() -> None:
    """Real timers: the first attempt hangs and is cut, and the final attempt comes."""
    policy = Policy(retry=Retry(attempts=3, total_time=1.0, final_reserve=0.25, backoff=Backoff(0.01, cap=0.01)))
    hangs = []

    async def hang() -> None:
        hangs.append(1)
        await asyncio.sleep(60.0)

    async def many() -> None:
        await asyncio.gather(*(policy.guard(str(n)).call_async(hang) for n in range(10)), return_exceptions=True)

    asyncio.run(many())
    assert len(hangs) == 20


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_stream_is_refused_with_a_sentence(kind: str) -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    guard = Policy().guard("llm")
    with pytest.raises(TypeError, match="gave a generator; guard the call that opens a stream"):
        guard.call(generator if kind == "generator" else async_generator)


def test_a_function_may_have_a_parameter_named_function() -> None:
    assert Policy().guard("llm").call(lambda function: function, function="get_weather") == "get_weather"
    assert CircuitBreaker().call(lambda function: function, function="get_weather") == "get_weather"
