"""Adaptive throttling: what it refuses, what it counts, and how a guard passes it."""

import asyncio
import contextlib
import copy
import math
import pickle
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import (
    AdaptiveThrottle,
    Answer,
    Backoff,
    Breaker,
    Fallback,
    Guard,
    LocallyThrottledError,
    Policy,
    Retry,
    Throttle,
)
from breakerlab.policy import throttle as rules
from breakerlab.trace import Recorder, read_trace

RETRY = Retry(attempts=4, total_time=None, backoff=Backoff(base=1.0, factor=1.0, cap=1.0, jitter="none"))
Call = Callable[..., Answer]


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Draws:
    """The draw that is set: 0.0 is refused as soon as anything is, 1.0 never."""

    def __init__(self, u: float = 1.0) -> None:
        self.u = u

    def __call__(self) -> float:
        return self.u


def made(**fields: float) -> tuple[AdaptiveThrottle, Clock, Draws]:
    clock, draws = Clock(), Draws()
    return AdaptiveThrottle(Throttle(**fields), name="llm", clock=clock, random=draws), clock, draws


def feed(throttle: AdaptiveThrottle, requests: int, accepts: int = 0) -> None:
    """Requests that pass, if the draw is 1.0, and accepts."""
    for _ in range(requests):
        throttle.request()
    for _ in range(accepts):
        throttle.accept()


# ---- by hand


def test_nothing_is_refused_while_the_service_accepts_half() -> None:
    throttle, _, draws = made()
    draws.u = 0.0
    for _ in range(50):
        feed(throttle, 1, 1)
    for _ in range(50):
        feed(throttle, 1)
    assert throttle.probability == 0.0
    feed(throttle, 1)
    assert throttle.probability == 1.0 / 102.0
    with pytest.raises(LocallyThrottledError):
        throttle.request()


def test_the_chance_is_that_of_the_book() -> None:
    throttle, _, draws = made(ratio=1.5)
    feed(throttle, 10, 4)
    assert throttle.probability == (10 - 1.5 * 4) / 11
    draws.u = 4 / 11
    feed(throttle, 1)  # a draw that is no smaller passes
    assert throttle.probability == 5 / 12
    draws.u = math.nextafter(5 / 12, 0.0)
    with pytest.raises(LocallyThrottledError) as caught:
        throttle.request()
    assert (throttle.requests, throttle.accepts) == (12, 4)  # what is refused counts
    assert (caught.value.name, caught.value.probability) == ("llm", 6 / 13)
    assert str(caught.value) == "throttle 'llm' refuses 0.462 of the requests: the service accepts too few"
    assert str(LocallyThrottledError()).startswith("throttle '' refuses 0 ")


def test_the_window_forgets_in_60_buckets() -> None:
    throttle, clock, _ = made()
    clock.now = 1200.0
    feed(throttle, 3, 1)
    clock.now += 117.9
    feed(throttle, 1)
    assert (throttle.probability, throttle.requests, throttle.accepts) == (2 / 5, 4, 1)
    clock.now += 2.1
    assert (throttle.probability, throttle.requests, throttle.accepts) == (1 / 2, 1, 0)
    clock.now += 1e12
    assert (throttle.probability, throttle.requests) == (0.0, 0)


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    throttle, clock, _ = made()
    feed(throttle, 3)
    clock.now -= 1e6
    feed(throttle, 1, 1)
    assert (throttle.requests, throttle.accepts) == (4, 1)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda throttle: pickle.loads(pickle.dumps(throttle))])
def test_a_copy_has_the_same_rules_and_has_seen_nothing(again: Callable[[AdaptiveThrottle], AdaptiveThrottle]) -> None:
    clock, draws = Clock(), Draws()
    for live in ({"clock": clock, "random": draws}, {}):
        throttle = AdaptiveThrottle(Throttle(3.0, 60.0), name="llm", **live)
        throttle.request()
        new = again(throttle)
        assert (new.config, new.requests, throttle.requests) == (Throttle(3.0, 60.0), 0, 1)
        assert repr(new) == "<AdaptiveThrottle 'llm' refuses 0>"
        assert ("_random" in repr(throttle.__reduce__())) == ("_random" in repr(new.__reduce__()))


def test_the_error_travels() -> None:
    error = pickle.loads(pickle.dumps(LocallyThrottledError("llm", 0.25)))
    assert (error.name, error.probability) == ("llm", 0.25)


# ---- in any order

STEPS = st.lists(
    st.tuples(st.sampled_from(["refuses", "refuses", "accept"]), st.floats(0.0, 1.0, exclude_max=True))
    | st.floats(0.0, 7.0)
    | st.just(1e9),
    max_size=200,
)


