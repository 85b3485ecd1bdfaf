"""Who answers when the call has failed."""

import asyncio
import functools
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import Answer, Backoff, Breaker, CircuitBreaker, CircuitOpenError, Fallback, Guard, Policy, Retry

TWICE = Retry(attempts=2, total_time=None, backoff=Backoff(base=1.0, factor=1.0, cap=1.0, jitter="none"))

Call = Callable[..., Answer]


class Response:
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


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


def guard(*answers: Any, retry: Retry | None = TWICE, breaker: Breaker | None = None, **named: Any) -> Guard:
    policy = Policy(retry=retry, breaker=breaker, fallback=Fallback(*answers, **named))
    return policy.guard("llm", sleep=lambda seconds: None)


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        raise error

    return function


def tell(error: object) -> str:
    return f"sorry: {error}"


async def tell_later(error: object) -> str:
    await asyncio.sleep(0)
    return f"sorry, later: {error}"


# ---- who answers


@pytest.mark.parametrize("value", ["Try again soon.", None, 0, "", [], {"text": "..."}])
def test_a_value_is_the_answer(call: Call, value: Any) -> None:
    error = ConnectionError()
    answer = call(guard(value), raising(error))
    assert answer.value is value
    assert (answer.served_by, answer.attempts) == ("fallback", 2)
    assert answer.error is error


def test_a_function_is_given_the_error(call: Call) -> None:
    error = ConnectionError("no route")
    assert call(guard(tell), raising(error)) == Answer("sorry: no route", "tell", 2, error)


def test_a_function_is_given_the_failed_result_where_nothing_was_raised(call: Call) -> None:
    response = Response(503)
    answer = call(guard(small_model=lambda failed: [failed]), lambda: response)
    assert answer == Answer([response], "small_model", 2, None)


def test_a_coroutine_function_is_awaited_in_an_async_call() -> None:
    error = ConnectionError("no route")
    answer = call_coroutine(guard(tell_later), raising(error))
    assert answer == Answer("sorry, later: no route", "tell_later", 2, error)


@pytest.mark.parametrize("later", [tell_later, lambda error: tell_later(error)])
def test_a_coroutine_function_cannot_answer_a_plain_call(later: Any, caplog: pytest.LogCaptureFixture) -> None:
    answer = call_plain(guard(model=later, message="sorry"), raising(ConnectionError()))
    assert (answer.value, answer.served_by) == ("sorry", "message")
    assert "gave a coroutine, which only `call_async` can await" in caplog.text


def test_nobody_answers_for_a_call_that_succeeds(call: Call) -> None:
    asked: list[object] = []
    assert call(guard(asked.append), lambda: "fine") == Answer("fine", "llm", 1, None)
    assert asked == []


def test_the_first_that_does_not_raise_answers(call: Call, caplog: pytest.LogCaptureFixture) -> None:
    error, asked = ConnectionError(), list[tuple[str, object]]()

    def small_model(given: object) -> str:
        asked.append(("small_model", given))
        raise TimeoutError("the small model is down too")

    def cache(given: object) -> str:
        asked.append(("cache", given))
        raise KeyError("never asked before")

    def message(given: object) -> str:
        asked.append(("message", given))
        return "Try again soon."

    answer = call(guard(small_model, cache, message, last="unused"), raising(error))
    assert answer == Answer("Try again soon.", "message", 2, error)
    assert asked == [("small_model", error), ("cache", error), ("message", error)]
    assert "fallback 'small_model' of 'llm' failed" in caplog.text
    assert "fallback 'cache' of 'llm' failed" in caplog.text


def test_the_error_stands_when_all_fail(call: Call) -> None:
    error = ConnectionError()
    with pytest.raises(ConnectionError) as caught:
        call(guard(raising(KeyError()), other=raising(ValueError())), raising(error))
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)


def test_the_failed_result_stands_when_all_fail(call: Call) -> None:
    response = Response(503)
    answer = call(guard(raising(KeyError())), lambda: response)
    assert answer.value is response
    assert (answer.served_by, answer.attempts, answer.error) == ("llm", 2, None)


def test_a_refused_call_is_answered_without_an_attempt(call: Call) -> None:
    guarded = guard("sorry", breaker=Breaker())
    assert guarded.breaker is not None
    guarded.breaker.force_open()
    answer = call(guarded, lambda: "fine")
    assert (answer.value, answer.served_by, answer.attempts) == ("sorry", "fallback", 0)
    assert isinstance(answer.error, CircuitOpenError)


