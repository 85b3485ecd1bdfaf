"""The trace: one value that holds a log, a recording or a simulated run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

import pandas as pd

from breakerlab.trace.columns import attempts_frame, events_frame
from breakerlab.trace.errors import TraceError
from breakerlab.trace.requests import requests_frame
from breakerlab.trace.summary import summary
from breakerlab.trace.timeline import timeline_frame


@dataclass(frozen=True)
class Source:
    """Where a trace came from, and what it cannot tell.

    Attributes:
        name: the file, or what made the trace.
        format: for example "jsonl" or "simulated".
        has_retries: whether request and attempt numbers were logged, so that retries can be told from new requests.
        cannot_tell: what the format does not say, for example "latency".
        lines: how many lines (or samples, spans, entries) of the log were read. With those in `Trace.skipped` they are
            all there are, but for blank lines and headers.
        facts: what the recording says about itself: scenario, parameters, policy, versions.
    """

    name: str = ""
    format: str = ""
    has_retries: bool = True
    cannot_tell: tuple[str, ...] = ()
    lines: int = 0
    facts: Mapping[str, object] = field(default_factory=dict, hash=False)


class Trace:
    """An immutable table of attempts, with what happened beside them.

    Made by `read_trace`, by the simulator, or by `Trace.from_columns`. Every property hands out a copy, so that
    nothing done to it changes the trace.
    """

    _attempts: pd.DataFrame
    _events: pd.DataFrame
    _requests: pd.DataFrame | None
    _start: datetime | None
    _source: Source
    _skipped: tuple[TraceError, ...]

    def __init__(self) -> None:
        raise TypeError("A trace is made by read_trace(path) or Trace.from_columns(attempts).")

    @classmethod
    def from_columns(
        cls,
        attempts: Mapping[str, object],
        events: Mapping[str, object] | None = None,
        *,
        start: datetime | None = None,
        source: Source | None = None,
        skipped: Sequence[TraceError] = (),
    ) -> Trace:
        """A trace of arrays, one a column, all of one length; they are copied and sorted by time.

        Args:
            attempts: `time` (s since `start`), `latency` (s, 0 or more, NaN if unknown), `outcome`, `service`,
                `request` (integers, 0 or more) and `attempt` (integers, 1 to 32,767) are required. `status`
                (integers from 100 to 999, 0 or missing for none), `client`, `endpoint`,
                `retry_after` (s, NaN if none), `instance`, `tokens_in`, `tokens_out` (integers or a pandas Int64
                array) and `idempotent` (booleans or a pandas boolean array) may be left out.
                A column of words is a pair (codes, words), a word a row, or one word for all rows.
            events: `time` (s), `kind` ("pool", "health", "restart" or "breaker"), `value`, and perhaps `instance`.
            start: the zero of the time axis, an aware datetime.
            source: where the columns come from.
            skipped: what could not be read.

        Raises:
            ValueError: a column is missing, unknown or of another length, or a value is out of its range; the message
                names the column and the row.
        """
        if start is not None and start.tzinfo is None:
            raise ValueError("start has no time zone; give an aware datetime, for example datetime.now(UTC).")
        trace = object.__new__(cls)
        vars(trace).update(
            _attempts=attempts_frame(attempts),
            _events=events_frame(events),
            _requests=None,
            _start=None if start is None else start.astimezone(UTC),
            _source=copy.deepcopy(source) if source is not None else Source(),
            _skipped=tuple(skipped),
        )
        return trace

    @classmethod
    def adopt(cls, attempts: pd.DataFrame, events: pd.DataFrame, *, source: Source) -> Trace:
        """A trace of two frames that have the exact columns, types and order of a trace, as the simulator writes them.

        Neither checked nor copied; whoever gives them away must not keep them.
        """
        trace = object.__new__(cls)
        vars(trace).update(_attempts=attempts, _events=events, _requests=None, _start=None, _source=source, _skipped=())
        return trace

    @property
    def attempts(self) -> pd.DataFrame:
        """One row per attempt, in order of time.

        `time` float64, s since `start`; `latency` float64, s until the caller knew the outcome, NaN if unknown;
        `status` Int16, missing if there was none; `outcome`, `service`, `client`, `endpoint` category; `request`
        int64; `attempt` int16, 1 for the first per request and service; `retry_after` float64, s, NaN if none. Only
        if recorded: `instance` category, `tokens_in` and `tokens_out` Int64, `idempotent` boolean.
        """
        return self._attempts.copy()

    @property
    def events(self) -> pd.DataFrame:
        """What happened beside the calls, in order of time: `time` (s), `instance`, `kind` and `value`.

        kind `pool`: value is workers in use; `health`: 1 the probe passed, 0 it failed; `restart`: 1 the instance is
        killed, 0 it accepts connections again; `breaker`: 0 closed, 1 open, 2 half-open.
        """
        return self._events.copy()

    @property
    def requests(self) -> pd.DataFrame:
        """One row per service and logical request, in order of time.

        `service`, `request`; `time` (s), `client` and `endpoint` of the first attempt; `attempts`, how many;
        `outcome` and `status` of the last; `latency`, s from the start of the first attempt until the caller knew the
        final outcome, NaN if the log does not say.
        """
        if self._requests is None:
            vars(self)["_requests"] = requests_frame(self._attempts)
        return self._requests.copy()  # type: ignore[union-attr]

    @property
    def start(self) -> datetime | None:
        """The UTC time of second 0, or None if it is not known."""
        return self._start

    @property
    def source(self) -> Source:
        """Where the trace came from, and what it cannot tell."""
        return copy.deepcopy(self._source)

    @property
    def skipped(self) -> tuple[TraceError, ...]:
        """The rows that could not be read, each with its line and reason."""
        return self._skipped

    def timeline(self, bin: float = 1.0) -> pd.DataFrame:
        """What happened when, one row per bin of `bin` seconds, from second 0 to the end of the trace.

        The index `time` is the left edge of the bin (s). It begins below 0 only if something happened before. A moment
        on an edge belongs to the bin that it opens; the very end belongs to the last bin. Rates are per second, and
        always divided by the whole width, in the last bin too. What happens when an attempt ends is counted at its
        end; an attempt whose end is not known (`lost`) counts at its start.

        "The LLM" is the service `llm` (without one: every service but `app`). Endpoints of `app` whose requests never
        lead to an attempt on the LLM are the *other* endpoints; if the recording names them
        (`source.facts["parameters"]["app"]["other"]`), that holds. In a trace without `app`, the first attempts on
        the LLM are what was offered, and its `ok` attempts are the goodput.

        All columns are float64:
            offered: logical requests that need the LLM, requests/s.
            attempts: attempts that were sent to the LLM (all but the rejected), attempts/s.
            status_503: answers 503 of the LLM, /s.
            timeouts: attempts on the LLM that timed out, /s.
            rejected: attempts on the LLM that were refused locally and never sent, /s.
            other_offered: requests for other endpoints, requests/s.
            other_timeouts: their timeouts, /s.
            other_failed: all their failures, any outcome but `ok`, /s.
            pool: workers in use, the highest sample in the bin (summed over instances); NaN without a sample.
            health_failed: failed health probes in the bin, a count.
            down: the part of the bin, 0 to 1, in which the app was down (averaged over instances).
            breaker: state at the end of the bin: 0 closed, 1 open, 2 half-open; of several breakers the highest. A
                breaker begins closed, and is closed again when its instance restarts. NaN if none was recorded.
            goodput: `ok` answers to requests that need the LLM, /s.
            other_goodput: their `ok` answers, /s.

        Raises:
            ValueError: `bin` is not above 0, or the trace would need more than 1,000,000 bins.
        """
        return timeline_frame(self._attempts, self._events, self._source.facts, bin)

    def __repr__(self) -> str:
        return summary(self._attempts, self._events, self._start, self._source.name, self._skipped)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"A trace cannot be changed; {name} was not set.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"A trace cannot be changed; {name} was not deleted.")
