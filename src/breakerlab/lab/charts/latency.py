"""How long callers wait: for an answer, and, apart, until they know that there will be none."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.caption import caption_of
from breakerlab.lab.charts.frame import beside, frame, panel_titles
from breakerlab.lab.charts.rounding import percent, rounded
from breakerlab.lab.charts.runs import check_runs, lines, trace_of
from breakerlab.lab.charts.spread import spread
from breakerlab.lab.charts.text import in_lines, shortened
from breakerlab.lab.style import LINES, Line
from breakerlab.replay import Run
from breakerlab.trace import Trace
from breakerlab.trace.facts import recorded_parameter

LONGEST_NAME: Final = 40  # characters of a direct label
MOST_POINTS: Final = 200
SHORTEST: Final = 0.001  # s; a refusal without delay has no place on a log axis
TICKS: Final = {
    "tickvals": [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0],
    "ticktext": ["≤ 1 ms", "10 ms", "0.1 s", "1 s", "10 s", "100 s", "1000 s"],
}
TITLES: Final = ("Answered: how long it took", "Not answered: how long until the caller knew")
SHARES: Final = "share of all requests"


def latencies(runs: Mapping[str, Trace | Run], *, height: int = 450) -> go.Figure:
    """Two panels over seconds (log scale): answered requests, and those that failed, each as a share of all requests.

    A line ends at the share that was answered (or failed): a policy that answers hardly anybody, and those quickly,
    does not look good. runs: up to three, by name. Only requests that need the service count, as their callers saw
    them.
    """
    check_runs("latencies", runs, len(LINES))
    figure = make_subplots(rows=1, cols=2, subplot_titles=TITLES, horizontal_spacing=0.22)
    found = {name: waiting_times(run) for name, run in runs.items()}
    edge = _edge(found)
    for name, line in lines(runs).items():
        for col, panel in enumerate(found[name], start=1):
            _draw(figure, name, line, panel, edge, col)
    frame(figure, height=height, r=150, caption=caption_of(runs))
    panel_titles(figure, *TITLES)
    for col in (1, 2):
        _label(figure, runs, {name: _last(panels[col - 1]) for name, panels in found.items()}, edge, col)
    figure.update_xaxes(type="log", title_text="time (log scale)", range=rounded([-3.1, np.log10(edge)]), **TICKS)
    figure.update_yaxes(range=[0, 1.04], tickformat=".0%")
    figure.update_yaxes(col=1, title_text=SHARES)
    return figure


def waiting_times(run: Trace | Run) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """For answered and for failed requests: `seconds`, rising, and the `share` of all requests that is up to there.

    Requests whose end is not known count among all, and in neither.
    """
    asked = requests_for_the_service(trace_of(run))
    ok = (asked["outcome"] == "ok").to_numpy()
    latency = asked["latency"].to_numpy()
    return _shares(latency[ok], len(asked)), _shares(latency[~ok], len(asked))


def requests_for_the_service(trace: Trace) -> pd.DataFrame:
    """The rows of `Trace.requests` of callers who needed the service; in a log of one service, all."""
    requests = trace.requests
    app = requests[requests["service"] == "app"]
    if app.empty:
        return requests
    named = recorded_parameter(trace.source.facts, "app", "other")
    if isinstance(named, Mapping):
        return app[~app["endpoint"].isin(list(named))]
    backed = app["request"].isin(requests.loc[requests["service"] != "app", "request"])
    return app[app["endpoint"].isin(app.loc[backed, "endpoint"].unique())] if backed.any() else app


def _shares(seconds: np.ndarray[Any, Any], everybody: int) -> dict[str, list[Any]]:
    known = np.sort(seconds[~np.isnan(seconds)])
    if not len(known):
        return {"seconds": [], "share": []}
    place = np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_POINTS)).astype(np.int64))
    return {"seconds": rounded(known[place]), "share": rounded((place + 1) / everybody)}


def _draw(figure: go.Figure, name: str, line: Line, found: Mapping[str, list[Any]], edge: float, col: int) -> None:
    """From nobody at the quickest, and flat from the slowest on to the panel's edge."""
    label = shortened(name, 40)
    shown = [max(value, SHORTEST) for value in found["seconds"]]
    x, y = ([shown[0], *shown, edge], [0.0, *found["share"], _last(found)]) if shown else ([], [])
    figure.add_scatter(
        row=1,
        col=col,
        x=x,
        y=y,
        name=label,
        mode="lines",
        line={"color": line.color, "dash": line.dash, "width": line.width, "shape": "hv"},
        showlegend=False,
        hovertemplate=f"%{{y:.1%}} of all requests within %{{x:.3g}} s<extra>{label}</extra>",
    )


def _last(found: Mapping[str, list[Any]]) -> float:
    """The share that a line ends at."""
    return found["share"][-1] if found["share"] else 0.0


def _edge(found: Mapping[str, tuple[Mapping[str, list[Any]], ...]]) -> float:
    """Seconds at the right edge of both panels: a quarter above the longest wait, at least 1 s."""
    longest = [panel["seconds"][-1] for panels in found.values() for panel in panels if panel["seconds"]]
    return float(rounded([1.25 * max(longest, default=1.0)])[0] or 1.0)


def _label(figure: go.Figure, runs: Mapping[str, Any], shares: Mapping[str, float], edge: float, col: int) -> None:
    """The name of each run and its share at the panel's right edge."""
    texts = [f"{in_lines(name[:LONGEST_NAME], 20)}<br>{percent(share, 1)}" for name, share in shares.items()]
    tallest = max(text.count("<br>") + 1 for text in texts)
    places = spread(list(shares.values()), span=1.04, lines=tallest)
    for text, line, place in zip(texts, lines(runs).values(), places, strict=True):
        beside(figure, text, float(np.log10(edge)), place, line.color, row=1, col=col)
