"""What a guard writes through a recorder: each attempt, however it ends, and nothing that could disturb the call."""

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from breakerlab.policy import (
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
)
from breakerlab.trace import Recorder, Trace, read_trace

SOON = 10.0  # s: above what a busy machine needs
STEADY = Backoff(base=1.0, factor=1.0, cap=1.0, jitter="none")

Call = Callable[..., Any]


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Response:
    def __init__(self, status_code: int, retry_after: str | None = None) -> None:
        self.status_code = status_code
        self.headers = {} if retry_after is None else {"Retry-After": retry_after}


class HTTPError(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__("the service answered with an error")
        self.response = response


class ConnectError(Exception):
    """As httpx names it; no OSError."""


class ReadTimeout(Exception):  # noqa: N818
    """As httpx names it; no TimeoutError."""


def call_plain(guard: Guard, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return guard.call(function, *args, **kwargs)


def call_coroutine(guard: Guard, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return asyncio.run(guard.call_async(coroutine, *args, **kwargs))


@pytest.fixture(params=[call_plain, call_coroutine], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    way: Call = request.param
    return way


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


def script(*steps: Any) -> Callable[..., Any]:
    """A function that does one thing after the other: raises an exception, returns anything else."""
    left = list(steps)

    def function(**kwargs: Any) -> Any:
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, BaseException):
            raise step
        return step

    return function


def retrying(attempts: int = 3, **fields: Any) -> Retry:
    return Retry(**{"attempts": attempts, "total_time": None, "backoff": STEADY, **fields})


@contextlib.contextmanager
def guarding(path: Path, policy: Policy, clock: Clock, **live: Any) -> Any:
    with Recorder(path, clock=clock) as recorder:
        yield policy.guard("llm", **{"recorder": recorder, "clock": clock, "sleep": clock.sleep, **live})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def ends(trace: Trace) -> list[tuple[int, str, int | None]]:
    """Attempt number, outcome and status of each attempt, in order of time."""
    rows = zip(trace.attempts["attempt"], trace.attempts["outcome"], trace.attempts["status"], strict=True)
    return [(int(attempt), str(outcome), None if pd.isna(status) else int(status)) for attempt, outcome, status in rows]


@pytest.mark.parametrize(
    ("step", "outcome", "status"),
    [
        ("fine", "ok", None),
        (None, "ok", None),
        (Response(200), "ok", 200),
        (Response(302), "ok", 302),
        (Response(500), "error", 500),
        (Response(429), "throttled", 429),
        (Response(408), "client_error", 408),
        (Response(404), "client_error", 404),
        (HTTPError(Response(503)), "error", 503),
        (HTTPError(Response(429)), "throttled", 429),
        (HTTPError(Response(401)), "client_error", 401),
        (ConnectionResetError(), "connection", None),
        (ConnectError(), "connection", None),
        (TimeoutError(), "timeout", None),
        (ReadTimeout(), "timeout", None),
        (ValueError(), "error", None),
    ],
)
def test_how_an_attempt_ended(
    path: Path, clock: Clock, call: Call, step: Any, outcome: str, status: int | None
) -> None:
    with guarding(path, Policy(), clock) as guard:
        if isinstance(step, Exception):
            with pytest.raises(type(step)):
                call(guard, script(step))
        else:
            assert call(guard, script(step)) is step
    assert ends(read_trace(path)) == [(1, outcome, status)]


def test_an_attempt_that_took_too_long_is_a_timeout(path: Path, clock: Clock, call: Call) -> None:
    with guarding(path, Policy(timeout=1.0), clock) as guard, pytest.raises(TimeoutError):
        call(guard, lambda: clock.sleep(2.0))
    assert ends(read_trace(path)) == [(1, "timeout", None)]


def test_an_answer_that_classify_calls_a_failure_is_an_error(path: Path, clock: Clock, call: Call) -> None:
    with guarding(path, Policy(), clock, classify=Classify(failed_result=lambda text: text == "")) as guard:
        call(guard, script(""))
    assert ends(read_trace(path)) == [(1, "error", None)]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("keyword", [None, "timeout"])
def test_an_interrupted_attempt_is_cancelled(
    path: Path, clock: Clock, kind: type[BaseException], keyword: str | None
) -> None:
    with guarding(path, Policy(retry=retrying()), clock, timeout_keyword=keyword) as guard, pytest.raises(kind):
        guard.call(script(kind()))
    assert ends(read_trace(path)) == [(1, "cancelled", None)]


def test_a_cancelled_attempt_is_cancelled_and_ends_its_call(path: Path, clock: Clock) -> None:
    async def run(guard: Guard) -> None:
        begun = asyncio.Event()

        async def function() -> None:
            begun.set()
            await asyncio.sleep(3600.0)

        task = asyncio.create_task(guard.call_async(function))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with guarding(path, Policy(retry=retrying()), clock) as guard:
        asyncio.run(run(guard))
    assert ends(read_trace(path)) == [(1, "cancelled", None)]


def test_every_attempt_has_its_number_and_its_time(path: Path, clock: Clock, call: Call) -> None:
    def function() -> Any:
        clock.now += 0.25
        return step()

    step = script(HTTPError(Response(503)), Response(429, "4.5"), "fine")
    with guarding(path, Policy(retry=retrying()), clock) as guard:
        call(guard, function)
    trace = read_trace(path)
    assert ends(trace) == [(1, "error", 503), (2, "throttled", 429), (3, "ok", None)]
    assert trace.attempts["time"].tolist() == [0.0, 1.25, 7.0]
    assert trace.attempts["latency"].tolist() == [0.25] * 3
    assert trace.attempts["retry_after"].fillna(-1.0).tolist() == [-1.0, 4.5, -1.0]
    assert trace.attempts["request"].nunique() == 1
    assert set(trace.attempts["service"]) == {"llm"}


def test_a_begin_stands_before_each_end(path: Path, clock: Clock, call: Call) -> None:
    begun: list[int] = []

    def function() -> str:
        begun.append(len(lines(path)))
        return "fine" if len(begun) > 1 else ""

    classify = Classify(failed_result=lambda text: text == "")
    with guarding(path, Policy(retry=retrying()), clock, classify=classify) as guard:
        call(guard, function)
    assert begun == [1, 3]
    assert [line["kind"] for line in lines(path)] == ["begin", "end", "begin", "end"]
    assert [line["id"] for line in lines(path)][::2] == [line["id"] for line in lines(path)][1::2]


def test_what_the_circuit_refuses_is_rejected(path: Path, clock: Clock, call: Call) -> None:
    policy = Policy(retry=retrying(9), breaker=Breaker(failure_threshold=2))
    with guarding(path, policy, clock) as guard:
        with pytest.raises(ConnectionError):
            call(guard, script(ConnectionError()))
        with pytest.raises(CircuitOpenError):
            call(guard, script("fine"))
    assert ends(read_trace(path)) == [(1, "connection", None), (2, "connection", None), (1, "rejected", None)]


def test_the_circuits_changes_are_recorded(path: Path, clock: Clock, call: Call) -> None:
    """As the notebooks draw them: 0 closed, 1 open, 2 half-open."""
    policy = Policy(breaker=Breaker(failure_threshold=1, recovery_timeout=8.0))
    with guarding(path, policy, clock, labels={"client": "worker-1"}) as guard:
        with pytest.raises(ConnectionError):
            call(guard, script(ConnectionError()))
        clock.sleep(8.0)
        call(guard, script("fine"))
        guard.breaker.metrics_only()
        with pytest.raises(ConnectionError):
            call(guard, script(ConnectionError()))  # would open the circuit: nothing has changed for the calls
        guard.breaker.force_open()
    events = read_trace(path).events
    assert events["value"].tolist() == [1.0, 2.0, 0.0, 1.0]
    assert set(events["kind"]) == {"breaker"} and set(events["instance"]) == {"worker-1"}


def test_a_refusal_has_a_number_of_its_own(path: Path, clock: Clock, call: Call) -> None:
    policy = Policy(retry=retrying(wait_for_probe=True), breaker=Breaker(failure_threshold=1, recovery_timeout=8.0))
    with guarding(path, policy, clock) as guard:
        guard.breaker.record_failure()
        assert call(guard, script("fine")) == "fine"
    assert ends(read_trace(path)) == [(1, "rejected", None), (2, "ok", None)]


def test_what_an_inner_circuit_refuses_is_rejected(path: Path, clock: Clock, call: Call) -> None:
    inner = CircuitBreaker(1, name="inner")
    inner.force_open()
    with guarding(path, Policy(retry=retrying()), clock) as guard, pytest.raises(CircuitOpenError):
        call(guard, inner.call, lambda: "fine")
    assert ends(read_trace(path)) == [(1, "rejected", None)]


def test_a_retry_that_the_budget_refuses_is_rejected(path: Path, clock: Clock, call: Call) -> None:
    policy = Policy(retry=retrying(9, budget=RetryBudget(ratio=0.0, burst=1.0)))
    with guarding(path, policy, clock) as guard, pytest.raises(ConnectionError):
        call(guard, script(ConnectionError()))
    assert ends(read_trace(path)) == [(1, "connection", None), (2, "connection", None), (3, "rejected", None)]


def test_a_fallback_leaves_no_trace_of_its_own(path: Path, clock: Clock, call: Call) -> None:
    with guarding(path, Policy(fallback=Fallback("sorry")), clock) as guard:
        assert call(guard, script(ConnectionError())) == "sorry"
    assert ends(read_trace(path)) == [(1, "connection", None)]


@pytest.mark.parametrize("asked", ["1e300", "99999999999"])
def test_a_server_that_asks_for_ages_cannot_make_an_attempt_lost(
    path: Path, clock: Clock, call: Call, asked: str
) -> None:
    with guarding(path, Policy(retry=retrying()), clock) as guard:
        call(guard, script(Response(503, asked)))
    trace = read_trace(path)
    assert ends(trace) == [(1, "error", 503)]
    assert trace.attempts["retry_after"].tolist() == [1e10]


def test_labels_reach_the_trace_and_only_where_they_were_given(path: Path, clock: Clock, call: Call) -> None:
    with guarding(path, Policy(), clock, labels={"client": "worker-1"}) as guard:
        call(guard.label(endpoint="POST /chat?key=secret", tokens_in=12).label(request=77), lambda: "fine")
        call(guard, lambda: "fine")
        call(guard.label(service="cache"), lambda: "fine")
    attempts = read_trace(path).attempts
    assert attempts["client"].tolist() == ["worker-1"] * 3
    assert attempts["endpoint"].tolist() == ["POST /chat", "", ""]
    assert attempts["service"].tolist() == ["llm", "llm", "cache"]
    assert attempts["tokens_in"].fillna(-1).tolist() == [12, -1, -1]
    assert attempts["request"].tolist()[0] == 77
    assert attempts["request"].nunique() == 3


def test_a_write_says_whether_it_may_be_repeated(path: Path, clock: Clock, call: Call) -> None:
    with guarding(path, Policy(retry=retrying()), clock) as guard:
        call(guard, lambda: "read")
        call(guard.write(), lambda: "once")
        call(guard.write("key-4711"), script(ConnectionError(), "twice"))
    idempotent = [line.get("idempotent") for line in lines(path) if line["kind"] == "begin"]
    assert idempotent == [None, False, True, True]
    assert "key-4711" not in path.read_text()


def test_secrets_in_an_exception_never_reach_the_file(path: Path, clock: Clock, call: Call) -> None:
    secret = "sk-live-0123456789"
    errors = [ConnectionError(secret), HTTPError(Response(500)), ValueError(f"https://host/?key={secret}")]
    errors[1].args = (secret,)
    with guarding(path, Policy(retry=retrying()), clock) as guard, pytest.raises(ValueError, match=secret):
        call(guard, script(*errors), api_key=secret)
    assert len(lines(path)) == 6
    assert secret not in path.read_text()


class BrokenRecorder:
    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.ended = 0

    def begin(self, **fields: Any) -> str:
        if "begin" in self.broken:
            raise OSError("no space left on device")
        return "1"

    def end(self, id: str, **fields: Any) -> None:
        self.ended += 1
        if "end" in self.broken:
            raise OSError("no space left on device")


@pytest.mark.parametrize("broken", [("begin",), ("end",), ("begin", "end")])
def test_a_recorder_that_fails_never_disturbs_the_call(
    clock: Clock, call: Call, broken: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    policy = Policy(retry=retrying(), breaker=Breaker(failure_threshold=3))
    recorder = BrokenRecorder(*broken)
    guard = policy.guard("llm", recorder=recorder, clock=clock, sleep=clock.sleep)
    assert call(guard, script(ConnectionError(), "fine")) == "fine"
    with pytest.raises(ConnectionError):
        call(guard, script(ConnectionError()))
    assert guard.breaker is not None
    assert (guard.breaker.snapshot().succeeded, guard.breaker.snapshot().failed) == (1, 4)
    assert recorder.ended == (0 if "begin" in broken else 5)
    assert "guard 'llm' could not record" in caplog.text


def test_a_closed_recorder_never_disturbs_the_call(path: Path, clock: Clock, call: Call) -> None:
    with guarding(path, Policy(), clock) as guard:
        pass
    assert call(guard, lambda: "fine") == "fine"


def test_a_label_that_the_trace_does_not_know_never_disturbs_the_call(path: Path, clock: Clock, call: Call) -> None:
    with guarding(path, Policy(), clock) as guard:
        assert call(guard.label(colour="red"), lambda: "fine") == "fine"
        assert call(guard.label(attempt=7), lambda: "fine") == "fine"
    assert ends(read_trace(path)) == [(1, "ok", None)]


def test_a_guard_that_records_needs_a_name(path: Path) -> None:
    with Recorder(path) as recorder:
        with pytest.raises(ValueError, match="needs a name"):
            Policy().guard(recorder=recorder)
        Policy().guard(recorder=recorder, labels={"service": "llm"}).call(lambda: "fine")
    assert set(read_trace(path).attempts["service"]) == {"llm"}


def test_many_threads_and_tasks_record_whole_requests(path: Path) -> None:
    policy = Policy(retry=Retry(attempts=3, total_time=None))
    made, lock = 0, threading.Lock()

    def function(draw: random.Random) -> str:
        nonlocal made
        with lock:
            made += 1
            if draw.random() < 0.3:
                raise ConnectionError
        return "fine"

    async def coroutine(draw: random.Random) -> str:
        await asyncio.sleep(0)
        return function(draw)

    def in_thread(guard: Guard, seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(20):
            with contextlib.suppress(ConnectionError):
                guard.call(function, draw)

    async def in_task(guard: Guard, seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(5):
            with contextlib.suppress(ConnectionError):
                await guard.call_async(coroutine, draw)

    async def tasks(guard: Guard) -> None:
        await asyncio.gather(*(in_task(guard, 100 + seed) for seed in range(20)))

    with Recorder(path) as recorder:
        guard = policy.guard("llm", recorder=recorder, sleep=lambda seconds: None)
        other = policy.guard("llm", recorder=recorder, sleep=lambda seconds: None)
        threads = [threading.Thread(target=in_thread, args=(guard, seed)) for seed in range(4)]
        threads += [threading.Thread(target=in_thread, args=(other, 50 + seed)) for seed in range(4)]
        for thread in threads:
            thread.start()
        asyncio.run(tasks(guard))
        for thread in threads:
            thread.join()
    attempts = read_trace(path).attempts
    assert len(attempts) == made
    assert set(attempts["outcome"]) == {"ok", "connection"}
    by_request = attempts.sort_values(["request", "attempt"]).groupby("request")["attempt"].apply(list)
    assert len(by_request) == 8 * 20 + 20 * 5
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_request)
