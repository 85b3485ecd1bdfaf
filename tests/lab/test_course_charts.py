"""The charts of the course, checked on their data; and that each keeps the one style."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from breakerlab.lab import charts
from breakerlab.lab.article import Call, side_by_side
from breakerlab.lab.charts.delays import AFTER_DRAW, delays, share_at_cap
from breakerlab.lab.charts.herd import arrivals
from breakerlab.lab.charts.latency import MOST_POINTS, requests_for_the_service, waiting_times
from breakerlab.lab.charts.metastable import boundary
from breakerlab.lab.charts.model import faults_told
from breakerlab.lab.charts.served import served
from breakerlab.lab.charts.spread import spread
from breakerlab.lab.contention import PUBLISHED, races
from breakerlab.lab.herd import herd
from breakerlab.lab.overload import ONE_RETRY, overload, ways
from breakerlab.lab.retry_load import attempts_per_request, capped_and_budgeted, simulated_load
from breakerlab.lab.show import bundle
from breakerlab.lab.stale import stale_answers
from breakerlab.lab.transitions import edges
from breakerlab.lab.writes import fates_of_orders
from breakerlab.policy import Backoff, Fallback, Policy, State
from breakerlab.policy import breaker as rules
from breakerlab.replay import (
    Comparison,
    Constant,
    Exponential,
    Fault,
    Run,
    Scenario,
    Service,
    Standby,
    compare,
    replay,
)
from breakerlab.trace import Source, Trace, eight_steps

PAYLOAD = "<b>bold</b><a href='https://example.org'>here</a><script>alert(1)</script>"


@pytest.fixture(scope="module")
def herds() -> dict[str, Run]:
    return dict(herd(Backoff(base=10.0, factor=1.0, cap=10.0), clients=1000, outage=15.0, attempts=3))


@pytest.fixture(scope="module")
def contention() -> pd.DataFrame:
    return races(clients=(10, 100), runs=2)


@pytest.fixture(scope="module")
def load() -> pd.DataFrame:
    return simulated_load((0.5,), 4, (1, 2), requests=200, seeds=2)


@pytest.fixture(scope="module")
def comparison(scenario: Scenario) -> Comparison:
    policies = {"recommended": Policy.recommended(), "naive": Policy.naive(), "none": Policy.none()}
    return compare(scenario, policies, seeds=3)


@pytest.fixture(scope="module")
def with_fallbacks(scenario: Scenario) -> Run:
    app = replace(scenario.app, fallbacks={"small": Standby(seconds=0.4, slots=1)})
    policy = replace(Policy.recommended(), fallback=Fallback(small="s", message="m"))
    return replay(replace(scenario, app=app), policy)


@pytest.fixture(scope="module")
def down() -> Run:
    return replay(overload(280, 10), ONE_RETRY)


@pytest.fixture(scope="module")
def back() -> Run:
    return replay(overload(280, 10), ways()["circuit breaker"].policy)


SHARES = pd.DataFrame(
    [[1.0, 1.0], [0.9, 0.01]], pd.Index([0.5, 2.0], name="outage"), pd.Index([120.0, 280.0], name="load")
)


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> dict[str, go.Figure]:
    get: Callable[[str], Any] = request.getfixturevalue
    runs = {"naive": get("naive"), "guarded": get("guarded")}
    return {
        "retry_histogram": charts.retry_histogram(get("herds")),
        "jitter_delays": charts.jitter_delays(),
        "competing_clients": charts.competing_clients(get("contention")),
        "amplification": charts.amplification(simulated=get("load")),
        "recovery_map": charts.recovery_map(SHARES, service=Service(time=Constant(0.1))),
        "overload": charts.overload(get("down")),
        "recoveries": charts.recoveries({"one retry": get("down"), "breaker": get("back")}),
        "staleness": charts.staleness({"often the same": stale_answers(questions=2000)}),
        "orders": charts.orders(fates_of_orders()),
        "latencies": charts.latencies(runs),
        "answers": charts.answers(runs),
        "differences": charts.differences(get("comparison")),
        "state_diagram": charts.state_diagram(),
        "anatomy": charts.anatomy(get("naive")),
        "cascade": charts.cascade(runs),
        "budgets": charts.budgets(capped_and_budgeted((0.0, 0.5), requests=300)),
        "fates": charts.fates({"one call": side_by_side([Call(1.0, 0.1, True)])}),
    }


ALL = ("retry_histogram", "jitter_delays", "competing_clients", "amplification", "recovery_map", "overload",
       "recoveries", "staleness", "orders", "latencies", "answers", "differences", "state_diagram", "anatomy",
       "cascade", "fates", "budgets")  # fmt: skip


def caption(figure: go.Figure) -> str:
    [told] = [note.text for note in figure.layout.annotations if note.name == "caption"]
    return told.replace("<br>", " ")


def texts(figure: go.Figure) -> str:
    return " | ".join(note.text or "" for note in figure.layout.annotations)


def numbers(value: Any) -> Any:
    if isinstance(value, float):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)


@pytest.mark.parametrize("name", ALL)
def test_numbers_have_six_digits_and_sizes_fit_a_laptop(figures, name: str) -> None:
    drawn = bundle(figures[name])
    assert all(float(f"{value:.6g}") == value for value in numbers(drawn["data"]))
    assert 270 <= figures[name].layout.height <= 700
    assert figures[name].layout.width is None
    assert len(json.dumps(drawn)) < 150_000
    assert "NaN" not in json.dumps(drawn)


@pytest.mark.parametrize("name", ALL)
def test_the_chart_has_a_caption(figures, name: str) -> None:
    assert len(caption(figures[name])) > 20


MODEL = (
    "Simulated: 8 slots, queue 8, FIFO, 0.15 s + 5 ms per token, 1.5 times that when full; fault 10 to 40 s at 1/8; "
    "app with 48 workers; open loop"
)


@pytest.mark.parametrize("name", ["cascade", "latencies", "answers", "anatomy", "differences"])
def test_a_chart_of_runs_names_its_server_model(figures, name: str) -> None:
    assert MODEL in caption(figures[name])


def log_of(name: str, **parameters: Any) -> Trace:
    columns = {"time": [0.5], "latency": [0.1], "outcome": "ok", "service": "app", "request": [1], "attempt": [1]}
    return Trace.from_columns(columns, source=Source(name=name, format="jsonl", facts={"parameters": parameters}))


def test_a_log_is_named_and_tells_what_its_header_knows(naive: Run) -> None:
    service = {"slots": 4, "queue_limit": 0, "first_token": 0.1, "per_token": 0.002, "slowdown": 0.0}
    log = log_of(
        "logs/may.jsonl", service=service, faults=[{"start": 3, "end": 9, "capacity": 0.3}], app={"workers": 9}
    )
    assert caption(charts.cascade({"yesterday": log})) == (
        "Logged: may.jsonl; 4 slots, no queue, 0.1 s + 2 ms per token; fault 3 to 9 s at 30 %; app with 9 workers."
    )
    assert caption(charts.cascade({"yesterday": log, "replay": naive})) == f"Logged: may.jsonl. {MODEL}; seed 0."


def test_of_a_second_model_the_caption_tells_what_is_not_the_same(scenario: Scenario) -> None:
    failing = replace(scenario, faults=(Fault(20.0, math.inf, error=0.5, status=503),))
    runs = {"one": replay(scenario, Policy.none()), "other": replay(failing, Policy.none())}
    assert caption(charts.cascade(runs)) == f"{MODEL}; seed 0. other: fault 20 s on: 50 % answered 503."


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(1.0, 2.5, latency=3.0), "fault 1 to 2.5 s at 3 times the time"),
        (Fault(1.0, 2.0, capacity=0.0), "fault 1 to 2 s at 0 %"),
        (Fault(1.0, 2.0, refuse=1.0), "fault 1 to 2 s: 100 % refused"),
        (Fault(1.0, 2.0, capacity=0.25, hang=0.2, error=0.1), "fault 1 to 2 s at 1/4: 20 % hang, 10 % answered 500"),
    ],
)
def test_a_fault_is_told_in_words(fault: Fault, words: str) -> None:
    assert faults_told([fault]) == words
    assert faults_told([fault] * 3) == "3 faults"
    assert faults_told([]) == "no fault"


UNITS = {
    "retry_histogram": {"time (s)", "attempts per 0.1 s"},
    "jitter_delays": {"delay (s)", "after failed attempt"},
    "competing_clients": {"clients who contend", "calls", "seconds (log scale)"},
    "amplification": {"probability that an attempt fails", "attempts per request (log scale)"},
    "recovery_map": {"load (requests/s)", "length of the outage (s)"},
    "overload": {"time (s)", "per s", "attempts"},
    "recoveries": {"time (s)", "per s"},
    "staleness": {"oldest answer accepted (log scale)", "share of callers in the outage"},
    "orders": {"orders"},
    "latencies": {"time (log scale)", "share of all requests"},
    "answers": {"time (s)", "per s"},
    "budgets": {"probability that an attempt fails", "attempts per request (log scale)"},
    "anatomy": {"time (s)", "per s", "workers", ""},
    "cascade": {"time (s)", "per s", "workers", ""},
}


@pytest.mark.parametrize("name", UNITS)
def test_axes_name_their_units(figures, name: str) -> None:
    layout = figures[name].layout.to_plotly_json()
    axes = [axis for key, axis in layout.items() if key[1:].startswith("axis")]
    assert {axis["title"]["text"] for axis in axes if "text" in axis.get("title", {})} == UNITS[name]


def test_two_drawings_are_equal(figures, naive: Run) -> None:
    assert charts.anatomy(naive).to_json() == figures["anatomy"].to_json()
    assert charts.jitter_delays().to_json() == figures["jitter_delays"].to_json()


# ---- the thundering herd


def test_without_jitter_all_come_back_in_one_bin(herds) -> None:
    found = arrivals(herds["none"], 0.1)
    assert found["first"][0] == 1000
    assert found["retries"][100] == 1000
    assert sum(found["retries"]) == 2000


def test_r8_the_busiest_bin_with_full_jitter_is_near_19(herds) -> None:
    first_herd = arrivals(herds["full"], 0.1, until=9.9)["retries"]
    assert 13 <= max(first_herd) <= 40
    assert max(arrivals(herds["sdk"], 0.1)["retries"]) > max(first_herd)


def test_the_histogram_draws_every_arrival_and_tells_the_bar_that_it_cuts(figures, herds) -> None:
    figure = figures["retry_histogram"]
    for name, run in herds.items():
        drawn = [bar for bar in figure.data if bar.name == name]
        sent = run.trace.attempts["service"].eq("llm").sum()
        assert sum(sum(bar.y) for bar in drawn) == sent
    assert "none: at most 1,000 retries in 0.1 s" in texts(figure)
    assert "▲ 1,000" in texts(figure)
    assert figure.layout.yaxis.range[1] < 1000


def test_no_bar_is_thinner_than_two_pixels_of_a_laptop(herds) -> None:
    long = charts.retry_histogram({name: herds[name] for name in ("none", "full", "sdk")}, bin=0.01, until=300.0)
    assert {bar.width for bar in long.data} == {float(f"{2 * 300.0 * 3 / 690:.6g}")}
    short = charts.retry_histogram({"full": herds["full"]}, until=20.0)
    assert {bar.width for bar in short.data} == {0.1}
    assert sum(sum(bar.y) for bar in short.data) == herds["full"].summary()["attempts"]


# ---- delays


def test_a_box_holds_the_middle_half_of_the_policys_draws(figures) -> None:
    [full] = [box for box in figures["jitter_delays"].data if box.name == "full"]
    assert full.median[-1] == pytest.approx(10.0, rel=0.03)
    assert full.q1[-1] == pytest.approx(5.0, rel=0.05)
    assert full.q3[1] == pytest.approx(1.5, rel=0.03)


def test_additive_exceeds_the_cap_and_a_cap_after_the_draw_piles_up(figures) -> None:
    backoff = Backoff(base=1.0, factor=2.0, cap=20.0)
    assert delays(backoff, "additive", 8).max() > 29.0
    assert share_at_cap(delays(backoff, "full", 8), 20.0) == 0.0
    late = share_at_cap(delays(backoff, AFTER_DRAW, 8), 20.0)
    assert late == pytest.approx(1.0 - 20.0 / 128.0, abs=0.01)
    assert "last: 84 % at the cap" in texts(figures["jitter_delays"])
    assert "last: 100 % above the cap" in texts(figures["jitter_delays"])


def test_r7_decorrelated_draws_gather_at_the_cap() -> None:
    many = delays(Backoff(base=1.0, cap=20.0), "decorrelated", 30)
    assert share_at_cap(many, 20.0) == pytest.approx(0.41, abs=0.015)


# ---- contention and amplification


def test_lines_and_crosses_of_the_contended_row(figures, contention) -> None:
    lines = [line for line in figures["competing_clients"].data if line.name == "none" and line.hovertemplate]
    expected = contention[contention["strategy"] == "none"]
    assert np.allclose(lines[0].y, expected["calls"], rtol=1e-5)
    assert np.allclose(lines[1].y, expected["seconds"], rtol=1e-5)
    [crosses] = [line for line in figures["competing_clients"].data if line.name == "the article's program"]
    assert list(crosses.y) == list(PUBLISHED.values())


def test_lines_are_the_closed_form_and_points_the_replays(figures, load) -> None:
    data = {line.name: line for line in figures["amplification"].data}
    assert data["1 layer"].y[50] == pytest.approx(1.875)
    assert data["3 layers"].y[-1] == attempts_per_request(1.0, 4, 3) == 64.0
    assert data["2 layers, simulated"].y[0] == pytest.approx(load["mean"].iloc[1], rel=1e-5)
    with pytest.raises(ValueError, match="1 to 4 numbers of layers"):
        charts.amplification(layers=(1, 2, 3, 4, 5))


def test_budgets_bound_what_a_cap_lets_through(figures) -> None:
    data = {line.name: line for line in figures["budgets"].data}
    assert data["cap of 4"].y[-1] == 4.0
    assert max(data["budget per call"].y) == pytest.approx(1.1)
    assert data["budget per success"].y[-1] == pytest.approx(1.0)
    assert data["budget per success"].y[50] == pytest.approx(1.0 / 0.95, rel=1e-5)
    assert data["budget per call, simulated"].y[0] == 1.0
    assert "budget per call: 1.1" in texts(figures["budgets"])


# ---- the map


def test_the_map_has_two_colours_and_the_boundary(figures) -> None:
    heat = next(one for one in figures["recovery_map"].data if one.type == "heatmap")
    assert [list(row) for row in heat.z] == [[1, 1], [1, 0]]
    assert heat.text[1][1] == "1 %"
    assert list(boundary(np.array([[True, True], [True, False]]))) == [
        *((0.5, 0.5), (1.5, 0.5), (None, None)),
        *((0.5, 0.5), (0.5, 1.5), (None, None)),
    ]


def test_a_map_of_yes_and_no_is_drawn_without_shares() -> None:
    heat = next(one for one in charts.recovery_map(SHARES >= 0.5).data if one.type == "heatmap")
    assert [list(row) for row in heat.z] == [[1, 1], [1, 0]]
    assert heat.text[0][0] == ""


# ---- the overload, and what ends it


def lines_of(figure: go.Figure) -> dict[str, list[Any]]:
    return {line.name: list(line.y) for line in figure.data}


def test_the_overload_is_drawn_as_the_run_has_it(figures, down: Run) -> None:
    drawn, timeline = lines_of(figures["overload"]), down.timeline(5.0)
    for name, column in (("callers", "offered"), ("attempts", "attempts"), ("answers", "goodput")):
        assert drawn[name][:-1] == pytest.approx(timeline[column].iloc[:68], rel=1e-5)
    assert drawn["waiting attempts"][:-1] == pytest.approx(timeline["queued"].iloc[:68], rel=1e-5)
    assert drawn["answers"][-1] == 0.0
    assert list(figures["overload"].data[0].x)[-1] == 340.0


def test_it_says_what_the_service_can_do_and_how_it_ended(figures) -> None:
    told = texts(figures["overload"])
    for words in ("Not back 300 s after the outage", "the service can do 300", "dotted: 270", "0 answers"):
        assert words in told
    limits = [shape.y0 for shape in figures["overload"].layout.shapes if shape.type == "line"]
    assert limits == pytest.approx([300.0, 270.0])


def test_where_service_times_vary_no_limit_is_drawn() -> None:
    service = Service(slots=30, queue_limit=None, time=Exponential(0.1))
    figure = charts.overload(replay(overload(100, 0, service=service), ONE_RETRY))
    assert "the service can do" not in texts(figure)
    assert "No outage" in texts(figure)
    assert not figure.layout.shapes


def test_each_way_has_a_panel_with_its_end(figures, back: Run) -> None:
    told = texts(figures["recoveries"])
    assert "<b>one retry</b>: not back 300 s after the outage" in told
    assert "<b>breaker</b>: back 2 s after the outage" in told
    answers = [line for line in figures["recoveries"].data if line.name == "answers"]
    assert list(answers[1].y)[:-1] == pytest.approx(back.timeline(5.0)["goodput"].iloc[:68], rel=1e-5)


def test_each_title_stands_over_its_own_panel(down: Run, back: Run) -> None:
    """Down the first column, then the second."""
    figure = charts.recoveries({"a": down, "b": back, "c": down, "d": back, "e": back})
    answers = [line for line in figure.data if line.name == "answers"]
    for name, line in zip("abcde", answers, strict=True):
        [title] = [note for note in figure.layout.annotations if f"<b>{name}</b>" in (note.text or "")]
        left = figure.layout[line.xaxis.replace("x", "xaxis")].domain[0]
        top = figure.layout[line.yaxis.replace("y", "yaxis")].domain[1]
        assert (title.x, title.y) == pytest.approx((left, top))


def test_while_nobody_is_let_in_nobody_is_well() -> None:
    shed = replay(overload(280, 10, turned_away=1.0, seconds=90.0), ONE_RETRY)
    assert "Back 150 s after the outage" in texts(charts.overload(shed))


@pytest.mark.parametrize("chart", [charts.overload, lambda log: charts.recoveries({"log": log})])
def test_a_log_has_no_queue_to_draw(chart, naive: Run) -> None:
    with pytest.raises(ValueError, match="draws a Run"):
        chart(naive.trace)


def test_names_of_ways_are_not_interpreted(down: Run) -> None:
    told = json.dumps(bundle(charts.recoveries({PAYLOAD: down})))
    assert "<b>bold" not in told
    assert "<script" not in told


# ---- what a cache gives, and what becomes of writes


def test_shares_of_the_cache_are_stacked() -> None:
    table = stale_answers([60.0, 3600.0], questions=2000)
    drawn = lines_of(charts.staleness({"traffic": table, PAYLOAD: table}))
    assert drawn["out of date"] == pytest.approx(table["outdated"], rel=1e-5)
    assert np.add(drawn["still true"], drawn["out of date"]) == pytest.approx(table["served"], rel=1e-5)
    assert "<b>bold" not in texts(charts.staleness({PAYLOAD: table}))
    with pytest.raises(ValueError, match="draws 1 to 3 tables"):
        charts.staleness({})


def test_bars_are_the_counts_of_orders(figures) -> None:
    table = fates_of_orders()
    for bar, column in zip(figures["orders"].data, ("confirmed", "untold", "doubled"), strict=True):
        assert list(bar.x) == list(table[column])
        assert list(bar.y) == list(table.index)
    assert list(figures["orders"].data[2].text) == ["0", "205", "0"]


# ---- latencies and answers


def test_lines_end_at_the_shares_of_all_requests(naive: Run) -> None:
    answered, failed = waiting_times(naive)
    summary = naive.summary()
    assert answered["share"][-1] == pytest.approx(summary["success_rate"], rel=1e-5)
    assert answered["share"][-1] + failed["share"][-1] == pytest.approx(1.0, rel=1e-5)
    assert len(answered["share"]) <= MOST_POINTS
    assert answered["seconds"] == sorted(answered["seconds"])
    middle = np.interp(answered["share"][-1] / 2, answered["share"], answered["seconds"])
    assert middle == pytest.approx(summary["latency_p50"], rel=0.05)


def test_other_endpoints_are_left_out_where_the_log_names_them_and_where_it_does_not(naive: Run) -> None:
    found = requests_for_the_service(naive.trace)
    assert set(found["endpoint"]) == {"POST /answer"}
    attempts = naive.trace.attempts
    columns = {name: attempts[name].to_numpy() for name in ("time", "latency", "request", "attempt")}
    words = {name: (attempts[name].cat.codes.to_numpy(), tuple(attempts[name].cat.categories))
             for name in ("outcome", "service", "endpoint")}  # fmt: skip
    unnamed = Trace.from_columns({**columns, **words}, source=Source(format="jsonl"))
    assert len(requests_for_the_service(unnamed)) == len(found)


def test_answers_are_stacked_by_who_gave_them(with_fallbacks: Run) -> None:
    found = served(with_fallbacks.timeline(2.0), 2.0)
    summary = with_fallbacks.summary()
    assert summary["served_by_message"] > 0
    for who in ("llm", "small", "message"):
        assert 2.0 * sum(found[who][:-1]) == pytest.approx(summary[f"served_by_{who}"], abs=3)
    figure = charts.answers({"with fallbacks": with_fallbacks})
    assert [line.name for line in figure.data] == ["the LLM", "small", "message", "offered load"]
    nobody = summary["requests"] - summary["answered"]
    assert f"{nobody:,.0f} by nobody" in texts(figure)


def test_a_log_is_answered_by_its_app(naive: Run) -> None:
    log = charts.answers({"log": naive.trace})
    assert "by the app" in texts(log)


# ---- differences


def test_dots_are_the_paired_differences_and_noise_is_grey(comparison) -> None:
    doctored = comparison.table.copy()
    row = (doctored["quantity"] == "attempts") & (doctored["policy"] == "none")
    doctored.loc[row, ["difference", "low", "high", "verdict"]] = [1.0, -2.0, 4.0, "noise"]
    figure = charts.differences(replace(comparison, table=doctored), ("attempts", "status_503"))
    dots = [dot for dot in figure.data if dot.mode == "markers" and dot.name == "none"]
    assert [dots[0].x[0], dots[0].marker.color] == [1.0, "#9A9A9A"]
    expected = doctored[(doctored["quantity"] == "status_503") & (doctored["policy"] == "none")].iloc[0]
    assert dots[1].x[0] == pytest.approx(expected["difference"], rel=1e-5)
    assert dots[1].marker.color != "#9A9A9A"
    assert "none: +1 [\N{MINUS SIGN}2, +4], noise" in texts(figure)
    assert "Noise: " in caption(figure)
    assert "Noise: " not in caption(charts.differences(comparison, ("attempts", "status_503")))


def test_what_has_no_finite_interval_is_told_in_words(comparison) -> None:
    doctored = comparison.table.copy()
    row = (doctored["quantity"] == "time_to_recover") & (doctored["policy"] == "none")
    doctored.loc[row, ["difference", "low", "high", "verdict"]] = [np.inf, 3.0, np.inf, "higher"]
    figure = charts.differences(replace(comparison, table=doctored), ("time_to_recover", "rejection_p50"))
    assert "none: +∞ [+3, +∞], higher" in texts(figure)
    assert "undefined at some seed" in texts(figure)
    assert "Infinity" not in json.dumps(bundle(figure))


def test_an_unknown_quantity_is_refused(comparison) -> None:
    with pytest.raises(ValueError, match="no quantity 'speed'"):
        charts.differences(comparison, ("speed",))


# ---- states and steps


def test_the_diagram_has_an_arrow_for_each_way_and_all_causes(figures) -> None:
    figure = figures["state_diagram"]
    arrows = [note for note in figure.layout.annotations if note.showarrow]
    assert len(arrows) == len({(before, after) for before, after, _ in edges()}) == 4
    assert all(cause in texts(figure).replace("<br>", " ") for _, _, cause in edges())
    assert len(figure.layout.shapes) == 3


def test_another_rule_is_another_diagram(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe's success that left the circuit open, say."""
    plain = rules.enter
    monkeypatch.setattr(
        rules, "enter", lambda b, code: plain(b, rules.OPEN if getattr(b, "state_code", 0) == rules.HALF_OPEN else code)
    )
    assert (State.HALF_OPEN, State.CLOSED) not in {(before, after) for before, after, _ in edges()}
    assert "enough probes succeeded" not in texts(charts.state_diagram())


def test_each_step_that_is_seen_has_a_badge_at_its_second(figures, naive: Run) -> None:
    badges = {note.name: note.x for note in figures["anatomy"].layout.annotations if (note.name or "")[:4] == "step"}
    seen = {f"step {step.number}": step.seen_at for step in eight_steps(naive.trace) if step.seen}
    assert len(seen) == 8
    assert badges == pytest.approx(seen, rel=1e-5)


def test_a_step_that_is_not_seen_is_listed_as_such(guarded: Run) -> None:
    figure = charts.anatomy(guarded)
    assert "not seen<br>restart loses requests in flight" in texts(figure)
    assert not [note for note in figure.layout.annotations if note.name == "step 8"]


# ---- fates of calls


def test_each_call_is_one_mark_in_the_lane_of_its_breaker() -> None:
    herd = [Call(70.0, 1.0, False)] * 32
    table = side_by_side([*(Call(start, 0.1, False) for start in (1.0, 2.0, 3.0)), *herd])
    figure = charts.fates({"probes": table})
    drawn = [one for one in figure.data if one.showlegend is False]
    marks = [place for one in drawn for place in zip(one.x, one.y, strict=True)]
    assert len(marks) == len(set(marks)) == 70
    assert all(abs(y - lane) < 0.4 for lane, found in ((0, marks[:35]), (-1, marks[35:])) for _, y in found)
    assert "article's class: 0 answered, 35 failed, 0 refused" in texts(figure)
    assert "CircuitBreaker: 0 answered, 4 failed, 31 refused" in texts(figure)
    assert {round(x) for one in drawn if one.name == "refused" for x in one.x} == {3}
    assert list(figure.layout.xaxis.ticktext) == ["1 s", "2 s", "3 s", "70 s"]


