"""The supervisor: asks the pipeline for its health, and replaces a process that does not answer.

It means well. But a health probe needs a worker, so it fails when the pool is full, and the restart throws away
everything that was in flight. Runs in the process that records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

import httpx

from breakerlab.live.process import PATIENCE, Child, Order


class Supervisor:
    """Watches one pipeline; logs every probe as a ``health`` event and every replacement as two ``restart`` events.

    ``replacement(open_at)`` starts a new process that opens its port at second ``open_at``.
    """

    def __init__(self, order: Order, pipeline: Child, replacement: Callable[[float], Awaitable[Child]]) -> None:
        self._order = order
        self._app = order.incident.app
        self._axis = order.axis
        self._pipeline = pipeline
        self._replacement = replacement
        self._up = asyncio.Event()
        self._up.set()

    async def pipeline_is_up(self) -> None:
        """Wait for the end of a replacement, if one is under way."""
        await self._up.wait()

    async def watch(self) -> NoReturn:
        """Probe at every multiple of the health interval, without end; ``RecordingError`` if the process is gone."""
        one_connection_each = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        with self._order.recorder("supervisor") as recorder:
            async with httpx.AsyncClient(limits=one_connection_each, timeout=None, trust_env=False) as client:
                await self._probe_for_ever(client, partial(recorder.event, instance="pipeline"))

    async def _probe_for_ever(self, client: httpx.AsyncClient, log: Callable[[str, int], None]) -> NoReturn:
        failures = 0
        probe_at = self._app.health_interval
        while True:
            await self._axis.sleep_until(probe_at)
            healthy = await self._probe(client, probe_at)
            log("health", int(healthy))
            failures = 0 if healthy else failures + 1
            if failures >= self._app.health_failures:
                await self._replace(log)
                failures = 0
            probe_at = self._axis.next_multiple(self._app.health_interval)

    async def _probe(self, client: httpx.AsyncClient, probe_at: float) -> bool:
        gives_up = self._axis.loop_time(probe_at + self._app.health_timeout)
        try:
            async with asyncio.timeout_at(gives_up):
                response = await client.get(f"{self._order.app_url}/health")
        except (TimeoutError, httpx.TransportError):
            if not self._pipeline.running:
                raise await self._pipeline.gone() from None
            return False
        return response.status_code == 200

    async def _replace(self, log: Callable[[str, int], None]) -> None:
        self._up.clear()
        self._pipeline.kill()
        log("restart", 1)
        open_at = self._axis.now() + self._app.restart_seconds  # counted from the kill in the log, or a little later
        await self._pipeline.gone()
        self._pipeline = await self._replacement(open_at)
        await self._pipeline.hear("open", timeout=self._app.restart_seconds + PATIENCE)
        log("restart", 0)
        self._up.set()
