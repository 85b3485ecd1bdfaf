"""Who calls, when, for what: fixed arrivals, recipes that are drawn anew for each seed, and callers who wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from breakerlab.policy import parameter
from breakerlab.replay.blocks import block
from breakerlab.replay.distribution import Constant, Distribution, Exponential, Llm
from breakerlab.replay.errors import ScenarioError

if TYPE_CHECKING:
    from breakerlab.trace import Trace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANSWER = "POST /answer"
CALLERS = ("callers",)


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Logical requests in order of time: open loop, sent at their time whatever has returned.

    time: seconds, shape (n,), not decreasing, at least 0. endpoint: index into `endpoints`, shape (n,).
    tokens: the size of each answer, shape (n,); 0 where the service is not called. request: the number each request has
    in the trace it came from, shape (n,). write: whether it changes something, shape (n,); None for no. client: index
    into `clients`, shape (n,); None for the first.
    """

    time: Floats
    endpoint: Ints
    tokens: Floats
    request: Ints
    endpoints: tuple[str, ...]
    write: Any = None
    client: Any = None
    clients: tuple[str, ...] = CALLERS

    def __post_init__(self) -> None:
        n = len(self.time) if hasattr(self.time, "__len__") else 0
        defaults = {"write": np.zeros(n, bool), "client": np.zeros(n, np.int64)}
        types = {"time": np.float64, "tokens": np.float64, "write": np.bool_}
        for name in ("time", "endpoint", "tokens", "request", "write", "client"):
            given = defaults[name] if name in defaults and getattr(self, name) is None else getattr(self, name)
            object.__setattr__(self, name, _column(name, given, types.get(name, np.int64)))
        columns = (self.time, self.endpoint, self.tokens, self.request, self.write, self.client)
        if len({column.shape for column in columns}) != 1:
            raise ScenarioError(
                "Workload.time, endpoint, tokens and request (and write and client, if given) must have the same length"
            )
        if not np.isfinite(self.time).all() or (self.time < 0).any() or (np.diff(self.time) < 0).any():
            raise ScenarioError("Workload.time must be finite, at least 0 s, and not decrease")
        if not np.isfinite(self.tokens).all() or (self.tokens < 0).any():
            raise ScenarioError("Workload.tokens must be finite and at least 0")
        for name, words in (("endpoint", self.endpoints), ("client", self.clients)):
            column = getattr(self, name)
            if len(column) and not (column.min() >= 0 and column.max() < len(words)):
                raise ScenarioError(f"Workload.{name} must be an index from 0 to {len(words) - 1}")
        if (self.request < 0).any():
            raise ScenarioError("Workload.request must be at least 0")

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def from_trace(cls, trace: Trace, start: float = 0.0) -> Workload:
        """The logical requests that the app met in `trace`: the first attempt of each request on service "app".

        In a log without the app they are the first attempts on whatever it names: what called it is the app. start:
        the moment of the log (s) that becomes second 0; none may be earlier. Raises ScenarioError if there are none.
        """
        attempts = trace.attempts
        attempts = attempts[attempts["attempt"] == 1].sort_values("time", kind="stable")
        on_app = attempts[attempts["service"] == "app"]
        first = attempts if on_app.empty else on_app
        if first.empty:
            raise ScenarioError(f"{trace.source.name}: no first attempt, so there are no arrivals to replay")
        tokens = first["tokens_out"].fillna(0).to_numpy(np.float64) if "tokens_out" in first else np.zeros(len(first))
        repeatable = first["idempotent"].fillna(True).to_numpy(bool) if "idempotent" in first else None
        return cls(
            time=first["time"].to_numpy(np.float64) - start,
            endpoint=first["endpoint"].cat.codes.to_numpy(np.int64),
            tokens=tokens,
            request=first["request"].to_numpy(np.int64),
            endpoints=tuple(first["endpoint"].cat.categories),
            write=None if repeatable is None else ~repeatable,
            client=first["client"].cat.codes.to_numpy(np.int64),
            clients=tuple(first["client"].cat.categories),
        )


@dataclass(frozen=True, slots=True)
class Poisson:
    """Callers who come at random, independently of one another (a Poisson process), drawn anew for each seed.

    rate: requests/s, at least 0. endpoint: of the app. tokens: the size of an answer, a distribution. writes: the share
    of requests that change something, in [0, 1].
    """

    rate: float
    endpoint: str = ANSWER
    tokens: Distribution = field(default_factory=lambda: Constant(0))
    writes: float = 0.0

    def __post_init__(self) -> None:
        parameter.real("Poisson.rate", self.rate, or_equal=True)
        _check_request("Poisson", self)

    def times(self, draw: np.random.Generator, duration: float) -> Floats:
        """Arrivals in [0, duration), seconds, in order."""
        if self.rate == 0.0:
            return np.empty(0)
        expected = self.rate * duration
        times: Floats = block(8 * int(expected + 6.0 * expected**0.5 + 10)).view(np.float64)
        draw.standard_exponential(out=times)
        times *= 1.0 / self.rate
        np.cumsum(times, out=times)
        while times[-1] < duration:
            times = np.concatenate((times, times[-1] + np.cumsum(draw.exponential(1.0 / self.rate, 1000))))
        return times[: np.searchsorted(times, duration)]


