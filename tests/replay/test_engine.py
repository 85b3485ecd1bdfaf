"""What happens in the app and at the service, moment by moment, worked out by hand."""

import math

import numpy as np
import pytest

from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget
from breakerlab.replay import (
    App,
    Bursts,
    Constant,
    Fault,
    Llm,
    OtherEndpoint,
    Scenario,
    Service,
    replay,
)

ONE_SECOND = {"time": Llm(1.0, 0.0, 0.0)}
FIXED = Backoff(base=2.0, factor=1.0, cap=2.0, jitter="none")
PATIENT = Policy(timeout=1e6)
OUTAGE = (Fault(0.0, 1e6, 0.0),)


def retrying(attempts: int, backoff: Backoff = FIXED, **more) -> Policy:
    retry = {"total_time": None, "final_reserve": 0.0, "retry_after_limit": None, **more.pop("retry", {})}
    return Policy(retry=Retry(attempts=attempts, backoff=backoff, **retry), **more)


def seen(table, *columns):
    return [tuple(row) for row in table[list(columns)].itertuples(index=False)]


def events(run, kind: str):
    table = run.trace.events
    return seen(table[table["kind"] == kind], "time", "value")


# ---- the service


def test_nothing_is_served_while_a_fault_leaves_no_slot(arrivals, roomy_app, rows) -> None:
    """From start, included, to end, excluded; what has begun goes on, what waits is served afterwards in order."""
    time = [9.5, 10.0, 12.0, 20.0]
    service = Service(slots=2, queue_limit=8, **ONE_SECOND)
    run = replay(Scenario(arrivals(time), service, roomy_app(), [Fault(10.0, 20.0, 0.0)]), PATIENT)
    ends = rows(run, "llm")["time"] + rows(run, "llm")["latency"]
    assert ends.tolist() == [10.5, 21.0, 21.0, 22.0]


@pytest.mark.parametrize("moment", [10.0, 19.999])
def test_without_a_queue_a_fault_refuses(arrivals, roomy_app, rows, moment: float) -> None:
    service = Service(slots=1, queue_limit=0, **ONE_SECOND)
    run = replay(Scenario(arrivals([moment, 20.0]), service, roomy_app(), [Fault(10.0, 20.0, 0.9)]), PATIENT)
    assert rows(run, "llm")["status"].tolist() == [503, 200]  # floor(1 * 0.9) is no slot


def test_a_fault_leaves_a_share_of_the_slots_and_of_two_the_worst_counts(arrivals, roomy_app, rows) -> None:
    service = Service(slots=4, queue_limit=0, **ONE_SECOND)
    faults = [Fault(0.0, 40.0, 0.75), Fault(10.0, 30.0, 0.25), Fault(20.0, 50.0, 0.5)]
    moments = np.repeat([5.0, 15.0, 25.0, 35.0, 45.0, 55.0], 5)
    llm = rows(replay(Scenario(arrivals(moments), service, roomy_app(), faults), PATIENT), "llm")
    served = llm[llm["status"] == 200].groupby("time").size()
    assert served.to_dict() == {5.0: 3, 15.0: 1, 25.0: 1, 35.0: 2, 45.0: 2, 55.0: 4}


def test_running_work_above_a_faults_capacity_ends_before_new_work_starts(arrivals, roomy_app, rows) -> None:
    service = Service(slots=2, queue_limit=9, time=Llm(4.0, 0.0, 0.0))
    run = replay(Scenario(arrivals([0.0, 1.0, 2.5]), service, roomy_app(), [Fault(2.0, 50.0, 0.5)]), PATIENT)
    ends = rows(run, "llm")["time"] + rows(run, "llm")["latency"]
    assert ends.tolist() == [4.0, 5.0, 9.0]  # the third starts when the second ends, not when the first does


