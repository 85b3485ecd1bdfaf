"""The Spring properties: they parse, and what resilience4j's source makes of the numbers is what the policy does."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from breakerlab.lab.export import export
from breakerlab.policy import Backoff, Breaker, CircuitBreaker, Fallback, Policy, Retry, RetryBudget, Throttle

from .policies import policies

JITTERED = ["none", "full", "equal", "additive", "sdk"]


def settings_of(policy: Policy, name: str = "llm") -> dict[str, Any]:
    data = yaml.safe_load(export(policy, "resilience4j", name=name).text)["resilience4j"]
    return {part: instances["instances"][name] for part, instances in data.items()}


def sentences(policy: Policy) -> str:
    return "\n".join(export(policy, "resilience4j").cannot)


def seconds(duration: str) -> float:
    """As Spring Boot reads a duration of a number and a unit."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|d)", duration).groups()
    return int(number) * {"ms": 0.001, "s": 1.0, "d": 86_400.0}[unit]


def interval(waits: dict[str, Any], attempt: int, u: float) -> float:
    """IntervalFunction.ofExponentialRandomBackoff: the draw about a growing middle, then the cap."""
    middle = seconds(waits["waitDuration"]) * waits["exponentialBackoffMultiplier"] ** (attempt - 1)
    delta = waits.get("randomizedWaitFactor", 0.0) * middle
    return min(middle - delta + u * 2.0 * delta, seconds(waits["exponentialMaxWaitDuration"]))


@given(policies())
def test_every_policy_gives_yaml_of_known_properties(policy: Policy) -> None:
    made = settings_of(policy)
    assert set(made) <= {"circuitbreaker", "retry", "timelimiter"}
    for part, given_settings in made.items():
        assert set(given_settings) <= KNOWN[part]
        for name, value in given_settings.items():
            if "Duration" in name:
                assert seconds(value) >= 0.001
    rules = made.get("circuitbreaker", {})
    if rules:
        assert not (rules.get("enableExponentialBackoff") and rules.get("enableRandomizedWait"))  # refused at start
        assert 0 < rules["failureRateThreshold"] <= 100
        assert 0 < rules["slowCallRateThreshold"] <= 100
    for name in ("slidingWindowSize", "minimumNumberOfCalls", "permittedNumberOfCallsInHalfOpenState"):
        assert 1 <= rules.get(name, 1) < 2**31


KNOWN = {
    "circuitbreaker": {
        "slidingWindowType", "slidingWindowSize", "minimumNumberOfCalls", "failureRateThreshold",
        "slowCallRateThreshold", "slowCallDurationThreshold", "waitDurationInOpenState", "enableExponentialBackoff",
        "exponentialBackoffMultiplier", "exponentialMaxWaitDurationInOpenState", "enableRandomizedWait",
        "randomizedWaitFactor", "permittedNumberOfCallsInHalfOpenState", "maxWaitDurationInHalfOpenState",
    },
    "retry": {
        "maxAttempts", "waitDuration", "enableExponentialBackoff", "exponentialBackoffMultiplier",
        "exponentialMaxWaitDuration", "enableRandomizedWait", "randomizedWaitFactor", "ignoreExceptions",
    },
    "timelimiter": {"timeoutDuration", "cancelRunningFuture"},
}  # fmt: skip


@pytest.mark.parametrize("jitter", JITTERED)
@given(attempt=st.integers(1, 6), u=st.floats(0.0, 1.0, exclude_max=True))
def test_waits_are_drawn_as_by_the_policy(jitter: str, attempt: int, u: float) -> None:
    backoff = Backoff(base=0.8, factor=1.5, cap=100.0, jitter=jitter)
    waits = settings_of(Policy(retry=Retry(attempts=8, backoff=backoff)))["retry"]
    ours = backoff.delay(attempt, 0.0, 1.0 - u if jitter == "sdk" else u)
    assert interval(waits, attempt, u) == pytest.approx(ours, abs=1e-6)


