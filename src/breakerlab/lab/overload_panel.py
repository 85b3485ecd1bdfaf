"""Two panels on the overload that outlives its cause: what decides whether it does, and what ends it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import plotly.graph_objects as go
from ipywidgets import SelectionSlider

from breakerlab.lab.charts.overload import fate, overload
from breakerlab.lab.overload import ONE_RETRY, RETRY, SERVICE, Way
from breakerlab.lab.overload import overload as scenario
from breakerlab.lab.run_panel import RunPanel, slider
from breakerlab.replay import Run, replay

LOADS: Final = (60, 80, 100, 120, 140, 150, 160, 200, 240, 260, 280, 290)
OUTAGES: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0)
ATTEMPTS: Final = (1, 2, 3, 4)
TIMEOUTS: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
SHARES: Final = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0)
LENGTHS: Final = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0, 120.0, 150.0, 180.0)
HEIGHT: Final = 420  # px: sliders, sentence and chart are seen at once on a laptop


class OverloadPanel(RunPanel):
    """A load, an outage, and how often and how long callers try; the run is drawn anew while a slider is dragged.

    `load`, `outage`, `attempts` and `timeout` are the sliders.
    """

    def __init__(self) -> None:
        self.load, self.outage = _load(), _outage()
        self.attempts = slider("Attempts", [(str(n), n) for n in ATTEMPTS], 2, "per caller, the first included")
        self.timeout = slider("Timeout", _seconds(TIMEOUTS), 1.0, "seconds after which an attempt is given up")
        super().__init__([[self.load, self.outage], [self.attempts, self.timeout]])

    def play(self) -> Run:
        """The run that the sliders ask for."""
        policy = replace(ONE_RETRY, timeout=self.timeout.value, retry=replace(RETRY, attempts=self.attempts.value))
        return replay(scenario(self.load.value, self.outage.value, service=SERVICE), policy)

    def draw(self) -> go.Figure:
        """Callers, attempts and answers, and the queue."""
        return overload(self.run, height=HEIGHT)

    def told(self) -> str:
        """When it was over, and who was answered."""
        n = self.run.summary()
        return (
            f"{fate(self.run)}. {n['answered']:,.0f} of {n['requests']:,.0f} callers answered; "
            f"{n['amplification']:.2f} attempts for each."
        )


class WaysPanel(RunPanel):
    """A load, an outage, one of several ways to meet it, and callers turned away at the door from second 100 on.

    `load`, `outage`, `way`, `turned_away` and `seconds` are the sliders. At first half of the callers are turned away
    for a minute.
    """

    def __init__(self, ways: Mapping[str, Way]) -> None:
        """ways: by name, at least one; the first is shown at first."""
        self._ways = dict(ways)
        self.load, self.outage = _load(), _outage()
        self.way = slider("What is done", [(name, name) for name in ways], next(iter(ways)), "one change at a time")
        self.way.readout = False  # too narrow for the names, which the sentence tells
        shares = [(f"{share:.0%}", share) for share in SHARES]
        self.turned_away = slider("Turned away", shares, 0.5, "share of all callers, at the door, from second 100 on")
        self.seconds = slider("Turned away for", _seconds(LENGTHS), 60.0, "seconds, from second 100 on")
        super().__init__([[self.way, self.turned_away, self.seconds], [self.load, self.outage]])

    def play(self) -> Run:
        """The run that the sliders ask for."""
        way = self._ways[self.way.value]
        door = {"turned_away": self.turned_away.value, "seconds": self.seconds.value}
        return replay(scenario(self.load.value, self.outage.value, service=way.service, **door), way.policy)

    def draw(self) -> go.Figure:
        """Callers, attempts and answers, and the queue."""
        return overload(self.run, height=HEIGHT)

    def told(self) -> str:
        """When it was over, who was answered, and who was turned away."""
        n = self.run.summary()
        everybody = len(scenario(self.load.value, self.outage.value).arrivals(self.run.seed))
        refused = everybody - int(n["requests"])
        answered = f"{n['answered']:,.0f} of {everybody:,} callers answered, {refused:,} turned away."
        return f"{self.way.value.capitalize()}: {fate(self.run).lower()}; {answered}"


def _load() -> SelectionSlider:
    return slider("Load", [(f"{load} /s", float(load)) for load in LOADS], 280.0, "callers per second")


def _outage() -> SelectionSlider:
    return slider("Outage", _seconds(OUTAGES), 10.0, "seconds without service, from second 30 on")


def _seconds(values: tuple[float, ...]) -> list[tuple[str, float]]:
    return [(f"{value:g} s", value) for value in values]
