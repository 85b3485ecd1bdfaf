"""The trace: one value that holds a log, a recording or a simulated run."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

import pandas as pd

from breakerlab.trace.columns import attempts_frame, events_frame
from breakerlab.trace.description import Description, described_trace
from breakerlab.trace.equality import digest, same_facts, same_frame
from breakerlab.trace.errors import TraceError
from breakerlab.trace.requests import requests_frame
from breakerlab.trace.slices import Moment, Part, between, joined, seconds_of, where
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
    nothing done to it changes the trace. Two traces are equal if their attempts, events and start are, and what their
    sources can tell and say about themselves; file names, formats and what was skipped do not count.
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
    def adopt(
        cls,
        attempts: pd.DataFrame,
        events: pd.DataFrame,
        *,
        source: Source,
        start: datetime | None = None,
        skipped: Sequence[TraceError] = (),
    ) -> Trace:
        """A trace of two frames that have the exact columns, types and order of a trace, as the simulator writes them.

        Neither checked nor copied; whoever gives them away must not keep them. `start` is in UTC.
        """
        trace = object.__new__(cls)
        vars(trace).update(
            _attempts=attempts,
            _events=events,
            _requests=None,
            _start=start,
            _source=source,
            _skipped=tuple(skipped),
        )
        return trace

    @classmethod
    def join(cls, traces: Iterable[Trace]) -> Trace:
        """Several traces as one, on the time axis of the one that starts first.

        Request numbers are moved so that no two traces share one. The joined trace can tell retries only if all can;
        it cannot tell what one of them cannot; of the facts of the sources it keeps those on which all agree.

        Raises:
            ValueError: there is no trace, or some know their start and some do not.
        """
        given = list(traces)
        if not given:
            raise ValueError("There is no trace to join.")
        parts = [Part(trace._attempts, trace._events, trace._start) for trace in given]
        attempts, events, start = joined(parts)
        source = _joined_source([trace._source for trace in given])
        skipped = [error for trace in given for error in trace._skipped]
        return cls.from_columns(attempts, events, start=start, source=source, skipped=skipped)

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

    def between(self, begin: Moment = None, end: Moment = None) -> Trace:
        """The attempts and events that start at `begin` or later and before `end`, on the same time axis.

        Args:
            begin: seconds since `start`, or an aware datetime; None: from the first row on.
            end: likewise; None: to the last row.

        Raises:
            ValueError: a datetime has no time zone, the trace does not know its start, or `begin` is after `end`.
        """
        first = seconds_of(begin, self._start, float("-inf"))
        last = seconds_of(end, self._start, float("inf"))
        if first > last:
            raise ValueError(f"begin is {first:g} s and end is {last:g} s, expected begin not after end.")
        return self._part(between(self._attempts, first, last), between(self._events, first, last))

    def where(
        self,
        *,
        endpoint: str | Iterable[str] | None = None,
        service: str | Iterable[str] | None = None,
        client: str | Iterable[str] | None = None,
        instance: str | Iterable[str] | None = None,
    ) -> Trace:
        """The attempts of these names, one or several of each; all events stay.

        Raises:
            ValueError: no attempt of the trace has such a name.
        """
        asked = {"endpoint": endpoint, "service": service, "client": client, "instance": instance}
        wanted = {name: words for name, words in asked.items() if words is not None}
        return self._part(where(self._attempts, wanted), self._events)

    def _part(self, attempts: pd.DataFrame, events: pd.DataFrame) -> Trace:
        return Trace.adopt(attempts, events, source=self._source, start=self._start, skipped=self._skipped)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the trace to a file that `read_trace` reads back equal to it.

        The suffix says how: `.jsonl` and `.csv` (with `.gz` behind it: packed) or `.parquet`. A file that exists is
        replaced; the new one is whole or not there. What reading redacts, such as a query string in an endpoint that
        did not come from a log, is redacted when it is read back.

        Raises:
            ValueError: the suffix is another one, the trace is empty, or the facts of its source do not fit into JSON.
            TypeError: they hold what JSON cannot.
            OSError: the file cannot be written.
        """
        from breakerlab.trace.writing import write_trace  # which knows the formats, which know this class

        write_trace(self._attempts, self._events, self._start, self._source, path)

    def describe(self) -> Description:
        """What was read, in a few lines of text: rows, span, clients, endpoints, failures, latency, bursts, gaps."""
        return described_trace(self._attempts, self._events, self._start, self._source, self._skipped)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        mine, theirs = self._source, other._source
        return (
            self._start == other._start
            and mine.has_retries == theirs.has_retries
            and mine.cannot_tell == theirs.cannot_tell
            and same_facts(mine.facts, theirs.facts)
            and same_frame(self._attempts, other._attempts)
            and same_frame(self._events, other._events)
        )

    def __hash__(self) -> int:
        source = self._source
        return hash((self._start, source.has_retries, source.cannot_tell, digest(self._attempts), digest(self._events)))

    def __repr__(self) -> str:
        return summary(self._attempts, self._events, self._start, self._source.name, self._skipped)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"A trace cannot be changed; {name} was not set.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"A trace cannot be changed; {name} was not deleted.")


def _joined_source(sources: Sequence[Source]) -> Source:
    first, *others = sources
    names, formats = dict.fromkeys(one.name for one in sources), {one.format for one in sources}
    return Source(
        name=", ".join(names),
        format=first.format if len(formats) == 1 else "joined",
        has_retries=all(one.has_retries for one in sources),
        cannot_tell=tuple(dict.fromkeys(gap for one in sources for gap in one.cannot_tell)),
        lines=sum(one.lines for one in sources),
        facts={
            key: value
            for key, value in first.facts.items()
            if all(key in one.facts and one.facts[key] == value for one in others)
        },
    )
