"""The C# of Polly: no compiler is at hand, so its arithmetic is read, and its strings and brackets are checked."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.lab.export import export
from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle

from .policies import policies

STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def text_of(policy: Policy) -> str:
    return export(policy, "polly").text


def sentences(policy: Policy) -> str:
    return "\n".join(export(policy, "polly").cannot)


def option(text: str, name: str) -> str:
    (found,) = re.findall(rf"^\s+{name} = (?:static args => )?(.*),$", text, re.M)
    return found


def evaluated(expression: str, u: float = 0.0, **names: float) -> float:
    """The value of a C# expression of plain arithmetic."""
    python = expression.replace("Random.Shared.NextDouble()", "u").replace("args.", "")
    python = re.sub(r"(?:ValueTask\.FromResult|TimeSpan\.FromSeconds)", "", python)
    python = python.replace("Math.Min", "min").replace("Math.Max", "max").replace("Math.Pow", "power")
    power = lambda a, b: math.inf if b * math.log2(a) > 1000 else a**b  # noqa: E731  (C#'s gives infinity)
    return float(eval(python, {"__builtins__": {}, "min": min, "max": max, "power": power, "u": u, **names}))


@given(policies())
def test_brackets_match_and_the_limits_of_polly_hold(policy: Policy) -> None:
    text = text_of(policy)
    code = re.sub(r"//.*", "", STRING.sub('""', text))
    assert code.isascii()
    opened = []
    for bracket in re.findall(r"[()\[\]{}]", code):
        if bracket in "([{":
            opened.append(bracket)
        else:
            assert opened.pop() + bracket in ("()", "[]", "{}")
    assert opened == []
    assert text.rstrip().endswith("    .Build();")
    for name, least, most in [("MinimumThroughput", 2, 2**31 - 1), ("MaxRetryAttempts", 1, 2**31 - 1)]:
        for number in re.findall(rf"{name} = (\d+),", text):
            assert least <= int(number) <= most
    for name in ("SamplingDuration", "BreakDuration"):
        for number in re.findall(rf"{name} = TimeSpan.FromSeconds\(([^)]+)\),", text):
            assert 0.5 <= float(number) <= 86_400
    for number in re.findall(r"AddTimeout\(TimeSpan.FromSeconds\(([^)]+)\)\)", text):
        assert 0.01 <= float(number) <= 86_400


def test_strategies_stand_from_the_outermost_to_the_innermost() -> None:
    policy = Policy(timeout=7.0, retry=Retry(total_time=20.0), breaker=Breaker(), fallback=Fallback("resting"))
    added = re.findall(r"\.Add(\w+)\((?:TimeSpan\.FromSeconds\(([\d.]+)\))?", text_of(policy))
    assert added == [("Fallback", ""), ("Timeout", "20.0"), ("Retry", ""), ("CircuitBreaker", ""), ("Timeout", "7.0")]
    assert re.findall(r"\.Add(\w+)", text_of(Policy.none())) == ["Timeout"]
    assert re.findall(r"\.Add(\w+)", text_of(Policy.naive())) == ["Retry", "Timeout"]


@pytest.mark.parametrize("jitter", ["none", "full", "equal", "additive", "sdk"])
@given(attempt=st.integers(1, 40), u=st.floats(0.0, 1.0, exclude_max=True))
def test_waits_are_those_of_the_policy(jitter: str, attempt: int, u: float) -> None:
    backoff = Backoff(base=0.3, factor=1.7, cap=20.0, jitter=jitter)
    text = text_of(Policy(retry=Retry(attempts=50, backoff=backoff)))
    term, wait = re.findall(r"double (?:term|wait) = (.*);", text)
    term_now = evaluated(term, AttemptNumber=attempt - 1)  # Polly counts from 0
    assert evaluated(wait, u, term=term_now) == pytest.approx(backoff.delay(attempt, 0.0, u))


@given(previous=st.floats(0.0, 20.0), u=st.floats(0.0, 1.0, exclude_max=True))
def test_decorrelated_waits_are_those_of_the_policy(previous: float, u: float) -> None:
    backoff = Backoff(base=0.3, cap=20.0, jitter="decorrelated")
    last, wait = re.findall(r"double (?:last|wait) = (.*);", text_of(Policy(retry=Retry(backoff=backoff))))
    last = last.replace("args.Context.Properties.GetValue(previous, 0.0)", "before")
    now = evaluated(wait, u, last=evaluated(last, before=previous))
    assert now == pytest.approx(backoff.delay(2, previous, u))


