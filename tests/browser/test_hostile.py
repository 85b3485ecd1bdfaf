"""A log that attacks, shown in JupyterLab in every chart, table and widget: nothing runs, nothing is interpreted."""

import shutil
from collections.abc import Iterator

import nbformat
import pytest
from course import FIRST_NOTEBOOK, REPOSITORY
from lab_page import LabPage, lab_page

SHOW = """
from IPython.display import display
import plotly.graph_objects as go
from breakerlab.lab import show
from hostile import NO_TEXT, SHOWN
for make in {**SHOWN, **NO_TEXT}.values():
    shown = make()
    show(shown) if isinstance(shown, go.Figure) else display(shown)
"""
COUNT = "print(len(SHOWN))"
FIRST_WORDS = ["<b>bo", "<a hr", "<scr", "<img", "$\\hr", "**bo"]
# The outputs in which no name of the log can be read.
WITHOUT_TEXT = """words => [...document.querySelector('.jp-CodeCell').querySelectorAll('.jp-OutputArea-child')].filter(
    output => !output.parentElement.closest('.jp-OutputArea-child')).flatMap((output, place) =>
    words.some(word => output.textContent.includes(word)) ? [] : [place])"""
# What only markup, a link or a formula of the log would have made. An address in plain text becomes a link by
# JupyterLab itself: one that leads where it says.
INTERPRETED = """() => [...document.querySelectorAll('.jp-OutputArea-output *')].filter(element => {
    const [text, address] = [element.textContent.trim(), element.getAttribute('href') ?? element.href?.baseVal ?? ''];
    return ['bold', 'here'].includes(text) || (address.includes('elsewhere') && address !== text)
        || element.matches('img[src=x], mjx-container') || (element.matches('script') && text.includes('attacked'));
}).map(element => element.outerHTML.slice(0, 200))"""
VIEWS = ("Latency", "Export, import", "Server and app")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPage]:
    root = tmp_path_factory.mktemp("hostile")
    (root / "notebooks").mkdir()
    shutil.copy(REPOSITORY / "tests" / "lab" / "hostile.py", root / "notebooks")
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in (SHOW, COUNT)]
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, root / FIRST_NOTEBOOK)  # the one that JupyterLab is started on
    with lab_page(root) as lab:
        lab.open(FIRST_NOTEBOOK)
        lab.run_all()
        yield lab


def test_names_that_attack_are_shown_and_nothing_runs_and_nothing_is_interpreted(lab: LabPage) -> None:
    everything, printed = (cell["outputs"] for cell in lab.cells())
    assert [output["output_type"] for output in everything] == ["display_data"] * len(everything)
    without_text = list(range(int("".join(printed[0]["text"])), len(everything)))
    lab.page.wait_for_function(f"([words, places]) => String(({WITHOUT_TEXT})(words)) === String(places)",
                               arg=[FIRST_WORDS, without_text], timeout=30_000)  # fmt: skip
    assert lab.page.evaluate(INTERPRETED) == []
    for view in VIEWS:
        for tab in lab.page.get_by_role("tab", name=view).all():
            tab.click()
        lab.wait_until_answered()
    assert lab.page.evaluate(INTERPRETED) == []
    assert lab.page.evaluate("() => window.attacked") is None
    assert lab.errors == []
    assert lab.outside == []
