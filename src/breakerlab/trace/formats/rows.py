"""The attempts that a reader has found so far, as growing columns of plain arrays."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from breakerlab.trace.errors import BadRow
from breakerlab.trace.redaction import described, redacted, route
from breakerlab.trace.schema import FIELDS, MAX_ATTEMPT, MAX_SECONDS, MAX_STATUS, MAX_TEXT, MIN_STATUS, OUTCOMES
from breakerlab.trace.skipped import Skipped
from breakerlab.trace.table import Source, Trace

Array = np.ndarray[Any, np.dtype[Any]]

NANOSECONDS: Final = 1_000_000_000
SERVICE: Final = "api"
"""What a service is called whose name the log does not tell."""

MISSING: Final = -1
MAX_MOMENT: Final = int(4.1e9) * NANOSECONDS
_MAX_REMEMBERED: Final = 50_000

_DECIMAL: Final = re.compile(r"\d{1,20}(?:\.\d{0,20})?(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_OUTCOME_CODES: Final = {word: code for code, word in enumerate(OUTCOMES)}


def outcome_of(status: int | None) -> str:
    """The outcome that an HTTP status stands for: 429 is throttled, 499 cancelled (nginx: the caller has gone),
    without a status the connection failed.
    """
    if status is None:
        return "connection"
    if status < 400:
        return "ok"
    if status == 429:
        return "throttled"
    if status == 499:
        return "cancelled"
    return "client_error" if status < 500 else "error"


class Words:
    """A column of words as codes. What is added passes through `clean`; it is asked once for each word."""

    def __init__(self, clean: Callable[[str], str] | None = None) -> None:
        self._codes = array("i")
        self._code_of: dict[str, int] = {}
        self._clean = clean
        self._remembered: dict[str, int] = {}

    def add(self, word: str) -> None:
        self._codes.append(self.code(word))

    def code(self, word: str) -> int:
        """The code that stands for this word, without adding a row."""
        if self._clean is None:
            return self._code_of.setdefault(word, len(self._code_of))
        code = self._remembered.get(word)
        if code is None:
            if len(self._remembered) >= _MAX_REMEMBERED:  # every address differs: memory stays bounded all the same
                self._remembered.clear()
            cleaned = self._clean(word)
            code = self._remembered[word] = self._code_of.setdefault(cleaned, len(self._code_of))
        return code

    def extend(self, codes: Array) -> None:
        """Many rows at once, by codes that `code` gave."""
        self._codes.frombytes(np.ascontiguousarray(codes, np.int32).tobytes())

    def pair(self) -> tuple[Array, list[str]]:
        return np.asarray(self._codes), list(self._code_of)


class AttemptColumns:
    """What every growing attempt table has beside its times; -1 in an optional column stands for a missing value."""

    def __init__(self, words: Mapping[str, Words], optional: Mapping[str, array[int]]) -> None:
        self._latency = array("d")
        self._retry_after = array("d")
        self._status = array("h")
        self._outcome = array("b")
        self._request = array("q")
        self._attempt = array("h")
        self._words = words
        self._optional = optional
        self._seen: set[str] = set()
        """The columns that need not be there and are."""

    def _columns_at(self, time: Array) -> dict[str, object]:
        """The columns as `Trace.from_columns` takes them, of attempts that began at `time`."""
        columns: dict[str, object] = {
            "time": time,
            "latency": np.asarray(self._latency),
            "status": np.asarray(self._status),
            "outcome": (np.asarray(self._outcome), OUTCOMES),
            "request": np.asarray(self._request),
            "attempt": np.asarray(self._attempt),
            "retry_after": np.asarray(self._retry_after),
        }
        always = {"service", "client", "endpoint"}
        columns |= {name: words.pair() for name, words in self._words.items() if name in always | self._seen}
        columns |= {name: with_gaps(values) for name, values in self._optional.items() if name in self._seen}
        return columns


class Rows(AttemptColumns):
    """Attempts of a foreign log. Every word is redacted here, so that no reader can forget it.

    Times are nanoseconds since 1970 (UTC); the trace's axis begins at the whole second before the earliest.
    """

    def __init__(self) -> None:
        words = {
            "service": Words(_service),
            "client": Words(redacted),
            "endpoint": Words(endpoint_of),
            "instance": Words(redacted),
        }
        super().__init__(words, {"tokens_in": array("q"), "tokens_out": array("q")})
        self._start = array("q")
        self._requests = 0

    def __len__(self) -> int:
        return len(self._start)

    def new_request(self) -> int:
        """The number of a logical request that has no attempt yet."""
        self._requests += 1
        return self._requests - 1

    def add(
        self,
        *,
        start: int,
        latency: float | None,
        status: int | None,
        outcome: str | None = None,
        request: int | None = None,
        attempt: int = 1,
        service: str = SERVICE,
        client: str = "",
        endpoint: str = "",
        instance: str | None = None,
        retry_after: float | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
    ) -> None:
        """Add one attempt, or, if a value is out of its range, nothing.

        Args:
            start: when it began, in nanoseconds since 1970 (UTC).
            latency: seconds until the outcome was known; None if the log does not say.
            status: the HTTP status, None if there was none.
            outcome: a word of the schema; without it the one that the status stands for.
            request: the logical request, a number from `new_request`; without it a new one.
            attempt: 1 for the first of its request.
            service, client, endpoint, instance: as the log has them; an endpoint is "METHOD target" or a model.
            retry_after: seconds that the server asked to wait.
            tokens_in, tokens_out: if the log tells them.

        Raises:
            BadRow: a value is out of its range.
        """
        self.check(start=start, latency=latency, status=status, retry_after=retry_after)
        for name, count in (("attempt", attempt), ("tokens_in", tokens_in), ("tokens_out", tokens_out)):
            _check(name, count, count is None or FIELDS[name].accepts(count), FIELDS[name].expected)
        self._start.append(start)
        self._latency.append(or_nan(latency))
        self._retry_after.append(or_nan(retry_after))
        self._status.append(status or 0)
        self._outcome.append(_OUTCOME_CODES[outcome_of(status) if outcome is None else outcome])
        self._request.append(self.new_request() if request is None else request)
        self._attempt.append(attempt)
        words = self._words
        words["service"].add(service)
        words["client"].add(client)
        words["endpoint"].add(endpoint)
        words["instance"].add(instance or "")
        self._optional["tokens_in"].append(MISSING if tokens_in is None else tokens_in)
        self._optional["tokens_out"].append(MISSING if tokens_out is None else tokens_out)
        for name, given in (("instance", instance), ("tokens_in", tokens_in), ("tokens_out", tokens_out)):
            if given is not None:
                self._seen.add(name)

    def forget_latency(self) -> None:
        """No latency is known after all, of no row."""
        self._latency = array("d", [float("nan")]) * len(self)

    @staticmethod
    def check(*, start: int, latency: float | None, status: int | None, retry_after: float | None = None) -> None:
        """Raise BadRow if one of the values is out of its range: for a line of several attempts, before the first."""
        _check("time", start, 0 <= start <= MAX_MOMENT, "a time from 1970 to 2099")
        for name, value in (("latency", latency), ("retry_after", retry_after)):
            _check(name, value, value is None or 0.0 <= value <= MAX_SECONDS, FIELDS[name].expected)
        _check("status", status, status is None or MIN_STATUS <= status <= MAX_STATUS, FIELDS["status"].expected)

    def codes(self, column: str, words: Sequence[str]) -> Array:
        """The codes of words of a column for `extend`, redacted as `add` redacts them."""
        code = self._words[column].code
        return np.fromiter((code(word) for word in words), np.int32, len(words))

    def extend(
        self,
        *,
        start: Array,
        latency: Array,
        status: Array,
        outcome: Array,
        request: Array,
        attempt: Array,
        retry_after: Array,
        client: Array,
        endpoint: Array,
        instance: Array | None,
    ) -> None:
        """Add many attempts on `SERVICE` at once; all of them or, if a value is out of its range, nothing.

        Args:
            start: as in `add`.
            latency, retry_after: as in `add`, NaN for none.
            status: as in `add`, 0 for none.
            outcome: places in `schema.OUTCOMES`.
            request: counted from 0 for the requests that begin here, in their order.
            attempt: as in `add`.
            client, endpoint, instance: codes from `codes`; None: no instance is told of any.

        Raises:
            ValueError: a value is out of its range.
        """
        good = {
            "start": (start >= 0) & (start <= MAX_MOMENT),
            "latency": np.isnan(latency) | ((latency >= 0.0) & (latency <= MAX_SECONDS)),
            "retry_after": np.isnan(retry_after) | ((retry_after >= 0.0) & (retry_after <= MAX_SECONDS)),
            "status": (status == 0) | ((status >= MIN_STATUS) & (status <= MAX_STATUS)),
            "attempt": (attempt >= 1) & (attempt <= MAX_ATTEMPT),
        }
        for name, column in good.items():
            if len(column) != len(start) or not column.all():
                raise ValueError(f"a {name} is out of its range, or some are missing")
        if not len(start):
            return
        columns: list[tuple[array[Any], Array]] = [
            (self._start, start),
            (self._latency, latency),
            (self._retry_after, retry_after),
            (self._status, status),
            (self._outcome, outcome),
            (self._request, request + self._requests),
            (self._attempt, attempt),
        ]
        for kept, more in columns:
            kept.frombytes(np.ascontiguousarray(more, kept.typecode).tobytes())
        self._requests += int(request.max()) + 1
        words = self._words
        words["service"].extend(np.full(len(start), words["service"].code(SERVICE)))
        words["client"].extend(client)
        words["endpoint"].extend(endpoint)
        words["instance"].extend(np.full(len(start), words["instance"].code("")) if instance is None else instance)
        for tokens in self._optional.values():
            tokens.frombytes(np.full(len(start), MISSING, tokens.typecode).tobytes())
        if instance is not None:
            self._seen.add("instance")

    def tells(self, column: str) -> bool:
        """Whether any attempt has a latency, or a word that is not empty."""
        if column == "latency":
            return not np.isnan(np.asarray(self._latency)).all()
        codes, words = self._words[column].pair()
        return any(words) and bool((codes != (words.index("") if "" in words else -1)).any())

    def trace(self, source: Source, skipped: Skipped, *, relative: bool = False) -> Trace | None:
        """The trace of these attempts; None if there is none. `relative`: the log's times count from its own zero."""
        if not self:
            return None
        start = np.asarray(self._start)
        zero = 0 if relative else int(start.min()) // NANOSECONDS
        columns = self._columns_at(np.round((start - zero * NANOSECONDS) / NANOSECONDS, 9))
        moment = None if relative else datetime.fromtimestamp(zero, UTC)
        return Trace.from_columns(columns, start=moment, source=source, skipped=skipped.errors())


