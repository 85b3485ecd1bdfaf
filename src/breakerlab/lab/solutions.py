"""One right answer to each exercise, as the notebooks fold it away; a test runs each against its cases.

Each is written as a reader would write it, in plain Python, with what it needs inside.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any


# 00, start here
def attempts_per_second(rate, attempts):
    return rate * attempts


def largest_safe_cap(restarts):
    safe = None
    for cap in sorted(restarts):
        if restarts[cap] > 0:
            break
        safe = cap
    return safe


# 01, the anatomy of a meltdown
def workers_in_use(rate, seconds):
    return rate * seconds


def seconds_held(attempts, attempt_seconds, delay):
    return attempts * attempt_seconds + (attempts - 1) * delay


# 02, the circuit breaker
def opens_after_rate(outcomes, rate, window, minimum_calls):
    for number in range(minimum_calls, len(outcomes) + 1):
        last = outcomes[max(number - window, 0) : number]
        if last.count(False) / len(last) >= rate:
            return number
    return None


def probes_admitted(waiting, permits, in_flight):
    return min(waiting, permits - in_flight)


# 03, backoff and jitter
def full_jitter_delay(base, cap, attempt, u):
    return min(cap, base * 2 ** (attempt - 1)) * u


def probability_together(callers, bins, k):
    p = 1 / bins
    return sum(math.comb(callers, n) * p**n * (1 - p) ** (callers - n) for n in range(k, callers + 1))


# 04, retry caps and budgets
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


# 09, the policy explorer
def knobs_turned(before, after):
    return sorted(name for name in {**before, **after} if before.get(name) != after.get(name))


def worth_defending(candidates):
    def beats(one, other):
        return one != other and one[0] >= other[0] and one[1] <= other[1]

    pairs = candidates.values()
    return [name for name, mine in candidates.items() if not any(beats(pair, mine) for pair in pairs)]


# 11, the real server
def chance_each(together, quantities):
    return 1 - (1 - together) / quantities


def all_inside(recorded, low, high):
    return all(a <= value <= b for a, value, b in zip(low, recorded, high, strict=True))


def lost_attempts(lines):
    ended = {attempt for kind, attempt in lines if kind == "end"}
    return [attempt for kind, attempt in lines if kind == "begin" and attempt not in ended]


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
