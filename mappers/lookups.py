"""Tables with the labels of a column's numbers (``lookup = { table, key, label }``): delivery slots and the like.

Pure. Such a table is small and is kept like the other reference tables. A table that is read anyway (``store``,
``customer_group``) can be used too; then its further columns are kept as well. A label's change is a bulk invalidation
of the objects whose column has the label's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from cdc.model import BulkInvalidation, Kind, Row, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping_columns import ColumnProperty, Lookup
from mappers.text import clean


class Use(NamedTuple):
    """One property with a look-up: the table whose rows hold the value, and the table's column with the object's id.

    ``column`` "": the value is inside JSON, so no column shows which rows hold it.
    """

    kind: Kind
    table: str
    id_column: str
    column: str
    lookup: Lookup


def uses(kind: Kind, table: str, id_column: str, properties: Mapping[str, ColumnProperty]) -> Iterator[Use]:
    """The look-ups among these properties."""
    for made in properties.values():
        # A plain column needs no table of labels.
        if made.lookup is not None:
            yield Use(kind, table, id_column, "" if made.json_path else made.column, made.lookup)


class Lookups:
    """All look-ups of a mapping."""

    def __init__(self, used: Iterable[Use]) -> None:
        self._used: Final = tuple(used)
        self.affecting: Final = frozenset(use.lookup.table for use in self._used)
        """The tables of labels: their rows affect objects."""

    def widened(self, held: Iterable[TableSpec]) -> tuple[TableSpec, ...]:
        """The tables, with those of the labels added: further columns of existing reference tables, or new tables."""
        asked: dict[str, tuple[str, list[str]]] = {}
        for use in self._used:
            _, columns = asked.setdefault(use.lookup.table, (use.lookup.key, []))
            columns += [column for column in use.lookup.columns if column not in columns]
        # A reference table that is read anyway gets further columns.
        found = [_widened(spec, asked.pop(spec.name, None)) for spec in held]
        new = [
            TableSpec(table, (key,), (key, *(c for c in columns if c != key)), integer_key=False, reference=True)
            for table, (key, columns) in asked.items()
        ]
        return (*new, *found)

    def faults(self, held: Iterable[TableSpec]) -> Iterator[str]:
        """Why these look-ups are not possible, a sentence each."""
        specs = {spec.name: spec for spec in held}
        keys: dict[str, str] = {}
        for use in self._used:
            table, key = use.lookup.table, use.lookup.key
            spec = specs.get(table)
            # A table with objects of its own changes often, and a label's change names many objects.
            if spec is not None and not spec.reference:
                yield f"lookup: {table} is no table of labels; map its columns with the object"
            elif keys.setdefault(table, spec.key[0] if spec else key) != key:
                # Two keys for one table: a value could then name two rows.
                yield f"lookup: the key of {table} is {keys[table]}, not {key}"

    def affected(self, table: str, before: Row | None, after: Row | None) -> Iterator[BulkInvalidation]:
        """The objects whose column has this label's number."""
        for use in self._used:
            if use.lookup.table != table:
                continue
            # The value is inside JSON, so every object of the table may use the label.
            if not use.column:
                yield BulkInvalidation(use.kind, use.table, use.id_column)
                continue
            for row in (before, after):
                if row is not None:
                    key = row.get(use.lookup.key)
                    yield from (
                        BulkInvalidation(use.kind, use.table, use.id_column, use.column, same) for same in _forms(key)
                    )


def label(lookup: Lookup, value: Value, rows: RowReader) -> str:
    """The label of the value; "" without a value. ValueError for a value that has no row."""
    # Empty and 0 stand for "none" in Magento's columns.
    if value in (None, "", 0, "0"):
        return ""
    for key in _forms(value):
        row = rows.get(lookup.table, key)
        if row is not None:
            return clean(lookup.text({column: clean(row.get(column)) for column in lookup.columns}))
    raise ValueError(f"names a row that {lookup.table} does not have")


def _forms(key: Value) -> tuple[Value, ...]:
    """The value as a number and as text: a module's column may be one, its table's key the other."""
    if isinstance(key, int):
        return key, str(key)
    # "007" is a text and no number.
    if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) <= 18 and str(int(key)) == key:
        return key, int(key)
    return (key,)


def _widened(spec: TableSpec, asked: tuple[str, list[str]] | None) -> TableSpec:
    further = [column for column in asked[1] if column not in spec.columns] if asked else []
    return replace(spec, columns=(*spec.columns, *further)) if further else spec
