"""All facts about one kind of object in one place: ``ObjectDescriptor``. Each kind's file makes one.

Ranks, referrers, tables, fetches, bulk invalidations, sources and the words of ``trace`` are derived from the
descriptors and from the table of kinds (``cdc.model.OBJECTS``). A test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cdc.model import BulkInvalidation, FetchByKey, Kind, Rendered, Row, RowsUsed, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers.custom_properties import ColumnGroup
from mappers.eav import EavEntity
from mappers.plan import Plan
from mappers.row_changes import Affects

Derive = Callable[[Row, Plan], Mapping[str, Value]]
"""(row, plan) → derived columns; none if the columns that they need are not in the row (then the stored
values stay).
"""

Keep = Callable[[Row, RowReader, Plan], bool]
"""Whether the replica needs a row."""


class Property(NamedTuple):
    """One default property: the type of its text, and the columns of which it is made.

    In braces: columns that ``mapping.currency`` replaces. ``options``: all texts that it may have beside "", if these
    are known beforehand.
    """

    type: PropertyType
    source: str
    options: tuple[str, ...] = ()


class Name(NamedTuple):
    """By which name people know an object: a table, its column with the name, and its column with the object's id."""

    table: str
    column: str
    id_column: str


def _nothing(settings: MappingSettings) -> Mapping[str, Property]:
    return {}


def _no_rows(plan: Plan) -> tuple[RowsUsed, ...]:
    return ()


def _no_tables(settings: MappingSettings) -> tuple[tuple[str, Affects], ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectDescriptor:
    """One kind of object.

    ``references``: the kinds that it may refer to. ``properties``: its default properties. ``switched_on``: the
    properties that switches of the settings add. ``affected_if``: what these switches add to ``affected_by``.
    ``tables``: its own tables; a table belongs to one kind, and other kinds may read it too. ``render``: (id, rows,
    plan) → the object, None if it does not exist; the id has the kind's own form. ``affected_by``: table → the
    objects of this kind, and of no other, that a row of the table affects. ``fetches``: the server rows of which it
    is made, as far as the present rows name them; only by columns that have an index on the server. ``everything``:
    bulk invalidations that together name every object of this kind that may exist. ``column_groups`` and
    ``eav_entities``: the sources of the merchant's own properties. ``derive`` and ``keep``: by table, for its own
    tables. ``rows_used``: the rows that ``render`` looks up, as far as reading those of many objects together saves
    time. ``name``: None if no row has a name.
    """

    kind: Kind
    references: tuple[Kind, ...] = ()
    properties: Mapping[str, Property]
    tables: Callable[[MappingSettings], tuple[TableSpec, ...]]
    render: Callable[[Any, RowReader, Plan], Rendered | None]
    affected_by: tuple[tuple[str, Affects], ...]
    fetches: Callable[[Any, RowReader, Plan], tuple[FetchByKey, ...]]
    everything: Callable[[Plan], tuple[BulkInvalidation, ...]]
    column_groups: tuple[ColumnGroup, ...] = ()
    eav_entities: tuple[EavEntity, ...] = ()
    derive: Mapping[str, Derive] = field(default_factory=dict)
    keep: Mapping[str, Keep] = field(default_factory=dict)
    rows_used: Callable[[Plan], tuple[RowsUsed, ...]] = _no_rows
    name: Name | None = None
    switched_on: Callable[[MappingSettings], Mapping[str, Property]] = _nothing
    affected_if: Callable[[MappingSettings], tuple[tuple[str, Affects], ...]] = _no_tables