def test_more_tables_than_fit_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="1 to 2 tables, not 3"):
        charts.fates({name: pd.DataFrame() for name in "abc"})


# ---- text from logs


@pytest.mark.parametrize("chart", [charts.retry_histogram, charts.latencies, charts.answers])
def test_names_from_a_log_are_shown_and_not_interpreted(naive: Run, chart) -> None:
    told = json.dumps(bundle(chart({PAYLOAD: naive, "log": log_of(PAYLOAD)})))
    assert "<b>bold" not in told
    assert "<a href" not in told
    assert "<script" not in told
    assert "&lt;b>bold" in told


def test_names_in_a_comparison_a_table_and_a_fallback_are_not_interpreted(comparison, contention, scenario) -> None:
    renamed = replace(comparison, table=comparison.table.replace({"policy": {"none": PAYLOAD}}), baseline=PAYLOAD)
    other = contention.replace({"strategy": {"none": PAYLOAD}})
    fallback = replay(scenario, replace(Policy.recommended(), fallback=Fallback(**{PAYLOAD: "m"})))
    for figure in (
        charts.differences(renamed),
        charts.competing_clients(other),
        charts.answers({"run": fallback}),
        charts.recovery_map(SHARES, policy=PAYLOAD),
        charts.fates({PAYLOAD: pd.DataFrame({PAYLOAD: ["ok"]}, index=[PAYLOAD])}),
    ):
        told = json.dumps(bundle(figure))
        assert "<b>bold" not in told
        assert "<a href" not in told
        assert "<script" not in told


def test_facts_that_are_not_numbers_are_not_told() -> None:
    faults = [{"start": math.nan, "end": 2, "capacity": 1}, {"start": 1, "end": 10**400, "capacity": 1}]
    service = {"slots": "<b>8</b>", "queue_limit": True, "first_token": 10**400}
    log = log_of("", service=service, faults=faults, app={"workers": [1]})
    assert caption(charts.latencies({"log": log})) == "Logged: a log; server not described."


@pytest.mark.parametrize("chart", [charts.retry_histogram, charts.latencies, charts.answers])
@pytest.mark.parametrize("runs", [{}, {"a": "not a run"}])
def test_what_cannot_be_drawn_is_refused_in_a_sentence(chart, runs) -> None:
    with pytest.raises(ValueError, match="draws"):
        chart(runs)


def test_labels_that_would_overlap_are_moved_apart_in_their_order() -> None:
    places = spread([10.0, 10.1, 0.0])
    assert places[2] < places[0] < places[1]
    assert places[1] - places[0] == pytest.approx(0.052 * 10.1, rel=1e-6)
    assert spread([1.0, 100.0], log=True) == [0.0, 2.0]
