"""What a policy's settings come to, as far as several targets ask for it."""

from __future__ import annotations

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.policy.breaker import Breaker


def retries(policy: Policy) -> Retry | None:
    """The retry rules, if they ever retry."""
    return policy.retry if policy.retry is not None and policy.retry.attempts > 1 else None


def client_timeout(policy: Policy) -> float:
    """Seconds that an attempt may take where nobody shortens it: an only attempt has no more than the total time."""
    total = None if policy.retry is None else policy.retry.total_time
    return policy.timeout if total is None or retries(policy) is not None else min(policy.timeout, total)


def reaches_cap(retry: Retry) -> bool:
    """Whether a call makes so many attempts that the term of its last wait would pass the cap."""
    backoff = retry.backoff
    steps = min(float(retry.attempts - 2), backoff.top_exponent)
    return retry.attempts > 1 and backoff.base * backoff.factor**steps > backoff.cap


def first_wait(backoff: Backoff) -> tuple[float, float]:
    """The least and the most seconds of the first wait, of which later ones are multiples (decorrelated ones apart)."""
    low, high = {
        "none": (1.0, 1.0),
        "full": (0.0, 1.0),
        "additive": (1.0, 1.5),
        "equal": (0.5, 1.0),
        "decorrelated": (1.0, 3.0),
        "sdk": (0.75, 1.0),
    }[backoff.jitter]
    return low * backoff.base, high * backoff.base


def draw(backoff: Backoff) -> str:
    """How a wait is drawn, in the words of `Backoff`."""
    return {
        "none": "the term itself",
        "full": "U(0, term)",
        "additive": "term + U(0, term / 2)",
        "equal": "term / 2 + U(0, term / 2)",
        "decorrelated": f"U({backoff.base!r} s, 3 * previous wait)",
        "sdk": "term * (1 - U(0, 1/4))",
    }[backoff.jitter]


def probes(breaker: Breaker) -> int:
    """How many probes must succeed to close the circuit."""
    return breaker.success_threshold or breaker.half_open_max_calls


def recovery_cap(breaker: Breaker) -> float:
    """Seconds, the longest wait until a probe, jitter apart."""
    return float(breaker.rules()["recovery_cap"])


def minimum_calls(breaker: Breaker) -> int:
    """How many calls the window must hold before a rate counts."""
    return int(breaker.rules()["minimum_calls"])


def has_rate(breaker: Breaker) -> bool:
    """Whether the breaker looks at a window of calls."""
    return breaker.failure_rate is not None or breaker.slow_call_rate is not None
