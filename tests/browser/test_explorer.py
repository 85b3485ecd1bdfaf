"""The explorer in JupyterLab: every control works by keyboard and changes what is drawn; text from a log stays text."""

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from course import FIRST_NOTEBOOK, copy_of_the_course
from lab_page import DRAWN, LabPage, lab_page
from playwright.sync_api import Locator, TimeoutError

EVERYTHING, HOSTILE, TWO = FIRST_NOTEBOOK, "notebooks/hostile.ipynb", "notebooks/two.ipynb"  # Lab starts on the first
PAYLOAD = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>'
# All of a policy is in use, so that every knob has a meaning and something to change.
CELLS = {
    EVERYTHING: """
from breakerlab.lab.explorer import explore
from breakerlab.policy import *
from breakerlab.replay import *
backoff, budget = Backoff(0.5, 2.0, 1.0), RetryBudget(0.2, minimum_rate=1.0, burst=5.0)
retry = Retry(4, total_time=8.0, final_reserve=0.25, backoff=backoff, budget=budget)
breaker = Breaker(15, failure_rate=0.6, slow_call_rate=0.8, slow_call_duration=1.0, window=20, minimum_calls=10,
    recovery_timeout=2.0, recovery_growth=3.0, recovery_cap=5.0, half_open_max_calls=2, half_open_timeout=5.0)
policy = Policy(2.0, retry, breaker, Fallback(**{"cached answer": "old"}), Throttle(1.5, window=20.0))
app = App(workers=24, other={"GET /menu": OtherEndpoint()}, instances=2)
callers = Poisson(40.0, writes=0.3), Poisson(5.0, "GET /menu")
fault = Fault(20.0, 40.0, capacity=0.25, hang=0.1)
scenario = Scenario(callers, Service(8, 8, Lognormal(0.3, 0.8)), app, (fault,), 60.0, "everything")
explorer = explore(scenario, b=policy)
explorer
""",
    HOSTILE: f"""
import numpy as np
from breakerlab.lab.explorer import explore
from breakerlab.policy import Fallback, Policy
from breakerlab.trace import Source, Trace
payload = {json.dumps(PAYLOAD)}
n = np.arange(400)
failed = (n // 100 == 2).astype(int)
log = Trace.from_columns({{"time": n / 10.0, "latency": np.full(400, 0.4), "outcome": (failed, ("ok", "error")),
    "service": "llm", "request": n, "attempt": np.ones(400, int), "endpoint": (np.zeros(400, int), (payload,))}},
    source=Source(name=payload, format="jsonl"))
explorer = explore(log, b=Policy(fallback=Fallback(**{{payload: payload}})))
explorer
""",
    TWO: """
from IPython.display import display
from breakerlab.lab.explorer import explore
from breakerlab.replay import *
scenario = Scenario(Poisson(5.0), duration=20.0)
display(explore(scenario), explore(scenario))
""",
}
STILL = {"Hanging probe"}  # a list: a replay ends a probe by its timeout, which may not be longer; the export tells it
SHOWN = f"""() => ({DRAWN})() + [...document.querySelectorAll('.breakerlab-summary tbody tr')].map(
    line => [...line.cells].slice(0, 4).map(cell => cell.textContent))"""  # without intervals, which follow later
TOO_WIDE = """() => [...document.querySelectorAll('.breakerlab-explorer, .breakerlab-explorer *')].filter(e =>
    e.clientWidth && e.scrollWidth > e.clientWidth + 1 && e.tagName !== 'TEXTAREA' &&
    getComputedStyle(e).overflowX !== 'visible').map(e => `${e.className} ${e.scrollWidth} ${e.clientWidth}`)"""
CUT_OFF = """() => { const box = document.querySelector('.breakerlab-lines').getBoundingClientRect();
    return [...document.querySelectorAll('.breakerlab-lines text')].filter(text => {
        const at = text.getBoundingClientRect();
        return text.textContent && (at.right > box.right + 1 || at.left < box.left - 1);
    }).map(text => text.textContent); }"""
