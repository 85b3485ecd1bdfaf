"""Callers on loopback that send one request after the other, each with an id, and what they got."""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from recorders.ports import wait_until
from recorders.truth import REQUEST_ID
from recorders.witness import Witness

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
        REQUEST_ID: call.id,
        "x-lane": call.lane,
        "x-forwarded-for": "127.0.0.1",
        "authorization": "Bearer not-a-real-key-000000",
    }
    begun, status = time.time_ns(), None
    with contextlib.suppress(httpx.HTTPError):
        url = f"http://127.0.0.1:{port}{call.path}?key=not-a-real-key"
        status = client.post(url, json={"max_tokens": 1}, headers=headers, timeout=call.patience).status_code
    return Answer(begun, time.time_ns(), status)


def serve_again(witness: Witness) -> None:
    """The end of an outage, once everything that has waited in it was served."""
    witness.set_slots(witness.slots)
    wait_until(lambda: not (witness.desk.queued or witness.desk.in_service), "the end of the queue")
    time.sleep(0.05)  # the witness writes its account of a request after the answer