@pytest.mark.parametrize("u", [0.0, 0.3, 0.999])
def test_the_first_decorrelated_wait_is_drawn_alike(u: float) -> None:
    backoff = Backoff(base=0.8, jitter="decorrelated")
    waits = settings_of(Policy(retry=Retry(backoff=backoff)))["retry"]
    assert interval(waits, 1, u) == pytest.approx(backoff.delay(1, 0.0, u))


def test_waits_beyond_the_cap_pile_up_there_and_it_says_so() -> None:
    backoff = Backoff(base=1.0, factor=2.0, cap=4.0, jitter="full")
    far = Policy(retry=Retry(attempts=8, backoff=backoff))
    waits = settings_of(far)["retry"]
    assert [interval(waits, 7, u) for u in (0.1, 0.5, 0.9)] == [4.0, 4.0, 4.0]
    assert "waits are exactly 4.0 s" in sentences(far)
    assert "waits are exactly" not in sentences(Policy(retry=Retry(attempts=4, backoff=backoff)))  # 1, 2, 4
    assert "waits are exactly" in sentences(Policy(retry=Retry(attempts=5, backoff=backoff)))


def test_the_additive_jitter_may_pass_the_cap_by_half_as_the_policys() -> None:
    backoff = Backoff(base=1.0, factor=2.0, cap=4.0, jitter="additive")
    waits = settings_of(Policy(retry=Retry(attempts=4, backoff=backoff)))["retry"]
    assert interval(waits, 3, 0.999) == pytest.approx(backoff.delay(3, 0.0, 0.999))
    assert interval(waits, 3, 0.999) > 5.9


@given(st.integers(1, 6), st.lists(st.booleans(), max_size=40))
def test_failures_in_a_row_and_the_window_written_open_at_the_same_call(calls: int, outcomes: list[bool]) -> None:
    """What the sentence says, by our own breaker under both rules."""
    made = settings_of(Policy(breaker=Breaker(failure_threshold=calls)))["circuitbreaker"]
    assert made["slidingWindowType"] == "COUNT_BASED"
    window = {"window": made["slidingWindowSize"], "minimum_calls": made["minimumNumberOfCalls"]}
    both = (
        CircuitBreaker(failure_threshold=calls),
        CircuitBreaker(failure_rate=made["failureRateThreshold"] / 100, **window),
    )
    for failed in outcomes:
        for circuit in both:
            if circuit.state == "closed":
                permit = circuit.acquire()
                permit.failure() if failed else permit.success()
        assert both[0].state == both[1].state


def test_a_breaker_of_rates() -> None:
    rules = Breaker(failure_rate=0.35, slow_call_rate=0.8, slow_call_duration=2.5, window=40, minimum_calls=15)
    made = settings_of(Policy(breaker=rules))["circuitbreaker"]
    assert made["slidingWindowType"] == "COUNT_BASED"
    assert (made["slidingWindowSize"], made["minimumNumberOfCalls"]) == (40, 15)
    assert (made["failureRateThreshold"], made["slowCallRateThreshold"]) == (35, 80)
    assert made["slowCallDurationThreshold"] == "2500ms"
    timed = settings_of(Policy(breaker=Breaker(failure_rate=0.35, window_seconds=90.0)))["circuitbreaker"]
    assert (timed["slidingWindowType"], timed["slidingWindowSize"]) == ("TIME_BASED", 90)
    assert seconds(timed["slowCallDurationThreshold"]) > 1e7  # 100 % of calls over 60 s is resilience4j's default
    assert "window_seconds of 90.4 s is written as 90 s" in sentences(
        Policy(breaker=Breaker(failure_rate=0.5, window_seconds=90.4))
    )
    small = Breaker(failure_rate=0.5, window=4, minimum_calls=10)  # a full window is enough
    assert settings_of(Policy(breaker=small))["circuitbreaker"]["minimumNumberOfCalls"] == 4


