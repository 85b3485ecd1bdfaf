"""The explorer: every knob of two policies and of the server, and what becomes of one scenario under both."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import ipywidgets as widgets

from breakerlab.lab import explorer_chart as chart
from breakerlab.lab.charts.caption import caption_of
from breakerlab.lab.controls import Controls, button
from breakerlab.lab.explorer_export import ExportView
from breakerlab.lab.export import Export, export, policy_from_json
from breakerlab.lab.intervals import SEEDS, Intervals, differences
from breakerlab.lab.knobs import POLICY_KNOBS, SCENARIO_KNOBS, Knob, knob, presets
from breakerlab.lab.latency_chart import empty_latencies, fill_latencies
from breakerlab.lab.logged_scenario import Logged, scenario_of
from breakerlab.lab.no_formulas import Label
from breakerlab.lab.page_side import ROOT, PageSide
from breakerlab.lab.plotly_chart import PlotlyChart
from breakerlab.lab.service_name import service_name
from breakerlab.lab.summary_table import SummaryTable, rows_of
from breakerlab.policy import Policy
from breakerlab.replay import Comparison, Run, Scenario, replay
from breakerlab.trace import Trace

MOST_STEPS: Final = 200
ONE_TURN: Final = 1.0  # seconds: a knob that is turned on within them is still the same turn to `undo`
LEFT: Final = "304px"
OVER_TIME, LATENCIES, EXPORT = 0, 1, 2
NO_PRESET: Final = "your own"


@dataclass(frozen=True)
class Setting:
    """All that the knobs say."""

    scenario: Scenario
    a: Policy
    b: Policy

    def policy(self, name: str) -> Policy:
        if name not in chart.NAMES:
            raise ValueError(f'the policy must be "A" or "B", not {name!r}')
        return self.a if name == "A" else self.b

    def with_policy(self, name: str, policy: Policy) -> Setting:
        self.policy(name)
        return replace(self, **{name.lower(): policy})


def explore(scenario: Scenario | Trace, a: Policy | None = None, b: Policy | None = None, *, seed: int = 0) -> Explorer:
    """An explorer of `scenario` under two policies, A (naive by default) and B (recommended by default).

    scenario: or a log; where that does not say what its server was, the explorer states what it assumes.
    Raises ScenarioError for a log with nothing to replay.
    """
    if isinstance(scenario, Trace):
        logged = scenario_of(scenario)
    else:
        logged = Logged(scenario, "server and app as given", service_name(scenario))
    return Explorer(logged, a or Policy.naive(), b or Policy.recommended(), seed=seed)


class Explorer(widgets.VBox):
    """Turn a knob, and both runs, their chart and their table follow.

    From code: `turn(name, value, policy="B")` turns a knob, `setting` is what the knobs say, `runs` what came of it,
    `about` where the scenario is from. `undo()` and `reset()` go back, `export(target)` and `load(text)` take a policy
    out and in, `settle()` works out the differences and their intervals.
    """

    def __init__(
        self,
        logged: Logged,
        a: Policy,
        b: Policy,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seed, self._clock, self._service = seed, clock, logged.service
        self._first = self.setting = Setting(logged.scenario, a, b)
        self.about = f"{logged.scenario.name}: {logged.told}."
        self._history: list[Setting] = []
        self._turn: tuple[str, str, float] | None = None  # the latest by hand: knob, policy, when
        self._bin = chart.bin_for(logged.scenario.duration)
        self._not_drawn: set[str] = set()
        self._intervals = Intervals(self._show_differences)
        self.runs: dict[str, Run] = {}
        self._figures: dict[str, dict[str, float]] = {}  # the summary of each run
        self.latencies = PlotlyChart(empty_latencies(), "Chart of latencies; the table tells the figures")
        self.table = SummaryTable()
        self._replay(chart.NAMES)
        lines = [chart.drawn(self.runs[name], self._bin) for name in chart.NAMES]
        self.chart = chart.ExplorerChart(logged.scenario, self._bin, lines, self._service)
        self._build()
        self._show_policy()
        self._show_table(None)
        self._intervals.ask(self.setting.scenario, self.setting.a, self.setting.b)

    def __repr__(self) -> str:
        return f"Explorer(A={self.setting.a!r}, B={self.setting.b!r})"

    # ---- from code

    def turn(self, name: str, value: Any, policy: str = "B") -> None:
        """Turn the knob `name`, of policy "A" or "B" or of the scenario. Raises KeyError, ValueError."""
        self._turn = None
        self._go_to(self._turned_to(knob(name), value, policy))

    def undo(self) -> None:
        """Take back the latest change."""
        self._turn = None
        if self._history:
            self._go_to(self._history.pop(), remember=False)

    def reset(self) -> None:
        """Back to where the explorer began; `undo` takes this back."""
        self._turn = None
        self._go_to(self._first)

    def load(self, text: str, policy: str = "B") -> None:
        """Set policy "A" or "B" to what an exported JSON says. Raises ValueError."""
        self._turn = None
        self._go_to(self.setting.with_policy(policy, policy_from_json(text)))

    def settle(self) -> Comparison:
        """Work out the differences of B from A over 20 seeds now, and show them."""
        self._intervals.forget()
        found = differences(self.setting.scenario, self.setting.a, self.setting.b)
        self._show_differences(found)
        return found

    def export(self, target: str, policy: str | None = None) -> Export:
        """Policy "A" or "B" (the one whose knobs are shown) for another library; see `breakerlab.lab.export`."""
        return export(self.setting.policy(policy or self._which.value), target)

    def close(self) -> None:
        self._intervals.forget()
        super().close()

    # ---- the parts

    def _build(self) -> None:
        narrow = {"description_width": "auto"}
        self._which = widgets.RadioButtons(
            options=chart.NAMES,
            value="B",
            description="Knobs of policy",
            tooltip="whose knobs are shown below",
            orientation="horizontal",
            style=narrow,
            layout={"width": "auto"},
        )
        self._which.observe(lambda _: self._show_policy(), names="value")
        self._presets = {preset.name: preset.policy for preset in presets()}
        self._preset = widgets.Dropdown(
            options=[NO_PRESET, *self._presets], description="Preset", style=narrow, layout={"width": "200px"}
        )
        self._preset.observe(self._take_preset, names="value")
        self._message = Label("", layout={"flex": "1 1 260px", "height": "auto"})
        self._message.add_class("breakerlab-message")
        bar = widgets.HBox(
            [
                self._which,
                self._preset,
                button("Undo", "take back the latest change", self.undo),
                button("Reset", "back to where the explorer began", self.reset),
                self._message,
            ],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        self.policy_controls = Controls(POLICY_KNOBS, self.setting.b, self._turned, self._service)
        self.scenario_controls = Controls(SCENARIO_KNOBS, self.setting.scenario, self._turned, self._service)
        panels = (self.policy_controls, self.scenario_controls)
        knobs = widgets.Tab(panels, titles=("Policy", "Server and app"), layout={"width": "auto"})
        knobs.add_class("breakerlab-left")
        meaning = PageSide([panel.meanings for panel in panels])
        left = widgets.VBox([knobs, meaning], layout={"width": LEFT, "flex": f"0 0 {LEFT}"})
        self._export = ExportView(self.export, self._import)
        self._views = widgets.Tab(
            [widgets.VBox([self.chart]), widgets.VBox([self.latencies]), self._export],
            titles=("Over time", "Latency", "Export, import"),
            layout={"flex": "1 1 500px", "min_width": "0"},
        )
        self._views.observe(lambda _: self._draw(), names="selected_index")
        widgets.jslink((self.table, "pointed"), (self.chart, "lit"))
        widgets.jslink((self.chart, "pointed"), (self.table, "lit"))
        right = widgets.HBox(
            [self._views, widgets.VBox([self.table], layout={"flex": "0 0 auto", "max_width": "100%"})],
            layout={"flex": "1 1 0", "flex_flow": "row wrap", "align_items": "flex-start", "min_width": "0"},
        )
        self._caption = Label()
        self._caption.add_class("breakerlab-about")
        self._tell_model()
        super().__init__([bar, widgets.HBox([left, right], layout={"min_width": "0"}), self._caption])
        self.add_class(ROOT)

    # ---- what follows from a change

    def _turned_to(self, one: Knob, value: Any, policy: str) -> Setting:
        if one in SCENARIO_KNOBS:
            return replace(self.setting, scenario=one.put(self.setting.scenario, value))
        return self.setting.with_policy(policy, one.put(self.setting.policy(policy), value))

    def _turned(self, one: Knob, value: Any) -> None:
        """A knob was turned by hand."""
        which = self._which.value
        try:
            setting = self._turned_to(one, value, which)
        except ValueError as error:
            self._message.value = f"Not possible, so kept as it was: {error}."
            self._show_policy()
            self.scenario_controls.show(self.setting.scenario)
            return
        now, before = self._clock(), self._turn
        turned_on = before is not None and before[:2] == (one.name, which) and now - before[2] <= ONE_TURN
        self._turn = (one.name, which, now)
        self._go_to(setting, remember=not turned_on)

    def _take_preset(self, change: Any) -> None:
        if change["new"] != NO_PRESET:
            self._turn = None
            self._go_to(self.setting.with_policy(self._which.value, self._presets[change["new"]]))

    def _import(self, text: str) -> None:
        try:
            self.load(text, self._which.value)
        except ValueError as error:
            self._message.value = f"Not imported, policy {self._which.value} is as it was: {error}"

    def _go_to(self, setting: Setting, *, remember: bool = True) -> None:
        before, self.setting = self.setting, setting
        self._message.value = ""
        if setting == before:
            return
        if remember:
            self._history = [*self._history[1 - MOST_STEPS :], before]
        if setting.scenario != before.scenario:
            self._play(chart.NAMES)
        else:
            self._play(tuple(name for name in chart.NAMES if setting.policy(name) != before.policy(name)))
        self._show_policy()
        if setting.scenario != before.scenario:
            self.scenario_controls.show(setting.scenario)
            self._tell_model()

    def _play(self, names: tuple[str, ...]) -> None:
        self._intervals.forget()  # at once, for they would take turns with what is looked at
        self._replay(names)
        self._not_drawn |= set(names)
        self._draw()
        self._show_table(None)
        self._intervals.ask(self.setting.scenario, self.setting.a, self.setting.b)

    def _replay(self, names: tuple[str, ...]) -> None:
        def play(name: str) -> Run:
            return replay(self.setting.scenario, self.setting.policy(name), self._seed)

        if len(names) > 1:  # the engine runs without Python's lock
            with ThreadPoolExecutor(1) as other:
                runs = [other.submit(play, name) for name in names[1:]]
                self.runs[names[0]] = play(names[0])
                self.runs |= {name: run.result() for name, run in zip(names[1:], runs, strict=True)}
        else:
            self.runs |= {name: play(name) for name in names}
        for name in names:
            self._figures.pop(name, None)

    def _draw(self) -> None:
        """Bring the view that is looked at up to date; the others follow when they are."""
        if self._views.selected_index == OVER_TIME:
            lines = [
                chart.drawn(self.runs[name], self._bin) if name in self._not_drawn else self.chart.lines[place]
                for place, name in enumerate(chart.NAMES)
            ]
            self._not_drawn = set()
            with self.chart.hold_sync():  # one message
                self.chart.faults = chart.fault_windows(self.setting.scenario)
                self.chart.lines = lines
        elif self._views.selected_index == LATENCIES:
            fill_latencies(self.latencies.figure, self.runs)
            self.latencies.show(self.latencies.figure)
        else:
            self._export.show()

    def _tell_model(self) -> None:
        self._caption.value = f"{self.about} {caption_of(self.runs)}"

    def _show_table(self, found: Comparison | None) -> None:
        for name in chart.NAMES:
            if name not in self._figures:
                self._figures[name] = self.runs[name].summary()
        with self.table.hold_sync():
            if found is None:
                self.table.caption = f"A and B at seed {self._seed}; intervals follow when the knobs rest."
            else:
                self.table.caption = f"A and B at seed {self._seed}; intervals: of B minus A, over {SEEDS} seeds."
            told = None if found is None else found.table
            self.table.rows = rows_of(self._figures["A"], self._figures["B"], told, self._service)

    def _show_differences(self, found: Comparison | Exception) -> None:
        if isinstance(found, Exception):
            self.table.caption = f"A and B at seed {self._seed}; the intervals could not be worked out: {found}"
        else:
            self._show_table(found)

    def _show_policy(self) -> None:
        policy = self.setting.policy(self._which.value)
        self.policy_controls.show(policy)
        self._preset.unobserve(self._take_preset, names="value")
        self._preset.value = next((name for name, preset in self._presets.items() if preset == policy), NO_PRESET)
        self._preset.observe(self._take_preset, names="value")
        if self._views.selected_index == EXPORT:
            self._export.show()