@given(st.sampled_from([1.0, 1.5, 2.0]), st.sampled_from([6.0, 120.0]), st.sampled_from([-500.0, 0.0, 9.5]), STEPS)
def test_the_rules_equal_a_model_that_keeps_every_request(
    ratio: float, window: float, start: float, steps: list
) -> None:
    """And need nothing but numbers, as in the simulator, where the state is a record."""
    t = SimpleNamespace(**Throttle(ratio, window).rules(), ring=[0] * (2 * rules.BUCKETS))
    rules.empty(t)
    now, seen = start, list[tuple[int, str]]()
    for step in steps:
        if isinstance(step, float):
            now += step
            continue
        word, u = step
        bucket = math.floor(now / (window / 60))
        seen = [(when, what) for when, what in seen if when > bucket - 60]
        requests = sum(what == "refuses" for _, what in seen)
        accepts = len(seen) - requests
        if word == "refuses":
            assert rules.refuses(t, now, u) == (u < max(0.0, (requests - ratio * accepts) / (requests + 1)))
        else:
            rules.note_accept(t, now)
        seen.append((bucket, word))
    assert {type(number) for number in [*vars(t).values(), *t.ring]} <= {int, float, list}
    assert (sum(t.ring[::2]), sum(t.ring[1::2])) == (t.requests, t.accepts)


# ---- threads


def test_no_request_is_lost_by_threads() -> None:
    throttle = AdaptiveThrottle(Throttle(), clock=Clock())
    start = threading.Barrier(16)

    def work(number: int) -> tuple[int, int]:
        draw = random.Random(number)
        start.wait(30)
        accepted = 0
        for _ in range(3000):
            try:
                throttle.request()
            except LocallyThrottledError:
                continue
            if draw.random() < 0.4:
                throttle.accept()
                accepted += 1
        return 3000, accepted

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            counts = list(pool.map(work, range(16), timeout=60))
    finally:
        sys.setswitchinterval(before)
    assert (throttle.requests, throttle.accepts) == tuple(sum(column) for column in zip(*counts, strict=True))
    assert sum(throttle.ring) == throttle.requests + throttle.accepts


# ---- what it does to the load


