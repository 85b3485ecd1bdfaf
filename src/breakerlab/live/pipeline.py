"""The pipeline: the service whose callers wait while it waits for the provider.

One pool of workers, first come, first served, for every endpoint: an answer holds its worker for the whole call,
waits between attempts included, and so a provider that is slow or full takes the workers from searches and health
probes too. What a caller does, hanging up included, changes nothing in here. Started as a process
of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

import httpx
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from breakerlab.live.incident import Incident
from breakerlab.live.process import Order, serve, take_order
from breakerlab.policy import CircuitOpenError, LocallyThrottledError, Policy
from breakerlab.trace import Recorder

POOL_SAMPLES = 0.5  # s between two looks at the pool
CHAT = "/v1/chat"


class Workers:
    """A pool in which the longest waiter is served first; who waits ``patience`` seconds goes away without a worker."""

    def __init__(self, size: int, patience: float) -> None:
        self._size = size
        self._patience = patience
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self.in_use = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def acquire(self) -> bool:
        """Whether a worker was had in time; it must then be given back with ``release``."""
        if self.in_use < self._size:
            self.in_use += 1
            return True
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        alarm = loop.call_later(self._patience, self._give_up, turn)
        try:
            return await turn
        finally:
            alarm.cancel()

    def release(self) -> None:
        """Hand the worker to the longest waiter, or back to the pool."""
        if self._waiting:
            self._waiting.popleft().set_result(True)
        else:
            self.in_use -= 1

    def _give_up(self, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            self._waiting.remove(turn)
            turn.set_result(False)


class Calls:
    """Calls the provider under a policy, through its guard, which logs every attempt."""

    def __init__(
        self,
        policy: Policy,
        client: httpx.AsyncClient,
        recorder: Recorder,
        clock: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._guard = policy.guard(
            "llm",
            recorder=recorder,
            labels={"client": "pipeline", "endpoint": f"POST {CHAT}"},
            clock=clock,
            random=draw,
        )

    async def complete(self, request: int, tokens: int) -> bool:
        """Whether the provider answered logical request ``request``, in as many attempts as the policy allows."""
        guard = self._guard.label(request=request, tokens_out=tokens)
        try:
            response = await guard.call_async(self._client.post, CHAT, json={"max_tokens": tokens})
        except (CircuitOpenError, LocallyThrottledError, TimeoutError, httpx.TransportError):
            return False
        return bool(response.is_success)


class Pipeline:
    """The endpoints, all of which need a worker; ``GET /stats`` alone does not, so that a recording can see the end."""

    def __init__(self, incident: Incident, calls: Calls) -> None:
        self._search_seconds = incident.app.search_seconds
        self._calls = calls
        self.workers = Workers(incident.app.workers, incident.app.pool_timeout)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/answer", self.answer, methods=["POST"]),
                Route("/search", self.search),
                Route("/health", self.health),
                Route("/stats", self.stats),
            ]
        )

    async def answer(self, request: Request) -> Response:
        try:
            question = await request.json()
            number, tokens = int(question["request"]), int(question["max_tokens"])
        except ClientDisconnect:
            return Response(status_code=400)
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "request and max_tokens must be numbers"}, 400)
        if not await self.workers.acquire():
            return _pool_timeout()
        try:
            answered = await self._calls.complete(number, tokens)
        finally:
            self.workers.release()
        return JSONResponse({"answer": "An answer."}) if answered else JSONResponse({"error": "no answer"}, 502)

    async def search(self, request: Request) -> Response:
        if not await self.workers.acquire():
            return _pool_timeout()
        try:
            await asyncio.sleep(self._search_seconds)
        finally:
            self.workers.release()
        return JSONResponse({"found": []})

    async def health(self, request: Request) -> Response:
        if not await self.workers.acquire():
            return _pool_timeout()
        self.workers.release()
        return JSONResponse({"status": "ok"})

    async def stats(self, request: Request) -> Response:
        return JSONResponse({"in_use": self.workers.in_use, "waiting": self.workers.waiting})


def _pool_timeout() -> Response:
    return JSONResponse({"error": "pool timeout"}, 503)


async def sample_pool(workers: Workers, order: Order, recorder: Recorder) -> None:
    """Log the workers in use at every multiple of ``POOL_SAMPLES`` seconds, for ever, once the port is open."""
    axis = order.axis
    if order.open_at is not None:
        await axis.sleep_until(order.open_at)
    while True:
        await axis.sleep_until(axis.next_multiple(POOL_SAMPLES))
        recorder.event("pool", workers.in_use, instance="pipeline")


async def main() -> None:
    order = take_order()
    incident = order.incident
    connections = httpx.Limits(
        max_connections=incident.app.workers, max_keepalive_connections=incident.app.workers, keepalive_expiry=None
    )
    patience = httpx.Timeout(None, pool=incident.app.pool_timeout)
    async with httpx.AsyncClient(
        base_url=order.provider_url, limits=connections, timeout=patience, trust_env=False
    ) as client:
        await client.get("/stats")  # the first call through a client takes tens of milliseconds more than the others
        with order.recorder("pipeline") as recorder:
            pipeline = Pipeline(incident, Calls(incident.policy, client, recorder, order.axis.now))
            samples = asyncio.create_task(sample_pool(pipeline.workers, order, recorder))
            await serve(pipeline.app(), order, order.app_port)
            samples.cancel()


if __name__ == "__main__":
    asyncio.run(main())
