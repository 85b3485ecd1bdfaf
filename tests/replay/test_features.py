"""Every feature of the simulator by itself, worked out by hand, and then all of them at once."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle
from breakerlab.replay import (
    App,
    Bursts,
    ClosedLoop,
    Constant,
    Empirical,
    Exponential,
    Fault,
    Llm,
    Lognormal,
    OtherEndpoint,
    Poisson,
    RateLimit,
    Run,
    Scenario,
    Service,
    Standby,
    Workload,
    replay,
)

FIXED = Backoff(base=2.0, factor=1.0, cap=2.0, jitter="none")
PATIENT = Policy(timeout=1e6)
OUTAGE = (Fault(0.0, math.inf, 0.0),)
ANSWERS, SEARCHES = "POST /answer", "GET /search"
NONE = None  # of a column that has no value there


def by_tokens(**fields: Any) -> Service:
    """A service that takes as many seconds as an answer has tokens, and room for what waits."""
    return Service(**{"slots": 1, "queue_limit": 9, "time": Llm(1e-12, 1.0, 0.0), **fields})


def one_second(**fields: Any) -> Service:
    return Service(**{"slots": 1, "queue_limit": 9, "time": Constant(1.0), **fields})


def retrying(attempts: int, backoff: Backoff = FIXED, retry: Any = None, **more: Any) -> Policy:
    given = {"total_time": None, "final_reserve": 0.0, "retry_after_limit": None, **(retry or {})}
    return Policy(**{"timeout": 1e3, **more}, retry=Retry(attempts=attempts, backoff=backoff, **given))


def seen(table: pd.DataFrame, *columns: str) -> list[Any]:
    """The values of these columns by row, a single column's bare; a missing one is None; seconds to the nanosecond."""
    told = [tuple(plain(value) for value in row) for row in table[list(columns)].itertuples(index=False)]
    return [row[0] for row in told] if len(columns) == 1 else told


def plain(value: Any) -> Any:
    if value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return round(float(value), 9) if isinstance(value, float) else value


def events(run: Run, kind: str, *columns: str) -> list[Any]:
    table = run.trace.events
    return seen(table[table["kind"] == kind], *(columns or ("time", "value")))


def ends(table: pd.DataFrame) -> list[Any]:
    return seen(pd.DataFrame({"end": table["time"] + table["latency"]}), "end")


# ---- the queue


@pytest.mark.parametrize(
    ("discipline", "expected"), [("fifo", [1.0, 2.0, 3.0, 4.0, 5.0]), ("lifo", [1.0, 5.0, 4.0, 2.0, 3.0])]
)
def test_the_latest_is_served_first_or_last(arrivals, roomy_app, rows, discipline, expected) -> None:
    """Lifo: 3 at 1 s, then 4, which came at 1.5 s, then 2, then 1."""
    service = one_second(discipline=discipline)
    run = replay(Scenario(arrivals([0.0, 0.1, 0.2, 0.3, 1.5]), service, roomy_app()), PATIENT)
    assert ends(rows(run, "llm")) == expected


def test_lifo_refuses_the_newcomer_that_fits_in_no_place(arrivals, roomy_app, rows) -> None:
    service = one_second(discipline="lifo", queue_limit=2)
    llm = rows(replay(Scenario(arrivals([0.0, 0.1, 0.2, 0.3]), service, roomy_app()), PATIENT), "llm")
    assert seen(llm, "status", "latency") == [(200, 1.0), (200, 2.9), (200, 1.8), (503, 0.0)]


@pytest.mark.parametrize(
    ("discipline", "expected"),
    [
        ("fifo", ["ok", "timeout", "timeout", "timeout", "timeout", "timeout"]),
        ("deadline", ["ok", "timeout", "timeout", "timeout", "ok", "timeout"]),
    ],
)
def test_deadline_drops_what_nobody_waits_for(arrivals, roomy_app, rows, discipline, expected) -> None:
    """Attempts of at most 1.5 s. 1 starts at 1.0 s and ends at 2.0 s, too late; 2, timed out at 1.7 s, is dropped at
    2.0 s, where 3 starts, which times out at 2.4 s and ends at 3.0 s; so 4, of 2.6 s, is in time at 4.0 s, and 5, of
    2.7 s, is not."""
    service = one_second(discipline=discipline)
    time = [0.0, 0.1, 0.2, 0.9, 2.6, 2.7]
    run = replay(Scenario(arrivals(time), service, roomy_app()), Policy(timeout=1.5))
    llm = rows(run, "llm")
    assert llm["outcome"].tolist() == expected
    late = llm[llm["outcome"] == "timeout"]
    assert set(seen(late, "latency")) == {1.5}


def test_what_is_dropped_keeps_its_place_until_its_turn(arrivals, roomy_app, rows) -> None:
    service = by_tokens(discipline="deadline", queue_limit=1)
    workload = arrivals([0.0, 0.1, 2.0, 5.1], tokens=[5.0, 1.0, 1.0, 1.0])
    llm = rows(replay(Scenario(workload, service, roomy_app()), Policy(timeout=1.5)), "llm")
    assert seen(llm, "status", "latency") == [(NONE, 1.5), (NONE, 1.5), (503, 0.0), (200, 1.0)]


def test_an_unlimited_queue_refuses_nobody(arrivals, roomy_app, rows) -> None:
    service = Service(slots=1, queue_limit=None, time=Constant(0.125))
    llm = rows(replay(Scenario(arrivals(np.zeros(3000)), service, roomy_app()), PATIENT), "llm")
    assert (llm["outcome"] == "ok").all()
    assert seen(llm, "latency") == [0.125 * (i + 1) for i in range(3000)]


# ---- how long it takes


def taken(arrivals: Any, roomy_app: Any, rows: Any, time: Any, n: int = 20_000) -> np.ndarray:
    scenario = Scenario(arrivals(np.arange(n) * 1.0), Service(slots=1000, queue_limit=0, time=time), roomy_app())
    return rows(replay(scenario, PATIENT, seed=4), "llm")["latency"].to_numpy()


def test_a_constant_time(arrivals, roomy_app, rows) -> None:
    assert set(taken(arrivals, roomy_app, rows, Constant(0.25), 50).round(9)) == {0.25}


def test_nothing_takes_no_time(arrivals, roomy_app, rows) -> None:
    assert set(taken(arrivals, roomy_app, rows, Constant(0.0), 50)) == {0.0}


def test_an_exponential_time(arrivals, roomy_app, rows) -> None:
    """Four standard errors; the median of an exponential is ln 2 of its mean."""
    seconds = taken(arrivals, roomy_app, rows, Exponential(2.0))
    assert seconds.mean() == pytest.approx(2.0, abs=4 * 2.0 / 20_000**0.5)
    assert (seconds < 2.0 * math.log(2.0)).mean() == pytest.approx(0.5, abs=4 * 0.5 / 20_000**0.5)
    assert (seconds > 6.0).mean() == pytest.approx(math.exp(-3.0), abs=4 * (0.05 / 20_000) ** 0.5)
    assert len(np.unique(seconds.round(9))) > 19_000


def test_a_lognormal_time(arrivals, roomy_app, rows) -> None:
    logs = np.log(taken(arrivals, roomy_app, rows, Lognormal(2.0, 0.5)))
    assert logs.mean() == pytest.approx(math.log(2.0) - 0.125, abs=4 * 0.5 / 20_000**0.5)
    assert logs.std() == pytest.approx(0.5, abs=4 * 0.5 / 40_000**0.5)
    assert abs((((logs - logs.mean()) / logs.std()) ** 3).mean()) < 4 * (6 / 20_000) ** 0.5  # no skew: it is normal


def test_a_measured_time(arrivals, roomy_app, rows) -> None:
    seconds = taken(arrivals, roomy_app, rows, Empirical([0.5, 1.0, 1.0, 4.0])).round(9)
    shares = {value: (seconds == value).mean() for value in np.unique(seconds)}
    assert shares == {value: pytest.approx(p, abs=0.015) for value, p in ((0.5, 0.25), (1.0, 0.5), (4.0, 0.25))}


@pytest.mark.parametrize(
    ("slots", "batch", "expected"),
    [
        (4, 3, [1.0, 1.5, 2.0, 2.0]),
        (3, None, [1.0, 1.5, 2.0]),
        (2, 5, [1.0, 1.25]),
        (3, 1, [1.0, 1.0, 1.0]),
        (1, None, [1.0]),
    ],
)
def test_an_llm_is_the_slower_the_fuller_its_batch(arrivals, roomy_app, rows, slots, batch, expected) -> None:
    service = Service(slots=slots, queue_limit=0, time=Llm(0.75, 0.25, 1.0, batch))
    time = np.arange(slots) * 0.01
    llm = rows(replay(Scenario(arrivals(time, tokens=1.0), service, roomy_app()), PATIENT), "llm")
    assert seen(llm, "latency") == expected


def test_who_comes_later_does_not_slow_down_what_has_begun(arrivals, roomy_app, rows) -> None:
    service = Service(slots=2, queue_limit=1, time=Llm(1.0, 0.0, 1.0))
    llm = rows(replay(Scenario(arrivals([0.0, 0.5, 0.6]), service, roomy_app()), PATIENT), "llm")
    assert ends(llm) == [1.0, 2.5, 3.0]  # alone; as one of two; as one of two from 1 s


# ---- refusals on their way back


def test_a_refusal_is_known_when_it_is_back(arrivals, roomy_app, rows) -> None:
    service = Service(slots=1, queue_limit=0, rejection_seconds=0.5)
    policy = retrying(2, breaker=Breaker(2, recovery_timeout=60.0))
    run = replay(Scenario(arrivals([0.0]), service, roomy_app(), OUTAGE), policy)
    assert seen(rows(run, "llm"), "time", "status", "latency") == [(0.0, 503, 0.5), (2.5, 503, 0.5)]
    assert events(run, "breaker") == [(3.0, 1.0)]
    assert seen(rows(run, "app"), "status", "latency") == [(502, 3.0)]
    assert run.summary()["status_503"] == 2


def test_an_attempt_can_time_out_before_its_refusal_is_back(arrivals, roomy_app, rows) -> None:
    service = Service(slots=1, queue_limit=0, retry_after=50.0, rejection_seconds=0.5)
    policy = retrying(2, timeout=0.25, retry={"retry_after_limit": 60.0})
    run = replay(Scenario(arrivals([0.0]), service, roomy_app(), OUTAGE), policy)
    told = seen(rows(run, "llm"), "time", "outcome", "status", "latency")
    assert told == [(0.0, "timeout", NONE, 0.25), (2.25, "timeout", NONE, 0.25)]  # nobody was asked to wait
    assert run.summary()["timeouts"] == 2


def test_a_429_takes_as_long_to_be_back(arrivals, roomy_app, rows) -> None:
    service = one_second(slots=9, rejection_seconds=0.5, rate_limit=RateLimit(requests=1, per=100.0))
    llm = rows(replay(Scenario(arrivals([0.0, 0.0]), service, roomy_app()), PATIENT), "llm")
    assert seen(llm, "status", "latency") == [(200, 1.0), (429, 0.5)]


# ---- a caller that hangs up


def test_a_timeout_frees_the_slot(arrivals, roomy_app, rows) -> None:
    workload = arrivals([0.0, 0.6], tokens=[5.0, 0.5])
    for cancels, expected in ((True, ("ok", 0.9)), (False, ("timeout", 1.0))):
        service = by_tokens(cancel_on_disconnect=cancels)
        llm = rows(replay(Scenario(workload, service, roomy_app()), Policy(timeout=1.0)), "llm")
        assert seen(llm, "outcome", "latency") == [("timeout", 1.0), expected]


@pytest.mark.parametrize(
    ("cancels", "expected"),
    [
        (True, [(NONE, 1.5), (503, 0.0), (NONE, 1.5), (200, 1.0)]),
        (False, [(NONE, 1.5), (503, 0.0), (503, 0.0), (200, 1.25)]),
    ],
)
def test_a_timeout_frees_the_place_in_the_queue(arrivals, roomy_app, rows, cancels, expected) -> None:
    """No slot until 10 s and one place, free again at 1.5 s if cancelled; else 0 is worked on from 10 s to 11 s."""
    service = one_second(queue_limit=1, cancel_on_disconnect=cancels)
    workload = arrivals([0.0, 0.5, 1.75, 10.75])
    scenario = Scenario(workload, service, roomy_app(), [Fault(0.0, 10.0, 0.0)])
    assert seen(rows(replay(scenario, Policy(timeout=1.5)), "llm"), "status", "latency") == expected


@pytest.mark.parametrize(("discipline", "expected"), [("fifo", [4.125, 4.375, 4.875]), ("lifo", [4.875, 4.75, 4.5])])
def test_what_is_cancelled_lets_the_others_pass_in_order(arrivals, roomy_app, rows, discipline, expected) -> None:
    """0 is cut at 4 s; what waits is served in its order, without a gap."""
    service = by_tokens(cancel_on_disconnect=True, discipline=discipline)
    workload = arrivals([0.0, 1.0, 2.0, 3.0], tokens=[9.0, 0.125, 0.25, 0.5])
    llm = rows(replay(Scenario(workload, service, roomy_app()), Policy(timeout=4.0)), "llm")
    assert ends(llm) == [4.0, *expected]


@pytest.mark.parametrize("discipline", ["fifo", "lifo", "deadline"])
def test_what_is_cancelled_in_the_middle_of_a_queue_leaves_it_whole(arrivals, roomy_app, rows, discipline) -> None:
    """No slot until 2.25 s: 0 and 1 are gone by then, 2, 3 and 4 are there. Then 2, 3, 4 or 4, 3, 2, a quarter each."""
    service = by_tokens(cancel_on_disconnect=True, discipline=discipline)
    workload = arrivals([0.0, 0.5, 1.0, 1.125, 1.25], tokens=0.25)
    scenario = Scenario(workload, service, roomy_app(), [Fault(0.0, 2.25, 0.0)])
    llm = rows(replay(scenario, Policy(timeout=1.6)), "llm")
    assert seen(llm, "outcome")[:2] == ["timeout", "timeout"]
    last_three = [2.5, 2.725, 2.85] if discipline != "lifo" else [2.6, 2.725, 2.5]
    assert ends(llm)[2:] == last_three  # of which one or two are cut by their timeout, 1.6 s after they came


