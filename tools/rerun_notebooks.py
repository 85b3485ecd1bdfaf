"""Run notebooks in place and store their outputs: no widget state, no timestamps, a PNG beside each plotly chart.

usage: python tools/rerun_notebooks.py [NOTEBOOK ...]
"""

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import kaleido
import nbformat
from browser import find_or_install
from course import NOTEBOOKS, REPOSITORY
from nbclient import NotebookClient
from notebook_policy import PLOTLY, SEAL, problems, seal

README_PICTURE = REPOSITORY / "docs" / "cascade.png"
DEFAULT_SIZE = {"width": 900, "height": 450}  # px, for a chart that does not say


def execute(path: Path) -> nbformat.NotebookNode:
    """Run the notebook at `path` in a fresh kernel, in its own folder; raises nbclient's error if a cell does."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    return notebook


def strip(notebook: nbformat.NotebookNode) -> None:
    """Take out what changes from run to run or from machine to machine and tells a reader nothing."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def plotly_outputs(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output for output in outputs if PLOTLY in output.get("data", {})]


def figure_key(data: dict[str, Any]) -> str:
    return json.dumps(data[PLOTLY], sort_keys=True)


def picture(figure: dict[str, Any]) -> str:
    layout = figure.get("layout", {})
    size = {side: layout.get(side) or default for side, default in DEFAULT_SIZE.items()}
    drawing = {"data": figure["data"], "layout": layout}
    return base64.b64encode(kaleido.calc_fig_sync(drawing, opts={"format": "png", **size})).decode()


def add_pictures(notebook: nbformat.NotebookNode, before: nbformat.NotebookNode) -> None:
    """Put a PNG beside each plotly chart. A chart that has not changed keeps its picture, so that its diff is empty."""
    whole = [
        output["data"] for output in plotly_outputs(before) if output["metadata"].get(SEAL) == seal(output["data"])
    ]
    known = {figure_key(data): data["image/png"] for data in whole}
    for output in plotly_outputs(notebook):
        data = output["data"]
        data["image/png"] = known.get(figure_key(data)) or picture(data[PLOTLY])
        output["metadata"][SEAL] = seal(data)


def store_readme_picture(notebook: nbformat.NotebookNode) -> None:
    """The README shows the chart of the cell tagged readme-picture; so it is never older than the notebook."""
    for cell in notebook.cells:
        if "readme-picture" in cell.metadata.get("tags", []):
            README_PICTURE.write_bytes(base64.b64decode(cell.outputs[0]["data"]["image/png"]))


def rerun(path: Path) -> None:
    print(f"breakerlab: running {path.name}", flush=True)
    before = nbformat.read(path, as_version=4)
    notebook = execute(path)
    strip(notebook)
    add_pictures(notebook, before)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    store_readme_picture(notebook)
    print(f"breakerlab: stored {path.name}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def main(arguments: list[str]) -> None:
    paths = [Path(argument) for argument in arguments] or sorted(NOTEBOOKS.glob("*.ipynb"))
    os.environ["BROWSER_PATH"] = find_or_install()
    kaleido.start_sync_server(silence_warnings=True)
    try:
        for path in paths:
            rerun(path)
    finally:
        kaleido.stop_sync_server(silence_warnings=True)
    wrong = [f"{path.name}: {problem}" for path in paths for problem in problems(path)]
    if wrong:
        sys.exit("breakerlab: the stored notebooks break the rules:\n" + "\n".join(wrong))


if __name__ == "__main__":
    main(sys.argv[1:])
