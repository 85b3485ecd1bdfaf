"""The circuit breaker. Everything that changes a breaker's state stands in this file and nowhere else.

The rules are plain functions over a state object `b`: the `CircuitBreaker` itself in production, a record of a NumPy
array in the simulator, which compiles these very functions. Time is passed in, never fetched.

    CLOSED --(failure_threshold failures in a row)--> OPEN
    OPEN --(recovery_timeout has passed, next call)--> HALF_OPEN
    HALF_OPEN --(half_open_max_calls successes)--> CLOSED
    HALF_OPEN --(one failure)--> OPEN

Each change of state begins a new generation. An admitted call holds a permit that carries its generation; a result
from an older generation says nothing about the present one and changes nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, TypeVar

from breakerlab.policy import parameter

CLOSED, OPEN, HALF_OPEN = 0, 1, 2
REFUSED = -1

Result = TypeVar("Result")


def reset(b: Any) -> None:
    """Rule: the state of a breaker that has seen nothing."""
    b.state_code = CLOSED
    b.generation = 0
    b.failures = 0
    b.probes = 0
    b.successes = 0
    b.probe_at = 0.0


def admit(b: Any, now: float) -> int:
    """Rule: a permit (the generation, 0 or more) for a call at `now`, or REFUSED (-1)."""
    if b.state_code == OPEN and now >= b.probe_at:
        enter(b, HALF_OPEN)
    if b.state_code == OPEN:
        return REFUSED
    if b.state_code == HALF_OPEN:
        if b.probes >= b.half_open_max_calls:
            return REFUSED
        b.probes += 1
    return int(b.generation)


def succeed(b: Any, permit: int) -> None:
    """Rule: the call that holds `permit` succeeded."""
    if permit != b.generation:
        return
    if b.state_code == HALF_OPEN:
        b.successes += 1
        if b.successes >= b.half_open_max_calls:
            enter(b, CLOSED)
    else:
        b.failures = 0


def fail(b: Any, permit: int, now: float) -> None:
    """Rule: the call that holds `permit` failed at `now`."""
    if permit != b.generation:
        return
    b.failures += 1
    if b.state_code == HALF_OPEN or b.failures >= b.failure_threshold:
        b.probe_at = now + b.recovery_timeout
        enter(b, OPEN)


def ignore(b: Any, permit: int) -> None:
    """Rule: the call that holds `permit` said nothing about the service; a probe's permit is free again."""
    if permit == b.generation and b.state_code == HALF_OPEN:
        b.probes -= 1


def enter(b: Any, state_code: int) -> None:
    """Rule: a new state begins a new generation, with nothing counted."""
    b.state_code = state_code
    b.generation += 1
    b.failures = 0
    b.probes = 0
    b.successes = 0


class State(StrEnum):
    """The states a person sees; the rules compare plain ints, which is several times faster."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


CircuitState = State
_STATES = (State.CLOSED, State.OPEN, State.HALF_OPEN)


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a circuit opens and how it closes again.

    failure_threshold: failures in a row that open the circuit, at least 1. recovery_timeout: seconds from opening to
    the first probe, above 0. half_open_max_calls: calls admitted as probes while half-open, at least 1; all must
    succeed to close the circuit, the first failure opens it again. Raises ValueError naming the parameter.
    """

    failure_threshold: int = 5
    recovery_timeout: float = 30.0
    half_open_max_calls: int = 1

    def __post_init__(self) -> None:
        parameter.count("Breaker.failure_threshold", self.failure_threshold)
        seconds = parameter.real("Breaker.recovery_timeout", self.recovery_timeout)
        object.__setattr__(self, "recovery_timeout", seconds)
        parameter.count("Breaker.half_open_max_calls", self.half_open_max_calls)

    def to_dict(self) -> dict[str, Any]:
        """The parameters as a plain dict, for JSON or TOML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Breaker":
        """The breaker that `to_dict` described. Raises ValueError naming an unknown or wrong field."""
        fields = ("failure_threshold", "recovery_timeout", "half_open_max_calls")
        return cls(**parameter.known_keys("Breaker", data, fields))


class CircuitOpenError(Exception):
    """A call was refused without being made.

    name: the breaker's. state: the state that refused. retry_in: seconds until the next probe may be made; 0 while
    half-open with all probes out.
    """

    def __init__(self, name: str, state: State, retry_in: float) -> None:
        self.name, self.state, self.retry_in = name, state, retry_in
        wait = f"the next probe is due in {retry_in:.3g} s" if state is State.OPEN else "its probes are still out"
        super().__init__(f"circuit {name!r} is {state.value}: {wait}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.state, self.retry_in)


class Permit:
    """One admitted call. Spend it once, with `success`, `failure` or `ignored`; spending it again changes nothing.

    As a context manager it is spent by what the block does: an `Exception` is a failure; leaving quietly is a success;
    cancellation and other `BaseException`s are ignored.
    """

    __slots__ = ("_breaker", "_generation")

    def __init__(self, breaker: "CircuitBreaker", generation: int) -> None:
        self._breaker = breaker
        self._generation = generation

    def success(self) -> None:
        """The call succeeded."""
        self._breaker._spend(self, succeed)

    def failure(self) -> None:
        """The call failed."""
        self._breaker._spend(self, fail)

    def ignored(self) -> None:
        """The call said nothing about the service's health: it was cancelled, or the request itself was wrong."""
        self._breaker._spend(self, ignore)

    def __enter__(self) -> "Permit":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.success()
        elif isinstance(error, Exception):
            self.failure()
        else:
            self.ignored()