def test_retry_after_is_added_up_to_its_limit() -> None:
    text = text_of(Policy(retry=Retry(attempts=5, retry_after_limit=12.5)))
    assert "MaxRetryAttempts = 4," in text
    assert "AskedFor(args.Outcome) <= TimeSpan.FromSeconds(12.5)" in text
    assert "AskedFor(args.Outcome) + TimeSpan.FromSeconds(wait)" in text
    assert "AskedFor" not in text_of(Policy.naive())


def test_a_refusal_is_retried_only_where_probes_are_waited_for() -> None:
    assert "error is not (OperationCanceledException or BrokenCircuitException)" in text_of(Policy.recommended())
    assert "RetryAfter ??" not in text_of(Policy.recommended())
    waiting = Policy(retry=Retry(wait_for_probe=True), breaker=Breaker())
    assert "(Failed(args.Outcome) || args.Outcome.Exception is BrokenCircuitException) &&" in text_of(waiting)
    assert "BrokenCircuitException)?.RetryAfter ??" in text_of(waiting)


def test_failures_in_a_row() -> None:
    policy = Policy(breaker=Breaker(failure_threshold=7, recovery_timeout=12.0))
    text = text_of(policy)
    assert [option(text, n) for n in ("FailureRatio", "MinimumThroughput", "BreakDuration")] == [
        "1.0", "7", "TimeSpan.FromSeconds(12.0)",
    ]  # fmt: skip
    assert "not on 7 in a row" in sentences(policy)
    assert "MinimumThroughput = 2," in text_of(Policy(breaker=Breaker(failure_threshold=1)))
    assert "of 1 is written as 2" in sentences(Policy(breaker=Breaker(failure_threshold=1)))


def test_rates() -> None:
    timed = Policy(breaker=Breaker(failure_rate=0.35, window_seconds=90.0, minimum_calls=15))
    text = text_of(timed)
    assert [option(text, n) for n in ("FailureRatio", "MinimumThroughput", "SamplingDuration")] == [
        "0.35", "15", "TimeSpan.FromSeconds(90.0)",
    ]  # fmt: skip
    assert "window" not in sentences(timed)
    assert "not the last 20 calls" in sentences(Policy(breaker=Breaker(failure_rate=0.35)))
    slow = Breaker(slow_call_rate=0.5)
    assert "AddCircuitBreaker" not in text_of(Policy(breaker=slow))
    assert f"{slow!r} is left out" in sentences(Policy(breaker=slow))


@given(openings=st.integers(0, 30), u=st.floats(0.0, 1.0, exclude_max=True))
def test_the_break_grows_and_is_jittered_as_the_policys(openings: int, u: float) -> None:
    rules = Breaker(recovery_timeout=0.2, recovery_growth=3.0, recovery_cap=40.0, recovery_jitter=0.25)
    drawn = option(text_of(Policy(breaker=rules)), "BreakDurationGenerator")
    expected = min(0.2 * 3.0**openings, 40.0) * (1.0 + 0.25 * u)
    assert evaluated(drawn, u, HalfOpenAttempts=openings) == pytest.approx(expected)


@given(st.text())
def test_a_message_is_a_string_of_ascii(message: str) -> None:
    text = text_of(Policy(fallback=Fallback(message)))
    literal = re.search(rf"new StringContent\(({STRING.pattern}), Encoding", text).group(1)
    assert literal.isascii()
    assert json.loads(literal) == message  # \uXXXX, and nothing else escaped: the same in JSON and C#


def test_other_answers_of_a_fallback() -> None:
    mixed = Policy(fallback=Fallback(small=lambda error: "", cache={"a": 1}, message="resting"))
    text = text_of(mixed)
    assert "// TODO: first small" in text
    assert '"{\\u0022a\\u0022: 1}", Encoding.UTF8, "application/json"' in text
    assert "resting" not in text
    assert "after 'cache' are left out, since that one never fails: 'message'" in sentences(mixed)
    assert "throw new NotImplementedException();" in text_of(Policy(fallback=Fallback(len)))


def test_what_polly_has_not() -> None:
    budget, throttle = RetryBudget(), Throttle()
    rules = Breaker(half_open_max_calls=2, success_threshold=3, guards="retries")
    said = sentences(Policy(retry=Retry(budget=budget), breaker=rules, throttle=throttle))
    for part in (
        repr(budget),
        repr(throttle),
        "up to 2 in flight and asks for 3",
        "first attempts too",
        "22.5 s",
        "300.0 s",
    ):
        assert part in said
