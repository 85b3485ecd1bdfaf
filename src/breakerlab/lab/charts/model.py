"""The server model behind a chart, in a line or two: a claim comes with its evidence."""

from collections.abc import Mapping
from typing import Any

from breakerlab.lab.charts.rounding import told
from breakerlab.lab.charts.runs import trace_of, was_logged
from breakerlab.replay import Run, Service
from breakerlab.replay.distribution import Constant, Distribution, Empirical, Exponential, Llm, Lognormal
from breakerlab.trace import Trace
from breakerlab.trace.facts import recorded_parameter

NO_LIMIT = 100_000  # slots or workers: as good as none
DISCIPLINES = {"fifo": "first in, first out", "lifo": "last in, first out", "deadline": "fifo, late work dropped"}


def caption_of(runs: Mapping[str, Trace | Run]) -> str:
    """What the runs of one chart are drawn from: the model of the first simulated run, or what was recorded."""
    simulated = [run for run in runs.values() if isinstance(run, Run)]
    if simulated:
        run = simulated[0]
        seeds = f"seed {run.seed}"
        return f"Simulated: {service_told(run.scenario.service)}; {_app_told(run)}; {seeds}."
    return _recorded(trace_of(next(iter(runs.values()))))


def service_told(service: Service) -> str:
    """The service's slots, queue and service time, in words."""
    places = "queue without limit" if service.queue_limit is None else f"queue of {service.queue_limit}"
    order = "" if service.queue_limit == 0 else f", {DISCIPLINES[service.discipline]}"
    if service.slots >= NO_LIMIT:
        return f"service without limit of slots, {time_told(service.time)}"
    slots = "1 slot" if service.slots == 1 else f"{service.slots:,} slots"
    return f"service with {slots}, {places}{order}, {time_told(service.time)}"


def time_told(time: Distribution) -> str:
    """How long an attempt takes, in words."""
    match time:
        case Constant(value):
            return f"constant {told(value)} s"
        case Exponential(mean):
            return f"exponential, mean {told(mean)} s"
        case Lognormal(mean, sigma):
            return f"lognormal, mean {told(mean)} s, sigma {told(sigma)}"
        case Empirical(values):
            return f"one of {len(values):,} measured times"
        case Llm():
            slower = f", up to {told(1.0 + time.slowdown)} times as long when full" if time.slowdown else ""
            return f"{told(time.first_token)} s + {told(1000.0 * time.per_token)} ms per token{slower}"
    return "a service time of its own"


def _app_told(run: Run) -> str:
    app, loop = run.scenario.app, "closed" if run.scenario.is_closed_loop else "open"
    several = f"{app.instances} instances of " if app.instances > 1 else ""
    workers = "no limit of workers" if app.workers >= NO_LIMIT else f"{app.workers:,} workers"
    return f"app with {several}{workers}; {loop} loop"


def _recorded(trace: Trace) -> str:
    """Only numbers count: a header may hold anything."""
    slots, queue, workers = (_number(trace, *path) for path in (("service", "slots"), ("service", "queue_limit"),
                                                               ("app", "workers")))  # fmt: skip
    parts = [
        "" if slots is None else f"service with {slots:,} slots",
        "" if queue is None else f"queue of {queue:,}",
        "" if workers is None else f"app with {workers:,} workers",
    ]
    known = ", ".join(part for part in parts if part)
    kind = "Recorded" if was_logged(trace) else "Simulated"
    return f"{kind}: {known}." if known else f"{kind}; the log does not say on what service."


def _number(trace: Trace, *path: str) -> Any:
    value = recorded_parameter(trace.source.facts, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
