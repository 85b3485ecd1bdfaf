"""Values: frozen, comparable, hashable, printable as the code that makes them, to and from plain dicts.

What `dataclasses` would write anew for each class stands here once; importing eight of them takes 3 ms less.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import Field, FrozenInstanceError, dataclass, field
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from breakerlab.policy import parameter

Class = TypeVar("Class")


def checked(check: Callable[..., Any], *, default: Any, optional: bool = False, **limits: Any) -> Any:
    """A field that holds what `check(name, given, **limits)` makes of what is given, as those of `parameter` do.

    None passes where it is the default or the field is `optional`; in a dict, no key for such a field means None.
    """
    optional = optional or default is None
    return field(default=default, metadata={"check": functools.partial(check, **limits), "optional": optional})


def part(kind: type[Value], *, default: Any) -> Any:
    """A field that is a value of this kind itself, or None where that is the default."""
    check = functools.partial(parameter.instance, of=kind, or_none=default is None)
    return field(default=default, metadata={"check": check, "kind": kind})


@dataclass_transform(frozen_default=True, field_specifiers=(field, checked, part))
def value(cls: type[Class]) -> type[Class]:
    """Make a subclass of `Value` of the fields that the class names. A field with init=False is derived from others."""
    return dataclass(eq=False, repr=False, slots=True)(cls)


class Value:
    """A frozen value. Two are equal if they are of one class and their fields are equal, derived ones apart.

    It prints as the code that makes it, defaults included, since a later version may change them; what is off is left
    out.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name, field in cls.__dataclass_fields__.items() if field.init]

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._names())

    def __setattr__(self, name: str, given: Any) -> None:
        if name not in self.__dataclass_fields__ or hasattr(self, name):
            raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be set; use dataclasses.replace")
        rules = self.__dataclass_fields__[name].metadata
        if "check" in rules and not (given is None and rules.get("optional")):
            given = rules["check"](f"{type(self).__name__}.{name}", given)
        self._set(**{name: given})  # the first time, when the value is made

    def _set(self, **fields: Any) -> None:
        for name, given in fields.items():
            object.__setattr__(self, name, given)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._shown())})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """In a notebook the same, broken between fields where a line would be too long (IPython.lib.pretty)."""
        with printer.group(4, f"{type(self).__name__}(", ")"):
            for place, name in enumerate(self._shown()):
                if place:
                    printer.text(",")
                    printer.breakable()
                printer.text(f"{name}=")
                printer.pretty(getattr(self, name))

    def _shown(self) -> list[str]:
        fields = self.__dataclass_fields__
        return [name for name in self._names() if getattr(self, name) is not None or fields[name].default is not None]

    def to_dict(self) -> dict[str, Any]:
        """The parameters as a plain dict, for JSON or TOML; one that is None has no key."""
        given = zip(self._names(), self._values(), strict=True)
        return {
            name: value.to_dict() if isinstance(value, Value) else value for name, value in given if value is not None
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The value that `to_dict` described. Raises ValueError naming an unknown or wrong field."""
        given = dict(parameter.known_keys(cls.__name__, data, cls._names()))
        for name in cls._names():
            rules = cls.__dataclass_fields__[name].metadata
            if rules.get("optional"):
                given.setdefault(name, None)
            if "kind" in rules and given.get(name) is not None:
                given[name] = rules["kind"].from_dict(given[name])
        return cls(**given)