NAMELESS = """() => [...document.querySelectorAll('.breakerlab-explorer *')].filter(e =>
    e.tabIndex >= 0 && e.checkVisibility() && e.getAttribute('aria-disabled') !== 'true').filter(e =>
    !(e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent).trim()).map(e => e.outerHTML)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPage]:
    root = copy_of_the_course(tmp_path_factory.mktemp("course"))
    for path, source in CELLS.items():
        write(root / path, source)
    with lab_page(root) as lab:
        yield lab


def write(path: Path, source: str) -> None:
    kernel = {"name": "python3", "display_name": "Python 3"}
    whole = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": kernel})
    nbformat.write(whole, path)


def opened(lab: LabPage, notebook: str) -> LabPage:
    lab.open(notebook)
    lab.clear_outputs()
    lab.run_all()
    lab.page.wait_for_selector(".breakerlab-lines svg[width]", timeout=60_000)
    lab.page.wait_for_selector(".breakerlab-explorer .noUi-handle[aria-description]")


@pytest.fixture
def everything(lab: LabPage) -> LabPage:
    """The explorer of everything, as it is at the beginning."""
    if EVERYTHING not in lab.page.url:
        opened(lab, EVERYTHING)
    lab.page.get_by_role("button", name="Reset").click()
    lab.page.locator(".breakerlab-explorer input[type=radio]").nth(1).check()
    for tab in ("Policy", "Over time"):
        lab.page.get_by_role("tab", name=tab, exact=True).click()
    lab.wait_until_idle()
    lab.page.wait_for_timeout(300)
    return lab


def changes(lab: LabPage, before: str, milliseconds: float) -> bool:
    try:
        lab.page.wait_for_function(f"before => ({SHOWN})() !== before", arg=before, timeout=milliseconds)
    except TimeoutError:
        return False
    return True


def turn(lab: LabPage, control: Locator, before: str) -> bool:
    """Go through what the control can be turned to, by keys, until what is shown changes."""
    control.focus()
    kind = control.evaluate("control => control.type ?? 'slider'")
    keys = {"checkbox": [" "], "slider": ["Home", *["ArrowRight"] * 14]}.get(kind, ["ArrowDown", *["ArrowUp"] * 3])
    for key in keys:
        lab.page.keyboard.press(key)
        if changes(lab, before, 500):
            return True
    return changes(lab, before, 3000)


def take_back(lab: LabPage, before: str) -> None:
    """Press Undo until all is shown as it was."""
    lab.page.get_by_role("button", name="Undo").focus()
    for _ in range(20):
        lab.page.keyboard.press("Enter")
        try:
            lab.page.wait_for_function(f"before => ({SHOWN})() === before", arg=before, timeout=1000)
        except TimeoutError:
            continue
        lab.wait_until_idle()  # the controls too
        return
    raise AssertionError("Undo does not bring back what was shown")


def name_of(control: Locator) -> str:
    return control.evaluate("e => (e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent).trim()")


def focused(lab: LabPage) -> str:
    """Role and name of what has the focus."""
    role = lab.page.evaluate("() => document.activeElement.getAttribute('role') ?? document.activeElement.type")
    return f"{role} {name_of(lab.page.locator(':focus'))}"


def tab_to(lab: LabPage, wanted: str) -> None:
    """Press Tab until what has the focus is `wanted`."""
    passed = []
    for _ in range(60):
        lab.page.keyboard.press("Tab")
        passed.append(focused(lab))
        if passed[-1] == wanted:
            return
    raise AssertionError(f"the Tab key does not come to {wanted!r}, but to {passed}")


@pytest.mark.parametrize("panel", ["Policy", "Server and app"])
def test_every_control_changes_what_is_drawn_and_undo_takes_it_back(everything: LabPage, panel: str) -> None:
    lab = everything
    lab.page.get_by_role("tab", name=panel, exact=True).click()
    lab.page.wait_for_timeout(300)
    controls = lab.page.locator(".breakerlab-knobs:visible").locator(".noUi-handle, select, input[type=checkbox]")
    assert controls.count() > 20
    before, still = lab.page.evaluate(SHOWN), set()
    for control in controls.all():
        assert control.get_attribute("aria-disabled") != "true"
        assert control.is_enabled()
        if turn(lab, control, before):
            take_back(lab, before)
        else:
            still.add(name_of(control))
    assert still == (STILL if panel == "Policy" else set())
    assert lab.errors == []
    assert lab.outside == []


def test_the_tab_key_comes_to_everything_and_everything_has_a_name(everything: LabPage) -> None:
    lab = everything
    first = lab.page.evaluate(SHOWN)
    lab.page.locator(".breakerlab-explorer input[type=radio]").nth(1).focus()
    lab.page.keyboard.press("ArrowLeft")  # policy A
    lab.page.wait_for_function("() => document.querySelector('.breakerlab-explorer select').value === 'naive'")
    tab_to(lab, "select-one Preset")
    lab.page.keyboard.press("ArrowDown")
    assert changes(lab, first, 5000)
    tab_to(lab, "submit Undo")
    lab.page.keyboard.press("Enter")
    lab.page.wait_for_function(f"first => ({SHOWN})() === first", arg=first)
    tab_to(lab, "slider Timeout")
    assert "given up" in lab.page.locator(".breakerlab-meaning").inner_text()
    lab.page.keyboard.press("Home")
    assert changes(lab, first, 5000)
    tab_to(lab, "tab Over time")
    for key, shown in (("ArrowRight", "Requests answered in time"), ("ArrowLeft", "load offered")):
        lab.page.keyboard.press(key)
        lab.page.keyboard.press("Enter")
        lab.page.locator(".breakerlab-explorer text", has_text=shown).first.wait_for()
    tab_to(lab, "group Chart over time")
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("ArrowRight")
    lab.page.wait_for_selector(".breakerlab-summary tr.lit")
    assert "503 answers" in lab.page.locator(".breakerlab-told").inner_text()
    lab.page.keyboard.press("Tab")  # the table
    lab.page.keyboard.press("ArrowDown")
    lab.page.wait_for_selector(".breakerlab-lines .lit[data-row=answers]")
    assert lab.page.evaluate(NAMELESS) == []
    assert lab.errors == []


def test_the_mouse_links_chart_and_table_both_ways(everything: LabPage) -> None:
    lab = everything
    lab.page.locator(".breakerlab-lines [data-row=pool] text").first.hover()
    lab.page.wait_for_selector(".breakerlab-summary tr.lit:has-text('most workers in use')")
    lab.page.locator(".breakerlab-summary tr", has_text="refused locally").hover()
    lab.page.wait_for_selector(".breakerlab-lines .lit[data-row=breaker]")


def test_a_policy_goes_out_and_in_as_json_and_what_is_none_is_refused_in_a_sentence(everything: LabPage) -> None:
    lab = everything
    first = lab.page.evaluate(SHOWN)
    lab.page.get_by_role("tab", name="Export, import").click()
    lab.page.get_by_label("Export the policy as").select_option(label="Envoy")
    lab.page.wait_for_function("() => document.querySelector('.breakerlab-wraps textarea').value.includes('Envoy')")
    assert "retry_policy" in lab.page.get_by_label("Text to copy").input_value()
    lab.page.get_by_label("Export the policy as").select_option(label="JSON")
    lab.page.wait_for_function("() => document.querySelector('.breakerlab-exported textarea').value.startsWith('{')")
    text = lab.page.get_by_label("Text to copy").input_value()
    lab.page.get_by_role("combobox", name="Hanging probe").focus()
    lab.page.keyboard.press("End")
    lab.page.wait_for_function(
        "() => document.querySelector('.breakerlab-exported textarea').value.includes('\"half_open_timeout\": 120')"
    )
    lab.page.get_by_role("button", name="Undo").click()
    for pasted, shown in (
        (text.replace('"attempts": 4', '"attempts": 1'), "1 attempt"),
        ("{ no policy", "Not imported"),
        (text, "4 attempts"),
    ):
        lab.page.get_by_label("Import: paste").fill(pasted)
        lab.page.get_by_role("button", name="Import into the policy").click()
        lab.page.wait_for_selector(f".breakerlab-explorer >> text={shown}")
    lab.page.get_by_role("tab", name="Over time").click()
    lab.page.wait_for_function(f"first => ({SHOWN})() === first", arg=first)


def test_nothing_is_wider_than_its_box(everything: LabPage) -> None:
    lab = everything
    for width, height in ((1920, 1080), (1280, 800)):
        lab.page.set_viewport_size({"width": width, "height": height})
        for _ in range(2):  # with the file browser, and without
            for tab in ("Latency", "Export, import", "Over time"):
                lab.page.get_by_role("tab", name=tab).click()
                lab.page.wait_for_timeout(500)
                assert lab.page.evaluate(TOO_WIDE) == [], (width, tab)
            assert lab.page.evaluate(CUT_OFF) == []
            lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")


def test_text_of_a_log_is_shown_and_never_run(lab: LabPage) -> None:
    opened(lab, HOSTILE)
    for tab in ("Latency", "Export, import", "Over time"):
        lab.page.get_by_role("tab", name=tab).click()
        lab.page.wait_for_timeout(500)
    assert lab.page.evaluate("() => window.hacked") is None
    assert lab.page.locator(".breakerlab-explorer").locator("img[src=x], b, script").count() == 0
    assert PAYLOAD in lab.page.get_by_label("Fallback", exact=True).inner_text().replace("\u00a0", " ")
    assert f"by {PAYLOAD[:39]}…" in lab.page.locator(".breakerlab-summary").inner_text()
    assert lab.errors == []
    assert lab.outside == []


def test_of_two_explorers_each_has_its_own_choice_between_the_policies(lab: LabPage) -> None:
    lab.open(TWO)
    lab.run_all()
    groups = lab.page.get_by_role("radiogroup", name="Knobs of policy")
    groups.nth(1).wait_for()
    lab.page.wait_for_timeout(500)
    groups.nth(1).get_by_role("radio").first.check()
    chosen = [[button.is_checked() for button in group.get_by_role("radio").all()] for group in groups.all()]
    assert chosen == [[False, True], [True, False]]
