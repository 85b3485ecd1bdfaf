"""The tables that the engine works on: arrays and records that interpreted and compiled code share.

One set of types serves every policy and every scenario, because a new type would be a new compilation. What a run
leaves behind (`rows`, a line per attempt as in a trace, and a line per request) are plain columns, which a trace takes
over as they are; what is under way stands in records that are used again, so that they stay in the processor's cache.
"""

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np

from breakerlab.policy.breaker import BUCKETS, LARGEST_WINDOW

F, I = np.float64, np.int64  # noqa: E741

LAYERS = 4  # the most policies, one around the other
NUMBERS = "f8", "i8"

# one logical request in the app, from its arrival until the app has answered; also a health probe in the pool's queue
CALL = np.dtype(
    [
        *((name, I) for name in ("request", "endpoint", "instance", "state", "stamp", "next", "previous")),
        ("key", np.uint64),  # of its random numbers
        ("app_row", I),  # the attempt of the caller on the app
        ("row", I),  # the latest attempt of the app on the service
        ("job", I),  # what the service has in hand of it
        ("attempts", I),  # begun so far, refused ones included
        ("layer", I),  # the policy that the next attempt belongs to
        ("standby", I),  # the place in the chain of fallbacks
        ("status", I),  # what the app will answer
        ("refused", I),  # whether it ended because an attempt was refused locally
        ("once", I),  # a write that must not be sent twice
        ("write", I),
        ("tokens", F),
    ]
)
# what one layer of policies knows of a call; call c has the records from c * LAYERS on
PART = np.dtype(
    [
        ("began", F),  # when its first attempt began
        ("sent", F),  # when its latest attempt began
        ("deadline", F),  # when that is cut short
        ("delay", F),  # its latest backoff; 0 before the first
        ("made", I),  # attempts begun, refusals of an open circuit included
        ("permit", I),
    ]
)
# one attempt in the service's hands
JOB = np.dtype(
    [
        *((name, I) for name in ("request", "attempt", "endpoint", "caller", "stamp", "next", "previous")),
        ("key", np.uint64),
        ("state", I),
        ("status", I),  # what the answer will be
        ("timed", I),  # whether its timeout is in the calendar
        ("write", I),
        ("tokens", F),
        ("arrived", F),
        ("began", F),
        ("deadline", F),
    ]
)
SCHEDULED_EVENT = np.dtype([("time", F), ("key", I), ("subject", I)])
ENDPOINT = np.dtype(
    [
        ("hold", F),  # seconds that it holds a worker; 0 for one that needs the service
        ("patience", F),  # seconds that its callers wait
        *((name, F) for name in ("latency", "error", "refuse", "hang")),  # the faults of the moment
        ("status", I),
    ]
)
STEP = np.dtype([("time", F), ("slots", I)])
INSTANCE = np.dtype([(name, I) for name in ("in_use", "waiting", "first", "last", "is_up", "failed_probes")])
STANDBY = np.dtype([("seconds", F), ("availability", F), ("slots", I), ("in_use", I)])
POLICY = np.dtype(
    [
        *(
            (name, F)
            for name in ("timeout", "total_time_limit", "last_start_after", "cut_after", "longest_retry_after")
        ),
        *((name, F) for name in ("base", "factor", "cap", "top_exponent")),
        *(
            (name, I)
            for name in ("attempts", "jitter_code", "wait_for_probe", "has_breaker", "has_budget", "has_throttle")
        ),
    ]
)
BUDGET = np.dtype(
    [
        *((name, F) for name in ("tokens", "refilled_at", "ratio", "minimum_rate", "burst")),
        ("per_success", I),
    ]
)
BREAKER = np.dtype(
    [
        *((name, F) for name in ("failure_rate", "slow_call_rate", "slow_call_duration", "bucket_seconds")),
        *((name, F) for name in ("recovery_timeout", "recovery_growth", "recovery_cap", "recovery_jitter")),
        *((name, F) for name in ("top_exponent", "half_open_timeout", "probe_at", "probes_until")),
        *((name, I) for name in ("failure_threshold", "has_window", "window", "minimum_calls")),
        *((name, I) for name in ("half_open_max_calls", "success_threshold", "guards_retries_only")),
        *((name, I) for name in ("mode", "state_code", "generation", "free_permit", "reason", "openings")),
        *((name, I) for name in ("failures", "probes", "successes", "calls", "window_failures", "window_slow")),
        *((name, I) for name in ("succeeded", "failed", "ignored", "rejected", "late", "ring_at", "bucket")),
        ("ring", I, (LARGEST_WINDOW,)),
    ]
)
THROTTLE = np.dtype(
    [
        *((name, F) for name in ("ratio", "bucket_seconds")),
        *((name, I) for name in ("requests", "accepts", "bucket")),
        ("ring", I, (2 * BUCKETS,)),
    ]
)
SERVICE = np.dtype(
    [
        *((name, I) for name in ("slots", "slots_now", "queue_limit", "discipline", "cancels")),
        *((name, I) for name in ("in_service", "queued", "first", "last")),
        *((name, F) for name in ("retry_after", "rejection_seconds")),
        *((name, F) for name in ("first_number", "second_number", "slowdown", "crowd")),  # of the service time
        *((name, I) for name in ("time_code", "network_code")),
        *((name, F) for name in ("network_first", "network_second")),
        *((name, I) for name in ("answer_network_code", "timer_lag_code")),
        *((name, F) for name in ("answer_network_first", "answer_network_second")),
        *((name, F) for name in ("timer_lag_first", "timer_lag_second")),
        # the rate limit: what the two buckets hold, gain a second, and hold at most
        *((name, F) for name in ("requests_left", "request_rate", "request_limit")),
        *((name, F) for name in ("tokens_left", "token_rate", "token_limit", "refilled_at")),
        # what it has done, for the books of `conservation`
        *((name, I) for name in ("came", "served", "failed", "refused", "throttled", "turned_away", "dropped")),
        *((name, I) for name in ("cancelled", "on_the_way")),
        *((name, F) for name in ("looked_at", "busy", "present", "given", "spent")),
    ]
)
APP = np.dtype(
    [
        *((name, F) for name in ("pool_timeout", "health_interval", "health_timeout", "restart_seconds", "duration")),
        *((name, I) for name in ("workers", "health_failures", "balancer", "turn", "holds", "shared", "sends_once")),
        *((name, I) for name in ("layers", "instances", "closed", "callers", "endpoints", "standbys")),
        *((name, F) for name in ("think_first", "think_second", "tokens_first", "tokens_second", "writes")),
        *((name, I) for name in ("think_code", "tokens_code", "network_code")),
        *((name, F) for name in ("network_first", "network_second")),
        *((name, I) for name in ("answer_network_code", "timer_lag_code")),
        *((name, F) for name in ("answer_network_first", "answer_network_second")),
        *((name, F) for name in ("timer_lag_first", "timer_lag_second")),
    ]
)
STORE = np.dtype([("used", I), ("free", I)])  # of records that are used again: how many ever were, the first free one
CALLS, JOBS = 0, 1  # places in `World.stores`
CLOCK = np.dtype(
    [
        ("now", F),
        ("last_moment", F),  # no event after it is played
        ("key", np.uint64),  # of all random numbers: the seed
        *(
            (name, I)
            for name in ("order", "arrived", "most_attempts", "sent", "touched", "started", "hole", "sure_events")
        ),
        # how much of each table is used
        *((name, I) for name in ("rows", "events", "samples", "asked", "scheduled")),
        # and how much of each may be, a margin apart
        *((name, I) for name in ("rows_room", "requests_room", "events_room", "samples_room", "asked_room")),
        *((name, I) for name in ("calendar_room", "calls_room", "jobs_room", "arrivals", "steps")),
        *(
            (name, I)
            for name in (
                "service_values",
                "network_values",
                "app_network_values",
                "answer_network_values",
                "timer_lag_values",
                "think_values",
                "token_values",
            )
        ),
    ]
)

