"""Sizes and shapes meant to hurt: refused or skipped with a sentence, in bounded memory, whatever the format."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc
from pathlib import Path

import pytest
from fuzz_readers import LONGEST_SEED, mutant, reads_or_says, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.lab import charts
from breakerlab.trace import TraceError, read_trace
from breakerlab.trace.formats import FORMATS

RECORDED = Path(__file__).parents[2] / "data" / "formats"
LOGS = sorted(path for path in RECORDED.iterdir() if path.suffix != ".md" and ".truth." not in path.name)
NAMES = [known.name for known in FORMATS]
MIB = 2**20


class Repeated(io.RawIOBase):
    """A beginning, and then the same bytes again and again, up to a size; nothing of it is held in memory."""

    def __init__(self, beginning: bytes, filling: bytes, size: int) -> None:
        self._rest, self._filling, self._left = beginning, filling, size

    def read(self, size: int = -1) -> bytes:
        if self._rest:
            piece, self._rest = self._rest[:size], self._rest[size:]
            return piece
        piece = (self._filling * (1 + size // len(self._filling)))[: min(size, self._left)]
        self._left -= len(piece)
        return piece


def peak_of(read) -> int:
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("filling", [b"x", b'{"a":', b'"', b"["], ids=["x", "object", "quote", "bracket"])
def test_a_line_of_100_mb_is_refused_with_a_sentence(name: str, filling: bytes) -> None:
    def read() -> None:
        with pytest.raises(TraceError, match=r"found .*expected"):
            read_trace(Repeated(b"", filling, 100_000_000), format=name)

    assert peak_of(read) < 300 * MIB


OF_LINES = [path for path in LOGS if path.read_bytes().count(b"\n") >= 20]


@pytest.mark.parametrize("path", OF_LINES, ids=[path.name for path in OF_LINES])
def test_a_long_line_among_good_ones_costs_itself_only(path: Path) -> None:
    data = path.read_bytes()
    trace = read_trace(io.BytesIO(data))
    longer = read_trace(io.BytesIO(data.rstrip(b"\n") + b"\n" + b"y" * (3 * MIB) + b"\n"))
    assert longer.attempts.equals(trace.attempts)
    assert sum(error.lines for error in longer.skipped) == sum(error.lines for error in trace.skipped) + 1


@pytest.mark.parametrize("line", [b"\0" * 1_000, b"x\n"], ids=["zeros", "short lines"])
def test_a_gzip_bomb_is_refused_with_a_sentence(line: bytes) -> None:
    packed = gzip.compress(line * (100 * MIB // len(line)), 9)
    with pytest.raises(TraceError, match="unpacks to more than 500 times its size"):
        read_trace(io.BytesIO(packed), format="apache")


def test_a_log_that_packs_well_is_no_bomb() -> None:
    lines = (
        b'{"time":%d,"latency":1,"status":200,"outcome":"ok","service":"llm","request":%d,"attempt":1}' % (k, k)
        for k in range(100_000)
    )
    packed = gzip.compress(b"\n".join(lines), 9)
    assert len(read_trace(io.BytesIO(packed)).attempts) == 100_000


@pytest.mark.parametrize("path", LOGS, ids=[path.name for path in LOGS])
def test_packed_and_with_other_ends_of_lines_it_reads_the_same(path: Path) -> None:
    data = path.read_bytes()
    trace = read_trace(io.BytesIO(data))
    assert read_trace(io.BytesIO(gzip.compress(data))) == trace
    assert read_trace(io.BytesIO(b"\xef\xbb\xbf" + data)) == trace
    assert read_trace(io.BytesIO(data.replace(b"\n", b"\r\n"))) == trace
    assert read_trace(io.BytesIO(data.rstrip(b"\n"))) == trace


SAMPLES = Path(__file__).parents[3] / "shared" / "traces" / "format_samples"
REAL = sorted(SAMPLES.iterdir()) if SAMPLES.is_dir() else []


@pytest.mark.parametrize("path", [*LOGS, *REAL], ids=[path.name for path in [*LOGS, *REAL]])
def test_what_was_read_can_be_drawn_and_described(path: Path) -> None:
    trace = read_trace(path)
    figure = charts.cascade({"logged": trace})
    drawn = [value for line in figure.data if line.y is not None for value in line.y if value is not None]
    assert max(drawn) > 0
    assert f"{len(trace.attempts):,}" in repr(trace.describe())


SEEDS = seeds()


@settings(max_examples=3_000, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(SEEDS))
def test_a_mutated_log_gives_a_trace_or_a_sentence(number: int, seed) -> None:
    reads_or_says(mutant(seed, SEEDS, random.Random(number)))


def test_the_seeds_are_logs_of_every_kind() -> None:
    assert {path.name for path in LOGS} <= {seed.name for seed in SEEDS}
    assert all(seed.data.startswith(b"PAR1") or len(seed.data) <= 4 * LONGEST_SEED or b"\n" not in seed.data[:4_000]
               or seed.name.endswith((".har", ".xml")) for seed in SEEDS)  # fmt: skip
