"""How long it takes to read a log, beside polars and pandas parsing the same file bare.

usage: python benchmarks/trace_readers.py [--rounds 5] [--lines 1000000] [--json FILE]

A million lines of nginx JSON stand in a temporary folder: a minute in ten everything fails at first and is passed on
to another server, so that a line stands for two attempts. In every round each contender reads the file once, in
shuffled order; its figure is its fastest round. Peak memory is that of a fresh process that reads the file once, beyond
what it had before. Exit code 1 if ours takes more than three times as long as the faster of the two, or if our peak is
above 200 MiB and 200 bytes an attempt.
"""

import argparse
import gc
import json
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from command_line import read_with_json, whole_number, write_figures

LINES = 1_000_000
MOST = 10_000_000
AT_MOST = 3.0
BESIDE_THE_TRACE = 200 * 2**20
BYTES_AN_ATTEMPT = 200
"""What a reading may hold at most: a few blocks of the file, however long it is, and its rows, twice for a moment."""

# VmHWM and not ru_maxrss, which a process inherits from the one that started it.
SCRIPT = """
import re
def peak():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1])
{prepare}
before = peak()
kept = {read}
print(peak() - before)
"""
OURS = "breakerlab"


@dataclass(frozen=True)
class Contender:
    """A reader, as two statements for a fresh process and as a function for this one."""

    prepare: str
    read: str

    def function(self) -> Callable[[str], object]:
        scope: dict[str, object] = {}
        exec(f"{self.prepare}\ndef read(path): return {self.read.format(path='path')}", scope)
        return scope["read"]  # type: ignore[return-value]

    def peak(self, path: Path) -> int:
        """Bytes that a fresh process had at most, beyond what it had before it read the file."""
        script = SCRIPT.format(prepare=self.prepare, read=self.read.format(path=repr(str(path))))
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"breakerlab: the reading failed: {run.stderr.strip().splitlines()[-1]}")
        return int(run.stdout) * 1024


NGINX = {
    OURS: Contender("from breakerlab.trace import read_trace; import polars", "read_trace({path}, format='nginx')"),
    "polars": Contender("import polars", "polars.read_ndjson({path})"),
    "pandas": Contender("import pandas", "pandas.read_json({path}, lines=True)"),
}


# ---- one million lines of nginx JSON


def write_nginx(path: Path, lines: int) -> int:
    """Write that many lines; returns how many attempts they stand for."""
    dice = random.Random(5)
    attempts = 0
    with open(path, "w", encoding="utf-8") as file:
        for number in range(lines):
            line = nginx_line(dice, number)
            attempts += 1 + line["upstream_status"].count(",")
            file.write(json.dumps(line) + "\n")
    return attempts


def nginx_line(dice: random.Random, number: int) -> dict[str, str]:
    """A hundred requests a second, with queries that are all different and a few thousand ids in their paths."""
    seconds = number / 100
    took = dice.expovariate(10.0)
    is_bad = seconds % 600 < 60
    servers = [f"10.1.0.{dice.randrange(1, 9)}:8080" for _ in range(2)]
    first = [f"{servers[0]}, ", "503, ", "0.002, ", "0.001, ", "0.002, "] if is_bad else [""] * 5
    status = "503" if is_bad and dice.random() < 0.5 else "200"
    path = dice.choice(("/v1/chat/completions", "/v1/embeddings", f"/v1/threads/{dice.randrange(5_000)}/messages"))
    ended = datetime.fromtimestamp(1_795_000_000 + seconds + took, UTC)
    return {
        "time": ended.isoformat(timespec="seconds"),
        "msec": f"{ended.timestamp():.3f}",
        "remote_addr": f"10.0.{dice.randrange(4)}.{dice.randrange(250)}",
        "request": f"POST {path}?trace={number} HTTP/1.1",
        "status": status,
        "body_bytes_sent": str(dice.randrange(50_000)),
        "request_time": f"{took + 0.003:.3f}",
        "upstream_addr": first[0] + servers[1],
        "upstream_status": first[1] + status,
        "upstream_response_time": f"{first[2]}{took:.3f}",
        "upstream_connect_time": first[3] + "0.001",
        "upstream_header_time": f"{first[4]}{took:.3f}",
        "http_referrer": "",
        "http_user_agent": "python-httpx/0.28.1",
    }


