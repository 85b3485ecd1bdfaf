"""The two that say everything: Python that makes the policy, JSON that is read back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.lab.export import export, policy_from_json
from breakerlab.policy import Breaker, Fallback, Policy

from .policies import policies


def made_by(text: str, **known: Any) -> dict[str, Any]:
    names = dict(known)
    exec(compile(text, "export", "exec"), names)
    return names


@given(policies())
def test_the_python_makes_the_policy(policy: Policy) -> None:
    made = export(policy, "python", name="search")
    assert made.cannot == ()
    names = made_by(made.text)
    assert names["policy"] == policy
    assert names["guard"].policy == policy
    assert names["guard"].name == "search"


@given(policies())
def test_json_goes_there_and_back(policy: Policy) -> None:
    made = export(policy, "json")
    assert made.cannot == ()
    assert json.loads(made.text) == policy.to_dict()
    assert policy_from_json(made.text) == policy


def small_model(error: object) -> str:
    return "small"


def test_a_function_of_the_fallback_is_named_and_must_be_brought() -> None:
    policy = Policy(fallback=Fallback(first=small_model, second=lambda error: "", third=object(), message="resting"))
    made = export(policy, "python")
    assert len(made.cannot) == 3
    given_back = made_by(made.text, small_model=small_model, second=policy.fallback.chain[1][1], third=object())
    assert [name for name, _ in given_back["policy"].fallback.chain] == ["first", "second", "third", "message"]
    assert given_back["policy"].fallback.chain[:2] == policy.fallback.chain[:2]
    assert "small_model: yours" in made.text


def test_a_fallbacks_name_may_be_any_text() -> None:
    policy = Policy(fallback=Fallback(**{"two words": 1, "class": None}))
    assert made_by(export(policy, "python").text)["policy"] == policy
    assert policy_from_json(export(policy, "json").text) == policy


@pytest.mark.parametrize("answer", [small_model, object(), float("nan"), {(1, 2): 3}])
def test_json_says_what_it_cannot_hold(answer: object) -> None:
    made = export(Policy(fallback=Fallback(answer)), "json")
    assert len(made.cannot) == 1
    assert "cannot be read back" in made.cannot[0]
    with pytest.raises(ValueError, match=r"^Fallback\."):
        policy_from_json(made.text)


@pytest.mark.parametrize("answer", [(1, 2), {1: "one"}])
def test_json_says_what_comes_back_otherwise(answer: object) -> None:
    made = export(Policy(fallback=Fallback(answer)), "json")
    assert "comes back as" in made.cannot[0]
    policy_from_json(made.text)


WRONG = {
    "": "not JSON: Expecting value in line 1, column 1",
    "[]": "a policy must be a JSON object, {...}, not list",
    "{": "not JSON: Expecting property name enclosed in double quotes in line 1, column 2",
    '{"timeout": NaN}': "NaN is no number in JSON",
    '{"timeout": 1e999}': "Policy.timeout must be a finite number above 0, not inf",
    '{"timeout": "1"}': "Policy.timeout must be a finite number above 0, not '1'",
    '{"timeout": null}': "Policy.timeout must be a finite number above 0, not None",
    '{"timeout": 1, "timeout": 2}': "the key 'timeout' stands twice in one JSON object",
    '{"time_out": 1}': "Policy has no field 'time_out'; its fields are timeout, retry, breaker, fallback, throttle",
    '{"retry": 5}': "Retry must be a table of its fields, not 5",
    '{"retry": {"backoff": {"cap": 0.5}}}': "Backoff.cap must be at least Backoff.base (1 s), not 0.5 s",
    '{"retry": {"attempts": 1.5}}': "Retry.attempts must be a whole number of at least 1, not 1.5",
    '{"breaker": {"guards": "some"}}': "Breaker.guards must be one of 'all', 'retries', not 'some'",
    '{"fallback": {}}': "Fallback needs an answer",
    "[" * 90_000: "nested too deeply",
    '{"timeout": ' + "9" * 5000 + "}": "Exceeds the limit",
    " " * 100_001: "at most 100,000 characters, not 100,001",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_wrong_json_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        policy_from_json(text)
    message = str(caught.value)
    assert WRONG[text] in message
    assert "\n" not in message
    assert len(message) <= 300
    assert type(caught.value) is ValueError


def test_only_text_is_read() -> None:
    with pytest.raises(ValueError, match="must be text, not bytes"):
        policy_from_json(b"{}")  # type: ignore[arg-type]


def test_an_error_is_no_longer_than_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"^Policy\.timeout must .{1,300}$"):
        policy_from_json(json.dumps({"timeout": "x" * 5000}))


def keys() -> st.SearchStrategy[str]:
    fields = ["timeout", "retry", "breaker", "fallback", "throttle", "backoff", "budget", "value", "function"]
    return st.sampled_from([*fields, *Breaker.__dataclass_fields__]) | st.text(max_size=5)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keys(), ANYTHING))
def test_whatever_is_read_is_a_policy_or_a_value_error(data: dict[str, Any]) -> None:
    try:
        assert isinstance(policy_from_json(json.dumps(data)), Policy)
    except ValueError as error:
        assert len(str(error)) <= 300
