"""REFERENCE_CHECKS R1 to R6 through the simulator: what retries cost, and what bounds them."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from breakerlab.policy import Backoff, Policy, RetryBudget
from breakerlab.replay import Constant, Exponential, Fault, Poisson, Run, Scenario, Service, replay

from . import closed_forms as theory
from .measured import on_the_service, retrying

QUICK = Constant(0.01)  # s
ROOMY = Service(slots=10_000, queue_limit=None, time=QUICK)
RATE = 100.0  # requests/s
Play = Callable[..., Run]


@pytest.fixture
def play(roomy_app) -> Play:
    """A run of `duration` s, every draw of it from `draw`."""

    def run(
        draw: np.random.Generator,
        service: Service,
        faults: Sequence[Fault],
        policy: Policy | Sequence[Policy],
        rate: float = RATE,
        duration: float = 50.0,
    ) -> Run:
        scenario = Scenario(Poisson(rate), service, roomy_app(), faults, duration)
        return replay(scenario, policy, seed=int(draw.integers(2**62)))

    return run


# ---- R1, R2: independent failures

WAYS = {  # to fail with probability p, each for itself
    "error": lambda p: Fault(0.0, np.inf, error=p),
    "refuse": lambda p: Fault(0.0, np.inf, refuse=p),
    "hang": lambda p: Fault(0.0, np.inf, hang=p),
    "any": lambda p: Fault(0.0, np.inf, error=0.5 * p, refuse=0.3 * p, hang=0.2 * p),
}


@pytest.mark.parametrize(
    ("attempts", "p", "way"), [*((4, 0.5, way) for way in WAYS), (1, 0.3, "any"), (3, 0.2, "any"), (6, 0.8, "any")]
)
def test_r1_attempts_per_request(play: Play, reproduces, attempts: int, p: float, way: str) -> None:
    """(1 - p**n) / (1 - p) attempts, 1 - p**n success; n 4, p 0.5: 1.875 and 0.9375."""

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        seen = play(draw, ROOMY, [WAYS[way](p)], retrying(attempts, timeout=1.0), duration=120.0).summary()
        return seen["amplification"], 1.0 - seen["success_rate"]

    expected = {"attempts": theory.attempts_per_request(attempts, p), "P(failed)": p**attempts}
    reproduces(f"R1 {attempts} {p} {way}", expected, replicate)


DOWN = {
    "no slot": (Service(slots=1, queue_limit=0, time=QUICK), Fault(0.0, np.inf, capacity=0.0)),  # 503
    "error": (ROOMY, WAYS["error"](1.0)),
    "refuse": (ROOMY, WAYS["refuse"](1.0)),
    "hang": (ROOMY, WAYS["hang"](1.0)),
}


@pytest.mark.parametrize(
    ("layers", "product", "down"),
    [
        *(([4] * 3, 64, down) for down in DOWN),
        ([2] * 4, 16, "hang"),
        ([10] * 2, 100, "no slot"),
        ([5], 5, "error"),
        ([3, 1, 2, 4], 24, "no slot"),
    ],
)
def test_r2_layers_of_retries_multiply(play: Play, reproduces, layers: list[int], product: int, down: str) -> None:
    """n**K attempts where K layers of n each stand around a service that is down; 4 attempts, 3 layers: 64."""
    service, fault = DOWN[down]
    assert theory.layered_attempts(layers, 1.0) == product
    policies = [retrying(n) for n in layers[:-1]] + [retrying(layers[-1], timeout=1.0)]

    def replicate(draw: np.random.Generator) -> tuple[float, float, float]:
        run = play(draw, service, [fault], policies, rate=2.0)
        each = run.requests["attempts"]
        return run.summary()["amplification"], each.min(), each.max()

    expected = {"attempts": product, "fewest": product, "most": product}
    reproduces(f"R2 {layers} {down}", expected, replicate)


@pytest.mark.parametrize(("layers", "p"), [([4, 4, 4], 0.95), ([3, 2], 0.7), ([2, 2, 2, 2], 0.8)])
def test_r2_layers_around_a_service_that_fails_at_times(play: Play, reproduces, layers: list[int], p: float) -> None:
    """An attempt of a layer fails if all of the next have: p**n; the attempts of all layers multiply still."""

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        seen = play(draw, ROOMY, [WAYS["error"](p)], [retrying(n) for n in layers], duration=60.0).summary()
        return seen["amplification"], 1.0 - seen["success_rate"]

    expected = {"attempts": theory.layered_attempts(layers, p), "P(failed)": p ** int(np.prod(layers))}
    reproduces(f"R2 {layers} {p}", expected, replicate)


# ---- R3: retries into a full queue

WAIT = 80.0  # s, half of it at least: by then the queue has forgotten
LATE = Backoff(base=WAIT, factor=1.0, cap=WAIT, jitter="equal")


QUEUES = [(16, 16, 18.0, 3), (16, 16, 25.0, 3), (4, 2, 8.0, 3), (1, 3, 2.0, 3), (8, 0, 8.0, 4)]
REQUESTS = [36_000, 36_000, 36_000, 25_000, 30_000]


@pytest.mark.parametrize(
    ("slots", "places", "rate", "attempts", "requests"), [(*q, n) for q, n in zip(QUEUES, REQUESTS, strict=True)]
)
def test_r3_retries_raise_the_load_that_they_meet(play: Play, reproduces, slots, places, rate, attempts, requests):
    """B = B(λ (1 + B + B²)) with three attempts; 16 slots, 16 places, λ 18: B 0.48075, P(failed) 0.1111."""
    made, failed = theory.retries_into_a_full_queue(slots, places, rate, 1.0, attempts)
    service = Service(slots, places, time=Exponential(1.0))
    climbing, duration = 5.0 * WAIT, requests / rate

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        seen = play(draw, service, [], retrying(attempts, backoff=LATE), rate, duration).requests
        seen = seen[seen["time"].between(climbing, duration - (attempts - 1) * WAIT)]
        return float(seen["attempts"].mean()), float((seen["outcome"] != "ok").mean())

    expected = {"attempts": made, "P(failed)": failed}
    reproduces(f"R3 {slots} {places} {rate:g} {attempts}", expected, replicate)


def test_r3_has_one_solution() -> None:
    """Else a run could be in either: B(λ (1 + B + B²)) - B changes its sign once."""
    for slots, places, rate, attempts in QUEUES:
        guess = np.linspace(0.0, 1.0, 2001)
        loads = [rate * theory.attempts_per_request(attempts, b) for b in guess]
        above = np.array([theory.bounded_queue(slots, places, load).blocked for load in loads]) > guess
        assert np.count_nonzero(above[1:] != above[:-1]) == 1


# ---- R4, R5: budgets


def load(run: Run, since: float = 10.0) -> tuple[float, float]:
    """Retries per request and success rate, once the tokens of the start are spent."""
    attempts = on_the_service(run)
    late = attempts.of(attempts.time > since)
    requests = np.count_nonzero(late.attempt == 1)
    return len(late) / requests - 1.0, np.count_nonzero(late.ok) / requests


@pytest.mark.parametrize(
    ("ratio", "p", "duration"),
    [(0.1, 0.05, 600.0), (0.1, 0.3, 200.0), (0.1, 0.9, 200.0), (0.1, 1.0, 200.0), (0.25, 0.6, 100.0)],
)  # fmt: skip
def test_r4_a_budget_that_calls_fill(play: Play, reproduces, ratio: float, p: float, duration: float) -> None:
    """A load of min(1 / (1 - p), 1 + ratio); of what it adds to 1, 2 % is the precision."""
    expected = theory.load_with_budget_per_call(ratio, p) if p < 1.0 else 1.0 + ratio
    policy = retrying(100, budget=RetryBudget(ratio))

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        return load(play(draw, ROOMY, [WAYS["error"](p)], policy, duration=duration))

    reproduces(f"R4 {ratio} {p}", {"retries": expected - 1.0, "P(answered)": expected * (1.0 - p)}, replicate)


@pytest.mark.parametrize(
    ("ratio", "p", "duration"),
    [(0.1, 0.9, 400.0), (0.1, 0.5, 150.0), (0.5, 0.8, 150.0), (0.1, 0.05, 600.0)],
)
def test_r5_a_budget_that_successes_fill(play: Play, reproduces, ratio: float, p: float, duration: float) -> None:
    """A load of 1 / (1 - ratio (1 - p)) when saturated, p 0.9: 1.0101; else of 1 / (1 - p)."""
    expected = theory.load_with_budget_per_success(ratio, p)
    policy = retrying(100, budget=RetryBudget(ratio, deposit="success"))

    def replicate(draw: np.random.Generator) -> tuple[float, float]:
        return load(play(draw, ROOMY, [WAYS["error"](p)], policy, duration=duration))

    reproduces(f"R5 {ratio} {p}", {"retries": expected - 1.0, "P(answered)": expected * (1.0 - p)}, replicate)


# ---- R6: the waits that a run makes

MEANS = {
    "none": lambda n: 2.0**n,
    "full": lambda n: 2.0**n / 2.0,
    "equal": lambda n: 0.75 * 2.0**n,
    "decorrelated": lambda n: 2.0 * 1.5 ** (n + 1) - 1.0,  # its first delay is n = 1
}


@pytest.mark.parametrize("jitter", MEANS)
def test_r6_the_mean_waits_of_a_run(play: Play, reproduces, jitter: str) -> None:
    base, attempts = 0.7, 6
    policy = retrying(attempts, backoff=Backoff(base=base, factor=2.0, cap=1e6, jitter=jitter))

    def replicate(draw: np.random.Generator) -> list[float]:
        sent = on_the_service(play(draw, ROOMY, [WAYS["refuse"](1.0)], policy, rate=60.0))
        order = np.lexsort((sent.attempt, sent.request))
        return list(np.diff(sent.time[order].reshape(-1, attempts), axis=1).mean(axis=0))

    expected = {f"wait {n}": base * MEANS[jitter](n) for n in range(attempts - 1)}
    if jitter == "none":
        assert replicate(np.random.default_rng(0)) == pytest.approx(list(expected.values()))
    else:
        reproduces(f"R6 {jitter}", expected, replicate)
