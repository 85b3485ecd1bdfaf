"""When a call is retried: attempts, total time, the reserve for the final attempt, and what the server asks for."""

import dataclasses
import itertools
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.policy.backoff import JITTERS

ROUNDING = 1e-9  # of the numbers compared

FIXED = Backoff(base=2.0, factor=1.0, cap=2.0, jitter="none")


@dataclass(frozen=True)
class Try:
    start: float
    allowed: float
    end: float


def failing_call(
    retry: Retry,
    timeout: float,
    needs: list[float],
    draws: list[float],
    started: float,
    asks: list[float] | None = None,
) -> list[Try]:
    """The attempts of one call that always fails: the i-th takes `needs[i]` seconds if it is allowed to.

    The failing server asks to wait `asks[i]` seconds.
    """
    tries: list[Try] = []
    start: float | None = started
    delay = 0.0
    while start is not None:
        made = len(tries)
        allowed = retry.time_allowed(timeout, made, started, start)
        end = start + min(needs[made % len(needs)], allowed)
        tries.append(Try(start, allowed, end))
        delay = retry.backoff.delay(len(tries), delay, draws[made % len(draws)])
        asked = asks[made % len(asks)] if asks else 0.0
        start = retry.next_start(len(tries), started, end, delay, asked)
    return tries


CALLS = {
    "retry": st.builds(
        Retry,
        attempts=st.integers(1, 12),
        total_time=st.floats(0.1, 100.0),
        final_reserve=st.floats(0.0, 0.95),
        backoff=st.builds(
            lambda base, jitter: Backoff(base, 2.0, 8 * base, jitter),
            st.floats(0.01, 20.0), st.sampled_from(list(JITTERS)),
        ),
        retry_after_limit=st.none() | st.floats(0.0, 30.0),
    ),
    "timeout": st.floats(0.1, 100.0),
    "needs": st.lists(st.floats(0.0, 60.0), min_size=1, max_size=6),
    "draws": st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=6),
    "started": st.sampled_from([0.0, 17.3, 86_400.0]),
    "asks": st.lists(st.sampled_from([0.0, 0.0, 1.0]) | st.floats(0.0, 40.0), min_size=1, max_size=6),
}  # fmt: skip


