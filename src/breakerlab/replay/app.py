"""The app that calls the service: instances with one pool of workers each, for all endpoints and the health check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from breakerlab.policy import parameter
from breakerlab.replay.distribution import Distribution, Llm
from breakerlab.replay.errors import ScenarioError
from breakerlab.replay.printed import Printed

BALANCERS = ("round_robin", "random", "least_busy")
WRITES = ("once", "blind", "keyed")
WAYS = ("network", "answer_network", "timer_lag")


@dataclass(frozen=True, slots=True, repr=False)
class OtherEndpoint(Printed):
    """An endpoint of the app that never calls the service: it holds a worker for `seconds` (above 0).

    Its callers give up after `caller_timeout` seconds (above 0).
    """

    seconds: float = 0.03
    caller_timeout: float = 2.0

    def __post_init__(self) -> None:
        parameter.real("OtherEndpoint.seconds", self.seconds)
        parameter.real("OtherEndpoint.caller_timeout", self.caller_timeout)


@dataclass(frozen=True, slots=True, repr=False)
class Standby(Printed):
    """Who answers for one fallback of the policy: a smaller model, a cache, a fixed message.

    seconds: how long it takes, at least 0. slots: how many answers at a time, at least 1, None for any number; a busy
    standby is passed over. availability: the probability that it has an answer, in [0, 1], such as a cache's hit rate.
    """

    seconds: float = 0.0
    slots: int | None = None
    availability: float = 1.0

    def __post_init__(self) -> None:
        parameter.real("Standby.seconds", self.seconds, or_equal=True)
        if self.slots is not None:
            parameter.count("Standby.slots", self.slots)
        if parameter.real("Standby.availability", self.availability, or_equal=True) > 1.0:
            raise ScenarioError(f"Standby.availability must be a probability from 0 to 1, not {self.availability!r}")


@dataclass(frozen=True, slots=True, repr=False)
class App(Printed):
    """The app that calls the service. Each instance has a pool of workers for all its endpoints and its health check.

    A call holds its worker to the end, backoff included unless `hold_during_backoff` is False; one that has waited
    `pool_timeout` seconds for a worker is answered 503. Callers of the endpoints that use the service give up after
    `caller_timeout` seconds; the app does not notice. Every `health_interval` seconds each instance is asked for a
    worker; one that gives none within `health_timeout` seconds has failed. After `health_failures` failures in a row
    the instance is killed, loses what it has in hand and the state of its breaker and budget, and is back
    `restart_seconds` later; meanwhile the balancer leaves it out.

    workers (per instance), health_failures, instances: at least 1. All times in seconds, above 0; health_timeout below
    health_interval. other: the endpoints that do not call the service, by name. balancer: "round_robin", "random" or
    "least_busy". shared_breaker: one breaker and budget for all instances, kept outside them, so that restarts do not
    touch it. writes: "once", a write is never retried; "blind", it is retried like anything, and each time that the
    service carries it out again is a duplicate; "keyed", retried under one idempotency key and carried out once.
    fallbacks: who stands behind the names of the policy's fallback; one without an entry answers at once, always.
    network, answer_network: seconds on the way from the callers to the app and back, distributions drawn for each
    request; None for none. timer_lag: seconds by which the timers of a busy machine are late: of retries, of health
    checks that wait, and of restarts.
    """

    workers: int = 48
    pool_timeout: float = 5.0
    caller_timeout: float = 8.0
    other: Mapping[str, OtherEndpoint] = field(default_factory=dict)
    health_interval: float = 2.0
    health_timeout: float = 1.0
    health_failures: int = 3
    restart_seconds: float = 8.0
    instances: int = 1
    balancer: str = "round_robin"
    hold_during_backoff: bool = True
    shared_breaker: bool = False
    writes: str = "once"
    fallbacks: Mapping[str, Standby] = field(default_factory=dict)
    network: Distribution | None = None
    answer_network: Distribution | None = None
    timer_lag: Distribution | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "health_failures", "instances"):
            parameter.count(f"App.{name}", getattr(self, name))
        if self.instances > MOST_INSTANCES:
            raise ScenarioError(f"App.instances must be at most {MOST_INSTANCES:,}, not {self.instances!r}")
        for name in ("pool_timeout", "caller_timeout", "health_interval", "health_timeout", "restart_seconds"):
            parameter.real(f"App.{name}", getattr(self, name))
        if self.health_timeout >= self.health_interval:
            raise ScenarioError(
                f"App.health_timeout must be below App.health_interval ({self.health_interval:g} s), "
                f"not {self.health_timeout:g} s"
            )
        parameter.choice("App.balancer", self.balancer, BALANCERS)
        parameter.choice("App.writes", self.writes, WRITES)
        for name in ("hold_during_backoff", "shared_breaker"):
            if not isinstance(getattr(self, name), bool):
                raise ScenarioError(f"App.{name} must be True or False, not {getattr(self, name)!r}")
        for name in WAYS:
            if not isinstance(value := getattr(self, name), Distribution | None) or isinstance(value, Llm):
                raise ScenarioError(f"App.{name} must be a distribution such as Constant(0.01), not {value!r}")
        _check_table("other", self.other, OtherEndpoint)
        _check_table("fallbacks", self.fallbacks, Standby)


MOST_INSTANCES = 10_000


def _check_table(name: str, table: Any, kind: type) -> None:
    if not isinstance(table, Mapping) or not all(isinstance(part, kind) for part in table.values()):
        raise ScenarioError(f"App.{name} must be a table of {kind.__name__} values by name, not {table!r}")
