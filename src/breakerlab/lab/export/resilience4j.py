"""resilience4j: the properties of a Spring Boot application.

Its breaker knows rates over a window of calls or of seconds, its retry one interval function. (Names and limits:
`CommonCircuitBreakerConfigurationProperties`, `CommonRetryConfigurationProperties`, `CircuitBreakerConfig`,
`IntervalFunction`, `CircuitBreakerMetrics` of resilience4j 2.)
"""

from __future__ import annotations

from decimal import Decimal

from breakerlab.lab.export import left_out
from breakerlab.lab.export.meaning import (
    client_timeout,
    draw,
    first_wait,
    minimum_calls,
    probes,
    reaches_cap,
    recovery_cap,
    retries,
)
from breakerlab.lab.export.notes import Notes, percent, plain
from breakerlab.policy import Breaker, Policy, Retry

NEVER_SLOW = "365d"
LEAST_PERCENT = Decimal("0.0001")
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_REFUSED = "io.github.resilience4j.circuitbreaker.CallNotPermittedException"


def write(policy: Policy, name: str, notes: Notes) -> str:
    """application.yml: one instance each of a breaker, a retry and a time limiter, all of one name."""
    instance = f'"{name}"' if name.lower() in _YAML_WORDS else name
    retry, rules = retries(policy), policy.fitted_breaker()
    used = [word for word, part in (("Retry", retry), ("CircuitBreaker", rules), ("TimeLimiter", policy)) if part]
    lines = [
        "# application.yml, for resilience4j 2 with Spring Boot. On the method:",
        f"#   {' '.join(f'@{word}(name = {chr(34)}{name}{chr(34)})' for word in used)}",
        "# Without further settings Retry is outermost, then CircuitBreaker, then TimeLimiter, as in the policy.",
        "resilience4j:",
    ]
    if rules is not None:
        lines += _section("circuitbreaker", instance, _breaker(rules, notes))
    if retry is not None:
        lines += _section("retry", instance, _retry(retry, policy, notes))
    lines += _section("timelimiter", instance, _time_limiter(policy, notes))
    _judgement(policy, notes)
    left_out.throttle(policy, notes)
    left_out.fallback(
        policy,
        notes,
        "it is named in code, by fallbackMethod of the outermost annotation; without one the caller gets the error",
    )
    return "\n".join(lines) + "\n"


def _section(part: str, instance: str, settings: list[str]) -> list[str]:
    return [f"  {part}:", "    instances:", f"      {instance}:", *(f"        {setting}" for setting in settings)]


def _duration(milliseconds: int) -> str:
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


# ---- the breaker


def _breaker(rules: Breaker, notes: Notes) -> list[str]:
    lines = [*_window(rules, notes), *_opening(rules, notes), *_recovery(rules, notes), *_half_open(rules, notes)]
    left_out.time_for_the_server(rules, notes)
    left_out.guards(rules, notes)
    return lines


def _window(rules: Breaker, notes: Notes) -> list[str]:
    if rules.failure_rate is None and rules.slow_call_rate is None:
        calls = notes.count("failure_threshold", rules.failure_threshold or 0, least=1)
        notes.say(
            f"resilience4j opens on a rate over a window, not on {calls} failures in a row; a window of {calls} at "
            f"100 % is written, which opens at the same call, since one success among the last {calls} keeps the rate "
            "below 100 %."
        )
        return ["slidingWindowType: COUNT_BASED", f"slidingWindowSize: {calls}", f"minimumNumberOfCalls: {calls}"]
    if rules.failure_threshold is not None:
        notes.say(
            f"resilience4j has one window for each breaker, here that of the rates: {rules.failure_threshold} "
            "failures in a row do not open it by themselves, so a sudden outage is noticed only when it fills the "
            "rate."
        )
    least = notes.count("minimum_calls", minimum_calls(rules), least=1)
    if rules.window_seconds is None:
        return [
            "slidingWindowType: COUNT_BASED",
            f"slidingWindowSize: {rules.window}",
            f"minimumNumberOfCalls: {least}",
        ]
    seconds = notes.whole_seconds("window_seconds", rules.window_seconds, most=86_400)
    return ["slidingWindowType: TIME_BASED", f"slidingWindowSize: {seconds}", f"minimumNumberOfCalls: {least}"]


