"""Keys, mail addresses, tokens and cookies, planted in every field of every format, leave no reader."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from breakerlab.trace import Trace, TraceError, read_trace

RECORDED = Path(__file__).parents[2] / "data" / "formats"
SAMPLES = Path(__file__).parents[3] / "shared" / "traces" / "format_samples"
LOGS = sorted(
    path for folder in (RECORDED, SAMPLES) if folder.is_dir() for path in folder.iterdir()
    if path.suffix in {".log", ".jsonl", ".csv", ".json", ".har", ".xml"} and ".truth." not in path.name
)  # fmt: skip
MARK = "7f3aQ9"
SECRETS = (
    f"sk-ant-api03-{MARK}xyzxyzxyz",
    f"jane.{MARK}@mail.example",
    f"Bearer {MARK}token",
    f"sessionid={MARK}",
    f"/v1/chat?prompt=hello+{MARK}",
)
LINES = 2
FIELDS = 45  # of a line; more are taken with gaps
DOCUMENT = 3_000
FIELD = re.compile(rb"[^\s,;\"'\[\]{}()<>]+")


def everything_in(trace: Trace) -> str:
    """All that can be got from a trace, as one text."""
    frames = (trace.attempts, trace.events, trace.requests)
    parts = [repr(trace), repr(trace.source), *map(str, trace.skipped), repr(trace.describe())]
    parts += [frame.to_csv() for frame in frames]
    parts += [str(list(f[name].cat.categories)) for f in frames for name in f if f[name].dtype == "category"]
    return "".join(parts)


def everything_told_of(data: bytes) -> str:
    try:
        return everything_in(read_trace(io.BytesIO(data)))
    except TraceError as error:
        return str(error)


def planted(data: bytes) -> Iterator[bytes]:
    """The log with a secret in the place of one field of one of its first lines, each field and secret once."""
    lines = data.split(b"\n")
    if len(lines) <= 3:  # one document
        fields = some(list(FIELD.finditer(data[:DOCUMENT])))
        for number, field in enumerate(fields):
            yield data[: field.start()] + SECRETS[number % len(SECRETS)].encode() + data[field.end() :]
        return
    for place, line in enumerate(lines[:LINES]):
        for number, field in enumerate(some(list(FIELD.finditer(line)))):
            for secret in (SECRETS[number % len(SECRETS)], SECRETS[(number + place + 1) % len(SECRETS)]):
                changed = line[: field.start()] + secret.encode() + line[field.end() :]
                yield b"\n".join([*lines[:place], changed, *lines[place + 1 : LINES + 2]]) + b"\n"


def some(fields: list[re.Match[bytes]]) -> list[re.Match[bytes]]:
    return fields[:: 1 + len(fields) // FIELDS]


def test_there_is_a_log_of_every_kind_that_is_recorded() -> None:
    assert len([path for path in LOGS if path.parent == RECORDED]) >= 10


@pytest.mark.parametrize("path", LOGS, ids=[path.name for path in LOGS])
def test_a_secret_in_any_field_is_told_nowhere(path: Path) -> None:
    leaks = {told for data in planted(path.read_bytes()) if MARK in (told := everything_told_of(data))}
    assert [leak[max(0, leak.index(MARK) - 120) : leak.index(MARK) + 40] for leak in leaks][:3] == []
