"""A policy: what one call may do when the service struggles, as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from breakerlab.policy import parameter
from breakerlab.policy.backoff import Backoff
from breakerlab.policy.breaker import Breaker
from breakerlab.policy.retry import Retry


@dataclass(frozen=True, slots=True)
class Policy:
    """Timeout, retries and breaker of one call: retry( breaker( timeout( call ))). Each attempt passes the breaker.

    timeout: seconds for one attempt, above 0. retry: None for a single attempt. breaker: None for no circuit.
    An open circuit ends the retries of a call at once, unless `Retry.wait_for_probe`.
    Raises ValueError naming a parameter that is out of range.
    """

    timeout: float = 10.0
    retry: Retry | None = None
    breaker: Breaker | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeout", parameter.real("Policy.timeout", self.timeout))
        if not isinstance(self.retry, Retry | None):
            raise ValueError(f"Policy.retry must be a Retry or None, not {self.retry!r}")
        if not isinstance(self.breaker, Breaker | None):
            raise ValueError(f"Policy.breaker must be a Breaker or None, not {self.breaker!r}")

    @classmethod
    def none(cls) -> "Policy":
        """One attempt, no circuit."""
        return cls()

    @classmethod
    def naive(cls) -> "Policy":
        """The incident article's: a fixed 2 s delay whatever the server asks for, ten attempts, no circuit."""
        fixed = Backoff(base=2.0, factor=1.0, cap=2.0, jitter="none")
        retry = Retry(attempts=10, total_time=None, final_reserve=0.0, backoff=fixed, retry_after_limit=None)
        return cls(retry=retry)

    @classmethod
    def openai_sdk(cls) -> "Policy":
        """What openai-python does by default: 2 retries, 0.5 s doubling to 8 s, Retry-After obeyed up to 120 s.

        The constants are those of version 3.57, `_constants.py`: DEFAULT_TIMEOUT, DEFAULT_MAX_RETRIES,
        INITIAL_RETRY_DELAY, MAX_RETRY_DELAY, MAX_RETRY_AFTER_DELAY. One thing differs: there a Retry-After takes the
        place of the backoff, here the longer of the two counts.
        """
        backoff = Backoff(base=0.5, factor=2.0, cap=8.0, jitter="sdk")
        retry = Retry(attempts=3, total_time=None, final_reserve=0.0, backoff=backoff, retry_after_limit=120.0)
        return cls(timeout=600.0, retry=retry)

    @classmethod
    def recommended(cls) -> "Policy":
        """Three attempts in 15 s with full jitter, a quarter of the time kept for the last, and a circuit."""
        jittered = Backoff(base=0.5, factor=2.0, cap=8.0, jitter="full")
        return cls(
            retry=Retry(attempts=3, total_time=15.0, final_reserve=0.25, backoff=jittered),
            breaker=Breaker(failure_threshold=5, recovery_timeout=5.0, half_open_max_calls=1),
        )

    def to_dict(self) -> dict[str, Any]:
        """The policy as nested plain dicts, for JSON or TOML; a part that is off has no key."""
        retry = {} if self.retry is None else {"retry": self.retry.to_dict()}
        breaker = {} if self.breaker is None else {"breaker": self.breaker.to_dict()}
        return {"timeout": self.timeout, **retry, **breaker}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Policy":
        """The policy that `to_dict` described. Raises ValueError naming an unknown or wrong field."""
        fields = dict(parameter.known_keys("Policy", data, ("timeout", "retry", "breaker")))
        if fields.get("retry") is not None:
            fields["retry"] = Retry.from_dict(fields["retry"])
        if fields.get("breaker") is not None:
            fields["breaker"] = Breaker.from_dict(fields["breaker"])
        return cls(**fields)
