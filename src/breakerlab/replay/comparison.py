"""`compare`: several policies in one scenario at the same seeds, and which of their differences are more than noise."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from breakerlab.policy import Policy
from breakerlab.replay.replicates import Progress, seed_list, side_by_side
from breakerlab.replay.run import replay
from breakerlab.replay.scenario import Scenario

Floats = NDArray[np.float64]
Policies = Mapping[str, Policy | Sequence[Policy]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison:
    """Paired differences between policies and a baseline.

    baseline: its name. confidence: of the intervals, from 0 to 1. seeds: the seeds that every policy was played with.
    summaries: one row per policy and seed: `policy`, `seed`, and what `Run.summary` says. table: one row per policy
    (but the baseline) and quantity; see `compare`. cut_off: one sentence for each run that was stopped at a limit, so
    that its summary is of a part. scenario: in which all of them were played, if that is known.
    """

    baseline: str
    confidence: float
    seeds: tuple[int, ...]
    summaries: pd.DataFrame
    table: pd.DataFrame
    cut_off: tuple[str, ...] = ()
    scenario: Scenario | None = None

    def __repr__(self) -> str:
        return "\n".join(_told(self))


def compare(
    scenario: Scenario,
    policies: Policies,
    seeds: int | Sequence[int] = 20,
    *,
    baseline: str | None = None,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> Comparison:
    """Play every policy in `scenario` at the same seeds; compare each with the baseline, seed by seed.

    The random draws belong to seed, request and attempt, so at one seed all policies meet the same callers, service
    times and jitter; only the differences within a seed are judged.

    policies: at least two, by name; a sequence of policies is layered retries, outermost first. seeds: how many (0, 1,
    ...), at least 2, or which. baseline: the name of the policy that the others are compared with, the first if None.
    confidence: above 0 and below 1. progress: called as progress(done, all) after every replay; what it raises ends the
    comparison.

    `Comparison.table` has the columns `policy`, `quantity`, `mean` and `baseline_mean` over the seeds, `difference`
    (policy minus baseline, the mean of the pairs), its interval `low` to `high`, and `verdict`:

    - "higher" or "lower": the interval lies on one side of 0.
    - "noise": the interval holds 0; these seeds do not tell the two apart. More seeds make it narrower.
    - "same": no seed shows any difference.
    - "undefined": NaN at some seed, under either policy (as a latency where nobody was answered). Leaving such seeds
      out would compare a choice of the runs, so `difference`, `low` and `high` are NaN too.

    The interval is Student's, mean ± t s/√n of the paired differences. It holds for one quantity over all policies
    together (Bonferroni: each at 1 - (1 - confidence)/number of comparisons). Over quantities it does not: among 20 for
    which nothing differs, one on average is called different at 95 %; so decide before looking which ones count. A
    difference that is the same at every seed has an interval of width 0.

    Where a value is infinite (a run that never recovers), there is no mean of differences: `difference` is then the
    median of the pairs (both infinite: 0), and the interval is the one of the sign test, between two order statistics
    (Conover, Practical Nonparametric Statistics, 3rd ed., 3.2); both may be infinite.

    Raises ValueError naming the parameter that cannot be.
    """
    chosen = _checked(policies, baseline)
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be a number above 0 and below 1, not {confidence!r}")
    listed = seed_list(seeds, least=2, why=" to tell a difference from noise")

    def play(job: tuple[str, int]) -> tuple[dict[str, float], str | None]:
        name, seed = job
        policy: Any = policies[name]
        run = replay(scenario, policy, seed)
        figures: dict[str, Any] = {"policy": name, "seed": seed, **run.summary()}
        return figures, run.cut_off

    jobs = [(name, seed) for name in policies for seed in listed]
    played = side_by_side(play, jobs, progress)
    summaries = pd.DataFrame([row for row, _ in played])
    stopped = tuple(f"{name!r}, seed {seed}: {why}" for (name, seed), (_, why) in zip(jobs, played, strict=True) if why)
    table = _table(summaries, list(policies), chosen, confidence)
    return Comparison(chosen, confidence, tuple(listed), summaries, table, stopped, scenario)


def _checked(policies: Policies, baseline: str | None) -> str:
    """The baseline's name, once the policies are known to be some."""
    if not isinstance(policies, Mapping) or len(policies) < 2:
        raise ValueError(f"policies must be a table of at least two policies by name, not {policies!r}")
    for name, policy in policies.items():
        layers = policy if isinstance(policy, Sequence) and policy else [policy]
        if not isinstance(name, str) or not all(isinstance(layer, Policy) for layer in layers):
            raise ValueError(f"policies[{name!r}] must be a Policy, or a sequence of them, by name, not {policy!r}")
    chosen = next(iter(policies)) if baseline is None else baseline
    if chosen not in policies:
        raise ValueError(f"baseline must be one of {', '.join(map(repr, policies))}, not {baseline!r}")
    return chosen


