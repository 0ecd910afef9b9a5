"""Modules' own tables (``[[mapping.satellites]]``): rows that belong to an order, a customer or a product.

Pure. A module may write its row before, inside or after its object's transaction. The row may have no object id at
first (NULL) and get it later, and a cascade may delete the row without an event in the log. Each time, the object is
rendered from the replica's present rows. If an object has several rows, the row with the highest primary key counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from cdc.errors import ConfigError
from cdc.model import FetchByKey, Kind, ObjectRef, Rendered, Row, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping_tables import ExtensionTable
from mappers.custom_properties import CustomProperties
from mappers.lookups import Use, uses
from mappers.newest_row import newest_row

_KIND: Final = {"deal": Kind.ORDER, "contact": Kind.CUSTOMER, "product": Kind.PRODUCT}


class _Extension:
    """One extension table: its spec, and the way from its object to it and back."""

    def __init__(self, asked: ExtensionTable) -> None:
        key = asked.primary or (
            asked.key,
        )  # only a run needs the real key, and asks the server for it (cdc/startup.py)
        self.asked: Final = asked
        self.kind: Final = _KIND[asked.object]
        self.table: Final = asked.table
        self.key: Final = asked.key
        self.via: Final = asked.via
        self.custom: Final = CustomProperties(asked.table, asked.properties, (*key, asked.key))
        further = sorted({asked.key, *self.custom.columns} - set(key))
        self.spec: Final = TableSpec(asked.table, key, (*key, *further), indexes=((asked.key,),), integer_key=False)

    def uses(self) -> Iterator[Use]:
        """The look-ups of this table. With a table between, no column shows which objects use a label."""
        held = uses(self.kind, self.table, self.key, self.asked.properties)
        via = self.via
        return held if via is None else (Use(self.kind, via.table, via.to, "", use.lookup) for use in held)

    def row_of(self, identity: Value, rows: RowReader) -> Row | None:
        """The row that counts for this object."""
        found = [row for key in self.keys_of(identity, rows) for row in rows.find(self.table, self.key, key)]
        return newest_row(found, self.spec.key)

    def keys_of(self, identity: Value, rows: RowReader) -> Sequence[Value]:
        """The values of ``key`` in the object's rows."""
        # The table names the object itself.
        if self.via is None:
            return (identity,)
        return [row.get(self.via.column) for row in rows.find(self.via.table, self.via.to, identity)]

    def objects_of(self, table: str, row: Row, rows: RowReader) -> Value:
        """The id of the object that a row of the extension table, or of the table between, belongs to."""
        # One step: the row has the object's id.
        if self.via is None:
            return row.get(self.key)
        # The row between names the object.
        if table == self.via.table:
            return row.get(self.via.to)
        between = rows.get(self.via.table, row.get(self.key)) if row.get(self.key) is not None else None
        return between.get(self.via.to) if between is not None else None


class ExtensionTables:
    """All extension tables of a mapping. ConfigError for a table that cannot be reached."""

    def __init__(self, asked: Sequence[ExtensionTable], held: Sequence[TableSpec]) -> None:
        faults = [fault for table in asked if (fault := _fault(table, {spec.name: spec for spec in held}))]
        # A table that cannot be reached would stay empty without a word.
        if faults:
            raise ConfigError(faults)
        self._all = tuple(map(_Extension, asked))
        self._by_kind = {
            kind: tuple(extension for extension in self._all if extension.kind is kind)
            for kind in {extension.kind for extension in self._all}
        }
        self.tables: Final = tuple(extension.spec for extension in self._all)
        between = frozenset(extension.via.table for extension in self._all if extension.via is not None)
        self.affecting: Final = between | frozenset(extension.table for extension in self._all)
        """The tables whose rows affect objects: the extension tables, and the tables between them and their objects."""

    def uses(self) -> Iterator[Use]:
        """The look-ups of all extension tables."""
        return chain.from_iterable(extension.uses() for extension in self._all)

    def added(self, made: Rendered, ref: ObjectRef, rows: RowReader) -> Rendered:
        """The object with the properties of its extension tables; empty properties if there is no row."""
        mine = self._by_kind.get(ref.kind, ())
        # Most mappings have no extension table, and this runs for every object.
        if not mine:
            return made
        properties, warnings = dict(made.properties), made.warnings
        for extension in mine:
            row = extension.row_of(ref.id, rows)
            # No row: what was sent of it before is cleared.
            if row is None:
                properties |= extension.custom.empty()
                continue
            found, further = extension.custom.of(row, rows)
            properties |= found
            warnings += further
        return replace(made, properties=properties, warnings=warnings)

    def affected(self, table: str, before: Row | None, after: Row | None, rows: RowReader) -> Iterator[ObjectRef]:
        """The objects to which a row of an extension table, or of a table between, belongs before and after."""
        for extension in self._all:
            if table == extension.table or (extension.via is not None and table == extension.via.table):
                ids = {extension.objects_of(table, row, rows) for row in (before, after) if row is not None}
                yield from (
                    ObjectRef(extension.kind, identity) for identity in ids if isinstance(identity, int) and identity
                )

    def fetches(self, ref: ObjectRef, rows: RowReader) -> Iterator[FetchByKey]:
        """The extension tables' rows of an object, as far as their keys are known now."""
        for extension in self._all:
            if extension.kind is ref.kind:
                keys = (key for key in extension.keys_of(ref.id, rows) if key is not None)
                yield from (FetchByKey(extension.table, extension.key, key) for key in keys)


def _fault(asked: ExtensionTable, held: dict[str, TableSpec]) -> str:
    where = f"mapping.satellites: {asked.table}"
    # Two readings of one table would keep different columns of it.
    if asked.table in held:
        return f"{where} is one of Magento's tables that are read anyway; map its columns with the object"
    if asked.via is None:
        return ""
    between = held.get(asked.via.table)
    # A table between must be kept, or the way to the object is not known.
    if between is None:
        return f"{where}: via.table {asked.via.table!r} is not read; use sales_order_address, sales_order_item ..."
    # Rows are found by primary key on the way to the object.
    if between.key != (asked.via.column,):
        return f"{where}: via.column must be {asked.via.table}'s primary key {', '.join(between.key)}"
    # And by an index on the way back.
    if not any(index[0] == asked.via.to for index in between.indexes):
        names = ", ".join(sorted({index[0] for index in between.indexes}))
        return f"{where}: via.to must be one of {asked.via.table}'s {names}"
    return ""
