"""The world at time 0: a scenario and a policy laid out in the tables that the engine works on."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from breakerlab.policy import Policy, Retry
from breakerlab.policy.breaker import reset
from breakerlab.policy.budget import fill
from breakerlab.replay import tables
from breakerlab.replay.scenario import Scenario
from breakerlab.replay.tables import SAMPLE_SECONDS, World


def new_world(scenario: Scenario, policy: Policy, seed: int, attempt_room: int) -> World:
    """Everything at time 0, with room for `attempt_room` attempts."""
    n = len(scenario.workload)
    probes = math.ceil(scenario.duration / scenario.app.health_interval) + 1
    samples = math.ceil(scenario.duration / SAMPLE_SECONDS) + 1
    steps = _capacity_steps(scenario)
    # per request one caller's patience, one pool wait, one backoff or hold; per attempt its timeout and its service
    calendar_room = 3 * n + 2 * attempt_room + 2 * probes + len(steps) + 4
    return World(
        requests=_requests(scenario),
        attempts=_table(tables.ATTEMPT, attempt_room, end=np.nan, outcome=-1),
        events=_table(tables.EVENT, samples + 4 * probes + 2 * attempt_room),
        steps=steps,
        pool_queue=np.empty(n + probes, np.int64),
        service_queue=np.empty(attempt_room, np.int64),
        probes=np.zeros(probes, np.int64),
        used=np.zeros(4, np.int64),
        calendar=_table(tables.SCHEDULED_EVENT, calendar_room),
        policy=_policy(policy),
        breaker=_breaker(policy),
        budget=_budget(policy),
        service=_service(scenario),
        app=_app(scenario, seed),
    )


def _table(dtype: np.dtype[Any], rows: int, **columns: Any) -> Any:
    table = np.zeros(rows, dtype).view(np.recarray)
    for name, column in columns.items():
        table[name] = column
    return table


def _fields(value: Any, dtype: np.dtype[Any]) -> dict[str, Any]:
    return {name: field for name, field in asdict(value).items() if name in (dtype.names or ())}


def _service(scenario: Scenario) -> Any:
    fields = _fields(scenario.service, tables.SERVICE)
    return _table(tables.SERVICE, 1, slots_now=scenario.service.slots, **fields)


def _app(scenario: Scenario, seed: int) -> Any:
    fields = _fields(scenario.app, tables.APP)
    return _table(tables.APP, 1, is_up=1, duration=scenario.duration, seed=seed, **fields)


def _requests(scenario: Scenario) -> Any:
    workload, app = scenario.workload, scenario.app
    others = [app.other.get(name) for name in workload.endpoints]
    hold = np.array([0.0 if other is None else other.seconds for other in others])
    patience = np.array([app.caller_timeout if other is None else other.caller_timeout for other in others])
    return _table(
        tables.REQUEST,
        len(workload),
        due=workload.time,
        tokens=workload.tokens,
        number=workload.request,
        hold=hold[workload.endpoint] if others else 0.0,
        patience=patience[workload.endpoint] if others else 0.0,
        end=np.nan,
        outcome=-1,
        permit=-1,
        current=-1,
    )


def _capacity_steps(scenario: Scenario) -> Any:
    """When the number of slots changes, and the number from then on; of overlapping faults the worst counts."""
    moments = sorted({edge for fault in scenario.faults for edge in (fault.start, fault.end)})
    slots = []
    for moment in moments:
        share = min((fault.capacity for fault in scenario.faults if fault.start <= moment < fault.end), default=1.0)
        slots.append(math.floor(scenario.service.slots * share))
    return _table(tables.CAPACITY_STEP, len(moments), time=moments, slots=slots)


def _policy(policy: Policy) -> Any:
    retry = policy.retry or Retry(attempts=1, total_time=None)
    parts_on = {"has_breaker": policy.breaker is not None, "has_budget": retry.budget is not None}
    names = tables.POLICY.names or ()
    parts = (retry, retry.backoff)
    rules = {name: getattr(part, name) for part in parts for name in names if hasattr(part, name)}
    return _table(tables.POLICY, 1, timeout=policy.timeout, **rules, **parts_on)


def _breaker(policy: Policy) -> Any:
    breaker = policy.fitted_breaker()
    record = _table(tables.BREAKER, 1, **({} if breaker is None else breaker.rules()))
    reset(record[0])
    return record


def _budget(policy: Policy) -> Any:
    budget = None if policy.retry is None else policy.retry.budget
    record = _table(tables.BUDGET, 1, **({} if budget is None else _fields(budget, tables.BUDGET)))
    fill(record[0], 0.0)
    return record
