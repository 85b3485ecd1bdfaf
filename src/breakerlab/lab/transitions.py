"""The transitions of the circuit breaker, found by playing on its rules; nobody lists them.

Every sequence of a few events is played on the rules of `breakerlab.policy.breaker`, under each rule that can open a
circuit, and what changes state is kept, with its cause.
"""

import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final

from breakerlab.policy import Breaker, State
from breakerlab.policy import breaker as rules

DEPTH: Final = 7  # events; the longest way to a transition is shorter
RULES: Final = (
    Breaker(failure_threshold=2),
    Breaker(failure_rate=0.5, window=4, minimum_calls=2),
    Breaker(slow_call_rate=0.5, slow_call_duration=5.0, window=4, minimum_calls=2),
)
BY_HAND: Final = {
    "force_open()": rules.FORCED_OPEN,
    "disable()": rules.DISABLED,
    "metrics_only()": rules.METRICS_ONLY,
    "reset()": rules.AUTOMATIC,
}
# What only counts up: two breakers that differ in nothing else do the same from there on.
TALLIES: Final = {"seen", "now", "succeeded", "failed", "ignored", "rejected", "late", "generation", "free_permit"}
MOMENTS: Final = ("probe_at", "probes_until")

Edge = tuple[State, State, str]


def events() -> dict[str, Callable[[Any], None]]:
    """What can happen to a breaker: a call with each kind of end, or time."""
    return {
        "success": lambda b: _call(b, lambda permit: rules.succeed(b, permit, b.now, 1.0, 0.0)),
        "slow": lambda b: _call(b, lambda permit: rules.succeed(b, permit, b.now, 9.0, 0.0)),
        "failure": lambda b: _call(b, lambda permit: rules.fail(b, permit, b.now, 1.0, 0.0, 0.0)),
        "ignored": lambda b: _call(b, lambda permit: rules.ignore(b, permit)),
        "time": lambda b: setattr(b, "now", b.now + 60.0),
    }


def _call(b: Any, end: Callable[[int], None]) -> None:
    permit = rules.admit(b, b.now)
    b.seen.append(state_of(b))
    if permit >= 0:
        end(permit)


def fresh(config: Breaker) -> Any:
    """The state of a breaker that has seen nothing."""
    b = SimpleNamespace(**config.rules(), ring=[0] * 180, now=0.0, seen=[])
    rules.reset(b)
    return b


def state_of(b: Any) -> State:
    """The state as a person sees it."""
    return rules.STATES[b.mode or b.state_code]


def edges() -> list[Edge]:
    """Every transition that some sequence of events reaches, with its cause, in the order of the states."""
    found = {edge for config in RULES for edge in _explored(fresh(config))}
    return sorted(found, key=lambda edge: (list(State).index(edge[0]), list(State).index(edge[1]), edge[2]))


def _explored(start: Any) -> Iterator[Edge]:
    """Breadth first: whoever is met again has been followed for longer before."""
    known, here = {_key(start)}, [start]
    for _ in range(DEPTH):
        further = []
        for b, event in itertools.product(here, events().values()):
            after = _copy(b)
            event(after)
            path = [state_of(b), *after.seen, state_of(after)]
            for before, later in itertools.pairwise(path):
                if before is not later:
                    yield before, later, _cause(later, after)
            if (key := _key(after)) not in known:
                known.add(key)
                further.append(after)
        here = further


def _copy(b: Any) -> Any:
    return SimpleNamespace(**{**vars(b), "ring": list(b.ring), "seen": []})


def _key(b: Any) -> tuple[Any, ...]:
    """What a breaker will do from here on depends on this alone: its moments count from now, past ones are past."""
    fields = tuple(value for name, value in vars(b).items() if name not in TALLIES and name not in (*MOMENTS, "ring"))
    return (*fields, tuple(b.ring[:8]), *(max(getattr(b, name) - b.now, 0.0) for name in MOMENTS))


def _cause(state: State, b: Any) -> str:
    if state is State.OPEN:
        return rules.REASONS[b.reason]
    return "recovery timeout over, a call asks" if state is State.HALF_OPEN else "enough probes succeeded"


def by_hand() -> dict[str, State]:
    """The state that each method for people leads to, by the rules."""
    reached = {}
    for method, mode in BY_HAND.items():
        b = fresh(RULES[0])
        rules.set_mode(b, mode)
        reached[method] = state_of(b)
    return reached
