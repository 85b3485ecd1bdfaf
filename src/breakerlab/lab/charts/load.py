"""Attempts per request over the probability that an attempt fails, for layers of retries around one another."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from breakerlab.lab.charts.frame import beside, frame
from breakerlab.lab.charts.rounding import rounded, told
from breakerlab.lab.charts.simulated import add_points
from breakerlab.lab.retry_load import attempts_per_request
from breakerlab.lab.style import LAYER_COLOURS

POINTS: Final = 101
MOST_LAYERS: Final = len(LAYER_COLOURS)


def amplification(
    attempts: int = 4, layers: Sequence[int] = (1, 2, 3), *, simulated: pd.DataFrame | None = None, height: int = 450
) -> go.Figure:
    """Lines: the closed form for `attempts` per layer. simulated: the table of `retry_load.simulated_load`, as points.

    layers: up to 4 numbers, each at least 1: an app's own retries around those of an SDK are 2.
    """
    if not 1 <= len(layers) <= MOST_LAYERS:
        raise ValueError(f"amplification draws 1 to {MOST_LAYERS} numbers of layers, not {len(layers)}")
    figure = go.Figure()
    probabilities = np.linspace(0.0, 1.0, POINTS)
    for count, colour in zip(layers, LAYER_COLOURS, strict=False):
        _draw_line(figure, probabilities, attempts, count, colour)
        if simulated is not None:
            _draw_points(figure, simulated[simulated["layers"] == count], count, colour)
    points = "" if simulated is None else " Points: replays on a service that is never full, means with 95 % intervals."
    formula = "Lines: (1 - pᵐ)/(1 - p), with m attempts in all: those of one layer, to the power of the layers."
    frame(figure, height=height, t=20, r=190, caption=formula + points)
    for count, colour in zip(layers, LAYER_COLOURS, strict=False):
        label = f"{_layers(count)} of {attempts}: up to {told(attempts**count)}"
        beside(figure, label, 1.0, float(np.log10(attempts**count)), colour)
    ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    figure.update_xaxes(title_text="probability that an attempt fails", range=[0, 1], tickformat=".0%")
    figure.update_yaxes(
        title_text="attempts per request (log scale)", type="log", tickvals=ticks, ticktext=list(map(str, ticks))
    )
    return figure


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _draw_line(figure: go.Figure, x: np.ndarray, attempts: int, count: int, colour: str) -> None:
    figure.add_scatter(
        x=rounded(x),
        y=rounded(attempts_per_request(float(p), attempts, count) for p in x),
        name=_layers(count),
        mode="lines",
        line={"color": colour, "width": 2.2},
        showlegend=False,
        hovertemplate=f"%{{y:.3g}} attempts per request<extra>{_layers(count)}</extra>",
    )


def _draw_points(figure: go.Figure, mine: pd.DataFrame, count: int, colour: str) -> None:
    add_points(
        figure,
        rounded(mine["probability"]),
        mine,
        "mean",
        colour,
        name=f"{_layers(count)}, simulated",
        hovertemplate=f"%{{y:.3g}} attempts per request<extra>{_layers(count)}, simulated</extra>",
    )
