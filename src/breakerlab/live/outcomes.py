"""What became of one HTTP attempt, in the words of the trace."""

from __future__ import annotations


def outcome_of(status: int) -> str:
    """The trace's word for an answer with this HTTP status."""
    if status == 429:
        return "throttled"
    if status >= 500:
        return "error"
    if status >= 400:
        return "client_error"
    return "ok"
