"""A policy: what one call may do when the service struggles, as one frozen value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from breakerlab.policy import parameter
from breakerlab.policy.backoff import Backoff
from breakerlab.policy.breaker import Breaker
from breakerlab.policy.fallback import Fallback
from breakerlab.policy.retry import Retry
from breakerlab.policy.throttle import Throttle
from breakerlab.policy.value import Value, checked, part, value

if TYPE_CHECKING:
    from breakerlab.policy.guard import Guard


@value
class Policy(Value):
    """What one call may do: fallback( retry( throttle( breaker( timeout( call ))))).

    Each attempt passes the throttle, then the breaker.
    timeout: seconds for one attempt, above 0. retry: None for a single attempt. breaker: None for no circuit.
    fallback: who answers when all of this has failed; None for nobody. throttle: None to refuse nothing at random.
    An open circuit ends the retries of a call at once, unless `Retry.wait_for_probe`; so does the throttle's refusal.
    Raises ValueError naming a parameter that is out of range.
    """

    timeout: float = checked(parameter.real, default=10.0)
    retry: Retry | None = part(Retry, default=None)
    breaker: Breaker | None = part(Breaker, default=None)
    fallback: Fallback | None = part(Fallback, default=None)
    throttle: Throttle | None = part(Throttle, default=None)

    def __post_init__(self) -> None:
        longest = None if self.breaker is None else self.breaker.half_open_timeout
        if longest is not None and longest < self.timeout:
            raise ValueError(
                f"Breaker.half_open_timeout ({longest:g} s) must be at least Policy.timeout ({self.timeout:g} s): "
                "a slower probe would be given up, and its success could not close the circuit"
            )

    def fitted_breaker(self) -> Breaker | None:
        """The breaker, with a half-open timeout that no probe within the policy's timeout can exceed."""
        if self.breaker is None:
            return None
        return replace(self.breaker, half_open_timeout=max(self.breaker.longest_probe(), self.timeout))

    def guard(self, name: str = "", **live: Any) -> Guard:
        """A `Guard` that runs calls under this policy. `live` are the keywords of `Guard`, which describes them."""
        from breakerlab.policy.guard import Guard

        return Guard(self, name, **live)

    @classmethod
    def none(cls) -> Policy:
        """One attempt, no circuit."""
        return cls()

    @classmethod
    def naive(cls) -> Policy:
        """The incident article's: a fixed 2 s delay whatever the server asks for, ten attempts, no circuit."""
        fixed = Backoff(base=2.0, factor=1.0, cap=2.0, jitter="none")
        retry = Retry(attempts=10, total_time=None, final_reserve=0.0, backoff=fixed, retry_after_limit=None)
        return cls(retry=retry)

    @classmethod
    def openai_sdk(cls) -> Policy:
        """What openai-python does by default: 2 retries, 0.5 s doubling to 8 s, Retry-After obeyed up to 120 s.

        The constants are those of version 3.57, `_constants.py`: DEFAULT_TIMEOUT, DEFAULT_MAX_RETRIES,
        INITIAL_RETRY_DELAY, MAX_RETRY_DELAY, MAX_RETRY_AFTER_DELAY. Two things differ: there a Retry-After takes the
        place of the backoff, here the backoff comes on top; and the SDK retries a 409, which counts as ignored here.
        """
        backoff = Backoff(base=0.5, factor=2.0, cap=8.0, jitter="sdk")
        retry = Retry(attempts=3, total_time=None, final_reserve=0.0, backoff=backoff, retry_after_limit=120.0)
        return cls(timeout=600.0, retry=retry)

    @classmethod
    def recommended(cls) -> Policy:
        """Three attempts in 15 s with full jitter, a quarter of the time kept for the last, and a circuit."""
        jittered = Backoff(base=0.5, factor=2.0, cap=8.0, jitter="full")
        return cls(
            retry=Retry(attempts=3, total_time=15.0, final_reserve=0.25, backoff=jittered),
            breaker=Breaker(failure_threshold=5, recovery_timeout=5.0, half_open_max_calls=1),
        )
