"""Lines of nginx in JSON read by the block, a column at a time, for logs of millions of lines.

polars parses a block, and what has the usual look becomes rows at once. Every other line, and every block that polars
refuses or that holds a key its first line lacks, is left to the reading by line: both give the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from breakerlab.trace.errors import BadRow
from breakerlab.trace.formats.nginx_attempts import GONE, MADE_UP, NOTHING, Moment, was_not_sent
from breakerlab.trace.formats.nginx_json import KEYS, NUMBER, asked, key_of, moment_in
from breakerlab.trace.formats.nginx_told import Told
from breakerlab.trace.formats.rows import MAX_MOMENT, NANOSECONDS, Array, Rows, outcome_of
from breakerlab.trace.header import object_in
from breakerlab.trace.schema import MAX_ATTEMPT, MAX_LINE, MAX_STATUS, MIN_STATUS, OUTCOMES

if TYPE_CHECKING:
    import polars as pl

_NEWLINE, _QUOTE, _COLON = b'\n":'
_MARKS: Final = r",| :"
_LISTS: Final = ("addresses", "statuses", "response_times", "connect_times", "header_times")
_TOLD_BY: Final = ("addresses", "statuses", "response_times")
_MAX_REMEMBERED: Final = 2**16  # words of one block stand in the next one too
_LONGEST: Final = 1e6
"""Seconds; a longer duration is left to the reading by line."""

_OUTCOMES: Final = np.array([OUTCOMES.index(outcome_of(status or None)) for status in range(MAX_STATUS + 1)], np.int8)
_NO_WORD: Final = re.compile(
    r"(?:^| )(?:[\[{]|(?:true|false|[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?: |$))", re.ASCII
)
"""What polars makes of a value that is no text."""


@dataclass(frozen=True, slots=True)
class Words:
    """A column of words: each once, in the order of the lines, and for each line the place of its word."""

    words: list[str]
    places: Array

    def codes(self, rows: Rows, column: str, chosen: slice) -> Array:
        """The codes of some lines in `rows`, words added in the order in which the lines have them."""
        places = self.places[chosen]
        present, first = np.unique(places, return_index=True)
        in_order = present[np.argsort(first)]
        table = np.zeros(len(self.words), np.int32)
        table[in_order] = rows.codes(column, [self.words[place] for place in in_order])
        return table[places]


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of a block, its odd lines left out.

    Attributes:
        lines: how many lines the block has.
        odd: the lines that must be read one by one, from 0.
        line: the line of each row, ascending; the other columns are as long.
    """

    lines: int
    odd: Array
    line: Array
    start: Array
    latency: Array
    status: Array
    outcome: Array
    attempt: Array
    retry_after: Array
    client: Words
    endpoint: Words
    instance: Words
    told: Told

    def add_to(self, rows: Rows, begin: int, end: int) -> None:
        """Add the rows of the lines from `begin` to before `end`, none of which is odd."""
        chosen = slice(*np.searchsorted(self.line, (begin, end)).tolist())
        if chosen.start == chosen.stop:
            return
        instance = self.instance.codes(rows, "instance", chosen)
        has_instance = any(self.instance.words[place] for place in np.unique(self.instance.places[chosen]))
        rows.extend(
            start=self.start[chosen],
            latency=self.latency[chosen],
            status=self.status[chosen],
            outcome=self.outcome[chosen],
            request=self.line[chosen] - begin,
            attempt=self.attempt[chosen],
            retry_after=self.retry_after[chosen],
            client=self.client.codes(rows, "client", chosen),
            endpoint=self.endpoint.codes(rows, "endpoint", chosen),
            instance=instance if has_instance else None,
        )


