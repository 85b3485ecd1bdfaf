"""What is certain of a recording before it is made, agrees with the one that is made."""

from __future__ import annotations

from breakerlab.live import planned
from breakerlab.replay import Scenario


def test_the_callers_of_the_plan_are_those_who_then_come(meltdown):
    plan = planned(meltdown.incident).attempts.sort_values("request")
    came = meltdown.attempts("app").sort_values("request")
    for column in ("request", "time", "attempt"):
        assert plan[column].tolist() == came[column].tolist()
    for column in ("service", "client", "endpoint"):
        assert plan[column].astype(str).tolist() == came[column].astype(str).tolist()
    assert plan["tokens_out"].fillna(-1).tolist() == came["tokens_out"].fillna(-1).tolist()


def test_a_plan_knows_no_outcome_and_no_call_of_the_provider(meltdown):
    plan = planned(meltdown.incident)
    assert set(plan.attempts["outcome"]) == {"lost"}
    assert set(plan.attempts["service"]) == {"app"}
    assert plan.events.empty


def test_a_plan_gives_the_scenario_that_the_recording_will_give(meltdown):
    before, after = Scenario.from_trace(planned(meltdown.incident)), Scenario.from_trace(meltdown.trace)
    assert before.parameters() == after.parameters()
    assert before.name == after.name
    for column in ("time", "tokens", "request"):
        assert getattr(before.workload, column).tolist() == getattr(after.workload, column).tolist()
    names = [[one.workload.endpoints[code] for code in one.workload.endpoint] for one in (before, after)]
    assert names[0] == names[1]
    assert planned(meltdown.incident).source.facts["policy"] == meltdown.trace.source.facts["policy"]
