"""The witness's account as a file beside a recorded log: what the log is compared with."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from recorders.witness import Seen

RETRY_COUNT = "x-stainless-retry-count"
"""The header in which the SDKs, and our own callers here, say how often they have tried before."""


def attempt_of(seen: Seen) -> int:
    return int(seen.headers.get(RETRY_COUNT, 0)) + 1


def write_truth(path: Path, seen: Iterable[Seen]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("begun", "ended", "method", "path", "status", "attempt"))
        for one in sorted(seen, key=lambda one: one.begun):
            table.writerow((one.begun, one.ended, one.method, one.path, one.status or "", attempt_of(one)))


def read_truth(path: Path) -> list[Seen]:
    with path.open(newline="") as file:
        return [
            Seen(
                int(row["begun"]),
                int(row["ended"]),
                row["method"],
                row["path"],
                int(row["status"]) if row["status"] else None,
                {RETRY_COUNT: str(int(row["attempt"]) - 1)},
            )
            for row in csv.DictReader(file)
        ]
