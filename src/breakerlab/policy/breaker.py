"""The circuit breaker's rules. Everything that changes a breaker's state stands in this file and nowhere else.

The rules are plain functions over a state object `b`: the `CircuitBreaker` itself in production, a record of a NumPy
array in the simulator, which compiles these very functions. Time and chance are passed in, never fetched.

Each change of state begins a new generation. An admitted call holds a permit: the generation in which it was admitted.
A result from an older generation says nothing about the present one and changes nothing. `docs/circuit.md` has the
state diagram, drawn from these functions.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

from breakerlab.policy import parameter
from breakerlab.policy.backoff import grown, largest_safe_exponent
from breakerlab.policy.value import Value, checked, value

CLOSED, OPEN, HALF_OPEN = 0, 1, 2
AUTOMATIC, FORCED_OPEN, DISABLED, METRICS_ONLY = 0, 3, 4, 5  # modes: who decides, set by hand
REFUSED, UNCOUNTED = -1, -2  # no permit; a call let through without one, whose result changes nothing

NO_REASON, CONSECUTIVE, FAILURE_RATE, SLOW_CALL_RATE, PROBE_FAILED, PROBE_SLOW = 0, 1, 2, 3, 4, 5

LARGEST_WINDOW = 1024  # calls; the simulator's ring has one fixed shape
NO_COUNT_WINDOW = -1  # where the window is one of time
BUCKETS = 60  # of a time window; each holds calls, failures and slow calls
LONG_AGO = -(1 << 62)  # a bucket before any that a clock, which may be negative, can give
HALF_OPEN_TIMEOUT = 60.0  # seconds
FAILED, SLOW = 1, 2  # marks of one call in a count window


def reset(b: Any) -> None:
    """Rule: the state of a breaker that has seen nothing."""
    b.generation = 0
    b.bucket = LONG_AGO
    b.probe_at = 0.0
    b.probes_until = 0.0
    b.succeeded = 0
    b.failed = 0
    b.ignored = 0
    b.rejected = 0
    b.late = 0
    set_mode(b, AUTOMATIC)


def set_mode(b: Any, mode: int) -> None:
    """Rule: a person takes the circuit in hand (FORCED_OPEN, DISABLED, METRICS_ONLY) or gives it back (AUTOMATIC).

    Whatever was counted is forgotten, and calls in flight no longer count.
    """
    b.mode = mode
    b.openings = 0
    b.reason = NO_REASON
    enter(b, CLOSED)


def enter(b: Any, state_code: int) -> None:
    """Rule: a new state begins a new generation, with nothing counted."""
    b.state_code = state_code
    b.generation += 1
    by_hand = b.mode == FORCED_OPEN or b.mode == DISABLED
    b.free_permit = b.generation if state_code == CLOSED and not by_hand else REFUSED
    b.failures = 0
    b.probes = 0
    b.successes = 0
    b.calls = 0
    b.window_failures = 0
    b.window_slow = 0
    b.ring_at = 0
    if b.bucket_seconds > 0.0:
        for i in range(3 * BUCKETS):
            b.ring[i] = 0


def admit(b: Any, now: float) -> int:
    """Rule: a permit (the generation, 0 or more) for a call at `now`; REFUSED (-1); or UNCOUNTED (-2) when disabled.

    While CLOSED the answer is `b.free_permit`, which may be read without asking this rule.
    """
    if b.state_code == OPEN:
        if now < b.probe_at:
            b.rejected += 1
            return REFUSED
        enter(b, HALF_OPEN)
    if b.state_code == HALF_OPEN:
        if b.probes > 0 and now >= b.probes_until:  # they hang: what they say later is late; who succeeded still counts
            b.generation += 1
            b.probes = 0
        wanted = max(b.half_open_max_calls, b.success_threshold) - b.successes
        if b.probes < min(b.half_open_max_calls, wanted):
            b.probes += 1
            b.probes_until = now + b.half_open_timeout
            return int(b.generation)
    elif b.mode == DISABLED:
        return UNCOUNTED
    elif b.mode != FORCED_OPEN:
        return int(b.generation)
    b.rejected += 1
    return REFUSED


def admit_first(b: Any, now: float) -> int:
    """Rule: as `admit`, for the first attempt of a call: where only retries are guarded, it is UNCOUNTED, not refused.

    It takes a probe's permit if one is free, so that the circuit can close without waiting for a call to fail first.
    """
    permit = admit(b, now)
    if permit == REFUSED and b.guards_retries_only and b.mode != FORCED_OPEN:
        b.rejected -= 1
        return UNCOUNTED
    return permit


def succeed(b: Any, permit: int, now: float, took: float, u: float) -> None:
    """Rule: the call that holds `permit` succeeded at `now`, after `took` seconds; `u` as in `trip`."""
    if permit != b.generation:
        b.late += 1
        return
    b.succeeded += 1
    slow = took >= b.slow_call_duration
    if b.state_code == HALF_OPEN:
        b.probes -= 1
        b.successes += 1
        if slow:
            trip(b, now, PROBE_SLOW, 0.0, u)
        elif b.successes >= b.success_threshold:
            b.openings = 0
            enter(b, CLOSED)
        return
    b.failures = 0
    if b.has_window:
        spotless = not slow and b.window_failures == 0 and b.window_slow == 0
        if spotless and b.calls == b.window:
            return  # one more clean call in a full window of clean calls: nothing would change
        count(b, now, SLOW if slow else 0)
        if not spotless:
            judge_window(b, now, 0.0, u)


def fail(b: Any, permit: int, now: float, took: float, retry_after: float, u: float) -> None:
    """Rule: the call that holds `permit` failed at `now`, after `took` seconds; `retry_after` and `u` as in `trip`."""
    if permit != b.generation:
        b.late += 1
        return
    b.failed += 1
    if b.state_code == HALF_OPEN:
        trip(b, now, PROBE_FAILED, retry_after, u)
        return
    b.failures += 1
    if b.has_window:
        count(b, now, FAILED + SLOW if took >= b.slow_call_duration else FAILED)
    if b.failures >= b.failure_threshold > 0:
        trip(b, now, CONSECUTIVE, retry_after, u)
    elif b.has_window:
        judge_window(b, now, retry_after, u)


def ignore(b: Any, permit: int) -> None:
    """Rule: the call that holds `permit` said nothing about the service; a probe's permit is free again."""
    if permit != b.generation:
        b.late += 1
        return
    b.ignored += 1
    give_back(b, permit)


