"""The replica's rows: renderers read them (``RowReader``), ``apply`` writes them. One prepared statement
per kind of use.

While a group of transactions is applied (``ReplicaRows.gathering``), rows are written into memory and go to the file
together at the end of the group. Every look at a table sees both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

import orjson

from cdc.model import Row, TableSpec, Value
from cdc.protocols import CART_CLOCK
from cdc.replica import cart_clock
from cdc.replica.recent_rows import RecentRow, RecentRows, Stored
from cdc.replica.totals import Totals
from cdc.state.schema import quoted, stored_columns, table_name, uses_rowid
from cdc.state.store import Store

T = TypeVar("T")

SLICE_ROWS = 1000
_BEFORE_ALL = -(1 << 63)

MOST_UNWRITTEN: Final = 5000
"""Rows of a table, deletions included, that memory holds before they are written: a transaction may have millions."""

__all__ = ["NOT_GIVEN", "ReplicaRows", "RowListener", "Stored", "TableRows"]

NOT_GIVEN: Final[Stored] = ("not given",)
"""Stands for a row that the caller has not read."""


class RowListener(Protocol):
    """Is called for every row that is put or deleted, with its values by column name; None where there is no row."""

    def put(
        self, spec: TableSpec, key: Sequence[Any], before: dict[str, Any] | None, after: dict[str, Any]
    ) -> None: ...

    def delete(self, spec: TableSpec, key: Sequence[Any], before: dict[str, Any] | None) -> None: ...


class TableRows:
    """One mapped table: its statements, and the order of its columns.

    ``keeps``: rows met lately stay in memory; for the only process that writes the state.
    """

    def __init__(self, db: sqlite3.Connection, spec: TableSpec, *, keeps: bool = False) -> None:
        self._db = db
        self.spec = spec
        self.gathers = False
        """Whether rows are written to the file later, by ``flush``."""
        self.listener: RowListener | None = None
        self.columns = stored_columns(spec)
        self.key_width = len(spec.key)
        self._is_numbered = keeps and uses_rowid(spec)
        self._highest: int | None = None
        self._are_keys_first = self.columns[: self.key_width] == spec.key
        self._recent = RecentRows(self.columns, spec.key) if keeps else None
        name, columns = table_name(spec.name), ", ".join(quoted(c) for c in self.columns)
        where = " AND ".join(f"{quoted(c)} = ?" for c in spec.key)
        order = ", ".join(quoted(c) for c in spec.key)
        self._get = f"SELECT {columns}, lsn FROM {name} WHERE {where}"
        self._max = f"SELECT max({quoted(spec.key[0])}) FROM {name}"
        self._get_many = (
            f"SELECT {columns}, lsn FROM {name} WHERE {quoted(spec.key[0])} IN (SELECT value FROM json_each(?))"
        )
        self._find_many = f"SELECT {columns}, lsn FROM {name} WHERE {{column}} IN (SELECT value FROM json_each(?))"
        self._find = f"SELECT {columns}, lsn FROM {name} WHERE {{column}} = ? ORDER BY {order}"
        self._find_any_case = f"SELECT {columns}, lsn FROM {name} WHERE {{column}} = ? COLLATE NOCASE ORDER BY {order}"
        self._descending = f"SELECT {columns}, lsn FROM {name} WHERE {{column}} = ? ORDER BY {{order}}"
        self._put = f"INSERT OR REPLACE INTO {name} ({columns}, lsn) VALUES ({', '.join('?' * len(self.columns))}, ?)"
        self._delete = f"DELETE FROM {name} WHERE {where}"
        self._clear = f"DELETE FROM {name}"
        self._older = f"SELECT {columns}, lsn FROM {name} WHERE lsn < ? LIMIT ?"
        self._all = f"SELECT rowid, {columns}, lsn FROM {name} WHERE rowid > ? ORDER BY rowid LIMIT {SLICE_ROWS}"

    def get(self, key: Sequence[Value]) -> Stored | None:
        """The stored row with this key."""
        return self._look_up(tuple(key)).stored

    def get_many(self, keys: Sequence[Stored]) -> dict[Stored, Stored]:
        """The stored rows with these keys. One statement where the key is one number."""
        # One row may be in memory.
        if self.key_width > 1 or len(keys) == 1 or not all(map(_is_of_integers, keys)):
            return {key: stored for key in keys if (stored := self.get(key)) is not None}
        self.flush()
        found = self._db.execute(self._get_many, (orjson.dumps([key[0] for key in keys]).decode(),))
        return {self.key_of(stored): stored for stored in found}

    def row(self, key: Sequence[Value]) -> Row | None:
        """The row with this key by column name, without the LSN. Others get the same, so it must not be changed."""
        found = self._look_up(tuple(key))
        if found.row is None and found.stored is not None:
            found.row = self.as_row(found.stored)
        return found.row

    def rows_by_key(self, keys: Iterable[Value]) -> dict[Value, Row | None]:
        """Each of these keys of one column, with its row as ``row`` gives it. One statement for the rows that memory
        does not hold. The keys are integers of 64 bits, or texts that JSON can hold.
        """
        found: dict[Value, Row | None] = dict.fromkeys(keys)
        missing = list(found)
        if self._recent is not None:
            known = [key for key in missing if self._recent.get((key,)) is not None]
            found.update((key, self.row((key,))) for key in known)
            missing = [*found.keys() - known] if known else missing
        for stored in self._db.execute(self._get_many, (orjson.dumps(missing).decode(),)) if missing else ():
            found[self.key_of(stored)[0]] = self.as_row(stored)
        return found

    def rows_with(self, column: str, values: Sequence[Value]) -> Iterator[Row]:
        """The rows with one of these values, in no order. The values are as in ``rows_by_key``."""
        self.flush()
        asked = (orjson.dumps(values).decode(),)
        return map(self.as_row, self._db.execute(self._find_many.format(column=quoted(column)), asked))

    def _look_up(self, key: Stored) -> RecentRow:
        if self._recent is not None:
            found = self._recent.get(key)
            if found is not None:
                return found
            if _is_of_integers(key):
                stored = None if self._is_beyond(key) else self._db.execute(self._get, key).fetchone()
                return self._recent.keep(key, RecentRow(stored))
            self.flush()
        return RecentRow(self._db.execute(self._get, key).fetchone())

    def _is_beyond(self, key: Stored) -> bool:
        """Whether the key is higher than every key of the table: most rows that the log brings are new."""
        if not self._is_numbered:
            return False
        if self._highest is None:
            self.flush()
            self._highest = self._db.execute(self._max).fetchone()[0] or 0
        return bool(key[0] > self._highest)

    def find(self, column: str, value: Value) -> list[Stored]:
        """The stored rows with this value, in key order."""
        found = self._db.execute(self._find.format(column=quoted(column)), (value,))
        if self._recent is None or not self._recent.unwritten:
            return found.fetchall()
        return self._recent.laid_over(found, column, value)

    def find_any_case(self, column: str, value: str) -> list[Stored]:
        """As ``find``. If no row has exactly this value, rows that differ only in the case of ASCII letters."""
        self.flush()
        return (
            self.find(column, value)
            or self._db.execute(self._find_any_case.format(column=quoted(column)), (value,)).fetchall()
        )

    def descending(self, column: str, value: Value, order: tuple[str, ...]) -> Iterator[Stored]:
        """The stored rows with this value, highest first, read lazily."""
        self.flush()
        by = ", ".join(f"{quoted(c)} DESC" for c in order)
        yield from self._db.execute(self._descending.format(column=quoted(column), order=by), (value,))

    def every(self) -> Iterator[Stored]:
        """All stored rows, read in portions. Rows that were given out may be deleted meanwhile."""
        # Paged by rowid: a cursor over all rows would see the deletions made while it runs.
        last = _BEFORE_ALL
        self.flush()
        while found := self._db.execute(self._all, (last,)).fetchall():
            last = found[-1][0]
            for row in found:
                yield row[1:]
            self.flush()

    def older_than(self, lsn: int, limit: int) -> list[Stored]:
        """Some stored rows with an LSN below this LSN."""
        self.flush()
        return self._db.execute(self._older, (lsn, limit)).fetchall()

    def put(self, values: Sequence[Value], lsn: int, held: Stored | None = NOT_GIVEN, row: Row | None = None) -> None:
        """Insert or replace a row; ``values`` in the order of ``columns``. ``held``: the earlier row, if it
        is known. ``row``: the new row by column name, if it is at hand; it must not be changed afterwards.
        """
        # Only a relay listens, and only then is the old row read for it.
        if self.listener is not None:
            key = self.key_of(tuple(values))
            before = self._as_dict(self.get(key) if held is NOT_GIVEN else held)
            self.listener.put(self.spec, key, before, dict(zip(self.columns, values, strict=True)))
        stored = (*values, lsn)
        if self._recent is None:
            self._write(stored)
            return
        key = self.key_of(stored)
        self._note_highest(key)
        if not self.gathers or not _is_of_integers(key):
            self.flush()
            self._recent.drop(key)
            self._write(stored)
            return
        # An image may lack columns; from the file such a row has them all, and mappers ask whether a column is there.
        is_whole = row is not None and len(row) == len(self.columns)
        self._recent.keep(key, RecentRow(stored, row if is_whole else None))
        self._write_later(self._recent, key, stored)

    def _note_highest(self, key: Stored) -> None:
        # Nobody has asked yet where the table ends: the file tells when somebody does.
        if self._highest is None:
            return
        # SQLite may store the text "12" as the number 12.
        if type(key[0]) is not int:
            self._highest = None
        elif key[0] > self._highest:
            self._highest = key[0]

    def _write_later(self, recent: RecentRows, key: Stored, stored: Stored | None) -> None:
        recent.write_later(key, stored)
        # Deletions count too: a nightly job may delete a million carts in one transaction.
        if len(recent.unwritten) >= MOST_UNWRITTEN:
            self.flush()

    def _write(self, stored: Stored) -> None:
        try:
            self._db.execute(self._put, stored)
        except OverflowError:  # BIGINT UNSIGNED over 2^63: SQLite's integers are signed, its text is not bounded
            wide = [str(v) if isinstance(v, int) and not -(1 << 63) <= v < 1 << 63 else v for v in stored]
            self._db.execute(self._put, wide)

    def delete(self, key: Sequence[Value], held: Stored | None = NOT_GIVEN) -> None:
        """Remove the row with this key. ``held``: the earlier row, if it is known."""
        if self.listener is not None:
            before = self._as_dict(self.get(key) if held is NOT_GIVEN else held)
            self.listener.delete(self.spec, key, before)
        key = tuple(key)
        if self._recent is not None and self.gathers and _is_of_integers(key):
            self._recent.keep(key, RecentRow(None))
            self._write_later(self._recent, key, None)
            return
        if self._recent is not None:
            self.flush()
            self._recent.drop(key)
        self._db.execute(self._delete, key)

    def clear(self) -> None:
        """Remove all rows without telling the listener: the rows are not deleted in the shop."""
        self.forget()
        self._db.execute(self._clear)

    def flush(self) -> None:
        """Write the gathered rows into the file."""
        recent = self._recent
        if recent is None or not recent.unwritten:
            return
        gone = [key for key, stored in recent.unwritten.items() if stored is None]
        if gone:
            self._db.executemany(self._delete, gone)
        put = [stored for stored in recent.unwritten.values() if stored is not None]
        try:
            self._db.executemany(self._put, put)
        except OverflowError:  # one of them has a number that only text can hold
            for stored in put:
                self._write(stored)
                recent.drop(self.key_of(stored))  # the file has the number as text
        recent.written()

    def forget(self) -> None:
        """Forget what memory holds, also what is not written yet: the file was set back, or the rows are removed."""
        self._highest = None
        if self._recent is not None:
            self._recent.forget()

    def _as_dict(self, stored: Stored | None) -> dict[str, Any] | None:
        return dict(zip(self.columns, stored, strict=False)) if stored is not None else None

    def as_row(self, stored: Stored) -> Row:
        """The row by column name, without the LSN."""
        return dict(zip(self.columns, stored, strict=False))

    def key_of(self, stored: Stored) -> Stored:
        """The key of a stored row."""
        # Keys come first in most tables, and slicing is cheaper than a search.
        if self._are_keys_first:
            return stored[: self.key_width]
        return tuple(stored[self.columns.index(c)] for c in self.spec.key)


def _is_of_integers(key: Stored) -> bool:
    # Nearly every table has one number as its key.
    return type(key[0]) is int if len(key) == 1 else all([type(part) is int for part in key])


class ReplicaRows:
    """``RowReader`` over the replica. ``keeps``: see ``TableRows``."""

    def __init__(self, store: Store, specs: Sequence[TableSpec], *, keeps: bool = False) -> None:
        self.tables = {spec.name: TableRows(store.db, spec, keeps=keeps) for spec in specs}
        self._totals = {spec.name: Totals(store, spec, spec.totals) for spec in specs if spec.totals is not None}
        self._references: dict[str, Any] = {}
        self._store = store
        self._is_gathering = False
        if keeps:
            store.when_undone(self._undone)
            store.write_gathered = self.flush

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Within the block, changed rows stay in memory. They are written when the outermost block ends, or when a
        statement needs them (``Store.write_gathered``).
        """
        # A chunk of one row must not end what a group or a table that is read again has begun.
        if self._is_gathering:
            yield
            return
        self._gather(True)
        try:
            yield
            self.flush()
        finally:
            self._gather(False)

    def _gather(self, is_gathering: bool) -> None:
        self._is_gathering = is_gathering
        for table in self.tables.values():
            table.gathers = is_gathering

    def flush(self) -> None:
        """Write all gathered rows."""
        for table in self.tables.values():
            table.flush()

    def _undone(self) -> None:
        """Something written was undone: memory may hold what the file no longer has."""
        for table in self.tables.values():
            table.forget()
        self._references.clear()

    def listen(self, listener: RowListener) -> None:
        """From now on, call ``listener`` for every row that is put or deleted."""
        for table in self.tables.values():
            table.listener = listener

    def get(self, table: str, *key: Value) -> Row | None:
        """See ``RowReader``."""
        rows = self.tables.get(table)
        # The one table that is not the shop's.
        if rows is None and table == CART_CLOCK and isinstance(key[0], int):
            clock = cart_clock.get(self._store, key[0])
            return clock.as_row(key[0]) if clock is not None else None
        return rows.row(key) if rows else None

    def find(self, table: str, column: str, value: Value) -> Sequence[Row]:
        """See ``RowReader``."""
        rows = self.tables.get(table)
        return [rows.as_row(stored) for stored in rows.find(column, value)] if rows else []

    def find_any_case(self, table: str, column: str, value: str) -> Sequence[Row]:
        """Rows by a text that a person typed. Reads the whole table if no row has exactly this text."""
        rows = self.tables.get(table)
        return [rows.as_row(stored) for stored in rows.find_any_case(column, value)] if rows else []

    def descending(self, table: str, column: str, value: Value, order: tuple[str, ...]) -> Iterator[Row]:
        """See ``RowReader``."""
        rows = self.tables.get(table)
        if rows:
            for stored in rows.descending(column, value, order):
                yield rows.as_row(stored)

    def totals(self, table: str, column: str, value: Value) -> Sequence[Row] | None:
        """See ``RowReader``."""
        self.tables[table].flush()  # triggers keep the totals of the rows in the file
        return self._totals[table].find(column, value)

    def reference(self, name: str, build: Callable[[Any], T]) -> T:
        """See ``RowReader``."""
        # Built on first use after a change: label tables of a large shop take milliseconds.
        if name not in self._references:
            self._references[name] = build(self)
        held: T = self._references[name]
        return held

    def forget_references(self) -> None:
        """A reference row changed, or a transaction was undone: forget the values built from reference rows."""
        self._references.clear()
