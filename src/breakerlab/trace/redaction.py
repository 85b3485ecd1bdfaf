"""What may leave a reader: routes instead of addresses, and no secret that can be told by its look.

A log is somebody's production log. Query strings, fragments and user parts of addresses are always cut off; what looks
like a key, a token or an e-mail address is replaced by a word in braces; a refused value is described, not shown.
"""

from __future__ import annotations

import re
from typing import Final

from breakerlab.trace.schema import MAX_TEXT, cleaned, is_harmless, text_length

_EMAIL: Final = re.compile(r"[^\s/@:,;<>\"']{1,64}(?:@|%40)[^\s/@:,;<>\"']{1,190}", re.IGNORECASE)
_BEARER: Final = re.compile(r"bearer(?:[\s:=+]|%20)+[^\s,;\"'/]+", re.IGNORECASE)
_BASIC: Final = re.compile(r"\b(?:basic|token)(?:[\s:=+]|%20)+(?=[^\s,;\"'/]*[0-9=])[^\s,;\"'/]{6,}", re.IGNORECASE)
_ASSIGNED: Final = re.compile(
    r"((?:x-)?(?:api[-_]?key|access[-_]?token|auth(?:orization)?|cookie|password|passwd|secret|session(?:id)?|token|key))"
    r"(?:=|:\s?|%3d|%3a)[^\s,;&\"'/]+",
    re.IGNORECASE,
)
_KEY: Final = re.compile(r"\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abprs]|AKIA|ASIA|AIza|hf|key)[-_]?[A-Za-z0-9_\-]{12,}")
_JWT: Final = re.compile(r"\beyJ[A-Za-z0-9_\-]{6,}(?:\.[A-Za-z0-9_\-]*)*")

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+")
_HEX: Final = re.compile(r"(?=.*\d)[0-9a-f]{12,}", re.IGNORECASE)
_RANDOM: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_\-=+]{20,}")


def redacted(text: str) -> str:
    """The text as a trace may keep it: see the module's first lines; at most 1,000 printable characters."""
    text = cleaned(text)
    text = _BASIC.sub("{token}", _BEARER.sub("{token}", text))
    text = _ASSIGNED.sub(r"\1={secret}", text)
    text = _JWT.sub("{token}", text)
    text = _KEY.sub("{key}", text)
    return _EMAIL.sub("{email}", text)[:MAX_TEXT]  # a placeholder may be longer than what it stands for


def route(target: str) -> str:
    """The route of a request target: its path, where numbers, UUIDs, long hex and random parts are `{id}`.

    An absolute address loses its scheme and host. `/v1/users/42/orders?page=2` is `/v1/users/{id}/orders`.
    """
    target = cleaned(target)
    if "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    parts = [_placeholder(part) for part in redacted(target).split("/")]
    return "/".join(parts)[:MAX_TEXT]


def _placeholder(part: str) -> str:
    for pattern in (_NUMBER, _UUID, _HEX, _RANDOM):
        if pattern.fullmatch(part):
            return "{id}"
    return part


def described(value: object) -> str:
    """How a refused value of a foreign log appears in an error: numbers and times as they are, other text by length."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, (int, float)):
        text = str(value)
        return text if len(text) <= 40 else "a number of more than 40 digits"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value)
    return f'"{text}"' if is_harmless(text) else text_length(text)
