"""What a recording says of itself in its header, which anybody may have written: it may hold anything, or nothing."""

from __future__ import annotations

from collections.abc import Mapping


def recorded_parameter(facts: Mapping[str, object], *path: str) -> object:
    """What stands under `path` in a recording's parameters, None where nothing does. The caller checks its type."""
    value: object = facts
    for key in ("parameters", *path):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
