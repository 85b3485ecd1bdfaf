"""The small core: breaker, backoff with jitter, retry cap and retry budget. Standard library only."""

from breakerlab.policy.backoff import Backoff
from breakerlab.policy.breaker import Breaker, CircuitBreaker, CircuitOpenError, CircuitState, Permit, State
from breakerlab.policy.budget import RetryBudget, TokenBucket
from breakerlab.policy.policy import Policy
from breakerlab.policy.retry import Retry

__all__ = [
    "Backoff",
    "Breaker",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "Permit",
    "Policy",
    "Retry",
    "RetryBudget",
    "State",
    "TokenBucket",
]
