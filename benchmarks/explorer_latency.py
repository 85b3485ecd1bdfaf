"""From key press to redrawn explorer, in JupyterLab and Chromium, on 20,000 requests under two policies.

usage: python benchmarks/explorer_latency.py [--presses 120] [--moves 500] [--json FILE]

A key press on a slider goes to the kernel, which replays the scenario and sends the new data; the time ends at the
first frame after they were drawn in the page. A knob of a policy needs one replay, a knob of the server two. Measured
in the page, press by press: the first presses, which warm up, are left out, and so are presses after which nothing was
to be drawn anew. Then the memory of kernel and page over
many slider moves: what they hold after the last, less what they held after a fifth of them. Exit code 1 if a target is
missed. On a machine that does something else meanwhile, the figures are of that machine.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from command_line import conclude, read_with_json, whole_number, write_figures

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from course import FIRST_NOTEBOOK
from lab_page import LabPage, lab_page

P95_AT_MOST = 0.100  # s
GROWTH_AT_MOST = 20e6  # bytes, of the kernel and of the page, over the moves
OF_A_POLICY = ("First delay", "In a row", "Tries again after", "Wait jitter", "Probes", "Failure rate")
OF_THE_SERVER = ("Queue", "Capacity left", "An answer takes", "Failed checks")
KNOBS = OF_A_POLICY + OF_THE_SERVER  # a step to the right, and of most to the left, changes what is drawn
WARM_UP = 10
SETTLE = 100  # ms between two presses
CELL = """
from breakerlab import Policy
from breakerlab.lab.explorer import explore
from breakerlab.replay import App, Fault, Lognormal, OtherEndpoint, Poisson, Scenario, Service
callers = (Poisson(133.0), Poisson(34.0, "GET /menu"))
service = Service(slots=64, queue_limit=64, time=Lognormal(0.35, 0.5))
app = App(workers=300, other={"GET /menu": OtherEndpoint()})
scenario = Scenario(callers, service, app, (Fault(30.0, 60.0, capacity=0.25),), 120.0, name="20,000 requests")
explorer = explore(scenario)
explorer
"""
PRESS = """(handle, key) => new Promise(resolve => {
    const chart = document.querySelector('.breakerlab-lines svg');
    const began = performance.now();
    const observer = new MutationObserver(() => {
        observer.disconnect();
        requestAnimationFrame(() => {
            const channel = new MessageChannel();  // a task after the frame has been painted
            channel.port1.onmessage = () => { clearTimeout(late); resolve((performance.now() - began) / 1000); };
            channel.port2.postMessage(0);
        });
    });
    const late = setTimeout(() => { observer.disconnect(); resolve(null); }, 1500);
    observer.observe(chart, {subtree: true, attributeFilter: ['d']});
    handle.dispatchEvent(new KeyboardEvent(
        'keydown', {key, code: key, keyCode: {ArrowLeft: 37, ArrowRight: 39}[key], bubbles: true, cancelable: true}));
})"""
HEAP = "() => { window.gc?.(); return performance.memory.usedJSHeapSize; }"


@dataclass(frozen=True)
class Target:
    name: str
    found: float
    at_most: float
    unit: str
    scale: float

    @property
    def is_missed(self) -> bool:
        return not self.found <= self.at_most

    def __str__(self) -> str:
        verdict = "missed" if self.is_missed else "met"
        found, at_most = self.found * self.scale, self.at_most * self.scale
        return f"{self.name:44}{found:9.1f} {self.unit} (at most {at_most:g}): {verdict}"


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of them do not pass."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def notebook(folder: Path) -> str:
    """A notebook with the explorer in it, and its path below the folder."""
    cell = {"cell_type": "code", "execution_count": None, "id": "explorer", "metadata": {}, "outputs": []}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    whole = {"cells": [{**cell, "source": CELL.strip()}], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "notebooks").mkdir()
    (folder / FIRST_NOTEBOOK).write_text(json.dumps(whole))
    return FIRST_NOTEBOOK  # the one that JupyterLab is started on


def press(lab: LabPage, knob: str, key: str) -> float | None:
    """Seconds from the key press to the painted chart; None if nothing was drawn anew."""
    handle = lab.page.locator(f".breakerlab-knobs .noUi-handle[aria-label='{knob}']")
    found: float | None = handle.evaluate(PRESS, key)
    lab.page.wait_for_timeout(SETTLE)
    return found


def keys() -> Iterator[tuple[str, str]]:
    """Knob by knob, a step to the right and back, and a step to the left and back, without end."""
    while True:
        for knob in KNOBS:
            for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowRight"):
                yield knob, key


def latencies(lab: LabPage, presses: int) -> list[tuple[str, float]]:
    """The knob and the seconds of each press that changed the chart."""
    found: list[tuple[str, float]] = []
    for number, (knob, key) in enumerate(keys()):
        seconds = press(lab, knob, key)
        if number >= WARM_UP and seconds is not None:
            found.append((knob, seconds))
        if len(found) == presses or number > 3 * presses + WARM_UP:
            return found
    return found


def memory(lab: LabPage, moves: int) -> dict[str, float]:
    """Bytes by which kernel and page grew from a fifth of the moves to the last."""
    kernel = kernel_process()
    slider = lab.page.get_by_role("slider", name="In a row", exact=True)
    held: dict[str, float] = {}
    for move in range(moves + 1):
        if move in (moves // 5, moves):
            lab.wait_until_idle()
            lab.page.wait_for_timeout(2500)  # intervals too
            now = {"kernel": float(kernel.memory_info().rss), "page": float(lab.page.evaluate(HEAP))}
            held = now if move < moves else {name: now[name] - held[name] for name in now}
        slider.evaluate("handle => handle.focus()")
        lab.page.keyboard.press("ArrowRight" if (move // 4) % 2 == 0 else "ArrowLeft")
        lab.page.wait_for_timeout(SETTLE)
    return held


def kernel_process() -> psutil.Process:
    family = psutil.Process().children(recursive=True)
    return next(one for one in family if "ipykernel_launcher" in " ".join(one.cmdline()))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = notebook(Path(folder))
        with lab_page(Path(folder)) as lab:
            lab.open(path)
            lab.run_all()
            lab.page.wait_for_selector(".breakerlab-lines svg", timeout=60_000)
            lab.page.wait_for_timeout(4000)
            pressed = latencies(lab, options.presses)
            grown = memory(lab, options.moves) if options.moves else {}
    return {"pressed": pressed, "grown": grown, "load": psutil.getloadavg()[0]}


def told(what: str, seconds: list[float]) -> str:
    quantiles = (f"p{100 * share:g} {1e3 * quantile(seconds, share):.0f}" for share in (0.5, 0.9, 0.95, 1.0))
    return f"{what:22}{len(seconds):4} presses, ms: {', '.join(quantiles)}" if seconds else f"{what}: no presses"


def targets(found: dict[str, Any]) -> list[Target]:
    seconds = [seconds for _, seconds in found["pressed"]]
    p95 = Target("key press to painted chart, p95", quantile(seconds, 0.95), P95_AT_MOST, "ms", 1e3)
    return [
        p95,
        *(Target(f"{who}, growth", grown, GROWTH_AT_MOST, "MB", 1e-6) for who, grown in found["grown"].items()),
    ]


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From key press to redrawn explorer, and memory over slider moves.")
    parser.add_argument("--presses", type=whole_number(10_000), default=120, help="measured key presses (default 120)")
    parser.add_argument("--moves", type=int, default=500, help="slider moves for the memory (default 500; 0: none)")
    return read_with_json(parser)


def main() -> None:
    options = read_options()
    found = measure(options)
    pressed = found["pressed"]
    if len(pressed) < options.presses:
        sys.exit(f"breakerlab: only {len(pressed)} of {options.presses} key presses changed the chart")
    judged = targets(found)
    print(f"{options.presses} key presses on {len(KNOBS)} sliders; load of the machine {found['load']:.1f}")
    for whose, knobs in (("a policy", OF_A_POLICY), ("the server", OF_THE_SERVER)):
        print(told(f"knobs of {whose}", [seconds for knob, seconds in pressed if knob in knobs]))
    print()
    print(*judged, "", sep="\n")
    write_figures(options, found)
    conclude(judged)


if __name__ == "__main__":
    main()
