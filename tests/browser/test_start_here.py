"""The main job, as a person does it: open the first notebook, run it, move a slider, see the charts change."""

from typing import Any

from course import FIRST_NOTEBOOK
from lab_page import LabPage
from playwright.sync_api import Locator


def complaints(cells: list[dict[str, Any]]) -> list[str]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    errors = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
    return errors + ["".join(output["text"]) for output in outputs if output.get("name") == "stderr"]


def not_run(cells: list[dict[str, Any]]) -> list[str]:
    code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    return ["".join(cell["source"]) for cell in code if cell["execution_count"] is None]


def key_to_the_other_end(slider: Locator) -> str:
    at_the_end = slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")
    return "Home" if at_the_end else "End"


def test_the_notebook_runs_and_its_sliders_work_by_mouse_and_by_keyboard(lab: LabPage) -> None:
    lab.open(FIRST_NOTEBOOK)
    lab.clear_outputs()
    lab.run_all()
    assert complaints(lab.cells()) == []
    assert not_run(lab.cells()) == []
    assert lab.popups() == []

    breaker, *others = lab.sliders()
    drawn = lab.drawn()
    lab.drag_slider(breaker, to=0.5)
    drawn = lab.wait_until_redrawn(drawn)
    lab.press_on_slider(breaker, "ArrowLeft", "ArrowLeft")
    drawn = lab.wait_until_redrawn(drawn)
    for slider in others:
        for _there_and_back in range(2):
            lab.press_on_slider(slider, key_to_the_other_end(slider))
            drawn = lab.wait_until_redrawn(drawn)

    assert complaints(lab.cells()) == []
    assert lab.errors == []
    assert lab.outside == []