def give_back(b: Any, permit: int) -> None:
    """Rule: no call was made with `permit`; if it was a probe's, it is free again."""
    if permit == b.generation and b.state_code == HALF_OPEN:
        b.probes -= 1


def judge_window(b: Any, now: float, retry_after: float, u: float) -> None:
    """Rule: open the circuit if the window holds enough calls and a rate is reached."""
    if b.calls < b.minimum_calls:
        return
    if b.window_failures / b.calls >= b.failure_rate:
        trip(b, now, FAILURE_RATE, retry_after, u)
    elif b.window_slow / b.calls >= b.slow_call_rate:
        trip(b, now, SLOW_CALL_RATE, retry_after, u)


def trip(b: Any, now: float, reason: int, retry_after: float, u: float) -> None:
    """Rule: open the circuit at `now`.

    The wait until the first probe grows with each opening since the circuit was last closed. A server that asked for
    `retry_after` seconds (0.0: it did not ask) is given them, up to `recovery_cap`. A uniform draw `u` in [0, 1) adds
    up to `recovery_jitter` of the wait, so that the clients of one service do not all probe at the same moment.
    """
    wait = grown(b.recovery_timeout, b.recovery_growth, b.recovery_cap, b.top_exponent, float(b.openings))
    wait = max(wait, min(retry_after, b.recovery_cap))
    b.probe_at = now + wait * (1.0 + b.recovery_jitter * u)
    b.openings += 1
    b.reason = reason
    enter(b, OPEN)


