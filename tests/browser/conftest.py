from collections.abc import Iterator
from pathlib import Path

import pytest
from course import copy_of_the_course
from lab_page import LabPage, lab_page


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabPage]:
    """JupyterLab as `make lab` starts it, on a copy of the course, with a browser in front of it."""
    with lab_page(copy_of_the_course(tmp_path)) as lab:
        yield lab
