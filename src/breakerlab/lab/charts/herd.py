"""When retries arrive after a common failure: the thundering herd, one panel for each backoff."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.caption import caption_of
from breakerlab.lab.charts.frame import frame, panel_titles
from breakerlab.lab.charts.rounding import rounded, told
from breakerlab.lab.charts.runs import check_runs, trace_of
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.style import INK, JITTER_COLOURS, LINES, OFFERED
from breakerlab.replay import Run
from breakerlab.trace import Trace

MOST_PANELS: Final = 8
COLUMNS: Final = 3
PANELS_WIDE: Final = 690  # px of all panels of a row, in JupyterLab on a laptop
LEAST: Final = 2  # px of a bar
OUTLIER: Final = 4.0  # times the median peak: a bar above it is cut, and says so
LABEL_WIDE: Final = 0.22  # of a panel
ROOM: Final = 1.25  # of the tallest bar that is not cut


def retry_histogram(
    traces: Mapping[str, Trace | Run], *, bin: float = 0.1, until: float | None = None, height: int = 450
) -> go.Figure:
    """How many attempts arrive at the service in each `bin` (s), one panel for each trace: retries, first ones grey.

    traces: by name, up to 8; a name that is a jitter has the jitter's colour. until: seconds shown, all if None. All
    panels have one scale; a bar that would dwarf the others is cut off, and its height written beside it.
    """
    check_runs("retry_histogram", traces, MOST_PANELS)
    counts = {name: arrivals(run, bin, until) for name, run in traces.items()}
    peaks = {name: max(found["retries"], default=0.0) for name, found in counts.items()}
    titles = [f"{shortened(name, 22)}: at most {told(peaks[name])} retries in {told(bin)} s" for name in traces]
    rows = math.ceil(len(traces) / COLUMNS)
    figure = make_subplots(
        rows=rows,
        cols=min(COLUMNS, len(traces)),
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=titles,
        horizontal_spacing=0.035,
        vertical_spacing=0.16,
    )
    limit = _limit([*peaks.values()])
    longest = max(found["time"][-1] for found in counts.values())
    width = max(bin, _least_width(until or longest, min(COLUMNS, len(traces))))
    for place, (name, found) in enumerate(counts.items()):
        where = {"row": place // COLUMNS + 1, "col": place % COLUMNS + 1}
        _draw(figure, name, found, (bin, width), _colour(name, place), where)
        _tell_cut(figure, found, limit, where)
    frame(figure, height=height, caption=f"First attempts in grey. {caption_of(traces)}")
    panel_titles(figure, *titles)
    figure.update_layout(bargap=0, barmode="stack")
    figure.update_yaxes(range=[0, limit])
    figure.update_yaxes(col=1, title_text=f"attempts per {told(bin)} s")
    figure.update_xaxes(range=rounded([-0.015 * longest, until or longest]))
    figure.update_xaxes(row=rows, title_text="time (s)")
    return figure


def arrivals(run: Trace | Run, bin: float, until: float | None = None) -> dict[str, list[Any]]:
    """`time`: the left edges of the bins (s); `first` and `retries`: attempts sent to the service in each of them."""
    attempts = trace_of(run).attempts
    sent = attempts[(attempts["service"] != "app") & (attempts["outcome"] != "rejected")]
    time, retry = sent["time"].to_numpy(), (sent["attempt"] > 1).to_numpy()
    end = until or (float(time.max()) if len(time) else 0.0)
    edges = np.arange(math.floor(end / bin + 1e-9) + 1) * bin
    place = np.floor(time / bin + 1e-9).astype(np.int64)
    inside = (place >= 0) & (place < len(edges))
    tallies = {
        name: np.bincount(place[inside & chosen], minlength=len(edges))
        for name, chosen in (("first", ~retry), ("retries", retry))
    }
    return {"time": rounded(edges), **{name: [int(n) for n in tally] for name, tally in tallies.items()}}


def _limit(peaks: list[float]) -> float:
    """The height of the panels: of the tallest bar, without those that would dwarf the others."""
    shown = [peak for peak in peaks if peak <= OUTLIER * float(np.median(peaks))]
    return ROOM * max(shown, default=1.0) or 1.0


def _least_width(seconds: float, columns: int) -> float:
    """Seconds of two pixels in the narrowest panel; a bar that is thinner would be drawn pale, or not at all."""
    return float(rounded([LEAST * seconds * columns / PANELS_WIDE])[0] or 0.0)


def _colour(name: str, place: int) -> str:
    return JITTER_COLOURS.get(name, LINES[place % len(LINES)].color)


def _draw(
    figure: go.Figure,
    name: str,
    found: Mapping[str, Any],
    sizes: tuple[float, float],
    colour: str,
    where: Mapping[str, int],
) -> None:
    """sizes: of a bin, and of its bar (s)."""
    bin, width = sizes
    middles = rounded(np.array(found["time"]) + bin / 2.0)
    for column, shade, what in (("first", OFFERED, "first attempts"), ("retries", colour, "retries")):
        kept = [place for place, count in enumerate(found[column]) if count]
        figure.add_bar(
            **where,
            x=[middles[place] for place in kept],
            y=[found[column][place] for place in kept],
            width=width,
            marker={"color": shade, "line_width": 0},
            name=shortened(name, 40),
            showlegend=False,
            hovertemplate=f"%{{y:,}} {what} in {told(bin)} s around %{{x:.6g}} s<extra>%{{fullData.name}}</extra>",
        )


def _tell_cut(figure: go.Figure, found: Mapping[str, Any], limit: float, where: Mapping[str, int]) -> None:
    """Beside each bar of retries that is cut off, how high it is; where they follow closely, beside the last."""
    end = found["time"][-1] or 1.0
    cut = [(time, count) for time, count in zip(found["time"], found["retries"], strict=True) if count > limit]
    for (time, count), following in zip(cut, [*(time for time, _ in cut[1:]), math.inf], strict=False):
        if following - time > LABEL_WIDE * end:
            side = "right" if time > (1.0 - LABEL_WIDE) * end else "left"
            label = {"showarrow": False, "font": {"size": 11, "color": INK}, "bgcolor": "rgba(255,255,255,0.8)"}
            place = {"x": time, "y": limit, "xanchor": side, "yanchor": "top", "xshift": 4 if side == "left" else -4}
            figure.add_annotation(**where, **place, **label, text=f"▲ {count:,}")
