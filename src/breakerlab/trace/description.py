"""What was read: how much, when, from whom, what failed and when most, and what the log does not tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from breakerlab.trace.errors import TraceError
from breakerlab.trace.schema import OUTCOMES

if TYPE_CHECKING:
    from breakerlab.trace.table import Source

BURST_SHARE: Final = 0.1
BURST_FAILURES: Final = 5

_WIDTHS: Final = (1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 21_600, 86_400)
_MAX_BINS: Final = 10_000
_ROWS_OF_A_BIN: Final = 5
_QUANTILES: Final = (0.5, 0.9, 0.99)
_BURSTS: Final = 3
_CLIENTS: Final = 3
_ENDPOINTS: Final = 5
_SERVICES: Final = 5
_STATUSES: Final = 8
_REASONS: Final = 5
_NAME: Final = 60
_NOT_THE_SERVICE: Final = ("ok", "client_error", "cancelled")
"""Outcomes that do not count in bursts: the caller was wrong, or went away."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Burst:
    """A time in which many attempts failed: `start` and `length` in s, and how many of the attempts did."""

    start: float
    length: float
    attempts: int
    failures: int

    @property
    def share(self) -> float:
        """The part of the attempts that failed, 0 to 1."""
        return self.failures / self.attempts


@dataclass(frozen=True)
class SkippedRows:
    """Rows that were skipped for one reason: how many, and the first of them."""

    rows: int
    first: TraceError


