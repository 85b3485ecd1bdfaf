"""How long a response asks to wait. Headers are untrusted: whatever they hold, reading them never raises."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TypeGuard

LONGEST_TEXT = 64  # characters; a date has 29


def retry_after_of(headers: Mapping[str, str], wall: Callable[[], float] = time.time) -> float | None:
    """Seconds that a response with these headers asks to wait, at least 0; None if it asks nothing intelligible.

    Read are `retry-after-ms` (milliseconds, as LLM APIs send it) and else `Retry-After`, in seconds or as an HTTP date
    (RFC 9110, 10.2.3), in any case. A date counts from the response's own `Date`, so that a skewed local clock does not
    matter; without one from `wall`, in seconds since 1970. What has passed is 0.
    """
    named = {key.lower(): text for key, text in headers.items() if isinstance(key, str)}
    milliseconds = _number(named.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000.0)
    seconds = _number(named.get("retry-after"))
    if seconds is None and (moment := _moment(named.get("retry-after"))) is not None:
        sent = _moment(named.get("date"))
        seconds = moment - (wall() if sent is None else sent)
    return None if seconds is None else max(0.0, seconds)


def retry_after_in(subject: object) -> float:
    """Seconds that a response, or an exception or its `response`, asks to wait; 0.0 if it does not ask."""
    try:
        for holder in (subject, getattr(subject, "response", None)):
            headers = getattr(holder, "headers", None)
            if headers is not None:
                return retry_after_of(headers) or 0.0
    except Exception:  # whatever passes for headers in somebody else's exception
        return 0.0
    return 0.0


def _number(text: object) -> float | None:
    """A finite number; "1_000" and digits of other scripts, which Python would read, are none."""
    if not _is_short_text(text) or "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _moment(text: object) -> float | None:
    """Seconds from 1970 to an HTTP date, which is UTC also where it does not say so."""
    if not _is_short_text(text):
        return None
    from datetime import UTC
    from email.utils import parsedate_to_datetime  # rarely needed, and slow to import

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except Exception:  # the standard library promises ValueError; garbage has drawn others from it
        return None


def _is_short_text(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and len(text) <= LONGEST_TEXT
