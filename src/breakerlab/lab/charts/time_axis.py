"""The cascade on one time axis, for any log, recording or simulated run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.caption import caption_of
from breakerlab.lab.charts.frame import caption_height, caption_lines, write_caption
from breakerlab.lab.charts.model import share_told
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.runs import bin_for, check_runs, fault_windows, lines, trace_of
from breakerlab.lab.charts.text import plain
from breakerlab.lab.service_name import ServiceName, service_name
from breakerlab.lab.style import (
    FAULT,
    FAULT_IN_LEGEND,
    FONT,
    GRID,
    INK,
    LINES,
    OFFERED,
    OFFERED_AREA,
    TITLE_FONT,
    Line,
)
from breakerlab.replay import Run
from breakerlab.trace import Trace
from breakerlab.trace.facts import recorded_parameter

MOST_RUNS: Final = len(LINES)


@dataclass(frozen=True)
class Panel:
    """One row of the cascade: what it shows, its unit, and the column of `Trace.timeline` it draws.

    In the title, `{service}` is where the service's name goes.
    """

    title: str
    unit: str
    column: str


PANELS: Final = (
    Panel("Attempts sent to the {service}, and the load offered (grey)", "per s", "attempts"),
    Panel("503 answers of the {service}", "per s", "status_503"),
    Panel("Workers in use", "workers", "pool"),
    Panel("Other endpoints: calls that timed out or failed", "per s", "other_failed"),
    Panel("Breaker state, and restarts of the app", "", "breaker"),
    Panel("{Service} answers that reached a waiting caller", "per s", "goodput"),
)
ALL: Final = tuple(panel.column for panel in PANELS)
BREAKER_ROW: Final = ALL.index("breaker") + 1  # where all panels are drawn
LEFT: Final = 88  # px, for the names of the breaker's states
TOP: Final = 56  # px above the plot, for the legend and the first title
AXIS_TITLES: Final = 44  # px below the plot, for ticks and the axis title
OF_A_HEIGHT: Final = 130  # px that no panel takes: all that is above and below, the caption included
PANEL: Final = 85  # px

# drawn from bottom to top in the order of getting worse; the trace says 0 closed, 1 open, 2 half-open
_STATE_HEIGHTS: Final = (0.0, 2.0, 1.0)
_STATE_NAMES: Final = ("closed", "half-open", "open", "app restarts")
_RESTART_HEIGHT: Final = 3.0


def cascade(
    runs: Mapping[str, Trace | Run],
    *,
    bin: float | None = None,
    height: int | None = None,
    columns: Sequence[str] = ALL,
) -> go.Figure:
    """The cascade of up to three runs, laid over one another: load, 503s, pool, other endpoints, breaker, answers.

    runs: a name for the legend, and a log or run. A log beside simulated runs is drawn dotted in black. bin: seconds,
    over which rates are means; None for 2, or for more where a log is long. height: pixels; None for what the panels
    need. columns: of `PANELS`, to leave panels out; the first, "attempts", is always drawn. The offered load and the
    fault window are those of the first run. Raises ValueError for no run, more than three, or an unknown column.
    """
    check_runs("cascade", runs, MOST_RUNS)
    panels = _chosen(columns)
    height = height or OF_A_HEIGHT + PANEL * len(panels)
    caption = caption_lines(caption_of(runs), LEFT)
    setting, service = trace_of(next(iter(runs.values()))), service_name(*runs.values())
    figure = make_subplots(
        rows=len(panels),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.052 if len(panels) == len(PANELS) else 34.0 / _plot_height(height, caption),
        subplot_titles=[service.put_into(title) for title in _titles(setting, panels)],
    )
    bin = bin_for(runs) if bin is None else bin
    drawn = {name: series(run, bin) for name, run in runs.items()}
    first = next(iter(drawn.values()))
    _fault_in_legend(figure, setting, service)
    figure.add_scatter(row=1, col=1, x=first["time"], y=first["offered"], **_offered_style())
    for (name, line), values in zip(lines(runs).items(), drawn.values(), strict=True):
        _draw_run(figure, name, line, values, panels)
    _lay_out(figure, height, panels, caption)
    _shade_faults(figure, setting)
    if row := _row("pool", panels):
        _draw_pool_limit(figure, setting, row)
    return figure


def _chosen(columns: Sequence[str]) -> tuple[Panel, ...]:
    unknown = [name for name in columns if name not in ALL]
    if unknown:
        raise ValueError(f"cascade has no column {unknown[0]!r}; it has {', '.join(ALL)}")
    return tuple(panel for panel in PANELS if panel.column in ("attempts", *columns))


def _row(column: str, panels: Sequence[Panel]) -> int:
    """The row in which a column is drawn, from 1; 0 for none."""
    return next((row for row, panel in enumerate(panels, start=1) if panel.column == column), 0)


def _titles(setting: Trace, panels: Sequence[Panel]) -> list[str]:
    """The panels' titles; the first says whether callers waited for their answers, where that is known."""
    facts = setting.source.facts
    recorded = recorded_parameter(facts, "workload", "answer_rate") is not None
    loop = "open" if recorded else facts.get("loop")
    first, *others = (panel.title for panel in panels)
    return [f"{first}, {loop} loop" if loop in ("open", "closed") else first, *others]


