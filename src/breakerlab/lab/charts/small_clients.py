"""What a breaker in each client does against an outage, and what it costs on a calm day, over the number of clients."""

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.frame import beside, frame, panel_titles
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.spread import spread
from breakerlab.lab.charts.text import plain
from breakerlab.lab.style import INK, LINES

COLOURS: Final = (INK, *(line.color for line in LINES))
DASHES: Final = ("dot", "solid", "solid", "dash")
TITLES: Final = ("Service down: attempts per request", "Calm day, 5 % of attempts fail: requests answered")
CAPTION: Final = (
    "Simulated: 50 requests/s in all, up to 3 attempts each, from so many clients in turn; each has a breaker of its "
    "own that opens at 50 % failures and tries again after 5 s, or all share one. One seed."
)


def small_clients(table: pd.DataFrame, *, height: int = 430) -> go.Figure:
    """table: what `small_clients.small_clients` gives, with up to 4 rules.

    Left: attempts that reach a service that refuses all. Right: the share of requests answered while 5 % of attempts
    fail. Both over the number of clients that share the same traffic.
    """
    rules = list(dict.fromkeys(table["rule"]))
    if len(rules) > len(COLOURS):
        raise ValueError(f"small_clients draws 1 to {len(COLOURS)} rules, not {len(rules)}")
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.1, subplot_titles=TITLES)
    for rule, colour, dash in zip(rules, COLOURS, DASHES, strict=False):
        mine = table[table["rule"] == rule]
        for column, name in enumerate(("attempts", "answered"), start=1):
            _draw(figure, rule, mine["clients"].tolist(), mine[name], {"color": colour, "dash": dash}, column)
    frame(figure, height=height, t=34, r=150, caption=CAPTION)
    panel_titles(figure, *TITLES)
    _label(figure, table, rules)
    widest = float(np.log10(table["clients"].max()))
    tens = [10**power for power in range(int(widest) + 1)]
    figure.update_xaxes(
        type="log",
        title_text="clients (log scale)",
        tickvals=tens,
        ticktext=[f"{n:,}" for n in tens],
        range=rounded([-0.05 * widest, 1.05 * widest]),
    )
    ticks = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3]
    figure.update_yaxes(
        row=1,
        col=1,
        title_text="attempts per request (log scale)",
        type="log",
        tickvals=ticks,
        ticktext=list(map(str, ticks)),
    )
    figure.update_yaxes(row=1, col=2, title_text="share of requests", tickformat=".0%", range=[0, 1.05])
    return figure


def _draw(figure: go.Figure, rule: str, clients: list[int], values: Any, line: dict[str, Any], column: int) -> None:
    unit = "%{y:.3g} attempts per request" if column == 1 else "%{y:.1%} answered"
    figure.add_scatter(
        row=1,
        col=column,
        x=clients,
        y=rounded(values),
        name=plain(rule),
        mode="lines+markers",
        line={"width": 2.2, **line},
        marker={"size": 6, "color": line["color"]},
        showlegend=False,
        hovertemplate=f"{unit}<extra>{plain(rule)}</extra>",
    )


def _label(figure: go.Figure, table: pd.DataFrame, rules: list[str]) -> None:
    """The rules' names at the right end, in the colours of their lines, in the order of the lines there."""
    last = table[table["clients"] == table["clients"].max()].set_index("rule")
    places = spread([float(last.loc[rule, "answered"]) for rule in rules], span=1.05)
    places = [place - max(places) + 1.0 for place in places]  # the title stands above
    for rule, colour, place in zip(rules, COLOURS, places, strict=False):
        widest = float(np.log10(last["clients"].iloc[0]))
        beside(figure, plain(rule), *rounded([widest, place]), colour, xref="x2", yref="y2")
