"""Every kind of call that a breaker may guard, and what is told from its end: success, failure or nothing."""

import asyncio
import functools
import gc
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import SimpleNamespace
from typing import Any

import pytest

from breakerlab.policy import BreakerEvent, CircuitBreaker, CircuitOpenError, Classify, State

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def probing(**more: Any) -> tuple[CircuitBreaker, Clock]:
    """A breaker whose first probe is due."""
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, clock=clock, name="llm", **more)
    breaker.acquire().failure()
    clock.now += 10.0
    return breaker, clock


def counts(breaker: CircuitBreaker) -> tuple[int, int]:
    seen = breaker.snapshot()
    return seen.succeeded, seen.failed


def fails() -> None:
    raise RuntimeError("no")


# ---- plain functions and blocks


def test_call_gives_what_the_function_gives() -> None:
    breaker = CircuitBreaker(1)
    assert breaker.call(divmod, 7, 2) == (3, 1)
    assert breaker.call(int, "ff", base=16) == 255
    with pytest.raises(RuntimeError, match="no"):
        breaker.call(fails)
    with pytest.raises(CircuitOpenError):
        breaker.call(fails)
    assert counts(breaker) == (2, 1)


def test_a_decorated_function_keeps_its_name_and_gives_what_it_gave() -> None:
    breaker = CircuitBreaker(2)

    @breaker
    def ask(prompt: str, *, loud: bool = False) -> str:
        """Ask."""
        return prompt.upper() if loud else prompt

    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    assert list(inspect.signature(ask).parameters) == ["prompt", "loud"]
    assert (ask("a"), ask("a", loud=True)) == ("a", "A")
    assert counts(breaker) == (2, 0)


def test_methods_and_callables_of_any_make() -> None:
    breaker = CircuitBreaker(3)

    class Client:
        @breaker
        def get(self, x: int) -> tuple[Any, int]:
            return self, x

        @classmethod
        @breaker
        def of_class(cls, x: int) -> tuple[Any, int]:
            return cls, x

        @staticmethod
        @breaker
        def static(x: int) -> int:
            return x

        @breaker
        async def fetch(self, x: int) -> tuple[Any, int]:
            return self, x

        def __call__(self, x: int) -> int:
            return x

    client = Client()
    assert client.get(1) == (client, 1)
    assert Client.of_class(2) == (Client, 2)
    assert client.static(3) == 3
    assert asyncio.run(client.fetch(4)) == (client, 4)
    assert breaker(client)(5) == 5
    assert breaker(functools.partial(client.get, 6))() == (client, 6)
    assert counts(breaker) == (7, 0)


def test_blocks_count_once() -> None:
    breaker = CircuitBreaker(3)
    with breaker:
        pass
    with breaker.acquire():
        pass
    with pytest.raises(RuntimeError), breaker:
        fails()
    with pytest.raises(RuntimeError), breaker.acquire():
        fails()
    assert counts(breaker) == (2, 2)


def test_async_blocks_count_once() -> None:
    breaker = CircuitBreaker(3)

    async def story() -> None:
        async with breaker:
            await asyncio.sleep(0)
        async with breaker.acquire():
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            async with breaker:
                fails()
        with pytest.raises(RuntimeError):
            async with breaker.acquire():
                fails()

    asyncio.run(story())
    assert counts(breaker) == (2, 2)


def test_a_permit_spent_in_its_block_counts_once() -> None:
    breaker = CircuitBreaker(1)
    with breaker.acquire() as permit:
        permit.ignored()
    with breaker as permit:
        permit.failure()  # a 503 that the client did not raise; leaving quietly afterwards is no success
    assert breaker.state is OPEN
    permit.failure()
    permit.success()
    assert counts(breaker) == (0, 1)


def test_an_open_circuit_refuses_every_kind_of_use_and_nothing_runs() -> None:
    breaker = CircuitBreaker(1, clock=Clock())
    breaker.acquire().failure()
    ran = []

    def function() -> None:
        ran.append(1)

    def generator() -> Generator[None, None, None]:
        ran.append(1)
        yield

    async def coroutine() -> None:
        ran.append(1)

    async def async_generator() -> AsyncGenerator[None, None]:
        ran.append(1)
        yield

    async def first(stream: Any) -> None:
        await anext(stream)

    async def block() -> None:
        async with breaker:
            ran.append(1)

    def plain_block() -> None:
        with breaker:
            ran.append(1)

    uses: list[Callable[[], Any]] = [
        lambda: breaker.call(function),
        breaker(function),
        breaker.acquire,
        plain_block,
        lambda: asyncio.run(block()),
        lambda: next(breaker(generator)()),
        lambda: next(breaker.call(generator)),
        lambda: asyncio.run(breaker(coroutine)()),
        lambda: asyncio.run(breaker.call(coroutine)),
        lambda: asyncio.run(first(breaker(async_generator)())),
        lambda: asyncio.run(first(breaker.call(async_generator))),
    ]
    for use in uses:
        with pytest.raises(CircuitOpenError, match="circuit '' is open"):
            use()
    assert not ran
    assert not breaker.can_execute()


