"""The knobs of the explorer: what each one sets, its unit, its meaning, and the values it can be turned to.

Nothing here draws: widgets are made in `controls.py`. `WITHOUT_A_KNOB` says which parameters have none, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from breakerlab.lab.span import time_told
from breakerlab.policy import Breaker, Fallback, Policy, Retry, RetryBudget, Throttle
from breakerlab.policy.backoff import JITTERS
from breakerlab.replay import Constant, Empirical, Fault, Llm, Lognormal, RateLimit, Scenario
from breakerlab.replay.distribution import Distribution

OFF: Final = None
FALLBACKS: Final = ("cached answer", "simpler model")


@dataclass(frozen=True)
class Knob:
    """One setting.

    Attributes:
        name: unique among all knobs; what code calls it.
        group: the heading that it stands under; in it and in the meaning, `{service}` is where the service's name goes.
        label: what stands beside it, unit included.
        meaning: one line.
        values: what it can be turned to, in order.
        told: how a value is shown.
        get: the setting of a policy or scenario; None: off, or it has no meaning at the moment.
        put: the policy or scenario with the setting changed. Raises ValueError where that cannot be.
        counts: whether it has a meaning for a policy or scenario as it is; where not, it cannot be turned.
        values_for: what it can be turned to for a policy or scenario, where that depends on it.
        is_drawn: whether a replay can show it; what only the export tells is no slider.
    """

    name: str
    group: str
    label: str
    meaning: str
    values: tuple[Any, ...]
    told: Callable[[Any], str]
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], Any]
    counts: Callable[[Any], bool] = lambda _: True
    values_for: Callable[[Any], tuple[Any, ...]] | None = None
    is_drawn: bool = True

    def options(self, subject: Any) -> list[tuple[str, Any]]:
        """What can be chosen for a policy or scenario, as (shown, value), with the value that it has among it."""
        value, values = self.get(subject), self.values_for(subject) if self.values_for else self.values
        values = values if value in values else _in_order((*values, value))
        return [(self.told(one), one) for one in values]


def _in_order(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(values, key=lambda value: (value is not OFF, value if value is not OFF else 0)))


# ---- how values are told


def seconds(value: float) -> str:
    return time_told(value)


def _or(word: str, tell: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: word if value is OFF else tell(value)


def percent(value: float) -> str:
    return f"{100 * value:g} %"


def times(value: float) -> str:
    return f"{value:g} times"


def count(singular: str, plural: str | None = None) -> Callable[[Any], str]:
    return lambda value: f"{value:g} {singular if value == 1 else plural or singular + 's'}"


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


# ---- where settings stand


def _retry(policy: Policy) -> Retry:
    return policy.retry or Retry(attempts=1, total_time=None, final_reserve=0.0)


def _retry_knob(
    name: str,
    group: str,
    label: str,
    meaning: str,
    values: tuple[Any, ...],
    told: Callable[[Any], str],
    inner: str | None = None,
    counts: Callable[[Any], bool] = lambda policy: _retry(policy).attempts > 1,
) -> Knob:
    def get(policy: Policy) -> Any:
        part = _retry(policy)
        return getattr(part if inner is None else getattr(part, inner), name)

    def put(policy: Policy, value: Any) -> Policy:
        part = _retry(policy)
        if inner is None:
            return replace(policy, retry=replace(part, **{name: value}))
        return replace(policy, retry=replace(part, **{inner: replace(getattr(part, inner), **{name: value})}))

    return Knob(name, group, label, meaning, values, told, get, put, counts)


def _budget_knob(name: str, label: str, meaning: str, values: tuple[Any, ...], told: Callable[[Any], str]) -> Knob:
    def get(policy: Policy) -> Any:
        budget = _retry(policy).budget
        return getattr(budget or RetryBudget(), name)

    def put(policy: Policy, value: Any) -> Policy:
        retry = _retry(policy)
        if retry.budget is None:
            return policy
        return replace(policy, retry=replace(retry, budget=replace(retry.budget, **{name: value})))

    return Knob(f"budget_{name}", BUDGET, label, meaning, values, told, get, put, _has_budget)


def _has_budget(policy: Policy) -> bool:
    return _retry(policy).attempts > 1 and _retry(policy).budget is not None


def _get_budget_ratio(policy: Policy) -> float | None:
    budget = _retry(policy).budget
    return None if budget is None else budget.ratio


def _put_budget_ratio(policy: Policy, ratio: float | None) -> Policy:
    retry = _retry(policy)
    budget = None if ratio is OFF else replace(retry.budget or RetryBudget(), ratio=ratio)
    return replace(policy, retry=replace(retry, budget=budget))


_TRIPS: Final = ("failure_threshold", "failure_rate", "slow_call_rate")


def _trip_knob(name: str, label: str, meaning: str, values: tuple[Any, ...], told: Callable[[Any], str]) -> Knob:
    """A rule that opens the circuit; without any rule there is no breaker."""

    def get(policy: Policy) -> Any:
        return None if policy.breaker is None else getattr(policy.breaker, name)

    def put(policy: Policy, value: Any) -> Policy:
        rules = {rule: None if policy.breaker is None else getattr(policy.breaker, rule) for rule in _TRIPS}
        rules[name] = value
        if all(rule is OFF for rule in rules.values()):
            return replace(policy, breaker=None)
        return replace(policy, breaker=replace(policy.breaker or Breaker(failure_threshold=5), **rules))

    return Knob(name, OPENS, label, meaning, values, told, get, put)


def _breaker_knob(
    name: str,
    group: str,
    label: str,
    meaning: str,
    values: tuple[Any, ...],
    told: Callable[[Any], str],
    counts: Callable[[Breaker], bool] = lambda breaker: True,
) -> Knob:
    def get(policy: Policy) -> Any:
        return getattr(policy.breaker or Breaker(), name)

    def put(policy: Policy, value: Any) -> Policy:
        return policy if policy.breaker is None else replace(policy, breaker=replace(policy.breaker, **{name: value}))

    def has_a_meaning(policy: Policy) -> bool:
        return policy.breaker is not None and counts(policy.breaker)

    return Knob(name, group, label, meaning, values, told, get, put, has_a_meaning)


def _looks_at_rates(breaker: Breaker) -> bool:
    return breaker.failure_rate is not None or breaker.slow_call_rate is not None


def _get_throttle(policy: Policy) -> float | None:
    return None if policy.throttle is None else policy.throttle.ratio


def _put_throttle(policy: Policy, ratio: float | None) -> Policy:
    throttle = None if ratio is OFF else replace(policy.throttle or Throttle(), ratio=ratio)
    return replace(policy, throttle=throttle)


def _put_throttle_window(policy: Policy, window: float) -> Policy:
    return policy if policy.throttle is None else replace(policy, throttle=replace(policy.throttle, window=window))


def _get_fallback(policy: Policy) -> tuple[str, ...] | None:
    return None if policy.fallback is None else tuple(name for name, _ in policy.fallback.chain)


def _put_fallback(policy: Policy, names: tuple[str, ...] | None) -> Policy:
    known = {} if policy.fallback is None else dict(policy.fallback.chain)
    answers = {name: known.get(name, "a plainer answer") for name in names or ()}
    return replace(policy, fallback=Fallback(**answers) if answers else None)


def _tell_fallback(names: tuple[str, ...]) -> str:
    return ", then ".join(names)


CALL, RETRIES, BACKOFF, BUDGET = "Each attempt", "Retries", "Backoff", "Retry budget"
OPENS, RECOVERS, HALF_OPEN, OTHERS = "Breaker opens", "Breaker recovers", "Half-open", "Throttle and fallback"

_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0)
_LONG_SECONDS = (5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

POLICY_KNOBS: Final[tuple[Knob, ...]] = (
    Knob(
        "timeout",
        CALL,
        "Timeout",
        "an attempt that takes longer is given up and counts as a failure",
        _SECONDS,
        seconds,
        lambda policy: policy.timeout,
        lambda policy, value: replace(policy, timeout=value),
    ),
    _retry_knob(
        "attempts",
        RETRIES,
        "Retry cap",
        "attempts per request, the first included",
        tuple(range(1, 11)),
        count("attempt"),
        counts=lambda _: True,
    ),
    _retry_knob(
        "total_time",
        RETRIES,
        "Total time",
        "for the whole request, all attempts and waits included",
        (OFF, *_LONG_SECONDS),
        _or("no limit", seconds),
        counts=lambda _: True,
    ),
    _retry_knob(
        "final_reserve",
        RETRIES,
        "Reserve",
        "share of the total time that is kept for the final attempt",
        (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5),
        percent,
        counts=lambda policy: _retry(policy).attempts > 1 and _retry(policy).total_time is not None,
    ),
    _retry_knob(
        "retry_after_limit",
        RETRIES,
        "Retry-After",
        "a server's wish to wait is obeyed up to this; a longer one ends it",
        (OFF, 0.0, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0),
        _or("ignored", seconds),
    ),
    _retry_knob(
        "wait_for_probe",
        RETRIES,
        "Wait for probe",
        "a request that the open circuit refuses waits for the next probe",
        (False, True),
        yes_no,
        counts=lambda policy: _retry(policy).attempts > 1 and policy.breaker is not None,
    ),
    _retry_knob(
        "base",
        BACKOFF,
        "First delay",
        "before jitter",
        (0.05, *_SECONDS),
        seconds,
        "backoff",
    ),
    _retry_knob(
        "factor",
        BACKOFF,
        "Growth",
        "each further delay is this many times as long",
        (1.0, 1.5, 2.0, 3.0, 4.0),
        times,
        "backoff",
    ),
    _retry_knob(
        "cap",
        BACKOFF,
        "Longest delay",
        "the growth ends here",
        (*_SECONDS, 120.0),
        seconds,
        "backoff",
    ),
    _retry_knob(
        "jitter",
        BACKOFF,
        "Jitter",
        "how the delay is drawn at random",
        tuple(JITTERS),
        str,
        "backoff",
    ),
    Knob(
        "budget_ratio",
        BUDGET,
        "Budget",
        "retries that all requests together may add, as a share of them",
        (OFF, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        _or("off", percent),
        _get_budget_ratio,
        _put_budget_ratio,
        lambda policy: _retry(policy).attempts > 1,
    ),
    _budget_knob(
        "deposit", "Earned by", "what earns the budget: every call, or every success", ("call", "success"), str
    ),
    _budget_knob(
        "minimum_rate",
        "At least",
        "retries a second that are always allowed",
        (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0),
        lambda value: f"{value:g} per s",
    ),
    _budget_knob(
        "burst",
        "Saved up",
        "the most retries that can be saved",
        (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
        count("retry", "retries"),
    ),
    _trip_knob(
        "failure_threshold",
        "In a row",
        "failures one after the other that open the circuit",
        (OFF, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30),
        _or("off", count("failure")),
    ),
    _trip_knob(
        "failure_rate",
        "Failure rate",
        "share of failures in the window that opens it",
        (OFF, *_SHARES),
        _or("off", percent),
    ),
    _trip_knob(
        "slow_call_rate",
        "Slow-call rate",
        "share of slow calls in the window that opens it",
        (OFF, *_SHARES),
        _or("off", percent),
    ),
    _breaker_knob(
        "slow_call_duration",
        OPENS,
        "Slow is from",
        "a call that takes this long is slow",
        _SECONDS,
        seconds,
        lambda breaker: breaker.slow_call_rate is not None,
    ),
    _breaker_knob(
        "window",
        OPENS,
        "Window",
        "the latest calls that the rates look at",
        (5, 10, 20, 50, 100, 200, 500),
        count("call"),
        lambda breaker: _looks_at_rates(breaker) and breaker.window_seconds is None,
    ),
    _breaker_knob(
        "window_seconds",
        OPENS,
        "Window by time",
        "the rates look at the latest seconds instead of the latest calls",
        (OFF, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
        _or("off", seconds),
        _looks_at_rates,
    ),
    _breaker_knob(
        "minimum_calls",
        OPENS,
        "Minimum calls",
        "in the window, before a rate counts",
        (1, 2, 5, 10, 20, 50, 100),
        count("call"),
        _looks_at_rates,
    ),
    _breaker_knob(
        "guards",
        OPENS,
        "Refuses",
        "all calls, or retries only: a first attempt is then let through",
        ("all", "retries"),
        lambda value: {"all": "all calls", "retries": "retries only"}[value],
    ),
    _breaker_knob(
        "recovery_timeout",
        RECOVERS,
        "Tries again after",
        "from opening to the first probe",
        (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0),
        seconds,
    ),
    _breaker_knob(
        "recovery_growth",
        RECOVERS,
        "Wait grows",
        "each further opening makes the wait this many times as long",
        (1.0, 1.5, 2.0, 3.0),
        times,
    ),
    _breaker_knob(
        "recovery_cap",
        RECOVERS,
        "Longest wait",
        "the growth ends here",
        (OFF, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0),
        _or("10 waits", seconds),
        lambda breaker: breaker.recovery_growth > 1.0,
    ),
    _breaker_knob(
        "recovery_jitter",
        RECOVERS,
        "Wait jitter",
        "adds up to this share of the wait, so that a fleet does not probe in step",
        (0.0, 0.1, 0.25, 0.5, 1.0),
        percent,
    ),
    _breaker_knob(
        "half_open_max_calls",
        HALF_OPEN,
        "Probes",
        "that may be in flight at a time",
        (1, 2, 3, 5, 10, 20),
        count("probe"),
    ),
    _breaker_knob(
        "success_threshold",
        HALF_OPEN,
        "Closes after",
        "probes that must succeed",
        (OFF, 1, 2, 3, 5, 10, 20),
        _or("all probes", count("success", "successes")),
    ),
    replace(
        _breaker_knob(
            "half_open_timeout",
            HALF_OPEN,
            "Hanging probe",
            "gives up its permit after this; a replay ends it sooner, by its timeout",
            (OFF, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0),
            _or("automatic", seconds),
        ),
        is_drawn=False,
    ),
    Knob(
        "throttle",
        OTHERS,
        "Throttle",
        "refuse at random once requests pass this many times what the service accepts",
        (OFF, 1.1, 1.5, 2.0, 3.0),
        _or("off", times),
        _get_throttle,
        _put_throttle,
    ),
    Knob(
        "throttle_window",
        OTHERS,
        "It looks back",
        "time over which requests and accepted requests are counted",
        (10.0, 20.0, 30.0, 60.0, 120.0, 300.0),
        seconds,
        lambda policy: (policy.throttle or Throttle()).window,
        _put_throttle_window,
        lambda policy: policy.throttle is not None,
    ),
    Knob(
        "fallback",
        OTHERS,
        "Fallback",
        "who answers in the {service}'s place",
        (OFF, ("cached answer",), ("simpler model",), ("simpler model", "cached answer")),
        _or("nobody", _tell_fallback),
        _get_fallback,
        _put_fallback,
    ),
)


# ---- the server


SERVICE, FAULT, APP = "The {service in full}", "Its fault", "The app"


def _service_knob(name: str, label: str, meaning: str, values: tuple[Any, ...], told: Callable[[Any], str]) -> Knob:
    return Knob(
        name,
        SERVICE,
        label,
        meaning,
        values,
        told,
        lambda scenario: getattr(scenario.service, name),
        lambda scenario, value: replace(scenario, service=replace(scenario.service, **{name: value})),
    )


def _app_knob(name: str, label: str, meaning: str, values: tuple[Any, ...], told: Callable[[Any], str]) -> Knob:
    return Knob(
        name,
        APP,
        label,
        meaning,
        values,
        told,
        lambda scenario: getattr(scenario.app, name),
        lambda scenario, value: replace(scenario, app=replace(scenario.app, **{name: value})),
    )


def _has_several_instances(scenario: Scenario) -> bool:
    return scenario.app.instances > 1


def _first_fault(scenario: Scenario) -> Fault:
    third = scenario.duration / 3.0
    return scenario.faults[0] if scenario.faults else Fault(third, 2.0 * third)


def _fault_knob(name: str, label: str, meaning: str, values: tuple[Any, ...], told: Callable[[Any], str]) -> Knob:
    def put(scenario: Scenario, value: Any) -> Scenario:
        fault = replace(_first_fault(scenario), **{name: value})
        return replace(scenario, faults=(fault, *scenario.faults[1:]))

    return Knob(f"fault_{name}", FAULT, label, meaning, values, told, lambda s: getattr(_first_fault(s), name), put)


def _put_fault_start(scenario: Scenario, start: float) -> Scenario:
    fault = _first_fault(scenario)
    moved = replace(fault, start=start, end=start + (fault.end - fault.start))
    return replace(scenario, faults=(moved, *scenario.faults[1:]))


_STARTS: Final = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0)
_LENGTHS: Final = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)
_USUAL: Final = 120.0  # s, the length of a scenario that these are for


def _as_long_as(scenario: Scenario, moments: tuple[float, ...]) -> tuple[float, ...]:
    """The moments as they are, or in a scenario of another order of length at the same shares of it."""
    ratio = scenario.duration / _USUAL
    return moments if 0.25 <= ratio <= 2.5 else tuple(float(f"{moment * ratio:.3g}") for moment in moments)


def _fault_length(scenario: Scenario) -> float:
    fault = _first_fault(scenario)
    return round(fault.end - fault.start, 6)


def _put_fault_length(scenario: Scenario, value: float) -> Scenario:
    fault = _first_fault(scenario)
    return replace(scenario, faults=(replace(fault, end=fault.start + value), *scenario.faults[1:]))


def _get_rate_limit(scenario: Scenario) -> float | None:
    limit = scenario.service.rate_limit
    return None if limit is None or limit.requests is None else 60.0 * limit.requests / limit.per


def _put_rate_limit(scenario: Scenario, per_minute: float | None) -> Scenario:
    before = scenario.service.rate_limit or RateLimit()
    requests = None if per_minute is OFF else per_minute * before.per / 60.0
    kept = requests is not None or before.tokens is not None
    limit = replace(before, requests=requests) if kept else None
    return replace(scenario, service=replace(scenario.service, rate_limit=limit))


def answer_seconds(scenario: Scenario) -> float:
    """The mean time that the service takes for an answer of the workload's mean size when it is idle, 3 digits."""
    time = scenario.service.time
    first, second = time.numbers()
    if isinstance(time, Lognormal):
        mean = time.mean
    elif isinstance(time, Empirical):
        mean = float(np.mean(time.table()))
    else:
        mean = first + second * _mean_tokens(scenario)
    return float(f"{mean:.3g}")


