"""JSON from strangers, an object a line or one document: whatever stands there, it gives a good value or a BadRow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from breakerlab.trace.content import BreaksOff, Content
from breakerlab.trace.errors import BadRow, NotText, TraceError
from breakerlab.trace.formats.reading import breaks_off, text_of
from breakerlab.trace.redaction import described
from breakerlab.trace.schema import MAX_STATUS, MIN_STATUS

Object = Mapping[str, Any]

_MOST: Final = 2**63 - 1
_MAX_DIGITS: Final = 4_000
"""Python converts a few more."""
_KINDS: Final[Mapping[type, str]] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
}

# One object a line.


def object_on(line: bytes, expected: str) -> Object:
    """The object on a line. Raises BadRow."""
    return object_of(text_of(line, expected), expected)


def object_of(text: str, expected: str, *, once: bool = False, finite: bool = False) -> Object:
    """The object of a text. `once` refuses a key that stands twice, `finite` NaN and infinity. Raises BadRow."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            raise BadRow(None, "a key that stands twice", expected)
        return row

    def refuse(_: str) -> NoReturn:
        raise BadRow(None, "NaN or infinity", expected)

    hooks = {"object_pairs_hook": unique if once else None, "parse_constant": refuse if finite else None}
    row = _loaded(text, expected, _broken_line, **hooks)
    if not isinstance(row, dict):
        raise BadRow(None, f"{_KINDS.get(type(row), 'null')} instead of an object", expected)
    return row


def _broken_line(error: json.JSONDecodeError) -> str:
    text = error.doc
    if not text.startswith("{"):
        return "text that is no JSON object"
    if error.pos >= len(text) or not text.endswith("}"):
        return f"a truncated line (it ends after character {len(text):,})"
    return f"broken JSON (at character {error.pos + 1:,})"


def _loaded(text: str, expected: str, broken: Callable[[json.JSONDecodeError], str], **hooks: Any) -> Any:
    try:
        return json.loads(text, **hooks)
    except json.JSONDecodeError as error:
        raise BadRow(None, broken(error), expected) from None
    except ValueError:  # an integer of more digits than Python converts
        raise BadRow(None, "a number of thousands of digits", expected) from None
    except RecursionError:
        raise BadRow(None, "an object nested too deep", expected) from None


# What must stand under a key of it.


def text_at(row: Object, key: str, column: str) -> str:
    """The text under a key; empty for null, for "-" and where there is no such key. Raises BadRow."""
    value = row.get(key)
    if value is None or value == "-":
        return ""
    if not isinstance(value, str):
        raise BadRow(column, described(value), "text")
    return value


def integer_at(row: Object, key: str, column: str, expected: str, most: int = _MOST) -> int:
    """The integer from 0 to `most` under a key. Raises BadRow."""
    value = row.get(key)
    if type(value) is not int or not 0 <= value <= most:
        raise BadRow(column, described(value), expected)
    return value


def integer_or_none(row: Object, key: str, column: str, expected: str, most: int = _MOST) -> int | None:
    """The same; None for null and where there is no such key. Raises BadRow."""
    return None if row.get(key) is None else integer_at(row, key, column, expected, most)


def number_at(row: Object, key: str, column: str, expected: str, most: float = _MOST) -> float:
    """The number from 0 to `most` under a key. Raises BadRow."""
    value = row.get(key)
    if type(value) not in (int, float) or not 0 <= value <= most:  # type: ignore[operator]
        raise BadRow(column, described(value), expected)
    return value  # type: ignore[return-value]


def status_at(row: Object, key: str) -> int | None:
    """The HTTP status under a key; None for 0, for null and where there is no such key. Raises BadRow."""
    status = row.get(key)
    if status is None or (type(status) is int and status == 0):
        return None
    if type(status) is not int or not MIN_STATUS <= status <= MAX_STATUS:
        raise BadRow("status", described(status), f"0 or an integer from {MIN_STATUS} to {MAX_STATUS}")
    return status


# One document, of which anything may be missing.


def document_of(content: Content, what: str) -> bytes:
    """The whole content. Raises TraceError if it breaks off or is too large; `what` names in the plural what it is."""
    try:
        return content.document(what)
    except BreaksOff as end:
        bad = breaks_off(end)
        raise TraceError(content.name, None, None, bad.found, bad.expected) from None


def value_of(data: bytes, expected: str) -> Any:
    """The value of a document. Integers of thousands of digits become None. Raises BadRow."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotText(None, f"binary data (byte {error.start + 1:,} is not UTF-8)", expected) from None
    return _loaded(text, expected, _broken_document, parse_int=_integer)


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


def _broken_document(error: json.JSONDecodeError) -> str:
    return f"broken JSON (at line {error.lineno:,}, character {error.colno:,})"


def text_or_none(value: object) -> str | None:
    """The value, if it is a text of some length."""
    return value if isinstance(value, str) and value else None


def object_under(value: object, key: str) -> dict[str, Any]:
    """What stands under the key, if it is an object; an empty one otherwise."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def list_under(value: object, key: str) -> list[Any]:
    """What stands under the key, if it is a list; an empty one otherwise."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []
