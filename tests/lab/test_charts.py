"""What the cascade draws, checked on its data."""

import json

import numpy as np
import pytest

from breakerlab.lab import cascade
from breakerlab.lab.charts import PANELS, series
from breakerlab.lab.show import bundle
from breakerlab.replay import Run
from breakerlab.trace import Source, Trace

BIN = 2.0


def drawn(figure, name: str, row: int):
    """The line of one run in one row of the cascade."""
    axis = "x" if row == 1 else f"x{row}"
    lines = [t for t in figure.data if t.name == name and (t.xaxis or "x") == axis and t.mode == "lines"]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("row", range(1, len(PANELS) + 1))
def test_each_row_draws_its_column_of_the_timeline(naive: Run, row: int) -> None:
    panel = PANELS[row - 1]
    line = drawn(cascade({"naive": naive}, bin=BIN), "naive", row)
    if panel.column == "breaker":
        assert set(line.y) == {None}  # the naive policy has no breaker, so there is nothing to draw
        return
    expected = naive.timeline(BIN)[panel.column].to_numpy()
    shown = np.array([np.nan if y is None else y for y in line.y])
    assert np.allclose(shown[:-1], expected[: len(shown) - 1], rtol=1e-5, equal_nan=True)


def test_time_runs_in_whole_bins_and_closes_the_last_one(naive: Run) -> None:
    time = series(naive, BIN)["time"]
    assert time[0] == 0.0
    assert np.allclose(np.diff(time), BIN)
    assert time[-1] == 60.0  # callers come for 60 s; what follows is left out


def test_the_breaker_is_drawn_closed_half_open_open(guarded: Run) -> None:
    heights = series(guarded, 0.25)["breaker"]
    assert heights[0] == 0.0
    assert {0.0, 1.0, 2.0} == set(heights)
    timeline = guarded.timeline(0.25)["breaker"].to_numpy()
    was_open = [height == 2.0 for height in heights[:-1]]
    assert was_open == list(timeline[: len(heights) - 1] == 1.0)


def test_restarts_are_marked_where_they_happened(naive: Run) -> None:
    events = naive.trace.events
    kills = events[(events["kind"] == "restart") & (events["value"] == 1)]["time"]
    assert len(kills) >= 1
    assert np.allclose(series(naive, BIN)["restart_time"], kills, rtol=1e-5)


def test_a_log_is_black_and_runs_have_colours_of_their_own(naive: Run, guarded: Run) -> None:
    log = Trace.from_columns(_one_attempt("POST /answer"), source=Source(format="jsonl"))
    figure = cascade({"log": log, "naive": naive, "guarded": guarded})
    colours = [drawn(figure, name, 1).line.color for name in ("log", "naive", "guarded")]
    assert colours[0] == "#000000"
    assert len(set(colours)) == 3


def test_logs_among_themselves_can_be_told_apart() -> None:
    logs = {name: Trace.from_columns(_one_attempt("POST /answer"), source=Source(name=name, format="jsonl"))
            for name in ("one", "two", "three")}  # fmt: skip
    figure = cascade(logs)
    assert len({drawn(figure, name, 1).line.color for name in logs}) == 3
    assert drawn(cascade({"one": logs["one"]}), "one", 1).line.color == "#000000"


def test_every_axis_names_its_unit(naive: Run) -> None:
    layout = cascade({"naive": naive}).layout
    units = [layout[f"yaxis{row if row > 1 else ''}"].title.text for row in range(1, len(PANELS) + 1)]
    assert units == ["per s", "per s", "workers", "per s", "", "per s"]
    assert layout.xaxis6.title.text == "time (s)"


def test_text_from_a_log_is_shown_and_not_interpreted() -> None:
    name = "<b>bold</b><a href='https://example.org'>here</a>&amp;"
    log = Trace.from_columns(_one_attempt("<script>alert(1)</script>"), source=Source(name=name, format="jsonl"))
    text = json.dumps(bundle(cascade({name: log})))
    assert "<b>bold" not in text
    assert "<a href" not in text
    assert "<script" not in text
    assert "&lt;b>bold" in text


