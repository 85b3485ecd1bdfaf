"""Bands that all quantities keep to together."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from breakerlab.policy import Backoff, Policy, Retry
from breakerlab.replay import (
    Empirical,
    Fault,
    ReplayError,
    Scenario,
    Service,
    counts,
    course,
    predict,
    replay,
    with_measured_ways,
)
from breakerlab.replay import prediction as module
from breakerlab.replay.prediction import seconds_to_app, seconds_to_service, simultaneous_band
from breakerlab.trace import Source, Trace, read_trace

DATA = Path(__file__).parents[2] / "data"
JITTERED = Policy(timeout=2.0, retry=Retry(attempts=4, backoff=Backoff(base=0.3, jitter="full")))
FIXED = Policy(timeout=2.0, retry=Retry(attempts=4, backoff=Backoff(base=0.3, jitter="none")))
Values = Mapping[str, float]


@pytest.fixture
def busy(arrivals: Callable[..., Any], roomy_app: Callable[..., Any]) -> Scenario:
    """Too few slots for 10 s, so that jitter decides who is refused."""
    times = np.sort(np.random.default_rng(3).uniform(0.0, 30.0, 300))
    return Scenario(arrivals(times), Service(slots=4, queue_limit=2), roomy_app(), [Fault(5.0, 15.0, 0.25)], 40.0)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, busy: Scenario) -> Callable[..., Any]:
    """A prediction from replicates that are given: a function from a seed to quantities by name.

    What it judges is such a mapping too, in the place of a trace.
    """

    def of(replicate: Callable[[int], Values], **options: Any) -> Any:
        class Drawn:
            cut_off = None

            def __init__(self, seed: int) -> None:
                self.trace = replicate(seed)

        monkeypatch.setattr(module, "replay", lambda scenario, policy, seed: Drawn(seed))
        return predict(busy, JITTERED, lambda trace: trace, **options)  # type: ignore[arg-type, return-value]

    return of


def band_of(prediction: Any, quantity: str) -> tuple[float, float]:
    row = prediction.table.set_index("quantity").loc[quantity]
    return row["low"], row["high"]


# ---- the band holds as often as it says


def correlated(draw: np.random.Generator, rows: int) -> Any:
    """60 quantities: each hangs together with its neighbours, and a third of them is skewed."""
    noise = draw.normal(size=(rows, 64))
    smooth = sum(noise[:, i : i + 60] for i in range(5)) / math.sqrt(5)
    smooth[:, ::3] = np.exp(smooth[:, ::3])
    return smooth * np.linspace(0.01, 100.0, 60)


def test_a_fresh_draw_lies_inside_with_the_confidence_that_was_asked_for(reproduces: Callable[..., None]) -> None:
    """Of 200 in the second half the 191st counts: 191 of 201 further draws lie inside, on average."""

    def replicate(draw: np.random.Generator) -> list[float]:
        inside = []
        for _ in range(5):
            low, high, _ = simultaneous_band(correlated(draw, 400), 0.95)
            fresh = correlated(draw, 400)
            inside.append(((fresh >= low) & (fresh <= high)).all(axis=1).mean())
        return [float(np.mean(inside))]

    reproduces("P1", {"P(inside)": 191.0 / 201.0}, replicate)


def small_counts(draw: np.random.Generator, rows: int) -> Any:
    """Counts as in a course: constant ones, rare ones, a few, and many, which a busy run shares."""
    burden = draw.gamma(20.0, 1.0 / 20.0, size=(rows, 1))
    means = np.repeat([0.0, 0.003, 0.2, 3.0, 300.0], 12)
    return draw.poisson(means * burden).astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_small_counts_lie_inside_at_least_as_often(seed: int) -> None:
    draw = np.random.default_rng(seed)
    inside = []
    for _ in range(20):
        low, high, _ = simultaneous_band(small_counts(draw, 400), 0.95)
        fresh = small_counts(draw, 400)
        inside.append(((fresh >= low) & (fresh <= high)).all(axis=1).mean())
        assert (low == np.rint(low)).all() and (high == np.rint(high)).all()
    assert np.mean(inside) >= 0.945


def test_bands_for_each_quantity_alone_would_not_hold_together() -> None:
    """The test above can fail."""
    draw = np.random.default_rng(5)
    low, high = np.quantile(correlated(draw, 400), [0.025, 0.975], axis=0)
    fresh = correlated(draw, 2000)
    assert ((fresh >= low) & (fresh <= high)).all(axis=1).mean() < 0.5


def test_a_run_at_another_seed_lies_inside_and_one_under_another_policy_does_not(busy: Scenario) -> None:
    prediction = predict(busy, JITTERED, counts, seeds=100)
    held = [prediction.holds(replay(busy, JITTERED, seed).trace) for seed in range(1000, 1060)]
    assert sum(held) >= 51  # of 60 at 95 %: 51 or more with 99.5 %
    hasty = Policy(timeout=2.0, retry=Retry(attempts=9, backoff=Backoff(base=0.1, jitter="full")))
    found = prediction.outside(replay(busy, hasty, 1000).trace)
    assert "status_503" in {one.quantity for one in found}
    assert all(not one.low <= one.value <= one.high for one in found)


# ---- what becomes of counts and constants


def test_what_never_varies_is_predicted_exactly(drawn: Callable[..., Any]) -> None:
    prediction = drawn(lambda seed: {"restarts": 2.0, "attempts": float(seed % 7)}, seeds=100)
    assert band_of(prediction, "restarts") == (2.0, 2.0)
    assert prediction.holds({"restarts": 2.0, "attempts": 3.0})
    assert prediction.outside({"restarts": 3.0, "attempts": 3.0}) == [("restarts", 3.0, 2.0, 2.0)]
    assert prediction.outside({"restarts": 1.0, "attempts": 3.0}) == [("restarts", 1.0, 2.0, 2.0)]


def test_a_counts_band_is_widened_outwards_to_whole_numbers(drawn: Callable[..., Any]) -> None:
    """The first half reaches from 0 to 10 around 5, the second from 1 to 8: 4 of 5 below is the most, so 0.8 of it all.

    Shifted by a quarter the same numbers are no counts, and their band is 0.8 of the reach to both sides.
    """
    first, second = [0.0, 10.0, *[5.0] * 98], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 8.0, *[5.0] * 93]
    numbers = [*first, *second]
    assert band_of(drawn(lambda seed: {"x": numbers[seed] + 0.25}, seeds=200), "x") == pytest.approx((1.25, 9.25))
    assert band_of(drawn(lambda seed: {"x": numbers[seed]}, seeds=200), "x") == (1.0, 9.0)
    numbers[0] = -1.0  # then 4 of 6 is 2/3, and 2/3 of 5 above is 3.33
    assert band_of(drawn(lambda seed: {"x": numbers[seed]}, seeds=200), "x") == (1.0, 9.0)
    assert band_of(drawn(lambda seed: {"x": numbers[seed] + 0.25}, seeds=200), "x") == pytest.approx((1.25, 8.583333))


def test_a_count_that_varies_to_one_side_only_has_a_sharp_other_side(drawn: Callable[..., Any]) -> None:
    prediction = drawn(lambda seed: {"lost": float(max(0, seed % 10 - 7))}, seeds=200)
    assert band_of(prediction, "lost") == (0.0, 2.0)


def test_what_only_the_second_half_shows_widens_the_band(drawn: Callable[..., Any]) -> None:
    """One replicate in five of the second half differs by 3 from what never varied in the first."""
    prediction = drawn(lambda seed: {"restarts": 2.0 + 3.0 * (seed >= 50 and seed % 5 == 0)}, seeds=100)
    assert band_of(prediction, "restarts") == (-1.0, 5.0)


def test_a_real_number_that_only_the_second_half_varies_cannot_be_bounded(drawn: Callable[..., Any]) -> None:
    prediction = drawn(lambda seed: {"p50": 0.25 + 0.1 * (seed >= 50 and seed % 5 == 0)}, seeds=100)
    assert band_of(prediction, "p50") == (-math.inf, math.inf)


def test_the_table_says_mean_and_width(drawn: Callable[..., Any]) -> None:
    table = drawn(lambda seed: {"x": float(seed % 5)}, seeds=100).table
    assert list(table) == ["quantity", "low", "mean", "high", "width"]
    assert (table["mean"][0], table["width"][0]) == (2.0, table["high"][0] - table["low"][0])


def test_a_quantity_that_is_not_named_is_0(drawn: Callable[..., Any]) -> None:
    prediction = drawn(lambda seed: {"x": 1.0, **({"late": 4.0} if seed % 2 else {})}, seeds=100)
    assert prediction.table.set_index("quantity").loc["late", "mean"] == 2.0
    assert prediction.holds({"x": 1.0})
    assert prediction.holds({"x": 1.0, "later": 0.0})
    assert prediction.outside({"x": 1.0, "later": 1.0}) == [("later", 1.0, 0.0, 0.0)]


def test_nan_in_a_recording_is_outside(drawn: Callable[..., Any]) -> None:
    prediction = drawn(lambda seed: {"x": float(seed)}, seeds=100)
    assert [one.quantity for one in prediction.outside({"x": math.nan})] == ["x"]


def test_it_tells_itself_in_plain_text(busy: Scenario) -> None:
    text = repr(predict(busy, FIXED, counts, seeds=38))
    assert "Forecast for 'scenario' from 38 replicates: all 4 quantities together hold at 0.95" in text
    assert "status_503" in text


def test_without_jitter_all_replicates_are_one(busy: Scenario) -> None:
    prediction = predict(busy, FIXED, partial(course, bin=10.0), seeds=38)
    assert (prediction.table["width"] == 0.0).all()
    assert prediction.holds(replay(busy, FIXED, 77).trace)


# ---- the ready-made quantities


def test_counts_are_those_of_the_summary(busy: Scenario) -> None:
    run = replay(busy, JITTERED, 5)
    expected = run.summary()
    assert counts(run.trace) == {name: expected[name] for name in ("attempts", "status_503", "answered", "restarts")}


def test_the_counts_of_a_recording_are_those_on_its_card() -> None:
    log = read_trace(DATA / "incident_naive.jsonl")
    assert counts(log) == {"attempts": 1144.0, "status_503": 337.0, "answered": 781.0, "restarts": 2.0}


def test_a_course_counts_by_bins_and_totals() -> None:
    log = read_trace(DATA / "incident_naive.jsonl")
    found = course(log)
    assert (found["attempts"], found["restarts"]) == (1144.0, 2.0)
    for column, total in (("status_503", 337.0), ("attempts", 1144.0), ("other_timeouts", 81.0)):
        assert sum(found[f"{column} at {left} s"] for left in range(0, 120, 5)) == total
    assert found["pool at 35 s"] == 48.0
    assert found["other_failed at 40 s"] > found["other_timeouts at 40 s"]  # the app is down: connections are refused
    assert all(value == round(value) for value in found.values())


def test_a_course_has_the_width_that_was_asked_for() -> None:
    log = read_trace(DATA / "incident_naive.jsonl")
    fine, wide = course(log, bin=5.0), course(log, bin=10.0)
    assert fine["attempts at 30 s"] + fine["attempts at 35 s"] == wide["attempts at 30 s"]
    assert max(fine["pool at 30 s"], fine["pool at 35 s"]) == wide["pool at 30 s"]


def test_a_pool_that_nobody_sampled_is_0_and_what_follows_the_duration_is_left_out() -> None:
    def trace(duration: float | None) -> Trace:
        calls = {"time": [0.0, 12.0], "latency": [1.0, 1.0], "outcome": ["ok", "ok"], "request": [0, 1]}
        pool = {"time": [1.0, 11.0], "kind": ["pool", "pool"], "value": [3.0, 4.0]}
        facts = {} if duration is None else {"parameters": {"duration": duration}}
        return Trace.from_columns({**calls, "service": "llm", "attempt": [1, 1]}, pool, source=Source(facts=facts))

    assert [course(trace(None))[f"pool at {left} s"] for left in (0, 5, 10)] == [3.0, 0.0, 4.0]
    assert "pool at 10 s" not in course(trace(10.0))
    assert course(trace(10.0))["attempts"] == 2.0


# ---- what is on the way


def slowed(trace: Trace, seconds: Any) -> Trace:
    """The trace with that much added to what the app waited for the service."""
    attempts = trace.attempts
    latency = attempts["latency"].to_numpy() + np.where(attempts["service"] == "llm", seconds, 0.0)
    words = {name: attempts[name].tolist() for name in ("outcome", "service", "client", "endpoint")}
    plain = {name: attempts[name].to_numpy() for name in ("time", "request", "attempt")}
    columns = {**plain, **words, "status": attempts["status"].array, "latency": latency}
    return Trace.from_columns(columns, source=trace.source)


def test_the_seconds_to_service_are_what_the_service_does_not_explain(busy: Scenario) -> None:
    recording = slowed(replay(replace(busy, faults=()), FIXED).trace, 0.007)
    found = seconds_to_service(recording)
    ok = recording.attempts.query("service == 'llm' and outcome == 'ok'")
    assert 10 < len(found) < len(ok)  # where nobody can say how many the service had in hand, nothing is measured
    assert found == pytest.approx(0.007)


def test_nothing_is_on_the_way_for_less_than_no_time(busy: Scenario) -> None:
    """What was answered sooner than the service's own time counts as 0 s on the way."""
    trace = replay(replace(busy, faults=()), FIXED).trace
    sooner = np.where(trace.attempts["outcome"] == "ok", -0.007, 0.0)
    assert (seconds_to_service(slowed(trace, sooner)) == 0.0).all()


