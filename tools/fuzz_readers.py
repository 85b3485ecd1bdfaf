"""Break logs in every way we can think of, and see that `read_trace` gives a trace or one TraceError, nothing else.

    make fuzz                         a million mutants of the files in data/ and, where it is, ../shared/traces
    make fuzz ARGS="--mutants 5000 --seed 7"

A mutant that fails is written to fuzz-failures/, with the command that reads it again.
"""

import argparse
import gzip
import io
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course import REPOSITORY

from breakerlab.trace import Trace, TraceError, read_trace

LONGEST_SEED = 6_000
PATIENCE = 20
MEMORY = 6 * 2**30
FOLDERS = (
    REPOSITORY / "data",
    REPOSITORY / "data" / "formats",
    REPOSITORY.parent / "shared" / "traces",
    REPOSITORY.parent / "shared" / "traces" / "format_samples",
)
NO_LOG = {".md", ".png"}
TOKENS = (
    b"-", b"-1", b"0", b'"', b"\\", b"\\x22", b"\\u0000", b"\\ud800", b"NaN", b"-Infinity", b"1e999", b"null", b"[]",
    b"[" * 3_000, b"9" * 5_000, b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\n\n", b",", b"\t", b" ", b": ",
    b"999999999999999999999", b"1970-01-01T00:00:00Z", b"9999-12-31T23:59:59.999999+23:59", b"{}", b"502, 200",
    b"31/Feb/2024:25:61:61 +9999", b"Non HTTP response code: java.net.SocketTimeoutException", b"URX", b"0.5e-400",
    b"<script>alert(1)</script>", "\xe9\u2028\U0001f600".encode(), b"true", b'"time":', b"?key=x",
    b"=cmd|' /C calc'!A0", b"PAR1", b"# breakerlab trace {",
)  # fmt: skip


class Hang(Exception):  # noqa: N818
    """A mutant took longer than anything of its size may."""


@dataclass(frozen=True)
class Seed:
    """A piece of a real log."""

    name: str
    data: bytes


def seeds(folders: tuple[Path, ...] = FOLDERS) -> list[Seed]:
    """The first lines of every log in these folders; small files whole. Files that are not text are taken whole."""
    found = []
    for folder in folders:
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if path.is_file() and path.suffix not in NO_LOG:
                found.append(Seed(path.name, _beginning(path)))
    if not found:
        raise FileNotFoundError("there is no log to mutate: data/ is missing; get it back with: git checkout data")
    return found


def _beginning(path: Path) -> bytes:
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(LONGEST_SEED * 4)
    if data.startswith(b"PAR1") or len(data) <= LONGEST_SEED:
        return data
    cut = data[:LONGEST_SEED]
    return cut[: cut.rfind(b"\n") + 1] or cut


def mutant(seed: Seed, others: list[Seed], draw: random.Random) -> bytes:
    """The seed with one to six changes: bytes flipped, cut, doubled or swapped, tokens put in, other logs mixed in."""
    data = bytearray(seed.data)
    for _ in range(draw.randint(1, 6)):
        data = draw.choice(CHANGES)(data, others, draw)
    if draw.random() < 0.05:
        packed = bytearray(gzip.compress(bytes(data), 1))
        return bytes(draw.choice(CHANGES[:3])(packed, others, draw))
    return bytes(data)


Change = Callable[[bytearray, list[Seed], random.Random], bytearray]


def _span(data: bytearray, draw: random.Random, longest: int) -> tuple[int, int]:
    begin = draw.randint(0, len(data))
    return begin, min(len(data), begin + draw.randint(0, longest))


