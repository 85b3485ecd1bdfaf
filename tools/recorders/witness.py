"""The live provider as a witness: it serves on loopback and keeps its own account of every request it saw.

What a proxy, a load generator or an SDK wrote about the same run is compared with this account.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import uvicorn

from breakerlab.live.incident import Incident, ServiceSetup
from breakerlab.live.provider import Desk, provider_app

CHAT_PATHS = ("/v1/chat/completions", "/v1/messages")
"""Where the SDKs post; the provider answers there as on /v1/chat."""

Message = MutableMapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """One request as the server saw it. Times are nanoseconds since 1970; status is None if it never answered."""

    begun: int
    ended: int
    method: str
    path: str
    status: int | None
    headers: dict[str, str]

    @property
    def seconds(self) -> float:
        return (self.ended - self.begun) / 1e9


class Witness:
    """A running provider; use it as a context manager.

    `slots` requests are served at a time and `queue_limit` wait; the others get 503 with Retry-After. An answer takes
    `first_token` seconds and more under load. `set_slots(0)` begins an outage, `set_slots(slots)` ends it.
    """

    def __init__(self, *, slots: int = 4, queue_limit: int = 2, first_token: float = 0.02, port: int = 0) -> None:
        self.slots = slots
        service = ServiceSetup(
            slots=slots, queue_limit=queue_limit, first_token=first_token, per_token=0.0, retry_after=1.0
        )
        self.desk = Desk(incident := Incident(name="witness", service=service))
        self.seen: list[Seen] = []
        self._app = provider_app(incident, self.desk)
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it, answers come 40 ms late.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            self._serve, lifespan="off", log_config=None, access_log=False, http="h11", ws="none", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set_slots(self, slots: int) -> None:
        """From now on so many requests are served at a time."""
        self._loop.call_soon_threadsafe(self.desk.set_slots, slots)

    def __enter__(self) -> Witness:
        self._thread.start()
        give_up = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > give_up or not self._thread.is_alive():
                raise RuntimeError("the witness did not start within 20 s")
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(20)
        self._socket.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        self._loop.close()

    async def _serve(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        begun, path = time.time_ns(), scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status: list[int] = []
        ended: list[int] = []

        def account() -> None:
            ended.append(time.time_ns())
            answered = status[0] if status else None
            self.seen.append(Seen(begun, ended[0], scope["method"], path, answered, headers))

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
            elif not message.get("more_body"):
                account()  # before the caller can know of the answer, so that the account is never behind
            await send(message)

        if path in CHAT_PATHS:
            scope = {**scope, "path": "/v1/chat", "raw_path": b"/v1/chat"}
        try:
            await self._app(scope, receive, note)
        finally:
            if not ended:
                account()
