"""Draw the circuit breaker's state diagram from its rules, into docs/circuit.md.

usage: .venv/bin/python tools/draw_circuit.py      (a test fails when the page is not what the rules give)

Nobody lists the transitions here: `breakerlab.lab.transitions` finds them by playing on the rules.
"""

from course import REPOSITORY

from breakerlab.lab.transitions import by_hand, edges

PAGE = REPOSITORY / "docs" / "circuit.md"
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
