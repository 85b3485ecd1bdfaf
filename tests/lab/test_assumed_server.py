"""A recording judged against the server that it was made on, and against others."""

from dataclasses import replace

import pandas as pd
import pytest
from course import REPOSITORY

from breakerlab.lab import AssumedServerPanel
from breakerlab.lab.assumed_server import AssumedServer, predict_counts
from breakerlab.policy import Policy
from breakerlab.replay import Llm, Run, Scenario, ScenarioError, counts, predict, with_measured_ways
from breakerlab.trace import Trace, read_trace

FEW = 40


def recording(name: str) -> Trace:
    return read_trace(REPOSITORY / "data" / f"{name}.jsonl")


@pytest.fixture(scope="module")
def servers() -> dict[str, AssumedServer]:
    calm = recording("calm")
    return {name: AssumedServer(recording(f"incident_{name}"), calm, seeds=FEW) for name in ("naive", "breaker")}


@pytest.fixture
def panel(servers: dict[str, AssumedServer]) -> AssumedServerPanel:
    return AssumedServerPanel(servers)


def test_the_fast_prediction_is_that_of_predict(scenario: Scenario) -> None:
    policy = Policy.recommended()
    fast, slow = predict_counts(scenario, policy, seeds=FEW), predict(scenario, policy, counts, seeds=FEW)
    pd.testing.assert_frame_equal(fast.table, slow.table)
    assert (fast.factor, fast.seeds, fast.confidence) == (slow.factor, slow.seeds, slow.confidence)


def test_other_numbers_of_a_summary_can_be_predicted(naive: Run, scenario: Scenario) -> None:
    predicted = predict_counts(scenario, Policy.naive(), ("other_failed", "answered"), seeds=FEW)
    assert predicted.table["quantity"].tolist() == ["other_failed", "answered"]
    judged = predicted.judge(naive.trace)
    assert judged["recorded"].tolist() == [naive.summary()["other_failed"], naive.summary()["answered"]]
    assert judged["inside"].all()


def test_a_recording_is_judged_by_the_counts_of_predict(servers: dict[str, AssumedServer]) -> None:
    for name, server in servers.items():
        wanted = counts(recording(f"incident_{name}"))
        assert dict(zip(*(server.judge()[column] for column in ("quantity", "recorded")), strict=True)) == wanted


def test_the_server_that_was_there_is_not_refuted(servers: dict[str, AssumedServer]) -> None:
    for server in servers.values():
        assert (server.slots, server.slots_in_fault) == (8, 1)
        assert server.judge()["inside"].all()


def test_a_server_that_was_not_there_is(servers: dict[str, AssumedServer]) -> None:
    assert not servers["naive"].judge(slots=6)["inside"].all()
    assert not servers["naive"].judge(slots_in_fault=0)["inside"].all()
    assert not servers["naive"].judge(answer_time=1.2)["inside"].all()


def test_each_assumption_is_what_is_replayed(servers: dict[str, AssumedServer]) -> None:
    """With as many slots in the fault as outside it there is no fault, and nobody is refused but by chance."""
    judged = servers["naive"].judge(slots=8, slots_in_fault=8).set_index("quantity")
    assert judged.loc["restarts", "high"] == 0
    assert judged.loc["status_503", "high"] < 20


def test_the_time_of_an_answer_is_that_of_its_first_token_and_of_the_others(servers: dict[str, AssumedServer]) -> None:
    log = recording("incident_naive")
    scenario = with_measured_ways(Scenario.from_trace(log), recording("calm"))
    slower = replace(scenario.service, time=Llm(first_token=0.15 * 1.2, per_token=0.005 * 1.2, slowdown=0.5))
    wanted = predict_counts(replace(scenario, service=slower), Policy.naive(), seeds=FEW).judge(log)
    pd.testing.assert_frame_equal(servers["naive"].judge(answer_time=1.2), wanted)


def test_a_log_without_an_llm_cannot_be_judged() -> None:
    log = recording("incident_naive")
    facts = dict(log.source.facts)
    service = {"slots": 8, "queue_limit": 8, "time": {"constant": {"value": 0.5}}}
    facts["parameters"] = {**facts["parameters"], "service": service}
    attempts = {name: log.attempts[name] for name in ("time", "latency", "request", "attempt", "tokens_out")}
    words = {name: log.attempts[name].astype(str).tolist() for name in ("outcome", "service", "endpoint")}
    other = Trace.from_columns({**attempts, **words}, source=replace(log.source, facts=facts))
    with pytest.raises(ScenarioError, match=r"needs a service whose time is Llm\(...\)"):
        AssumedServer(other, recording("calm"))


@pytest.mark.parametrize(("control", "value"), [("slots", 6), ("slots_in_fault", 3), ("answer_time", 1.2)])
def test_each_slider_moves_the_bands_and_leaves_the_recording(
    panel: AssumedServerPanel, control: str, value: object
) -> None:
    before = [list(line.x) for line in panel.figure.data]
    getattr(panel, control).value = value
    after = [list(line.x) for line in panel.figure.data]
    bands, dots = slice(0, None, 2), slice(1, None, 2)
    assert after[bands] != before[bands]
    assert after[dots] == before[dots]
    assert panel.sentence != "4 of 4 counts of the recording lie where this server would have put them."


def test_the_choice_of_the_recording_moves_both(panel: AssumedServerPanel) -> None:
    panel.recording.value = "breaker"
    assert [line.x[0] for line in panel.figure.data[1::2]] == [864.0, 32.0, 832.0, 0.0]
    assert "864, predicted" in panel.figure.data[1].hovertemplate
    assert any("864, predicted" in note.text for note in panel.figure.layout.annotations)


def test_back_at_the_start_the_drawing_is_as_it_was(panel: AssumedServerPanel) -> None:
    before = panel.figure.to_json()
    panel.slots.value = 6
    assert panel.figure.to_json() != before
    panel.slots.value = 8
    assert panel.figure.to_json() == before
