"""What a policy meets: arrivals, a service that can be overloaded, faults, and the app in between."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakerlab.policy import parameter
from breakerlab.trace import Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class ScenarioError(ValueError):
    """A scenario cannot be: the message names the field, what it got, and what would be right."""


@dataclass(frozen=True, slots=True)
class Service:
    """The service that the app calls: `slots` in parallel, a bounded FIFO queue, 503 at once when both are full.

    One attempt takes (first_token + tokens * per_token) * (1 + slowdown * (n - 1) / (slots - 1)) seconds, n being the
    number in service when it starts, itself included: the more it has in hand, the slower each one goes. What has begun
    or waits goes on when its caller has gone.

    slots: at least 1. queue_limit: waiting places, at least 0. first_token: seconds, above 0. per_token: seconds, at
    least 0. slowdown: at least 0; 0.5 means half as long again when all slots are busy. retry_after: seconds that a 503
    asks for, at least 0.
    """

    slots: int = 8
    queue_limit: int = 8
    first_token: float = 0.15
    per_token: float = 0.005
    slowdown: float = 0.5
    retry_after: float = 1.0

    def __post_init__(self) -> None:
        parameter.count("Service.slots", self.slots)
        parameter.count("Service.queue_limit", self.queue_limit, least=0)
        parameter.real("Service.first_token", self.first_token)
        for name in ("per_token", "slowdown", "retry_after"):
            parameter.real(f"Service.{name}", getattr(self, name), or_equal=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """From `start` to `end` (seconds) the service has floor(slots * capacity) slots. capacity: a share in [0, 1].

    Work that has begun is not interrupted. Raises ValueError naming the field that is out of range.
    """

    start: float
    end: float
    capacity: float

    def __post_init__(self) -> None:
        parameter.real("Fault.start", self.start, or_equal=True)
        parameter.real("Fault.end", self.end)
        if self.end <= self.start:
            raise ScenarioError(f"Fault.end must be after Fault.start ({self.start:g} s), not {self.end:g} s")
        if parameter.real("Fault.capacity", self.capacity, or_equal=True) > 1.0:
            raise ScenarioError(f"Fault.capacity must be a share from 0 to 1, not {self.capacity!r}")


@dataclass(frozen=True, slots=True)
class OtherEndpoint:
    """An endpoint of the app that never calls the service: it holds a worker for `seconds` (above 0).

    Its callers give up after `caller_timeout` seconds (above 0).
    """

    seconds: float = 0.03
    caller_timeout: float = 2.0

    def __post_init__(self) -> None:
        parameter.real("OtherEndpoint.seconds", self.seconds)
        parameter.real("OtherEndpoint.caller_timeout", self.caller_timeout)


@dataclass(frozen=True, slots=True)
class App:
    """The app that calls the service: one pool of workers for all its endpoints and for its health check.

    A call holds its worker to the end, backoff included; one that has waited `pool_timeout` seconds for a worker is
    answered 503. Callers of the endpoints that use the service give up after `caller_timeout` seconds; the app does not
    notice. Every `health_interval` seconds a probe asks for a worker; one that has none after `health_timeout` seconds
    has failed. After `health_failures` failures in a row the app is killed, loses what it has in hand and its breaker's
    state, and is back `restart_seconds` later.

    workers, health_failures: at least 1. All times in seconds, above 0; health_timeout below health_interval.
    other: the endpoints that do not call the service, by name.
    """

    workers: int = 48
    pool_timeout: float = 5.0
    caller_timeout: float = 8.0
    other: Mapping[str, OtherEndpoint] = field(default_factory=dict)
    health_interval: float = 2.0
    health_timeout: float = 1.0
    health_failures: int = 3
    restart_seconds: float = 8.0

    def __post_init__(self) -> None:
        parameter.count("App.workers", self.workers)
        parameter.count("App.health_failures", self.health_failures)
        for name in ("pool_timeout", "caller_timeout", "health_interval", "health_timeout", "restart_seconds"):
            parameter.real(f"App.{name}", getattr(self, name))
        if self.health_timeout >= self.health_interval:
            raise ScenarioError(
                f"App.health_timeout must be below App.health_interval ({self.health_interval:g} s), "
                f"not {self.health_timeout:g} s"
            )
        if not isinstance(self.other, Mapping) or not all(isinstance(o, OtherEndpoint) for o in self.other.values()):
            raise ScenarioError(f"App.other must be a table of OtherEndpoint values by name, not {self.other!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Logical requests in order of time: open loop, sent at their time whatever has returned.

    time: seconds, shape (n,), not decreasing, at least 0. endpoint: index into `endpoints`, shape (n,).
    tokens: the size of each answer, shape (n,); 0 where the service is not called. request: the number each request has
    in the trace it came from, shape (n,).
    """

    time: Floats
    endpoint: Ints
    tokens: Floats
    request: Ints
    endpoints: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("time", "endpoint", "tokens", "request"):
            column = _numbers(name, getattr(self, name), np.float64 if name in ("time", "tokens") else np.int64)
            object.__setattr__(self, name, column)
        if not self.time.shape == self.endpoint.shape == self.tokens.shape == self.request.shape:
            raise ScenarioError("Workload.time, endpoint, tokens and request must have the same length")
        if not np.isfinite(self.time).all() or (self.time < 0).any() or (np.diff(self.time) < 0).any():
            raise ScenarioError("Workload.time must be finite, at least 0 s, and not decrease")
        if not np.isfinite(self.tokens).all() or (self.tokens < 0).any():
            raise ScenarioError("Workload.tokens must be finite and at least 0")
        if len(self.endpoint) and not (self.endpoint.min() >= 0 and self.endpoint.max() < len(self.endpoints)):
            raise ScenarioError(f"Workload.endpoint must be an index from 0 to {len(self.endpoints) - 1}")
        if (self.request < 0).any():
            raise ScenarioError("Workload.request must be at least 0")

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def from_trace(cls, trace: Trace) -> "Workload":
        """The logical requests that the app met in `trace`: the first attempt of each request on service "app".

        Raises ScenarioError if the trace has none.
        """
        attempts = trace.attempts
        first = attempts[(attempts["service"] == "app") & (attempts["attempt"] == 1)].sort_values("time", kind="stable")
        if first.empty:
            raise ScenarioError(f"{trace.source.name}: no attempt on service 'app', so there are no arrivals to replay")
        tokens = first["tokens_out"].fillna(0).to_numpy(np.float64) if "tokens_out" in first else np.zeros(len(first))
        return cls(
            time=first["time"].to_numpy(np.float64),
            endpoint=first["endpoint"].cat.codes.to_numpy(np.int64),
            tokens=tokens,
            request=first["request"].to_numpy(np.int64),
            endpoints=tuple(first["endpoint"].cat.categories),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """Arrivals, service, faults and app, for `duration` seconds of health checks and of pool samples."""

    workload: Workload
    service: Service = field(default_factory=Service)
    app: App = field(default_factory=App)
    faults: tuple[Fault, ...] = ()
    duration: float = 120.0
    name: str = "scenario"

    def __post_init__(self) -> None:
        for name, kind in (("workload", Workload), ("service", Service), ("app", App)):
            if not isinstance(getattr(self, name), kind):
                found = getattr(self, name)
                raise ScenarioError(f"Scenario.{name} must be of type {kind.__name__}, not {found!r}")
        if not isinstance(self.faults, Sequence) or not all(isinstance(fault, Fault) for fault in self.faults):
            raise ScenarioError(f"Scenario.faults must be Fault values, not {self.faults!r}")
        parameter.real("Scenario.duration", self.duration)
        object.__setattr__(self, "faults", tuple(self.faults))

    @classmethod
    def from_trace(cls, trace: Trace) -> "Scenario":
        """The scenario that a recording of ours describes: its arrivals, and the parameters in its header.

        Raises ScenarioError if the trace does not say what the service and the app were; for such a log build a
        `Scenario` from `Workload.from_trace(trace)` and your own `Service`, `App` and `Fault` values.
        """
        known = trace.source.facts.get("parameters")
        if not isinstance(known, Mapping):
            raise ScenarioError(
                f"{trace.source.name}: the log does not say what service and app it was recorded on; "
                "give Scenario(Workload.from_trace(trace), Service(...), App(...), faults=[Fault(...)])"
            )
        app = dict(_part(trace, known, "app"))
        other = app.get("other", {})
        if not isinstance(other, Mapping):
            raise ScenarioError(f"{trace.source.name}: parameters.app.other must be a table by endpoint, not {other!r}")
        app["other"] = {name: _build(OtherEndpoint, "app.other", value) for name, value in other.items()}
        faults = known.get("faults", ())
        if not isinstance(faults, Sequence):
            raise ScenarioError(f"{trace.source.name}: parameters.faults must be a list, not {faults!r}")
        return cls(
            workload=Workload.from_trace(trace),
            service=_build(Service, "service", _part(trace, known, "service")),
            app=_build(App, "app", app),
            faults=tuple(_build(Fault, "faults", fault) for fault in faults),
            duration=known.get("duration", 120.0),
            name=str(trace.source.facts.get("scenario", trace.source.name)),
        )

    def parameters(self) -> dict[str, Any]:
        """Service, faults, app and duration as plain dicts, as the header of a recording holds them."""
        return {
            "duration": self.duration,
            "service": asdict(self.service),
            "faults": [asdict(fault) for fault in self.faults],
            "app": asdict(self.app),
        }


def _numbers(name: str, values: Any, dtype: Any) -> Any:
    """A column of its own that cannot be written to."""
    try:
        column = np.array(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        raise ScenarioError(f"Workload.{name} must be numbers, not {str(values)[:60]}") from None
    if column.ndim != 1:
        raise ScenarioError(f"Workload.{name} must be one-dimensional, not of shape {column.shape}")
    column.flags.writeable = False
    return column


def _part(trace: Trace, known: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = known.get(name)
    if not isinstance(part, Mapping):
        raise ScenarioError(f"{trace.source.name}: the header's parameters have no table {name!r}")
    return part


def _build(kind: Any, name: str, data: Any) -> Any:
    try:
        return kind(**parameter.known_keys(f"parameters.{name}", data, [f.name for f in fields(kind)]))
    except TypeError as error:
        raise ScenarioError(f"parameters.{name} is incomplete: {error}") from None
