"""The replica's rows for rendering many objects in a row: their rows are read together, before they are asked for.

One statement for each table and column takes the place of one for each object. What was not read ahead is looked up
as usual. So a mapper that names too few look-ups costs time, and never a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Final, TypeVar

from cdc.model import Kind, ObjectRef, Row, RowsUsed, Value
from cdc.protocols import RowReader
from cdc.replica.rows import ReplicaRows

T = TypeVar("T")

_NOT_READ: Final[Row] = {}
"""Stands for a key that was not read ahead; told apart by identity."""
_NONE_READ: Final[dict[Any, Any]] = {}
_NONE_FOUND: Final[Sequence[Row]] = ()


def _is_plain(value: Value) -> bool:
    """Whether SQLite and a dictionary compare this value alike, and JSON keeps it: an integer of 64 bits, or a hash."""
    if type(value) is int:
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, str) and value.isascii() and value.isalnum()


class RowsAhead:
    """``RowReader`` over the replica. ``used``: kind → the rows that rendering an object of this kind looks up."""

    def __init__(self, rows: ReplicaRows, used: Callable[[Kind], Sequence[RowsUsed]]) -> None:
        self._rows = rows
        self._used = used
        self._by_key: dict[str, dict[Value, Row | None]] = {}
        self._found: dict[tuple[str, str], dict[Value, list[Row]]] = {}

    @contextmanager
    def reading(self, refs: Iterable[ObjectRef]) -> Iterator[None]:
        """Within the block the rows of these objects are at hand. No row may be written in it."""
        try:
            self._read(refs)
            yield
        finally:
            self._by_key.clear()
            self._found.clear()

    def _read(self, refs: Iterable[ObjectRef]) -> None:
        ids: dict[Kind, list[Value]] = {}
        for ref in refs:
            ids.setdefault(ref.kind, []).append(ref.id)
        wanted: dict[RowsUsed, dict[Value, None]] = {}
        for kind, values in ids.items():
            for used in self._used(kind):
                wanted.setdefault(used, {}).update(dict.fromkeys(values))
        # A line found by its order need not be read once more by its own key: rows by key come behind the found ones.
        # Rows that other rows name come last.
        for used in sorted(wanted, key=lambda used: (used.named_in is not None, self._is_key(used))):
            table = self._rows.tables[used.table]
            named = wanted[used] if used.named_in is None else self._named(*used.named_in)
            if self._is_key(used):
                self._read_by_key(used.table, named)
            elif table.spec.integer_key:  # keys of one type, which Python orders as SQLite does
                self._read_found(used, named)

    def _is_key(self, used: RowsUsed) -> bool:
        return self._rows.tables[used.table].spec.key == (used.column,)

    def _named(self, table: str, column: str) -> dict[Value, None]:
        """The values of the column in all rows of the table that are at hand."""
        rows = self._by_key.get(table, _NONE_READ).values()
        return {value: None for row in rows if row is not None and (value := row.get(column)) is not None}

    def _read_by_key(self, table: str, keys: Iterable[Value]) -> None:
        held = self._by_key.setdefault(table, {})
        missing = [key for key in keys if key not in held and _is_plain(key)]
        held.update(self._rows.tables[table].rows_by_key(missing))

    def _read_found(self, used: RowsUsed, values: Iterable[Value]) -> None:
        table = self._rows.tables[used.table]
        asked = [value for value in values if _is_plain(value)]
        found: dict[Value, list[Row]] = {value: [] for value in asked}
        by_key = self._by_key.setdefault(used.table, {})
        [key, *further] = table.spec.key
        for row in table.rows_with(used.column, asked):
            found[row[used.column]].append(row)
            if not further:
                by_key[row[key]] = row
        order = itemgetter(*table.spec.key)
        for rows in found.values():
            if len(rows) > 1:
                rows.sort(key=order)
        self._found[used.table, used.column] = found

    # ------------------------------------------------------------------------------------------------ RowReader

    def get(self, table: str, *key: Value) -> Row | None:
        """See ``RowReader``."""
        if len(key) == 1:
            row = self._by_key.get(table, _NONE_READ).get(key[0], _NOT_READ)
            if row is not _NOT_READ:
                return row  # type: ignore[no-any-return]
        return self._rows.get(table, *key)

    def find(self, table: str, column: str, value: Value) -> Sequence[Row]:
        """See ``RowReader``."""
        found: Sequence[Row] | None = self._found.get((table, column), _NONE_READ).get(value)
        return found if found is not None else self._rows.find(table, column, value)

    def descending(self, table: str, column: str, value: Value, order: tuple[str, ...]) -> Iterator[Row]:
        """See ``RowReader``."""
        return self._rows.descending(table, column, value, order)

    def totals(self, table: str, column: str, value: Value) -> Sequence[Row] | None:
        """See ``RowReader``."""
        return self._rows.totals(table, column, value)

    def reference(self, name: str, build: Callable[[RowReader], T]) -> T:
        """See ``RowReader``."""
        return self._rows.reference(name, build)
