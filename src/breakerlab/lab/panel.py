"""Four sliders and the cascade: what another policy would have made of the same callers and the same fault."""

from collections.abc import Iterable
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


class CascadePanel(widgets.VBox):
    """The cascade under a fixed policy and under yours, redrawn while a slider is dragged; yours begins the same.

    `threshold`, `recovery`, `jitter` and `attempts` are the sliders: set their `value` to move them from code.
    `policy` is what they say, `run` what came of it, `figure` what is drawn.
    """

    def __init__(self, scenario: Scenario, policy: Policy, *, name: str, seed: int = 0) -> None:
        self._scenario, self._start, self._seed = scenario, policy, seed
        before = self.run = replay(scenario, policy, seed)
        retry, breaker = policy.retry or Retry(attempts=1, total_time=None), policy.breaker
        threshold = OFF if breaker is None else breaker.failure_threshold
        recovery = 5.0 if breaker is None else breaker.recovery_timeout
        self.threshold = _slider(
            "Breaker opens after",
            [(OFF, OFF), *((_counted(n, "failure"), n) for n in _with(THRESHOLDS, threshold))],
            threshold,
            "failures in a row; off: no breaker",
        )
        self.recovery = _slider(
            "Tries again after",
            [(f"{seconds:g} s", seconds) for seconds in _with(RECOVERY_SECONDS, recovery)],
            recovery,
            "seconds from opening to the next probe",
        )
        self.attempts = _slider(
            "Retry cap",
            [(_counted(n, "attempt"), n) for n in _with(range(1, MOST_ATTEMPTS + 1), retry.attempts)],
            retry.attempts,
            "attempts per request, the first included",
        )
        self.jitter = _slider(
            "Jitter",
            [(name, name) for name in JITTERS],
            retry.backoff.jitter,
            "how the delay before a retry is drawn",
        )
        self.figure = figure_widget(cascade({name: before, YOURS: before}, bin=BIN, height=556))
        fixed, self._readout = widgets.Label(_told(name, before)), widgets.Label(_told(YOURS, before))
        left = widgets.VBox([self.threshold, self.recovery])
        right = widgets.VBox([self.attempts, self.jitter])
        controls = widgets.HBox([left, right])
        super().__init__([controls, fixed, self._readout, self.figure])
        for slider in (self.threshold, self.recovery, self.jitter, self.attempts):
            slider.observe(self._redraw, names="value")

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

    def _redraw(self, change: Any) -> None:
        self.run = replay(self._scenario, self.policy, self._seed)
        drawn = series(self.run, BIN)
        yours = self.figure.data[-len(PANELS) - 1 :]
        with self.figure.batch_update():
            for line, panel in zip(yours, PANELS, strict=False):
                line.x, line.y = drawn["time"], drawn[panel.column]
            yours[-1].x, yours[-1].y = drawn["restart_time"], drawn["restart_height"]
        self._readout.value = _told(YOURS, self.run)


def _with(offered: Iterable[Any], value: Any) -> list[Any]:
    """The offered values in order, and among them the one that the policy has."""
    return sorted({*offered} | ({value} - {OFF}))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _slider(label: str, options: list[tuple[str, Any]], value: Any, meaning: str) -> widgets.SelectionSlider:
    return widgets.SelectionSlider(
        description=label,
        options=options,
        value=value,
        tooltip=meaning,
        continuous_update=True,
        style={"description_width": "140px"},
        layout={"width": "400px"},
    )


def _told(name: str, run: Run) -> str:
    n = run.summary()
    return (
        f"{name}: {n['answered']:,.0f} of {n['requests']:,.0f} LLM requests answered in time; "
        f"{n['attempts']:,.0f} attempts; {n['other_failed']:,.0f} of {n['other_requests']:,.0f} other requests failed; "
        f"{n['restarts']:.0f} restarts."
    )
