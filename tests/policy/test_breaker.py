"""The breaker against a model of it, under threads, late results and errors in the wrong place."""

import asyncio
import pickle
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from breakerlab.policy import CircuitBreaker, CircuitOpenError, CircuitState, State
from breakerlab.policy import breaker as rules


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(threshold: int = 1, recovery: float = 10.0, probes: int = 1, **more):
    """A breaker that has just opened, and its clock."""
    clock = Clock()
    breaker = CircuitBreaker(threshold, recovery, probes, clock=clock, name="llm", **more)
    for _ in range(threshold):
        breaker.acquire().failure()
    assert breaker.state is State.OPEN
    return breaker, clock


def fails() -> None:
    raise RuntimeError("no")


class AgainstAModel(RuleBasedStateMachine):
    """The breaker does what a slow and plain model does, whatever the order of calls, results and waits.

    The model keeps every permit it gave and asks, for each result, whether the state that gave it still lasts.
    """

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker(3, 10.0, 2, clock=self.clock)
        self.state, self.epoch, self.opened_at = State.CLOSED, 0, 0.0
        self.in_a_row, self.out, self.good = 0, 0, 0

    def enter(self, state: State) -> None:
        self.state, self.epoch, self.in_a_row, self.out, self.good = state, self.epoch + 1, 0, 0, 0
        if state is State.OPEN:
            self.opened_at = self.clock.now

    @rule(target=permits)
    def call(self):
        if self.state is State.OPEN and self.clock.now >= self.opened_at + 10.0:
            self.enter(State.HALF_OPEN)
        refused = self.state is State.OPEN or (self.state is State.HALF_OPEN and self.out == 2)
        if refused:
            with pytest.raises(CircuitOpenError):
                self.breaker.acquire()
            return multiple()
        if self.state is State.HALF_OPEN:
            self.out += 1
        return [self.breaker.acquire(), self.epoch]

    def spend(self, permit) -> bool:
        counts = permit[1] == self.epoch
        permit[1] = None
        return counts

    @rule(permit=permits)
    def success(self, permit) -> None:
        if self.spend(permit):
            self.in_a_row = 0
            self.good += 1
            if self.state is State.HALF_OPEN and self.good == 2:
                self.enter(State.CLOSED)
        permit[0].success()

    @rule(permit=permits)
    def failure(self, permit) -> None:
        if self.spend(permit):
            self.in_a_row += 1
            if self.state is State.HALF_OPEN or self.in_a_row == 3:
                self.enter(State.OPEN)
        permit[0].failure()

    @rule(permit=permits)
    def ignored(self, permit) -> None:
        if self.spend(permit) and self.state is State.HALF_OPEN:
            self.out -= 1
        permit[0].ignored()

    @rule(seconds=st.sampled_from([0.1, 4.0, 10.0, 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def same_state(self) -> None:
        assert self.breaker.state is self.state


AgainstAModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestAgainstAModel = AgainstAModel.TestCase


@pytest.mark.parametrize("probes", [1, 3])
@pytest.mark.parametrize("probe_fails", [False, True])
def test_of_32_threads_at_the_end_of_the_recovery_only_the_probes_reach_the_backend(probes, probe_fails) -> None:
    breaker, clock = opened(probes=probes)
    clock.now += 10.0
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
            future.result(timeout=30)
    assert len(reached) == probes
    assert breaker.state is (State.OPEN if probe_fails else State.CLOSED)


def test_of_32_tasks_only_the_probe_reaches_the_backend() -> None:
    breaker, clock = opened()
    clock.now += 10.0
    reached = []

    async def one() -> None:
        with breaker.acquire():
            reached.append(1)
            await asyncio.sleep(0)

    async def all_at_once() -> list:
        return await asyncio.gather(*(one() for _ in range(32)), return_exceptions=True)

    results = asyncio.run(all_at_once())
    assert len(reached) == 1
    assert sum(isinstance(result, CircuitOpenError) for result in results) == 31


def test_no_lock_is_held_during_a_call() -> None:
    breaker = CircuitBreaker()
    inside = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(breaker.call, inside.wait, 30) for _ in range(8)]
        assert sorted(call.result(timeout=60) for call in calls) == list(range(8))  # all eight were inside at once


@pytest.mark.parametrize("result", ["success", "failure", "ignored"])
def test_a_result_from_before_the_trip_changes_nothing(result: str) -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, clock=clock)
    late, also_late = breaker.acquire(), breaker.acquire()
    breaker.acquire().failure()
    clock.now += 9.0
    getattr(late, result)()
    assert breaker.state is State.OPEN
    clock.now += 1.0  # the outage was not extended: the probe is due
    probe = breaker.acquire()
    getattr(also_late, result)()
    assert breaker.state is State.HALF_OPEN
    probe.success()
    assert breaker.state is State.CLOSED


def test_a_permit_counts_once() -> None:
    breaker = CircuitBreaker(2)
    permit = breaker.acquire()
    permit.failure()
    permit.failure()
    assert breaker.state is State.CLOSED


def test_a_success_breaks_the_row() -> None:
    breaker = CircuitBreaker(2)
    for _ in range(5):
        breaker.acquire().failure()
        breaker.acquire().success()
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("stop", [asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_a_cancelled_probe_gives_its_permit_back(stop: type[BaseException]) -> None:
    breaker, clock = opened()
    clock.now += 10.0
    with pytest.raises(stop), breaker.acquire():
        raise stop
    assert breaker.state is State.HALF_OPEN
    breaker.call(lambda: None)
    assert breaker.state is State.CLOSED


def test_call_returns_what_the_function_returns_and_raises_what_it_raises() -> None:
    breaker = CircuitBreaker(1)
    assert breaker.call(divmod, 7, 2) == (3, 1)
    with pytest.raises(RuntimeError, match="no"):
        breaker.call(fails)
    with pytest.raises(CircuitOpenError):
        breaker.call(fails)


def test_the_refusal_says_name_state_and_wait_and_survives_pickling() -> None:
    breaker, clock = opened(recovery=10.0)
    clock.now += 4.0
    with pytest.raises(CircuitOpenError, match="circuit 'llm' is open: the next probe is due in 6 s") as caught:
        breaker.acquire()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.name, again.state, again.retry_in) == ("llm", State.OPEN, 6.0)
    clock.now += 6.0
    breaker.acquire()
    with pytest.raises(CircuitOpenError, match="half_open: its probes are still out"):
        breaker.acquire()


def test_transitions_are_told_and_a_broken_listener_does_not_reach_the_call(caplog) -> None:
    told = []

    def listener(state: State, now: float) -> None:
        told.append((state, now))
        fails()

    breaker, clock = opened(on_transition=listener)
    clock.now += 10.0
    assert breaker.call(lambda: 42) == 42
    assert told == [(State.OPEN, 1000.0), (State.HALF_OPEN, 1010.0), (State.CLOSED, 1010.0)]
    assert "on_transition" in caplog.text


def test_the_article_s_name_for_the_states_is_the_same_thing() -> None:
    assert CircuitState is State
    assert [state.value for state in State] == ["closed", "open", "half_open"]


@pytest.mark.parametrize(("p", "k"), [(0.5, 5), (0.3, 2), (0.8, 4)])
def test_the_mean_number_of_calls_to_a_trip(reproduces: Callable[..., None], p: float, k: int) -> None:
    """B1: trip after k failures in a row, failure probability p: (1 - p**k) / (p**k * (1 - p)) calls on average."""

    def mean_calls(seed: int) -> float:
        draw = random.Random(seed).random
        b = SimpleNamespace(failure_threshold=k, recovery_timeout=30.0, half_open_max_calls=1)
        calls, trips = 0, 3000
        for _ in range(trips):
            rules.reset(b)
            while b.state_code == rules.CLOSED:
                calls += 1
                permit = rules.admit(b, 0.0)
                rules.fail(b, permit, 0.0) if draw() < p else rules.succeed(b, permit)
        return calls / trips

    reproduces(f"B1 {p} {k}", (1 - p**k) / (p**k * (1 - p)), mean_calls)


@pytest.mark.parametrize("probes", [1, 3])
def test_a_total_outage_gets_the_probes_of_one_recovery_timeout_at_a_time(probes: int) -> None:
    """B3: after the trip never more than `half_open_max_calls` attempts in one recovery timeout."""
    breaker, clock = opened(threshold=3, recovery=10.0, probes=probes)
    reached, out = [], []
    for step in range(1, 2001):  # 200 s in steps of 0.1 s, calls that last 1 s, so that all probes are out at once
        clock.now = 1000.0 + step / 10
        while out and reached[-len(out)] <= clock.now - 1.0:
            out.pop(0).failure()
        try:
            out.append(breaker.acquire())
            reached.append(clock.now)
        except CircuitOpenError:
            pass
    assert len(reached) >= 15 * probes
    # probes of one half-open spell are out together; from the first of one spell to that of the next is a timeout
    assert all(later - earlier >= 10.0 for earlier, later in zip(reached, reached[probes:], strict=False))


def test_an_ignored_call_neither_counts_nor_breaks_the_row() -> None:
    breaker = CircuitBreaker(2)
    breaker.acquire().failure()
    breaker.acquire().ignored()
    breaker.acquire().failure()
    assert breaker.state is State.OPEN


def test_all_probes_must_succeed_to_close_and_one_failure_opens_again() -> None:
    breaker, clock = opened(probes=3)
    clock.now += 10.0
    first, second, third = (breaker.acquire() for _ in range(3))
    first.success()
    second.success()
    assert breaker.state is State.HALF_OPEN
    third.failure()
    assert breaker.state is State.OPEN
    clock.now += 9.9
    with pytest.raises(CircuitOpenError):  # the recovery timeout begins anew
        breaker.acquire()


def test_the_answer_of_a_permit_spent_in_its_block_counts_once() -> None:
    breaker = CircuitBreaker(1)
    with breaker.acquire() as permit:
        permit.ignored()
    with breaker.acquire() as permit:
        permit.failure()  # a 503 that the client did not raise; leaving quietly afterwards is not a success
    assert breaker.state is State.OPEN


def test_the_clock_may_start_anywhere() -> None:
    breaker = CircuitBreaker(1, 10.0, clock=lambda: -5000.0)
    breaker.acquire().failure()
    with pytest.raises(CircuitOpenError) as caught:
        breaker.acquire()
    assert caught.value.retry_in == 10.0
