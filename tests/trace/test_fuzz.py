"""Whatever the bytes: a trace or a TraceError, and every line is accounted for."""

from __future__ import annotations

import gzip
import io
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from breakerlab.trace import TraceError, read_trace

HEADER = {"kind": "trace", "version": 1, "start": "2026-11-24T14:00:00+00:00", "source": {"parameters": {"a": [1]}}}
FLAT = {
    "time": 0.25, "latency": 0.5, "status": 200, "outcome": "ok", "service": "app", "request": 3, "attempt": 1,
    "client": "callers", "endpoint": "POST /answer", "retry_after": None, "tokens_in": 5,
}  # fmt: skip
ROWS = [HEADER, FLAT]
for k in range(4):
    ROWS += [
        {"kind": "begin", "t": k + 1, "id": f"a-{k}", "service": "llm", "request": k, "attempt": 1, "due": k + 0.5},
        {"kind": "event", "t": k + 1, "event": ("pool", "health", "restart", "breaker")[k], "value": k % 2},
        {"kind": "end", "t": k + 1.25, "id": f"a-{k}", "outcome": "error", "status": 503, "retry_after": 1},
    ]
VALID = b"\n".join(json.dumps(row, separators=(",", ":")).encode() for row in ROWS) + b"\n"

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=5),
    st.sampled_from(["ok", "lost", "pool", "llm", "app", "a-0", "begin", "end", "event", "attempt", "trace"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
OTHER_KEYS = {"instance", "tokens_out", "idempotent", "prompt"}
KEYS = st.sampled_from(sorted({key for row in ROWS for key in row} | OTHER_KEYS))
CHANGED_ROWS = st.lists(
    st.tuples(st.sampled_from(ROWS), st.dictionaries(KEYS, VALUES, max_size=2), st.sets(KEYS, max_size=1)), max_size=8
).map(lambda drawn: [{k: v for k, v in (row | new).items() if k not in gone} for row, new, gone in drawn])


@st.composite
def mutated(draw):
    """The valid file with bytes flipped, parts cut out, doubled or swapped, and junk put in."""
    data = bytearray(VALID)
    for _ in range(draw(st.integers(1, 6))):
        change = draw(st.sampled_from(["flip", "cut", "double", "swap", "junk", "end"]))
        a, b = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        if change == "flip" and a < len(data):
            data[a] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del data[a : min(b, a + 40)]
        elif change == "double":
            data[a:a] = data[a : min(b, a + 200)]
        elif change == "swap":
            lines = data.split(b"\n")
            i, j = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
            lines[i], lines[j] = lines[j], lines[i]
            data = bytearray(b"\n".join(lines))
        elif change == "junk":
            data[a:a] = draw(st.binary(max_size=20))
        elif change == "end":
            del data[b:]
    return bytes(data)


def check(data: bytes) -> None:
    try:
        trace = read_trace(io.BytesIO(data))
    except TraceError as error:
        assert str(error).startswith("<buffer>")
        assert str(error).endswith(".")
        return
    account_for_every_line(data, trace)
    assert len(repr(trace).splitlines()) < 30
    assert len(str(trace.describe()).splitlines()) < 40
    assert trace == trace.between()
    assert (trace.requests["attempts"].sum() if len(trace.attempts) else 0) == len(trace.attempts)
    try:
        assert len(trace.timeline(1.0)) > 0
    except ValueError as error:
        assert "wider bin" in str(error)


def account_for_every_line(data, trace):
    """A line that is not blank is in the table, or ends one of its rows, or is the header, or is skipped."""
    lines = {n: line for n, line in enumerate(data.split(b"\n"), start=1) if line.removeprefix(b"\xef\xbb\xbf").strip()}
    skipped = [error.line for error in trace.skipped]
    assert len(set(skipped)) == len(skipped)
    assert set(skipped) <= set(lines)
    used = [json.loads(line.decode("utf-8-sig")) for n, line in lines.items() if n not in set(skipped)]
    kinds = [row.get("kind", "attempt") for row in used]
    whole = [row for row, kind in zip(used, kinds, strict=True) if kind == "attempt"]
    assert len(trace.attempts) == len(whole) + kinds.count("begin")
    assert len(trace.events) == kinds.count("event")
    assert kinds.count("trace") <= 1
    ended = trace.attempts["latency"].notna().sum() - sum(row["latency"] is not None for row in whole)
    assert kinds.count("end") == ended


@given(st.binary(max_size=300))
@example(b"\x1f\x8b")
@example(b"\xef\xbb\xbf")
@example(b"{}\n" * 3)
@settings(max_examples=300, deadline=None)
def test_any_bytes(data):
    check(data)


@given(mutated())
@settings(max_examples=300, deadline=None)
def test_mutated_files(data):
    check(data)


@given(CHANGED_ROWS)
@settings(max_examples=200, deadline=None)
def test_rows_with_any_values_in_any_order(rows):
    check("\n".join(json.dumps(row) for row in rows).encode())


@given(CHANGED_ROWS)
@settings(max_examples=100, deadline=None)
def test_rows_in_order_of_time_with_any_values(rows):
    for k, row in enumerate(rows):
        row["time" if row.get("kind", "attempt") == "attempt" else "t"] = float(k)
    check("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode("utf-8", "surrogatepass"))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_gzip(data):
    packed = bytearray(gzip.compress(VALID, mtime=0))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    kept = data.draw(st.integers(0, len(packed)))
    try:
        read_trace(io.BytesIO(bytes(packed[:kept])))
    except TraceError as error:
        assert str(error).startswith("<buffer>")
