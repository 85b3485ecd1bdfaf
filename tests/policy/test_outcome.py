"""What a call says about the service: success, failure, or nothing."""

import asyncio
import concurrent.futures
import http.client
import socket
import ssl
import urllib.error
from email.message import Message
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from breakerlab.policy import CircuitBreaker, CircuitOpenError, Classify, LocallyThrottledError, Outcome, State
from breakerlab.policy.outcome import judge, of_error, of_result, of_status, status_of, word_of_error, word_of_status
from breakerlab.trace.schema import OUTCOMES

STATUSES = [*range(100, 600, 7), *range(399, 432), 499, 500, 501, 599]
SUCCESS, FAILURE, IGNORED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED


class Carrier:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class CarrierError(Carrier, Exception):
    pass


def httpx_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://service/")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize("status", STATUSES)
def test_the_outcome_of_a_status(status: int) -> None:
    expected = SUCCESS if status < 400 else FAILURE if status >= 500 or status in (408, 425, 429) else IGNORED
    assert of_status(status) is expected
    assert of_result(Carrier(status_code=status)) is expected
    assert of_result(httpx.Response(status)) is expected
    error = expected if status >= 400 else FAILURE
    for carrier in (
        CarrierError(status_code=status),
        CarrierError(status=status),
        CarrierError(code=status),
        CarrierError(response=Carrier(status_code=status)),
        httpx_error(status),
        urllib.error.HTTPError("http://service/", status, "", Message(), None),
    ):
        assert of_error(carrier) is error
        assert status_of(carrier) == status
        if isinstance(carrier, urllib.error.HTTPError):
            carrier.close()


@pytest.mark.parametrize("error", [ConnectionError(), TimeoutError(), ValueError(), OSError(), Exception()])
def test_an_exception_without_a_status_is_a_failure(error: Exception) -> None:
    assert of_error(error) is FAILURE
    assert Classify().error(error) is FAILURE


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        concurrent.futures.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        CircuitOpenError("inner", State.OPEN, 1.0),
        LocallyThrottledError("inner", 0.5),
        httpx.PoolTimeout(""),
    ],
)
def test_cancellation_and_a_refusal_say_nothing(error: BaseException) -> None:
    assert of_error(error) is IGNORED
    assert Classify().error(error) is IGNORED


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_not_even_classify_makes_an_interrupt_a_failure(error: BaseException) -> None:
    assert Classify(failed=BaseException).error(error) is IGNORED


@pytest.mark.parametrize("result", [None, 0, "", "503", {"status_code": 503}, [], Carrier(status_code="503")])
def test_a_result_without_a_status_is_a_success(result: object) -> None:
    assert of_result(result) is SUCCESS


@pytest.mark.parametrize("status", [99, 600, 0, -503, "503", 503.0, True, None])
def test_what_is_no_status_is_not_taken_for_one(status: Any) -> None:
    assert status_of(CarrierError(status_code=status)) is None
    assert of_error(CarrierError(code=status)) is FAILURE


def test_the_status_of_a_response_is_found_where_the_exception_has_none() -> None:
    assert status_of(CarrierError(code="rate_limit_exceeded", response=Carrier(status_code=429))) == 429
    assert status_of(CarrierError(status_code=None, response=Carrier(status=502))) == 502
    assert status_of(CarrierError(response=None)) is None
    assert status_of(Carrier(status_code=HTTPStatus.BAD_GATEWAY)) == 502
    assert type(status_of(Carrier(status_code=HTTPStatus.BAD_GATEWAY))) is int


class HostileError(Exception):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} here")


def test_attributes_that_raise_are_none() -> None:
    assert status_of(HostileError()) is None
    assert judge(None, None, HostileError()) is FAILURE
    assert judge(None, HostileError(), None) is SUCCESS
    assert word_of_error(HostileError()) == "error"


# ---- Classify


def is_busy(error: BaseException) -> bool:
    return "busy" in str(error)


@pytest.mark.parametrize(
    ("classify", "error", "outcome"),
    [
        (Classify(failed=KeyError), KeyError(), FAILURE),
        (Classify(failed=LookupError), KeyError(), FAILURE),
        (Classify(failed=KeyError), ConnectionError(), IGNORED),
        (Classify(failed=(KeyError, ConnectionError)), ConnectionError(), FAILURE),
        (Classify(failed=CarrierError), CarrierError(status_code=400), FAILURE),
        (Classify(failed=is_busy), ValueError("busy"), FAILURE),
        (Classify(failed=is_busy), ConnectionError("gone"), IGNORED),
        (Classify(ignored=KeyError), KeyError(), IGNORED),
        (Classify(ignored=KeyError), ConnectionError(), FAILURE),
        (Classify(ignored=KeyError), CarrierError(status_code=404), IGNORED),
        (Classify(ignored=is_busy), ConnectionError("busy"), IGNORED),
        (Classify(ignored=KeyError, failed=LookupError), KeyError(), IGNORED),
        (Classify(ignored=KeyError, failed=LookupError), IndexError(), FAILURE),
        (Classify(failed=CircuitOpenError), CircuitOpenError("inner", State.OPEN, 1.0), FAILURE),
    ],
)
def test_exceptions_are_told_by_type_and_by_predicate(classify: Classify, error: Exception, outcome: Outcome) -> None:
    assert classify.error(error) is outcome


