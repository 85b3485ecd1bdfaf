"""Everything that `make test` proves, quickest first; stops at the first step that fails and says what to do."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from browser import NoBrowserError, find_or_install
from course import REPOSITORY
from debian import MissingProgramError, ensure


@dataclass(frozen=True)
class Step:
    what: str
    command: tuple[str, ...]
    if_it_fails: str


# Real servers, whose logs the readers are tested on, and the Debian package of each.
SERVERS = {"nginx": "nginx-light", "apache2": "apache2-bin", "haproxy": "haproxy", "caddy": "caddy"}
# Two at a time, as many as the smallest machine has processors; the rest watches clocks and real servers, one by one.
SIDE_BY_SIDE = ("tests/lab", "tests/replay", "tests/notebooks", "tests/trace", "--ignore=tests/trace/formats")
ONE_BY_ONE = (
    *("tests", "--ignore=tests/browser", "--ignore=tests/lab", "--ignore=tests/replay", "--ignore=tests/notebooks"),
    "--ignore-glob=tests/trace/test_*.py",
)
WARM_UP = "import open_lab; open_lab.warm_up()"


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


NOTEBOOKS_STEP = Step(
    "notebooks (nbval, every output compared)",
    python("tools/check_notebooks.py"),
    "if the new outputs are right, store them with `make notebooks` and look at the difference; else mend the code",
)

STEPS = (
    Step("style (ruff)", python("-m", "ruff", "check", "."), "mend what is named above"),
    Step("types (mypy --strict: policy, trace, replay)", python("-m", "mypy"), "mend the types named above"),
    Step("getting the simulator ready", python("-c", WARM_UP), "the simulator does not compile: see above"),
    Step(
        "unit tests of the simulator, the lab and what reads logs",
        python("-m", "pytest", "-n", "2", *SIDE_BY_SIDE),
        "mend the code or the test named above",
    ),
    Step(
        "all other unit tests",
        python("-m", "pytest", *ONE_BY_ONE),
        "mend the code or the test named above",
    ),
    NOTEBOOKS_STEP,
    Step(
        "notebooks once more, as on a processor without FMA",
        python("tools/check_notebooks.py", "--other-processor"),
        "an output shows the last digits of a float: round what the cell prints or draws",
    ),
    Step(
        "every notebook, and a log that attacks, in JupyterLab and a real browser",
        python("-m", "pytest", "-n", "2", "tests/browser"),
        "the server's log and the browser's errors stand above; `make screenshots` shows the page",
    ),
)


def say(sentence: str) -> None:
    print(f"breakerlab: {sentence}", flush=True)


def main() -> None:
    try:
        ensure(SERVERS)
        browser = find_or_install()
    except (MissingProgramError, NoBrowserError) as error:
        sys.exit(f"breakerlab: {error}")
    say(f"the browser for the tests is {browser}")
    run_steps(STEPS, {"BROWSER_PATH": browser})
    say("everything passed")


def run_steps(steps: tuple[Step, ...], variables: dict[str, str]) -> None:
    """Run each step with these environment variables added; exits with a sentence at the first that fails."""
    python_path = os.pathsep.join(filter(None, [str(REPOSITORY / "tools"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **variables, "PYTHONPATH": python_path}
    for step in steps:
        say(step.what)
        started = time.monotonic()
        if subprocess.run(step.command, cwd=REPOSITORY, env=environment).returncode:
            sys.exit(f"breakerlab: failed: {step.what}. What to do: {step.if_it_fails}")
        say(f"passed: {step.what} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
