"""Starting, hearing and ending the processes of a recording, from both sides.

A process tells its parent what it has done in JSON lines on stdout, and is given its order as one JSON line on stdin.
When its stdin ends, because the parent closed it or is gone, it ends too: whatever kills the parent, no process is
left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from breakerlab.live.axis import Axis
from breakerlab.live.incident import Incident
from breakerlab.trace import Recorder

LOOPBACK = "127.0.0.1"
PATIENCE = 30.0  # s for a process to start, on a busy machine


class RecordingError(RuntimeError):
    """A recording could not be made; the message is one sentence that says why."""


@dataclass(frozen=True)
class Order:
    """What a process is told: the incident, the time axis, the ports, the folder for its log, and when (s) to open
    its port (None: at once).
    """

    incident: Incident
    axis: Axis
    provider_port: int
    app_port: int
    folder: str
    open_at: float | None = None

    @property
    def provider_url(self) -> str:
        return f"http://{LOOPBACK}:{self.provider_port}"

    @property
    def app_url(self) -> str:
        return f"http://{LOOPBACK}:{self.app_port}"

    def recorder(self, role: str) -> Recorder:
        """A recorder for the file of this role, on the common time axis; a second process in the same role continues
        it.
        """
        return Recorder(Path(self.folder) / f"{role}.part.jsonl", start=self.axis.start, wall=self.axis.wall)

    def to_line(self) -> bytes:
        facts = dict(vars(self), incident=self.incident.to_dict(), axis=self.axis.to_dict())
        return json.dumps(facts).encode() + b"\n"

    @classmethod
    def from_line(cls, line: str) -> Order:
        facts = json.loads(line)
        facts.update(incident=Incident.from_dict(facts["incident"]), axis=Axis.from_dict(facts["axis"]))
        return cls(**facts)


# --- the side of the process that was started ---


def tell(word: str, **facts: Any) -> None:
    """Say to the parent that this process is now ``word``."""
    print(json.dumps({"word": word, **facts}), flush=True)


def take_order() -> Order:
    """Report for work, wait for the order and return it; ends the process if the parent has gone."""
    tell("loaded")
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    return Order.from_line(line)


def when_parent_lets_go(act: Callable[[], None]) -> None:
    """Call ``act`` once stdin ends."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 1024):
            loop.remove_reader(0)
            act()

    loop.add_reader(0, look)


def claim_port(port: int = 0) -> socket.socket:
    """A socket that holds a port of loopback (0: any free one) without listening, so that connections are refused.

    A listening socket may share the port, if it is claimed the same way. While the recording holds the port, no other
    program gets it and no outgoing connection is given it as its own, not even while the pipeline is down. Raises
    ``RecordingError``.
    """
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, answers come up to 40 ms late.
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        claim.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        claim.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordingError(f"port {port} on {LOOPBACK} cannot be used ({reason}); choose another or none") from error
    return claim


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tell("open")


async def serve(app: Starlette, order: Order, port: int) -> None:
    """Open the port at the ordered moment and serve until the parent lets go."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=4096,
        timeout_keep_alive=24 * 3600,  # an idle connection that the server closes would look like a failure
    )
    config.load()
    server = _Server(config)

    def leave() -> None:
        server.should_exit = server.force_exit = True

    when_parent_lets_go(leave)
    if order.open_at is not None:
        await order.axis.sleep_until(order.open_at)
    await server.serve(sockets=[claim_port(port)])


# --- the side of the parent ---


class Child:
    """A process that this one has started, known by its own pid."""

    def __init__(self, role: str, process: asyncio.subprocess.Process, complaints: Path) -> None:
        self.role = role
        self._process = process
        self._complaints = complaints

    @classmethod
    async def start(cls, role: str, folder: Path) -> Child:
        """Start the module ``breakerlab.live.<role>``; what it writes to stderr goes to a file in ``folder``."""
        complaints = folder / f"{role}.stderr"
        with complaints.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"breakerlab.live.{role}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C reaches the parent only, which then ends the others
            )
        return cls(role, process, complaints)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def hear(self, word: str, timeout: float | None = PATIENCE) -> dict[str, Any]:
        """Wait until the process says that it is ``word``, and return what it said; ``RecordingError`` if it does
        not.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout):
                while line := await self._process.stdout.readline():
                    facts: dict[str, Any] = json.loads(line)
                    if facts.pop("word") == word:
                        return facts
        except TimeoutError:
            raise RecordingError(f"the {self.role} had not said {word!r} after {timeout:g} s") from None
        await self._process.wait()
        raise RecordingError(f"the {self.role} ended before it had said {word!r}{self._last_words()}")

    def give(self, order: Order) -> None:
        """Hand the process its order."""
        assert self._process.stdin is not None
        self._process.stdin.write(order.to_line())

    def kill(self) -> None:
        """SIGKILL, as an out-of-memory killer or a supervisor does it: nothing is tidied up."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self, grace: float = 3.0) -> None:
        """Let go of the process, and kill it if it is still there after ``grace`` seconds."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    async def gone(self) -> RecordingError:
        """Wait until the process ends, and return the error that this is if nobody wanted it."""
        code = await self._process.wait()
        return RecordingError(f"the {self.role} ended by itself with exit code {code}{self._last_words()}")

    def _last_words(self) -> str:
        text = self._complaints.read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip() and "Warning" not in line]
        return f": {lines[-1].strip()}" if lines else ""
