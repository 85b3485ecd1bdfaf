"""What the tests of closed forms read off a run: the attempts on the service, and when each was served."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.replay import Run

Array = np.ndarray[Any, np.dtype[Any]]

PATIENT = Policy(timeout=1e9)
AT_ONCE = Backoff(base=1e-9, factor=1.0, cap=1e-9, jitter="none")  # a retry without a wait


def retrying(attempts: int, timeout: float = 1e9, backoff: Backoff = AT_ONCE, **more: Any) -> Policy:
    """At most this many attempts, whatever time they take and whatever the service asks for."""
    retry = Retry(attempts, total_time=None, final_reserve=0.0, backoff=backoff, retry_after_limit=None, **more)
    return Policy(timeout=timeout, retry=retry)


@dataclass(frozen=True)
class Attempts:
    """The attempts that reached the service, in order of time, as arrays of shape (n,)."""

    time: Array
    end: Array  # when its caller knew; NaN if never
    ok: Array
    request: Array
    attempt: Array

    def __len__(self) -> int:
        return len(self.time)

    def of(self, these: Array) -> "Attempts":
        """Those for which `these` is true."""
        return Attempts(self.time[these], self.end[these], self.ok[these], self.request[these], self.attempt[these])


def on_the_service(run: Run) -> Attempts:
    """What was sent; what breaker, budget or throttle refused was not."""
    told = run.trace.attempts
    outcome, service = told["outcome"].cat, told["service"].cat
    ok, rejected = (list(outcome.categories).index(word) for word in ("ok", "rejected"))
    of_llm = service.codes.to_numpy() == list(service.categories).index("llm")
    codes = outcome.codes.to_numpy()
    sent = np.flatnonzero(of_llm & (codes != rejected))
    time = told["time"].to_numpy()[sent]
    sent = sent[np.argsort(time, kind="stable")]
    time, latency, request, attempt = (
        told[name].to_numpy()[sent] for name in ("time", "latency", "request", "attempt")
    )
    return Attempts(time, time + latency, codes[sent] == ok, request, attempt)


def calls_of_the_app(run: Run) -> Any:
    """The rows of the trace that its callers see, in order of time."""
    attempts = run.trace.attempts
    return attempts[attempts["service"] == "app"].sort_values("time", kind="stable", ignore_index=True)


def starts_of_service(time: Array, end: Array, slots: int) -> Array:
    """When each began to be served, first come, first served: at its arrival, or as soon as all but `slots` of those
    before it have left, the k-th when k - `slots` have."""
    start = time.copy()
    start[slots:] = np.maximum(time[slots:], np.sort(end)[:-slots])
    return start
