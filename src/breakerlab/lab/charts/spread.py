"""Places for direct labels: where lines end close together, their names are moved apart."""

import math
from collections.abc import Sequence

LEAST = 0.052  # of the axis between two labels: one line of text


def spread(values: Sequence[float], *, log: bool = False, span: float | None = None, lines: int = 1) -> list[float]:
    """Places for a label at each of `values`, on the axis of a plot that reaches from the lowest, or 0, to the highest.

    log: a logarithmic axis; the places are then powers of ten, as plotly wants them for annotations. span: how much of
    the axis's unit the plot shows, if that is not what the values reach over. lines: of text in a label.
    """
    heights = [math.log10(max(value, 1e-12)) for value in values] if log else list(values)
    reach = span or (max(heights) - (min(heights) if log else min(0.0, *heights, 0.0))) or 1.0
    least = LEAST * lines * reach
    order = sorted(range(len(heights)), key=heights.__getitem__)
    places = [heights[number] for number in order]
    for _ in range(100):
        for i in range(len(places) - 1):
            if (missing := least - (places[i + 1] - places[i])) > 1e-12:
                places[i] -= missing / 2.0
                places[i + 1] += missing / 2.0
    by_number = dict(zip(order, places, strict=True))
    return [by_number[number] for number in range(len(heights))]