@pytest.mark.parametrize(
    ("classify", "result", "outcome"),
    [
        (Classify(failed_result=lambda text: text == ""), "", FAILURE),
        (Classify(failed_result=lambda text: text == ""), "fine", SUCCESS),
        (Classify(failed_result=lambda text: False), Carrier(status_code=503), FAILURE),
        (Classify(ignored_result=lambda answer: True), Carrier(status_code=503), IGNORED),
        (Classify(ignored_result=lambda answer: True, failed_result=lambda answer: True), "", IGNORED),
        (Classify(ignored_result=lambda answer: False), Carrier(status_code=404), IGNORED),
    ],
)
def test_results_are_told_by_predicate(classify: Classify, result: object, outcome: Outcome) -> None:
    assert classify.result(result) is outcome


def broken(subject: object) -> bool:
    raise RuntimeError("a bug in the test")


def test_a_test_that_raises_is_logged_and_the_status_decides(caplog: pytest.LogCaptureFixture) -> None:
    classify = Classify(broken, broken, broken, broken)
    assert classify.error(ConnectionError()) is FAILURE
    assert classify.error(CarrierError(status_code=404)) is IGNORED
    assert classify.result("fine") is SUCCESS
    assert classify.result(Carrier(status_code=503)) is FAILURE
    assert caplog.text.count("a test of an outcome failed") == 8


@pytest.mark.parametrize("wrong", ["KeyError", ["KeyError"], [KeyError], ("KeyError",), 404])
@pytest.mark.parametrize("name", ["failed", "ignored", "failed_result", "ignored_result"])
def test_what_is_no_test_at_all_is_refused_by_name(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"^Classify.{name} must be exception types or a predicate, not "):
        Classify(**{name: wrong})


def test_a_union_of_types_is_one_too() -> None:
    assert judge(Classify(ignored=KeyError | ValueError), None, KeyError()) is IGNORED
    assert judge(Classify(failed_result=bool), "", None) is SUCCESS  # of a result every test is a predicate
    assert judge(Classify(failed_result=bool), "text", None) is FAILURE


def test_a_breaker_takes_no_bare_function_for_a_classify() -> None:
    with pytest.raises(ValueError, match=r"^classify must be a Classify or None"):
        CircuitBreaker(classify=lambda error: True)  # type: ignore[arg-type]


def test_the_breaker_and_classify_agree() -> None:
    breaker = CircuitBreaker(1, classify=Classify(ignored=KeyError, failed_result=lambda text: text == ""))
    with pytest.raises(KeyError):
        breaker.call({}.__getitem__, "missing")
    assert breaker.state is State.CLOSED
    assert breaker.call(lambda: "") == ""
    assert breaker.state is State.OPEN


# ---- the trace's words


@pytest.mark.parametrize("status", STATUSES)
def test_the_word_of_a_status(status: int) -> None:
    word = "ok" if status < 400 else "error" if status >= 500 else "throttled" if status == 429 else "client_error"
    assert word_of_status(status) == word
    assert word_of_error(httpx_error(status)) == ("error" if status < 400 else word)


def kind(name: str, *bases: type[Exception]) -> Exception:
    made: Exception = type(name, bases or (Exception,), {})()
    return made


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutError(), "timeout"),
        (socket.timeout(), "timeout"),  # noqa: UP041
        (httpx.ReadTimeout(""), "timeout"),
        (httpx.ConnectTimeout(""), "timeout"),
        (httpx.PoolTimeout(""), "rejected"),
        (kind("APITimeoutError", type(kind("APIConnectionError"))), "timeout"),
        (ConnectionRefusedError(), "connection"),
        (BrokenPipeError(), "connection"),
        (socket.gaierror(), "connection"),
        (ssl.SSLError(), "connection"),
        (httpx.ConnectError(""), "connection"),
        (httpx.ReadError(""), "connection"),
        (httpx.RemoteProtocolError(""), "connection"),
        (http.client.RemoteDisconnected(), "connection"),
        (kind("APIConnectionError"), "connection"),
        (ValueError(), "error"),
        (KeyError(), "error"),
        (asyncio.CancelledError(), "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (CircuitOpenError("inner", State.OPEN, 1.0), "rejected"),
        (LocallyThrottledError("inner", 0.5), "rejected"),
    ],
)
def test_the_word_of_an_error(error: BaseException, word: str) -> None:
    assert word_of_error(error) == word
    assert word in OUTCOMES


class TellingError(Exception):
    status_code = 404


class ComputingError(Exception):
    @property
    def response(self) -> Any:
        return Carrier(status_code=404)


class AskingError(Exception):
    def __getattr__(self, name: str) -> int:
        if name == "status":
            return 404
        raise AttributeError(name)


def with_status(error: Exception) -> Exception:
    error.status_code = 404  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("plain"), FAILURE),
        (ConnectionError(), FAILURE),
        (TellingError(), IGNORED),
        (ComputingError(), IGNORED),
        (AskingError(), IGNORED),
        (with_status(ValueError()), IGNORED),
        (asyncio.CancelledError(), IGNORED),
        (concurrent.futures.CancelledError(), IGNORED),
        (KeyboardInterrupt(), IGNORED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_breaker_looks_at_an_error_as_closely_as_it_must(error: BaseException, outcome: Outcome) -> None:
    """Most errors can carry no status, and are not asked; these are found out however they carry it."""
    breaker = CircuitBreaker(failure_threshold=2)
    with pytest.raises(type(error)), breaker:
        raise error
    assert breaker.snapshot().failures == (1 if outcome is FAILURE else 0)