def fastest(contenders: dict[str, Contender], path: Path, rounds: int) -> dict[str, float]:
    """Seconds of each one's fastest round."""
    functions = {name: contender.function() for name, contender in contenders.items()}
    found = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name in random.sample(list(functions), len(functions)):
            gc.collect()
            started = perf_counter()
            functions[name](str(path))
            found[name] = min(found[name], perf_counter() - started)
    return found


@dataclass(frozen=True)
class Result:
    """What was measured of one file."""

    title: str
    lines: int
    attempts: int
    bytes: int
    seconds: dict[str, float]
    peaks: dict[str, int]

    @property
    def times(self) -> float:
        """How many times as long as the fastest of the others ours takes."""
        return self.seconds[OURS] / min(seconds for name, seconds in self.seconds.items() if name != OURS)

    @property
    def misses(self) -> list[str]:
        allowed = BESIDE_THE_TRACE + BYTES_AN_ATTEMPT * self.attempts
        missed = [f"{self.times:.2f} x the time, at most {AT_MOST:g}"] if self.times > AT_MOST else []
        if self.peaks[OURS] > allowed:
            missed.append(f"a peak of {self.peaks[OURS] / 2**20:,.0f} MiB, at most {allowed / 2**20:,.0f}")
        return missed

    def table(self) -> Iterator[str]:
        yield f"{self.title}: {self.lines:,} lines, {self.attempts:,} attempts, {self.bytes / 2**20:,.0f} MiB"
        yield f"{'':16}{'s':>8}{'us a line':>12}{'x ours':>9}{'peak, MiB':>12}"
        for name, seconds in sorted(self.seconds.items(), key=lambda row: row[1]):
            times = seconds / self.seconds[OURS]
            yield (
                f"{name:16}{seconds:>8.2f}{seconds / self.lines * 1e6:>12.2f}{times:>9.2f}"
                f"{self.peaks[name] / 2**20:>12,.0f}"
            )


def nginx_json(folder: Path, options: argparse.Namespace) -> Result:
    """One million lines of nginx JSON, by us, polars and pandas."""
    path = folder / "access.json"
    attempts = write_nginx(path, options.lines)
    seconds = fastest(NGINX, path, options.rounds)
    peaks = {name: contender.peak(path) for name, contender in NGINX.items()}
    return Result("nginx JSON", options.lines, attempts, path.stat().st_size, seconds, peaks)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Seconds to read a log, beside polars and pandas.")
    parser.add_argument("--rounds", type=whole_number(MOST), default=5, help="readings by each contender (default 5)")
    parser.add_argument("--lines", type=whole_number(MOST), default=LINES, help="of nginx JSON (default 1,000,000)")
    return read_with_json(parser)


def main() -> None:
    options = read_options()
    with tempfile.TemporaryDirectory() as folder:
        results = [nginx_json(Path(folder), options)]
    print(f"The fastest of {options.rounds} readings each.\n")
    for result in results:
        print(*result.table(), "", sep="\n")
    facts = {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "rounds": options.rounds,
        "files": [{**vars(result), "times": result.times, "misses": result.misses} for result in results],
    }
    write_figures(options, facts)
    conclude(results)


def conclude(results: list[Result]) -> None:
    missed = [f"{result.title}: {miss}" for result in results for miss in result.misses]
    if missed:
        sys.exit(f"breakerlab: targets missed: {'; '.join(missed)}")
    print(f"breakerlab: all targets met ({', '.join(f'{result.title} {result.times:.2f} x' for result in results)})")


if __name__ == "__main__":
    main()