@dataclass(frozen=True, repr=False)
class Description:
    """What `Trace.describe` found; printed, it is a few lines of plain text.

    Attributes:
        name: the file.
        format: its format.
        attempts: how many there are.
        requests: how many logical requests, counted per service; None if the log does not tell retries.
        first: when the first attempt began, s since `start`; NaN without attempts.
        last: when the last one began.
        start: the UTC time of second 0, if it is known.
        services: attempts of each outcome, of each service, most attempts first.
        clients: attempts of each, most first. So are `endpoints`, `outcomes`, and `events` of each kind.
        statuses: attempts of each HTTP status, most first; 0: without one.
        latency: quantile (0.5, 0.9, 0.99) to s, of the attempts whose latency is known.
        timed: how many these are.
        bursts: of failures, most failures first. A burst is an unbroken run of bins in each of which 10 % of the
            attempts or more failed, with 5 failures or more in all. `client_error` and `cancelled` are no failures
            here.
        bin: the width of these bins in s: 1, or more where attempts are few or the trace is long.
        cannot_tell: what the format does not say.
        skipped: the rows that could not be read, by reason, most first.
    """

    name: str
    format: str
    attempts: int
    requests: int | None
    first: float
    last: float
    start: datetime | None
    services: Mapping[str, Mapping[str, int]]
    clients: Mapping[str, int]
    endpoints: Mapping[str, int]
    outcomes: Mapping[str, int]
    statuses: Mapping[int, int]
    latency: Mapping[float, float]
    timed: int
    bursts: tuple[Burst, ...]
    bin: float
    events: Mapping[str, int]
    cannot_tell: tuple[str, ...]
    skipped: tuple[SkippedRows, ...]

    def __repr__(self) -> str:
        of = f" of {PurePath(self.name).name}" if self.name else ""
        format = f" ({self.format})" if self.format else ""
        lines = [f"Trace{of}{format}: {_count(self.attempts, 'attempt')}{self._of_requests()}"]
        lines += [f"  {title:12}{text}" for title, text in self._parts() if text]
        return "\n".join(lines)

    def _of_requests(self) -> str:
        if not self.attempts:
            return ""
        return "" if self.requests is None else f" of {_count(self.requests, 'logical request')}"

    def _parts(self) -> Iterator[tuple[str, str]]:
        if self.attempts:
            yield "span", self._span()
            yield from self._services()
            yield "clients", _listed(self.clients, _CLIENTS)
            yield "endpoints", _listed(self.endpoints, _ENDPOINTS)
            yield "outcomes", _outcomes(self.outcomes)
            yield "status", self._statuses()
            yield "latency", self._latency()
            yield from self._bursts()
        yield "events", ", ".join(f"{kind} {number:,}" for kind, number in self.events.items())
        yield "cannot tell", ", ".join(self.cannot_tell)
        yield from self._skipped()

    def _span(self) -> str:
        length = self.last - self.first
        rate = f", {_rate(self.attempts / length)} attempts/s" if length > 0 else ""
        span = f"{self.first:.1f} to {self.last:.1f} s ({_duration(length)}){rate}"
        return span if self.start is None else f"{span}; {self._at(self.first)} to {self._at(self.last)} UTC"

    def _at(self, second: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        try:
            return f"{(self.start or _NEVER) + timedelta(seconds=second):{form}}"
        except OverflowError:
            return "beyond the calendar"

    def _services(self) -> Iterator[tuple[str, str]]:
        if len(self.services) < 2:
            yield "service", "".join(map(_short, self.services))
            return
        yield "services", f"{len(self.services):,}"
        for service, outcomes in [*self.services.items()][:_SERVICES]:
            yield "", f"{_short(service)} {sum(outcomes.values()):,}: {_outcomes(outcomes)}"
        if len(self.services) > _SERVICES:
            yield "", f"and {len(self.services) - _SERVICES:,} more"

    def _statuses(self) -> str:
        told = [f"{status or 'none'}: {number:,}" for status, number in self.statuses.items()]
        return ", ".join(told[:_STATUSES]) + (", ..." if len(told) > _STATUSES else "")

    def _latency(self) -> str:
        if not self.timed:
            return "not known of any attempt"
        told = ", ".join(f"p{quantile * 100:g} {value:.3g} s" for quantile, value in self.latency.items())
        return told if self.timed == self.attempts else f"{told} (of the {self.timed:,} attempts that tell it)"

    def _bursts(self) -> Iterator[tuple[str, str]]:
        if not self.bursts:
            yield "bursts", "none of failures"
            return
        more = f" in all; the {_BURSTS} worst" if len(self.bursts) > _BURSTS else ""
        yield (
            "bursts",
            f"{len(self.bursts):,} of failures{more} ({BURST_SHARE:.0%} or more in each {_duration(self.bin)}, "
            f"{BURST_FAILURES} or more in all)",
        )
        for burst in self.bursts[:_BURSTS]:
            at = "" if self.start is None else f" ({self._at(burst.start)} UTC)"
            yield (
                "",
                f"from {burst.start:.0f} s{at} for {_duration(burst.length)}: "
                f"{burst.failures:,} of {burst.attempts:,} failed, {burst.share:.0%}",
            )

    def _skipped(self) -> Iterator[tuple[str, str]]:
        if not self.skipped:
            return
        yield "skipped", _count(sum(one.rows for one in self.skipped), "row")
        for one in self.skipped[:_REASONS]:
            line = "" if one.first.line is None else f", first in line {one.first.line:,}"
            column = "" if one.first.column is None else f"column {one.first.column}: "
            yield "", f"{one.rows:,}{line}: {column}{one.first.reason}"
        if len(self.skipped) > _REASONS:
            yield "", f"and {_count(len(self.skipped) - _REASONS, 'other reason')}"


def described_trace(
    attempts: pd.DataFrame,
    events: pd.DataFrame,
    start: datetime | None,
    source: Source,
    skipped: Sequence[TraceError],
) -> Description:
    """See `Trace.describe`."""
    time, latency = attempts["time"].to_numpy(), attempts["latency"].to_numpy()
    timed = latency[~np.isnan(latency)]
    bin = _bin(time)
    return Description(
        name=source.name,
        format=source.format,
        attempts=len(attempts),
        requests=_requests(attempts) if source.has_retries else None,
        first=float(time[0]) if len(time) else float("nan"),
        last=float(time[-1]) if len(time) else float("nan"),
        start=start,
        services=_outcomes_of_services(attempts["service"].array, attempts["outcome"].array.codes),
        clients=_counts(attempts["client"]),
        endpoints=_counts(attempts["endpoint"]),
        outcomes=_counts(attempts["outcome"]),
        statuses=_statuses(attempts["status"].array),
        latency=dict(zip(_QUANTILES, np.quantile(timed, _QUANTILES).tolist(), strict=True)) if len(timed) else {},
        timed=len(timed),
        bursts=_bursts(time, attempts["outcome"].array.codes, bin),
        bin=bin,
        events=_counts(events["kind"]),
        cannot_tell=source.cannot_tell,
        skipped=_by_reason(skipped),
    )


def _requests(attempts: pd.DataFrame) -> int:
    pairs = np.empty(len(attempts), [("request", np.int64), ("service", np.int32)])
    pairs["request"], pairs["service"] = attempts["request"].to_numpy(), attempts["service"].array.codes
    order = np.lexsort((pairs["service"], pairs["request"]))
    pairs = pairs[order]
    return int((pairs[1:] != pairs[:-1]).sum()) + bool(len(pairs))


def _counts(words: pd.Series) -> dict[str, int]:
    """How often each word stands there, most first."""
    names = words.array.categories
    return _most_first(names, np.bincount(words.array.codes, minlength=len(names)))


def _most_first(names: Sequence[str], numbers: Array) -> dict[str, int]:
    order = np.argsort(-numbers, kind="stable")
    return {names[place]: int(numbers[place]) for place in order.tolist() if numbers[place]}


def _outcomes_of_services(services: Any, outcome: Array) -> dict[str, dict[str, int]]:
    names = services.categories
    pairs = np.bincount(services.codes.astype(np.int64) * len(OUTCOMES) + outcome, minlength=len(names) * len(OUTCOMES))
    table = pairs.reshape(len(names), len(OUTCOMES))
    order = [place for place in np.argsort(-table.sum(axis=1), kind="stable").tolist() if table[place].any()]
    return {names[place]: _most_first(OUTCOMES, table[place]) for place in order}


def _statuses(statuses: Any) -> dict[int, int]:
    numbers = np.bincount(statuses.to_numpy(dtype=np.int16, na_value=0))
    order = np.argsort(-numbers, kind="stable")
    return {int(status): int(numbers[status]) for status in order if numbers[status]}


def _bin(time: Array) -> float:
    """The least width (s) with 5 attempts a bin on average, and 10,000 bins at most."""
    if not len(time):
        return float(_WIDTHS[0])
    span = float(time[-1] - time[0])
    wanted = max(span / _MAX_BINS, span * _ROWS_OF_A_BIN / len(time))
    fitting = [width for width in _WIDTHS if width >= wanted]
    return float(fitting[0]) if fitting else max(float(_WIDTHS[-1]), span / _MAX_BINS)


def _bursts(time: Array, outcome: Array, bin: float) -> tuple[Burst, ...]:
    if not len(time):
        return ()
    left = np.floor(time[0] / bin)
    place = (np.floor(time / bin) - left).astype(np.int64)
    failed = ~np.isin(outcome, [OUTCOMES.index(word) for word in _NOT_THE_SERVICE])
    attempts = np.bincount(place)
    failures = np.bincount(place[failed], minlength=len(attempts))
    bad = np.concatenate(([False], (failures > 0) & (failures >= BURST_SHARE * attempts), [False]))
    begins, ends = np.flatnonzero(bad[1:] & ~bad[:-1]), np.flatnonzero(~bad[1:] & bad[:-1])
    bursts = [
        Burst(float((left + begin) * bin), float((end - begin) * bin), int(all_of.sum()), int(failed_of.sum()))
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
        if (failed_of := failures[begin:end]).sum() >= BURST_FAILURES and len(all_of := attempts[begin:end])
    ]
    return tuple(sorted(bursts, key=lambda burst: (-burst.failures, burst.start)))


def _by_reason(skipped: Sequence[TraceError]) -> tuple[SkippedRows, ...]:
    """Errors that expect the same of the same column are one reason."""
    groups: dict[tuple[str | None, str], list[TraceError]] = {}
    for error in skipped:
        groups.setdefault((error.column, error.expected), []).append(error)
    found = [SkippedRows(sum(error.lines for error in group), group[0]) for group in groups.values()]
    return tuple(sorted(found, key=lambda one: -one.rows))


def _outcomes(counts: Mapping[str, int]) -> str:
    """ "90 ok, 10 failed (10.0%): error 6, timeout 4"."""
    failures = {kind: number for kind, number in counts.items() if kind != "ok"}
    failed = sum(failures.values())
    told = ", ".join(f"{kind} {number:,}" for kind, number in failures.items())
    ok = counts.get("ok", 0)
    return f"{ok:,} ok, {failed:,} failed ({failed / (ok + failed):.1%})" + (f": {told}" if told else "")


def _listed(counts: Mapping[str, int], most: int) -> str:
    """ "12: POST /answer 700, GET /search 500, ..."; empty text alone tells nothing."""
    if not any(counts):
        return ""
    told = [f"{_short(word) or 'unnamed'} {number:,}" for word, number in counts.items()][:most]
    more = [f"{len(counts) - most:,} more"] if len(counts) > most else []
    return ", ".join(told + more)


def _short(word: str) -> str:
    return word if len(word) <= _NAME else f"{word[: _NAME - 3]}..."


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 172_800), ("h", 7_200), ("min", 600)):
        if seconds >= size:
            return f"{seconds / _SECONDS[unit]:.3g} {unit}"
    return f"{seconds:.4g} s"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


_SECONDS: Final = {"days": 86_400, "h": 3_600, "min": 60}
_NEVER: Final = datetime.min
