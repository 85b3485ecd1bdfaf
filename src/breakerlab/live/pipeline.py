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
from dataclasses import dataclass

import httpx
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from breakerlab.live.incident import Incident
from breakerlab.live.outcomes import outcome_of
from breakerlab.live.process import Order, serve, take_order
from breakerlab.policy import CircuitBreaker, CircuitOpenError, Permit, Policy, State, TokenBucket
from breakerlab.policy.retry_after import retry_after_of
from breakerlab.trace import Recorder

POOL_SAMPLES = 0.5  # s between two looks at the pool
CHAT = "/v1/chat"
_BREAKER_CODES = {State.CLOSED: 0, State.OPEN: 1, State.HALF_OPEN: 2}


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


@dataclass(frozen=True)
class Answered:
    """How an attempt on the provider ended, in the words of the trace."""

    outcome: str
    status: int | None = None
    retry_after: float | None = None
    probe_in: float | None = None  # s, if an open circuit refused it


class Calls:
    """Calls the provider under a policy, and logs every attempt."""

    def __init__(
        self,
        policy: Policy,
        client: httpx.AsyncClient,
        recorder: Recorder,
        clock: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._draw = draw
        self._breaker = self._new_breaker()
        budget = None if policy.retry is None else policy.retry.budget
        self._bucket = None if budget is None else TokenBucket(budget, clock)

    def _new_breaker(self) -> CircuitBreaker | None:
        if self._policy.breaker is None:
            return None

        def log(state: State, now: float) -> None:
            self._recorder.event("breaker", _BREAKER_CODES[state], instance="pipeline")

        return CircuitBreaker(**self._policy.breaker.to_dict(), name="llm", clock=self._clock, on_transition=log)

    async def complete(self, request: int, tokens: int) -> bool:
        """Whether the provider answered logical request ``request``, in as many attempts as the policy allows."""
        started = self._clock()
        made, delay = 0, 0.0
        if self._bucket is not None:
            self._bucket.call()
        while True:
            answered = await self._attempt(request, tokens, made, started)
            made += 1
            if answered.outcome == "ok":
                if self._bucket is not None:
                    self._bucket.success()
                return True
            if self._policy.retry is None:
                return False
            delay = self._policy.retry.backoff.delay(made, delay, self._draw())
            now = self._clock()
            start = self._next_start(answered, made, started, now, delay)
            if start is None:
                return False
            if self._bucket is not None and not self._bucket.withdraw():
                self._recorder.end(self._begin(request, tokens, made), outcome="rejected")
                return False
            await asyncio.sleep(start - now)

    def _begin(self, request: int, tokens: int, made: int) -> str:
        return self._recorder.begin(
            service="llm",
            request=request,
            attempt=made + 1,
            client="pipeline",
            endpoint=f"POST {CHAT}",
            tokens_out=tokens,
        )

    async def _attempt(self, request: int, tokens: int, made: int, started: float) -> Answered:
        attempt = self._begin(request, tokens, made)
        answered = await self._pass_breaker(tokens, self._time_allowed(made, started))
        self._recorder.end(attempt, outcome=answered.outcome, status=answered.status, retry_after=answered.retry_after)
        return answered

    async def _pass_breaker(self, tokens: int, timeout: float) -> Answered:
        if self._breaker is None:
            return await self._post(tokens, timeout)
        try:
            permit = self._breaker.acquire()
        except CircuitOpenError as refused:
            return Answered("rejected", probe_in=refused.retry_in)
        answered = await self._post(tokens, timeout)
        _spend(permit, answered)
        return answered

    async def _post(self, tokens: int, timeout: float) -> Answered:
        try:
            async with asyncio.timeout(timeout):
                response = await self._client.post(CHAT, json={"max_tokens": tokens})
        except httpx.PoolTimeout:  # no connection to be had: never sent
            return Answered("rejected")
        except (TimeoutError, httpx.TimeoutException):
            return Answered("timeout")
        except httpx.TransportError:
            return Answered("connection")
        status = response.status_code
        return Answered(outcome_of(status), status, retry_after_of(response.headers))

    def _time_allowed(self, made: int, started: float) -> float:
        retry = self._policy.retry
        if retry is None:
            return self._policy.timeout
        return retry.time_allowed(self._policy.timeout, made, started, self._clock())

    def _next_start(self, answered: Answered, made: int, started: float, now: float, delay: float) -> float | None:
        retry = self._policy.retry
        if retry is None:
            return None
        if answered.probe_in is not None:
            return retry.start_after_refusal(made, started, now, delay, now + answered.probe_in)
        if answered.outcome == "rejected":  # no connection to be had: a retry would need one too
            return None
        return retry.next_start(made, started, now, delay, answered.retry_after or 0.0)


def _spend(permit: Permit, answered: Answered) -> None:
    if answered.outcome == "ok":
        permit.success()
    else:
        permit.failure()


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
