"""Bins of one width over time, and what falls into them."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

MOST: Final = 1_000_000

_ROUNDING: Final = 1e-9  # of a bin: 0.3 s / 0.1 s is a little below 3 in floating point


class Bins:
    """`count` bins of `width` s from `left` s on; a moment on an edge belongs to the bin it opens."""

    def __init__(self, left: float, width: float, count: int) -> None:
        self.left, self.width, self.count = left, width, count

    @classmethod
    def over(cls, first: float, last: float, width: float) -> Bins:
        """Those that hold 0 and the moments from `first` to `last` (s). Raises ValueError for more than `MOST`."""
        left = min(0.0, math.floor(first / width + _ROUNDING) * width)
        wanted = (last - left) / width
        if wanted > MOST:
            raise ValueError(
                f"The trace spans {left:g} to {last:g} s, more than {MOST:,} bins of {width:g} s; choose a wider bin."
            )
        return cls(left, width, max(1, math.ceil(wanted - _ROUNDING)))

    def index(self, times: Array) -> Array:
        """The place of each moment's bin; the end of the last bin belongs to it."""
        places = np.floor((times - self.left) / self.width + _ROUNDING)
        return np.minimum(places, self.count - 1).astype(np.int64)

    def counts(self, places: Array) -> Array:
        """How many of the places are each bin's."""
        return np.bincount(places, minlength=self.count).astype(np.float64)

    def rates(self, places: Array) -> Array:
        """The same, per second."""
        return self.counts(places) / self.width

    def means(self, places: Array, values: Array) -> Array:
        """The mean of each bin's values; NaN for a bin without one."""
        n = self.counts(places)
        total = np.bincount(places, weights=values, minlength=self.count)
        mean: Array = np.divide(total, n, out=np.full(self.count, np.nan), where=n > 0)
        return mean

    @property
    def edges(self) -> Array:
        """All edges (s), count + 1 of them."""
        return np.round(self.left + self.width * np.arange(self.count + 1), 9)
