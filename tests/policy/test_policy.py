"""A whole policy as one value: every part of it prints, compares and travels."""

import copy
import dataclasses
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.policy import Backoff, Breaker, Fallback, Guard, Policy, Retry, RetryBudget, Throttle

PRESETS = {
    "none": Policy.none(),
    "naive": Policy.naive(),
    "openai_sdk": Policy.openai_sdk(),
    "recommended": Policy.recommended(),
}
WHOLE = Policy(
    timeout=8.0,
    retry=Retry(
        attempts=3,
        total_time=20.0,
        final_reserve=0.4,
        backoff=Backoff(base=0.5, factor=3.0, cap=9.0, jitter="decorrelated"),
        retry_after_limit=12.0,
        wait_for_probe=True,
        budget=RetryBudget(ratio=0.2, deposit="success", minimum_rate=0.1, burst=5.0),
    ),
    breaker=Breaker(
        failure_threshold=4,
        recovery_timeout=11.0,
        half_open_max_calls=2,
        failure_rate=0.6,
        slow_call_rate=0.7,
        slow_call_duration=3.0,
        window=30,
        window_seconds=60.0,
        minimum_calls=12,
        recovery_growth=2.0,
        recovery_cap=90.0,
        recovery_jitter=0.1,
        success_threshold=3,
        half_open_timeout=25.0,
        guards="retries",
    ),
    fallback=Fallback(model=None, message="Try again soon."),
    throttle=Throttle(ratio=1.5, window=30.0),
)


def some(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_subnormal=False)


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


BACKOFFS = st.builds(
    lambda base, factor, more, jitter: Backoff(base, factor, base + more, jitter),
    some(1e-6, 1e6),
    some(1.0, 50.0),
    some(0.0, 1e6),
    st.sampled_from(["none", "full", "equal", "decorrelated", "additive", "sdk"]),
)
BUDGETS = st.builds(RetryBudget, some(0.0, 1.0), st.sampled_from(["call", "success"]), some(0.0, 1e3), some(1.0, 1e6))
RETRIES = st.builds(
    Retry,
    attempts=st.integers(1, 10**9),
    total_time=maybe(some(1e-6, 1e6)),
    final_reserve=st.floats(0.0, 1.0, exclude_max=True),
    backoff=BACKOFFS,
    retry_after_limit=maybe(some(0.0, 1e6)),
    wait_for_probe=st.booleans(),
    budget=maybe(BUDGETS),
)
BREAKERS = st.builds(
    lambda recovery, more, **fields: Breaker(
        recovery_timeout=recovery, recovery_cap=None if more is None else recovery + more, **fields
    ),
    some(1e-6, 1e6),
    maybe(some(0.0, 1e6)),
    failure_threshold=maybe(st.integers(1, 10**9)),
    half_open_max_calls=st.integers(1, 10**9),
    failure_rate=maybe(some(1e-6, 1.0)),
    slow_call_rate=maybe(some(1e-6, 1.0)),
    slow_call_duration=some(1e-6, 1e6),
    window=st.integers(1, 1024),
    window_seconds=maybe(some(0.001, 1e6)),
    minimum_calls=st.integers(1, 10**9),
    recovery_growth=some(1.0, 50.0),
    recovery_jitter=some(0.0, 1.0),
    success_threshold=maybe(st.integers(1, 10**9)),
    half_open_timeout=maybe(some(1e3, 1e6)),
    guards=st.sampled_from(["all", "retries"]),
)
FALLBACKS = st.dictionaries(
    st.sampled_from(["message", "cache", "small model", "class", "self"]),
    st.none() | st.booleans() | st.integers() | some(-1e9, 1e9) | st.text(),
    min_size=1,
).map(lambda answers: Fallback(**answers))
THROTTLES = st.builds(Throttle, some(1.0, 1e6), some(0.001, 1e6))
POLICIES = st.builds(Policy, some(1e-6, 1e3), maybe(RETRIES), maybe(BREAKERS), maybe(FALLBACKS), maybe(THROTTLES))


