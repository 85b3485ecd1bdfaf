"""One right answer to each exercise, as the notebooks fold it away; a test runs each against its cases.

Each is written as a reader would write it, in plain Python, with what it needs inside.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any


# 01, the anatomy of a meltdown
def workers_in_use(rate, seconds):
    return rate * seconds


def seconds_held(attempts, attempt_seconds, delay):
    return attempts * attempt_seconds + (attempts - 1) * delay


def seconds_until_pool_full(workers, rate, held):
    return workers / rate if rate * held >= workers else math.inf


# 02, the circuit breaker
def opens_after_consecutive(outcomes, threshold):
    in_a_row = 0
    for number, ok in enumerate(outcomes, start=1):
        in_a_row = 0 if ok else in_a_row + 1
        if in_a_row == threshold:
            return number
    return None


def opens_after_rate(outcomes, rate, window, minimum_calls):
    for number in range(minimum_calls, len(outcomes) + 1):
        last = outcomes[max(number - window, 0) : number]
        if last.count(False) / len(last) >= rate:
            return number
    return None


def probes_admitted(waiting, permits, in_flight):
    return min(waiting, permits - in_flight)


def calls_until_trip(probability, threshold):
    p_all = probability**threshold
    return (1 - p_all) / (p_all * (1 - probability))


# 03, backoff and jitter
def backoff_limit(base, cap, attempt):
    return min(cap, base * 2 ** (attempt - 1))


def full_jitter_delay(base, cap, attempt, u):
    return min(cap, base * 2 ** (attempt - 1)) * u


def decorrelated_delay(base, cap, previous, u):
    highest = 3 * max(previous, base)
    return min(cap, base + (highest - base) * u)


def probability_together(callers, bins, k):
    p = 1 / bins
    return sum(math.comb(callers, n) * p**n * (1 - p) ** (callers - n) for n in range(k, callers + 1))


# 04, retry caps and budgets
def attempts_per_request(probability, attempts):
    return sum(probability**failures for failures in range(attempts))


def attempts_of_layers(layers):
    return math.prod(layers)


def final_attempt_start(total_time, reserve, now, wait):
    latest = (1 - reserve) * total_time
    return None if now >= latest else min(now + wait, latest)


def retries_granted(failed, ratio, burst):
    tokens, granted = burst, 0
    for call_failed in failed:
        tokens = min(tokens + ratio, burst)
        if call_failed and tokens >= 1:
            tokens -= 1
            granted += 1
    return granted


def load_with_budget(probability, ratio):
    return 1 + ratio if probability == 1 else min(1 / (1 - probability), 1 + ratio)


# 05, why the outage outlives its cause
def can_stay_down(load, capacity, attempts):
    return load * attempts > capacity


def seconds_to_drain(load, capacity, outage):
    return load * outage / (capacity - load) if load < capacity else math.inf


def longest_outage(timeout, service_seconds):
    return max(timeout - service_seconds, 0)


def blocking_probability(erlangs, slots):
    blocked = 1.0
    for slot in range(1, slots + 1):
        blocked = erlangs * blocked / (slot + erlangs * blocked)
    return blocked


# 06, degrade gracefully
def goodput(answers, patience, duration):
    return sum(ok and seconds <= patience for ok, seconds in answers) / duration


def who_serves(chain, patience):
    for name, available, seconds in chain:
        if available and seconds <= patience:
            return name
    return "nobody"


def times_carried_out(attempts):
    keys = [key for key in attempts if key is not None]
    return len(set(keys)) + attempts.count(None)


def idempotency_key(client, request, attempt):
    return f"{client}/{request}"


# 07, when not to use a breaker
def false_trip_probability(window, needed, probability):
    p = probability
    return sum(math.comb(window, n) * p**n * (1 - p) ** (window - n) for n in range(needed, window + 1))


def share_still_answered(shards, failing, threshold):
    failing_share = failing / shards
    return 0 if failing_share >= threshold else 1 - failing_share


def seconds_until_noticed(clients, rate, minimum_calls):
    return minimum_calls / (rate / clients)


# 12, the challenge
def within_limits(goodput, amplification, time_to_recover, limits):
    return (
        goodput >= limits["goodput"]
        and amplification <= limits["amplification"]
        and time_to_recover <= limits["time_to_recover"]
    )


def mean_difference(mine, baseline):
    differences = [a - b for a, b in zip(mine, baseline, strict=True)]
    n = len(differences)
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
    return mean, math.sqrt(variance / n)


def verdict(low, high):
    if low > 0:
        return "higher"
    return "lower" if high < 0 else "noise"


def solution(name: str) -> Callable[..., Any]:
    """The solution of the exercise `name`. Raises ValueError if there is none."""
    found = globals().get(name)
    if not inspect.isfunction(found) or name in ("solution", "source"):
        raise ValueError(f"there is no solution named {name!r}")
    return found


def source(name: str) -> str:
    """Its source, for a folded cell."""
    return inspect.getsource(solution(name))
