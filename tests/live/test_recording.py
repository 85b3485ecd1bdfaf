"""Whole recordings: what the processes logged agrees with each other and with what the provider counted itself."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from breakerlab.live import RecordingError, record
from breakerlab.live.axis import Axis
from breakerlab.live.callers import draw_arrivals
from breakerlab.live.incident import ANSWER, SEARCH


@pytest.fixture(params=["calm", "meltdown"])
def either(request):
    return request.getfixturevalue(request.param)


def test_every_caller_was_sent_once_at_its_drawn_time_and_ended(either):
    app = either.attempts("app").sort_values("request")
    arrivals = draw_arrivals(either.incident)
    assert app["request"].tolist() == [a.request for a in arrivals]
    assert app["time"].tolist() == pytest.approx([a.due for a in arrivals], abs=1e-6)
    assert app["endpoint"].tolist() == [a.endpoint for a in arrivals]
    assert (app["attempt"] == 1).all()
    assert not app["outcome"].isin(["lost", "cancelled"]).any()


def test_each_endpoint_of_a_recording_is_named_as_its_parameters_name_it(either):
    other = either.trace.source.facts["parameters"]["app"]["other"]
    assert set(either.attempts("app")["endpoint"]) == {ANSWER, *other} == {ANSWER, SEARCH}


def test_nothing_fails_when_calm(calm):
    assert set(calm.trace.attempts["outcome"]) == {"ok"}
    assert (calm.events("health")["value"] == 1).all()
    assert calm.events("restart").empty
    assert not any(step.seen for step in calm.recording.steps)


def test_callers_pipeline_and_provider_count_the_same_when_calm(calm):
    answers = calm.attempts("app").query("endpoint == @ANSWER")
    counted = calm.recording.facts.provider
    assert len(answers) == len(calm.attempts("llm")) == counted["accepted"] == counted["served"]
    assert counted["rejected"] == counted["broken"] == 0


def test_tokens_reach_the_provider_as_drawn(either):
    drawn = {a.request: a.tokens for a in draw_arrivals(either.incident)}
    for service in ("app", "llm"):
        asked = either.attempts(service).dropna(subset="tokens_out")
        assert len(asked) > 0
        assert all(drawn[row.request] == row.tokens_out for row in asked.itertuples())


def test_the_eight_steps_are_seen_in_a_meltdown(meltdown):
    assert [step.number for step in meltdown.recording.steps if step.seen] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_provider_and_pipeline_count_the_same_in_a_meltdown_but_for_what_was_lost(meltdown):
    llm = meltdown.attempts("llm")
    counted = meltdown.recording.facts.provider
    lost = int((llm["outcome"] == "lost").sum())
    refused = int((llm["status"] == 503).sum())
    taken = int((llm["status"] == 200).sum() + (llm["outcome"] == "timeout").sum())
    assert refused <= counted["rejected"] <= refused + lost
    assert taken <= counted["accepted"] <= taken + lost
    assert len(llm) - lost <= counted["accepted"] + counted["rejected"] + counted["broken"] <= len(llm)
    assert counted["served"] == counted["accepted"]
    assert (llm.loc[llm["status"] == 503, "retry_after"] == meltdown.incident.service.retry_after).all()


def test_an_answer_reached_its_caller_only_if_the_provider_gave_one(meltdown):
    app, llm = meltdown.attempts("app"), meltdown.attempts("llm")
    answered = set(app.query("endpoint == @ANSWER and outcome == 'ok'")["request"])
    assert answered and answered <= set(llm.query("outcome == 'ok'")["request"])


def test_attempts_of_a_request_are_numbered_without_gaps(meltdown):
    for _, attempts in meltdown.attempts("llm").sort_values("time").groupby("request"):
        assert attempts["attempt"].tolist() == list(range(1, len(attempts) + 1))


def test_a_killed_pipeline_loses_its_attempts_and_its_callers_see_the_connection_break(meltdown):
    restarts = meltdown.events("restart")
    killed, back = restarts["time"].tolist()[:2]
    assert restarts["value"].tolist()[:2] == [1, 0]
    assert back - killed >= meltdown.incident.app.restart_seconds
    llm, app = meltdown.attempts("llm"), meltdown.attempts("app")
    assert (llm["outcome"] == "lost").any()
    while_down = (killed, killed + meltdown.incident.app.restart_seconds)
    assert not llm["time"].between(*while_down).any()
    refused = app[app["time"].between(*while_down)]
    assert len(refused) and set(refused["outcome"]) == {"connection"}


def test_the_process_is_killed_only_after_so_many_failed_probes_in_a_row(meltdown):
    events = meltdown.trace.events
    beside_pool = events[events["kind"] != "pool"]
    before = beside_pool[beside_pool["time"] <= beside_pool.query("kind == 'restart'")["time"].iloc[0]]
    needed = meltdown.incident.app.health_failures
    assert before["kind"].tolist()[-needed - 1 :] == ["health"] * needed + ["restart"]
    assert before["value"].tolist()[-needed - 1 :] == [0.0] * needed + [1.0]


def test_the_pool_is_sampled_every_half_second_and_never_above_its_size(either):
    pool = either.events("pool")
    assert pool["value"].between(0, either.incident.app.workers).all()
    assert pool["time"].is_monotonic_increasing
    halves = (pool["time"] * 2).astype(int)
    assert halves.is_unique


def test_the_header_says_what_was_recorded(either):
    facts = either.trace.source.facts
    assert facts["scenario"] == either.incident.name
    assert facts["parameters"] == json.loads(json.dumps(either.incident.parameters()))
    assert facts["policy"] == either.incident.policy.to_dict()
    assert facts["versions"]["httpx"]
    assert either.trace.start == either.recording.facts.started
    assert either.trace.skipped == ()


def test_the_card_tells_what_ran_what_was_counted_and_how_to_repeat_it(meltdown):
    card = meltdown.recording.card_path.read_text(encoding="utf-8")
    counted = meltdown.recording.facts.provider
    assert f"| served by the provider, by its own count | {counted['served']} |" in card
    assert f"| restarts | {int((meltdown.events('restart')['value'] == 1).sum())} |" in card
    assert "| app.workers | 12 |" in card
    assert "| retry.backoff.base | 0.25 |" in card
    assert "| uvicorn | " in card
    assert "--only short_meltdown --seed 7" in card
    assert "not seen" not in card
    assert str(meltdown.recording.card_path.parent) not in card


def test_nothing_but_the_two_files_is_left(either):
    files = {path.name for path in either.recording.trace_path.parent.iterdir()}
    assert files == {f"{either.incident.name}.jsonl", f"{either.incident.name}.md"}


def late(monkeypatch, times: int) -> list[float]:
    """Let second 0 lie in the past so many times; the leads that were asked for."""
    beginning_in, leads = Axis.beginning_in, []

    def begin(lead: float) -> Axis:
        leads.append(lead)
        return beginning_in(-1.0 if len(leads) <= times else lead)

    monkeypatch.setattr("breakerlab.live.recording.Axis.beginning_in", begin)
    return leads


def test_processes_that_were_not_ready_in_time_get_another_try_with_more_of_it(monkeypatch, calm, tmp_path):
    leads = late(monkeypatch, times=1)
    recording = record(replace(calm.incident, duration=0.5), tmp_path, progress=False)
    assert len(leads) == 2
    assert leads[1] >= 4.0 > leads[0]
    assert {path.name for path in tmp_path.iterdir()} == {recording.trace_path.name, recording.card_path.name}


def test_a_machine_that_is_too_busy_is_told_in_one_sentence(monkeypatch, calm, tmp_path):
    late(monkeypatch, times=3)
    with pytest.raises(RecordingError, match="not ready at second 0; record on a quieter machine"):
        record(replace(calm.incident, duration=0.5), tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []
