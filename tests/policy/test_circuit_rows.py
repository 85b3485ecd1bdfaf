"""The rows that a breaker must pass under real threads, tasks, forks and copies, and when things beside a call fail."""

import asyncio
import concurrent.futures
import copy
import gc
import itertools
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest

from breakerlab.policy import BreakerEvent, CircuitBreaker, CircuitOpenError, Classify, State

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(threshold: int = 1, recovery: float = 10.0, probes: int = 1, **more: Any) -> tuple[CircuitBreaker, Clock]:
    """A breaker that has just opened, and its clock."""
    clock = Clock()
    breaker = CircuitBreaker(threshold, recovery, probes, clock=clock, name="llm", **more)
    for _ in range(threshold):
        breaker.acquire().failure()
    assert breaker.state is OPEN
    return breaker, clock


def probing(**more: Any) -> tuple[CircuitBreaker, Clock]:
    """A breaker whose first probe is due."""
    breaker, clock = opened(**more)
    clock.now += 10.0
    return breaker, clock


def fails() -> None:
    raise RuntimeError("no")


# ---- row 1


@pytest.mark.parametrize("probes", [1, 3])
@pytest.mark.parametrize("probe_fails", [False, True])
def test_row_1_of_32_threads_only_the_probes_reach_the_backend(probes: int, probe_fails: bool) -> None:
    breaker, _ = probing(probes=probes)
    reached, refused, start, all_decided = [], [], threading.Barrier(32), threading.Event()

    def backend() -> None:
        reached.append(1)
        assert all_decided.wait(30)  # the probe lasts until everybody else has been refused
        if probe_fails:
            fails()

    def one() -> None:
        start.wait(30)
        try:
            breaker.call(backend)
        except CircuitOpenError:
            refused.append(1)
            if len(refused) == 32 - probes:
                all_decided.set()
        except RuntimeError:
            pass

    with ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(one) for _ in range(32)]:
            future.result(timeout=60)
    assert (len(reached), len(refused)) == (probes, 32 - probes)
    assert breaker.state is (OPEN if probe_fails else CLOSED)


def ways_to_await(breaker: CircuitBreaker, backend: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    async def in_a_block() -> None:
        async with breaker:
            await backend()

    async def with_a_permit() -> None:
        async with breaker.acquire():
            await backend()

    async def check_and_record() -> None:
        if not breaker.can_execute():
            raise CircuitOpenError("llm", breaker.get_state(), 0.0)
        try:
            await backend()
        except RuntimeError:
            breaker.record_failure()
            raise
        breaker.record_success()

    return {
        "decorated": breaker(backend),
        "call": lambda: breaker.call(backend),
        "block": in_a_block,
        "permit": with_a_permit,
        "check and record": check_and_record,
    }


@pytest.mark.parametrize("way", ["decorated", "call", "block", "permit", "check and record"])
@pytest.mark.parametrize("probes", [1, 3])
@pytest.mark.parametrize("probe_fails", [False, True])
def test_row_1_of_32_tasks_only_the_probes_reach_the_backend(way: str, probes: int, probe_fails: bool) -> None:
    breaker, _ = probing(probes=probes)
    reached = []

    async def all_at_once() -> list[Any]:
        everybody_else_was_refused = asyncio.Event()

        async def backend() -> None:
            reached.append(1)
            await everybody_else_was_refused.wait()
            if probe_fails:
                fails()

        call = ways_to_await(breaker, backend)[way]

        async def one() -> None:
            try:
                await call()
            except CircuitOpenError:
                if breaker.snapshot().rejected >= 32 - probes:
                    everybody_else_was_refused.set()
                raise

        async with asyncio.timeout(60):
            return await asyncio.gather(*(one() for _ in range(32)), return_exceptions=True)

    results = asyncio.run(all_at_once())
    assert len(reached) == probes
    assert sum(isinstance(result, CircuitOpenError) for result in results) == 32 - probes
    assert breaker.state is (OPEN if probe_fails else CLOSED)


def test_coroutines_refused_when_they_come_to_run_leave_no_warning() -> None:
    breaker, _ = probing()

    async def backend() -> int:
        await asyncio.sleep(0)
        return 42

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(breaker.call(backend) for _ in range(5)), return_exceptions=True)

    first, *others = asyncio.run(all_at_once())  # "never awaited" would be an error here
    assert first == 42
    assert all(isinstance(other, CircuitOpenError) for other in others)