@dataclass(frozen=True, slots=True)
class Bursts:
    """Callers who come in crowds: `size` of them at `start` and then every `every` seconds.

    size: at least 1. every: seconds, above 0. within: seconds over which a crowd is spread evenly at random, at least
    0. start: seconds, at least 0. endpoint, tokens, writes: as for `Poisson`.
    """

    size: int
    every: float
    within: float = 0.0
    endpoint: str = ANSWER
    tokens: Distribution = field(default_factory=lambda: Constant(0))
    writes: float = 0.0
    start: float = 0.0

    def __post_init__(self) -> None:
        parameter.count("Bursts.size", self.size)
        parameter.real("Bursts.every", self.every)
        parameter.real("Bursts.within", self.within, or_equal=True)
        parameter.real("Bursts.start", self.start, or_equal=True)
        _check_request("Bursts", self)

    def times(self, draw: np.random.Generator, duration: float) -> Floats:
        """Arrivals in [0, duration), seconds, in order."""
        crowds = np.repeat(np.arange(self.start, duration, self.every), self.size)
        times = np.sort(crowds + draw.uniform(0.0, self.within, len(crowds)), kind="stable")
        return times[: np.searchsorted(times, duration)]


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """Callers who wait: each thinks, asks, waits for the answer or gives up, and thinks again, until the end.

    A closed loop cannot overload a service as an open one can: whoever waits asks for nothing else.

    workers: at least 1. think: seconds between an answer and the next request, a distribution. endpoint, tokens,
    writes: as for `Poisson`.
    """

    workers: int
    think: Distribution = field(default_factory=lambda: Exponential(1.0))
    endpoint: str = ANSWER
    tokens: Distribution = field(default_factory=lambda: Constant(0))
    writes: float = 0.0

    def __post_init__(self) -> None:
        parameter.count("ClosedLoop.workers", self.workers)
        if not isinstance(self.think, Distribution) or isinstance(self.think, Llm):
            raise ScenarioError(f"ClosedLoop.think must be a distribution such as Exponential(1), not {self.think!r}")
        _check_request("ClosedLoop", self)


def draw_workload(recipes: Sequence[Poisson | Bursts], duration: float, seed: int) -> Workload:
    """The arrivals of all `recipes` in [0, duration) (s), merged in order of time; each recipe has draws of its own."""
    endpoints = tuple(dict.fromkeys(recipe.endpoint for recipe in recipes))
    drawn = [_draw_one(recipe, endpoints, duration, [seed, place]) for place, recipe in enumerate(recipes)]
    time, endpoint, tokens, write = drawn[0] if len(drawn) == 1 else map(np.concatenate, zip(*drawn, strict=True))
    if len(drawn) > 1:
        order = np.argsort(time, kind="stable")
        time, endpoint, tokens, write = time[order], endpoint[order], tokens[order], write[order]
    n = len(time)
    columns = {"time": time, "endpoint": endpoint, "tokens": tokens, "write": write}
    return _sound(endpoints=endpoints, **columns, request=np.arange(n), client=np.zeros(n, np.int64))


def _sound(*, endpoints: tuple[str, ...], **columns: Any) -> Workload:
    """A workload of columns that were made here, right and unshared, without the checks and copies of others'."""
    workload = object.__new__(Workload)
    for name, column in columns.items():
        column.flags.writeable = False
        object.__setattr__(workload, name, column)
    object.__setattr__(workload, "endpoints", endpoints)
    object.__setattr__(workload, "clients", CALLERS)
    return workload


def _draw_one(recipe: Poisson | Bursts, endpoints: tuple[str, ...], duration: float, seed: list[int]) -> Any:
    draw = np.random.default_rng(seed)
    time = recipe.times(draw, duration)
    n = len(time)
    endpoint = np.zeros(n, np.int64)  # what is not written to takes no memory
    if place := endpoints.index(recipe.endpoint):
        endpoint[:] = place
    tokens = recipe.tokens.sample(draw, n)
    write = draw.random(n) < recipe.writes if recipe.writes else np.zeros(n, bool)
    return time, endpoint, tokens, write


def _check_request(kind: str, recipe: Any) -> None:
    if not isinstance(recipe.endpoint, str) or not recipe.endpoint:
        raise ScenarioError(f"{kind}.endpoint must be the name of an endpoint, not {recipe.endpoint!r}")
    if not isinstance(recipe.tokens, Distribution) or isinstance(recipe.tokens, Llm):
        raise ScenarioError(f"{kind}.tokens must be a distribution such as Lognormal(60, 0.5), not {recipe.tokens!r}")
    parameter.share(f"{kind}.writes", recipe.writes)


def _column(name: str, values: Any, dtype: Any) -> Any:
    """A column of its own that cannot be written to."""
    try:
        column = np.array(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        raise ScenarioError(f"Workload.{name} must be numbers, not {str(values)[:60]}") from None
    if column.ndim != 1:
        raise ScenarioError(f"Workload.{name} must be one-dimensional, not of shape {column.shape}")
    if column.dtype.kind in "iu" and np.asarray(values).dtype.kind == "f" and (column != np.asarray(values)).any():
        raise ScenarioError(f"Workload.{name} must be whole numbers")
    column.flags.writeable = False
    return column