class CircuitBreaker:
    """A circuit breaker for calls from any number of threads or tasks; no lock is held while a call runs.

        breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=30.0, name="llm")
        answer = breaker.call(client.post, url, json=body)      # raises CircuitOpenError when open
        with breaker.acquire():                                 # the same around any block, `await` included
            answer = await client.post(url, json=body)

    Takes the fields of `Breaker` as keywords. name: for errors and logs. clock: seconds, must never go backwards.
    on_transition: called with the new `State` and the clock's time after each change, outside the lock; what it raises
    is logged and never reaches the call. Raises ValueError naming a parameter that is out of range.
    """

    __slots__ = (
        "_clock", "_lock", "_name", "_on_transition", "failure_threshold", "failures", "generation",
        "half_open_max_calls", "probe_at", "probes", "recovery_timeout", "state_code", "successes",
    )  # fmt: skip
    state_code: int
    generation: int
    probe_at: float

    def __init__(
        self,
        failure_threshold: int = 5,
        recovery_timeout: float = 30.0,
        half_open_max_calls: int = 1,
        *,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        on_transition: Callable[[State, float], None] | None = None,
    ) -> None:
        config = Breaker(failure_threshold, recovery_timeout, half_open_max_calls)
        self.failure_threshold = config.failure_threshold
        self.recovery_timeout = config.recovery_timeout
        self.half_open_max_calls = config.half_open_max_calls
        self._name = name
        self._clock = clock
        self._on_transition = on_transition
        self._lock = threading.Lock()
        reset(self)

    @property
    def state(self) -> State:
        """The state the breaker is in. An open circuit becomes half-open when a call asks, not by itself."""
        return _STATES[self.state_code]

    def acquire(self) -> Permit:
        """A permit for one call. Raises CircuitOpenError if the call may not be made now."""
        with self._lock:
            now = self._clock()
            before = self.generation
            generation = admit(self, now)
            changed = self.generation != before
            state = self.state
            retry_in = max(self.probe_at - now, 0.0) if state is State.OPEN else 0.0
        if changed:
            self._tell(state, now)
        if generation == REFUSED:
            raise CircuitOpenError(self._name, state, retry_in)
        return Permit(self, generation)

    def call(self, function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """`function(*args, **kwargs)`, if the circuit allows it. Raises CircuitOpenError, or what `function` does."""
        with self.acquire():
            return function(*args, **kwargs)

    def _spend(self, permit: Permit, rule: Callable[..., None]) -> None:
        with self._lock:
            now = self._clock()
            before = self.generation
            held, permit._generation = permit._generation, REFUSED
            rule(self, held, now) if rule is fail else rule(self, held)
            changed = self.generation != before
            state = self.state
        if changed:
            self._tell(state, now)

    def _tell(self, state: State, now: float) -> None:
        if self._on_transition is None:
            return
        try:
            self._on_transition(state, now)
        except Exception:
            logging.getLogger(__name__).exception("on_transition of circuit %r failed", self._name)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self._name!r} {self.state.value}>"
