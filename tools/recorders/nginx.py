"""nginx in front of two witnesses: one run in JSON, as combined lines and with times behind them.

usage: PYTHONPATH=tools python -m recorders.nginx FOLDER          (needs the Debian package nginx-light or nginx)
"""

from __future__ import annotations

import asyncio
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import debian
import httpx

from recorders.ports import closed_port, free_port, wait_for_start, wait_until
from recorders.witness import Seen, Witness

PROGRAM: Final = "nginx"
LOGS: Final = ("nginx_json.log", "nginx_text.log", "combined.log")
NUMBER: Final = "X-Number"
"""The header by which a request is known again in the log and in the accounts."""

READ_TIMEOUT: Final = 0.25
"""Seconds after which nginx gives a witness up."""

JSON_FORMAT: Final = """log_format replay escape=json '{"msec":"$msec","remote_addr":"$remote_addr",'
    '"request":"$request","status":"$status","request_time":"$request_time",'
    '"upstream_addr":"$upstream_addr","upstream_status":"$upstream_status",'
    '"upstream_response_time":"$upstream_response_time",'
    '"upstream_connect_time":"$upstream_connect_time",'
    '"upstream_header_time":"$upstream_header_time",'
    '"upstream_http_retry_after":"$upstream_http_retry_after","number":"$http_x_number"}';"""
TEXT_FORMAT: Final = """log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status '
    '$body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time ua="$upstream_addr" '
    'us="$upstream_status" urt="$upstream_response_time" uct="$upstream_connect_time" '
    'uht="$upstream_header_time" retry_after="$upstream_http_retry_after" number="$http_x_number"';"""

_CONFIGURATION: Final = """
daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 512; }}
http {{
    {json}
    {text}
    access_log {folder}/nginx_json.log replay;
    access_log {folder}/nginx_text.log timed;
    access_log {folder}/combined.log combined;
    {paths}
    upstream both {{ server 127.0.0.1:{first} max_fails=0; server 127.0.0.1:{second} max_fails=0; }}
    upstream half {{ server 127.0.0.1:{closed} max_fails=0; server 127.0.0.1:{second} max_fails=0; }}
    upstream none {{ server 127.0.0.1:{closed} fail_timeout=60; server 127.0.0.1:{closed} fail_timeout=60; }}
    proxy_read_timeout {read_timeout}ms;
    proxy_next_upstream error timeout http_502 http_503 non_idempotent;
    server {{
        listen 127.0.0.1:{port};
        location /v1/chat {{ proxy_pass http://both; }}
        location /half {{ rewrite ^ /v1/chat break; proxy_pass http://half; }}
        location /none {{ rewrite ^ /v1/chat break; proxy_pass http://none; }}
        location /alive {{ return 204; }}
    }}
}}
"""


@dataclass(frozen=True)
class Recording:
    """What a run left: its logs, by name, and what each server saw, with the server's address."""

    folder: Path
    accounts: dict[str, list[Seen]]

    def truth(self) -> Iterator[tuple[object, ...]]:
        """Number of the request, server, begun and ended (ns), method, path and status, in order of time."""
        rows = [(server, seen) for server, account in self.accounts.items() for seen in account]
        for server, seen in sorted(rows, key=lambda row: row[1].begun):
            number = seen.headers[NUMBER.lower()]
            status = "" if seen.status is None else seen.status
            yield number, server, seen.begun, seen.ended, seen.method, seen.path, status