def _opening(rules: Breaker, notes: Notes) -> list[str]:
    failures, slow, duration = Decimal(100), Decimal(100), NEVER_SLOW
    if rules.failure_rate is not None:
        failures = _rate("failure_rate", rules.failure_rate, notes)
    elif rules.slow_call_rate is not None:
        notes.say(
            "resilience4j cannot switch its failure rate off: at 100 %, as written, the circuit opens also when every "
            "call in the window has failed, however fast."
        )
    if rules.slow_call_rate is not None:
        slow = _rate("slow_call_rate", rules.slow_call_rate, notes)
        duration = _duration(notes.milliseconds("slow_call_duration", rules.slow_call_duration, most=10**14))
    return [
        f"failureRateThreshold: {plain(failures)}",
        f"slowCallRateThreshold: {plain(slow)}",
        f"slowCallDurationThreshold: {duration}",
    ]


def _rate(what: str, share: float, notes: Notes) -> Decimal:
    exact = percent(share)
    if exact < LEAST_PERCENT:
        notes.say(
            f"{what} of {share!r} is written as {LEAST_PERCENT} %: resilience4j holds it as a 32-bit float above 0."
        )
    return max(exact, LEAST_PERCENT)


def _recovery(rules: Breaker, notes: Notes) -> list[str]:
    wait, jitter = rules.recovery_timeout, rules.recovery_jitter
    if rules.recovery_growth > 1.0:
        if jitter > 0.0:
            notes.say(
                "resilience4j cannot both lengthen the time in the open state and randomise it: the jitter of "
                f"{jitter!r} is left out, so clients that opened together probe together."
            )
        cap = notes.milliseconds("recovery_cap", recovery_cap(rules), most=10**14)
        return [
            f"waitDurationInOpenState: {_duration(notes.milliseconds('recovery_timeout', wait, most=10**14))}",
            "enableExponentialBackoff: true",
            f"exponentialBackoffMultiplier: {plain(min(rules.recovery_growth, 1e12))}",
            f"exponentialMaxWaitDurationInOpenState: {_duration(cap)}",
            *_growth_limit("recovery_growth", rules.recovery_growth, notes),
        ]
    if jitter > 0.0:  # wait * (1 + U(0, j)) is a middle of wait * (1 + j / 2), more or less by j / (2 + j)
        middle = notes.milliseconds(
            "the middle of the jittered recovery_timeout", wait * (1.0 + jitter / 2.0), most=10**14
        )
        return [
            f"waitDurationInOpenState: {_duration(middle)}",
            "enableRandomizedWait: true",
            f"randomizedWaitFactor: {plain(jitter / (2.0 + jitter))}",
        ]
    return [f"waitDurationInOpenState: {_duration(notes.milliseconds('recovery_timeout', wait, most=10**14))}"]


def _growth_limit(what: str, growth: float, notes: Notes) -> list[str]:
    if growth > 1e12:
        notes.say(f"{what} of {growth!r} is written as 1e12, which passes any cap at the same step.")
    return []


def _half_open(rules: Breaker, notes: Notes) -> list[str]:
    wanted, at_once = probes(rules), rules.half_open_max_calls
    permitted = notes.count("the number of probes", wanted, least=1)
    timeout = notes.milliseconds("half_open_timeout", rules.longest_probe(), most=10**14)
    if wanted > 1:
        window = minimum_calls(rules) if rules.failure_rate or rules.slow_call_rate else rules.failure_threshold or 0
        decided = min(wanted, window)
        share = 1.0 if rules.failure_rate is None else rules.failure_rate
        notes.say(
            f"resilience4j decides the half-open state after {decided} of {wanted} probes by the same rates as when "
            f"closed: it opens again if {share * 100:g} % of them fail and else closes, where the policy opens at the "
            f"first failure and closes after {wanted} successes."
        )
    if at_once < wanted:
        notes.say(
            f"resilience4j lets all {wanted} probes go at the same time; the policy has at most {at_once} in flight."
        )
    if at_once > wanted:
        notes.say(
            f"resilience4j lets {wanted} probes go and no more; the policy has up to {at_once} in flight until "
            f"{wanted} of them succeed."
        )
    notes.say(
        "resilience4j counts half_open_timeout from the start of the half-open state and then opens again for the "
        f"whole time; the policy gives up probes that hang for {rules.longest_probe()!r} s and sends others at once."
    )
    return [
        f"permittedNumberOfCallsInHalfOpenState: {permitted}",
        f"maxWaitDurationInHalfOpenState: {_duration(timeout)}",
    ]


