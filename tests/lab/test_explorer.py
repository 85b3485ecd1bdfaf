"""The explorer, moved from code and by its widgets."""

import asyncio
import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest

from breakerlab.lab import explorer as module
from breakerlab.lab.explorer import Explorer, explore
from breakerlab.lab.explorer_chart import ROWS, bin_for
from breakerlab.lab.knobs import presets
from breakerlab.lab.logged_scenario import scenario_of
from breakerlab.lab.service_name import service_name
from breakerlab.policy import Policy
from breakerlab.replay import Scenario, ScenarioError, compare, replay
from breakerlab.trace import Source, Trace


@pytest.fixture
def explorer(scenario: Scenario) -> Explorer:
    return explore(scenario)


def drawn(explorer: Explorer) -> list[dict]:
    return [dict(lines) for lines in explorer.chart.lines]


def by_hand(explorer: Explorer, name: str, value: object) -> None:
    controls = {**explorer.scenario_controls.by_name, **explorer.policy_controls.by_name}
    controls[name].value = value


def test_a_knob_of_a_policy_changes_its_lines_only(explorer: Explorer) -> None:
    a, b = drawn(explorer)
    explorer.turn("attempts", 2, policy="A")
    assert drawn(explorer)[0] != a
    assert drawn(explorer)[1] == b


def test_a_knob_of_the_server_changes_both(explorer: Explorer) -> None:
    a, b = drawn(explorer)
    explorer.turn("fault_capacity", 0.5)
    assert drawn(explorer)[0] != a
    assert drawn(explorer)[1] != b
    explorer.turn("fault_start", 20.0)
    assert explorer.chart.faults == [(20.0, 50.0)]


def test_what_is_drawn_and_told_is_the_replay_of_what_the_knobs_say(explorer: Explorer, scenario: Scenario) -> None:
    explorer.turn("failure_threshold", 2)
    again = replay(scenario, explorer.setting.b)
    assert explorer.runs["B"].summary() == pytest.approx(again.summary(), nan_ok=True)
    attempts = np.array(explorer.chart.lines[1]["attempts"])
    timeline = again.timeline(0.5)
    assert attempts == pytest.approx(timeline["attempts"].to_numpy()[: len(attempts)], rel=1e-5)
    assert explorer.table.rows[1]["cells"][1] == f"{again.summary()['answered']:,.0f}"


def test_undo_takes_back_and_reset_begins_anew(explorer: Explorer) -> None:
    first, picture = explorer.setting, drawn(explorer)
    explorer.turn("attempts", 2)
    second = explorer.setting
    explorer.turn("timeout", 2.0)
    explorer.undo()
    assert explorer.setting == second
    explorer.reset()
    assert explorer.setting == first
    assert drawn(explorer) == picture
    explorer.undo()
    assert explorer.setting == second
    explorer.undo()
    explorer.undo()
    assert explorer.setting == first


def test_a_drag_is_one_step_and_another_knob_or_a_rest_begins_a_new_one(scenario: Scenario) -> None:
    now = [0.0]
    explorer = Explorer(
        module.Logged(scenario, "", service_name(scenario)), Policy.naive(), Policy.recommended(), clock=lambda: now[0]
    )
    for value in (4, 5, 6):
        by_hand(explorer, "attempts", value)
        now[0] += 0.3
    by_hand(explorer, "failure_threshold", 8)
    now[0] += 5.0
    by_hand(explorer, "failure_threshold", 10)
    found = []
    for _ in range(4):
        found.append((explorer.setting.b.retry.attempts, explorer.setting.b.breaker.failure_threshold))
        explorer.undo()
    assert found == [(6, 10), (6, 8), (6, 5), (3, 5)]


def test_controls_follow_and_what_has_no_meaning_cannot_be_turned(explorer: Explorer) -> None:
    controls = explorer.policy_controls.by_name
    assert controls["budget_burst"].disabled
    explorer.turn("budget_ratio", 0.1)
    assert not controls["budget_burst"].disabled
    assert controls["budget_ratio"].value == 0.1
    explorer.turn("budget_ratio", None)
    assert controls["budget_ratio"].value == "off"


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_presets_set_the_policy_whose_knobs_are_shown(explorer: Explorer, preset) -> None:
    explorer._which.value = "A"
    explorer._preset.value = preset.name
    assert explorer.setting.a == preset.policy
    assert explorer._preset.value == preset.name
    explorer.turn("timeout", 0.2, policy="A")
    assert explorer._preset.value == module.NO_PRESET


def test_an_impossible_combination_is_told_and_kept_out(explorer: Explorer) -> None:
    before = explorer.setting
    by_hand(explorer, "health_timeout", 5.0)
    assert explorer.setting == before
    assert "health_timeout must be below" in explorer._message.value
    assert explorer.scenario_controls.by_name["health_timeout"].value == 1.0
    by_hand(explorer, "attempts", 2)
    assert explorer._message.value == ""
    with pytest.raises(ValueError, match='"A" or "B"'):
        explorer.turn("attempts", 2, policy="C")


def test_what_is_exported_can_be_imported(explorer: Explorer) -> None:
    text = explorer.export("json", "A").text
    explorer.load(text, policy="B")
    assert explorer.setting.b == Policy.naive()


def test_what_is_no_policy_is_refused_in_a_sentence(explorer: Explorer) -> None:
    before = explorer.setting
    explorer._import("<img src=x onerror=alert(1)>")
    assert explorer.setting == before
    assert explorer._message.value.startswith("Not imported")


def test_settle_shows_the_differences_that_compare_finds(explorer: Explorer, scenario: Scenario) -> None:
    found = explorer.settle()
    expected = compare(scenario, {"A": Policy.naive(), "B": Policy.recommended()}, 20).table
    assert found.table.equals(expected)
    assert any("to" in row["cells"][3] for row in explorer.table.rows)
    explorer.turn("attempts", 2)
    assert all(row["cells"][3] == "" for row in explorer.table.rows)


def in_a_kernel(steps: Callable[[], Explorer], seconds: float) -> Explorer:
    """Do `steps` where an event loop runs, as in a kernel, and let it run until the intervals are there."""

    async def play() -> Explorer:
        explorer = steps()
        for _ in range(int(seconds / 0.05)):
            await asyncio.sleep(0.05)
            if "over" in explorer.table.caption:
                break
        return explorer

    return asyncio.run(play())


