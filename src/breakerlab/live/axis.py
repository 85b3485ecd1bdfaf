"""The time axis that the processes of one recording share."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Axis:
    """Seconds since the agreed start of a recording, the same in every process of this machine.

    ``monotonic`` is the start on the machine's monotonic clock, which Linux and macOS share between processes;
    ``start`` is the same moment in UTC. Time is kept on the monotonic clock alone, so that a clock that is set moves
    nothing.
    """

    start: datetime
    monotonic: float

    @classmethod
    def beginning_in(cls, seconds: float) -> Axis:
        """An axis whose second 0 lies ``seconds`` ahead."""
        return cls(datetime.now(UTC) + timedelta(seconds=seconds), time.monotonic() + seconds)

    def now(self) -> float:
        """Seconds since the start; negative before it."""
        return time.monotonic() - self.monotonic

    def wall(self) -> float:
        """Seconds since 1970 (UTC), as this axis counts them."""
        return self.start.timestamp() + self.now()

    def loop_time(self, t: float) -> float:
        """Second ``t`` on the clock of asyncio's loop, which is the monotonic one."""
        return self.monotonic + t

    async def sleep_until(self, t: float) -> None:
        """Wait for second ``t``; a moment that has passed is not waited for."""
        await asyncio.sleep(max(t - self.now(), 0.0))

    def next_multiple(self, interval: float) -> float:
        """The next multiple of ``interval`` (s) that lies ahead, 0 included."""
        now = self.now()
        return 0.0 if now < 0 else (math.floor(now / interval) + 1) * interval

    def to_dict(self) -> dict[str, Any]:
        return {"start": self.start.isoformat(), "monotonic": self.monotonic}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Axis:
        return cls(datetime.fromisoformat(facts["start"]), facts["monotonic"])
