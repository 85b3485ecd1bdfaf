"""Callers of a proxy before the witness, and both accounts of what happened: theirs and the witness's."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pandas as pd

from breakerlab.trace import Trace
from recorders.truth import read_rows, status_table, write_rows
from recorders.witness import Witness

CALLER, WITNESS = "caller", "witness"

_CHAT = ("/v1/chat/completions", "/v1/messages", "/v1/chat")


@dataclass(frozen=True)
class Told:
    """One request as a caller or the witness saw it. Times are nanoseconds since 1970; status is None without one."""

    begun: int
    ended: int
    method: str
    path: str
    status: int | None
    who: str


def drive(url: str, witness: Witness, *, calm: int = 60, pause: float = 0.012) -> list[Told]:
    """Calm, a burst, refused connections, callers who give up, an outage that outlasts the proxy's patience, calm."""
    told: list[Told] = []
    with httpx.Client(base_url=url, timeout=10) as client, ThreadPoolExecutor(24) as pool:

        def call(method: str, target: str, patience: float = 10.0) -> None:
            body = {"max_tokens": 5} if method == "POST" else None
            begun, status = time.time_ns(), None
            with contextlib.suppress(httpx.TransportError):
                status = client.request(method, target, json=body, timeout=patience).status_code
            told.append(Told(begun, time.time_ns(), method, target.partition("?")[0], status, CALLER))

        def calls(number: int, every: float, patience: float = 10.0) -> None:
            running = []
            for k in range(number):
                running.append(pool.submit(call, "POST", f"{_CHAT[k % 3]}?api_key=example-{k}", patience))
                time.sleep(every)
            for one in running:
                one.result()

        calls(calm, pause)
        calls(18, 0.0)
        for k in range(6):
            call("GET", "/down/stats" if k % 2 else "/nothing")
        calls(4, pause, patience=0.012)
        time.sleep(0.1)  # the witness has finished these
        witness.set_slots(0)
        time.sleep(0.02)
        calls(20, 0.05)
        witness.set_slots(witness.slots)
        time.sleep(0.1)
        calls(calm // 2, pause)
    time.sleep(0.1)  # a proxy may write its line after the caller has its answer
    told += [Told(one.begun, one.ended, one.method, one.path, one.status, WITNESS) for one in list(witness.seen)]
    return sorted(told, key=lambda one: one.begun)


def write(path: Path, told: Iterable[Told]) -> None:
    """The account as CSV."""
    write_rows(path, told, {"who": lambda one: one.who})


def read(path: Path) -> list[Told]:
    """The account that `write` wrote."""
    return [Told(*common, row["who"]) for common, row in read_rows(path)]


def disagreements(trace: Trace, told: Sequence[Told], *, resolution: float, slack: float) -> list[str]:
    """Where the log of a proxy contradicts what the callers and the witness saw; empty if nowhere.

    Nothing says which line belongs to which call, so what is compared is what must hold for the calls of an endpoint in
    order of size, whoever is whose: a request begins at the caller, then at the proxy, then at the witness, and the
    witness takes no longer than the proxy, nor the proxy than the caller. `resolution` is how much later than the log
    says a request may have begun; `slack` is what a clock reading may come late by. Seconds.
    """
    rows = trace.attempts
    rows = rows[rows["endpoint"] != ""]
    assert trace.start is not None
    zero = int(trace.start.timestamp())
    found = []
    for endpoint in sorted({f"{one.method} {one.path}" for one in told}):
        here = rows[rows["endpoint"] == endpoint]
        callers, witness = (
            [one for one in told if f"{one.method} {one.path}" == endpoint and one.who == who]
            for who in (CALLER, WITNESS)
        )
        found += [f"{endpoint}: {what}" for what in _counts(here, callers)]
        starts = here["time"].tolist()
        if not _in_order([one.begun / 1e9 - zero for one in callers], starts, resolution):
            found.append(f"{endpoint}: begins before its callers began")
        if not _in_order(starts, [one.begun / 1e9 - zero for one in witness], slack):
            found.append(f"{endpoint}: begins after the witness began")
        found += [f"{endpoint}: {what}" for what in _latencies(here, callers, witness, slack)]
    return found


def _counts(rows: pd.DataFrame, callers: Sequence[Told]) -> list[str]:
    gone = sum(one.status is None for one in callers)
    answered = Counter(one.status for one in callers if one.status is not None)
    logged = Counter(int(status) for status in rows["status"][rows["outcome"] != "cancelled"])
    said = []
    if len(rows) != len(callers):
        said.append(f"{len(rows)} rows, {len(callers)} calls")
    if answered - logged:
        said.append(f"answers that the log lacks: {dict(answered - logged)}")
    if (logged - answered).total() > gone:
        said.append(f"answers that nobody got: {dict(logged - answered)}")
    return said


def _latencies(rows: pd.DataFrame, callers: Sequence[Told], witness: Sequence[Told], slack: float) -> list[str]:
    said = []
    for status in sorted({one.status for one in callers if one.status is not None}):
        here = rows["latency"][(rows["status"] == status).fillna(False)].tolist()
        waited = [(one.ended - one.begun) / 1e9 for one in callers if one.status == status]
        worked = [(one.ended - one.begun) / 1e9 for one in witness if one.status == status]
        if not _in_order(here, waited, slack):
            said.append(f"{status}: took longer than the callers waited")
        if not _in_order(worked, here, slack):
            said.append(f"{status}: took less than the witness worked")
    return said


def _in_order(less: Sequence[float], more: Sequence[float], slack: float) -> bool:
    """Whether each of `more` can have one of `less` that is smaller; `less` may have others beside."""
    return all(a <= b + slack for a, b in zip(sorted(less), sorted(more), strict=False))


def table(told: Sequence[Told]) -> str:
    """How often each side saw each status, as a table for a card."""
    callers, server = ([one.status for one in told if one.who == who] for who in (CALLER, WITNESS))
    return status_table(callers, server)
