"""An overload over time: callers, attempts and answers, and the queue behind it; and how it ends under several ways."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.caption import caption_of
from breakerlab.lab.charts.frame import beside, frame, panel_titles
from breakerlab.lab.charts.model import service_told
from breakerlab.lab.charts.rounding import rounded, told
from breakerlab.lab.charts.runs import check_runs, fault_windows
from breakerlab.lab.charts.spread import spread
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.style import ANSWERS, ATTEMPTS, FAULT, INK, OFFERED, OFFERED_AREA
from breakerlab.replay import Constant, Run

BIN: Final = 5.0  # s
MOST_RUNS: Final = 12
COLUMNS: Final = 2
LABELS: Final = {"offered": ("callers", "#6E6E6E"), "attempts": ("attempts", ATTEMPTS), "goodput": ("answers", ANSWERS)}


def overload(run: Run, *, bin: float = BIN, height: int = 470) -> go.Figure:
    """Callers, attempts and answers that reached a waiting caller, per second, above the queue of the service.

    bin: seconds. Dotted, where service times are constant: what the service can do, and the queue that it can serve
    before the attempts in it time out. What is drawn ends with the last whole bin of the scenario. Raises ValueError
    for a log, which does not tell the queue.
    """
    _check("overload", {"run": run}, 1)
    found = rates(run, bin)
    titles = [f"Callers, attempts and answers. {fate(run)}", _queue_title(run)]
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.64, 0.36], vertical_spacing=0.1, subplot_titles=titles
    )
    _draw_rates(figure, found, row=1, col=1)
    figure.add_scatter(
        row=2,
        col=1,
        x=found["time"],
        y=found["queued"],
        name="waiting attempts",
        mode="lines",
        line={"color": INK, "width": 1.8, "shape": "hv"},
        showlegend=False,
        hovertemplate="%{y:,.0f} attempts wait<extra></extra>",
    )
    frame(figure, height=height, r=128, caption=caption_of({"run": run}))
    panel_titles(figure, *titles)
    _label_ends(figure, found)
    _draw_limits(figure, run)
    _shade(figure, run)
    figure.update_yaxes(rangemode="tozero", nticks=5)
    figure.update_yaxes(row=1, title_text="per s")
    figure.update_yaxes(row=2, title_text="attempts")
    figure.update_xaxes(range=[0, found["time"][-1]])
    figure.update_xaxes(row=2, title_text="time (s)")
    figure.update_layout(hovermode="x", showlegend=False)
    return figure


def recoveries(runs: Mapping[str, Run], *, bin: float = BIN, height: int = 620) -> go.Figure:
    """Small panels, one for each run, up to 12: answers per second (blue) before the callers (grey); how each ended.

    They go down the first column and then the second. runs: by name, of one scenario under several policies, or of
    several services. bin: seconds. Raises ValueError for no run, for more than 12, and for a log.
    """
    _check("recoveries", runs, MOST_RUNS)
    rows = -(-len(runs) // COLUMNS)
    titles = [f"<b>{shortened(name, 30)}</b>: {fate(run).lower()}" for name, run in runs.items()]
    by_row = [title for row in range(rows) for title in titles[row::rows]]
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=by_row,
        horizontal_spacing=0.04,
        vertical_spacing=0.3 / rows,
    )
    for place, run in enumerate(runs.values()):
        where = {"row": place % rows + 1, "col": place // rows + 1}
        found = rates(run, bin)
        _draw_area(figure, found, "offered", OFFERED, OFFERED_AREA, where)
        _draw_area(figure, found, "goodput", ANSWERS, ANSWERS, where)
        for start, end, _ in fault_windows(run.trace):
            figure.add_vrect(x0=start, x1=end, fillcolor=FAULT, line_width=0, layer="above", **where)
    first = next(iter(runs.values()))
    caption = "Blue: answers that reached a waiting caller; grey: callers without one; shaded: the outage."
    model = f" Simulated, one change a panel: {service_told(first.scenario.service)}; open loop; seed {first.seed}."
    frame(figure, height=height, t=30, caption=caption + model)
    panel_titles(figure, *titles)
    figure.update_yaxes(rangemode="tozero", nticks=3)
    figure.update_yaxes(col=1, title_text="per s")
    figure.update_xaxes(row=rows, title_text="time (s)")
    figure.update_layout(showlegend=False)
    return figure


def rates(run: Run, bin: float) -> dict[str, list[Any]]:
    """`time` (s), `offered`, `attempts` and `goodput` (/s) and `queued` (attempts), the last value repeated at the end
    of its bin; up to the end of the scenario, when the callers go."""
    timeline = run.timeline(bin)
    timeline = timeline[timeline.index + bin <= run.scenario.duration + 1e-9]
    edges = timeline.index.to_numpy()
    columns = {name: rounded(timeline[name]) for name in (*LABELS, "queued")}
    return {
        "time": rounded(np.append(edges, edges[-1] + bin)),
        **{name: [*values, values[-1]] for name, values in columns.items()},
    }


def fate(run: Run) -> str:
    """Whether the callers were well again for good, and how long after the outage, in words."""
    ends = [end for _, end, _ in fault_windows(run.trace)]
    if not ends:
        return "No outage"
    end, seconds = max(ends), run.summary()["time_to_recover"]
    if np.isinf(seconds):
        return f"Not back {told(run.scenario.duration - end)} s after the outage"
    called = run.requests["time"]
    wait = called[called >= end + seconds].min() - end  # while nobody is let in, nobody is well
    return "Back at once" if wait < 1.0 else f"Back {told(round(wait))} s after the outage"


def _check(chart: str, runs: Mapping[str, Any], most: int) -> None:
    check_runs(chart, runs, most)
    for name, run in runs.items():
        if not isinstance(run, Run):
            raise ValueError(f"{chart} draws a Run, and {shortened(str(name), 40)!r} is a log, which tells no queue")


def _draw_rates(figure: go.Figure, found: Mapping[str, list[Any]], **where: int) -> None:
    _draw_area(figure, found, "offered", OFFERED, OFFERED_AREA, where)
    for name in ("attempts", "goodput"):
        label, colour = LABELS[name]
        figure.add_scatter(
            **where,
            x=found["time"],
            y=found[name],
            name=label,
            mode="lines",
            line={"color": colour, "width": 3.0 if name == "attempts" else 1.8, "shape": "hv"},
            hovertemplate=f"%{{y:.0f}} {label} per s<extra></extra>",
        )


def _draw_area(
    figure: go.Figure, found: Mapping[str, list[Any]], name: str, line: str, area: str, where: Mapping[str, int]
) -> None:
    label = LABELS[name][0]
    figure.add_scatter(
        **where,
        x=found["time"],
        y=found[name],
        name=label,
        mode="lines",
        line={"color": line, "width": 1, "shape": "hv"},
        fill="tozeroy",
        fillcolor=area,
        hovertemplate=f"%{{y:.0f}} {label} per s<extra></extra>",
    )


def _label_ends(figure: go.Figure, found: Mapping[str, list[Any]]) -> None:
    """The lines' names and last values, means over the last 30 s, at the right edge."""
    last = {name: _mean(found[name][-7:-1]) for name in LABELS}
    highest = max(max(found[name]) for name in LABELS)
    places = spread(list(last.values()), span=1.6 * highest)
    for (name, value), place in zip(last.items(), places, strict=True):
        label, colour = LABELS[name]
        beside(figure, f"{told(round(value))} {label}", found["time"][-1], place, colour, row=1, col=1)


