"""JSON: the policy as data, and back. What comes back was perhaps written by a stranger, and is only ever read."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from breakerlab.lab.export.left_out import is_plain, own_name
from breakerlab.lab.export.notes import Notes
from breakerlab.policy import Policy

LARGEST = 100_000  # characters; a policy has a few hundred
_LONGEST_ERROR = 300


def write(policy: Policy, name: str, notes: Notes) -> str:
    """`Policy.to_dict` as JSON. The name is no part of a policy, and has no place in it."""
    data = policy.to_dict()
    if policy.fallback is not None:
        data["fallback"] = {key: _answer(key, answer, notes) for key, answer in policy.fallback.chain}
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def policy_from_json(text: str) -> Policy:
    """The policy that such JSON describes. Raises ValueError, in one sentence that names what is wrong."""
    if not isinstance(text, str):
        raise ValueError(f"a policy's JSON must be text, not {type(text).__name__}")
    if len(text) > LARGEST:
        raise ValueError(f"a policy's JSON must have at most {LARGEST:,} characters, not {len(text):,}")
    try:
        data = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("not a policy: the JSON is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"a policy must be a JSON object, {{...}}, not {type(data).__name__}")
    try:
        return Policy.from_dict(data)
    except ValueError as error:
        raise ValueError(_short(str(error))) from None


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(_short(f"the key {key!r} stands twice in one JSON object"))
        data[key] = value
    return data


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= _LONGEST_ERROR else f"{message[: _LONGEST_ERROR - 3]}..."


def _answer(key: str, answer: Any, notes: Notes) -> Any:
    """An answer of the fallback, such that `Fallback.from_dict` gives it back or refuses it."""
    if is_plain(answer):
        try:
            back = json.loads(json.dumps(answer))
        except TypeError:  # a dict with a tuple for a key
            back = None
        if repr(back) == repr(answer):
            return {"value": answer} if isinstance(answer, dict) or answer is None else answer
        if back is not None:
            notes.say(f"The fallback's answer {key!r} holds what JSON has not; it comes back as {_short(repr(back))}.")
            return {"value": back} if isinstance(back, dict) else back
    kind = "function" if callable(answer) else "object"
    notes.say(
        f"The fallback's answer {key!r} is {'a function' if callable(answer) else 'an object'}, which JSON cannot "
        "hold: only its name is written, and the policy cannot be read back until another answer stands there."
    )
    return {kind: own_name(answer)}
