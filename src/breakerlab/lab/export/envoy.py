"""Envoy: retry policy and timeout of a route; retry budget and outlier detection of a cluster; admission control.

Outlier detection is the nearest thing to a circuit breaker: it takes single hosts out of a cluster for a while. (Names,
limits and defaults: envoy.config.route.v3, envoy.config.cluster.v3, envoy.extensions.filters.http.admission_control.v3;
`JitteredExponentialBackOffStrategy` for what the waits are.)
"""

from __future__ import annotations

from decimal import Decimal

from breakerlab.lab.export import left_out
from breakerlab.lab.export.meaning import client_timeout, draw, minimum_calls, probes, recovery_cap, retries
from breakerlab.lab.export.notes import LARGEST_UINT32, Notes, percent, plain
from breakerlab.policy import Breaker, Policy, Retry, Throttle

LONGEST = 9_000_000_000_000  # milliseconds; Envoy refuses a Duration whose nanoseconds pass 64 bits
SWEEP = 1_000  # milliseconds between two looks at the ejected hosts
RATE_SWEEP = 10.0  # seconds, Envoy's own default, where the policy's window is one of calls
_SEEN_AS_SUCCESS = ((100, 408), (409, 425), (426, 429), (430, 500))  # whatever is no failure to the policy


def write(policy: Policy, name: str, notes: Notes) -> str:
    """Parts of a route, of a cluster and, for a throttle, of the HTTP filters, under keys of these names."""
    retry, rules = retries(policy), policy.fitted_breaker()
    lines = ["# Into the route's action (config.route.v3.RouteAction):", "route:", f'  cluster: "{name}"']
    lines += _route(retry, policy, notes)
    lines += ["# Into the cluster (config.cluster.v3.Cluster):", "cluster:", f'  name: "{name}"']
    lines += _retry_limit(retry, notes)
    if rules is not None:
        lines += _outliers(rules, policy, notes)
    if policy.throttle is not None:
        lines += ["# Before the router (HttpConnectionManager.http_filters):", "http_filters:"]
        lines += _admission(policy.throttle, name, notes)
    left_out.fallback(policy, notes, "the caller gets the error")
    return "\n".join(lines) + "\n"


def _duration(milliseconds: int) -> str:
    return f"{plain(Decimal(milliseconds) / 1000)}s"


# ---- the route: timeouts and retries


def _route(retry: Retry | None, policy: Policy, notes: Notes) -> list[str]:
    timeout = notes.milliseconds("timeout", client_timeout(policy), most=LONGEST)
    if retry is None:
        return [f"  timeout: {_duration(timeout)}"]
    total = 0 if retry.total_time is None else notes.milliseconds("total_time", retry.total_time, most=LONGEST)
    left_out.reserve(retry, notes)
    if retry.total_time is not None:
        notes.say(
            "Envoy draws its wait whatever time is left: where the policy cuts the backoff short to start an attempt "
            f"within {retry.last_start_after!r} s, here the route's timeout of {retry.total_time!r} s may end during "
            "the wait."
        )
    _open_circuit(retry, policy, notes)
    return [
        f"  timeout: {_duration(total)}",
        "  retry_policy:",
        "    retry_on: 5xx,retriable-status-codes",
        "    retriable_status_codes: [408, 425, 429]",
        f"    num_retries: {notes.count('the number of retries', retry.attempts - 1, most=LARGEST_UINT32)}",
        f"    per_try_timeout: {_duration(timeout)}",
        *_waits(retry, notes),
        *_retry_after(retry, notes),
    ]


def _waits(retry: Retry, notes: Notes) -> list[str]:
    backoff = retry.backoff
    if backoff.jitter != "full":
        notes.say(
            f"Envoy draws every wait from U(0, term): the policy's {backoff.jitter!r} jitter, {draw(backoff)}, is "
            "left out, so waits may be shorter, down to none."
        )
    if backoff.jitter != "decorrelated" and backoff.factor != 2.0:
        grows = "stays at the base" if backoff.factor == 1.0 else f"grows by {backoff.factor!r}"
        notes.say(f"Envoy's term always doubles with each retry, where the policy's {grows}.")
    base = notes.milliseconds("base", backoff.base, most=LONGEST)
    cap = max(base, notes.milliseconds("cap", backoff.cap, most=LONGEST))
    return ["    retry_back_off:", f"      base_interval: {_duration(base)}", f"      max_interval: {_duration(cap)}"]


