"""Work out the differences between two policies in the background, when the knobs have come to rest.

Needs a running event loop, which a notebook's kernel has: the result is handed over there, so that widgets are changed
by one thread only. Nothing is printed and nothing is raised into a thread: what went wrong is handed over too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

from breakerlab.policy import Policy
from breakerlab.replay import Comparison, Scenario, compare

SEEDS: Final = 20
PAUSE: Final = 0.4  # seconds without a change


class Superseded(Exception):  # noqa: N818  (no error: the question is no longer asked)
    """The knobs were turned again meanwhile."""


class Intervals:
    """`ask` begins anew with each call; `told` gets the answer to the latest question, or the error it met."""

    def __init__(self, told: Callable[[Comparison | Exception], None]) -> None:
        self._told = told
        self._question = 0
        self._rest: asyncio.TimerHandle | None = None

    def ask(self, scenario: Scenario, a: Policy, b: Policy) -> None:
        """Forget what was asked before; work this out once nothing else has been asked for `PAUSE` seconds."""
        self.forget()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a plain Python program: it calls `differences`, when it wants to know
            return
        question = self._question
        work = threading.Thread(target=self._work, args=(loop, question, scenario, a, b), daemon=True)
        self._rest = loop.call_later(PAUSE, work.start)

    def forget(self) -> None:
        """Stop working at what was asked, within one replay."""
        self._question += 1
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _work(self, loop: asyncio.AbstractEventLoop, question: int, scenario: Scenario, a: Policy, b: Policy) -> None:
        def go_on(done: int, of: int) -> None:
            if question != self._question or loop.is_closed():
                raise Superseded

        result: Comparison | Exception
        try:
            result = differences(scenario, a, b, go_on)
        except Superseded:
            return
        except Exception as error:
            result = error
        try:
            loop.call_soon_threadsafe(self._hand_over, question, result)
        except RuntimeError:  # the kernel ended meanwhile
            return

    def _hand_over(self, question: int, result: Comparison | Exception) -> None:
        if question == self._question:
            self._told(result)


def differences(scenario: Scenario, a: Policy, b: Policy, progress: Any = None) -> Comparison:
    """B against A over 20 seeds."""
    return compare(scenario, {"A": a, "B": b}, SEEDS, progress=progress)
