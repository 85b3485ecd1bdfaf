"""The service against queueing theory and against a second, independent program."""

import heapq
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.replay import Fault, Llm, Run, Scenario, Service, replay

UNLIMITED = 10**9
PATIENT = Policy(timeout=1e9)
TINY = 1e-9  # s; a service needs some time to the first token


def poisson(draw: np.random.Generator, rate: float, n: int) -> np.ndarray:
    return np.cumsum(draw.exponential(1.0 / rate, n))


def fifo_recursion(time: np.ndarray, work: np.ndarray, slots: int) -> np.ndarray:
    """Time in system, FIFO without limit: each takes the slot that is free first (Lindley, Kiefer and Wolfowitz)."""
    free_at = [0.0] * slots
    latency = []
    for t, w in zip(time, work, strict=True):
        end = max(t, heapq.heappop(free_at)) + w
        heapq.heappush(free_at, end)
        latency.append(end - t)
    return np.array(latency)


def bounded_queue(time, work, slots: int, places: int, slowdown: float) -> tuple[np.ndarray, np.ndarray]:
    """Time in system and refusals, with a bounded queue and service that slows down with the number in hand."""
    ends: list[tuple[float, int]] = []
    waiting: deque[int] = deque()
    latency = np.full(len(time), np.nan)

    def start(i: int, now: float) -> None:
        crowd = len(ends) / max(slots - 1, 1)
        end = now + work[i] * (1.0 + slowdown * crowd)
        latency[i] = end - time[i]
        heapq.heappush(ends, (end, i))

    def finish_until(moment: float) -> None:
        while ends and ends[0][0] < moment:
            now, _ = heapq.heappop(ends)
            if waiting:
                start(waiting.popleft(), now)

    for i, t in enumerate(time):
        finish_until(t)
        if len(ends) < slots:
            start(i, t)
        elif len(waiting) < places:
            waiting.append(i)
    finish_until(np.inf)
    return latency, np.isnan(latency)


@pytest.mark.parametrize("slots", [1, 3, 16])
@pytest.mark.parametrize("sizes", ["constant", "exponential", "lognormal"])
def test_waiting_follows_the_fifo_recursion(arrivals, roomy_app, rows, slots: int, sizes: str) -> None:
    draw = np.random.default_rng([*f"fifo {slots} {sizes}".encode()])
    tokens = {
        "constant": np.full(3000, 20.0),
        "exponential": draw.exponential(20.0, 3000),
        "lognormal": draw.lognormal(2.0, 1.5, 3000),
    }[sizes]
    service = Service(slots, UNLIMITED, time=Llm(0.2, 0.05, 0.0))
    work = 0.2 + tokens * 0.05
    time = poisson(draw, 0.95 * slots / work.mean(), 3000)
    run = replay(Scenario(arrivals(time, tokens), service, roomy_app()), PATIENT)
    llm = rows(run, "llm")
    assert (llm["outcome"] == "ok").all()
    assert np.allclose(llm["latency"], fifo_recursion(time, work, slots), rtol=1e-9)
    assert (llm["latency"] - work > 1e-6).sum() > 300  # some did wait
    assert np.array_equal(llm["latency"], rows(run, "app")["latency"])  # a free worker adds nothing


@pytest.mark.parametrize("slots", [1, 2, 8])
@pytest.mark.parametrize("places", [0, 1, 8])
@pytest.mark.parametrize("slowdown", [0.0, 0.5, 3.0])
def test_a_bounded_queue_and_a_slow_crowd(arrivals, roomy_app, rows, slots: int, places: int, slowdown: float) -> None:
    draw = np.random.default_rng([slots, places])
    tokens = draw.exponential(10.0, 2000)
    time = poisson(draw, 1.1 * slots, 2000)
    service = Service(slots, places, time=Llm(0.1, 0.09, slowdown), retry_after=2.5)
    llm = rows(replay(Scenario(arrivals(time, tokens), service, roomy_app()), PATIENT), "llm")
    latency, refused = bounded_queue(time, 0.1 + 0.09 * tokens, slots, places, slowdown)
    assert 0 < refused.sum() < 2000
    assert np.array_equal(llm["status"] == 503, refused)
    assert np.allclose(llm["latency"][~refused], latency[~refused], rtol=1e-9)
    assert (llm["latency"][refused] == 0.0).all()
    assert (llm["retry_after"][refused] == 2.5).all() and llm["retry_after"][~refused].isna().all()