def test_the_calm_recording_was_some_milliseconds_away() -> None:
    calm = read_trace(DATA / "calm.jsonl")
    scenario = with_measured_ways(Scenario.from_trace(calm), calm)
    to_app, to_service = (np.asarray(part.network.values) for part in (scenario.app, scenario.service))
    assert len(to_app) > 1000 and len(to_service) > 200
    for found in (to_app, to_service):
        assert 0.003 < np.median(found) < 0.012
        assert found.min() >= 0.0


def test_the_way_to_the_app_is_measured_too(busy: Scenario) -> None:
    app = replace(busy.app, network=Empirical([0.004, 0.009]), workers=10**6)
    found = seconds_to_app(replay(replace(busy, app=app, faults=()), FIXED).trace)
    assert sorted(set(np.round(found, 9))) == [0.004, 0.009]


def test_a_recording_that_cannot_be_replayed_is_refused(busy: Scenario) -> None:
    trace = replay(busy, FIXED).trace
    facts = {name: value for name, value in trace.source.facts.items() if name != "policy"}
    calls = {"time": [0.0], "latency": [1.0], "outcome": ["timeout"], "request": [0], "service": "app", "attempt": [1]}
    with pytest.raises(ValueError, match="the header names no policy"):
        seconds_to_service(Trace.from_columns(calls, source=Source(name="log", facts=facts)))
    with pytest.raises(ValueError, match="log: no attempt on service 'llm' was ok both in it and in its replay"):
        seconds_to_service(Trace.from_columns(calls, source=Source(name="log", facts=trace.source.facts)))


