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

# One colour for one thing, in every notebook.
JITTER_COLOURS: Final = {
    "none": INK,
    "full": "#0072B2",
    "equal": "#009E73",
    "decorrelated": "#CC79A7",
    "additive": "#D55E00",
    "sdk": "#E69F00",
}
SERVED_BY_LLM: Final = "#0072B2"
SERVED_BY_FALLBACKS: Final = ("#E69F00", "#56B4E9", "#CC79A7", "#F0E442")
ATTEMPTS: Final = "#D55E00"
ANSWERS: Final = SERVED_BY_LLM
SERVED_BY_CACHE: Final = SERVED_BY_FALLBACKS[1]
OUT_OF_DATE: Final = "#F0E442"
REPEATED: Final = "#D55E00"
LAYER_COLOURS: Final = ("#0072B2", "#009E73", "#D55E00", "#CC79A7")
RECOVERS: Final = "#A6D3EE"  # blue and orange, light enough for black figures on them
STAYS_DOWN: Final = "#F2A65A"
NOISE: Final = "#9A9A9A"
BADGE: Final = "#222222"
TITLE_FONT: Final = {"size": 12, "color": INK}
CAPTION_FONT: Final = {"size": 11, "color": "#555555"}
