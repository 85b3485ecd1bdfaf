"""The figure of the AWS Architecture Blog: clients who contend for one row, with and without jitter."""

from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.frame import beside, frame, panel_titles
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.spread import spread
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.contention import PUBLISHED
from breakerlab.lab.style import INK, JITTER_COLOURS

EXPONENTIAL: Final = "#56B4E9"
SYMBOLS: Final = {"exponential": "square", "decorrelated": "diamond", "equal": "triangle-up", "none": "cross"}
TICKS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)  # s
TITLES: Final = ("Writes tried until each client has written once", "Time until the last client has written")
CAPTION: Final = (
    "Simulated: one row under optimistic concurrency, each way to it |N(10, 2)| ms; backoff from 10 ms (decorrelated: "
    "5 ms) up to 2 s. Bands: 95 % intervals of the mean. Crosses: the article's own program, run as published."
)


def competing_clients(table: pd.DataFrame, *, height: int = 450) -> go.Figure:
    """Calls and time to completion over the number of contending clients; `table` is that of `contention.races`."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=TITLES, horizontal_spacing=0.2)
    names = list(dict.fromkeys(table["strategy"]))
    for name in names:
        mine = table[table["strategy"] == name]
        for col, quantity in enumerate(("calls", "seconds"), start=1):
            _draw(figure, name, mine, quantity, col)
    _draw_published(figure, table, names)
    frame(figure, height=height, r=96, caption=CAPTION)
    panel_titles(figure, *TITLES)
    _label(figure, table, names, "calls", 1)
    _label(figure, table, names, "seconds", 2)
    figure.update_xaxes(title_text="clients who contend", range=[0, 1.03 * int(table["clients"].max())])
    figure.update_yaxes(col=1, title_text="calls", rangemode="tozero")
    figure.update_yaxes(
        col=2, title_text="seconds (log scale)", type="log", tickvals=TICKS, ticktext=[f"{tick:g}" for tick in TICKS]
    )
    return figure


def _colour(name: str) -> str:
    return EXPONENTIAL if name == "exponential" else JITTER_COLOURS.get(name, INK)


def _draw(figure: go.Figure, name: str, mine: pd.DataFrame, quantity: str, col: int) -> None:
    clients, colour, label = mine["clients"].tolist(), _colour(name), shortened(name, 24)
    lowest = 1e-3 if quantity == "seconds" else 0.0  # an interval of few runs may reach below nothing
    low, high = (rounded(mine[f"{quantity}_{end}"].clip(lower=lowest)) for end in ("low", "high"))
    band = {"fill": "toself", "fillcolor": colour, "opacity": 0.18, "line": {"width": 0}, "mode": "lines"}
    outline = {"x": [*clients, *clients[::-1]], "y": [*high, *low[::-1]]}
    figure.add_scatter(row=1, col=col, **outline, **band, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        row=1,
        col=col,
        x=clients,
        y=rounded(mine[quantity]),
        name=label,
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 6, "symbol": SYMBOLS.get(name, "circle")},
        showlegend=False,
        hovertemplate=f"%{{y:.4g}} {quantity} for %{{x}} clients<extra>{label}</extra>",
    )


def _draw_published(figure: go.Figure, table: pd.DataFrame, names: list[str]) -> None:
    known = [name for name in names if name in PUBLISHED]
    if known and (table["clients"] == 100).any():
        figure.add_scatter(
            row=1,
            col=1,
            x=[100] * len(known),
            y=[PUBLISHED[name] for name in known],
            mode="markers",
            marker={"symbol": "x-thin", "size": 11, "line": {"width": 2, "color": INK}},
            name="the article's program",
            showlegend=False,
            hovertemplate="%{y} calls<extra>the article's program</extra>",
        )


def _label(figure: go.Figure, table: pd.DataFrame, names: list[str], quantity: str, col: int) -> None:
    """The name of each strategy at the end of its line, moved apart where lines end close together."""
    last = table[table["clients"] == table["clients"].max()].set_index("strategy")[quantity]
    places = spread([float(last[name]) for name in names], log=quantity == "seconds")
    for name, place in zip(names, places, strict=True):
        where: dict[str, Any] = {"row": 1, "col": col}
        beside(figure, shortened(name, 14), int(table["clients"].max()), place, _colour(name), **where)
