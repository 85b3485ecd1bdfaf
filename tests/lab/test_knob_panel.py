"""A panel of chosen knobs, moved from code as a person moves it."""

from dataclasses import replace

import pytest

from breakerlab.lab.knob_panel import KnobPanel, with_values
from breakerlab.policy import Breaker, Policy
from breakerlab.replay import Scenario, replay

CLIENTS = with_values("instances", 1, 10, label="Clients", told=str)
KNOBS = (with_values("window", 2, 5, 10, 50), "failure_rate", CLIENTS, "attempts")
START = replace(Policy.recommended(), breaker=Breaker(failure_rate=0.5, window=10, recovery_timeout=5.0))


@pytest.fixture
def panel(scenario: Scenario) -> KnobPanel:
    return KnobPanel(scenario, START, KNOBS, name="window of 10")


def lines(panel: KnobPanel, name: str) -> list[list[float | None]]:
    return [list(line.y) for line in panel.figure.data if line.name == name]


def test_it_starts_with_what_it_was_given(panel: KnobPanel, scenario: Scenario) -> None:
    assert panel.policy == START
    assert panel.scenario.app == scenario.app
    assert lines(panel, "your policy") == lines(panel, "window of 10")


@pytest.mark.parametrize(
    ("slider", "value"), [("window", 50), ("failure_rate", 1.0), ("instances", 10), ("attempts", 1)]
)
def test_each_slider_changes_what_is_drawn_and_only_your_line(panel: KnobPanel, slider: str, value: object) -> None:
    fixed, before, told = lines(panel, "window of 10"), lines(panel, "your policy"), panel.children[2].value
    panel.sliders[slider].value = value
    assert lines(panel, "your policy") != before
    assert lines(panel, "window of 10") == fixed
    assert panel.children[2].value != told


def test_what_is_drawn_is_the_replay_of_the_sliders(panel: KnobPanel) -> None:
    panel.sliders["window"].value, panel.sliders["instances"].value = 5, 10
    assert panel.policy.breaker == replace(START.breaker, window=5)
    assert panel.scenario.app.instances == 10
    again = replay(panel.scenario, panel.policy)
    assert panel.run.summary() == pytest.approx(again.summary(), nan_ok=True)
    n = again.summary()
    assert f"{n['answered']:,.0f} of {n['requests']:,.0f} requests answered in time" in panel.children[2].value


def test_a_rule_can_be_switched_off_and_on_again(panel: KnobPanel) -> None:
    panel.sliders["failure_rate"].value = "off"
    assert panel.policy.breaker is None
    panel.sliders["failure_rate"].value = 0.5
    assert panel.policy == START


def test_only_attempts_breaker_and_answers_are_drawn(panel: KnobPanel) -> None:
    assert len(lines(panel, "your policy")) == 4  # and the marks of restarts
    assert panel.figure.layout.yaxis3.title.text == "per s"
    assert "yaxis4" not in panel.figure.layout


def test_sliders_have_labels_for_people(panel: KnobPanel) -> None:
    labels = [slider.description for slider in panel.sliders.values()]
    assert labels == ["Window", "Failure rate", "Clients", "Retry cap"]
    assert [label for label, _ in panel.sliders["window"].options] == ["2 calls", "5 calls", "10 calls", "50 calls"]
    assert [label for label, _ in panel.sliders["instances"].options] == ["1", "10"]
    assert all(slider.tooltip for slider in panel.sliders.values())


def test_an_unknown_knob_is_refused(scenario: Scenario) -> None:
    with pytest.raises(KeyError, match="speed"):
        KnobPanel(scenario, START, ["speed"], name="x")
