"""The scenario "with every feature on" has every feature on, today's and tomorrow's."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

import every_feature
import pytest

from breakerlab.policy import Breaker, Policy
from breakerlab.replay import App, Fault, Llm, RateLimit, Service, Standby, replay

POLICIES = every_feature.every_rule()
RETRIES = [policy.retry for policy in POLICIES]
# A window is one of calls or one of time.
OFF_ON_PURPOSE = {"Breaker.window_seconds"}
PARTS = {
    Service: [every_feature.SERVICE],
    Llm: [every_feature.SERVICE.time],
    RateLimit: [every_feature.SERVICE.rate_limit],
    Fault: every_feature.FAULTS,
    App: [every_feature.APP],
    Standby: every_feature.APP.fallbacks.values(),
    Policy: POLICIES,
    Breaker: [policy.breaker for policy in POLICIES if policy.breaker],
    type(RETRIES[0]): RETRIES,
    **{type(recipe): [recipe] for recipe in every_feature.ARRIVALS[:2]},
}


def switches(kind: type) -> Iterator[tuple[str, Any]]:
    """Name and default of the fields that are a feature to be switched on: those off, empty or a word by default."""
    for each in fields(kind):
        default = default_of(each)
        if each.init and (isinstance(default, bool | str) or default in (None, 0.0, (), {})):
            yield each.name, default


def default_of(each: "Field[Any]") -> Any:
    return each.default_factory() if each.default_factory is not MISSING else each.default


def test_every_feature_is_on() -> None:
    off = {
        f"{kind.__name__}.{name}"
        for kind, values in PARTS.items()
        for name, default in switches(kind)
        if name != "endpoint" and all(getattr(value, name) == default for value in values)
    }
    assert off == OFF_ON_PURPOSE


def test_it_has_as_many_requests_as_its_name_says() -> None:
    assert len(every_feature.every_feature().arrivals(seed=1)) == pytest.approx(20_000, rel=0.03)


def test_its_features_do_something() -> None:
    found = replay(every_feature.every_feature(), POLICIES, seed=1).summary()
    happened = ("status_503", "status_429", "timeouts", "rejected", "other_requests", "served_by_small_model")
    assert {name for name in happened if not found[name] > 0} == set()
