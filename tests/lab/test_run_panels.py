"""The panels of notebooks 05 and 06, moved from code as a person moves them."""

from collections.abc import Callable
from typing import Any

import pytest

from breakerlab.lab.fallback_panel import CHAIN, FallbackPanel
from breakerlab.lab.overload import ONE_RETRY, overload, ways
from breakerlab.lab.overload_panel import OverloadPanel, WaysPanel
from breakerlab.lab.run_panel import RunPanel
from breakerlab.lab.show import bundle
from breakerlab.policy import Policy
from breakerlab.replay import Scenario, replay

Make = Callable[[str], Any]


@pytest.fixture
def make(scenario: Scenario) -> Make:
    made: dict[str, Callable[[], RunPanel]] = {
        "overload": OverloadPanel,
        "ways": lambda: WaysPanel(ways()),
        "fallback": lambda: FallbackPanel(scenario),
    }
    return lambda name: made[name]()


def drawn(panel: Any) -> list[list[float]]:
    return [list(line.y) for line in panel.figure.data]


MOVES = [
    ("overload", "load", 140.0), ("overload", "outage", 0.5), ("overload", "attempts", 1),
    ("overload", "timeout", 10.0),
    ("ways", "load", 140.0), ("ways", "outage", 0.5), ("ways", "way", "circuit breaker"), ("ways", "turned_away", 1.0),
    ("ways", "seconds", 180.0),
    ("fallback", "at_a_time", 8), ("fallback", "takes", 4.0), ("fallback", "cached", 0.9),
    ("fallback", "first", "ten attempts"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "slider", "value"), MOVES)
def test_each_slider_changes_what_is_drawn_and_back_at_the_start_it_is_as_before(
    make: Make, name, slider, value
) -> None:
    panel = make(name)
    control, before, told = getattr(panel, slider), drawn(panel), panel.told()
    start = control.value
    control.value = value
    assert drawn(panel) != before
    assert panel.told() != told
    control.value = start
    assert drawn(panel) == before
    assert panel.told() == told


@pytest.mark.parametrize(("name", "slider", "value"), MOVES)
def test_what_is_drawn_anew_is_what_would_be_drawn_at_first(make: Make, name, slider, value) -> None:
    panel = make(name)
    getattr(panel, slider).value = value
    assert panel.chart.drawn == bundle(panel.draw())


def test_the_sentence_stands_above_the_chart(make: Make) -> None:
    panel = make("overload")
    panel.load.value = 140.0
    assert panel.told() in [getattr(child, "value", None) for child in panel.children]
    assert panel.told().startswith("Back 149 s after the outage. ")


def test_the_run_is_the_replay_of_what_the_sliders_say(make: Make) -> None:
    panel = make("ways")
    panel.way.value, panel.turned_away.value, panel.seconds.value, panel.load.value = "no retry", 0.9, 30.0, 240.0
    scenario = overload(240, 10, turned_away=0.9, seconds=30)
    assert panel.run.summary() == replay(scenario, ways()["no retry"].policy).summary()
    turned_away = len(overload(240).arrivals(0)) - len(scenario.arrivals(0))
    assert panel.told().startswith("No retry: ")
    assert panel.told().endswith(f"{turned_away:,} turned away.")


def test_a_way_that_changes_the_service_is_played_on_that_service(make: Make) -> None:
    panel = make("ways")
    panel.move(way="last in, first out", turned_away=0.0)
    way = ways()["last in, first out"]
    assert panel.run.summary() == replay(overload(280, 10, service=way.service), way.policy).summary()


def test_with_nobody_turned_away_it_is_the_overload_itself(make: Make) -> None:
    panel = make("ways")
    panel.turned_away.value = 0.0
    assert panel.told().endswith("8,493 of 95,404 callers answered, 0 turned away.")
    assert panel.run.summary() == replay(overload(280, 10), ONE_RETRY).summary()


def test_sliders_are_moved_by_name(make: Make) -> None:
    panel = make("overload")
    panel.move(load=140, attempts=3)
    assert (panel.load.value, panel.attempts.value) == (140.0, 3)
    assert panel.run.summary()["amplification"] > 2.5


def test_a_message_is_not_counted_as_an_answer(make: Make) -> None:
    panel = make("fallback")
    n = panel.run.summary()
    assert n["served_by_message"] > 0
    assert panel.told().startswith(
        f"{n['answered'] - n['served_by_message']:,.0f} answers, {n['served_by_message']:,.0f} messages, 0 errors; "
    )
    assert panel.run.policy.fallback == CHAIN
    assert panel.run.policy.retry == Policy.recommended().retry


def test_after_ten_patient_attempts_nobody_is_left_for_a_fallback(make: Make) -> None:
    panel = make("fallback")
    panel.first.value = "ten attempts"
    n = panel.run.summary()
    assert n["served_by_small_model"] + n["served_by_cache"] + n["served_by_message"] == 0