def series(run: Trace | Run, bin: float) -> dict[str, list[float | None]]:
    """What the cascade draws of one run: a list for each column, rounded to 6 significant digits, None for a gap.

    `time` is the left edge of each bin (s) up to the last in which somebody called, and its right edge as a last point.
    `breaker` is a height: 0 closed, 1 half-open, 2 open. `restart_time` and `restart_height` mark restarts.
    """
    trace = trace_of(run)
    timeline = _while_called(trace.timeline(bin))
    columns = {name: rounded(timeline[name].to_numpy()) for name in ("offered", *[p.column for p in PANELS])}
    states = timeline["breaker"].fillna(_state_without_events(run)).to_numpy()
    columns["breaker"] = [None if np.isnan(state) else _STATE_HEIGHTS[int(state)] for state in states]
    events = trace.events
    restarts = events[(events["kind"] == "restart") & (events["value"] == 1)]["time"].to_numpy()
    edges = timeline.index.to_numpy()
    return {
        **{name: [*values, values[-1]] for name, values in columns.items()},
        "time": rounded(np.append(edges, edges[-1] + bin)),
        "restart_time": rounded(restarts),
        "restart_height": [_RESTART_HEIGHT] * len(restarts),
    }


def _while_called(timeline: pd.DataFrame) -> pd.DataFrame:
    """Without the bins after the last call: rates that fall because nobody calls any more say nothing."""
    called = np.flatnonzero((timeline["offered"] + timeline["other_offered"]).to_numpy())
    return timeline.iloc[: called[-1] + 1] if len(called) else timeline


def _state_without_events(run: Trace | Run) -> float:
    """A breaker that never opened is closed; where there is none, there is nothing to draw."""
    return 0.0 if isinstance(run, Run) and run.policy.breaker is not None else float("nan")


def _offered_style() -> dict[str, Any]:
    line = {"color": OFFERED, "width": 1, "shape": "hv"}
    hover = "%{y:.1f} per s offered<extra></extra>"
    area = {"fill": "tozeroy", "fillcolor": OFFERED_AREA}
    return {"name": "offered load", "mode": "lines", "line": line, "hovertemplate": hover, **area}


