"""The challenge: a service not seen before, limits that a policy must hold in every one of its outages, and a score.

What counts are outages under other seeds than those that one practises with, and the worst of them: a policy that was
fitted to one run has no advantage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import pandas as pd

from breakerlab.policy import Backoff, Breaker, Policy, Retry, RetryBudget
from breakerlab.replay import App, Fault, Lognormal, OtherEndpoint, Poisson, Scenario, Service
from breakerlab.replay.replicates import side_by_side
from breakerlab.replay.run import replay

HIDDEN: Final = tuple(range(1000, 1020))  # the seeds that decide; one practises with 0, 1, 2, ...


class Limit(NamedTuple):
    """How a number of `Run.summary` is told, and whether its limit is the least or the most that it may be."""

    label: str
    unit: str
    at_least: bool


LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        "goodput": Limit("goodput", "answers/s", at_least=True),
        "amplification": Limit("amplification", "attempts per request", at_least=False),
        "time_to_recover": Limit("recovery", "s", at_least=False),
    }
)


@dataclass(frozen=True, eq=False)
class Challenge:
    """A scenario; `limits` on goodput (at least), amplification and time_to_recover (at most); and our own policy."""

    scenario: Scenario
    limits: Mapping[str, float]
    ours: Policy

    def __repr__(self) -> str:
        limits = [f"\n  {_limit_told(name, self.limits)}" for name in LIMITS]
        return f"{self.scenario.name!r}, to be held in every outage:{''.join(limits)}"


@dataclass(frozen=True)
class Score:
    """The worst of all outages, limit by limit. `str` is one sentence for each.

    worst: by the names of `LIMITS`. outages: how many were played. missed: names of the limits that do not hold.
    """

    limits: Mapping[str, float]
    worst: Mapping[str, float]
    outages: int

    @property
    def missed(self) -> tuple[str, ...]:
        return tuple(name for name in LIMITS if self.room(name) < 0.0)

    @property
    def holds(self) -> bool:
        """Whether no limit is missed."""
        return not self.missed

    def room(self, name: str) -> float:
        """How far the worst outage is on the good side of a limit; below 0: by how much it is missed."""
        beyond = self.worst[name] - self.limits[name]
        return beyond if LIMITS[name].at_least else -beyond

    def sentence(self, name: str) -> str:
        """What became of one limit."""
        limit, room, worst = LIMITS[name], self.room(name), self.worst[name]
        asked = _limit_told(name, self.limits)
        if math.isinf(room):
            return f"missed: {asked}; the worst of {self.outages} outages never ends."
        got = f"the worst of {self.outages} outages has {_bare(name, worst)}"
        if room < 0.0:
            return f"missed: {asked}; {got}, {_bare(name, -room)} too {'little' if limit.at_least else 'much'}."
        return f"holds: {asked}; {got}, {_bare(name, room)} to spare."

    def __str__(self) -> str:
        verdict = "All limits hold." if self.holds else f"{len(self.missed)} of {len(LIMITS)} limits are missed."
        return "\n".join([*(self.sentence(name) for name in LIMITS), verdict])


def score(challenge: Challenge, policy: Policy, seeds: Sequence[int] = HIDDEN) -> Score:
    """Play the challenge under `policy` at each of `seeds`, at least one, and judge the worst of every number."""
    [found] = _scores(challenge, [policy], seeds)
    return found


def standings(challenge: Challenge, yours: Policy, seeds: Sequence[int] = HIDDEN) -> pd.DataFrame:
    """Your policy, ours and the well-known ones: the worst of every number, and how many limits hold."""
    policies = {
        "yours": yours,
        "ours": challenge.ours,
        "Policy.recommended()": Policy.recommended(),
        "Policy.openai_sdk()": Policy.openai_sdk(),
        "Policy.naive()": Policy.naive(),
        "Policy.none()": Policy.none(),
    }
    scores = _scores(challenge, list(policies.values()), seeds)
    rows = {name: list(_row(found)) for name, found in zip(policies, scores, strict=True)}
    titles = [*(f"{limit.label} ({limit.unit})" for limit in LIMITS.values()), "limits held"]
    asked = [_comparison(name, challenge.limits) for name in LIMITS]
    return pd.DataFrame.from_dict({"the limits": [*asked, ""], **rows}, orient="index", columns=titles)


def _scores(challenge: Challenge, policies: Sequence[Policy], seeds: Sequence[int]) -> list[Score]:
    def play(job: tuple[Policy, int]) -> dict[str, float]:
        return replay(challenge.scenario, *job).summary()

    if not seeds:
        raise ValueError("seeds must be at least one")
    played = side_by_side(play, [(policy, seed) for policy in policies for seed in seeds])
    n = len(seeds)
    groups = [played[place * n : (place + 1) * n] for place in range(len(policies))]
    return [Score(challenge.limits, _worst(group), n) for group in groups]


def _worst(summaries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {
        name: (min if limit.at_least else max)(summary[name] for summary in summaries) for name, limit in LIMITS.items()
    }


def _row(found: Score) -> Iterator[str]:
    for name in LIMITS:
        worst = found.worst[name]
        yield "never" if math.isinf(worst) else _bare(name, worst)
    yield f"{len(LIMITS) - len(found.missed)} of {len(LIMITS)}"


def _limit_told(name: str, limits: Mapping[str, float]) -> str:
    limit = LIMITS[name]
    return f"{limit.label} {'at least' if limit.at_least else 'at most'} {_number(name, limits[name])}"


def _comparison(name: str, limits: Mapping[str, float]) -> str:
    return f"{'≥' if LIMITS[name].at_least else '≤'} {_bare(name, limits[name])}"


def _number(name: str, value: float) -> str:
    return f"{_bare(name, value)} {LIMITS[name].unit}"


def _bare(name: str, value: float) -> str:
    return f"{value:.0f}" if name == "time_to_recover" else f"{value:.2f}"


# ---- the services


def quotes() -> Challenge:
    """A pricing API with a long queue, that fails 6 % of its attempts every day and has an outage of 20 s.

    Work goes on when its caller has left, so that impatience fills the queue with work for nobody.
    """
    app = App(workers=400, pool_timeout=3.0, caller_timeout=5.0, other={"GET /status": OtherEndpoint()})
    scenario = Scenario(
        [Poisson(34.0, endpoint="POST /quote"), Poisson(15.0, endpoint="GET /status")],
        Service(slots=24, queue_limit=400, time=Lognormal(0.5, 0.6)),
        app,
        (Fault(0.0, 180.0, error=0.06), Fault(40.0, 60.0, capacity=0.25)),
        duration=180.0,
        name="quotes",
    )
    limits = {"goodput": 29.0, "amplification": 1.2, "time_to_recover": 6.0}
    breaker = Breaker(failure_rate=0.5, window=50, minimum_calls=20, recovery_timeout=2.0)
    return Challenge(scenario, limits, Policy(timeout=3.0, retry=_retry(), breaker=breaker))


def regions() -> Challenge:
    """An API for six regions, that fails 5 % of its attempts every day; for 60 s nothing comes back from two of them.

    A partial outage: a breaker before all regions makes a whole one of it.
    """
    names = [f"POST /region-{number}" for number in range(1, 7)]
    app = App(workers=60, instances=2, pool_timeout=3.0, caller_timeout=6.0, other={"GET /status": OtherEndpoint()})
    scenario = Scenario(
        [*(Poisson(5.0, endpoint=name) for name in names), Poisson(15.0, endpoint="GET /status")],
        Service(slots=24, queue_limit=24, time=Lognormal(0.4, 0.6)),
        app,
        (Fault(0.0, 180.0, error=0.05), Fault(40.0, 100.0, hang=1.0, endpoints=(names[0], names[1]))),
        duration=180.0,
        name="regions",
    )
    limits = {"goodput": 24.5, "amplification": 1.2, "time_to_recover": 6.0}
    return Challenge(scenario, limits, Policy(timeout=3.0, retry=_retry()))


def _retry() -> Retry:
    backoff = Backoff(base=0.3, cap=4.0)
    return Retry(attempts=3, total_time=5.5, backoff=backoff, budget=RetryBudget(ratio=0.2))
