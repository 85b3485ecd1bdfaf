"""The world at time 0: a scenario and its policies laid out in the tables that the engine works on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from breakerlab.policy import Policy, Retry
from breakerlab.policy.breaker import reset
from breakerlab.policy.budget import fill
from breakerlab.policy.throttle import empty
from breakerlab.replay import blocks, tables
from breakerlab.replay.app import BALANCERS, WAYS, App, Standby
from breakerlab.replay.desk import NO_LIMIT
from breakerlab.replay.distribution import NO_VALUES, Distribution, Llm
from breakerlab.replay.draws import seed_key
from breakerlab.replay.engine import MOST_LINES
from breakerlab.replay.records import NOTHING
from breakerlab.replay.scenario import Scenario
from breakerlab.replay.server import DISCIPLINES, UNLIMITED, Service
from breakerlab.replay.tables import SAMPLE_SECONDS, World
from breakerlab.replay.workload import ClosedLoop, Workload

FIRST_CALLS, FIRST_EVENTS = 1024, 2048
MARGIN = MOST_LINES  # of most tables; of some, for each instance
CACHE_LINE = 64

Policies = Sequence[Policy]


def new_world(
    scenario: Scenario, policies: Policies, seed: int, arrivals: Workload, *, most_attempts: int, last_moment: float
) -> World:
    """Everything at time 0. Tables that turn out too small are enlarged on the way, by `enlarged`."""
    app, service = scenario.app, scenario.service
    n = len(arrivals)
    loop = scenario.workload if isinstance(scenario.workload, ClosedLoop) else None
    requests = n + 1 if loop is None else 64 * loop.workers + 1024
    samples = math.ceil(scenario.duration / SAMPLE_SECONDS) + 2 * MARGIN
    checks = math.ceil(scenario.duration / app.health_interval) + 2 * MARGIN
    steps, step_faults = _steps(scenario)
    margin = 2 * MARGIN * app.instances
    world = World(
        rows=_group("rows", requests * (2 + min(_most_attempts(policies), 4)) + 256),
        requests=_group("requests", requests),
        events=_group("events", (samples + 2 * checks) * app.instances + margin + FIRST_EVENTS),
        samples=_group("samples", samples),
        asked=_group("asked", 64 if service.rate_limit is None else 2 * requests + 64),
        arrivals=tables.Arrivals(arrivals.time, arrivals.endpoint, arrivals.tokens, arrivals.request, arrivals.write),
        calls=_table(tables.CALL, FIRST_CALLS + margin),
        parts=_table(tables.PART, tables.LAYERS * (FIRST_CALLS + margin)),
        jobs=_table(tables.JOB, FIRST_CALLS),
        calendar=_table(tables.SCHEDULED_EVENT, FIRST_CALLS + 2 * len(steps) + (0 if loop is None else loop.workers)),
        steps=steps,
        step_faults=step_faults,
        endpoints=_endpoints(scenario),
        instances=_table(tables.INSTANCE, app.instances, first=NOTHING, last=NOTHING, is_up=1),
        standbys=_standbys(app, policies[0]),
        stores=_table(tables.STORE, 2, free=NOTHING),
        policies=_policies(policies),
        breakers=_breakers(app, policies),
        budgets=_budgets(app, policies),
        throttles=_throttles(app, policies),
        service=_service(service),
        app=_app(scenario, policies, loop),
        clock=_table(
            tables.CLOCK,
            1,
            last_moment=last_moment,
            most_attempts=most_attempts,
            touched=NOTHING,
        ),
        turns=np.zeros(0 if loop is None else loop.workers, np.int64),
        service_values=service.time.table(),
        network_values=_values(service.network),
        app_network_values=_values(app.network),
        answer_network_values=_values(app.answer_network),
        timer_lag_values=_values(app.timer_lag),
        think_values=_values(None if loop is None else loop.think),
        token_values=_values(None if loop is None else loop.tokens),
    )
    for name in (*(name for name in World._fields if name.endswith("_values")), "steps"):
        world.clock[name] = len(getattr(world, name))
    world.clock["arrivals"] = n
    with np.errstate(over="ignore"):
        world.clock["key"] = seed_key(seed)
    return measured(world)


def _values(distribution: Distribution | None) -> Any:
    return NO_VALUES if distribution is None else distribution.table()


def measured(w: World) -> World:
    """The world, with how much of each table may be used before one event could need more than is left."""
    many = MARGIN * w.app["instances"][0]
    lengths = {"rows": len(w.rows.time), "requests": len(w.requests.row) + MARGIN - 1, "events": len(w.events.time)}
    lengths |= {"samples": len(w.samples.time), "asked": len(w.asked.row), "calendar": len(w.calendar)}
    lengths |= {"calls": len(w.calls), "jobs": len(w.jobs)}
    for name, length in lengths.items():
        w.clock[f"{name}_room"] = length - (many if name in ("events", "calls") else MARGIN)
    w.clock["sure_events"] = 0
    return w


def _most_attempts(policies: Policies) -> int:
    """Attempts on the service that one request may make."""
    return math.prod(1 if policy.retry is None else policy.retry.attempts for policy in policies)


def enlarged(w: World) -> World:
    """The same world, with twice the room in every table that is more than half full."""
    clock, spare = tables.first_of(w.clock), 2 * MARGIN * w.app["instances"][0]
    growing = {"rows": clock.rows, "requests": clock.arrived, "events": clock.events, "samples": clock.samples}
    calls, jobs = w.stores["used"]
    growing |= {"asked": clock.asked, "calls": calls, "jobs": jobs, "calendar": clock.scheduled + calls + 2 * jobs}
    larger = {name: _doubled(getattr(w, name), used + spare) for name, used in growing.items()}
    larger["parts"] = _doubled(w.parts, tables.LAYERS * (calls + spare))
    return measured(w._replace(**larger))


def _doubled(table: Any, used: int) -> Any:
    if isinstance(table, tuple):
        return type(table)(*(_doubled(column, used) for column in table))
    if 2 * used < len(table):
        return table
    larger = np.zeros(2 * len(table), table.dtype)
    larger[: len(table)] = table
    return larger.view(np.recarray) if isinstance(table, np.recarray) else larger


def _group(name: str, room: int) -> Any:
    """Columns of a length that need not be used: what is not written to takes no memory."""
    group, types = tables.GROUPS[name]
    sizes = [-(-room * np.dtype(dtype).itemsize // CACHE_LINE) * CACHE_LINE for dtype in types]
    block = blocks.block(sum(sizes)) if name == "rows" else blocks.zeros(sum(sizes))
    ends = np.cumsum(sizes)
    starts = ends - sizes
    columns = (block[start:end].view(dtype)[:room] for start, end, dtype in zip(starts, ends, types, strict=True))
    return group(*columns)


def _table(dtype: np.dtype[Any], rows: int, **columns: Any) -> Any:
    table = np.zeros(rows, dtype).view(np.recarray)
    for name, column in columns.items():
        table[name] = column
    return table


def _service(service: Service) -> Any:
    first, second = service.time.numbers()
    llm = service.time if isinstance(service.time, Llm) else Llm()
    limit = service.rate_limit
    columns: dict[str, Any] = {
        "slots": service.slots,
        "slots_now": service.slots,
        "queue_limit": UNLIMITED if service.queue_limit is None else service.queue_limit,
        "discipline": DISCIPLINES.index(service.discipline),
        "cancels": service.cancel_on_disconnect,
        "first": NOTHING,
        "last": NOTHING,
        "retry_after": service.retry_after,
        "rejection_seconds": service.rejection_seconds,
        "time_code": service.time.code,
        "first_number": first,
        "second_number": second,
        "slowdown": llm.slowdown,
        "crowd": (service.slots if llm.batch is None else llm.batch) - 1.0,
        **_way("network", service.network),
        "request_limit": NO_LIMIT,
    }
    if limit is not None:
        requests = math.inf if limit.requests is None else limit.requests
        tokens = math.inf if limit.tokens is None else limit.tokens
        columns |= {
            "requests_left": requests,
            "request_limit": requests,
            "request_rate": 0.0 if limit.requests is None else requests / limit.per,
            "tokens_left": tokens,
            "token_limit": tokens,
            "token_rate": 0.0 if limit.tokens is None else tokens / limit.per,
        }
    return _table(tables.SERVICE, 1, **columns)


def _app(scenario: Scenario, policies: Policies, loop: ClosedLoop | None) -> Any:
    app = scenario.app
    names = ("pool_timeout", "health_interval", "health_timeout", "restart_seconds", "workers", "health_failures")
    columns: dict[str, Any] = {name: getattr(app, name) for name in names}
    columns |= {
        "duration": scenario.duration,
        "balancer": BALANCERS.index(app.balancer),
        "holds": app.hold_during_backoff,
        "shared": app.shared_breaker,
        "sends_once": app.writes == "once",
        "layers": len(policies),
        "instances": app.instances,
        "endpoints": len(scenario.endpoints),
        "standbys": len(_chain(policies[0])),
    }
    for name in WAYS:
        columns |= _way(name, getattr(app, name))
    if loop is not None:
        columns |= {"closed": 1, "callers": loop.workers, "writes": loop.writes}
        columns |= _numbers("think", loop.think) | _numbers("tokens", loop.tokens)
    return _table(tables.APP, 1, **columns)


def _way(name: str, distribution: Distribution | None) -> dict[str, float]:
    """What `_numbers` gives, and NOTHING for the code where nothing is on the way."""
    return {f"{name}_code": NOTHING} if distribution is None else _numbers(name, distribution)


def _numbers(name: str, distribution: Distribution) -> dict[str, float]:
    first, second = distribution.numbers()
    return {f"{name}_code": distribution.code, f"{name}_first": first, f"{name}_second": second}


def _endpoints(scenario: Scenario) -> Any:
    others = [scenario.app.other.get(name) for name in scenario.endpoints]
    patience = [scenario.app.caller_timeout if other is None else other.caller_timeout for other in others]
    hold = [0.0 if other is None else other.seconds for other in others]
    return _table(tables.ENDPOINT, len(others), hold=hold, patience=patience, latency=1.0, status=500)


def _steps(scenario: Scenario) -> tuple[Any, Any]:
    """When anything about the faults changes; the slots, and each endpoint's faults, from then on."""
    edges = {edge for fault in scenario.faults for edge in (fault.start, fault.end)}
    moments = sorted(edge for edge in edges if edge < math.inf)
    slots, rows = [], []
    for moment in moments:
        capacity = min((fault.capacity for fault in scenario.faults if fault.strikes_all(moment)), default=1.0)
        slots.append(math.floor(scenario.service.slots * capacity))
        rows += [_faults_at(scenario, moment, endpoint) for endpoint in scenario.endpoints]
    columns = {name: [row[name] for row in rows] for name in ("latency", "error", "refuse", "hang", "status")}
    return _table(tables.STEP, len(moments), time=moments, slots=slots), _table(tables.ENDPOINT, len(rows), **columns)