@given(POLICIES)
def test_a_policy_prints_as_the_code_that_makes_it(policy: Policy) -> None:
    again = eval(repr(policy))
    assert again == policy
    assert hash(again) == hash(policy)


@given(POLICIES)
def test_a_policy_survives_json(policy: Policy) -> None:
    again = Policy.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False)))
    assert again == policy
    assert repr(again) == repr(policy)


@given(POLICIES)
def test_a_policy_survives_pickle_and_copy(policy: Policy) -> None:
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert copy.deepcopy(policy) == policy
    assert dataclasses.replace(policy) == policy


@given(POLICIES)
def test_every_policy_makes_a_guard(policy: Policy) -> None:
    guard = policy.guard("llm", clock=lambda: 0.0)
    assert isinstance(guard, Guard)
    assert (guard.policy, guard.name) == (policy, "llm")
    assert (guard.breaker is None) == (policy.breaker is None)
    if guard.breaker is not None:
        assert guard.breaker.config == policy.fitted_breaker()
        assert guard.breaker.name == "llm"
    budget = None if policy.retry is None else policy.retry.budget
    assert (None if guard.bucket is None else guard.bucket.budget) == budget
    assert (None if guard.throttle is None else guard.throttle.config) == policy.throttle


def parts(policy: Policy) -> list[Any]:
    assert policy.retry is not None
    within = [policy.retry.backoff, policy.retry.budget]
    return [policy, policy.retry, *within, policy.breaker, policy.fallback, policy.throttle]


@pytest.mark.parametrize("part", parts(WHOLE), ids=lambda part: type(part).__name__)
def test_a_whole_policy_is_frozen(part: Any) -> None:
    for name in [*(field.name for field in dataclasses.fields(part)), "something_new"]:
        with pytest.raises((AttributeError, TypeError)):
            setattr(part, name, 1.0)
    assert not hasattr(part, "__dict__")