def flip(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    for _ in range(draw.randint(1, 8)):
        if data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return data


def cut(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    begin, end = _span(data, draw, 60)
    del data[begin:end]
    return data


def end_early(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    return data[: draw.randint(0, len(data))]


def double(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    begin, end = _span(data, draw, 400)
    data[begin:begin] = data[begin:end]
    return data


def put_in(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    begin, end = _span(data, draw, draw.choice((0, 0, 4, 12)))
    data[begin:end] = draw.choice(TOKENS)
    return data


def replace_field(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    """One field, wherever fields end, becomes a token."""
    edges = [place for place, byte in enumerate(data) if byte in b' ,"\t\n:[]']
    if len(edges) < 2:
        return data
    place = draw.randrange(len(edges) - 1)
    data[edges[place] + 1 : edges[place + 1]] = draw.choice(TOKENS)
    return data


def swap_lines(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    lines = bytes(data).split(b"\n")
    a, b = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return bytearray(b"\n".join(lines))


def mix(data: bytearray, others: list[Seed], draw: random.Random) -> bytearray:
    """Lines of another log between those of this one."""
    lines = bytes(data).split(b"\n")
    strange = draw.choice(others).data.split(b"\n")
    place, first = draw.randrange(len(lines) + 1), draw.randrange(len(strange))
    lines[place:place] = strange[first : first + draw.randint(1, 5)]
    return bytearray(b"\n".join(lines))


CHANGES: tuple[Change, ...] = (flip, cut, end_early, double, put_in, replace_field, swap_lines, mix)


def reads_or_says(data: bytes, format: str | None = None) -> Trace | TraceError:
    """What reading gives. Raises whatever else comes out, and AssertionError for a trace that cannot be looked at."""
    try:
        trace = read_trace(io.BytesIO(data), format=format)
    except TraceError as error:
        assert str(error).endswith("."), "an error is one sentence"
        assert "\n" not in str(error), "an error is one line"
        return error
    assert len(trace.attempts) + len(trace.events) > 0, "a trace without a row"
    repr(trace)
    return trace


def lines_that_count(data: bytes) -> int:
    return sum(1 for line in data.split(b"\n") if line.strip())


# --- a long run, on all cores ---


@dataclass(frozen=True)
class Failure:
    seed: str
    data: bytes
    what: str


def run(worker: int, mutants: int, seed: int, failures: "multiprocessing.Queue[Failure | None]") -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _hang)
    draw = random.Random(f"{seed}-{worker}")
    logs = seeds()
    for _ in range(mutants):
        log = draw.choice(logs)
        data = mutant(log, logs, draw)
        signal.alarm(PATIENCE)
        try:
            reads_or_says(data)
        except BaseException:
            failures.put(Failure(log.name, data, traceback.format_exc(limit=-4)))
        finally:
            signal.alarm(0)
    failures.put(None)


def _hang(*_: object) -> None:
    raise Hang(f"more than {PATIENCE} s for a few kilobytes")


def heard(queue: "multiprocessing.Queue[Failure | None]", workers: int, alive: Callable[[], bool]) -> Iterator[Failure]:
    """Failures until every worker has said that it is done; one that died without a word is a failure too."""
    done = 0
    while done < workers:
        try:
            word = queue.get(timeout=5)
        except Exception:
            if not alive() and queue.empty():
                yield Failure("?", b"", "a worker died: reading ended the whole process")
                return
            continue
        if word is None:
            done += 1
        else:
            yield word


def main() -> None:
    parser = argparse.ArgumentParser(description="read mutated logs")
    parser.add_argument("--mutants", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    folder, begun = REPOSITORY / "fuzz-failures", time.monotonic()
    queue: multiprocessing.Queue[Failure | None] = multiprocessing.Queue()
    share = -(-options.mutants // options.workers)
    workers = [
        multiprocessing.Process(target=run, args=(k, share, options.seed, queue)) for k in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    kinds: Counter[str] = Counter()
    for failure in heard(queue, len(workers), lambda: any(worker.is_alive() for worker in workers)):
        kind = failure.what.strip().splitlines()[-1]
        kinds[kind] += 1
        if kinds[kind] == 1:
            folder.mkdir(exist_ok=True)
            place = folder / f"{sum(kinds.values())}-{failure.seed}"
            place.write_bytes(failure.data)
            print(f"breakerlab: {place.relative_to(REPOSITORY)} fails:\n{failure.what}", flush=True)
    total, took = share * len(workers), time.monotonic() - begun
    print(f"breakerlab: {total:,} mutants of {len(seeds())} logs in {took:.0f} s, {sum(kinds.values()):,} failures")
    sys.exit(1 if kinds else 0)


if __name__ == "__main__":
    main()
