"""The instruments of the browser test can see what they are there to see."""

from pathlib import Path

import nbformat
import psutil
from lab_page import lab_page

ASKS_OUTSIDE = "import sys\nsys.audit('socket.getaddrinfo', 'nowhere.invalid', 80, 0, 0, 0)\n1 / 0"


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_requests_beyond_loopback_and_errors_are_noted_and_no_process_is_left(tmp_path: Path) -> None:
    kernel = {"name": "python3", "display_name": "Python 3"}
    cells = [nbformat.v4.new_code_cell(ASKS_OUTSIDE)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / "00_start_here.ipynb")
    with lab_page(tmp_path) as lab:
        lab.open("notebooks/00_start_here.ipynb")
        assert lab.outside == []
        lab.run_all()
        lab.page.evaluate("() => fetch('http://elsewhere.invalid/').catch(() => {})")
        outputs = lab.cells()[0]["outputs"]
        outside, errors = lab.outside, lab.errors
        started = psutil.Process().children(recursive=True)

    assert outputs[-1]["ename"] == "ZeroDivisionError"
    assert outside[0] == "http://elsewhere.invalid/"
    assert "nowhere.invalid" in outside[1]
    assert any("elsewhere.invalid" in error for error in errors)
    assert len(started) > 2
    assert [process for process in started if lives(process)] == []
