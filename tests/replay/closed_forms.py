"""What theory says a run must show: each function is a model of REFERENCE_CHECKS, for any of its parameters.

Rates are per second, times in seconds; `mean` is the mean time that one attempt takes, `slots` work in parallel.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# ---- queueing


def erlang_b(slots: int, load: float) -> float:
    """Probability that all slots are taken, without a queue; `load` is rate times mean, whatever the distribution."""
    blocked = 1.0
    for k in range(1, slots + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


class Waiting(NamedTuple):
    """P(wait), of all that come; seconds of waiting, on average over those who are served; P(blocked)."""

    waits: float
    wait: float
    blocked: float


def erlang_c(slots: int, rate: float, mean: float = 1.0) -> Waiting:
    """M/M/c: exponential service, a queue without limit; rate * mean must be below `slots`."""
    load = rate * mean
    blocked = erlang_b(slots, load)
    waits = blocked / (1.0 - load / slots * (1.0 - blocked))
    return Waiting(waits, waits * mean / (slots - load), 0.0)


def bounded_queue(slots: int, places: int, rate: float, mean: float = 1.0) -> Waiting:
    """M/M/c/K: as Erlang C with `places` in the queue; who finds them taken is refused."""
    ratios = [rate * mean / min(n, slots) for n in range(1, slots + places + 1)]
    share = _shares(ratios)
    queued = float((share[slots:] * np.arange(places + 1)).sum())
    blocked = float(share[-1])
    return Waiting(float(share[slots:-1].sum()), queued / (rate * (1.0 - blocked)), blocked)


def closed_loop(workers: int, slots: int, think: float, mean: float) -> float:
    """Answers per second to `workers` who think and ask in turn, both exponential (the machine-repair model)."""
    ratios = [(workers - n + 1) / think * mean / min(n, slots) for n in range(1, workers + 1)]
    busy = np.minimum(np.arange(workers + 1), slots)
    return float((_shares(ratios) * busy).sum() / mean)


def _shares(ratios: Sequence[float]) -> np.ndarray:
    """How often a birth-death process is in each state, given each state's share over that of the one before."""
    weight = np.cumsum([0.0, *np.log(ratios)])
    share = np.exp(weight - weight.max())
    return share / share.sum()


# ---- M/M/1 whose callers give up after `patience`; abandoned work goes on. All: answers in time per second


def fifo_in_time(rate: float, patience: float, mean: float = 1.0) -> float:
    """First come, first served, in a steady state: rate * mean below 1, else none is in time in the long run."""
    spare = 1.0 / mean - rate
    return rate * -math.expm1(-spare * patience) if spare > 0.0 else 0.0


def lifo_in_time(rate: float, patience: float, mean: float = 1.0) -> float:
    """The latest first, without interrupting what has begun.

    Who finds the slot taken waits until the work in hand and all that comes after him are done: a busy period, whose
    density is I1(2 t sqrt(rate / mean)) exp(-(rate + 1 / mean) t) / (t sqrt(rate mean)). In overload some never end.
    """
    steps = 2000
    t = (np.arange(steps) + 0.5) * patience / steps
    x = 2.0 * t * math.sqrt(rate / mean)
    angle = np.linspace(0.0, math.pi, 257)
    bessel = np.trapezoid(np.exp(np.outer(x, np.cos(angle) - 1.0)) * np.cos(angle), angle, axis=1) / math.pi
    density = bessel * np.exp(x - (rate + 1.0 / mean) * t) / (t * math.sqrt(rate * mean))
    after_waiting = float((density * -np.expm1((t - patience) / mean)).sum()) * patience / steps
    taken = min(rate * mean, 1.0)
    return rate * ((1.0 - taken) * -math.expm1(-patience / mean) + taken * after_waiting)


