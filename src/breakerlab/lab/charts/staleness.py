"""What a cache gives in an outage, over the oldest answer that it may give: still true, out of date, nothing."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.frame import frame, panel_titles
from breakerlab.lab.charts.rounding import percent, rounded
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.style import INK, OUT_OF_DATE, SERVED_BY_CACHE

MOST_TABLES: Final = 3
TICKS: Final = {10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 14400: "4 h"}
CAPTION: Final = (
    "Simulated: 9 requests/s; the cache filled for four hours, then an outage of ten minutes; what is true changes at "
    "random, once an hour on average. White: callers for whom the cache has nothing."
)


def staleness(tables: Mapping[str, pd.DataFrame], *, caption: str = CAPTION, height: int = 380) -> go.Figure:
    """One panel for each table of `stale.stale_answers`, up to 3, by the name of its traffic, side by side.

    Stacked shares of the callers in the outage: an answer that is still true, and one that is out of date. caption: of
    the model; the default is that of the default arguments.
    """
    if not 1 <= len(tables) <= MOST_TABLES:
        raise ValueError(f"staleness draws 1 to {MOST_TABLES} tables, not {len(tables)}")
    titles = [f"{shortened(name, 40)}:<br>{_at_the_end(table)}" for name, table in tables.items()]
    figure = make_subplots(rows=1, cols=len(tables), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.06)
    for col, table in enumerate(tables.values(), start=1):
        still = table["served"] - table["outdated"]
        _draw(figure, table, still, "still true", SERVED_BY_CACHE, col)
        _draw(figure, table, table["outdated"], "out of date", OUT_OF_DATE, col)
    frame(figure, height=height, t=84, caption=caption)
    panel_titles(figure, *titles)
    figure.update_xaxes(
        type="log", title_text="oldest answer accepted (log scale)", tickvals=list(TICKS), ticktext=list(TICKS.values())
    )
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(col=1, title_text="share of callers in the outage")
    legend = {"orientation": "h", "x": 0, "y": 1.16, "yanchor": "bottom", "font": {"size": 13}}
    figure.update_layout(hovermode="x", legend=legend)
    return figure


def _at_the_end(table: pd.DataFrame) -> str:
    last = table.iloc[-1]
    return f"at most {percent(last['served'])} get one, {percent(last['outdated'])} out of date"


def _draw(figure: go.Figure, table: pd.DataFrame, shares: Any, name: str, colour: str, col: int) -> None:
    figure.add_scatter(
        row=1,
        col=col,
        x=rounded(table["oldest"]),
        y=rounded(shares),
        name=name,
        legendgroup=name,
        showlegend=col == 1,
        mode="lines",
        stackgroup="served",
        line={"width": 0.8, "color": INK},
        fillcolor=colour,
        hovertemplate=f"%{{y:.1%}} {name}<extra></extra>",
    )