def _retry_after(retry: Retry, notes: Notes) -> list[str]:
    limit = retry.retry_after_limit
    if limit is None:
        return []
    if limit == 0.0:
        notes.say(
            "Envoy retries also where the server asks for time: the policy gives up at any Retry-After "
            "(retry_after_limit 0), here the header is not read and the retry comes after the backoff."
        )
        return []
    notes.say(
        "Envoy waits between 1 and 1.5 times what Retry-After asks, where the policy adds its backoff; it reads "
        "whole seconds only, neither dates nor retry-after-ms."
    )
    notes.say(
        f"Envoy passes over a Retry-After of more than {limit!r} s and retries after its usual backoff, so it comes "
        "back sooner than asked; the policy gives up."
    )
    return [
        "    rate_limited_retry_back_off:",
        "      reset_headers:",
        "      - name: Retry-After",
        "        format: SECONDS",
        f"      max_interval: {_duration(notes.milliseconds('retry_after_limit', limit, most=LONGEST))}",
    ]


def _open_circuit(retry: Retry, policy: Policy, notes: Notes) -> None:
    if policy.breaker is None:
        return
    if retry.wait_for_probe:
        notes.say(
            "Envoy does not wait for a host to come back: with all of them out, a request ends at once with a 503."
        )
    else:
        notes.say(
            "In Envoy a failure that puts the last host out is followed by one more backoff, and then by a 503 of "
            "Envoy's own; the policy ends the call at once, with the failure itself."
        )


# ---- the cluster: retry budget and outlier detection


def _retry_limit(retry: Retry | None, notes: Notes) -> list[str]:
    if retry is None:
        return []
    head, budget = ["  circuit_breakers:", "    thresholds:"], retry.budget
    if budget is None:
        return [*head, f"    - max_retries: {LARGEST_UINT32} # no limit; Envoy's default is 3 at a time"]
    earned = "each success" if budget.deposit == "success" else "each call"
    notes.say(
        f"Envoy's budget limits how many retries are under way at a time, to {plain(percent(budget.ratio))} % of the "
        f"requests under way; the policy's is a purse of at most {budget.burst!r} tokens, into which {earned} puts "
        f"{budget.ratio!r} and every second {budget.minimum_rate!r}. Slow retries fill Envoy's, in the policy they "
        "cost as much as fast ones."
    )
    notes.say(
        "Envoy always lets one retry be under way (min_retry_concurrency 1; with 0 quiet services would never retry)."
    )
    return [
        *head,
        "    - retry_budget:",
        f"        budget_percent: {{value: {plain(percent(budget.ratio))}}}",
        "        min_retry_concurrency: 1",
    ]


def _outliers(rules: Breaker, policy: Policy, notes: Notes) -> list[str]:
    if rules.failure_threshold is None and rules.failure_rate is None:
        notes.say(
            "Envoy's outlier detection does not time requests: a breaker that opens on slow calls alone cannot be "
            f"written, so {policy.breaker!r} is left out and slow requests go on until the timeout cuts them."
        )
        return []
    lines = ["  outlier_detection:", *_consecutive(rules, notes), *_percentage(rules, notes), *_ejection(rules, notes)]
    notes.say(
        "Envoy puts out single hosts, each by its own failures, where the policy has one circuit for the service; "
        "the panic threshold is set to 0, since else a cluster with most hosts out is used as if none were."
    )
    notes.say(
        "Envoy's outlier detection counts 5xx, timeouts and connection failures; all 4xx are successes to it, where "
        "the policy takes 408, 425 and 429 for failures and does not count the others."
    )
    if rules.slow_call_rate is not None:
        window = f"{rules.window} calls" if rules.window_seconds is None else f"{rules.window_seconds!r} s"
        notes.say(
            f"Envoy's outlier detection does not time requests: slow_call_rate {rules.slow_call_rate!r} of calls from "
            f"{rules.slow_call_duration!r} s on, in a window of {window} with at least {minimum_calls(rules)} calls, "
            "is left out."
        )
    _half_open(rules, notes)
    left_out.time_for_the_server(rules, notes)
    left_out.guards(rules, notes)
    return [*lines, "  common_lb_config:", "    healthy_panic_threshold: {value: 0}"]


def _consecutive(rules: Breaker, notes: Notes) -> list[str]:
    enforced = 0 if rules.failure_threshold is None else 100
    in_a_row = notes.count("failure_threshold", rules.failure_threshold or 5, least=1, most=LARGEST_UINT32)
    return [
        f"    consecutive_5xx: {in_a_row}",
        f"    enforcing_consecutive_5xx: {enforced}",
        "    enforcing_success_rate: 0 # the policy compares no hosts",
    ]


