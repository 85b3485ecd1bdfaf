"""stamina: a decorator with one kind of wait, an exponential term plus the same jitter each time."""

from __future__ import annotations

from breakerlab.lab.export import left_out
from breakerlab.lab.export.meaning import client_timeout, draw, first_wait, reaches_cap, retries
from breakerlab.lab.export.notes import Notes
from breakerlab.lab.export.python_errors import ASKED_FOR, FAILED
from breakerlab.policy import Backoff, Policy, Retry

_AGAIN = '''\
def again(error):
    """Whether to try again; a number is the wait in seconds, instead of the backoff."""
    asked = asked_for(error)
    if not failed(error) or asked > {limit!r}:
        return False
    return asked + random.uniform(0.0, {spread!r}) if asked > 0.0 else True
'''


def write(policy: Policy, name: str, notes: Notes) -> str:
    """The decorator on a function of one's own, and the functions that it asks."""
    retry = retries(policy)
    functions, imports, on, settings = [FAILED], ["import stamina"], "failed", ["attempts=1", "timeout=None"]
    if retry is not None:
        settings = _settings(retry, policy, notes)
        if retry.retry_after_limit is not None:
            on, imports = "again", ["import random", "", "import stamina"]
            spread = retry.backoff.base
            functions += [ASKED_FOR, _AGAIN.format(limit=retry.retry_after_limit, spread=spread)]
            notes.say(
                f"stamina waits what Retry-After asks plus U(0, {spread!r} s), where the policy adds its whole "
                "backoff; the header is read in seconds only, neither as a date nor as retry-after-ms."
            )
    left_out.timeout(policy, notes)
    left_out.breaker(policy, notes)
    left_out.throttle(policy, notes)
    left_out.fallback(policy, notes, "the last error reaches the caller")
    return "\n".join(
        [
            *imports,
            "",
            "",
            "\n\n".join(functions),
            "",
            "@stamina.retry(",
            f"    on={on},",
            *(f"    {setting}," for setting in settings),
            ")",
            f"def {name}(client, question):",
            f"    return client.ask(question, timeout={client_timeout(policy)!r})",
            "",
        ]
    )


def _settings(retry: Retry, policy: Policy, notes: Notes) -> list[str]:
    if retry.total_time is not None:
        notes.say(
            f"stamina decides after each attempt whether {retry.last_start_after!r} s are over, and does not look at "
            f"the wait to come: a call may last longer than its total time of {retry.total_time!r} s, by a wait and "
            "the time of an attempt."
        )
        if retry.final_reserve > 0.0:
            notes.say(
                f"stamina cuts no backoff short and keeps no reserve ({retry.final_reserve!r} of the total time) for "
                "the final attempt."
            )
    if policy.breaker is not None and retry.wait_for_probe:
        notes.say("Without a circuit there is no probe to wait for: wait_for_probe is left out.")
    left_out.budget(policy, notes)
    limit = None if retry.total_time is None else retry.last_start_after
    return [f"attempts={retry.attempts}", f"timeout={limit!r}", *_waits(retry, notes)]


def _waits(retry: Retry, notes: Notes) -> list[str]:
    backoff = retry.backoff
    initial, jitter = _start(backoff)
    factor = 1.5 if backoff.jitter == "decorrelated" else backoff.factor
    if backoff.jitter != "none":
        first = "from half of the policy's longest on" if backoff.jitter == "full" else "as in the policy"
        notes.say(
            f"stamina adds the same U(0, {jitter!r} s) to every wait: the first is drawn {first}, but while the "
            f"policy's jitter ({draw(backoff)}) grows with the waits, here the later the retry, the closer together "
            "clients come back."
        )
        if reaches_cap(retry):
            notes.say(
                f"stamina caps the wait after adding the jitter: once the term has reached {backoff.cap!r} s every "
                "wait is exactly that, and the clients march in step."
            )
    return [
        f"wait_initial={initial!r}",
        f"wait_max={backoff.cap!r}",
        f"wait_jitter={jitter!r}",
        f"wait_exp_base={factor!r}",
    ]


def _start(backoff: Backoff) -> tuple[float, float]:
    """wait_initial and wait_jitter: the first wait as it is; one that begins at 0 would never grow, so half of it."""
    low, high = first_wait(backoff)
    if low == 0.0:
        low = high / 2.0
    return low, high - low
