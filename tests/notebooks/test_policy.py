"""Every stored notebook keeps the rules of tools/notebook_policy.py, and each rule can be broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from course import NOTEBOOKS
from notebook_policy import PLOTLY, SEAL, SIZE_LIMIT, problems, seal

Notebook = dict[str, Any]


def test_there_are_notebooks() -> None:
    assert list(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_the_stored_notebook_keeps_the_rules(path: Path) -> None:
    assert problems(path) == []


def code_cell(number: int, source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": number,
        "id": f"cell-{number}",
        "metadata": {},
        "outputs": list(outputs),
        "source": source,
    }


def shown(data: dict[str, Any]) -> dict[str, Any]:
    metadata = {SEAL: seal(data)} if PLOTLY in data else {}
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def good_notebook() -> Notebook:
    cells = [
        {"cell_type": "markdown", "id": "words", "metadata": {}, "source": "Words"},
        code_cell(1, "print('a/b')", {"output_type": "stream", "name": "stdout", "text": "a/b\n"}),
        code_cell(2, "chart", shown({PLOTLY: {"data": [], "layout": {}}, "image/png": "AAAA/tmp/abc"})),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def stored(notebook: Notebook, folder: Path) -> Path:
    path = folder / "notebook.ipynb"
    path.write_text(json.dumps(notebook))
    return path


def test_a_good_notebook_has_no_problems(tmp_path: Path) -> None:
    assert problems(stored(good_notebook(), tmp_path)) == []


def outputs_of(notebook: Notebook) -> list[dict[str, Any]]:
    return notebook["cells"][1]["outputs"]


def chart_of(notebook: Notebook) -> dict[str, Any]:
    return notebook["cells"][2]["outputs"][0]


def without_picture(notebook: Notebook) -> None:
    data = chart_of(notebook)["data"]
    del data["image/png"]
    chart_of(notebook).update(shown(data))


def strip_outputs(notebook: Notebook) -> None:
    for cell in notebook["cells"][1:]:
        cell["outputs"] = []


def print_on_stderr(notebook: Notebook) -> None:
    outputs_of(notebook)[0]["name"] = "stderr"


def ignore(**metadata: Any) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["cells"][1]["metadata"].update(metadata)


def start_source_with(comment: str) -> Callable[[Notebook], None]:
    return lambda notebook: notebook["cells"][1].update(source=f"{comment}\nprint('a/b')")


def print_text(text: str) -> Callable[[Notebook], None]:
    return lambda notebook: outputs_of(notebook)[0].update(text=text)


BROKEN: dict[str, tuple[Callable[[Notebook], None], str]] = {
    "never run": (lambda n: n["cells"][1].update(execution_count=None), "not run from top to bottom"),
    "run out of order": (lambda n: n["cells"][1].update(execution_count=3), "not run from top to bottom"),
    "outputs stripped": (strip_outputs, "no outputs are stored"),
    "a warning": (print_on_stderr, "stderr"),
    "an error": (
        lambda n: outputs_of(n).append({"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}),
        "an error is stored",
    ),
    "widget state": (lambda n: n["metadata"].update(widgets={}), "widget state"),
    "too large": (print_text("x" * SIZE_LIMIT), "the limit is 1 MB"),
    "another kernel": (lambda n: n["metadata"]["kernelspec"].update(name="my-env"), "the kernel is 'my-env'"),
    "no kernel": (lambda n: n["metadata"].clear(), "the kernel is None"),
    "a path of a machine": (print_text("File /Users/ann/x.py"), "a path of one machine: /Users/ann"),
    "such a path in a table": (lambda n: outputs_of(n).append(shown({"text/html": "/tmp/pip-1"})), "/tmp/pip-1"),
    "a chart without a picture": (without_picture, "no image/png"),
    "another picture": (lambda n: chart_of(n)["data"].update({"image/png": "BBBB"}), "not the one that was drawn"),
    "a picture of another chart": (
        lambda n: chart_of(n)["data"][PLOTLY].update(data=[1]),
        "not the one that was drawn",
    ),
    "a picture alone": (lambda n: outputs_of(n).append(shown({"image/png": "AAAA"})), "compares nothing"),
    "hidden text": (print_text("made up\ra/b\n"), "carriage return"),
    "ignored by a tag": (ignore(tags=["nbval-ignore-output"]), "no reason"),
    "ignored by a tag, spelt otherwise": (ignore(tags=["NBVAL_SKIP"]), "no reason"),
    "ignored by a comment": (start_source_with("# NBVAL_IGNORE_OUTPUT"), "no reason"),
    "ignored for an empty reason": (ignore(tags=["nbval-skip"], **{"why-ignored": " "}), "no reason"),
    "NaN, which is not JSON": (lambda n: outputs_of(n).append(shown({"application/json": float("nan")})), "NaN"),
}


@pytest.mark.parametrize(("break_it", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_named(tmp_path: Path, break_it: Callable[[Notebook], None], expected: str) -> None:
    notebook = good_notebook()
    break_it(notebook)
    [problem] = problems(stored(notebook, tmp_path))
    assert expected in problem


def test_a_reason_lets_an_ignored_output_through(tmp_path: Path) -> None:
    notebook = good_notebook()
    ignore(tags=["nbval-ignore-output"], **{"why-ignored": "depends on the live server"})(notebook)
    assert problems(stored(notebook, tmp_path)) == []


def test_half_a_file_is_named(tmp_path: Path) -> None:
    path = stored(good_notebook(), tmp_path)
    path.write_text(path.read_text()[:-10])
    [problem] = problems(path)
    assert problem.startswith("not valid JSON")
