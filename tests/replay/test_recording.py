"""The simulator, with the recorder's own parameters and nothing fitted, gives the recordings back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from breakerlab.policy import Policy
from breakerlab.replay import Scenario, counts, course, predict, replay, summary, with_measured_ways
from breakerlab.trace import Trace, eight_steps, read_trace

DATA = Path(__file__).parents[2] / "data"
SHARE = 0.05  # of the logged count, by which a replayed count may differ
BIN = 5.0  # s


def recording(name: str) -> Trace:
    return read_trace(DATA / f"{name}.jsonl")


def replayed(log: Trace) -> Trace:
    policy = Policy.from_dict(log.source.facts["policy"])
    return replay(Scenario.from_trace(log), policy).trace


@pytest.mark.parametrize("name", ["incident_naive", "calm"])
def test_counts_of_the_log_are_reproduced(name: str) -> None:
    log = recording(name)
    logged, again = summary(log), summary(replayed(log))
    assert again["requests"] == logged["requests"]
    assert again["other_requests"] == logged["other_requests"]
    assert again["restarts"] == logged["restarts"]
    assert again["failed_probes"] == logged["failed_probes"]
    for count in ("attempts", "answered", "status_503", "other_failed", "lost"):
        assert again[count] == pytest.approx(logged[count], rel=SHARE, abs=5), count


def test_the_course_of_the_incident_is_reproduced() -> None:
    """Rates per 5 s, side by side: none is off by more than 2 a second, the pool by no more than 4 workers."""
    log = recording("incident_naive")
    logged, again = log.timeline(BIN), replayed(log).timeline(BIN)
    bins = min(len(logged), len(again))
    for column in ("attempts", "status_503", "goodput", "other_failed"):
        apart = np.abs(logged[column].to_numpy()[:bins] - again[column].to_numpy()[:bins])
        assert apart.max() <= 2.0, column
    apart = np.abs(logged["pool"].to_numpy()[:bins] - again["pool"].to_numpy()[:bins])
    assert np.nanmax(apart) <= 4.0


def test_the_naive_recording_and_its_replay_show_all_eight_steps() -> None:
    log = recording("incident_naive")
    assert all(step.seen for step in eight_steps(log))
    assert all(step.seen for step in eight_steps(replayed(log)))


def test_under_the_recommended_policy_the_cascade_does_not_happen() -> None:
    log = recording("incident_naive")
    run = replay(Scenario.from_trace(log), Policy.recommended())
    seen = {step.number for step in eight_steps(run.trace) if step.seen}
    assert not seen & {4, 5, 6, 7, 8}  # no load above the offered one, pool, other endpoints, health, restart
    assert run.summary()["answered"] > summary(log)["answered"]


def test_a_model_without_the_fault_does_not_reproduce_the_incident() -> None:
    """The comparison above can fail."""
    log = recording("incident_naive")
    scenario = Scenario.from_trace(log)
    healthy = Scenario(scenario.workload, scenario.service, scenario.app, (), scenario.duration)
    assert summary(replay(healthy, Policy.naive()).trace)["attempts"] < 0.95 * summary(log)["attempts"]


# ---- prediction: from the header, the arrivals, and what the calm recording says of the ways


@pytest.mark.parametrize(
    ("name", "quantities"), [("incident_naive", course), ("incident_backoff", counts), ("incident_breaker", counts)]
)
def test_a_recording_lies_inside_its_band_in_all_quantities_together(name: str, quantities) -> None:
    log = recording(name)
    scenario = with_measured_ways(Scenario.from_trace(log), recording("calm"))
    policy = Policy.from_dict(log.source.facts["policy"])
    prediction = predict(scenario, policy, quantities, seeds=400)
    assert prediction.outside(log) == []


def test_another_policys_recording_lies_outside_the_band() -> None:
    """The band above can be missed."""
    log = recording("incident_breaker")
    scenario = with_measured_ways(Scenario.from_trace(log), recording("calm"))
    prediction = predict(scenario, replace(Policy.recommended(), breaker=None), counts, seeds=60)
    assert not prediction.holds(log)
