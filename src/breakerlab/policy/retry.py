"""When to stop retrying: a cap on attempts and on total time, with a reserve kept for the final attempt."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from breakerlab.policy import parameter
from breakerlab.policy.backoff import Backoff

STOP = -1.0
AHEAD = 0.01  # of reserve * (1 - reserve) * total: how far ahead of the last start an earlier attempt is cut


def latest_start(r: Any, started: float) -> float:
    """Rule: the last moment at which an attempt may start; from then on the time left is the reserve."""
    return float(started + r.total_time_limit * (1.0 - r.final_reserve))


def cut(r: Any, started: float) -> float:
    """Rule: when an attempt that is not the final one is cut.

    A little ahead of the last start, so that an attempt that was cut, and a timer that fires late, leave the final
    attempt its start.
    """
    return float(started + r.total_time_limit * (1.0 - r.final_reserve) * (1.0 - AHEAD * r.final_reserve))


def next_start(r: Any, made: int, started: float, now: float, wait: float) -> float:
    """Rule: when the next attempt starts, or STOP (-1) if there is none.

    `r` has the fields of a `Retry`; `made` attempts have failed by `now`; the call began at `started`; `wait` is the
    backoff. A backoff that would eat into the reserve is cut short: the attempt then starts at the last moment allowed.
    Without a reserve nothing is left at that moment, and there is no attempt.
    """
    if made >= r.attempts:
        return STOP
    latest = latest_start(r, started)
    if now >= latest:
        return STOP
    start = min(now + wait, latest)
    return float(start) if start < started + r.total_time_limit else STOP


def time_allowed(r: Any, timeout: float, made: int, started: float, now: float) -> float:
    """Rule: seconds that the attempt starting at `now`, with `made` before it, may take.

    The final attempt has all that is left of the total time, an earlier one must leave the reserve; neither has more
    than `timeout`. So the total is never overshot, and the reserve is there when it is needed.
    """
    cut_at = cut(r, started)
    final = made + 1 >= r.attempts or now >= cut_at
    end = started + r.total_time_limit if final else cut_at
    return float(min(timeout, end - now))


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long to try.

    attempts: at most this many in all, the first included; at least 1. total_time: seconds for the whole call, waits
    included, above 0; None for no limit. final_reserve: the share of `total_time` kept for the final attempt, in
    [0, 1): it starts no later than (1 - final_reserve) * total_time and has all that is left. backoff: the waits.
    Raises ValueError naming the parameter that is out of range.
    """

    attempts: int = 4
    total_time: float | None = 30.0
    final_reserve: float = 0.25
    backoff: Backoff = field(default_factory=Backoff)
    total_time_limit: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        parameter.count("Retry.attempts", self.attempts)
        if self.total_time is not None:
            set_field(self, "total_time", parameter.real("Retry.total_time", self.total_time))
        reserve = parameter.real("Retry.final_reserve", self.final_reserve, or_equal=True, below=1.0)
        set_field(self, "final_reserve", reserve)
        if not isinstance(self.backoff, Backoff):
            raise ValueError(f"Retry.backoff must be a Backoff, not {self.backoff!r}")
        set_field(self, "total_time_limit", math.inf if self.total_time is None else self.total_time)

    def next_start(self, made: int, started: float, now: float, u: float) -> float | None:
        """When the attempt after `made` failed ones starts, on the clock of `started` and `now`; None to stop.

        `u` is a uniform draw in [0, 1) for the jitter.
        """
        start = next_start(self, made, started, now, self.backoff.delay(made, u))
        return None if start == STOP else start

    def time_allowed(self, timeout: float, made: int, started: float, now: float) -> float:
        """Seconds that the attempt starting at `now`, with `made` before it, may take."""
        return time_allowed(self, timeout, made, started, now)

    def to_dict(self) -> dict[str, Any]:
        """The parameters as a plain dict, for JSON or TOML; no total time means no key."""
        limit = {} if self.total_time is None else {"total_time": self.total_time}
        rest = {"final_reserve": self.final_reserve, "backoff": self.backoff.to_dict()}
        return {"attempts": self.attempts, **limit, **rest}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Retry":
        """The retry that `to_dict` described. Raises ValueError naming an unknown or wrong field."""
        known = parameter.known_keys("Retry", data, ("attempts", "total_time", "final_reserve", "backoff"))
        fields = {"total_time": None, **known}
        if "backoff" in fields:
            fields["backoff"] = Backoff.from_dict(fields["backoff"])
        return cls(**fields)