def test_a_caller_who_gives_up_cancels_nothing(arrivals, roomy_app, rows) -> None:
    """The app does not notice."""
    service = one_second(cancel_on_disconnect=True, time=Constant(3.0))
    run = replay(Scenario(arrivals([0.0]), service, roomy_app(caller_timeout=1.0)), PATIENT)
    assert seen(rows(run, "llm"), "outcome", "latency") == [("ok", 3.0)]
    assert seen(rows(run, "app"), "outcome", "latency") == [("timeout", 1.0)]


STUCK = {"workers": 2, "pool_timeout": 100.0, "caller_timeout": 100.0, "restart_seconds": 4.0}


@pytest.mark.parametrize(("cancels", "latency"), [(True, 20.0), (False, 28.0)])
def test_an_app_that_dies_hangs_up(arrivals, rows, cancels, latency) -> None:
    """Two slots, two calls of 20 s; the app is killed at 7 s; who comes at 12 s finds a free slot or waits until 20."""
    service = Service(2, 9, time=Constant(20.0), cancel_on_disconnect=cancels)
    run = replay(Scenario(arrivals([0.0, 0.0, 12.0]), service, App(**STUCK), duration=14.0), PATIENT)
    assert rows(run, "llm")["outcome"].tolist() == ["lost", "lost", "ok"]
    assert seen(rows(run, "llm"), "latency")[2] == latency


# ---- the rate limit


def test_a_rate_limit_by_requests(arrivals, roomy_app, rows) -> None:
    """Two at once, then one every 4 s: at 0 none is left for the third; at 2 s half of one; at 4 s one."""
    service = one_second(slots=9, rate_limit=RateLimit(requests=2, per=8.0))
    run = replay(Scenario(arrivals([0.0, 0.0, 0.0, 2.0, 4.0, 4.0, 100.0, 100.0, 100.0]), service, roomy_app()), PATIENT)
    llm = rows(run, "llm")
    assert seen(llm, "status", "retry_after", "latency") == [
        (200, NONE, 1.0),
        (200, NONE, 1.0),
        (429, 4.0, 0.0),
        (429, 2.0, 0.0),
        (200, NONE, 1.0),
        (429, 4.0, 0.0),
        (200, NONE, 1.0),  # no more than one period's worth is kept
        (200, NONE, 1.0),
        (429, 4.0, 0.0),
    ]
    assert set(llm["outcome"][llm["status"] == 429]) == {"throttled"}
    summary = run.summary()
    assert (summary["status_429"], summary["status_503"], summary["attempts"]) == (4, 0, 9)


def test_a_rate_limit_by_tokens(arrivals, roomy_app, rows) -> None:
    """100 at first and one more each second; a small answer passes where a large one does not."""
    service = one_second(slots=9, rate_limit=RateLimit(tokens=100, per=100.0))
    workload = arrivals([0.0, 0.0, 0.0, 20.0, 20.0], tokens=[60.0, 60.0, 16.0, 64.0, 44.0])
    llm = rows(replay(Scenario(workload, service, roomy_app()), PATIENT), "llm")
    assert seen(llm, "status", "retry_after") == [(200, NONE), (429, 20.0), (200, NONE), (429, 20.0), (200, NONE)]


def test_a_429_asks_for_what_both_buckets_need(arrivals, roomy_app, rows) -> None:
    """4 requests and 64 tokens in 32 s: one request every 8 s, two tokens a second."""
    service = one_second(slots=9, rate_limit=RateLimit(requests=4, tokens=64, per=32.0))
    workload = arrivals(np.zeros(7), tokens=[24.0, 24.0, 8.0, 32.0, 8.0, 1.0, 40.0])
    llm = rows(replay(Scenario(workload, service, roomy_app()), PATIENT), "llm")
    assert seen(llm, "status", "retry_after") == [
        (200, NONE), (200, NONE), (200, NONE),
        (429, 12.0),  # 24 tokens are missing
        (200, NONE),  # the last request, the last tokens
        (429, 8.0),  # a request is missing, longer than a token
        (429, 20.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("limit", "starts"), [(60.0, [0.0, 6.0]), (3.0, [0.0]), (NONE, [0.0, 2.0, 4.0])])
def test_what_a_429_asks_for_is_obeyed(arrivals, roomy_app, rows, limit, starts) -> None:
    """Unlike a 503's second, what is asked for at 0 is 4 s, the backoff of 2 s on top."""
    service = one_second(slots=9, retry_after=1.0, rate_limit=RateLimit(requests=1, per=4.0))
    scenario = Scenario(arrivals([0.0, 0.0]), service, roomy_app())
    run = replay(scenario, retrying(9, retry={"retry_after_limit": limit}))
    llm = rows(run, "llm").query("request == 1")
    assert seen(llm, "time") == starts
    assert llm["status"].iloc[-1] == (200 if limit != 3.0 else 429)


def test_a_429_is_a_failure_to_the_breaker_which_gives_it_its_time(arrivals, roomy_app, rows) -> None:
    service = one_second(slots=9, rate_limit=RateLimit(requests=1, per=16.0))
    policy = Policy(timeout=10.0, breaker=Breaker(2, recovery_timeout=3.0))
    run = replay(Scenario(arrivals([0.0, 1.0, 2.0, 6.0, 16.0]), service, roomy_app()), policy)
    assert events(run, "breaker") == [(2.0, 1.0), (16.0, 2.0), (17.0, 0.0)]  # 2 s + the 14 s that were asked for
    assert seen(rows(run, "llm"), "outcome") == ["ok", "throttled", "throttled", "rejected", "ok"]


def test_an_overloaded_service_answers_503_within_its_rate_limit(arrivals, roomy_app, rows) -> None:
    service = one_second(queue_limit=0, rate_limit=RateLimit(requests=5, per=1e6))
    llm = rows(replay(Scenario(arrivals(np.zeros(7)), service, roomy_app()), PATIENT), "llm")
    statuses = seen(llm, "status")
    assert statuses[:2] == [200, 503] and statuses.count(200) == 1 and statuses[-1] in (429, 503)


# ---- faults


def test_a_fault_makes_work_slow_from_its_start_to_its_end(arrivals, roomy_app, rows) -> None:
    time = [9.999, 10.0, 19.999, 20.0]
    scenario = Scenario(arrivals(time), one_second(slots=9), roomy_app(), [Fault(10.0, 20.0, latency=3.0)])
    assert seen(rows(replay(scenario, PATIENT), "llm"), "latency") == [1.0, 3.0, 3.0, 1.0]


@pytest.mark.parametrize(
    ("status", "outcome", "attempts", "states"),
    [
        (500, "error", 3, [(4.0, 1.0)]),
        (503, "error", 3, [(4.0, 1.0)]),
        (429, "throttled", 3, [(4.0, 1.0)]),
        (408, "client_error", 3, [(4.0, 1.0)]),
        (425, "client_error", 3, [(4.0, 1.0)]),
        (400, "client_error", 1, []),
    ],
)
def test_a_fault_answers_an_error_after_its_work(arrivals, roomy_app, rows, status, outcome, attempts, states) -> None:
    """A wrong request (400) is neither retried nor held against the service."""
    backoff = Backoff(0.5, 1.0, 0.5, "none")
    scenario = Scenario(arrivals([0.0]), one_second(), roomy_app(), [Fault(0.0, 100.0, error=1.0, status=status)])
    policy = retrying(3, backoff, breaker=Breaker(3, recovery_timeout=1e3))
    run = replay(scenario, policy)
    llm = rows(run, "llm")
    assert seen(llm, "time", "outcome", "status", "latency") == [
        (1.5 * i, outcome, status, 1.0) for i in range(attempts)
    ]
    assert events(run, "breaker") == states
    assert rows(run, "app")["outcome"].tolist() != ["ok"]
    assert run.summary()["status_503"] == (attempts if status == 503 else 0)
    assert run.summary()["status_429"] == (attempts if status == 429 else 0)


@pytest.mark.parametrize(("status", "asks"), [(503, 5.0), (500, NONE)])
def test_a_503_by_a_fault_asks_for_as_long_as_any_503(arrivals, roomy_app, rows, status, asks) -> None:
    """What the trace says was asked for is what the policy waited for, the backoff of 2 s on top."""
    faults = [Fault(0.0, 100.0, error=1.0, status=status)]
    scenario = Scenario(arrivals([0.0]), one_second(retry_after=5.0), roomy_app(), faults)
    llm = rows(replay(scenario, retrying(2, retry={"retry_after_limit": 60.0})), "llm")
    assert seen(llm, "time", "status", "retry_after") == [(0.0, status, asks), (3.0 + (asks or 0.0), status, asks)]


def test_an_error_takes_a_slot_for_its_work(arrivals, roomy_app, rows) -> None:
    scenario = Scenario(arrivals([0.0, 0.5]), one_second(), roomy_app(), [Fault(0.0, 0.1, error=1.0)])
    assert ends(rows(replay(scenario, PATIENT), "llm")) == [1.0, 2.0]


def test_a_fault_refuses_connections(arrivals, roomy_app, rows) -> None:
    """At once, without a status, though the service is full; from start to before end; retried, and held against it."""
    time = [9.75, 10.0, 19.75, 20.0]
    scenario = Scenario(arrivals(time), one_second(queue_limit=0), roomy_app(), [Fault(10.0, 20.0, refuse=1.0)])
    llm = rows(replay(scenario, PATIENT), "llm")
    told = [("ok", 200, 1.0), ("connection", NONE, 0.0), ("connection", NONE, 0.0), ("ok", 200, 1.0)]
    assert seen(llm, "outcome", "status", "latency") == told
    again = replay(scenario, retrying(2, breaker=Breaker(2, recovery_timeout=60.0)))
    assert seen(rows(again, "llm").query("request == 1"), "time", "outcome") == [
        (10.0, "connection"), (12.0, "connection"),
    ]  # fmt: skip
    assert events(again, "breaker")[0] == (19.75, 1.0)  # after 12 s the second in a row: 0 was answered at 10.75 s


def test_a_fault_never_answers(arrivals, roomy_app, rows) -> None:
    """And takes no slot: the only one is free for who comes after the fault."""
    scenario = Scenario(arrivals([0.0, 0.5]), one_second(queue_limit=0), roomy_app(), [Fault(0.0, 0.5, hang=1.0)])
    llm = rows(replay(scenario, retrying(2, timeout=4.0)), "llm")
    assert seen(llm, "request", "time", "outcome", "latency") == [
        (0, 0.0, "timeout", 4.0),
        (0, 6.0, "ok", 1.0),
        (1, 0.5, "ok", 1.0),
    ]


def test_each_attempt_is_struck_with_its_own_probability(arrivals, roomy_app, rows) -> None:
    n = 20_000
    fault = Fault(0.0, math.inf, error=0.25, refuse=0.3, hang=0.2, status=502)
    scenario = Scenario(arrivals(np.arange(n) * 1.0), one_second(slots=99), roomy_app(), [fault])
    outcomes = rows(replay(scenario, Policy(timeout=5.0), seed=3), "llm")["outcome"].value_counts(normalize=True)
    expected = {"error": 0.25, "connection": 0.3, "timeout": 0.2, "ok": 0.25}
    assert {word: outcomes[word] for word in expected} == {
        word: pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5) for word, p in expected.items()
    }


def test_a_retry_is_struck_anew(arrivals, roomy_app, rows) -> None:
    n = 5_000
    fault = Fault(0.0, math.inf, refuse=0.5)
    scenario = Scenario(arrivals(np.arange(n) * 10.0), one_second(slots=99), roomy_app(), [fault])
    llm = rows(replay(scenario, retrying(2)), "llm")
    second = llm[llm["attempt"] == 2]["outcome"]
    assert (second == "ok").mean() == pytest.approx(0.5, abs=4 * 0.5 / len(second) ** 0.5)


def two_uses(time: Any, endpoint: Any) -> Workload:
    n = len(time)
    return Workload(time, endpoint, np.zeros(n), np.arange(n), (ANSWERS, "POST /summary", SEARCHES))


def test_a_fault_strikes_only_its_endpoints(roomy_app, rows) -> None:
    faults = [
        Fault(0.0, 10.0, refuse=1.0, endpoints=("POST /summary",)),
        Fault(10.0, 20.0, latency=2.0, endpoints=(ANSWERS, SEARCHES)),
        Fault(20.0, 30.0, hang=1.0, endpoints=(ANSWERS,)),
        Fault(30.0, 40.0, error=1.0, endpoints=("POST /summary",)),
    ]
    time = [5.0, 5.0, 5.0, 15.0, 15.0, 15.0, 25.0, 25.0, 35.0, 35.0]
    scenario = Scenario(two_uses(time, [0, 1, 2, 0, 1, 2, 0, 1, 0, 1]), one_second(slots=9), roomy_app(), faults)
    run = replay(scenario, Policy(timeout=5.0))
    assert seen(rows(run, "llm"), "request", "outcome", "latency") == [
        (0, "ok", 1.0), (1, "connection", 0.0), (3, "ok", 2.0), (4, "ok", 1.0),
        (6, "timeout", 5.0), (7, "ok", 1.0), (8, "ok", 1.0), (9, "error", 1.0),
    ]  # fmt: skip
    assert set(seen(rows(run, "app").query("endpoint == @SEARCHES"), "outcome", "latency")) == {("ok", 0.03)}


