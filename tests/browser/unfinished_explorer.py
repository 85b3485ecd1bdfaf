"""The explorer in JupyterLab: every control changes what is drawn, by keyboard alone; text from a log stays text.

Not collected yet: of its tests those of "every control", the Tab key, the width at 1280 and the text of a log are red,
some for faults of the test, some perhaps of the explorer. It becomes test_explorer.py when they are green.
"""

import json
from pathlib import Path

import nbformat
import pytest
from course import FIRST_NOTEBOOK, copy_of_the_course
from lab_page import LabPage, lab_page

NOTEBOOK = FIRST_NOTEBOOK  # the one that JupyterLab is started on
PAYLOAD = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>'
# Everything on, so that every knob has a meaning and something to change.
EVERYTHING = """
from breakerlab.lab.explorer import explore
from breakerlab.policy import *
from breakerlab.replay import *
policy = Policy(
    timeout=2.0,
    retry=Retry(4, total_time=8.0, backoff=Backoff(base=0.5, jitter="full"), budget=RetryBudget(0.5, burst=5.0)),
    breaker=Breaker(20, failure_rate=0.5, slow_call_rate=0.9, slow_call_duration=1.0, recovery_timeout=2.0,
                    recovery_growth=2.0, recovery_cap=5.0),
    fallback=Fallback(**{"cached answer": "old"}), throttle=Throttle(1.5, window=20.0))
app = App(workers=40, other={"GET /menu": OtherEndpoint()}, instances=2)
scenario = Scenario((Poisson(30.0, writes=0.3), Poisson(5.0, "GET /menu")), Service(8, 8, Lognormal(0.3, 0.5)), app,
                    (Fault(20.0, 40.0, capacity=0.25),), 60.0, "everything")
explorer = explore(scenario, b=policy)
explorer
"""
HOSTILE = """
import numpy as np
from breakerlab.lab.explorer import explore
from breakerlab.policy import Fallback, Policy
from breakerlab.trace import Source, Trace
payload = %s
n = np.arange(400)
failed = (n // 100 == 2).astype(int)
log = Trace.from_columns({"time": n / 10.0, "latency": np.full(400, 0.4), "outcome": (failed, ("ok", "error")),
    "service": "llm", "request": n, "attempt": np.ones(400, int), "endpoint": (np.zeros(400, int), (payload,))},
    source=Source(name=payload, format="jsonl"))
explorer = explore(log, b=Policy(fallback=Fallback(**{payload: payload})))
explorer
"""


def notebook(root: Path, source: str) -> None:
    kernel = {"name": "python3", "display_name": "Python 3"}
    whole = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": kernel})
    nbformat.write(whole, root / NOTEBOOK)


def opened(lab: LabPage) -> None:
    lab.open(NOTEBOOK)
    lab.run_all()
    lab.page.wait_for_selector(".breakerlab-lines svg[width]", timeout=60_000)
    lab.page.wait_for_function("() => document.querySelector('.breakerlab-explorer .noUi-handle[aria-label]')")


def focused(lab: LabPage) -> str:
    """Role and name of what has the focus."""
    return lab.page.evaluate(
        "() => { const e = document.activeElement; return `${e.getAttribute('role') ?? e.type ?? e.tagName} ` +"
        " (e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent).trim(); }"
    )


def tab_to(lab: LabPage, wanted: str) -> None:
    """Press Tab until what has the focus is `wanted`."""
    for _ in range(120):
        if focused(lab) == wanted:
            return
        lab.page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not come to {wanted!r}, only to {focused(lab)!r}")


def turns(lab: LabPage, keys: list[str]) -> bool:
    """Whether one of the keys changes what is drawn."""
    before = lab.drawn()
    for key in keys:
        lab.page.keyboard.press(key)
        lab.page.wait_for_timeout(150)
        lab.wait_until_idle()
        for _ in range(5):
            if lab.drawn() != before:
                return True
            lab.page.wait_for_timeout(60)
    return False


# What it tells is not drawn over time, or this scenario does not reach it.
QUIET = {"Slow is from", "Hanging probe", "Minimum calls", "Retry-After", "Longest delay", "At least", "Refuses",
         "Longest wait", "Wait grows", "Saved up", "Asks to wait", "Checked every", "Must answer in"}  # fmt: skip
CONTROLS = """tab => [...document.querySelectorAll('.breakerlab-knobs')][tab].querySelectorAll('.noUi-handle').length"""


@pytest.fixture
def everything(tmp_path: Path):
    root = copy_of_the_course(tmp_path)
    notebook(root, EVERYTHING)
    with lab_page(root) as lab:
        opened(lab)
        yield lab


