"""The supervisor alone, before a pipeline that does not answer."""

import asyncio
import contextlib
import time
from types import SimpleNamespace
from typing import Any

from breakerlab.live.axis import Axis
from breakerlab.live.incident import AppSetup
from breakerlab.live.supervisor import Supervisor


class Silent:
    """A pipeline that answers nobody, on a machine that takes its time to kill it."""

    running = True

    def kill(self) -> None:
        time.sleep(0.05)

    async def gone(self) -> None:
        pass

    async def hear(self, word: str, timeout: float) -> None:
        pass


def test_the_restart_takes_its_time_from_the_kill_that_was_logged() -> None:
    axis, events, opens = Axis.beginning_in(0.0), [], []
    app = AppSetup(health_interval=0.05, health_timeout=0.02, health_failures=1, restart_seconds=0.2)

    def note(kind: str, value: int, **labels: Any) -> None:
        events.append((kind, value, axis.now()))

    async def replacement(open_at: float) -> Silent:
        opens.append(open_at)
        return Silent()

    async def one_restart() -> None:
        recorder = contextlib.nullcontext(SimpleNamespace(event=note))
        order = SimpleNamespace(
            incident=SimpleNamespace(app=app), axis=axis, app_url="http://127.0.0.1:9", recorder=lambda who: recorder
        )
        watching = asyncio.create_task(Supervisor(order, Silent(), replacement).watch())  # type: ignore[arg-type]
        while ("restart", 0) not in [event[:2] for event in events]:
            await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(one_restart())
    killed = next(at for kind, value, at in events if (kind, value) == ("restart", 1))
    assert opens[0] - killed >= app.restart_seconds
