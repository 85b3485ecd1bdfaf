"""Parts of a policy for which several targets have nothing, in a sentence each: what is left out, and what follows."""

from __future__ import annotations

from typing import Any

from breakerlab.lab.export.meaning import client_timeout, recovery_cap, retries
from breakerlab.lab.export.notes import Notes
from breakerlab.policy import Breaker, Fallback, Policy, Retry

LONGEST_ANSWER = 60  # characters of an answer shown in a sentence


def breaker(policy: Policy, notes: Notes) -> None:
    """A target without circuit breakers."""
    if policy.breaker is not None:
        notes.say(
            f"{notes.target} has no circuit breaker: {policy.breaker!r} is left out, so every attempt is made, however "
            "many have failed."
        )


def timeout(policy: Policy, notes: Notes) -> None:
    """A target that only starts attempts."""
    total = None if retries(policy) is None or policy.retry is None else policy.retry.total_time
    unless = "" if total is None else f", which the total time of {total!r} s does not shorten"
    notes.say(
        f"{notes.target} cannot cut an attempt: its client must keep to {client_timeout(policy)!r} s, as "
        f"written{unless}."
    )


def budget(policy: Policy, notes: Notes) -> None:
    """A target without retry budgets."""
    retry = retries(policy)
    if retry is not None and retry.budget is not None:
        notes.say(
            f"{notes.target} has no retry budget: {retry.budget!r} is left out, so while every call fails its attempts "
            f"load the service {retry.attempts} times."
        )


def throttle(policy: Policy, notes: Notes) -> None:
    """A target without adaptive throttling."""
    if policy.throttle is not None:
        notes.say(
            f"{notes.target} has no adaptive throttle: {policy.throttle!r} is left out, so no request is held back, "
            "however few the service accepts."
        )


def fallback(policy: Policy, notes: Notes, instead: str) -> None:
    """A target whose configuration names no fallback; `instead` says what the caller gets."""
    if policy.fallback is not None:
        notes.say(f"{notes.target} takes no fallback here: {shown(policy.fallback)} is left out, and {instead}.")


def guards(rules: Breaker, notes: Notes) -> None:
    """A target whose breaker knows no first attempts."""
    if rules.guards == "retries":
        notes.say(
            f"{notes.target} cannot guard retries only: an open circuit refuses first attempts too, which the policy "
            "lets through."
        )


def time_for_the_server(rules: Breaker, notes: Notes) -> None:
    """A target whose breaker does not hear Retry-After."""
    cap = recovery_cap(rules)
    notes.say(
        f"{notes.target} opens its circuit for the same time whatever the server asks for: the policy puts off the "
        f"first probe by what the last Retry-After says, up to {cap!r} s."
    )


def wrong_requests_as_successes(notes: Notes) -> None:
    """A target that has no third outcome between success and failure."""
    notes.say(
        f"{notes.target} counts wrong requests (4xx other than 408, 425 and 429) as successes of the circuit: the "
        "policy does not count them, so here one thins out the failures, and one as a probe closes the circuit."
    )


def reserve(retry: Retry, notes: Notes) -> None:
    """A target that keeps no time for the final attempt."""
    if retry.total_time is not None and retry.final_reserve > 0.0:
        notes.say(
            f"{notes.target} keeps no time for the final attempt: the policy starts it within "
            f"{retry.last_start_after!r} s and cuts earlier ones after {retry.cut_after!r} s (final_reserve "
            f"{retry.final_reserve!r}), here it gets what is left."
        )


def shown(fallback: Fallback) -> str:
    """A fallback in a sentence: its answers by name, long ones cut, of what is no plain value only the kind."""
    return f"Fallback({', '.join(f'{name}={_answer(answer)}' for name, answer in fallback.chain)})"


def _answer(answer: Any) -> str:
    if is_plain(answer):
        text = repr(answer)
        return text if len(text) <= LONGEST_ANSWER else f"{text[: LONGEST_ANSWER - 3]}..."
    return f"<{'function' if callable(answer) else 'object'} {own_name(answer)}>"


def is_plain(answer: Any, depth: int = 0) -> bool:
    """Whether `answer` is made of nothing but text, numbers, True, False, None, lists, tuples and dicts."""
    if answer is None or type(answer) in (bool, int, str):
        return True
    if type(answer) is float:
        return answer - answer == 0.0  # neither infinite nor NaN, which no code and no JSON writes
    if depth > 20:
        return False
    if type(answer) in (list, tuple):
        return all(is_plain(part, depth + 1) for part in answer)
    return type(answer) is dict and all(is_plain(part, depth + 1) for pair in answer.items() for part in pair)


def own_name(answer: Any) -> str:
    """The name of a function, or of an object's class, if it is an identifier; else "unnamed"."""
    name = getattr(answer, "__name__", None) if callable(answer) else type(answer).__name__
    return name if isinstance(name, str) and name.isidentifier() and name.isascii() else "unnamed"
