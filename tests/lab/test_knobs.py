"""Every knob sets what it says, and every parameter has one or a reason to have none."""

from dataclasses import fields

import pytest

from breakerlab.lab.knobs import POLICY_KNOBS, SCENARIO_KNOBS, WITHOUT_A_KNOB, Knob, knob, presets
from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle
from breakerlab.replay import App, Fault, RateLimit, Scenario, Service

EVERYTHING = Policy(
    retry=Retry(budget=RetryBudget()),
    breaker=Breaker(5, failure_rate=0.5, slow_call_rate=0.5),
    fallback=Fallback(**{"cached answer": "an old one"}),
    throttle=Throttle(),
)
POLICIES = {**{preset.name: preset.policy for preset in presets()}, "everything": EVERYTHING}
PARTS = {
    Policy: ("retry", "breaker"),  # parts whose own parameters have knobs
    Retry: ("backoff", "budget"),
    Service: (),
    App: (),
    Fault: (),
    Backoff: (),
    Breaker: (),
    RetryBudget: (),
    Throttle: (),
    RateLimit: (),
}
CALLED = {
    "Service.time": "answer_seconds",
    "Fault.end": "fault_length",
    "RateLimit.requests": "rate_limit",
    "RetryBudget.ratio": "budget_ratio",
    "Throttle.ratio": "throttle",
    "Throttle.window": "throttle_window",
}
names = pytest.mark.parametrize("one", [*POLICY_KNOBS, *SCENARIO_KNOBS], ids=lambda one: one.name)


def subject_of(one: Knob, scenario: Scenario) -> Policy | Scenario:
    return EVERYTHING if one in POLICY_KNOBS else scenario


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("one", POLICY_KNOBS, ids=lambda one: one.name)
def test_putting_back_what_a_knob_says_changes_nothing(one: Knob, policy: Policy) -> None:
    if one.counts(policy):
        again = one.put(policy, one.get(policy))
        assert again == policy or (policy.retry is None and one.put(again, one.get(again)) == again)
        assert one.get(again) == one.get(policy)


@names
def test_every_value_of_a_knob_is_kept_or_refused_in_a_sentence(one: Knob, scenario: Scenario) -> None:
    subject = subject_of(one, scenario)
    kept = 0
    for value in one.values:
        try:
            changed = one.put(subject, value)
        except ValueError as error:
            assert str(error)  # an impossible combination
            continue
        kept += 1
        if one.counts(changed):
            assert one.get(changed) == pytest.approx(value) if isinstance(value, float) else one.get(changed) == value
    assert kept >= 2


@names
def test_what_a_policy_or_scenario_has_can_be_chosen(one: Knob, scenario: Scenario) -> None:
    value = one.get(subject_of(one, scenario))
    options = one.options(subject_of(one, scenario))
    assert value in [chosen for _, chosen in options]
    assert all(isinstance(told, str) and told for told, _ in options)
    assert len({told for told, _ in options}) == len(options)


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_every_parameter_has_a_knob_or_a_reason(kind: type) -> None:
    known = {one.name for one in (*POLICY_KNOBS, *SCENARIO_KNOBS)}
    for field in fields(kind):
        full = f"{kind.__name__}.{field.name}"
        called = {field.name, CALLED.get(full), f"{'budget' if kind is RetryBudget else 'fault'}_{field.name}"}
        if field.init and field.name not in PARTS[kind]:
            assert (full in WITHOUT_A_KNOB) != bool(called & known), full


def test_reasons_are_for_parameters_that_exist() -> None:
    exist = {f"{kind.__name__}.{field.name}" for kind in PARTS for field in fields(kind)}
    assert set(WITHOUT_A_KNOB) <= exist


def test_labels_and_names_are_unique_within_what_is_shown_together() -> None:
    for knobs in (POLICY_KNOBS, SCENARIO_KNOBS):
        assert len({one.label for one in knobs}) == len(knobs)
    assert knob("attempts").label == "Retry cap"
    with pytest.raises(KeyError):
        knob("no such knob")


def test_a_fallback_keeps_its_answers_and_a_rate_limit_its_tokens(scenario: Scenario) -> None:
    assert dict(knob("fallback").put(EVERYTHING, ("simpler model", "cached answer")).fallback.chain) == {
        "simpler model": "a plainer answer",
        "cached answer": "an old one",
    }
    limited = knob("rate_limit").put(scenario, 60.0)
    assert limited.service.rate_limit == RateLimit(requests=60.0)
    assert knob("rate_limit").put(limited, None).service.rate_limit is None