Rows = namedtuple("Rows", "time latency request number status outcome service instance")
ROW_TYPES = Rows(np.float64, np.float64, np.int32, np.int16, np.int16, np.int8, np.int8, np.int16)
Requests = namedtuple("Requests", "row attempts server executed refused caller")
REQUEST_TYPES = Requests(np.int32, np.int32, np.int8, np.int16, np.int8, np.int32)
Events = namedtuple("Events", "time kind instance value")
EVENT_TYPES = Events(np.float64, np.int8, np.int16, np.int32)
Samples = namedtuple("Samples", "time in_service queued")
SAMPLE_TYPES = Samples(np.float64, np.int32, np.int32)
Asked = namedtuple("Asked", "row seconds")  # what a 429 asked the caller to wait, by row
ASKED_TYPES = Asked(np.int64, np.float64)
Arrivals = namedtuple("Arrivals", "time endpoint tokens number write")

GROUPS = {"rows": (Rows, ROW_TYPES), "requests": (Requests, REQUEST_TYPES), "events": (Events, EVENT_TYPES)}
GROUPS |= {"samples": (Samples, SAMPLE_TYPES), "asked": (Asked, ASKED_TYPES)}

World = namedtuple(
    "World",
    "rows requests events samples asked arrivals calls parts jobs calendar "
    "steps step_faults endpoints instances standbys stores policies breakers budgets throttles service app clock "
    "turns service_values network_values app_network_values answer_network_values timer_lag_values "
    "think_values token_values",
)
# tables of few records, which become plain objects where the engine runs interpreted
RECORDS = (
    "endpoints",
    "instances",
    "standbys",
    "stores",
    "policies",
    "breakers",
    "budgets",
    "throttles",
    "service",
    "app",
    "clock",
)

SAMPLE_SECONDS = 0.5


def first_of(table: Any) -> SimpleNamespace:
    """The first record as a plain object; reading a field of a numpy record takes twenty times as long."""
    return SimpleNamespace(**dict(zip(table.dtype.names, table.item(0), strict=True)))
