"""Reading our own Parquet: time and memory, set against polars parsing the same file bare, in one run.

usage: python benchmarks/trace_parquet.py [--rows 10000000] [--rounds 5] [--json FILE]

Both read the same file in turn, `--rounds` times, and the fastest of each counts. A fresh process then reads it once
more for its peak of memory, which is set against the memory of the trace that results; not measured where there is no
Linux. Exit code 1 if a target is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from command_line import read_with_json, whole_number, write_figures
from simulator_costs import MOST, Figure, conclude, seconds

ROWS = 10_000_000
ROUNDS = 5
OUTCOMES = ("ok", "error", "timeout")


def made_trace(rows: int) -> Any:
    """Attempts of a service that fails now and then, drawn from one seed."""
    from breakerlab.trace import Trace

    draw = np.random.default_rng(0)
    outcome = draw.choice(3, rows, p=(0.9, 0.08, 0.02))
    return Trace.from_columns(
        {
            "time": np.round(np.cumsum(draw.exponential(0.001, rows)), 6),
            "latency": np.round(draw.lognormal(-1.0, 1.0, rows), 6),
            "status": np.array([200, 503, 0])[outcome],
            "outcome": (outcome, OUTCOMES),
            "service": "llm",
            "request": np.arange(rows),
            "attempt": np.ones(rows, np.int16),
            "client": (draw.integers(0, 8, rows), [f"client-{k}" for k in range(8)]),
            "endpoint": (draw.integers(0, 20, rows), [f"POST /v1/{k}" for k in range(20)]),
            "retry_after": np.where((outcome == 1) & (draw.random(rows) < 0.5), 1.0, np.nan),
        }
    )


def bare(path: Path) -> None:
    import polars as pl

    pl.read_parquet(path)


def ours(path: Path) -> None:
    from breakerlab.trace import read_trace

    read_trace(path)


def time_figures(path: Path, rows: int, rounds: int) -> Iterator[Figure]:
    """Seconds of both, and how many times as long ours takes."""
    bare(path)
    ours(path)
    times = [(seconds(partial(bare, path)), seconds(partial(ours, path))) for _ in range(rounds)]
    of_bare, of_ours = map(min, zip(*times, strict=True))
    print(f"polars.read_parquet {of_bare:.2f} s, read_trace {of_ours:.2f} s")
    yield Figure(f"{rows:,} rows: read_trace, of the time of polars", of_ours / of_bare, "times", 3.0)


def memory_figures(path: Path, rows: int) -> Iterator[Figure]:
    """In a fresh process, because memory once used is not given back."""
    if Path("/proc/self/clear_refs").exists():
        run = subprocess.run([sys.executable, __file__, "--peak-of", str(path)], capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"breakerlab: the process that measures memory failed: {run.stderr.strip().splitlines()[-1]}")
        found = json.loads(run.stdout)
    else:
        found = {}
    trace = found["trace"] if found else None
    more = (found["peak"] - found["trace"]) / 2**20 if found else None
    yield Figure("the trace itself", None if trace is None else trace / rows, "B/row", 100.0)
    yield Figure("peak while reading, beyond the trace", more, "MiB", 500.0)


def peak_of(path: str) -> None:
    """Print, as JSON, the bytes that reading takes at its peak, and those of the trace."""
    import pandas  # noqa: F401 - what the libraries take is not what reading takes
    import polars as pl

    from breakerlab.trace import read_trace

    pl.DataFrame({"a": [1]}).lazy().select(pl.len()).collect()
    before = of_process("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    trace = read_trace(path)
    peak = of_process("VmHWM") - before
    print(json.dumps({"peak": peak, "trace": int(trace.attempts.memory_usage(deep=False).sum())}))


def of_process(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time and memory of reading our own Parquet.")
    parser.add_argument("--rows", type=whole_number(MOST), default=ROWS, help="of the file (default 10,000,000)")
    parser.add_argument("--rounds", type=whole_number(MOST), default=ROUNDS, help="the fastest counts (default 5)")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    return read_with_json(parser)


def measure(rows: int, rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.parquet"
        trace = made_trace(rows)
        started = perf_counter()
        trace.write(path)
        print(f"{rows:,} rows written in {perf_counter() - started:.2f} s, {os.path.getsize(path) / 2**20:,.0f} MiB")
        del trace
        yield from time_figures(path, rows, rounds)
        yield from memory_figures(path, rows)


def main() -> None:
    options = read_options()
    if options.peak_of:
        peak_of(options.peak_of)
        return
    print(f"The same file read by both in turn, the fastest of {options.rounds}.\n")
    figures = []
    for figure in measure(options.rows, options.rounds):
        print(figure, flush=True)
        figures.append(figure)
    print()
    found = [{**vars(figure), "is_missed": figure.is_missed} for figure in figures]
    write_figures(options, {"rows": options.rows, "rounds": options.rounds, "figures": found})
    conclude(figures)


if __name__ == "__main__":
    main()
