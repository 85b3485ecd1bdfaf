"""Sliders above the chart of one run, which is played anew and redrawn while one of them is dragged."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from breakerlab.lab.chart_panel import ChartPanel
from breakerlab.lab.no_formulas import Label
from breakerlab.replay import Run


class RunPanel(ChartPanel):
    """A panel says in `play` what its sliders mean, in `draw` what is drawn, and in `told` the sentence above it.

    `run` is what came of the sliders, `figure` what is drawn of it, in `chart`.
    """

    def __init__(self, columns: Sequence[Sequence[widgets.Widget]], *, above: Sequence[widgets.Widget] = ()) -> None:
        """columns: the sliders, side by side. above: what stands over the sentence."""
        self.run = self.play()
        self._readout = Label(self.told())
        controls = widgets.HBox([widgets.VBox(list(column)) for column in columns])
        super().__init__([controls, *above, self._readout], self.draw())
        for slider in chain.from_iterable(columns):
            slider.observe(self._turned, names="value")

    def move(self, **values: Any) -> None:
        """Move sliders from code, by their names: `panel.move(load=140, outage=10)`."""
        for name, value in values.items():
            getattr(self, name).value = value

    def play(self) -> Run:
        """The run that the sliders ask for."""
        raise NotImplementedError

    def draw(self) -> go.Figure:
        """The chart of `run`."""
        raise NotImplementedError

    def told(self) -> str:
        """What came of `run`, in a sentence."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Bring the chart up to date with `run`, in place: a widget that is made anew is never freed."""
        self.chart.show(self.draw())

    def _turned(self, change: Any) -> None:
        self.run = self.play()
        self.redraw()
        self._readout.value = self.told()


def slider(label: str, options: Sequence[tuple[str, Any]], value: Any, meaning: str) -> widgets.SelectionSlider:
    """A slider over named stops, with its label, unit and a one-line meaning; it works by keyboard alone."""
    return widgets.SelectionSlider(
        description=label,
        options=list(options),
        value=value,
        tooltip=meaning,
        continuous_update=True,
        style={"description_width": "140px"},
        layout={"width": "400px"},
    )
