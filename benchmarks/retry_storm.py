"""One retry storm, told four times: in C (retry_storm.c), with a plain heapq, in SimPy, and as a scenario of ours.

Requests arrive at 18 a second at a service of 16 slots, with exponential service times of 1 s, and 16 queue places. Who
finds both full is refused at once, and tries again, three attempts in all, after a full-jitter backoff from 1 s up to
8 s. A request costs 1.6 attempts, and 45 % of the attempts are refused.

Given the same draws, the first three reach the same counts; ours draws by key, and agrees statistically.
"""

import heapq
import os
import random
import subprocess
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

RATE = 18.0
SLOTS = 16
PLACES = 16
ATTEMPTS = 3
BASE = 1.0
CAP = 8.0

C_SOURCE = Path(__file__).with_suffix(".c")
C_OPTIONS = ("-O3", "-std=c11")
NEVER = 1e9  # seconds


class StormError(Exception):
    """A program that is compared cannot be made or run."""


@dataclass
class Tally:
    """What came of one storm, and how many seconds it took to play it."""

    requests: int
    attempts: int = 0
    refused: int = 0
    answered: int = 0
    latency: float = 0.0  # seconds, of the answered requests all together
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Attempts per second of computing."""
        return self.attempts / self.seconds

    def shares(self) -> dict[str, float]:
        """What two programs of the same storm must agree on."""
        return {
            "attempts per request": self.attempts / self.requests,
            "share refused": self.refused / self.attempts,
            "mean latency": self.latency / self.answered,
        }

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: value + vars(other)[name] for name, value in vars(self).items()})


class SplitMix64(random.Random):
    """The draws of retry_storm.c, behind the distributions of the standard library."""

    def __init__(self, seed: int) -> None:
        self.state = seed
        super().__init__(seed)

    def random(self) -> float:
        self.state = z = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return ((z ^ z >> 31) >> 11) * 2.0**-53


def pause(chance: random.Random, attempt: int) -> float:
    """Seconds until the next attempt after failed attempt number `attempt`."""
    return chance.uniform(0.0, min(CAP, BASE * 2 ** (attempt - 1)))


# ---- C


def compile_c(folder: Path, *options: str) -> Path:
    """The C program, compiled into `folder` with $CC (gcc where it is not set) and named after the options."""
    compiler, program = os.environ.get("CC") or "gcc", folder.resolve() / "".join(("retry_storm", *options))
    command = [compiler, *C_OPTIONS, *options, str(C_SOURCE), "-o", str(program), "-lm"]
    try:
        run = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise StormError(f"no C compiler {compiler!r} was found: install gcc, or say in CC which to take") from None
    if run.returncode:
        raise StormError(f"{compiler} did not compile {C_SOURCE.name}: {run.stderr.strip()}")
    return program


def in_c(program: Path, requests: int, seed: int) -> Tally:
    run = subprocess.run([program, str(requests), str(seed)], capture_output=True, text=True)
    if run.returncode:
        raise StormError(f"{program.name} failed: {run.stderr.strip() or f'exit code {run.returncode}'}")
    attempts, refused, answered, latency, seconds = run.stdout.split()
    return Tally(requests, int(attempts), int(refused), int(answered), float(latency), float(seconds))


# ---- a plain heapq

ARRIVES, BEGINS, IS_SERVED = range(3)


def with_heapq(requests: int, chance: random.Random) -> Tally:
    """An event loop as one writes it in an afternoon."""
    tally = Tally(requests)
    calendar: list[tuple[float, int, float, int]] = []  # when, what, when its caller came, number of the attempt
    queue: deque[float] = deque()
    arrived = busy = 0
    started = perf_counter()
    if requests:
        heapq.heappush(calendar, (chance.expovariate(RATE), ARRIVES, 0.0, 1))
    while calendar:
        now, kind, came, attempt = heapq.heappop(calendar)
        if kind == IS_SERVED:
            tally.answered += 1
            tally.latency += now - came
            if queue:
                heapq.heappush(calendar, (now + chance.expovariate(1.0), IS_SERVED, queue.popleft(), 0))
            else:
                busy -= 1
            continue
        if kind == ARRIVES:
            came = now
            arrived += 1
            if arrived < requests:
                heapq.heappush(calendar, (now + chance.expovariate(RATE), ARRIVES, 0.0, 1))
        tally.attempts += 1
        if busy < SLOTS:
            busy += 1
            heapq.heappush(calendar, (now + chance.expovariate(1.0), IS_SERVED, came, 0))
        elif len(queue) < PLACES:
            queue.append(came)
        else:
            tally.refused += 1
            if attempt < ATTEMPTS:
                heapq.heappush(calendar, (now + pause(chance, attempt), BEGINS, came, attempt + 1))
    tally.seconds = perf_counter() - started
    return tally


# ---- SimPy


def with_simpy(requests: int, chance: random.Random) -> Tally:
    """A process per request and a Resource of slots, as SimPy's documentation does it."""
    try:
        import simpy
    except ImportError as error:
        raise StormError(f"simpy cannot be imported ({error}): `make bench` installs what is compared here") from error
    tally = Tally(requests)
    env = simpy.Environment()
    service = simpy.Resource(env, SLOTS)

    def arrivals() -> Generator[Any, Any, None]:
        for _ in range(requests):
            yield env.timeout(chance.expovariate(RATE))
            env.process(request())

    def request() -> Generator[Any, Any, None]:
        came = env.now
        for attempt in range(1, ATTEMPTS + 1):
            tally.attempts += 1
            if service.count < SLOTS or len(service.queue) < PLACES:
                with service.request() as slot:
                    yield slot
                    yield env.timeout(chance.expovariate(1.0))
                tally.answered += 1
                tally.latency += env.now - came
                return
            tally.refused += 1
            if attempt < ATTEMPTS:
                yield env.timeout(pause(chance, attempt))

    started = perf_counter()
    env.process(arrivals())
    env.run()
    tally.seconds = perf_counter() - started
    return tally


# ---- ours


def storm_scenario(requests: int) -> Any:
    """About so many requests, at an app that has room and patience for all of them."""
    from breakerlab.replay import App, Exponential, Poisson, Scenario, Service

    app = App(
        workers=requests + 1,
        pool_timeout=NEVER,
        caller_timeout=NEVER,
        health_interval=NEVER,
        health_timeout=NEVER / 2,
        restart_seconds=NEVER,
    )
    service = Service(SLOTS, PLACES, time=Exponential(1.0))
    return Scenario(Poisson(RATE), service, app, duration=requests / RATE, name="retry storm")


def storm_policy() -> Any:
    from breakerlab.policy import Backoff, Policy, Retry

    backoff = Backoff(base=BASE, factor=2.0, cap=CAP, jitter="full")
    retry = Retry(ATTEMPTS, total_time=None, final_reserve=0.0, backoff=backoff, retry_after_limit=None)
    return Policy(timeout=NEVER, retry=retry)


def tally_of(run: Any, seconds: float) -> Tally:
    """What came of a replay of the storm."""
    found = run.summary()
    answered = run.requests.query("outcome == 'ok'")
    return Tally(
        requests=int(found["requests"]),
        attempts=int(found["attempts"]),
        refused=int(found["status_503"]),
        answered=int(found["answered"]),
        latency=float(answered["latency"].sum()),
        seconds=seconds,
    )
