"""Each exercise of a notebook is asked in it, checked in it, and has its tested solution folded away."""

import json
import re
from pathlib import Path

import pytest
from course import NOTEBOOKS

from breakerlab.lab.exercise import CHAPTERS, in_chapter
from breakerlab.lab.solutions import source

FOLDED = re.compile(r"<details>.*?</details>", re.DOTALL)


def sources(path: Path, kind: str) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == kind)


def with_exercises() -> list[Path]:
    return [path for number in CHAPTERS for path in NOTEBOOKS.glob(f"{number:02}_*.ipynb")]


@pytest.mark.parametrize("path", with_exercises(), ids=lambda path: path.name)
def test_every_exercise_is_checked_and_its_solution_is_folded_away(path: Path) -> None:
    code, folded = sources(path, "code"), "\n".join(FOLDED.findall(sources(path, "markdown")))
    for exercise in in_chapter(int(path.name[:2])):
        assert f'check("{exercise.name}", {exercise.name})' in code
        assert re.search(rf"def {exercise.name}\(.*\):\n    raise NotImplementedError", code)
        assert source(exercise.name).strip() in folded
