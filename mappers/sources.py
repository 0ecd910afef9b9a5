"""The list of all properties with their sources: for ``mapping show`` and for settings that name properties.

Pure. The default properties are in the objects' descriptors; a test compares them with what is rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from cdc.model import OBJECT_TYPE, ObjectType, ValueType
from cdc.settings.mapping_columns import AttributeProperty, ColumnProperty, PropertyType
from mappers.objects.registry import DESCRIPTORS
from mappers.plan import Plan


class Source(NamedTuple):
    """One property of one type of object: its name, the type of its text, and the tables and columns of which it is
    made.

    ``options``: all texts that it may have beside "", if these are known beforehand.
    """

    object_type: ObjectType
    name: str
    type: PropertyType
    origin: str
    options: tuple[str, ...] = ()

    @property
    def value_type(self) -> ValueType:
        """The type of its text, by which receivers create their own properties."""
        return ValueType.ENUMERATION if self.options else self.type.value_type


def sources(plan: Plan) -> list[Source]:
    """Every property that may be sent: the default properties, then the merchant's own, which win over a default of
    that name.
    """
    found: dict[tuple[ObjectType, str], Source] = {}
    for kind, descriptor in DESCRIPTORS.items():
        listed = {**descriptor.properties, **descriptor.switched_on(plan.settings)}
        for name, (of_type, origin, options) in listed.items():
            key = OBJECT_TYPE[kind], name
            found.setdefault(key, Source(*key, of_type, _paid(origin, plan), options))
    for source in _own(plan):
        found[source.object_type, source.name] = source
    for form in plan.settings.contact_forms:
        for name, made in form.properties.items():
            key = ObjectType.CONTACT, name
            origin = _origin(form.table, made)
            held = found.get(key)
            found[key] = (
                held._replace(origin=f"{held.origin}, else {origin}") if held else Source(*key, made.type, origin)
            )
    return list(found.values())


def _own(plan: Plan) -> Iterator[Source]:
    for object_type, table, properties in plan.settings.sources():
        for name, made in properties.items():
            yield Source(object_type, name, made.type or PropertyType.TEXT, _origin(table, made))


def _origin(table: str, made: ColumnProperty | AttributeProperty) -> str:
    if isinstance(made, AttributeProperty):
        return f"{table}: {made.code}"
    origin = f"{table}.{made.column}{f' {made.json_path}' if made.json_path else ''}"
    return f"{origin}, label in {made.lookup.table}.{made.lookup.key}" if made.lookup else origin


def _paid(origin: str, plan: Plan) -> str:
    return re.sub(r"\{(\w+)\}", lambda column: plan.paid(column[1]), origin)
