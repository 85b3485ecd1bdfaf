"""The breaker's rules against a model of them, in any order and from 16 threads, and against closed forms."""

import gc
import itertools
import math
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from breakerlab.policy import (
    Backoff,
    Breaker,
    CircuitBreaker,
    CircuitOpenError,
    Permit,
    Policy,
    Retry,
    Snapshot,
    State,
    circuit,
)
from breakerlab.policy import breaker as rules

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
SUCCESS, FAILURE, IGNORED = "success", "failure", "ignored"


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Model:
    """What a breaker should do, slow and plain: it keeps every call of the window and forgets by looking at them.

    A permit is the number of the era that gave it; a new state is a new era, and so is giving up hanging probes.
    """

    def __init__(self, config: Breaker) -> None:
        self.config = config
        self.longest_probe = 60.0 if config.half_open_timeout is None else config.half_open_timeout
        self.probes_needed = config.success_threshold or config.half_open_max_calls
        self.mode, self.era, self.late, self.rejected = CLOSED, 0, 0, 0
        self.results = dict.fromkeys((SUCCESS, FAILURE, IGNORED), 0)
        self.by_hand(CLOSED)

    def by_hand(self, mode: State) -> None:
        self.mode, self.trips, self.probe_at = mode, 0, 0.0
        self.enter(CLOSED)

    def enter(self, state: State) -> None:
        self.decision, self.era = state, self.era + 1
        self.row, self.out, self.good, self.newest_probe = 0, 0, 0, -math.inf
        self.calls: deque[tuple[float, bool, bool]] = deque()  # when, failed, slow

    @property
    def state(self) -> State:
        return self.decision if self.mode is CLOSED else self.mode

    def admit(self, now: float) -> int | str | None:
        """An era, None for a refusal, "free" for a call that is let through without being counted."""
        if self.mode is State.DISABLED:
            return "free"
        if self.mode is not State.FORCED_OPEN:
            if self.decision is CLOSED:
                return self.era
            if self.decision is OPEN and now >= self.probe_at:
                self.enter(HALF_OPEN)
            if self.decision is HALF_OPEN:
                if self.out and now - self.newest_probe >= self.longest_probe:
                    self.out, self.era = 0, self.era + 1
                missing = max(self.probes_needed, self.config.half_open_max_calls) - self.good
                if self.out < min(self.config.half_open_max_calls, missing):
                    self.out, self.newest_probe = self.out + 1, now
                    return self.era
        self.rejected += 1
        return "free" if self.mode is State.METRICS_ONLY else None

    def end(self, permit: Any, result: str, now: float, took: float, retry_after: float = 0.0, u: float = 0.0) -> None:
        if permit == "free":
            return
        if permit != self.era:
            self.late += 1
            return
        self.results[result] += 1
        slow = self.config.slow_call_rate is not None and took >= self.config.slow_call_duration
        if self.decision is HALF_OPEN:
            self.out -= 1
            if result == FAILURE:
                self.trip(now, retry_after, u)
            elif result == SUCCESS:
                self.good += 1
                if slow:
                    self.trip(now, 0.0, u)
                elif self.good == self.probes_needed:
                    self.trips = 0
                    self.enter(CLOSED)
        elif result != IGNORED:
            self.row = self.row + 1 if result == FAILURE else 0
            self.calls.append((now, result == FAILURE, slow))
            self.forget(now)
            if self.must_open(result):
                self.trip(now, retry_after if result == FAILURE else 0.0, u)

    def must_open(self, result: str) -> bool:
        config, calls = self.config, len(self.calls)
        if config.failure_threshold is not None and self.row >= config.failure_threshold:
            return True
        enough = config.minimum_calls if config.window_seconds else min(config.minimum_calls, config.window)
        if calls < enough:
            return False
        share_failed, share_slow = self.shares()
        by_failures = config.failure_rate is not None and share_failed >= config.failure_rate
        return by_failures or (config.slow_call_rate is not None and share_slow >= config.slow_call_rate)

    def shares(self) -> tuple[float, float]:
        calls = max(len(self.calls), 1)
        return sum(failed for _, failed, _ in self.calls) / calls, sum(slow for _, _, slow in self.calls) / calls

    def forget(self, now: float) -> None:
        if self.config.window_seconds is None:
            while len(self.calls) > self.config.window:
                self.calls.popleft()
        else:
            bucket = self.config.window_seconds / 60
            oldest = math.floor(now / bucket) - 59
            while self.calls and math.floor(self.calls[0][0] / bucket) < oldest:
                self.calls.popleft()

    def trip(self, now: float, retry_after: float, u: float) -> None:
        config = self.config
        cap = config.recovery_cap or 10.0 * config.recovery_timeout
        wait = config.recovery_timeout
        for _ in range(self.trips):
            wait = min(wait * config.recovery_growth, cap)
        wait = max(min(wait, cap), min(retry_after, cap))
        self.probe_at, self.trips = now + wait * (1.0 + config.recovery_jitter * u), self.trips + 1
        self.enter(OPEN)


