"""How long to wait before the next attempt: exponential backoff with a cap and jitter.

The cap bounds the exponential term *before* the draw (none, full, equal, sdk). Capping after the draw would put most
late draws exactly at the cap, and the clients would march in step again. Decorrelated jitter has no term and is capped
after the draw, so it does just that: at a cap of 20 times the base, 41 % of its draws are the cap.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

from breakerlab.policy import parameter
from breakerlab.policy.value import Value, checked, value

NONE, FULL, ADDITIVE, EQUAL, DECORRELATED, SDK = 0, 1, 2, 3, 4, 5
JITTERS = {"none": NONE, "full": FULL, "additive": ADDITIVE, "equal": EQUAL, "decorrelated": DECORRELATED, "sdk": SDK}


def delay(k: Any, attempt: int, previous: float, u: float) -> float:
    """Rule: seconds to wait after failed attempt number `attempt` (1 for the first), for a uniform draw `u` in [0, 1).

    `k` has the fields of a `Backoff`. `previous` is the delay before this one, 0.0 if there was none; only decorrelated
    jitter uses it.
    """
    if k.jitter_code == DECORRELATED:
        last = max(previous, k.base)
        # base + (3 last - base) u, in an order in which nothing cancels below base and infinity meets no zero
        return float(min(k.base + (last * u * 3.0 - k.base * u), k.cap))
    term = grown(k.base, k.factor, k.cap, k.top_exponent, float(attempt - 1))
    if k.jitter_code == FULL:
        return float(term * u)
    if k.jitter_code == ADDITIVE:
        return float(term + 0.5 * term * u)
    if k.jitter_code == EQUAL:
        return float(0.5 * term + 0.5 * term * u)
    if k.jitter_code == SDK:
        return float(term * (1.0 - 0.25 * u))
    return float(term)


def grown(base: float, factor: float, cap: float, top_exponent: float, steps: float) -> float:
    """Rule: `base * factor**steps`, at most `cap`, for any number of steps; `top_exponent` is `largest_safe_exponent`.

    The exponent is a float and clamped before the power is taken: 2.0**1024 raises in Python and is infinite in
    compiled code, and float ** int rounds otherwise than float ** float.
    """
    if steps < 2.0:  # most are, and a power takes longer than all the rest
        return float(min(base if steps < 1.0 else base * factor, cap))
    return float(min(base * factor ** min(steps, top_exponent), cap))


def largest_safe_exponent(base: float, factor: float) -> float:
    """The largest exponent for which neither the power of `factor` nor its product with `base` can overflow."""
    if factor == 1.0:
        return 0.0
    headroom = 1023.0 - max(math.log2(base), 0.0) - 1.0  # 2.0**1023 is the largest power of two
    return max(headroom, 0.0) / math.log2(factor)


@value
class Backoff(Value):
    """Exponential backoff: a term of `base * factor**(n - 1)` seconds after the n-th failed attempt, at most `cap`.

    base: seconds, above 0. factor: at least 1 (1 is a fixed delay). cap: seconds, at least `base`.
    jitter: how the delay is drawn. "none": the term. "full": U(0, term), "equal": term / 2 + U(0, term / 2) and
    "decorrelated": U(base, 3 * previous delay), at most `cap` and never below `base` (AWS Architecture Blog,
    "Exponential Backoff And Jitter", 2015). "additive": term + U(0, term / 2), the incident article's, which exceeds
    the cap by up to half. "sdk": term * (1 - U(0, 1/4)), that of openai-python.
    Raises ValueError naming the parameter that is out of range.
    """

    base: float = checked(parameter.real, default=1.0)
    factor: float = checked(parameter.real, default=2.0, above=1.0, or_equal=True)
    cap: float = checked(parameter.real, default=60.0)
    jitter: str = checked(parameter.choice, default="full", choices=JITTERS)
    jitter_code: int = field(init=False)
    top_exponent: float = field(init=False)

    def __post_init__(self) -> None:
        if self.cap < self.base:
            raise ValueError(f"Backoff.cap must be at least Backoff.base ({self.base:g} s), not {self.cap:g} s")
        self._set(jitter_code=JITTERS[self.jitter], top_exponent=largest_safe_exponent(self.base, self.factor))

    delay = delay  # the rule itself, as a method
