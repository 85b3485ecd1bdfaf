"""Adaptive throttling: a client that is turned away much turns part of its requests away itself.

Even a rejection costs the service something. With a ratio of 2 it gets at most about twice as many requests as it
accepts, whatever is offered (Google, "Site Reliability Engineering", 2016, ch. 21, "Client-Side Throttling"). The rules
are plain functions over a state object `t`, as in `breaker.py`.
"""

from __future__ import annotations

import functools
import math
import random as chance
import time
from collections.abc import Callable
from typing import Any, Final

from breakerlab.policy import parameter
from breakerlab.policy.breaker import BUCKETS, LONG_AGO
from breakerlab.policy.lock import fork_safe_lock
from breakerlab.policy.value import Value, checked, value


def empty(t: Any) -> None:
    """Rule: the state of a throttle that has seen nothing."""
    t.requests = 0
    t.accepts = 0
    t.bucket = LONG_AGO
    for i in range(2 * BUCKETS):
        t.ring[i] = 0


def refuses(t: Any, now: float, u: float) -> bool:
    """Rule: whether the request that comes at `now` is refused; `u` is a uniform draw from [0, 1).

    A refused request counts as a request: so the more are offered, the more are refused.
    """
    move_on(t, now)
    refused = u < probability(t)
    t.requests += 1
    t.ring[2 * (t.bucket % BUCKETS)] += 1
    return refused


def note_accept(t: Any, now: float) -> None:
    """Rule: the service accepted a request, as was known at `now`."""
    move_on(t, now)
    t.accepts += 1
    t.ring[2 * (t.bucket % BUCKETS) + 1] += 1


def probability(t: Any) -> float:
    """Rule: the chance that the next request is refused. The 1 lets some through where nothing was ever accepted."""
    share = (t.requests - t.ratio * t.accepts) / (t.requests + 1.0)
    return float(share) if share > 0.0 else 0.0


def move_on(t: Any, now: float) -> None:
    """Rule: the window ends at `now`; the buckets that it leaves are forgotten."""
    bucket = math.floor(now / t.bucket_seconds)
    if bucket <= t.bucket:
        return
    for later in range(max(t.bucket, bucket - BUCKETS) + 1, bucket + 1):
        at = 2 * (later % BUCKETS)
        t.requests -= t.ring[at]
        t.accepts -= t.ring[at + 1]
        t.ring[at] = 0
        t.ring[at + 1] = 0
    t.bucket = bucket


class LocallyThrottledError(Exception):
    """A request was refused without being made: LocallyThrottledError(name, probability).

    (Read from `args`, as in CircuitOpenError. Services' own errors are called ThrottledError.)
    """

    @property
    def name(self) -> str:
        """The throttle's name."""
        return str(self.args[0]) if self.args else ""

    @property
    def probability(self) -> float:
        """The chance that the next request is refused too, from 0 to below 1."""
        return float(self.args[1]) if len(self.args) > 1 else 0.0

    def __str__(self) -> str:
        return f"throttle {self.name!r} refuses {self.probability:.3g} of the requests: the service accepts too few"


@value
class Throttle(Value):
    """How many requests to refuse where the service turns too many away.

    ratio: at least 1; how many requests may be made for each that the service accepts. Above 1, so that it shows when
    the service can take more again. window: seconds that are looked back on, at least 0.001, in 60 buckets.
    The chance of a refusal is (requests - ratio * accepts) / (requests + 1), and 0 where that is negative.
    Raises ValueError naming the parameter that is out of range.
    """

    ratio: float = checked(parameter.real, default=2.0, above=1.0, or_equal=True)
    window: float = checked(parameter.real, default=120.0, above=0.001, or_equal=True)

    def rules(self) -> dict[str, float]:
        """The parameters as the rules read them."""
        return {"ratio": self.ratio, "bucket_seconds": self.window / BUCKETS}


class AdaptiveThrottle:
    """The requests and accepts of one throttle, for any number of threads, tasks and guards.

    config: its parameters. name: for errors. clock: seconds. random: draws from [0, 1). A copy, or what comes out of a
    pickle, has the same rules, and has seen nothing.
    """

    __slots__ = (
        "_clock", "_lock", "_name", "_random", "accepts", "bucket", "bucket_seconds", "config", "ratio", "requests",
        "ring",
    )  # fmt: skip
    requests: int
    accepts: int

    def __init__(
        self,
        config: Throttle,
        *,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.config: Final = config
        self._name, self._clock, self._random = name, clock, random
        for rule, number in config.rules().items():
            setattr(self, rule, number)
        self.ring = [0] * (2 * BUCKETS)
        self._lock = fork_safe_lock()
        empty(self)

    @property
    def probability(self) -> float:
        """The chance that the next request is refused, from 0 to below 1."""
        with self._lock:
            move_on(self, self._clock())
            return probability(self)

    def request(self) -> None:
        """An attempt is to be made. Raises LocallyThrottledError if it is refused; it counts in either case."""
        with self._lock:
            if not refuses(self, self._clock(), self._random()):
                return
            share = probability(self)
        raise LocallyThrottledError(self._name, share)

    def accept(self) -> None:
        """The service took a request, be it to say that the request is wrong: it was no failure."""
        with self._lock:
            note_accept(self, self._clock())

    def __reduce__(self) -> tuple[Any, ...]:
        live: dict[str, Any] = {"name": self._name, "clock": self._clock}
        if self._random is not chance.random:  # which would travel with its state: all copies would draw the same
            live["random"] = self._random
        return functools.partial(type(self), self.config, **live), ()

    def __repr__(self) -> str:
        return f"<AdaptiveThrottle {self._name!r} refuses {self.probability:.3g}>"