def count(b: Any, now: float, marks: int) -> None:
    """Rule: one more call in the window, which forgets the oldest."""
    failed = marks & FAILED
    slow = marks >> 1
    ring = b.ring
    if b.bucket_seconds > 0.0:
        roll(b, now)
        at = 3 * (b.bucket % BUCKETS)
        ring[at] += 1
        ring[at + 1] += failed
        ring[at + 2] += slow
        b.calls += 1
    else:
        at = b.ring_at
        if b.calls == b.window:
            old = ring[at]
            if old:
                b.window_failures -= old & FAILED
                b.window_slow -= old >> 1
        else:
            b.calls += 1
        ring[at] = marks
        at += 1
        b.ring_at = at if at < b.window else 0
    if marks:
        b.window_failures += failed
        b.window_slow += slow


def roll(b: Any, now: float) -> None:
    """Rule: a time window moves on to `now`; the buckets that it leaves are forgotten."""
    bucket = math.floor(now / b.bucket_seconds)
    for later in range(max(b.bucket, bucket - BUCKETS) + 1, bucket + 1):
        at = 3 * (later % BUCKETS)
        b.calls -= b.ring[at]
        b.window_failures -= b.ring[at + 1]
        b.window_slow -= b.ring[at + 2]
        b.ring[at] = 0
        b.ring[at + 1] = 0
        b.ring[at + 2] = 0
    b.bucket = max(b.bucket, bucket)


class State(StrEnum):
    """The states a person sees; the rules compare plain ints, which is several times faster."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


CircuitState = State
STATES = tuple(State)  # in the order of the codes
REASONS = ("", "consecutive failures", "failure rate", "slow-call rate", "a probe failed", "a probe was slow")


class CircuitOpenError(Exception):
    """A call was refused without being made: CircuitOpenError(name, state, retry_in).

    (The three are read from `args`, since an `__init__` would make a refusal a sixth slower.)
    """

    @property
    def name(self) -> str:
        """The breaker's name."""
        return str(self._given(0, ""))

    @property
    def state(self) -> State:
        """The state that refused."""
        return State(self._given(1, State.OPEN))

    @property
    def retry_in(self) -> float:
        """Seconds until the next probe may be made: 0 while half-open with all probes out, infinite by hand."""
        return float(self._given(2, 0.0))

    def _given(self, place: int, otherwise: Any) -> Any:
        return self.args[place] if len(self.args) > place else otherwise

    def __str__(self) -> str:
        wait = "its probes are still out"
        if self.state is State.OPEN:
            wait = f"the next probe is due in {self.retry_in:.3g} s"
        elif self.state is State.FORCED_OPEN:
            wait = "it is held open by hand"
        return f"circuit {self.name!r} is {self.state.value}: {wait}"