@contextmanager
def proxy(folder: Path, first: int, second: int) -> Iterator[str]:
    """A running nginx that logs into the folder; its address. `first` and `second` are the ports of the witnesses."""
    with closed_port() as closed:
        port = free_port()
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        configuration = _CONFIGURATION.format(
            json=JSON_FORMAT,
            text=TEXT_FORMAT,
            folder=folder,
            paths="\n    ".join(f"{name}_temp_path {folder}/{name};" for name in temporary),
            first=first,
            second=second,
            closed=closed,
            port=port,
            read_timeout=round(READ_TIMEOUT * 1000),
        )
        (folder / "nginx.conf").write_text(configuration, encoding="utf-8")
        command = [_program(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for_start(process, port, "nginx", lambda: _text_of(folder / "error.log"))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def run(folder: Path, calm: int = 50, bad: int = 40) -> Recording:
    """One run: calm, one witness out, both out and callers that give up, refused connections, calm again."""
    with Witness(queue_limit=5) as first, Witness(queue_limit=5) as second:
        with proxy(folder, first.port, second.port) as url:
            asyncio.run(_Callers(url).all((first, second), calm, bad))
            wait_until(
                lambda: not any(w.desk.in_service or w.desk.queued for w in (first, second)), "the end of the queue"
            )
            time.sleep(0.1)  # the last answers are on their way, and then in the accounts
        accounts = {f"127.0.0.1:{witness.port}": witness.seen for witness in (first, second)}
    return Recording(folder, accounts)


class _Callers:
    """They ask through nginx, a few at a time, each request with its number."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._number = 0

    async def all(self, witnesses: tuple[Witness, Witness], calm: int, bad: int) -> None:
        first, second = witnesses
        async with httpx.AsyncClient(base_url=self._url, timeout=10, trust_env=False) as client:
            await self._some(client, calm, 4)
            await self._some(client, 6, 2, method="GET", path="/alive?token=secret-of-a-caller")
            first.set_slots(0)
            await self._some(client, bad, 4)
            second.set_slots(0)
            await self._some(client, 6, 3, patience=0.1)
            await self._some(client, bad // 2, 4)
            for witness in witnesses:
                witness.set_slots(witness.slots)
            await self._some(client, 10, 2, path="/half")
            await self._some(client, 6, 1, path="/none")
            await self._some(client, calm // 2, 4)

    async def _some(
        self,
        client: httpx.AsyncClient,
        requests: int,
        at_a_time: int,
        method: str = "POST",
        path: str = "/v1/chat",
        patience: float | None = None,
    ) -> None:
        free = asyncio.Semaphore(at_a_time)

        async def one(number: int) -> None:
            body = {"max_tokens": 1} if method == "POST" else None
            async with free:
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await client.request(method, path, json=body, headers={NUMBER: str(number)})

        numbers = range(self._number, self._number + requests)
        self._number += requests
        await asyncio.gather(*map(one, numbers))


def record(folder: Path) -> None:
    """Record the files of data/formats."""
    with tempfile.TemporaryDirectory() as made:
        recording = run(Path(made))
        for log in LOGS:
            shutil.copyfile(recording.folder / log, folder / log)
    rows = list(recording.truth())
    with open(folder / "nginx.truth.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("number", "server", "begun", "ended", "method", "path", "status"))
        table.writerows(rows)
    lines = (folder / LOGS[0]).read_text(encoding="utf-8").count("\n")
    answers = Counter(str(row[-1] or "none") for row in rows)
    table_of_answers = "\n".join(f"| {status} | {count} |" for status, count in sorted(answers.items()))
    card = _CARD.format(
        version=_version(), json=JSON_FORMAT, text=TEXT_FORMAT, requests=lines, seen=len(rows), answers=table_of_answers
    )
    (folder / "nginx.md").write_text(card, encoding="utf-8")


_CARD: Final = """# nginx

`nginx_json.log`, `nginx_text.log` and `combined.log`: the same {requests} requests, logged by {version} in three
formats at once, in front of two servers on loopback that kept their own account. Callers came calmly; then one server
had no capacity, then both, and some callers gave up; then one of two servers was a closed port (`/half`), then both
(`/none`); then calm again. nginx tried the next server after an error, a timeout, 502 or 503. `/alive` it answered
itself; the token in its query was made up.

    {json}

    {text}

`nginx.truth.csv` is the account of the servers: {seen} requests, with the number that the log has too and nanoseconds
since 1970. What a server finished after nginx had given up has the status that it would have sent.

| status | requests seen by the servers |
| --- | --- |
{answers}

To record it again: `make record-formats`. The recording was not edited.
"""


def _version() -> str:
    said = subprocess.run([_program(), "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition(" ")[2]


def _program() -> str:
    program = debian.find(PROGRAM)
    if program is None:
        raise RuntimeError("there is no nginx on this machine; install the Debian package nginx-light")
    return program


def _text_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


if __name__ == "__main__":
    record(Path(sys.argv[1]))
