"""Sliders and the cascade: what another policy would have made of the same callers and the same fault."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as widgets

from breakerlab.lab.charts import PANELS, cascade, series
from breakerlab.lab.widget import figure_widget
from breakerlab.policy import Breaker, Policy, Retry
from breakerlab.policy.backoff import JITTERS
from breakerlab.replay import Run, Scenario, replay

OFF = "off"
THRESHOLDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
RECOVERY_SECONDS = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0)
MOST_ATTEMPTS = 10
BIN = 2.0
YOURS = "your policy"


class RunPanel(widgets.VBox):
    """The cascade of a fixed run and of yours, which begins the same and is played anew while a slider is dragged.

    `run` is your run, `figure` what is drawn: the panels of `columns`, in `height` px.
    """

    columns: Sequence[str] = tuple(panel.column for panel in PANELS)
    height = 556

    def __init__(self, fixed: Run, name: str, sliders: Sequence[widgets.Widget], play: Callable[[], Run]) -> None:
        """fixed: the run that stays, and its name. play: your run, as the sliders have it."""
        self.run, self._play = fixed, play
        drawn = cascade({name: fixed, YOURS: fixed}, bin=BIN, height=self.height, columns=self.columns)
        self.figure = figure_widget(drawn)
        self._readout = widgets.Label(self.told(YOURS, fixed))
        half = (len(sliders) + 1) // 2
        controls = widgets.HBox([widgets.VBox(sliders[:half]), widgets.VBox(sliders[half:])])
        super().__init__([controls, widgets.Label(self.told(name, fixed)), self._readout, self.figure])
        for one in sliders:
            one.observe(self._redraw, names="value")

    def told(self, name: str, run: Run) -> str:
        """A run in one line, above the chart."""
        n = run.summary()
        return (
            f"{name}: {n['answered']:,.0f} of {n['requests']:,.0f} LLM requests answered in time; "
            f"{n['attempts']:,.0f} attempts; {n['other_failed']:,.0f} of {n['other_requests']:,.0f} other requests "
            f"failed; {n['restarts']:.0f} restarts."
        )

    def _redraw(self, change: Any) -> None:
        self.run = self._play()
        drawn = series(self.run, BIN)
        yours = self.figure.data[-len(self.columns) - 1 :]
        with self.figure.batch_update():
            for line, column in zip(yours, self.columns, strict=False):
                line.x, line.y = drawn["time"], drawn[column]
            yours[-1].x, yours[-1].y = drawn["restart_time"], drawn["restart_height"]
        self._readout.value = self.told(YOURS, self.run)


class CascadePanel(RunPanel):
    """The cascade under a fixed policy and under yours, redrawn while a slider is dragged; yours begins the same.

    `threshold`, `recovery`, `jitter` and `attempts` are the sliders: set their `value` to move them from code.
    `policy` is what they say, `run` what came of it, `figure` what is drawn.
    """

    def __init__(self, scenario: Scenario, policy: Policy, *, name: str, seed: int = 0) -> None:
        self._start = policy
        retry, breaker = policy.retry or Retry(attempts=1, total_time=None), policy.breaker
        threshold = OFF if breaker is None else breaker.failure_threshold
        recovery = 5.0 if breaker is None else breaker.recovery_timeout
        self.threshold = slider(
            "Breaker opens after",
            [(OFF, OFF), *((_counted(n, "failure"), n) for n in _with(THRESHOLDS, threshold))],
            threshold,
            "failures in a row; off: no breaker",
        )
        self.recovery = slider(
            "Tries again after",
            [(f"{seconds:g} s", seconds) for seconds in _with(RECOVERY_SECONDS, recovery)],
            recovery,
            "seconds from opening to the next probe",
        )
        self.attempts = slider(
            "Retry cap",
            [(_counted(n, "attempt"), n) for n in _with(range(1, MOST_ATTEMPTS + 1), retry.attempts)],
            retry.attempts,
            "attempts per request, the first included",
        )
        self.jitter = slider(
            "Jitter",
            [(name, name) for name in JITTERS],
            retry.backoff.jitter,
            "how the delay before a retry is drawn",
        )
        sliders = (self.threshold, self.recovery, self.attempts, self.jitter)
        super().__init__(
            replay(scenario, policy, seed), name, sliders, play=lambda: replay(scenario, self.policy, seed)
        )

    @property
    def policy(self) -> Policy:
        """The fixed policy, with what the sliders say in its place."""
        return replace(self._start, retry=self._retry(), breaker=self._breaker())

    def _retry(self) -> Retry | None:
        if self._start.retry is None and self.attempts.value == 1:
            return None
        retry = self._start.retry or Retry(total_time=None)
        backoff = replace(retry.backoff, jitter=self.jitter.value)
        return replace(retry, attempts=self.attempts.value, backoff=backoff)

    def _breaker(self) -> Breaker | None:
        if self.threshold.value == OFF:
            return None
        start = self._start.breaker or Breaker()
        return replace(start, failure_threshold=self.threshold.value, recovery_timeout=self.recovery.value)


def _with(offered: Iterable[Any], value: Any) -> list[Any]:
    """The offered values in order, and among them the one that the policy has."""
    return sorted({*offered} | ({value} - {OFF}))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def slider(label: str, options: list[tuple[str, Any]], value: Any, meaning: str) -> widgets.SelectionSlider:
    """A slider over `options`, (shown, value), that works by mouse and by the arrow keys."""
    return widgets.SelectionSlider(
        description=label,
        options=options,
        value=value,
        tooltip=meaning,
        continuous_update=True,
        style={"description_width": "140px"},
        layout={"width": "400px"},
    )
