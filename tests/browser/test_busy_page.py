"""A page that has no time for its widgets, as on a slow laptop: they come late, and then they follow."""

from pathlib import Path

from course import copy_of_the_course
from lab_page import lab_page

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


def test_a_chart_follows_its_sliders_on_a_page_that_was_busy_when_it_was_made(tmp_path: Path) -> None:
    with lab_page(copy_of_the_course(tmp_path)) as lab:
        lab.page.add_init_script(BUSY)
        lab.open("notebooks/00_start_here.ipynb")
        lab.clear_outputs()
        lab.run_all()
        lab.page.wait_for_selector(".jupyter-widgets .js-plotly-plot .scatterlayer", timeout=60_000)
        slider = lab.sliders()[0]
        before = lab.drawn()
        lab.press_on_slider(slider, "ArrowRight")
        lab.wait_until_redrawn(before)
        assert lab.errors == []
