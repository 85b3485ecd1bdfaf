"""What a trace may hold: the words, the ranges, and the check of every single value.

The recorder writes through these checks and the readers read through them, so that what was recorded can be read.
Standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

VERSION: Final = 1

OUTCOMES: Final = (
    "ok",
    "error",
    "throttled",
    "client_error",
    "timeout",
    "connection",
    "rejected",
    "cancelled",
    "lost",
)
EVENT_KINDS: Final = ("pool", "health", "restart", "breaker")

MAX_SECONDS: Final = 1e10
MAX_COUNT: Final = 2**53
MAX_ATTEMPT: Final = 32_767
MAX_TEXT: Final = 1_000
MAX_LINE: Final = 2**20
MIN_STATUS: Final = 100
MAX_STATUS: Final = 999

_SHOWN: Final = 40
_NUMERIC: Final = re.compile(r"[0-9][0-9.,:eE+\-TZ ]{0,39}|-?[0-9.]{1,20}|-")
_WORDS: Final = frozenset((*OUTCOMES, *EVENT_KINDS, "trace", "begin", "end", "event", "attempt"))


def without_query(text: str) -> str:
    """The text up to its query string or fragment, and without the user and password of an address."""
    text = text.split("?", 1)[0].split("#", 1)[0]
    before, mark, address = text.partition("://")
    if not mark:
        return text
    host, slash, path = address.partition("/")
    return f"{before}://{host.rpartition('@')[2]}{slash}{path}"


def is_harmless(text: str) -> bool:
    """Whether text of a log may be repeated: numbers and times, and the words of this schema."""
    return text in _WORDS or _NUMERIC.fullmatch(text) is not None


def text_length(text: str) -> str:
    """What may be said of text that is not harmless."""
    return f"text of {len(text):,} character{'' if len(text) == 1 else 's'}"


def shown(value: object) -> str:
    """How a refused value appears in an error: numbers and harmless text as they are, of other text its length."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'text "{value}"' if is_harmless(value) else text_length(value)
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        return "an integer of more than 40 digits"
    if isinstance(value, (int, float)):
        return str(value)
    return f"a value of the type {type(value).__name__}"


def named(word: str) -> str:
    """A word of a trace, which its reader has redacted, as an error names it: at most 40 characters."""
    text = _printable(word)
    return f'"{text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."}"'


def _printable(text: str) -> str:
    """Control characters, lone surrogates and the like could act on a terminal; they become the replacement mark."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def cleaned(text: str) -> str:
    """The text as a trace may keep it: no query string, nothing unprintable, at most 1,000 characters."""
    return _printable(without_query(text))[:MAX_TEXT]


@dataclass(frozen=True)
class Field:
    """One field of a row: its name, what is expected there, and whether a value is that."""

    name: str
    expected: str
    accepts: Callable[[object], bool]


def _is_number(value: object, low: float, high: float) -> bool:
    return (type(value) is float or type(value) is int) and low <= value <= high


def _is_integer(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_time(value: object) -> bool:
    return _is_number(value, -MAX_SECONDS, MAX_SECONDS)


def _is_duration(value: object) -> bool:
    return value is None or _is_number(value, 0.0, MAX_SECONDS)


def _is_status(value: object) -> bool:
    return value is None or _is_integer(value, MIN_STATUS, MAX_STATUS)


def _is_count(value: object) -> bool:
    return _is_integer(value, 0, MAX_COUNT)


def _is_optional_count(value: object) -> bool:
    return value is None or _is_count(value)


def _is_attempt(value: object) -> bool:
    return _is_integer(value, 1, MAX_ATTEMPT)


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= MAX_TEXT and value.isprintable()


def _is_name(value: object) -> bool:
    return _is_text(value) and value != ""


def _is_optional_bool(value: object) -> bool:
    return value is None or type(value) is bool


def _is_outcome(value: object) -> bool:
    return type(value) is str and value in OUTCOMES


def _is_event_kind(value: object) -> bool:
    return type(value) is str and value in EVENT_KINDS


def _is_finite(value: object) -> bool:
    return _is_number(value, -MAX_COUNT, MAX_COUNT) and math.isfinite(value)  # type: ignore[arg-type]


_TIME = f"a number of seconds, at most {MAX_SECONDS:.0e} from the start"
_DURATION = f"a number of seconds from 0 to {MAX_SECONDS:.0e}, or null"
_NAME = f"printable text of 1 to {MAX_TEXT:,} characters"
_TEXT = f"printable text of at most {MAX_TEXT:,} characters"
_COUNT = "an integer from 0 to 2**53"

FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        field.name: field
        for field in (
            Field("time", _TIME, _is_time),
            Field("t", _TIME, _is_time),
            Field("due", f"{_TIME}, or null", lambda value: value is None or _is_time(value)),
            Field("latency", _DURATION, _is_duration),
            Field("retry_after", _DURATION, _is_duration),
            Field("status", f"an integer from {MIN_STATUS} to {MAX_STATUS}, or null", _is_status),
            Field("outcome", "one of " + ", ".join(OUTCOMES), _is_outcome),
            Field("service", _NAME, _is_name),
            Field("id", _NAME, _is_name),
            Field("client", _TEXT, _is_text),
            Field("endpoint", _TEXT, _is_text),
            Field("instance", _TEXT, _is_text),
            Field("request", _COUNT, _is_count),
            Field("attempt", f"an integer from 1 to {MAX_ATTEMPT:,}", _is_attempt),
            Field("tokens_in", f"{_COUNT}, or null", _is_optional_count),
            Field("tokens_out", f"{_COUNT}, or null", _is_optional_count),
            Field("idempotent", "true, false or null", _is_optional_bool),
            Field("event", "one of " + ", ".join(EVENT_KINDS), _is_event_kind),
            Field("value", "a finite number", _is_finite),
        )
    }
)
