"""What the recorders of proxies share: callers on loopback, a port where nobody listens, and the account as CSV."""

from __future__ import annotations

import concurrent.futures
import contextlib
import csv
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from recorders.witness import Seen

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Call:
    """One request to send: its id (the header X-Request-Id), where to, how long the caller waits (s)."""

    id: str
    path: str = CHAT
    lane: str = ""
    patience: float = 5.0


@dataclass(frozen=True)
class Answer:
    """What the caller got: when it asked and was answered (ns since 1970), the status or None, and how long it took."""

    begun: int
    ended: int
    status: int | None


def send(port: int, calls: Sequence[Call], workers: int = 8) -> dict[str, Answer]:
    """Send them, so many at a time, each on a connection of its own; the answers by id."""

    def one(call: Call) -> tuple[str, Answer]:
        with httpx.Client(verify=False) as client:  # plain HTTP: certificates would only cost time
            return call.id, _answer(client, port, call)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return dict(pool.map(one, calls))


def send_on_one_connection(port: int, calls: Sequence[Call], pause: float) -> dict[str, Answer]:
    """Send them one after the other over a connection that is kept, with so many seconds of silence in between."""
    answers = {}
    with httpx.Client(verify=False) as client:
        for call in calls:
            time.sleep(pause)
            answers[call.id] = _answer(client, port, call)
    return answers


def _answer(client: httpx.Client, port: int, call: Call) -> Answer:
    headers = {
        "x-request-id": call.id,
        "x-lane": call.lane,
        "x-forwarded-for": "127.0.0.1",
        "authorization": "Bearer not-a-real-key-000000",
    }
    begun, status = time.time_ns(), None
    with contextlib.suppress(httpx.HTTPError):
        url = f"http://127.0.0.1:{port}{call.path}?key=not-a-real-key"
        status = client.post(url, json={"max_tokens": 1}, headers=headers, timeout=call.patience).status_code
    return Answer(begun, time.time_ns(), status)


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody else gets it, but not listened on."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def free_port() -> int:
    with closed_port() as port:
        return port


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > give_up:
            raise RuntimeError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.01)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


TRUTH_COLUMNS = ("begun_ns", "ended_ns", "method", "path", "status", "id")


def write_truth(path: Path, seen: Sequence[Seen]) -> None:
    """The server's own account, one line a request that reached it."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(TRUTH_COLUMNS)
        for one in sorted(seen, key=lambda one: one.begun):
            status = "" if one.status is None else one.status
            table.writerow((one.begun, one.ended, one.method, one.path, status, one.headers.get("x-request-id", "")))


def read_truth(path: Path) -> list[Seen]:
    """The account that `write_truth` wrote; of the headers it has the id."""
    with path.open(newline="") as file:
        return [
            Seen(
                int(row["begun_ns"]),
                int(row["ended_ns"]),
                row["method"],
                row["path"],
                int(row["status"]) if row["status"] else None,
                {"x-request-id": row["id"]},
            )
            for row in csv.DictReader(file)
        ]


def status_table(answers: Mapping[str, Answer], seen: Sequence[Seen]) -> str:
    """How often which status came, as the callers and the server counted it, as a table for a card."""
    callers, server = Counter(one.status for one in answers.values()), Counter(one.status for one in seen)
    rows = ["| status | callers | server |", "| --- | --- | --- |"]
    for status in sorted(callers | server, key=lambda status: status or 1_000):
        rows.append(f"| {status or 'none'} | {callers[status]} | {server[status]} |")
    return "\n".join(rows)
