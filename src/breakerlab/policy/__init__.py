"""The small core: breaker, backoff with jitter, retry cap and budget, throttle, fallback, and the guard for them all.

Standard library only, `transport` apart. The guard is loaded when it is first used: a service that takes only the
breaker does not wait for it.
"""

from typing import TYPE_CHECKING

from breakerlab.policy.backoff import Backoff
from breakerlab.policy.breaker import Breaker, CircuitOpenError, CircuitState, State
from breakerlab.policy.budget import RetryBudget, TokenBucket
from breakerlab.policy.circuit import BreakerEvent, CircuitBreaker, Permit, Snapshot
from breakerlab.policy.fallback import Fallback
from breakerlab.policy.outcome import Classify, Outcome
from breakerlab.policy.policy import Policy
from breakerlab.policy.retry import Retry
from breakerlab.policy.throttle import AdaptiveThrottle, LocallyThrottledError, Throttle

if TYPE_CHECKING:
    from breakerlab.policy.guard import Answer, Guard

__all__ = [
    "AdaptiveThrottle",
    "Answer",
    "Backoff",
    "Breaker",
    "BreakerEvent",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "Classify",
    "Fallback",
    "Guard",
    "LocallyThrottledError",
    "Outcome",
    "Permit",
    "Policy",
    "Retry",
    "RetryBudget",
    "Snapshot",
    "State",
    "Throttle",
    "TokenBucket",
]


def __getattr__(name: str) -> object:
    if name in ("Answer", "Guard"):
        from breakerlab.policy import guard

        return getattr(guard, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
