"""The article's class, used as in the article: `can_execute()`, then `record_success()` or `record_failure()`."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from breakerlab.policy import CircuitBreaker, CircuitState, State

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def probing(probes: int = 1, **more: Any) -> tuple[CircuitBreaker, Clock]:
    """A breaker that was tripped by results without permits, and whose first probe is due."""
    clock = Clock()
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=60, half_open_max_calls=probes, clock=clock, **more)
    for _ in range(3):
        breaker.record_failure()
    assert breaker.get_state() is OPEN
    clock.now += 60.0
    return breaker, clock


def elsewhere(function: Callable[[], Any]) -> Any:
    """`function()` in a thread that knows nothing of this one."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(function()))
    thread.start()
    thread.join(30)
    return answer[0]


def refused_elsewhere(breaker: CircuitBreaker) -> bool:
    return not elsewhere(breaker.can_execute)


def test_the_story_of_the_article() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=60, half_open_max_calls=1, clock=clock)
    assert breaker.get_state() is CircuitState.CLOSED
    for _ in range(3):
        assert breaker.can_execute()
        breaker.record_failure()
    assert breaker.get_state() == CircuitState.OPEN
    assert not breaker.can_execute()
    clock.now += 59.9
    assert not breaker.can_execute()
    clock.now += 0.1
    assert breaker.can_execute()
    assert breaker.get_state() is CircuitState.HALF_OPEN
    assert not breaker.can_execute()
    breaker.record_failure()
    assert breaker.get_state() is CircuitState.OPEN
    clock.now += 60.0
    assert breaker.can_execute()
    breaker.record_success()
    assert breaker.get_state() is CircuitState.CLOSED
    assert breaker.can_execute()


def test_the_article_s_names_are_ours() -> None:
    assert CircuitState is State
    assert {"closed", "open", "half_open"} < {state.value for state in CircuitState}
    assert CircuitBreaker(3, 60, 1).config == CircuitBreaker(failure_threshold=3, recovery_timeout=60).config
    assert CircuitBreaker(failure_threshold=1).get_state() == "closed"


# ---- a permit is spent once


@pytest.mark.parametrize("first", ["record_success", "record_failure"])
@pytest.mark.parametrize("second", ["record_success", "record_failure"])
def test_a_permit_recorded_twice_counts_once(first: str, second: str) -> None:
    breaker, _ = probing(probes=3)
    assert breaker.can_execute()
    getattr(breaker, first)()
    before = breaker.snapshot()
    getattr(breaker, second)()
    if breaker.state is not CLOSED:  # where a result without a permit would count
        assert breaker.snapshot() == before


def test_a_result_recorded_twice_does_not_spend_the_permit_of_another() -> None:
    breaker, _ = probing(probes=2)
    taken, done = threading.Event(), threading.Event()

    def other() -> bool:
        admitted = breaker.can_execute()
        taken.set()
        assert done.wait(30)
        return admitted

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(other)
        assert taken.wait(30)
        assert breaker.can_execute()
        breaker.record_success()
        breaker.record_success()
        assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 1)
        done.set()
        assert one.result(30)


def test_as_many_results_count_as_permits_were_taken_in_one_place() -> None:
    breaker, _ = probing(probes=3)
    assert [breaker.can_execute() for _ in range(4)] == [True, True, True, False]
    breaker.record_success()
    breaker.record_success()
    assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 1)
    breaker.record_success()
    assert breaker.state is CLOSED


# ---- refusals


def test_a_refused_can_execute_leaves_the_held_permit_alone() -> None:
    breaker, _ = probing()
    assert breaker.can_execute()
    assert not breaker.can_execute()
    assert refused_elsewhere(breaker)
    breaker.record_success()
    assert breaker.state is CLOSED