def blocked_and_wait(run: Run, tokens: np.ndarray) -> tuple[float, float]:
    """Share of refused attempts, mean wait of the others; the first tenth, when the queue fills, is left out."""
    attempts = run.trace.attempts
    llm = attempts[attempts["service"] == "llm"]  # one attempt a request, so their order in time is that of requests
    late = slice(len(llm) // 10, None)
    refused = (llm["outcome"] != "ok").to_numpy()[late]
    wait = (llm["latency"].to_numpy() - tokens)[late][~refused]
    return float(refused.mean()), float(wait.mean())


def test_q1_a_full_queue(arrivals, roomy_app, reproduces: Callable[..., None]) -> None:
    """M/M/16 with 16 queue places, λ 18, μ 1."""

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        n = 120_000
        tokens = draw.exponential(1.0, n)
        service = Service(16, 16, time=Llm(TINY, 1.0, 0.0))
        run = replay(Scenario(arrivals(poisson(draw, 18.0, n), tokens), service, roomy_app()), PATIENT)
        return blocked_and_wait(run, tokens)

    reproduces("Q1", {"P(blocked)": 0.120811, "mean wait": 0.633141}, replicate)


@pytest.mark.parametrize("sizes", ["exponential", "constant", "lognormal"])
def test_q3_erlang_b_does_not_mind_the_distribution(
    arrivals, roomy_app, reproduces: Callable[..., None], sizes: str
) -> None:
    """No queue, 16 slots, offered load 18: Erlang's B, whatever the service time's distribution."""

    def replicate(draw: np.random.Generator) -> tuple[float]:
        n = 170_000 if sizes == "lognormal" else 20_000  # a heavy tail converges slowly
        tokens = {
            "exponential": lambda: draw.exponential(1.0, n),
            "constant": lambda: np.ones(n),
            "lognormal": lambda: draw.lognormal(-1.125, 1.5, n),  # mean 1
        }[sizes]()
        service = Service(16, 0, time=Llm(TINY, 1.0, 0.0))
        run = replay(Scenario(arrivals(poisson(draw, 18.0, n), tokens), service, roomy_app()), PATIENT)
        return (blocked_and_wait(run, tokens)[0],)

    reproduces(f"Q3 {sizes}", {"P(blocked)": 0.23569}, replicate)


def test_r3_retries_raise_the_load_that_they_meet(arrivals, roomy_app, rows, reproduces: Callable[..., None]) -> None:
    """Q1's service with three attempts and a very long backoff: the fixed point of B = B(λ (1 + B + B²))."""
    blocked = 0.48075
    backoff = Backoff(base=60.0, factor=1.0, cap=60.0, jitter="full")
    policy = Policy(timeout=1e9, retry=Retry(attempts=3, total_time=None, final_reserve=0.0, backoff=backoff))

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        time = poisson(draw, 18.0, 50_000)
        service = Service(16, 16, time=Llm(TINY, 1.0, 0.0))
        scenario = Scenario(arrivals(time, draw.exponential(1.0, len(time))), service, roomy_app())
        run = replay(scenario, policy, seed=int(draw.integers(2**62)))
        steady = (time > 1500.0) & (time < time[-1] - 200.0)  # the load has climbed, and not begun to fall
        made = rows(run, "llm").groupby("request").size().to_numpy()
        failed = (rows(run, "app")["outcome"] != "ok").to_numpy()
        return float(made[steady].mean()), float(failed[steady].mean())

    reproduces("R3", {"attempts": 1 + blocked + blocked**2, "P(failed)": 0.1111}, replicate)


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_r1_when_everything_fails_each_request_makes_all_its_attempts(arrivals, roomy_app, rows, attempts: int) -> None:
    backoff = Backoff(base=1.0, factor=2.0, cap=8.0, jitter="full")
    policy = Policy(retry=Retry(attempts=attempts, total_time=None, backoff=backoff))
    scenario = Scenario(arrivals(np.arange(50.0)), Service(4, 0), roomy_app(), [Fault(0.0, 1e6, 0.0)])
    run = replay(scenario, policy)
    assert len(rows(run, "llm")) == 50 * attempts
    assert run.summary()["amplification"] == attempts
    assert set(rows(run, "app")["status"]) == {502}
