"""A trace in a few lines of plain text. Text of the log is never put into markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import PurePath

import pandas as pd

from breakerlab.trace.errors import TraceError

_SERVICES = 5
_REASONS = 3


def summary(
    attempts: pd.DataFrame,
    events: pd.DataFrame,
    start: datetime | None,
    name: str,
    skipped: Sequence[TraceError],
) -> str:
    """Rows, span, outcomes of each service, events, and what was skipped and why."""
    return "\n".join(_lines(attempts, events, start, name, skipped))


def _lines(
    attempts: pd.DataFrame, events: pd.DataFrame, start: datetime | None, name: str, skipped: Sequence[TraceError]
) -> Iterator[str]:
    of = f" of {PurePath(name).name}" if name else ""
    yield f"Trace{of}: {_count(len(attempts), 'attempt')}{_span(attempts, start)}"
    services = attempts["service"].value_counts(sort=True)
    services = services[services > 0]
    for service, number in services.head(_SERVICES).items():
        outcomes = attempts.loc[attempts["service"] == service, "outcome"].value_counts(sort=False)
        told = ", ".join(f"{outcome} {n:,}" for outcome, n in outcomes.items() if n)
        yield f"  {service}: {_count(number, 'attempt')} ({told})"
    if len(services) > _SERVICES:
        yield f"  and {_count(len(services) - _SERVICES, 'more service')}"
    if len(events):
        kinds = events["kind"].value_counts(sort=False)
        yield "  events: " + ", ".join(f"{kind} {n:,}" for kind, n in kinds.items() if n)
    if skipped:
        yield f"  skipped: {_count(sum(error.lines for error in skipped), 'line')}"
        yield from (f"    {_told(error)}" for error in skipped[:_REASONS])
        if len(skipped) > _REASONS:
            yield "    ..."


def _told(error: TraceError) -> str:
    column = "" if error.column is None else f", column {error.column}"
    return f"line {error.line}{column}: {error.reason}"


def _span(attempts: pd.DataFrame, start: datetime | None) -> str:
    if attempts.empty:
        return ""
    first, last = attempts["time"].iloc[0], attempts["time"].iloc[-1]
    since = "" if start is None else f" after {start:%Y-%m-%d %H:%M:%S} UTC"
    return f", {first:.1f} to {last:.1f} s{since}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
