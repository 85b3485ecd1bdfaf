"""Who answered: the service, a fallback, or nobody, over time."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.caption import caption_of
from breakerlab.lab.charts.frame import frame, panel_titles
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.runs import bin_for, check_runs, fault_windows, trace_of
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.quantities import BY
from breakerlab.lab.service_name import IN_TRACES, ServiceName, service_name
from breakerlab.lab.style import FAULT, INK, SERVED_BY_FALLBACKS, SERVED_BY_LLM
from breakerlab.replay import Run
from breakerlab.trace import Trace
from breakerlab.trace.timeline import APP

MOST_RUNS: Final = 3


def answers(runs: Mapping[str, Trace | Run], *, bin: float | None = None, height: int = 450) -> go.Figure:
    """Answers per second that reached a waiting caller, stacked by who gave them; the line is the load offered.

    One panel for each run, up to three; a log says of an answer only that the app gave it, and so counts as the
    service's. bin: seconds; None for 2, or for more where a log is long. What is white below the line is nobody's:
    callers who got no answer.
    """
    check_runs("answers", runs, MOST_RUNS)
    bin = bin_for(runs) if bin is None else bin
    timelines = {name: run.timeline(bin) for name, run in runs.items()}
    found = {name: served(timeline, bin) for name, timeline in timelines.items()}
    service = service_name(*runs.values())
    titles = [f"{shortened(name, 40)}: {_counted(run, timelines[name], bin, service)}" for name, run in runs.items()]
    figure = make_subplots(
        rows=len(runs), cols=1, shared_xaxes=True, shared_yaxes="all", subplot_titles=titles, vertical_spacing=0.13
    )
    colours = _colours(found)
    for row, columns in enumerate(found.values(), start=1):
        for who, colour in colours.items():
            if who in columns:
                _draw(figure, who, _who(who, service), columns, colour, row)
        _draw_offered(figure, columns, row)
    frame(figure, height=height, t=70, caption=caption_of(runs))
    panel_titles(figure, *titles)
    for start, end, _ in fault_windows(trace_of(next(iter(runs.values())))):
        figure.add_vrect(x0=start, x1=end, fillcolor=FAULT, line_width=0, layer="below")
    figure.update_layout(hovermode="x", legend={"orientation": "h", "x": 0, "y": 1.1, "yanchor": "bottom"})
    figure.update_yaxes(title_text="per s", rangemode="tozero", nticks=4)
    figure.update_xaxes(row=len(runs), title_text="time (s)")
    _name_once(figure)
    return figure


def served(timeline: pd.DataFrame, bin: float) -> dict[str, list[Any]]:
    """`time` (s), `offered`, and answers/s by each who served, the last value repeated at the end of its bin."""
    names = [column for column in timeline if column.startswith(BY)]
    busy = np.flatnonzero(timeline[["offered", "goodput", *names]].sum(axis=1).to_numpy())
    timeline = timeline.iloc[: busy[-1] + 1] if len(busy) else timeline
    columns = {name.removeprefix(BY): timeline[name] for name in names} or {IN_TRACES: timeline["goodput"]}
    edges = timeline.index.to_numpy()
    values = {name: rounded(column) for name, column in {"offered": timeline["offered"], **columns}.items()}
    return {
        "time": rounded(np.append(edges, edges[-1] + bin)),
        **{name: [*column, column[-1]] for name, column in values.items()},
    }


def _colours(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The service has its colour, each fallback the next one, the same in every panel."""
    fallbacks = dict.fromkeys(who for columns in found.values() for who in columns)
    others = [who for who in fallbacks if who not in ("time", "offered", IN_TRACES)]
    taken = {who: SERVED_BY_FALLBACKS[place % len(SERVED_BY_FALLBACKS)] for place, who in enumerate(others)}
    return {IN_TRACES: SERVED_BY_LLM, **taken}


def _counted(run: Trace | Run, timeline: pd.DataFrame, bin: float, service: ServiceName) -> str:
    """Of how many requests each answered how many."""
    counts = {name.removeprefix(BY): timeline[name].sum() * bin for name in timeline if name.startswith(BY)}
    if not counts:  # a log, which has what the app gave, or without one the service
        logged = APP if (trace_of(run).attempts["service"] == APP).any() else IN_TRACES
        counts = {logged: timeline["goodput"].sum() * bin}
    asked = timeline["offered"].sum() * bin
    told = [f"{count:,.0f} by {shortened(_who(who, service), 20)}" for who, count in counts.items()]
    return f"of {asked:,.0f} requests, {', '.join(told)}, {asked - sum(counts.values()):,.0f} by nobody"


def _who(name: str, service: ServiceName) -> str:
    return {IN_TRACES: f"the {service.noun}", APP: "the app"}.get(name, name)


def _draw(figure: go.Figure, who: str, called: str, columns: Mapping[str, list[Any]], colour: str, row: int) -> None:
    label = shortened(called, 30)
    figure.add_scatter(
        row=row,
        col=1,
        x=columns["time"],
        y=columns[who],
        name=label,
        legendgroup=label,
        mode="lines",
        stackgroup="served",
        line={"width": 0, "shape": "hv", "color": colour},
        fillcolor=colour,
        hovertemplate=f"%{{y:.1f}} per s by {label}<extra></extra>",
    )


def _draw_offered(figure: go.Figure, columns: Mapping[str, list[Any]], row: int) -> None:
    figure.add_scatter(
        row=row,
        col=1,
        x=columns["time"],
        y=columns["offered"],
        name="offered load",
        legendgroup="offered load",
        mode="lines",
        line={"width": 1.6, "shape": "hv", "color": INK},
        hovertemplate="%{y:.1f} per s offered<extra></extra>",
    )


def _name_once(figure: go.Figure) -> None:
    """One entry in the legend for what is drawn in several panels."""
    named: set[str] = set()
    for trace in figure.data:
        trace.showlegend = trace.name not in named
        named.add(trace.name)