class Backend:
    """Accepts so many requests in each second, and turns the rest away."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.second, self.taken = capacity, -1, 0

    def accepts(self, now: float) -> bool:
        if int(now) != self.second:
            self.second, self.taken = int(now), 0
        self.taken += 1
        return self.taken <= self.capacity


def load(seed: int, ratio: float, offered: float) -> float:
    """Requests sent, as a multiple of the capacity, in the steady state."""
    capacity, draw = 20, random.Random(seed).random
    backend, t = Backend(capacity), SimpleNamespace(**Throttle(ratio).rules(), ring=[0] * (2 * rules.BUCKETS))
    rules.empty(t)
    sent, steady, end = 0, 240.0, 720.0
    for number in range(round(offered * capacity * end)):
        now = number / (offered * capacity)
        if not rules.refuses(t, now, draw()):
            sent += now >= steady
            if backend.accepts(now):
                rules.note_accept(t, now)
    return sent / (capacity * (end - steady))


@pytest.mark.parametrize(("ratio", "offered", "expected"), [(2.0, 3.0, 1.999), (1.5, 4.0, 1.5), (2.0, 1.5, 1.5)])
def test_b6_the_service_gets_ratio_times_what_it_accepts(
    reproduces: Callable[..., None], ratio: float, offered: float, expected: float
) -> None:
    """B6: ratio 2, three times the capacity offered: sent / capacity 1.999; below the ratio nothing is refused."""
    if offered < ratio:
        assert load(0, ratio, offered) == expected
    else:
        reproduces(f"B6 {ratio} {offered}", expected, lambda seed: load(seed, ratio, offered))


def test_in_a_total_outage_a_few_pass_and_find_out_when_it_is_over() -> None:
    clock, draw = Clock(0.0), random.Random(3).random
    throttle = AdaptiveThrottle(Throttle(window=60.0), clock=clock, random=draw)
    passed = {"outage": 0, "over": 0, "well": 0}
    for number in range(60 * 1000):
        clock.now = number / 10
        phase = "outage" if clock.now < 2000 else "over" if clock.now < 3000 else "well"
        try:
            throttle.request()
        except LocallyThrottledError:
            continue
        passed[phase] += 1
        if phase != "outage":
            throttle.accept()
    assert 10 < passed["outage"] < 100  # of 20,000
    assert passed["over"] > 5000  # of 10,000
    assert passed["well"] == 30_000


# ---- under a guard


def call_plain(guard: Guard, function: Callable[..., Any]) -> Answer:
    return guard.answer(function)


def call_coroutine(guard: Guard, function: Callable[..., Any]) -> Answer:
    async def coroutine() -> Any:
        return function()

    return asyncio.run(guard.answer_async(coroutine))


@pytest.fixture(params=[call_plain, call_coroutine], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    way: Call = request.param
    return way


class Response:
    def __init__(self, status_code: int) -> None:
        self.status_code, self.headers = status_code, dict[str, str]()


class Script:
    """A function that does one thing after the other: raises an exception, returns anything else."""

    def __init__(self, *steps: Any) -> None:
        self.steps, self.calls = steps, 0

    def __call__(self) -> Any:
        step = self.steps[min(self.calls, len(self.steps) - 1)]
        self.calls += 1
        if isinstance(step, BaseException):
            raise step
        return step


def guarded(policy: Policy, **live: Any) -> tuple[Guard, Draws]:
    clock, draws = Clock(), Draws()
    return policy.guard("llm", **{"clock": clock, "sleep": clock.sleep, "random": draws, **live}), draws


def test_every_attempt_asks_the_throttle_first_and_a_refusal_ends_the_retries(call: Call) -> None:
    guard, draws = guarded(Policy(retry=RETRY, breaker=Breaker(failure_threshold=9), throttle=Throttle()))
    function = Script(ConnectionError())
    with pytest.raises(ConnectionError):
        call(guard, function)
    assert guard.throttle is not None and guard.breaker is not None
    assert (guard.throttle.requests, guard.throttle.accepts, function.calls) == (4, 0, 4)
    draws.u = 0.0
    with pytest.raises(LocallyThrottledError) as caught:
        call(guard, function)
    assert (caught.value.name, function.calls, guard.throttle.requests) == ("llm", 4, 5)
    seen = guard.breaker.snapshot()
    assert (seen.failed, seen.rejected) == (4, 0)


def test_a_retry_too_may_be_refused(call: Call, tmp_path: Path) -> None:
    function, path = Script(ConnectionError()), tmp_path / "calls.jsonl"
    with Recorder(path, clock=Clock()) as recorder:
        guard, draws = guarded(Policy(retry=RETRY, throttle=Throttle()), recorder=recorder)
        draws.u = 0.0
        with pytest.raises(LocallyThrottledError):
            call(guard, function)
    assert function.calls == 1
    attempts = read_trace(path).attempts
    assert attempts["outcome"].tolist() == ["connection", "rejected"]
    assert attempts["attempt"].tolist() == [1, 2]


def test_a_refusal_is_not_waited_out_like_that_of_a_circuit(call: Call) -> None:
    waiting = Retry(attempts=9, total_time=None, wait_for_probe=True)
    guard, draws = guarded(Policy(retry=waiting, breaker=Breaker(), throttle=Throttle()))
    assert guard.throttle is not None
    feed(guard.throttle, 9)
    draws.u = 0.0
    with pytest.raises(LocallyThrottledError):
        call(guard, Script("fine"))
    assert guard.throttle.requests == 10


def test_the_fallback_answers_for_a_refusal(call: Call) -> None:
    guard, draws = guarded(Policy(throttle=Throttle(), fallback=Fallback("resting")))
    assert guard.throttle is not None
    feed(guard.throttle, 9)
    draws.u = 0.0
    answer = call(guard, Script("fine"))
    assert (answer.served_by, answer.attempts, type(answer.error)) == ("fallback", 0, LocallyThrottledError)


def test_an_outer_guard_does_not_retry_what_an_inner_throttle_refused(call: Call) -> None:
    throttle, _, draws = made()
    feed(throttle, 9)
    draws.u = 0.0
    guard, _ = guarded(Policy(retry=RETRY, breaker=Breaker(failure_threshold=1)))
    with pytest.raises(LocallyThrottledError):
        call(guard, throttle.request)
    assert guard.breaker is not None
    assert (throttle.requests, guard.breaker.snapshot().ignored) == (10, 1)


@pytest.mark.parametrize(
    ("step", "accepts"),
    [("fine", 1), (Response(200), 1), (Response(404), 1), (Response(429), 0), (Response(503), 0), (TimeoutError(), 0)],
)
def test_what_is_no_failure_was_accepted(call: Call, step: Any, accepts: int) -> None:
    guard, _ = guarded(Policy(throttle=Throttle()))
    with contextlib.suppress(TimeoutError):
        call(guard, Script(step))
    assert guard.throttle is not None
    assert (guard.throttle.requests, guard.throttle.accepts) == (1, accepts)


def test_guards_and_copies_of_guards_share_a_throttle() -> None:
    throttle, _, _ = made()
    one, _ = guarded(Policy(), throttle=throttle)
    two, _ = guarded(Policy(throttle=Throttle(ratio=9.0)), throttle=throttle)
    for guard in (one, two, copy.copy(one), two.write("key"), one.label(client="a")):
        assert guard.throttle is throttle
    assert guarded(Policy())[0].throttle is None
    one.call(lambda: "fine")
    two.call(lambda: "fine")
    assert (throttle.requests, throttle.accepts) == (2, 2)
