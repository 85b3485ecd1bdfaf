"""breakerlab: what retries do to a struggling API, and what a circuit breaker, jitter and a retry cap would have done.

The names that a notebook's first cell needs, each loaded when it is first used: `import breakerlab` alone loads neither
numba nor plotly. (`replay` is not among them: `breakerlab.replay` is the room, and the function is in it.)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from breakerlab.policy import Backoff, Breaker, CircuitBreaker, Policy, Retry, RetryBudget
    from breakerlab.replay import App, Fault, Scenario, Service, Workload
    from breakerlab.trace import Recorder, Trace, read_trace

__all__ = [
    "App",
    "Backoff",
    "Breaker",
    "CircuitBreaker",
    "Fault",
    "Policy",
    "Recorder",
    "Retry",
    "RetryBudget",
    "Scenario",
    "Service",
    "Trace",
    "Workload",
    "read_trace",
]

_ROOMS = {
    "policy": ("Backoff", "Breaker", "CircuitBreaker", "Policy", "Retry", "RetryBudget"),
    "trace": ("Recorder", "Trace", "read_trace"),
    "replay": ("App", "Fault", "Scenario", "Service", "Workload"),
}


def __getattr__(name: str) -> object:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"breakerlab.{room}"), name)
    raise AttributeError(f"module 'breakerlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
