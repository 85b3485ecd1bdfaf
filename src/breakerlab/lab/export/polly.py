"""Polly 8: a resilience pipeline in C#, its strategies from the outermost to the innermost.

Waits are computed by a DelayGenerator, so that every jitter is written as it is; the breaker knows a failure ratio over
a sliding time only. (Names, defaults and ranges: `RetryStrategyOptions`, `CircuitBreakerStrategyOptions`,
`TimeoutStrategyOptions` and `CircuitStateController` of Polly.Core 8.)
"""

from __future__ import annotations

import json
import re
from typing import Any

from breakerlab.lab.export import left_out
from breakerlab.lab.export.meaning import client_timeout, minimum_calls, probes, recovery_cap, retries
from breakerlab.lab.export.notes import Notes
from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry

DAY = 86_400.0
SAMPLING = 30.0  # seconds, Polly's own default, where the policy's window is one of calls
_HEAD = """\
// Polly.Core 8.5 or later, .NET 8 or later. The call, with a request made anew for each attempt:
// await pipeline.ExecuteAsync(async token => await client.SendAsync(NewRequest(), token), cancellationToken)
using System.Net;
using System.Net.Http;
using System.Text;
using Polly;
using Polly.CircuitBreaker;
using Polly.Fallback;
using Polly.Retry;
"""
_FAILED = """\
static bool Failed(Outcome<HttpResponseMessage> outcome) =>
    outcome.Exception is { } error
        ? error is not (OperationCanceledException or BrokenCircuitException)
        : (int?)outcome.Result?.StatusCode is >= 500 or 408 or 425 or 429;
"""
_ASKED_FOR = """\
static TimeSpan AskedFor(Outcome<HttpResponseMessage> outcome)
{
    var header = outcome.Result?.Headers.RetryAfter;
    var asked = header?.Delta ?? (header?.Date - DateTimeOffset.UtcNow) ?? TimeSpan.Zero;
    return asked > TimeSpan.Zero ? asked : TimeSpan.Zero;
}
"""


def write(policy: Policy, name: str, notes: Notes) -> str:
    """The pipeline, and the functions that its strategies ask."""
    retry, rules = retries(policy), policy.fitted_breaker()
    functions, strategies = [_FAILED], list[str]()
    if retry is not None and retry.retry_after_limit is not None:
        functions.append(_ASKED_FOR)
    if policy.fallback is not None:
        strategies.append(_fallback(policy.fallback, notes))
    if retry is not None:
        if retry.total_time is not None:
            total = notes.seconds("total_time", retry.total_time, 0.01, DAY)
            strategies.append(f"    .AddTimeout(TimeSpan.FromSeconds({_real(total)})) // the whole call")
        strategies.append(_retry(retry, policy, name, notes))
    if rules is not None:
        strategies += _breaker(rules, policy, notes)
    left_out.throttle(policy, notes)
    limit = notes.seconds("timeout", client_timeout(policy), 0.01, DAY)
    strategies.append(f"    .AddTimeout(TimeSpan.FromSeconds({_real(limit)})) // each attempt")
    notes.say(
        "Polly's timeout cancels a token: an attempt that does not heed its token is waited for, however long it takes."
    )
    pipeline = [
        "ResiliencePipeline<HttpResponseMessage> pipeline =",
        f'    new ResiliencePipelineBuilder<HttpResponseMessage> {{ Name = "{name}" }}',
        *strategies,
        "    .Build();",
    ]
    return "\n".join([_HEAD, *(["\n".join(functions)] if len(strategies) > 1 else []), *pipeline]) + "\n"


def _real(number: float) -> str:
    """A C# literal of type double."""
    return repr(float(number)).replace("e", "E")


