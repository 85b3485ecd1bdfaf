"""What became of writes: told, carried out and not told, carried out again."""

from typing import Any, Final

import pandas as pd
import plotly.graph_objects as go

from breakerlab.lab.charts.frame import frame
from breakerlab.lab.charts.text import plain
from breakerlab.lab.style import ANSWERS, NOISE, REPEATED

PARTS: Final = {
    "confirmed": ("confirmed to the caller", ANSWERS),
    "untold": ("carried out, but the caller was told that it failed", NOISE),
    "doubled": ("carried out once more: a second order, a second charge", REPEATED),
}
CAPTION: Final = (
    "Simulated: 9 orders/s for two minutes; the shop is four times as slow from 30 to 60 s and refuses none; attempts "
    "time out after 2 s, at most 3 of them, full jitter; seed 0."
)


def orders(table: pd.DataFrame, *, caption: str = CAPTION, height: int = 340) -> go.Figure:
    """Bars for the table of `writes.fates_of_orders`, one row for each way to send them, with their numbers.

    caption: of the model; the default is that of the default arguments.
    """
    figure = go.Figure()
    ways = [plain(str(way)) for way in table.index]
    for column, (label, colour) in PARTS.items():
        _draw(figure, ways, table[column], label, colour)
    frame(figure, height=height, l=140, t=66, caption=caption)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}, "traceorder": "normal"}
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.08, legend=legend)
    figure.update_xaxes(title_text="orders", range=[0, 1.1 * float(table[list(PARTS)].to_numpy().max())])
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    return figure


def _draw(figure: go.Figure, ways: list[str], counts: Any, label: str, colour: str) -> None:
    figure.add_bar(
        orientation="h",
        y=ways,
        x=[int(count) for count in counts],
        name=label,
        marker={"color": colour},
        text=[f"{count:,.0f}" for count in counts],
        textposition="outside",
        cliponaxis=False,
        hovertemplate=f"%{{x:,.0f}} {label}<extra></extra>",
    )
