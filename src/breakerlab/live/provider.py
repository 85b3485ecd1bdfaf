"""The LLM-like provider: a few slots, a short queue, and 503 for what fits in neither.

It slows down under load, and a fault window takes slots away. Work whose caller has gone goes on, waiting or running,
because the provider never learns that nobody waits any more. Started by ``record`` as a process of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from breakerlab.live.axis import Axis
from breakerlab.live.incident import Incident
from breakerlab.live.process import serve, take_order


@dataclass
class Counters:
    """What the provider counts itself, apart from every log: the truth that the logs are checked against."""

    accepted: int = 0
    rejected: int = 0
    served: int = 0
    broken: int = 0  # requests that never arrived whole


@dataclass(eq=False)
class _Job:
    tokens: int
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Desk:
    """The slots and the queue before them, first come, first served."""

    def __init__(self, incident: Incident) -> None:
        self._service = incident.service
        self._queue: deque[_Job] = deque()
        self.slots = incident.slots_at(0.0)
        self.in_service = 0
        self.counters = Counters()

    @property
    def queued(self) -> int:
        return len(self._queue)

    def admit(self, tokens: int) -> asyncio.Future[None] | None:
        """Take an answer of ``tokens`` in; the future is done when it is ready. None: full, nothing was taken in."""
        if self.in_service >= self.slots and len(self._queue) >= self._service.queue_limit:
            self.counters.rejected += 1
            return None
        self.counters.accepted += 1
        job = _Job(tokens)
        self._queue.append(job)
        self._fill_slots()
        return job.done

    def set_slots(self, slots: int) -> None:
        """From now on so many may be started; what runs already is not interrupted."""
        self.slots = slots
        self._fill_slots()

    def _fill_slots(self) -> None:
        while self._queue and self.in_service < self.slots:
            self._start(self._queue.popleft())

    def _start(self, job: _Job) -> None:
        self.in_service += 1
        seconds = self._service.seconds(job.tokens, self.in_service)
        asyncio.get_running_loop().call_later(seconds, self._finish, job)

    def _finish(self, job: _Job) -> None:
        self.in_service -= 1
        self.counters.served += 1
        job.done.set_result(None)
        self._fill_slots()


def provider_app(incident: Incident, desk: Desk) -> Starlette:
    """The provider's HTTP face: ``POST /v1/chat`` and, for tests and cards, ``GET /stats``."""

    async def chat(request: Request) -> Response:
        try:
            tokens = int((await request.json())["max_tokens"])
        except ClientDisconnect:
            desk.counters.broken += 1
            return Response(status_code=400)
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": {"message": "max_tokens must be a number", "type": "invalid_request"}}, 400)
        ready = desk.admit(tokens)
        if ready is None:
            wait = {"Retry-After": f"{incident.service.retry_after:g}"}
            return JSONResponse({"error": {"message": "no free slot", "type": "overloaded"}}, 503, headers=wait)
        await ready
        return JSONResponse(_completion(tokens))

    async def stats(request: Request) -> Response:
        return JSONResponse(vars(desk.counters) | {"in_service": desk.in_service, "queued": desk.queued})

    return Starlette(routes=[Route("/v1/chat", chat, methods=["POST"]), Route("/stats", stats)])


def _completion(tokens: int) -> dict[str, object]:
    return {
        "object": "chat.completion",
        "model": "loopback",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "An answer."}, "finish_reason": "length"}],
        "usage": {"completion_tokens": tokens},
    }


def script_faults(incident: Incident, axis: Axis, desk: Desk) -> None:
    """Have the slots change at the edges of every fault window."""
    loop = asyncio.get_running_loop()
    for edge in sorted({edge for fault in incident.faults for edge in (fault.start, fault.end)}):
        loop.call_at(axis.loop_time(edge), desk.set_slots, incident.slots_at(edge))


async def main() -> None:
    order = take_order()
    desk = Desk(order.incident)
    script_faults(order.incident, order.axis, desk)
    await serve(provider_app(order.incident, desk), order, order.provider_port)


if __name__ == "__main__":
    asyncio.run(main())
