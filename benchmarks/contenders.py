"""The libraries that are compared, each used as its own documentation recommends: as a decorator."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

AN_HOUR = 3600.0
NEVER = 2**31


class CallFailedError(Exception):
    """What the failing calls raise."""


class NoRefusalError(Exception):
    """What a library raises that refuses nothing."""


@dataclass(frozen=True)
class Limits:
    """When a circuit opens, in the terms that a library knows: failures in a row, or a failure rate over a window."""

    failures: int = 5
    rate: float = 0.5
    window: int = 100
    attempts: int = 3  # of a retry library


def never_reached(calls: int) -> Limits:
    """Limits that `calls` failures after one success do not reach: the window still holds the success."""
    return Limits(failures=NEVER, rate=1.0, window=max(Limits.window, calls + 1), attempts=1)


@dataclass(frozen=True)
class Guard:
    """One breaker or retry rule: decorates any number of functions; an open breaker raises `refusal`."""

    decorate: Callable[[Callable[..., Any]], Callable[..., Any]]
    refusal: type[Exception] = NoRefusalError


@dataclass(frozen=True)
class Library:
    """How to make its guard for a plain or a coroutine function; None where it has none."""

    name: str
    distribution: str
    for_sync: Callable[[Limits], Guard]
    for_async: Callable[[Limits], Guard] | None
    is_breaker: bool = True


def breakerlab_rate_window(limits: Limits) -> Guard:
    from breakerlab.policy import CircuitBreaker, CircuitOpenError

    breaker = CircuitBreaker(
        failure_rate=limits.rate,
        window=limits.window,
        minimum_calls=100,
        recovery_timeout=AN_HOUR,
        name="llm",
    )
    return Guard(breaker, CircuitOpenError)


def breakerlab_every_rule(limits: Limits) -> Guard:
    from breakerlab.policy import CircuitBreaker, CircuitOpenError

    breaker = CircuitBreaker(
        failure_threshold=limits.failures,
        failure_rate=limits.rate,
        window=limits.window,
        minimum_calls=100,
        slow_call_rate=0.5,
        slow_call_duration=1.0,
        recovery_timeout=AN_HOUR,
        name="llm",
    )
    return Guard(breaker, CircuitOpenError)


def circuitbreaker(limits: Limits) -> Guard:
    from circuitbreaker import CircuitBreaker, CircuitBreakerError

    return Guard(CircuitBreaker(limits.failures, AN_HOUR), CircuitBreakerError)


def pybreaker(limits: Limits) -> Guard:
    from pybreaker import CircuitBreaker, CircuitBreakerError

    return Guard(CircuitBreaker(limits.failures, AN_HOUR), CircuitBreakerError)


def aiobreaker(limits: Limits) -> Guard:
    from aiobreaker import CircuitBreaker, CircuitBreakerError

    return Guard(CircuitBreaker(limits.failures, timedelta(seconds=AN_HOUR)), CircuitBreakerError)


def purgatory_sync(limits: Limits) -> Guard:
    from purgatory import SyncCircuitBreakerFactory
    from purgatory.domain.model import OpenedState

    return Guard(SyncCircuitBreakerFactory(limits.failures, AN_HOUR)("llm"), OpenedState)


def purgatory_async(limits: Limits) -> Guard:
    from purgatory import AsyncCircuitBreakerFactory
    from purgatory.domain.model import OpenedState

    return Guard(AsyncCircuitBreakerFactory(limits.failures, AN_HOUR)("llm"), OpenedState)


def interlock(limits: Limits) -> Guard:
    from interlock import CircuitBreaker, CircuitOpenError, Config

    config = Config(
        failure_rate_threshold=limits.rate,
        window_size=limits.window,
        minimum_number_of_calls=100,
        slow_call_rate_threshold=0.5,
        slow_call_duration_threshold=1.0,
        wait_duration_in_open=AN_HOUR,
    )
    return Guard(CircuitBreaker(name="llm", config=config), CircuitOpenError)


def backon(limits: Limits) -> Guard:
    from backon import expo, on_exception

    return Guard(on_exception(expo, CallFailedError, max_tries=limits.attempts))


def tenacity(limits: Limits) -> Guard:
    from tenacity import retry, stop_after_attempt, wait_exponential

    return Guard(retry(stop=stop_after_attempt(limits.attempts), wait=wait_exponential(), reraise=True))


def stamina(limits: Limits) -> Guard:
    from stamina import retry

    return Guard(retry(on=CallFailedError, attempts=limits.attempts))


JUDGED = "breakerlab (rate window)"
OURS = (
    Library(JUDGED, "breakerlab", breakerlab_rate_window, breakerlab_rate_window),
    Library("breakerlab (every rule)", "breakerlab", breakerlab_every_rule, breakerlab_every_rule),
)
PEERS = (
    Library("circuitbreaker", "circuitbreaker", circuitbreaker, circuitbreaker),
    # pybreaker has no asyncio: around a coroutine function its decorator guards the making of the coroutine only.
    Library("pybreaker", "pybreaker", pybreaker, None),
    Library("aiobreaker", "aiobreaker", aiobreaker, aiobreaker),
    Library("purgatory", "purgatory", purgatory_sync, purgatory_async),
    Library("interlock-cb", "interlock-cb", interlock, interlock),
    Library("backon", "backon", backon, backon, is_breaker=False),
    Library("tenacity", "tenacity", tenacity, tenacity, is_breaker=False),
    Library("stamina", "stamina", stamina, stamina, is_breaker=False),
)
