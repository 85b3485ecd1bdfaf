"""Sliders and the cascade: what another policy would have made of the same callers and the same fault."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from breakerlab.lab.charts import PANELS, cascade, series
from breakerlab.lab.no_formulas import Label
from breakerlab.lab.prediction import counted
from breakerlab.lab.run_panel import RunPanel, slider
from breakerlab.lab.service_name import service_name
from breakerlab.policy import Breaker, Policy, Retry
from breakerlab.policy.backoff import JITTERS
from breakerlab.replay import Run, Scenario, replay

OFF = "off"
THRESHOLDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
RECOVERY_SECONDS = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0)
MOST_ATTEMPTS = 10
BIN = 2.0
YOURS = "your policy"


class CascadesPanel(RunPanel):
    """The cascade of a fixed run and of yours, which begins the same and is played anew while a slider is dragged.

    `run` is your run, `figure` what is drawn: the panels of `columns`, in `height` px.
    """

    columns: Sequence[str] = tuple(panel.column for panel in PANELS)
    height = 556

    def __init__(self, fixed: Run, name: str, sliders: Sequence[widgets.Widget]) -> None:
        """fixed: the run that stays, and its name."""
        self._fixed, half = {name: fixed}, (len(sliders) + 1) // 2
        super().__init__([sliders[:half], sliders[half:]], above=[Label(self.told_of(name, fixed))])

    def draw(self) -> go.Figure:
        """The two cascades over one another."""
        return cascade({**self._fixed, YOURS: self.run}, bin=BIN, height=self.height, columns=self.columns)

    def told(self) -> str:
        """Your run in one line, under that of the fixed one."""
        return self.told_of(YOURS, self.run)

    def told_of(self, name: str, run: Run) -> str:
        """A run in one line."""
        n, service = run.summary(), service_name(run)
        return (
            f"{name}: {n['answered']:,.0f} of {n['requests']:,.0f} {service.noun} requests answered in time; "
            f"{n['attempts']:,.0f} attempts; {n['other_failed']:,.0f} of {n['other_requests']:,.0f} other requests "
            f"failed; {counted(n['restarts'], 'restarts')}."
        )

    def redraw(self) -> None:
        """Only your lines: the fixed run's stay as they are."""
        drawn = series(self.run, BIN)
        yours = self.figure.data[-len(self.columns) - 1 :]
        for line, column in zip(yours, self.columns, strict=False):
            line.x, line.y = drawn["time"], drawn[column]
        yours[-1].x, yours[-1].y = drawn["restart_time"], drawn["restart_height"]
        self.chart.show(self.figure)


class CascadePanel(CascadesPanel):
    """The cascade under a fixed policy and under yours, redrawn while a slider is dragged; yours begins the same.

    `threshold`, `recovery`, `jitter` and `attempts` are the sliders: set their `value` to move them from code.
    `policy` is what they say, `run` what came of it, `figure` what is drawn.
    """

    def __init__(self, scenario: Scenario, policy: Policy, *, name: str, seed: int = 0) -> None:
        self._scenario, self._start, self._seed = scenario, policy, seed
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
        super().__init__(replay(scenario, policy, seed), name, sliders)

    def play(self) -> Run:
        """The run under the policy that the sliders say."""
        return replay(self._scenario, self.policy, self._seed)

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