def _faults_at(scenario: Scenario, moment: float, endpoint: str) -> dict[str, float]:
    now = [fault for fault in scenario.faults if fault.strikes(moment, endpoint)]
    worst = {name: max((getattr(f, name) for f in now), default=0.0) for name in ("error", "refuse", "hang")}
    statuses = [fault.status for fault in now if fault.error == worst["error"] > 0.0]
    latency = max((fault.latency for fault in now), default=1.0)
    return {"latency": latency, "status": statuses[0] if statuses else 500, **worst}


def _chain(policy: Policy) -> Sequence[str]:
    return [] if policy.fallback is None else [name for name, _ in policy.fallback.chain]


def _standbys(app: App, policy: Policy) -> Any:
    behind = [app.fallbacks.get(name, Standby()) for name in _chain(policy)]
    return _table(
        tables.STANDBY,
        len(behind),
        seconds=[standby.seconds for standby in behind],
        availability=[standby.availability for standby in behind],
        slots=[UNLIMITED if standby.slots is None else standby.slots for standby in behind],
    )


def _policies(policies: Policies) -> Any:
    table = _table(tables.POLICY, len(policies))
    for place, policy in enumerate(policies):
        retry = policy.retry or Retry(attempts=1, total_time=None)
        for name in tables.POLICY.names or ():
            for part in (retry, retry.backoff):
                if hasattr(part, name):
                    table[name][place] = getattr(part, name)
        table["timeout"][place] = policy.timeout
        table["has_breaker"][place] = policy.breaker is not None
        table["has_budget"][place] = retry.budget is not None
        table["has_throttle"][place] = policy.throttle is not None
    return table