@pytest.mark.parametrize("u", [0.0, 0.4, 0.999])
def test_recovery(u: float) -> None:
    jittered = settings_of(Policy(breaker=Breaker(recovery_timeout=20.0, recovery_jitter=0.5)))["circuitbreaker"]
    middle, factor = seconds(jittered["waitDurationInOpenState"]), jittered["randomizedWaitFactor"]
    assert jittered["enableRandomizedWait"] is True
    assert middle * (1 - factor) + u * 2 * factor * middle == pytest.approx(20.0 * (1.0 + 0.5 * u))
    growing = Policy(breaker=Breaker(recovery_timeout=20.0, recovery_growth=2.0, recovery_jitter=0.5))
    made = settings_of(growing)["circuitbreaker"]
    assert (made["waitDurationInOpenState"], made["exponentialBackoffMultiplier"]) == ("20s", 2)
    assert made["exponentialMaxWaitDurationInOpenState"] == "200s"
    assert "the jitter of 0.5 is left out" in sentences(growing)


def test_half_open() -> None:
    policy = Policy(timeout=100.0, breaker=Breaker(half_open_max_calls=2, success_threshold=4))
    made = settings_of(policy)["circuitbreaker"]
    assert made["permittedNumberOfCallsInHalfOpenState"] == 4
    assert made["maxWaitDurationInHalfOpenState"] == "100s"  # a policy's probes may take its timeout
    assert "decides the half-open state after 4 of 4 probes" in sentences(policy)
    assert "lets all 4 probes go at the same time; the policy has at most 2 in flight" in sentences(policy)
    few = Policy(breaker=Breaker(failure_rate=0.5, minimum_calls=3, half_open_max_calls=5))
    assert "decides the half-open state after 3 of 5 probes" in sentences(few)
    assert "decides" not in sentences(Policy(breaker=Breaker()))  # one probe: the same in both


def test_the_retry_and_what_an_open_circuit_is_to_it() -> None:
    policy = Policy.recommended()
    made = settings_of(policy)
    assert made["retry"]["maxAttempts"] == 3
    assert made["retry"]["ignoreExceptions"] == ["io.github.resilience4j.circuitbreaker.CallNotPermittedException"]
    assert made["timelimiter"]["timeoutDuration"] == "10s"
    waiting = Policy(retry=Retry(wait_for_probe=True), breaker=Breaker())
    assert "ignoreExceptions" not in settings_of(waiting)["retry"]
    assert "does not wait for the next probe" in sentences(waiting)


def test_what_there_is_no_property_for() -> None:
    budget, throttle = RetryBudget(), Throttle()
    policy = Policy(
        retry=Retry(budget=budget), breaker=Breaker(guards="retries"), throttle=throttle, fallback=Fallback("resting")
    )
    said = sentences(policy)
    for part in (repr(budget), repr(throttle), "'resting'", "30.0 s", "final_reserve 0.25", "above 60.0 s", "first"):
        assert part in said
    only_timeout = export(Policy.none(), "resilience4j")
    assert len(only_timeout.cannot) == 1
    assert "time limiter works on methods" in only_timeout.cannot[0]


@pytest.mark.parametrize("name", ["yes", "No", "on", "null", "true", "y"])
def test_a_name_that_is_a_word_of_yaml_stays_a_name(name: str) -> None:
    assert settings_of(Policy.none(), name)["timelimiter"]["timeoutDuration"] == "10s"


def test_rounding_is_said() -> None:
    policy = Policy(timeout=0.1234567, retry=Retry(backoff=Backoff(base=0.00125, jitter="none")))
    assert settings_of(policy)["timelimiter"]["timeoutDuration"] == "123ms"
    assert "timeout of 0.1234567 s is written as 123 ms" in sentences(policy)
    assert "the middle of the first wait of 0.00125 s is written as 1 ms" in sentences(policy)
    exact = Policy(timeout=0.123, retry=Retry(backoff=Backoff(base=0.1, jitter="equal")))  # 0.75 * 0.1 is not 0.075
    assert settings_of(exact)["retry"]["waitDuration"] == "75ms"
    assert "is written as" not in sentences(exact)
