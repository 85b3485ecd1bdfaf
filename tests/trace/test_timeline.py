"""The timeline: what happened when, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from breakerlab.trace import Source, Trace

NAMES = ("time", "latency", "service", "request", "attempt", "outcome", "status", "endpoint")
NAN = float("nan")


def made(attempts=(), events=(), facts=None):
    table = {name: [row[k] for row in attempts] for k, name in enumerate(NAMES)}
    if not attempts:
        table = {name: np.empty(0, int) for name in NAMES} | {"service": "llm", "outcome": "ok", "endpoint": ""}
    beside = {name: [row[k] for row in events] for k, name in enumerate(("time", "kind", "value", "instance"))}
    return Trace.from_columns(table, beside if events else None, source=Source(facts=facts or {}))


def app(time, latency, outcome="ok", request=1, endpoint="POST /answer", attempt=1):
    return (time, latency, "app", request, attempt, outcome, 200 if outcome == "ok" else 0, endpoint)


def llm(time, latency, outcome="ok", request=1, attempt=1, status=0):
    return (time, latency, "llm", request, attempt, outcome, status, "POST /v1/chat")


def event(time, kind, value, instance="pipeline"):
    return (time, kind, value, instance)


def test_the_columns_and_their_type():
    timeline = made([llm(0.0, 0.5)]).timeline()
    assert list(timeline) == [
        "offered", "attempts", "status_503", "timeouts", "rejected", "other_offered", "other_timeouts", "other_failed",
        "pool", "health_failed", "down", "breaker", "goodput", "other_goodput",
    ]  # fmt: skip
    assert set(map(str, timeline.dtypes)) == {"float64"}
    assert timeline.index.name == "time"


def test_starts_count_when_they_start_and_ends_when_they_end():
    timeline = made(
        [
            app(0.2, 3.0),
            app(0.4, 0.1, endpoint="GET /search", request=2),
            app(1.5, 2.0, "timeout", endpoint="GET /search", request=3),
            app(1.6, 1.0, "connection", endpoint="GET /search", request=4),
            llm(0.3, 0.8, "error", attempt=1, status=503),
            llm(1.4, 1.0, "timeout", attempt=2),
            llm(2.5, 0.0, "rejected", attempt=3),
            llm(2.6, 0.4, attempt=4),
        ]
    ).timeline(1.0)
    assert list(timeline.index) == [0.0, 1.0, 2.0, 3.0]
    assert timeline["offered"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert timeline["attempts"].tolist() == [1.0, 1.0, 1.0, 0.0]
    assert timeline["status_503"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert timeline["timeouts"].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert timeline["rejected"].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert timeline["goodput"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert timeline["other_offered"].tolist() == [1.0, 2.0, 0.0, 0.0]
    assert timeline["other_timeouts"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert timeline["other_failed"].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert timeline["other_goodput"].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_rates_are_per_second_whatever_the_bin():
    trace = made([llm(0.1 * k, 0.0, request=k) for k in range(100)])
    assert trace.timeline(0.5)["attempts"].tolist() == [10.0] * 20
    assert trace.timeline(2.0)["offered"].tolist() == [10.0] * 5


def test_a_moment_on_an_edge_opens_its_bin_and_the_very_end_belongs_to_the_last_bin():
    times = [0.1, 0.2, 0.3, 0.6, 0.7]
    timeline = made([llm(t, 0.0, request=k) for k, t in enumerate(times)]).timeline(0.1)
    assert list(timeline.index) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert (timeline["attempts"] * 0.1).round(9).tolist() == [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0]


def test_what_happened_before_the_start_has_bins_below_zero():
    timeline = made([llm(-1.5, 0.0), llm(0.5, 0.0)]).timeline(1.0)
    assert list(timeline.index) == [-2.0, -1.0, 0.0]
    assert timeline["attempts"].tolist() == [1.0, 0.0, 1.0]


def test_nothing_is_lost_or_counted_twice():
    random = np.random.default_rng(5)
    n = 2_000
    words = ("ok", "error", "timeout", "rejected", "lost")
    trace = Trace.from_columns(
        {
            "time": random.uniform(0, 60, n),
            "latency": np.where(random.random(n) < 0.1, np.nan, random.exponential(2.0, n)),
            "outcome": (random.integers(0, 5, n), words),
            "service": (np.arange(n) % 2, ("app", "llm")),
            "endpoint": (random.integers(0, 2, n), ("POST /answer", "GET /search")),
            "request": np.arange(n) // 2,
            "attempt": np.ones(n, int),
        },
        source=Source(facts={"parameters": {"app": {"other": {"GET /search": {}}}}}),
    )
    attempts = trace.attempts
    of_app, of_llm = attempts[attempts["service"] == "app"], attempts[attempts["service"] == "llm"]
    other, asked = (of_app[of_app["endpoint"] == name] for name in ("GET /search", "POST /answer"))
    expected = {
        "offered": len(asked),
        "attempts": (of_llm["outcome"] != "rejected").sum(),
        "rejected": (of_llm["outcome"] == "rejected").sum(),
        "timeouts": (of_llm["outcome"] == "timeout").sum(),
        "other_offered": len(other),
        "other_failed": (other["outcome"] != "ok").sum(),
        "other_timeouts": (other["outcome"] == "timeout").sum(),
        "goodput": (asked["outcome"] == "ok").sum(),
        "other_goodput": (other["outcome"] == "ok").sum(),
    }
    for bin in (0.25, 0.7, 1.0, 1_000.0):
        totals = (trace.timeline(bin) * bin).sum()
        assert {name: totals[name] for name in expected} == pytest.approx(expected)


def test_endpoints_whose_requests_never_reach_the_llm_are_the_others():
    timeline = made(
        [
            app(0.0, 1.0, request=1, endpoint="POST /a"),
            app(0.0, 1.0, "error", request=2, endpoint="POST /a"),
            app(0.0, 1.0, request=3, endpoint="GET /b"),
            llm(0.1, 0.1, request=1),
        ]
    ).timeline(10.0)
    assert timeline[["offered", "other_offered"]].to_numpy().tolist() == [[0.2, 0.1]]


@pytest.mark.parametrize(
    ("facts", "offered"),
    [
        ({"parameters": {"app": {"other": {"POST /a": {}}}}}, [1.0, 2.0]),
        ({"parameters": {"app": {"other": {}}}}, [3.0, 0.0]),
        ({"parameters": {"app": {"other": "POST /a"}}}, [2.0, 1.0]),
        ({"parameters": ["app"]}, [2.0, 1.0]),
        ({"parameters": None}, [2.0, 1.0]),
    ],
)
def test_the_recording_may_name_the_other_endpoints(facts, offered):
    attempts = [
        app(0.0, 1.0, request=1, endpoint="POST /a"),
        app(0.0, 1.0, request=2, endpoint="POST /a"),
        app(0.0, 1.0, request=3, endpoint="GET /b"),
        llm(0.1, 0.1, request=1),
    ]
    timeline = made(attempts, facts=facts).timeline(1.0)
    assert timeline[["offered", "other_offered"]].to_numpy().tolist() == [offered]


def test_a_log_of_one_service_offers_its_first_attempts():
    rows = [
        (0.0, 0.1, "openai", 1, 1, "error", 503, "gpt"),
        (0.5, 0.1, "openai", 1, 2, "ok", 200, "gpt"),
        (0.7, 0.1, "openai", 2, 1, "ok", 200, "gpt"),
    ]
    timeline = made(rows).timeline(1.0)
    assert timeline[["offered", "attempts", "status_503", "goodput", "other_offered"]].to_numpy().tolist() == [
        [2.0, 3.0, 1.0, 2.0, 0.0]
    ]


def test_an_app_without_any_attempt_on_the_llm_offers_all_it_gets():
    timeline = made([app(0.0, 1.0), app(0.0, 1.0, endpoint="GET /search")]).timeline(1.0)
    assert timeline[["offered", "other_offered"]].to_numpy().tolist() == [[2.0, 0.0]]


def test_callers_that_try_again_offer_one_request():
    timeline = made([app(0.0, 0.1, "error"), app(0.5, 0.1, attempt=2), llm(0.0, 0.1)]).timeline(1.0)
    assert timeline["offered"].tolist() == [1.0]


def test_a_lost_attempt_counts_at_its_start():
    timeline = made(
        [app(1.5, NAN, "lost", endpoint="GET /search"), llm(0.0, 0.1, request=2), llm(3.5, 0.1, request=3)],
        facts={"parameters": {"app": {"other": {"GET /search": {}}}}},
    ).timeline(1.0)
    assert timeline["other_failed"].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_the_pool_is_the_highest_sample_of_the_bin():
    timeline = made(events=[event(0.0, "pool", 3), event(0.5, "pool", 7), event(1.0, "pool", 2), event(3.5, "pool", 4)])
    np.testing.assert_array_equal(timeline.timeline(1.0)["pool"], [7.0, 2.0, NAN, 4.0])


def test_the_pools_of_several_instances_add_up():
    samples = [(0.0, 3, "a"), (0.1, 5, "b"), (0.5, 4, "a"), (1.2, 1, "b")]
    trace = made(events=[event(time, "pool", value, instance) for time, value, instance in samples])
    assert trace.timeline(1.0)["pool"].tolist() == [9.0, 1.0]


def test_failed_probes_are_counted_and_not_divided():
    events = [event(0.0, "health", 0), event(0.1, "health", 1), event(0.2, "health", 0), event(0.5, "health", 0)]
    assert made(events=events).timeline(0.5)["health_failed"].tolist() == [3.0]
    assert made(events=events).timeline(0.25)["health_failed"].tolist() == [2.0, 1.0]


def test_down_is_the_part_of_the_bin_between_kill_and_return():
    events = [event(0.75, "restart", 1), event(2.5, "restart", 0), event(3.25, "restart", 1), event(3.5, "restart", 0)]
    trace = made([llm(0.0, 5.0)], events)
    assert trace.timeline(1.0)["down"].tolist() == [0.25, 1.0, 0.5, 0.25, 0.0]
    assert trace.timeline(10.0)["down"].tolist() == [0.2]


def test_down_with_pairs_that_are_not_whole():
    back_first = [event(0.5, "restart", 0), event(1.5, "restart", 1), event(1.75, "restart", 1)]
    trace = made([llm(0.0, 4.0)], back_first)
    assert trace.timeline(1.0)["down"].tolist() == [0.0, 0.5, 1.0, 1.0]


def test_down_is_averaged_over_instances():
    events = [
        event(0.0, "pool", 1, "a"),
        event(0.0, "pool", 1, "b"),
        event(1.0, "restart", 1, "a"),
        event(1.5, "restart", 1, "b"),
        event(2.0, "restart", 0, "a"),
        event(3.0, "restart", 0, "b"),
    ]
    assert made([llm(0.0, 4.0)], events).timeline(1.0)["down"].tolist() == [0.0, 0.75, 0.5, 0.0]


def test_the_breaker_keeps_its_state_until_the_next_transition():
    events = [event(1.2, "breaker", 1), event(3.1, "breaker", 2), event(3.2, "breaker", 1), event(4.5, "breaker", 0)]
    trace = made([llm(0.0, 6.0)], events)
    assert trace.timeline(1.0)["breaker"].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    assert trace.timeline(0.5)["breaker"].tolist()[6:8] == [1.0, 1.0]


def test_a_restart_closes_the_breaker_of_its_instance_only():
    events = [event(1.0, "breaker", 1), event(3.0, "restart", 1)]
    assert made([llm(0.0, 5.0)], events).timeline(1.0)["breaker"].tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]
    elsewhere = [event(1.0, "breaker", 1), event(3.0, "restart", 1, "another")]
    assert made([llm(0.0, 5.0)], elsewhere).timeline(1.0)["breaker"].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]


def test_of_several_breakers_the_highest_state_counts():
    events = [event(0.0, "breaker", 1, "a"), event(1.0, "breaker", 2, "b"), event(2.0, "breaker", 0, "b")]
    assert made([llm(0.0, 3.0)], events).timeline(1.0)["breaker"].tolist() == [1.0, 2.0, 1.0]


def test_without_events_there_is_no_pool_and_no_breaker_and_nothing_is_down():
    timeline = made([llm(0.0, 2.0)]).timeline(1.0)
    assert timeline[["pool", "breaker"]].isna().all().all()
    assert timeline[["down", "health_failed"]].to_numpy().tolist() == [[0.0, 0.0]] * 2


@pytest.mark.parametrize("bin", [0, -1.0, NAN, float("inf"), "1", None])
def test_a_bin_that_is_no_width_is_refused(bin):
    with pytest.raises(ValueError, match="expected a number of seconds above 0"):
        made([llm(0.0, 1.0)]).timeline(bin)


def test_a_bin_that_is_far_too_narrow_is_refused():
    with pytest.raises(ValueError, match="choose a wider bin"):
        made([llm(0.0, 1.0), llm(1e9, 1.0)]).timeline(1.0)


def test_a_bin_may_be_a_number_of_numpy():
    assert len(made([llm(0.0, 4.0)]).timeline(np.int64(2))) == 2
