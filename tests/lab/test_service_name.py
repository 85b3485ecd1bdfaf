"""What is shown names the service truthfully: the LLM where it is one, and else the service."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go
import pytest
from course import REPOSITORY

from breakerlab.lab import CascadePanel, charts, explore, what_changed
from breakerlab.lab.fallback_panel import FallbackPanel
from breakerlab.lab.knob_panel import KnobPanel
from breakerlab.lab.plotly_chart import PlotlyChart
from breakerlab.lab.show import bundle
from breakerlab.lab.tables import counts
from breakerlab.policy import Fallback, Policy
from breakerlab.replay import Fault, Lognormal, Poisson, Run, Scenario, Service, compare, replay
from breakerlab.trace import Source, Trace, read_trace

DATA = REPOSITORY / "data"
FOREIGN = ("nginx_text.log", "haproxy.log", "jmeter.csv", "envoy_json.log")

Subjects = Mapping[str, Trace | Run]
SHOWN: dict[str, Callable[[Subjects], Any]] = {
    "cascade": charts.cascade,
    "anatomy": lambda runs: charts.anatomy(next(iter(runs.values()))),
    "answers": charts.answers,
    "what_changed": what_changed,
}
WITHOUT_ITS_NAME: dict[str, Callable[[Subjects], Any]] = {
    "latencies": charts.latencies,
    "retry_histogram": charts.retry_histogram,
}


@pytest.fixture(scope="module")
def incident() -> Trace:
    return read_trace(DATA / "incident_breaker.jsonl")


@pytest.fixture(scope="module")
def shop() -> Scenario:
    """An API that is no LLM."""
    return Scenario(Poisson(8.0), Service(time=Lognormal(0.3, 0.5)), duration=20.0, name="shop")


@pytest.fixture(scope="module")
def answers_of_a_model() -> Scenario:
    return Scenario(Poisson(8.0), duration=20.0, name="an LLM")


def text_of(shown: Any) -> str:
    """All text that reaches a reader, and more: each string of the figure, the table, or the widget's family."""
    if isinstance(shown, go.Figure):
        return json.dumps(bundle(shown))
    if isinstance(shown, pd.DataFrame):
        return shown.to_string()
    return " | ".join(text for widget in family(shown) for text in strings(sent_by(widget)))


def sent_by(widget: widgets.Widget) -> Any:
    """The state that the page has of it, without the program that runs there."""
    state = {name: value for name, value in widget.get_state().items() if name not in ("_esm", "_css")}
    return [state, widget.drawn] if isinstance(widget, PlotlyChart) else state


def family(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from family(child)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from strings([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)


def call(service: str, **more: Any) -> dict[str, Any]:
    one = {"time": [0.5], "latency": [0.1], "outcome": "ok", "service": service, "request": [1], "attempt": [1]}
    return {**one, **more}


@pytest.mark.parametrize("log", FOREIGN)
@pytest.mark.parametrize("name", [*SHOWN, *WITHOUT_ITS_NAME])
def test_nothing_that_is_drawn_of_a_log_of_some_api_speaks_of_an_llm(name: str, log: str) -> None:
    shown = {**SHOWN, **WITHOUT_ITS_NAME}[name]({"mine": read_trace(DATA / "formats" / log)})
    assert "LLM" not in text_of(shown)
    assert "{service" not in text_of(shown).lower()


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_drawn_of_the_incident_speaks_of_the_llm(name: str, incident: Trace) -> None:
    assert "LLM" in text_of(SHOWN[name]({"logged": incident}) if name != "answers" else charts.answers(fallback()))


def fallback() -> dict[str, Run]:
    policy = Policy(fallback=Fallback(message="Please try again soon."))
    return {"fallback": replay(Scenario(Poisson(8.0), duration=20.0), policy)}


def test_the_titles_of_the_incident_and_of_some_api(incident: Trace, shop: Scenario) -> None:
    def titles(figure: go.Figure) -> set[str]:
        return {note.text for note in figure.layout.annotations if note.name != "caption"}

    told = titles(charts.cascade({"logged": incident}))
    assert {"503 answers of the LLM", "LLM answers that reached a waiting caller"} <= told
    told = titles(charts.cascade({"shop": replay(shop, Policy.naive())}))
    assert {"503 answers of the service", "Service answers that reached a waiting caller"} <= told
    assert "Attempts sent to the service, and the load offered (grey), open loop" in told


@pytest.mark.parametrize(
    ("fault", "legend"),
    [
        (Fault(5.0, 9.0, capacity=0.25), "fault: service at 1/4 of its capacity"),
        (Fault(5.0, 9.0, refuse=1.0), "fault of the service"),
    ],
)
def test_the_legend_says_whose_fault_it_is(shop: Scenario, fault: Fault, legend: str) -> None:
    run = replay(replace(shop, faults=(fault,)), Policy.naive())
    assert legend in {line.name for line in charts.cascade({"shop": run}).data}


def test_where_one_of_several_is_no_llm_the_word_is_the_one_that_holds_for_all(
    incident: Trace, shop: Scenario, answers_of_a_model: Scenario
) -> None:
    model, other = replay(answers_of_a_model, Policy.naive()), replay(shop, Policy.naive())
    assert "LLM" in text_of(charts.cascade({"logged": incident, "a": model}))
    assert "Attempts sent to the service" in what_changed({"a": model, "b": other}).index
    assert "of the LLM" not in text_of(charts.cascade({"logged": incident, "b": other}))


def test_a_trace_of_a_run_is_named_as_the_run_is(shop: Scenario, tmp_path: Path) -> None:
    run = replay(shop, Policy.naive())
    run.trace.write(tmp_path / "shop.jsonl")
    for trace in (run.trace, read_trace(tmp_path / "shop.jsonl")):
        assert (trace.attempts["service"] == "llm").any()
        assert "LLM" not in text_of(charts.cascade({"shop": trace}))


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        (call("llm"), "LLM"),
        (call("api"), "service"),
        (call("api", tokens_out=[120]), "LLM"),
        (call("app"), "service"),
    ],
)
def test_a_log_without_a_header_is_of_an_llm_if_it_says_so_or_counts_tokens(columns: dict[str, Any], word: str) -> None:
    log = Trace.from_columns(columns, source=Source(format="jsonl"))
    assert f"Attempts sent to the {word}" in what_changed({"log": log}).index


def test_answers_in_a_log_without_an_app_are_the_services() -> None:
    title = charts.answers({"mine": read_trace(DATA / "formats" / "nginx_text.log")}).layout.annotations[0].text
    assert "by the service" in title
    assert "app" not in title


@pytest.mark.parametrize("log", FOREIGN)
def test_no_text_of_the_explorer_speaks_of_an_llm_on_a_log_of_some_api(log: str) -> None:
    explorer = explore(read_trace(DATA / "formats" / log))
    explorer.turn("fallback", ("cached answer",))
    told = text_of(explorer)
    explorer.close()
    assert "LLM" not in told
    assert "{service" not in told.lower()
    for words in (
        "Attempts on the service; grey: load offered",
        "Service answers in time; dotted: by a fallback",
        "attempts on the service",
        "service requests answered",
        "served by the service",
        "The service",
        "who answers in the service's place",
    ):
        assert words in told.split(" | ")


def test_the_explorer_speaks_of_the_llm_on_the_incident(incident: Trace) -> None:
    explorer = explore(incident)
    told = text_of(explorer).split(" | ")
    explorer.close()
    for words in (
        "Attempts on the LLM; grey: load offered",
        "LLM answers in time; dotted: by a fallback",
        "attempts on the LLM",
        "The LLM service",
        "who answers in the LLM's place",
    ):
        assert words in told


def test_one_figure_of_one_policy_is_a_chart(shop: Scenario) -> None:
    table = pd.DataFrame({"quantity": ["attempts"], "low": 1.0, "high": 9.0, "recorded": 5.0, "inside": True})
    found = compare(shop, {"one": Policy.none(), "naive": Policy.naive()}, seeds=2)
    for figure in (charts.differences(found, ["attempts"]), charts.predicted_counts({"": table})):
        assert "attempts on the service" in text_of(figure)


