"""The anatomy of a meltdown: its eight steps, marked on the time axis of the cascade."""

from typing import Any, Final

import plotly.graph_objects as go

from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.runs import trace_of
from breakerlab.lab.charts.text import in_lines
from breakerlab.lab.charts.time_axis import BREAKER_ROW, cascade
from breakerlab.lab.style import BADGE, INK
from breakerlab.replay import Run
from breakerlab.trace import Trace, eight_steps
from breakerlab.trace.steps import Step

ROWS: Final = {1: 2, 2: 1, 3: 2, 4: 1, 5: 3, 6: 4, 7: BREAKER_ROW, 8: BREAKER_ROW}  # the panel that shows each step
BEFORE, AFTER = 8.0, 24.0  # s shown before the first step and after the last
LOWER: Final = 0.5  # of the height: above it the restarts are drawn
LIST_WIDTH: Final = 250  # px
LIST_STEP: Final = 0.123  # of the plot's height between two entries


def anatomy(
    run: Trace | Run, *, name: str = "run", bin: float = 1.0, whole: bool = False, height: int = 640
) -> go.Figure:
    """The cascade of one log or run, with a numbered badge where each of the eight steps is first seen, and their list.

    name: of the run. bin: seconds. whole: show all of the time, and not only the time around the steps.
    """
    steps = eight_steps(trace_of(run))
    figure = cascade({name: run}, bin=bin, height=height)
    figure.update_layout(margin_r=LIST_WIDTH + 16, showlegend=True)
    seen = [step for step in steps if step.seen_at is not None]
    for step in seen:
        _mark(figure, step)
    _list(figure, steps)
    if seen and not whole:
        first, last = (pick(step.seen_at for step in seen) for pick in (min, max))
        figure.update_xaxes(range=rounded([max(first - BEFORE, 0.0), last + AFTER]))
    return figure


def _mark(figure: go.Figure, step: Step) -> None:
    """A thin line through all panels, and the badge in the panel where the step is to be seen."""
    second, row = rounded([step.seen_at])[0], ROWS[step.number]
    line = {"color": BADGE, "width": 1, "dash": "dot"}
    span = {"x0": second, "x1": second, "y0": 0, "y1": 1, "yref": "paper"}
    figure.add_shape(type="line", **span, line=line, opacity=0.45, layer="below")
    axis = "" if row == 1 else str(row)
    place = {
        "x": second,
        "xref": f"x{axis}",
        "y": LOWER if row == BREAKER_ROW else 1.0,
        "yref": f"y{axis} domain",
        "yanchor": "top",
        "yshift": 2,
    }
    figure.add_annotation(name=f"step {step.number}", text=f"<b>{step.number}</b>", **place, **_badge())


def _badge() -> dict[str, Any]:
    font = {"size": 11, "color": "#FFFFFF"}
    return {"showarrow": False, "bgcolor": BADGE, "bordercolor": BADGE, "borderpad": 2.5, "font": font}


def _list(figure: go.Figure, steps: tuple[Step, ...]) -> None:
    """Right of the panels: number, second and name of each step."""
    beside = {"x": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top"}
    for place, step in enumerate(steps):
        second = "not seen" if step.seen_at is None else f"{step.seen_at:.1f} s"
        text = f"{second}<br>{in_lines(step.name, 32)}"
        y = 1.0 - LIST_STEP * place
        figure.add_annotation(**beside, y=y, xshift=16, text=f"<b>{step.number}</b>", **_badge())
        font = {"size": 12, "color": INK}
        figure.add_annotation(**beside, y=y, xshift=38, text=text, align="left", showarrow=False, font=font)
