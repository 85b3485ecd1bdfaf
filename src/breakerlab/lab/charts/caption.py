"""What a chart of runs stands on: the logs by their names, and the server model behind what is simulated."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

from breakerlab.lab.charts.model import (
    MOST_FAULTS,
    llm_time_told,
    places_told,
    scenario_told,
    window_told,
    workers_told,
)
from breakerlab.lab.charts.runs import fault_windows, trace_of, was_logged
from breakerlab.replay import Comparison, Run
from breakerlab.trace import Trace
from breakerlab.trace.facts import recorded_parameter

MOST: Final = 40  # characters of a name
LARGEST: Final = 1e12  # of the numbers in a header that are believed
UNKNOWN: Final = ("server not described",)

Parts = tuple[str, ...]


def caption_of(runs: Mapping[str, Trace | Run]) -> str:
    """Sentences, not yet made plain: "Logged: incident.jsonl. Simulated: 8 slots, queue 8, FIFO, ...".

    The model of the first simulated run is told in full, and of each other one only what is not the same. Beside
    simulated runs a log has only its name.
    """
    logged = {_name_of(trace_of(run)): parts_of(run) for run in runs.values() if was_logged(run)}
    simulated = {name: parts_of(run) for name, run in runs.items() if not was_logged(run)}
    logs = f"Logged: {', '.join(logged)}"
    if not logged:
        return _told("Simulated: ", simulated)
    return f"{logs}. {_told('Simulated: ', simulated)}" if simulated else _told(f"{logs}; ", logged)


def caption_of_comparison(comparison: Comparison) -> str:
    """The model that all its runs have in common."""
    scenario = comparison.scenario
    return "" if scenario is None else f"Simulated: {'; '.join(scenario_told(scenario))}."


def server_of(recording: Trace) -> str:
    """The server of a recording that stands for others: "Server as in incident.jsonl: 8 slots, queue 8, ..."."""
    return f"Server as in {_name_of(recording)}: {'; '.join(parts_of(recording))}."


def parts_of(run: Trace | Run) -> Parts:
    """Service, faults, app and more, each in a few words."""
    if isinstance(run, Run):
        return (*scenario_told(run.scenario), f"seed {run.seed}")
    return tuple(_recorded(run)) or UNKNOWN


def _told(lead: str, models: Mapping[str, Parts]) -> str:
    (_, first), *others = models.items()
    unlike = {name: [part for part in parts if part not in first] for name, parts in others}
    further = [f" {_cut(name)}: {'; '.join(parts)}." for name, parts in unlike.items() if parts]
    return f"{lead}{'; '.join(first)}.{''.join(further)}"


def _name_of(trace: Trace) -> str:
    """The file that it was read from, without its folder."""
    return _cut(PurePath(trace.source.name).name or "a log")


def _cut(name: str) -> str:
    return name if len(name) <= MOST else f"{name[: MOST - 1]}…"


def _recorded(trace: Trace) -> Iterator[str]:
    """What the header says. Only numbers count: it may hold anything."""
    slots, queue = _count(trace, "service", "slots"), _count(trace, "service", "queue_limit")
    if slots is not None and queue is not None:
        times = [_number(trace, "service", name) for name in ("first_token", "per_token", "slowdown")]
        seconds = "" if None in times else f", {llm_time_told(*times)}"
        yield f"{places_told(slots, queue)}{seconds}"
    if windows := fault_windows(trace):
        yield ", ".join(window_told(*window) for window in windows[:MOST_FAULTS])
    if (workers := _count(trace, "app", "workers")) is not None:
        yield f"app with {workers_told(workers)}"


def _number(trace: Trace, *path: str) -> Any:
    value = recorded_parameter(trace.source.facts, *path)
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST else None


def _count(trace: Trace, *path: str) -> Any:
    value = _number(trace, *path)
    return value if isinstance(value, int) and value >= 0 else None
