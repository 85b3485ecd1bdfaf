"""Panels on a page that has no time for them, as on a slow laptop, or does not show them: then they follow."""

from collections.abc import Iterator

import pytest
from course import FIRST_NOTEBOOK, copy_of_the_course
from lab_page import LabPage, lab_page

# Scripts of widgets are loaded from blobs; while each is on its way, the page is kept busy for three seconds.
BUSY = """
const urlOf = URL.createObjectURL;
URL.createObjectURL = (blob) => {
    if (blob.type === "text/javascript") setTimeout(() => {
        for (const end = performance.now() + 3000; performance.now() < end;);
    });
    return urlOf(blob);
};
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPage]:
    """The first notebook's panel, on a page that was busy when it was made."""
    with lab_page(copy_of_the_course(tmp_path_factory.mktemp("course"))) as lab:
        lab.page.add_init_script(BUSY)
        lab.open(FIRST_NOTEBOOK)
        lab.clear_outputs()
        lab.run_all()
        lab.page.wait_for_selector(".jupyter-widgets .js-plotly-plot .scatterlayer", timeout=60_000)
        yield lab


def test_a_chart_follows_its_sliders_on_a_page_that_was_busy_when_it_was_made(lab: LabPage) -> None:
    before = lab.drawn()
    lab.press_on_slider(lab.sliders()[0], "ArrowRight")
    lab.wait_until_redrawn(before)
    assert lab.errors == []


def test_a_chart_that_changed_while_it_was_hidden_is_up_to_date_when_it_is_seen_again(lab: LabPage) -> None:
    before = lab.drawn()
    chart = lab.page.locator(".breakerlab-figure")
    chart.evaluate("box => { box.parentElement.style.display = 'none'; }")
    lab.press_on_slider(lab.sliders()[0], "ArrowRight")
    lab.wait_until_answered()
    lab.page.wait_for_timeout(500)
    assert lab.drawn() == before
    chart.evaluate("box => { box.parentElement.style.display = ''; }")
    lab.wait_until_redrawn(before)
    assert lab.errors == []