def _mean_tokens(scenario: Scenario) -> float:
    tokens = scenario.arrivals(0).tokens
    return float(tokens[tokens > 0].mean()) if (tokens > 0).any() else 0.0


def _put_answer_seconds(scenario: Scenario, mean: float) -> Scenario:
    before = answer_seconds(scenario)
    ratio = mean / before if before else 1.0
    return replace(scenario, service=replace(scenario.service, time=_longer(scenario.service.time, ratio)))


def _longer(time: Distribution, ratio: float) -> Distribution:
    if isinstance(time, Constant):
        return replace(time, value=time.value * ratio)
    if isinstance(time, Empirical):
        return Empirical([value * ratio for value in time.values])
    if isinstance(time, Llm):
        return replace(time, first_token=time.first_token * ratio, per_token=time.per_token * ratio)
    return replace(time, mean=time.mean * ratio)  # type: ignore[attr-defined]


SCENARIO_KNOBS: Final[tuple[Knob, ...]] = (
    Knob(
        "answer_seconds",
        SERVICE,
        "An answer takes",
        "on average, when the service is idle",
        (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
        seconds,
        answer_seconds,
        _put_answer_seconds,
    ),
    _service_knob(
        "slots", "Slots", "requests that it works on at a time", (1, 2, 4, 6, 8, 12, 16, 24, 32, 64), count("slot")
    ),
    _service_knob(
        "queue_limit",
        "Queue",
        "requests that may wait; the others get 503",
        (OFF, 0, 2, 4, 8, 16, 32, 64, 128),
        _or("no limit", count("place")),
    ),
    _service_knob(
        "discipline",
        "Order",
        "who of the queue is next",
        ("fifo", "lifo", "deadline"),
        lambda value: {
            "fifo": "first come, first served",
            "lifo": "last come, first served",
            "deadline": "drops the late",
        }[value],
    ),
    _service_knob("retry_after", "Asks to wait", "Retry-After of its 503", (0.0, 0.5, 1.0, 2.0, 5.0, 10.0), seconds),
    _service_knob(
        "rejection_seconds", "A 503 takes", "time until it is told", (0.0, 0.01, 0.05, 0.1, 0.5, 1.0), seconds
    ),
    _service_knob(
        "cancel_on_disconnect",
        "Notices hang-ups",
        "gives up work that nobody waits for any more",
        (False, True),
        yes_no,
    ),
    Knob(
        "rate_limit",
        SERVICE,
        "Rate limit",
        "requests a minute; the others get 429",
        (OFF, 60.0, 120.0, 300.0, 600.0, 1200.0, 3000.0),
        _or("off", lambda value: f"{value:g} per min"),
        _get_rate_limit,
        _put_rate_limit,
    ),
    _fault_knob(
        "capacity",
        "Capacity left",
        "share of the slots that stay while the fault lasts",
        (0.0, 0.1, 0.125, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
        percent,
    ),
    _fault_knob("error", "Errors", "share of answers that fail", (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0), percent),
    _fault_knob("latency", "Slower", "answers take this many times as long", (1.0, 1.5, 2.0, 3.0, 5.0, 10.0), times),
    _fault_knob(
        "refuse", "Refuses", "share of connections refused at once", (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0), percent
    ),
    _fault_knob(
        "hang", "Hangs", "share of attempts never answered", (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0), percent
    ),
    Knob(
        "fault_start",
        FAULT,
        "Begins at",
        "on the time axis; where there are several faults, these knobs turn the first",
        _STARTS,
        seconds,
        lambda scenario: _first_fault(scenario).start,
        _put_fault_start,
        values_for=lambda scenario: _as_long_as(scenario, _STARTS),
    ),
    Knob(
        "fault_length",
        FAULT,
        "Lasts",
        "from its beginning to its end",
        _LENGTHS,
        seconds,
        _fault_length,
        _put_fault_length,
        values_for=lambda scenario: _as_long_as(scenario, _LENGTHS),
    ),
    _app_knob(
        "workers",
        "Workers",
        "requests that an instance holds at a time",
        (8, 16, 24, 32, 48, 64, 96, 128, 256),
        count("worker"),
    ),
    _app_knob("instances", "Instances", "behind one balancer", (1, 2, 3, 4, 6, 8), count("instance")),
    _app_knob("pool_timeout", "Pool timeout", "how long a request waits for a worker", _SECONDS, seconds),
    _app_knob(
        "hold_during_backoff",
        "Holds in backoff",
        "a request that waits for its retry keeps its worker",
        (True, False),
        yes_no,
    ),
    replace(
        _app_knob("shared_breaker", "Shared breaker", "one circuit for all instances", (False, True), yes_no),
        counts=_has_several_instances,
    ),
    replace(
        _app_knob(
            "balancer",
            "Balancer",
            "which instance a request goes to",
            ("round_robin", "random", "least_busy"),
            lambda value: {"round_robin": "in turn", "random": "at random", "least_busy": "least busy"}[value],
        ),
        counts=_has_several_instances,
    ),
    replace(
        _app_knob(
            "writes",
            "Writes",
            "whether a request that changes something may be retried",
            ("once", "blind", "keyed"),
            lambda value: {"once": "never retried", "blind": "retried", "keyed": "retried, one key"}[value],
        ),
        counts=lambda scenario: bool(scenario.arrivals(0).write.any()),
    ),
    _app_knob("caller_timeout", "Callers wait", "how long before a caller gives up", _SECONDS, seconds),
    _app_knob("health_interval", "Checked every", "by the health check", (0.5, 1.0, 2.0, 5.0, 10.0, 30.0), seconds),
    _app_knob(
        "health_timeout", "Must answer in", "or the health check has failed", (0.1, 0.2, 0.5, 1.0, 2.0, 5.0), seconds
    ),
    _app_knob(
        "health_failures",
        "Failed checks",
        "one after the other, until the app is restarted",
        (1, 2, 3, 5, 10),
        count("check"),
    ),
    _app_knob(
        "restart_seconds",
        "A restart takes",
        "until connections are accepted again",
        (1.0, 2.0, 5.0, 8.0, 15.0, 30.0, 60.0),
        seconds,
    ),
)


WITHOUT_A_KNOB: Final = {
    "Service.network": "the way to the service is short beside its answers",
    "Fault.status": "which 5xx it is changes nothing",
    "Fault.endpoints": "which endpoints are struck belongs to the scenario",
    "App.other": "its endpoints belong to the scenario",
    "App.fallbacks": "who stands behind a fallback belongs to the scenario",
    "App.network": "the way to the app is short beside its answers",
    "App.answer_network": "the way back is short beside its answers",
    "App.timer_lag": "the lag of timers is short beside the delays",
    "RateLimit.tokens": "the slider sets the requests; a limit of tokens is kept as it is",
    "RateLimit.per": "the slider tells requests a minute, whatever the period",
}
"""Parameters of policy and scenario that no knob turns, each with the reason."""


@dataclass(frozen=True)
class Preset:
    """A policy with a name, to start from."""

    name: str
    policy: Policy


def presets() -> tuple[Preset, ...]:
    """Where an exploration may begin: no retries, the article's class with and without its breaker, an SDK, ours."""
    article = Policy(
        timeout=10.0,
        retry=Retry(attempts=4, total_time=None, final_reserve=0.0, retry_after_limit=None),
        breaker=Breaker(failure_threshold=3, recovery_timeout=60.0, half_open_max_calls=1),
    )
    additive = replace(article.retry.backoff, base=1.0, cap=60.0, jitter="additive")  # type: ignore[union-attr]
    return (
        Preset("no retries", Policy.none()),
        Preset("naive", Policy.naive()),
        Preset("OpenAI SDK default", Policy.openai_sdk()),
        Preset("article", replace(article, retry=replace(article.retry, backoff=additive))),  # type: ignore[type-var]
        Preset("recommended", Policy.recommended()),
    )


def knob(name: str) -> Knob:
    """The knob of that name. Raises KeyError."""
    return _BY_NAME[name]


_BY_NAME: Final = {one.name: one for one in (*POLICY_KNOBS, *SCENARIO_KNOBS)}