def test_where_faults_overlap_the_worst_of_each_counts(roomy_app, rows) -> None:
    """Three times as long from 0, for /summary eight times; errors from the second one, from 10 s refused by the third.

    Of the statuses that of the fault with the errors counts."""
    faults = [
        Fault(0.0, 20.0, latency=3.0, error=0.0, status=599),
        Fault(0.0, 30.0, latency=2.0, error=1.0, status=502),
        Fault(0.0, 30.0, latency=8.0, endpoints=("POST /summary",)),
    ]
    time = [5.0, 5.0, 25.0, 25.0]
    scenario = Scenario(two_uses(time, [0, 1, 0, 1]), one_second(slots=9), roomy_app(), faults)
    llm = rows(replay(scenario, PATIENT), "llm")
    assert seen(llm, "status", "latency") == [(502, 3.0), (502, 8.0), (502, 2.0), (502, 8.0)]


def test_overlapping_faults_may_each_strike_everything(arrivals, roomy_app, rows) -> None:
    faults = [Fault(0.0, 9.0, refuse=1.0), Fault(0.0, 9.0, hang=1.0), Fault(0.0, 9.0, error=1.0)]
    llm = rows(replay(Scenario(arrivals(np.zeros(50)), one_second(), roomy_app(), faults), Policy(timeout=1.0)), "llm")
    assert "ok" not in set(llm["outcome"])


def test_a_fault_without_an_end(arrivals, roomy_app, rows) -> None:
    scenario = Scenario(arrivals([0.0, 4.0, 1e6]), one_second(), roomy_app(), [Fault(4.0, math.inf, refuse=1.0)])
    run = replay(scenario, PATIENT)
    assert seen(rows(run, "llm"), "outcome") == ["ok", "connection", "connection"]
    assert math.isnan(run.summary()["time_to_recover"])


# ---- the ways


def test_the_way_to_the_service_takes_time(arrivals, roomy_app, rows) -> None:
    """A quarter of a second each; the second is refused when it gets there, at 0.35 s, the first being served."""
    service = one_second(queue_limit=0, network=Constant(0.25))
    llm = rows(replay(Scenario(arrivals([0.0, 0.125]), service, roomy_app()), PATIENT), "llm")
    assert seen(llm, "time", "status", "latency") == [(0.0, 200, 1.25), (0.125, 503, 0.25)]


@pytest.mark.parametrize(("cancels", "in_service"), [(False, [0.0, 0.0, 1.0]), (True, [0.0] * 3)])
def test_an_attempt_that_times_out_on_its_way_gets_there(arrivals, roomy_app, rows, cancels, in_service) -> None:
    """And is worked on from 0.75 s to 1.75 s, unless its disconnect cancels it."""
    service = one_second(network=Constant(0.75), cancel_on_disconnect=cancels)
    run = replay(Scenario(arrivals([0.0]), service, roomy_app(), duration=2.0), Policy(timeout=0.5))
    assert seen(rows(run, "llm"), "outcome", "latency") == [("timeout", 0.5)]
    assert run.timeline(0.5)["in_service"].tolist()[:3] == in_service


def test_a_timeout_on_the_way_happens_at_its_time(arrivals, roomy_app, rows) -> None:
    """The only worker is free at 0.25 s, long before the attempt gets there; so 1 begins when it comes, at 0.5 s."""
    service = one_second(network=Constant(0.9))
    run = replay(Scenario(arrivals([0.0, 0.5]), service, roomy_app(workers=1)), Policy(timeout=0.25))
    assert seen(rows(run, "llm"), "time", "latency") == [(0.0, 0.25), (0.5, 0.25)]
    again = replay(Scenario(arrivals([0.0, 0.1]), service, roomy_app()), retrying(3, timeout=0.25))
    assert again.trace.attempts["time"].is_monotonic_increasing


def test_the_way_to_the_app_takes_time(arrivals, roomy_app, rows) -> None:
    app = roomy_app(network=Constant(0.5))
    run = replay(Scenario(arrivals([1.0, 1.0], endpoint=[0, 1]), one_second(), app), PATIENT)
    assert seen(rows(run, "app"), "time", "latency") == [(1.0, 1.5), (1.0, 0.53)]
    assert seen(rows(run, "llm"), "time", "latency") == [(1.5, 1.0)]


def test_callers_give_up_on_the_way_and_the_app_does_not_notice(arrivals, roomy_app, rows) -> None:
    app = roomy_app(network=Constant(0.5), caller_timeout=0.25)
    run = replay(Scenario(arrivals([1.0]), one_second(), app), PATIENT)
    assert seen(rows(run, "app"), "outcome", "latency") == [("timeout", 0.25)]
    assert seen(rows(run, "llm"), "time", "outcome") == [(1.5, "ok")]


def test_each_has_a_way_of_its_own(arrivals, roomy_app, rows) -> None:
    app = roomy_app(network=Exponential(2.0))
    service = one_second(slots=9999, network=Exponential(3.0))
    run = replay(Scenario(arrivals(np.arange(9000) * 1.0), service, app), PATIENT)
    to_app = rows(run, "llm")["time"] - rows(run, "app")["time"]
    to_service = rows(run, "llm")["latency"] - 1.0
    assert to_app.mean() == pytest.approx(2.0, abs=4 * 2 / 9000**0.5)
    assert to_service.mean() == pytest.approx(3.0, abs=4 * 3 / 9000**0.5)
    assert abs(np.corrcoef(to_app, to_service)[0, 1]) < 4 / 9000**0.5


# ---- instances


REPORTS = "GET /report"


def make_calls(time: Any, endpoint: Any = 0, tokens: Any = 0.0, **more: Any) -> Workload:
    """Answers (0), searches (1) and reports (2)."""
    n = len(time)
    endpoint, tokens = np.broadcast_to(endpoint, n), np.broadcast_to(tokens, n)
    return Workload(time, endpoint, tokens, np.arange(n), (ANSWERS, SEARCHES, REPORTS), **more)


def test_round_robin_takes_turns(arrivals, roomy_app, rows) -> None:
    run = replay(Scenario(arrivals(np.arange(6) * 1.0), one_second(), roomy_app(instances=3)), PATIENT)
    for service in ("app", "llm"):
        assert seen(rows(run, service), "instance") == ["app-1", "app-2", "app-3"] * 2


def test_random_takes_anybody(arrivals, roomy_app, rows) -> None:
    app = roomy_app(instances=4, balancer="random")
    run = replay(Scenario(arrivals(np.arange(8000) * 1.0), one_second(slots=9), app), PATIENT)
    taken = rows(run, "app")["instance"].cat.codes.to_numpy()
    assert np.abs(np.bincount(taken) - 2000).max() < 4 * (8000 * 3 / 16) ** 0.5
    assert (taken[1:] == taken[:-1]).mean() == pytest.approx(0.25, abs=4 * (3 / 16 / 8000) ** 0.5)


def test_least_busy_takes_the_one_with_fewest_calls(roomy_app, rows) -> None:
    """Calls of 10, 1 and 5 s on three instances; at 2 s the second is free, at 6 s the third, the second busy again."""
    app = roomy_app(instances=3, balancer="least_busy")
    workload = make_calls([0.0, 0.0, 0.0, 2.0, 6.0], tokens=[10.0, 1.0, 5.0, 10.0, 1.0])
    taken = seen(rows(replay(Scenario(workload, by_tokens(slots=9), app), PATIENT), "app"), "instance")
    assert len(set(taken[:3])) == 3
    assert taken[3:] == taken[1:3]


def test_each_instance_has_its_own_workers(arrivals, roomy_app, rows) -> None:
    app = roomy_app(instances=2, workers=1, pool_timeout=0.5)
    run = replay(Scenario(arrivals(np.zeros(4)), one_second(slots=9), app), PATIENT)
    assert seen(rows(run, "app"), "instance", "status", "latency") == [
        ("app-1", 200, 1.0), ("app-2", 200, 1.0), ("app-1", 503, 0.5), ("app-2", 503, 0.5),
    ]  # fmt: skip


HOG = {"pool_timeout": 100.0, "caller_timeout": 100.0, "restart_seconds": 4.0,
       "other": {SEARCHES: OtherEndpoint(100.0, 100.0)}}  # fmt: skip


@pytest.mark.parametrize("balancer", ["round_robin", "random", "least_busy"])
def test_an_instance_that_is_down_is_left_out_and_takes_only_its_own_calls_along(rows, balancer) -> None:
    """A search takes one instance's only worker from 1 s; killed at 7 s, back at 11 s. Whoever comes meanwhile is
    served by the other, which has a call in hand at the kill."""
    app = App(**HOG, workers=1, instances=2, balancer=balancer)
    workload = make_calls([1.0, 6.5, *np.arange(7.0, 11.0, 0.25)], [1, *[0] * 17], [0.0, 1.5, *[0.125] * 16])
    seed = 0
    if balancer == "random":  # one at which the call of 6.5 s does not wait behind the search
        scenario = Scenario(workload, by_tokens(slots=9), app, duration=14.0)
        both = {s: set(rows(replay(scenario, PATIENT, s), "app")["instance"][:2]) for s in range(20)}
        seed = next(s for s in both if len(both[s]) == 2)
    run = replay(Scenario(workload, by_tokens(slots=9), app, duration=14.0), PATIENT, seed)
    callers = rows(run, "app")
    stuck, other = seen(callers, "instance")[:2]
    assert stuck != other
    assert events(run, "restart", "time", "value", "instance") == [(7.0, 1.0, stuck), (11.0, 0.0, stuck)]
    assert seen(callers, "outcome", "latency")[0] == ("connection", 6.0)
    assert set(callers["outcome"][1:]) == {"ok"}
    later = callers[callers["time"] > 7.0]
    assert set(later["instance"]) == {other}
    assert run.summary()["lost"] == 0


def test_with_all_instances_down_connections_are_refused(rows) -> None:
    app = App(**HOG, workers=1, instances=2)
    run = replay(Scenario(make_calls([1.0, 1.0, 8.0, 11.0], [1, 1, 0, 0]), one_second(), app, duration=14.0), PATIENT)
    told = [("connection", 6.0), ("connection", 6.0), ("connection", 0.0), ("ok", 1.0)]
    assert seen(rows(run, "app"), "outcome", "latency") == told
    assert run.summary()["restarts"] == 2


def test_a_kill_loses_the_calls_of_its_instance_only(rows) -> None:
    """Two workers each. One search and one call of 30 s on app-1, a call of 30 s on app-2."""
    app = App(**HOG, workers=2, instances=2)
    workload = make_calls([1.0, 1.0, 1.0], [1, 0, 0], 30.0)
    run = replay(Scenario(workload, by_tokens(slots=9), app, duration=14.0), PATIENT)
    assert seen(rows(run, "llm"), "instance", "outcome", "latency") == [("app-2", "ok", 30.0), ("app-1", "lost", NONE)]
    assert seen(rows(run, "app"), "outcome", "latency") == [("connection", 6.0), ("ok", 30.0), ("connection", 6.0)]


def test_each_instance_has_its_own_breaker(arrivals, roomy_app, rows) -> None:
    scenario = Scenario(arrivals(np.arange(6) * 1.0), Service(1, 0), roomy_app(instances=2), OUTAGE)
    run = replay(scenario, Policy(breaker=Breaker(2, recovery_timeout=60.0)))
    assert events(run, "breaker", "time", "value", "instance") == [(2.0, 1.0, "app-1"), (3.0, 1.0, "app-2")]
    assert seen(rows(run, "llm"), "outcome") == ["error"] * 4 + ["rejected"] * 2


def test_a_shared_breaker_sees_them_all(arrivals, roomy_app, rows) -> None:
    app = roomy_app(instances=2, shared_breaker=True)
    scenario = Scenario(arrivals(np.arange(6) * 1.0), Service(1, 0), app, OUTAGE)
    run = replay(scenario, Policy(breaker=Breaker(2, recovery_timeout=60.0)))
    assert events(run, "breaker") == [(1.0, 1.0)]
    assert seen(rows(run, "llm"), "outcome") == ["error"] * 2 + ["rejected"] * 4


@pytest.mark.parametrize(("shared", "second"), [(False, ["error", "error"]), (True, ["error", "rejected"])])
def test_a_budget_is_the_instances_or_shared(arrivals, roomy_app, rows, shared, second) -> None:
    app = roomy_app(instances=2, shared_breaker=shared)
    policy = retrying(2, retry={"budget": RetryBudget(ratio=0.0, burst=1.0)})
    run = replay(Scenario(arrivals([0.0, 0.5]), Service(1, 0), app, OUTAGE), policy)
    assert seen(rows(run, "llm").query("attempt == 2"), "outcome") == second


@pytest.mark.parametrize("shared", [False, True])
def test_a_restart_resets_its_own_breaker_and_not_a_shared_one(rows, shared) -> None:
    """Both opened for an hour in the first half second; app-1 is killed at 7 s and back at 11 s."""
    app = App(**HOG, workers=1, instances=2, shared_breaker=shared)
    workload = make_calls([0.1, 0.2, 1.0, 12.0, 12.1], [0, 0, 1, 0, 0])
    scenario = Scenario(workload, one_second(queue_limit=0), app, [Fault(0.0, 9.0, 0.0)], duration=14.0)
    run = replay(scenario, Policy(breaker=Breaker(1, recovery_timeout=3600.0)))
    told = events(run, "breaker", "time", "value")
    assert [value for _, value in events(run, "restart")] == [1.0, 0.0]
    last = sorted(seen(rows(run, "llm").query("request > 2"), "outcome"))
    if shared:
        assert told == [(0.1, 1.0)]
        assert last == ["rejected", "rejected"]
    else:
        assert told == [(0.1, 1.0), (0.2, 1.0), (11.0, 0.0)]
        assert events(run, "breaker", "instance") == ["app-1", "app-2", "app-1"]
        assert last == ["ok", "rejected"]


