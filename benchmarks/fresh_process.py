"""What simulator_costs.py has a process of its own do; the figures are printed as JSON.

usage: python benchmarks/fresh_process.py first_result | compilations | memory REQUESTS
"""

import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESET_THE_PEAK = "5"  # what Linux takes it for when written to clear_refs


def first_result() -> dict[str, float]:
    """`at` is when the first result is there, on the clock that all processes share."""
    make_a_first_result()
    return {"at": time.monotonic()}


def make_a_first_result() -> None:
    from breakerlab.policy import Policy
    from breakerlab.replay import Poisson, Scenario, replay

    replay(Scenario(Poisson(10.0)), Policy.recommended()).summary()


def compilations() -> dict[str, float]:
    """How much is compiled for a first result, and how much for scenarios and policies that differ in kind."""
    with compiled_meanwhile() as at_first:
        make_a_first_result()
    from every_feature import every_feature, every_rule, in_kind

    from breakerlab.replay import replay

    others = [(every_feature(), every_rule()), *in_kind()]
    with compiled_meanwhile() as for_others:
        for seed, (scenario, policy) in enumerate(others, start=2**40):
            replay(scenario, policy, seed).summary()
    return {"at_first": len(at_first), "others": len(others), "for_others": len(for_others)}


@contextmanager
def compiled_meanwhile() -> Iterator[list[str]]:
    """The functions that numba compiles meanwhile; what it takes from its cache is not among them."""
    from numba.core import event

    found: list[str] = []
    with event.install_recorder("numba:compile") as recorder:
        yield found
    found += [str(each.data["dispatcher"]) for _, each in recorder.buffer if each.is_start]


def memory(requests: int) -> dict[str, float]:
    """Bytes at the peak, beyond what the process held before: of a replay and its trace, then of its requests."""
    from retry_storm import storm_policy, storm_scenario

    from breakerlab.replay import replay

    small = replay(storm_scenario(1000), storm_policy())
    small.trace, small.requests  # noqa: B018  (so that whatever is loaded late is loaded)
    scenario, policy = storm_scenario(requests), storm_policy()
    before = start_measuring()
    run = replay(scenario, policy, seed=1)
    run.trace  # noqa: B018
    trace_peak = bytes_of("VmHWM") - before
    held = start_measuring()
    table = run.requests
    requests_peak = bytes_of("VmHWM") - held
    return {
        "requests": len(table),
        "attempts": int(table["attempts"].sum()),
        "held": held - before,
        "replay_and_trace": trace_peak,
        "requests_more": requests_peak,
    }


def start_measuring() -> int:
    """Bytes that the process holds now, where its peak begins anew."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text(RESET_THE_PEAK)
    return bytes_of("VmRSS")


def bytes_of(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise LookupError(f"/proc/self/status has no {name}")


TASKS = {task.__name__: task for task in (first_result, compilations, memory)}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*map(int, sys.argv[2:]))))
