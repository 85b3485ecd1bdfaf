"""A plain function, given so many seconds and no more."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from breakerlab.policy.mishap import log_mishap


class Ended(NamedTuple):
    """How an attempt ended: with a result, or with an error. cut: its time was over, and nobody waited for more."""

    result: Any = None
    error: BaseException | None = None
    cut: bool = False


def run_within(seconds: float, function: Callable[[], Any], discard: Callable[[Any], object] | None) -> Ended:
    """Run `function` in a thread of its own, and wait for it at most `seconds`; then it is a TimeoutError.

    No thread can be stopped from outside: the work goes on, unwatched, and does not keep the program from ending. A
    result that comes too late is given to `discard`. The thread has a copy of the caller's context variables.
    """
    context = contextvars.copy_context()
    done = threading.Event()
    decided = threading.Lock()
    ends: list[Ended] = []
    abandoned = False

    def work() -> None:
        try:
            ended = Ended(context.run(function))
        except BaseException as error:
            ended = Ended(error=error)
        with decided:
            too_late = abandoned
            ends.append(ended)
        done.set()
        if too_late and discard is not None and ended.error is None:
            discard_late(discard, ended.result)

    threading.Thread(target=work, name="breakerlab attempt", daemon=True).start()
    try:
        done.wait(min(seconds, threading.TIMEOUT_MAX))
    finally:
        with decided:
            abandoned = not ends
    return ends[0] if ends and not abandoned else cut_after(seconds)


def discard_late(discard: Callable[[Any], object], result: Any) -> None:
    """Hand on a result that nobody waits for any more; what goes wrong there is only logged."""
    try:
        discard(result)
    except Exception as error:
        log_mishap("a late result could not be discarded", error)


def cut_after(seconds: float) -> Ended:
    """The end of an attempt that took longer than it was allowed to."""
    return Ended(error=TimeoutError(f"no answer within {seconds:.3g} s"), cut=True)
