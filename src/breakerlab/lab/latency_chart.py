"""How long answers take, and apart from them, how long a caller waits until it knows of a failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.explorer_chart import HEIGHT, NAMES
from breakerlab.lab.style import FONT, GRID, INK, LINES
from breakerlab.replay import Run

POINTS: Final = 200
TITLES: Final = ("Requests answered in time", "Requests that failed: until the caller knew")


def empty_latencies() -> go.Figure:
    """Two panels, a line a policy in each, without data."""
    figure = make_subplots(rows=2, cols=1, subplot_titles=TITLES, vertical_spacing=0.14, shared_xaxes=True)
    for place in (1, 2):
        for name, line in zip(NAMES, LINES, strict=False):
            figure.add_scatter(
                row=place,
                col=1,
                name=name,
                legendgroup=name,
                showlegend=place == 1,
                mode="lines",
                line={"color": line.color, "width": line.width, "shape": "hv"},
                hovertemplate=f"%{{y:.0f}} % within %{{x:.3g}} s<extra>{name}</extra>",
            )
    figure.update_layout(
        template="none",
        height=HEIGHT,
        font=FONT,
        margin={"l": 74, "r": 12, "t": 50, "b": 44},
        legend={"orientation": "h", "x": 0, "y": 1.06, "yanchor": "bottom", "font": {"size": 12}},
    )
    figure.update_xaxes(type="log", gridcolor=GRID, ticks="outside", tickcolor=GRID, zeroline=False)
    figure.update_xaxes(
        row=2, col=1, title={"text": "seconds since the request (logarithmic)", "standoff": 4, "font": {"size": 11}}
    )
    figure.update_yaxes(gridcolor=GRID, range=[0, 102], title={"text": "% of them", "font": {"size": 11}})
    figure.update_annotations(x=0, xanchor="left", font={"size": 12, "color": INK})
    return figure


def fill_latencies(figure: go.Figure, runs: Mapping[str, Run]) -> None:
    """Fill both panels of `empty_latencies`."""
    for place, name in enumerate(NAMES):
        for panel, (x, y) in enumerate(shares(runs[name])):
            line = figure.data[2 * panel + place]
            line.x, line.y = x, y


def shares(run: Run) -> tuple[tuple[list[float | None], list[float | None]], ...]:
    """(seconds, percent of requests known by then) of the answered and of the failed requests that use the service."""
    requests = run.requests
    requests = requests[~requests["endpoint"].isin(list(run.scenario.app.other))]
    ok = (requests["outcome"] == "ok").to_numpy()
    latency = requests["latency"].to_numpy()
    return tuple(_distribution(latency[which & ~np.isnan(latency)]) for which in (ok, ~ok))


def _distribution(latency: Any) -> tuple[list[float | None], list[float | None]]:
    if not len(latency):
        return [], []
    at = np.unique(np.linspace(0, len(latency) - 1, min(POINTS, len(latency))).astype(int))
    return rounded(np.maximum(np.sort(latency)[at], 1e-3)), rounded(100.0 * (at + 1) / len(latency))
