"""A scenario from any log: as recorded where the log says what the server was, and otherwise stated assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from breakerlab.lab.service_name import IN_TRACES, ServiceName, service_name
from breakerlab.lab.span import time_told
from breakerlab.replay import App, Fault, Lognormal, Scenario, ScenarioError, Service, Workload
from breakerlab.trace import Trace

Array = np.ndarray[Any, np.dtype[Any]]

BINS: Final = 120  # of the log, in which failures are counted
BURST: Final = 0.5  # share of failures from which a bin belongs to a burst
FEWEST: Final = 5  # failures in a burst
MOST_FAULTS: Final = 5
MOST_CHECKS: Final = 20_000  # health checks in all: a log of months is not to be replayed second by second


@dataclass(frozen=True)
class Logged:
    """A scenario, one sentence that says where it comes from, and the name of its service."""

    scenario: Scenario
    told: str
    service: ServiceName


def scenario_of(trace: Trace) -> Logged:
    """The scenario that `trace` describes. Raises ScenarioError if there is nothing to replay.

    A log that does not name its server gives its arrivals, the times of its answers, and a fault for each stretch of
    time in which at least half of the calls failed. The service gets slots for the most calls that were ever open at a
    time, the app workers for four times as many.
    """
    if isinstance(trace.source.facts.get("parameters"), dict):
        recorded = Scenario.from_trace(trace)
        return Logged(recorded, "arrivals, faults, server and app as recorded", service_name(recorded))
    attempts = trace.attempts
    services = attempts["service"].to_numpy(object)
    called = services == IN_TRACES if (services == IN_TRACES).any() else np.ones(len(attempts), bool)
    time = attempts["time"].to_numpy(np.float64)[called]
    if not len(time):
        raise ScenarioError(f"{trace.source.name}: the log has no attempts, so there is nothing to replay")
    latency = attempts["latency"].to_numpy(np.float64)[called]
    ok = (attempts["outcome"].to_numpy(object) == "ok")[called]
    origin = float(attempts["time"].min())
    duration = max(1.0, math.ceil(float(np.nanmax(attempts["time"].to_numpy())) - origin))
    faults = _faults(time - origin, ok, duration)
    times = latency[ok & (latency > 0.0)]
    answer = _answer_time(times)
    open_calls = _most_open(time, np.where(np.isnan(latency), answer.mean, latency), ok)
    service = Service(slots=open_calls, queue_limit=open_calls, time=answer)
    app = App(workers=4 * open_calls, health_interval=max(App().health_interval, math.ceil(duration / MOST_CHECKS)))
    scenario = Scenario(_arrivals(trace, origin), service, app, faults, duration, name="your log")
    return Logged(scenario, _told(scenario, answer, timed=len(times) > 0), service_name(trace))


def _arrivals(trace: Trace, origin: float) -> Workload:
    """Those of the log, from its first moment on, and numbered anew: not every log numbers its requests."""
    logged = Workload.from_trace(trace, origin)
    return replace(logged, request=np.arange(len(logged)))


def _faults(time: Array, ok: Array, duration: float) -> tuple[Fault, ...]:
    """A fault for each burst of failures, the largest few, in order of time; their share is the burst's."""
    width = duration / BINS
    place = np.minimum((time / width).astype(np.int64), BINS - 1)
    calls = np.bincount(place, minlength=BINS)
    failed = np.bincount(place[~ok], minlength=BINS)
    bad = (calls > 0) & (failed >= BURST * calls)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], bad.astype(np.int8), [0]))))
    bursts = [(int(first), int(end)) for first, end in zip(edges[::2], edges[1::2], strict=True)]
    bursts = [(first, end) for first, end in bursts if failed[first:end].sum() >= FEWEST]
    largest = sorted(bursts, key=lambda burst: -failed[burst[0] : burst[1]].sum())[:MOST_FAULTS]
    return tuple(
        Fault(
            round(first * width, 3),
            round(end * width, 3),
            error=round(float(failed[first:end].sum() / calls[first:end].sum()), 2),
            status=503,
        )
        for first, end in sorted(largest)
    )


def _answer_time(latency: Array) -> Lognormal:
    if not len(latency):
        return Lognormal(1.0, 0.5)
    sigma = float(np.log(latency).std()) if len(latency) > 1 else 0.0
    return Lognormal(float(f"{latency.mean():.3g}"), float(f"{min(sigma, 2.0):.2g}"))


def _most_open(time: Array, latency: Array, ok: Array) -> int:
    """The most successful calls that were open at a time; failures say little of what the service can do."""
    start, end = time[ok], (time + latency)[ok]
    if not len(start):
        return 8
    moments = np.concatenate((start, end))
    steps = np.concatenate((np.ones(len(start)), -np.ones(len(end))))
    order = np.lexsort((steps, moments))
    return max(1, int(np.cumsum(steps[order]).max()))


def _told(scenario: Scenario, answer: Lognormal, timed: bool) -> str:
    slots, app = scenario.service.slots, scenario.app
    windows = "; ".join(_window(fault) for fault in scenario.faults)
    faults = f"faults where at least half of the calls failed: {windows}" if windows else "no burst of failures found"
    seconds = f"answers in {answer.mean:g} s on average" + (
        "" if timed else " (the log does not say how long they took)"
    )
    return (
        f"the log names no server, so it is assumed: {slots} slot{'' if slots == 1 else 's'} (the most calls open at a "
        f"time), {seconds}, an app with {app.workers} workers that is checked every {time_told(app.health_interval)}. "
        f"Arrivals as logged. {faults[0].upper()}{faults[1:]}. Turn the knobs to what you know"
    )


def _window(fault: Fault) -> str:
    return f"{time_told(fault.start)} to {time_told(fault.end)} ({100 * fault.error:.0f} %)"