# ---- row 2


def test_row_2_eight_threads_are_inside_a_call_at_once() -> None:
    breaker = CircuitBreaker(failure_rate=0.5)
    inside = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(breaker.call, inside.wait, 30) for _ in range(8)]
        assert sorted(call.result(timeout=60) for call in calls) == list(range(8))


def test_row_2_eight_tasks_are_inside_a_call_at_once() -> None:
    breaker = CircuitBreaker(failure_rate=0.5)

    async def all_at_once() -> None:
        inside = asyncio.Barrier(8)
        async with asyncio.timeout(60):
            await asyncio.gather(*(breaker(inside.wait)() for _ in range(8)))

    asyncio.run(all_at_once())
    assert breaker.snapshot().succeeded == 8


def test_row_2_a_probe_holds_no_lock_either() -> None:
    breaker, _ = probing(probes=4)
    inside = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(breaker.call, inside.wait, 30) for _ in range(4)]
        assert sorted(call.result(timeout=60) for call in calls) == list(range(4))
    assert breaker.state is CLOSED


# ---- rows 3, 4 and 8 with calls that really overlap


@pytest.mark.parametrize("late_fails", [False, True])
@pytest.mark.parametrize("state", [OPEN, HALF_OPEN, CLOSED])
def test_rows_3_and_4_a_thread_that_began_before_the_trip_changes_nothing(state: State, late_fails: bool) -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, clock=clock)
    begun, may_end = threading.Event(), threading.Event()

    def backend() -> None:
        begun.set()
        assert may_end.wait(30)
        if late_fails:
            fails()

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(breaker.call, backend)
        assert begun.wait(30)
        breaker.acquire().failure()
        clock.now += 9.0
        if state is not OPEN:
            clock.now += 1.0
            probe = breaker.acquire()
            if state is CLOSED:
                probe.success()
        may_end.set()
        assert isinstance(late.exception(timeout=30), RuntimeError) is late_fails
    assert breaker.state is state
    assert breaker.snapshot().late == 1
    if state is OPEN:
        assert breaker.snapshot().retry_in == 1.0


@pytest.mark.parametrize("late_fails", [False, True])
def test_row_8_a_task_that_hangs_is_given_up_and_its_late_result_changes_nothing(late_fails: bool) -> None:
    breaker, clock = probing(half_open_timeout=5.0)

    async def story() -> None:
        may_end = asyncio.Event()

        @breaker
        async def hangs() -> None:
            await may_end.wait()
            if late_fails:
                fails()

        hanging = asyncio.create_task(hangs())
        await asyncio.sleep(0)
        clock.now += 4.9
        with pytest.raises(CircuitOpenError, match="its probes are still out"):
            breaker.acquire()
        clock.now += 0.2
        probe = breaker.acquire()
        may_end.set()
        await asyncio.wait([hanging])
        assert isinstance(hanging.exception(), RuntimeError) is late_fails
        assert breaker.state is HALF_OPEN
        probe.success()

    asyncio.run(story())
    assert breaker.state is CLOSED


def test_an_outcome_that_is_none_counts_for_nothing() -> None:
    """Also the word of one: what is not told by the enumeration must not open a circuit."""
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.acquire().spend("success")  # type: ignore[arg-type]
    assert breaker.state is State.CLOSED
    assert breaker.snapshot().ignored == 1


# ---- row 7

STOPS = [asyncio.CancelledError, concurrent.futures.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit]


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