def _mean(values: Iterable[float | None]) -> float:
    return float(pd.Series(list(values), dtype=float).mean())


def _limits(run: Run) -> tuple[float, float] | None:
    """What the service can do (attempts/s), and the queue (attempts) that it serves before they time out."""
    service = run.scenario.service
    if not isinstance(service.time, Constant):
        return None
    capacity = service.slots / service.time.value
    return capacity, max(run.policy.timeout - service.time.value, 0.0) * capacity


def _queue_title(run: Run) -> str:
    limits = _limits(run)
    late = "" if limits is None else f" (dotted: {told(round(limits[1]))}; behind more, an answer is too late)"
    return f"Attempts that wait in the queue{late}"


def _draw_limits(figure: go.Figure, run: Run) -> None:
    limits = _limits(run)
    if limits is None:
        return
    for row, limit in enumerate(limits, start=1):
        figure.add_hline(y=limit, line={"color": INK, "width": 1, "dash": "dot"}, row=row, col=1)
    text = f"the service can do {told(round(limits[0]))}"
    style = {"font": {"size": 11, "color": INK}, "showarrow": False, "xanchor": "left", "yanchor": "bottom"}
    figure.add_annotation(text=text, x=0.0, y=limits[0], row=1, col=1, **style)


def _shade(figure: go.Figure, run: Run) -> None:
    for start, end, _ in fault_windows(run.trace):
        figure.add_vrect(x0=start, x1=end, fillcolor=FAULT, line_width=0, layer="above")
