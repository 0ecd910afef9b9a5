"""Unread rows: the log has only a part of them, so they have to be read from the server before they can be used.

With binlog_row_image MINIMAL or NOBLOB a change may name a row that the replica does not have, or leave the values of
some columns open (``Image.UNKNOWN``). Such a row stays as it is, and its key is noted here. The loader reads the row
with a lock: a transaction that is in the log keeps its rows locked until InnoDB shows it. So the read contains all
changes of the row that the log had by then. If the log brings a further change before the row arrives, the row is read
once more. So only the key has to be remembered. Use inside a store transaction. Call ``reread`` after an undo.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from cdc.errors import UnsupportedEventError
from cdc.model import Value
from cdc.state.store import Store


class UnreadRow(NamedTuple):
    """One row to read. ``lsn`` and ``commit_ms`` are those of the last transaction that brought a part of it."""

    table: str
    key: tuple[Value, ...]
    lsn: int
    commit_ms: int


class Unread:
    """The state's table ``unread_row``. ``can_read`` False: there is no server to read from."""

    def __init__(self, store: Store, *, can_read: bool = True) -> None:
        self._store = store
        self.can_read = can_read
        self.any = False
        """Whether there are unread rows. Other threads may read it."""
        self.reread()

    def reread(self) -> None:
        """Find out from the state whether there are unread rows."""
        known = self._store.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'unread_row'").fetchone()
        self.any = bool(known) and self._store.db.execute("SELECT 1 FROM unread_row LIMIT 1").fetchone() is not None

    def add(self, row: UnreadRow) -> None:
        """The row has to be read, or read again if a read is running. UnsupportedEventError if there is no server."""
        # Files and topics have no server to ask, and guessing a value is not an option.
        if not self.can_read:
            raise UnsupportedEventError(
                f"a change of a row of {row.table} that the log does not hold whole (binlog_row_image,"
                " binlog_row_value_options), and there is no server to read the rest from",
                hint='read the log through the server (source.kind = "binlog"), or have it write whole rows',
            )
        self._store.db.execute(
            "INSERT INTO unread_row (tbl, key, lsn, commit_ms) VALUES (?, ?, ?, ?) ON CONFLICT (tbl, key) DO UPDATE SET"
            " lsn = max(lsn, excluded.lsn), commit_ms = max(commit_ms, excluded.commit_ms)",
            (row.table, _text(row.key), row.lsn, row.commit_ms),
        )
        self.any = True

    def holds(self, table: str, key: Sequence[Value]) -> bool:
        """Whether the row has to be read."""
        if not self.any:
            return False
        found = self._store.db.execute("SELECT 1 FROM unread_row WHERE tbl = ? AND key = ?", (table, _text(key)))
        return found.fetchone() is not None

    def due(self, limit: int) -> list[UnreadRow]:
        """The unread rows that the log named first."""
        rows = self._store.db.execute("SELECT tbl, key, lsn, commit_ms FROM unread_row ORDER BY lsn LIMIT ?", (limit,))
        return [UnreadRow(table, tuple(json.loads(key)), lsn, ms) for table, key, lsn, ms in rows]

    def is_current(self, row: UnreadRow) -> bool:
        """Whether the log has brought no further change of the row since it was ``due``, and not the whole row."""
        found = self._store.db.execute(
            "SELECT 1 FROM unread_row WHERE tbl = ? AND key = ? AND lsn = ?", (row.table, _text(row.key), row.lsn)
        )
        return found.fetchone() is not None

    def drop(self, table: str, key: Sequence[Value], lsn: int) -> None:
        """The row is whole as of ``lsn``, or deleted."""
        if self.any:
            self._drop("tbl = ? AND key = ? AND lsn <= ?", (table, _text(key), lsn))

    def drop_table(self, table: str, lsn: int) -> None:
        """All rows of the table are deleted as of ``lsn``."""
        if self.any:
            self._drop("tbl = ? AND lsn <= ?", (table, lsn))

    def _drop(self, where: str, arguments: tuple[object, ...]) -> None:
        if self._store.db.execute(f"DELETE FROM unread_row WHERE {where}", arguments).rowcount:
            self.reread()


def _text(key: Sequence[Value]) -> str:
    return json.dumps(list(key))