def _draw_run(
    figure: go.Figure, name: str, line: Line, values: Mapping[str, list[float | None]], panels: Sequence[Panel]
) -> None:
    label = plain(name)
    style = {"color": line.color, "dash": line.dash, "width": line.width, "shape": "hv"}
    for row, panel in enumerate(panels, start=1):
        figure.add_scatter(
            row=row,
            col=1,
            x=values["time"],
            y=values[panel.column],
            name=label,
            legendgroup=label,
            showlegend=row == 1,
            mode="lines",
            line=style,
            hovertemplate=f"%{{y:.1f}} {panel.unit} at %{{x:.0f}} s<extra>{label}</extra>",
        )
    breaker_row = _row("breaker", panels)
    if not breaker_row:
        return
    figure.add_scatter(
        row=breaker_row,
        col=1,
        x=values["restart_time"],
        y=values["restart_height"],
        name=label,
        legendgroup=label,
        showlegend=False,
        mode="markers",
        marker={"symbol": "x", "size": 11, "color": line.color},
        hovertemplate=f"restart at %{{x:.1f}} s<extra>{label}</extra>",
    )


def _plot_height(height: int, caption: str) -> int:
    return height - TOP - AXIS_TITLES - caption_height(caption)


def _lay_out(figure: go.Figure, height: int, panels: Sequence[Panel], caption: str) -> None:
    legend_at = 1.05 if len(panels) == len(PANELS) else 1.0 + 24.0 / _plot_height(height, caption)
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        font=FONT,
        margin={"l": LEFT, "r": 16, "t": TOP, "b": AXIS_TITLES + caption_height(caption)},
        legend={"orientation": "h", "x": 0, "y": legend_at, "yanchor": "bottom", "font": {"size": 13}},
        hovermode="x",
        uirevision="keep",
    )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, ticks="outside", tickcolor=GRID)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, rangemode="tozero", nticks=4, title_standoff=6)
    for row, panel in enumerate(panels, start=1):
        figure.update_yaxes(row=row, col=1, title={"text": panel.unit, "font": {"size": 11}})
    if breaker_row := _row("breaker", panels):
        heights = list(range(len(_STATE_NAMES)))
        states = {"tickvals": heights, "ticktext": _STATE_NAMES, "tickfont": {"size": 11}, "range": [-0.4, 3.6]}
        figure.update_yaxes(row=breaker_row, col=1, **states)
    figure.update_xaxes(row=len(panels), col=1, title={"text": "time (s)", "standoff": 4, "font": TITLE_FONT})
    figure.update_annotations(x=0, xanchor="left", font={"size": 12, "color": INK})
    write_caption(figure, caption, AXIS_TITLES)


def _shade_faults(figure: go.Figure, trace: Trace) -> None:
    for start, end, _ in fault_windows(trace):
        figure.add_vrect(x0=start, x1=end, fillcolor=FAULT, line_width=0, layer="below")


def _fault_in_legend(figure: go.Figure, trace: Trace, service: ServiceName) -> None:
    windows = fault_windows(trace)
    if windows:
        marker = {"symbol": "square", "size": 14, "color": FAULT_IN_LEGEND}
        label = _fault_label(windows, service.noun)
        figure.add_scatter(row=1, col=1, x=[None], y=[None], name=label, mode="markers", marker=marker)


def _fault_label(windows: Sequence[tuple[float, float, float]], name: str) -> str:
    """What the shade means. windows: start, end and share of the capacity that is left."""
    if all(capacity < 1.0 for _, _, capacity in windows):
        kept = " and ".join(map(share_told, sorted({capacity for _, _, capacity in windows})))
        return f"fault: {name} at {kept} of its capacity"
    if any(max(a[0], b[0]) < min(a[1], b[1]) for a, b in combinations(windows, 2)):
        return f"faults of the {name}; darker: two at once"
    return f"fault of the {name}" if len(windows) == 1 else f"faults of the {name}"


def _draw_pool_limit(figure: go.Figure, trace: Trace, row: int) -> None:
    workers = recorded_parameter(trace.source.facts, "app", "workers")
    if isinstance(workers, int):
        line = {"color": INK, "width": 1, "dash": "dot"}
        figure.add_hline(y=workers, line=line, row=row, col=1)
        [title] = [panel.title for panel in PANELS if panel.column == "pool"]
        figure.update_annotations(selector={"text": title}, text=f"{title}, of {workers} (dotted)")