# ---- mistakes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 37}, "seeds must be at least 38 for a band that holds at 0.95, not 37"),
        ({"seeds": 100, "confidence": 0.99}, "seeds must be at least 198"),
        ({"seeds": [1] * 40}, "seeds must be different"),
        ({"confidence": 0.0}, "confidence must be a number above 0 and below 1"),
        ({"quantities": lambda trace: {}}, "quantities must give at least one number"),
        ({"quantities": lambda trace: {"p50": math.nan}}, "quantities: 'p50' is nan at seed 0"),
        ({"quantities": lambda trace: {"p50": math.inf}}, "quantities: 'p50' is inf at seed 0"),
    ],
)
def test_what_cannot_be_is_named(busy: Scenario, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(busy, FIXED, **{"quantities": counts, "seeds": 38, **change})


def test_a_run_that_was_stopped_is_no_replicate(monkeypatch: pytest.MonkeyPatch, busy: Scenario) -> None:
    class Stopped:
        cut_off = "stopped after 5 attempts"

    monkeypatch.setattr(module, "replay", lambda *_: Stopped())
    with pytest.raises(ReplayError, match="seed 0: stopped after 5 attempts"):
        predict(busy, FIXED, counts, seeds=38)


def test_progress_is_told_after_every_replay(busy: Scenario) -> None:
    told: list[tuple[int, int]] = []
    predict(busy, FIXED, counts, seeds=38, progress=lambda *counted: told.append(counted))
    assert told == [(done, 38) for done in range(1, 39)]
