"""Pictures of the notebooks in JupyterLab, at two screen sizes, after all cells have run: each panel, each screenful.

usage: python tools/take_screenshots.py [NOTEBOOK ...]   (paths below the repository; pictures go to screenshots/)
"""

import argparse
import sys
import tempfile
from pathlib import Path

from course import NOTEBOOKS, REPOSITORY, copy_of_the_course
from lab_page import LabPage, lab_page

SCREENSHOTS = REPOSITORY / "screenshots"
SIZES = ((1280, 800), (1920, 1080))
SCROLLER = """(() => {
    let box = document.querySelector('.jp-Notebook .jp-Cell');
    while (!(box.scrollHeight > box.clientHeight && /auto|scroll/.test(getComputedStyle(box).overflowY)))
        box = box.parentElement;
    return box;
})()"""
DOWN = "box.scrollBy(0, box.clientHeight - 60)"  # px that two pictures share
PANELS = ".jp-OutputArea-child:has(.js-plotly-plot), .jp-OutputArea-child:has(.jupyter-widgets)"


def shoot_panels(lab: LabPage, name: str) -> int:
    panels = lab.page.locator(PANELS)
    for number in range(panels.count()):
        panel = panels.nth(number)
        panel.evaluate("panel => panel.scrollIntoView({block: 'start'})")
        lab.page.wait_for_timeout(500)
        lab.page.screenshot(path=SCREENSHOTS / f"{name}-panel-{number + 1}.png")
    return panels.count()


def shoot_pages(lab: LabPage, name: str) -> int:
    """One picture for each screenful of the notebook, from top to bottom."""
    number, at, before = 0, 0, -1
    lab.page.evaluate(f"() => {SCROLLER}.scrollTo(0, 0)")
    while at != before:
        lab.page.wait_for_timeout(500)
        number += 1
        lab.page.screenshot(path=SCREENSHOTS / f"{name}-page-{number:02}.png")
        before = at
        at = lab.page.evaluate(f"() => {{ const box = {SCROLLER}; {DOWN}; return box.scrollTop; }}")
    return number


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="paths below the repository; all of the course if none is named")
    notebooks = parser.parse_args(arguments).notebooks
    notebooks = notebooks or [str(path.relative_to(REPOSITORY)) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    for missing in (notebook for notebook in notebooks if not (REPOSITORY / notebook).is_file()):
        parser.error(f"{missing}: there is no such notebook")
    SCREENSHOTS.mkdir(exist_ok=True)
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, lab_page(copy_of_the_course(Path(folder)), size) as lab:
            for notebook in notebooks:
                lab.open(notebook)
                lab.run_all()
                name = f"{Path(notebook).stem}-{size[0]}x{size[1]}"
                panels, pages = shoot_panels(lab, name), shoot_pages(lab, name)
                print(f"breakerlab: {name}: {panels} panels, {pages} pages in {SCREENSHOTS.name}/", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
