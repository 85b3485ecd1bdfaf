"""The breaker's states, drawn from its rules: which states there are, and what leads from one to another."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import plotly.graph_objects as go

from breakerlab.lab.charts.frame import frame
from breakerlab.lab.style import INK
from breakerlab.lab.transitions import Edge, by_hand, edges
from breakerlab.policy import State

Point = tuple[float, float]

WIDTH, HEIGHT = 1.7, 0.62  # of a state's box, in the units of PLACES
PLACES: Final = {State.CLOSED: (0.0, 1.9), State.OPEN: (6.0, 1.9), State.HALF_OPEN: (3.0, 0.0)}
FILLS: Final = {State.CLOSED: "#CDE7F5", State.OPEN: "#F9D9BF", State.HALF_OPEN: "#F7EDC2"}
SHIFT: Final = 0.17  # of an arrow to its right, so that two in opposite directions lie side by side
MIDDLE: Final = (3.0, 1.2)
GAP: Final = 0.06  # between a box and an arrow
MEANINGS: Final = {
    State.CLOSED: "calls pass, and are counted",
    State.OPEN: "calls are refused at once",
    State.HALF_OPEN: "a few probes pass",
}


def state_diagram(*, height: int = 420) -> go.Figure:
    """The states of a circuit breaker as boxes, its transitions as arrows with their causes, found in the rules."""
    figure = go.Figure()
    ways = _by_way(edges())
    for (before, after), causes in ways.items():
        _draw_arrow(figure, before, after, causes, alone=(after, before) not in ways)
    for state in PLACES:
        _draw_state(figure, state)
    frame(figure, height=height, l=10, r=10, t=14, b=16, caption=_caption(by_hand()))
    figure.update_xaxes(visible=False, range=[-1.0, 7.0], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.5, 2.6], fixedrange=True)
    return figure


def _by_way(found: Iterable[Edge]) -> dict[tuple[State, State], list[str]]:
    """The causes of each way from a state to another."""
    ways: dict[tuple[State, State], list[str]] = {}
    for before, after, cause in found:
        ways.setdefault((before, after), []).append(cause)
    return ways


def _draw_state(figure: go.Figure, state: State) -> None:
    x, y = PLACES[state]
    box = {"x0": x - WIDTH / 2, "x1": x + WIDTH / 2, "y0": y - HEIGHT / 2, "y1": y + HEIGHT / 2}
    figure.add_shape(type="rect", **box, fillcolor=FILLS[state], line={"color": INK, "width": 1.6})
    text = f"<b>{_words(state)}</b><br>{MEANINGS[state]}"
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font={"size": 12, "color": INK})


def _words(state: State) -> str:
    return state.value.replace("half_open", "half-open").replace("_", " ")


def _draw_arrow(figure: go.Figure, before: State, after: State, causes: list[str], alone: bool) -> None:
    start, end = _ends(before, after, 0.0 if alone else SHIFT)
    arrow = {"showarrow": True, "arrowhead": 2, "arrowsize": 1.3, "arrowwidth": 1.6, "arrowcolor": INK}
    place = {"x": end[0], "y": end[1], "ax": start[0], "ay": start[1]}
    figure.add_annotation(**place, xref="x", yref="y", axref="x", ayref="y", text="", **arrow)
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    style = {"showarrow": False, "font": {"size": 12, "color": INK}}
    label = ",<br>or ".join(causes)
    figure.add_annotation(x=middle[0], y=middle[1], text=label, **_anchor(start, end, alone), **style)


def _ends(before: State, after: State, shift: float) -> tuple[Point, Point]:
    """Where an arrow from one box's middle to another's, moved to its right by `shift`, leaves and meets them."""
    (ax, ay), (bx, by) = PLACES[before], PLACES[after]
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
    dx, dy = (bx - ax) / length, (by - ay) / length
    right = (shift * dy, -shift * dx)
    leave, meet = _reach(right, dx, dy), _reach(right, -dx, -dy)
    start = (ax + right[0] + leave * dx, ay + right[1] + leave * dy)
    return start, (bx + right[0] - meet * dx, by + right[1] - meet * dy)


def _reach(offset: Point, dx: float, dy: float) -> float:
    """How far from a point beside the middle of a box, in a direction, its edge is."""
    across = (WIDTH / 2 - offset[0] * (1 if dx > 0 else -1)) / abs(dx) if dx else 1e9
    along = (HEIGHT / 2 - offset[1] * (1 if dy > 0 else -1)) / abs(dy) if dy else 1e9
    return min(across, along) + GAP


def _anchor(start: Point, end: Point, alone: bool) -> Mapping[str, Any]:
    """On which side of an arrow its label stands: of a pair on the right hand, away from the other; else outside."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    right = (dy, -dx)
    outside = ((start[0] + end[0]) / 2 - MIDDLE[0], (start[1] + end[1]) / 2 - MIDDLE[1])
    towards = right if not alone or right[0] * outside[0] + right[1] * outside[1] > 0 else (-dy, dx)
    if abs(dy) < 1e-9:
        above = towards[1] > 0
        return {"yanchor": "bottom" if above else "top", "yshift": 4 if above else -4, "align": "center"}
    side, level = "left" if towards[0] > 0 else "right", "bottom" if towards[1] > 0 else "top"
    return {"xanchor": side, "xshift": 6 if side == "left" else -6, "align": side, "yanchor": level}


def _caption(methods: Mapping[str, State]) -> str:
    told = ", ".join(f"{method} leads to {_words(state)}" for method, state in methods.items())
    return f"Drawn from the rules in breakerlab.policy.breaker. By hand, from any state: {told}."
