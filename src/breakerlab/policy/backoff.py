"""How long to wait before the next attempt: exponential backoff with a cap and jitter.

The cap bounds the exponential term *before* the draw (none, full). Capping after the draw would put most late draws
exactly at the cap, and the clients would march in step again.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from breakerlab.policy import parameter

NONE, FULL, ADDITIVE = 0, 1, 2
JITTERS = {"none": NONE, "full": FULL, "additive": ADDITIVE}

_LARGEST_POWER_OF_TWO = 1023.0


def delay(k: Any, attempt: int, u: float) -> float:
    """Rule: seconds to wait after failed attempt number `attempt` (1 for the first), for a uniform draw `u` in [0, 1).

    `k` has the fields of a `Backoff`. The exponent is clamped before the power is taken, because 2.0**1024 raises in
    Python and is infinite in compiled code.
    """
    exponent = min(float(attempt - 1), k.top_exponent)
    term = min(k.base * k.factor**exponent, k.cap)
    if k.jitter_code == FULL:
        return float(term * u)
    if k.jitter_code == ADDITIVE:
        return float(term + 0.5 * term * u)
    return float(term)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: `base * factor**(n - 1)` seconds after the n-th failed attempt, at most `cap`, with jitter.

    base: seconds, above 0. factor: at least 1 (1 is a fixed delay). cap: seconds, at least `base`.
    jitter: "none"; "full", U(0, term) (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015); or "additive",
    term + U(0, term / 2), the incident article's formula, which can exceed the cap by half.
    Raises ValueError naming the parameter that is out of range.
    """

    base: float = 1.0
    factor: float = 2.0
    cap: float = 60.0
    jitter: str = "full"
    jitter_code: int = field(init=False, repr=False, compare=False)
    top_exponent: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "base", parameter.real("Backoff.base", self.base))
        set_field(self, "factor", parameter.real("Backoff.factor", self.factor, above=1.0, or_equal=True))
        set_field(self, "cap", parameter.real("Backoff.cap", self.cap))
        if self.cap < self.base:
            raise ValueError(f"Backoff.cap must be at least Backoff.base ({self.base:g} s), not {self.cap:g} s")
        set_field(self, "jitter_code", JITTERS[parameter.choice("Backoff.jitter", self.jitter, JITTERS)])
        set_field(self, "top_exponent", self._largest_safe_exponent())

    def _largest_safe_exponent(self) -> float:
        """The largest exponent for which neither the power nor its product with `base` can overflow."""
        if self.factor == 1.0:
            return 0.0
        headroom = _LARGEST_POWER_OF_TWO - max(math.log2(self.base), 0.0) - 1.0
        return max(headroom, 0.0) / math.log2(self.factor)

    def delay(self, attempt: int, u: float) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1), for a uniform draw `u` in [0, 1)."""
        return delay(self, attempt, u)

    def to_dict(self) -> dict[str, Any]:
        """The four parameters as a plain dict, for JSON or TOML."""
        return {key: value for key, value in asdict(self).items() if key not in ("jitter_code", "top_exponent")}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Backoff":
        """The backoff that `to_dict` described. Raises ValueError naming an unknown or wrong field."""
        return cls(**parameter.known_keys("Backoff", data, ("base", "factor", "cap", "jitter")))
