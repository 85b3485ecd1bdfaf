"""The frozen description of an incident, and the callers drawn from it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from breakerlab.live import INCIDENTS, AppSetup, FaultWindow, Incident, ServiceSetup, Traffic
from breakerlab.live.callers import draw_arrivals
from breakerlab.live.incident import ANSWER, SEARCH
from breakerlab.policy import Policy


@pytest.mark.parametrize("incident", INCIDENTS.values(), ids=INCIDENTS)
def test_an_incident_survives_the_way_through_json(incident):
    assert Incident.from_dict(json.loads(json.dumps(incident.to_dict()))) == incident


def test_a_policy_with_a_breaker_survives_too():
    incident = Incident("guarded", policy=Policy.recommended())
    assert Incident.from_dict(json.loads(json.dumps(incident.to_dict()))) == incident


def test_named_incidents_differ_in_the_fault_alone():
    meltdown, calm = INCIDENTS["incident_naive"], INCIDENTS["calm"]
    assert replace(meltdown, name="calm", faults=()) == calm
    assert draw_arrivals(meltdown) == draw_arrivals(calm)


def test_service_time_grows_with_tokens_and_with_those_in_service():
    service = ServiceSetup(slots=8, first_token=0.15, per_token=0.005, slowdown=0.5)
    assert service.seconds(tokens=60, in_service=1) == pytest.approx(0.45)
    assert service.seconds(tokens=60, in_service=8) == pytest.approx(0.675)
    assert service.seconds(tokens=0, in_service=1) == pytest.approx(0.15)
    assert ServiceSetup(slots=1).seconds(tokens=60, in_service=1) == pytest.approx(0.45)


def test_a_fault_takes_slots_from_its_start_until_just_before_its_end():
    incident = Incident("faulty", faults=(FaultWindow(30.0, 60.0, 0.125),))
    assert [incident.slots_at(t) for t in (29.999, 30.0, 59.999, 60.0)] == [8, 1, 1, 8]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Incident("a b"), "name"),
        (lambda: Incident("a", duration=0), "duration"),
        (lambda: Incident("a", duration=math.nan), "duration"),
        (lambda: FaultWindow(5.0, 5.0, 0.5), "end"),
        (lambda: FaultWindow(0.0, 5.0, 1.5), "capacity"),
        (lambda: ServiceSetup(slots=0), "slots"),
        (lambda: Traffic(answer_rate=math.inf), "answer_rate"),
        (lambda: AppSetup(health_interval=1.0, health_timeout=1.0), "health_interval"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(make, named):
    with pytest.raises(ValueError, match=named):
        make()


def test_the_same_seed_draws_the_same_callers_and_another_seed_others():
    incident = Incident("drawn", duration=60.0, seed=3)
    assert draw_arrivals(incident) == draw_arrivals(replace(incident))
    assert draw_arrivals(incident) != draw_arrivals(replace(incident, seed=4))


def test_the_callers_of_a_seed_are_the_same_in_every_version():
    first = draw_arrivals(Incident("drawn", seed=1, traffic=Traffic(8.0, 12.0, 60.0, 0.5)))[:3]
    assert [(a.request, a.due, a.endpoint, a.tokens) for a in first] == [
        (0, 0.049487, SEARCH, None),
        (1, 0.054206, ANSWER, 108),
        (2, 0.129122, SEARCH, None),
    ]


def test_callers_are_numbered_in_order_of_time():
    arrivals = draw_arrivals(Incident("drawn", duration=60.0))
    assert [a.request for a in arrivals] == list(range(len(arrivals)))
    assert [a.due for a in arrivals] == sorted(a.due for a in arrivals)
    assert all(0 <= a.due < 60.0 for a in arrivals)


def test_rates_and_token_mean_are_as_described():
    """Within five standard errors."""
    arrivals = draw_arrivals(Incident("drawn", duration=2000.0, traffic=Traffic(8.0, 12.0, 60.0, 0.5)))
    tokens = [a.tokens for a in arrivals if a.endpoint == ANSWER]
    searches = sum(a.endpoint == SEARCH for a in arrivals)
    assert abs(len(tokens) - 16_000) < 5 * math.sqrt(16_000)
    assert abs(searches - 24_000) < 5 * math.sqrt(24_000)
    spread = 60.0 * math.sqrt(math.exp(0.25) - 1)
    assert abs(sum(tokens) / len(tokens) - 60.0) < 5 * spread / math.sqrt(len(tokens))
    assert min(tokens) >= 1


def test_another_search_rate_leaves_the_answers_where_they_were():
    incident = Incident("drawn", duration=60.0)
    busier = replace(incident, traffic=replace(incident.traffic, search_rate=40.0))

    def answers(of):
        return [(a.due, a.tokens) for a in draw_arrivals(of) if a.endpoint == ANSWER]

    assert answers(busier) == answers(incident)


def test_a_rate_of_zero_draws_nobody():
    incident = Incident("drawn", traffic=Traffic(answer_rate=0.0, search_rate=0.0))
    assert draw_arrivals(incident) == ()