def test_work_goes_on_when_its_caller_has_given_up(arrivals, roomy_app, rows) -> None:
    service = Service(slots=1, queue_limit=9, time=Llm(3.0, 0.0, 0.0))
    run = replay(Scenario(arrivals([0.0, 0.5, 1.0]), service, roomy_app()), Policy(timeout=1.0))
    assert seen(rows(run, "llm"), "outcome", "latency") == [("timeout", 1.0)] * 3
    patient = replay(Scenario(arrivals([0.0, 0.5, 8.9]), service, roomy_app()), Policy(timeout=3.5))
    assert rows(patient, "llm")["outcome"].tolist() == ["ok", "timeout", "ok"]
    assert rows(patient, "llm")["latency"][2] == pytest.approx(3.0)  # the abandoned work ended at 6 s
    soon = replay(Scenario(arrivals([0.0, 0.5, 4.9]), service, roomy_app()), Policy(timeout=4.5))
    assert rows(soon, "llm")["latency"][2] == pytest.approx(4.1)  # it had to wait for the abandoned work


# ---- the app


def test_callers_wait_for_a_worker_in_order_and_not_too_long(arrivals, roomy_app, rows) -> None:
    """One worker, calls of 2 s, waits of at most 3 s: answered 503 without having reached the service."""
    service = Service(slots=9, queue_limit=0, time=Llm(2.0, 0.0, 0.0))
    app = roomy_app(workers=1, pool_timeout=3.0)
    run = replay(Scenario(arrivals([0.0, 0.1, 0.2, 0.3]), service, app), PATIENT)
    assert rows(run, "llm")["time"].tolist() == [0.0, 2.0]
    assert rows(run, "app")["status"].tolist() == [200, 200, 503, 503]
    assert rows(run, "app")["latency"].tolist() == pytest.approx([2.0, 3.9, 3.0, 3.0])


def test_a_call_holds_its_worker_while_it_backs_off(arrivals, roomy_app, rows) -> None:
    """The other endpoint waits for the only worker through a whole call of two attempts and one backoff of 2 s."""
    app = roomy_app(workers=1)
    scenario = Scenario(arrivals([0.0, 0.5], endpoint=[0, 1]), Service(1, 0), app, OUTAGE)
    run = replay(scenario, retrying(2))
    search = rows(run, "app").iloc[1]
    assert (search["endpoint"], search["outcome"]) == ("GET /search", "ok")
    assert search["latency"] == pytest.approx(1.5 + 0.03)


def test_the_other_endpoint_never_calls_the_service_and_has_its_own_patience(arrivals, roomy_app, rows) -> None:
    app = roomy_app(workers=1, other={"GET /search": OtherEndpoint(seconds=3.0, caller_timeout=2.0)})
    run = replay(Scenario(arrivals([0.0, 1.0], endpoint=[1, 1]), Service(), app), PATIENT)
    assert rows(run, "llm").empty
    assert seen(rows(run, "app"), "outcome", "latency") == [("timeout", 2.0)] * 2


def test_a_caller_that_gave_up_hears_nothing_but_its_call_goes_on(arrivals, roomy_app, rows) -> None:
    app = roomy_app(caller_timeout=3.0)
    run = replay(Scenario(arrivals([0.0]), Service(1, 0), app, OUTAGE), retrying(4))
    assert rows(run, "llm")["time"].tolist() == [0.0, 2.0, 4.0, 6.0]
    assert seen(rows(run, "app"), "outcome", "latency") == [("timeout", 3.0)]


def test_pool_use_is_sampled_every_half_second(arrivals, roomy_app) -> None:
    service = Service(slots=9, time=Llm(1.1, 0.0, 0.0))
    run = replay(Scenario(arrivals([0.1, 0.6]), service, roomy_app(), duration=2.5), PATIENT)
    assert events(run, "pool") == [(0.0, 0), (0.5, 1), (1.0, 2), (1.5, 1), (2.0, 0), (2.5, 0)]


# ---- the restart


STUCK = {"workers": 2, "pool_timeout": 100.0, "caller_timeout": 100.0, "restart_seconds": 4.0}