@pytest.mark.parametrize("result", ["record_success", "record_failure"])
def test_what_is_recorded_after_a_refusal_is_nobody_s_result(result: str) -> None:
    """As where the refusal is raised inside the `try` whose `except` records a failure."""
    breaker, _ = probing()
    assert breaker.can_execute()

    def refused() -> bool:
        admitted = breaker.can_execute()
        getattr(breaker, result)()
        return admitted

    before = breaker.snapshot()
    assert not elsewhere(refused)
    after = breaker.snapshot()
    assert (after.state, after.probes, after.rejected) == (HALF_OPEN, 1, before.rejected + 1)
    breaker.record_success()
    assert breaker.state is CLOSED


def test_tasks_that_record_their_refusal_do_not_reopen_the_circuit() -> None:
    breaker, _ = probing()

    async def one(may_end: asyncio.Event) -> None:
        try:
            if not breaker.can_execute():
                raise RuntimeError("open")
            await may_end.wait()
        except RuntimeError:
            breaker.record_failure()
        else:
            breaker.record_success()

    async def story() -> None:
        may_end = asyncio.Event()
        tasks = [asyncio.create_task(one(may_end)) for _ in range(32)]
        while breaker.snapshot().rejected < 31:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 1)
        may_end.set()
        await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert breaker.state is CLOSED


# ---- results without a permit


def test_a_result_without_a_permit_counts_while_closed() -> None:
    breaker = CircuitBreaker(3)
    breaker.record_failure()
    breaker.record_failure()
    breaker.record_success()
    breaker.record_failure()
    breaker.record_failure()
    assert (breaker.state, breaker.snapshot().failures) == (CLOSED, 2)
    breaker.record_failure()
    assert breaker.state is OPEN


@pytest.mark.parametrize("result", ["record_success", "record_failure"])
def test_a_result_without_a_permit_changes_nothing_while_open_or_half_open(result: str) -> None:
    breaker, clock = probing(probes=2)
    clock.now -= 1.0
    before = breaker.snapshot()
    getattr(breaker, result)()
    assert breaker.snapshot() == before
    clock.now += 1.0
    assert breaker.can_execute()
    breaker.record_success()
    before = breaker.snapshot()
    assert before.state is HALF_OPEN
    getattr(breaker, result)()
    elsewhere(getattr(breaker, result))
    assert breaker.snapshot() == before


@pytest.mark.parametrize("hand", ["force_open", "disable"])
def test_a_result_without_a_permit_changes_nothing_while_held_by_hand(hand: str) -> None:
    breaker = CircuitBreaker(1)
    getattr(breaker, hand)()
    breaker.record_failure()
    assert breaker.snapshot().failed == 0
    breaker.reset()
    assert breaker.state is CLOSED


# ---- late results


@pytest.mark.parametrize("result", ["record_success", "record_failure"])
@pytest.mark.parametrize("state", [OPEN, HALF_OPEN])
def test_the_result_of_a_call_begun_before_the_trip_changes_nothing(result: str, state: State) -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 60.0, clock=clock)
    begun, may_end = threading.Event(), threading.Event()

    def late() -> None:
        assert breaker.can_execute()
        begun.set()
        assert may_end.wait(30)
        getattr(breaker, result)()

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(late)
        assert begun.wait(30)
        breaker.acquire().failure()
        clock.now += 59.0
        if state is HALF_OPEN:
            clock.now += 1.0
            assert breaker.can_execute()
        before = breaker.snapshot()
        may_end.set()
        one.result(30)
    after = breaker.snapshot()
    assert (after.state, after.probes, after.retry_in) == (before.state, before.probes, before.retry_in)
    assert after.late == 1
    if state is HALF_OPEN:
        breaker.record_success()
        assert breaker.state is CLOSED


@pytest.mark.parametrize("result", ["record_success", "record_failure"])
def test_the_late_result_of_a_worker_is_not_taken_for_the_probe_s(result: str) -> None:
    """The worker took no permit, so its result might be anybody's; when in doubt it is nobody's."""
    clock = Clock()
    breaker = CircuitBreaker(1, 60.0, clock=clock)
    assert breaker.can_execute()  # for a slow worker
    assert breaker.can_execute()  # for a quick one
    elsewhere(breaker.record_failure)
    assert breaker.state is OPEN
    clock.now += 60.0
    assert breaker.can_execute()
    elsewhere(getattr(breaker, result))  # the slow worker's
    assert breaker.state is HALF_OPEN


