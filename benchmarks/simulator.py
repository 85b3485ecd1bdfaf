"""Attempts per second of the simulator, side by side with a C program, SimPy and a plain heapq, on one retry storm.

usage: python benchmarks/simulator.py [--rounds 10] [--requests 650000] [--json FILE]     (`make bench` installs SimPy)

retry_storm.py says what is simulated. The C program is compiled into a temporary folder, twice: with the calendar of a
textbook, by which ours is judged, and with one that puts an event into the place of the one that it follows, as ours
does. It draws its arrivals as it goes, so ours is judged with the drawing of the arrivals included; the other two rows
are ours with arrivals drawn before, and ours until the table of attempts stands ready in pandas. In every round each
contender runs once, in shuffled order, with that round's seed; its figure is its fastest round. SimPy and heapq, whose
speed does not depend on it, get fewer requests. Exit code 1 if the programs disagree on the model, or if a target is
missed.
"""

import argparse
import gc
import platform
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import starmap
from pathlib import Path
from time import perf_counter
from typing import Any

import retry_storm
from command_line import conclude, read_with_json, whole_number, write_figures
from retry_storm import SplitMix64, StormError, Tally

REQUESTS = 650_000
FEW = 20_000  # for the slow ones
MOST = 10_000_000
SEEDS_TO_AGREE = range(1, 11)
AT_MOST_APART = 0.01
AT_LEAST = {"C": 0.5, "SimPy": 50.0}
JUDGED = "breakerlab"
REPLACES_FIRST = "-DREPLACES_FIRST"

Play = Callable[[int], Tally]  # of a seed
Rates = dict[str, float]


def ours(requests: int, seed: int) -> Tally:
    """The replay with the drawing of its arrivals."""
    from breakerlab.replay import replay

    scenario, policy = retry_storm.storm_scenario(requests), retry_storm.storm_policy()
    started = perf_counter()
    run = replay(scenario, policy, seed)
    return retry_storm.tally_of(run, perf_counter() - started)


def ours_drawn_before(requests: int, seed: int) -> Tally:
    from breakerlab.replay import replay

    scenario, policy = retry_storm.storm_scenario(requests), retry_storm.storm_policy()
    drawn = replace(scenario, workload=scenario.arrivals(seed))
    started = perf_counter()
    run = replay(drawn, policy, seed)
    return retry_storm.tally_of(run, perf_counter() - started)


def ours_with_trace(requests: int, seed: int) -> Tally:
    from breakerlab.replay import replay

    scenario, policy = retry_storm.storm_scenario(requests), retry_storm.storm_policy()
    started = perf_counter()
    run = replay(scenario, policy, seed)
    run.trace  # noqa: B018  (made when first asked for)
    return retry_storm.tally_of(run, perf_counter() - started)


def contenders(program: Path, replacing: Path, requests: int) -> dict[str, Play]:
    few = min(FEW, requests)
    return {
        "C": partial(retry_storm.in_c, program, requests),
        "C, replacing the first event": partial(retry_storm.in_c, replacing, requests),
        JUDGED: partial(ours, requests),
        "breakerlab, arrivals drawn before": partial(ours_drawn_before, requests),
        "breakerlab, and its .trace made": partial(ours_with_trace, requests),
        "heapq": lambda seed: retry_storm.with_heapq(few, random.Random(seed)),
        "SimPy": lambda seed: retry_storm.with_simpy(few, random.Random(seed)),
    }


# ---- do they simulate the same?


def check_the_same_counts(program: Path, replacing: Path) -> None:
    """C, heapq and SimPy draw alike here, and must count alike, to the last bit."""
    tallies = {
        "C": retry_storm.in_c(program, FEW, seed=1),
        "C, replacing the first event": retry_storm.in_c(replacing, FEW, seed=1),
        "heapq": retry_storm.with_heapq(FEW, SplitMix64(1)),
        "SimPy": retry_storm.with_simpy(FEW, SplitMix64(1)),
    }
    counts = {name: (t.attempts, t.refused, t.answered) for name, t in tallies.items()}
    if len(set(counts.values())) > 1:
        raise StormError(f"given the same draws, the counts differ (attempts, refused, answered): {counts}")