def test_an_app_with_no_worker_to_spare_is_killed_and_comes_back(arrivals, rows) -> None:
    """Both workers wait for the service; probes at 2, 4, 6 s fail 1 s later; killed at 7 s, back at 11 s."""
    time = [0.0, 0.5, 1.0, 7.5, 10.999, 11.0, 13.0]
    faults = [Fault(0.0, 9.0, 0.0)]
    scenario = Scenario(arrivals(time), Service(4, 9, **ONE_SECOND), App(**STUCK), faults, duration=14.0)
    run = replay(scenario, PATIENT)
    assert events(run, "health") == [(3.0, 0), (5.0, 0), (7.0, 0), (12.0, 1), (14.0, 1)]
    assert events(run, "restart") == [(7.0, 1), (11.0, 0)]
    app = rows(run, "app")
    assert app["outcome"].tolist() == ["connection"] * 5 + ["ok", "ok"]
    assert app["latency"].tolist() == [7.0, 6.5, 6.0, 0.0, 0.0, 1.0, 1.0]  # in hand, waiting, refused, served
    llm = rows(run, "llm")
    assert seen(llm, "request", "outcome") == [(0, "lost"), (1, "lost"), (5, "ok"), (6, "ok")]
    assert llm["latency"].isna().tolist() == [True, True, False, False]
    assert not [time for time, _ in events(run, "pool") if 7.0 < time < 11.0]  # nobody there to be asked


def test_the_service_works_on_for_an_app_that_has_died(arrivals, rows) -> None:
    """Its two slots are busy with lost work until 20 s, so the first caller after the restart waits."""
    service = Service(2, 9, time=Llm(20.0, 0.0, 0.0))
    run = replay(Scenario(arrivals([0.0, 0.0, 12.0]), service, App(**STUCK), duration=14.0), PATIENT)
    assert rows(run, "llm")["outcome"].tolist() == ["lost", "lost", "ok"]
    assert rows(run, "llm")["latency"][2] == pytest.approx(28.0)


def test_a_call_between_two_attempts_dies_without_a_lost_attempt(arrivals, rows) -> None:
    """Killed at 7 s: each attempt is refused at once, so none is in flight; nothing happens after the kill."""
    slow = Backoff(base=50.0, factor=1.0, cap=50.0, jitter="none")
    scenario = Scenario(arrivals([0.0, 0.0]), Service(1, 0), App(**STUCK), OUTAGE, duration=20.0)
    run = replay(scenario, retrying(4, slow))
    assert seen(rows(run, "llm"), "time", "status") == [(0.0, 503), (0.0, 503)]
    assert seen(rows(run, "app"), "outcome", "latency") == [("connection", 7.0)] * 2


def test_a_passed_probe_breaks_the_row_of_failed_ones(arrivals) -> None:
    """The worker is busy at 2, 4, 8 and 10 s, free at 6 s."""
    scenario = Scenario(
        arrivals([1.0, 6.5], tokens=[4.5, 4.5]),
        Service(1, 0, time=Llm(1e-9, 1.0, 0.0)),
        App(workers=1, caller_timeout=100.0),
        duration=12.0,
    )
    run = replay(scenario, PATIENT)
    assert events(run, "health") == [(3.0, 0), (5.0, 0), (6.0, 1), (9.0, 0), (11.0, 0), (12.0, 1)]
    assert events(run, "restart") == []


def test_a_new_process_may_fail_as_often_as_the_first(arrivals) -> None:
    """Killed at 7 s, back at 11 s, stuck again from 11.5 s: three more failed probes until it is killed again."""
    scenario = Scenario(arrivals([0.0, 0.0, 11.5, 11.5]), Service(1, 9), App(**STUCK), OUTAGE, duration=18.0)
    run = replay(scenario, PATIENT)
    assert events(run, "health") == [(moment, 0) for moment in (3.0, 5.0, 7.0, 13.0, 15.0, 17.0)]
    assert events(run, "restart") == [(7.0, 1), (11.0, 0), (17.0, 1), (21.0, 0)]


def test_a_probe_that_gets_a_worker_in_time_has_passed(arrivals) -> None:
    scenario = Scenario(arrivals([1.0]), Service(1, 0, time=Llm(1.75, 0.0, 0.0)), App(workers=1), duration=3.0)
    assert events(replay(scenario, PATIENT), "health") == [(2.75, 1)]


