"""How long each jitter waits, attempt by attempt, and what the cap does to it."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.frame import frame, panel_titles
from breakerlab.lab.charts.rounding import percent, rounded, told
from breakerlab.lab.style import INK, JITTER_COLOURS
from breakerlab.policy import Backoff
from breakerlab.policy.backoff import JITTERS, grown

DRAWS: Final = 20_000
QUANTILES: Final = (0.01, 0.25, 0.5, 0.75, 0.99)
AFTER_DRAW: Final = "full, capped after the draw"
COLUMNS: Final = 4
AT_CAP: Final = 1e-9  # s


def jitter_delays(backoff: Backoff | None = None, *, attempts: int = 8, height: int = 450) -> go.Figure:
    """The delay after each failed attempt, 1 to `attempts`, for the six jitters; the cap is a dotted line.

    backoff: base, factor and cap, in seconds; 1 s doubling up to 20 s if None. A box holds the middle half of the
    draws, its whiskers 98 %. The last panel is a common mistake: full jitter that is capped after the draw.
    """
    chosen = Backoff(base=1.0, factor=2.0, cap=20.0) if backoff is None else backoff
    drawn = {name: delays(chosen, name, attempts) for name in (*JITTERS, AFTER_DRAW)}
    titles = [_title(name, values, chosen.cap) for name, values in drawn.items()]
    figure = make_subplots(
        rows=2,
        cols=COLUMNS,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=titles,
        horizontal_spacing=0.025,
        vertical_spacing=0.2,
    )
    for place, (name, values) in enumerate(drawn.items()):
        where = {"row": place // COLUMNS + 1, "col": place % COLUMNS + 1}
        _draw(figure, name, values, where)
        figure.add_hline(y=chosen.cap, line={"color": INK, "width": 1.2, "dash": "dot"}, **where)
    frame(figure, height=height, t=56, caption=_caption(chosen))
    panel_titles(figure, *titles)
    figure.update_layout(boxgap=0.35)
    figure.update_yaxes(range=[0, 1.6 * chosen.cap])
    figure.update_yaxes(col=1, title_text="delay (s)")
    figure.update_xaxes(dtick=1, range=[0.4, attempts + 0.6])
    figure.update_xaxes(row=2, title_text="after failed attempt")
    figure.update_xaxes(row=1, col=COLUMNS, showticklabels=True)
    figure.update_xaxes(row=2, col=COLUMNS, visible=False)
    figure.update_yaxes(row=2, col=COLUMNS, visible=False)
    _explain(figure, chosen.cap)
    return figure


def delays(backoff: Backoff, jitter: str, attempts: int) -> np.ndarray[Any, Any]:
    """Seconds, one column for each failed attempt: 20,000 draws by the policy's own rule, the same at every call."""
    draw = np.random.default_rng(0)
    if jitter == AFTER_DRAW:
        terms = [grown(backoff.base, backoff.factor, np.inf, backoff.top_exponent, float(n)) for n in range(attempts)]
        return np.minimum(draw.random((DRAWS, attempts)) * np.array(terms), backoff.cap)
    rule = replace(backoff, jitter=jitter)
    columns, previous = [], [0.0] * DRAWS
    for attempt in range(1, attempts + 1):
        uniform = draw.random(DRAWS).tolist()
        previous = [rule.delay(attempt, before, u) for before, u in zip(previous, uniform, strict=True)]
        columns.append(previous)
    return np.array(columns).T


def share_at_cap(values: np.ndarray[Any, Any], cap: float) -> float:
    """The share of the draws of the last attempt that lie exactly at the cap."""
    return float(np.mean(np.abs(values[:, -1] - cap) < AT_CAP))


def _title(name: str, values: np.ndarray[Any, Any], cap: float) -> str:
    above = float(np.mean(values[:, -1] > cap + AT_CAP))
    if above:
        return f"{name}: up to {told(1.5 * cap)} s<br>last: {percent(above)} above the cap"
    return f"{name}<br>last: {percent(share_at_cap(values, cap))} at the cap"


def _draw(figure: go.Figure, name: str, values: np.ndarray[Any, Any], where: dict[str, int]) -> None:
    low, lower, middle, upper, high = (rounded(row) for row in np.quantile(values, QUANTILES, axis=0))
    colour = JITTER_COLOURS.get(name, "#56B4E9")
    figure.add_box(
        **where,
        x=list(range(1, values.shape[1] + 1)),
        lowerfence=low,
        q1=lower,
        median=middle,
        q3=upper,
        upperfence=high,
        line={"color": INK, "width": 1},
        fillcolor=colour,
        name=name,
        showlegend=False,
    )


def _caption(backoff: Backoff) -> str:
    grows = f"{told(backoff.base)} s times {told(backoff.factor)} for each further attempt, cap {told(backoff.cap)} s"
    return f"No server: {DRAWS:,} draws of the policy's own rule for each box. Backoff: {grows}."


def _explain(figure: go.Figure, cap: float) -> None:
    """What boxes and lines mean, in the place of the eighth panel."""
    text = f"box: the middle half<br>of the draws<br>whiskers: 98 %<br>dotted line: the cap, {told(cap)} s"
    style = {"showarrow": False, "align": "left", "font": {"size": 12, "color": "#555555"}}
    figure.add_annotation(x=1, y=0.3, xref="paper", yref="paper", xanchor="right", yanchor="middle", text=text, **style)
