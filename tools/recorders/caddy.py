"""Caddy as a reverse proxy in front of the witness, writing its JSON access log."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import debian

from recorders import callers
from recorders.ports import closed_port, free_port, wait_for_start
from recorders.witness import Witness

PACKAGE = "caddy"

_CONFIG = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    log {{
        output file {folder}/access.log
        format filter {{
            wrap json
            fields {{
                request>headers delete
                resp_headers delete
            }}
        }}
    }}
    handle /down/* {{
        reverse_proxy 127.0.0.1:{closed}
    }}
    handle /unhandled {{
    }}
    handle {{
        reverse_proxy 127.0.0.1:{witness} {{
            transport http {{
                response_header_timeout 1s
            }}
        }}
    }}
}}
"""

_CARD = """# caddy

`caddy.jsonl`: Caddy {version} as a reverse proxy on loopback, before a server that kept its own account; headers were
left out by Caddy's own filter. Callers came calmly, in a burst, and gave up; for a second the server had no capacity,
so that requests ran into the time limit of 1 s; `/down` was forwarded to a port on which nobody listens. The query
strings hold keys that were made up.

`caddy.truth.csv` holds what the server (`witness`) and the callers saw of the same run, in nanoseconds since 1970.

{calls}

Caddy answers 504 where the server does not answer in time, 502 where nobody listens, and writes status 0 where the
caller went away first. The server finished later, for nobody.

To record it again: `make record-formats`. The recording was not edited.
"""


def find() -> str:
    """The Caddy program. Raises RuntimeError with the package's name."""
    program = debian.find("caddy")
    if program is None:
        raise RuntimeError(f"There is no Caddy here; the tests of its log need it: apt-get install {PACKAGE}")
    return program


@contextlib.contextmanager
def running(witness: Witness) -> Iterator[tuple[str, Path]]:
    """Caddy before the witness: its address and its log."""
    program = find()
    with tempfile.TemporaryDirectory(prefix="caddy-") as text, closed_port() as closed:
        folder = Path(text)
        port = free_port()
        config = folder / "Caddyfile"
        config.write_text(_CONFIG.format(folder=folder, port=port, witness=witness.port, closed=closed))
        process = subprocess.Popen(
            [program, "run", "--config", str(config), "--adapter", "caddyfile"],
            env={"HOME": text, "XDG_DATA_HOME": text, "XDG_CONFIG_HOME": text},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_start(process, port, "Caddy")
            yield f"http://127.0.0.1:{port}", folder / "access.log"
        finally:
            process.terminate()
            process.wait(20)


def record(folder: Path) -> None:
    """Write caddy.jsonl, its account and its card into the folder."""
    version = subprocess.run([find(), "version"], capture_output=True, text=True, check=True).stdout.split()[0]
    with Witness() as witness, running(witness) as (url, log):
        told = callers.drive(url, witness)
        (folder / "caddy.jsonl").write_bytes(log.read_bytes())
        callers.write(folder / "caddy.truth.csv", told)
        (folder / "caddy.md").write_text(_CARD.format(version=version, calls=callers.table(told)))
