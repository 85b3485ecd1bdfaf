"""What a stored notebook must be, beyond what nbval compares.

nbval passes a notebook whose outputs were stripped, never looks at pictures, and does not see what a reader on GitHub
sees. tests/notebooks/test_doctored.py proves that what one of the two passes, the other does not.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

SIZE_LIMIT = 1_000_000  # bytes; GitHub shows no notebook that is much larger
MACHINE_PATH = re.compile(r"/(?:root|work|tmp|farm|home|opt|Users|private|mnt)/[\w.-]+|[A-Z]:\\Users\\")
PLOTLY = "application/vnd.plotly.v1+json"
UNCHECKED_TAGS = {
    *("nbval-ignore-output", "pytest-validate-ignore-output"),
    *("nbval-skip", "nbval-raises-exception", "raises-exception"),
}
UNCHECKED_COMMENT = re.compile(
    r"\s*#+\s*(NBVAL_IGNORE_OUTPUT|PYTEST_VALIDATE_IGNORE_OUTPUT|NBVAL_SKIP|NBVAL_RAISES_EXCEPTION)\s*"
)
PICTURES = {"image/png", "image/jpeg"}
NOT_COMPARED = {*PICTURES, "application/vnd.jupyter.widget-view+json"}
SEAL = "drawn_from"  # in the metadata of an output with a picture


def problems(path: Path) -> list[str]:
    """What is wrong with the notebook at `path`, one sentence each; empty if nothing is."""
    text = path.read_text(encoding="utf-8")
    try:
        notebook = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        return [f"not valid JSON: {error}"]
    return [*_notebook_problems(notebook, len(text.encode())), *problems_of_cells(notebook)]


def problems_of_cells(notebook: dict[str, Any]) -> list[str]:
    """What is wrong with the cells of a notebook, one sentence each; `notebook`: as its JSON says."""
    found = []
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    counts = [cell["execution_count"] for cell in code]
    if counts != list(range(1, len(code) + 1)):
        found.append(f"not run from top to bottom in a fresh kernel: execution counts are {counts}")
    if code and not any(cell["outputs"] for cell in code):
        found.append("no outputs are stored, so nbval would compare nothing")
    for number, cell in enumerate(code, start=1):
        found += [f"code cell {number}: {problem}" for problem in _cell_problems(cell)]
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; browsers refuse it")


def _notebook_problems(notebook: dict[str, Any], size: int) -> list[str]:
    found = []
    if size > SIZE_LIMIT:
        found.append(f"{size / 1e6:.1f} MB; the limit is {SIZE_LIMIT / 1e6:.0f} MB")
    if "widgets" in notebook["metadata"]:
        found.append("widget state is stored (5 MB for each figure); store the outputs with `make notebooks`")
    kernel = notebook["metadata"].get("kernelspec", {}).get("name")
    if kernel != "python3":
        found.append(f"the kernel is {kernel!r}; it must be 'python3', which every machine has")
    return found


def _cell_problems(cell: dict[str, Any]) -> list[str]:
    found = []
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            found.append(f"an error is stored: {output['ename']}: {output['evalue']}")
        if output.get("name") == "stderr":
            found.append("text on stderr is stored (a warning, a progress bar)")
        found += _output_problems(output)
    if _is_unchecked(cell) and not str(cell["metadata"].get("why-ignored", "")).strip():
        found.append("its output is not compared, and the cell's metadata gives no reason under 'why-ignored'")
    return found


def _output_problems(output: dict[str, Any]) -> list[str]:
    found = []
    data, text = output.get("data", {}), "".join(output.get("text", ""))
    if PLOTLY in data and "image/png" not in data:
        found.append("a plotly chart has no image/png beside it, so GitHub shows nothing; run `make notebooks`")
    if "data" in output and not set(data) - NOT_COMPARED:
        found.append("nbval compares nothing of an output: a picture or a widget without text")
    elif PICTURES & set(data) and output["metadata"].get(SEAL) != seal(data):
        found.append("a picture is not the one that was drawn from the chart beside it; run `make notebooks`")
    if "\r" in text or "\b" in text:
        found.append("a carriage return or backspace on stdout: nbval does not compare what stands before it")
    readable = {kind: content for kind, content in data.items() if not kind.startswith("image/")}
    path = MACHINE_PATH.search(json.dumps([text, readable], ensure_ascii=False))
    if path:
        found.append(f"an output holds a path of one machine: {path.group()}")
    return found


def seal(data: dict[str, Any]) -> str | None:
    """What ties pictures to the chart that they were drawn from: it changes with each. None where there is no chart."""
    if PLOTLY not in data:
        return None
    pictures = ["".join(data[kind]) for kind in sorted(PICTURES & set(data))]
    return hashlib.sha256(json.dumps([data[PLOTLY], pictures], sort_keys=True).encode()).hexdigest()


def _is_unchecked(cell: dict[str, Any]) -> bool:
    tags = {tag.lower().replace("_", "-") for tag in cell["metadata"].get("tags", [])}
    lines = "".join(cell["source"]).splitlines()
    return bool(tags & UNCHECKED_TAGS) or any(map(UNCHECKED_COMMENT.fullmatch, lines))