@given(**CALLS)
def test_the_total_is_never_overshot(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    tries = failing_call(retry, timeout, needs, draws, started, asks)
    end = started + retry.total_time_limit
    assert len(tries) <= retry.attempts
    assert all(t.start + t.allowed <= end + ROUNDING * end for t in tries)
    assert all(t.allowed <= timeout for t in tries)


@given(**CALLS)
def test_no_attempt_starts_in_the_reserve(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    tries = failing_call(retry, timeout, needs, draws, started, asks)
    latest = started + (1.0 - retry.final_reserve) * retry.total_time_limit
    assert all(t.start <= latest + ROUNDING * latest for t in tries)
    assert all(later.start >= earlier.end for earlier, later in itertools.pairwise(tries))


@given(**CALLS)
def test_the_final_attempt_has_all_that_is_left(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    tries = failing_call(retry, timeout, needs, draws, started, asks)
    last = tries[-1]
    if len(tries) == retry.attempts:
        left = started + retry.total_time_limit - last.start
        assert last.allowed == pytest.approx(min(timeout, left))


@given(**CALLS)
def test_an_attempt_that_is_not_the_final_one_leaves_the_reserve(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    tries = failing_call(retry, timeout, needs, draws, started, asks)
    latest = started + (1.0 - retry.final_reserve) * retry.total_time_limit
    early = [t for t in tries[: retry.attempts - 1] if t.start < latest - 0.01 * retry.total_time_limit]
    assert all(t.start + t.allowed <= latest + ROUNDING * latest for t in early)


@given(**CALLS)
def test_every_attempt_has_some_time(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    tries = failing_call(retry, timeout, needs, draws, started, asks)
    assert all(t.allowed > 0.0 for t in tries)


@given(**CALLS)
def test_an_attempt_that_the_reserve_cut_short_is_not_the_last(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    """What was kept back is used: after an attempt that the reserve cut short, even a little late, comes another."""
    if retry.final_reserve * retry.total_time_limit < 0.1:
        return
    end = started + retry.total_time_limit
    for number, t in enumerate(failing_call(retry, timeout, needs, draws, started, asks), 1):
        was_cut = t.allowed < timeout and t.start + t.allowed < end - ROUNDING * end
        if was_cut and number < retry.attempts:
            a_little_late = t.start + t.allowed + 1e-5
            next_start = retry.next_start(number, started, a_little_late, draws[0], 0.0)
            assert next_start is not None
            assert retry.time_allowed(math.inf, number, started, next_start) > 0.0


def test_a_call_by_hand() -> None:
    retry = Retry(attempts=4, total_time=30.0, final_reserve=0.25, backoff=FIXED)
    assert failing_call(retry, 10.0, [10.0], [0.0], 100.0) == [
        Try(100.0, 10.0, 110.0),
        Try(112.0, 10.0, 122.0),
        Try(122.5, 7.5, 130.0),  # the wait is cut at 75 % of the total, and all that is left is 7.5 s
    ]


def test_the_cap_on_attempts_counts_the_first() -> None:
    retry = Retry(attempts=3, total_time=None, final_reserve=0.0, backoff=FIXED)
    assert [t.start for t in failing_call(retry, 1.0, [0.5], [0.0], 0.0)] == [0.0, 2.5, 5.0]
    assert len(failing_call(Retry(attempts=1), 1.0, [0.5], [0.0], 0.0)) == 1


def test_a_single_attempt_is_the_final_one() -> None:
    assert Retry(attempts=1, total_time=8.0, final_reserve=0.5).time_allowed(10.0, 0, 50.0, 50.0) == 8.0


def test_without_a_total_time_only_attempts_count() -> None:
    retry = Retry(attempts=1000, total_time=None, backoff=FIXED)
    tries = failing_call(retry, 3.0, [9.0], [0.0], 0.0)
    assert len(tries) == 1000
    assert {t.allowed for t in tries} == {3.0}
    assert math.isinf(retry.total_time_limit)


def test_a_wait_that_would_reach_the_end_is_no_attempt() -> None:
    """With no reserve there is no time left at the last moment allowed, and an attempt without time is only load."""
    retry = Retry(attempts=4, total_time=5.0, final_reserve=0.0, backoff=FIXED)
    assert retry.next_start(1, 0.0, 4.0, 2.0) is None
    assert retry.next_start(1, 0.0, 2.0, 2.0) == 4.0


# ---- what the server asks for


@given(**CALLS)
def test_what_the_server_asks_for_is_never_undercut(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    if retry.retry_after_limit is None:
        return
    tries = failing_call(retry, timeout, needs, draws, started, asks)
    for number, (earlier, later) in enumerate(itertools.pairwise(tries)):
        asked = asks[number % len(asks)]
        assert asked <= retry.retry_after_limit
        assert later.start >= earlier.end + asked


@given(**CALLS)
def test_a_policy_that_ignores_servers_does_what_it_does_when_they_ask_for_nothing(
    retry: Retry, timeout: float, needs: list[float], draws: list[float], started: float, asks: list[float]
) -> None:
    deaf = dataclasses.replace(retry, retry_after_limit=None)
    silence = failing_call(deaf, timeout, needs, draws, started)
    assert failing_call(deaf, timeout, needs, draws, started, asks) == silence
    assert failing_call(retry, timeout, needs, draws, started, [0.0]) == silence


PATIENT = Retry(attempts=4, total_time=30.0, final_reserve=0.25, backoff=FIXED, retry_after_limit=20.0)


@pytest.mark.parametrize(
    ("now", "asked", "start"),
    [
        (1.0, 0.0, 3.0),  # the backoff of 2 s
        (1.0, 1.5, 4.5),  # on top of what the server asked for
        (1.0, 5.0, 8.0),
        (1.0, 20.0, 22.5),
        (1.0, 20.001, None),  # longer than the policy will wait
        (21.0, 1.0, 22.5),  # the backoff is cut to the last start, 22.5 s
        (21.0, 1.5, 22.5),
        (21.0, 1.6, None),  # the wish cannot be granted in time
        (22.5, 0.0, None),
    ],
)
def test_retry_after_by_hand(now: float, asked: float, start: float | None) -> None:
    assert PATIENT.next_start(1, 0.0, now, 2.0, asked) == start
    assert PATIENT.next_start(4, 0.0, now, 2.0, asked) is None


def test_a_limit_of_0_makes_no_retry_where_the_server_asks_for_anything() -> None:
    unwilling = Retry(backoff=FIXED, retry_after_limit=0.0)
    assert unwilling.next_start(1, 0.0, 1.0, 2.0, 0.001) is None
    assert unwilling.next_start(1, 0.0, 1.0, 2.0) == 3.0


# ---- what an open circuit asks for


def test_an_open_circuit_ends_the_retries_unless_the_call_waits_for_its_probe() -> None:
    assert PATIENT.next_start(1, 0.0, 1.0, 2.0, probe_at=5.0) is None
    waits = dataclasses.replace(PATIENT, wait_for_probe=True)
    assert waits.next_start(1, 0.0, 1.0, 2.0, probe_at=5.0) == 7.0
    assert waits.next_start(1, 0.0, 1.0, 2.0, probe_at=0.5) == 3.0  # half-open with its probes out: the backoff
    assert waits.next_start(1, 0.0, 1.0, 2.0, probe_at=22.5) == 22.5  # longer than servers may ask
    assert waits.next_start(1, 0.0, 1.0, 2.0, probe_at=22.6) is None  # too late for a last attempt
    assert waits.next_start(4, 0.0, 1.0, 2.0, probe_at=5.0) is None  # a refusal was an attempt


def test_who_waits_for_the_probe_waits_for_the_server_too() -> None:
    waits = dataclasses.replace(PATIENT, wait_for_probe=True)
    assert waits.next_start(1, 0.0, 1.0, 2.0, retry_after=9.0, probe_at=5.0) == 12.0
    assert waits.next_start(1, 0.0, 1.0, 2.0, retry_after=3.0, probe_at=5.0) == 7.0
    assert waits.next_start(1, 0.0, 1.0, 2.0, retry_after=20.001, probe_at=5.0) is None


@given(st.floats(0.0, 1e6), st.floats(1e-6, 1e4))
def test_who_waits_for_the_probe_is_not_a_rounding_too_early(now: float, seconds: float) -> None:
    waits = Retry(total_time=None, wait_for_probe=True)
    probe_at = now + seconds
    start = waits.next_start(1, 0.0, now, 0.0, probe_at=probe_at)
    assert start is not None and start >= probe_at


# ---- a client that everybody knows


def test_the_sdk_preset_is_the_sdk() -> None:
    """Its waits and limits, as the constants of the openai package that is installed say."""
    known = pytest.importorskip("openai._constants")
    policy = Policy.openai_sdk()
    retry = policy.retry
    assert retry is not None and retry.retry_after_limit == known.MAX_RETRY_AFTER_DELAY
    assert policy.timeout == known.DEFAULT_TIMEOUT.read
    assert retry.attempts == 1 + known.DEFAULT_MAX_RETRIES
    for number in range(1, 9):
        longest = min(known.INITIAL_RETRY_DELAY * 2.0 ** (number - 1), known.MAX_RETRY_DELAY)
        assert [retry.backoff.delay(number, 0.0, u) for u in (0.0, 0.4)] == [longest, 0.9 * longest]