# ---- coroutines, and functions that only return them


def coroutines(breaker: CircuitBreaker, work: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    async def coroutine() -> Any:
        await asyncio.sleep(0)
        return work()

    class Api:
        async def __call__(self) -> Any:
            return await coroutine()

    return {
        "decorated": breaker(coroutine),
        "decorated lambda": breaker(lambda: coroutine()),
        "decorated object": breaker(Api()),
        "partial": breaker(functools.partial(coroutine)),
        "call": lambda: breaker.call(coroutine),
        "call of a lambda": lambda: breaker.call(lambda: coroutine()),
    }


KINDS_OF_COROUTINE = list(coroutines(CircuitBreaker(), int))


@pytest.mark.parametrize("kind", KINDS_OF_COROUTINE)
def test_a_coroutine_counts_when_it_ends(kind: str) -> None:
    breaker = CircuitBreaker(3)

    async def run(work: Callable[[], Any]) -> Any:
        return await coroutines(breaker, work)[kind]()

    assert asyncio.run(run(lambda: 42)) == 42
    assert counts(breaker) == (1, 0)
    with pytest.raises(RuntimeError, match="no"):
        asyncio.run(run(fails))
    assert counts(breaker) == (1, 1)
    assert asyncio.run(run(lambda: SimpleNamespace(status_code=503))).status_code == 503
    assert counts(breaker) == (1, 2)


@pytest.mark.parametrize("kind", KINDS_OF_COROUTINE)
def test_a_coroutine_that_is_the_probe_closes_the_circuit_only_when_it_ends(kind: str) -> None:
    breaker, _ = probing()

    async def story() -> None:
        task = asyncio.ensure_future(coroutines(breaker, int)[kind]())
        await asyncio.sleep(0)
        assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 1)
        with pytest.raises(CircuitOpenError):
            breaker.acquire()
        await task

    asyncio.run(story())
    assert breaker.state is CLOSED


@pytest.mark.parametrize("kind", ["call", "decorated"])
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_coroutine_that_is_never_awaited_holds_no_permit(kind: str) -> None:
    breaker, _ = probing()
    coroutines(breaker, int)[kind]()
    gc.collect()
    assert breaker.snapshot().probes == 0
    breaker.call(int)
    assert breaker.state is CLOSED


def test_a_decorated_coroutine_function_is_one() -> None:
    async def fetch() -> int:
        return 1

    assert inspect.iscoroutinefunction(CircuitBreaker()(fetch))


# ---- generators


def numbers(last: Any = "done") -> Generator[int, str, Any]:
    heard = []
    for n in range(3):
        try:
            heard.append((yield n))
        except KeyError:
            heard.append("key")
    return last, heard


def test_a_stream_that_is_read_to_its_end_is_one_success() -> None:
    breaker = CircuitBreaker(1)
    guarded = breaker(numbers)
    assert list(guarded()) == [0, 1, 2]
    assert list(breaker.call(numbers)) == [0, 1, 2]
    assert counts(breaker) == (2, 0)


def test_a_stream_counts_from_its_first_step_to_its_last() -> None:
    breaker, _ = probing()
    stream = breaker(numbers)()
    assert breaker.snapshot().probes == 0  # nothing has been asked of it
    next(stream)
    assert breaker.snapshot().probes == 1
    with pytest.raises(CircuitOpenError):
        breaker.call(int)
    assert list(stream) == [1, 2]
    assert breaker.state is CLOSED


def test_a_stream_that_fails_half_way_is_a_failure() -> None:
    breaker = CircuitBreaker(1)

    @breaker
    def stream() -> Generator[int, None, None]:
        yield 1
        fails()

    reader = stream()
    assert next(reader) == 1
    assert breaker.state is CLOSED
    with pytest.raises(RuntimeError, match="no"):
        next(reader)
    assert breaker.state is OPEN