def test_facts_that_are_not_numbers_are_not_drawn() -> None:
    facts = {"parameters": {"faults": [{"start": "<b>", "end": 2, "capacity": 1}, 7], "app": {"workers": "many"}}}
    log = Trace.from_columns(_one_attempt("POST /answer"), source=Source(format="jsonl", facts=facts))
    assert "<b>" not in json.dumps(bundle(cascade({"log": log})))


@pytest.mark.parametrize(
    ("faults", "named"),
    [
        ([{"start": 1, "end": 2, "capacity": 0.125}], ["fault: LLM at 1/8 of its capacity"]),
        (
            [{"start": 1, "end": 2, "capacity": 0.25}, {"start": 3, "end": 4, "capacity": 0.5}],
            ["fault: LLM at 1/4 and 1/2 of its capacity"],
        ),
        ([{"start": 1, "end": 2, "capacity": 1.0}, {"start": 3, "end": 4, "capacity": 0.5}], ["faults of the LLM"]),
        (
            [{"start": 0, "end": 9, "capacity": 1.0}, {"start": 3, "end": 4, "capacity": 0.5}],
            ["faults of the LLM; darker: two at once"],
        ),
        ([{"start": 1, "end": 2, "capacity": 1.0, "refuse": 1.0}], ["fault of the LLM"]),
        ([], []),
    ],
)
def test_the_legend_names_a_capacity_only_where_each_fault_takes_some(faults, named) -> None:
    source = Source(format="jsonl", facts={"parameters": {"faults": faults}})
    attempt = {**_one_attempt("POST /answer"), "service": "llm"}
    figure = cascade({"log": Trace.from_columns(attempt, source=source)})
    assert [line.name for line in figure.data if (line.name or "").startswith("fault")] == named


def test_numbers_are_rounded_to_six_digits(naive: Run) -> None:
    values = [y for line in cascade({"naive": naive}, bin=0.7).data for y in line.y or () if y is not None]
    assert values
    assert all(float(f"{value:.6g}") == value for value in values)


@pytest.mark.parametrize("runs", [{}, {"a": "not a run"}])
def test_what_cannot_be_drawn_is_refused_in_a_sentence(runs) -> None:
    with pytest.raises(ValueError, match="cascade draws"):
        cascade(runs)


def _one_attempt(endpoint: str) -> dict[str, object]:
    return {
        "time": np.array([0.5]),
        "latency": np.array([0.1]),
        "outcome": (np.array([0]), ("ok",)),
        "service": "app",
        "request": np.array([1]),
        "attempt": np.array([1]),
        "endpoint": (np.array([0]), (endpoint,)),
    }


def test_panels_can_be_left_out(naive: Run, guarded: Run) -> None:
    runs = {"naive": naive, "guarded": guarded}
    whole, part = cascade(runs), cascade(runs, columns=("breaker", "goodput"))
    for row, of_all in enumerate((1, 5, 6), start=1):
        assert drawn(part, "guarded", row).y == drawn(whole, "guarded", of_all).y
    layout = part.layout
    assert list(layout.yaxis2.ticktext) == ["closed", "half-open", "open", "app restarts"]
    assert layout.xaxis3.title.text == "time (s)"
    assert "xaxis4" not in layout
    assert layout.height < whole.layout.height
    assert not [mark for mark in cascade(runs, columns=("goodput",)).data if mark.marker.symbol == "x"]


def test_the_limit_of_the_pool_is_drawn_in_its_panel_or_not_at_all(naive: Run) -> None:
    lines = [shape for shape in cascade({"naive": naive}, columns=("pool",)).layout.shapes if shape.type == "line"]
    assert [(line.yref, line.y0) for line in lines] == [("y2", 48)]
    without = cascade({"naive": naive}, columns=("goodput",))
    assert not [shape for shape in without.layout.shapes if shape.type == "line"]


def test_an_unknown_column_is_refused(naive: Run) -> None:
    with pytest.raises(ValueError, match="cascade has no column 'speed'; it has attempts, status_503"):
        cascade({"naive": naive}, columns=("speed",))