def test_every_control_changes_what_is_drawn_by_keyboard_alone(everything: LabPage) -> None:
    lab, still = everything, []
    lab.page.locator(".breakerlab-explorer input[type=radio]").nth(1).focus()
    for panel in range(2):
        if panel:
            lab.page.get_by_role("tab", name="Policy", exact=True).focus()
            lab.page.keyboard.press("ArrowRight")
            lab.page.keyboard.press("Enter")
            lab.page.wait_for_timeout(300)
        knobs = lab.page.locator(".breakerlab-knobs").nth(panel)
        controls = knobs.locator(".noUi-handle, select, input[type=checkbox]")
        assert controls.count() > 20
        for number in range(controls.count()):
            if controls.nth(number).is_disabled() or controls.nth(number).get_attribute("aria-disabled") == "true":
                continue
            controls.nth(number).focus()
            name = focused(lab)
            kind = controls.nth(number).evaluate("e => e.type ?? 'slider'")
            keys = {"checkbox": [" "], "slider": ["Home", "End"]}.get(
                kind, ["ArrowDown", "ArrowDown", "ArrowUp", "ArrowUp"]
            )
            if not turns(lab, keys):
                still.append(name.partition(" ")[2])
        lab.page.get_by_role("button", name="Reset").focus()
        lab.page.keyboard.press("Enter")
        lab.wait_until_idle()
    assert set(still) <= QUIET
    assert lab.errors == []
    assert lab.outside == []


def test_the_tab_key_comes_to_everything_and_everything_has_a_name(everything: LabPage) -> None:
    lab = everything
    drawn = lab.drawn()
    lab.page.locator(".breakerlab-explorer input[type=radio]").nth(1).focus()
    lab.page.keyboard.press("ArrowLeft")  # policy A
    lab.page.wait_for_function("() => document.querySelector('.breakerlab-explorer select').value === 'naive'")
    tab_to(lab, "select-one Preset")
    lab.page.keyboard.press("ArrowDown")
    drawn = lab.wait_until_redrawn(drawn)
    tab_to(lab, "submit Undo")
    lab.page.keyboard.press("Enter")
    drawn = lab.wait_until_redrawn(drawn)
    tab_to(lab, "slider Timeout")
    lab.page.keyboard.press("Home")
    lab.wait_until_redrawn(drawn)
    tab_to(lab, "tab Over time")
    lab.page.keyboard.press("Tab")
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("ArrowRight")
    lab.page.wait_for_selector(".breakerlab-summary tr.lit")
    assert "503 answers" in lab.page.locator(".breakerlab-told").inner_text()
    lab.page.keyboard.press("Tab")
    lab.page.keyboard.press("ArrowDown")
    lab.page.wait_for_selector(".breakerlab-lines .lit[data-row=answers]")
    tree = lab.page.locator(".breakerlab-explorer").aria_snapshot()
    nameless = [
        line for line in tree.splitlines() if line.strip() in {"- slider", "- combobox", "- button", "- table", "- tab"}
    ]
    assert nameless == []
    assert lab.errors == []


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_nothing_is_wider_than_its_box(tmp_path: Path, size: tuple[int, int]) -> None:
    root = copy_of_the_course(tmp_path)
    notebook(root, EVERYTHING)
    with lab_page(root, size) as lab:
        opened(lab)
        for _ in range(2):  # with the file browser, and without
            lab.page.wait_for_timeout(500)
            assert (
                lab.page.evaluate(
                    """() => [...document.querySelectorAll('.breakerlab-explorer, .breakerlab-explorer *')].filter(
                    e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'auto').length"""
                )
                == 0
            )
            assert (
                lab.page.evaluate(
                    """() => { const box = document.querySelector('.breakerlab-lines').getBoundingClientRect();
                    return [...document.querySelectorAll('.breakerlab-lines text')].filter(
                        t => t.getBoundingClientRect().right > box.right + 1).map(t => t.textContent); }"""
                )
                == []
            )
            lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")


def test_text_of_a_log_is_shown_and_never_run(tmp_path: Path) -> None:
    root = copy_of_the_course(tmp_path)
    notebook(root, HOSTILE % json.dumps(PAYLOAD))
    with lab_page(root) as lab:
        opened(lab)
        for tab in ("Latency", "Export, import", "Over time"):
            lab.page.get_by_role("tab", name=tab).click()
            lab.page.wait_for_timeout(800)
        assert lab.page.evaluate("() => window.hacked") is None
        assert lab.page.locator(".breakerlab-explorer img[src=x], .breakerlab-explorer b").count() == 0
        assert PAYLOAD[:20] in lab.page.locator(".breakerlab-knobs select").last.inner_text()
        assert lab.errors == []
        assert lab.outside == []