def test_the_breaker_forgets_with_the_app(arrivals, rows) -> None:
    """Opened at 0.2 s for an hour; killed at 7 s because of the other endpoint; the new process has a new breaker."""
    time = [0.0, 0.1, 0.2, 0.3, 1.0, 1.0, 12.0]
    other = {"GET /search": OtherEndpoint(seconds=100.0, caller_timeout=100.0)}
    endpoint = [0, 0, 0, 0, 1, 1, 0]
    app = App(**STUCK, other=other)
    faults = [Fault(0.0, 9.0, 0.0)]
    scenario = Scenario(arrivals(time, endpoint=endpoint), Service(1, 0), app, faults, duration=14.0)
    run = replay(scenario, Policy(breaker=Breaker(3, recovery_timeout=3600.0)))
    assert events(run, "breaker") == [(0.2, 1), (11.0, 0)]
    assert rows(run, "llm")["outcome"].tolist() == ["error", "error", "error", "rejected", "ok"]


# ---- the policy


def test_an_open_circuit_ends_a_call_at_once(arrivals, roomy_app, rows) -> None:
    """Three failures in a row open the circuit: the third is its call's last, and who comes later is refused."""
    policy = retrying(9, breaker=Breaker(3, recovery_timeout=60.0))
    run = replay(Scenario(arrivals([0.0, 0.5, 30.0]), Service(1, 0), roomy_app(), OUTAGE), policy)
    llm = rows(run, "llm").sort_values("time", kind="stable")
    assert seen(llm, "time", "request", "attempt", "outcome") == [
        (0.0, 0, 1, "error"),
        (0.5, 1, 1, "error"),
        (2.0, 0, 2, "error"),
        (2.5, 1, 2, "rejected"),
        (30.0, 2, 1, "rejected"),
    ]
    rejected = llm[llm["outcome"] == "rejected"]
    assert (rejected["latency"] == 0.0).all() and rejected["status"].isna().all()
    assert seen(rows(run, "app"), "status", "latency") == [(502, 2.0), (503, 2.0), (503, 0.0)]
    assert events(run, "breaker") == [(2.0, 1)]


@pytest.mark.parametrize("probes", [1, 3])
def test_b3_a_total_outage_gets_few_probes(arrivals, roomy_app, rows, probes: int) -> None:
    """Never more than `half_open_max_calls` attempts per recovery timeout after the trip."""
    policy = Policy(timeout=1.0, breaker=Breaker(5, recovery_timeout=10.0, half_open_max_calls=probes))
    time = np.arange(0.0, 300.0, 0.05)
    run = replay(Scenario(arrivals(time), Service(8, 10**6), roomy_app(), OUTAGE, duration=300.0), policy)
    opened = [moment for moment, value in events(run, "breaker") if value == 1]
    llm = rows(run, "llm")
    sent = np.sort(llm["time"][llm["outcome"] != "rejected"])
    late = sent[sent > opened[0]]
    assert len(opened) >= 25
    assert len(late) >= 25 * probes
    assert (late[probes:] - late[:-probes] >= 10.0 - 1e-9).all()


def test_the_circuit_closes_when_the_outage_is_over(arrivals, roomy_app, rows) -> None:
    policy = Policy(breaker=Breaker(2, recovery_timeout=10.0))
    time = np.arange(0.0, 40.0, 1.0)
    run = replay(Scenario(arrivals(time), Service(2, 0), roomy_app(), [Fault(5.0, 20.0, 0.0)]), policy)
    assert [value for _, value in events(run, "breaker")] == [1, 2, 1, 2, 0]
    assert [moment for moment, _ in events(run, "breaker")] == pytest.approx([6.0, 16.0, 16.0, 26.0, 26.15])
    late = rows(run, "llm")[rows(run, "llm")["time"] >= 27.0]
    assert (late["outcome"] == "ok").all()


def test_a_call_takes_no_longer_than_its_total_time(arrivals, rows) -> None:
    draw = np.random.default_rng(1)
    time = np.sort(draw.uniform(0.0, 100.0, 1500))
    app = App(workers=200, pool_timeout=2.0, caller_timeout=1e3, health_interval=1e6)
    backoff = Backoff(base=0.5, factor=2.0, cap=8.0, jitter="additive")
    policy = Policy(timeout=5.0, retry=Retry(attempts=6, total_time=9.0, final_reserve=0.25, backoff=backoff))
    run = replay(Scenario(arrivals(time, draw.exponential(100.0, 1500)), Service(), app), policy)
    calls = rows(run, "llm").assign(end=lambda t: t["time"] + t["latency"]).groupby("request")
    began, last = calls["time"].min(), calls["time"].max()
    assert (calls["end"].max() - began).max() == pytest.approx(9.0)  # reached, not passed
    assert (last - began).max() == pytest.approx(6.75)  # the final attempt starts by 75 % of the total
    assert rows(run, "app")["latency"].max() <= 9.0 + 2.0 + 1e-9
    assert rows(run, "llm")["latency"].max() == pytest.approx(5.0)


def test_the_reserve_is_used_after_an_attempt_that_it_cut_short(arrivals, roomy_app, rows) -> None:
    policy = Policy(timeout=60.0, retry=Retry(attempts=4, total_time=30.0, final_reserve=0.25, backoff=FIXED))
    run = replay(Scenario(arrivals([0.0]), Service(1, 9), roomy_app(), OUTAGE), policy)
    llm = rows(run, "llm")
    assert llm["time"].tolist() == [0.0, 22.5]
    assert (llm["time"] + llm["latency"]).tolist() == pytest.approx([22.5, 30.0], abs=0.2)


@pytest.mark.parametrize(("limit", "starts"), [(None, [0.0, 2.0, 4.0]), (5.0, [0.0, 7.0, 14.0]), (4.9, [0.0])])
def test_a_503_asks_to_wait_and_is_obeyed_up_to_the_limit(arrivals, roomy_app, rows, limit, starts) -> None:
    scenario = Scenario(arrivals([0.0]), Service(1, 0, retry_after=5.0), roomy_app(), OUTAGE)
    run = replay(scenario, retrying(3, retry={"retry_after_limit": limit}))
    assert rows(run, "llm")["time"].tolist() == starts
    assert seen(rows(run, "app"), "status", "latency") == [(502, starts[-1])]


def test_a_timeout_asks_for_nothing(arrivals, roomy_app, rows) -> None:
    scenario = Scenario(arrivals([0.0]), Service(1, 9, retry_after=50.0), roomy_app(), OUTAGE)
    run = replay(scenario, retrying(3, timeout=1.0, retry={"retry_after_limit": 60.0}))
    assert rows(run, "llm")["time"].tolist() == [0.0, 3.0, 6.0]


def test_decorrelated_delays_build_on_the_last_and_not_on_what_the_service_asked(arrivals, roomy_app, rows) -> None:
    """No delay is above three times the one before, and every call's differ."""
    backoff = Backoff(base=1.0, cap=1e6, jitter="decorrelated")
    scenario = Scenario(arrivals(np.zeros(200)), Service(1, 0), roomy_app(), OUTAGE)
    llm = rows(replay(scenario, retrying(8, backoff)), "llm")
    waits = np.diff(llm["time"].to_numpy().reshape(200, 8), axis=1)
    assert (waits >= 1.0).all() and (waits[:, 0] <= 3.0).all()
    assert (waits[:, 1:] <= 3.0 * waits[:, :-1] + 1e-9).all()
    assert (waits[:, 3] > 9.0).any() and len(np.unique(waits[:, 0])) == 200


# ---- the budget


@pytest.mark.parametrize(
    ("ratio", "calls", "retries"), [(0.1, 1001, 110), (0.0, 1001, 10), (1.0, 51, 60), (0.25, 81, 30)]
)
def test_r4_in_a_total_outage_the_budget_bounds_the_load(arrivals, roomy_app, rows, ratio, calls, retries) -> None:
    """min(1 / (1 - p), 1 + ratio) with p = 1, beside the 10 tokens of the start, when the first deposit runs over."""
    scenario = Scenario(arrivals(np.arange(calls) * 100.0), Service(1, 0), roomy_app(), [Fault(0.0, 1e9, 0.0)])
    policy = retrying(4, retry={"budget": RetryBudget(ratio)})
    llm = rows(replay(scenario, policy), "llm")
    sent = llm[llm["outcome"] != "rejected"]
    assert len(sent) == calls + retries


