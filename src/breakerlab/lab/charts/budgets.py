"""Attempts per request over the probability that an attempt fails: under a cap alone, and under a retry budget."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from breakerlab.lab.charts.frame import beside, frame
from breakerlab.lab.charts.rounding import rounded, told
from breakerlab.lab.charts.spread import spread
from breakerlab.lab.retry_load import attempts_per_request, attempts_under_budget
from breakerlab.lab.style import LINES

POINTS: Final = 101
TICKS: Final = (1.0, 1.1, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0)
CAPTION: Final = (
    "Lines: theory. Points: replays on a service that is never full, under a cap alone and with a budget besides. "
    "Budget: {part} of a token for each call, or for each success; a retry takes a whole one."
)


def budgets(table: pd.DataFrame, *, attempts: int = 4, ratio: float = 0.1, height: int = 400) -> go.Figure:
    """Three lines, and the replays as points. table: that of `retry_load.capped_and_budgeted` for the same numbers.

    attempts: the cap, at least 1. ratio: of a token that a call or a success earns, above 0.
    """
    chances = np.linspace(0.0, 1.0, POINTS).tolist()
    theory = {
        f"cap of {attempts}": [attempts_per_request(p, attempts) for p in chances],
        "budget per call": [attempts_under_budget(p, attempts, ratio, "call") for p in chances],
        "budget per success": [attempts_under_budget(p, attempts, ratio, "success") for p in chances],
    }
    figure = go.Figure()
    for (name, values), line in zip(theory.items(), LINES, strict=True):
        _draw(figure, name, {"x": chances, "y": values}, mode="lines", line={"color": line.color, "dash": line.dash})
        marker = {"color": "#FFFFFF", "size": 8, "line": {"color": line.color, "width": 2}}
        _draw(
            figure,
            f"{name}, simulated",
            {"x": table.index, "y": table[name]},
            mode="markers",
            marker=marker,
            cliponaxis=False,
        )
    frame(figure, height=height, t=20, r=150, caption=CAPTION.format(part=told(ratio)))
    figure.update_layout(showlegend=False)
    _label(figure, {name: values[-1] for name, values in theory.items()})
    figure.update_xaxes(title_text="probability that an attempt fails", range=[0, 1], tickformat=".0%")
    ticks = {"tickvals": TICKS, "ticktext": [told(tick) for tick in TICKS]}
    figure.update_yaxes(title_text="attempts per request (log scale)", type="log", **ticks)
    return figure


def _draw(figure: go.Figure, name: str, values: Mapping[str, Any], **style: Any) -> None:
    hover = f"%{{y:.3g}} attempts per request<extra>{name}</extra>"
    points = {axis: rounded(found) for axis, found in values.items()}
    figure.add_scatter(**points, name=name, hovertemplate=hover, **style)


def _label(figure: go.Figure, ends: Mapping[str, float]) -> None:
    """The name of each line and where it ends, moved apart where lines end close together."""
    places = spread(list(ends.values()), log=True)
    for (name, end), line, place in zip(ends.items(), LINES, places, strict=True):
        beside(figure, f"{name}: {told(end)}", 1.0, place, line.color)
