"""``DictRows``: a replica in a dictionary, for tests of mappers. Same contract as the SQLite one, checked strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from cdc.model import BulkInvalidation, ObjectRef, Row, RunningTotals, TableSpec, Value
from cdc.protocols import CART_CLOCK, Mapper, RowReader

T = TypeVar("T")

CLOCK = TableSpec(CART_CLOCK, ("quote_id",), ("quote_id", "changed_ms", "abandoned_ms", "is_shown"))
"""The table of the state that is shown beside the shop's."""


class DictRows:
    """Implements ``RowReader`` over ``{table: [rows]}``. A column that a row does not name is NULL.

    Rows go through the mapper's ``derive`` and ``keep`` as in the replica, and transient columns are dropped. A
    look-up that no index serves, or of a column that is not in the spec, is an AssertionError.
    """

    def __init__(self, mapper: Mapper, tables: Mapping[str, Iterable[Mapping[str, Value]]] | None = None) -> None:
        self.mapper = mapper
        self.specs: dict[str, TableSpec] = {spec.name: spec for spec in mapper.tables}
        if mapper.cart_rules is not None:
            self.specs[CART_CLOCK] = CLOCK
        self._tables: dict[str, dict[tuple[Value, ...], Row]] = {name: {} for name in self.specs}
        self._references: dict[str, Any] = {}
        self._by_value: dict[str, dict[str, dict[Value, list[Row]]]] = {name: {} for name in self.specs}
        for table in self.specs:
            for row in (tables or {}).get(table, ()):
                self.put(table, **row)
        unknown = set(tables or {}) - self.specs.keys()
        assert not unknown, f"no such mapped tables: {sorted(unknown)}"

    # ------------------------------------------------------------------------------------------------ changing

    def put(self, table: str, **columns: Value) -> list[ObjectRef | BulkInvalidation]:
        """Insert or replace a row; a row held keeps the columns that are not named. Returns what was affected."""
        spec = self.specs[table]
        assert columns.keys() <= {*spec.columns}, f"{table} has no {sorted(columns.keys() - {*spec.columns})}"
        key = tuple(columns[column] for column in spec.key)
        held = self._tables[table].get(key)
        merged = {**(held or dict.fromkeys(spec.columns)), **columns}
        row = {**merged, **self.mapper.derive(table, merged)}
        row = {column: value for column, value in row.items() if column not in spec.transient}
        if not self.mapper.keep(table, row, self):
            return self.remove(table, *key)
        if row == held:
            return []
        self._by_value[table].clear()
        self._tables[table][key] = row
        return self._affected(spec, held, row)

    def remove(self, table: str, *key: Value) -> list[ObjectRef | BulkInvalidation]:
        """Delete a row, without cascades. Returns what was affected."""
        held = self._tables[table].pop(key, None)
        self._by_value[table].clear()
        return [] if held is None else self._affected(self.specs[table], held, None)

    def _affected(self, spec: TableSpec, before: Row | None, after: Row | None) -> list[ObjectRef | BulkInvalidation]:
        if spec.reference:
            self._references.clear()
        return list(self.mapper.affected(spec.name, before, after, self))

    def spread(self, affected: Iterable[ObjectRef | BulkInvalidation]) -> set[ObjectRef]:
        """The objects named, bulk invalidations worked off."""
        found: set[ObjectRef] = set()
        for item in affected:
            if isinstance(item, ObjectRef):
                found.add(item)
                continue
            table, column = item.unless
            elsewhere = {row[column] for row in self._tables[table].values()} if table else set()
            for row in self._tables[item.table].values():
                identity = row[item.id_column]
                matches = not item.column or row[item.column] == item.value
                if isinstance(identity, int | str) and matches and identity not in elsewhere:
                    found.add(ObjectRef(item.kind, identity))
        return found

    # ------------------------------------------------------------------------------------------------- reading

    def get(self, table: str, *key: Value) -> Row | None:
        """See ``RowReader``."""
        assert len(key) == len(self.specs[table].key), f"{table}'s key is {self.specs[table].key}"
        return self._tables[table].get(key)

    def find(self, table: str, column: str, value: Value) -> Sequence[Row]:
        """See ``RowReader``."""
        spec = self.specs[table]
        assert any(index[0] == column for index in (*spec.indexes, spec.key)), f"{table}.{column} leads no index"
        return self._equal(table, column, value)

    def descending(self, table: str, column: str, value: Value, order: tuple[str, ...]) -> Iterator[Row]:
        """See ``RowReader``."""
        assert (column, *order) in self.specs[table].indexes, f"{table} has no index {(column, *order)}"
        found = self._equal(table, column, value)
        yield from sorted(found, key=lambda row: [_rank(row[by]) for by in order], reverse=True)

    def totals(self, table: str, column: str, value: Value) -> Sequence[Row] | None:
        """See ``RowReader``. All rows are counted at each look, which is what running totals must be equal to."""
        wanted = self.specs[table].totals
        assert wanted is not None, f"{table} has no totals"
        assert column in wanted.found_by, f"{table} has no totals by {column}"
        groups: dict[Value, list[Row]] = {}
        for row in self._tables[table].values():
            if row[wanted.group] is not None and value is not None and row[column] == value:
                groups.setdefault(row[wanted.group], []).append(row)
        return [self._total(table, wanted, rows) for _, rows in sorted(groups.items(), key=lambda one: str(one[0]))]

    def _total(self, table: str, wanted: RunningTotals, rows: list[Row]) -> Row:
        [key] = self.specs[table].key
        ordered = sorted(rows, key=lambda row: [_rank(row[by]) for by in wanted.order])
        amounts = [row[wanted.amount] for row in rows]
        readable = [amount for amount in amounts if isinstance(amount, int)]
        counted = (len(rows), sum(readable), len(rows) - len(readable), ordered[0][key], ordered[-1][key])
        shared = {column: rows[0][column] for column in (wanted.group, *wanted.shared)}
        return {**shared, **dict(zip(RunningTotals.COLUMNS, counted, strict=True))}

    def reference(self, name: str, build: Callable[[RowReader], T]) -> T:
        """See ``RowReader``."""
        if name not in self._references:
            self._references[name] = build(self)
        held: T = self._references[name]
        return held

    def every(self, table: str) -> list[Row]:
        """All rows in key order."""
        return self._by_key(table)

    def _equal(self, table: str, column: str, value: Value) -> list[Row]:
        """SQL's =, where NULL equals nothing; in key order."""
        known = self._by_value[table]
        if column not in known:
            known[column] = {}
            for row in self._by_key(table):
                known[column].setdefault(row[column], []).append(row)
        return [] if value is None else known[column].get(value, [])

    def _by_key(self, table: str) -> list[Row]:
        held = self._tables[table]
        return [held[key] for key in sorted(held, key=lambda key: [_rank(part) for part in key])]


def _rank(value: Value) -> tuple[int, Any]:
    """SQLite's order: NULL, numbers, text, bytes."""
    if value is None:
        return 0, 0
    return (1, value) if isinstance(value, int | float) else (2, value) if isinstance(value, str) else (3, value)