def test_a_retry_that_the_budget_refuses_is_recorded_and_ends_the_call(arrivals, roomy_app, rows) -> None:
    policy = retrying(9, retry={"budget": RetryBudget(ratio=0.0, burst=1.0)})
    run = replay(Scenario(arrivals([0.0, 0.5]), Service(1, 0), roomy_app(), OUTAGE), policy)
    llm = rows(run, "llm")
    assert seen(llm, "request", "attempt", "time", "outcome") == [
        (0, 1, 0.0, "error"),
        (0, 2, 2.0, "error"),
        (0, 3, 2.0, "rejected"),
        (1, 1, 0.5, "error"),
        (1, 2, 0.5, "rejected"),
    ]
    rejected = llm[llm["outcome"] == "rejected"]
    assert (rejected["latency"] == 0.0).all() and rejected["status"].isna().all()
    assert seen(rows(run, "app"), "status", "latency") == [(502, 2.0), (502, 0.0)]


def test_per_success_an_outage_earns_nothing_and_time_earns_the_minimum(arrivals, roomy_app, rows) -> None:
    """The only token is spent at 0 s, two successes earn another, and in the outage a token takes 20 s."""
    budget = RetryBudget(ratio=0.5, deposit="success", minimum_rate=0.05, burst=1.0)
    service = Service(1, 0, time=Llm(0.1, 0.0))
    faults = [Fault(0.0, 0.5, 0.0), Fault(2.5, 1e6, 0.0)]
    scenario = Scenario(arrivals([0.0, 1.0, 3.0, 4.0, 14.0, 24.0]), service, roomy_app(), faults)
    llm = rows(replay(scenario, retrying(2, retry={"budget": budget})), "llm")
    second = llm[llm["attempt"] == 2]
    assert seen(second, "request", "outcome") == [
        (0, "ok"),
        (2, "error"),
        (3, "rejected"),
        (4, "rejected"),
        (5, "error"),
    ]


def test_the_budget_is_full_again_with_the_app(arrivals, rows) -> None:
    """Spent at 0 s; killed at 7 s because of the other endpoint; the new process has a full bucket."""
    other = {"GET /search": OtherEndpoint(seconds=100.0, caller_timeout=100.0)}
    app = App(**STUCK, other=other)
    time, endpoint = [0.0, 0.0, 1.0, 1.0, 12.0], [0, 0, 1, 1, 0]
    scenario = Scenario(arrivals(time, endpoint=endpoint), Service(1, 0), app, OUTAGE, duration=14.0)
    quick = Backoff(base=0.1, factor=1.0, cap=0.1, jitter="none")
    run = replay(scenario, retrying(2, quick, retry={"budget": RetryBudget(ratio=0.0, burst=1.0)}))
    assert [value for _, value in events(run, "restart")] == [1, 0]
    second = rows(run, "llm").query("attempt == 2")
    assert seen(second, "request", "outcome") == [(0, "error"), (1, "rejected"), (4, "error")]


def test_who_waits_for_the_probe_retries_when_it_is_due(arrivals, roomy_app, rows) -> None:
    """Opened at 0.5 s for 10 s, the backoff on top: whose failure opened the circuit is first in line for the probe.

    A refusal counts as an attempt.
    """
    policy = retrying(3, breaker=Breaker(2, recovery_timeout=10.0), retry={"wait_for_probe": True})
    scenario = Scenario(arrivals([0.0, 0.5, 1.0]), Service(1, 0, **ONE_SECOND), roomy_app(), [Fault(0.0, 5.0, 0.0)])
    run = replay(scenario, policy)
    assert seen(rows(run, "llm"), "request", "attempt", "time", "outcome") == [
        (0, 1, 0.0, "error"),
        (0, 2, 2.0, "rejected"),
        (0, 3, 12.5, "rejected"),  # the probe is out
        (1, 1, 0.5, "error"),
        (1, 2, 12.5, "ok"),
        (2, 1, 1.0, "rejected"),
        (2, 2, 12.5, "rejected"),
        (2, 3, 14.5, "ok"),
    ]
    assert seen(rows(run, "app"), "status", "latency") == [(503, 12.5), (200, 13.0), (200, 14.5)]


ENDLESS = Retry(10**9, None, 0.0, Backoff(1.0, 1.0, 1.0, "none"), retry_after_limit=None)


