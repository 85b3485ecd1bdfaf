"""Differences between policies, each with the interval that says whether it is more than noise."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breakerlab.lab.charts.caption import caption_of_comparison
from breakerlab.lab.charts.frame import frame
from breakerlab.lab.charts.rounding import rounded, told
from breakerlab.lab.charts.text import shortened
from breakerlab.lab.quantities import Quantity, quantity
from breakerlab.lab.service_name import service_name
from breakerlab.lab.style import INK, LINES, NOISE
from breakerlab.replay import Comparison

SHOWN: Final = ("answered", "other_failed", "restarts", "attempts", "status_503", "latency_p90", "failure_p50")
MOST_QUANTITIES: Final = 10
MOST_POLICIES: Final = 8
ROW: Final = 22  # px for each policy in a quantity's row
BETWEEN: Final = 26  # px between rows, for the ticks
AROUND: Final = 113  # px, for the heading and three lines of caption
MINUS: Final = "\N{MINUS SIGN}"
TELLS: Final = ("higher", "lower")


def differences(comparison: Comparison, quantities: Sequence[str] = SHOWN, *, height: int | None = None) -> go.Figure:
    """Each policy minus the baseline, seed by seed: the mean of the pairs as a dot, its interval as whiskers.

    comparison: the result of `breakerlab.replay.compare`, with up to 8 policies besides the baseline. quantities: up to
    10 names of its table; each has a scale of its own, with 0 marked. What may be noise is grey and says so.
    """
    service = service_name(comparison.scenario)
    known = {name: quantity(name, service) for name in quantities}
    rows = _rows(comparison.table, known)
    policies = list(dict.fromkeys(rows["policy"]))
    if len(policies) > MOST_POLICIES:
        raise ValueError(f"differences draws 1 to {MOST_POLICIES} policies, not {len(policies)}")
    shown = list(dict.fromkeys(rows["quantity"]))
    plot = len(shown) * ROW * len(policies) + (len(shown) - 1) * BETWEEN  # px
    figure = make_subplots(rows=len(shown), cols=1, vertical_spacing=BETWEEN / plot if len(shown) > 1 else None)
    for row, name in enumerate(shown, start=1):
        mine = rows[rows["quantity"] == name].set_index("policy")
        figure.update_xaxes(row=row, range=_range(mine))
        for place, policy in enumerate(policies):
            _draw(figure, policy, mine.loc[policy], place, row, few=len(policies) <= len(LINES))
        _label_row(figure, known[name], row, len(policies))
    frame(figure, height=height or AROUND + plot, l=196, r=344, t=34, b=26, caption=_caption(comparison, rows))
    figure.update_xaxes(nticks=5, tickfont={"size": 10}, zeroline=True, zerolinecolor=INK, zerolinewidth=1.2)
    figure.update_yaxes(range=[len(policies) - 0.4, -0.6], showgrid=False, tickvals=[], autorange=None)
    figure.add_annotation(**_heading(f"difference from {shortened(comparison.baseline, 40)}"))
    return figure


def _rows(table: pd.DataFrame, quantities: Mapping[str, Quantity]) -> pd.DataFrame:
    """The rows of the quantities, in their order and units."""
    unknown = [name for name in quantities if name not in set(table["quantity"])]
    if unknown:
        raise ValueError(f"differences knows no quantity {unknown[0]!r}; the comparison's table has their names")
    if not 1 <= len(quantities) <= MOST_QUANTITIES:
        raise ValueError(f"differences draws 1 to {MOST_QUANTITIES} quantities, not {len(quantities)}")
    shown = pd.concat([table[table["quantity"] == name] for name in quantities])
    scales = shown["quantity"].map({name: known.scale for name, known in quantities.items()})
    return shown.assign(**{column: shown[column] * scales for column in ("low", "difference", "high")})


def _range(mine: pd.DataFrame) -> list[float | None]:
    """What holds 0 and every finite end of an interval, with some room on both sides."""
    ends = mine[["low", "difference", "high"]].to_numpy(dtype=float).ravel()
    known = [0.0, *ends[np.isfinite(ends)].tolist()]
    room = 0.06 * (max(known) - min(known)) or 1.0
    return rounded([min(known) - room, max(known) + room])


def _draw(figure: go.Figure, policy: str, found: Any, place: int, row: int, few: bool) -> None:
    """few: of the policies, so that each has a colour."""
    tells = found["verdict"] in TELLS
    colour = (LINES[place] if few else LINES[1]).color if tells else NOISE
    values = [found["low"], found["difference"], found["high"]]
    if np.isfinite(values).all():
        low, middle, high = rounded(values)
        name = shortened(policy, 40)
        whisker = {"mode": "lines", "line": {"color": colour, "width": 2.4}, "hoverinfo": "skip"}
        figure.add_scatter(row=row, col=1, x=[low, high], y=[place, place], name=name, showlegend=False, **whisker)
        figure.add_scatter(
            row=row,
            col=1,
            x=[middle],
            y=[place],
            name=name,
            mode="markers",
            marker={"color": colour, "size": 9},
            showlegend=False,
            hovertemplate=f"{name}: {_told(found)}<extra></extra>",
        )
    else:
        figure.add_scatter(row=row, col=1, x=[0], y=[place], mode="markers", marker={"opacity": 0}, showlegend=False)
    _tell(figure, f"{shortened(policy, 22)}: {_told(found)}", colour, place, row)


def _told(found: Any) -> str:
    """The difference, its interval and the verdict: "-323 [-330, -316], lower"."""
    verdict = found["verdict"]
    if verdict == "undefined":
        return "undefined at some seed"
    if verdict == "same":
        return "same at every seed"
    low, middle, high = (_signed(found[key]) for key in ("low", "difference", "high"))
    return f"{middle} [{low}, {high}], {verdict}"


def _signed(value: float) -> str:
    if not np.isfinite(value):
        return "+∞" if value > 0 else f"{MINUS}∞"
    return ("+" if value > 0 else MINUS if value < 0 else "") + told(abs(value))


def _tell(figure: go.Figure, text: str, colour: str, place: int, row: int) -> None:
    style = {"showarrow": False, "xanchor": "left", "font": {"size": 11, "color": colour}}
    axis = "y" if row == 1 else f"y{row}"
    figure.add_annotation(text=text, x=1, xref="paper", xshift=12, y=place, yref=axis, **style)


def _label_row(figure: go.Figure, shown: Quantity, row: int, policies: int) -> None:
    text = shortened(shown.title, 40)
    style = {"showarrow": False, "xanchor": "right", "font": {"size": 12, "color": INK}}
    axis = "y" if row == 1 else f"y{row}"
    figure.add_annotation(text=text, x=0, xref="paper", xshift=-10, y=(policies - 1) / 2, yref=axis, **style)


def _heading(text: str) -> dict[str, Any]:
    where = {"x": 0, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 10}
    return {"text": text, "showarrow": False, "font": {"size": 12, "color": INK}, **where}


def _caption(comparison: Comparison, rows: pd.DataFrame) -> str:
    noise = " Noise: these seeds do not tell the two apart." if (rows["verdict"] == "noise").any() else ""
    stopped = f" {len(comparison.cut_off)} runs were stopped at a limit." if comparison.cut_off else ""
    return (
        f"{len(comparison.seeds)} seeds, each under every policy; intervals hold at "
        f"{100.0 * comparison.confidence:.3g} % over all policies together."
        f"{noise}{stopped} {caption_of_comparison(comparison)}"
    )