def _percentage(rules: Breaker, notes: Notes) -> list[str]:
    if rules.failure_rate is None:
        return [f"    interval: {_duration(SWEEP)}", "    enforcing_failure_percentage: 0"]
    interval = rules.window_seconds or RATE_SWEEP
    exact = percent(rules.failure_rate)
    threshold = min(max(int(exact.to_integral_value()), 1), 100)
    if threshold != exact:
        notes.say(f"failure_rate of {rules.failure_rate!r} is written as {threshold} %: Envoy takes whole percentages.")
    if rules.window_seconds is None:
        notes.say(
            f"Envoy's rate is that of fixed intervals, here {RATE_SWEEP:g} s, not of the last {rules.window} calls: a "
            "host is put out at the end of an interval, not at the failure that reaches the rate."
        )
    else:
        notes.say(
            f"Envoy's rate is that of fixed intervals of {interval!r} s, one after the other, not of a sliding "
            "window: a host is put out at the end of an interval, not at the failure that reaches the rate."
        )
    return [
        f"    interval: {_duration(notes.milliseconds('the interval', interval, most=LONGEST))}",
        "    enforcing_failure_percentage: 100",
        f"    failure_percentage_threshold: {threshold}",
        "    failure_percentage_minimum_hosts: 1",
        "    failure_percentage_request_volume: "
        f"{notes.count('minimum_calls', minimum_calls(rules), least=1, most=LARGEST_UINT32)}",
    ]


def _ejection(rules: Breaker, notes: Notes) -> list[str]:
    base = notes.milliseconds("recovery_timeout", rules.recovery_timeout, most=LONGEST)
    longest = base
    if rules.recovery_growth > 1.0:
        longest = max(base, notes.milliseconds("recovery_cap", recovery_cap(rules), most=LONGEST))
        notes.say(
            "Envoy lengthens the time out by the same amount with each ejection (1, 2, 3 times "
            f"{rules.recovery_timeout!r} s), where the policy multiplies it by {rules.recovery_growth!r}; both up to "
            f"{recovery_cap(rules)!r} s."
        )
    lines = [
        f"    base_ejection_time: {_duration(base)}",
        f"    max_ejection_time: {_duration(longest)}",
        "    max_ejection_percent: 100",
    ]
    if rules.recovery_jitter > 0.0:
        most = rules.recovery_jitter * rules.recovery_timeout
        jitter = notes.milliseconds("the jitter of recovery_timeout", most, least=0, most=LONGEST)
        lines.append(f"    max_ejection_time_jitter: {_duration(jitter)}")
        if rules.recovery_growth > 1.0:
            notes.say(
                f"Envoy adds the same jitter of up to {most:g} s to longer times out too, where the policy's grows "
                "with them."
            )
    return lines


def _half_open(rules: Breaker, notes: Notes) -> None:
    interval = SWEEP / 1000 if rules.failure_rate is None else rules.window_seconds or RATE_SWEEP
    notes.say(
        f"Envoy has no half-open state: when its time is over, at the next look (every {interval:g} s), a host gets "
        f"all its traffic back; the policy sends {rules.half_open_max_calls} at a time until {probes(rules)} succeed, "
        f"opens again at the first failure, and gives up probes that hang for {rules.longest_probe()!r} s."
    )


# ---- the filters: admission control


def _admission(throttle: Throttle, name: str, notes: Notes) -> list[str]:
    rate = Decimal(100) / Decimal(repr(throttle.ratio))
    if rate < 1:
        rate = Decimal(1)
        notes.say(f"Throttle.ratio of {throttle.ratio!r} is written as 100: Envoy takes success rates from 1 %.")
    window = notes.whole_seconds("Throttle.window", throttle.window, most=86_400)
    notes.say(
        f"Envoy's admission control has the formula of {throttle!r}, but asks it once for each request of a caller, "
        "before its retries, and does not count those it refuses: it refuses fewer, and retries are not held back."
    )
    spans = ", ".join(f"{{start: {start}, end: {end}}}" for start, end in _SEEN_AS_SUCCESS)
    key = f"{name}.admission_control"
    most = f"{{default_value: {{value: 100}}, runtime_key: {key}.max_rejection_probability}}"
    return [
        "- name: envoy.filters.http.admission_control",
        "  typed_config:",
        '    "@type": type.googleapis.com/envoy.extensions.filters.http.admission_control.v3.AdmissionControl',
        "    success_criteria:",
        f"      http_criteria: {{http_success_status: [{spans}]}}",
        f"    sampling_window: {window}s",
        f"    aggression: {{default_value: 1.0, runtime_key: {key}.aggression}}",
        f"    sr_threshold: {{default_value: {{value: {plain(round(rate, 12))}}}, runtime_key: {key}.sr_threshold}}",
        f"    max_rejection_probability: {most}",
    ]
