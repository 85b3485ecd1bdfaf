"""The panel, moved from code as a person moves it."""

import pytest

from breakerlab.lab import CascadePanel
from breakerlab.policy import Breaker, Policy, Retry
from breakerlab.replay import Scenario, replay


@pytest.fixture
def panel(scenario: Scenario) -> CascadePanel:
    return CascadePanel(scenario, Policy.naive(), name="naive retries")


def yours(panel: CascadePanel) -> list[list[float | None]]:
    return [list(line.y) for line in panel.figure.data if line.name == "your policy"]


def test_it_starts_with_the_policy_it_was_given(panel: CascadePanel) -> None:
    assert panel.policy == Policy.naive()


@pytest.mark.parametrize(
    ("slider", "value"), [("threshold", 5), ("attempts", 2), ("jitter", "full"), ("jitter", "additive")]
)
def test_each_slider_changes_what_is_drawn_and_only_your_line(panel: CascadePanel, slider: str, value: object) -> None:
    before = yours(panel)
    others = [list(line.y) for line in panel.figure.data if line.name == "naive retries"]
    getattr(panel, slider).value = value
    assert yours(panel) != before
    assert [list(line.y) for line in panel.figure.data if line.name == "naive retries"] == others


def test_the_recovery_slider_counts_once_there_is_a_breaker(panel: CascadePanel) -> None:
    panel.threshold.value = 5
    before = yours(panel)
    panel.recovery.value = 20
    assert yours(panel) != before
    assert panel.policy.breaker == Breaker(failure_threshold=5, recovery_timeout=20.0)


def test_the_breaker_makes_the_cascade_vanish(panel: CascadePanel) -> None:
    assert panel.run.summary()["restarts"] >= 1
    panel.threshold.value = 5
    assert panel.run.summary()["restarts"] == 0
    assert panel.run.summary()["other_failed"] == 0


def test_what_is_drawn_is_the_replay_of_the_policy_shown(panel: CascadePanel, scenario: Scenario) -> None:
    panel.threshold.value, panel.attempts.value, panel.jitter.value = 3, 4, "full"
    again = replay(scenario, panel.policy)
    assert panel.run.summary() == pytest.approx(again.summary(), nan_ok=True)


def test_back_at_the_start_the_drawing_is_as_it_was(panel: CascadePanel) -> None:
    before = yours(panel)
    panel.threshold.value = 5
    panel.threshold.value = "off"
    assert yours(panel) == before


@pytest.mark.parametrize(
    "policy",
    [
        Policy.none(),
        Policy.recommended(),
        Policy(retry=Retry(attempts=17), breaker=Breaker(7, recovery_timeout=12.5, half_open_max_calls=2)),
    ],
    ids=["none", "recommended", "off the scale"],
)
def test_any_policy_can_be_the_start(scenario: Scenario, policy: Policy) -> None:
    panel = CascadePanel(scenario, policy, name="start")
    assert panel.policy == policy
    panel.attempts.value = 3
    assert panel.policy.retry is not None
    assert panel.policy.retry.attempts == 3
    assert panel.policy.breaker == policy.breaker
