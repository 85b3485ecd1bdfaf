"""The books of a run: nothing is lost and nothing appears. Checked after every run, to the last attempt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from breakerlab.replay.calendar import KINDS
from breakerlab.replay.desk import IN_SERVICE, QUEUED
from breakerlab.replay.errors import ReplayError
from breakerlab.replay.kinds import APP, ARRIVED, LLM, REJECTED, UNKNOWN
from breakerlab.replay.pool import PROBING, WORKING
from breakerlab.replay.records import NOTHING
from breakerlab.replay.tables import CALLS, JOBS, World, first_of

TOLERANCE = 1e-9  # of sums of seconds, whose last digits depend on the order of adding


def check_books(w: World) -> None:
    """Raises ReplayError unless attempts, requests, workers, busy time and time in the system are conserved."""
    clock, service = first_of(w.clock), first_of(w.service)
    n = clock.rows
    kind, outcome = w.rows.service[:n], w.rows.outcome[:n]
    jobs = w.jobs[: w.stores["used"][JOBS]].view(np.ndarray)
    under_way = calls_under_way(w)
    rejected = np.count_nonzero(outcome == REJECTED)
    on_llm = np.count_nonzero(kind == LLM)
    _same("attempts sent", on_llm - rejected, clock.sent)
    _same("attempts that came to the service", clock.sent, service.came)
    ended = service.served + service.failed + service.refused + service.throttled + service.turned_away
    given_up = service.dropped + service.cancelled
    in_hand = service.in_service + service.queued + service.on_the_way
    _same("attempts at the service", ended + given_up + in_hand, service.came)
    unknown = kind[np.flatnonzero(outcome == UNKNOWN)]
    _same("attempts in flight", np.count_nonzero(unknown == LLM), np.count_nonzero(under_way["row"] != NOTHING))
    _same("requests", n - on_llm, clock.arrived)
    events = w.calendar[: clock.scheduled].view(np.ndarray)
    coming = w.requests.row[events["subject"][events["key"] % KINDS == ARRIVED]]
    waited_for = np.count_nonzero(outcome[np.concatenate((under_way["app_row"], coming))] == UNKNOWN)
    _same("requests in flight", np.count_nonzero(unknown == APP), waited_for)
    working = np.bincount(under_way["instance"][under_way["state"] == WORKING], minlength=len(w.instances))
    _same("workers", int(np.abs(working - w.instances["in_use"]).sum()), 0)
    now = clock.now
    state = jobs["state"]
    serving, present = jobs[state == IN_SERVICE], jobs[(state == IN_SERVICE) | (state == QUEUED)]
    _same("jobs in service", len(serving), service.in_service)
    _same("jobs present", len(present), service.in_service + service.queued)
    since = now - service.looked_at
    busy = service.busy + service.in_service * since
    _near("busy time", busy, service.given + float((now - serving["began"]).sum()), now)
    there = service.present + (service.in_service + service.queued) * since
    _near("time in the system (Little's law)", there, service.spent + float((now - present["arrived"]).sum()), now)


def calls_under_way(w: World) -> Any:
    """The records of the calls that the app has in hand."""
    calls = w.calls[: w.stores["used"][CALLS]].view(np.ndarray)
    return calls[(calls["state"] > 0) & (calls["state"] != PROBING)]


def _same(what: str, one: Any, other: Any) -> None:
    if one != other:
        raise ReplayError(
            f"the simulator's books disagree on {what}: {one:,} and {other:,}; this is a bug, please report it"
        )


def _near(what: str, one: float, other: float, now: float) -> None:
    if not math.isclose(one, other, rel_tol=TOLERANCE * 1e3, abs_tol=TOLERANCE * max(now, 1.0)):
        raise ReplayError(f"the simulator's books disagree on {what}: {one!r} s and {other!r} s; please report it")