# Powers of two in all that is multiplied, so that the model's other order of arithmetic gives the same floats.
CONFIGS = st.fixed_dictionaries(
    {"recovery_timeout": st.sampled_from([8.0, 30.0])},
    optional={
        "failure_threshold": st.integers(1, 4),
        "failure_rate": st.sampled_from([0.25, 0.5, 1.0]),
        "slow_call_rate": st.sampled_from([0.3, 0.75]),
        "slow_call_duration": st.sampled_from([1.0, 4.0]),
        "window": st.integers(1, 6),
        "window_seconds": st.sampled_from([15.0, 60.0]),
        "minimum_calls": st.integers(1, 6),
        "recovery_growth": st.sampled_from([1.0, 2.0, 4.0]),
        "recovery_cap": st.sampled_from([32.0, 300.0]),
        "recovery_jitter": st.sampled_from([0.0, 0.5, 1.0]),
        "half_open_max_calls": st.integers(1, 3),
        "success_threshold": st.integers(1, 5),
        "half_open_timeout": st.sampled_from([2.0, 16.0, 64.0]),
    },
)
WAITS = st.sampled_from([0.25, 1.0, 1.0, 4.0, 8.0, 16.0, 64.0, 86_400.0])
DRAWS = st.sampled_from([0.0, 0.25, 0.5, 0.875])


class AgainstAModel(RuleBasedStateMachine):
    """Every rule on or off, calls, results, waits and hands in any order: the breaker does what the model does."""

    permits = Bundle("permits")

    @initialize(config=CONFIGS, start=st.sampled_from([-5000.0, 0.0, 1000.0]))
    def begin(self, config: dict[str, Any], start: float) -> None:
        self.clock, self.u = Clock(start), 0.0
        self.breaker = CircuitBreaker(**config, clock=self.clock, random=lambda: self.u)
        self.model = Model(self.breaker.config)

    @rule(target=permits)
    def call(self) -> Any:
        expected = self.model.admit(self.clock.now)
        if expected is None:
            with pytest.raises(CircuitOpenError) as caught:
                self.breaker.acquire()
            assert caught.value.state is self.model.state
            return multiple()
        return [self.breaker.acquire(), expected, self.clock.now]

    def spend(self, held: list[Any], result: str, **more: Any) -> None:
        permit, era, began = held
        self.model.end(era, result, self.clock.now, self.clock.now - began, u=self.u, **more)
        getattr(permit, result)(**more)
        held[1] = "free"  # a permit counts once

    @rule(held=permits, u=DRAWS)
    def success(self, held: list[Any], u: float) -> None:
        self.u = u
        self.spend(held, SUCCESS)

    @rule(held=permits, u=DRAWS, retry_after=st.sampled_from([0.0, 0.0, 12.0, 1e9]))
    def failure(self, held: list[Any], u: float, retry_after: float) -> None:
        self.u = u
        self.spend(held, FAILURE, retry_after=retry_after)

    @rule(held=permits)
    def ignored(self, held: list[Any]) -> None:
        self.spend(held, IGNORED)

    @rule(
        calls=st.lists(st.tuples(st.sampled_from([SUCCESS, SUCCESS, FAILURE]), st.booleans()), min_size=2, max_size=8)
    )
    def whole_calls(self, calls: list[tuple[str, bool]]) -> None:
        """Most sequences of single steps are too short to fill a window."""
        for result, slow in calls:
            held = self.call()
            if isinstance(held, list):
                self.clock.now += 4.0 if slow else 0.25
                self.spend(held, result)

    @rule(seconds=WAITS)
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def wait_for_the_probe(self) -> None:
        if self.model.decision is OPEN:
            self.clock.now = max(self.clock.now, self.model.probe_at)

    @rule(mode=st.sampled_from([CLOSED, State.FORCED_OPEN, State.DISABLED, State.METRICS_ONLY, State.METRICS_ONLY]))
    def by_hand(self, mode: State) -> None:
        self.model.by_hand(mode)
        hands = {CLOSED: "reset", State.FORCED_OPEN: "force_open", State.DISABLED: "disable"}
        getattr(self.breaker, hands.get(mode, "metrics_only"))()

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def the_same(self) -> None:
        model, seen = self.model, self.breaker.snapshot()
        model.forget(self.clock.now)
        assert (self.breaker.state, seen.state, seen.decision) == (model.state, model.state, model.decision)
        assert (seen.probes, seen.openings, seen.late, seen.rejected) == (
            model.out, model.trips, model.late, model.rejected,
        )  # fmt: skip
        assert [seen.succeeded, seen.failed, seen.ignored] == list(model.results.values())
        if model.decision is OPEN and model.mode is not State.FORCED_OPEN:
            assert seen.retry_in == max(model.probe_at - self.clock.now, 0.0)
        if model.decision is CLOSED:
            config = model.config
            assert seen.failures == model.row
            if config.failure_rate or config.slow_call_rate:
                assert (seen.calls, seen.failure_rate, seen.slow_call_rate) == (len(model.calls), *model.shares())