@pytest.mark.parametrize("how", ["close", "collect", "break"])
def test_a_stream_abandoned_by_its_reader_is_ignored_and_frees_the_permit(how: str) -> None:
    breaker, _ = probing()
    closed = []

    @breaker
    def stream() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append(1)

    reader = stream()
    next(reader)
    if how == "close":
        reader.close()
    elif how == "break":
        for _ in reader:
            break
    del reader
    gc.collect()
    assert closed == [1]
    seen = breaker.snapshot()
    assert (seen.state, seen.probes, seen.failed, seen.succeeded) == (HALF_OPEN, 0, 1, 0)


def test_a_stream_never_begun_holds_no_permit() -> None:
    breaker, _ = probing()
    breaker(numbers)()
    assert breaker.snapshot().probes == 0


def test_send_throw_and_return_reach_the_generator() -> None:
    breaker = CircuitBreaker(1)
    stream = breaker(numbers)("end")
    assert next(stream) == 0
    assert stream.send("a") == 1
    assert stream.throw(KeyError()) == 2
    with pytest.raises(StopIteration) as end:
        stream.send("b")
    assert end.value.value == ("end", ["a", "key", "b"])
    assert counts(breaker) == (1, 0)


def test_an_exception_thrown_in_that_comes_out_again_is_a_failure() -> None:
    breaker = CircuitBreaker(1)
    stream = breaker(numbers)()
    next(stream)
    with pytest.raises(ValueError):
        stream.throw(ValueError())
    assert breaker.state is OPEN


def test_a_404_inside_a_stream_is_ignored() -> None:
    breaker, _ = probing()

    @breaker
    def stream() -> Generator[int, None, None]:
        yield 1
        raise status_error(404)

    with pytest.raises(Exception, match="404"):
        list(stream())
    assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 0)


def test_a_stream_is_never_slow() -> None:
    clock = Clock()
    breaker = CircuitBreaker(slow_call_rate=0.1, slow_call_duration=1.0, minimum_calls=1, clock=clock)
    for _ in breaker(numbers)():
        clock.now += 100.0
    assert breaker.state is CLOSED
    breaker.call(lambda: setattr(clock, "now", clock.now + 1.0))
    assert breaker.state is OPEN


# ---- async generators


async def async_numbers(closed: list[int] | None = None) -> AsyncGenerator[Any, Any]:
    heard: list[Any] = []
    try:
        for n in range(3):
            await asyncio.sleep(0)
            try:
                heard.append((yield (n, *heard)))
            except KeyError:
                heard.append("key")
    finally:
        await asyncio.sleep(0)
        if closed is not None:
            closed.append(1)


def test_an_async_stream_that_is_read_to_its_end_is_one_success() -> None:
    breaker = CircuitBreaker(1)

    async def story() -> None:
        assert [item async for item in breaker(async_numbers)()] == [(0,), (1, None), (2, None, None)]
        assert len([item async for item in breaker.call(async_numbers)]) == 3

    asyncio.run(story())
    assert counts(breaker) == (2, 0)


def test_an_empty_async_stream_is_a_success() -> None:
    breaker, _ = probing()

    @breaker
    async def empty() -> AsyncGenerator[int, None]:
        return
        yield

    async def story() -> list[int]:
        return [item async for item in empty()]

    assert asyncio.run(story()) == []
    assert breaker.state is CLOSED


def test_an_async_stream_that_fails_half_way_is_a_failure() -> None:
    breaker = CircuitBreaker(1)

    @breaker
    async def stream() -> AsyncGenerator[int, None]:
        yield 1
        fails()

    async def story() -> None:
        reader = stream()
        assert await anext(reader) == 1
        assert breaker.state is CLOSED
        with pytest.raises(RuntimeError, match="no"):
            await anext(reader)

    asyncio.run(story())
    assert breaker.state is OPEN


@pytest.mark.parametrize("how", ["aclose", "break", "cancel"])
def test_an_async_stream_abandoned_by_its_reader_is_ignored_and_frees_the_permit(how: str) -> None:
    breaker, _ = probing()
    closed: list[int] = []

    async def story() -> None:
        reader = breaker(async_numbers)(closed)
        await anext(reader)
        assert breaker.snapshot().probes == 1
        if how == "aclose":
            await reader.aclose()
            assert closed == [1]
        elif how == "break":
            async for _ in reader:
                break
        else:
            task = asyncio.ensure_future(anext(reader))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        del reader
        while not closed:  # by the loop, which closes what was left behind
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert closed == [1]
    seen = breaker.snapshot()
    assert (seen.state, seen.probes, seen.failed, seen.succeeded) == (HALF_OPEN, 0, 1, 0)