def test_a_run_that_will_not_end_is_stopped_at_so_many_attempts(arrivals, roomy_app) -> None:
    scenario = Scenario(arrivals(np.zeros(10)), Service(1, 0), roomy_app(), [Fault(0.0, math.inf, 0.0)])
    run = replay(scenario, Policy(retry=ENDLESS), most_attempts=1000)
    assert run.cut_off == "stopped after 1,000 attempts"
    summary = run.summary()
    assert (summary["attempts"], summary["in_flight"], summary["status_503"]) == (1000, 10, 1000)
    assert set(run.requests["outcome"]) == {"lost"} and run.requests["latency"].isna().all()
    assert run.trace.source.facts["cut_off"] == run.cut_off


def test_a_run_that_will_not_end_is_stopped_after_so_many_seconds(arrivals, roomy_app, rows) -> None:
    scenario = Scenario(arrivals([5.0]), Service(1, 0), roomy_app(), [Fault(0.0, math.inf, 0.0)], duration=10.0)
    run = replay(scenario, Policy(retry=ENDLESS), most_seconds=90.5)
    assert run.cut_off == "stopped after 100 simulated seconds"
    assert rows(run, "llm")["time"].max() == 100.0
    assert replay(scenario, retrying(3)).cut_off is None


@pytest.mark.parametrize("limit", [{"most_attempts": 0}, {"most_attempts": 1.5}, {"most_seconds": 0.0}])
def test_a_limit_that_cannot_be_is_refused_by_name(arrivals, limit) -> None:
    with pytest.raises(ValueError, match=next(iter(limit))):
        replay(Scenario(arrivals([0.0])), Policy(), **limit)


# ---- what a run hands on


def test_nobody_came(arrivals) -> None:
    run = replay(Scenario(arrivals([]), duration=2.0), Policy.recommended())
    assert run.trace.attempts.empty
    assert events(run, "pool") == [(0.0, 0), (0.5, 0), (1.0, 0), (1.5, 0), (2.0, 0)]
    assert run.summary()["requests"] == 0


def test_the_summary_counts_what_the_tables_hold(arrivals, rows) -> None:
    time = np.arange(0.0, 60.0, 0.1)
    scenario = Scenario(arrivals(time, 50.0, np.arange(600) % 2), faults=[Fault(10.0, 30.0, 0.125)], duration=60.0,
                        app=App(workers=12, other={"GET /search": OtherEndpoint()}))  # fmt: skip
    run = replay(scenario, Policy.naive())
    app, llm, summary = rows(run, "app"), rows(run, "llm"), run.summary()
    answers, searches = app[app["endpoint"] == "POST /answer"], app[app["endpoint"] == "GET /search"]
    assert summary["requests"] == len(answers) == 300
    assert summary["answered"] == pytest.approx((answers["outcome"] == "ok").sum())
    assert summary["attempts"] == pytest.approx(len(llm))
    assert summary["amplification"] == pytest.approx(len(llm) / 300)
    assert summary["status_503"] == pytest.approx((llm["status"] == 503).sum())
    assert summary["other_requests"] == len(searches)
    assert summary["other_failed"] == pytest.approx((searches["outcome"] != "ok").sum())
    assert summary["lost"] == (llm["outcome"] == "lost").sum()
    assert summary["restarts"] == len(events(run, "restart")) / 2 > 0
    assert summary["pool_peak"] == 12
    assert len(run.requests) == 600
    assert run.timeline(5.0)["attempts"].sum() * 5.0 == pytest.approx(len(llm))


# ---- one event that makes many others


@pytest.mark.parametrize("interpreted", [False, True], ids=["compiled", "interpreted"])
def test_a_fault_may_end_for_more_waiting_work_than_the_tables_began_with(interpreted: bool) -> None:
    """700 wait, each with its timeout in the calendar; at second 10 all of them are served at once."""
    app = App(workers=1000, pool_timeout=60.0, caller_timeout=60.0)
    crowd = Bursts(size=700, every=3600.0)
    service = Service(slots=1000, queue_limit=None, time=Constant(1.0))
    scenario = Scenario(crowd, service, app, (Fault(0.0, 10.0, capacity=0.0),), duration=30.0)
    run = replay(scenario, Policy(timeout=60.0), interpreted=interpreted)
    assert run.summary()["answered"] == 700
    assert run.summary()["latency_p99"] == pytest.approx(11.0)
