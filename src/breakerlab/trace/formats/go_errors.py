"""What the error texts of Go's HTTP client stand for."""

from __future__ import annotations

from typing import Final

_NEVER_SENT: Final = ("no targets to attack", "unsupported protocol scheme", "missing protocol scheme", "invalid url")
_TIMED_OUT: Final = ("deadline exceeded", "timeout", "timed out")
_GONE: Final = ("context canceled", "request canceled")


def outcome_of_error(text: str) -> str:
    """The outcome of an attempt that got no status: never sent, timed out, given up by the caller, or broken off."""
    text = text.lower()
    for outcome, signs in (("rejected", _NEVER_SENT), ("timeout", _TIMED_OUT), ("cancelled", _GONE)):
        if any(sign in text for sign in signs):
            return outcome
    return "connection"