def differences(ours: Tally, theirs: Tally) -> dict[str, float]:
    """How far ours is from theirs in each of the shares; 0.01 is 1 % above."""
    return {name: share / theirs.shares()[name] - 1.0 for name, share in ours.shares().items()}


def total(play: Play, seeds: Sequence[int]) -> Tally:
    first, *others = map(play, seeds)
    return sum(others, start=first)


def check_the_same_model(c: Play, ours: Play) -> dict[str, float]:
    """How far ours is from the C program over ten seeds, when it is near enough. It takes ten: the share of refused
    attempts differs by 0.6 % between two seeds."""
    found = differences(total(ours, SEEDS_TO_AGREE), total(c, SEEDS_TO_AGREE))
    far = [f"{name} {apart:+.2%}" for name, apart in found.items() if abs(apart) > AT_MOST_APART]
    if far:
        raise StormError(f"breakerlab and the C program do not simulate the same: {', '.join(far)}")
    return found


# ---- how fast are they?


def measure(contenders: dict[str, Play], rounds: int) -> Rates:
    """Attempts per second of each one's fastest round."""
    fastest = dict.fromkeys(contenders, 0.0)
    for seed in range(1, rounds + 1):
        for name in random.sample(list(contenders), len(contenders)):
            gc.collect()
            fastest[name] = max(fastest[name], contenders[name](seed).rate)
    return fastest


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as a peer ours is; `at_least` is the target."""

    peer: str
    times: float
    at_least: float

    @property
    def is_missed(self) -> bool:
        return self.times < self.at_least

    def __str__(self) -> str:
        return f"{self.times:6.2f} x {self.peer} (at least {self.at_least:g}): {'missed' if self.is_missed else 'met'}"


def ratios(rates: Rates) -> list[Ratio]:
    return [Ratio(peer, rates[JUDGED] / rates[peer], at_least) for peer, at_least in AT_LEAST.items()]


def table(rates: Rates) -> Iterator[str]:
    yield f"{'':36}{'attempts/s':>14}" + "".join(f"{f'x {peer}':>12}" for peer in AT_LEAST)
    for name, rate in sorted(rates.items(), key=lambda row: -row[1]):
        yield f"{name:36}{rate:>14,.0f}" + "".join(f"{rate / rates[peer]:>12.3g}" for peer in AT_LEAST)


def facts(apart: dict[str, float], rates: Rates, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "rounds": options.rounds,
        "requests": options.requests,
        "apart_from_c": apart,
        "attempts_per_second": {name: round(rate) for name, rate in rates.items()},
        "ratios": [{**vars(ratio), "is_missed": ratio.is_missed} for ratio in ratios(rates)],
    }


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Attempts per second of the simulator, beside C and SimPy.")
    parser.add_argument("--rounds", type=whole_number(MOST), default=10, help="runs of each contender (default 10)")
    parser.add_argument("--requests", type=whole_number(MOST), default=REQUESTS, help="in a run (default 650,000)")
    return read_with_json(parser)


def run(options: argparse.Namespace) -> tuple[dict[str, float], Rates]:
    with tempfile.TemporaryDirectory() as folder:
        program, replacing = retry_storm.compile_c(Path(folder)), retry_storm.compile_c(Path(folder), REPLACES_FIRST)
        check_the_same_counts(program, replacing)
        apart = check_the_same_model(partial(retry_storm.in_c, program, REQUESTS), partial(ours, REQUESTS))
        return apart, measure(contenders(program, replacing, options.requests), options.rounds)


def main() -> None:
    options = read_options()
    try:
        apart, rates = run(options)
    except StormError as error:
        sys.exit(f"breakerlab: {error}")
    print("Given the same draws, C, heapq and SimPy count alike. Over ten seeds, ours differs from C in")
    print(*starmap("{}: {:+.2%}".format, apart.items()), sep=", ", end="\n\n")
    print(f"Attempts simulated per second, the fastest of {options.rounds} rounds of {options.requests:,} requests.\n")
    print(*table(rates), "", *ratios(rates), "", sep="\n")
    write_figures(options, facts(apart, rates, options))
    conclude(ratios(rates))


if __name__ == "__main__":
    main()
