"""How many attempts a request costs when each fails with probability p: in closed form, and simulated.

With at most n attempts it is (1 - p**n) / (1 - p), and with K layers of n attempts around one another, where each layer
sees only failures that the one below could not mend, (1 - p**(n**K)) / (1 - p): up to n**K. (Wald's identity, layer by
layer; M. Brooker, "Fixing retries with token buckets and circuit breakers", 2022; Google, "Site Reliability
Engineering", 2016, ch. 21.)
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from breakerlab.policy import Backoff, Policy, Retry, RetryBudget
from breakerlab.replay import App, Constant, Fault, Poisson, Scenario, Service, replay
from breakerlab.replay.comparison import t_quantile

PATIENCE: Final = 3600.0  # s
NO_LIMIT: Final = 10**6
AT_ONCE: Final = Backoff(base=1e-6, factor=1.0, cap=1e-6, jitter="none")
RATE: Final = 100.0  # requests/s


def attempts_per_request(probability: float, attempts: int, layers: int = 1) -> float:
    """The closed form. probability: of a failure, in [0, 1]. attempts: per layer, at least 1. layers: at least 1."""
    most = attempts**layers
    return float(most) if probability == 1.0 else (1.0 - probability**most) / (1.0 - probability)


def attempts_under_budget(probability: float, attempts: int, ratio: float, deposit: str) -> float:
    """The closed form under a retry budget, in the long run: what the cap allows, or the bound, whichever is less.

    ratio: of a token, earned by each "call" or by each "success", as `deposit` says. With r of it, calls bound the
    attempts by 1 + r, and successes by 1/(1 - r + r p): there are (1 - p) successes in an attempt.
    """
    bound = 1.0 + ratio if deposit == "call" else 1.0 / (1.0 - ratio + ratio * probability)
    return min(attempts_per_request(probability, attempts), bound)


def simulated_load(
    probabilities: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    attempts: int = 4,
    layers: Sequence[int] = (1, 2, 3),
    *,
    requests: int = 500,
    seeds: int = 5,
) -> pd.DataFrame:
    """Attempts per request in `replay`, on a service that is never full and fails each attempt with the probability.

    Columns: `probability`, `layers`, `mean` over the seeds (at least 2), and its 95 % interval `low` to `high`.
    requests: about so many in each run.
    """
    one = Policy(retry=Retry(attempts=attempts, total_time=None, final_reserve=0.0, backoff=AT_ONCE))
    rows = []
    for count in layers:
        for probability in probabilities:
            scenario = failing(probability, requests / RATE)
            values = [replay(scenario, (one,) * count, seed).summary()["amplification"] for seed in range(seeds)]
            half = t_quantile(0.975, seeds - 1) * float(np.std(values, ddof=1)) / seeds**0.5
            mean = float(np.mean(values))
            rows.append(
                {"probability": probability, "layers": count, "mean": mean, "low": mean - half, "high": mean + half}
            )
    return pd.DataFrame(rows)


def capped_and_budgeted(
    probabilities: Sequence[float] = (0.01, 0.1, 0.5, 0.9, 1.0),
    attempts: int = 4,
    ratio: float = 0.1,
    *,
    requests: int = 4000,
    seed: int = 0,
) -> pd.DataFrame:
    """Attempts per request under a cap alone, and under a budget besides: simulated, and what theory says.

    One row for each probability that an attempt fails. ratio: of a token, which each call earns, or each success.
    """
    retry = Retry(attempts=attempts, total_time=None, final_reserve=0.0, backoff=AT_ONCE)
    per_call, per_success = (replace(retry, budget=RetryBudget(ratio, deposit)) for deposit in ("call", "success"))

    def load(kept: Retry, probability: float) -> float:
        return replay(failing(probability, requests / RATE), Policy(retry=kept), seed).summary()["amplification"]

    rows = {
        p: {
            f"cap of {attempts}": load(retry, p),
            "budget per call": load(per_call, p),
            "theory, per call": attempts_under_budget(p, attempts, ratio, "call"),
            "budget per success": load(per_success, p),
            "theory, per success": attempts_under_budget(p, attempts, ratio, "success"),
        }
        for p in probabilities
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("an attempt fails")


def failing(probability: float, seconds: float) -> Scenario:
    """Callers for `seconds`, on a service that is never full and fails each attempt with the probability."""
    return Scenario(
        Poisson(RATE),
        Service(slots=NO_LIMIT, queue_limit=None, time=Constant(0.001)),
        App(workers=NO_LIMIT, pool_timeout=PATIENCE, caller_timeout=PATIENCE, health_interval=PATIENCE),
        (Fault(0.0, 10.0 * PATIENCE, error=probability),),
        duration=seconds,
        name=f"each attempt fails with probability {probability:g}",
    )
