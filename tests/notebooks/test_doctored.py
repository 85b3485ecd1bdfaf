"""A doctored output in any notebook turns `make test` red: nbval's comparison sees it, or the rules of notebooks do.

nbval runs a notebook and compares. Here its own code compares, without a kernel: one that replays what is stored stands
in its place. The step of `make test` is run for real on the beginning of the first notebook.
"""

import copy
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
from course import FIRST_NOTEBOOK, NOTEBOOKS, REPOSITORY, copy_of_the_course
from nbval.plugin import IPyNbCell, IPyNbFile, NbCellError
from notebook_policy import PLOTLY, problems_of_cells
from run_tests import NOTEBOOKS_STEP, Step

DOCTORED = "43 requests, and this number is made up"
WIDGET = "application/vnd.jupyter.widget-view+json"
IN_ORDER = sorted(NOTEBOOKS.glob("*.ipynb"))

Cell = dict[str, Any]
Doctoring = Callable[[Cell], bool]  # changes a code cell; whether there was something to change


class Replayed:
    """Stands in nbval for a kernel: answers each cell with the outputs that are stored for it, never with an error."""

    def __init__(self, cells: list[Cell]) -> None:
        self._cells = iter(cells)
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def is_alive(self) -> bool:
        return True

    def execute_cell_input(self, source: str, allow_stdin: bool) -> str:
        cell = next(self._cells)
        for output in cell["outputs"]:
            self._say(output["output_type"], {"execution_count": cell["execution_count"], **output})
        self._say("status", {"execution_state": "idle"})
        return "asked"

    def _say(self, kind: str, content: dict[str, Any]) -> None:
        self._messages.put({"msg_type": kind, "content": content, "parent_header": {"msg_id": "asked"}})

    def await_reply(self, message: str, timeout: float) -> None:
        """It has replied already."""

    def get_message(self, stream: str, timeout: float) -> dict[str, Any]:
        return self._messages.get_nowait()


def code_cells(notebook: dict[str, Any]) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def nbval_passes(session: pytest.Session, stored: dict[str, Any], doctored: dict[str, Any], path: Path) -> list[bool]:
    """Of each code cell, whether nbval finds no fault with it if the kernel answers what was stored."""
    nbformat.write(nbformat.from_dict(doctored), path)
    file = IPyNbFile.from_parent(session, path=path)
    items = list(file.collect())
    file.kernel = Replayed(code_cells(copy.deepcopy(stored)))
    return [_passes(item) for item in items]


def _passes(item: IPyNbCell) -> bool:
    try:
        item.runtest()
    except NbCellError:
        return False
    except pytest.skip.Exception:
        next(item.parent.kernel._cells)
    return True


# ---- how to doctor a cell


def change_text(cell: Cell) -> bool:
    printed = [output for output in cell["outputs"] if output["output_type"] == "stream"]
    for output in printed:
        output["text"] = DOCTORED
    return bool(printed)


def hide_text(cell: Cell) -> bool:
    printed = [output for output in cell["outputs"] if output["output_type"] == "stream"]
    for output in printed:
        output["text"] = f"{DOCTORED}\r{''.join(output['text'])}"
    return bool(printed)


def print_it_as_a_warning(cell: Cell) -> bool:
    printed = [output for output in cell["outputs"] if output["output_type"] == "stream"]
    for output in printed:
        output["name"] = "stderr"
    return bool(printed)


def change(kind: str, content: Any) -> Doctoring:
    def doctor(cell: Cell) -> bool:
        showing = [output["data"] for output in cell["outputs"] if kind in output.get("data", {})]
        for data in showing:
            data[kind] = content
        return bool(showing)

    return doctor


def take_away(kind: str) -> Doctoring:
    def doctor(cell: Cell) -> bool:
        showing = [output["data"] for output in cell["outputs"] if kind in output.get("data", {})]
        for data in showing:
            del data[kind]
        return bool(showing)

    return doctor


def change_one_point(cell: Cell) -> bool:
    charts = [output["data"][PLOTLY] for output in cell["outputs"] if PLOTLY in output.get("data", {})]
    for chart in charts:
        chart["data"].append({"type": "scatter", "x": [1], "y": [43]})
    return bool(charts)


def draw_the_picture_of_a_changed_chart(cell: Cell) -> bool:
    charts = [output["data"] for output in cell["outputs"] if PLOTLY in output.get("data", {})]
    for data in charts:
        data["image/png"] = "".join(data["image/png"])[:-8] + "AAAAAAA="
    return bool(charts)


