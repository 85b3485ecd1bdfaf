"""tenacity: a decorator. Its waits and stops add up, so that every jitter is written as it is; there is no circuit."""

from __future__ import annotations

from breakerlab.lab.export import left_out
from breakerlab.lab.export.meaning import client_timeout, retries
from breakerlab.lab.export.notes import Notes
from breakerlab.lab.export.python_errors import ASKED_FOR, FAILED
from breakerlab.policy import Backoff, Fallback, Policy, Retry

_DECORRELATED = """\
def decorrelated(state):
    \"\"\"A wait between {base!r} s and three times the one before, at most {cap!r} s.\"\"\"
    last = max(getattr(state, "last_backoff", 0.0), {base!r})
    state.last_backoff = min(random.uniform({base!r}, 3.0 * last), {cap!r})
    return state.last_backoff
"""


def write(policy: Policy, name: str, notes: Notes) -> str:
    """The decorator on a function of one's own, and the functions that it asks."""
    retry = retries(policy)
    functions, waits = [FAILED], ["wait_none()"]
    stops = [f"stop_after_attempt({1 if retry is None else retry.attempts})"]
    if retry is not None:
        waits = _waits(retry.backoff)
        if retry.backoff.jitter == "decorrelated":
            functions.append(_DECORRELATED.format(base=retry.backoff.base, cap=retry.backoff.cap))
        if retry.total_time is not None:
            stops.append(f"stop_before_delay({retry.last_start_after!r})")
        if retry.retry_after_limit is not None:
            functions.append(ASKED_FOR)
            waits.append("wait_exception(asked_for)")
            stops.append(f"(lambda state: asked_for(state.outcome.exception()) > {retry.retry_after_limit!r})")
        _retry_notes(retry, policy, notes)
    names = {"retry", "retry_if_exception"} | {
        call.partition("(")[0] for call in [*waits, *stops] if call.startswith(("wait_", "stop_"))
    }
    ends, helper = _end(policy.fallback, notes)
    functions += helper
    left_out.timeout(policy, notes)
    left_out.breaker(policy, notes)
    left_out.throttle(policy, notes)
    return "\n".join(
        [
            *(["import random", ""] if "decorrelated" in waits else []),
            f"from tenacity import {', '.join(sorted(names))}",
            "",
            "",
            "\n\n".join(functions),
            "",
            "@retry(",
            "    retry=retry_if_exception(failed),",
            f"    stop={' | '.join(stops)},",
            f"    wait={' + '.join(waits)},",
            f"    {ends},",
            ")",
            f"def {name}(client, question):",
            f"    return client.ask(question, timeout={client_timeout(policy)!r})",
            "",
        ]
    )


def _waits(backoff: Backoff) -> list[str]:
    def term(share: float) -> str:
        return f"multiplier={share * backoff.base!r}, exp_base={backoff.factor!r}, max={share * backoff.cap!r}"

    return {
        "none": [f"wait_exponential({term(1.0)})"],
        "full": [f"wait_random_exponential({term(1.0)})"],
        "additive": [f"wait_exponential({term(1.0)})", f"wait_random_exponential({term(0.5)})"],
        "equal": [f"wait_exponential({term(0.5)})", f"wait_random_exponential({term(0.5)})"],
        "sdk": [f"wait_exponential({term(0.75)})", f"wait_random_exponential({term(0.25)})"],
        "decorrelated": ["decorrelated"],
    }[backoff.jitter]


def _retry_notes(retry: Retry, policy: Policy, notes: Notes) -> None:
    if retry.total_time is not None:
        notes.say(
            f"tenacity starts no attempt after {retry.last_start_after!r} s, but does not end one that runs at the "
            f"total time of {retry.total_time!r} s: a call may last longer by the time of an attempt."
        )
        if retry.final_reserve > 0.0:
            notes.say(
                f"Where the policy cuts a backoff short, to start the final attempt within {retry.last_start_after!r} "
                f"s and with a reserve ({retry.final_reserve!r} of the total time), tenacity gives up."
            )
    if retry.retry_after_limit is not None:
        notes.say(
            "Retry-After is read in seconds only: a date, or retry-after-ms, is passed over, and the retry comes "
            "sooner."
        )
    if policy.breaker is not None and retry.wait_for_probe:
        notes.say("Without a circuit there is no probe to wait for: wait_for_probe is left out.")
    left_out.budget(policy, notes)


def _end(fallback: Fallback | None, notes: Notes) -> tuple[str, list[str]]:
    """What stands in the decorator for the end of all attempts, and the function that it needs."""
    if fallback is None:
        return "reraise=True", []
    plain = next(((name, answer) for name, answer in fallback.chain if left_out.is_plain(answer)), None)
    own = [(name, answer) for name, answer in fallback.chain if not left_out.is_plain(answer)]
    for name, answer in own:
        kind = "function" if callable(answer) else "object"
        notes.say(
            f"The fallback's answer {name!r} is the {kind} {left_out.own_name(answer)}: its place is marked, put it in."
        )
    todo = "".join(
        f"    # TODO: first {name if name.isidentifier() and name.isascii() else 'a function'}\n" for name, _ in own
    )
    if plain is None:
        return "retry_error_callback=fall_back", [f"def fall_back(state):\n{todo}    raise state.outcome.exception()\n"]
    after = [name for name, _ in fallback.chain[fallback.chain.index(plain) + 1 :]]
    if after:
        notes.say(
            f"The fallback's answers after {plain[0]!r} are left out, since that one never fails: "
            f"{', '.join(map(repr, after))}."
        )
    return "retry_error_callback=fall_back", [f"def fall_back(state):\n{todo}    return {plain[1]!r}\n"]