def test_the_explorer_names_a_log_that_says_it_is_of_an_llm_as_it_does() -> None:
    log = Trace.from_columns(call("llm"), source=Source(name="mine", format="jsonl"))
    explorer = explore(log)
    assert "The LLM service" in text_of(explorer)
    explorer.close()


@pytest.mark.parametrize(
    "panel",
    [
        lambda scenario: CascadePanel(scenario, Policy.naive(), name="naive"),
        lambda scenario: KnobPanel(scenario, Policy.recommended(), ["attempts", "fallback"], name="recommended"),
        FallbackPanel,
    ],
)
def test_panels_ask_what_the_service_is(
    panel: Callable[[Scenario], Any], shop: Scenario, answers_of_a_model: Scenario
) -> None:
    told = text_of(panel(shop))
    assert "LLM" not in told
    assert "{service" not in told.lower()
    assert "LLM" in text_of(panel(answers_of_a_model))


def test_differences_ask_the_scenario_that_was_compared(shop: Scenario, answers_of_a_model: Scenario) -> None:
    policies = {"one": Policy.none(), "naive": Policy.naive()}
    for scenario, label in ((shop, "attempts on the service"), (answers_of_a_model, "attempts on the LLM")):
        found = compare(scenario, policies, seeds=2)
        figure = charts.differences(found, ("attempts", "success_rate"))
        labels = [note.text for note in figure.layout.annotations if note.xanchor == "right"]
        assert labels == [label, "share answered (%)"]


def test_a_share_is_told_in_percent_wherever_it_is_told(shop: Scenario) -> None:
    runs = {"naive": replay(shop, Policy.naive())}
    share = runs["naive"].summary()["success_rate"]
    assert counts(runs, "success_rate").loc["naive", "share answered (%)"] == f"{100.0 * share:.1f}"
    found = compare(shop, {"one": Policy.none(), "short": Policy(0.3)}, seeds=2)
    [drawn] = [line for line in charts.differences(found, ["success_rate"]).data if line.mode == "markers"]
    [row] = found.table.query("quantity == 'success_rate'").to_dict("records")
    assert row["difference"] < 0.0
    assert drawn.x[0] == pytest.approx(100.0 * row["difference"], rel=1e-5)


def test_predictions_ask_the_recording_that_names_the_server(incident: Trace) -> None:
    table = pd.DataFrame(
        {"quantity": ["attempts", "answered"], "low": 1.0, "high": 9.0, "recorded": 5.0, "inside": True}
    )
    course = pd.DataFrame({"quantity": ["attempts at 0 s"], "low": 1.0, "high": 9.0, "recorded": 5.0, "inside": True})
    many = pd.concat([table.assign(quantity=one) for one in ("attempts", "status_503", "answered")])
    many = many.assign(incident="i", seed=1, all_inside=True).drop_duplicates("quantity")
    foreign = read_trace(DATA / "formats" / "nginx_text.log")
    for server, word in ((incident, "LLM"), (foreign, "service")):
        figures = (
            charts.predicted_counts({"": table}, server=server),
            charts.predicted_course(course, server=server),
            charts.predicted_recordings(many, {"i": "one"}, server=server),
        )
        for figure in figures:
            told = text_of(figure)
            assert f"the {word}" in told
            assert ("LLM" in told) == (word == "LLM")


def test_charts_and_the_explorers_table_call_a_figure_the_same(answers_of_a_model: Scenario) -> None:
    explorer = explore(answers_of_a_model)
    labels = {row["label"] for row in explorer.table.rows}
    quantities = ("requests", "answered", "attempts", "status_503", "failure_p50", "goodput", "time_to_recover")
    figure = charts.differences(explorer.settle(), quantities)
    explorer.close()
    assert {note.text for note in figure.layout.annotations if note.xanchor == "right"} <= labels