# ---- backoff without a worker


def backing_off(pool_timeout: float, reports: Any = ()) -> Run:
    """An answer at 0 s that fails at once and is retried after 2 s; a search at 0.5 s; reports of 3 s."""
    app = App(workers=1, pool_timeout=pool_timeout, caller_timeout=1e3, health_interval=1e6, hold_during_backoff=False,
              other={SEARCHES: OtherEndpoint(0.03, 100.0), REPORTS: OtherEndpoint(3.0, 100.0)})  # fmt: skip
    workload = make_calls([0.0, 0.5, *reports], [0, 1, *[2] * len(reports)])
    scenario = Scenario(workload, one_second(queue_limit=0), app, [Fault(0.0, 0.25, 0.0)], duration=3.0)
    return replay(scenario, retrying(2))


def test_a_worker_is_given_back_for_the_backoff(rows) -> None:
    run = backing_off(9.0)
    assert seen(rows(run, "llm"), "time", "outcome") == [(0.0, "error"), (2.0, "ok")]
    assert seen(rows(run, "app"), "status", "latency") == [(200, 3.0), (200, 0.03)]
    pool = [(0.0, 0), (0.5, 1), (1.0, 0), (1.5, 0), (2.0, 1), (2.5, 1), (3.0, 0)]
    assert [value for time, value in events(run, "pool") if time in (1.0, 1.5, 2.5)] == [0.0, 0.0, 1.0]
    assert len(events(run, "pool")) == len(pool)


def test_and_needed_again_after_it(rows) -> None:
    run = backing_off(9.0, [1.0])
    assert seen(rows(run, "llm"), "time", "outcome") == [(0.0, "error"), (4.0, "ok")]
    assert seen(rows(run, "app"), "status", "latency")[0] == (200, 5.0)


def test_who_gets_no_worker_after_its_backoff_is_answered_503(rows) -> None:
    run = backing_off(1.5, [1.0])
    assert seen(rows(run, "llm"), "time", "outcome") == [(0.0, "error")]
    assert seen(rows(run, "app"), "status", "latency")[0] == (503, 3.5)
    assert run.requests["attempts"].tolist() == [1, 0, 0]


def test_after_its_backoff_a_call_waits_in_order(rows) -> None:
    """Reports at 1 s and 1.5 s: until 4 s and 7 s; the retry, of 2 s, is third."""
    assert seen(rows(backing_off(9.0, [1.0, 1.5]), "llm"), "time") == [0.0, 7.0]


def test_a_killed_app_forgets_who_backs_off_without_a_worker(rows) -> None:
    """Killed at 7 s by two hogs, while the call sleeps until 50 s: its caller hears of it at once, nothing follows."""
    app = App(**{**HOG, "caller_timeout": 1e3}, workers=1, hold_during_backoff=False)
    scenario = Scenario(make_calls([0.0, 1.0], [0, 1]), Service(1, 0), app, OUTAGE, duration=20.0)
    run = replay(scenario, retrying(2, Backoff(50.0, 1.0, 50.0, "none")))
    assert seen(rows(run, "llm"), "time") == [0.0]
    assert seen(rows(run, "app"), "outcome", "latency") == [("connection", 7.0), ("connection", 6.0)]


# ---- layers


def test_retries_multiply(arrivals, roomy_app, rows) -> None:
    """Three attempts within two: at 0, 2, 4 s, and after the outer backoff again."""
    run = replay(Scenario(arrivals([0.0]), Service(1, 0), roomy_app(), OUTAGE), [retrying(2), retrying(3)])
    assert seen(rows(run, "llm"), "time", "attempt") == [
        (0.0, 1), (2.0, 2), (4.0, 3), (6.0, 4), (8.0, 5), (10.0, 6),
    ]  # fmt: skip
    assert seen(rows(run, "app"), "status", "latency") == [(502, 10.0)]
    assert run.requests["attempts"].tolist() == [6]
    assert run.policy == retrying(2)


def test_three_layers(arrivals, roomy_app, rows) -> None:
    layers = [retrying(2, Backoff(base, 1.0, base, "none")) for base in (100.0, 10.0, 1.0)]
    run = replay(Scenario(arrivals([0.0]), Service(1, 0), roomy_app(), OUTAGE), layers)
    assert seen(rows(run, "llm"), "time") == [0.0, 1.0, 11.0, 12.0, 112.0, 113.0, 123.0, 124.0]


def test_an_outer_timeout_cuts_the_inner_backoff(arrivals, roomy_app, rows) -> None:
    """Inner attempts at 0 and 2 s, cut at 3 s; again from 5 s, cut at 8 s."""
    run = replay(Scenario(arrivals([0.0]), Service(1, 0), roomy_app(), OUTAGE), [retrying(2, timeout=3.0), retrying(9)])
    assert seen(rows(run, "llm"), "time", "attempt", "outcome") == [
        (0.0, 1, "error"), (2.0, 2, "error"), (5.0, 3, "error"), (7.0, 4, "error"),
    ]  # fmt: skip
    assert seen(rows(run, "app"), "latency") == [8.0]
    assert rows(run, "app")["outcome"].tolist() == ["error"]


@pytest.mark.parametrize("attempts", [1, 9])
def test_an_outer_timeout_cuts_the_inner_attempt(arrivals, roomy_app, rows, attempts) -> None:
    layers = [retrying(2, timeout=3.0), retrying(attempts, timeout=10.0)]
    run = replay(Scenario(arrivals([0.0]), one_second(), roomy_app(), [Fault(0.0, 1.0, hang=1.0)]), layers)
    llm = rows(run, "llm")
    assert seen(llm, "time", "latency") == [(0.0, 3.0), (5.0, 1.0)]
    assert llm["outcome"][0] in ("timeout", "cancelled") and llm["outcome"][1] == "ok"
    assert seen(rows(run, "app"), "status", "latency") == [(200, 6.0)]


def test_an_inner_timeout_is_a_failure_to_both(arrivals, roomy_app, rows) -> None:
    layers = [retrying(2, timeout=30.0), retrying(2, timeout=1.0)]
    run = replay(Scenario(arrivals([0.0]), one_second(), roomy_app(), [Fault(0.0, 99.0, hang=1.0)]), layers)
    assert seen(rows(run, "llm"), "time", "outcome", "latency") == [
        (0.0, "timeout", 1.0), (3.0, "timeout", 1.0), (6.0, "timeout", 1.0), (9.0, "timeout", 1.0),
    ]  # fmt: skip


def test_a_refusal_by_the_inner_circuit_ends_all(arrivals, roomy_app, rows) -> None:
    """As with two guards in one another: the inner refusal says nothing about the service, so the outer stops."""
    layers = [retrying(5), Policy(breaker=Breaker(1, recovery_timeout=60.0))]
    run = replay(Scenario(arrivals([0.0, 10.0]), Service(1, 0), roomy_app(), OUTAGE), layers)
    assert seen(rows(run, "llm"), "request", "time", "outcome") == [
        (0, 0.0, "error"), (0, 2.0, "rejected"), (1, 10.0, "rejected"),
    ]  # fmt: skip
    assert seen(rows(run, "app"), "status", "latency") == [(503, 2.0), (503, 0.0)]
    assert run.summary()["rejection_p50"] == 1.0


def test_the_outer_circuit_counts_whole_calls(arrivals, roomy_app, rows) -> None:
    """Two failed calls of two attempts each, over at 2 s and 12 s; the third is refused before the inner policy."""
    layers = [Policy(timeout=99.0, breaker=Breaker(2, recovery_timeout=60.0)), retrying(2)]
    run = replay(Scenario(arrivals([0.0, 10.0, 20.0]), Service(1, 0), roomy_app(), OUTAGE), layers)
    assert seen(rows(run, "llm"), "request", "time", "outcome") == [
        (0, 0.0, "error"), (0, 2.0, "error"), (1, 10.0, "error"), (1, 12.0, "error"), (2, 20.0, "rejected"),
    ]  # fmt: skip
    assert events(run, "breaker")[0] == (12.0, 1.0)


def test_the_outer_budget_is_its_own(arrivals, roomy_app, rows) -> None:
    """One outer retry in all; the inner retries are not counted against it."""
    layers = [retrying(9, retry={"budget": RetryBudget(ratio=0.0, burst=1.0)}), retrying(3)]
    run = replay(Scenario(arrivals([0.0]), Service(1, 0), roomy_app(), OUTAGE), layers)
    llm = rows(run, "llm")
    assert seen(llm[llm["outcome"] == "error"], "time") == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert seen(llm, "attempt") == list(range(1, len(llm) + 1))
    assert seen(rows(run, "app"), "status", "latency") == [(502, 10.0)]


def test_the_inner_budget_is_its_own(arrivals, roomy_app, rows) -> None:
    """One inner retry in all. Where the budget refuses, the inner call has failed with its 503: the outer retries."""
    layers = [retrying(3), retrying(9, retry={"budget": RetryBudget(ratio=0.0, burst=1.0)})]
    run = replay(Scenario(arrivals([0.0]), Service(1, 0), roomy_app(), OUTAGE), layers)
    llm = rows(run, "llm")
    assert seen(llm[llm["outcome"] == "error"], "time") == [0.0, 2.0, 4.0, 6.0]
    assert seen(llm, "attempt") == list(range(1, len(llm) + 1))


def test_what_the_service_asks_is_obeyed_in_each_layer(arrivals, roomy_app, rows) -> None:
    """5 s and the backoff of 2 s, be it the inner or the outer retry."""
    scenario = Scenario(arrivals([0.0]), Service(1, 0, retry_after=5.0), roomy_app(), OUTAGE)
    obeying = {"retry": {"retry_after_limit": 60.0}}
    run = replay(scenario, [retrying(2, **obeying), retrying(2, **obeying)])
    assert seen(rows(run, "llm"), "time") == [0.0, 7.0, 14.0, 21.0]


# ---- fallbacks


def falling_back(arrivals: Any, time: Any, standby: Any, fallback: Any = None, **more: Any) -> Run:
    app = App(workers=99, caller_timeout=3.0, health_interval=1e6, fallbacks=standby, **more.pop("app", {}))
    scenario = Scenario(arrivals(time), Service(1, 0), app, more.pop("faults", OUTAGE))
    policy = Policy(**more, fallback=fallback or Fallback(small="a", message="b"))
    return replay(scenario, policy, seed=1)


def test_a_fallback_answers_for_the_service(arrivals, rows) -> None:
    run = falling_back(arrivals, [0.0], {"small": Standby(1.0)})
    assert seen(run.requests, "outcome", "status", "latency", "served_by", "attempts") == [("ok", 200, 1.0, "small", 1)]
    assert seen(rows(run, "llm"), "outcome") == ["error"]
    summary = run.summary()
    assert (summary["served_by_llm"], summary["served_by_small"], summary["served_by_message"]) == (0, 1, 0)
    assert (summary["answered"], summary["success_rate"], summary["latency_p50"]) == (1, 1.0, 1.0)


def test_a_fallback_is_not_asked_where_the_service_answers(arrivals) -> None:
    run = falling_back(arrivals, [0.0], {}, faults=())
    assert seen(run.requests, "served_by") == ["llm"]


def test_a_busy_standby_is_passed_over(arrivals) -> None:
    """Two at a time, 1 s each: the third gets the message at once; at 1 s there is room again."""
    run = falling_back(arrivals, [0.0, 0.25, 0.5, 1.0, 1.0], {"small": Standby(1.0, slots=2)})
    assert seen(run.requests, "served_by", "latency") == [
        ("small", 1.0), ("small", 1.0), ("message", 0.0), ("small", 1.0), ("message", 0.0),
    ]  # fmt: skip


def test_a_standby_without_an_entry_answers_at_once_and_always(arrivals) -> None:
    run = falling_back(arrivals, np.zeros(50), {})
    assert set(seen(run.requests, "served_by", "latency")) == {("small", 0.0)}


def test_a_standby_may_have_no_answer(arrivals) -> None:
    n = 4000
    run = falling_back(arrivals, np.arange(n) * 1.0, {"small": Standby(0.0, availability=0.3)})
    assert (run.requests["served_by"] == "small").mean() == pytest.approx(0.3, abs=4 * (0.21 / n) ** 0.5)
    assert (run.requests["outcome"] == "ok").all()


def test_with_no_standby_left_the_call_fails_as_it_did(arrivals) -> None:
    standby = {"small": Standby(0.0, availability=0.0), "message": Standby(5.0, slots=1, availability=0.0)}
    table = falling_back(arrivals, [0.0], standby).requests
    assert seen(table, "outcome", "status", "served_by") == [("error", 502, "")]


def test_nobody_falls_back_for_a_caller_who_is_gone(arrivals, rows) -> None:
    """Gone at 3 s, while the second attempt is waited for: the standby is still free at 4 s for the other."""
    app = App(workers=9, caller_timeout=3.0, health_interval=1e6, fallbacks={"small": Standby(1.0, slots=1)})
    policy = replace(retrying(3), fallback=Fallback(small="a"))
    run = replay(Scenario(arrivals([0.0, 0.0]), Service(1, 0), app, OUTAGE), policy)
    assert seen(run.requests, "outcome", "latency", "served_by") == [("timeout", 3.0, "")] * 2
    single = replace(retrying(2), fallback=Fallback(small="a"))
    run = replay(Scenario(arrivals([0.0, 2.5]), Service(1, 0), app, OUTAGE), [single])
    assert seen(run.requests, "outcome", "latency", "served_by") == [("timeout", 3.0, "")] * 0 + [
        ("timeout", 3.0, ""), ("timeout", 3.0, ""),
    ]  # fmt: skip
    assert run.summary()["served_by_small"] == 0


def test_a_caller_may_give_up_on_the_standby(arrivals) -> None:
    run = falling_back(arrivals, [0.0], {"small": Standby(5.0)})
    assert seen(run.requests, "outcome", "latency", "served_by") == [("timeout", 3.0, "")]
    assert run.summary()["served_by_small"] == 0


