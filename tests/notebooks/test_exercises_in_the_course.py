"""A notebook asks at least two exercises of its chapter, checks them, and folds their tested solutions away."""

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
def test_exercises_are_checked_and_their_solutions_are_folded_away(path: Path) -> None:
    code, folded = sources(path, "code"), "\n".join(FOLDED.findall(sources(path, "markdown")))
    asked = [one for one in in_chapter(int(path.name[:2])) if f'check("{one.name}", {one.name})' in code]
    assert len(asked) >= 2
    for exercise in asked:
        assert re.search(rf"def {exercise.name}\(.*\):\n    raise NotImplementedError", code)
        assert source(exercise.name).strip() in folded
