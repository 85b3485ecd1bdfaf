"""Many recordings of the same incident, each with callers of its own, next to what was predicted of each."""

from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.band import OPACITY, PREDICTED, least, recorded_marks
from breakerlab.lab.charts.caption import server_of
from breakerlab.lab.charts.frame import frame, panel_titles
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.quantities import quantity
from breakerlab.lab.service_name import service_name
from breakerlab.trace import Trace

SHOWN: Final = ("attempts", "status_503", "answered")
MOST: Final = 3
TOLD: Final = (
    "Bar: the band in which all counts of a recording were predicted to lie together, at 95 %. Dot: recorded, inside. "
    "Cross: recorded, outside. "
)


def predicted_recordings(table: pd.DataFrame, names: dict[str, str], *, server: Trace, height: int = 560) -> go.Figure:
    """A column of panels for each incident, a row for each of three counts; in a panel a bar and a dot a recording.

    table: that of `data/predictions.csv`: columns `incident`, `seed`, `quantity`, `low`, `high`, `recorded`, `inside`
    and `all_inside`. names: the incidents to draw, at most three, and what each is called. server: a recording that
    names the server, for the caption. Raises ValueError for an incident that has no such counts.
    """
    if not 1 <= len(names) <= MOST:
        raise ValueError(f"predicted_recordings draws 1 to {MOST} incidents, not {len(names)}")
    titles = [_title(table, incident, name) for incident, name in names.items()]
    figure = make_subplots(
        rows=len(SHOWN),
        cols=len(names),
        subplot_titles=titles,
        shared_xaxes=True,
        vertical_spacing=0.06,
        horizontal_spacing=0.09,
    )
    for col, incident in enumerate(names, start=1):
        for row, name in enumerate(SHOWN, start=1):
            rows = table[(table["incident"] == incident) & (table["quantity"] == name)].sort_values("seed")
            if rows.empty:
                raise ValueError(f"predicted_recordings: {shortened(incident, 40)!r} has no {name!r} in the table")
            _draw(figure, rows, row, col)
    frame(figure, height=height, t=34, caption=TOLD + _restarts(table, names) + server_of(server))
    panel_titles(figure, *titles)
    service = service_name(server)
    for row, name in enumerate(SHOWN, start=1):
        figure.update_yaxes(row=row, col=1, title_text=quantity(name, service).label)
    figure.update_yaxes(nticks=5, tickformat=",d")
    figure.update_xaxes(dtick=1)
    figure.update_xaxes(row=len(SHOWN), title_text="recording")
    return figure


def _title(table: pd.DataFrame, incident: str, name: str) -> str:
    held = table[table["incident"] == incident].groupby("seed")["inside"].all()
    return f"{shortened(name, 40)}: {held.sum()} of {len(held)} recordings inside"


def _restarts(table: pd.DataFrame, names: dict[str, str]) -> str:
    rows = table[table["incident"].isin(names) & (table["quantity"] == "restarts")]
    without = (rows[["low", "high", "recorded"]] == 0).all(axis=1).all()
    return f"Restarts: 0 predicted and 0 recorded in all {len(rows)}. " if without else ""


def _draw(figure: go.Figure, rows: pd.DataFrame, row: int, col: int) -> None:
    seeds, lows = rows["seed"].tolist(), [least(low) for low in rows["low"]]
    ends: list[Any] = [
        end for low, high in zip(lows, rows["high"], strict=True) for end in (*rounded([low, high]), None)
    ]
    figure.add_scatter(
        row=row,
        col=col,
        x=[place for seed in seeds for place in (seed, seed, None)],
        y=ends,
        name="predicted",
        mode="lines+markers",
        line={"color": PREDICTED, "width": 12},
        marker={"symbol": "line-ew", "size": 11, "line": {"color": PREDICTED, "width": 3}},
        opacity=OPACITY,
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_scatter(
        row=row,
        col=col,
        x=seeds,
        y=rounded(rows["recorded"]),
        name="recorded",
        mode="markers",
        marker=recorded_marks(rows["inside"]),
        showlegend=False,
        customdata=[f"{low:g} to {high:g}" for low, high in zip(lows, rows["high"], strict=True)],
        hovertemplate="recorded %{y:,}, predicted %{customdata}<extra>recording %{x}</extra>",
    )
