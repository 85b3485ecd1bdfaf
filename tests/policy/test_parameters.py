"""Policies as values: what they may hold, how they print, and how they travel."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.lib.pretty import pretty

from breakerlab.policy import Backoff, Breaker, CircuitBreaker, Fallback, Policy, Retry, RetryBudget, Throttle
from breakerlab.policy.backoff import JITTERS

NOT_A_NUMBER = [math.nan, math.inf, -math.inf, True, "1", None, 10**400]
NOT_POSITIVE = [*NOT_A_NUMBER, 0, 0.0, -1, -0.5]
NOT_A_COUNT = [0, -1, 1.0, 2.5, math.nan, math.inf, True, "3", None, 2**53]


def unless_none(values: list[Any]) -> list[Any]:
    """What is refused where None means that a rule is off, or a default."""
    return [value for value in values if value is not None]


OUT_OF_RANGE = {
    "Backoff.base": NOT_POSITIVE,
    "Backoff.factor": [*NOT_A_NUMBER, 0, -2, 0.999],
    "Backoff.cap": [*NOT_POSITIVE, 0.5],
    "Backoff.jitter": ["Full", "half", "", 1, True, None, ["full"]],
    "Retry.attempts": NOT_A_COUNT,
    "Retry.total_time": unless_none(NOT_POSITIVE),
    "Retry.final_reserve": [*NOT_A_NUMBER, -0.1, 1, 1.0, 1.5],
    "Retry.backoff": [None, 1.0, "full", {"base": 1.0}],
    "Retry.retry_after_limit": [*unless_none(NOT_A_NUMBER), -1, -0.001],
    "Retry.wait_for_probe": [None, 0, 1, "yes"],
    "Retry.budget": [0.1, True, {"ratio": 0.1}, Backoff()],
    "RetryBudget.ratio": [*NOT_A_NUMBER, -0.1, 1.001, 10],
    "RetryBudget.deposit": ["Call", "calls", "", 1, True, None],
    "RetryBudget.minimum_rate": [*NOT_A_NUMBER, -1, -0.001],
    "RetryBudget.burst": [*NOT_POSITIVE, 0.999],
    "Breaker.failure_threshold": unless_none(NOT_A_COUNT),
    "Breaker.recovery_timeout": NOT_POSITIVE,
    "Breaker.half_open_max_calls": NOT_A_COUNT,
    "Breaker.failure_rate": [*unless_none(NOT_POSITIVE), 1.001, 50],
    "Breaker.slow_call_rate": [*unless_none(NOT_POSITIVE), 1.001, 50],
    "Breaker.slow_call_duration": NOT_POSITIVE,
    "Breaker.window": [*NOT_A_COUNT, 1025],
    "Breaker.window_seconds": [*unless_none(NOT_POSITIVE), 0.0009],
    "Breaker.minimum_calls": NOT_A_COUNT,
    "Breaker.recovery_growth": [*NOT_A_NUMBER, 0, -2, 0.999],
    "Breaker.recovery_cap": [*unless_none(NOT_POSITIVE), 29.9],
    "Breaker.recovery_jitter": [*NOT_A_NUMBER, -0.1, 1.001],
    "Breaker.success_threshold": unless_none(NOT_A_COUNT),
    "Breaker.half_open_timeout": unless_none(NOT_POSITIVE),
    "Breaker.guards": ["none", "Retries", "", 1, True, None],
    "Throttle.ratio": [*NOT_A_NUMBER, 0, -2, 0.999],
    "Throttle.window": [*NOT_POSITIVE, 0.0009],
    "Policy.timeout": NOT_POSITIVE,
    "Policy.retry": [3, True, "naive", {"attempts": 3}, Backoff()],
    "Policy.breaker": [5, True, {"failure_threshold": 5}, CircuitBreaker()],
    "Policy.fallback": ["Try again soon.", True, {"message": "Try again soon."}],
    "Policy.throttle": [2.0, True, {"ratio": 2.0}, RetryBudget()],
}
KINDS = {kind.__name__: kind for kind in (Backoff, Retry, RetryBudget, Breaker, Throttle, Policy)}


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in OUT_OF_RANGE.items() for value in values]
)
def test_a_parameter_out_of_range_is_refused_by_name(parameter: str, value: Any) -> None:
    kind, _, name = parameter.partition(".")
    with pytest.raises(ValueError, match=rf"^{parameter} must be .+, not "):
        KINDS[kind](**{name: value})


@pytest.mark.parametrize("parameter", [name for name in OUT_OF_RANGE if name.startswith("Breaker.")])
def test_the_circuit_breaker_refuses_what_its_value_refuses(parameter: str) -> None:
    with pytest.raises(ValueError, match=parameter):
        CircuitBreaker(**{parameter.partition(".")[2]: -1})


def test_the_edges_of_the_ranges_are_inside() -> None:
    Backoff(base=1e-9, factor=1, cap=1e-9, jitter="none")
    Retry(attempts=1, total_time=1e-9, final_reserve=0)
    Retry(final_reserve=0.999, retry_after_limit=0)
    RetryBudget(ratio=0, minimum_rate=0, burst=1)
    RetryBudget(ratio=1)
    Breaker(failure_threshold=1, recovery_timeout=1e-9, half_open_max_calls=1)
    Throttle(ratio=1, window=0.001)
    Throttle(ratio=1e300, window=1e300)


def seconds(least: float = 1e-6) -> st.SearchStrategy[float]:
    return st.floats(least, 1e9, allow_subnormal=False)


def backoffs() -> st.SearchStrategy[Backoff]:
    jitters = st.sampled_from(list(JITTERS))
    return st.builds(
        lambda base, factor, more, jitter: Backoff(base, factor, base + more, jitter),
        seconds(), st.floats(1.0, 100.0), st.floats(0.0, 1e9), jitters,
    )  # fmt: skip


def retries() -> st.SearchStrategy[Retry]:
    reserve = st.floats(0.0, 1.0, exclude_max=True)
    limit = st.none() | st.floats(0.0, 1e9, allow_subnormal=False)
    return st.builds(
        Retry, st.integers(1, 10**9), st.none() | seconds(), reserve, backoffs(), limit, st.booleans(),
        st.none() | budgets(),
    )  # fmt: skip


def budgets() -> st.SearchStrategy[RetryBudget]:
    share = st.floats(0.0, 1.0, allow_subnormal=False)
    deposit = st.sampled_from(["call", "success"])
    return st.builds(RetryBudget, share, deposit, st.just(0.0) | seconds(), st.floats(1.0, 1e9))


def breakers() -> st.SearchStrategy[Breaker]:
    count, rate = st.integers(1, 10**9), st.none() | st.floats(1e-6, 1.0)
    return st.builds(
        Breaker, st.none() | count, seconds(), count, rate, rate, seconds(), st.integers(1, 1024),
        st.none() | seconds(0.001), count, st.floats(1.0, 100.0), st.none() | st.just(1e9), st.floats(0.0, 1.0),
        st.none() | count, st.none() | st.just(1e9), st.sampled_from(["all", "retries"]),
    )  # fmt: skip


def fallbacks() -> st.SearchStrategy[Fallback]:
    plain = st.text() | st.integers() | st.booleans()
    return st.dictionaries(st.from_regex(r"[a-z]{1,9}_", fullmatch=True), plain, min_size=1).map(
        lambda named: Fallback(**named)
    )


def policies() -> st.SearchStrategy[Policy]:
    throttles = st.builds(Throttle, st.floats(1.0, 1e9), seconds(0.001))
    parts = (retries(), breakers(), fallbacks(), throttles)
    return st.builds(Policy, seconds(), *(st.none() | part for part in parts))


@given(policies())
def test_a_policy_prints_as_the_code_that_makes_it(policy: Policy) -> None:
    again = eval(repr(policy))
    assert again == policy
    assert hash(again) == hash(policy)


@given(policies())
def test_a_notebook_shows_the_same_code_in_lines_that_fit(policy: Policy) -> None:
    shown = pretty(policy)
    assert eval(shown) == policy
    assert "".join(shown.split()) == "".join(repr(policy).split())


def test_a_line_that_fits_a_notebook_is_not_torn() -> None:
    assert max(len(line) for line in pretty(Policy.recommended()).splitlines()) <= 79


@given(policies())
def test_a_policy_survives_json(policy: Policy) -> None:
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False))) == policy


@given(policies())
def test_what_a_policy_becomes_is_plain_and_has_no_none(policy: Policy) -> None:
    """TOML knows neither None nor a class of ours."""

    def leaves(value: Any) -> list[Any]:
        return [leaf for part in value.values() for leaf in leaves(part)] if isinstance(value, dict) else [value]

    assert {type(leaf) for leaf in leaves(policy.to_dict())} <= {int, float, str, bool}


def test_a_dict_may_leave_out_what_has_a_default() -> None:
    assert Policy.from_dict({}) == Policy.none()
    assert Backoff.from_dict({"base": 3}) == Backoff(base=3.0)
    assert Breaker.from_dict({"failure_threshold": 2}) == Breaker(2)
    assert Policy.from_dict({"breaker": {}}).breaker == Breaker()
    assert RetryBudget.from_dict({"ratio": 0.2}) == RetryBudget(0.2)
    assert Retry.from_dict({"budget": {}}).budget == RetryBudget()
    assert Policy.from_dict({"throttle": {}}).throttle == Throttle()


def test_a_limit_that_a_dict_leaves_out_is_none_and_so_is_that_of_an_old_recording() -> None:
    """Recordings made before Retry-After could be obeyed say nothing of it: it was not obeyed."""
    old = Retry.from_dict({"attempts": 10, "final_reserve": 0.0, "backoff": {"base": 2.0, "factor": 1.0, "cap": 2.0}})
    assert (old.total_time, old.retry_after_limit, old.wait_for_probe, old.budget) == (None, None, False, None)
    fixed = Backoff(2.0, 1.0, 2.0, "none")
    assert Retry.from_dict({**old.to_dict(), "backoff": fixed.to_dict()}) == Policy.naive().retry
    assert "retry_after_limit" not in old.to_dict() and "budget" not in old.to_dict()


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        (Policy, {"timeuot": 1.0}, "Policy has no field 'timeuot'; its fields are timeout, retry, breaker, fallback,"),
        (Policy, {"retry": {"attempt": 1}}, "Retry has no field 'attempt'"),
        (Policy, {"retry": {"backoff": {"jitter_code": 1}}}, "Backoff has no field 'jitter_code'"),
        (Policy, {"retry": {"total_time_limit": 1.0}}, "Retry has no field 'total_time_limit'"),
        (Policy, {"retry": {"longest_retry_after": 1.0}}, "Retry has no field 'longest_retry_after'"),
        (Policy, {"retry": {"budget": {"per_success": 1}}}, "RetryBudget has no field 'per_success'"),
        (Policy, {"retry": {"budget": 0.1}}, "RetryBudget must be a table of its fields, not 0.1"),
        (Policy, {"retry": {"budget": {"ratio": 2}}}, "RetryBudget.ratio must be a number from 0 to 1, not 2"),
        (Policy, {"breaker": {"windows": 20}}, "Breaker has no field 'windows'"),
        (Policy, {"throttle": {"k": 2}}, "Throttle has no field 'k'; its fields are ratio, window"),
        (Policy, {"breaker": {"failure_threshold": "5"}}, "Breaker.failure_threshold must be"),
        (Policy, {"retry": 3}, "Retry must be a table of its fields, not 3"),
        (Policy, [], "Policy must be a table"),
        (Backoff, {1: 2}, "Backoff has no field 1"),
    ],
)
def test_a_wrong_dict_is_refused_by_name(kind: Any, data: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        kind.from_dict(data)
    assert str(error.value).startswith(sentence)


def test_the_presets() -> None:
    assert Policy.none() == Policy(timeout=10.0, retry=None, breaker=None)
    naive = Policy.naive()
    assert naive.breaker is None and naive.retry is not None
    assert naive.retry.total_time is None and naive.retry.attempts > 3
    assert {naive.retry.backoff.delay(attempt, 2.0, 0.9) for attempt in (1, 2, 9)} == {2.0}
    best = Policy.recommended()
    assert best.breaker is not None and best.retry is not None
    assert best.retry.backoff.jitter == "full" and best.retry.total_time is not None
    assert best.retry.final_reserve > 0.0
    assert naive.retry.retry_after_limit is None and best.retry.retry_after_limit is not None
    sdk = Policy.openai_sdk()
    assert sdk.timeout == 600.0 and sdk.breaker is None and sdk.retry is not None
    assert sdk.retry.backoff == Backoff(base=0.5, factor=2.0, cap=8.0, jitter="sdk")
    assert (sdk.retry.attempts, sdk.retry.total_time, sdk.retry.final_reserve) == (3, None, 0.0)
    assert (sdk.retry.retry_after_limit, sdk.retry.budget) == (120.0, None)


@pytest.mark.parametrize("value", [Policy.recommended(), Retry(), Backoff(), RetryBudget(), Breaker(), Throttle()])
def test_a_value_cannot_be_changed(value: Any) -> None:
    for name in [*value.to_dict(), "something_new"]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(value, name, 1.0)


def test_values_are_compared_by_what_they_hold() -> None:
    assert {Policy.recommended(): "a"}[Policy.recommended()] == "a"
    assert Policy(timeout=1) == Policy(timeout=1.0)
    assert Policy.naive() != Policy.none()
    assert Backoff(jitter="full") != Backoff(jitter="none")
    assert Retry(total_time=None) != Retry()
    assert Retry(retry_after_limit=None) != Retry()
    assert Retry(budget=RetryBudget()) != Retry()
