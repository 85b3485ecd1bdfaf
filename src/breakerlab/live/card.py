"""The card that goes with a recording: what ran, with which parameters and versions, what was counted, how to repeat
it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import pandas as pd

from breakerlab.live.incident import Incident
from breakerlab.trace import Step, Trace

LIBRARIES = ("breakerlab", "httpx", "httpcore", "h11", "starlette", "uvicorn")


@dataclass(frozen=True)
class Facts:
    """What the processes told of themselves: the start (UTC), how long until the last call had ended (s), how late
    the driver sent its callers (s, worst and 99th percentile), and what the provider counted.
    """

    started: datetime
    drained: float
    max_lag: float
    p99_lag: float
    provider: dict[str, int]


def versions() -> dict[str, str]:
    """Of Python, the operating system and the libraries that carry the requests."""
    system = f"{platform.system()} {platform.machine()}"
    libraries = {library: version(library) for library in LIBRARIES}
    return {"python": platform.python_version(), "system": system, **libraries}


def card(incident: Incident, trace: Trace, steps: Sequence[Step], facts: Facts) -> str:
    """The card as Markdown."""
    parts = (
        f"# {incident.name}",
        _what_ran(incident, facts),
        "## The eight steps",
        _steps_seen(steps),
        "## Counts",
        _counts(trace),
        _beside_the_calls(trace, facts),
        "## Parameters",
        "Seconds, and requests a second.",
        _table(("parameter", "value"), _flat(incident.parameters())),
        "## Policy",
        _table(("parameter", "value"), _flat(incident.policy.to_dict())),
        "## Versions",
        _table(("what", "version"), versions().items()),
        "## How to record it again",
        f"    breakerlab record incident --only {incident.name} --seed {incident.seed} --out data/",
        "The callers come at the same times and ask for the same. The rest happens anew between real processes, so the "
        "numbers above will be near, not equal. This recording was not edited.",
    )
    return "\n\n".join(parts) + "\n"


def _what_ran(incident: Incident, facts: Facts) -> str:
    faults = " and ".join(
        f"slots in service from {fault.start:g} s to {fault.end:g} s: {incident.slots_at(fault.start)}"
        for fault in incident.faults
    )
    slots = f"{incident.service.slots} slots and a queue of {incident.service.queue_limit}"
    return (
        f"Recorded {facts.started:%Y-%m-%d %H:%M} UTC. Callers came for {incident.duration:g} s; all work had ended "
        f"after {facts.drained:.0f} s. Real processes on loopback, all on one machine: callers (open loop, drawn "
        f"beforehand from seed {incident.seed}), a pipeline with {incident.app.workers} workers, the LLM-like provider "
        f"that it calls ({slots}; {faults or 'no fault'}), and a supervisor of the pipeline. "
        "Every attempt of the callers on the pipeline (service `app`) and of the pipeline on the provider (service "
        "`llm`) is in the recording, and so are pool use, health and restarts."
    )


def _steps_seen(steps: Sequence[Step]) -> str:
    rows = [
        (step.number, step.name, "not seen" if step.seen_at is None else f"{step.seen_at:.1f} s", step.evidence)
        for step in steps
    ]
    return _table(("step", "what", "first seen", "how much"), rows)


def _counts(trace: Trace) -> str:
    attempts = trace.attempts
    outcomes = [str(outcome) for outcome in attempts["outcome"].unique()]
    rows = []
    for (service, endpoint), some in attempts.groupby(["service", "endpoint"], observed=True):
        by_outcome = some["outcome"].value_counts()
        unavailable = int((some["status"] == 503).sum())
        per_outcome = [int(by_outcome.get(outcome, 0)) for outcome in outcomes]
        rows.append((service, endpoint, some["request"].nunique(), len(some), unavailable, *per_outcome))
    return _table(("service", "endpoint", "requests", "attempts", "status 503", *outcomes), rows)


def _beside_the_calls(trace: Trace, facts: Facts) -> str:
    events = trace.events
    rows = [
        ("restarts", _events(events, "restart", 1)),
        ("failed health probes", _events(events, "health", 0)),
        ("passed health probes", _events(events, "health", 1)),
        ("accepted by the provider, by its own count", facts.provider["accepted"]),
        ("refused with 503 by the provider, by its own count", facts.provider["rejected"]),
        ("served by the provider, by its own count", facts.provider["served"]),
        ("callers sent late: worst", f"{1000 * facts.max_lag:.1f} ms"),
        ("callers sent late: 99th percentile", f"{1000 * facts.p99_lag:.1f} ms"),
    ]
    return _table(("what", "value"), rows) + "\n\nLatencies count from the intended time, so lateness is part of them."


def _events(events: pd.DataFrame, kind: str, value: int) -> int:
    return int(((events["kind"] == kind) & (events["value"] == value)).sum())


def _flat(facts: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Nested dicts and lists as rows with dotted names."""
    if isinstance(facts, list):
        facts = dict(enumerate(facts, start=1))
    if not isinstance(facts, dict):
        return [(prefix, facts)]
    pairs = facts.items()
    return [row for name, value in pairs for row in _flat(value, f"{prefix}.{name}" if prefix else str(name))]


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
