"""What a call says about the service: success, failure, or nothing (ignored)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import StrEnum
from types import UnionType
from typing import Any

from breakerlab.policy.mishap import log_mishap
from breakerlab.policy.value import Value, value

Test = type[BaseException] | tuple[type[BaseException], ...] | UnionType | Callable[[Any], bool]


class Outcome(StrEnum):
    """A success, a failure, or ignored: it neither counts nor closes, and a probe's permit is free again."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


SUCCESS, FAILURE, IGNORED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED

# 4xx that tell of load or a passing state, not of a wrong request: timeout, too early, too many requests
_FAILURES_OF_THE_SERVICE = (408, 425, 429)
_CANCELLED = "CancelledError"  # of asyncio and of concurrent.futures
# by a circuit; by a throttle; by the connection pool of httpx
_REFUSALS = ("CircuitOpenError", "LocallyThrottledError", "PoolTimeout")
_CONNECTION = ("Connection", "Connect", "Network", "Transport", "Protocol", "gaierror", "SSL")  # in names of classes
_STATUS_NAMES = ("status_code", "status", "code")  # httpx, requests, openai; aiohttp; urllib (of its errors)


def of_status(status: int) -> Outcome:
    """By HTTP status: 5xx, 408, 425 and 429 are failures, other 4xx are ignored, all else succeeds."""
    if status >= 500 or status in _FAILURES_OF_THE_SERVICE:
        return FAILURE
    return IGNORED if status >= 400 else SUCCESS


def of_result(result: object) -> Outcome:
    """By the HTTP status of a returned response; anything without one is a success."""
    status = status_of(result)
    return SUCCESS if status is None else of_status(status)


def of_error(error: BaseException) -> Outcome:
    """By the HTTP status that the exception or its `response` carries, if any; without one, a failure.

    Ignored: cancellation (`CancelledError`, `KeyboardInterrupt`, all that is no `Exception`), and what an inner circuit
    or throttle or a full connection pool refused, since nothing reached the service.
    """
    if not isinstance(error, Exception) or type(error).__name__ in (_CANCELLED, *_REFUSALS):
        return IGNORED
    status = status_of(error)
    return FAILURE if status is None or status < 400 else of_status(status)


def is_plain(error: BaseException) -> bool:
    """Whether `error` can carry neither status nor headers, and is no cancellation: a failure, without further look."""
    kind: Any = type(error)
    return _is_plain_kind(kind) and not error.__dict__


@functools.lru_cache(maxsize=512)
def _is_plain_kind(kind: Any) -> bool:
    telling = (*_STATUS_NAMES, "response", "headers", "__getattr__")
    silent = kind.__getattribute__ is Exception.__getattribute__ and not any(hasattr(kind, name) for name in telling)
    return silent and issubclass(kind, Exception) and kind.__name__ not in (_CANCELLED, *_REFUSALS)


def status_of(subject: object) -> int | None:
    """The HTTP status (100 to 599) that a response, or an exception or its `response`, carries; None without one."""
    raised = isinstance(subject, BaseException)
    try:
        for holder in (subject, getattr(subject, "response", None) if raised else None):
            for name in _STATUS_NAMES if raised else _STATUS_NAMES[:2]:
                status = getattr(holder, name, None)
                if isinstance(status, int) and 100 <= status < 600:
                    return int(status)
    except Exception:  # a property of somebody else's class, which raises
        return None
    return None


@value
class Classify(Value):
    """Outcomes by exception type, by predicate, by returned value.

        Classify(failed=(ConnectionError, TimeoutError), ignored=KeyError, failed_result=lambda answer: not answer.text)

    ignored, failed: exception types, or a predicate of the exception; `ignored` is asked first. Where `failed` is
    given, an exception that it does not claim is ignored. failed_result, ignored_result: predicates of what was
    returned. What no test decides is judged by its HTTP status, as is what makes a test raise. Raises ValueError for
    what is no test.
    """

    failed: Test | None = None
    ignored: Test | None = None
    failed_result: Callable[[Any], bool] | None = None
    ignored_result: Callable[[Any], bool] | None = None

    def __post_init__(self) -> None:
        for name in self._names():
            test = getattr(self, name)
            kinds = test if isinstance(test, tuple) else (test,)
            if test is not None and not all(callable(kind) or isinstance(kind, UnionType) for kind in kinds):
                raise ValueError(f"Classify.{name} must be exception types or a predicate, not {test!r}")

    def error(self, error: BaseException) -> Outcome:
        """The outcome of a call that raised `error`."""
        if not isinstance(error, Exception) or _claims(self.ignored, error):
            return IGNORED
        failed = _claims(self.failed, error)
        if failed is None:
            return of_error(error)
        return FAILURE if failed else IGNORED

    def result(self, result: object) -> Outcome:
        """The outcome of a call that returned `result`."""
        if _holds(self.ignored_result, result):
            return IGNORED
        return FAILURE if _holds(self.failed_result, result) else of_result(result)


def _claims(test: Test | None, error: Exception) -> bool | None:
    if isinstance(test, type | tuple | UnionType):
        return _holds(lambda raised: isinstance(raised, test), error)
    return _holds(test, error)


def _holds(test: Callable[[Any], bool] | None, subject: object) -> bool | None:
    """What the predicate `test` says of `subject`; None if there is no test or it raised."""
    try:
        return None if test is None else bool(test(subject))
    except Exception as mishap:
        log_mishap("a test of an outcome failed; the call is judged by its HTTP status instead", mishap)
        return None


def judge(classify: Classify | None, result: object, error: BaseException | None) -> Outcome:
    """The outcome of a call that raised `error`, or returned `result`; whatever goes wrong here is only logged."""
    try:
        if error is None:
            return of_result(result) if classify is None else classify.result(result)
        return of_error(error) if classify is None else classify.error(error)
    except Exception as mishap:
        log_mishap("the outcome of a call could not be told", mishap)
        return SUCCESS if error is None else FAILURE


def described(result: object, error: BaseException | None, outcome: Outcome) -> tuple[str, int | None]:
    """The trace's word for an attempt that raised `error`, or returned `result`; and its HTTP status."""
    if error is not None:
        return word_of_error(error), status_of(error)
    status = status_of(result)
    word = "ok" if status is None else word_of_status(status)
    return ("error" if word == "ok" and outcome is FAILURE else word), status


def word_of_status(status: int) -> str:
    """The trace's word for an answer with this HTTP status."""
    if status == 429:
        return "throttled"
    if status >= 500:
        return "error"
    return "client_error" if status >= 400 else "ok"


def word_of_error(error: BaseException) -> str:
    """The trace's word for an attempt that raised `error`, by its HTTP status, else by the names of its classes."""
    status = status_of(error)
    if status is not None and status >= 400:
        return word_of_status(status)
    if not isinstance(error, Exception):
        return "cancelled"
    if type(error).__name__ in _REFUSALS:
        return "rejected"
    if type(error).__name__ == _CANCELLED:
        return "cancelled"
    names = " ".join(kind.__name__ for kind in type(error).__mro__)
    if "Timeout" in names:
        return "timeout"
    return "connection" if any(word in names for word in _CONNECTION) else "error"