def block_of(data: bytes) -> Block | None:
    """The block as columns; None if it must be read line by line."""
    import polars as pl

    keys = object_in(data.partition(b"\n")[0])
    chosen = {part: key for part in KEYS if (key := key_of(part, keys)) is not None}
    if not {"time", "status", "request_time"} <= chosen.keys():
        return None
    has_as_many_keys = _lines_of(data, len(keys))
    if has_as_many_keys is None:
        return None
    try:
        frame = pl.read_ndjson(data, schema=dict.fromkeys(keys, pl.String))
        if frame.height != len(has_as_many_keys):  # blank lines: which line a row comes from is not known
            return None
        # A line that has every key of the first line, and no more of them, has no other and none of them twice.
        odd = frame.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy() | ~has_as_many_keys
        return _Lines(frame.select(pl.col(key).alias(part) for part, key in chosen.items()), odd).block()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def _lines_of(data: bytes, keys: int) -> Array | None:
    """Whether each line has so many keys, as far as colons behind quotes tell; None if a line is too long."""
    marks = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(marks == _NEWLINE)
    bounds = np.concatenate(([-1], ends, [] if data.endswith(b"\n") else [len(data)])).astype(np.int64)
    if (np.diff(bounds) - 1 > MAX_LINE).any():
        return None
    found = np.flatnonzero((marks[:-1] == _QUOTE) & (marks[1:] == _COLON))
    as_many: Array = np.diff(np.searchsorted(found, bounds)) == keys
    return as_many


