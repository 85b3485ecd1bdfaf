"""The challenge is fair: ours holds every limit with room, what everybody knows does not, and a miss is told."""

import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from course import NOTEBOOKS

from breakerlab.lab.challenge import HIDDEN, LIMITS, Challenge, Score, quotes, regions, score, standings
from breakerlab.lab.solutions import solution
from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget
from breakerlab.replay import replay

CHALLENGES = {"quotes": quotes(), "regions": regions()}
WELL_KNOWN = {"none": Policy.none(), "naive": Policy.naive(), "openai_sdk": Policy.openai_sdk()}
NOTEBOOK = NOTEBOOKS / "12_challenge.ipynb"


@pytest.fixture(params=CHALLENGES.values(), ids=CHALLENGES, scope="module")
def challenge(request: pytest.FixtureRequest) -> Challenge:
    return request.param


def test_ours_holds_every_limit_with_room(challenge: Challenge) -> None:
    found = score(challenge, challenge.ours)
    assert found.holds
    assert found.room("goodput") >= 0.5
    assert found.room("amplification") >= 0.05
    assert found.room("time_to_recover") >= 2.0


def test_ours_holds_in_outages_that_nobody_has_chosen(challenge: Challenge) -> None:
    assert score(challenge, challenge.ours, range(5000, 5030)).holds


@pytest.mark.parametrize("policy", WELL_KNOWN.values(), ids=WELL_KNOWN)
def test_what_everybody_knows_misses_goodput_by_a_margin(challenge: Challenge, policy: Policy) -> None:
    found = score(challenge, policy)
    assert "goodput" in found.missed
    assert found.room("goodput") < -0.5


def test_the_policy_of_the_one_service_is_none_for_the_other() -> None:
    assert score(quotes(), regions().ours).missed
    assert score(regions(), quotes().ours).missed == ("goodput",)


def test_a_breaker_before_all_regions_is_the_wrong_tool_whatever_its_window() -> None:
    second = regions()
    for window in (10, 20, 50, 100):
        breaker = Breaker(failure_rate=0.5, window=window, minimum_calls=window, recovery_timeout=2.0)
        assert "goodput" in score(second, replace(second.ours, breaker=breaker), range(1000, 1006)).missed


def test_retries_without_a_budget_are_too_many() -> None:
    second = regions()
    assert second.ours.retry is not None
    unbounded = replace(second.ours, timeout=2.0, retry=replace(second.ours.retry, budget=None))
    assert score(second, unbounded).missed == ("amplification",)


def test_the_seeds_that_decide_are_not_those_of_the_explorer_and_the_charts() -> None:
    assert len(HIDDEN) == len(set(HIDDEN)) == 20
    assert min(HIDDEN) >= 1000


def test_the_worst_outage_counts(challenge: Challenge) -> None:
    seeds = (3, 4, 5)
    runs = [replay(challenge.scenario, Policy.none(), seed).summary() for seed in seeds]
    worst = score(challenge, Policy.none(), seeds).worst
    assert worst["goodput"] == min(run["goodput"] for run in runs)
    assert worst["amplification"] == max(run["amplification"] for run in runs)
    assert worst["time_to_recover"] == max(run["time_to_recover"] for run in runs)


# ---- what is told

ASKED = {"goodput": 29.0, "amplification": 1.2, "time_to_recover": 6.0}


def told(**worst: float) -> Score:
    return Score(ASKED, {"goodput": 30.0, "amplification": 1.1, "time_to_recover": 2.0, **worst}, outages=20)


def test_each_limit_is_one_sentence_and_a_miss_says_by_how_much() -> None:
    assert str(told(goodput=27.5)).splitlines() == [
        "missed: goodput at least 29.00 answers/s; the worst of 20 outages has 27.50, 1.50 too little.",
        "holds: amplification at most 1.20 attempts per request; the worst of 20 outages has 1.10, 0.10 to spare.",
        "holds: recovery at most 6 s; the worst of 20 outages has 2, 4 to spare.",
        "1 of 3 limits are missed.",
    ]
    assert str(told()).splitlines()[-1] == "All limits hold."
    assert told(amplification=2.0).sentence("amplification").endswith("has 2.00, 0.80 too much.")


def test_a_service_that_never_recovers_is_told_so() -> None:
    never = told(time_to_recover=math.inf)
    assert never.missed == ("time_to_recover",)
    assert never.sentence("time_to_recover") == ("missed: recovery at most 6 s; the worst of 20 outages never ends.")


def test_a_limit_that_is_just_met_holds() -> None:
    assert told(goodput=29.0, amplification=1.2, time_to_recover=6.0).holds


@pytest.mark.parametrize("worst", [{}, {"goodput": 1.0}, {"amplification": 3.0}, {"time_to_recover": math.inf}])
def test_the_score_agrees_with_the_first_exercise(worst: dict[str, float]) -> None:
    found = told(**worst)
    assert found.holds is solution("within_limits")(**found.worst, limits=ASKED)


def test_the_standings_are_a_plain_table_with_yours_first() -> None:
    table = standings(quotes(), Policy.naive(), seeds=(1000, 1001))
    assert type(table) is pd.DataFrame
    assert list(table.index[:3]) == ["the limits", "yours", "ours"]
    assert list(table.loc["yours"]) == list(table.loc["Policy.naive()"])
    assert list(table.loc["the limits"]) == ["≥ 29.00", "≤ 1.20", "≤ 6", ""]
    assert table.loc["ours", "limits held"] == "3 of 3"
    assert len(table.columns) == len(LIMITS) + 1


def test_no_seeds_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="seeds must be at least one"):
        score(quotes(), Policy.none(), ())


def test_a_challenge_says_its_limits() -> None:
    assert repr(quotes()).splitlines() == [
        "'quotes', to be held in every outage:",
        "  goodput at least 29.00 answers/s",
        "  amplification at most 1.20 attempts per request",
        "  recovery at most 6 s",
    ]


# ---- the notebook


def test_the_policies_that_the_notebook_folds_away_are_ours() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    [folded] = [text for cell in cells if "<summary>Our policies" in (text := "".join(cell["source"]))]
    names = {"Policy": Policy, "Retry": Retry, "Backoff": Backoff, "RetryBudget": RetryBudget, "Breaker": Breaker}
    policies = folded.partition("</details>")[0]
    found = [eval(code, names) for code in re.findall(r"```python\n(.*?)```", policies, re.DOTALL)]
    assert found == [quotes().ours, regions().ours]
