"""One look for all charts: the same colour for the same thing, in tones that colour-blind people can tell apart.

The colours are from Okabe and Ito, "Color Universal Design" (2008); each run has a dash of its own besides.
"""

from dataclasses import dataclass
from typing import Final

OFFERED: Final = "#9A9A9A"
OFFERED_AREA: Final = "#DDDDDD"
INK: Final = "#222222"
GRID: Final = "#E6E6E6"
FAULT: Final = "rgba(230, 159, 0, 0.14)"
FAULT_IN_LEGEND: Final = "#FBEBCB"
FONT: Final = {"family": "Helvetica, Arial, sans-serif", "size": 12, "color": INK}


@dataclass(frozen=True)
class Line:
    """How one run is drawn in every panel."""

    color: str
    dash: str
    width: float


LINES: Final = (
    Line("#D55E00", "solid", 3.4),  # wide, so that it is seen beneath a second run that goes the same way
    Line("#0072B2", "solid", 1.8),
    Line("#009E73", "dot", 1.8),
)
LOGGED: Final = Line("#000000", "dot", 1.8)
LOGGED_ALONE: Final = Line("#000000", "solid", 1.8)
