"""The chance that a full window opens a circuit though nothing has changed, over the size of the window."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from breakerlab.lab.charts.frame import beside, frame
from breakerlab.lab.charts.rounding import percent, rounded
from breakerlab.lab.charts.simulated import add_points
from breakerlab.lab.false_trips import trip_probability
from breakerlab.lab.style import LAYER_COLOURS

LOWEST: Final = 1e-6
LABELS_FROM: Final = -5.5  # powers of ten
MOST_PROBABILITIES: Final = len(LAYER_COLOURS)


def false_trips(
    probabilities: Sequence[float] = (0.1, 0.2, 0.3),
    rate: float = 0.5,
    *,
    largest: int = 100,
    simulated: pd.DataFrame | None = None,
    height: int = 450,
) -> go.Figure:
    """Lines: the binomial tail, for windows of 2, 4, ... `largest` calls, down to one window in a million.

    probabilities: up to 4 with which a call fails. rate: the share of failures that opens the circuit. simulated: the
    table of `false_trips.simulated_trips`, as points with their intervals; a share of 0 has no place on the scale.
    """
    if not 1 <= len(probabilities) <= MOST_PROBABILITIES:
        raise ValueError(f"false_trips draws 1 to {MOST_PROBABILITIES} probabilities, not {len(probabilities)}")
    figure = go.Figure()
    windows = np.arange(2, largest + 1, 2)
    for probability, colour in zip(probabilities, LAYER_COLOURS, strict=False):
        chances = np.array([trip_probability(int(n), rate, probability) for n in windows])
        seen = chances >= LOWEST
        _draw_line(figure, windows[seen], chances[seen], probability, colour)
        if simulated is not None:
            _draw_points(figure, simulated[simulated["probability"] == probability], colour)
    points = (
        ""
        if simulated is None
        else " Points: breakers in the simulator, each on its first full window, with 95 % intervals."
    )
    frame(figure, height=height, l=120, t=20, caption=f"Lines: the tail of the binomial distribution.{points}")
    for place, (probability, colour) in enumerate(zip(probabilities, LAYER_COLOURS, strict=False)):
        _label(figure, windows, probability, rate, colour, above=LABELS_FROM + place)
    ticks = {1.0: "all", 0.1: "1 in 10", 0.01: "1 in 100", 0.001: "1 in 1,000", 1e-4: "1 in 10,000",
             1e-5: "1 in 100,000", 1e-6: "1 in a million"}  # fmt: skip
    figure.update_xaxes(title_text="window (calls)", range=[0, largest])
    figure.update_yaxes(
        title_text=f"full windows with {percent(rate)} failures or more (log scale)",
        type="log",
        range=[-6.1, 0.1],
        tickvals=list(ticks),
        ticktext=list(ticks.values()),
    )
    return figure


def _label(
    figure: go.Figure, windows: np.ndarray, probability: float, rate: float, colour: str, *, above: float
) -> None:
    """Beside the line, at the last window whose chance is above this power of ten: the lines are far apart there."""
    heights = [float(np.log10(trip_probability(int(n), rate, probability))) for n in windows]
    place = max((i for i, height in enumerate(heights) if height >= above), default=0)
    label = f"{percent(probability)} of the calls fail"
    beside(figure, label, float(windows[place]), rounded([heights[place]])[0], colour, yanchor="bottom")


def _draw_line(figure: go.Figure, windows: np.ndarray, chances: np.ndarray, probability: float, colour: str) -> None:
    figure.add_scatter(
        x=windows.tolist(),
        y=rounded(chances),
        name=f"{percent(probability)} fail",
        mode="lines",
        line={"color": colour, "width": 2.2},
        showlegend=False,
        hovertemplate=f"window of %{{x}}: %{{y:.2g}}<extra>{percent(probability)} fail</extra>",
    )


def _draw_points(figure: go.Figure, mine: pd.DataFrame, colour: str) -> None:
    mine = mine[mine["share"] > 0.0]
    add_points(
        figure,
        mine["window"].tolist(),
        mine,
        "share",
        colour,
        name="simulated",
        hovertemplate="window of %{x}: %{y:.2g} of the breakers<extra>simulated</extra>",
    )
