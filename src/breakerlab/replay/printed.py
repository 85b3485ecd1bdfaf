"""How the parts of a scenario look in a notebook."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

OFF = (None, False, 0.0, ())


class Printed:
    """A dataclass that a notebook breaks between fields where a line would be too long (IPython.lib.pretty).

    What is off, such as a rate limit of None, is left out; the value made from the rest is the same.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in _shown(self))})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        with printer.group(4, f"{type(self).__name__}(", ")"):
            for place, name in enumerate(_shown(self)):
                if place:
                    printer.text(",")
                    printer.breakable()
                printer.text(f"{name}=")
                printer.pretty(getattr(self, name))


def _shown(part: Any) -> list[str]:
    return [each.name for each in fields(part) if not _is_off(each, part)]


def _is_off(each: Field[Any], owner: Any) -> bool:
    default = each.default if each.default_factory is MISSING else each.default_factory()
    value = getattr(owner, each.name)
    return value == default and (value in OFF or value == {})
