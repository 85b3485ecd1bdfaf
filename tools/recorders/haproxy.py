"""Debian's HAProxy in front of the witness: what it logs, and what the server itself saw of the same run."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import debian

from recorders.calls import Answer, Call, send, send_on_one_connection, serve_again
from recorders.ports import closed_port, free_port, wait_for_start, wait_until
from recorders.truth import status_table, write_truth
from recorders.witness import Seen, Witness

TIMEOUT = 0.3
"""Seconds that HAProxy waits for an answer of the server."""

CONFIG = """
global
    log stdout format raw local0 info
    log-send-hostname
defaults
    mode http
    log global
    {format}
    option redispatch
    option abortonclose
    retries 2
    balance roundrobin
    timeout client 5s
    timeout connect 100ms
    timeout server {timeout}ms
    timeout queue 100ms
frontend front
    bind 127.0.0.1:{port}
    capture request header X-Request-Id len 20
    http-request deny deny_status 429 if {{ path /denied }}
    use_backend dead if {{ path /dead }}
    use_backend empty if {{ path /empty }}
    use_backend narrow if {{ hdr(x-lane) narrow }}
    use_backend again if {{ hdr(x-lane) again }}
    use_backend half if {{ hdr(x-lane) half }}
    default_backend chat
backend chat
    server one 127.0.0.1:{server}
backend half
    server one 127.0.0.1:{server}
    server gone 127.0.0.1:{closed}
backend narrow
    server one 127.0.0.1:{server} maxconn 1
backend again
    retry-on 503 conn-failure
    server one 127.0.0.1:{server}
backend dead
    server gone 127.0.0.1:{closed}
backend empty
"""


@dataclass(frozen=True)
class Recording:
    log: bytes
    seen: list[Seen]
    answers: dict[str, Answer]
    version: str


def run(format_option: str = "option httplog", per_phase: int = 20) -> Recording:
    """Calm, an outage with timeouts and 503s, refused connections, a full queue, impatient callers, and calm again."""
    program = debian.find("haproxy")
    if program is None:
        raise RuntimeError("HAProxy is not installed; on Debian: apt-get install haproxy.")
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout.split()[2]
    with Witness() as witness, closed_port() as closed, tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder, "haproxy.cfg")
        values = {"port": port, "server": witness.port, "closed": closed, "timeout": round(TIMEOUT * 1e3)}
        config.write_text(CONFIG.format(format=format_option, **values))
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "-db", "-f", str(config)],
                stdout=output,
                stderr=subprocess.PIPE,
                cwd=folder,
                env={**os.environ, "TZ": "UTC"},
            )
        try:
            wait_for_start(process, port, "HAProxy", lambda: process.communicate()[1].decode(errors="replace"))
            answers = _incident(port, witness, per_phase)
            wait_until(lambda: log.read_bytes().count(b"{") >= len(answers), "the last line of the log")
        finally:
            process.terminate()
            process.communicate(timeout=20)
        lines = [line for line in log.read_bytes().splitlines(keepends=True) if b"{" in line]  # not our probing
        return Recording(b"".join(lines), list(witness.seen), answers, version)


def _incident(port: int, witness: Witness, per_phase: int) -> dict[str, Answer]:
    number = iter(range(10_000))

    def calls(count: int, **changes: object) -> list[Call]:
        return [Call(f"r{next(number)}", **changes) for _ in range(count)]  # type: ignore[arg-type]

    answers = send(port, calls(per_phase), 4)
    answers |= send(port, calls(per_phase // 2, lane="half"), 3)
    answers |= send_on_one_connection(port, calls(3), 0.2)
    answers |= send(port, calls(4, path="/dead") + calls(2, path="/empty") + calls(2, path="/denied"))
    witness.set_slots(0)
    answers |= send(port, calls(per_phase), 4)
    serve_again(witness)
    answers |= send(port, calls(8, lane="narrow"), 8)
    witness.set_slots(0)
    answers |= send(port, calls(2, patience=TIMEOUT / 2), 2)
    answers |= send(port, calls(4, lane="again"), 4)
    serve_again(witness)
    return answers | send(port, calls(per_phase), 4)


CARD = """# haproxy

`haproxy.log`: one run of HAProxy {version} on loopback, before a server that kept its own account, with
`option httplog`, `option redispatch`, `retries 2`, `timeout server {timeout}ms` and
`capture request header X-Request-Id len 20`, which joins the two. Callers came calmly, over a kept connection with
pauses, to a backend of which one server refuses (`half`) and one of which the only one does (`dead`), to a backend
without servers (`empty`), to one that takes a request at a time (`narrow`), to one that tries again after 503
(`again`), and to a path that is denied. In an outage the server had no capacity, and two callers gave up.
The keys in the query strings were made up.

`haproxy.truth.csv`: each request that reached the server, as the server saw it, in nanoseconds since 1970.

{table}

HAProxy writes 400 for callers who have gone; they got nothing. The server saw each attempt, and finished what had timed
out later, for nobody.

To record it again: `make record-formats`. The recording was not edited.
"""


def record(folder: Path) -> None:
    recording = run()
    table = status_table(
        (answer.status for answer in recording.answers.values()), (one.status for one in recording.seen)
    )
    card = CARD.format(version=recording.version, timeout=round(TIMEOUT * 1e3), table=table)
    (folder / "haproxy.md").write_text(card)
    (folder / "haproxy.log").write_bytes(recording.log)
    write_truth(folder / "haproxy.truth.csv", recording.seen, "id")
