"""How compiled code sees the world: pointers to its tables, and nothing else.

An array, to numba, is a pointer with a shape and a count of users, all of which each access would look after. The
engine knows how long its tables are, never counts from the end, and is called by somebody who holds the world while it
plays; so its tables are given to it as bare pointers. `world.calls[c].state` then compiles to two loads.

No two tables overlap, and no two fields of a record. Each load and store says so, by LLVM's type-based alias analysis
(https://llvm.org/docs/LangRef.html#tbaa-metadata): what was read from one field need not be read again after a store
to another.
"""

# numba has no types for what follows
# mypy: disable-error-code="no-untyped-call, untyped-decorator, misc, attr-defined, override, import-untyped"

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global
from numba.extending import intrinsic, lower_builtin, lower_getattr_generic, lower_setattr_generic, register_model


class Table(types.Type):
    """A pointer to records or numbers of one type."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Table({dtype})")


class Entry(types.Type):
    """A pointer to one record of a table."""

    def __init__(self, record: Any) -> None:
        self.record = record
        super().__init__(name=f"Entry({record})")

    def seen(self, field: str) -> Any:
        """The type of what a field holds, to compiled code; None if there is no such field."""
        if field not in self.record.fields:
            return None
        kind = self.record.typeof(field)
        return Table(kind.dtype) if isinstance(kind, types.NestedArray) else kind


class WorldView(types.Type):
    """A pointer to the pointers to all tables of a world."""

    def __init__(self, world: Any) -> None:
        self.tables = {name: _seen(kind) for name, kind in zip(world.fields, world.types, strict=True)}
        super().__init__(name="World")


def _seen(kind: Any) -> Any:
    if isinstance(kind, types.Array):
        return Table(Entry(kind.dtype) if isinstance(kind.dtype, types.Record) else kind.dtype)
    return types.NamedTuple([_seen(one) for one in kind.types], kind.instance_class)


@register_model(Table)
class _TableModel(models.PrimitiveModel):
    def __init__(self, manager: Any, table: Any) -> None:
        kind = table.dtype.record if isinstance(table.dtype, Entry) else table.dtype
        super().__init__(manager, table, manager.lookup(kind).get_data_type().as_pointer())


@register_model(Entry)
class _EntryModel(models.PrimitiveModel):
    def __init__(self, manager: Any, entry: Any) -> None:
        super().__init__(manager, entry, manager.lookup(entry.record).get_data_type().as_pointer())


@register_model(WorldView)
class _WorldModel(models.PrimitiveModel):
    def __init__(self, manager: Any, world: Any) -> None:
        super().__init__(manager, world, cgutils.voidptr_t)


@infer_getattr
class _WorldAttributes(AttributeTemplate):
    key = WorldView

    def generic_resolve(self, world: Any, name: str) -> Any:
        return world.tables.get(name)


@lower_getattr_generic(WorldView)
def _table_of_world(context: Any, builder: Any, world: Any, value: Any, name: str) -> Any:
    pointers = builder.bitcast(value, _struct(context, world).as_pointer())
    pointer = builder.load(cgutils.gep_inbounds(builder, pointers, 0, list(world.tables).index(name)))
    pointer.set_metadata("invariant.load", builder.module.add_metadata([]))  # no table moves while a world is played
    return pointer


def _struct(context: Any, world: Any) -> Any:
    from llvmlite import ir

    return ir.LiteralStructType([context.get_value_type(table) for table in world.tables.values()])


@infer_global(operator.getitem)
class _TypeOfItem(AbstractTemplate):
    def generic(self, arguments: Any, keywords: Any) -> Any:
        table, index = arguments
        if isinstance(table, Table) and isinstance(index, types.Integer):
            return signature(table.dtype, table, types.intp)
        return None


@infer_global(operator.setitem)
class _TypeOfSetting(AbstractTemplate):
    def generic(self, arguments: Any, keywords: Any) -> Any:
        table, index, _ = arguments
        if isinstance(table, Table) and isinstance(index, types.Integer):
            return signature(types.none, table, types.intp, table.dtype)
        return None


@lower_builtin(operator.getitem, Table, types.Integer)
def _item(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
    table, index = arguments
    place = builder.gep(table, [index], inbounds=True)
    kind = typed.return_type
    if isinstance(kind, Entry):  # a record is passed by its place
        return place
    return _load(context, builder, kind, place, str(typed.args[0]))


@lower_builtin(operator.setitem, Table, types.Integer, types.Any)
def _set_item(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
    table, index, value = arguments
    place = builder.gep(table, [index], inbounds=True)
    _store(context, builder, typed.args[2], value, place, str(typed.args[0]))
    return context.get_dummy_value()


@infer_getattr
class _EntryAttributes(AttributeTemplate):
    key = Entry

    def generic_resolve(self, entry: Any, name: str) -> Any:
        return entry.seen(name)


@lower_getattr_generic(Entry)
def _field(context: Any, builder: Any, entry: Any, value: Any, name: str) -> Any:
    kind = entry.seen(name)
    place = _place_of_field(context, builder, entry, value, name)
    return place if isinstance(kind, Table) else _load(context, builder, kind, place, f"{entry}.{name}")


@lower_setattr_generic(Entry)
def _set_field(context: Any, builder: Any, typed: Any, arguments: Any, name: str) -> None:
    entry, given = typed.args
    value = context.cast(builder, arguments[1], given, entry.seen(name))
    place = _place_of_field(context, builder, entry, arguments[0], name)
    _store(context, builder, entry.seen(name), value, place, f"{entry}.{name}")


def _place_of_field(context: Any, builder: Any, entry: Any, value: Any, name: str) -> Any:
    kind = entry.seen(name)
    held = context.get_data_type(kind.dtype if isinstance(kind, Table) else kind)
    return cgutils.get_record_member(builder, value, entry.record.offset(name), held)


def _load(context: Any, builder: Any, kind: Any, place: Any, where: str) -> Any:
    stored = builder.load(place)
    stored.set_metadata("tbaa", _only(builder.module, where))
    return context.data_model_manager[kind].from_data(builder, stored)


def _store(context: Any, builder: Any, kind: Any, value: Any, place: Any, where: str) -> None:
    stored = builder.store(context.data_model_manager[kind].as_data(builder, value), place)
    stored.set_metadata("tbaa", _only(builder.module, where))


def _only(module: Any, where: str) -> Any:
    """LLVM's tag of an access that overlaps only with others of the same tag."""
    from llvmlite import ir

    start = ir.Constant(ir.IntType(64), 0)
    root = module.add_metadata([ir.MetaDataString(module, "breakerlab")])
    kind = module.add_metadata([ir.MetaDataString(module, where), root, start])
    return module.add_metadata([kind, kind, start])


@intrinsic
def view(typing_context: Any, world: Any) -> Any:
    """The view of a world of arrays; valid as long as the function that made it has not returned."""
    seen = WorldView(world)

    def generate(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
        pointers = cgutils.alloca_once(builder, _struct(context, seen))
        for i, kind in enumerate(world.types):
            table = _pointer(context, builder, kind, builder.extract_value(arguments[0], i))
            builder.store(table, cgutils.gep_inbounds(builder, pointers, 0, i))
        return builder.bitcast(pointers, cgutils.voidptr_t)

    return seen(world), generate


def _pointer(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Of an array, where its first element stands; of a tuple of arrays, a tuple of those."""
    if isinstance(kind, types.Array):
        return context.make_array(kind)(context, builder, value).data
    columns = [_pointer(context, builder, one, builder.extract_value(value, i)) for i, one in enumerate(kind.types)]
    return context.make_tuple(builder, _seen(kind), columns)
