"""What became of each call under two or three circuit breakers: answered, failed, or refused."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.frame import frame, panel_titles
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.text import plain, shortened
from breakerlab.lab.style import INK, LINES, NOISE

MOST_PANELS: Final = 2
DEEP: Final = 4  # calls of one moment above one another; more stand side by side
STEP: Final = 0.17  # of a lane between two of them
MOST_TICKS: Final = 20
CAPTION: Final = "No server: each call is given with its start, its seconds and its end, and played on every breaker."


class Mark(NamedTuple):
    """How a call is drawn."""

    words: str
    symbol: str
    colour: str


MARKS: Final = {
    "ok": Mark("answered", "circle", LINES[1].color),
    "failed": Mark("failed", "x", LINES[0].color),
    "refused": Mark("refused", "square-open", NOISE),
}


def fates(tables: Mapping[str, pd.DataFrame], *, height: int = 270) -> go.Figure:
    """One mark for each call, in a lane for each breaker; the calls stand in the order in which they begin.

    tables: up to two, by title; each as `breakerlab.lab.article.side_by_side` gives it: one call a row, in the index
    when it begins, in each column its fate ("ok", "failed", "refused") under one breaker. Raises ValueError for others.
    """
    if not 1 <= len(tables) <= MOST_PANELS:
        raise ValueError(f"fates draws 1 to {MOST_PANELS} tables, not {len(tables)}")
    titles = [shortened(title, 60) for title in tables]
    figure = make_subplots(rows=1, cols=len(tables), subplot_titles=titles, horizontal_spacing=0.06)
    for col, table in enumerate(tables.values(), start=1):
        moments = list(dict.fromkeys(table.index))
        for lane, name in enumerate(table):
            _draw_lane(figure, table[name], moments, lane, col)
        _label_axes(figure, moments, len(table.columns), col)
    for mark in MARKS.values():
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=_drawn(mark), name=mark.words)
    frame(figure, height=height, l=20, t=62, caption=CAPTION)
    panel_titles(figure, *titles)
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1.14, "yanchor": "bottom"})
    return figure


def _drawn(mark: Mark) -> dict[str, Any]:
    return {"symbol": mark.symbol, "size": 8, "color": mark.colour, "line": {"width": 1.2, "color": mark.colour}}


def _draw_lane(figure: go.Figure, found: pd.Series, moments: Sequence[str], lane: int, col: int) -> None:
    x, y = _places(found, moments, lane)
    counts = []
    for fate, mark in MARKS.items():
        mine = [place for place, one in enumerate(found) if one == fate]
        counts.append(f"{len(mine):,} {mark.words}")
        figure.add_scatter(
            row=1,
            col=col,
            x=rounded(x[place] for place in mine),
            y=rounded(y[place] for place in mine),
            name=mark.words,
            showlegend=False,
            mode="markers",
            marker=_drawn(mark),
            text=[plain(str(found.index[place])) for place in mine],
            hovertemplate=f"call at %{{text}}: {mark.words}<extra></extra>",
        )
    text = f"{shortened(str(found.name), 24)}: {', '.join(counts)}"
    style = {"showarrow": False, "xanchor": "left", "yanchor": "bottom", "font": {"size": 11, "color": INK}}
    figure.add_annotation(row=1, col=col, x=-0.5, y=-lane + 0.36, text=text, **style)


def _places(found: pd.Series, moments: Sequence[str], lane: int) -> tuple[list[float], list[float]]:
    """Where each call is drawn: at its moment, and calls of one moment as a block."""
    together, before = Counter(found.index), Counter[Any]()
    x, y = [], []
    for moment in found.index:
        wide = math.ceil(together[moment] / DEEP)
        deep = math.ceil(together[moment] / wide)
        across, down = divmod(before[moment], deep)
        x.append(moments.index(moment) + (across - (wide - 1) / 2.0) * min(0.1, 0.9 / wide))
        y.append(-lane + ((deep - 1) / 2.0 - down) * STEP)
        before[moment] += 1
    return x, y


def _label_axes(figure: go.Figure, moments: Sequence[str], lanes: int, col: int) -> None:
    step = math.ceil(len(moments) / MOST_TICKS)
    ticks: dict[str, Any] = {
        "tickvals": list(range(0, len(moments), step)),
        "ticktext": [plain(str(moment)) for moment in moments[::step]],
    }
    figure.update_xaxes(row=1, col=col, range=[-0.6, len(moments) - 0.4], title_text="call at", showgrid=False, **ticks)
    figure.update_yaxes(row=1, col=col, visible=False, range=[-lanes + 0.45, 0.75])
