"""Policies of every kind, and what of their settings has any effect."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle

SECONDS = [0.0005, 0.02, 0.1, 0.25, 1.0, 1.5, 2.0, 7.3, 10.0, 30.0, 61.0, 600.0, 100_000.0, 1e12, 1e300]
COUNTS = [1, 2, 3, 5, 20, 1000, 2**40]
FALLBACKS = [None, Fallback("resting"), Fallback(cache={"a": [1, None]}, message="late"), Fallback(message="late")]

# Each field that a person can set, and values for it: ordinary ones, awkward ones, and such as pass a target's limits.
FIELDS: dict[tuple[str, ...], list[Any]] = {
    ("timeout",): SECONDS,
    ("retry",): [None, Retry(), Retry(attempts=1), Retry(attempts=3, budget=RetryBudget())],
    ("breaker",): [None, Breaker(), Breaker(failure_rate=0.5), Breaker(slow_call_rate=0.2, slow_call_duration=2.0)],
    ("fallback",): FALLBACKS,
    ("throttle",): [None, Throttle(), Throttle(ratio=1.1)],
    ("retry", "attempts"): COUNTS,
    ("retry", "total_time"): [None, *SECONDS],
    ("retry", "final_reserve"): [0.0, 0.1, 0.25, 0.9],
    ("retry", "retry_after_limit"): [None, 0.0, *SECONDS],
    ("retry", "wait_for_probe"): [False, True],
    ("retry", "budget"): [None, RetryBudget(), RetryBudget(ratio=0.3)],
    ("retry", "backoff", "base"): SECONDS[:-1],
    ("retry", "backoff", "factor"): [1.0, 1.2, 2.0, 3.0, 1e15],
    ("retry", "backoff", "cap"): SECONDS,
    ("retry", "backoff", "jitter"): ["none", "full", "equal", "decorrelated", "additive", "sdk"],
    ("retry", "budget", "ratio"): [0.0, 0.1, 0.125, 1.0],
    ("retry", "budget", "deposit"): ["call", "success"],
    ("retry", "budget", "minimum_rate"): [0.0, 0.5, 3.0],
    ("retry", "budget", "burst"): [1.0, 2.5, 10.0],
    ("breaker", "failure_threshold"): [None, *COUNTS],
    ("breaker", "failure_rate"): [None, 1e-9, 0.1, 0.123, 0.5, 1.0],
    ("breaker", "slow_call_rate"): [None, 1e-9, 0.1, 0.5, 1.0],
    ("breaker", "slow_call_duration"): SECONDS,
    ("breaker", "window"): [1, 2, 5, 20, 1024],
    ("breaker", "window_seconds"): [None, *SECONDS[1:]],
    ("breaker", "minimum_calls"): COUNTS,
    ("breaker", "recovery_timeout"): SECONDS[:-1],
    ("breaker", "recovery_growth"): [1.0, 1.5, 2.0, 1e15],
    ("breaker", "recovery_cap"): [None, *SECONDS],
    ("breaker", "recovery_jitter"): [0.0, 0.1, 1.0],
    ("breaker", "half_open_max_calls"): COUNTS,
    ("breaker", "success_threshold"): [None, *COUNTS],
    ("breaker", "half_open_timeout"): [None, *SECONDS],
    ("breaker", "guards"): ["all", "retries"],
    ("throttle", "ratio"): [1.0, 1.1, 2.0, 3.0, 500.0, 600.0],
    ("throttle", "window"): [0.5, 30.0, 120.0, 1e9],
}


def fields_of(owner: tuple[str, ...]) -> dict[str, list[Any]]:
    """The fields directly within a part, and their values."""
    return {path[-1]: values for path, values in FIELDS.items() if path[:-1] == owner}


@st.composite
def parts(draw: st.DrawFn, kind: type, owner: tuple[str, ...], **given: Any) -> Any:
    """A part with some of its fields drawn; the others have their defaults."""
    chosen = {
        n: draw(st.sampled_from(v)) for n, v in fields_of(owner).items() if n not in given and draw(st.booleans())
    }
    try:
        return kind(**chosen, **given)
    except ValueError:  # a cap below its base: either is fine, not both
        return kind(**given)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    retry = breaker = throttle = None
    if draw(st.integers(0, 4)):
        budget = draw(parts(RetryBudget, ("retry", "budget"))) if draw(st.booleans()) else None
        retry = draw(parts(Retry, ("retry",), backoff=draw(parts(Backoff, ("retry", "backoff"))), budget=budget))
    if draw(st.integers(0, 4)):
        breaker = draw(parts(Breaker, ("breaker",)))
    if draw(st.booleans()):
        throttle = draw(parts(Throttle, ("throttle",)))
    rest = {"retry": retry, "fallback": draw(st.sampled_from(FALLBACKS)), "throttle": throttle}
    timeout = draw(st.sampled_from(SECONDS))
    try:
        return Policy(timeout, breaker=breaker, **rest)
    except ValueError:  # a half-open timeout below the timeout
        return Policy(timeout, breaker=replace(breaker, half_open_timeout=None), **rest)


def changed(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """`value` with the one field at `path` set anew; None if it has no such field, or may not be so."""
    name, *rest = path
    part = getattr(value, name)
    if rest:
        new = None if part is None else changed(part, tuple(rest), new)
        if new is None:
            return None
    try:
        return replace(value, **{name: new})
    except ValueError:
        return None


def effective(policy: Policy) -> dict[str, Any]:
    """What the rules make of the settings: two policies for which this is equal behave alike.

    What is not here has no effect, by the rule named.
    """
    retry, rules, throttle = policy.retry, policy.fitted_breaker(), policy.throttle
    total = None if retry is None else retry.total_time
    found: dict[str, Any] = {"fallback": repr(policy.fallback), "throttle": throttle and throttle.rules()}
    if rules is not None:
        found |= rules.rules()  # a slow-call duration without its rate is infinite, a minimum above the window cut, ...
        if not found["has_window"]:  # judge_window is not asked
            found = {k: v for k, v in found.items() if k not in ("window", "bucket_seconds", "minimum_calls")}
    if retry is None or retry.attempts == 1:  # next_start: made >= attempts; time_allowed: the final attempt
        return {**found, "time": policy.timeout if total is None else min(policy.timeout, total)}
    backoff = retry.backoff
    found |= {"timeout": policy.timeout, "attempts": retry.attempts, "total": total, "base": backoff.base}
    found |= {"jitter": backoff.jitter, "limit": retry.retry_after_limit}
    if total is not None:  # a share of no limit is none
        found["reserve"] = retry.final_reserve
    if backoff.jitter == "decorrelated":  # delay: no term, so no factor
        found["cap"] = backoff.cap
    else:
        found["last term"] = backoff.base * min(backoff.factor, 1e9) ** min(
            retry.attempts - 2, 20.0
        )  # all of the growth
        found["cap"] = min(found["last term"], backoff.cap)  # grown: the cap binds or not
    if rules is not None:
        found["wait_for_probe"] = retry.wait_for_probe  # until_probe is 0 without a circuit
    if retry.budget is not None:
        found["budget"] = (retry.budget.ratio, retry.budget.minimum_rate, retry.budget.burst)
        found["deposit"] = retry.budget.ratio > 0.0 and retry.budget.deposit  # nothing is deposited, whenever
    return found