# ---- the retry


def _retry(retry: Retry, policy: Policy, notes: Notes) -> list[str]:
    lines = [f"maxAttempts: {notes.count('attempts', retry.attempts, least=1)}", *_waits(retry, notes)]
    if retry.total_time is not None:
        notes.say(
            f"resilience4j has no limit on the total time of {retry.total_time!r} s: a call may take {retry.attempts} "
            "times the time of an attempt, and all waits between."
        )
    left_out.reserve(retry, notes)
    if retry.retry_after_limit is not None:
        notes.say(
            "resilience4j's properties do not read Retry-After: a retry comes after the backoff alone, also where "
            "the server asked for more; the policy adds what is asked, and gives up above "
            f"{retry.retry_after_limit!r} s. (A class for intervalBiFunction can do the first.)"
        )
    left_out.budget(policy, notes)
    if policy.breaker is None:
        return lines
    if retry.wait_for_probe:
        notes.say(
            "resilience4j does not wait for the next probe: a refused attempt is retried after its backoff, so the "
            "attempts may all be used up while the circuit is open."
        )
        return lines
    notes.say(
        "In resilience4j a failure that opens the circuit is followed by one more backoff, after which the call is "
        "refused; the policy ends it at once, with the failure itself."
    )
    return [*lines, "ignoreExceptions:", f"  - {_REFUSED}"]


def _waits(retry: Retry, notes: Notes) -> list[str]:
    backoff = retry.backoff
    low, high = first_wait(backoff)
    middle = (low + high) / 2.0
    factor, cap = backoff.factor, backoff.cap
    if backoff.jitter == "decorrelated":
        factor = 1.5
        notes.say(
            f"resilience4j has no decorrelated jitter, {draw(backoff)}, at most {cap!r} s: the first wait is drawn "
            "alike, later ones from a range that grows by half each time, whatever was drawn before."
        )
    elif backoff.jitter == "additive":
        cap = 1.5 * cap
    if reaches_cap(retry) and backoff.jitter not in ("none", "decorrelated"):
        notes.say(
            f"resilience4j caps the wait after the draw, the policy the term before it ({draw(backoff)}, term at most "
            f"{backoff.cap!r} s): once the term has passed the cap, more and more waits are exactly {cap!r} s, and the "
            "clients march in step again."
        )
    lines = [
        f"waitDuration: {_duration(notes.milliseconds('the middle of the first wait', middle, most=10**14))}",
        "enableExponentialBackoff: true",
        f"exponentialBackoffMultiplier: {plain(min(factor, 1e12))}",
        f"exponentialMaxWaitDuration: {_duration(notes.milliseconds('the longest wait', cap, most=10**14))}",
        *_growth_limit("factor", factor, notes),
    ]
    if high == low:
        return lines
    return [*lines, "enableRandomizedWait: true", f"randomizedWaitFactor: {plain((high - low) / (high + low))}"]


# ---- what counts as a failure, and the time of an attempt


def _judgement(policy: Policy, notes: Notes) -> None:
    if policy.breaker is None and retries(policy) is None:
        return
    notes.say(
        "resilience4j judges by exceptions, and takes each for a failure: to leave out wrong requests (4xx other "
        "than 408, 425 and 429), as the policy does, name their classes under ignoreExceptions; a response with a "
        "status of 500 that is returned, not raised, is a success to it."
    )


def _time_limiter(policy: Policy, notes: Notes) -> list[str]:
    notes.say(
        "resilience4j's time limiter works on methods that return a CompletionStage or a reactive type; a blocking "
        f"method is not cut after {policy.timeout!r} s, so give its client that timeout."
    )
    return [
        f"timeoutDuration: {_duration(notes.milliseconds('timeout', client_timeout(policy), most=10**14))}",
        "cancelRunningFuture: true",
    ]
