"""Policies side by side: pairs, intervals, verdicts."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.replay import Comparison, Fault, Scenario, Service, compare, comparison, replay
from breakerlab.replay.comparison import t_quantile

# t tables; the last digits checked with scipy.stats.t.ppf (not a dependency)
T_TABLE = [
    (0.95, 1, 6.313752),
    (0.975, 1, 12.706205),
    (0.975, 2, 4.302653),
    (0.995, 4, 4.604095),
    (0.9, 7, 1.414924),
    (0.975, 19, 2.093024),
    (0.9995, 19, 3.883406),
    (0.975, 30, 2.042272),
    (0.975, 120, 1.979930),
    (0.975, 2001, 1.961150),
]


def jittered(attempts: int, jitter: str = "full") -> Policy:
    return Policy(timeout=1.0, retry=Retry(attempts=attempts, backoff=Backoff(base=0.2, jitter=jitter)))


@pytest.fixture
def busy(arrivals: Callable[..., Any], roomy_app: Callable[..., Any]) -> Scenario:
    """A service that is too small for 10 s: attempts are refused, and jitter decides which."""
    times = np.sort(np.random.default_rng(3).uniform(0.0, 30.0, 300))
    service = Service(slots=4, queue_limit=2)
    return Scenario(arrivals(times), service, roomy_app(), [Fault(5.0, 15.0, 0.25)], duration=40.0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, busy: Scenario) -> Callable[..., Comparison]:
    """A comparison of runs whose summaries are given: by policy, one number for each seed."""

    def of(numbers: dict[str, list[float]], **options: Any) -> Comparison:
        policies = {name: jittered(2 + place) for place, name in enumerate(numbers)}
        names = {policy.retry.attempts: name for name, policy in policies.items() if policy.retry}

        class Told:
            cut_off = None

            def __init__(self, policy: Policy, seed: int) -> None:
                self.policy, self.seed = policy, seed

            def summary(self) -> dict[str, float]:
                assert self.policy.retry
                return {"x": numbers[names[self.policy.retry.attempts]][self.seed]}

        monkeypatch.setattr(comparison, "replay", lambda scenario, policy, seed: Told(policy, seed))
        return compare(busy, policies, seeds=len(next(iter(numbers.values()))), **options)

    return of


def row(result: Comparison, quantity: str, policy: str | None = None) -> Any:
    rows = result.table[result.table["quantity"] == quantity]
    return next(rows[rows["policy"] == policy].itertuples() if policy else rows.itertuples())


@pytest.mark.parametrize(("probability", "freedom", "expected"), T_TABLE)
def test_quantiles_of_t(probability: float, freedom: int, expected: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(expected, abs=1e-6)


def test_the_median_of_t_is_0_and_below_it_nothing_is_answered() -> None:
    assert t_quantile(0.5, 5) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="probability must be from"):
        t_quantile(0.4, 5)


def test_every_policy_is_played_at_every_seed(busy: Scenario) -> None:
    policies = {"two": jittered(2), "four": jittered(4)}
    result = compare(busy, policies, seeds=3)
    assert list(zip(result.summaries["policy"], result.summaries["seed"], strict=True)) == [
        *(("two", seed) for seed in range(3)),
        *(("four", seed) for seed in range(3)),
    ]
    for name, policy in policies.items():
        for seed in range(3):
            mine = result.summaries.set_index(["policy", "seed"]).loc[(name, seed)]
            expected = replay(busy, policy, seed).summary()
            assert {key: mine[key] for key in expected} == pytest.approx(expected, nan_ok=True)


def test_more_attempts_are_told_from_noise_and_the_same_policy_twice_is_the_same(busy: Scenario) -> None:
    result = compare(busy, {"two": jittered(2), "four": jittered(4), "again": jittered(2)}, seeds=[7, 11, 13, 17])
    assert row(result, "attempts", "four").verdict == "higher"
    assert set(result.table.loc[result.table["policy"] == "again", "verdict"]) <= {"same", "undefined"}
    assert row(result, "requests", "four").verdict == "same"
    assert result.seeds == (7, 11, 13, 17)


def test_the_baseline_is_the_first_policy_or_the_one_named(busy: Scenario) -> None:
    policies = {"two": jittered(2), "four": jittered(4)}
    first, named = compare(busy, policies, seeds=3), compare(busy, policies, seeds=3, baseline="four")
    assert (first.baseline, named.baseline) == ("two", "four")
    assert list(named.table["policy"].unique()) == ["two"]
    forth, back = row(first, "attempts"), row(named, "attempts")
    assert forth.difference == -back.difference != 0
    assert (forth.mean, forth.baseline_mean) == (back.baseline_mean, back.mean)


def test_a_difference_that_the_seeds_do_not_show_is_noise(told: Callable[..., Comparison]) -> None:
    seen = row(told({"base": [1.0, 2.0, 3.0, 4.0, 5.0], "other": [2.0, 1.0, 4.0, 3.0, 6.0]}), "x")
    assert (seen.verdict, seen.difference) == ("noise", pytest.approx(0.2))
    half = 2.776445 * np.std([1, -1, 1, -1, 1], ddof=1) / math.sqrt(5)  # t for 97.5 %, 4 degrees of freedom
    assert (seen.low, seen.high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))


def test_what_varies_alike_with_the_seed_is_not_noise(told: Callable[..., Comparison]) -> None:
    """Unpaired, 1 is nothing against seeds that differ by thousands."""
    base = [1000.0, 9000.0, 4000.0, 7000.0]
    seen = row(told({"base": base, "lower": [x - 1.0 - 0.01 * i for i, x in enumerate(base)]}), "x")
    assert seen.verdict == "lower"
    assert seen.high < -0.9


def test_the_intervals_of_several_policies_hold_together(told: Callable[..., Comparison]) -> None:
    base, other = [0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 2.0, 1.0]
    alone = row(told({"base": base, "other": other}), "x")
    among = row(told({"base": base, "other": other, "third": other, "fourth": other}), "x", "other")
    at_less = row(told({"base": base, "other": other}, confidence=1.0 - 0.05 / 3.0), "x")
    assert among.high - among.low > 1.3 * (alone.high - alone.low)
    assert among.high == pytest.approx(at_less.high)


def test_about_one_in_twenty_differences_that_do_not_exist_is_called_one(told: Callable[..., Comparison]) -> None:
    """Three policies that are all like the baseline: the verdicts on one quantity hold together at 95 %."""
    draw = np.random.default_rng(8)
    wrong = 0
    for _ in range(400):
        numbers = {name: draw.normal(size=6).tolist() for name in ("base", "a", "b", "c")}
        wrong += bool((told(numbers).table["verdict"] != "noise").any())
    assert 5 <= wrong <= 32  # at most 20 expected, since Bonferroni is careful; 32 is the 99.5 % point


def test_an_undefined_value_makes_the_difference_undefined(told: Callable[..., Comparison]) -> None:
    result = told({"base": [1.0] * 9, "other": [5.0, math.nan, *[7.0] * 7], "never": [math.inf, math.nan, *[7.0] * 7]})
    for policy in ("other", "never"):
        seen = row(result, "x", policy)
        assert seen.verdict == "undefined"
        assert np.isnan([seen.mean, seen.difference, seen.low, seen.high]).all()


def test_runs_that_never_recover_are_compared_by_the_median(told: Callable[..., Comparison]) -> None:
    never = [math.inf] * 9
    numbers = {"base": never, "recovers": [30.0 + i for i in range(9)], "neither": never, "one": [5.0, *never[1:]]}
    result = told(numbers)
    recovers = row(result, "x", "recovers")
    assert (recovers.verdict, recovers.difference, recovers.high) == ("lower", -math.inf, -math.inf)
    assert row(result, "x", "neither").verdict == "same"
    assert (row(result, "x", "one").verdict, row(result, "x", "one").difference) == ("noise", 0.0)


def test_the_sign_test_interval_is_the_tabulated_one(told: Callable[..., Comparison]) -> None:
    """20 pairs at 95 %: from the 6th to the 15th (Conover, table A3: P(Binomial(20, 1/2) <= 5) = 0.0207)."""
    base = [math.inf, *[0.0] * 19]
    seen = row(told({"base": base, "other": [math.inf, *[float(i) for i in range(1, 20)]]}), "x")
    assert (seen.low, seen.high) == (5.0, 14.0)  # the differences are 0, 1, ..., 19
    few = row(told({"base": [math.inf, 0.0, 0.0], "other": [1.0, 1.0, 1.0]}), "x")
    assert (few.low, few.high, few.verdict) == (-math.inf, math.inf, "noise")


def test_it_tells_itself_in_plain_text(busy: Scenario) -> None:
    result = compare(busy, {"<b>two</b>": jittered(2), "four": jittered(4)}, seeds=3)
    text = repr(result)
    assert "Comparison with '<b>two</b>' at 3 seeds" in text
    assert "'four'" in text and "attempts" in text and "higher" in text and "same: requests" in text
    assert not hasattr(result, "_repr_html_")


def test_a_run_that_was_stopped_is_named(monkeypatch: pytest.MonkeyPatch, busy: Scenario) -> None:
    class Stopped:
        cut_off = "stopped after 5 attempts"

        def summary(self) -> dict[str, float]:
            return {"attempts": 5.0}

    monkeypatch.setattr(comparison, "replay", lambda *_: Stopped())
    result = compare(busy, {"a": jittered(2), "b": jittered(3)}, seeds=2)
    assert result.cut_off[0] == "'a', seed 0: stopped after 5 attempts"
    assert "'b', seed 1: stopped after 5 attempts" in repr(result)


def test_summaries_and_table_are_frames_of_these_columns(busy: Scenario) -> None:
    result = compare(busy, {"two": jittered(2), "four": jittered(4)}, seeds=2)
    assert list(result.table) == [
        *("policy", "quantity", "mean", "baseline_mean"),
        *("difference", "low", "high", "verdict"),
    ]
    assert isinstance(result.summaries, pd.DataFrame) and list(result.summaries)[:2] == ["policy", "seed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policies": {"one": jittered(2)}}, "policies must be a table of at least two"),
        ({"policies": [jittered(2), jittered(3)]}, "policies must be a table of at least two"),
        ({"policies": {"a": jittered(2), "b": "naive"}}, r"policies\['b'\] must be a Policy"),
        ({"policies": {"a": jittered(2), "b": []}}, r"policies\['b'\] must be a Policy"),
        ({"baseline": "c"}, "baseline must be one of 'a', 'b', not 'c'"),
        ({"seeds": 1}, "seeds must be at least 2"),
        ({"seeds": [4]}, "seeds must be at least 2"),
        ({"seeds": [1, 1]}, "seeds must be different"),
        ({"seeds": [1, -1]}, "seeds must be a whole number of at least 0"),
        ({"seeds": 2.5}, "seeds must be a whole number"),
        ({"confidence": 1.0}, "confidence must be a number above 0 and below 1"),
        ({"confidence": "high"}, "confidence must be a number above 0 and below 1"),
    ],
)
def test_what_cannot_be_is_named(busy: Scenario, change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"policies": {"a": jittered(2), "b": jittered(3)}, "seeds": 2, **change}
    with pytest.raises(ValueError, match=message):
        compare(busy, **arguments)
