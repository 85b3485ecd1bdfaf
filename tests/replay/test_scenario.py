"""What a scenario may hold, and what of it a trace can tell."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.lib.pretty import pretty

import breakerlab.replay
from breakerlab.policy import Policy
from breakerlab.replay import (
    App,
    Bursts,
    ClosedLoop,
    Constant,
    Empirical,
    Exponential,
    Fault,
    Llm,
    Lognormal,
    OtherEndpoint,
    Poisson,
    RateLimit,
    Scenario,
    ScenarioError,
    Service,
    Standby,
    Workload,
    replay,
)
from breakerlab.trace import Source, Trace, read_trace

DATA = Path(__file__).parents[2] / "data"

NOT_A_NUMBER = [math.nan, math.inf, -math.inf, True, "1", None]
NEGATIVE = [*NOT_A_NUMBER, -1, -0.001]
NOT_POSITIVE = [*NEGATIVE, 0, 0.0]
NOT_A_COUNT = [0, -1, 1.0, math.nan, True, "3", None]
GIVEN = {
    Service: {},
    Fault: {"start": 10.0, "end": 20.0, "capacity": 0.5},
    OtherEndpoint: {},
    App: {},
    RateLimit: {},
    Llm: {},
    Constant: {},
    Exponential: {},
    Lognormal: {"mean": 1.0, "sigma": 1.0},
    Empirical: {},
    Poisson: {"rate": 1.0},
    Bursts: {"size": 1, "every": 1.0},
    ClosedLoop: {"workers": 1},
    Standby: {},
}
OUT_OF_RANGE = [
    (Service, "slots", NOT_A_COUNT),
    (Service, "queue_limit", [-1, 1.0, True, "none"]),
    (Service, "time", [None, 1.0, "exponential"]),
    (Service, "discipline", ["FIFO", "", None, 1]),
    (Service, "retry_after", NEGATIVE),
    (Service, "rejection_seconds", NEGATIVE),
    (Service, "cancel_on_disconnect", [None, 1, "yes"]),
    (Service, "rate_limit", [60, {"requests": 60}]),
    (Service, "network", [0.01, Llm()]),
    (RateLimit, "requests", [0, -1.0, math.inf, True]),
    (RateLimit, "tokens", [0, -1.0, math.inf, True]),
    (RateLimit, "per", NOT_POSITIVE),
    (Llm, "first_token", NOT_POSITIVE),
    (Llm, "per_token", NEGATIVE),
    (Llm, "slowdown", NEGATIVE),
    (Llm, "batch", [0, -1, 1.0, True, "3"]),
    (Constant, "value", NEGATIVE),
    (Exponential, "mean", NOT_POSITIVE),
    (Lognormal, "mean", NOT_POSITIVE),
    (Lognormal, "sigma", NEGATIVE),
    (Empirical, "values", [[], [-1.0], [math.nan], "abc", [[1.0]]]),
    (Poisson, "rate", NEGATIVE),
    (Poisson, "endpoint", ["", None, 3]),
    (Poisson, "tokens", [5, Llm(), None]),
    (Poisson, "writes", [*NEGATIVE, 1.5]),
    (Bursts, "size", NOT_A_COUNT),
    (Bursts, "every", NOT_POSITIVE),
    (Bursts, "within", NEGATIVE),
    (Bursts, "start", NEGATIVE),
    (ClosedLoop, "workers", NOT_A_COUNT),
    (ClosedLoop, "think", [1.0, Llm(), None]),
    (Standby, "seconds", NEGATIVE),
    (Standby, "slots", [0, -1, 1.0, True]),
    (Standby, "availability", [*NEGATIVE, 1.5]),
    (Fault, "latency", NOT_POSITIVE),
    (Fault, "error", [*NEGATIVE, 1.5]),
    (Fault, "refuse", [*NEGATIVE, 1.5]),
    (Fault, "hang", [*NEGATIVE, 1.5]),
    (Fault, "status", [200, 399, 600, "500", True]),
    (Fault, "endpoints", ["POST /answer", (1,)]),
    (Fault, "start", NEGATIVE),
    (Fault, "end", [0, -1, math.nan, -math.inf, "1", None, 10.0, 5.0]),
    (Fault, "capacity", [*NEGATIVE, 1.001, 8]),
    (OtherEndpoint, "seconds", NOT_POSITIVE),
    (OtherEndpoint, "caller_timeout", NOT_POSITIVE),
    (App, "workers", NOT_A_COUNT),
    (App, "health_failures", NOT_A_COUNT),
    (App, "pool_timeout", NOT_POSITIVE),
    (App, "caller_timeout", NOT_POSITIVE),
    (App, "health_interval", NOT_POSITIVE),
    (App, "health_timeout", [*NOT_POSITIVE, 2.0, 3.0]),
    (App, "restart_seconds", NOT_POSITIVE),
    (App, "instances", [*NOT_A_COUNT, 10_001]),
    (App, "balancer", ["", "least_connections", None]),
    (App, "hold_during_backoff", [None, 1]),
    (App, "shared_breaker", [None, 1]),
    (App, "writes", ["", "twice", None]),
    (App, "network", [0.01, Llm()]),
    (App, "answer_network", [0.01, Llm()]),
    (App, "timer_lag", [0.01, Llm()]),
    (App, "fallbacks", [None, 3, {"cache": 0.03}, [Standby()]]),
    (App, "other", [None, 3, {"GET /search": 0.03}, {"GET /search": None}, [OtherEndpoint()]]),
]


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(kind, name, value) for kind, name, values in OUT_OF_RANGE for value in values]
)
def test_a_field_out_of_range_is_refused_by_name(kind: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"\b{name} must be ") as error:
        kind(**{**GIVEN[kind], name: value})
    assert str(error.value).startswith(kind.__name__)


def test_the_edges_of_the_ranges_are_inside() -> None:
    Service(slots=1, queue_limit=0, time=Llm(1e-9, 0, 0), retry_after=0)
    Fault(0, 1e-9, 0)
    Fault(0.0, 1.0, 1)
    App(workers=1, health_failures=1, health_timeout=1.999)


def one_request(**columns: Any) -> Workload:
    fields = {"time": [1.0], "endpoint": [0], "tokens": [5.0], "request": [0], "endpoints": ("POST /answer",)}
    return Workload(**{**fields, **columns})


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"time": [1.0, 2.0]}, "must have the same length"),
        ({"tokens": []}, "must have the same length"),
        ({"time": [math.nan]}, "Workload.time must be finite"),
        ({"time": [math.inf]}, "Workload.time must be finite"),
        ({"time": [-1.0]}, "Workload.time must be finite, at least 0 s"),
        ({"tokens": [-1.0]}, "Workload.tokens must be finite and at least 0"),
        ({"tokens": [math.nan]}, "Workload.tokens must be finite"),
        ({"endpoint": [1]}, "Workload.endpoint must be an index from 0 to 0"),
        ({"endpoint": [-1]}, "Workload.endpoint must be an index"),
        ({"request": [-1]}, "Workload.request must be at least 0"),
        ({"time": ["noon"]}, "Workload.time must be numbers"),
        ({"endpoint": ["POST /answer"]}, "Workload.endpoint must be numbers"),
        ({name: [[1.0]] for name in ("time", "endpoint", "tokens", "request")}, "one-dimensional"),
    ],
)
def test_a_wrong_workload_is_refused_by_name(columns: Any, sentence: str) -> None:
    with pytest.raises(ScenarioError, match=sentence):
        one_request(**columns)


def test_arrivals_must_be_in_order() -> None:
    two = {"endpoint": [0, 0], "tokens": [1.0, 1.0], "request": [0, 1]}
    one_request(time=[2.0, 2.0], **two)
    with pytest.raises(ScenarioError, match="not decrease"):
        one_request(time=[2.0, 1.0], **two)


def test_a_workload_keeps_its_own_copy() -> None:
    time = np.array([1.0])
    workload = one_request(time=time)
    time[0] = 7.0
    assert workload.time[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        workload.time[0] = 7.0
    assert len(workload) == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        *[({"duration": value}, "Scenario.duration must be") for value in NOT_POSITIVE],
        ({"workload": None}, "Scenario.workload must be a Workload, a ClosedLoop"),
        ({"service": None}, "Scenario.service must be of type Service"),
        ({"app": {}}, "Scenario.app must be of type App"),
        ({"faults": [None]}, "Scenario.faults must be Fault values"),
        ({"faults": Fault(1.0, 2.0, 0.5)}, "Scenario.faults must be Fault values"),
    ],
)
def test_a_wrong_scenario_is_refused_by_name(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Scenario(**{"workload": one_request(), **fields})


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, None, "1"])
def test_a_wrong_seed_is_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number"):
        replay(Scenario(one_request()), Policy(), seed)


def test_a_wrong_policy_or_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match=r"policy must be a breakerlab\.policy\.Policy"):
        replay(Scenario(one_request()), None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scenario must be a Scenario"):
        replay(one_request(), Policy())  # type: ignore[arg-type]


# ---- from a trace


def test_a_recording_tells_its_own_scenario() -> None:
    log = read_trace(DATA / "incident_naive.jsonl")
    facts: Any = log.source.facts["parameters"]
    scenario = Scenario.from_trace(log)
    told = scenario.parameters()
    llm = told["service"].pop("time")["llm"]
    assert llm.pop("batch") is None
    assert facts["service"].items() <= {**told["service"], **llm}.items()
    assert facts["app"].items() <= told["app"].items()
    assert [fault.items() <= again.items() for fault, again in zip(facts["faults"], told["faults"], strict=True)] == [
        True
    ]
    assert told["duration"] == facts["duration"]
    callers = log.attempts[log.attempts["service"] == "app"]
    assert np.array_equal(scenario.workload.time, np.sort(callers["time"]))
    assert set(scenario.workload.request) == set(callers["request"])
    answers = scenario.workload.tokens[scenario.workload.endpoint == scenario.workload.endpoints.index("POST /answer")]
    assert (answers >= 1).all()


def test_a_run_tells_the_scenario_that_made_it() -> None:
    """Logs in, logs out: what a replay says about itself is what a recording says about itself."""
    scenario = replace(Scenario.from_trace(read_trace(DATA / "incident_naive.jsonl")), duration=60.0)
    run = replay(scenario, Policy.recommended(), seed=3)
    again = Scenario.from_trace(run.trace)
    assert again.parameters() == scenario.parameters()
    assert Policy.from_dict(run.trace.source.facts["policy"]) == Policy.recommended()  # type: ignore[arg-type]
    assert np.array_equal(again.workload.time, scenario.workload.time)


def trace_of(service: Any = "app", parameters: Any = None, attempts: Any = (1, 1)) -> Trace:
    columns = {"time": [0.0, 1.0], "latency": [0.1, 0.2], "status": [200, 200], "outcome": "ok", "service": service,
               "request": [0, 1], "attempt": list(attempts), "endpoint": "POST /answer"}  # fmt: skip
    facts = {} if parameters is None else {"parameters": parameters}
    return Trace.from_columns(columns, source=Source(name="my.log", facts=facts))


def test_a_trace_without_first_attempts_has_no_arrivals() -> None:
    with pytest.raises(ScenarioError, match=r"my\.log: no first attempt"):
        Workload.from_trace(trace_of(attempts=(2, 3)))


@pytest.mark.parametrize("services", ["api", "llm", ["checkout", "search"]])
def test_in_a_log_without_the_app_the_calls_themselves_arrive(services: Any) -> None:
    assert Workload.from_trace(trace_of(services)).time.tolist() == [0.0, 1.0]


def test_in_a_log_with_the_app_only_what_it_was_asked_arrives() -> None:
    assert Workload.from_trace(trace_of(["app", "llm"])).time.tolist() == [0.0]


def test_only_first_attempts_are_arrivals() -> None:
    attempts = {"time": [0.0, 0.5, 1.0], "latency": 0.1 + np.zeros(3), "outcome": "ok", "request": [7, 7, 9],
                "service": "app", "attempt": [1, 2, 1], "status": [200] * 3}  # fmt: skip
    workload = Workload.from_trace(Trace.from_columns(attempts))
    assert workload.time.tolist() == [0.0, 1.0]
    assert workload.request.tolist() == [7, 9]


def test_a_log_that_does_not_say_what_it_was_recorded_on_says_what_to_do() -> None:
    with pytest.raises(ScenarioError, match=r"my\.log: .* give Scenario\(Workload\.from_trace\(trace\)"):
        Scenario.from_trace(trace_of())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"service": None}, "no table 'service'"),
        ({"app": 3}, "no table 'app'"),
        ({"service": {"slots": 0}}, "Service.slots must be"),
        ({"service": {"slot": 8}}, "parameters.service has no field 'slot'"),
        ({"app": {"workers": 1.5}}, "App.workers must be"),
        ({"app": {"other": []}}, "other must be"),
        ({"app": {"other": {"GET /search": 3}}}, "parameters.app.other must be a table"),
        ({"app": {"other": {"GET /search": {"second": 3}}}}, "no field 'second'"),
        ({"faults": 3}, "parameters.faults must be a list"),
        ({"faults": [3]}, "parameters.faults must be a table"),
        ({"faults": [{"start": 1.0}]}, "parameters.faults is incomplete"),
        ({"faults": [{"start": 1.0, "end": 0.5, "capacity": 0.5}]}, "Fault.end must be after"),
        ({"duration": "long"}, "Scenario.duration must be"),
    ],
)
def test_a_wrong_header_is_refused_by_name(change: dict[str, Any], sentence: str) -> None:
    parameters = {"service": {}, "app": {}, "faults": [], "duration": 10.0, "workload": {}, "seed": 1}
    Scenario.from_trace(trace_of(parameters=parameters))
    with pytest.raises(ValueError, match=sentence):
        Scenario.from_trace(trace_of(parameters={**parameters, **change}))


def test_a_notebook_shows_what_is_on_in_lines_that_fit() -> None:
    service = Service(rate_limit=RateLimit(requests=60), discipline="lifo", network=Lognormal(0.02, 0.5))
    for part in (service, App(other={"GET /search": OtherEndpoint()}), Fault(1.0, 2.0, endpoints=("POST /answer",))):
        shown = pretty(part, max_width=79)
        assert max(map(len, shown.splitlines())) <= 79
        assert eval(shown, vars(breakerlab.replay)) == part
    assert pretty(Fault(30.0, 60.0, 0.125)) == "Fault(start=30.0, end=60.0, capacity=0.125, latency=1.0, status=500)"
    assert "cancel_on_disconnect" not in pretty(service)
