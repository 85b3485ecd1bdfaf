"""Who saw which requests, as a file beside a recorded log: what the log is compared with."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from recorders.witness import Seen

COLUMNS = ("begun", "ended", "method", "path", "status")

RETRY_COUNT = "x-stainless-retry-count"
"""The header in which the SDKs, and our own callers here, say how often they have tried before."""
REQUEST_ID = "x-request-id"

Common = tuple[int, int, str, str, int | None]


class Request(Protocol):
    """One request as somebody saw it. Times are nanoseconds since 1970; status is None without one."""

    @property
    def begun(self) -> int: ...
    @property
    def ended(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def status(self) -> int | None: ...


R = TypeVar("R", bound=Request)


@dataclass
class Run:
    """What a run left: the log, the witness's account, and the attempts that no server saw."""

    log: Path
    seen: list[Seen] = field(default_factory=list)
    refused: int = 0
    timeout: float = 0.0


def attempt_of(seen: Seen) -> int:
    return int(seen.headers.get(RETRY_COUNT, 0)) + 1


def id_of(seen: Seen) -> str:
    return seen.headers.get(REQUEST_ID, "")


def write_rows(path: Path, told: Iterable[R], more: Mapping[str, Callable[[R], object]]) -> None:
    """One row a request, in order of time, with more columns by name; no status is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*COLUMNS, *more))
        for one in sorted(told, key=lambda one: one.begun):
            status = "" if one.status is None else one.status
            others = (value(one) for value in more.values())
            table.writerow((one.begun, one.ended, one.method, one.path, status, *others))


def read_rows(path: Path) -> list[tuple[Common, dict[str, str]]]:
    """What `write_rows` wrote: the values of `COLUMNS`, and the whole row as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(_common(row), row) for row in csv.DictReader(file)]


def _common(row: Mapping[str, str]) -> Common:
    status = int(row["status"]) if row["status"] else None
    return int(row["begun"]), int(row["ended"]), row["method"], row["path"], status


def write_truth(path: Path, seen: Iterable[Seen], *columns: str) -> None:
    """The server's own account; `columns` are "attempt" or "id", as the callers told it in a header."""
    values = {"attempt": attempt_of, "id": id_of}
    write_rows(path, seen, {column: values[column] for column in columns})


def read_truth(path: Path) -> list[Seen]:
    """The account that `write_truth` wrote; of the headers it has those that became columns."""
    return [Seen(*common, _headers(row)) for common, row in read_rows(path)]


def _headers(row: Mapping[str, str]) -> dict[str, str]:
    headers = {REQUEST_ID: row["id"]} if "id" in row else {}
    return headers | ({RETRY_COUNT: str(int(row["attempt"]) - 1)} if "attempt" in row else {})


def status_table(callers: Iterable[int | None], server: Iterable[int | None]) -> str:
    """How often which status came, as the callers and the server counted it, as a table for a card."""
    got, sent = Counter(callers), Counter(server)
    rows = ["| status | callers | server |", "| --- | --- | --- |"]
    for status in sorted(got | sent, key=lambda status: status or 1_000):
        rows.append(f"| {status or 'none'} | {got[status]} | {sent[status]} |")
    return "\n".join(rows)
