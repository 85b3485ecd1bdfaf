"""A figure as a widget: what the page is sent, and that plotly's script is sent once."""

from collections.abc import Iterator

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from breakerlab.lab import plotly_script
from breakerlab.lab.panel import CascadePanel
from breakerlab.lab.plotly_chart import PlotlyChart
from breakerlab.lab.plotly_script import PlotlyScript
from breakerlab.lab.show import bundle
from breakerlab.policy import Policy
from breakerlab.replay import Scenario


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[PlotlyScript]]:
    """The scripts that a kernel sends, from its start on."""
    sent: list[PlotlyScript] = []
    monkeypatch.setattr(plotly_script, "_sent", sent)
    yield sent


def chart(y: list[float]) -> PlotlyChart:
    return PlotlyChart(go.Figure(go.Scatter(y=y)), "a line")


def test_the_page_is_sent_the_figure_and_what_takes_its_place() -> None:
    first, second = (go.Figure(go.Scatter(y=y)) for y in ([1.0, 2.0], [3.0, 1.0]))
    line = PlotlyChart(first, "a line")
    assert line.drawn == bundle(first)
    line.show(second)
    assert line.drawn == bundle(second) != bundle(first)
    assert line.figure is second
    assert line.label == "a line"


def test_a_figure_changed_in_place_is_sent_as_it_is_now() -> None:
    line = chart([1.0, 2.0])
    line.figure.data[0].y = [5.0, 6.0]
    line.show(line.figure)
    assert line.drawn["data"][0]["y"] == [5.0, 6.0]


def test_a_panel_sends_its_reader_s_run(scenario: Scenario) -> None:
    panel = CascadePanel(scenario, Policy.naive(), name="naive retries")
    before = panel.chart.drawn
    panel.attempts.value = 1
    assert panel.chart.drawn == bundle(panel.figure) != before


def test_the_script_is_sent_once_and_is_the_one_that_the_charts_wait_for(scripts: list[PlotlyScript]) -> None:
    charts = [chart([1.0]), chart([2.0])]
    assert len(scripts) == 1
    assert bytes(scripts[0].script).decode() == get_plotlyjs()
    assert {one.version for one in (*charts, *scripts)} == {get_plotlyjs_version()}


def test_after_it_was_closed_as_all_widgets_may_be_it_is_sent_anew(scripts: list[PlotlyScript]) -> None:
    chart([1.0])
    closed = scripts[0]
    closed.close()
    chart([1.0])
    assert len(scripts) == 1
    assert scripts[0] is not closed
    assert scripts[0].comm is not None
