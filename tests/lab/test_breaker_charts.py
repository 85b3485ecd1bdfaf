"""The charts of what a breaker can do harm with, checked on their data."""

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from breakerlab.lab import charts
from breakerlab.lab.charts.false_trips import LOWEST
from breakerlab.lab.false_trips import trip_probability
from breakerlab.lab.show import bundle

TRIPS = pd.DataFrame(
    {"probability": [0.2, 0.2], "window": [10, 20], "share": [0.03, 0.0], "low": [0.02, 0.0], "high": [0.04, 0.004]}
)
CLIENTS = pd.DataFrame(
    {
        "rule": ["none", "none", "<b>two</b>", "<b>two</b>"],
        "clients": [1, 1000, 1, 1000],
        "attempts": [3.0, 3.0, 0.01, 1.0],
        "answered": [1.0, 1.0, 0.1, 0.96],
    }
)


@pytest.fixture(scope="module")
def figures() -> dict[str, go.Figure]:
    return {"trips": charts.false_trips(simulated=TRIPS), "clients": charts.small_clients(CLIENTS)}


def texts(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


@pytest.mark.parametrize("name", ["trips", "clients"])
def test_a_figure_is_plain_json_of_a_laptops_size_with_a_caption(figures, name: str) -> None:
    drawn = json.dumps(bundle(figures[name]))
    assert "NaN" not in drawn
    assert 300 <= figures[name].layout.height <= 700
    assert figures[name].layout.width is None
    assert [note.text for note in figures[name].layout.annotations if note.name == "caption"]


def test_lines_are_the_tail_down_to_one_in_a_million(figures) -> None:
    lines = {line.name: line for line in figures["trips"].data if line.mode == "lines"}
    assert list(lines) == ["10 % fail", "20 % fail", "30 % fail"]
    twenty = dict(zip(lines["20 % fail"].x, lines["20 % fail"].y, strict=True))
    assert twenty[10] == pytest.approx(trip_probability(10, 0.5, 0.2), rel=1e-5)
    assert min(twenty.values()) >= LOWEST
    assert max(lines["30 % fail"].x) == 100


def test_points_are_the_simulated_shares_that_have_a_place_on_the_scale(figures) -> None:
    [points] = [dots for dots in figures["trips"].data if dots.mode == "markers" and len(dots.x)]
    assert list(points.x) == [10]
    assert list(points.y) == [0.03]
    assert points.error_y.array[0] == pytest.approx(0.01)


def test_labels_name_the_lines_and_axes_their_units(figures) -> None:
    assert {f"{share} % of the calls fail" for share in (10, 20, 30)} <= set(texts(figures["trips"]))
    assert figures["trips"].layout.xaxis.title.text == "window (calls)"
    assert figures["clients"].layout.yaxis.title.text == "attempts per request (log scale)"
    assert figures["clients"].layout.yaxis2.title.text == "share of requests"


def test_both_panels_draw_each_rule_and_names_are_not_interpreted(figures) -> None:
    data = figures["clients"].data
    assert [list(line.y) for line in data] == [[3.0, 3.0], [1.0, 1.0], [0.01, 1.0], [0.1, 0.96]]
    assert "&lt;b>two&lt;/b>" in texts(figures["clients"])
    assert "<b>" not in json.dumps(bundle(figures["clients"]))


def test_labels_of_rules_do_not_lie_upon_one_another(figures) -> None:
    places = sorted(note.y for note in figures["clients"].layout.annotations if note.yref == "y2")
    assert np.diff(places).min() >= 0.0399
    assert max(places) <= 1.0


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 4 probabilities, not 5"):
        charts.false_trips((0.1, 0.2, 0.3, 0.4, 0.5))
    many = pd.concat([CLIENTS.assign(rule=str(number)) for number in range(5)])
    with pytest.raises(ValueError, match="1 to 4 rules, not 5"):
        charts.small_clients(many)
