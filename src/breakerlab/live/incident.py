"""What an incident is made of, in one frozen value, and the incidents that have a name.

Times are in seconds, rates in requests a second. Every number that shapes a recording stands here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from breakerlab.policy import Policy

ANSWER = "POST /answer"
SEARCH = "GET /search"


@dataclass(frozen=True)
class ServiceSetup:
    """The provider: ``slots`` requests at a time, ``queue_limit`` waiting, a 503 for the rest.

    An answer takes ``(first_token + tokens * per_token) * (1 + slowdown * (n - 1) / (slots - 1))`` seconds, where ``n``
    counts the requests in service. ``retry_after`` is what a 503 asks for, in seconds.
    """

    slots: int = 8
    queue_limit: int = 8
    first_token: float = 0.15
    per_token: float = 0.005
    slowdown: float = 0.5
    retry_after: float = 1.0

    def __post_init__(self) -> None:
        _at_least("slots", self.slots, 1)
        _at_least("queue_limit", self.queue_limit, 0)
        for name in ("first_token", "per_token", "slowdown", "retry_after"):
            _at_least(name, getattr(self, name), 0)

    def seconds(self, tokens: int, in_service: int) -> float:
        """How long an answer of ``tokens`` takes that starts as one of ``in_service``, itself included."""
        crowding = (in_service - 1) / max(self.slots - 1, 1)
        return (self.first_token + tokens * self.per_token) * (1 + self.slowdown * crowding)


@dataclass(frozen=True)
class FaultWindow:
    """From ``start`` until ``end`` (s) the provider has ``floor(slots * capacity)`` slots; capacity is 0 to 1."""

    start: float
    end: float
    capacity: float

    def __post_init__(self) -> None:
        _at_least("start", self.start, 0)
        _above("end", self.end, self.start)
        if not 0 <= self.capacity <= 1:
            raise ValueError(f"capacity must be from 0 to 1, and is {self.capacity!r}")


@dataclass(frozen=True)
class AppSetup:
    """The pipeline: one FIFO pool of ``workers`` for every endpoint, and the supervisor that looks after it.

    ``GET /search`` holds a worker for ``search_seconds``. The supervisor probes every ``health_interval``; after
    ``health_failures`` failures in a row it kills the process, which accepts connections again ``restart_seconds``
    later.
    """

    workers: int = 48
    pool_timeout: float = 5.0
    caller_timeout: float = 8.0
    search_seconds: float = 0.03
    search_caller_timeout: float = 2.0
    health_interval: float = 2.0
    health_timeout: float = 1.0
    health_failures: int = 3
    restart_seconds: float = 8.0

    def __post_init__(self) -> None:
        _at_least("workers", self.workers, 1)
        _at_least("health_failures", self.health_failures, 1)
        _at_least("search_seconds", self.search_seconds, 0)
        for name in ("pool_timeout", "caller_timeout", "search_caller_timeout", "health_timeout", "restart_seconds"):
            _above(name, getattr(self, name), 0)
        _above("health_interval", self.health_interval, self.health_timeout)

    def caller_patience(self, endpoint: str) -> float:
        """After how many seconds a caller of this endpoint gives up."""
        return self.search_caller_timeout if endpoint == SEARCH else self.caller_timeout


@dataclass(frozen=True)
class Traffic:
    """Poisson arrivals (requests/s) at both endpoints; answers have a lognormal number of tokens, 1 or more."""

    answer_rate: float = 9.0
    search_rate: float = 12.0
    tokens_mean: float = 60.0
    tokens_sigma: float = 0.5

    def __post_init__(self) -> None:
        _at_least("answer_rate", self.answer_rate, 0)
        _at_least("search_rate", self.search_rate, 0)
        _at_least("tokens_mean", self.tokens_mean, 1)
        _at_least("tokens_sigma", self.tokens_sigma, 0)


@dataclass(frozen=True)
class Incident:
    """Everything that decides what a recording is a recording of.

    ``duration`` (s) is how long callers arrive; the recording then waits until the last call has ended. ``seed``
    decides when callers arrive and how much they ask for, and nothing else. Raises ``ValueError`` for values that
    make no sense.
    """

    name: str
    duration: float = 120.0
    seed: int = 1
    service: ServiceSetup = field(default_factory=ServiceSetup)
    faults: tuple[FaultWindow, ...] = ()
    app: AppSetup = field(default_factory=AppSetup)
    traffic: Traffic = field(default_factory=Traffic)
    policy: Policy = field(default_factory=Policy.naive)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"an incident's name is made of letters, digits and underscores, not {self.name!r}")
        _above("duration", self.duration, 0)

    def slots_at(self, t: float) -> int:
        """How many requests the provider may start to serve side by side at second ``t``."""
        capacity = min((fault.capacity for fault in self.faults if fault.start <= t < fault.end), default=1.0)
        return math.floor(self.service.slots * capacity)

    def parameters(self) -> dict[str, Any]:
        """The plain numbers, named as in the header of a recording."""
        service, app, traffic = self.service, self.app, self.traffic
        return {
            "duration": self.duration,
            "seed": self.seed,
            "service": {
                "slots": service.slots,
                "queue_limit": service.queue_limit,
                "first_token": service.first_token,
                "per_token": service.per_token,
                "slowdown": service.slowdown,
                "retry_after": service.retry_after,
            },
            "faults": [{"start": f.start, "end": f.end, "capacity": f.capacity} for f in self.faults],
            "app": {
                "workers": app.workers,
                "pool_timeout": app.pool_timeout,
                "caller_timeout": app.caller_timeout,
                "other": {SEARCH: {"seconds": app.search_seconds, "caller_timeout": app.search_caller_timeout}},
                "health_interval": app.health_interval,
                "health_timeout": app.health_timeout,
                "health_failures": app.health_failures,
                "restart_seconds": app.restart_seconds,
            },
            "workload": {
                "answer_rate": traffic.answer_rate,
                "search_rate": traffic.search_rate,
                "tokens_mean": traffic.tokens_mean,
                "tokens_sigma": traffic.tokens_sigma,
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Name, parameters and policy as plain values that JSON can hold."""
        return {"name": self.name, "parameters": self.parameters(), "policy": self.policy.to_dict()}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Incident:
        """The incident that ``to_dict`` described."""
        parameters = facts["parameters"]
        app = dict(parameters["app"])
        search = app.pop("other")[SEARCH]
        return cls(
            name=facts["name"],
            duration=parameters["duration"],
            seed=parameters["seed"],
            service=ServiceSetup(**parameters["service"]),
            faults=tuple(FaultWindow(**fault) for fault in parameters["faults"]),
            app=AppSetup(search_seconds=search["seconds"], search_caller_timeout=search["caller_timeout"], **app),
            traffic=Traffic(**parameters["workload"]),
            policy=Policy.from_dict(facts["policy"]),
        )


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least or value == math.inf:
        raise ValueError(f"{name} must be a finite number of at least {least}, and is {value!r}")


def _above(name: str, value: float, limit: float) -> None:
    if not value > limit or value == math.inf:
        raise ValueError(f"{name} must be a finite number above {limit}, and is {value!r}")


MELTDOWN = Incident(name="incident_naive", faults=(FaultWindow(start=30.0, end=60.0, capacity=0.125),))
CALM = replace(MELTDOWN, name="calm", faults=())
BREAKER = replace(MELTDOWN, name="incident_breaker", policy=Policy.recommended())
BACKOFF = replace(MELTDOWN, name="incident_backoff", policy=replace(Policy.recommended(), breaker=None))

INCIDENTS: dict[str, Incident] = {incident.name: incident for incident in (MELTDOWN, CALM, BACKOFF, BREAKER)}
"""The incidents that ``breakerlab record incident`` knows by name. All have the same callers. `incident_naive`,
`incident_backoff` and `incident_breaker` also have the same fault, and meet it under the naive policy, under capped
retries with jittered backoff, and under the same retries with a circuit breaker; `calm` is naive without the fault."""
