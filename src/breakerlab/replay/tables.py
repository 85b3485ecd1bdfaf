"""The tables that the engine works on: records that interpreted and compiled code share.

One dtype serves every policy and every scenario, because a new dtype would be a new compilation.
"""

from collections import namedtuple

import numpy as np

from breakerlab.policy.breaker import LARGEST_WINDOW

F, I = np.float64, np.int64  # noqa: E741

REQUEST = np.dtype(
    [
        ("due", F),
        ("tokens", F),
        ("hold", F),  # seconds that the other endpoint holds a worker; 0 for a request that needs the service
        ("patience", F),  # seconds that the caller waits
        ("began", F),  # when a worker took it up
        ("end", F),  # when the caller knew
        ("delay", F),  # the latest backoff; 0 before the first
        ("number", I),
        ("state", I),
        ("outcome", I),
        ("status", I),
        ("made", I),  # attempts begun, refusals of an open circuit included
        ("permit", I),
        ("current", I),  # the latest attempt
    ]
)
ATTEMPT = np.dtype(
    [
        ("time", F),
        ("end", F),
        ("request", I),
        ("number", I),
        ("outcome", I),
        ("status", I),
        ("waiting", I),  # whether the app still waits for the answer
    ]
)
EVENT = np.dtype([("time", F), ("kind", I), ("value", I)])
SCHEDULED_EVENT = np.dtype([("time", F), ("order", I), ("kind", I), ("subject", I)])
CAPACITY_STEP = np.dtype([("time", F), ("slots", I)])
POLICY = np.dtype(
    [
        ("timeout", F),
        ("total_time_limit", F),
        ("final_reserve", F),
        ("base", F),
        ("factor", F),
        ("cap", F),
        ("top_exponent", F),
        ("longest_retry_after", F),
        ("attempts", I),
        ("jitter_code", I),
        ("wait_for_probe", I),
        ("has_breaker", I),
        ("has_budget", I),
    ]
)
BUDGET = np.dtype(
    [
        ("tokens", F),
        ("refilled_at", F),
        ("ratio", F),
        ("minimum_rate", F),
        ("burst", F),
        ("per_success", I),
    ]
)
BREAKER = np.dtype(
    [
        *((name, F) for name in ("failure_rate", "slow_call_rate", "slow_call_duration", "bucket_seconds")),
        *((name, F) for name in ("recovery_timeout", "recovery_growth", "recovery_cap", "recovery_jitter")),
        *((name, F) for name in ("top_exponent", "half_open_timeout", "probe_at", "probes_until")),
        *((name, I) for name in ("failure_threshold", "has_window", "window", "minimum_calls")),
        *((name, I) for name in ("half_open_max_calls", "success_threshold")),
        *((name, I) for name in ("mode", "state_code", "generation", "free_permit", "reason", "openings")),
        *((name, I) for name in ("failures", "probes", "successes", "calls", "window_failures", "window_slow")),
        *((name, I) for name in ("succeeded", "failed", "ignored", "rejected", "late", "ring_at", "bucket")),
        ("ring", I, (LARGEST_WINDOW,)),
    ]
)
SERVICE = np.dtype(
    [
        ("first_token", F),
        ("per_token", F),
        ("slowdown", F),
        ("retry_after", F),  # seconds that a 503 asks to wait
        ("slots", I),
        ("slots_now", I),
        ("in_service", I),
        ("queue_limit", I),
        ("queue_head", I),
        ("queue_tail", I),
    ]
)
APP = np.dtype(
    [
        ("pool_timeout", F),
        ("health_interval", F),
        ("health_timeout", F),
        ("restart_seconds", F),
        ("duration", F),
        ("workers", I),
        ("in_use", I),
        ("queue_head", I),
        ("queue_tail", I),
        ("is_up", I),
        ("health_failures", I),
        ("failed_probes", I),
        ("seed", I),
    ]
)

World = namedtuple(
    "World",
    "requests attempts events steps pool_queue service_queue probes used calendar policy breaker budget service app",
)
# the tables of one record each; the others have many rows
RECORDS = ("policy", "breaker", "budget", "service", "app")

# places in `World.used`: how much of each table is taken, and the next order number of the calendar
ATTEMPTS, EVENTS, SCHEDULED, ORDER = 0, 1, 2, 3

SAMPLE_SECONDS = 0.5