class _Lines:
    """The lines of a block on their way to rows. `_odd` marks those that do not look as usual."""

    def __init__(self, frame: pl.DataFrame, odd: Array) -> None:
        self._frame = frame
        self._odd = odd
        self._all = np.arange(frame.height)

    def block(self) -> Block | None:
        ends, has_parts, has_zone = self._ends()
        has_status = self._frame["status"].str.contains("^(?:[0-9]{3}|-)$").fill_null(False)
        self._mark(self._all, ~has_status.to_numpy())
        flat = self._attempts()
        line = flat["line"].to_numpy()
        if not len(line):
            return None
        first, attempt = _counted(line)
        self._mark(line, attempt > MAX_ATTEMPT)
        is_last = np.append(first[1:], True)
        instance = self._words(flat["addresses"], line)
        status, outcome = self._fates(flat, line, instance, is_last)
        latency = self._durations(flat["response_times"], line)
        start = (ends - _ns(self._durations(self._frame["request_time"], self._all)))[line] + _before(latency, first)
        self._mark(line, (start < 0) | (start > MAX_MOMENT))
        retry_after = np.where(is_last, self._retry_after()[line], np.nan)
        client = self._words(self._column("client"), self._all)
        asked_for = self._words(self._asked(), self._all)
        usual = ~self._odd[line]
        told, line = self._told(flat.filter(usual), has_parts, has_zone), line[usual]
        return Block(
            lines=self._frame.height,
            odd=np.flatnonzero(self._odd),
            line=line,
            start=start[usual],
            latency=latency[usual],
            status=status[usual],
            outcome=outcome[usual],
            attempt=attempt[usual],
            retry_after=retry_after[usual],
            client=Words(client.words, client.places[line]),
            endpoint=Words([asked(word) for word in asked_for.words], asked_for.places[line]),
            instance=Words(instance.words, instance.places[usual]),
            told=told,
        )

    def _mark(self, line: Array, bad: Array) -> None:
        if bad.any():
            self._odd[line[bad]] = True

    def _column(self, part: str) -> pl.Series:
        import polars as pl

        return self._frame[part] if part in self._frame.columns else pl.repeat("", self._frame.height, eager=True)

    def _words(self, column: pl.Series, line: Array) -> Words:
        """The words of a column; lines with something that is no plain word are odd."""
        import polars as pl

        column = column.fill_null("")
        unique = column.unique(maintain_order=True)
        places = column.cast(pl.Enum(unique)).to_physical().to_numpy()
        words = unique.to_list()
        bad = np.fromiter((not _is_plain(word) for word in words), bool, len(words))
        if bad.any():
            self._mark(line, bad[places])
        return Words(words, places)

    def _ends(self) -> tuple[Array, Array, Array]:
        """The time of each line in nanoseconds; whether it tells parts of seconds, and the zone."""
        import polars as pl

        if NUMBER.fullmatch(self._frame["time"][0] or ""):
            time = pl.col("time")
            found = self._frame.select(
                usual=time.str.contains(r"^[0-9]{10}(?:\.[0-9]{1,3})?$").fill_null(False),
                whole=time.str.slice(0, 10).cast(pl.Int64, strict=False).fill_null(0),
                parts=time.str.slice(11, 3).str.pad_end(3, "0").cast(pl.Int64, strict=False).fill_null(0),
                has_parts=(time.str.len_bytes() > 10).fill_null(False),
            )
            self._mark(self._all, ~found["usual"].to_numpy())
            ends = found["whole"].to_numpy() * NANOSECONDS + found["parts"].to_numpy() * (NANOSECONDS // 1_000)
            return ends, found["has_parts"].to_numpy(), np.ones(len(ends), bool)
        words = self._words(self._frame["time"], self._all)
        known = [_moment_or_none(word) for word in words.words]
        self._mark(self._all, np.array([found is None for found in known], bool)[words.places])
        ends, has_parts, has_zone = zip(*(found or Moment(0, False, True) for found in known), strict=True)
        columns = np.array(ends, np.int64), np.array(has_parts, bool), np.array(has_zone, bool)
        return columns[0][words.places], columns[1][words.places], columns[2][words.places]

    def _durations(self, column: pl.Series, line: Array) -> Array:
        import polars as pl

        found = column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
        usual = (found >= 0.0) & (found <= _LONGEST) & (column.str.len_bytes().fill_null(99) <= 16).to_numpy()
        self._mark(line, ~usual)
        return np.where(usual, found, 0.0)

    def _retry_after(self) -> Array:
        import polars as pl

        if "retry_after" not in self._frame.columns:
            return np.full(self._frame.height, np.nan)
        column = self._frame["retry_after"].fill_null("")
        is_number = column.str.contains(r"^[0-9]{1,9}$").to_numpy()
        self._mark(self._all, ~is_number & ~column.is_in(NOTHING).to_numpy())
        return np.where(is_number, column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy(), np.nan)

    def _asked(self) -> pl.Series:
        """What was asked for, without its query, as `asked_text` puts it together."""
        import polars as pl

        has = self._frame.columns
        if not {"request", "method", "target"} & set(has):
            return self._column("request")
        method, target = (pl.col(part) if part in has else pl.lit("") for part in ("method", "target"))
        text = pl.concat_str(method, target, separator=" ")
        if "request" in has:
            request = pl.col("request")
            text = (
                request if not {"method", "target"} & set(has) else pl.when(request == "").then(text).otherwise(request)
            )
        return self._frame.select(text.str.splitn("?", 2).struct.field("field_0").alias("asked")).to_series()

    def _attempts(self) -> pl.DataFrame:
        """A row an attempt, in the order of the lines, as text: `line`, `passed` on to another server or not, and the
        parts that a line has as lists.
        """
        import polars as pl

        has = set(self._frame.columns)
        told_by, lists = [part for part in _TOLD_BY if part in has], [part for part in _LISTS if part in has]
        passed = pl.any_horizontal(~pl.col(part).is_in(NOTHING) for part in told_by) if told_by else pl.lit(False)
        several = pl.any_horizontal(pl.col(part).str.contains(_MARKS) for part in lists) if lists else pl.lit(False)
        frame = self._frame.select(
            "status",
            "request_time",
            *(pl.col(part).fill_null("") if part in has else pl.lit("").alias(part) for part in _LISTS),
            line=pl.int_range(pl.len()),
            passed=passed.fill_null(False),
            several=several.fill_null(False),
        )
        single = _single(frame.filter(~pl.col("several")))
        if single.height == frame.height:
            return single
        split = self._split(frame.filter(pl.col("several")), lists)
        return pl.concat([single, split]).sort("line", maintain_order=True)

    def _split(self, frame: pl.DataFrame, lists: Sequence[str]) -> pl.DataFrame:
        """Rows of lines that tell several attempts; odd are lines whose lists differ in length or lack what matters."""
        import polars as pl

        entries = frame.with_columns(pl.col(part).str.replace_all(" : |, ?", ",").str.split(",") for part in lists)
        counts = entries.select(pl.col(part).list.len() for part in lists).to_numpy()
        bad = (counts != counts[:, :1]).any(axis=1) | ~frame["passed"].to_numpy()
        bad |= frame.select(pl.any_horizontal(pl.col(part).str.ends_with(":") for part in lists)).to_series().to_numpy()
        if not {"statuses", "response_times"} <= set(lists):
            bad[:] = True
        self._mark(frame["line"].to_numpy(), bad)
        return (
            entries.filter(~bad)
            .explode(lists)
            .with_columns(addresses=pl.when(pl.col("addresses") == "-").then(pl.lit("")).otherwise("addresses"))
        )

    def _fates(self, flat: pl.DataFrame, line: Array, instance: Words, is_last: Array) -> tuple[Array, Array]:
        """Status (0: none) and outcome of each attempt, as `nginx_attempts` tells them."""
        import polars as pl

        code, connect, header = pl.col("statuses"), pl.col("connect_times"), pl.col("header_times")
        found = flat.select(
            status=pl.when(code.str.len_bytes() == 3).then(code.cast(pl.Int64, strict=False)).fill_null(0),
            silent=(connect == "-") | (header == "-"),
            usual=pl.all_horizontal(_is_usual(connect), _is_usual(header)),
            no_status=code == "-",
            gone=(pl.col("status") == GONE).fill_null(False),
        )
        passed, status = flat["passed"].to_numpy(), found["status"].to_numpy().copy()
        gone = passed & is_last & found["gone"].to_numpy()
        has_status = (status >= MIN_STATUS) & (status <= MAX_STATUS)
        no_status = found["no_status"].to_numpy() & gone
        self._mark(line, ~(has_status | no_status) | ~found["usual"].to_numpy())
        status[~has_status] = 0
        outcome = _OUTCOMES[status]
        for own, word in MADE_UP.items():
            made_up = passed & found["silent"].to_numpy() & (status == own)
            status[made_up], outcome[made_up] = 0, OUTCOMES.index(word)
        unsent = np.fromiter(map(was_not_sent, instance.words), bool, len(instance.words))[instance.places] & passed
        status[unsent], outcome[unsent] = 0, OUTCOMES.index("rejected")
        outcome[gone] = OUTCOMES.index("cancelled")
        return status, outcome

    def _told(self, flat: pl.DataFrame, has_parts: Array, has_zone: Array) -> Told:
        import polars as pl

        answers = pl.col("passed") & ((pl.col("connect_times") != "") | (pl.col("header_times") != ""))
        usual = ~self._odd
        return Told(
            parts_of_seconds=bool(has_parts[usual].any()),
            no_zone=not has_zone[usual].all(),
            attempts=bool(flat["passed"].any()),
            answers=bool(flat.select(answers.any()).item()) if flat.height else False,
        )


def _single(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of lines that tell one attempt, or none: those that nginx answered itself."""
    import polars as pl

    passed = pl.col("passed")

    def told(part: str, otherwise: str, nothing: tuple[str, ...]) -> pl.Expr:
        return pl.when(passed & ~pl.col(part).is_in(nothing)).then(part).otherwise(pl.col(otherwise)).alias(part)

    return frame.with_columns(
        told("statuses", "status", ("",)),
        told("response_times", "request_time", NOTHING),
        addresses=pl.when(passed & (pl.col("addresses") != "-")).then("addresses").otherwise(pl.lit("")),
    )


@lru_cache(maxsize=_MAX_REMEMBERED)
def _is_plain(word: str) -> bool:
    return word.isprintable() and _NO_WORD.search(word) is None


def _is_usual(time: pl.Expr) -> pl.Expr:
    import polars as pl

    return time.is_in(NOTHING) | time.cast(pl.Float64, strict=False).is_not_null()


def _moment_or_none(text: str) -> Moment | None:
    if NUMBER.fullmatch(text):  # a number among other times: polars may round it where Python does not
        return None
    try:
        moment = moment_in(text)
    except BadRow:
        return None
    return moment if 0 <= moment.ns <= MAX_MOMENT else None  # more than the column can hold, or no start in range


def _counted(line: Array) -> tuple[Array, Array]:
    """Which rows are the first of their line, and the number of each row in its line, from 1."""
    first = np.append(True, line[1:] != line[:-1])
    begins = np.flatnonzero(first)
    return first, np.arange(len(line)) - begins[np.cumsum(first) - 1] + 1


def _before(latency: Array, first: Array) -> Array:
    """Nanoseconds that the attempts before took, of the same line."""
    took = _ns(latency)
    before = np.cumsum(took) - took
    of_the_first: Array = before[np.flatnonzero(first)][np.cumsum(first) - 1]
    return before - of_the_first


def _ns(seconds: Array) -> Array:
    whole: Array = np.rint(seconds * NANOSECONDS).astype(np.int64)
    return whole
