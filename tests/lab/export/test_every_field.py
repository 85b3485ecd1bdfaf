"""No setting is dropped in silence: whatever a field is changed to, each target's text or its list of what it cannot
express changes with it."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from breakerlab.lab.export import TARGETS, export
from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle

from .policies import FIELDS, changed, effective, policies

PLAIN = ("python", "json")  # they hold every setting, those without effect too


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=300)
@given(policy=policies(), data=st.data())
def test_each_field_changed_alone_changes_the_export(target: str, policy: Policy, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(FIELDS)))
    other = changed(policy, path, data.draw(st.sampled_from(FIELDS[path])))
    assume(other is not None and other != policy)
    assume(target in PLAIN or effective(other) != effective(policy))
    one, two = export(policy, target), export(other, target)
    assert (one.text, one.cannot) != (two.text, two.cannot), f"{'.'.join(path)} is dropped"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_the_property_reaches_every_field(target: str, path: tuple[str, ...]) -> None:
    """From a policy in which everything has an effect, every field changed alone, to every value."""
    policy = full()
    for new in FIELDS[path]:
        other = changed(policy, path, new)
        if other is None or other == policy or (target not in PLAIN and effective(other) == effective(policy)):
            continue
        one, two = export(policy, target), export(other, target)
        assert (one.text, one.cannot) != (two.text, two.cannot), f"{'.'.join(path)} = {new!r} is dropped"


def full() -> Policy:
    return Policy(
        timeout=9.0,
        retry=Retry(attempts=6, total_time=40.0, backoff=Backoff(base=0.4, factor=2.5, cap=5.0), budget=RetryBudget()),
        breaker=Breaker(
            failure_threshold=4,
            failure_rate=0.4,
            slow_call_rate=0.3,
            slow_call_duration=3.0,
            window=30,
            minimum_calls=12,
            recovery_timeout=4.0,
            recovery_growth=3.0,
            recovery_cap=50.0,
            recovery_jitter=0.2,
            half_open_max_calls=2,
            success_threshold=4,
            half_open_timeout=90.0,
        ),
        fallback=Fallback("the one and only"),
        throttle=Throttle(ratio=2.2, window=77.0),
    )


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(policy=policies())
def test_each_sentence_is_one_and_ends(target: str, policy: Policy) -> None:
    made = export(policy, target)
    assert len(set(made.cannot)) == len(made.cannot)
    for sentence in made.cannot:
        assert sentence == " ".join(sentence.split())
        assert sentence[-1] in ".)"
        assert "None" not in sentence.replace("[1, None]", "")
