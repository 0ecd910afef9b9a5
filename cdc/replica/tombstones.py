"""Deleted rows that an older read may still bring: the LSN of each key's deletion, kept while rows may arrive late.

Whatever brings rows has to let tombstones go again, or the table grows for ever: the end of a load clears it, and where
rows are fetched for good (``start = "latest"``) each fetch drops those that no later fetch can need. Topics in another
order than the source's keep them for a day after everything of their time was read (``Feeds.forgettable``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from cdc.model import Value
from cdc.state.store import Store

WHOLE_TABLE: Final[tuple[Value, ...]] = ()
"""The key of a TRUNCATE's tombstone: no row has an empty key."""

_NONE: Final = (-1, -1)


class Tombstones:
    """The state's table ``tombstone``. Use inside a store transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables: set[str] | None = None
        """Tables that may have tombstones: a load asks four times a row, and most tables have none. Never shrinks."""

    def last(self, table: str, key: Sequence[Value]) -> tuple[int, int]:
        """The LSNs of the key's last deletion and of its last deletion that cascaded; -1 for none."""
        if self._tables is None:
            self._tables = {name for (name,) in self._store.db.execute("SELECT DISTINCT tbl FROM tombstone")}
        if table not in self._tables:
            return _NONE
        row: tuple[int, int] | None = self._store.db.execute(
            "SELECT lsn, cascaded FROM tombstone WHERE tbl = ? AND key = ?", (table, json.dumps(list(key)))
        ).fetchone()
        return row or _NONE

    def add(self, table: str, key: Sequence[Value], lsn: int, *, cascades: bool) -> None:
        """The row was deleted at this LSN; ``cascades``: rows of other tables that refer to it went along."""
        if self._tables is not None:
            self._tables.add(table)
        self._store.db.execute(
            "INSERT INTO tombstone (tbl, key, lsn, cascaded) VALUES (?, ?, ?, ?) ON CONFLICT (tbl, key) DO UPDATE"
            " SET lsn = max(lsn, excluded.lsn), cascaded = max(cascaded, excluded.cascaded)",
            (table, json.dumps(list(key)), lsn, lsn if cascades else -1),
        )

    def forget_until(self, lsn: int) -> None:
        """Whatever arrives from now on contains everything up to this LSN, so older deletions cannot be missed."""
        self._store.db.execute("DELETE FROM tombstone WHERE lsn <= ?", (lsn,))

    def clear(self) -> None:
        """No row can arrive late any more."""
        self._store.db.execute("DELETE FROM tombstone")
