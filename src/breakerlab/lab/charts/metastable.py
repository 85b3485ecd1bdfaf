"""The map of load and outage length: where a service recovers by itself, and where it stays down."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from breakerlab.lab.charts.frame import frame
from breakerlab.lab.charts.model import service_told
from breakerlab.lab.charts.rounding import percent, rounded, told
from breakerlab.lab.style import INK, RECOVERS, STAYS_DOWN
from breakerlab.replay import Service

RECOVERED: Final = 0.5  # share of the offered load that is answered
LEGEND: Final = (("recovers", RECOVERS), ("stays down", STAYS_DOWN))

Point = tuple[float | None, float | None]


def recovery_map(
    shares: pd.DataFrame,
    *,
    service: Service | None = None,
    policy: str = "",
    recovered: float = RECOVERED,
    height: int = 450,
) -> go.Figure:
    """The table of `breakerlab.replay.recovery_map`, as a map in two colours with the boundary between them.

    shares: of the offered load that is answered long after the outage, or True and False. service, policy: named in
    the caption, if given. recovered: the share from which on it counts as recovered, above 0.
    """
    answered = shares.to_numpy(dtype=float)
    up = answered >= recovered
    figure = go.Figure()
    _draw_cells(figure, shares, answered, up)
    _draw_boundary(figure, up)
    for name, colour in LEGEND:
        marker = {"symbol": "square", "size": 14, "color": colour}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name)
    frame(figure, height=height, t=48, caption=_caption(service, policy))
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 13}})
    ticks = {"showgrid": False, "tickmode": "array"}
    loads, outages = (list(map(told, axis)) for axis in (shares.columns, shares.index))
    figure.update_xaxes(**ticks, tickvals=list(range(len(loads))), ticktext=loads, title_text="load (requests/s)")
    figure.update_yaxes(
        **ticks, tickvals=list(range(len(outages))), ticktext=outages, title_text="length of the outage (s)"
    )
    return figure


def _draw_cells(figure: go.Figure, shares: pd.DataFrame, answered: np.ndarray, up: np.ndarray) -> None:
    is_share = shares.dtypes.map(lambda kind: kind.kind != "b").all()
    figure.add_heatmap(
        z=up.astype(int).tolist(),
        zmin=0,
        zmax=1,
        colorscale=[[0, STAYS_DOWN], [1, RECOVERS]],
        showscale=False,
        xgap=1,
        ygap=1,
        text=[[percent(share) if is_share else "" for share in row] for row in answered],
        texttemplate="%{text}",
        textfont={"size": 11, "color": INK},
        customdata=[[_hover(shares, i, j, answered) for j in range(up.shape[1])] for i in range(up.shape[0])],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _hover(shares: pd.DataFrame, i: int, j: int, answered: np.ndarray) -> str:
    return f"{told(shares.columns[j])} requests/s, {told(shares.index[i])} s: {percent(answered[i, j])} answered"


def _draw_boundary(figure: go.Figure, up: np.ndarray) -> None:
    points = list(boundary(up))
    figure.add_scatter(
        x=rounded(np.nan if x is None else x for x, _ in points),
        y=rounded(np.nan if y is None else y for _, y in points),
        mode="lines",
        line={"color": INK, "width": 3},
        name="boundary",
        showlegend=False,
        hoverinfo="skip",
    )


def boundary(up: np.ndarray[Any, Any]) -> Iterator[Point]:
    """The edges between cells of the two kinds, in cells: two points for each edge and a gap."""
    rows, columns = up.shape
    for i in range(rows):
        for j in range(columns):
            if j + 1 < columns and up[i, j] != up[i, j + 1]:
                yield from ((j + 0.5, i - 0.5), (j + 0.5, i + 0.5), (None, None))
            if i + 1 < rows and up[i, j] != up[i + 1, j]:
                yield from ((j - 0.5, i + 0.5), (j + 0.5, i + 0.5), (None, None))


def _caption(service: Service | None, policy: str) -> str:
    cells = "In each cell: answers per request, long after the outage."
    under = f" Policy: {policy}." if policy else ""
    return cells + under + (f" Simulated: {service_told(service)}." if service is not None else "")