def test_asend_and_athrow_reach_the_async_generator() -> None:
    breaker = CircuitBreaker(1)

    async def story() -> None:
        stream = breaker(async_numbers)()
        assert await anext(stream) == (0,)
        assert await stream.asend("a") == (1, "a")
        assert await stream.athrow(KeyError()) == (2, "a", "key")
        with pytest.raises(StopAsyncIteration):
            await stream.asend("b")

    asyncio.run(story())
    assert counts(breaker) == (1, 0)


def test_what_is_thrown_into_an_async_stream_and_comes_out_again_is_a_failure() -> None:
    breaker = CircuitBreaker(1)
    closed: list[int] = []

    async def story() -> None:
        stream = breaker(async_numbers)(closed)
        await anext(stream)
        with pytest.raises(ValueError):
            await stream.athrow(ValueError())

    asyncio.run(story())
    assert closed == [1]
    assert breaker.state is OPEN


# ---- nested


def test_an_inner_refusal_says_nothing_to_the_outer_breaker() -> None:
    inner = CircuitBreaker(1, name="inner")
    inner.acquire().failure()
    outer, _ = probing()
    for ask in (lambda: outer.call(inner.call, int), outer(inner(int))):
        with pytest.raises(CircuitOpenError, match="inner"):
            ask()
    assert (outer.state, outer.snapshot().probes, outer.snapshot().failed) == (HALF_OPEN, 0, 1)


def test_nested_blocks_end_each_with_its_own_permit() -> None:
    outer, inner = CircuitBreaker(1, name="outer"), CircuitBreaker(1, name="inner")
    with outer, inner, outer, inner:
        pass
    assert (counts(outer), counts(inner)) == ((2, 0), (2, 0))
    with outer:
        with pytest.raises(RuntimeError), inner:
            fails()
        assert (outer.state, inner.state) == (CLOSED, OPEN)
    assert (counts(outer), counts(inner)) == ((3, 0), (2, 1))


def test_blocks_of_two_breakers_may_end_in_any_order() -> None:
    one, other = CircuitBreaker(1), CircuitBreaker(1)

    def block(breaker: CircuitBreaker) -> Generator[None, None, None]:
        with breaker:
            yield

    first, second = block(one), block(other)
    next(first)
    next(second)
    with pytest.raises(RuntimeError):
        first.throw(RuntimeError())
    assert list(second) == []
    assert (one.state, counts(other)) == (OPEN, (1, 0))


def test_blocks_of_many_tasks_do_not_mix_up_their_permits() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, clock=clock)

    async def story() -> None:
        may_end = asyncio.Event()

        async def long() -> None:
            async with breaker:
                await may_end.wait()

        async with breaker:  # and the task inherits this one
            late = asyncio.create_task(long())
            await asyncio.sleep(0)
        breaker.acquire().failure()
        clock.now += 10.0
        async with breaker:
            may_end.set()
            await late
            assert breaker.state is HALF_OPEN

    asyncio.run(story())
    assert (breaker.state, breaker.snapshot().late) == (CLOSED, 1)


# ---- what a call says


def status_error(status: int, *, of_response: bool = False) -> Exception:
    error = Exception(f"status {status}")
    if of_response:
        error.response = SimpleNamespace(status_code=status)  # type: ignore[attr-defined]
    else:
        error.status_code = status  # type: ignore[attr-defined]
    return error


def result_of(breaker: CircuitBreaker, outcome: Any) -> str:
    """What the breaker made of one call that raised or returned `outcome`."""

    def call() -> Any:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    before = breaker.snapshot()
    try:
        assert breaker.call(call) is outcome
    except BaseException as error:
        assert error is outcome
    after = breaker.snapshot()
    changed = [name for name in ("succeeded", "failed", "ignored") if getattr(after, name) > getattr(before, name)]
    assert len(changed) == 1
    return changed[0]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "succeeded"), (302, "succeeded"), (400, "ignored"), (401, "ignored"), (404, "ignored"), (422, "ignored"),
     (408, "failed"), (425, "failed"), (429, "failed"), (500, "failed"), (503, "failed"), (599, "failed")],
)  # fmt: skip
def test_by_http_status(status: int, expected: str) -> None:
    breaker = CircuitBreaker(100)
    assert result_of(breaker, SimpleNamespace(status_code=status)) == expected
    if status >= 400:
        assert result_of(breaker, status_error(status)) == expected
        assert result_of(breaker, status_error(status, of_response=True)) == expected