@pytest.mark.parametrize("results", [1, 2])
def test_a_worker_s_result_that_may_be_late_or_the_probe_s_is_nobody_s_until_that_is_given_up(results: int) -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 60.0, half_open_timeout=5.0, clock=clock)
    assert breaker.can_execute()  # its worker died
    assert breaker.can_execute()
    elsewhere(breaker.record_failure)
    clock.now += 60.0
    assert breaker.can_execute()
    for _ in range(results):  # each may be the dead worker's, for all that can be known
        elsewhere(breaker.record_success)
    assert (breaker.state, breaker.snapshot().late) == (HALF_OPEN, 0)
    clock.now += 5.0
    assert breaker.can_execute()
    elsewhere(breaker.record_success)  # by now that one is given up
    assert breaker.state is CLOSED


def test_a_probe_that_is_never_recorded_is_given_up() -> None:
    breaker, clock = probing(half_open_timeout=5.0)
    assert elsewhere(breaker.can_execute)
    clock.now += 4.9
    assert not breaker.can_execute()
    clock.now += 0.1
    assert breaker.can_execute()
    breaker.record_success()
    assert breaker.state is CLOSED


# ---- recorded somewhere else


def in_a_thread(function: Callable[[], None]) -> None:
    elsewhere(lambda: (function(), True))


def in_a_pool(function: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result(30)


def in_a_copied_context(function: Callable[[], None]) -> None:
    contextvars.copy_context().run(function)


def in_an_empty_context(function: Callable[[], None]) -> None:
    contextvars.Context().run(function)


@pytest.mark.parametrize("where", [in_a_thread, in_a_pool, in_a_copied_context, in_an_empty_context])
@pytest.mark.parametrize(("result", "state"), [("record_success", CLOSED), ("record_failure", OPEN)])
def test_a_permit_may_be_spent_in_another_context(where: Callable[..., None], result: str, state: State) -> None:
    breaker, _ = probing()
    assert breaker.can_execute()
    where(getattr(breaker, result))
    assert breaker.state is state


@pytest.mark.parametrize("where", ["task", "to_thread", "run_in_executor", "own task"])
@pytest.mark.parametrize(("result", "state"), [("record_success", CLOSED), ("record_failure", OPEN)])
def test_a_permit_may_be_spent_in_a_child_task_or_a_worker(where: str, result: str, state: State) -> None:
    breaker, _ = probing()
    record = getattr(breaker, result)

    async def child() -> None:
        await asyncio.sleep(0)
        record()

    async def story() -> None:
        assert breaker.can_execute()
        if where == "task":
            await asyncio.create_task(child())
        elif where == "to_thread":
            await asyncio.to_thread(record)
        elif where == "run_in_executor":
            await asyncio.get_running_loop().run_in_executor(None, record)
        else:
            await child()

    asyncio.run(story())
    assert breaker.state is state


@pytest.mark.parametrize("where", ["task", "thread"])
def test_a_permit_spent_elsewhere_is_not_spent_again_at_home(where: str) -> None:
    breaker, _ = probing(probes=3)

    async def story() -> None:
        assert breaker.can_execute()
        if where == "task":

            async def child() -> None:
                breaker.record_success()

            await asyncio.create_task(child())
        else:
            await asyncio.to_thread(breaker.record_success)
        before = breaker.snapshot()
        breaker.record_success()
        breaker.record_failure()
        assert breaker.snapshot() == before
        assert before.state is HALF_OPEN

    asyncio.run(story())


def test_siblings_do_not_spend_each_other_s_permits() -> None:
    """A parent's permit leaks into its children; what a child takes itself is its own."""
    breaker, _ = probing(probes=2)

    async def story() -> None:
        taken = asyncio.Barrier(2)

        async def child(records: int) -> None:
            assert breaker.can_execute()
            await taken.wait()
            for _ in range(records):
                breaker.record_success()

        await asyncio.gather(child(2), child(0))
        assert (breaker.state, breaker.snapshot().probes) == (HALF_OPEN, 1)

    asyncio.run(asyncio.wait_for(story(), 30))


def test_an_old_permit_of_the_parent_does_not_stand_in_for_a_child_s_probe() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 60.0, clock=clock)

    async def story() -> None:
        assert breaker.can_execute()  # held by the parent, inherited by both children

        async def child(probes: bool) -> None:
            if probes:
                assert breaker.can_execute()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert breaker.state is HALF_OPEN
                breaker.record_success()
            else:
                breaker.record_failure()

        in_the_child = asyncio.create_task(child(False))
        await asyncio.sleep(0)
        assert breaker.state is OPEN
        clock.now += 60.0
        await asyncio.gather(in_the_child, asyncio.create_task(child(True)), asyncio.create_task(child(False)))

    asyncio.run(story())
    assert breaker.state is CLOSED


