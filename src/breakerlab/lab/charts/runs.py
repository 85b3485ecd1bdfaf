"""What every chart asks of a log or a run: its trace, its line, its fault windows."""

import math
from collections.abc import Mapping
from typing import Any, Final

from breakerlab.lab.charts.text import plain
from breakerlab.lab.style import LINES, LOGGED, LOGGED_ALONE, Line
from breakerlab.replay import Run
from breakerlab.trace import Trace
from breakerlab.trace.facts import recorded_parameter


def trace_of(run: Trace | Run) -> Trace:
    """The trace of a run; a trace is its own."""
    return run.trace if isinstance(run, Run) else run


def was_logged(run: Trace | Run) -> bool:
    """Whether it comes from a real process, and not from the simulator."""
    return isinstance(run, Trace) and run.source.format != "simulated"


def check_runs(chart: str, runs: Mapping[str, Any], most: int) -> None:
    """Raises ValueError for no run, for more than `most`, or for what is none."""
    if not 1 <= len(runs) <= most:
        raise ValueError(f"{chart} draws 1 to {most} runs, not {len(runs)}")
    for name, run in runs.items():
        if not isinstance(run, Trace | Run):
            raise ValueError(f"{chart} draws a Trace or a Run, and {plain(str(name))!r} is a {type(run).__name__}")


LATEST: Final = 1e10  # s
NICE_BINS: Final = (2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0, 86400.0, 604800.0)
MOST_BINS: Final = 400


def bin_for(runs: Mapping[str, Trace | Run]) -> float:
    """Seconds of a bin: 2, or for a long log the shortest of a few that needs at most 400 of them."""
    span = max(_span(trace_of(run)) for run in runs.values())
    return next((bin for bin in NICE_BINS if span / bin <= MOST_BINS), span / MOST_BINS)


def _span(trace: Trace) -> float:
    time = trace.attempts["time"]
    return float(time.max()) if len(time) else 0.0


def lines(runs: Mapping[str, Trace | Run]) -> dict[str, Line]:
    """The line of each run, by its name.

    A log is black: dots beside simulated runs, solid alone. Other runs have colours, and so have logs among themselves.
    """
    logs = [name for name, run in runs.items() if was_logged(run)]
    if len(runs) == len(logs) == 1:
        return {logs[0]: LOGGED_ALONE}
    free, black = iter(LINES), logs[:1] if len(logs) < len(runs) else []
    return {name: LOGGED if name in black else next(free) for name in runs}


def fault_windows(trace: Trace) -> list[tuple[float, float, float]]:
    """(start s, end s, share of capacity) of each fault that the facts of `trace` name; only numbers count."""
    faults = recorded_parameter(trace.source.facts, "faults")
    windows = []
    for fault in faults if isinstance(faults, list) else ():
        values = [fault.get(key) for key in ("start", "end", "capacity")] if isinstance(fault, Mapping) else []
        if len(values) == 3 and all(_is_number(value) for value in values):
            windows.append((float(values[0]), float(values[1]), float(values[2])))
    return windows


def _is_number(value: object) -> bool:
    """Whether it can be drawn; NaN, and an integer that no float holds, cannot."""
    return isinstance(value, int | float) and (-LATEST <= value <= LATEST or value == math.inf)
