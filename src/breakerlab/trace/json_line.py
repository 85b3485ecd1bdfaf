"""One JSON object a line, as foreign logs have it: whatever else stands there is a bad row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from breakerlab.trace.errors import BadRow
from breakerlab.trace.reading import text_of
from breakerlab.trace.redaction import described

Object = Mapping[str, Any]


def json_object(line: bytes, expected: str) -> Object:
    """The object on the line. Raises BadRow."""
    text = text_of(line, expected)
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise BadRow(None, "broken or truncated JSON", expected) from None
    except ValueError:  # an integer of more digits than Python converts
        raise BadRow(None, "a number of thousands of digits", expected) from None
    except RecursionError:
        raise BadRow(None, "an object nested too deep", expected) from None
    if not isinstance(value, dict):
        raise BadRow(None, "JSON that is no object", expected)
    return value


def text_in(row: Object, key: str, column: str, expected: str = "text") -> str:
    """The text under the key; nothing and null are empty. Raises BadRow."""
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow(column, described(value), expected)
    return value


def count_in(row: Object, key: str, column: str, expected: str) -> int:
    """The integer, 0 or more, under the key. Raises BadRow."""
    value = row.get(key)
    if type(value) is not int or not 0 <= value < 2**63:
        raise BadRow(column, described(value), expected)
    return value


def number_in(row: Object, key: str, column: str, expected: str) -> float:
    """The finite number, 0 or more, under the key. Raises BadRow."""
    value = row.get(key)
    if type(value) not in (int, float) or not 0 <= value < 2**63:  # type: ignore[operator]
        raise BadRow(column, described(value), expected)
    return value  # type: ignore[return-value]
