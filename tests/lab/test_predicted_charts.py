"""Predictions next to recordings: what is drawn, told and counted."""

import json
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from course import REPOSITORY

from breakerlab.lab import RecordingsPanel, UnstoredFigures, charts
from breakerlab.lab.charts.predicted_course import PLACE
from breakerlab.lab.show import bundle
from breakerlab.trace import Trace, read_trace

DATA = REPOSITORY / "data"
PAYLOAD = "<b>bold</b><a href='https://example.org'>here</a><script>alert(1)</script>"
CAPPED = {"incident_backoff": "no breaker", "incident_breaker": "breaker"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(DATA / "predictions.csv")


@pytest.fixture(scope="module")
def naive_log() -> Trace:
    return read_trace(DATA / "incident_naive.jsonl")


def judged(**values: tuple[float, float, float]) -> pd.DataFrame:
    """By quantity: low, recorded, high."""
    rows = [
        {"quantity": name, "low": low, "high": high, "recorded": recorded, "inside": low <= recorded <= high}
        for name, (low, recorded, high) in values.items()
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def figures(table: pd.DataFrame, naive_log: Trace) -> dict[str, go.Figure]:
    eighth = table[(table["incident"] == "incident_naive") & (table["seed"] == 8)]
    two = {
        "naive": judged(attempts=(60, 69, 70), restarts=(-1, 0, 1)),
        PAYLOAD: judged(attempts=(1, 9, 3), restarts=(0, 0, 0)),
    }
    return {
        "predicted_recordings": charts.predicted_recordings(table, CAPPED, server=naive_log),
        "predicted_course": charts.predicted_course(eighth, server=naive_log),
        "predicted_counts": charts.predicted_counts(two, caption="A service with 8 slots."),
    }


ALL = ("predicted_recordings", "predicted_course", "predicted_counts")


def texts(figure: go.Figure) -> str:
    return " | ".join(note.text or "" for note in figure.layout.annotations).replace("<br>", " ")


def dots(figure: go.Figure, name: str) -> list[Any]:
    return [line for line in figure.data if line.name == name and line.mode == "markers"]


@pytest.mark.parametrize("name", ALL)
def test_the_chart_keeps_the_style(figures: dict[str, go.Figure], name: str) -> None:
    figure = figures[name]
    drawn = json.dumps(bundle(figure))
    assert "NaN" not in drawn
    assert len(drawn) < 150_000
    assert figure.layout.width is None
    assert 200 <= figure.layout.height <= 700
    assert "Cross: recorded, outside." in texts(figure)
    assert "8 slots" in texts(figure)


def test_units_stand_on_the_axes(figures: dict[str, go.Figure]) -> None:
    for name, wanted in {
        "predicted_recordings": {"attempts on the LLM", "answers 503", "LLM requests answered", "recording"},
        "predicted_course": {"per 5 s", "workers", "time (s)"},
    }.items():
        layout = figures[name].layout.to_plotly_json()
        axes = [axis for key, axis in layout.items() if key[1:].startswith("axis")]
        assert {axis["title"]["text"] for axis in axes if "text" in axis.get("title", {})} == wanted


# ---- many recordings


def test_every_recording_is_drawn_with_its_band(figures: dict[str, go.Figure], table: pd.DataFrame) -> None:
    drawn = dots(figures["predicted_recordings"], "recorded")
    assert [len(panel.x) for panel in drawn] == [11] * 6
    rows = table[(table["incident"] == "incident_backoff") & (table["quantity"] == "attempts")].sort_values("seed")
    assert list(drawn[0].y) == rows["recorded"].tolist()
    [band, *_] = [line for line in figures["predicted_recordings"].data if line.name == "predicted"]
    assert list(band.y[::3]) == rows["low"].tolist()
    assert list(band.y[1::3]) == rows["high"].tolist()


def test_the_titles_count_recordings_inside_in_all_quantities(table: pd.DataFrame, naive_log: Trace) -> None:
    doctored = table.copy()
    missed = (
        (doctored["incident"] == "incident_backoff") & (doctored["seed"] == 3) & (doctored["quantity"] == "restarts")
    )
    doctored.loc[missed, ["recorded", "inside"]] = [1, False]
    told = texts(charts.predicted_recordings(doctored, CAPPED, server=naive_log))
    assert "no breaker: 10 of 11 recordings inside" in told
    assert "breaker: 11 of 11 recordings inside" in told
    assert "Restarts:" not in told


def test_what_lies_outside_is_a_cross(table: pd.DataFrame, naive_log: Trace) -> None:
    doctored = table.copy()
    missed = (
        (doctored["incident"] == "incident_backoff") & (doctored["seed"] == 3) & (doctored["quantity"] == "attempts")
    )
    doctored.loc[missed, ["recorded", "inside"]] = [9, False]
    [first, *_] = dots(charts.predicted_recordings(doctored, CAPPED, server=naive_log), "recorded")
    assert [symbol for symbol in first.marker.symbol].index("x") == 2
    assert list(first.marker.symbol).count("x") == 1


def test_what_cannot_be_drawn_is_refused(table: pd.DataFrame, naive_log: Trace) -> None:
    with pytest.raises(ValueError, match="'incident_naive' has no 'status_503' in the table"):
        charts.predicted_recordings(table, {"incident_naive": "naive"}, server=naive_log)
    with pytest.raises(ValueError, match="draws 1 to 3 incidents, not 0"):
        charts.predicted_recordings(table, {}, server=naive_log)
    with pytest.raises(ValueError, match="draws 1 to 3 recordings, not 0"):
        charts.predicted_counts({})
    with pytest.raises(ValueError, match="the table has none"):
        charts.predicted_course(judged(attempts=(1, 2, 3)), server=naive_log)


# ---- one recording over time


def test_the_course_draws_every_quantity_that_has_a_second(figures: dict[str, go.Figure], table: pd.DataFrame) -> None:
    rows = table[(table["incident"] == "incident_naive") & (table["seed"] == 8)]
    placed = rows[[PLACE.fullmatch(name) is not None for name in rows["quantity"]]]
    panels = dots(figures["predicted_course"], "recorded")
    assert sum(len(panel.x) for panel in panels) == len(placed) == 120
    crosses = sum(list(panel.marker.symbol).count("x") for panel in panels)
    assert crosses == (~placed["inside"]).sum() == 3
    pool = placed[placed["quantity"].str.startswith("pool")]
    assert list(panels[2].y) == pool["recorded"].tolist()
    assert panels[2].x[0] == 2.5


# ---- a few counts


def test_counts_are_told_in_words_and_never_below_zero(figures: dict[str, go.Figure]) -> None:
    told = texts(figures["predicted_counts"])
    assert "naive: 69, predicted 60 to 70: inside" in told
    assert "9, predicted 1 to 3: outside" in told
    assert "naive: 0, predicted 0 to 1: inside" in told
    assert "0, predicted 0: inside" in told


def test_names_are_shown_and_not_interpreted(figures: dict[str, go.Figure]) -> None:
    drawn = json.dumps(bundle(figures["predicted_counts"]))
    assert "<b>bold" not in drawn
    assert "<script" not in drawn
    assert "&lt;b>bold" in drawn


def test_bands_and_dots_are_within_the_axis(figures: dict[str, go.Figure]) -> None:
    layout = figures["predicted_counts"].layout
    low, high = layout.xaxis.range
    assert low < 1 and high > 70


# ---- the panel and what is not stored


def test_the_slider_draws_the_recording_and_tells_its_misses(table: pd.DataFrame, naive_log: Trace) -> None:
    panel = RecordingsPanel({"after": table}, "incident_naive", server=naive_log)
    assert panel.sentences == ("Recording 2: 122 of 122 quantities inside.", "Outside: none.")
    before = [list(line.y) for line in panel.figure.data]
    panel.recording.value = 8
    assert [list(line.y) for line in panel.figure.data] != before
    assert panel.sentences[0] == "Recording 8: 119 of 122 quantities inside."
    assert "status_503 at 55 s 88, not 90 to 91" in panel.sentences[1]
    again = charts.predicted_course(panel.judged, server=naive_log, height=600)
    assert [list(line.y) for line in panel.figure.data] == [list(line.y) for line in again.data]
    assert [line.marker.symbol for line in panel.figure.data] == [line.marker.symbol for line in again.data]


def test_the_model_can_be_chosen(table: pd.DataFrame, naive_log: Trace) -> None:
    before = pd.read_csv(DATA / "predictions_before_looking.csv")
    panel = RecordingsPanel({"after": table, "before": before}, "incident_naive", server=naive_log)
    panel.model.value = "before"
    assert panel.sentences[0] == "Recording 2: 119 of 122 quantities inside."
    with pytest.raises(ValueError, match="no recording of 'incident_x'"):
        RecordingsPanel({"after": table}, "incident_x", server=naive_log)


def test_a_notebook_stores_nothing_of_what_differs(figures: dict[str, go.Figure]) -> None:
    one, two = UnstoredFigures(figures["predicted_counts"]), UnstoredFigures(*figures.values())
    assert repr(one) == repr(two)
    assert len(two.outputs) == 3
    assert two._repr_mimebundle_()["text/plain"] == one._repr_mimebundle_()["text/plain"] == repr(one)
