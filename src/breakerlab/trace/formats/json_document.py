"""Documents of JSON from strangers: whatever is in them, reading gives a value or one sentence."""

from __future__ import annotations

import json
from typing import Any

from breakerlab.trace.content import BreaksOff, Content
from breakerlab.trace.errors import BadRow, TraceError


def document_of(content: Content, what: str) -> bytes:
    """The whole content. Raises TraceError if it breaks off or is too large; `what` names in the plural what it is."""
    try:
        return content.document(what)
    except BreaksOff as end:
        raise TraceError(content.name, None, None, str(end), "readable content up to the end of the file") from None


def value_of(data: bytes, expected: str) -> Any:
    """The JSON value. Integers of thousands of digits become None. Raises BadRow."""
    try:
        text = data.decode("utf-8-sig")
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise
        except ValueError:  # an integer of more digits than Python converts
            return json.loads(text, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise BadRow(None, f"binary data (byte {error.start + 1:,} is not UTF-8)", expected) from None
    except json.JSONDecodeError as error:
        raise BadRow(None, f"broken JSON (at line {error.lineno:,}, character {error.colno:,})", expected) from None
    except RecursionError:
        raise BadRow(None, "JSON nested too deep", expected) from None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= 30 else None


def text_in(value: object) -> str | None:
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
