"""Ports on loopback: free ones, one where nobody listens, and waiting until somebody does."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody else gets it, but not listened on."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield int(reserved.getsockname()[1])


def free_port() -> int:
    with closed_port() as port:
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            raise RuntimeError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.01)


def wait_for_start(
    process: subprocess.Popen[bytes], port: int, program: str, said: Callable[[], str] = str, seconds: float = 20.0
) -> None:
    """Until the process listens. Raises RuntimeError with what it `said` if it ends before."""
    wait_until(lambda: listens(port) or process.poll() is not None, f"the start of {program}", seconds)
    if process.poll() is not None:
        raise RuntimeError(f"{program} did not start: {said().strip()[-500:]}")
