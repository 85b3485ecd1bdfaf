"""The retry budget: what it grants, to whom, and that no token is lost or spent twice."""

import copy
import pickle
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import RetryBudget, TokenBucket
from breakerlab.policy import budget as rules

ROUNDING = 1e-6  # tokens


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def empty(**fields) -> tuple[TokenBucket, Clock]:
    """A bucket whose tokens have all been spent, and its clock."""
    clock = Clock()
    bucket = TokenBucket(RetryBudget(**fields), clock)
    while bucket.withdraw():
        pass
    return bucket, clock


def granted(bucket: TokenBucket, times: int) -> int:
    return sum(bucket.withdraw() for _ in range(times))


# ---- by hand


def test_a_new_bucket_is_full_and_no_fuller() -> None:
    bucket = TokenBucket(RetryBudget(burst=3.0), Clock())
    for _ in range(100):
        bucket.call()
    assert bucket.tokens == 3.0
    assert granted(bucket, 10) == 3


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.05, 0.01, 1.0 / 3.0, 1.0 / 49.0, 1.0])
def test_as_many_deposits_as_make_one_token_buy_one_retry(ratio: float) -> None:
    """Ten times 0.1 is 0.9999999999999999 in floats, and must do; nine times 0.1 must not."""
    bucket, _ = empty(ratio=ratio)
    for _ in range(1000):
        for _ in range(round(1.0 / ratio)):
            assert not bucket.withdraw()
            bucket.call()
        assert bucket.withdraw()
        assert 0.0 <= bucket.tokens < 1e-9


def test_a_call_deposits_or_its_success_does_not_both() -> None:
    per_call, _ = empty(ratio=1.0)
    per_call.success()
    assert granted(per_call, 5) == 0
    per_call.call()
    assert granted(per_call, 5) == 1
    per_success, _ = empty(ratio=1.0, deposit="success")
    per_success.call()
    assert granted(per_success, 5) == 0
    per_success.success()
    assert granted(per_success, 5) == 1


def test_time_alone_earns_the_minimum_rate_up_to_the_burst() -> None:
    bucket, clock = empty(ratio=0.0, minimum_rate=0.5, burst=4.0)
    clock.now += 1.9
    assert not bucket.withdraw()
    clock.now += 0.1
    assert granted(bucket, 5) == 1
    clock.now += 1.0
    assert bucket.tokens == 0.5
    clock.now += 3600.0
    assert granted(bucket, 10) == 4


def test_without_a_minimum_rate_time_earns_nothing() -> None:
    bucket, clock = empty()
    clock.now += 1e9
    assert bucket.tokens == 0.0


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    bucket, clock = empty(minimum_rate=1.0)
    clock.now += 1.0
    assert bucket.tokens == 1.0
    clock.now -= 500.0
    assert bucket.tokens == 1.0
    clock.now += 1.0
    assert bucket.tokens == 2.0


def test_a_budget_without_ratio_or_rate_is_its_burst() -> None:
    bucket = TokenBucket(RetryBudget(ratio=0.0, burst=2.0))
    bucket.call()
    assert granted(bucket, 9) == 2


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda bucket: pickle.loads(pickle.dumps(bucket))],
    ids=["copy", "deep", "pickle"],
)
def test_a_copy_is_a_new_full_bucket_under_the_same_rules(again: Callable[[TokenBucket], TokenBucket]) -> None:
    bucket, _ = empty(ratio=0.5, burst=7.0)
    new = again(bucket)
    assert new.budget == bucket.budget
    assert (new.tokens, bucket.tokens) == (7.0, 0.0)
    assert granted(new, 9) == 7
    assert repr(bucket) == "<TokenBucket 0 of 7>"


def test_a_signal_handler_may_call_while_its_thread_is_inside() -> None:
    """The clock is read inside the lock; here a signal comes at that very moment."""
    inside: list[bool] = []

    def clock() -> float:
        if len(inside) == 1:
            inside.append(True)
            signal.raise_signal(signal.SIGUSR1)
        return 0.0

    bucket = TokenBucket(RetryBudget(burst=2.0), clock)
    before = signal.signal(signal.SIGUSR1, lambda *_: bucket.call())
    try:
        inside.append(True)
        assert bucket.withdraw()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(inside) == 2


# ---- in any order


BUDGETS = st.builds(
    RetryBudget,
    ratio=st.floats(0.0, 1.0),
    deposit=st.sampled_from(["call", "success"]),
    minimum_rate=st.sampled_from([0.0, 0.1, 3.0]),
    burst=st.floats(1.0, 20.0),
)
STEPS = st.lists(st.sampled_from(["call", "success", "withdraw"]) | st.floats(0.0, 50.0), max_size=300)


@given(BUDGETS, STEPS)
def test_never_more_is_spent_than_was_earned(budget: RetryBudget, steps: list) -> None:
    clock = Clock()
    bucket = TokenBucket(budget, clock)
    earned, spent = budget.burst, 0
    for step in steps:
        if isinstance(step, float):
            clock.now += step
            earned += step * budget.minimum_rate
        elif step == "withdraw":
            spent += bucket.withdraw()
        else:
            getattr(bucket, step)()
            earned += budget.ratio * (step == budget.deposit)
        assert 0.0 <= bucket.tokens <= budget.burst
        assert spent <= earned + ROUNDING