@pytest.mark.parametrize("error", [*STOPS, *(lambda s=s: StatusError(s) for s in (400, 401, 403, 404, 409, 422))])
@pytest.mark.parametrize("way", ["call", "block", "permit", "decorated"])
def test_row_7_what_says_nothing_of_the_service_is_ignored_and_frees_the_permit(error: Any, way: str) -> None:
    breaker, _ = probing()

    def raises() -> None:
        raise error()

    def in_a_block() -> None:
        with breaker:
            raises()

    def with_a_permit() -> None:
        with breaker.acquire():
            raises()

    one = {"call": lambda: breaker.call(raises), "block": in_a_block, "permit": with_a_permit,
           "decorated": breaker(raises)}[way]  # fmt: skip
    for n in range(1, 4):
        with pytest.raises(type(error())):
            one()
        seen = breaker.snapshot()
        assert (seen.state, seen.probes, seen.ignored, seen.failed) == (HALF_OPEN, 0, n, 1)
    breaker.call(int)
    assert breaker.state is CLOSED
    with pytest.raises(type(error())):  # nor does it break or lengthen a row of failures while closed
        one()
    assert breaker.snapshot().failures == 0


@pytest.mark.parametrize("status", [400, 401, 404])
def test_row_7_a_returned_404_is_ignored_and_frees_the_permit(status: int) -> None:
    breaker, _ = probing()
    response = SimpleNamespace(status_code=status)
    assert breaker.call(lambda: response) is response
    assert (breaker.state, breaker.snapshot().probes, breaker.snapshot().ignored) == (HALF_OPEN, 0, 1)


@pytest.mark.parametrize("way", ["decorated", "call", "block", "permit"])
def test_row_7_a_cancelled_task_frees_its_permit(way: str) -> None:
    breaker, _ = probing()

    async def story() -> None:
        begun = asyncio.Event()

        async def backend() -> None:
            begun.set()
            await asyncio.sleep(3600)

        async def one() -> None:
            await ways_to_await(breaker, backend)[way]()

        task = asyncio.create_task(one())
        await begun.wait()
        assert breaker.snapshot().probes == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 0)

    asyncio.run(story())
    breaker.call(int)
    assert breaker.state is CLOSED


def test_an_ignored_call_neither_counts_nor_breaks_the_row() -> None:
    breaker = CircuitBreaker(2)
    breaker.acquire().failure()
    breaker.acquire().ignored()
    breaker.acquire().failure()
    assert breaker.state is OPEN


# ---- row 9


class UnreadableError(Exception):
    @property
    def status_code(self) -> int:
        raise RuntimeError("unreadable")

    @property
    def headers(self) -> dict[str, str]:
        raise RuntimeError("unreadable")

    @property
    def response(self) -> object:
        raise RuntimeError("unreadable")