def test_intervals_follow_by_themselves_when_the_knobs_rest(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("breakerlab.lab.intervals.PAUSE", 0.0)

    def steps() -> Explorer:
        explorer = explore(scenario)
        explorer.turn("attempts", 2)  # what was asked before is dropped
        return explorer

    explorer = in_a_kernel(steps, 30.0)
    told = [row["cells"] for row in explorer.table.rows]
    explorer.settle()
    assert [row["cells"] for row in explorer.table.rows] == told
    assert any(cells[3] for cells in told)
    assert capfd.readouterr().err == ""


def test_a_kernel_that_ends_meanwhile_hears_nothing(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("breakerlab.lab.intervals.PAUSE", 0.0)
    before = set(threading.enumerate())
    in_a_kernel(lambda: explore(scenario), 0.06)
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
        assert not thread.is_alive()
    gc.collect()
    assert capfd.readouterr().err == ""


def test_chart_and_table_name_the_same_rows(explorer: Explorer) -> None:
    assert {row["row"] for row in explorer.table.rows} <= {row.key for row in ROWS}
    assert {row["key"] for row in explorer.chart.look["rows"]} == {row.key for row in ROWS}


def test_what_is_stored_is_text_that_two_runs_have_in_common(scenario: Scenario) -> None:
    assert repr(explore(scenario)) == repr(explore(scenario))
    assert repr(explore(scenario)).startswith("Explorer(A=Policy(")


def foreign_log(endpoint: str = "POST /chat", calls: int = 1000) -> Trace:
    """Ten calls a second for 100 s, all of which fail from 40 s to 60 s; the log says nothing of the server."""
    at = np.arange(calls) / 10.0
    failed = (at >= 40.0) & (at < 60.0)
    columns = {
        "time": at,
        "latency": np.where(failed, 0.05, 0.4),
        "outcome": (failed.astype(int), ("ok", "error")),
        "service": "llm",
        "request": np.arange(calls),
        "attempt": np.ones(calls, int),
        "endpoint": (np.zeros(calls, int), (endpoint,)),
    }
    return Trace.from_columns(columns, source=Source(name="<b>mine</b>", format="jsonl"))


def test_a_foreign_log_gives_its_arrivals_and_the_windows_in_which_it_failed() -> None:
    scenario, told = scenario_of(foreign_log()).scenario, scenario_of(foreign_log()).told
    assert scenario.arrivals(0).time == pytest.approx(np.arange(1000) / 10.0)
    [fault] = scenario.faults
    assert (fault.start, fault.end) == (pytest.approx(40.0, abs=1.0), pytest.approx(60.0, abs=1.0))
    assert fault.error > 0.9
    assert scenario.service.slots == 5
    assert "the log names no server" in told
    explorer = explore(foreign_log())
    before = drawn(explorer)
    explorer.turn("slots", 1)
    assert drawn(explorer) != before


def test_a_log_may_begin_before_second_0() -> None:
    log = foreign_log()
    columns = {name: log.attempts[name].to_numpy() for name in log.attempts}
    early = Trace.from_columns({**columns, "time": columns["time"] - 5.0}, source=log.source)
    assert scenario_of(early).scenario.arrivals(0).time == pytest.approx(np.arange(1000) / 10.0)


def test_our_recordings_are_taken_as_they_say_and_an_empty_log_is_refused(scenario: Scenario) -> None:
    run = replay(scenario, Policy.naive())
    assert scenario_of(run.trace).scenario.parameters() == scenario.parameters()
    with pytest.raises(ScenarioError, match="no attempts"):
        scenario_of(foreign_log(calls=0))


def test_what_did_not_change_is_not_sent_again(explorer: Explorer) -> None:
    sent: list[str] = []
    for widget in (explorer.chart, *explorer.policy_controls.by_name.values()):
        widget.observe(lambda change: sent.append(change["name"]))
    by_hand(explorer, "attempts", 2)
    assert sent.count("lines") == 1
    assert "faults" not in sent
    assert sent.count("value") == 1


@pytest.mark.parametrize("duration", [0.5, 4.0, 60.0, 61.0, 3600.0, 86_400.0, 4.5e6, 1e9])
def test_a_chart_of_any_length_has_enough_points_and_not_too_many(duration: float) -> None:
    bins = duration / bin_for(duration)
    assert 30 <= bins <= 120


def test_what_is_sent_to_the_page_is_what_is_drawn(explorer: Explorer) -> None:
    explorer.turn("failure_threshold", 2)
    for lines, sent in zip(explorer.chart.lines, explorer.chart.get_state("lines")["lines"], strict=True):
        numbers = np.frombuffer(sent["numbers"], np.float32)
        expected = [value for column in lines.values() for value in column]
        assert [(name, len(column)) for name, column in lines.items()] == sent["columns"]
        assert numbers == pytest.approx(np.array(expected, float), rel=1e-6, nan_ok=True)


def test_in_bins_narrower_than_the_samples_of_the_pool_the_last_one_holds() -> None:
    explorer = explore(foreign_log(calls=40))  # 4 s
    assert explorer.chart.look["bin"] < 0.5
    assert None not in explorer.chart.lines[1]["pool"]


def test_who_served_is_told_once_there_is_a_fallback(explorer: Explorer) -> None:
    assert not any(row["label"].startswith("served by ") for row in explorer.table.rows)
    explorer.turn("fallback", ("simpler model",))
    rows = {row["label"]: row["cells"] for row in explorer.table.rows}
    summary = explorer.runs["B"].summary()
    assert rows["served by simpler model"][:2] == ["0", f"{summary['served_by_simpler model']:,.0f}"]
    assert rows["served by the LLM"][1] == f"{summary['served_by_llm']:,.0f}"


def test_a_log_of_months_has_its_own_steps_for_the_fault_and_few_health_checks() -> None:
    at = 1.7e9 + 1500.0 * np.arange(3000)
    failed = (np.arange(3000) // 100 == 4).astype(int)
    number = np.arange(3000)
    columns = {"time": at, "latency": np.full(3000, np.nan), "outcome": (failed, ("ok", "error")), "service": "llm"}
    columns |= {"request": number, "attempt": np.ones(3000, int)}
    log = Trace.from_columns(columns, source=Source(name="months", format="jsonl"))
    explorer = explore(log)
    assert explorer.setting.scenario.duration / explorer.setting.scenario.app.health_interval <= 20_000
    assert "checked every 225 s" in explorer.about
    assert "the log does not say how long they took" in explorer.about
    assert "6.94 days to 8.68 days" in explorer.about
    labels = [label for label, _ in explorer.scenario_controls.by_name["fault_start"].options]
    assert "26 days" in labels
    assert explorer.chart.look["unit"]["name"] == "days"


def test_every_knob_has_its_meaning_for_the_page(explorer: Explorer) -> None:
    for controls in (explorer.policy_controls, explorer.scenario_controls):
        assert len(controls.meanings) == len(controls.by_name)
        assert all(controls.meanings.values())


def test_the_caption_names_the_server_as_the_knobs_have_it(explorer: Explorer) -> None:
    assert "Simulated: 8 slots" in explorer._caption.value
    explorer.turn("slots", 4)
    assert "Simulated: 4 slots" in explorer._caption.value