def test_a_fallback_keeps_the_worker(arrivals, rows) -> None:
    app = App(workers=1, caller_timeout=99.0, health_interval=1e6, fallbacks={"small": Standby(2.0)})
    policy = Policy(fallback=Fallback(small="a"))
    run = replay(Scenario(arrivals([0.0, 0.5]), Service(1, 0), app, OUTAGE), policy)
    assert seen(run.requests, "latency") == [2.0, 3.5]


def test_a_killed_instance_frees_its_standby(arrivals) -> None:
    """Killed at 2.2 s by one failed probe, back at 2.3 s; without the kill the standby would be busy until 2.5 s."""
    app = App(workers=1, caller_timeout=99.0, health_timeout=0.2, health_failures=1, restart_seconds=0.1,
              fallbacks={"small": Standby(1.0, slots=1)})  # fmt: skip
    policy = Policy(fallback=Fallback(small="a", message="b"))
    run = replay(Scenario(arrivals([1.5, 2.4]), Service(1, 0), app, OUTAGE, duration=5.0), policy)
    assert seen(run.requests, "outcome", "latency", "served_by") == [("connection", 0.7, ""), ("ok", 1.0, "small")]


def test_what_a_circuit_refuses_falls_back_too(arrivals) -> None:
    run = falling_back(arrivals, [0.0, 1.0], {"small": Standby(0.5)}, breaker=Breaker(1, recovery_timeout=60.0))
    assert seen(run.requests, "served_by", "latency", "attempts") == [("small", 0.5, 1)] * 2
    assert run.summary()["rejected"] == 1
    assert math.isnan(run.summary()["rejection_p50"])  # nobody heard of it


def test_a_wrong_request_gets_no_fallback(arrivals) -> None:
    """A 400 is no failure of the service, for which the fallback is."""
    faults = [Fault(0.0, 99.0, error=1.0, status=400)]
    run = falling_back(arrivals, [0.0], {}, faults=faults)
    assert run.requests["served_by"].tolist() == [""]
    assert run.requests["outcome"].tolist() != ["ok"]


# ---- writes


def writing(arrivals: Any, writes: str, write: Any = (True,), **service: Any) -> tuple[Scenario, Policy]:
    """Work of 3 s, attempts of 1 s, a second one after 2 s: carried out from 0 s and, if it is, from 3 s."""
    workload = replace(arrivals(np.zeros(len(write))), write=np.array(write))
    app = App(caller_timeout=1e3, health_interval=1e6, writes=writes)
    scenario = Scenario(workload, Service(**{"slots": 9, "time": Constant(3.0), **service}), app)
    return scenario, retrying(3, timeout=1.0)


@pytest.mark.parametrize(("writes", "attempts", "duplicates"), [("once", 1, 0), ("blind", 3, 2), ("keyed", 3, 0)])
def test_a_write_is_retried_as_told(arrivals, rows, writes, attempts, duplicates) -> None:
    run = replay(*writing(arrivals, writes))
    assert seen(rows(run, "llm"), "time", "outcome") == [(3.0 * i, "timeout") for i in range(attempts)]
    assert run.summary()["duplicates"] == duplicates


@pytest.mark.parametrize("writes", ["once", "blind", "keyed"])
def test_a_read_is_retried_and_never_a_duplicate(arrivals, rows, writes) -> None:
    run = replay(*writing(arrivals, writes, [False, False]))
    assert len(rows(run, "llm")) == 6
    assert run.summary()["duplicates"] == 0


def test_duplicates_are_counted_per_write(arrivals) -> None:
    assert replay(*writing(arrivals, "blind", [True, False, True]))._world is not None
    assert replay(*writing(arrivals, "blind", [True, False, True])).summary()["duplicates"] == 4


def test_what_was_not_carried_out_is_no_duplicate(arrivals, rows) -> None:
    """Cancelled in the middle; or refused, then carried out once."""
    run = replay(*writing(arrivals, "blind", cancel_on_disconnect=True))
    assert (len(rows(run, "llm")), run.summary()["duplicates"]) == (3, 0)
    scenario, _ = writing(arrivals, "blind", slots=1, queue_limit=0)
    run = replay(replace(scenario, faults=(Fault(0.0, 3.0, 0.0),)), retrying(3))
    assert seen(rows(run, "llm"), "outcome") == ["error", "error", "ok"]
    assert run.summary()["duplicates"] == 0


def test_a_write_once_is_retried_by_no_layer(arrivals, rows) -> None:
    scenario, policy = writing(arrivals, "once")
    run = replay(scenario, [policy, policy])
    assert len(rows(run, "llm")) == 1


def test_a_write_once_has_the_reserve_too(arrivals, rows) -> None:
    """Its only attempt is its final one: 8 s, not the 6 s that a first attempt of several has."""
    scenario, _ = writing(arrivals, "once", time=Constant(100.0))
    policy = Policy(timeout=99.0, retry=Retry(attempts=3, total_time=8.0, final_reserve=0.25, backoff=FIXED))
    assert seen(rows(replay(scenario, policy), "llm"), "latency") == [8.0]


# ---- callers who wait, crowds, and several recipes


def test_a_closed_loop_thinks_asks_and_waits(roomy_app, rows) -> None:
    """Three callers: 1 s of thinking, half a second for the answer, until 6 s."""
    loop = ClosedLoop(3, think=Constant(1.0))
    run = replay(Scenario(loop, one_second(slots=9, time=Constant(0.5)), roomy_app(), duration=6.0), PATIENT)
    assert seen(run.requests, "time") == sorted([1.0, 2.5, 4.0, 5.5] * 3)
    assert set(seen(run.requests, "latency", "outcome", "served_by")) == {(0.5, "ok", "llm")}
    assert run.trace.source.facts["loop"] == "closed"


def test_a_closed_loop_never_asks_for_more_than_its_callers_can(roomy_app) -> None:
    """A service of two slots and four callers who think for no time: two in service and two waiting, always."""
    loop = ClosedLoop(4, think=Constant(0.0))
    run = replay(Scenario(loop, one_second(slots=2), roomy_app(), duration=10.0), PATIENT)
    table = run.requests
    assert sorted(seen(table, "time")) == sorted([*[0.0] * 4, *np.repeat(np.arange(1.0, 10.0), 2)])
    assert set(seen(table.iloc[4:], "latency")) == {2.0}


@pytest.mark.parametrize("seed", range(3))
def test_never_more_than_all_callers_are_waiting(roomy_app, seed) -> None:
    loop = ClosedLoop(7, think=Exponential(0.5))
    app = roomy_app(caller_timeout=2.0)
    run = replay(Scenario(loop, one_second(slots=2, time=Exponential(1.0)), app, duration=200.0), PATIENT, seed)
    table = run.requests
    assert {"ok", "timeout"} <= set(table["outcome"])
    changes = pd.concat([pd.Series(1, table["time"]), pd.Series(-1, table["time"] + table["latency"])])
    waiting = changes.sort_index(kind="stable").groupby(level=0).sum().cumsum()
    assert waiting.max() == 7 and waiting.min() >= 0
    assert table["time"].max() < 200.0
    assert table["time"].is_monotonic_increasing


def test_callers_who_give_up_ask_again_while_the_old_call_goes_on(roomy_app, rows) -> None:
    """Patience of 1 s, thinking of 1 s, work of 5 s: asked at 1, 3, 5 s, and three calls in service at 5.5 s."""
    app = roomy_app(caller_timeout=1.0)
    scenario = Scenario(ClosedLoop(1, think=Constant(1.0)), one_second(slots=9, time=Constant(5.0)), app, duration=6.5)
    run = replay(scenario, PATIENT)
    assert seen(run.requests, "time", "outcome", "latency") == [(t, "timeout", 1.0) for t in (1.0, 3.0, 5.0)]
    assert seen(rows(run, "llm"), "outcome", "latency") == [("ok", 5.0)] * 3
    assert run.timeline(0.5)["in_service"][5.5] == 3


def test_closed_loop_think_times(roomy_app) -> None:
    loop = ClosedLoop(1, think=Exponential(2.0))
    run = replay(Scenario(loop, one_second(), roomy_app(), duration=9000.0), PATIENT, 5)
    time = run.requests["time"].to_numpy()
    thought = np.diff(time) - 1.0
    assert thought.mean() == pytest.approx(2.0, abs=4 * 2.0 / len(thought) ** 0.5)
    assert thought.std() == pytest.approx(2.0, rel=0.1)


def test_closed_loop_tokens_and_writes(roomy_app) -> None:
    loop = ClosedLoop(2, think=Constant(0.1), tokens=Empirical([1.0, 2.0]), writes=0.25)
    app = roomy_app(writes="once")
    policy = retrying(2, Backoff(0.01, 1.0, 0.01, "none"))
    run = replay(Scenario(loop, Service(9, 0), app, OUTAGE, duration=200.0), policy, 2)
    once = (run.requests["attempts"] == 1).mean()
    assert once == pytest.approx(0.25, abs=4 * (0.1875 / len(run.requests)) ** 0.5)
    seconds = replay(Scenario(loop, by_tokens(slots=9), app, duration=900.0), PATIENT, 2).requests["latency"].round(9)
    assert set(seconds) == {1.0, 2.0}
    assert (seconds == 1.0).mean() == pytest.approx(0.5, abs=4 * 0.5 / len(seconds) ** 0.5)


def test_a_crowd_comes_again_and_again() -> None:
    scenario = Scenario(Bursts(3, 10.0, start=5.0), duration=30.0)
    assert scenario.arrivals(1).time.tolist() == [5.0] * 3 + [15.0] * 3 + [25.0] * 3
    spread = Scenario(Bursts(1000, 10.0, within=4.0, endpoint=SEARCHES, writes=0.5), duration=26.0).arrivals(1)
    assert len(spread) == 3000 and spread.endpoints == (SEARCHES,)
    phase = spread.time % 10.0
    assert phase.max() < 4.0 and np.histogram(phase, 4, (0.0, 4.0))[0].min() > 650
    assert 1300 < spread.write.sum() < 1700
    cut = Scenario(Bursts(1000, 10.0, within=4.0), duration=22.0).arrivals(1)
    assert 2400 < len(cut) < 2600 and cut.time.max() < 22.0


def test_recipes_together_and_each_with_its_own_draws(roomy_app) -> None:
    steady = Poisson(5.0, tokens=Lognormal(50.0, 0.5), writes=0.2)
    crowd = Bursts(20, 30.0, within=3.0, endpoint=SEARCHES)
    alone = Scenario(steady, duration=100.0).arrivals(7)
    both = Scenario((steady, crowd), duration=100.0).arrivals(7)
    mine = both.endpoint == 0
    assert both.endpoints == (ANSWERS, SEARCHES)
    for name in ("time", "tokens", "write"):
        assert getattr(both, name)[mine].tolist() == getattr(alone, name).tolist()
    assert (~mine).sum() == 80 and np.diff(both.time).min() >= 0.0
    assert both.time.tolist() != Scenario((steady, crowd), duration=100.0).arrivals(8).time.tolist()
    run = replay(Scenario((steady, crowd), app=roomy_app(), duration=100.0), PATIENT, 7)
    assert run.requests["time"].tolist() == both.time.tolist()
    two = Scenario((steady, steady), duration=2000.0).arrivals(7)
    assert len(two) == pytest.approx(20_000, abs=4 * 20_000**0.5)
    assert len(np.unique(two.time)) == len(two)


# ---- the throttle


def test_a_throttle_lets_few_through_where_nothing_is_accepted(arrivals, roomy_app, rows) -> None:
    """The n-th request is sent with probability 1/n: about ln n of them."""
    scenario = Scenario(arrivals(np.arange(1000) * 0.01), Service(1, 0), roomy_app(), OUTAGE)
    sent = []
    for seed in range(20):
        llm = rows(replay(scenario, Policy(throttle=Throttle(2.0, 1000.0)), seed), "llm")
        assert seen(llm, "outcome")[0] == "error"
        assert set(llm["outcome"]) == {"error", "rejected"}
        sent.append((llm["outcome"] == "error").sum())
    expected = (1 / np.arange(1, 1001)).sum()
    assert np.mean(sent) == pytest.approx(expected, abs=4 * (expected / 20) ** 0.5)


def test_a_throttle_refuses_nobody_where_all_is_well(arrivals, roomy_app, rows) -> None:
    """Nor where requests are wrong: the service took them to say so."""
    for faults in ((), (Fault(0.0, 1e9, error=1.0, status=400),)):
        scenario = Scenario(arrivals(np.arange(200) * 2.0), one_second(), roomy_app(), faults)
        assert "rejected" not in set(rows(replay(scenario, Policy(throttle=Throttle())), "llm")["outcome"])


def test_a_throttle_sends_twice_what_is_accepted(roomy_app, rows) -> None:
    scenario = Scenario(Poisson(20.0), one_second(queue_limit=0), roomy_app(), duration=1000.0)
    run = replay(scenario, Policy(throttle=Throttle(2.0, 60.0)), 3)
    outcomes = rows(run, "llm")["outcome"].value_counts()
    assert (outcomes["ok"] + outcomes["error"]) / outcomes["ok"] == pytest.approx(2.0, rel=0.1)
    assert run.summary()["rejected"] == outcomes["rejected"] > 15_000
    assert run.summary()["attempts"] == outcomes["ok"] + outcomes["error"]


def test_a_throttles_refusal_ends_the_call_even_of_one_who_would_wait_for_a_probe(arrivals, roomy_app, rows) -> None:
    policy = replace(retrying(4, retry={"wait_for_probe": True}), throttle=Throttle(1.0, 1000.0), timeout=1e3)
    scenario = Scenario(arrivals(np.arange(300) * 0.5), Service(1, 0), roomy_app(), OUTAGE)
    llm = rows(replay(scenario, policy), "llm")
    refused = llm[llm["outcome"] == "rejected"]
    assert seen(refused, "latency", "status") == [(0.0, NONE)] * len(refused) and len(refused) > 200
    last = llm.groupby("request")["attempt"].transform("max")
    assert (refused["attempt"] == last[refused.index]).all()


