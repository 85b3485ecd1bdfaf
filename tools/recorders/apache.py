"""Apache as a reverse proxy in front of the witness, writing the same requests in several log formats at once."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import debian

from recorders import callers
from recorders.ports import closed_port, free_port, wait_for_start
from recorders.witness import Witness

MODULES = Path("/usr/lib/apache2/modules")
PACKAGE = "apache2"

RECOMMENDED = (
    r"%h %l %u [%{%d/%b/%Y:%H:%M:%S}t.%{usec_frac}t %{%z}t] \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D %X"
)
"""What docs/formats.md tells its readers to configure."""

LOG_FORMATS = {
    "recommended": RECOMMENDED,
    "combined_d": r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D",
    "vhost_d": r"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D",
    "common_d": r"%h %l %u %t \"%r\" %>s %O %D",
    "seconds_d": r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %T/%D",
    "milliseconds": r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %{ms}T",
    "labelled": r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %{ms}Tms",
    "combinedio": r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %I %O",
    "combined": r"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"",
    "common": r"%h %l %u %t \"%r\" %>s %O",
}

_CONFIG = """
ServerRoot "{folder}"
ServerName example.test
{identity}
PidFile "{folder}/apache.pid"
Mutex file:{folder}
DefaultRuntimeDir "{folder}"
Listen 127.0.0.1:{port}
ErrorLog "{folder}/error.log"
StartServers 1
ServerLimit 1
ThreadsPerChild 64
MaxRequestWorkers 64
GracefulShutdownTimeout 5
{modules}
{logs}
ProxyPass "/down" "http://127.0.0.1:{closed}" retry=0
ProxyPass "/" "http://127.0.0.1:{witness}/" retry=0 timeout={timeout}
"""


_CARD = """# apache

`apache.log` and `apache_plain.log`: one run of {version} as a reverse proxy on loopback, before a server
that kept its own account, written in two formats at once. Callers came calmly, in a burst, and gave up; for a second
the server had no capacity, so that requests ran into Apache's time limit of 1 s; `/down` was forwarded to a port on
which nobody listens; the last two lines are no HTTP. The query strings hold keys that were made up.

    LogFormat "{log_format}" breakerlab
    LogFormat "{plain}" plain

`apache.truth.csv` holds what the server (`witness`) and the callers saw of the same run, in nanoseconds since 1970.

{calls}

Apache answers 502 where the server does not answer in time, and 503 where nobody listens. The server never saw the
latter, and finished the former later, for nobody.

To record it again: `make record-formats`. The recording was not edited.
"""


@dataclass
class Proxy:
    """A running Apache."""

    folder: Path
    url: str
    process: subprocess.Popen[bytes]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def find() -> str:
    """The Apache program. Raises RuntimeError with the package's name."""
    program = debian.find("apache2")
    if program is None:
        raise RuntimeError(f"There is no Apache here; the tests of its log need it: apt-get install {PACKAGE}")
    return program


@contextlib.contextmanager
def running(witness: Witness, *, timeout: int = 1) -> Iterator[Proxy]:
    """Apache before the witness, which it gives `timeout` seconds to answer; it has written its log at the end."""
    program = find()
    with tempfile.TemporaryDirectory(prefix="apache-") as text, closed_port() as closed:
        folder = Path(text)
        folder.chmod(0o755)
        port = free_port()
        config = folder / "apache.conf"
        config.write_text(_config(folder, port, witness.port, closed, timeout))
        process = subprocess.Popen(
            [program, "-f", str(config), "-D", "FOREGROUND"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            wait_for_start(process, port, "Apache", lambda: process.communicate()[0].decode(errors="replace"))
            yield Proxy(folder, f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.communicate(timeout=20)


def record(folder: Path) -> None:
    """Write apache.log, apache_plain.log, their account and their card into the folder."""
    with Witness() as witness:
        with running(witness) as proxy:
            told = callers.drive(proxy.url, witness)
            process = subprocess.run([find(), "-v"], capture_output=True, text=True, check=True)
            version = process.stdout.partition("\n")[0].partition(": ")[2]
            _send_noise(proxy.url)
            recommended, plain = (proxy.log(name).read_bytes() for name in ("recommended", "combined_d"))
        (folder / "apache.log").write_bytes(recommended)
        (folder / "apache_plain.log").write_bytes(plain)
        callers.write(folder / "apache.truth.csv", told)
        card = _CARD.format(
            version=version,
            log_format=RECOMMENDED,
            plain=LOG_FORMATS["combined_d"],
            calls=callers.table(told),
        )
        (folder / "apache.md").write_text(card)


def _send_noise(url: str) -> None:
    """What scanners send: the greeting of TLS, and no HTTP."""
    host, port = url.removeprefix("http://").split(":")
    for noise in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"HELLO\r\n\r\n"):
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(noise)
            connection.recv(4096)
    time.sleep(0.05)


def _config(folder: Path, port: int, witness: int, closed: int, timeout: int) -> str:
    names = ("mpm_event", "authz_core", "log_config", "logio", "proxy", "proxy_http")
    modules = "\n".join(
        f'LoadModule {name}_module "{MODULES}/mod_{name}.so"' for name in names if (MODULES / f"mod_{name}.so").exists()
    )
    logs = "\n".join(f'CustomLog "{folder}/{name}.log" "{text}"' for name, text in LOG_FORMATS.items())
    identity = "" if os.getuid() else "User www-data\nGroup www-data"
    return _CONFIG.format(
        folder=folder,
        port=port,
        witness=witness,
        closed=closed,
        timeout=timeout,
        modules=modules,
        logs=logs,
        identity=identity,
    )