class Rude:
    """Whatever is asked of it, it raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"rude about {name}")


def broken(*_: object) -> bool:
    raise ZeroDivisionError("broken")


BROKEN = [
    Classify(failed=broken), Classify(ignored=broken), Classify(failed_result=broken), Classify(ignored_result=broken),
    Classify(failed=broken, ignored=broken, failed_result=broken, ignored_result=broken),
]  # fmt: skip


@pytest.mark.parametrize("classify", BROKEN)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_row_9_an_error_in_classify_leaves_result_and_permit_alone(classify: Classify, asynchronous: bool) -> None:
    breaker, _ = probing(classify=classify)
    if asynchronous:

        @breaker
        async def answers() -> int:
            return 42

        @breaker
        async def breaks() -> None:
            fails()

        call = {"answers": lambda: asyncio.run(answers()), "breaks": lambda: asyncio.run(breaks())}
    else:
        call = {"answers": lambda: breaker.call(lambda: 42), "breaks": lambda: breaker.call(fails)}
    assert call["answers"]() == 42
    assert (breaker.state, breaker.snapshot().probes) == (CLOSED, 0)
    with pytest.raises(RuntimeError, match="no"):
        call["breaks"]()
    assert (breaker.state, breaker.snapshot().failed) == (OPEN, 2)  # judged without the broken test


def test_row_9_an_exception_or_a_result_that_cannot_be_read_leaves_result_and_permit_alone() -> None:
    breaker, _ = probing()
    rude, error = Rude(), UnreadableError()
    assert breaker.call(lambda: rude) is rude
    assert breaker.state is CLOSED

    def raises() -> None:
        raise error

    with pytest.raises(UnreadableError) as caught:
        breaker.call(raises)
    assert caught.value is error
    assert breaker.state is OPEN


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_row_9_interrupted_while_judging_the_permit_is_not_lost(stop: type[BaseException]) -> None:
    def interrupted(_: object) -> bool:
        raise stop

    breaker, _ = probing(classify=Classify(ignored_result=interrupted))
    with pytest.raises(stop):
        breaker.call(int)
    assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 0)


def test_row_9_an_error_in_a_listener_does_not_reach_the_call(caplog: pytest.LogCaptureFixture) -> None:
    told: list[BreakerEvent] = []
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, clock=clock, name="llm", listeners=[broken, told.append, broken])
    with pytest.raises(RuntimeError, match="no"):
        breaker.call(fails)
    with pytest.raises(CircuitOpenError):
        breaker.call(int)
    clock.now += 10.0
    assert breaker.call(lambda: 42) == 42
    assert (breaker.state, breaker.snapshot().probes) == (CLOSED, 0)
    assert len(told) == 4
    assert caplog.text.count("a listener of circuit 'llm' failed") == 8
    assert "ZeroDivisionError: broken" in caplog.text


def test_row_9_interrupted_in_a_listener_the_permit_is_not_lost() -> None:
    def listener(event: BreakerEvent) -> None:
        if event.state is HALF_OPEN:
            raise KeyboardInterrupt

    told: list[BreakerEvent] = []
    breaker, _ = probing(listeners=[listener, told.append])
    with pytest.raises(KeyboardInterrupt):
        breaker.call(int)
    assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 0)
    breaker.call(int)  # later events are still told
    assert [event.state for event in told] == [OPEN, CLOSED]


def test_an_exception_from_a_signal_handler_never_leaves_the_lock_held() -> None:
    """As Celery's soft time limit raises it: at any point of the main thread."""

    class TimeLimitError(Exception):
        pass

    def handler(*_: object) -> None:
        raise TimeLimitError

    breaker = CircuitBreaker(failure_rate=0.5)
    before = signal.signal(signal.SIGALRM, handler)
    gc.disable()  # what is raised in a callback of the collector (Hypothesis has one) is lost
    try:
        for n in range(500):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + n * 1e-7)
                for _ in range(100_000):
                    breaker.call(int)
            except TimeLimitError:
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    other = threading.Thread(target=breaker.snapshot, daemon=True)
    other.start()
    other.join(10)
    assert not other.is_alive()


def test_a_signal_handler_may_make_a_breaker_while_another_is_being_made() -> None:
    """The handler is stood in for by a profiler, which is called at any point of its thread, too."""
    made: list[CircuitBreaker] = []

    def make_another(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is WeakSet.add.__code__:
            sys.setprofile(None)
            made.append(CircuitBreaker(name="another"))

    def make_one() -> None:
        sys.setprofile(make_another)
        made.append(CircuitBreaker(name="one"))

    thread = threading.Thread(target=make_one, daemon=True)
    thread.start()
    thread.join(10)
    assert [breaker.name for breaker in made] == ["another", "one"]


# ---- listeners


def test_every_transition_and_rejection_is_told_in_order() -> None:
    told: list[BreakerEvent] = []
    clock = Clock()
    breaker = CircuitBreaker(2, 10.0, clock=clock, name="llm", listeners=[told.append])
    breaker.acquire().failure()
    breaker.acquire().failure()
    clock.now += 4.0
    assert not breaker.can_execute()
    clock.now += 6.0
    probe = breaker.acquire()
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    probe.failure()
    clock.now += 10.0
    breaker.acquire().success()
    breaker.force_open()
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    breaker.disable()
    breaker.reset()
    because, again = "consecutive failures", "a probe failed"
    forced = State.FORCED_OPEN
    assert [(e.kind, e.before, e.state, e.time, e.retry_in, e.reason) for e in told] == [
        ("transition", CLOSED, OPEN, 1000.0, 10.0, because),
        ("rejection", OPEN, OPEN, 1004.0, 6.0, because),
        ("transition", OPEN, HALF_OPEN, 1010.0, 0.0, because),
        ("rejection", HALF_OPEN, HALF_OPEN, 1010.0, 0.0, because),
        ("transition", HALF_OPEN, OPEN, 1010.0, 10.0, again),
        ("transition", OPEN, HALF_OPEN, 1020.0, 0.0, again),
        ("transition", HALF_OPEN, CLOSED, 1020.0, 0.0, again),
        ("transition", CLOSED, forced, 1020.0, float("inf"), ""),
        ("rejection", forced, forced, 1020.0, float("inf"), ""),
        ("transition", forced, State.DISABLED, 1020.0, 0.0, ""),
        ("transition", State.DISABLED, CLOSED, 1020.0, 0.0, ""),
    ]
    assert all(event.name == "llm" and event.enforced for event in told)


def test_metrics_only_tells_what_it_would_have_done() -> None:
    told: list[BreakerEvent] = []
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, clock=clock, listeners=[told.append])
    breaker.metrics_only()
    told.clear()
    with pytest.raises(RuntimeError):
        breaker.call(fails)
    assert breaker.call(lambda: 42) == 42
    clock.now += 10.0
    breaker.call(int)
    assert [(event.kind, event.before, event.state) for event in told] == [
        ("transition", CLOSED, OPEN),
        ("rejection", OPEN, OPEN),
        ("transition", OPEN, HALF_OPEN),
        ("transition", HALF_OPEN, CLOSED),
    ]
    assert not any(event.enforced for event in told)