def test_a_call_cut_short_is_answered(call: Call) -> None:
    now = [0.0]

    def slow() -> None:
        now[0] += 99.0

    policy = Policy(timeout=1.0, fallback=Fallback("sorry"))
    answer = call(policy.guard("llm", clock=lambda: now[0]), slow)
    assert answer.value == "sorry"
    assert isinstance(answer.error, TimeoutError)


@pytest.mark.parametrize("error", [StatusError(400), StatusError(404), KeyboardInterrupt(), SystemExit()])
def test_what_is_no_failure_is_not_masked(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        call_plain(guard("masked"), raising(error))
    assert caught.value is error


def test_a_wrong_request_is_not_masked_in_an_async_call() -> None:
    with pytest.raises(StatusError):
        call_coroutine(guard("masked"), raising(StatusError(422)))
    response = Response(404)
    assert call_coroutine(guard("masked"), lambda: response).value is response


def test_a_fallback_that_is_interrupted_or_cancelled_ends_the_call() -> None:
    with pytest.raises(KeyboardInterrupt):
        call_plain(guard(raising(KeyboardInterrupt()), last="unused"), raising(ConnectionError()))
    with pytest.raises(asyncio.CancelledError):
        call_coroutine(guard(raising(asyncio.CancelledError()), last="unused"), raising(ConnectionError()))


def test_a_fallback_may_be_guarded_itself(call: Call) -> None:
    small = CircuitBreaker(1, name="small")
    small.force_open()
    chain = {"small_model": functools.partial(small.call, tell), "message": "sorry"}
    assert call(guard(**chain), raising(ConnectionError())).served_by == "message"


# ---- the value


def test_functions_bring_their_names_and_others_are_named_by_keyword() -> None:
    assert [name for name, _ in Fallback(tell, "sorry", cache=3).chain] == ["tell", "fallback", "cache"]
    assert Fallback(lambda error: 1).chain[0][0] == "fallback"
    assert Fallback(functools.partial(tell, 1)).chain[0][0] == "fallback"


def test_what_makes_no_fallback_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="Fallback needs an answer"):
        Fallback()
    with pytest.raises(ValueError, match="two answers named 'fallback'; give each a name"):
        Fallback("a", "b")
    with pytest.raises(ValueError, match="two answers named 'tell'"):
        Fallback(tell, tell="b")


def test_a_fallback_cannot_be_changed_and_is_compared_by_its_chain() -> None:
    one = Fallback(tell, message="sorry")
    with pytest.raises((AttributeError, TypeError)):
        one.chain = ()  # type: ignore[misc]
    assert one == Fallback(tell, message="sorry")
    assert hash(one) == hash(Fallback(tell, message="sorry"))
    assert one != Fallback(message="sorry", tell=tell)
    assert one != Fallback(tell, message="Sorry")
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_fallback_prints_as_the_code_that_makes_it() -> None:
    assert repr(Fallback("sorry")) == "Fallback(fallback='sorry')"
    assert repr(Fallback(tell, message="sorry")) == "Fallback(tell=tell, message='sorry')"
    for fallback in (Fallback(tell, message="sorry"), Fallback(**{"small model": 1, "class": 2}), Fallback(self=1)):
        assert eval(repr(fallback)) == fallback


PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text()


@given(st.dictionaries(st.text(min_size=1, max_size=8), PLAIN, min_size=1, max_size=4))
def test_any_values_under_any_names_survive_printing_and_json(values: dict[str, Any]) -> None:
    fallback = Fallback(**values)
    assert dict(fallback.chain) == values
    assert eval(repr(fallback), {"Fallback": Fallback, "inf": float("inf")}) == fallback
    assert Fallback.from_dict(json.loads(json.dumps(fallback.to_dict()))) == fallback


def test_a_function_is_only_described() -> None:
    described = Fallback(tell, message="sorry").to_dict()
    assert described == {"tell": {"function": "tell"}, "message": "sorry"}
    with pytest.raises(ValueError, match=r"Fallback\.tell must be a plain value.*cannot be read back"):
        Fallback.from_dict(described)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("sorry", "Fallback must be a table of its answers, not 'sorry'"),
        ({}, "Fallback needs an answer"),
        ({"message": {}}, "Fallback.message must be a plain value or a table with a 'value'"),
        ({"message": {"value": 1, "extra": 2}}, "Fallback.message must be a plain value or a table with a 'value'"),
    ],
)
def test_a_wrong_dict_is_refused_in_a_sentence(data: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Fallback.from_dict(data)
    assert str(caught.value).startswith(sentence)