AgainstAModel.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestRow11AnyOrderEqualsAModel = AgainstAModel.TestCase


def test_row_11_a_million_calls_from_16_threads_equal_a_single_threaded_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorders stand where the rules are called, under the lock, so the order they note is the true one."""
    ticks, decisions, all_under_lock = itertools.count(), [], True

    def recorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def rule(b: Any, *arguments: Any) -> Any:
            nonlocal all_under_lock
            all_under_lock = all_under_lock and b._lock._is_owned()
            answer = function(b, *arguments)
            decisions.append((name, arguments, answer, b.state_code, b.generation))
            return answer

        return rule

    for name in ("admit", "succeed", "fail", "ignore"):
        monkeypatch.setattr(circuit, name, recorded(name, getattr(rules, name)))
    config: dict[str, Any] = {
        "failure_threshold": 6, "failure_rate": 0.6, "slow_call_rate": 0.9, "slow_call_duration": 100.0,
        "recovery_timeout": 10.0, "recovery_cap": 40.0, "recovery_growth": 2.0, "half_open_max_calls": 3,
        "half_open_timeout": 50.0,
    }  # fmt: skip
    breaker = CircuitBreaker(**config, clock=lambda: float(next(ticks)), random=lambda: 0.5)  # a tick a look
    threads, calls = 16, 62_500
    counted = [dict.fromkeys(("admitted", "refused", SUCCESS, FAILURE, IGNORED, "held"), 0) for _ in range(threads)]

    def client(mine: dict[str, int], draw: Callable[[], float]) -> None:
        held: list[Permit] = []
        for _ in range(calls):
            try:
                permit = breaker.acquire()
            except CircuitOpenError:
                mine["refused"] += 1
                continue
            mine["admitted"] += 1
            u = draw()
            if u < 0.05:
                held.append(permit)  # one that takes long: it ends in a later state, or is given up
                if len(held) < 5:
                    continue
                permit = held.pop(0)
            result = SUCCESS if u < 0.65 else FAILURE if u < 0.95 else IGNORED
            mine[result] += 1
            getattr(permit, result)()
        mine["held"] = len(held)

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-3)
    gc.disable()  # which would look at each of a million notes again and again
    try:
        clients = [
            threading.Thread(target=client, args=(mine, random.Random(i).random)) for i, mine in enumerate(counted)
        ]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
    finally:
        sys.setswitchinterval(switching)
        gc.enable()

    total = {name: sum(mine[name] for mine in counted) for name in counted[0]}
    seen = breaker.snapshot()
    assert total["admitted"] + total["refused"] == threads * calls == 1_000_000
    assert total["admitted"] == total[SUCCESS] + total[FAILURE] + total[IGNORED] + total["held"]
    assert seen.succeeded + seen.failed + seen.ignored + seen.late == total["admitted"] - total["held"]
    assert seen.rejected == total["refused"]
    assert all_under_lock

    model, states = Model(Breaker(**config)), (CLOSED, OPEN, HALF_OPEN)
    ends = {"succeed": SUCCESS, "fail": FAILURE, "ignore": IGNORED}
    for name, arguments, answer, state, generation in decisions:
        if name == "admit":
            assert model.admit(arguments[0]) == (None if answer == rules.REFUSED else answer)
        else:
            permit, now, took, retry_after, u = (*arguments, 0.0, 0.0, 0.0, 0.0)[:5]
            if name == "succeed":
                retry_after, u = 0.0, arguments[3]
            model.end(permit, ends[name], now, took, retry_after, u)
        assert (model.decision, model.era) == (states[state], generation)
    assert [seen.succeeded, seen.failed, seen.ignored] == list(model.results.values())
    assert (seen.late, seen.rejected, seen.decision) == (model.late, model.rejected, model.decision)
    assert min(seen.late, seen.rejected, seen.ignored, model.era) > 10_000  # it was no walk in the park


# ---- row 3, 4, 8: late results


def opened(recovery: float = 10.0, probes: int = 1, **more: Any) -> tuple[CircuitBreaker, Clock]:
    clock = Clock()
    breaker = CircuitBreaker(1, recovery, probes, clock=clock, name="llm", **more)
    breaker.acquire().failure()
    assert breaker.state is OPEN
    return breaker, clock


@pytest.mark.parametrize("result", [SUCCESS, FAILURE, IGNORED])
@pytest.mark.parametrize("rule_used", [{"failure_threshold": 1}, {"failure_rate": 0.3, "minimum_calls": 1}])
def test_rows_3_and_4_a_result_from_before_the_trip_changes_nothing(rule_used: dict[str, Any], result: str) -> None:
    clock = Clock()
    breaker = CircuitBreaker(**rule_used, recovery_timeout=10.0, recovery_growth=2.0, clock=clock)
    late, later, latest = breaker.acquire(), breaker.acquire(), breaker.acquire()
    breaker.acquire().failure()
    clock.now += 9.0
    before = breaker.snapshot()
    getattr(late, result)()
    assert breaker.snapshot() == with_changes(before, late=1)
    clock.now += 1.0  # the outage was not extended: the probe is due
    probe = breaker.acquire()
    before = breaker.snapshot()
    getattr(later, result)()
    assert breaker.snapshot() == with_changes(before, late=2)
    with pytest.raises(CircuitOpenError):  # the probe's permit was not given away
        breaker.acquire()
    probe.success()
    before = breaker.snapshot()
    getattr(latest, result)()
    assert breaker.snapshot() == with_changes(before, late=3)
    assert breaker.state is CLOSED


def with_changes(snapshot: Snapshot, **changes: Any) -> Snapshot:
    return snapshot._replace(**changes)


@pytest.mark.parametrize("result", [SUCCESS, FAILURE, IGNORED])
def test_row_8_a_probe_that_never_ends_is_given_up_and_its_late_result_changes_nothing(result: str) -> None:
    breaker, clock = opened(half_open_timeout=5.0)
    clock.now += 10.0
    hangs = breaker.acquire()
    clock.now += 4.9
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    clock.now += 0.1
    probe = breaker.acquire()
    before = breaker.snapshot()
    getattr(hangs, result)()
    assert breaker.snapshot() == with_changes(before, late=1)
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    probe.success()
    assert breaker.state is CLOSED


def test_probes_that_succeeded_still_count_when_a_hanging_one_is_given_up() -> None:
    breaker, clock = opened(probes=2, half_open_timeout=5.0)
    clock.now += 10.0
    hangs, good = breaker.acquire(), breaker.acquire()
    good.success()
    clock.now += 5.0
    breaker.acquire().success()
    assert breaker.state is CLOSED
    hangs.failure()
    assert breaker.state is CLOSED


def test_more_successes_than_probes_at_a_time_are_asked_for_in_turn() -> None:
    breaker, clock = opened(probes=2, success_threshold=3)
    clock.now += 10.0
    first, second = breaker.acquire(), breaker.acquire()
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    first.success()
    third = breaker.acquire()
    second.success()
    with pytest.raises(CircuitOpenError):  # a fourth is not needed
        breaker.acquire()
    assert breaker.state is HALF_OPEN
    third.success()
    assert breaker.state is CLOSED


# ---- row 5: clocks; row 6: rates


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_row_5_a_jump_of_the_wall_clock_has_no_effect(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    wall = time.time()
    breaker = CircuitBreaker(1, 60.0, failure_rate=0.5, window_seconds=60.0)
    breaker.acquire().failure()
    monkeypatch.setattr(time, "time", lambda: wall + jump)
    monkeypatch.setattr(time, "time_ns", lambda: int((wall + jump) * 1e9))
    with pytest.raises(CircuitOpenError) as caught:
        breaker.acquire()
    assert 0.0 < caught.value.retry_in <= 60.0


@pytest.mark.parametrize("start", [-1e9, -5000.0, 0.0, 1e12])
@pytest.mark.parametrize("window_seconds", [0.001, 1.0, 86_400.0])
def test_a_time_window_forgets_wherever_its_clock_starts(start: float, window_seconds: float) -> None:
    clock = Clock(start)
    breaker = CircuitBreaker(failure_rate=0.5, window_seconds=window_seconds, minimum_calls=3, clock=clock)
    breaker.acquire().failure()
    breaker.acquire().failure()
    clock.now += 2.0 * window_seconds
    assert breaker.snapshot().calls == 0
    breaker.acquire().failure()
    assert breaker.state is CLOSED


def test_a_time_window_forgets_a_call_between_59_and_60_sixtieths_of_it() -> None:
    clock = Clock(1000.9)  # late in its bucket of one second
    breaker = CircuitBreaker(failure_rate=1.0, window_seconds=60.0, clock=clock)
    breaker.acquire().failure()
    clock.now = 1059.9
    assert breaker.snapshot().calls == 1
    clock.now = 1060.0
    assert breaker.snapshot().calls == 0


@pytest.mark.parametrize("where", [{"window": 10}, {"window_seconds": 60.0}, {"window": 5, "minimum_calls": 100}])
def test_row_6_80_percent_failures_in_the_pattern_ffffs_trip_a_rate(where: dict[str, Any]) -> None:
    breaker = CircuitBreaker(failure_rate=0.8, clock=Clock(), **where)
    marks = iter("FFFFS" * 2)
    while breaker.state is CLOSED:
        permit = breaker.acquire()
        permit.failure() if next(marks) == "F" else permit.success()
    assert breaker.snapshot().reason == "failure rate"
    assert len(list(marks)) == (5 if where.get("window") == 5 else 0)  # a success was the last straw: 4 of 5, 8 of 10


def test_a_row_of_5_failures_never_comes_in_the_pattern_ffffs() -> None:
    breaker = CircuitBreaker()
    for mark in "FFFFS" * 20:
        permit = breaker.acquire()
        permit.failure() if mark == "F" else permit.success()
    assert breaker.state is CLOSED
    assert breaker.config.failure_threshold == 5


@pytest.mark.parametrize(
    ("marks", "reason"),
    [("FFF", "consecutive failures"), ("FSFSFS", "failure rate"), ("LLSLSL", "slow-call rate"), ("SLSSFLSS", "")],
)
def test_any_of_the_rules_together_opens(marks: str, reason: str) -> None:
    clock = Clock()
    breaker = CircuitBreaker(
        3, failure_rate=0.5, slow_call_rate=0.6, slow_call_duration=2.0, window=6, minimum_calls=6, clock=clock
    )
    for mark in marks:
        permit = breaker.acquire()
        clock.now += 2.0 if mark == "L" else 1.9
        permit.failure() if mark == "F" else permit.success()
    assert breaker.snapshot().reason == reason
    assert breaker.state is (OPEN if reason else CLOSED)


def test_slow_and_failed_calls_leave_a_count_window() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failure_rate=0.9, slow_call_rate=0.9, slow_call_duration=2.0, window=4, clock=clock)
    shares = []
    for mark in "LFSSSSLSSSS":
        permit = breaker.acquire()
        clock.now += 2.0 if mark == "L" else 1.0
        permit.failure() if mark == "F" else permit.success()
        seen = breaker.snapshot()
        shares.append((seen.calls, 4 * seen.failure_rate, 4 * seen.slow_call_rate))
    assert shares[3:] == [(4, 1, 1), (4, 1, 0), (4, 0, 0), (4, 0, 1), (4, 0, 1), (4, 0, 1), (4, 0, 1), (4, 0, 0)]


def test_a_slow_probe_opens_again_where_slow_calls_count() -> None:
    clock = Clock()
    breaker = CircuitBreaker(1, 10.0, slow_call_rate=0.5, slow_call_duration=2.0, clock=clock)
    breaker.acquire().failure()
    clock.now += 10.0
    probe = breaker.acquire()
    clock.now += 2.0
    probe.success()
    assert (breaker.state, breaker.snapshot().reason) == (OPEN, "a probe was slow")


# ---- recovery: growth, cap, jitter, Retry-After


def waits_of(count: int, retry_after: float = 0.0, **parameters: Any) -> list[float]:
    clock = Clock(0.0)
    breaker = CircuitBreaker(1, **parameters, clock=clock)
    waits = []
    for _ in range(count):
        breaker.acquire().failure(retry_after)
        waits.append(breaker.snapshot().retry_in)
        clock.now += waits[-1]
        clock.now = max(clock.now, breaker.probe_at)
    return waits


def test_the_wait_grows_up_to_its_cap_and_begins_anew_after_closing() -> None:
    assert waits_of(5, recovery_timeout=4.0, recovery_growth=2.0, recovery_cap=20.0) == [4.0, 8.0, 16.0, 20.0, 20.0]
    assert waits_of(5, recovery_timeout=4.0, recovery_growth=4.0) == [4.0, 16.0, 40.0, 40.0, 40.0]  # ten times
    assert waits_of(3, recovery_timeout=4.0) == [4.0, 4.0, 4.0]
    breaker, clock = opened(recovery_growth=2.0)
    clock.now += 10.0
    breaker.acquire().failure()
    assert breaker.snapshot().retry_in == 20.0
    clock.now += 20.0
    breaker.acquire().success()
    breaker.acquire().failure()
    assert breaker.snapshot().retry_in == 10.0


def test_retry_after_may_lengthen_the_wait_up_to_the_cap_but_not_shorten_it() -> None:
    assert waits_of(1, 25.0, recovery_timeout=10.0) == [25.0]
    assert waits_of(1, 1e9, recovery_timeout=10.0) == [100.0]
    assert waits_of(1, 3.0, recovery_timeout=10.0) == [10.0]
    assert waits_of(3, 15.0, recovery_timeout=10.0, recovery_growth=2.0) == [15.0, 20.0, 40.0]


@pytest.mark.parametrize("retry_after", [math.nan, -5.0, -math.inf])
def test_a_retry_after_that_is_no_wait_is_none(retry_after: float) -> None:
    assert waits_of(1, retry_after, recovery_timeout=10.0) == [10.0]


def test_an_endless_retry_after_is_the_cap() -> None:
    assert waits_of(1, math.inf, recovery_timeout=10.0) == [100.0]


@given(st.floats(0.0, 1.0, exclude_max=True), st.floats(0.0, 1.0))
def test_jitter_adds_up_to_its_share(u: float, jitter: float) -> None:
    breaker, _ = opened(recovery_jitter=jitter, random=lambda: u)
    assert breaker.snapshot().retry_in == pytest.approx(10.0 * (1.0 + jitter * u))
    assert 10.0 <= breaker.snapshot().retry_in <= 20.0


def test_by_default_jitter_is_drawn_anew_for_each_breaker() -> None:
    waits = {opened(recovery_jitter=1.0)[0].snapshot().retry_in for _ in range(20)}
    assert len(waits) == 20


# ---- row 12: parameters

NOT_A_NUMBER = [math.nan, math.inf, -math.inf, True, "1", [1.0], 10**400]
NOT_POSITIVE = [*NOT_A_NUMBER, 0, 0.0, -1, -0.5]
NOT_A_COUNT = [0, -1, 1.0, 2.5, math.nan, math.inf, True, "3", [1]]
OUT_OF_RANGE: dict[str, list[Any]] = {
    "failure_threshold": NOT_A_COUNT,
    "recovery_timeout": [*NOT_POSITIVE, None],
    "half_open_max_calls": [*NOT_A_COUNT, None],
    "failure_rate": [*NOT_POSITIVE, 1.001, 50],
    "slow_call_rate": [*NOT_POSITIVE, 1.001, 50],
    "slow_call_duration": [*NOT_POSITIVE, None],
    "window": [*NOT_A_COUNT, 1025, None],
    "window_seconds": [*NOT_POSITIVE, 0.0009],
    "minimum_calls": [*NOT_A_COUNT, None],
    "recovery_growth": [*NOT_A_NUMBER, 0, -1, 0.999, None],
    "recovery_cap": [*NOT_POSITIVE, 29.9],
    "recovery_jitter": [*NOT_A_NUMBER, -0.1, 1.1, None],
    "success_threshold": NOT_A_COUNT,
    "half_open_timeout": NOT_POSITIVE,
    "guards": ["none", "Retries", "", 1, True, None],
}


def test_row_12_knows_every_parameter() -> None:
    assert list(OUT_OF_RANGE) == list(Breaker.__dataclass_fields__)


@pytest.mark.parametrize("kind", [Breaker, CircuitBreaker])
@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in OUT_OF_RANGE.items() for value in values]
)
def test_row_12_a_parameter_out_of_range_is_refused_by_name(kind: Any, parameter: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^Breaker\.{parameter} must be .+, not "):
        kind(**{parameter: value})


def test_the_edges_of_the_ranges_are_inside() -> None:
    tiny = 1e-300
    CircuitBreaker(
        1, tiny, 1, failure_rate=1.0, slow_call_rate=1, slow_call_duration=tiny, window=1024, minimum_calls=1
    )
    CircuitBreaker(window_seconds=0.001, recovery_growth=1, recovery_jitter=0, recovery_cap=30, half_open_timeout=tiny)
    CircuitBreaker(recovery_jitter=1.0, success_threshold=1, half_open_max_calls=10**9)


@pytest.mark.parametrize("growth", [1.0 + 2**-52, 2.0, 1e300])
@pytest.mark.parametrize("timeout", [5e-324, 1e-9, 30.0, 1e307])
def test_row_12_no_growth_overflows_after_5000_openings(growth: float, timeout: float) -> None:
    breaker = CircuitBreaker(1, timeout, recovery_growth=growth, recovery_cap=1.7e308, clock=lambda: 0.0)
    for _ in range(5000):
        breaker.acquire().failure()
        assert timeout <= breaker.snapshot().retry_in <= 1.7e308
        breaker.probe_at = 0.0  # the probe is due


def test_a_rule_that_is_not_named_is_off() -> None:
    assert Breaker(failure_rate=0.5).failure_threshold is None
    assert Breaker(slow_call_rate=0.5).failure_threshold is None
    breaker = CircuitBreaker(failure_rate=1.0, window=10)
    for _ in range(9):
        breaker.acquire().failure()
    assert breaker.state is CLOSED


# ---- by hand


def test_metrics_only_refuses_nothing_and_decides_as_a_twin_fed_with_the_same_calls() -> None:
    draw = random.Random(7)
    for parameters in ({"failure_threshold": 2}, {"failure_rate": 0.5, "window": 6}, {"half_open_max_calls": 2}):
        clock = Clock()
        watched = CircuitBreaker(**parameters, recovery_timeout=5.0, half_open_timeout=7.0, clock=clock)
        watched.metrics_only()
        twin = CircuitBreaker(**parameters, recovery_timeout=5.0, half_open_timeout=7.0, clock=clock)
        out: list[tuple[Permit, Permit | None]] = []
        decisions = set()
        for _ in range(5000):
            clock.now += draw.random()
            mine = watched.acquire()  # never raises
            try:
                out.append((mine, twin.acquire()))
            except CircuitOpenError:
                out.append((mine, None))
            while out and draw.random() < 0.55:
                result = draw.choice([SUCCESS, FAILURE, FAILURE, IGNORED])
                for permit in out.pop(draw.randrange(len(out))):
                    if permit is not None:
                        getattr(permit, result)()
            seen, same = watched.snapshot(), twin.snapshot()
            decisions.add(seen.decision)
            assert seen.state is State.METRICS_ONLY
            assert seen == with_changes(same, state=State.METRICS_ONLY)
        assert decisions == {CLOSED, OPEN, HALF_OPEN}


def test_held_open_by_hand_it_refuses_until_told_otherwise() -> None:
    breaker, clock = opened()
    breaker.force_open()
    clock.now += 1e9
    with pytest.raises(CircuitOpenError, match="circuit 'llm' is forced_open: it is held open by hand") as caught:
        breaker.acquire()
    assert caught.value.retry_in == math.inf
    breaker.reset()
    assert breaker.state is CLOSED
    breaker.acquire().success()


def test_disabled_it_lets_all_through_and_counts_nothing() -> None:
    breaker, _ = opened()
    before = breaker.snapshot()
    breaker.disable()
    for _ in range(10):
        breaker.acquire().failure()
    seen = breaker.snapshot()
    assert breaker.state is State.DISABLED
    assert (seen.failed, seen.late, seen.rejected) == (before.failed, before.late, before.rejected)


@pytest.mark.parametrize("hand", ["force_open", "disable", "metrics_only", "reset"])
def test_a_call_in_flight_when_a_hand_is_laid_on_no_longer_counts(hand: str) -> None:
    breaker = CircuitBreaker(1)
    permit = breaker.acquire()
    getattr(breaker, hand)()
    permit.failure()
    breaker.reset()
    assert (breaker.state, breaker.snapshot().failed, breaker.snapshot().late) == (CLOSED, 0, 1)


# ---- where only retries are guarded


def test_first_attempts_pass_and_the_circuit_decides_as_one_that_never_saw_those_it_refuses() -> None:
    draw = random.Random(11)
    for parameters in ({"failure_threshold": 2}, {"failure_rate": 0.5, "window": 6}, {"half_open_max_calls": 2}):
        clock = Clock()
        breaker = CircuitBreaker(
            **parameters, recovery_timeout=5.0, half_open_timeout=7.0, clock=clock, guards="retries"
        )
        twin = CircuitBreaker(**parameters, recovery_timeout=5.0, half_open_timeout=7.0, clock=clock)
        out: list[tuple[Permit, Permit | None]] = []
        decisions, passed, refused = set(), 0, 0
        for _ in range(5000):
            clock.now += draw.random()
            retry = draw.random() < 0.3
            try:
                same = twin.acquire()
            except CircuitOpenError:
                if retry:
                    refused += 1
                    with pytest.raises(CircuitOpenError):
                        breaker.acquire(retry=True)
                else:
                    passed += 1
                    out.append((breaker.acquire(), None))
            else:
                out.append((breaker.acquire(retry=retry), same))
            while out and draw.random() < 0.55:
                result = draw.choice([SUCCESS, FAILURE, FAILURE, IGNORED])
                for permit in out.pop(draw.randrange(len(out))):
                    if permit is not None:
                        getattr(permit, result)()
            decisions.add(breaker.state)
            assert breaker.snapshot() == with_changes(twin.snapshot(), rejected=refused)
        assert decisions == {CLOSED, OPEN, HALF_OPEN}
        assert passed > 100 and refused > 100


def test_a_first_attempt_takes_a_free_probe_and_passes_uncounted_where_none_is_free() -> None:
    breaker, clock = opened(guards="retries")
    breaker.acquire().failure()
    breaker.acquire().success()
    assert (breaker.state, breaker.snapshot().failed, breaker.snapshot().rejected) == (OPEN, 1, 0)
    clock.now += 1e9
    probe, uncounted = breaker.acquire(), breaker.acquire()
    assert breaker.snapshot().probes == 1
    uncounted.failure()
    assert breaker.state is HALF_OPEN
    with pytest.raises(CircuitOpenError, match="its probes are still out"):
        breaker.acquire(retry=True)
    probe.success()
    assert breaker.state is CLOSED


def test_all_other_ways_in_take_a_call_for_a_first_attempt() -> None:
    breaker, _ = opened(guards="retries")
    assert breaker.call(lambda: "fine") == breaker(lambda: "fine")() == "fine"
    with breaker:
        pass
    assert breaker.can_execute()
    breaker.record_failure()
    assert (breaker.state, breaker.snapshot().failed, breaker.snapshot().late) == (OPEN, 1, 0)


def test_held_open_by_hand_it_refuses_first_attempts_too() -> None:
    breaker = CircuitBreaker(guards="retries")
    breaker.force_open()
    with pytest.raises(CircuitOpenError):
        breaker.acquire()
    assert not breaker.can_execute()
    assert breaker.snapshot().rejected == 2


def test_metrics_only_refuses_no_retry_but_reports_it() -> None:
    breaker = CircuitBreaker(1, guards="retries")
    breaker.metrics_only()
    breaker.acquire().failure()
    breaker.acquire()
    breaker.acquire(retry=True)
    assert breaker.snapshot().rejected == 1


# ---- the closed forms


@pytest.mark.parametrize(("p", "k"), [(0.5, 5), (0.3, 2), (0.8, 4), (0.1, 1)])
def test_b1_the_mean_number_of_calls_to_a_trip(reproduces: Callable[..., None], p: float, k: int) -> None:
    """B1: trip after k failures in a row, failure probability p: (1 - p**k) / (p**k * (1 - p)) calls on average."""

    def mean_calls(seed: int) -> float:
        draw = random.Random(seed).random
        b = SimpleNamespace(**Breaker(failure_threshold=k).rules(), ring=[0] * 180)
        calls, trips = 0, 3000
        for _ in range(trips):
            rules.reset(b)
            while b.state_code == rules.CLOSED:
                calls += 1
                permit = rules.admit(b, 0.0)
                if draw() < p:
                    rules.fail(b, permit, 0.0, 0.0, 0.0, 0.0)
                else:
                    rules.succeed(b, permit, 0.0, 0.0, 0.0)
        return calls / trips

    reproduces(f"B1 {p} {k}", (1 - p**k) / (p**k * (1 - p)), mean_calls)


@pytest.mark.parametrize(("n", "rate", "p"), [(10, 0.5, 0.2), (20, 0.3, 0.2), (7, 1.0, 0.6), (10, 0.45, 0.4)])
def test_b2_the_chance_that_a_full_window_trips(yardstick: Callable[..., None], n: int, rate: float, p: float) -> None:
    """B2: a full count window of n reaches a rate: the binomial tail; 10, 50 %, 0.2 gives 0.03279."""
    tail = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(math.ceil(rate * n), n + 1))
    if (n, rate, p) == (10, 0.5, 0.2):
        assert round(tail, 5) == 0.03279
    parameters, windows = Breaker(failure_rate=rate, window=n, minimum_calls=n).rules(), 5000

    def share(seed: bytes) -> list[float]:
        draw = random.Random(seed).random
        b = SimpleNamespace(**parameters, ring=[0] * n)
        tripped = 0
        for _ in range(windows):
            rules.reset(b)
            for _ in range(n):
                permit = rules.admit(b, 0.0)
                if draw() < p:
                    rules.fail(b, permit, 0.0, 0.0, 0.0, 0.0)
                else:
                    rules.succeed(b, permit, 0.0, 0.0, 0.0)
            tripped += b.state_code == rules.OPEN
        return [tripped / windows]

    yardstick(f"B2 {n} {rate} {p}", {"P(trip)": tail}, share)


@settings(max_examples=200)
@given(
    st.integers(1, 4), st.integers(1, 3), st.sampled_from([1.0, 2.0]), st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(0.01, 8.0), st.floats(0.01, 60.0), st.floats(0.0, 0.99)), min_size=50, max_size=200),
)  # fmt: skip
def test_b3_in_a_total_outage_one_recovery_timeout_sees_the_probes_of_one(
    probes: int, threshold: int, growth: float, jitter: float, calls: list[tuple[float, float, float]]
) -> None:
    """B3: after the trip never more than `half_open_max_calls` attempts per recovery timeout, however long calls take.

    Here no call outlasts `half_open_timeout`, which is longer than the recovery timeout.
    """
    clock, recovery = Clock(), 10.0
    draw = itertools.cycle([u for _, _, u in calls])
    breaker = CircuitBreaker(
        threshold, recovery, probes, success_threshold=1, recovery_growth=growth, recovery_jitter=jitter,
        half_open_timeout=60.1, clock=clock, random=lambda: next(draw),
    )  # fmt: skip
    while breaker.state is CLOSED:
        breaker.acquire().failure()
    tripped, reached, out = clock.now, [], []
    for gap, length, _ in calls:
        clock.now += gap
        for ends, permit in sorted(out, key=lambda pair: pair[0]):
            if ends <= clock.now:
                permit.failure()
        out = [pair for pair in out if pair[0] > clock.now]
        try:
            out.append((clock.now + length, breaker.acquire()))
            reached.append(clock.now)
        except CircuitOpenError:
            pass
    assert all(first >= tripped + recovery for first in reached)
    for i, first in enumerate(reached):
        assert sum(first <= later < first + recovery for later in reached[i:]) <= probes


def test_b4_guarding_retries_at_a_tenth_of_failures_is_as_good_as_no_retries() -> None:
    """B4: Brooker's breaker, 100 clients of 100 calls, p 0.2, up to 4 attempts: load 1.001, success 0.804.

    His figures are those of one run of 10,000 calls, whose own deviations are 0.001 and 0.004; in the long run his
    program gives 1.003 and 0.802. Three retries without a breaker would give 1.248 and 0.998.
    """
    config = Breaker(failure_rate=0.1, minimum_calls=1, window=1024, recovery_timeout=1e6, guards="retries")
    brisk = Backoff(base=0.001, factor=1.0, cap=0.001, jitter="none")
    policy = Policy(retry=Retry(attempts=4, total_time=None, final_reserve=0.0, backoff=brisk), breaker=config)
    draw, runs, made, good = random.Random(4).random, 5, 0, 0

    def ask(timeout: float) -> None:
        nonlocal made
        made += 1
        if draw() < 0.2:
            raise ConnectionError

    for _ in range(100 * runs):
        guard = policy.guard(timeout_keyword="timeout", clock=Clock(), sleep=lambda seconds: None)
        for _ in range(100):
            try:
                guard.call(ask)
            except ConnectionError:
                continue
            good += 1
    assert made / (10_000 * runs) == pytest.approx(1.001, abs=0.002)
    assert good / (10_000 * runs) == pytest.approx(0.804, abs=0.008)
