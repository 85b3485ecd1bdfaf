"""How much of breakerlab.lab its unit tests and the notebooks' kernels run, together; fails below the floor.

Apart from `make test`, since it doubles the time of what it measures where Python is older than 3.14. What numba has
compiled is not part of the lab, and is not counted.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from check_notebooks import nbval_command
from course import NOTEBOOKS, REPOSITORY

FLOOR = 95  # %
MEASURED = ["--cov=breakerlab.lab", "--cov-append", "--cov-report="]
COMMANDS = (
    [sys.executable, "-m", "pytest", "tests/lab", *MEASURED],
    [*nbval_command([str(NOTEBOOKS)]), *MEASURED],
    [sys.executable, "-m", "coverage", "report", "--skip-covered", "--show-missing", f"--fail-under={FLOOR}"],
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = {"COVERAGE_FILE": str(Path(folder) / "coverage")}
        for command in COMMANDS:
            code = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **data}).returncode
            if code:
                sys.exit(code)


if __name__ == "__main__":
    main()