@pytest.mark.parametrize("error", [RuntimeError(), TimeoutError(), ConnectionResetError(), status_error(7), OSError(5)])
def test_an_exception_without_an_http_status_is_a_failure(error: Exception) -> None:
    assert result_of(CircuitBreaker(100), error) == "failed"


@pytest.mark.parametrize("result", [None, 0, False, "", [], {}, object(), SimpleNamespace(status_code="503")])
def test_any_other_result_is_a_success(result: object) -> None:
    assert result_of(CircuitBreaker(100), result) == "succeeded"


@pytest.mark.parametrize(
    ("classify", "outcome", "expected"),
    [
        (Classify(failed=KeyError), KeyError(), "failed"),
        (Classify(failed=KeyError), ValueError(), "ignored"),
        (Classify(failed=LookupError), KeyError(), "failed"),
        (Classify(failed=(KeyError, ValueError)), ValueError(), "failed"),
        (Classify(failed=lambda error: "busy" in str(error)), ValueError("busy"), "failed"),
        (Classify(failed=lambda error: "busy" in str(error)), ValueError("idle"), "ignored"),
        (Classify(ignored=KeyError), KeyError(), "ignored"),
        (Classify(ignored=KeyError), ValueError(), "failed"),
        (Classify(ignored=(KeyError, ValueError)), ValueError(), "ignored"),
        (Classify(ignored=lambda error: "mine" in str(error)), ValueError("mine"), "ignored"),
        (Classify(ignored=KeyError, failed=LookupError), KeyError(), "ignored"),
        (Classify(ignored=KeyError, failed=LookupError), IndexError(), "failed"),
        (Classify(failed=BaseException), KeyboardInterrupt(), "ignored"),
        (Classify(failed=BaseException), asyncio.CancelledError(), "ignored"),
        (Classify(failed_result=lambda answer: answer == ""), "", "failed"),
        (Classify(failed_result=lambda answer: answer == ""), "text", "succeeded"),
        (Classify(ignored_result=lambda answer: answer is None), None, "ignored"),
        (Classify(ignored_result=lambda _: True, failed_result=lambda _: True), 1, "ignored"),
        (Classify(failed_result=lambda _: True), SimpleNamespace(status_code=404), "failed"),
        (Classify(ignored_result=lambda _: False), SimpleNamespace(status_code=503), "failed"),
        (Classify(), status_error(404), "ignored"),
    ],
)
def test_by_type_by_predicate_and_by_returned_value(classify: Classify, outcome: Any, expected: str) -> None:
    assert result_of(CircuitBreaker(100, classify=classify), outcome) == expected


def test_a_classified_result_of_a_coroutine_and_a_stream_is_not_that_of_its_shell() -> None:
    """The coroutine object itself is no result."""
    seen: list[Any] = []

    def failed(result: Any) -> bool:
        seen.append(result)
        return False

    breaker = CircuitBreaker(1, classify=Classify(failed_result=failed))
    assert asyncio.run(coroutines(breaker, lambda: 42)["call"]()) == 42
    assert list(breaker.call(numbers)) == [0, 1, 2]
    assert seen == [42]


def test_retry_after_of_an_error_or_a_response_lengthens_the_wait() -> None:
    headers = {"Retry-After": "25"}
    error = status_error(503, of_response=True)
    error.response.headers = headers  # type: ignore[attr-defined]
    for outcome in (error, SimpleNamespace(status_code=503, headers=headers)):
        breaker = CircuitBreaker(1, 10.0, clock=Clock())
        assert result_of(breaker, outcome) == "failed"
        assert breaker.snapshot().retry_in == 25.0


def test_a_coroutine_handed_to_call_is_counted_once() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, clock=clock)
    breaker.acquire().failure()
    clock.now += 10.0

    async def probe() -> str:
        return "fine"

    assert asyncio.run(breaker.call(probe)) == "fine"
    assert (breaker.snapshot().succeeded, breaker.snapshot().ignored) == (1, 0)


def test_in_metrics_only_a_coroutine_that_would_be_refused_is_one_rejection() -> None:
    events: list[BreakerEvent] = []
    breaker = CircuitBreaker(1, 10.0, clock=Clock(), listeners=[events.append])
    breaker.metrics_only()
    breaker.acquire().failure()

    async def ask() -> str:
        return "fine"

    assert asyncio.run(breaker.call(ask)) == "fine"
    assert breaker.snapshot().rejected == 1
    assert [event.kind for event in events if not event.enforced].count("rejection") == 1
