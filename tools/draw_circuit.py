"""Draw the circuit breaker's state diagram from its rules, into docs/circuit.md.

usage: .venv/bin/python tools/draw_circuit.py      (a test fails when the page is not what the rules give)

Nobody lists the transitions here: every sequence of a few events is played on the rules of `breakerlab.policy.breaker`,
under each rule that can open a circuit, and what changes state is drawn.
"""

import copy
import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from course import REPOSITORY

from breakerlab.policy import Breaker, State
from breakerlab.policy import breaker as rules

PAGE = REPOSITORY / "docs" / "circuit.md"
DEPTH = 7  # events; the longest way to a transition is shorter
RULES = (
    Breaker(failure_threshold=2),
    Breaker(failure_rate=0.5, window=4, minimum_calls=2),
    Breaker(slow_call_rate=0.5, slow_call_duration=5.0, window=4, minimum_calls=2),
)
BY_HAND = {
    "force_open()": rules.FORCED_OPEN,
    "disable()": rules.DISABLED,
    "metrics_only()": rules.METRICS_ONLY,
    "reset()": rules.AUTOMATIC,
}
HEAD = """# The circuit breaker's states

Drawn by `tools/draw_circuit.py` from the rules in `src/breakerlab/policy/breaker.py`, which the simulator compiles and
production runs. A circuit that is open becomes half-open when a call asks after the recovery timeout, not by itself.
While half-open, at most `half_open_max_calls` probes are in flight; a probe that hangs longer than `half_open_timeout`
gives up its permit, without a change of state. A result from before a change of state changes nothing.

"""
NOTE = """
By hand, from any state: `force_open()` refuses every call, `disable()` lets every call through and counts nothing,
`metrics_only()` goes through the diagram above and reports, but refuses no call; `reset()` closes the circuit.

With `guards="retries"`, what the diagram refuses is let through if it is the first attempt of its call, and changes
nothing; held open by hand, it is refused too.
"""

Edge = tuple[State, State, str]


def events() -> dict[str, Callable[[Any], None]]:
    """What can happen to a breaker: a call with each kind of end, or time."""
    return {
        "success": lambda b: call(b, lambda permit: rules.succeed(b, permit, b.now, 1.0, 0.0)),
        "slow": lambda b: call(b, lambda permit: rules.succeed(b, permit, b.now, 9.0, 0.0)),
        "failure": lambda b: call(b, lambda permit: rules.fail(b, permit, b.now, 1.0, 0.0, 0.0)),
        "ignored": lambda b: call(b, lambda permit: rules.ignore(b, permit)),
        "time": lambda b: setattr(b, "now", b.now + 60.0),
    }


def call(b: Any, end: Callable[[int], None]) -> None:
    permit = rules.admit(b, b.now)
    b.seen.append(state_of(b))
    if permit >= 0:
        end(permit)


def fresh(config: Breaker) -> Any:
    b = SimpleNamespace(**config.rules(), ring=[0] * 180, now=0.0, seen=[])
    rules.reset(b)
    return b


def state_of(b: Any) -> State:
    return rules.STATES[b.mode or b.state_code]


def edges() -> list[Edge]:
    """Every transition that some sequence of events reaches, with its cause, in the order of the states."""
    found = {edge for config in RULES for edge in _explored(fresh(config), DEPTH, set())}
    return sorted(found, key=lambda edge: (list(State).index(edge[0]), list(State).index(edge[1]), edge[2]))


def _explored(b: Any, depth: int, known: set[str]) -> Iterator[Edge]:
    key = f"{depth} {vars(b)}"
    if depth == 0 or key in known:
        return
    known.add(key)
    for event in events().values():
        after = copy.deepcopy(b)
        after.seen = [state_of(b)]
        event(after)
        path = [*after.seen, state_of(after)]
        after.seen = []
        for before, later in itertools.pairwise(path):
            if before is not later:
                yield before, later, _cause(later, after)
        yield from _explored(after, depth - 1, known)


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


def page() -> str:
    lines = ["```mermaid", "stateDiagram-v2", '    state "any state" as any', "    [*] --> closed"]
    lines += [f"    {before.value} --> {after.value}: {cause}" for before, after, cause in edges()]
    lines += [f"    any --> {state.value}: {method}" for method, state in by_hand().items()]
    return HEAD + "\n".join([*lines, "```"]) + "\n" + NOTE


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"breakerlab: wrote {PAGE.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