@given(BUDGETS, STEPS)
def test_a_retry_is_refused_only_without_a_token(budget: RetryBudget, steps: list) -> None:
    """Against a model in which a token more or less never gets lost: refusals happen below one token, grants above."""
    clock = Clock()
    bucket = TokenBucket(budget, clock)
    level = budget.burst
    for step in steps:
        if isinstance(step, float):
            clock.now += step
            level = min(level + step * budget.minimum_rate, budget.burst)
        elif step == "withdraw":
            if bucket.withdraw():
                assert level >= 1.0 - ROUNDING
                level -= 1.0
            else:
                assert level < 1.0
        else:
            getattr(bucket, step)()
            if step == budget.deposit:
                level = min(level + budget.ratio, budget.burst)
        assert bucket.tokens == pytest.approx(level, abs=ROUNDING)


@given(BUDGETS, STEPS)
def test_the_rules_need_nothing_but_numbers(budget: RetryBudget, steps: list) -> None:
    """As in the simulator, where the state is a record."""
    clock = Clock()
    bucket = TokenBucket(budget, clock)
    names = ("ratio", "minimum_rate", "burst", "per_success")
    record = SimpleNamespace(**{name: getattr(budget, name) for name in names})
    rules.fill(record, clock.now)
    for step in steps:
        if isinstance(step, float):
            clock.now += step
        elif step == "withdraw":
            assert rules.withdraw(record, clock.now) == bucket.withdraw()
        else:
            getattr(bucket, step)()
            getattr(rules, f"note_{step}")(record)
    assert {type(value) for value in vars(record).values()} <= {int, float}


# ---- threads


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can, so that what is not locked breaks."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_no_token_is_lost_or_spent_twice_by_threads() -> None:
    """16 threads deposit halves and withdraw ones as fast as they can; deposits and grants are counted afterwards."""
    bucket, _ = empty(ratio=0.5, burst=50_000.0)  # more than can be deposited
    start = threading.Barrier(16)

    def work(number: int) -> tuple[int, int]:
        draw = random.Random(number)
        start.wait(30)
        deposits = grants = 0
        for _ in range(4000):
            if draw.random() < 0.6:
                bucket.call()
                deposits += 1
            else:
                grants += bucket.withdraw()
        return deposits, grants

    with ThreadPoolExecutor(16) as pool:
        counts = list(pool.map(work, range(16), timeout=60))
    deposits, grants = (sum(column) for column in zip(*counts, strict=True))
    assert grants > 10_000
    assert bucket.tokens == 0.5 * deposits - grants


# ---- the load that retries may add


def load(budget: RetryBudget, p: float, calls: int, seed: int) -> float:
    """Attempts per call, when each attempt fails with probability p and each failure wants a retry."""
    draw = random.Random(seed).random
    bucket = TokenBucket(budget, Clock())
    attempts = 0
    for number in range(-2000, calls):  # the first 2000, which spend the burst, do not count
        bucket.call()
        retry = True
        while retry:
            attempts += number >= 0
            failed = draw() < p
            if not failed:
                bucket.success()
            retry = failed and bucket.withdraw()
    return attempts / calls


@pytest.mark.parametrize(("ratio", "p"), [(0.1, 0.01), (0.1, 0.05), (0.1, 0.3), (0.25, 0.1), (0.25, 0.4)])
def test_r4_a_budget_per_call_bounds_the_load(reproduces: Callable[..., None], ratio: float, p: float) -> None:
    """min(1 / (1 - p), 1 + ratio)."""
    expected = min(1.0 / (1.0 - p), 1.0 + ratio)
    reproduces(f"R4 {ratio} {p}", expected, lambda seed: load(RetryBudget(ratio), p, 5000, seed))


@pytest.mark.parametrize(("ratio", "p"), [(0.1, 0.9), (0.1, 0.5), (0.1, 0.99), (0.3, 0.8)])
def test_r5_a_budget_per_success_bounds_it_more_the_more_fails(
    reproduces: Callable[..., None], ratio: float, p: float
) -> None:
    """1 / (1 - ratio (1 - p)) when saturated: 1.0101 at p 0.9."""
    expected = 1.0 / (1.0 - ratio * (1.0 - p))
    reproduces(f"R5 {ratio} {p}", expected, lambda seed: load(RetryBudget(ratio, "success"), p, 5000, seed))


@pytest.mark.parametrize(("ratio", "p"), [(0.1, 0.9), (0.1, 1.0), (0.25, 0.8)])
def test_r4_to_the_last_retry_where_there_is_always_one_to_make(ratio: float, p: float) -> None:
    assert {round(load(RetryBudget(ratio), p, 5000, seed), 9) for seed in range(20)} == {1.0 + ratio}
