"""What is known of one kind of object, in one place: ``ObjectDescriptor``. Each kind's file makes one.

Ranks, referrers, tables, fetches, bulk invalidations, sources and the words of ``trace`` are derived from descriptors
and from the table of kinds (``cdc.model.OBJECTS``), which a test holds to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cdc.model import BulkInvalidation, FetchByKey, Kind, Rendered, Row, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers.custom_properties import ColumnGroup
from mappers.eav import EavEntity
from mappers.plan import Plan
from mappers.row_changes import Affects

Derive = Callable[[Row, Plan], Mapping[str, Value]]
"""(row, plan) → derived columns; none where the columns they are made from are not in the row (they stay as held)."""

Keep = Callable[[Row, RowReader, Plan], bool]
"""Whether the replica needs a row."""


class Property(NamedTuple):
    """One default property: how its value reads, and the columns it is made from.

    In braces: columns that ``mapping.currency`` swaps. ``options``: all texts that it may hold beside "", where these
    are known beforehand.
    """

    type: PropertyType
    source: str
    options: tuple[str, ...] = ()


class Name(NamedTuple):
    """What people call an object by: a table, its column with the name, and its column with the object's id."""

    table: str
    column: str
    id_column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectDescriptor:
    """One kind of object.

    ``references``: the kinds that it may refer to. ``properties``: the default ones. ``tables``: those that are the
    object's own; a table belongs to one kind, others may read it too. ``render``: (id, rows, plan) → the object, None
    if it does not exist; the id is of the kind's own form. ``affected_by``: table → the objects of this kind, and of no
    other, that a row of the table bears on. ``fetches``: the server rows that it is made of, as far as the rows held
    can name them; only by columns that the server has an index on. ``everything``: bulk invalidations that together
    name every object of this kind that may exist. ``column_groups`` and ``eav_entities``: what the merchant's own
    properties are made from. ``derive`` and ``keep``: by table, of its own ones. ``name``: None where no row has one.
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
    name: Name | None = None