def test_a_throttle_forgets_after_its_window(arrivals, roomy_app, rows) -> None:
    time = [*np.arange(100) * 0.1, *(1000.0 + np.arange(5) * 2.0)]
    scenario = Scenario(arrivals(time), one_second(queue_limit=0), roomy_app(), [Fault(0.0, 500.0, 0.0)])
    for seed in range(5):
        assert seen(rows(replay(scenario, Policy(throttle=Throttle(2.0, 60.0)), seed), "llm"), "outcome")[100] == "ok"


# ---- a breaker for retries only


def test_a_breaker_for_retries_lets_first_attempts_through(arrivals, roomy_app, rows) -> None:
    """Opened at 0.5 s: 1 is not retried, 0 is refused at 2 s, and 2 and 3 are sent, but not again."""
    policy = retrying(3, breaker=Breaker(2, recovery_timeout=60.0, guards="retries"))
    run = replay(Scenario(arrivals([0.0, 0.5, 3.0, 4.0]), Service(1, 0), roomy_app(), OUTAGE), policy)
    assert seen(rows(run, "llm"), "request", "time", "outcome") == [
        (0, 0.0, "error"), (0, 2.0, "rejected"), (1, 0.5, "error"), (2, 3.0, "error"), (3, 4.0, "error"),
    ]  # fmt: skip
    assert events(run, "breaker") == [(0.5, 1.0)]
    assert seen(rows(run, "app"), "status", "latency") == [(503, 2.0), (502, 0.0), (502, 0.0), (502, 0.0)]


def test_a_first_attempt_is_the_probe_of_a_breaker_for_retries(arrivals, roomy_app, rows) -> None:
    policy = Policy(breaker=Breaker(1, recovery_timeout=10.0, guards="retries"))
    faults = [Fault(0.0, 5.0, 0.0)]
    run = replay(Scenario(arrivals([0.0, 6.0, 12.0]), one_second(queue_limit=9), roomy_app(), faults), policy)
    run = replay(Scenario(arrivals([0.0, 6.0, 12.0]), one_second(queue_limit=0), roomy_app(), faults), policy)
    assert seen(rows(run, "llm"), "outcome") == ["error", "ok", "ok"]
    assert events(run, "breaker") == [(0.0, 1.0), (12.0, 2.0), (13.0, 0.0)]  # what came at 6 s changed nothing


# ---- where features meet


def test_an_outer_timeout_hangs_up_too(arrivals, roomy_app, rows) -> None:
    """The outer policy gives up at 1 s: the slot is free for who waits."""
    service = by_tokens(cancel_on_disconnect=True)
    workload = arrivals([0.0, 0.5], tokens=[50.0, 0.25])
    run = replay(Scenario(workload, service, roomy_app()), [Policy(timeout=1.0), Policy(timeout=99.0)])
    assert seen(rows(run, "llm"), "latency") == [1.0, 0.75]


def test_an_outer_timeout_cuts_the_wait_for_a_worker(rows) -> None:
    """The inner backoff of 2 s is over, the report has the only worker until 11 s, the outer policy gives up at 5 s."""
    app = App(workers=1, pool_timeout=99.0, caller_timeout=1e3, health_interval=1e6, hold_during_backoff=False,
              other={REPORTS: OtherEndpoint(10.0, 100.0)})  # fmt: skip
    scenario = Scenario(make_calls([0.0, 1.0], [0, 2]), Service(1, 0), app, OUTAGE)
    run = replay(scenario, [Policy(timeout=5.0), retrying(9)])
    assert seen(rows(run, "llm"), "time") == [0.0]
    assert seen(rows(run, "app"), "outcome", "latency") == [("error", 5.0), ("ok", 10.0)]


def test_an_outer_timeout_cuts_a_backoff_without_a_worker(rows) -> None:
    """Inner attempts at 0 and 2 s, cut at 3 s, before the third; the outer retry at 5 s needs a worker again."""
    app = App(workers=1, pool_timeout=99.0, caller_timeout=1e3, health_interval=1e6, hold_during_backoff=False)
    scenario = Scenario(make_calls([0.0]), Service(1, 0), app, OUTAGE, duration=9.0)
    run = replay(scenario, [retrying(2, timeout=3.0), retrying(9)])
    assert seen(rows(run, "llm"), "time") == [0.0, 2.0, 5.0, 7.0]
    assert seen(rows(run, "app"), "outcome", "latency") == [("error", 8.0)]


def test_a_probe_that_an_outer_timeout_cuts_does_not_hold_its_permit(arrivals, roomy_app, rows) -> None:
    """Open from 0 s; the probe of 10 s hangs and is cut at 11 s; by 25 s there is another."""
    faults = [Fault(0.0, 5.0, 0.0), Fault(9.0, 12.0, hang=1.0)]
    layers = [Policy(timeout=1.0), Policy(timeout=30.0, breaker=Breaker(1, recovery_timeout=10.0))]
    service = one_second(queue_limit=0, time=Constant(0.5))
    run = replay(Scenario(arrivals([0.0, 10.0, 25.0, 30.0]), service, roomy_app(), faults), layers)
    assert seen(rows(run, "app"), "outcome") == ["error", "error", "ok", "ok"]


def test_who_is_on_the_way_to_an_app_that_dies_is_refused_on_arrival(rows) -> None:
    """Killed at 7 s. Who set out at 6.75 s is there at 7.25 s; who set out at 10.75 s is there when it is back."""
    app = App(**HOG, workers=1, network=Constant(0.5))
    workload = make_calls([0.5, 6.75, 10.75], [1, 0, 0])
    run = replay(Scenario(workload, one_second(), app, duration=14.0), PATIENT)
    assert seen(rows(run, "app"), "outcome", "latency") == [("connection", 6.5), ("connection", 0.5), ("ok", 1.5)]


def test_a_refusal_on_its_way_to_an_app_that_dies_is_lost(rows) -> None:
    app = App(**HOG, workers=2)
    workload = make_calls([1.0, 6.75], [1, 0])
    more = make_calls([1.0, 1.0, 2.0], [1, 1, 0])
    service = Service(1, 0, rejection_seconds=0.5)
    run = replay(Scenario(workload, service, replace(app, workers=1), OUTAGE, duration=14.0), retrying(2))
    assert seen(rows(run, "app"), "outcome", "latency") == [("connection", 6.0), ("connection", 0.25)]
    assert len(rows(run, "llm")) == 0  # it waited for the worker
    stuck = replay(Scenario(more, service, app, OUTAGE, duration=14.0), retrying(2))
    assert seen(rows(stuck, "app"), "outcome")[2] == "connection"
    late = Service(1, 0, rejection_seconds=50.0)
    lost = replay(Scenario(make_calls([0.0, 1.0], [0, 1]), late, app, OUTAGE, duration=14.0), retrying(2))
    assert seen(rows(lost, "llm"), "outcome", "latency") == [("lost", NONE)]


def test_a_request_of_more_tokens_than_the_bucket_holds_is_never_granted(arrivals, roomy_app, rows) -> None:
    service = one_second(slots=9, rate_limit=RateLimit(tokens=10, per=10.0))
    scenario = Scenario(arrivals([0.0, 1000.0], tokens=[11.0, 10.0]), service, roomy_app())
    run = replay(scenario, retrying(3, retry={"retry_after_limit": 60.0}))
    assert set(seen(rows(run, "llm").query("request == 0"), "status")) == {429}
    assert rows(run, "llm")["status"].iloc[-1] == 200


def test_a_standby_that_is_left_alone_is_free_when_its_time_is_over(arrivals) -> None:
    """Its caller gives up at 3 s; it works on until 5 s."""
    run = falling_back(arrivals, [0.0, 4.0, 5.0], {"small": Standby(5.0, slots=1)})
    assert seen(run.requests, "outcome", "latency", "served_by") == [
        ("timeout", 3.0, ""), ("ok", 0.0, "message"), ("timeout", 3.0, ""),
    ]  # fmt: skip


# ---- what a run hands on


def everything(workload: Any, duration: float = 40.0) -> Scenario:
    """All features at once, each with something to do."""
    service = Service(
        slots=3, queue_limit=4, time=Llm(0.2, 0.02, 1.0, 2), discipline="lifo", retry_after=0.5, rejection_seconds=0.05,
        cancel_on_disconnect=True, rate_limit=RateLimit(requests=120.0, tokens=5000.0, per=20.0),
        network=Lognormal(0.02, 0.5),
    )  # fmt: skip
    app = App(
        workers=5, pool_timeout=1.0, caller_timeout=4.0, other={SEARCHES: OtherEndpoint(0.05, 1.0)},
        health_interval=1.0, health_timeout=0.5, health_failures=2, restart_seconds=2.0, instances=3,
        balancer="least_busy", hold_during_backoff=False, shared_breaker=False, writes="blind",
        fallbacks={"small": Standby(0.7, 2, 0.8), "cache": Standby(0.01, None, 0.3)}, network=Exponential(0.01),
    )  # fmt: skip
    faults = (
        Fault(5.0, 12.0, 0.34, latency=2.0, error=0.1, refuse=0.1, hang=0.2, status=500),
        Fault(10.0, 20.0, 0.0),
        Fault(11.0, 16.0, error=0.3, status=400, endpoints=(ANSWERS,)),
        Fault(24.0, math.inf, error=0.05, status=429),
    )
    return Scenario(workload, service, app, faults, duration, "everything")


def layers_of_everything(**breaker: Any) -> list[Policy]:
    budget = RetryBudget(0.3, "success", minimum_rate=0.5, burst=4.0)
    outer = Retry(2, 8.0, 0.25, Backoff(0.2, 2.0, 2.0, "decorrelated"), retry_after_limit=5.0, budget=RetryBudget(0.5))
    inner = Retry(3, 5.0, 0.1, Backoff(0.1, 2.0, 1.0, "full"), 5.0, budget=budget)
    ring = Breaker(failure_rate=0.6, window_seconds=5.0, recovery_timeout=1.0, recovery_jitter=0.3, **breaker)
    return [
        Policy(4.0, outer, Breaker(12, 0.5), Fallback(small="a", cache="b"), Throttle(3.0, 10.0)),
        Policy(1.5, inner, ring, None, Throttle(4.0, 5.0)),
    ]


RECIPES = (
    Poisson(12.0, tokens=Lognormal(30.0, 0.5), writes=0.2),
    Bursts(20, 8.0, 1.0, tokens=Empirical([10.0, 100.0]), start=2.0),
    Poisson(6.0, SEARCHES),
)


def fixed_arrivals(seed: int = 0) -> Workload:
    """Recipes' arrivals, from two clients, with numbers of their own."""
    drawn = Scenario(RECIPES, duration=40.0).arrivals(seed)
    return replace(
        drawn, request=1000 + 3 * np.arange(len(drawn)), client=np.arange(len(drawn)) % 2, clients=("web", "phone")
    )


