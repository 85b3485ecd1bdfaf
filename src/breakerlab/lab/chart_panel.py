"""What the panels have in common: controls and sentences, and below them a chart."""

from collections.abc import Sequence
from typing import Final

import ipywidgets as widgets
import plotly.graph_objects as go

from breakerlab.lab.plotly_chart import PlotlyChart

LABEL: Final = "Chart of what came of the sliders; the sentence above it tells the figures"


class ChartPanel(widgets.VBox):
    """Widgets above `chart`, whose `show` draws another figure in the place of the first."""

    def __init__(self, above: Sequence[widgets.Widget], figure: go.Figure) -> None:
        self.chart = PlotlyChart(figure, LABEL)
        super().__init__([*above, self.chart])

    @property
    def figure(self) -> go.Figure:
        """What is drawn. After a change of yours, `chart.show(figure)` draws it."""
        return self.chart.figure
