"""Recording an incident: start the processes, let it happen, put the logs together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import httpx
from tqdm import tqdm

from breakerlab.live.axis import Axis
from breakerlab.live.card import Facts, card, versions
from breakerlab.live.incident import Incident
from breakerlab.live.process import PATIENCE, Child, Order, RecordingError, claim_port
from breakerlab.live.supervisor import Supervisor
from breakerlab.trace import Step, eight_steps, merge_recordings, read_trace

LEAST_LEADS = (1.0, 4.0, 16.0)  # s to open all ports in, at least; the next where one was too short
DRAIN_LIMIT = 120.0  # s after the last caller; a call that then still runs is recorded as lost

Result = TypeVar("Result")


@dataclass(frozen=True)
class Recording:
    """What ``record`` made: the two files, the steps that were seen, and what the processes told of themselves."""

    trace_path: Path
    card_path: Path
    steps: tuple[Step, ...]
    facts: Facts


def record(
    incident: Incident,
    out_dir: str | os.PathLike[str],
    *,
    provider_port: int = 0,
    app_port: int = 0,
    progress: bool = True,
) -> Recording:
    """Let ``incident`` happen between real processes on loopback, and write ``<name>.jsonl`` and its card
    ``<name>.md``.

    Takes ``incident.duration`` and the few seconds that the last calls need. Port 0 means any free one. On a busy
    machine, processes that were not ready in time get two more tries, each with more time. The files appear whole or
    not at all, and every process is ended, whatever happens. Raises ``RecordingError`` with a
    sentence that says what went wrong, and ``KeyboardInterrupt`` on Ctrl-C. Needs Linux or macOS, and a thread
    without a running asyncio loop.
    """
    out = Path(out_dir)
    with _workplace(out) as folder:
        try:
            facts, logs = asyncio.run(_played(incident, folder, (provider_port, app_port), progress))
        except asyncio.CancelledError:
            raise RecordingError("the recording was ended before it was complete") from None
        with _told_if_unwritable(out):
            return _put_together(incident, logs, folder, out, facts)


async def _played(incident: Incident, folder: Path, ports: tuple[int, int], progress: bool) -> tuple[Facts, Path]:
    """What the processes told, and the folder inside ``folder`` with their logs."""
    for lead in LEAST_LEADS:
        logs = folder / f"lead-{lead:g}"
        logs.mkdir()
        with contextlib.suppress(_LateError):
            return await _Stage(incident, logs, lead, progress).play(*ports), logs
    raise RecordingError("the processes were not ready at second 0; record on a quieter machine")


def _put_together(incident: Incident, logs: Path, folder: Path, out: Path, facts: Facts) -> Recording:
    parts = sorted(logs.glob("*.part.jsonl"))
    trace_path, card_path = folder / f"{incident.name}.jsonl", folder / f"{incident.name}.md"
    merge_recordings(parts, trace_path, source=_source(incident), start=facts.started)
    steps, text = _read_back(incident, trace_path, facts)
    card_path.write_text(text, encoding="utf-8")
    kept_trace, kept_card = (path.replace(out / path.name) for path in (trace_path, card_path))
    return Recording(kept_trace, kept_card, steps, facts)


@contextlib.contextmanager
def _workplace(out: Path) -> Iterator[Path]:
    """A folder inside ``out``, gone afterwards, from which finished files can be moved into place in one step."""
    with _told_if_unwritable(out):
        out.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix=".recording-", dir=out)
    with place as folder:
        yield Path(folder)


@contextlib.contextmanager
def _told_if_unwritable(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordingError(f"{out} cannot be written to ({error.strerror}); choose another folder") from error


def _read_back(incident: Incident, trace_path: Path, facts: Facts) -> tuple[tuple[Step, ...], str]:
    """The steps and the card, from the recording as anybody else will read it."""
    trace = read_trace(trace_path)
    if trace.skipped:
        raise RecordingError(f"the recording has {len(trace.skipped)} unreadable rows, the first: {trace.skipped[0]}")
    steps = eight_steps(trace)
    return steps, card(incident, trace, steps, facts)


def _source(incident: Incident) -> dict[str, Any]:
    known = versions()
    return {
        "recorded_by": f"breakerlab {known['breakerlab']}",
        "scenario": incident.name,
        "parameters": incident.parameters(),
        "policy": incident.policy.to_dict(),
        "versions": known,
    }


class _LateError(Exception):
    """Second 0 came before all ports were open."""


class _Stage:
    """The processes of one recording, from the first start to the last end."""

    def __init__(self, incident: Incident, folder: Path, least_lead: float, progress: bool) -> None:
        self._incident = incident
        self._folder = folder
        self._least_lead = least_lead
        self._progress = progress
        self._children: list[Child] = []

    async def play(self, provider_port: int, app_port: int) -> Facts:
        """Everything between the start of the first process and the end of the last."""
        with _ended_by_sigterm(), claim_port(provider_port) as for_provider, claim_port(app_port) as for_app:
            try:
                roles = "provider", "pipeline", "callers"
                began = time.monotonic()
                provider, pipeline, callers = await asyncio.gather(*map(self._start, roles))
                lead = max(time.monotonic() - began, self._least_lead)  # to open ports is less work than to start
                order = Order(
                    incident=self._incident,
                    axis=Axis.beginning_in(lead),
                    provider_port=for_provider.getsockname()[1],
                    app_port=for_app.getsockname()[1],
                    folder=str(self._folder),
                )
                await _while_all_goes_well(
                    self._open(order, provider, pipeline, callers), _stays(provider), _stays(pipeline)
                )
                supervisor = Supervisor(order, pipeline, partial(self._replacement, order))
                return await _while_all_goes_well(
                    self._until_quiet(order, callers, supervisor),
                    supervisor.watch(),
                    _stays(provider),
                    self._show_progress(order.axis),
                )
            finally:
                await asyncio.gather(*(child.end() for child in self._children))

    async def _start(self, role: str) -> Child:
        child = await Child.start(role, self._folder)
        self._children.append(child)
        await child.hear("loaded")
        return child

    async def _open(self, order: Order, *in_turn: Child) -> None:
        for child in in_turn:  # each calls the one before it once, to be warm when second 0 comes
            child.give(order)
            await child.hear("open")
        if order.axis.now() > 0:
            raise _LateError

    async def _replacement(self, order: Order, open_at: float) -> Child:
        child = await self._start("pipeline")
        child.give(replace(order, open_at=open_at))
        return child

    async def _until_quiet(self, order: Order, callers: Child, supervisor: Supervisor) -> Facts:
        """Wait until every caller has left and no work remains; the facts that go onto the card."""
        told = await callers.hear("done", timeout=None)
        give_up = order.axis.now() + DRAIN_LIMIT
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            while True:
                await supervisor.pipeline_is_up()
                app, provider = await _stats(client, order.app_url), await _stats(client, order.provider_url)
                busy = app["in_use"] + app["waiting"] + provider["in_service"] + provider["queued"]
                if not busy or order.axis.now() > give_up:
                    break
                await asyncio.sleep(0.2)
        return Facts(order.axis.start, order.axis.now(), told["max_lag"], told["p99_lag"], provider)

    async def _show_progress(self, axis: Axis) -> NoReturn:
        duration = self._incident.duration
        layout = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s{postfix}"
        silent = not self._progress
        with tqdm(total=duration, desc=self._incident.name, bar_format=layout, mininterval=0.5, disable=silent) as bar:
            while axis.now() < duration:
                bar.update(max(axis.now() - bar.n, 0.0))
                await asyncio.sleep(0.25)
            bar.update(duration - bar.n)
            bar.set_postfix_str("waiting for the last calls")
            await asyncio.Event().wait()
        raise AssertionError


async def _stats(client: httpx.AsyncClient, url: str) -> dict[str, int]:
    try:
        return dict((await client.get(f"{url}/stats")).json())
    except httpx.TransportError:  # the pipeline is just being replaced, and what it held is lost
        return {"in_use": 1, "waiting": 0, "in_service": 1, "queued": 0}


async def _stays(child: Child) -> NoReturn:
    raise await child.gone()


async def _while_all_goes_well(work: Coroutine[Any, Any, Result], *endless: Coroutine[Any, Any, NoReturn]) -> Result:
    """The result of ``work``, while the others run beside it; the first of them that fails ends it all with its
    error.
    """
    done_when = asyncio.ensure_future(work)
    beside = [asyncio.ensure_future(other) for other in endless]
    try:
        await asyncio.wait([done_when, *beside], return_when=asyncio.FIRST_COMPLETED)
        for other in beside:
            if other.done():
                await other
        return await done_when
    finally:
        for task in (done_when, *beside):
            task.cancel()
        await asyncio.gather(done_when, *beside, return_exceptions=True)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """While the block runs, SIGTERM ends it as Ctrl-C would, so that it can tidy up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