def quantile(values: pd.Series, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else math.nan


def time_to_recover(table: pd.DataFrame, faults: Any, span: float) -> float:
    """Seconds from the end of the last fault that ends, in steps of 1 s, straight from the definition."""
    finite = [fault.end for fault in faults if fault.end < span]
    if not finite:
        return math.nan
    end = max(finite)
    bad = []
    width = min(10, math.ceil(span - end))
    for second in range(math.ceil(span - end) - width + 1):
        inside = table["time"].between(end + second, end + second + width, inclusive="left")
        good = inside & (table["outcome"] == "ok")
        bad.append(good.sum() < 0.9 * inside.sum())
    if not any(bad):
        return 0.0
    last = max(second for second, is_bad in enumerate(bad) if is_bad)
    return math.inf if last == len(bad) - 1 else last + 1.0


def counted(run: Run) -> dict[str, float]:
    """The summary, counted anew from the tables."""
    scenario, table, trace = run.scenario, run.requests, run.trace
    fixed = isinstance(scenario.workload, Workload) and len(scenario.workload) > 0
    span = max(scenario.duration, scenario.workload.time[-1] if fixed else 0.0)  # later arrivals belong to it
    llm = trace.attempts[trace.attempts["service"] == "llm"]
    asked, others = (table[table["endpoint"].isin(list(scenario.app.other)) == is_other] for is_other in (False, True))
    ok = asked[asked["outcome"] == "ok"]
    failed = table[~table["outcome"].isin(["ok", "lost"])]
    heard = llm[(llm["outcome"] == "rejected") & llm["request"].isin(failed["request"])]
    happened = trace.events
    pool = happened[happened["kind"] == "pool"]
    sent = (llm["outcome"] != "rejected").sum()
    chain = [] if run.policy.fallback is None else [name for name, _ in run.policy.fallback.chain]
    assert set(heard["request"]) <= set(table["request"])
    return {
        "requests": len(asked),
        "answered": len(ok),
        "attempts": sent,
        "amplification": sent / len(asked) if len(asked) else math.nan,
        "goodput": len(ok) / span,
        "success_rate": len(ok) / len(asked) if len(asked) else math.nan,
        "status_503": (llm["status"] == 503).sum(),
        "status_429": (llm["status"] == 429).sum(),
        "timeouts": (llm["outcome"] == "timeout").sum(),
        "rejected": (llm["outcome"] == "rejected").sum(),
        "other_requests": len(others),
        "other_failed": (~others["outcome"].isin(["ok", "lost"])).sum(),
        "pool_peak": pool.groupby("time")["value"].sum().max() if len(pool) else math.nan,
        "failed_probes": ((happened["kind"] == "health") & (happened["value"] == 0)).sum(),
        "restarts": ((happened["kind"] == "restart") & (happened["value"] == 1)).sum(),
        "in_flight": (table["outcome"] == "lost").sum(),
        "latency_p50": quantile(ok["latency"], 0.5),
        "latency_p90": quantile(ok["latency"], 0.9),
        "latency_p99": quantile(ok["latency"], 0.99),
        "median_failure": quantile(failed["latency"], 0.5),
        "failure_p50": quantile(failed["latency"], 0.5),
        "failure_p90": quantile(failed["latency"], 0.9),
        "time_to_recover": time_to_recover(asked, scenario.faults, span),
        **{f"served_by_{name}": (table["served_by"] == name).sum() for name in ("llm", *chain)},
    }


def agree(one: dict[str, float], other: dict[str, float]) -> bool:
    return one == {name: pytest.approx(float(value), rel=1e-9, abs=1e-9, nan_ok=True) for name, value in other.items()}


UNCOUNTED = ("lost", "duplicates", "rejection_p50")  # which the tables do not tell; worked out by hand elsewhere


def check_figures(run: Run) -> None:
    summary = run.summary()
    assert all(type(value) is float for value in summary.values())
    expected = counted(run)
    found = {name: value for name, value in summary.items() if name not in UNCOUNTED}
    assert set(found) == set(expected)
    wrong = {
        name: (value, expected[name])
        for name, value in found.items()
        if not agree({name: value}, {name: expected[name]})
    }
    assert not wrong


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("workload", ["recipes", "fixed", "closed"])
def test_the_figures_are_those_of_the_tables(workload, seed) -> None:
    loop = ClosedLoop(30, Exponential(0.5), tokens=Lognormal(30.0, 0.5), writes=0.3)
    given = {"recipes": RECIPES, "fixed": fixed_arrivals(seed), "closed": loop}[workload]
    run = replay(everything(given), layers_of_everything(), seed)
    assert run.cut_off is None
    check_figures(run)
    check_figures(replay(everything(given), layers_of_everything(), seed, most_attempts=100))


def test_every_figure_moves() -> None:
    """So that the comparison above compares something."""
    summary = replay(everything(RECIPES), layers_of_everything(), 1).summary()
    still = {name for name, value in summary.items() if not value > 0.0}
    assert still <= {"in_flight", "status_429", "lost", "other_failed", "failed_probes", "duplicates", "restarts"}


@pytest.mark.parametrize("bin", [0.5, 1.0, 4.0])
def test_the_timeline_sums_up_to_the_figures(bin) -> None:
    run = replay(everything(RECIPES), layers_of_everything(), 2)
    line, summary = run.timeline(bin), run.summary()
    rates = {"status_429": "status_429", "served_by_llm": "served_by_llm", "served_by_small": "served_by_small",
             "served_by_cache": "served_by_cache", "goodput": "answered", "attempts": "attempts"}  # fmt: skip
    for column, figure in rates.items():
        assert line[column].sum() * bin == pytest.approx(summary[figure]), column
    assert line["restarts"].sum() == summary["restarts"]
    assert line["goodput"].to_numpy() == pytest.approx(
        (line["served_by_llm"] + line["served_by_small"] + line["served_by_cache"]).to_numpy()
    )
    happened = run.trace.events
    for i in (1, 2, 3):
        mine = happened[(happened["kind"] == "pool") & (happened["instance"] == f"app-{i}")]
        place = np.minimum(np.floor(mine["time"] / bin + 1e-9).astype(int), len(line) - 1)
        mean = mine.groupby(place)["value"].mean().reindex(range(len(line)))
        assert line[f"pool app-{i}"].to_numpy() == pytest.approx(mean.to_numpy(), nan_ok=True)
    health = happened[happened["kind"] == "health"]
    place = np.minimum(np.floor(health["time"] / bin + 1e-9).astype(int), len(line) - 1)
    passed = health.groupby(place)["value"].mean().reindex(range(len(line)))
    assert line["health"].to_numpy() == pytest.approx(passed.to_numpy(), nan_ok=True)
    assert line["in_service"].max() <= 3 and line["queued"].max() <= 4
    assert line["queued"].max() > 0
    assert list(line.columns[: len(run.trace.timeline(bin).columns)]) == list(run.trace.timeline(bin).columns)


def test_the_timeline_of_very_many_instances_is_made_without_a_warning(arrivals, roomy_app) -> None:
    many = replace(roomy_app(), instances=120)
    run = replay(Scenario(arrivals([0.2, 0.4]), one_second(), many, duration=4.0), PATIENT)
    assert sum(name.startswith("pool app-") for name in run.timeline(1.0)) == 120  # a warning fails the test


def test_what_the_service_has_in_hand_over_time(arrivals, roomy_app) -> None:
    """In service 0.2-1.2, 1.2-2.2 and 2.2-3.2 s, sampled at 0, 0.5, ... 4 s."""
    run = replay(Scenario(arrivals([0.2, 0.2, 0.2]), one_second(), roomy_app(), duration=4.0), PATIENT)
    line = run.timeline(1.0)
    assert line["in_service"].tolist() == [0.5, 1.0, 1.0, pytest.approx(1 / 3)]  # the last edge is in the last bin
    assert line["queued"].tolist() == [1.0, 1.5, 0.5, 0.0]
    assert line["health"].isna().all() and (line["restarts"] == 0).all()
    assert not [name for name in line if name.startswith("pool app")]  # one instance: `pool` says it


def test_time_to_recover_by_hand(arrivals, roomy_app) -> None:
    """One request a second; those of 20 to 24 s are refused by a circuit that opened before and closes at 25 s. The
    window from 24 s on, with one of ten refused, is the first good one; those from 23 s on have two."""
    policy = Policy(breaker=Breaker(1, recovery_timeout=15.0))
    time = np.arange(0.0, 60.0)
    service = one_second(slots=9, queue_limit=0)
    scenario = Scenario(arrivals(time), service, roomy_app(), [Fault(10.0, 20.0, 0.0)], duration=60.0)
    run = replay(scenario, policy)
    refused = run.requests.query("outcome != 'ok'")["time"]
    assert refused.tolist() == list(range(10, 25))
    summary = run.summary()
    assert summary["time_to_recover"] == 4.0
    assert (summary["failure_p50"], summary["rejection_p50"], summary["failure_p90"]) == (0.0, 0.0, 0.0)
    never = replay(replace(scenario, faults=(*scenario.faults, Fault(21.0, 59.0, 0.0))), policy)
    assert never.summary()["time_to_recover"] == math.inf
    assert replay(replace(scenario, faults=(Fault(10.0, 20.0),)), policy).summary()["time_to_recover"] == 0.0
    assert math.isnan(replay(replace(scenario, faults=()), policy).summary()["time_to_recover"])


def test_the_median_of_failures_and_of_refusals(arrivals, roomy_app) -> None:
    """Failures known after 3 s (timeouts), after 0 s (refused by the circuit that the second one opened)."""
    policy = Policy(timeout=3.0, breaker=Breaker(2, recovery_timeout=60.0))
    scenario = Scenario(arrivals([0.0, 1.0, 5.0]), one_second(), roomy_app(), [Fault(0.0, 99.0, hang=1.0)])
    summary = replay(scenario, policy).summary()
    assert (summary["failure_p50"], summary["failure_p90"], summary["rejection_p50"]) == (3.0, 3.0, 0.0)
    assert (summary["timeouts"], summary["rejected"], summary["answered"]) == (2, 1, 0)
    assert math.isnan(summary["latency_p50"])


def test_the_requests_are_the_callers_rows_of_the_trace() -> None:
    run = replay(everything(fixed_arrivals()), layers_of_everything(), 4)
    callers = run.trace.attempts[run.trace.attempts["service"] == "app"].sort_values("request", ignore_index=True)
    table = run.requests
    for name in ("request", "time", "latency", "outcome", "status", "client", "endpoint"):
        assert seen(table, name) == seen(callers, name), name
    assert set(table["client"]) == {"web", "phone"} and table["request"].min() == 1000
    llm = run.trace.attempts[run.trace.attempts["service"] == "llm"]
    counts = llm.groupby("request").size().reindex(table["request"], fill_value=0)
    assert table["attempts"].tolist() == counts.tolist()
    assert set(table["served_by"]) == {"", "llm", "small", "cache"}
    served = table[table["served_by"] != ""]
    assert set(served["outcome"]) == {"ok"}
    rest = table[(table["served_by"] == "") & (table["outcome"] == "ok")]
    assert set(rest["endpoint"]) == {SEARCHES}


@pytest.mark.parametrize("limit", [1, 7, 50])
@pytest.mark.parametrize("closed", [False, True])
def test_a_run_may_be_cut_off_anywhere(limit, closed) -> None:
    """The books are checked in every run; what is under way reads as lost, and is counted."""
    workload = ClosedLoop(30, Exponential(0.5), tokens=Lognormal(30.0, 0.5)) if closed else RECIPES
    run = replay(everything(workload), layers_of_everything(), 3, most_attempts=limit)
    assert run.cut_off == f"stopped after {limit} attempts"
    summary = run.summary()
    assert summary["attempts"] == limit
    assert summary["in_flight"] == (run.requests["outcome"] == "lost").sum() > 0
    assert run.requests["latency"].isna().sum() == summary["in_flight"]
    assert len(run.timeline(1.0)) > 0
    assert run.trace.source.facts["cut_off"] == run.cut_off


# ---- from a run back to its scenario


def test_all_parameters_come_back_from_a_run() -> None:
    scenario = everything(fixed_arrivals())
    run = replay(scenario, layers_of_everything(), 5)
    again = Scenario.from_trace(run.trace)
    assert again.parameters() == scenario.parameters()
    assert (again.service, again.app, again.faults) == (scenario.service, scenario.app, scenario.faults)
    assert again.duration == scenario.duration
    told: Any = run.trace.source.facts["policy"]
    assert [Policy.from_dict(one) for one in told] == list(run.policies) == layers_of_everything()
    for name in ("time", "request"):
        assert list(getattr(again.workload, name)) == list(getattr(scenario.workload, name)), name
    for words, column in (("endpoints", "endpoint"), ("clients", "client")):
        mine, theirs = ([getattr(w, words)[i] for i in getattr(w, column)] for w in (again.workload, scenario.workload))
        assert mine == theirs


@pytest.mark.parametrize(
    "service",
    [
        Service(queue_limit=None, time=Exponential(0.2), network=Constant(0.01), discipline="deadline"),
        Service(time=Empirical([0.1, 0.2]), network=Empirical([0.0, 0.5]), rate_limit=RateLimit(tokens=3.0)),
        Service(time=Constant(0.5), network=Lognormal(0.1, 0.2)),
        Service(time=Lognormal(0.3, 1.0)),
    ],
)
def test_each_distribution_comes_back(arrivals, service) -> None:
    scenario = Scenario(arrivals([0.0, 1.0]), service, App(network=Empirical([0.1])), [Fault(0.0, math.inf, 0.5)])
    again = Scenario.from_trace(replay(scenario, PATIENT).trace)
    assert (again.service, again.app, again.faults) == (scenario.service, scenario.app, scenario.faults)


# ---- everything at once


def assert_same(one: Run, other: Run) -> None:
    """The same run to the last bit."""
    pd.testing.assert_frame_equal(one.trace.attempts, other.trace.attempts, check_exact=True)
    pd.testing.assert_frame_equal(one.trace.events, other.trace.events, check_exact=True)
    pd.testing.assert_frame_equal(one.requests, other.requests, check_exact=True)
    pd.testing.assert_frame_equal(one.timeline(), other.timeline(), check_exact=True)
    assert agree(one.summary(), other.summary())
    assert [repr(value) for value in one.summary().values()] == [repr(value) for value in other.summary().values()]
    assert one.cut_off == other.cut_off


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "fifo, a shared breaker, keyed writes": {
        "service": {"discipline": "fifo", "cancel_on_disconnect": False, "time": Exponential(0.3)},
        "app": {"balancer": "round_robin", "shared_breaker": True, "writes": "keyed"},
    },
    "deadline, at random, writes once": {
        "service": {"discipline": "deadline", "queue_limit": None, "time": Lognormal(0.3, 1.0)},
        "app": {"balancer": "random", "hold_during_backoff": True, "writes": "once"},
    },
}