def changed(data: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """The dict with another value in one place."""
    key, *rest = path
    if rest:
        return {**data, key: changed(data[key], rest)}
    value = data[key]
    others = {"deposit": "call", "jitter": "none", "guards": "all", "message": {"value": "!"}, "model": {"value": 1}}
    number = not value if isinstance(value, bool) else math.nan if isinstance(value, dict) else value
    if not isinstance(value, bool) and isinstance(value, int | float):
        number = value * 1.25 if isinstance(value, float) else value + 1
    return {**data, key: others.get(key, number)}


def leaves(data: dict[str, Any], *above: str) -> list[list[str]]:
    """The path to each parameter of a policy; an answer of a fallback is one."""
    found: list[list[str]] = []
    for key, value in data.items():
        if isinstance(value, dict) and above != ("fallback",):
            found += leaves(value, *above, key)
        else:
            found.append([*above, key])
    return found


@pytest.mark.parametrize("path", leaves(WHOLE.to_dict()), ids=".".join)
def test_every_parameter_makes_a_difference(path: list[str]) -> None:
    other = Policy.from_dict(changed(WHOLE.to_dict(), path))
    assert other != WHOLE
    assert repr(other) != repr(WHOLE)
    assert Policy.from_dict(other.to_dict()) == other


def test_a_whole_policy_has_every_parameter_away_from_its_default() -> None:
    """So that the test above leaves none out."""
    assert len(leaves(WHOLE.to_dict())) == 1 + 5 + 4 + 4 + 15 + 2 + 2


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_value_like_any_other(name: str) -> None:
    policy = PRESETS[name]
    assert getattr(Policy, name)() == policy
    assert eval(repr(policy)) == policy
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert {policy: name}[getattr(Policy, name)()] == name
    assert len(set(PRESETS.values())) == len(PRESETS)


def test_the_preset_of_the_openai_sdk() -> None:
    policy = Policy.openai_sdk()
    assert policy.retry is not None
    assert (policy.timeout, policy.retry.attempts, policy.retry.total_time) == (600.0, 3, None)
    assert policy.retry.retry_after_limit == 120.0
    backoff = policy.retry.backoff
    assert [backoff.delay(attempt, 0.0, 0.0) for attempt in (1, 2, 5, 6, 5000)] == [0.5, 1.0, 8.0, 8.0, 8.0]
    assert backoff.delay(1, 0.0, 1.0) == pytest.approx(0.375)
    assert policy.breaker is None


def test_the_naive_preset_waits_two_seconds_whatever_the_server_asks() -> None:
    policy = Policy.naive()
    assert policy.retry is not None
    assert (policy.retry.attempts, policy.retry.total_time, policy.retry.retry_after_limit) == (10, None, None)
    assert policy.retry.next_start(1, 0.0, 5.0, policy.retry.backoff.delay(1, 0.0, 0.7), 3600.0) == 7.0


def test_the_recommended_preset_keeps_within_its_time() -> None:
    policy = Policy.recommended()
    assert policy.retry is not None
    assert policy.breaker is not None
    assert (policy.retry.total_time, policy.retry.final_reserve, policy.retry.attempts) == (15.0, 0.25, 3)
    assert policy.retry.backoff.jitter == "full"
    breaker = policy.guard("llm").breaker
    assert breaker is not None
    assert breaker.half_open_timeout >= policy.timeout


def test_a_probe_must_be_given_the_time_that_a_call_has() -> None:
    with pytest.raises(ValueError) as caught:
        Policy(timeout=61.0, breaker=Breaker(half_open_timeout=60.0))
    assert str(caught.value) == (
        "Breaker.half_open_timeout (60 s) must be at least Policy.timeout (61 s): a slower probe would be given up, "
        "and its success could not close the circuit"
    )
    Policy(timeout=61.0, breaker=Breaker(half_open_timeout=61.0))
    for timeout, longest in ((1.0, 60.0), (61.0, 61.0), (600.0, 600.0)):
        breaker = Policy(timeout=timeout, breaker=Breaker()).guard("llm").breaker
        assert breaker is not None
        assert breaker.half_open_timeout == longest


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"fall_back": {}}, "Policy has no field 'fall_back'; its fields are timeout, retry, breaker, fallback,"),
        ({"retry": {"budget": {"rate": 1}}}, "RetryBudget has no field 'rate'; its fields are ratio, deposit,"),
        ({"retry": {"budget": {"per_success": 1}}}, "RetryBudget has no field 'per_success'"),
        ({"retry": {"retries": 3}}, "Retry has no field 'retries'; its fields are attempts, total_time,"),
        ({"retry": {"backoff": {"max": 3}}}, "Backoff has no field 'max'; its fields are base, factor, cap, jitter"),
        ({"breaker": {"fail_max": 3}}, "Breaker has no field 'fail_max'; its fields are failure_threshold,"),
        ({"retry": {"budget": 3}}, "RetryBudget must be a table of its fields, not 3"),
        ({"breaker": [1]}, "Breaker must be a table of its fields, not [1]"),
        ({"fallback": "sorry"}, "Fallback must be a table of its answers, not 'sorry'"),
        ({"fallback": {}}, "Fallback needs an answer"),
        ({"timeout": "10"}, "Policy.timeout must be a finite number above 0, not '10'"),
    ],
)
def test_a_wrong_dict_is_refused_by_name(data: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Policy.from_dict(data)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("fallback", ["sorry", len, {"message": "sorry"}, True])
def test_a_fallback_must_be_one(fallback: Any) -> None:
    with pytest.raises(ValueError, match=r"^Policy\.fallback must be a Fallback or None, not "):
        Policy(fallback=fallback)


def test_a_part_that_is_off_has_no_key_and_none_means_off() -> None:
    assert Policy.none().to_dict() == {"timeout": 10.0}
    assert Policy.from_dict({"retry": None, "breaker": None, "fallback": None, "throttle": None}) == Policy.none()


@pytest.mark.parametrize("other", [None, 10.0, "none", (10.0, None, None, None), {"timeout": 10.0}, Retry(), object()])
def test_a_policy_equals_nothing_of_another_kind(other: object) -> None:
    assert Policy.none() != other
    assert (Policy.none() == other) is False
