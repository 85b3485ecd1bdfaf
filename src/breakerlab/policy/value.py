"""Values: frozen, comparable, hashable, printable as the code that makes them, to and from plain dicts.

What `dataclasses` would write anew for each class stands here once; importing seven of them takes 4 ms less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, FrozenInstanceError, dataclass, field
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from breakerlab.policy import parameter

Class = TypeVar("Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
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
        object.__setattr__(self, name, given)  # the first time, when the value is made

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
        for name, part in cls._parts().items():
            if given.get(name) is not None:
                given[name] = part.from_dict(given[name])
        return cls(**{**cls._absent(), **given})

    @classmethod
    def _absent(cls) -> dict[str, None]:
        """Fields for which no key means None, whatever their default."""
        return {}

    @classmethod
    def _parts(cls) -> dict[str, type[Value]]:
        """Fields that are values themselves."""
        return {}
