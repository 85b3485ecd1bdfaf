"""How long a reader waits for the first chart and the first panel of the first notebook, in a fresh kernel.

usage: python benchmarks/first_chart.py [--rounds 5] [--json FILE]

First with a kernel alone, as JupyterLab starts it, cell by cell: from its start to the message that shows the chart;
the panel is the first figure that widgets change, and counts from the end of the cell before. Then in JupyterLab and
Chromium, without a target: from "Run All Cells" to the drawn chart, while the cells after it run, the kernel having
started when the notebook was opened. Each round has a kernel of its own, and the median counts; a round before, which
is not counted, warms the caches on disk. Exit code 1 if a target is missed. On a machine that does something else
meanwhile, the figures are of that machine.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
from command_line import conclude, read_with_json, whole_number, write_figures
from explorer_latency import Target
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from course import FIRST_NOTEBOOK, NOTEBOOKS, REPOSITORY, copy_of_the_course
from lab_page import LabPage, lab_page
from notebook_policy import PLOTLY

AT_MOST = 3.0  # s
WIDGET = "application/vnd.jupyter.widget-view+json"
READY = "the kernel is ready"
RUN = "() => void window.jupyterapp.commands.execute('notebook:run-all-cells')"
DRAWN = ".js-plotly-plot .scatterlayer path"


def cells_to_the_first_panel() -> tuple[list[str], int]:
    """The sources of the first notebook's code cells up to its first panel, and which of them shows the first chart."""
    cells = [cell for cell in nbformat.read(REPOSITORY / FIRST_NOTEBOOK, as_version=4).cells if "outputs" in cell]
    shown = [{kind for output in cell.outputs for kind in output.get("data", {})} for cell in cells]
    chart = next(place for place, kinds in enumerate(shown) if PLOTLY in kinds)
    panels = (place for place, cell in enumerate(cells) if WIDGET in shown[place] and "Panel(" in cell.source)
    panel = next(panels)  # a prediction is a widget too, and has no chart
    return [cell.source.strip() for cell in cells[: panel + 1]], chart


def in_a_kernel(sources: list[str]) -> list[float]:
    """Seconds since the start of a kernel: when it was ready, and when each cell had shown what it shows."""
    started = time.perf_counter()
    manager, client = start_new_kernel(cwd=str(NOTEBOOKS), stderr=subprocess.DEVNULL)
    try:
        seconds = [time.perf_counter() - started]
        for source in sources:
            run(client, source)
            seconds.append(time.perf_counter() - started)
        return seconds
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, source: str) -> None:
    """Run a cell to its end, or to the message that shows its chart."""
    asked = client.execute(source)
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "error":
            sys.exit(f"breakerlab: a cell of {FIRST_NOTEBOOK} failed: {content['ename']}: {content['evalue']}")
        if PLOTLY in content.get("data", {}) or content.get("execution_state") == "idle":
            return


def in_lab(rounds: int) -> Iterator[float]:
    """Seconds from Run to the drawn chart."""
    with tempfile.TemporaryDirectory() as folder, lab_page(copy_of_the_course(Path(folder))) as lab:
        for _ in range(rounds):
            lab.open(FIRST_NOTEBOOK)
            lab.clear_outputs()
            yield from_run_to_drawn(lab)
            lab.wait_until_idle()


def from_run_to_drawn(lab: LabPage) -> float:
    lab.page.wait_for_function("selector => !document.querySelector(selector)", arg=DRAWN)
    started = time.perf_counter()
    lab.page.evaluate(RUN)
    lab.page.wait_for_function("selector => document.querySelector(selector)", arg=DRAWN, timeout=120_000)
    return time.perf_counter() - started


def measure(rounds: int) -> dict[str, Any]:
    sources, chart = cells_to_the_first_panel()
    in_a_kernel(sources)
    alone = [in_a_kernel(sources) for _ in range(rounds)]
    lines = [READY, *(source.splitlines()[-1] for source in sources)]
    seconds = [median(one) for one in zip(*alone, strict=True)]
    return {
        "cells": list(zip(lines, seconds, strict=True)),
        "chart": seconds[chart + 1],
        "panel": median(one[-1] - one[-2] for one in alone),
        "lab": median(in_lab(rounds)),
    }


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How long a reader waits for the first chart, in a fresh kernel.")
    parser.add_argument("--rounds", type=whole_number(1000), default=5, help="fresh kernels (default 5)")
    return read_with_json(parser)


def main() -> None:
    options = read_options()
    found = measure(options.rounds)
    print(f"Seconds since the kernel was started, medians of {options.rounds} fresh kernels:\n")
    print(*(f"{seconds:8.2f}  {line}" for line, seconds in found["cells"]), sep="\n")
    print(f"\n{found['lab']:8.2f}  in JupyterLab, from Run to the drawn chart\n")
    judged = [
        Target("from the kernel's start to the first chart", found["chart"], AT_MOST, "s", 1.0),
        Target("the cell of the first panel", found["panel"], AT_MOST, "s", 1.0),
    ]
    print(*judged, "", sep="\n")
    write_figures(options, found)
    conclude(judged)


if __name__ == "__main__":
    main()
