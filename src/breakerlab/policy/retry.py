"""When to retry, and when to stop: a cap on attempts and on total time, with a reserve kept for the final attempt."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

from breakerlab.policy import parameter
from breakerlab.policy.backoff import Backoff
from breakerlab.policy.budget import RetryBudget
from breakerlab.policy.value import Value, checked, part, value

STOP = -1.0
NOT_OBEYED = -1.0
AHEAD_SHARE, AHEAD_SECONDS, MOST_AHEAD = 0.005, 0.02, 0.1  # of the time until the last start; seconds


def next_start(
    r: Any, made: int, started: float, now: float, wait: float, retry_after: float, probe_at: float
) -> float:
    """Rule: when the next attempt starts, or STOP (-1) if there is none.

    `r` has the fields of a `Retry`; `made` attempts have failed by `now`; the call began at `started`; `wait` is the
    backoff; `retry_after` is what the server asked for, 0.0 if nothing: one that asks for longer than
    `longest_retry_after` is not asked again. Before `probe_at` an open circuit would refuse the attempt; up to `now`
    nothing is in its way.

    The backoff comes on top of what the server or the circuit asks for: else all whom one outage sent away would be
    back at the same moment. A backoff that would eat into the reserve is cut short: the attempt then starts at the last
    moment allowed. Without a reserve nothing is left at that moment, and there is no attempt.
    """
    earliest = now
    if r.longest_retry_after != NOT_OBEYED:
        if retry_after > r.longest_retry_after:
            return STOP
        earliest = now + retry_after
    if probe_at > now:
        if not r.wait_for_probe:
            return STOP
        earliest = max(earliest, probe_at)
    latest = started + r.last_start_after
    if made >= r.attempts or now >= latest or earliest > latest:
        return STOP
    start = min(earliest + wait, latest)
    return float(start) if start < started + r.total_time_limit else STOP


def time_allowed(r: Any, timeout: float, made: int, started: float, now: float) -> float:
    """Rule: seconds that the attempt starting at `now`, with `made` before it, may take.

    The final attempt has all that is left of the total time, an earlier one must leave the reserve; neither has more
    than `timeout`. So the total is never overshot, and the reserve is there when it is needed.
    """
    cut_at = started + r.cut_after
    final = made + 1 >= r.attempts or now >= cut_at
    end = started + r.total_time_limit if final else cut_at
    return float(min(timeout, end - now))


@value
class Retry(Value):
    """How often and how long to try.

    attempts: at most this many in all, the first included; at least 1. total_time: seconds for the whole call, waits
    included, above 0; None for no limit. final_reserve: the share of `total_time` kept for the final attempt, in
    [0, 1): it starts no later than (1 - final_reserve) * total_time and has all that is left. backoff: the waits.
    retry_after_limit: seconds, at least 0; a server's Retry-After is obeyed up to this, and above it the retry is not
    made; None ignores what servers ask for. wait_for_probe: whether a call that an open circuit refuses waits for the
    next probe, the refusal counting as an attempt; else the refusal ends its retries. budget: what the retries of all
    calls together may add; None for no limit. In a dict, no key for total_time or retry_after_limit means None.
    Raises ValueError naming the parameter that is out of range.
    """

    attempts: int = checked(parameter.count, default=4)
    total_time: float | None = checked(parameter.real, default=30.0, optional=True)
    final_reserve: float = checked(parameter.real, default=0.25, or_equal=True, below=1.0)
    backoff: Backoff = part(Backoff, default=Backoff())
    retry_after_limit: float | None = checked(parameter.real, default=60.0, optional=True, or_equal=True)
    wait_for_probe: bool = checked(parameter.instance, default=False, of=bool)
    budget: RetryBudget | None = part(RetryBudget, default=None)
    total_time_limit: float = field(init=False)
    last_start_after: float = field(init=False)
    cut_after: float = field(init=False)
    longest_retry_after: float = field(init=False)

    def __post_init__(self) -> None:
        limit = math.inf if self.total_time is None else self.total_time
        until = limit * (1.0 - self.final_reserve)
        # An attempt that was cut, and a timer that fires late, must leave the final attempt its start. asyncio's timers
        # are late by up to a millisecond and a thousandth of the wait, those of a busy machine by more.
        ahead = 0.0
        if self.final_reserve > 0.0:
            ahead = min(AHEAD_SHARE + AHEAD_SECONDS / until, MOST_AHEAD) if until > 0.0 else MOST_AHEAD
        longest = NOT_OBEYED if self.retry_after_limit is None else self.retry_after_limit
        self._set(total_time_limit=limit, last_start_after=until, cut_after=until * (1.0 - ahead))
        self._set(longest_retry_after=longest)

    def next_start(
        self, made: int, started: float, now: float, wait: float, retry_after: float = 0.0, probe_at: float = -math.inf
    ) -> float | None:
        """When the attempt after `made` failed ones starts, on the clock of `started` and `now` (s); None to stop.

        `wait` is the backoff in seconds, from `Backoff.delay`; `retry_after` what the server asked for, 0 if nothing;
        `probe_at` when an open circuit admits its next probe.
        """
        start = next_start(self, made, started, now, wait, retry_after, probe_at)
        return None if start == STOP else start

    time_allowed = time_allowed  # the rule itself, as a method
