"""The main job, as a person does it: open the first notebook, run it, move a slider, see the charts change."""

from typing import Any

from course import FIRST_NOTEBOOK
from lab_page import LabPage


def complaints(cells: list[dict[str, Any]]) -> list[str]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    errors = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
    return errors + ["".join(output["text"]) for output in outputs if output.get("name") == "stderr"]


def not_run(cells: list[dict[str, Any]]) -> list[str]:
    code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    return ["".join(cell["source"]) for cell in code if cell["execution_count"] is None]


def test_the_notebook_runs_and_its_slider_works_by_mouse_and_by_keyboard(lab: LabPage) -> None:
    lab.open(FIRST_NOTEBOOK)
    lab.clear_outputs()
    lab.run_all()
    assert complaints(lab.cells()) == []
    assert not_run(lab.cells()) == []
    assert lab.popups() == []

    slider = lab.sliders()[0]
    at_first = lab.drawn()
    lab.drag_slider(slider, to=0.95)
    dragged = lab.wait_until_redrawn(at_first)
    lab.press_on_slider(slider, "ArrowLeft", "ArrowLeft")
    lab.wait_until_redrawn(dragged)

    assert complaints(lab.cells()) == []
    assert lab.errors == []
    assert lab.outside == []