@value
class Breaker(Value):
    """When a circuit opens and how it closes again. A rule not named is off; with none named, 5 failures in a row.

    Opening:
    failure_threshold: failures in a row, at least 1. failure_rate: share of failures in the window, in (0, 1].
    slow_call_rate: share of calls in the window that took at least slow_call_duration seconds, in (0, 1].
    window: calls, 1 to 1,024; or window_seconds: seconds, in 60 buckets, so a call is forgotten after 59/60 to 60/60
    of it. minimum_calls: calls in the window before a rate counts; a full count window is always enough.

    Recovering:
    recovery_timeout: seconds from opening to the first probe. recovery_growth: at least 1, times this for each further
    opening before the circuit closes. recovery_cap: seconds, the longest such wait, and the longest Retry-After that
    is given; None for ten times recovery_timeout. recovery_jitter: in [0, 1], adds U(0, jitter) of the wait.

    Half-open:
    half_open_max_calls: probes in flight at a time, at least 1. success_threshold: probes that must succeed to close
    the circuit; None for half_open_max_calls. The first failure, or slow call where slow calls count, opens it again.
    half_open_timeout: seconds after which the permit of a probe that hangs is given up; longer than a good call takes.
    None for the longest of 60 s, recovery_timeout and, in a `Policy`, its timeout. Counted from the latest probe.

    guards: "all" calls, or "retries" only: what would be refused is let through if it is the first attempt of its call,
    and changes nothing (Brooker, "Fixing retries with token buckets and circuit breakers", 2022).

    Raises ValueError naming the parameter that is out of range.
    """

    failure_threshold: int | None = checked(parameter.count, default=None)
    recovery_timeout: float = checked(parameter.real, default=30.0)
    half_open_max_calls: int = checked(parameter.count, default=1)
    failure_rate: float | None = checked(parameter.real, default=None, most=1.0)
    slow_call_rate: float | None = checked(parameter.real, default=None, most=1.0)
    slow_call_duration: float = checked(parameter.real, default=60.0)
    window: int = checked(parameter.count, default=20)
    window_seconds: float | None = checked(parameter.real, default=None, above=0.001, or_equal=True)
    minimum_calls: int = checked(parameter.count, default=10)
    recovery_growth: float = checked(parameter.real, default=1.0, above=1.0, or_equal=True)
    recovery_cap: float | None = checked(parameter.real, default=None)
    recovery_jitter: float = checked(parameter.real, default=0.0, or_equal=True, most=1.0)
    success_threshold: int | None = checked(parameter.count, default=None)
    half_open_timeout: float | None = checked(parameter.real, default=None)
    guards: str = checked(parameter.choice, default="all", choices=("all", "retries"))

    def __post_init__(self) -> None:
        if self.failure_threshold is None and self.failure_rate is None and self.slow_call_rate is None:
            self._set(failure_threshold=5)
        if self.window > LARGEST_WINDOW:
            raise ValueError(f"Breaker.window must be at most {LARGEST_WINDOW:,} calls, not {self.window!r}")
        if self.recovery_cap is not None and self.recovery_cap < self.recovery_timeout:
            least = f"at least Breaker.recovery_timeout ({self.recovery_timeout:g} s)"
            raise ValueError(f"Breaker.recovery_cap must be {least}, not {self.recovery_cap:g} s")

    def longest_probe(self) -> float:
        """Seconds after which a probe that hangs is given up: `half_open_timeout`, or what stands in for it."""
        return self.half_open_timeout or max(HALF_OPEN_TIMEOUT, self.recovery_timeout)

    def rules(self) -> dict[str, int | float]:
        """The parameters as the rules read them: numbers only, with a rule that is off out of reach."""
        cap = 10.0 * self.recovery_timeout if self.recovery_cap is None else self.recovery_cap
        by_slowness = self.slow_call_rate is not None
        return {
            "failure_threshold": self.failure_threshold or 0,
            "failure_rate": math.inf if self.failure_rate is None else self.failure_rate,
            "slow_call_rate": math.inf if self.slow_call_rate is None else self.slow_call_rate,
            "slow_call_duration": self.slow_call_duration if by_slowness else math.inf,
            "has_window": int(by_slowness or self.failure_rate is not None),
            "window": self.window if self.window_seconds is None else NO_COUNT_WINDOW,
            "bucket_seconds": 0.0 if self.window_seconds is None else self.window_seconds / BUCKETS,
            "minimum_calls": self.minimum_calls if self.window_seconds else min(self.minimum_calls, self.window),
            "recovery_timeout": self.recovery_timeout,
            "recovery_growth": self.recovery_growth,
            "recovery_cap": cap,
            "recovery_jitter": self.recovery_jitter,
            "top_exponent": largest_safe_exponent(self.recovery_timeout, self.recovery_growth),
            "half_open_max_calls": self.half_open_max_calls,
            "success_threshold": self.success_threshold or self.half_open_max_calls,
            "half_open_timeout": self.longest_probe(),
            "guards_retries_only": int(self.guards == "retries"),
        }