def show_more(data: dict[str, Any]) -> Doctoring:
    def doctor(cell: Cell) -> bool:
        cell["outputs"].append({"output_type": "display_data", "data": data, "metadata": {}})
        return True

    return doctor


def strip(cell: Cell) -> bool:
    had = bool(cell["outputs"])
    cell["outputs"] = []
    return had


def strip_as_if_never_run(cell: Cell) -> bool:
    cell["execution_count"] = None
    return strip(cell)


def never_run(cell: Cell) -> bool:
    cell["execution_count"] = None
    return True


def doctor_and(mark: Callable[[Cell], None]) -> Doctoring:
    """Doctor all that is printed or told, and ask nbval not to look."""

    def doctor(cell: Cell) -> bool:
        changed = change_text(cell) | change("text/plain", DOCTORED)(cell)
        mark(cell)
        return changed

    return doctor


def tag(name: str) -> Doctoring:
    return doctor_and(lambda cell: cell["metadata"].update(tags=[name]))


def comment(text: str) -> Doctoring:
    return doctor_and(lambda cell: cell.update(source=f"{text}\n{''.join(cell['source'])}"))


DOCTORINGS: dict[str, Doctoring] = {
    "other printed text": change_text,
    "text hidden before a carriage return": hide_text,
    "print as a warning": print_it_as_a_warning,
    "another value": change("text/plain", DOCTORED),
    "another table": change("text/html", f"<table>{DOCTORED}</table>"),
    "another chart": change_one_point,
    "another picture": draw_the_picture_of_a_changed_chart,
    "no value": take_away("text/plain"),
    "no table": take_away("text/html"),
    "no chart": take_away(PLOTLY),
    "no picture": take_away("image/png"),
    "a picture more": show_more({"image/png": "AAAA"}),
    "a photograph more": show_more({"image/jpeg": "AAAA"}),
    "a widget more": show_more({WIDGET: {"model_id": "1", "version_major": 2, "version_minor": 0}}),
    "a text more": show_more({"text/plain": DOCTORED}),
    "nothing": strip,
    "nothing, as if never run": strip_as_if_never_run,
    "never run": never_run,
    "a tag: ignore": tag("nbval-ignore-output"),
    "a tag: ignore, the old way": tag("pytest-validate-ignore-output"),
    "a tag: skip": tag("nbval-skip"),
    "a comment: ignore": comment("# NBVAL_IGNORE_OUTPUT"),
    "a comment: ignore, the old way": comment("## PYTEST_VALIDATE_IGNORE_OUTPUT"),
    "a comment: skip": comment("#NBVAL_SKIP"),
    "a comment after a form feed": comment("0 \x0c# NBVAL_IGNORE_OUTPUT"),
}


@cache
def read(path: Path) -> dict[str, Any]:
    return nbformat.read(path, as_version=4)


def let_through(session: pytest.Session, stored: dict[str, Any], doctor: Doctoring, path: Path) -> Iterator[int]:
    """The code cells in which nobody sees that they were doctored, each alone."""
    whole = copy.deepcopy(stored)
    touched = [doctor(cell) for cell in code_cells(whole)]
    passes = nbval_passes(session, stored, whole, path)
    for number, cell in enumerate(code_cells(whole)):
        if touched[number] and passes[number]:
            alone = {**stored, "cells": list(stored["cells"])}
            alone["cells"][stored["cells"].index(code_cells(stored)[number])] = cell
            if not problems_of_cells(alone):
                yield number


@pytest.fixture(autouse=True)
def without_the_difference_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest takes seconds to explain how two charts differ."""
    monkeypatch.setattr(IPyNbCell, "format_output_compare", lambda self, key, left, right: None)


@pytest.mark.parametrize("path", IN_ORDER, ids=lambda path: path.stem)
def test_what_is_stored_passes(request: pytest.FixtureRequest, tmp_path: Path, path: Path) -> None:
    stored = read(path)
    assert all(nbval_passes(request.session, stored, stored, tmp_path / path.name))
    assert problems_of_cells(stored) == []


@pytest.mark.parametrize("name", DOCTORINGS)
def test_no_doctored_cell_of_any_notebook_passes(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    doctor, found = DOCTORINGS[name], 0
    for path in IN_ORDER:
        stored = read(path)
        found += sum(doctor(cell) for cell in code_cells(copy.deepcopy(stored)))
        assert list(let_through(request.session, stored, doctor, tmp_path / path.name)) == [], path.name
    assert found, "no notebook has anything of the kind"


# ---- the step of `make test`, for real


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
