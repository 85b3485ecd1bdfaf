"""Lines of a small recording, and a reader of lines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from breakerlab.trace import Trace, read_trace

Row = dict[str, object]


def _line(row: Row | str | bytes) -> bytes:
    if isinstance(row, bytes):
        return row
    return (row if isinstance(row, str) else json.dumps(row)).encode()


@pytest.fixture
def read() -> Callable[..., Trace]:
    """Reads rows (objects, text or bytes), one a line."""

    def read_rows(*rows: Row | str | bytes) -> Trace:
        return read_trace(io.BytesIO(b"\n".join(_line(row) for row in rows)), format="jsonl")

    return read_rows


@pytest.fixture
def flat() -> Callable[..., Row]:
    """A whole attempt as one row, with some fields changed."""

    def row(**changes: object) -> Row:
        return {
            "time": 1.0,
            "latency": 0.5,
            "status": 200,
            "outcome": "ok",
            "service": "llm",
            "request": 1,
            "attempt": 1,
        } | changes

    return row


@pytest.fixture
def begin() -> Callable[..., Row]:
    def row(t: float, id: str, **changes: object) -> Row:
        return {"kind": "begin", "t": t, "id": id, "service": "llm", "request": 1, "attempt": 1} | changes

    return row


@pytest.fixture
def end() -> Callable[..., Row]:
    def row(t: float, id: str, **changes: object) -> Row:
        return {"kind": "end", "t": t, "id": id, "outcome": "ok", "status": 200, "retry_after": None} | changes

    return row


@pytest.fixture
def event() -> Callable[..., Row]:
    def row(t: float, kind: str, value: float, instance: str = "pipeline") -> Row:
        return {"kind": "event", "t": t, "event": kind, "value": value, "instance": instance}

    return row