def test_a_listener_may_use_the_breaker_itself() -> None:
    told: list[tuple[State, State]] = []
    refused: list[bool] = []

    def listener(event: BreakerEvent) -> None:
        if event.kind == "rejection":
            breaker.reset()
            breaker.call(int)
        elif event.state is OPEN:
            refused.append(not breaker.can_execute())
        told.append((event.state, breaker.state))

    breaker = CircuitBreaker(1, 10.0, listeners=[listener])
    with pytest.raises(RuntimeError):
        breaker.call(fails)
    assert refused == [True]
    assert told == [(OPEN, OPEN), (OPEN, CLOSED), (CLOSED, CLOSED)]  # one after the other, never one inside another
    assert breaker.state is CLOSED


def test_no_lock_is_held_while_a_listener_runs() -> None:
    """A listener waits for another thread that needs the breaker."""
    answers: list[Any] = []

    def listener(event: BreakerEvent) -> None:
        if event.kind == "rejection":
            return  # that of the other thread
        with ThreadPoolExecutor(1) as pool:
            answers.append(pool.submit(lambda: (breaker.snapshot().state, breaker.can_execute())).result(timeout=30))

    breaker = CircuitBreaker(1, 10.0, listeners=[listener], clock=Clock())
    with pytest.raises(RuntimeError):
        breaker.call(fails)
    assert answers[0] == (OPEN, False)


def test_events_from_many_threads_are_told_one_by_one_in_the_order_of_the_transitions() -> None:
    told: list[BreakerEvent] = []
    inside, at_once = threading.Lock(), []

    def listener(event: BreakerEvent) -> None:
        if not inside.acquire(blocking=False):
            at_once.append(event)
            return
        told.append(event)
        inside.release()

    clock = Clock()
    breaker = CircuitBreaker(1, 1e-9, clock=clock, listeners=[listener])

    def client() -> None:
        for n in range(500):
            clock.now += 1.0
            try:
                permit = breaker.acquire()
            except CircuitOpenError:
                continue
            permit.failure() if n % 2 else permit.success()

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transitions = [event for event in told if event.kind == "transition"]
    assert len(transitions) > 100 and not at_once
    assert transitions[0].before is CLOSED
    for earlier, later in itertools.pairwise(transitions):
        assert later.before is earlier.state
    assert sum(event.kind == "rejection" for event in told) == breaker.snapshot().rejected


# ---- row 10


def as_it_was(breaker: CircuitBreaker) -> tuple[Any, ...]:
    return breaker.config, breaker.name, breaker.state, breaker.snapshot().failed


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda breaker: pickle.loads(pickle.dumps(breaker))])
def test_row_10_a_copy_has_the_same_rules_and_has_seen_nothing(how: Callable[[Any], Any]) -> None:
    classify = Classify(failed=(KeyError,), ignored=ValueError)
    original = CircuitBreaker(
        3, 7.0, 2, failure_rate=0.5, window_seconds=30.0, recovery_growth=2.0, recovery_jitter=0.5, name="llm",
        classify=classify, listeners=[print],
    )  # fmt: skip
    for _ in range(3):
        original.acquire().failure()
    other = how(original)
    assert as_it_was(other) == (original.config, "llm", CLOSED, 0)
    assert other._classify == classify and other._listeners == (print,)
    other.acquire().failure()
    assert as_it_was(original) == (original.config, "llm", OPEN, 3)
    original.reset()
    assert other.snapshot().failures == 1


