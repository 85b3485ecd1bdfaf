"""The counts of a few recordings next to what was predicted of them, one row a count."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.band import OPACITY, least, recorded_marks, verdict
from breakerlab.lab.charts.frame import frame
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.quantities import quantity
from breakerlab.lab.service_name import service_name
from breakerlab.lab.style import INK, LINES
from breakerlab.trace import Trace

MOST: Final = len(LINES)
ROW: Final = 24  # px for each recording in a count's row
BETWEEN: Final = 26  # px between rows, for the ticks
LEAST_SPAN: Final = 0.1  # of the largest value: a band of one unit is not drawn as if it were wide
ROOM: Final = 0.06  # of the span, on both sides
FEW: Final = 5  # units that have a tick each
LEFT: Final = 172  # px left of the plot, or more where a label is long
CHARACTER: Final = 7  # px of a label
LONGEST: Final = 28  # characters of a label
BESIDE: Final = 10  # px between a label and the plot
TOLD: Final = "Bar: the band in which all counts of a recording were predicted to lie together. Dot: recorded, inside. "
ADDED: Final = "Cross: recorded, outside. "


def predicted_counts(
    judged: Mapping[str, pd.DataFrame], *, server: Trace | None = None, caption: str = "", height: int | None = None
) -> go.Figure:
    """Bands as bars, recorded counts as dots, each count on a scale of its own, and the verdict in words beside it.

    judged: by name, up to three tables with one row for each count and the columns `quantity`, `low`, `high`,
    `recorded` and `inside`, as `Forecast.judge` gives them; the quantities of the first are drawn. server: a recording
    that was made on it, whose service is named. caption: describes it. Raises ValueError for no table, or for more
    than three.
    """
    if not 1 <= len(judged) <= MOST:
        raise ValueError(f"predicted_counts draws 1 to {MOST} recordings, not {len(judged)}")
    tables = {name: table.set_index("quantity") for name, table in judged.items()}
    names = list(next(iter(tables.values())).index)
    service = service_name(server)
    labels = {name: shortened(quantity(name, service).label, LONGEST) for name in names}
    left = max(LEFT, BESIDE + CHARACTER * max(map(len, labels.values())))
    plot = len(names) * ROW * len(tables) + (len(names) - 1) * BETWEEN  # px
    figure = make_subplots(rows=len(names), cols=1, vertical_spacing=BETWEEN / plot if len(names) > 1 else None)
    for row, name in enumerate(names, start=1):
        found = {recording: table.loc[name] for recording, table in tables.items()}
        figure.update_xaxes(row=row, **_axis(found.values()))
        for place, (recording, count) in enumerate(found.items()):
            _draw(figure, recording, count, place, row)
            _tell(figure, recording if len(tables) > 1 else "", count, place, row)
        _label_row(figure, labels[name], row, len(tables))
    frame(figure, height=height or plot + 126, l=left, r=320, t=28, b=26, caption=f"{TOLD}{ADDED}{caption}")
    figure.add_annotation(**_heading("recorded, predicted"))
    figure.update_xaxes(tickfont={"size": 10}, tickformat=",d")
    figure.update_yaxes(range=[len(tables) - 0.4, -0.6], showgrid=False, tickvals=[], autorange=None)
    return figure


def _axis(counts: Any) -> dict[str, Any]:
    """A range that holds bands and dots, and ticks at whole numbers."""
    values = [float(value) for one in counts for value in (least(one["low"]), one["high"], one["recorded"])]
    low, high = min(values), max(values)
    span = max(high - low, LEAST_SPAN * high, 2.0)
    left = max((low + high - span) / 2.0, 0.0) - ROOM * span
    ticks = {"dtick": 1} if span <= FEW else {"nticks": 5}
    return {"range": rounded([left, left + (1.0 + 2.0 * ROOM) * span]), **ticks}


def _draw(figure: go.Figure, recording: str, count: Any, place: int, row: int) -> None:
    colour, name = LINES[place].color, shortened(recording, 40)
    low, high, recorded = rounded([least(count["low"]), count["high"], count["recorded"]])
    told = verdict(count["recorded"], count["low"], count["high"], count["inside"])
    figure.add_scatter(
        row=row,
        col=1,
        x=[low, high],
        y=[place, place],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 11},
        marker={"symbol": "line-ns", "size": 10, "line": {"color": colour, "width": 3}},
        opacity=OPACITY,
        showlegend=False,
        hoverinfo="skip",
    )
    figure.add_scatter(
        row=row,
        col=1,
        x=[recorded],
        y=[place],
        name=name,
        mode="markers",
        marker=recorded_marks([count["inside"]]),
        showlegend=False,
        hovertemplate=f"{name}: {told}<extra></extra>",
    )


def _tell(figure: go.Figure, recording: str, count: Any, place: int, row: int) -> None:
    told = verdict(count["recorded"], count["low"], count["high"], count["inside"])
    text = f"{shortened(recording, 14)}: {told}" if recording else told
    style = {"showarrow": False, "xanchor": "left", "font": {"size": 11, "color": LINES[place].color}}
    axis = "y" if row == 1 else f"y{row}"
    figure.add_annotation(text=text, x=1, xref="paper", xshift=12, y=place, yref=axis, **style)


def _heading(text: str) -> dict[str, Any]:
    """Above the words at the right."""
    where = {"x": 1, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "xshift": 12, "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "yshift": 6, "font": {"size": 11, "color": INK}, **where}


def _label_row(figure: go.Figure, label: str, row: int, recordings: int) -> None:
    style = {"showarrow": False, "xanchor": "right", "font": {"size": 12, "color": INK}}
    axis = "y" if row == 1 else f"y{row}"
    place = {"x": 0, "xref": "paper", "xshift": -BESIDE, "y": (recordings - 1) / 2, "yref": axis}
    figure.add_annotation(text=label, **place, **style)
