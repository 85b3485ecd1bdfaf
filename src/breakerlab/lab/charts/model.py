"""The server model behind a chart, in words: a claim comes with its evidence."""

import math
from collections.abc import Sequence
from typing import Final

from breakerlab.lab.charts.rounding import percent, told
from breakerlab.replay import App, Fault, Scenario, Service
from breakerlab.replay.distribution import Constant, Distribution, Empirical, Exponential, Llm, Lognormal

NO_LIMIT: Final = 100_000  # slots or workers: as good as none
MOST_FAULTS: Final = 2  # told one by one
DISCIPLINES: Final = {"fifo": "FIFO", "lifo": "LIFO", "deadline": "FIFO, late work dropped"}


def scenario_told(scenario: Scenario) -> tuple[str, ...]:
    """Service, faults, app and loop, each in a few words."""
    loop = "closed loop" if scenario.is_closed_loop else "open loop"
    return service_told(scenario.service), faults_told(scenario.faults), app_told(scenario.app), loop


def service_told(service: Service) -> str:
    """The service's slots, queue and service time: "8 slots, queue 8, FIFO, lognormal, mean 0.3 s, sigma 0.5"."""
    if service.slots >= NO_LIMIT:
        return f"slots without limit, {time_told(service.time)}"
    return f"{places_told(service.slots, service.queue_limit, service.discipline)}, {time_told(service.time)}"


def places_told(slots: int, queue: int | None, discipline: str = "") -> str:
    """Where attempts are worked on, and where they wait; in which order, if that is given and somebody can wait."""
    working = "1 slot" if slots == 1 else f"{slots:,} slots"
    waiting = {None: "queue without limit", 0: "no queue"}.get(queue, f"queue {queue:,}" if queue else "")
    order = "" if queue == 0 or not discipline else f", {DISCIPLINES[discipline]}"
    return f"{working}, {waiting}{order}"


def time_told(time: Distribution) -> str:
    """How long an attempt takes."""
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
            return llm_time_told(time.first_token, time.per_token, time.slowdown)
    return "a service time of its own"


def llm_time_told(first_token: float, per_token: float, slowdown: float) -> str:
    """Seconds to the first token, seconds for each, and by how much longer when all slots are taken."""
    slower = f", {told(1.0 + slowdown)} times that when full" if slowdown else ""
    return f"{told(first_token)} s + {told(1000.0 * per_token)} ms per token{slower}"


def faults_told(faults: Sequence[Fault]) -> str:
    """When the service is in trouble, and in which: "fault 30 to 60 s at 1/8"."""
    if len(faults) > MOST_FAULTS:
        return f"{len(faults)} faults"
    return ", ".join(f"{window_told(fault.start, fault.end)}{_trouble(fault)}" for fault in faults) or "no fault"


def window_told(start: float, end: float, capacity: float = 1.0) -> str:
    """The seconds of a fault, and the share of the capacity that is left, if not all."""
    until = f" to {told(end)} s" if math.isfinite(end) else " s on"
    return f"fault {told(start)}{until}{_left(capacity)}"


def share_told(share: float) -> str:
    """A share as one part of so many, or else in percent: "1/8", "30 %"."""
    parts = 1.0 / share if share else math.inf
    return f"1/{parts:.0f}" if parts < NO_LIMIT and parts == round(parts) else percent(share)


def _left(capacity: float) -> str:
    return "" if capacity == 1.0 else f" at {share_told(capacity)}"


def _trouble(fault: Fault) -> str:
    longer = f" at {told(fault.latency)} times the time" if fault.latency != 1.0 else ""
    kinds = (("refused", fault.refuse), ("hang", fault.hang), (f"answered {fault.status}", fault.error))
    struck = [f"{percent(share)} {what}" for what, share in kinds if share]
    return f"{_left(fault.capacity)}{longer}{': ' if struck else ''}{', '.join(struck)}"


def app_told(app: App) -> str:
    """How many workers call the service."""
    several = f"{app.instances} instances of " if app.instances > 1 else ""
    return f"app with {several}{workers_told(app.workers)}"


def workers_told(workers: int) -> str:
    """A number of workers."""
    return "workers without limit" if workers >= NO_LIMIT else f"{workers:,} workers"