def test_two_breakers_keep_their_permits_apart() -> None:
    one, _ = probing()
    other, _ = probing()
    assert one.can_execute()
    other.record_success()
    assert (one.state, other.state) == (HALF_OPEN, OPEN)
    assert other.can_execute()
    one.record_success()
    assert (one.state, other.state) == (CLOSED, HALF_OPEN)


# ---- every probe is counted, in this style too


@pytest.mark.parametrize("probes", [1, 3])
@pytest.mark.parametrize("result", ["record_success", "record_failure"])
def test_row_1_of_32_threads_only_the_probes_are_let_through(probes: int, result: str) -> None:
    breaker, _ = probing(probes=probes)
    reached, start, all_decided = [], threading.Barrier(32), threading.Barrier(32)

    def one() -> None:
        start.wait(30)
        admitted = breaker.can_execute()
        all_decided.wait(30)
        if admitted:
            reached.append(1)
            getattr(breaker, result)()

    with ThreadPoolExecutor(32) as pool:
        for future in [pool.submit(one) for _ in range(32)]:
            future.result(timeout=60)
    assert len(reached) == probes
    assert breaker.state is (OPEN if result == "record_failure" else CLOSED)


def test_no_call_of_many_threads_is_lost_or_counted_twice() -> None:
    """Each thread checks here and records there, in a pool that all of them share."""
    breaker = CircuitBreaker(10**6, clock=Clock())
    with ThreadPoolExecutor(4) as pool:

        def client(n: int) -> None:
            for i in range(250):
                assert breaker.can_execute()
                record = breaker.record_success if i % 2 else breaker.record_failure
                if n % 2:
                    pool.submit(record).result(30)
                else:
                    record()

        clients = [threading.Thread(target=client, args=(n,)) for n in range(8)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
    seen = breaker.snapshot()
    assert (seen.succeeded, seen.failed, seen.late) == (1000, 1000, 0)


def test_slow_calls_are_timed_from_the_check_to_the_record() -> None:
    clock = Clock()
    breaker = CircuitBreaker(slow_call_rate=0.5, slow_call_duration=2.0, minimum_calls=2, clock=clock)
    for seconds in (1.9, 2.0):
        assert breaker.can_execute()
        clock.now += seconds
        breaker.record_success()
    assert (breaker.state, breaker.snapshot().reason) == (OPEN, "slow-call rate")


def test_a_recorded_retry_after_lengthens_the_wait() -> None:
    breaker = CircuitBreaker(1, 60.0, clock=Clock())
    breaker.record_failure(retry_after=90.0)
    assert breaker.snapshot().retry_in == 90.0


def test_disabled_and_metrics_only_let_everything_through() -> None:
    breaker, _ = probing()
    for hand in (breaker.disable, breaker.metrics_only):
        hand()
        for _ in range(5):
            assert breaker.can_execute()
            breaker.record_failure()
    assert breaker.snapshot().decision is OPEN
    breaker.force_open()
    assert not breaker.can_execute()
