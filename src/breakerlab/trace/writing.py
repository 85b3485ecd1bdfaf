"""A trace as a file that `read_trace` reads back equal: JSON lines, CSV or Parquet, by the name's suffix."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import numpy as np
import pandas as pd

from breakerlab.trace.formats.own_csv import COLUMNS, COMMENT
from breakerlab.trace.header import OPTIONAL, written_header

if TYPE_CHECKING:
    from breakerlab.trace.table import Source

_ROWS: Final = 65_536
_LEVEL: Final = 6
SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")

Write = Callable[[pd.DataFrame, pd.DataFrame, bytes, BinaryIO], None]


def write_trace(
    attempts: pd.DataFrame,
    events: pd.DataFrame,
    start: datetime | None,
    source: Source,
    path: str | os.PathLike[str],
) -> None:
    """Write the two tables to `path`, which is whole or not there; see `Trace.write`."""
    target = Path(path)
    write, packed = _writer(target.name)
    if attempts.empty and events.empty:
        raise ValueError("The trace has no attempts and no events, so there is nothing to write.")
    columns = [name for name in OPTIONAL if name in attempts]
    header = written_header(start, source.facts, source.has_retries, source.cannot_tell, columns)
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            if packed:
                with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as zipped:
                    write(attempts, events, header, cast(BinaryIO, zipped))
            else:
                write(attempts, events, header, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _writer(name: str) -> tuple[Write, bool]:
    low = name.lower()
    packed = low.endswith(".gz")
    for suffix, write in _WRITERS.items():
        if low.removesuffix(".gz").endswith(suffix) and suffix + ".gz" * packed in SUFFIXES:
            return write, packed
    raise ValueError(
        f"The name does not say what to write; let it end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
    )


@dataclass(frozen=True)
class _Style:
    """How values and rows look as text: what stands for a missing value, a word, and the rows of both tables."""

    missing: str
    word: Callable[[str], str]
    attempt: str
    event: str
    event_columns: list[str]


def _write_lines(attempts: pd.DataFrame, events: pd.DataFrame, style: _Style, file: BinaryIO) -> None:
    for some, others in _pieces(attempts, events):
        lines = _lines(some, style.attempt, style)
        if len(others):
            lines += _lines(others[style.event_columns], style.event, style)
            times = np.concatenate((some["time"].to_numpy(), others["time"].to_numpy()))
            lines = [lines[place] for place in np.argsort(times, kind="stable")]
        file.write("".join(lines).encode())


def _pieces(attempts: pd.DataFrame, events: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Some rows of both at a time; none of a later piece is before one of an earlier one."""
    time, beside = attempts["time"].to_numpy(), events["time"].to_numpy()
    done = 0
    for first in range(0, len(attempts), _ROWS):
        last = min(first + _ROWS, len(attempts))
        until = int(np.searchsorted(beside, time[last - 1], "right"))
        yield attempts.iloc[first:last], events.iloc[done:until]
        done = until
    for first in range(done, len(events), _ROWS):
        yield attempts.iloc[:0], events.iloc[first : first + _ROWS]


def _lines(rows: pd.DataFrame, template: str, style: _Style) -> list[str]:
    columns = [_texts(rows[name].array, style) for name in rows]
    return [template % row for row in zip(*columns, strict=True)]


def _texts(values: Any, style: _Style) -> Sequence[str]:
    if isinstance(values, pd.Categorical):
        words = [style.word(word) for word in values.categories]
        return [words[code] for code in values.codes.tolist()]
    if isinstance(values, pd.arrays.BooleanArray):
        words = ["false", "true", style.missing]
        return [words[code] for code in values.to_numpy(dtype=np.int8, na_value=2).tolist()]
    if isinstance(values, pd.arrays.IntegerArray):
        numbers = values.to_numpy(dtype=np.int64, na_value=-1).tolist()
        return [str(number) if number >= 0 else style.missing for number in numbers]
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return [repr(number) if number == number else style.missing for number in array.tolist()]
    return [*map(str, array.tolist())]


def _write_jsonl(attempts: pd.DataFrame, events: pd.DataFrame, header: bytes, file: BinaryIO) -> None:
    fields = ",".join(f'"{name}":%s' for name in attempts)
    style = _Style(
        missing="null",
        word=lambda word: json.dumps(word, ensure_ascii=False),
        attempt=f'{{"kind":"attempt",{fields}}}\n',
        event='{"kind":"event","t":%s,"event":%s,"instance":%s,"value":%s}\n',
        event_columns=["time", "kind", "instance", "value"],
    )
    file.write(header)
    _write_lines(attempts, events, style, file)


def _write_csv(attempts: pd.DataFrame, events: pd.DataFrame, header: bytes, file: BinaryIO) -> None:
    columns = [name for name in COLUMNS if name in attempts or name in ("kind", "instance", "value")]
    filled = {"kind": "attempt"} | dict.fromkeys(attempts, "%s")
    of_event = [name for name in columns if name in events]
    style = _Style(
        missing="",
        word=_quoted,
        attempt=",".join(filled.get(name, "") for name in columns) + "\n",
        event=",".join("%s" if name in of_event else "" for name in columns) + "\n",
        event_columns=of_event,
    )
    file.write(COMMENT.encode() + header + ",".join(columns).encode() + b"\n")
    _write_lines(attempts[[name for name in columns if name in attempts]], events, style, file)


def _quoted(word: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([word, ""])
    return text.getvalue()[:-1]


def _write_parquet(attempts: pd.DataFrame, events: pd.DataFrame, header: bytes, file: BinaryIO) -> None:
    from breakerlab.trace.parquet_writing import write_parquet  # loads polars

    write_parquet(attempts, events, header, file)


_WRITERS: Final[dict[str, Write]] = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
