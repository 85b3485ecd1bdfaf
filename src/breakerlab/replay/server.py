"""The service that the app calls, and what befalls it: slots, queue, service time, rate limit, faults."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from breakerlab.policy import parameter
from breakerlab.replay.distribution import Distribution, Llm
from breakerlab.replay.errors import ScenarioError
from breakerlab.replay.printed import Printed

DISCIPLINES = ("fifo", "lifo", "deadline")
UNLIMITED = 2**53


@dataclass(frozen=True, slots=True, repr=False)
class RateLimit(Printed):
    """What the provider grants a customer: `requests` and `tokens` in `per` seconds; beyond it answers 429.

    Two buckets that refill evenly and hold one period's worth. A 429 costs nothing and asks the caller to wait until
    both buckets have what the request needs. requests, tokens: above 0, or None for no limit. per: seconds, above 0.
    """

    requests: float | None = None
    tokens: float | None = None
    per: float = 60.0

    def __post_init__(self) -> None:
        for name in ("requests", "tokens"):
            if getattr(self, name) is not None:
                parameter.real(f"RateLimit.{name}", getattr(self, name))
        parameter.real("RateLimit.per", self.per)


@dataclass(frozen=True, slots=True, repr=False)
class Service(Printed):
    """The service that the app calls: `slots` in parallel, a bounded queue, 503 for what fits in neither.

    What has begun or waits goes on when its caller has gone, unless `cancel_on_disconnect`.

    slots: at least 1. queue_limit: waiting places, at least 0; None for no limit. time: how long an attempt takes,
    seconds. discipline: "fifo"; "lifo", the latest first; "deadline", fifo, but work whose attempt has timed out is
    dropped unserved when its turn comes. retry_after: seconds that a 503 asks for, at least 0. rejection_seconds: until
    a refusal is back at the caller, at least 0. rate_limit: answers 429, apart from overload. network: seconds on the
    way to the service, drawn for each attempt; None for none.
    """

    slots: int = 8
    queue_limit: int | None = 8
    time: Distribution = field(default_factory=Llm)
    discipline: str = "fifo"
    retry_after: float = 1.0
    rejection_seconds: float = 0.0
    cancel_on_disconnect: bool = False
    rate_limit: RateLimit | None = None
    network: Distribution | None = None

    def __post_init__(self) -> None:
        parameter.count("Service.slots", self.slots)
        if self.queue_limit is not None:
            parameter.count("Service.queue_limit", self.queue_limit, least=0)
        parameter.choice("Service.discipline", self.discipline, DISCIPLINES)
        for name in ("retry_after", "rejection_seconds"):
            parameter.real(f"Service.{name}", getattr(self, name), or_equal=True)
        if not isinstance(self.cancel_on_disconnect, bool):
            raise ScenarioError(
                f"Service.cancel_on_disconnect must be True or False, not {self.cancel_on_disconnect!r}"
            )
        if not isinstance(self.time, Distribution):
            raise ScenarioError(
                f"Service.time must be a distribution such as Llm() or Exponential(1), not {self.time!r}"
            )
        if not isinstance(self.rate_limit, RateLimit | None):
            raise ScenarioError(f"Service.rate_limit must be a RateLimit or None, not {self.rate_limit!r}")
        if not isinstance(self.network, Distribution | None) or isinstance(self.network, Llm):
            raise ScenarioError(f"Service.network must be a distribution such as Constant(0.01), not {self.network!r}")


@dataclass(frozen=True, slots=True, repr=False)
class Fault(Printed):
    """What is wrong with the service from `start` until `end` (seconds; `end` may be math.inf).

    capacity: it has floor(slots * capacity) slots, a share in [0, 1]; work that has begun is not interrupted.
    latency: its work takes this times as long, above 0. The rest are probabilities per attempt and together at most 1:
    refuse: the connection is refused at once, without a status; hang: there is never an answer, and no slot is taken;
    error: after its work the answer is `status`, 400 to 599. endpoints: the endpoints of the app whose attempts are
    struck, () for all; capacity cannot be kept to some.
    Where faults overlap, for each of these quantities the worst counts.
    """

    start: float
    end: float
    capacity: float = 1.0
    latency: float = 1.0
    error: float = 0.0
    refuse: float = 0.0
    hang: float = 0.0
    status: int = 500
    endpoints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parameter.real("Fault.start", self.start, or_equal=True)
        if self.end != math.inf:
            parameter.real("Fault.end", self.end)
        if self.end <= self.start:
            raise ScenarioError(f"Fault.end must be after Fault.start ({self.start:g} s), not {self.end:g} s")
        parameter.real("Fault.latency", self.latency)
        for name in ("capacity", "error", "refuse", "hang"):
            if parameter.real(f"Fault.{name}", getattr(self, name), or_equal=True) > 1.0:
                raise ScenarioError(f"Fault.{name} must be a share from 0 to 1, not {getattr(self, name)!r}")
        if self.error + self.refuse + self.hang > 1.0:
            raise ScenarioError("Fault.error, refuse and hang are shares of all attempts and together at most 1")
        if isinstance(self.status, bool) or not isinstance(self.status, int) or not 400 <= self.status <= 599:
            raise ScenarioError(f"Fault.status must be an HTTP status from 400 to 599, not {self.status!r}")
        if isinstance(self.endpoints, str) or not all(isinstance(name, str) for name in self.endpoints):
            raise ScenarioError(f"Fault.endpoints must be a tuple of endpoints' names, not {self.endpoints!r}")
        object.__setattr__(self, "endpoints", tuple(self.endpoints))
        if self.endpoints and self.capacity != 1.0:
            raise ScenarioError("Fault.capacity is the whole service's, so it cannot be kept to Fault.endpoints")

    def strikes(self, moment: float, endpoint: str) -> bool:
        """Whether it is on at `moment` (seconds) for attempts of this endpoint."""
        return self.start <= moment < self.end and (not self.endpoints or endpoint in self.endpoints)

    def strikes_all(self, moment: float) -> bool:
        """Whether it is on at `moment` (seconds) for every endpoint."""
        return self.start <= moment < self.end and not self.endpoints
