"""Every notebook, as a person uses it: open it, run it, move each slider, make each guess; the page follows."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from course import NOTEBOOKS, copy_of_the_course
from lab_page import LabPage, lab_page
from playwright.sync_api import Locator

IN_ORDER = sorted(path.relative_to(NOTEBOOKS.parent).as_posix() for path in NOTEBOOKS.glob("*.ipynb"))
# test_explorer.py turns the explorer's knobs, of which there are some sixty.
NOT_OF_THE_EXPLORER = "el => !el.closest('.breakerlab-explorer')"
WIDGET = "application/vnd.jupyter.widget-view+json"
GUESSES = ".jupyter-widgets input[type=text], .jupyter-widgets .widget-radio input"
LONGEST_WAIT = 1500  # ms, for the page to draw what the kernel has sent
STEPS = ("ArrowRight", "ArrowLeft", "End", "Home")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPage]:
    """One JupyterLab as `make lab` starts it, on a copy of the course, for all notebooks; each has its own kernel."""
    with lab_page(copy_of_the_course(tmp_path_factory.mktemp("course"))) as lab:
        yield lab


def complaints(cells: list[dict[str, Any]]) -> list[str]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    errors = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
    return errors + ["".join(output["text"]) for output in outputs if output.get("name") == "stderr"]


def not_run(cells: list[dict[str, Any]]) -> list[str]:
    code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    return ["".join(cell["source"]) for cell in code if cell["execution_count"] is None]


def name_of(slider: Locator) -> str:
    row = slider.locator("xpath=ancestor::*[contains(@class, 'widget-slider')]")
    return f"{row.inner_text()} (slider at {slider.get_attribute('aria-valuenow')})"


def wait_for_the_widgets(lab: LabPage) -> None:
    """Every cell is on the page, and every panel in its cell with what it holds."""
    cells = lab.cells()
    assert lab.page.locator(".jp-Notebook .jp-Cell").count() == len(cells)
    panels = [output for cell in cells for output in cell.get("outputs", []) if WIDGET in output.get("data", {})]
    drawn = "count => document.querySelectorAll('.jp-OutputArea-child:has(.jupyter-widgets)').length === count"
    lab.page.wait_for_function(drawn, arg=len(panels))
    lab.page.wait_for_timeout(500)


def place(slider: Locator) -> float:
    return float(slider.get_attribute("aria-valuenow") or "nan")


def other_end(slider: Locator) -> str:
    """The key that leads to the end where the slider is not."""
    return "Home" if place(slider) == float(slider.get_attribute("aria-valuemax") or "nan") else "End"


def at_rest(lab: LabPage, slider: Locator) -> str:
    """What the slider's panel shows when nothing changes any more."""
    lab.wait_until_answered()
    shown, previous = lab.shown_beside(slider), ""
    while shown != previous:
        lab.page.wait_for_timeout(100)
        shown, previous = lab.shown_beside(slider), shown
    return shown


def put_back(lab: LabPage, slider: Locator, start: float) -> None:
    for _ in range(100):
        if place(slider) == start:
            break
        lab.press_on_slider(slider, "ArrowLeft" if place(slider) > start else "ArrowRight")
    at_rest(lab, slider)


def redraws(lab: LabPage, before: str, slider: Locator) -> bool:
    """Whether the slider's panel comes to show something else than before."""
    waited = 0
    while at_rest(lab, slider) == before and waited < LONGEST_WAIT:
        lab.page.wait_for_timeout(100)
        waited += 200
    return at_rest(lab, slider) != before


def guess_is_shown(lab: LabPage, control: Locator) -> bool:
    """Whether a prediction's panel says what the keyboard writes into its field, or chooses with the space bar."""
    before = lab.shown_beside(control)
    control.scroll_into_view_if_needed()
    control.focus()
    lab.page.keyboard.press("1" if control.get_attribute("type") == "text" else "Space")
    return redraws(lab, before, control)


def key_redraws(lab: LabPage, slider: Locator, key: str) -> bool:
    """Whether the key changes what the slider's panel shows; afterwards the slider is where it was."""
    start, before = place(slider), lab.shown_beside(slider)
    lab.press_on_slider(slider, key)
    changed = redraws(lab, before, slider)
    put_back(lab, slider, start)
    return changed


def an_end_redraws(lab: LabPage, slider: Locator) -> bool:
    keys = ("Home", "End") if other_end(slider) == "Home" else ("End", "Home")
    return any(key_redraws(lab, slider, key) for key in keys)


def without_effect(lab: LabPage, sliders: list[Locator]) -> list[Locator]:
    """The sliders that change nothing, whatever the others say: how long a breaker waits needs a breaker, say."""
    still = [slider for slider in sliders if not an_end_redraws(lab, slider)]
    moved = [slider for slider in sliders if slider not in still]
    for other, key in itertools.product(moved, STEPS if still else ()):
        start = place(other)
        lab.press_on_slider(other, key)
        at_rest(lab, other)
        still = [slider for slider in still if not an_end_redraws(lab, slider)]
        put_back(lab, other, start)
        if not still:
            break
    return still


@pytest.mark.parametrize("notebook", IN_ORDER, ids=lambda path: Path(path).stem)
def test_it_runs_without_a_complaint_and_each_slider_changes_what_is_drawn(lab: LabPage, notebook: str) -> None:
    lab.open(notebook)
    lab.clear_outputs()
    lab.run_all()
    assert complaints(lab.cells()) == []
    assert not_run(lab.cells()) == []
    assert lab.popups() == []
    wait_for_the_widgets(lab)

    sliders = [slider for slider in lab.sliders() if slider.evaluate(NOT_OF_THE_EXPLORER)]
    assert [name_of(slider) for slider in without_effect(lab, sliders)] == []
    for slider in sliders[:1]:
        before = lab.shown_beside(slider)
        lab.drag_slider(slider, to=0.0 if other_end(slider) == "Home" else 1.0)
        assert redraws(lab, before, slider), f"dragging changes nothing: {name_of(slider)}"

    guesses = [control for control in lab.page.locator(GUESSES).all() if control.evaluate(NOT_OF_THE_EXPLORER)]
    assert [place for place, control in enumerate(guesses) if not guess_is_shown(lab, control)] == []

    assert complaints(lab.cells()) == []
    assert lab.errors == []
    assert lab.outside == []
