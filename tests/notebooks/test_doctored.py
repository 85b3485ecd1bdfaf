"""The step of `make test` that compares outputs can fail: one stored output, doctored in a copy, turns it red."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from course import FIRST_NOTEBOOK, REPOSITORY, copy_of_the_course
from run_tests import NOTEBOOKS_STEP, Step

DOCTORED = "43 requests, and this number is made up"


def place_of_text(cell: Any) -> tuple[dict[str, Any], str] | None:
    """Where the first output of a cell keeps its plain text: a dictionary and a key; None if it shows none."""
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            return output, "text"
        if list(output.get("data", {})) == ["text/plain"]:
            return output["data"], "text/plain"
    return None


@pytest.fixture(scope="module")
def short_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first notebook up to its first output of text, in a copy of the course: little to run."""
    path = copy_of_the_course(tmp_path_factory.mktemp("course")) / FIRST_NOTEBOOK
    notebook = nbformat.read(path, as_version=4)
    first = next(number for number, cell in enumerate(notebook.cells) if place_of_text(cell))
    notebook.cells = notebook.cells[: first + 1]
    nbformat.write(notebook, path)
    return path


def run_on(step: Step, notebook: Path) -> subprocess.CompletedProcess[str]:
    """What `make test` runs in this step, on another notebook."""
    return subprocess.run([*step.command, str(notebook)], cwd=REPOSITORY, capture_output=True, text=True)


def test_the_copy_passes_and_the_doctored_copy_fails(short_copy: Path) -> None:
    before = run_on(NOTEBOOKS_STEP, short_copy)
    assert before.returncode == 0, before.stdout

    notebook = nbformat.read(short_copy, as_version=4)
    place = place_of_text(notebook.cells[-1])
    assert place is not None
    holder, key = place
    holder[key] = DOCTORED
    nbformat.write(notebook, short_copy)

    after = run_on(NOTEBOOKS_STEP, short_copy)
    assert after.returncode == 1, after.stdout
    assert DOCTORED in after.stdout
    assert "1 failed" in after.stdout


def test_make_test_runs_that_step_and_stops_where_one_fails(tmp_path: Path) -> None:
    import run_tests

    assert NOTEBOOKS_STEP in run_tests.STEPS
    red = Step("a step that fails", (sys.executable, "-c", "raise SystemExit(1)"), "mend it")
    with pytest.raises(SystemExit, match=r"failed: a step that fails\. What to do: mend it"):
        run_tests.run_steps((red,), {})
