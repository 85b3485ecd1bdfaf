"""A log in which every name is an attack, and all that the lab shows of it: charts, tables, widgets.

test_hostile.py looks at what is sent to the page, tests/browser/test_hostile.py at the page.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import cycle, islice
from typing import Any

import pandas as pd

from breakerlab import lab
from breakerlab.lab import charts
from breakerlab.lab.contention import races
from breakerlab.lab.fallback_panel import FallbackPanel
from breakerlab.lab.knob_panel import KnobPanel
from breakerlab.lab.overload import ways
from breakerlab.lab.overload_panel import OverloadPanel, WaysPanel
from breakerlab.lab.retry_load import capped_and_budgeted
from breakerlab.lab.stale import stale_answers
from breakerlab.lab.writes import fates_of_orders
from breakerlab.policy import Fallback, Policy
from breakerlab.replay import App, Comparison, Fault, OtherEndpoint, Run, Scenario, Standby, Workload, compare, replay
from breakerlab.trace import Source, Trace

BOLD = "<b>bold</b>"
LINK = "<a href='//elsewhere.invalid'>here</a>"
SCRIPT = "<script>window.attacked = 'script'</script>"
PICTURE = "<img src=x onerror=\"window.attacked = 'picture'\">"
FORMULA = "$\\href{https://elsewhere.invalid}{here}$"
MARKDOWN = "**bold** [here](https://elsewhere.invalid)"
NAMES = (BOLD, LINK, SCRIPT, PICTURE, FORMULA, MARKDOWN)
ROWS = 400


@cache
def log() -> Trace:
    """A log that says nothing of its server: endpoints, clients, services, instances and the log's own name attack."""
    words = list(islice(cycle(NAMES), ROWS))
    outcomes = ["error" if ROWS // 2 <= row < 3 * ROWS // 4 else "ok" for row in range(ROWS)]
    columns = {
        "time": [row / 10.0 for row in range(ROWS)],
        "latency": [0.4] * ROWS,
        "outcome": outcomes,
        "service": list(islice(cycle(["llm", "app", *NAMES]), ROWS)),
        "request": list(range(ROWS)),
        "attempt": [1] * ROWS,
        "endpoint": words,
        "client": words,
        "instance": words,
    }
    events = {"time": [1.0] * len(NAMES), "kind": "pool", "value": [1.0] * len(NAMES), "instance": list(NAMES)}
    return Trace.from_columns(columns, events, source=Source(name=" ".join(NAMES), format="jsonl"))


@cache
def described() -> Trace:
    """The same log with a header that describes the server, its other endpoints and its fallbacks."""
    app = App(other={name: OtherEndpoint() for name in NAMES[::2]}, fallbacks={name: Standby() for name in NAMES})
    scenario = Scenario(Workload.from_trace(log()), app=app, faults=(Fault(10.0, 30.0, capacity=0.0),), duration=40.0)
    facts = {"parameters": scenario.parameters(), "scenario": " ".join(NAMES), "loop": BOLD, "policy": {BOLD: LINK}}
    attempts, events = ({name: frame[name].to_numpy() for name in frame} for frame in (log().attempts, log().events))
    return Trace.from_columns(attempts, events, source=Source(name=" ".join(NAMES), format="jsonl", facts=facts))


@cache
def scenario() -> Scenario:
    return Scenario.from_trace(described())


@cache
def policy() -> Policy:
    return replace(Policy.recommended(), fallback=Fallback(**{name: name for name in NAMES}))


@cache
def run() -> Run:
    return replay(scenario(), policy())


@cache
def comparison() -> Comparison:
    return compare(scenario(), {BOLD: policy(), LINK: Policy.naive(), SCRIPT: Policy.none()}, baseline=BOLD, seeds=2)


def three() -> dict[str, Trace | Run]:
    """A log and two runs by names that attack, each short enough to be shown whole."""
    return {BOLD: log(), LINK: run(), PICTURE: described()}


def contention() -> pd.DataFrame:
    table = races(clients=(10, 20), runs=2)
    return table.replace({"strategy": dict(zip(table["strategy"].unique(), NAMES, strict=False))})


def recovery_map() -> Any:
    shares = pd.DataFrame([[1.0, 0.0]], pd.Index([2.0], name="outage"), pd.Index([120.0, 280.0], name="load"))
    return charts.recovery_map(shares, policy=" ".join(NAMES))


def prediction() -> Any:
    return lab.Prediction(" ".join(NAMES), NAMES, subject=BOLD)


def number() -> Any:
    return lab.Prediction(BOLD, low=0, high=9, unit=LINK, subject=PICTURE)


def judged() -> pd.DataFrame:
    """Quantities as a prediction judges them, some by names that attack."""
    names = [*NAMES, *(f"{word} at {second} s" for word in ("attempts", "status_503", "pool") for second in (5, 10))]
    n = len(names)
    return pd.DataFrame({"quantity": names, "low": [1.0] * n, "high": [3.0] * n, "recorded": [2.0] * n, "inside": True})


def recordings() -> pd.DataFrame:
    counts = pd.DataFrame({"quantity": ["attempts", "status_503", "answered", "restarts"]})
    return counts.assign(incident=BOLD, seed=1, low=1.0, high=3.0, recorded=2.0, inside=True, all_inside=True)


class Server:
    """One that is believed of a recording."""

    slots, slots_in_fault, log = 8, 1, None

    def judge(self, **believed: float) -> pd.DataFrame:
        return judged()


def fates() -> Any:
    """Two breakers and their calls."""
    table = pd.DataFrame({LINK: ["ok", "failed"], SCRIPT: ["refused", "ok"]}, index=[0.0, 1.0])
    return charts.fates({BOLD: table})


def attacked_index(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_axis(NAMES[: len(table)])


# By the public name of what is shown.
SHOWN: dict[str, Callable[[], Any]] = {
    "charts.anatomy": lambda: charts.anatomy(described(), name=BOLD),
    "charts.answers": lambda: charts.answers(three()),
    "charts.cascade": lambda: charts.cascade(three()),
    "charts.competing_clients": lambda: charts.competing_clients(contention()),
    "charts.differences": lambda: charts.differences(comparison()),
    "charts.fates": fates,
    "charts.latencies": lambda: charts.latencies(three()),
    "charts.orders": lambda: charts.orders(attacked_index(fates_of_orders())),
    "charts.predicted_counts": lambda: charts.predicted_counts({BOLD: judged()}),
    "charts.predicted_recordings": lambda: charts.predicted_recordings(recordings(), {BOLD: LINK}, server=described()),
    "charts.recoveries": lambda: charts.recoveries({name: run() for name in NAMES}),
    "charts.recovery_map": recovery_map,
    "charts.retry_histogram": lambda: charts.retry_histogram(three()),
    "charts.small_clients": lambda: charts.small_clients(
        pd.DataFrame({"rule": [BOLD, LINK], "clients": [1, 1], "attempts": [1.0, 3.0], "answered": [0.5, 0.6]})
    ),
    "charts.staleness": lambda: charts.staleness({BOLD: stale_answers(questions=200)}),
    "lab.cascade": lambda: lab.cascade(three()),
    "lab.AssumedServerPanel": lambda: lab.AssumedServerPanel({" ".join(NAMES): Server()}),
    "lab.CascadePanel": lambda: lab.CascadePanel(scenario(), policy(), name=" ".join(NAMES)),
    "lab.Explorer": lambda: lab.explore(described(), a=policy(), b=policy()),
    "lab.explore": lambda: lab.explore(log(), b=policy()),
    "lab.KnobPanel": lambda: KnobPanel(scenario(), policy(), ["window"], name=" ".join(NAMES)),
    "lab.Prediction": prediction,
    "lab.Prediction of a number": number,
    "lab.RecordingsPanel": lambda: lab.RecordingsPanel(
        {BOLD: judged().assign(incident=BOLD, seed=1)}, BOLD, server=described()
    ),
    "lab.UnstoredFigures": lambda: lab.UnstoredFigures(charts.cascade(three())),
    "lab.WaysPanel": lambda: WaysPanel({" ".join(NAMES): next(iter(ways().values()))}),
    "lab.eight_steps_table": lambda: lab.eight_steps_table(three()),
    "lab.what_changed": lambda: lab.what_changed(three()),
    "Comparison.table": lambda: comparison().table,
    "Run.requests": lambda: run().requests,
    "Run.timeline": lambda: run().timeline(10.0),
    "Trace.attempts": lambda: log().attempts,
    "Trace.events": lambda: log().events,
    "Trace.requests": lambda: log().requests,
    "Trace.describe": lambda: log().describe(),
}
# What shows no text that could come from a log.
NO_TEXT: dict[str, Callable[[], Any]] = {
    "charts.amplification": charts.amplification,
    "charts.budgets": lambda: charts.budgets(capped_and_budgeted((0.1, 0.9), requests=200)),
    "charts.false_trips": charts.false_trips,
    "charts.jitter_delays": charts.jitter_delays,
    "charts.overload": lambda: charts.overload(run()),
    "charts.predicted_course": lambda: charts.predicted_course(judged(), server=described()),
    "charts.state_diagram": charts.state_diagram,
    "Trace.timeline": lambda: log().timeline(10.0),
    "lab.attempts_table": lambda: lab.attempts_table(run()),
    "lab.FallbackPanel": lambda: FallbackPanel(scenario()),
    "lab.OverloadPanel": OverloadPanel,
}
# What is public, and shows nothing itself.
NOT_SHOWN = {
    *("charts.MOST_RUNS", "charts.PANELS", "charts.Panel", "charts.fault_windows", "charts.lines", "charts.plain"),
    *("charts.series", "lab.charts", "lab.check", "lab.show"),
}
# Widgets that are parts of those above.
PARTS = {
    *("Controls", "ExplorerChart", "ExportView", "Label", "PageSide", "PlotlyChart", "PlotlyScript", "SummaryTable"),
    *("CascadesPanel", "ChartPanel", "RunPanel"),
}
