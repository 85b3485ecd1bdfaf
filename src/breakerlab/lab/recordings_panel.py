"""One recording after the other, each next to what was predicted of it."""

from collections.abc import Mapping
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go

from breakerlab.lab.chart_panel import ChartPanel
from breakerlab.lab.charts.band import band_told
from breakerlab.lab.charts.predicted_course import predicted_course
from breakerlab.lab.charts.rounding import told
from breakerlab.lab.no_formulas import Label
from breakerlab.trace import Trace

MOST_TOLD: Final = 3  # misses that fit into a line


class RecordingsPanel(ChartPanel):
    """A slider over the recordings of one incident, and a choice between models that have predicted them.

    tables: by the name of the model, tables as in `data/predictions.csv`. server: a recording that names the server.
    `recording` and `model` are the controls: set their `value` to move them from code. `judged` is the table that is
    drawn, `figure` the drawing.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], incident: str, *, server: Trace) -> None:
        self._tables = {name: table[table["incident"] == incident] for name, table in tables.items()}
        self._server = server
        seeds = sorted({int(seed) for table in self._tables.values() for seed in table["seed"]})
        if not seeds:
            raise ValueError(f"the tables have no recording of {incident!r}")
        style = {"style": {"description_width": "90px"}, "layout": {"width": "420px"}}
        self.recording = widgets.SelectionSlider(
            description="Recording", options=[(str(seed), seed) for seed in seeds], tooltip="which recording", **style
        )
        self.model = widgets.Dropdown(description="Predicted", options=list(tables), tooltip="by which model", **style)
        self._held, self._missed = (Label(sentence) for sentence in self.sentences)
        controls = widgets.HBox([self.recording, self.model])
        super().__init__([controls, self._held, self._missed], self._drawn())
        for control in (self.recording, self.model):
            control.observe(self._redraw, names="value")

    @property
    def judged(self) -> pd.DataFrame:
        """One row for each quantity of the recording that is shown."""
        table = self._tables[self.model.value]
        return table[table["seed"] == self.recording.value]

    @property
    def sentences(self) -> tuple[str, str]:
        """How many quantities lie inside; and which do not, and by how much."""
        judged = self.judged
        outside = judged[~judged["inside"]]
        held = f"Recording {self.recording.value}: {len(judged) - len(outside)} of {len(judged)} quantities inside."
        misses = [
            f"{row.quantity} {told(row.recorded)}, not {band_told(row.low, row.high)}" for row in outside.itertuples()
        ]
        more = ["..."] if len(misses) > MOST_TOLD else []
        return held, f"Outside: {'; '.join([*misses[:MOST_TOLD], *more]) or 'none'}."

    def _drawn(self) -> go.Figure:
        return predicted_course(self.judged, server=self._server, height=600)

    def _redraw(self, change: Any) -> None:
        self.chart.show(self._drawn())
        self._held.value, self._missed.value = self.sentences