def _table(summaries: pd.DataFrame, names: list[str], baseline: str, confidence: float) -> pd.DataFrame:
    quantities = [column for column in summaries.columns if column not in ("policy", "seed")]
    values = {name: summaries.loc[summaries["policy"] == name, quantities] for name in names}
    others = [name for name in names if name != baseline]
    error = (1.0 - confidence) / len(others)
    rows = [
        {"policy": name, "quantity": quantity, **_compared(values[name][quantity], values[baseline][quantity], error)}
        for name in others
        for quantity in quantities
    ]
    return pd.DataFrame(rows)


def _compared(mine: pd.Series, base: pd.Series, error: float) -> dict[str, float | str]:
    """One row of the table: two columns of summaries, pair by pair; `error` is 1 - confidence of this one interval."""
    x, y = mine.to_numpy(np.float64), base.to_numpy(np.float64)
    if np.isnan(x).any() or np.isnan(y).any():
        difference, low, high = math.nan, math.nan, math.nan
    elif np.isinf(x).any() or np.isinf(y).any():
        apart = np.array([0.0 if a == b else a - b for a, b in zip(x, y, strict=True)])
        difference, low, high = _median_interval(apart, error)
    else:
        difference, low, high = _mean_interval(x - y, error)
    return {
        "mean": float(x.mean()),
        "baseline_mean": float(y.mean()),
        "difference": difference,
        "low": low,
        "high": high,
        "verdict": _verdict(low, high, bool((x == y).all())),
    }


def _verdict(low: float, high: float, same: bool) -> str:
    if math.isnan(low):
        return "undefined"
    if same:
        return "same"
    if low > 0.0:
        return "higher"
    return "lower" if high < 0.0 else "noise"


def _mean_interval(differences: Floats, error: float) -> tuple[float, float, float]:
    """The mean, and Student's interval around it."""
    n = len(differences)
    mean = float(differences.mean())
    if (differences == differences[0]).all():  # the standard deviation of equal numbers is not always exactly 0
        return float(differences[0]), float(differences[0]), float(differences[0])
    half = t_quantile(1.0 - error / 2.0, n - 1) * float(differences.std(ddof=1)) / math.sqrt(n)
    return mean, mean - half, mean + half


def _median_interval(differences: Floats, error: float) -> tuple[float, float, float]:
    """The lower median, and the order statistics between which the median lies by the sign test."""
    n = len(differences)
    ordered = np.sort(differences)
    tail, rank = 0.0, 0
    while (tail := tail + math.comb(n, rank) * 0.5**n) <= error / 2.0:
        rank += 1
    low, high = (float(ordered[rank - 1]), float(ordered[n - rank])) if rank else (-math.inf, math.inf)
    return float(ordered[(n - 1) // 2]), low, high


def t_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t: the value that is not passed with this probability.

    probability: from 0.5 to below 1. freedom: degrees of freedom, a whole number of at least 1. The distribution
    function for whole n is a finite sum over θ = arctan(t/√n) (Abramowitz and Stegun, 26.7.3 and 26.7.4), here
    inverted by bisection; correct to 9 digits up to a probability of 1 - 1e-6.
    """
    if not 0.5 <= probability < 1.0:
        raise ValueError(f"probability must be from 0.5 to below 1, not {probability!r}")
    inside = 2.0 * probability - 1.0
    low, high = 0.0, math.pi / 2.0
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _t_inside(middle, freedom) < inside else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _t_inside(angle: float, freedom: int) -> float:
    """The probability that |t| stays below √n tan(angle), n degrees of freedom."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total


def _told(comparison: Comparison) -> Iterator[str]:
    table = comparison.table
    others = list(dict.fromkeys(table["policy"]))
    yield (
        f"Comparison with {comparison.baseline!r} at {len(comparison.seeds)} seeds: differences, and the intervals "
        f"that hold at {comparison.confidence:.4g} for a quantity over all policies together"
    )
    for name in others:
        rows = table[table["policy"] == name]
        told = rows[~rows["verdict"].isin(["same", "undefined"])]
        yield f"{name!r}"
        for row in told.itertuples():
            yield f"  {row.quantity:<20} {row.difference:>+12.4g}  [{row.low:+.4g}, {row.high:+.4g}]  {row.verdict}"
        for verdict in ("same", "undefined"):
            quantities = rows.loc[rows["verdict"] == verdict, "quantity"]
            if len(quantities):
                yield f"  {verdict}: {', '.join(quantities)}"
    if comparison.cut_off:
        yield f"stopped at a limit, so counted only up to there: {'; '.join(comparison.cut_off)}"
