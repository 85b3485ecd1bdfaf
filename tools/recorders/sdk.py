"""The real openai and anthropic SDKs, with their own retries and their own logging, against the witness."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import openai

from recorders.truth import Run, write_truth
from recorders.witness import Witness

NAMED = "%(asctime)s %(threadName)s %(name)s %(levelname)s %(message)s"
LOGGERS = ("openai", "anthropic", "httpx", "httpx2")
PROMPT = "planted prompt: the meeting is at noon"
KEY = "sk-planted-0123456789abcdef"
_PATHS = re.compile(r'File "[^"]*/(?=(?:site-packages|python3[^/"]*)/)')


class _Formatter(logging.Formatter):
    """Where this machine keeps its Python is nobody's business."""

    converter = staticmethod(time.gmtime)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's own name
        return _PATHS.sub('File "', super().formatException(ei))  # type: ignore[arg-type]


@contextlib.contextmanager
def _logged(path: Path, level: int, layout: str, date: str | None) -> Iterator[None]:
    handler = logging.FileHandler(path, "w")
    handler.setFormatter(_Formatter(layout, date))
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (old_level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate
        handler.close()


def run(
    log: Path,
    level: int = logging.DEBUG,
    layout: str = NAMED,
    date: str | None = None,
    *,
    threads: int = 3,
    calls: int = 3,
    outage_calls: int = 1,
) -> Run:
    """Calls before, during and after an outage, by `threads` at a time; then one at a port where nothing listens."""
    result = Run(log, timeout=0.3)
    with _logged(log, level, layout, date):
        with Witness(slots=2, queue_limit=1) as witness:
            url = witness.url
            with _callers(url, result.timeout) as both:
                _at_once(both, threads, calls)
                witness.set_slots(0)
                _at_once(both, threads, outage_calls)
                witness.set_slots(2)
                time.sleep(0.1)
                _at_once(both, threads, calls)
            result.seen = list(witness.seen)
        with _callers(url, result.timeout) as (call_openai, _):
            call_openai()
        result.refused = 2
    return result


@contextlib.contextmanager
def _callers(url: str, timeout: float) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    said = {"role": "user", "content": PROMPT}
    # the wait before a retry is 0.4 s and more; one retry is enough to have a second attempt of each kind
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, timeout=timeout, max_retries=1) as gpt,
        anthropic.Anthropic(base_url=url, api_key=KEY, timeout=timeout, max_retries=1) as claude,
    ):

        def call_openai() -> None:
            with contextlib.suppress(openai.OpenAIError):
                gpt.chat.completions.create(model="example-1", messages=[said], max_tokens=3)  # type: ignore[list-item]

        def call_anthropic() -> None:
            with contextlib.suppress(anthropic.AnthropicError):
                claude.messages.create(model="example-2", messages=[said], max_tokens=3)  # type: ignore[list-item]

        yield call_openai, call_anthropic


def _at_once(callers: tuple[Callable[[], None], ...], threads: int, calls: int) -> None:
    def several(number: int) -> None:
        for _ in range(calls):
            callers[number % len(callers)]()

    workers = [threading.Thread(target=several, args=(number,), name=f"Thread-{number}") for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def record(folder: Path) -> None:
    """sdk.log at DEBUG, whose retries are told, and sdk_info.log, as most applications have it."""
    debug = run(folder / "sdk.log", threads=4, calls=5)
    write_truth(folder / "sdk.truth.csv", debug.seen, "attempt")
    layout = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    info = run(folder / "sdk_info.log", logging.INFO, layout, threads=4, calls=20, outage_calls=6)
    write_truth(folder / "sdk_info.truth.csv", info.seen, "attempt")
