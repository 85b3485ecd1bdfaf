"""What a policy meets: arrivals, a service that can be overloaded, faults, and the app in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from breakerlab.policy import parameter
from breakerlab.replay.app import WAYS, App, OtherEndpoint, Standby
from breakerlab.replay.distribution import KINDS, Distribution, Llm
from breakerlab.replay.errors import ScenarioError
from breakerlab.replay.server import Fault, RateLimit, Service
from breakerlab.replay.workload import Bursts, ClosedLoop, Poisson, Workload, draw_workload

if TYPE_CHECKING:
    from breakerlab.trace import Trace

Recipe = Poisson | Bursts


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """Arrivals, service, faults and app, for `duration` seconds of recipes, health checks and samples.

    workload: fixed arrivals (`Workload`), callers who wait (`ClosedLoop`), or recipes for open-loop arrivals that are
    drawn anew for each seed: a `Poisson` or `Bursts`, or several of them.
    """

    workload: Workload | ClosedLoop | Recipe | Sequence[Recipe]
    service: Service = field(default_factory=Service)
    app: App = field(default_factory=App)
    faults: tuple[Fault, ...] = ()
    duration: float = 120.0
    name: str = "scenario"

    def __post_init__(self) -> None:
        for name, kind in (("service", Service), ("app", App)):
            if not isinstance(getattr(self, name), kind):
                raise ScenarioError(f"Scenario.{name} must be of type {kind.__name__}, not {getattr(self, name)!r}")
        if isinstance(self.workload, Poisson | Bursts):
            object.__setattr__(self, "workload", (self.workload,))
        if not isinstance(self.workload, Workload | ClosedLoop):
            self._check_recipes(self.workload)
        if not isinstance(self.faults, Sequence) or not all(isinstance(fault, Fault) for fault in self.faults):
            raise ScenarioError(f"Scenario.faults must be Fault values, not {self.faults!r}")
        parameter.real("Scenario.duration", self.duration)
        object.__setattr__(self, "faults", tuple(self.faults))
        for fault in self.faults:
            for name in fault.endpoints:
                if name not in self.endpoints:
                    known = ", ".join(map(repr, self.endpoints))
                    raise ScenarioError(f"Fault.endpoints names {name!r}; the workload's endpoints are {known}")

    def _check_recipes(self, recipes: Any) -> None:
        if not isinstance(recipes, Sequence) or not recipes or not all(isinstance(r, Recipe) for r in recipes):
            raise ScenarioError(
                f"Scenario.workload must be a Workload, a ClosedLoop, a Poisson or Bursts or a tuple of these, "
                f"not {recipes!r}"
            )
        object.__setattr__(self, "workload", tuple(recipes))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints of the app that its callers use."""
        if isinstance(self.workload, Workload):
            return self.workload.endpoints
        if isinstance(self.workload, ClosedLoop):
            return (self.workload.endpoint,)
        return tuple(dict.fromkeys(recipe.endpoint for recipe in self._recipes))

    @property
    def is_closed_loop(self) -> bool:
        """Whether callers wait for their answers before they ask again."""
        return isinstance(self.workload, ClosedLoop)

    @property
    def _recipes(self) -> tuple[Recipe, ...]:
        return self.workload  # type: ignore[return-value]

    def arrivals(self, seed: int) -> Workload:
        """The open-loop arrivals for this seed; none for a closed loop, whose requests depend on the answers."""
        if isinstance(self.workload, Workload):
            return self.workload
        if self.is_closed_loop:
            nothing = np.empty(0, np.int64)
            return Workload(np.empty(0), nothing, np.empty(0), nothing, self.endpoints)
        return draw_workload(self._recipes, self.duration, seed)

    @classmethod
    def from_trace(cls, trace: Trace) -> Scenario:
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
        faults = known.get("faults", ())
        if not isinstance(faults, Sequence):
            raise ScenarioError(f"{trace.source.name}: parameters.faults must be a list, not {faults!r}")
        return cls(
            workload=Workload.from_trace(trace),
            service=_service(_part(trace, known, "service")),
            app=_app(trace, _part(trace, known, "app")),
            faults=tuple(_build(Fault, "faults", fault) for fault in faults),
            duration=known.get("duration", 120.0),
            name=str(trace.source.facts.get("scenario", trace.source.name)),
        )

    def parameters(self) -> dict[str, Any]:
        """Service, faults, app and duration as plain dicts, as `from_trace` reads them from a header."""
        service = {name: getattr(self.service, name) for name in _names(Service)}
        for name in ("time", "network"):
            service[name] = _told(service[name])
        limit = service["rate_limit"]
        service["rate_limit"] = None if limit is None else asdict(limit)
        return {
            "duration": self.duration,
            "service": service,
            "faults": [asdict(fault) for fault in self.faults],
            "app": {**asdict(self.app), **{name: _told(getattr(self.app, name)) for name in WAYS}},
        }


def _names(kind: Any) -> list[str]:
    return [f.name for f in fields(kind)]


def _told(distribution: Distribution | None) -> dict[str, Any] | None:
    if distribution is None:
        return None
    kind = next(word for word, one in KINDS.items() if isinstance(distribution, one))
    return {kind: asdict(distribution)}  # type: ignore[call-overload]


def _distribution(name: str, data: Any) -> Distribution | None:
    if data is None:
        return None
    if not isinstance(data, Mapping) or len(data) != 1 or next(iter(data)) not in KINDS:
        raise ScenarioError(f"parameters.{name} must be a table with one of {', '.join(KINDS)}, not {data!r}")
    kind, given = next(iter(data.items()))
    return _build(KINDS[kind], f"{name}.{kind}", given)  # type: ignore[no-any-return]


def _service(data: Mapping[str, Any]) -> Service:
    """The service of a header; a recorder's is always LLM-like and names the numbers of that on the same level."""
    given = dict(data)
    llm = {name: given.pop(name) for name in _names(Llm) if name in given}
    if llm:
        given["time"] = {"llm": llm}
    for name in ("time", "network"):
        if name in given:
            given[name] = _distribution(f"service.{name}", given[name])
    if given.get("rate_limit") is not None:
        given["rate_limit"] = _build(RateLimit, "service.rate_limit", given["rate_limit"])
    return _build(Service, "service", given)  # type: ignore[no-any-return]


def _app(trace: Trace, data: Mapping[str, Any]) -> App:
    given = dict(data)
    for name, kind in (("other", OtherEndpoint), ("fallbacks", Standby)):
        table = given.get(name, {})
        if not isinstance(table, Mapping):
            raise ScenarioError(f"{trace.source.name}: parameters.app.{name} must be a table by name, not {table!r}")
        given[name] = {word: _build(kind, f"app.{name}", part) for word, part in table.items()}
    given |= {name: _distribution(f"app.{name}", given.get(name)) for name in WAYS}
    return _build(App, "app", given)  # type: ignore[no-any-return]


def _part(trace: Trace, known: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = known.get(name)
    if not isinstance(part, Mapping):
        raise ScenarioError(f"{trace.source.name}: the header's parameters have no table {name!r}")
    return part


def _build(kind: Any, name: str, data: Any) -> Any:
    try:
        return kind(**parameter.known_keys(f"parameters.{name}", data, _names(kind)))
    except TypeError as error:
        raise ScenarioError(f"parameters.{name} is incomplete: {error}") from None
