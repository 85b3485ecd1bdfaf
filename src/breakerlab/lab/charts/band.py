"""How a prediction and what was then recorded are drawn: the band in colour, the recording in black."""

from collections.abc import Iterable
from typing import Any, Final

from breakerlab.lab.charts.rounding import told
from breakerlab.lab.style import LINES, LOGGED

INSIDE: Final = "circle"
OUTSIDE: Final = "x"
PREDICTED: Final = LINES[0].color
OPACITY: Final = 0.45


def recorded_marks(inside: Iterable[bool]) -> dict[str, Any]:
    """Black dots; crosses, larger, for what lies outside its band."""
    within = [bool(one) for one in inside]
    symbols, sizes = [INSIDE if one else OUTSIDE for one in within], [7 if one else 11 for one in within]
    return {"color": LOGGED.color, "symbol": symbols, "size": sizes, "opacity": 1}


def least(low: float) -> float:
    """The lower end of the band of a count, which nothing below 0 can reach."""
    return max(0.0, low)


def band_told(low: float, high: float) -> str:
    """A band of counts in words: "69", or "861 to 866"."""
    return told(least(low)) if least(low) == high else f"{told(least(low))} to {told(high)}"


def verdict(recorded: float, low: float, high: float, inside: bool) -> str:
    """What was recorded, what was predicted, and whether the one lies in the other."""
    where = "inside" if inside else "outside"
    return f"{told(recorded)}, predicted {band_told(low, high)}: {where}"