def _breakers(app: App, policies: Policies) -> Any:
    fitted = [policy.fitted_breaker() for policy in policies]
    return _states(app, tables.BREAKER, [{} if breaker is None else breaker.rules() for breaker in fitted], reset)


def _budgets(app: App, policies: Policies) -> Any:
    budgets = [None if policy.retry is None else policy.retry.budget for policy in policies]
    names = tables.BUDGET.names or ()
    rules = [{name: getattr(budget, name) for name in names if hasattr(budget, name)} for budget in budgets]
    return _states(app, tables.BUDGET, rules, lambda budget: fill(budget, 0.0))


def _throttles(app: App, policies: Policies) -> Any:
    rules = [{} if policy.throttle is None else policy.throttle.rules() for policy in policies]
    return _states(app, tables.THROTTLE, rules, empty)


def _states(app: App, dtype: np.dtype[Any], rules: Sequence[Mapping[str, float]], begin: Callable[[Any], None]) -> Any:
    """A state for each policy's rules at its beginning, and that for each instance, or once for all."""
    one = _table(dtype, len(rules))
    for place, numbers in enumerate(rules):
        for name, number in numbers.items():
            one[name][place] = number
        _begin(one, place, begin)
    return np.tile(one, 1 if app.shared_breaker else app.instances).view(np.recarray)


def _begin(table: Any, place: int, rule: Callable[[Any], None]) -> None:
    """Let a rule of the policy set a record to its beginning; on a plain object, which is much faster than a record."""
    state = SimpleNamespace(**{name: table[name][place].tolist() for name in table.dtype.names})
    rule(state)
    for name, number in vars(state).items():
        table[name][place] = number
