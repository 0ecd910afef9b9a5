"""Rows of one table in memory: those met lately, and those written that the file does not have yet.

A group of transactions meets most of its rows several times: an order is placed, paid and rendered. So rows are looked
up once and written once, together, at the end of the group (``TableRows.flush``). Only rows whose key is made of
integers are kept: SQLite finds row 12 by the text "12" too, and a dictionary does not. Pure: no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cdc.model import Row

Stored = tuple[Any, ...]
"""A row as SQLite gives it: the stored columns, then the LSN."""

KEPT: Final = 300
"""Rows kept of each table, at least; twice as many at most. An order of forty columns takes some 6 KB."""


class RecentRow:
    """The row under one key; None: there is none. ``row``: the same by column name, made when somebody asks for it."""

    __slots__ = ("row", "stored")

    def __init__(self, stored: Stored | None, row: Row | None = None) -> None:
        self.stored = stored
        self.row = row


class RecentRows:
    """The rows of one table. ``unwritten``: key → the row to be written, None: to be deleted."""

    def __init__(self, columns: tuple[str, ...], key: tuple[str, ...]) -> None:
        self._columns = columns
        self._key_at = tuple(columns.index(name) for name in key)
        self._new: dict[Stored, RecentRow] = {}
        self._old: dict[Stored, RecentRow] = {}
        self.unwritten: dict[Stored, Stored | None] = {}
        self._keys_by_value: dict[str, dict[Any, set[Stored]]] = {}

    def get(self, key: Stored) -> RecentRow | None:
        """The row under this key; None if nothing is known of the key."""
        found = self._new.get(key)
        if found is not None:
            return found
        found = self._old.get(key)
        # Rows that are used stay: only those that nobody asked for since the last change of halves are dropped.
        if found is not None:
            self.keep(key, found)
            return found
        # Not dropped with the others: the file does not have it.
        if key in self.unwritten:
            return self.keep(key, RecentRow(self.unwritten[key]))
        return None

    def keep(self, key: Stored, row: RecentRow) -> RecentRow:
        """Remember the row."""
        # Two halves: dropping the older half costs nothing for each row.
        if len(self._new) >= KEPT:
            self._old, self._new = self._new, {}
        self._new[key] = row
        return row

    def drop(self, key: Stored) -> None:
        """Forget what is known of this key."""
        self._new.pop(key, None)
        self._old.pop(key, None)

    def write_later(self, key: Stored, stored: Stored | None) -> None:
        """The row is to be written, or (None) deleted, at the end of the group."""
        self.unwritten[key] = stored
        for column, keys in self._keys_by_value.items():
            self._note(column, keys, key, stored)

    def _note(self, column: str, keys: dict[Any, set[Stored]], key: Stored, stored: Stored | None) -> None:
        # A row that had another value before stays noted under it; ``laid_over`` compares.
        if stored is not None:
            keys.setdefault(stored[self._columns.index(column)], set()).add(key)

    def laid_over(self, found: Iterable[Stored], column: str, value: object) -> list[Stored]:
        """Rows of the file with this value, and what is not written yet laid over them; in key order.

        ``found``: the file's rows with this value, in key order. A comparison with NULL finds nothing, as in SQL.
        """
        if not self.unwritten or value is None:
            return list(found)
        keys = self._keys_by_value.get(column)
        # Built at the first question for this column, and kept until the rows are written.
        if keys is None:
            keys = self._keys_by_value[column] = {}
            for key, stored in self.unwritten.items():
                self._note(column, keys, key, stored)
        at = self._columns.index(column)
        rows = [row for row in found if self._key_of(row) not in self.unwritten]
        added = [self.unwritten[key] for key in keys.get(value, ())]
        new = [row for row in added if row is not None and row[at] == value]
        if not new:
            return rows
        return sorted([*rows, *new], key=self._key_of)

    def _key_of(self, stored: Stored) -> Stored:
        return tuple([stored[at] for at in self._key_at])

    def written(self) -> None:
        """All rows are in the file."""
        self.unwritten.clear()
        self._keys_by_value.clear()

    def forget(self) -> None:
        """Forget everything, unwritten rows included."""
        self._new, self._old = {}, {}
        self.written()
