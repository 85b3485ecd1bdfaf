"""What was predicted of a recording for every few seconds, and what was then recorded."""

import re
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.band import PREDICTED, least, recorded_marks, verdict
from breakerlab.lab.charts.caption import server_of
from breakerlab.lab.charts.frame import frame, panel_titles
from breakerlab.lab.charts.rounding import rounded
from breakerlab.lab.charts.runs import fault_windows
from breakerlab.lab.service_name import service_name
from breakerlab.lab.style import FAULT
from breakerlab.trace import Trace

ROWS: Final = {
    "attempts": ("Attempts sent to the {service}", "per 5 s"),
    "status_503": ("503 answers of the {service}", "per 5 s"),
    "pool": ("Most workers in use at a sample", "workers"),
    "other_timeouts": ("Other endpoints: calls that timed out", "per 5 s"),
    "other_failed": ("Other endpoints: calls that timed out or failed", "per 5 s"),
}
PLACE: Final = re.compile(r"(\w+) at (\d+) s")
TOLD: Final = (
    "Line: predicted, wide where the band is, the fault shaded. Dot: recorded, inside. Cross: recorded, outside. "
)


def predicted_course(judged: pd.DataFrame, *, server: Trace, height: int = 640) -> go.Figure:
    """Five panels over time, one for each quantity of `breakerlab.replay.course`: its band, and dots or crosses.

    judged: columns `quantity` ("pool at 35 s"), `low`, `high`, `recorded` and `inside`, one row each; quantities that
    name no second are left out. server: a recording that names the server and its fault. Raises ValueError if nothing
    is left.
    """
    placed = judged.assign(**_places(judged["quantity"])).dropna(subset="second").sort_values("second")
    if placed.empty:
        raise ValueError("predicted_course draws quantities such as 'pool at 35 s', and the table has none")
    bin = _bin(placed["second"].unique())
    service = service_name(server)
    titles = [service.put_into(title) for title, _ in ROWS.values()]
    figure = make_subplots(rows=len(ROWS), cols=1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.058)
    for row, name in enumerate(ROWS, start=1):
        _draw(figure, placed[placed["what"] == name], bin, row)
    frame(figure, height=height, t=26, caption=TOLD + server_of(server))
    panel_titles(figure, *titles)
    for start, end, _ in fault_windows(server):
        figure.add_vrect(x0=start, x1=end, fillcolor=FAULT, line_width=0, layer="below")
    for row, (_, unit) in enumerate(ROWS.values(), start=1):
        figure.update_yaxes(row=row, title_text=unit)
    figure.update_yaxes(rangemode="tozero", nticks=4, title_font={"size": 11})
    figure.update_xaxes(row=len(ROWS), title_text="time (s)")
    return figure


def _places(quantities: pd.Series) -> dict[str, list[Any]]:
    """What each quantity counts, and from which second on; None where a name says neither."""
    found = [PLACE.fullmatch(name) for name in quantities]
    return {
        "what": [match and match[1] for match in found],
        "second": [float(match[2]) if match else None for match in found],
    }


def _bin(seconds: Sequence[float]) -> float:
    return float(seconds[1] - seconds[0]) if len(seconds) > 1 else 1.0


def _draw(figure: go.Figure, rows: pd.DataFrame, bin: float, row: int) -> None:
    seconds = rows["second"].tolist()
    edges = [*seconds, seconds[-1] + bin] if seconds else []
    lows, highs = rounded(map(least, rows["low"])), rounded(rows["high"])
    line = {"color": PREDICTED, "width": 1.5, "shape": "hv"}
    style = {"mode": "lines", "line": line, "showlegend": False, "hoverinfo": "skip", "name": "predicted"}
    figure.add_scatter(row=row, col=1, x=edges, y=[*lows, *lows[-1:]], **style)
    figure.add_scatter(row=row, col=1, x=edges, y=[*highs, *highs[-1:]], fill="tonexty", **style)
    figure.add_scatter(
        row=row,
        col=1,
        x=[second + bin / 2.0 for second in seconds],
        y=rounded(rows["recorded"]),
        name="recorded",
        mode="markers",
        marker=recorded_marks(rows["inside"]),
        cliponaxis=False,
        showlegend=False,
        customdata=[verdict(*row) for row in rows[["recorded", "low", "high", "inside"]].itertuples(index=False)],
        hovertemplate="%{customdata}<extra></extra>",
    )
