"""What `import breakerlab.policy` costs a service, against the standard library's modules that it builds on.

usage: python benchmarks/import_time.py [--rounds 40] [--json FILE]

Every round starts a fresh process for each of the two statements, in turn; the figures are the fastest of each. Exit
code 1 if ours takes more than 10 ms longer, or loads a third-party module, asyncio or email.utils.
"""

import argparse
import os
import subprocess
import sys

from command_line import read_with_json, write_figures

OURS = "import breakerlab.policy"
YARDSTICK = "import dataclasses, threading, random, enum, typing"
AT_MOST_MS = 10.0
NOT_AT_IMPORT = ("asyncio", "email")
# The clock is read inside the process, so that starting Python does not count.
SCRIPT = """
import sys, time
started = time.perf_counter_ns()
{statement}
print(time.perf_counter_ns() - started, *sys.modules)
"""


def import_once(statement: str) -> tuple[float, set[str]]:
    """Milliseconds that the import took in a fresh process, and the modules loaded there afterwards."""
    # With this set, every process would compile the sources again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", SCRIPT.format(statement=statement)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"breakerlab: `{statement}` failed: {run.stderr.strip().splitlines()[-1]}")
    nanoseconds, *modules = run.stdout.split()
    return int(nanoseconds) / 1e6, set(modules)


def unwelcome(modules: set[str]) -> list[str]:
    """Modules that a service should not have to load for a breaker."""
    at_home = sys.stdlib_module_names | {"breakerlab"}
    return sorted(name for name in modules if (top := name.partition(".")[0]) in NOT_AT_IMPORT or top not in at_home)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What `import breakerlab.policy` costs, in ms and in modules.")
    parser.add_argument("--rounds", type=int, default=40, help="fresh processes for each statement (default 40)")
    options = read_with_json(parser)
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}, at least 1 is expected")
    return options


def main() -> None:
    options = read_options()
    _, present = import_once(YARDSTICK)
    _, loaded = import_once(OURS)  # this first time also stores the compiled modules
    rounds = [(import_once(YARDSTICK)[0], import_once(OURS)[0]) for _ in range(options.rounds)]
    yardstick, ours = map(min, zip(*rounds, strict=True))
    more, beyond = ours - yardstick, sorted(loaded - present)
    print(f"Milliseconds, the fastest of {options.rounds} fresh processes each, in turn.\n")
    print(f"{yardstick:6.1f}  {YARDSTICK}")
    print(f"{ours:6.1f}  {OURS}")
    print(f"{more:6.1f}  more (at most {AT_MOST_MS:.0f})\n")
    print("Modules beyond those:", ", ".join(beyond), end="\n\n")
    write_figures(options, {"yardstick_ms": yardstick, "ours_ms": ours, "more_ms": more, "modules": beyond})
    conclude(more, unwelcome(set(beyond)))


def conclude(more: float, found: list[str]) -> None:
    if more > AT_MOST_MS:
        sys.exit(f"breakerlab: target missed, the import takes {more:.1f} ms more than the standard library's")
    if found:
        sys.exit(f"breakerlab: target missed, the import loads {', '.join(found)}")
    print("breakerlab: both targets met")


if __name__ == "__main__":
    main()
