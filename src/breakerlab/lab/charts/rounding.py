"""Numbers as figures keep them: 6 significant digits, since the last ones differ between processors."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def rounded(values: Iterable[Any]) -> list[float | None]:
    """The numbers with 6 significant digits, as a list; None where there is none (NaN), and so a gap in a line."""
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in values]


def percent(share: float, digits: int = 0) -> str:
    """A share, in percent."""
    return f"{100.0 * share:.{digits}f} %"


def told(value: float, digits: int = 3) -> str:
    """A number for people: whole ones and those of 100 and more without decimals, others with `digits` digits."""
    if not np.isfinite(value):
        return "never" if value > 0 else f"{value}"
    if value == round(value) or abs(value) >= 10.0 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"