def deadline_in_time(rate: float, patience: float, mean: float = 1.0) -> float:
    """First come, first served, but who has given up is dropped when his turn comes (M/M/1 with impatience).

    The work before a new caller has density f(x) = rate * idle * exp((rate - 1 / mean) x) up to the patience; beyond,
    nothing is added to it, and it falls as exp(-x / mean).
    """
    growth = rate - 1.0 / mean
    below = patience if growth == 0.0 else math.expm1(growth * patience) / growth
    idle = 1.0 / (1.0 + rate * below + rate * math.exp(growth * patience) * mean)
    at_once = -math.expm1(-patience / mean)
    after_waiting = rate * below - math.exp(-patience / mean) * math.expm1(rate * patience)
    return rate * idle * (at_once + after_waiting)


# ---- retries


def attempts_per_request(attempts: int, failing: float) -> float:
    """At most `attempts`, each failing independently with probability `failing`."""
    return float(sum(failing**made for made in range(attempts)))


def layered_attempts(attempts: Sequence[int], failing: float) -> float:
    """Attempts per request where layers of retries, the outermost first, stand around one another."""
    product = 1.0
    for layer in reversed(attempts):
        product *= attempts_per_request(layer, failing)
        failing **= layer
    return product


def retries_into_a_full_queue(slots: int, places: int, rate: float, mean: float, attempts: int) -> tuple[float, float]:
    """Attempts per request, and P(request fails): the fixed point B of B = blocked(rate * (1 + B + ... )).

    Retries come so late that what they meet is independent of what the attempt before met.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        blocked = (low + high) / 2.0
        found = bounded_queue(slots, places, rate * attempts_per_request(attempts, blocked), mean).blocked
        low, high = (blocked, high) if found > blocked else (low, blocked)
    return attempts_per_request(attempts, low), low**attempts


def load_with_budget_per_call(ratio: float, failing: float) -> float:
    """Attempts per call: what unlimited retries would make, or what the budget grants."""
    return min(1.0 / (1.0 - failing), 1.0 + ratio)


def load_with_budget_per_success(ratio: float, failing: float) -> float:
    """The same where only successes earn: load = 1 + ratio * load * (1 - failing), if that is less."""
    return min(1.0 / (1.0 - failing), 1.0 / (1.0 - ratio * (1.0 - failing)))


# ---- breakers and throttles


def calls_to_trip(threshold: int, failing: float) -> float:
    """Mean number of calls until `threshold` have failed in a row."""
    return (1.0 - failing**threshold) / (failing**threshold * (1.0 - failing))


def binomial_tail(calls: int, least: int, failing: float) -> float:
    """Probability that at least `least` of `calls` fail."""
    return sum(math.comb(calls, k) * failing**k * (1.0 - failing) ** (calls - k) for k in range(least, calls + 1))


def retries_until_the_trip(calls: int, attempts: int, rate: float, failing: float) -> tuple[float, float]:
    """Attempts per call, and P(call succeeds), of one client with `calls` calls one after the other.

    A failed call is retried, up to `attempts`, until `rate` of all attempts so far have failed; from then on never.
    Exact: all that matters is how many attempts were made and how many failed.
    """
    closed = {(0, 0): 1.0}
    opened = retries = good = 0.0
    for _ in range(calls):
        good += opened * (1.0 - failing)
        after: dict[tuple[int, int], float] = defaultdict(float)
        trying = closed
        for made in range(1, attempts + 1):
            again: dict[tuple[int, int], float] = defaultdict(float)
            for (sent, failed), chance in trying.items():
                good += chance * (1.0 - failing)
                after[sent + 1, failed] += chance * (1.0 - failing)
                if (failed + 1) / (sent + 1) >= rate:
                    opened += chance * failing
                elif made < attempts:
                    again[sent + 1, failed + 1] += chance * failing
                else:
                    after[sent + 1, failed + 1] += chance * failing
            retries += sum(again.values())
            trying = again
        closed = after
    return 1.0 + retries / calls, good / calls


def throttled_rate(ratio: float, offered: float, slots: int, places: int, mean: float) -> float:
    """What adaptive throttling sends per second: all, or `ratio` times what M/M/c/K accepts of it."""
    low, high = 0.0, offered
    for _ in range(60):
        sent = (low + high) / 2.0
        accepted = sent * (1.0 - bounded_queue(slots, places, sent, mean).blocked)
        low, high = (sent, high) if ratio * accepted > sent else (low, sent)
    return high
