"""A recording, and sliders for the server that we believe it was made on."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import ipywidgets as widgets
import plotly.graph_objects as go

from breakerlab.lab.assumed_server import AssumedServer
from breakerlab.lab.chart_panel import ChartPanel
from breakerlab.lab.charts.predicted_counts import predicted_counts
from breakerlab.lab.no_formulas import Label

SLOTS: Final = (6, 7, 8, 9, 10, 12)
SLOTS_IN_FAULT: Final = (0, 1, 2, 3)
ANSWER_TIMES: Final = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)
CAPTION: Final = "The recorded server has {slots} slots, of which the fault leaves {kept}."


class AssumedServerPanel(ChartPanel):
    """The four counts of a recording, and what would have been predicted had the server been as the sliders say.

    servers: recordings by name. `recording`, `slots`, `slots_in_fault` and `answer_time` are the controls: set their
    `value` to move them from code. `judged` is the table that is drawn, `figure` the drawing.
    """

    def __init__(self, servers: Mapping[str, AssumedServer]) -> None:
        self._servers = dict(servers)
        first = next(iter(self._servers.values()))
        self.recording = widgets.Dropdown(
            description="Recording", options=list(servers), tooltip="under which policy it was made", **_style()
        )
        self.slots = _slider("Slots", SLOTS, first.slots, "{:g}")
        self.slots_in_fault = _slider("Slots in the fault", SLOTS_IN_FAULT, first.slots_in_fault, "{:g}")
        self.answer_time = _slider("Time of an answer", ANSWER_TIMES, 1.0, "{:.0%}")
        self.judged = self._judge()
        self._readout = Label(self.sentence)
        left, right = widgets.VBox([self.recording, self.slots]), widgets.VBox([self.slots_in_fault, self.answer_time])
        super().__init__([widgets.HBox([left, right]), self._readout], self._drawn())
        for control in (self.recording, self.slots, self.slots_in_fault, self.answer_time):
            control.observe(self._redraw, names="value")

    @property
    def sentence(self) -> str:
        """How many of the counts lie inside."""
        inside = int(self.judged["inside"].sum())
        return f"{inside} of {len(self.judged)} counts of the recording lie where this server would have put them."

    def _judge(self) -> Any:
        return self._servers[self.recording.value].judge(
            slots=self.slots.value, slots_in_fault=self.slots_in_fault.value, answer_time=self.answer_time.value
        )

    def _drawn(self) -> go.Figure:
        server = self._servers[self.recording.value]
        caption = CAPTION.format(slots=server.slots, kept=server.slots_in_fault)
        return predicted_counts({"": self.judged}, server=server.log, caption=caption)

    def _redraw(self, change: Any) -> None:
        self.judged = self._judge()
        self.chart.show(self._drawn())
        self._readout.value = self.sentence


def _style() -> dict[str, Any]:
    return {"style": {"description_width": "130px"}, "layout": {"width": "410px"}}


def _slider(label: str, values: Sequence[float], value: float, shown: str) -> widgets.SelectionSlider:
    options = [(shown.format(one), one) for one in sorted({*values, value})]
    return widgets.SelectionSlider(
        description=label, options=options, value=value, tooltip=label, continuous_update=True, **_style()
    )