def _service(name: str) -> str:
    """In a trace "app" is the callers' side of an incident; a backend of that name is none."""
    name = redacted(name) or SERVICE
    return "app (backend)" if name == "app" else name


def endpoint_of(text: str) -> str:
    """ "METHOD target" as method and route; anything else, a model, redacted."""
    method, space, target = text.partition(" ")
    if space and (target.startswith("/") or "://" in target):
        return f"{redacted(method)} {route(target)}"[:MAX_TEXT]
    return route(text) if text.startswith("/") else redacted(text)


def with_gaps(values: array[int]) -> Any:
    """A column of counts (or, of type "b", of flags) in which -1 stands for a missing value."""
    numbers = np.asarray(values)
    missing = numbers == MISSING
    known = np.where(missing, 0, numbers)
    if values.typecode == "b":
        return pd.arrays.BooleanArray(known.astype(bool), missing)
    return pd.arrays.IntegerArray(known, missing)


def or_nan(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _check(column: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise BadRow(column, described(value), expected)


def seconds(text: str, column: str = "latency", unit: float = 1.0) -> float | None:
    """A duration in seconds from its text in `unit` seconds; None for "-" and nothing. Raises BadRow."""
    if text in ("-", ""):
        return None
    value = float(text) * unit if _DECIMAL.fullmatch(text) else float("nan")
    if not 0.0 <= value <= MAX_SECONDS:
        raise BadRow(column, described(text), "a duration of 0 or more, or -")
    return value


def whole_number(text: str, column: str, most: int) -> int:
    """A count from its text. Raises BadRow."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= most):
        raise BadRow(column, described(text), f"a whole number from 0 to {most:,}")
    return int(text)


def status_code(text: str) -> int | None:
    """An HTTP status from its text; None for what stands for no status: "-", "", "0", "000", "-1". Raises BadRow."""
    if text in ("-", "", "0", "000", "-1"):
        return None
    if not (text.isascii() and text.isdigit() and len(text) == 3 and int(text) >= MIN_STATUS):
        raise BadRow("status", described(text), "an HTTP status of three digits, or -")
    return int(text)


def moment_ns(moment: datetime) -> int:
    """Nanoseconds since 1970 of an aware time, exact to its microsecond."""
    since = moment - _UNIX_EPOCH
    return (since.days * 86_400 + since.seconds) * NANOSECONDS + since.microseconds * 1_000


def known_words(words: Sequence[str]) -> str:
    """Words of our own for a sentence: "a, b or c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