def test_row_10_unpickled_twins_do_not_draw_the_same_jitter() -> None:
    """A worker pool sends one pickle to each process; they must not probe in step."""
    text = pickle.dumps(CircuitBreaker(1, 10.0, recovery_jitter=1.0))
    waits = set()
    for _ in range(10):
        breaker = pickle.loads(text)
        breaker.acquire().failure()
        waits.add(breaker.probe_at)
    assert max(waits) - min(waits) > 1.0


def test_the_refusal_survives_pickling_and_copying() -> None:
    breaker, clock = opened(recovery=10.0)
    clock.now += 4.0
    with pytest.raises(CircuitOpenError, match="circuit 'llm' is open: the next probe is due in 6 s") as caught:
        breaker.acquire()
    for again in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value), copy.deepcopy(caught.value)):
        assert (again.name, again.state, again.retry_in) == ("llm", OPEN, 6.0)
        assert str(again) == str(caught.value)
    clock.now += 6.0
    breaker.acquire()
    with pytest.raises(CircuitOpenError, match="half_open: its probes are still out") as caught:
        breaker.acquire()
    assert (caught.value.state, caught.value.retry_in) == (HALF_OPEN, 0.0)


FORKS = """
    import os, signal, sys, threading
    from breakerlab.policy import CircuitBreaker, CircuitOpenError, State

    sys.setswitchinterval(1e-5)
    told = []
    breaker = CircuitBreaker(3, 1e-4, failure_rate=0.5, window_seconds=60.0, listeners=[told.append])
    others = [CircuitBreaker(1) for _ in range(5)]
    others[0].acquire().failure()
    stop = threading.Event()

    def hammer():
        n = 0
        while not stop.is_set():
            n += 1
            try:
                permit = breaker.acquire()
            except CircuitOpenError:
                continue
            permit.failure() if n % 3 else permit.success()

    hammers = [threading.Thread(target=hammer, daemon=True) for _ in range(3)]
    for thread in hammers:
        thread.start()
    for _ in range(60):
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a deadlock ends here
            assert others[0].state is State.OPEN  # the parent's state of that moment
            before = len(told)
            breaker.force_open()
            breaker.reset()
            assert len(told) > before  # also if a thread of the parent was telling just then
            for _ in range(50):
                with breaker:
                    pass
            thread = threading.Thread(target=breaker.snapshot)
            thread.start()
            thread.join()
            others[1].acquire().failure()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, f"child ended with {status}"
    assert others[1].state is State.CLOSED  # the child went on on its own
    stop.set()
    for thread in hammers:
        thread.join(20)
        assert not thread.is_alive()
    print("all well")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_row_10_a_forked_child_goes_on_while_other_threads_hold_the_breaker() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(FORKS)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert run.stdout == "all well\n", run.stderr


def test_a_call_tells_of_its_own_refusal_only() -> None:
    """In a storm of refusals one call must not be kept telling those of all the others."""
    counts: dict[int, int] = {}
    started = threading.Barrier(4)

    def listener(event: BreakerEvent) -> None:
        if event.kind == "rejection":
            counts[threading.get_ident()] = counts.get(threading.get_ident(), 0) + 1
            time.sleep(0.001)

    breaker = CircuitBreaker(1, 60.0, listeners=[listener])
    breaker.acquire().failure()

    def storm() -> None:
        started.wait(20)
        for _ in range(20):
            with pytest.raises(CircuitOpenError):
                breaker.acquire()

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(counts.values()) == [20, 20, 20, 20]


def test_a_refusal_made_by_hand_says_what_it_can() -> None:
    assert str(CircuitOpenError("llm")) == "circuit 'llm' is open: the next probe is due in 0 s"
    assert CircuitOpenError().retry_in == 0.0
