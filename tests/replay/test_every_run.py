"""What holds in every run: nothing is lost or made up, and the same arguments give the same run, compiled or not."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget
from breakerlab.policy.backoff import JITTERS
from breakerlab.replay import App, Fault, Llm, OtherEndpoint, Run, Scenario, Service, Workload, replay

ENDPOINTS = ("POST /answer", "GET /search")
ROUNDING = 1e-9  # s


def moments(most: float) -> st.SearchStrategy[float]:
    """Times that coincide often, and times that never do."""
    return st.integers(0, int(most)).map(float) | st.floats(0.0, most, allow_subnormal=False)


@st.composite
def workloads(draw) -> Workload:
    time = sorted(draw(st.lists(moments(30.0), max_size=60)))
    n = len(time)
    return Workload(
        time=np.array(time),
        endpoint=np.array(draw(st.lists(st.sampled_from([0, 0, 1]), min_size=n, max_size=n)), int),
        tokens=np.array(draw(st.lists(st.floats(0.0, 8.0), min_size=n, max_size=n))),
        request=np.arange(n) + 100,
        endpoints=ENDPOINTS,
    )


FAULTS = st.builds(
    lambda start, length, capacity: Fault(start, start + length, capacity),
    moments(25.0), st.floats(0.5, 20.0), st.floats(0.0, 1.0),
)  # fmt: skip
SCENARIOS = st.builds(
    Scenario,
    workload=workloads(),
    service=st.builds(
        Service,
        slots=st.integers(1, 4),
        queue_limit=st.integers(0, 4),
        time=st.builds(Llm, st.floats(0.01, 2.0), st.floats(0.0, 0.5), st.floats(0.0, 2.0)),
        retry_after=st.sampled_from([0.0, 1.0, 7.5]),
    ),
    app=st.builds(
        App,
        workers=st.integers(1, 12),
        pool_timeout=st.floats(0.5, 10.0),
        caller_timeout=st.floats(0.5, 20.0),
        other=st.just({"GET /search": OtherEndpoint(0.5, 2.0)}),
        health_interval=st.just(2.0),
        health_timeout=st.floats(0.1, 1.9),
        health_failures=st.integers(1, 3),
        restart_seconds=st.sampled_from([0.5, 1.0, 3.0, 8.0]),
    ),
    faults=st.lists(FAULTS, max_size=3),
    duration=st.just(40.0),
)
BACKOFFS = st.builds(
    lambda base, factor, jitter: Backoff(base, factor, 4.0 * base, jitter),
    st.floats(0.1, 3.0), st.floats(1.0, 3.0), st.sampled_from(list(JITTERS)),
)  # fmt: skip
BUDGETS = st.builds(
    RetryBudget,
    ratio=st.sampled_from([0.0, 0.1, 0.7]),
    deposit=st.sampled_from(["call", "success"]),
    minimum_rate=st.sampled_from([0.0, 0.2]),
    burst=st.sampled_from([1.0, 3.5]),
)
RETRIES = st.builds(
    Retry,
    attempts=st.integers(1, 6),
    total_time=st.none() | st.floats(0.5, 30.0),
    final_reserve=st.sampled_from([0.0, 0.25, 0.9]),
    backoff=BACKOFFS,
    retry_after_limit=st.sampled_from([None, 2.0, 60.0]),
    wait_for_probe=st.booleans(),
    budget=st.none() | BUDGETS,
)
BREAKERS = st.builds(
    Breaker,
    failure_threshold=st.none() | st.integers(1, 5),
    recovery_timeout=st.floats(0.5, 10.0),
    half_open_max_calls=st.integers(1, 3),
    failure_rate=st.none() | st.floats(0.05, 1.0),
    slow_call_rate=st.none() | st.floats(0.05, 1.0),
    slow_call_duration=st.floats(0.1, 5.0),
    window=st.integers(1, 30),
    window_seconds=st.none() | st.floats(0.5, 20.0),
    minimum_calls=st.integers(1, 10),
    recovery_growth=st.floats(1.0, 3.0),
    recovery_jitter=st.floats(0.0, 1.0),
    success_threshold=st.none() | st.integers(1, 4),
    half_open_timeout=st.floats(12.0, 20.0),
)
POLICIES = st.builds(Policy, st.floats(0.2, 12.0), st.none() | RETRIES, st.none() | BREAKERS)
SEEDS = st.sampled_from([0, 1, 2**63 - 1])


def of(run: Run, service: str) -> pd.DataFrame:
    attempts = run.trace.attempts
    rows = attempts[attempts["service"] == service].sort_values(["request", "attempt"], ignore_index=True)
    return rows.assign(end=rows["time"] + rows["latency"])


@settings(max_examples=200)
@given(SCENARIOS, POLICIES, SEEDS)
def test_nothing_is_lost_or_made_up(scenario: Scenario, policy: Policy, seed: int) -> None:
    run = replay(scenario, policy, seed)
    app, llm = of(run, "app"), of(run, "llm")
    retry = policy.retry or Retry(attempts=1, total_time=None)

    # every request has exactly one outcome at the app, at its own time
    assert app["request"].tolist() == scenario.workload.request.tolist()
    assert app["time"].tolist() == scenario.workload.time.tolist()
    assert set(app["outcome"]) <= {"ok", "error", "timeout", "connection"}
    assert app["latency"].between(0.0, 20.0).all()

    # every attempt on the service has exactly one outcome: attempts = served + refused + timed out + rejected + lost
    assert set(llm["outcome"]) <= {"ok", "error", "timeout", "rejected", "lost"}
    assert (llm["latency"].isna() == (llm["outcome"] == "lost")).all()
    assert (llm["outcome"].eq("rejected").sum() == 0) or policy.breaker is not None or retry.budget is not None
    status = llm["status"].fillna(0)
    assert (status[llm["outcome"] == "ok"] == 200).all()
    assert (status[llm["outcome"] == "error"] == 503).all()
    assert (status[llm["outcome"].isin(["timeout", "rejected", "lost"])] == 0).all()

    waits_for_probe = policy.breaker is not None and retry.wait_for_probe
    retried = {"error", "timeout", "rejected"} if waits_for_probe else {"error", "timeout"}
    answered = dict(zip(app["request"], app["outcome"], strict=True))
    for request, tries in llm.groupby("request"):
        assert answered[request] is not None
        assert tries["attempt"].tolist() == list(range(1, len(tries) + 1))
        assert len(tries) <= retry.attempts
        assert set(tries["outcome"][:-1]) <= retried  # failures only
        assert (tries["time"].to_numpy()[1:] >= tries["end"].to_numpy()[:-1]).all()
        assert (tries["end"].dropna() - tries["time"].min() <= retry.total_time_limit + ROUNDING).all()
        assert (tries["latency"].dropna() <= policy.timeout + ROUNDING).all()

    # whoever got an answer, got it from the service and in time
    called = app[app["endpoint"] == "POST /answer"].set_index("request")
    answers = called[called["outcome"] == "ok"]
    served = llm[llm["outcome"] == "ok"].set_index("request")
    assert set(answers.index) <= set(served.index)
    assert np.allclose(answers["end"], served["end"].reindex(answers.index), rtol=0.0, atol=ROUNDING)
    late = called.loc[served.index.difference(answers.index)]
    assert (late["outcome"] == "timeout").all()
    assert (llm["request"].isin(called.index)).all()  # searches never reach the service


@settings(max_examples=200)
@given(SCENARIOS, POLICIES, SEEDS)
def test_what_the_service_asks_for_is_never_undercut(scenario: Scenario, policy: Policy, seed: int) -> None:
    if policy.retry is None or policy.retry.retry_after_limit is None:
        return
    asked = scenario.service.retry_after
    for _, tries in of(replay(scenario, policy, seed), "llm").groupby("request"):
        for earlier, later in pairwise(tries.itertuples()):
            if earlier.outcome == "error" and later.outcome != "rejected":
                assert asked <= policy.retry.retry_after_limit
                assert later.time >= earlier.end + asked - ROUNDING


@settings(max_examples=200)
@given(SCENARIOS, POLICIES, BUDGETS, SEEDS)
def test_no_more_is_retried_than_the_budget_earned(
    scenario: Scenario, policy: Policy, budget: RetryBudget, seed: int
) -> None:
    policy = replace(policy, retry=replace(policy.retry or Retry(), budget=budget))
    run = replay(scenario, policy, seed)
    llm = of(run, "llm")
    lives = 1 + (run.trace.events["kind"] == "restart").sum() / 2
    deposits = llm["attempt"].eq(1).sum() if budget.deposit == "call" else llm["outcome"].eq("ok").sum()
    over_time = budget.minimum_rate * llm["time"].max() if len(llm) else 0.0
    made = (llm["attempt"].gt(1) & llm["outcome"].ne("rejected")).sum()
    assert made <= lives * budget.burst + budget.ratio * deposits + over_time + ROUNDING


@settings(max_examples=100)
@given(SCENARIOS, POLICIES, SEEDS)
def test_no_more_workers_are_in_use_than_there_are(scenario: Scenario, policy: Policy, seed: int) -> None:
    run = replay(scenario, policy, seed)
    events = run.trace.events
    pool = events[events["kind"] == "pool"]["value"]
    assert pool.between(0, scenario.app.workers).all()
    calls = of(run, "llm").dropna(subset="end").groupby("request").agg(start=("time", "min"), end=("end", "max"))
    for start in calls["start"]:
        assert ((calls["start"] <= start) & (start < calls["end"])).sum() <= scenario.app.workers


@given(SCENARIOS, POLICIES, SEEDS)
def test_restarts_and_the_breaker_take_turns(scenario: Scenario, policy: Policy, seed: int) -> None:
    events = replay(scenario, policy, seed).trace.events
    restarts = events[events["kind"] == "restart"]
    assert restarts["value"].tolist() == [1.0, 0.0] * (len(restarts) // 2)
    down = restarts["time"].to_numpy()
    assert np.allclose(down[1::2] - down[::2], scenario.app.restart_seconds)
    states = [0.0, *events[events["kind"] == "breaker"]["value"]]
    allowed = {(0.0, 1.0), (1.0, 2.0), (2.0, 0.0), (2.0, 1.0), (1.0, 0.0)}  # the last by a restart
    assert set(pairwise(states)) <= allowed


def assert_same(one: Run, other: Run) -> None:
    """The same run to the last bit."""
    pd.testing.assert_frame_equal(one.trace.attempts, other.trace.attempts, check_exact=True)
    pd.testing.assert_frame_equal(one.trace.events, other.trace.events, check_exact=True)


@settings(max_examples=100)
@given(SCENARIOS, POLICIES, SEEDS)
def test_interpreted_and_compiled_are_the_same(scenario: Scenario, policy: Policy, seed: int) -> None:
    compiled = replay(scenario, policy, seed)
    assert_same(compiled, replay(scenario, policy, seed, interpreted=True))
    assert_same(compiled, replay(scenario, policy, seed))


def busy_minute() -> Scenario:
    """Everything at once: overlapping faults, a full pool, failed probes and restarts."""
    draw = np.random.default_rng(20261124)
    time = np.sort(draw.uniform(0.0, 60.0, 900))
    endpoint = (draw.random(900) < 0.4).astype(int)
    workload = Workload(time, endpoint, draw.lognormal(4.0, 0.8, 900), np.arange(900), ENDPOINTS)
    app = App(workers=16, pool_timeout=2.0, caller_timeout=6.0, other={"GET /search": OtherEndpoint()})
    faults = (Fault(10.0, 30.0, 0.25), Fault(20.0, 40.0, 0.0), Fault(50.0, 52.0, 0.5))
    return Scenario(workload, Service(), app, faults, duration=60.0)


def with_jitter(jitter: str) -> Policy:
    backoff = Backoff(1.0, 2.0, 8.0, jitter)
    return Policy(timeout=3.0, retry=Retry(attempts=4, total_time=None, backoff=backoff, retry_after_limit=None))


def with_budget(budget: RetryBudget, **more: Any) -> Policy:
    retry = Retry(attempts=6, total_time=20.0, backoff=Backoff(0.5, 2.0, 8.0, "decorrelated"), budget=budget, **more)
    return Policy(timeout=3.0, retry=retry)


def broken(**rules: Any) -> Policy:
    return replace(with_jitter("full"), timeout=2.0, breaker=Breaker(recovery_timeout=1.5, **rules))


LONG_RUNS = {
    "none": Policy.none(),
    "naive": Policy.naive(),
    "recommended": Policy.recommended(),
    "openai": Policy.openai_sdk(),
    **{f"{jitter} jitter": with_jitter(jitter) for jitter in JITTERS},
    "a budget per call": with_budget(RetryBudget()),
    "a budget per success": with_budget(RetryBudget(0.3, "success", minimum_rate=0.7, burst=2.5)),
    "a nervous breaker": replace(Policy.naive(), timeout=2.0, breaker=Breaker(2, 1.5, 3)),
    "failure rate over calls": broken(failure_rate=0.4, window=15, recovery_growth=2.0, recovery_jitter=0.5),
    "failure rate over time": broken(failure_rate=0.4, window_seconds=3.0, minimum_calls=5, success_threshold=2),
    "slow calls": broken(slow_call_rate=0.3, slow_call_duration=1.0, window=12, half_open_max_calls=2),
    "waiting for the probe": replace(
        with_budget(RetryBudget(0.5), wait_for_probe=True), timeout=2.0, breaker=Breaker(2, 1.5, 3)
    ),
}


@pytest.mark.parametrize("name", LONG_RUNS)
def test_a_long_run_is_the_same_interpreted_and_compiled(name: str) -> None:
    scenario = busy_minute()
    compiled = replay(scenario, LONG_RUNS[name], seed=7)
    assert len(of(compiled, "llm")) > 250
    assert_same(compiled, replay(scenario, LONG_RUNS[name], seed=7, interpreted=True))


def test_the_long_runs_do_everything() -> None:
    """So that the comparison above compares something."""
    traces = [replay(busy_minute(), policy, seed=7).trace for policy in LONG_RUNS.values()]
    waits = {tuple(trace.attempts["time"]) for trace in traces}
    assert len(waits) == len(LONG_RUNS)  # each does something that no other does
    seen = pd.concat([trace.attempts for trace in traces])
    assert set(seen["outcome"]) >= {"ok", "error", "timeout", "connection", "rejected", "lost"}
    assert set(pd.concat([trace.events for trace in traces])["kind"]) == {"pool", "health", "restart", "breaker"}
    assert (seen["attempt"] > 3).any()


def unlimited(attempts: int, jitter: str) -> Retry:
    backoff = Backoff(1.0, 2.0, 8.0, jitter)
    return Retry(attempts=attempts, total_time=None, backoff=backoff, retry_after_limit=None)


def test_another_seed_changes_the_jitter_and_nothing_else(arrivals, roomy_app, rows) -> None:
    outage = Scenario(arrivals(np.arange(0.0, 20.0, 0.1)), Service(1, 0), roomy_app(), [Fault(0.0, 1e6, 0.0)])
    jittered = Policy(retry=unlimited(3, "full"))
    one, other = (rows(replay(outage, jittered, seed), "llm") for seed in (1, 2))
    first = one["attempt"] == 1
    assert np.array_equal(one["time"][first], other["time"][first])
    assert (one["time"][~first] != other["time"][~first]).all()
    fixed = Policy(retry=unlimited(3, "none"))
    assert_same(replay(outage, fixed, 1), replay(outage, fixed, 2))


def test_two_policies_meet_the_same_draws(arrivals, roomy_app, rows) -> None:
    """The wait before attempt 2 of a request is the same, though the one policy makes many more attempts in between."""
    outage = Scenario(arrivals(np.arange(0.0, 20.0, 0.1)), Service(1, 0), roomy_app(), [Fault(0.0, 1e6, 0.0)])
    few, many = (rows(replay(outage, Policy(retry=unlimited(n, "full")), seed=5), "llm") for n in (2, 9))
    second = many[many["attempt"] == 2]
    assert few["time"][few["attempt"] == 2].tolist() == second["time"].tolist()
    assert len(many) == 4.5 * len(few)
