"""What a replay costs: time with every feature on, memory, the start of a process, compilation, threads.

usage: python benchmarks/simulator_costs.py [--rounds 30] [--requests 10000000] [--json FILE]

--rounds: replays with every feature, and fresh processes; of both the median counts. Two replays in two threads are
set against the same two one after the other, the fastest of each, in turn; that needs two processors, and counts as not
measured where there is one. --requests: of the retry storm whose memory is measured, in a process of its own (some 3
GB for 10 million); not measured where there is no Linux. The compilation starts from an empty cache folder, which the
fresh processes then find warm. Exit code 1 if a target is missed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

from command_line import read_with_json, whole_number, write_figures

FRESH_PROCESS = Path(__file__).with_name("fresh_process.py")
REQUESTS = 10_000_000
MOST = 100_000_000
THREADED_REQUESTS = 650_000
THREADED_ROUNDS = 5
SAYS_SO = "compiling"


@dataclass(frozen=True)
class Figure:
    """One line of the table; `value` is None where it cannot be measured."""

    name: str
    value: float | None
    unit: str
    at_most: float

    @property
    def is_missed(self) -> bool:
        return self.value is not None and self.value > self.at_most

    def __str__(self) -> str:
        value = "-" if self.value is None else f"{self.value:,.4g}"
        verdict = "not measured" if self.value is None else "missed" if self.is_missed else "met"
        return f"{self.name:58}{value:>8} {self.unit:12} (at most {self.at_most:g}) {verdict}"


def in_a_fresh_process(*task: str, cache: Path | None = None) -> tuple[dict[str, Any], str]:
    """The figures of a task of fresh_process.py, and what it said on stderr."""
    # With this set, every process would compile the sources again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if cache:
        environment["NUMBA_CACHE_DIR"] = str(cache)
    run = subprocess.run([sys.executable, FRESH_PROCESS, *task], env=environment, capture_output=True, text=True)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        sys.exit(f"breakerlab: `{FRESH_PROCESS.name} {' '.join(task)}` failed: {last}")
    return json.loads(run.stdout), run.stderr


def until_the_first_result(cache: Path) -> tuple[float, str]:
    """Seconds from the start of the process until then, and what it said meanwhile."""
    started = monotonic()
    found, said = in_a_fresh_process("first_result", cache=cache)
    return found["at"] - started, said


def start_figures(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        cold, said = until_the_first_result(cache)
        if not any(cache.iterdir()):
            sys.exit("breakerlab: nothing was compiled with an empty cache: the simulator runs without numba here")
        warm = median(until_the_first_result(cache)[0] for _ in range(rounds))
        compiled, _ = in_a_fresh_process("compilations", cache=cache)
    yield Figure("first result ever, with its compilation", cold, "s", 20.0)
    yield Figure("compilations that nothing was said about", 0 if SAYS_SO in said else 1, "", 0)
    yield Figure("first result of a fresh process, import included", warm, "s", 1.0)
    yield Figure("compilations in such a process", compiled["at_first"], "", 0)
    yield Figure(f"compilations for {compiled['others']} other scenarios and policies", compiled["for_others"], "", 0)


def every_feature_figures(rounds: int) -> Iterator[Figure]:
    from every_feature import every_feature, every_rule

    from breakerlab.replay import replay

    scenario, policy = every_feature(), every_rule()

    def replay_and_summary(seed: int) -> None:
        replay(scenario, policy, seed).summary()

    replay_and_summary(0)
    times = [seconds(partial(replay_and_summary, seed)) for seed in range(1, rounds + 1)]
    yield Figure("20,000 requests with every feature: replay and summary", 1000 * median(times), "ms", 15.0)


def seconds(work: Callable[[], Any]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


def memory_figures(requests: int) -> Iterator[Figure]:
    found: dict[str, float] = {}
    if Path("/proc/self/clear_refs").exists():
        found, _ = in_a_fresh_process("memory", str(requests))
    each = found["replay_and_trace"] / found["attempts"] if found else None
    more = found["requests_more"] / found["requests"] if found else None
    yield Figure(f"{requests:,} requests: peak of replay and .trace", each, "B/attempt", 100.0)
    yield Figure("and what .requests adds to what is then held", more, "B/request", 64.0)


def one_after_the_other(*work: Callable[[], Any]) -> None:
    for each in work:
        each()


def in_threads(*work: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def thread_figures() -> Iterator[Figure]:
    name = "two replays in two threads, of the time one after the other"
    yield Figure(name, share_of_the_time() if processors() > 1 else None, "", 0.75)


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_the_time() -> float:
    """0.5 if the two never wait for each other, 1 if one always does."""
    from retry_storm import storm_policy, storm_scenario

    from breakerlab.replay import replay

    scenario = storm_scenario(THREADED_REQUESTS)
    drawn, policy = replace(scenario, workload=scenario.arrivals(1)), storm_policy()
    two = [partial(replay, drawn, policy, seed) for seed in (1, 2)]
    two[0]()
    rounds = [
        (seconds(lambda: in_threads(*two)), seconds(lambda: one_after_the_other(*two))) for _ in range(THREADED_ROUNDS)
    ]
    together, in_turn = map(min, zip(*rounds, strict=True))
    return together / in_turn


def facts(figures: list[Figure], options: argparse.Namespace) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "rounds": options.rounds,
        "requests": options.requests,
        "figures": [{**vars(figure), "is_missed": figure.is_missed} for figure in figures],
    }


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time, memory, start, compilation and threads of a replay.")
    parser.add_argument("--rounds", type=whole_number(MOST), default=30, help="that the medians are of (default 30)")
    parser.add_argument("--requests", type=whole_number(MOST), default=REQUESTS, help="for memory (default 10,000,000)")
    return read_with_json(parser)


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    yield from start_figures(options.rounds)
    yield from every_feature_figures(options.rounds)
    yield from thread_figures()
    yield from memory_figures(options.requests)


def main() -> None:
    options = read_options()
    print(f"Of {options.rounds} replays, and of as many fresh processes, the median.\n")
    figures = []
    for figure in measure(options):
        print(figure, flush=True)
        figures.append(figure)
    print()
    write_figures(options, facts(figures, options))
    conclude(figures)


def conclude(figures: list[Figure]) -> None:
    missed = [figure.name for figure in figures if figure.is_missed]
    if missed:
        sys.exit(f"breakerlab: {len(missed)} of {len(figures)} targets missed: {'; '.join(missed)}")
    left_out = sum(figure.value is None for figure in figures)
    print(f"breakerlab: all {len(figures) - left_out} targets met" + f", {left_out} not measured" * bool(left_out))


if __name__ == "__main__":
    main()
