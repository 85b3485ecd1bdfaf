"""REFERENCE_CHECKS Q1 to Q7: the service against queueing theory, with arrivals and work that the simulator draws.

The rows' own points of Q1 and Q3 stand in test_queueing.py, on arrivals and work that numpy draws; here are others.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget
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
    replay,
)

from . import closed_forms as theory
from .measured import PATIENT, Array, Attempts, calls_of_the_app, on_the_service, starts_of_service

ONE = Exponential(1.0)


@pytest.fixture
def played(roomy_app) -> Callable[..., Attempts]:
    """The attempts of one run, the first tenth left out, while the queue fills."""

    def play(draw, workload, service: Service, duration: float, policy: Policy = PATIENT) -> tuple[Attempts, Attempts]:
        scenario = Scenario(workload, service, roomy_app(), duration=duration)
        return on_the_service(replay(scenario, policy, seed=int(draw.integers(2**62))))

    return play


@pytest.mark.parametrize(
    ("slots", "places", "rate", "duration"), [(4, 8, 5.0, 14_000.0), (1, 4, 1.5, 20_000.0), (3, 2, 3.0, 12_000.0)]
)
def test_q1_a_full_queue_at_other_points(
    played, reproduces, slots: int, places: int, rate: float, duration: float
) -> None:
    """M/M/c/K."""
    expected = theory.bounded_queue(slots, places, rate)

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        attempts = played(draw, Poisson(rate), Service(slots, places, time=ONE), duration)
        served = attempts.of(attempts.ok)
        wait = starts_of_service(served.time, served.end, slots) - served.time
        late = duration / 10.0
        return float((~attempts.ok)[attempts.time > late].mean()), float(wait[served.time > late].mean())

    row = f"Q1 {slots} {places} {rate:g}"
    reproduces(row, {"P(blocked)": expected.blocked, "mean wait": expected.wait}, replicate)


def without_the_noise_of_the_draws(observed: Array, gap: Array, work: Array, wait: Array) -> Array:
    """The means of the columns `observed`, shape (n, k), with the part left out that the draws' own chance explains.

    A queue near its limit forgets slowly: its mean over any affordable run is far off, but mostly because of how much
    work happened to come, and above all while many waited. These control variates have mean 0, whatever the queue does:
    the surplus of each service time and of each gap to the next arrival, alone and times the wait of the moment.
    """
    controls = np.stack([work - 1.0, gap - 1.0, (work - 1.0) * wait, (gap - 1.0) * wait], axis=1)
    size = len(wait) // 40
    blocks = np.concatenate([observed, controls], axis=1)[: 40 * size].reshape(40, size, -1).mean(axis=1)
    k = observed.shape[1]
    design = np.column_stack([np.ones(40), blocks[:, k:]])
    return np.linalg.lstsq(design, blocks[:, :k], rcond=None)[0][0]


@pytest.mark.parametrize(
    ("slots", "rate", "duration"), [(16, 14.0, 20_000.0), (4, 3.0, 20_000.0), (1, 0.8, 30_000.0), (1, 0.5, 40_000.0)]
)
def test_q2_an_endless_queue(played, reproduces, slots: int, rate: float, duration: float) -> None:
    """Erlang C; 16 slots, λ 14: P(wait) 0.508482, mean wait 0.254241 s."""
    expected = theory.erlang_c(slots, rate)

    def replicate(draw: np.random.Generator) -> tuple[float, ...]:
        attempts = played(draw, Poisson(rate), Service(slots, None, time=ONE), duration)
        start = starts_of_service(attempts.time, attempts.end, slots)
        late = slice(np.searchsorted(attempts.time, duration / 20.0), -1)
        gap, work, wait = (np.diff(attempts.time)[late.start :] * rate, (attempts.end - start)[late],
                           (start - attempts.time)[late])  # fmt: skip
        waits, mean_wait = without_the_noise_of_the_draws(np.stack([wait > 1e-9, wait], axis=1), gap, work, wait)
        return waits, mean_wait, float(gap.mean()), float(work.mean())

    names = {"P(wait)": expected.waits, "mean wait": expected.wait, "mean gap": 1.0, "mean work": 1.0}
    reproduces(f"Q2 {slots} {rate:g}", names, replicate)


TIMES = {
    "exponential": ONE,
    "constant": Constant(1.0),
    "lognormal": Lognormal(1.0, 1.5),
    "measured": Empirical([0.2, 0.3, 0.5, 3.0]),
}


@pytest.mark.parametrize(
    ("slots", "load", "time", "requests"),
    [
        (16, 18.0, "measured", 30_000),
        (4, 3.0, "lognormal", 60_000),  # a heavy tail converges slowly
        (1, 0.5, "constant", 20_000),
        (16, 10.0, "exponential", 20_000),
    ],
)
def test_q3_without_a_queue_only_the_mean_work_matters(played, reproduces, slots, load, time, requests) -> None:
    """Erlang B."""

    def replicate(draw: np.random.Generator) -> tuple[float]:
        duration = requests / load
        attempts = played(draw, Poisson(load), Service(slots, 0, time=TIMES[time]), duration)
        return (float((~attempts.ok)[attempts.time > duration / 10.0].mean()),)

    reproduces(f"Q3 {slots} {load:g} {time}", {"P(blocked)": theory.erlang_b(slots, load)}, replicate)


@pytest.mark.parametrize(
    ("workers", "slots", "think", "work"),
    [(10, 16, 1.0, 1.0), (30, 16, 1.0, 1.0), (100, 16, 1.0, 1.0), (12, 4, 2.0, 0.5), (5, 1, 3.0, 1.0)],
)
def test_q4_callers_who_wait(played, reproduces, workers: int, slots: int, think: float, work: float) -> None:
    """A closed loop; 16 slots, think time 1 s: 5.0000 answers a second for 10 workers, 14.5048 for 30, 16 for 100."""
    rate = theory.closed_loop(workers, slots, think, work)
    duration = 20_000.0 / rate

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        loop = ClosedLoop(workers, Exponential(think))
        attempts = played(draw, loop, Service(slots, None, time=Exponential(work)), duration)
        late = attempts.of((attempts.end > duration / 10.0) & (attempts.end < duration))
        return len(late) / (0.9 * duration), float((late.end - late.time).mean())

    expected = {"throughput": rate, "response time": workers / rate - think}  # whoever does not think, is answered
    reproduces(f"Q4 {workers} {slots} {think:g} {work:g}", expected, replicate)


def in_time(played, draw, rate: float, patience: float, discipline: str, duration: float) -> Attempts:
    service = Service(1, None, time=ONE, discipline=discipline)
    return played(draw, Poisson(rate), service, duration, Policy(timeout=patience))


@pytest.mark.parametrize(
    ("rate", "patience", "discipline", "duration"),
    [
        (0.8, 5.0, "fifo", 150_000.0),
        (0.5, 2.0, "fifo", 40_000.0),
        (0.8, 5.0, "lifo", 40_000.0),
        (0.8, 5.0, "deadline", 40_000.0),
        (1.2, 5.0, "lifo", 30_000.0),
        (1.2, 5.0, "deadline", 30_000.0),
        (3.0, 2.0, "lifo", 6000.0),
        (2.0, 3.0, "deadline", 20_000.0),
    ],
)
def test_q5_and_q6_callers_give_up(played, reproduces, rate, patience, discipline, duration) -> None:
    """M/M/1, abandoned work goes on; patience 5 s. λ 0.8, fifo: 0.5057 answers in time per second (Q5). λ 1.2: lifo
    about 0.785, fifo that drops what is past its deadline about 0.706 (Q6)."""
    goodput = {"fifo": theory.fifo_in_time, "lifo": theory.lifo_in_time, "deadline": theory.deadline_in_time}

    def replicate(draw: np.random.Generator) -> tuple[float]:
        attempts = in_time(played, draw, rate, patience, discipline, duration)
        return (float((attempts.ok & (attempts.time > 0.1 * duration)).sum()) / (0.9 * duration),)

    expected = {"goodput": goodput[discipline](rate, patience)}
    reproduces(f"Q5 Q6 {rate:g} {patience:g} {discipline}", expected, replicate)


@pytest.mark.parametrize("rate", [1.2, 2.0])
def test_q6_an_overloaded_first_come_first_served_queue_ends_in_work_for_nobody(played, reproduces, rate) -> None:
    def replicate(draw: np.random.Generator) -> list[float]:
        attempts = in_time(played, draw, rate, 5.0, "fifo", 10_000.0)
        edges = [0.0, 30.0, 300.0, 3000.0, 10_000.0]
        shares = [attempts.ok[(attempts.time >= a) & (attempts.time < b)].mean() for a, b in pairwise(edges)]
        assert shares[0] > shares[2] < 0.1
        return shares[3:]

    reproduces(f"Q6 fifo {rate:g}", {"P(in time)": 0.0}, replicate)


# ---- Q7: nothing is lost, in any run

ASKING, SEARCHING = "POST /answer", "GET /search"


def seconds(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most)


DISTRIBUTIONS = st.one_of(
    seconds(0.01, 2.0).map(Constant),
    seconds(0.01, 2.0).map(Exponential),
    st.builds(Lognormal, seconds(0.01, 2.0), st.floats(0.0, 1.5)),
    st.lists(seconds(0.01, 3.0), min_size=1, max_size=4).map(Empirical),
)
RECIPES = st.one_of(
    st.builds(Poisson, st.floats(0.1, 8.0), st.sampled_from([ASKING, SEARCHING]), writes=st.sampled_from([0.0, 0.5])),
    st.builds(Bursts, st.integers(1, 20), st.floats(2.0, 20.0), st.sampled_from([0.0, 1.0])),
)
WORKLOADS = st.one_of(
    st.lists(RECIPES, min_size=1, max_size=3).map(tuple),
    st.builds(ClosedLoop, st.integers(1, 20), DISTRIBUTIONS),
)
SERVICES = st.builds(
    Service,
    slots=st.integers(1, 4),
    queue_limit=st.none() | st.integers(0, 6),
    time=DISTRIBUTIONS | st.builds(Llm, seconds(0.01, 1.0), seconds(0.0, 0.1), st.floats(0.0, 2.0)),
    discipline=st.sampled_from(["fifo", "lifo", "deadline"]),
    retry_after=st.sampled_from([0.0, 2.0]),
    rejection_seconds=st.sampled_from([0.0, 0.3]),
    cancel_on_disconnect=st.booleans(),
    rate_limit=st.none() | st.builds(RateLimit, st.floats(1.0, 60.0), st.none(), st.just(10.0)),
    network=st.none() | DISTRIBUTIONS,
)
FAULTS = st.builds(
    lambda start, length, capacity, latency, error, refuse, hang: Fault(
        start, start + length, capacity, latency=latency, error=error, refuse=refuse, hang=hang
    ),
    seconds(0.0, 25.0), seconds(0.5, 20.0), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.5, 1.0, 3.0]),
    *[st.sampled_from([0.0, 0.0, 0.3])] * 3,
)  # fmt: skip
APPS = st.builds(
    App,
    workers=st.integers(1, 10),
    pool_timeout=seconds(0.5, 5.0),
    caller_timeout=seconds(0.5, 15.0),
    other=st.just({SEARCHING: OtherEndpoint(0.5, 2.0)}),
    restart_seconds=st.sampled_from([1.0, 5.0]),
    instances=st.integers(1, 3),
    balancer=st.sampled_from(["round_robin", "random", "least_busy"]),
    hold_during_backoff=st.booleans(),
    shared_breaker=st.booleans(),
    writes=st.sampled_from(["once", "blind", "keyed"]),
)
POLICIES = st.builds(
    Policy,
    seconds(0.2, 5.0),
    st.none()
    | st.builds(
        Retry,
        st.integers(1, 5),
        total_time=st.none() | seconds(0.5, 20.0),
        backoff=st.sampled_from([Backoff(0.2, 2.0, 2.0, "full"), Backoff(0.1, 1.0, 0.1, "none")]),
        wait_for_probe=st.booleans(),
        budget=st.none() | st.builds(RetryBudget, st.sampled_from([0.0, 0.2]), st.sampled_from(["call", "success"])),
    ),
    st.none() | st.builds(Breaker, st.integers(1, 4), seconds(0.5, 5.0), half_open_timeout=st.just(20.0)),
)
ENDED = {"ok", "error", "throttled", "client_error", "timeout", "connection", "cancelled"}


@settings(max_examples=100)
@given(
    WORKLOADS, SERVICES, APPS, st.lists(FAULTS, max_size=3), st.lists(POLICIES, min_size=1, max_size=2),
    st.sampled_from([10, 50_000_000]), st.integers(0, 2**63 - 1),
)  # fmt: skip
def test_q7_every_attempt_and_every_request_is_accounted_for(
    workload, service, app, faults, policies, most_attempts, seed
) -> None:
    """attempts = served + rejected + failed + in flight; requests = ok + failed + in flight."""
    scenario = Scenario(workload, service, app, faults, duration=30.0)
    run = replay(scenario, policies, seed, most_attempts=most_attempts)
    summary, requests, told = run.summary(), run.requests, run.trace.attempts
    llm, calls = told[told["service"] == "llm"], told[told["service"] == "app"]
    cut = run.cut_off is not None

    # attempts: each row has one outcome, "lost" without a latency and only where somebody lost it
    outcomes = llm["outcome"].value_counts()
    assert sum(outcomes[word] for word in (*ENDED, "rejected", "lost")) == len(llm)
    assert (llm["latency"].isna() == (llm["outcome"] == "lost")).all()
    assert cut or summary["restarts"] > 0 or outcomes["lost"] == 0
    assert (summary["attempts"], summary["rejected"]) == (len(llm) - outcomes["rejected"], outcomes["rejected"])
    assert summary["attempts"] <= most_attempts
    of = llm.groupby("request")["attempt"]
    assert (of.count() == of.nunique()).all() and (of.min() == 1).all() and (of.max() == of.count()).all()

    # requests: one row each, answered or failed unless the run was cut off, and its attempts are those of the trace
    assert calls["request"].is_unique and set(calls["request"]) == set(requests["request"])
    assert len(requests) == summary["requests"] + summary["other_requests"]
    assert requests["attempts"].sum() == len(llm)
    ended = requests["outcome"] != "lost"
    assert summary["in_flight"] == (~ended).sum()
    assert cut or ended.all()
    asking = requests[requests["endpoint"] == ASKING]
    assert summary["requests"] == len(asking)
    assert summary["answered"] == (asking["outcome"] == "ok").sum()
    served = set(llm["request"][llm["outcome"] == "ok"])
    assert set(asking["request"][asking["outcome"] == "ok"]) <= served
    assert served <= set(asking["request"])


def books(run: Run, slots: int) -> tuple[Attempts, Array]:
    """The attempts that were accepted, and when each began to be served."""
    attempts = on_the_service(run)
    served = attempts.of(attempts.ok)
    return served, starts_of_service(served.time, served.end, slots)


@settings(max_examples=100)
@given(st.integers(1, 6), st.none() | st.integers(0, 8), st.floats(0.3, 3.0), DISTRIBUTIONS, st.integers(0, 2**63 - 1))
def test_q7_slots_and_places_are_filled_and_not_more(
    slots: int, places: int | None, load: float, time, seed: int
) -> None:
    """First come, first served: a slot is idle only if nobody waits, and who is refused finds all of them taken."""
    mean = float(time.sample(np.random.default_rng(0), 1000).mean())
    patient = App(workers=10**6, pool_timeout=1e9, caller_timeout=1e9, health_interval=1e6)
    scenario = Scenario(Poisson(load * slots / mean), Service(slots, places, time=time), patient, duration=200.0 * mean)
    run = replay(scenario, PATIENT, seed)
    served, start = books(run, slots)
    leaving = np.sort(served.end)
    in_service = np.arange(len(start)) + 1 - np.searchsorted(leaving, np.sort(start), side="right")
    assert (in_service <= slots).all()
    attempts = on_the_service(run)
    before = np.searchsorted(served.time, attempts.time, side="left")
    present = before - np.searchsorted(leaving, attempts.time, side="right")
    room = np.inf if places is None else slots + places
    assert np.array_equal(attempts.ok, present < room)


@pytest.mark.parametrize(("slots", "places", "rate"), [(3, None, 2.7), (3, 4, 4.0), (16, 16, 18.0)])
def test_q7_littles_law_and_busy_time(roomy_app, slots: int, places: int | None, rate: float) -> None:
    """What the service is seen to have in hand, sample by sample, is what the times of the attempts say; so the mean
    number waiting is the rate times the mean wait, and busy slots are the rate times the work given."""
    run = replay(Scenario(Poisson(rate), Service(slots, places, time=ONE), roomy_app(), duration=3000.0), PATIENT, 7)
    served, start = books(run, slots)
    seen = run.timeline(0.5)[["in_service", "queued"]].dropna()
    moment = seen.index.to_numpy()
    come, begun, gone = (
        np.searchsorted(np.sort(times), moment, side="right") for times in (served.time, start, served.end)
    )
    assert len(seen) > 5900
    assert seen["in_service"].tolist() == (begun - gone).tolist()
    assert seen["queued"].tolist() == (come - begun).tolist()
    span = served.end.max()
    at_change = np.sort(np.concatenate([served.time, start, served.end]))
    width = np.diff(at_change)
    counts = [
        np.searchsorted(np.sort(times), at_change[:-1], side="right") for times in (served.time, start, served.end)
    ]
    waiting, working = ((counts[0] - counts[1]) * width).sum() / span, ((counts[1] - counts[2]) * width).sum() / span
    assert waiting == pytest.approx(len(served) / span * (start - served.time).mean())
    assert working == pytest.approx(len(served) / span * (served.end - start).mean())
    assert seen["queued"].mean() == pytest.approx(waiting, rel=0.1)
    assert seen["in_service"].mean() == pytest.approx(working, rel=0.03)


@pytest.mark.parametrize("time", [Constant(0.7), Empirical([0.25, 0.5, 2.0]), Llm(0.2, 0.05, slowdown=0.0)])
def test_q7_the_work_given_is_the_work_that_was_asked_for(roomy_app, time) -> None:
    """Busy time to the last attempt: each holds its slot for as long as its draw says, and no longer."""
    workload = Poisson(3.0, tokens=Empirical([0.0, 10.0, 40.0]))
    run = replay(Scenario(workload, Service(3, None, time=time), roomy_app(), duration=2000.0), PATIENT, 3)
    served, start = books(run, 3)
    work = served.end - start
    if isinstance(time, Llm):
        tokens = run.scenario.arrivals(3).tokens[served.request]
        assert work == pytest.approx(0.2 + 0.05 * tokens)
    else:
        allowed = [0.7] if isinstance(time, Constant) else [0.25, 0.5, 2.0]
        nearest = np.abs(work[:, None] - np.array(allowed)).argmin(axis=1)
        assert work == pytest.approx(np.array(allowed)[nearest])
        assert pd.Series(nearest).value_counts(normalize=True).between(0.9 / len(allowed), 1.1).all()


def test_q7_a_request_s_latency_is_that_of_its_attempts_and_waits(roomy_app) -> None:
    """With a free worker, a call begins with its first attempt and ends with its last."""
    policy = Policy(timeout=2.0, retry=Retry(4, total_time=None, backoff=Backoff(0.5, 2.0, 4.0, "full")))
    run = replay(Scenario(Poisson(4.0), Service(2, 3, time=ONE), roomy_app(), duration=500.0), policy, 5)
    sent, calls = on_the_service(run), calls_of_the_app(run)
    ends = pd.Series(sent.end).groupby(sent.request).max()
    begins = pd.Series(sent.time).groupby(sent.request).min()
    assert np.allclose(calls["time"], begins.loc[calls["request"]])
    assert np.allclose(calls["time"] + calls["latency"], ends.loc[calls["request"]])