def _text(text: str) -> str:
    """A C# string literal; whatever is not plain ASCII is escaped."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    return '"' + "".join(chr(c) if re.fullmatch(r"[ !#-\[\]-~]", chr(c)) else f"\\u{c:04x}" for c in codes) + '"'


# ---- fallback


def _fallback(fallback: Fallback, notes: Notes) -> str:
    for name, answer in fallback.chain:
        if not left_out.is_plain(answer):
            notes.say(
                f"The fallback's answer {name!r} is {_kind(answer)} {left_out.own_name(answer)} of Python's: write it "
                "anew; its place in the chain is marked."
            )
    plain = next(((name, answer) for name, answer in fallback.chain if left_out.is_plain(answer)), None)
    before = [name for name, answer in fallback.chain if not left_out.is_plain(answer)]
    todo = "".join(f"            // TODO: first {_comment(name)}\n" for name in before)
    if plain is None:
        body = "            throw new NotImplementedException();\n"
    else:
        text, kind = _content(plain[1])
        if kind == "application/json":
            notes.say(f"The fallback's answer {plain[0]!r} is no text: Polly's response holds it as JSON.")
        body = (
            "            return Outcome.FromResultAsValueTask(new HttpResponseMessage(HttpStatusCode.OK)\n"
            "            {\n"
            f'                Content = new StringContent({_text(text)}, Encoding.UTF8, "{kind}"),\n'
            "            });\n"
        )
        after = [name for name, _ in fallback.chain[fallback.chain.index(plain) + 1 :]]
        if after:
            notes.say(
                f"The fallback's answers after {plain[0]!r} are left out, since that one never fails: "
                f"{', '.join(map(repr, after))}."
            )
    return (
        "    .AddFallback(new FallbackStrategyOptions<HttpResponseMessage>\n    {\n"
        "        ShouldHandle = static args =>\n"
        "            ValueTask.FromResult(Failed(args.Outcome) || args.Outcome.Exception is BrokenCircuitException),\n"
        f"        FallbackAction = static args =>\n        {{\n{todo}{body}        }},\n    }})"
    )


def _kind(answer: Any) -> str:
    return "the function" if callable(answer) else "the object"


def _comment(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else "a function"


def _content(answer: Any) -> tuple[str, str]:
    if isinstance(answer, str):
        return answer, "text/plain"
    try:
        return json.dumps(answer), "application/json"
    except TypeError:  # a dict with a tuple for a key
        return repr(answer), "text/plain"


# ---- retry


def _retry(retry: Retry, policy: Policy, name: str, notes: Notes) -> str:
    count = notes.count("the number of retries", retry.attempts - 1, least=1)
    failed, limit = "Failed(args.Outcome)", retry.retry_after_limit
    if policy.breaker is not None and retry.wait_for_probe:
        failed = "(Failed(args.Outcome) || args.Outcome.Exception is BrokenCircuitException)"
        notes.say(
            "Polly's retry hears of an open circuit only when it is refused: the failure that opened it is retried "
            "after the backoff alone, and that refusal uses up an attempt, before the wait for the next probe."
        )
    elif policy.breaker is not None:
        notes.say(
            "In Polly a failure that opens the circuit is followed by one more backoff, after which the call is "
            "refused; the policy ends it at once, with the failure itself."
        )
    if limit is not None:
        allowed = notes.seconds("retry_after_limit", limit, 0.0, DAY)
        failed += f" && AskedFor(args.Outcome) <= TimeSpan.FromSeconds({_real(allowed)})"
        notes.say("Retry-After is read in seconds or as a date; retry-after-ms, which the policy reads too, is not.")
    left_out.reserve(retry, notes)
    if retry.total_time is not None:
        notes.say(
            "Polly draws its wait whatever time is left: where the policy cuts the backoff short to start an attempt "
            f"within {retry.last_start_after!r} s, here the total time of {retry.total_time!r} s may end during the "
            "wait."
        )
    left_out.budget(policy, notes)
    lines = [
        "    .AddRetry(new RetryStrategyOptions<HttpResponseMessage>",
        "    {",
        f"        MaxRetryAttempts = {count},",
        f"        ShouldHandle = static args => ValueTask.FromResult({failed}),",
        "        DelayGenerator = static args =>",
        "        {",
        *(f"            {line}" for line in _wait(retry.backoff, name, notes)),
        f"            return ValueTask.FromResult<TimeSpan?>({_delay(retry, policy)});",
        "        },",
        "    })",
    ]
    return "\n".join(lines)


def _delay(retry: Retry, policy: Policy) -> str:
    asked = [] if retry.retry_after_limit is None else ["AskedFor(args.Outcome)"]
    if policy.breaker is not None and retry.wait_for_probe:
        asked.append("((args.Outcome.Exception as BrokenCircuitException)?.RetryAfter ?? TimeSpan.Zero)")
    return " + ".join([*asked, "TimeSpan.FromSeconds(wait)"])


def _wait(backoff: Backoff, name: str, notes: Notes) -> list[str]:
    cap = _real(notes.seconds("cap", backoff.cap, 0.0, DAY))
    base = _real(min(backoff.base, DAY))
    uniform = "Random.Shared.NextDouble()"
    if backoff.jitter == "decorrelated":
        return [
            f'var previous = new ResiliencePropertyKey<double>("{name}.previous_wait");',
            f"double last = Math.Max(args.Context.Properties.GetValue(previous, 0.0), {base});",
            f"double wait = Math.Min({base} + (3.0 * last - {base}) * {uniform}, {cap});",
            "args.Context.Properties.Set(previous, wait);",
        ]
    drawn = {
        "none": "term",
        "full": f"term * {uniform}",
        "additive": f"term + 0.5 * term * {uniform}",
        "equal": f"0.5 * term + 0.5 * term * {uniform}",
        "sdk": f"term * (1.0 - 0.25 * {uniform})",
    }[backoff.jitter]
    term = f"Math.Min({_real(backoff.base)} * Math.Pow({_real(backoff.factor)}, args.AttemptNumber), {cap})"
    return [f"double term = {term};", f"double wait = {drawn};"]


# ---- circuit breaker


def _breaker(rules: Breaker, policy: Policy, notes: Notes) -> list[str]:
    if rules.failure_threshold is None and rules.failure_rate is None:
        notes.say(
            "Polly's circuit breaker does not time calls: one that opens on slow calls alone cannot be written, so "
            f"{policy.breaker!r} is left out and slow calls are made until the timeout cuts them."
        )
        return []
    ratio, least, seconds = _rule(rules, notes)
    lines = [
        "    .AddCircuitBreaker(new CircuitBreakerStrategyOptions<HttpResponseMessage>",
        "    {",
        f"        FailureRatio = {_real(ratio)},",
        f"        MinimumThroughput = {notes.count('the least number of calls', least, least=2)},",
        f"        SamplingDuration = TimeSpan.FromSeconds({_real(seconds)}),",
        *_break(rules, notes),
        "        ShouldHandle = static args => ValueTask.FromResult(Failed(args.Outcome)),",
        "    })",
    ]
    if rules.slow_call_rate is not None:
        notes.say(
            f"Polly's circuit breaker does not time calls: slow_call_rate {rules.slow_call_rate!r} of calls from "
            f"{rules.slow_call_duration!r} s on is left out, so slowness opens it only where the timeout turns it "
            "into failures."
        )
    _half_open(rules, notes)
    left_out.time_for_the_server(rules, notes)
    left_out.guards(rules, notes)
    left_out.wrong_requests_as_successes(notes)
    return ["\n".join(lines)]


def _rule(rules: Breaker, notes: Notes) -> tuple[float, int, float]:
    """FailureRatio, MinimumThroughput, SamplingDuration."""
    if rules.failure_rate is None:
        calls = rules.failure_threshold or 0
        notes.say(
            f"Polly opens on a share of failures among the calls of a time, not on {calls} in a row: written is 100 % "
            f"of at least {calls} calls in {SAMPLING:g} s. A success keeps it closed for up to {SAMPLING:g} s instead "
            f"of only starting the count anew, and {calls} failures that take longer to come do not open it."
        )
        _slow_window(rules, notes)
        return 1.0, calls, SAMPLING
    if rules.failure_threshold is not None:
        notes.say(
            f"Polly's circuit breaker has one rule, here the rate: {rules.failure_threshold} failures in a row do not "
            "open it by themselves."
        )
    least = minimum_calls(rules)
    if rules.window_seconds is not None:
        return rules.failure_rate, least, notes.seconds("window_seconds", rules.window_seconds, 0.5, DAY)
    notes.say(
        f"Polly's window is a time, not the last {rules.window} calls: the calls of {SAMPLING:g} s are looked at, so "
        f"it forgets sooner where fewer than {rules.window} come in that time, and opens only if {least} come."
    )
    return rules.failure_rate, least, SAMPLING


def _slow_window(rules: Breaker, notes: Notes) -> None:
    """The window that only the slow-call rule looks at, which is left out with it."""
    if rules.slow_call_rate is not None:
        size = f"{rules.window} calls" if rules.window_seconds is None else f"{rules.window_seconds!r} s"
        notes.say(
            f"The window of {size} and at least {minimum_calls(rules)} calls, of slow calls only, is left out with "
            "their rule."
        )


def _break(rules: Breaker, notes: Notes) -> list[str]:
    wait = notes.seconds("recovery_timeout", rules.recovery_timeout, 0.0, DAY)
    if rules.recovery_growth == 1.0 and rules.recovery_jitter == 0.0 and wait >= 0.5:
        return [f"        BreakDuration = TimeSpan.FromSeconds({_real(wait)}),"]
    drawn = _real(wait)
    if rules.recovery_growth > 1.0:
        cap = notes.seconds("recovery_cap", recovery_cap(rules), 0.0, DAY)
        drawn = f"Math.Min({drawn} * Math.Pow({_real(rules.recovery_growth)}, args.HalfOpenAttempts), {_real(cap)})"
    if rules.recovery_jitter > 0.0:
        drawn += f" * (1.0 + {_real(rules.recovery_jitter)} * Random.Shared.NextDouble())"
    return [f"        BreakDurationGenerator = static args => ValueTask.FromResult(TimeSpan.FromSeconds({drawn})),"]


def _half_open(rules: Breaker, notes: Notes) -> None:
    if rules.half_open_max_calls > 1 or probes(rules) > 1:
        notes.say(
            "Polly sends one probe at a time and its success closes the circuit; the policy has up to "
            f"{rules.half_open_max_calls} in flight and asks for {probes(rules)} successes, so here one lucky call is "
            "enough."
        )
    notes.say(
        "Polly waits for its probe to end, which the timeout sees to; the policy gives one up after "
        f"{rules.longest_probe()!r} s (half_open_timeout)."
    )