def variant(name: str, workload: Any) -> Scenario:
    base = everything(workload)
    change = VARIANTS[name]
    return replace(
        base, service=replace(base.service, **change.get("service", {})), app=replace(base.app, **change.get("app", {}))
    )


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("closed", [False, True])
def test_everything_at_once_is_the_same_interpreted_and_compiled(name, closed, seed) -> None:
    loop = ClosedLoop(8, Exponential(0.5), tokens=Lognormal(30.0, 0.5), writes=0.3)
    scenario = replace(variant(name, loop if closed else RECIPES), duration=15.0)
    layers = layers_of_everything(guards="retries" if seed else "all")
    compiled = replay(scenario, layers, seed)
    assert_same(compiled, replay(scenario, layers, seed, interpreted=True))
    assert_same(compiled, replay(scenario, layers, seed))
    assert compiled.summary() != replay(scenario, layers, seed // 2 + 3).summary()


def test_everything_does_happen() -> None:
    runs = [replay(variant(name, RECIPES), layers_of_everything(), 1) for name in VARIANTS]
    words = set(pd.concat([run.trace.attempts for run in runs])["outcome"])
    assert words >= {"ok", "error", "throttled", "timeout", "connection", "rejected", "lost"}
    summaries = pd.DataFrame([run.summary() for run in runs])
    assert (summaries[["restarts", "rejected", "status_429", "timeouts", "served_by_small"]] > 0).any().all()
    assert summaries["duplicates"].tolist()[1:] == [0.0, 0.0]


# ---- any scenario


def seconds(most: float) -> st.SearchStrategy[float]:
    """Times that coincide often, and times that never do."""
    return st.integers(0, int(most)).map(float) | st.floats(0.0, most, allow_subnormal=False)


def short(most: float = 2.0) -> st.SearchStrategy[float]:
    return st.sampled_from([0.1, 0.5, 1.0]) | st.floats(0.01, most)


DISTRIBUTIONS = (
    st.builds(Constant, st.sampled_from([0.0, 0.5, 1.0]))
    | st.builds(Exponential, short())
    | st.builds(Lognormal, short(), st.floats(0.0, 1.5))
    | st.builds(Empirical, st.lists(seconds(2.0), min_size=1, max_size=4))
)
TIMES = DISTRIBUTIONS | st.builds(Llm, short(), st.floats(0.0, 0.5), st.floats(0.0, 2.0), st.none() | st.integers(1, 5))
ENDPOINTS = (ANSWERS, SEARCHES)


@st.composite
def any_workloads(draw: Any) -> Any:
    kind = draw(st.sampled_from(["fixed", "fixed", "recipes", "closed"]))
    tokens, writes = draw(DISTRIBUTIONS), draw(st.sampled_from([0.0, 0.5, 1.0]))
    if kind == "closed":
        return ClosedLoop(draw(st.integers(1, 12)), draw(st.builds(Exponential, short())), ANSWERS, tokens, writes)
    if kind == "recipes":
        burst = Bursts(draw(st.integers(1, 9)), draw(st.floats(2.0, 9.0)), draw(seconds(3.0)), tokens=tokens)
        return (burst, Poisson(draw(st.floats(0.0, 4.0)), draw(st.sampled_from(ENDPOINTS)), tokens, writes))
    time = sorted(draw(st.lists(seconds(15.0), max_size=40)))
    n = len(time)
    return Workload(
        np.array(time),
        np.array(draw(st.lists(st.sampled_from([0, 0, 1]), min_size=n, max_size=n)), int),
        np.array(draw(st.lists(st.floats(0.0, 8.0), min_size=n, max_size=n))),
        np.arange(n) * 2 + 7,
        ENDPOINTS,
        np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool),
        np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), int),
        ("a", "b", "c"),
    )


ANY_FAULTS = st.builds(
    lambda start, length, capacity, latency, shares, status, kept: Fault(
        start, start + length, 1.0 if kept else capacity, latency=latency, status=status,
        endpoints=(ANSWERS,) if kept else (), **dict(zip(("error", "refuse", "hang"), shares, strict=True)),
    ),
    seconds(15.0), st.just(math.inf) | st.floats(0.5, 12.0), st.floats(0.0, 1.0), st.sampled_from([1.0, 0.5, 4.0]),
    st.sampled_from([(0.0, 0.0, 0.0), (0.3, 0.3, 0.3), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]),
    st.sampled_from([500, 503, 400, 429]), st.booleans(),
)  # fmt: skip
ANY_SERVICES = st.builds(
    Service,
    slots=st.integers(1, 4),
    queue_limit=st.none() | st.integers(0, 4),
    time=TIMES,
    discipline=st.sampled_from(["fifo", "lifo", "deadline"]),
    retry_after=st.sampled_from([0.0, 1.0, 3.5]),
    rejection_seconds=st.sampled_from([0.0, 0.5, 1.0]),
    cancel_on_disconnect=st.booleans(),
    rate_limit=st.none()
    | st.builds(RateLimit, st.none() | st.floats(1.0, 20.0), st.none() | st.floats(1.0, 50.0), st.floats(1.0, 10.0)),
    network=st.none() | DISTRIBUTIONS,
)
STANDBYS = st.builds(Standby, seconds(3.0), st.none() | st.integers(1, 2), st.sampled_from([0.0, 0.5, 1.0]))
ANY_APPS = st.builds(
    App,
    workers=st.integers(1, 6),
    pool_timeout=st.floats(0.5, 5.0),
    caller_timeout=st.sampled_from([1.0, 2.5]) | st.floats(0.5, 10.0),
    other=st.just({SEARCHES: OtherEndpoint(0.5, 2.0)}),
    health_interval=st.just(2.0),
    health_timeout=st.sampled_from([0.1, 1.0, 1.9]),
    health_failures=st.integers(1, 3),
    restart_seconds=st.sampled_from([0.5, 1.0, 3.0]),
    instances=st.integers(1, 4),
    balancer=st.sampled_from(["round_robin", "random", "least_busy"]),
    hold_during_backoff=st.booleans(),
    shared_breaker=st.booleans(),
    writes=st.sampled_from(["once", "blind", "keyed"]),
    fallbacks=st.dictionaries(st.sampled_from(["small", "cache"]), STANDBYS),
    network=st.none() | DISTRIBUTIONS,
)
ANY_SCENARIOS = st.builds(
    Scenario, any_workloads(), ANY_SERVICES, ANY_APPS, st.lists(ANY_FAULTS, max_size=3), st.sampled_from([10.0, 17.3])
)
ANY_BUDGETS = st.builds(
    RetryBudget, st.sampled_from([0.0, 0.1, 0.7]), st.sampled_from(["call", "success"]), st.sampled_from([0.0, 0.2]),
    st.sampled_from([1.0, 3.5]),
)  # fmt: skip
ANY_RETRIES = st.builds(
    Retry,
    attempts=st.integers(1, 4),
    total_time=st.none() | st.floats(0.5, 15.0),
    final_reserve=st.sampled_from([0.0, 0.25, 0.9]),
    backoff=st.builds(
        lambda base, jitter: Backoff(base, 2.0, 4 * base, jitter),
        short(),
        st.sampled_from(["none", "full", "decorrelated"]),
    ),
    retry_after_limit=st.sampled_from([None, 2.0, 60.0]),
    wait_for_probe=st.booleans(),
    budget=st.none() | ANY_BUDGETS,
)  # fmt: skip
ANY_BREAKERS = st.builds(
    Breaker,
    failure_threshold=st.none() | st.integers(1, 4),
    recovery_timeout=st.sampled_from([0.5, 1.0, 4.0]),
    half_open_max_calls=st.integers(1, 3),
    failure_rate=st.none() | st.floats(0.05, 1.0),
    window=st.integers(1, 10),
    window_seconds=st.none() | st.floats(0.5, 10.0),
    minimum_calls=st.integers(1, 5),
    recovery_jitter=st.sampled_from([0.0, 0.5]),
    half_open_timeout=st.floats(10.0, 20.0),
    guards=st.sampled_from(["all", "retries"]),
)
THROTTLES = st.builds(Throttle, st.sampled_from([1.0, 2.0]), st.sampled_from([1.0, 30.0]))
FALLBACKS = st.sampled_from([Fallback(small="a"), Fallback(small="a", cache="b"), Fallback(cache="b", message="c")])


def policies(fallback: Any = FALLBACKS) -> st.SearchStrategy[Policy]:
    timeouts = st.sampled_from([0.5, 1.0, 3.0]) | st.floats(0.2, 8.0)
    return st.builds(
        Policy, timeouts, st.none() | ANY_RETRIES, st.none() | ANY_BREAKERS, st.none() | fallback, st.none() | THROTTLES
    )


LAYERS = st.builds(lambda outer, inner: [outer, *inner], policies(), st.lists(policies(st.none()), max_size=2))
SEEDS = st.sampled_from([0, 1, 2**63 - 1])
UNSHRUNK = (Phase.explicit, Phase.generate)  # to make a failure smaller would take longer than a test may
WORDS = {"ok": {200}, "error": {500, 503}, "throttled": {429}, "client_error": {400}}


@settings(max_examples=100, phases=UNSHRUNK)
@given(ANY_SCENARIOS, LAYERS, SEEDS)
def test_nothing_is_lost_or_made_up(scenario: Scenario, layers: list[Policy], seed: int) -> None:
    run = replay(scenario, layers, seed, most_attempts=20_000)
    assert run.cut_off is None
    attempts, table = run.trace.attempts, run.requests
    app, llm = attempts[attempts["service"] == "app"], attempts[attempts["service"] == "llm"]
    closed = isinstance(scenario.workload, ClosedLoop)
    arrivals = None if closed else scenario.arrivals(seed)

    # every request once, at its own time, with one outcome
    assert app["request"].is_unique and sorted(app["request"]) == sorted(table["request"])
    assert table["time"].is_monotonic_increasing and (table["latency"] >= 0.0).all()
    if arrivals is not None:
        assert table["time"].tolist() == arrivals.time.tolist()
        assert table["request"].tolist() == arrivals.request.tolist()
    elif len(table):
        assert table["time"].max() < scenario.duration
    assert set(table["outcome"]) <= {"ok", "error", "throttled", "client_error", "timeout", "connection"}
    patience = table["endpoint"].astype(str).map(lambda name: 2.0 if name == SEARCHES else scenario.app.caller_timeout)
    assert (table["latency"] <= patience + 1e-9).all()

    # statuses and outcomes say the same; attempts are numbered; seconds are kept
    for word, rows in llm.groupby("outcome", observed=True):
        assert set(rows["status"].dropna()) <= WORDS.get(word, set())
        assert rows["status"].isna().all() == (word not in WORDS)
        assert (rows["latency"].isna() == (word == "lost")).all()
    for _, rows in llm.groupby("request"):
        ordered = rows.sort_values("attempt")
        assert ordered["attempt"].tolist() == list(range(1, len(ordered) + 1))
        assert (np.diff(ordered["time"]) >= 0.0).all()
    assert (llm["latency"].dropna() <= min(layer.timeout for layer in layers) + 1e-9).all()
    most = math.prod(1 if layer.retry is None else layer.retry.attempts for layer in layers)
    sent = llm[llm["outcome"] != "rejected"].groupby("request").size()
    assert sent.max() <= most if len(sent) else True
    counts = llm.groupby("request").size().reindex(table["request"], fill_value=0)
    assert table["attempts"].tolist() == counts.tolist()

    # who got an answer, got it from somebody
    answered = table[table["outcome"] == "ok"]
    uses = answered[answered["endpoint"] == ANSWERS]
    assert (uses["served_by"] != "").all() and (table["served_by"][table["outcome"] != "ok"] == "").all()
    by_llm = set(uses["request"][uses["served_by"] == "llm"])
    assert by_llm <= set(llm["request"][llm["outcome"] == "ok"])
    assert set(llm["request"]) <= set(table["request"][table["endpoint"] == ANSWERS])
    ends = (llm["time"] + llm["latency"])[llm["outcome"] == "ok"]
    last = dict(zip(llm["request"][llm["outcome"] == "ok"], ends, strict=True))
    for row in uses[uses["served_by"] == "llm"].itertuples():
        assert row.time + row.latency == pytest.approx(last[row.request], abs=1e-9)

    # writes, the pool, the service, the figures
    if scenario.app.writes == "once" and arrivals is not None:
        written = set(arrivals.request[arrivals.write])
        assert all(n == 1 for request, n in sent.items() if request in written)
    if scenario.app.writes != "blind":
        assert run.summary()["duplicates"] == 0
    pool = run.trace.events.query("kind == 'pool'")["value"]
    assert pool.between(0, scenario.app.workers).all()
    line = run.timeline(1.0)
    assert not (line["in_service"] > scenario.service.slots).any()
    if scenario.service.queue_limit is not None:
        assert not (line["queued"] > scenario.service.queue_limit).any()
    if scenario.service.rate_limit is None and not any(fault.status == 429 for fault in scenario.faults):
        assert not (llm["status"] == 429).any()
    if all(layer.breaker is None and layer.throttle is None for layer in layers) and not any(
        layer.retry is not None and layer.retry.budget is not None for layer in layers
    ):
        assert "rejected" not in set(llm["outcome"])
    if closed and len(table):
        changes = pd.concat([pd.Series(1, table["time"]), pd.Series(-1, table["time"] + table["latency"])])
        waiting = changes.groupby(level=0).sum().sort_index().cumsum()
        assert waiting.max() <= scenario.workload.workers
    check_figures(run)


@settings(max_examples=100, phases=UNSHRUNK)
@given(ANY_SCENARIOS, LAYERS, SEEDS)
def test_no_more_is_granted_than_the_rate_limit(scenario: Scenario, layers: list[Policy], seed: int) -> None:
    limit = RateLimit(requests=3.0, per=4.0)
    scenario = replace(scenario, service=replace(scenario.service, rate_limit=limit), faults=())
    llm = replay(scenario, layers, seed).trace.attempts.query("service == 'llm' and status == 200")
    span = (llm["time"] + llm["latency"]).max() if len(llm) else 0.0
    assert len(llm) <= 3.0 + span * 3.0 / 4.0 + 1e-6


@settings(max_examples=25, phases=UNSHRUNK)
@given(ANY_SCENARIOS, LAYERS, SEEDS)
def test_the_same_arguments_give_the_same_run(scenario: Scenario, layers: list[Policy], seed: int) -> None:
    one = replay(scenario, layers, seed)
    assert_same(one, replay(scenario, layers, seed))
    assert_same(one, replay(scenario, layers, seed, interpreted=True))


@settings(max_examples=25, phases=UNSHRUNK)
@given(ANY_SCENARIOS, LAYERS, SEEDS, st.integers(1, 60))
def test_a_run_that_is_cut_off_is_the_beginning_of_the_whole(
    scenario: Scenario, layers: list[Policy], seed: int, limit: int
) -> None:
    """What had ended by then had ended as in the whole run."""
    whole, part = replay(scenario, layers, seed), replay(scenario, layers, seed, most_attempts=limit)
    if part.cut_off is None:
        return assert_same(whole, part)
    assert part.summary()["attempts"] == limit
    check_figures(part)
    known = part.requests[part.requests["outcome"] != "lost"].set_index("request")
    there = whole.requests.set_index("request").loc[known.index]
    for name in ("time", "latency", "outcome", "served_by"):
        assert seen(known, name) == seen(there, name)
