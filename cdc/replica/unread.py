"""Rows of which the log holds only a part, and that have to be read from the server before they can be used.

With binlog_row_image MINIMAL or NOBLOB a change may name a row that is not held, or leave open what some columns hold
(``Image.UNKNOWN``). Such a row stays as it is, and its key is noted here. The loader reads it with a lock: a
transaction that is in the log keeps its rows locked until InnoDB shows it, so what is read contains everything that the
log had said of the row by then. Should it say more before the row arrives, it is read once more. So nothing has to be
remembered of such a row but its key. Use inside a store transaction; ``reread`` after one was undone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from cdc.errors import UnsupportedEventError
from cdc.model import Value
from cdc.state.store import Store


class UnreadRow(NamedTuple):
    """One row to read: ``lsn`` and ``commit_ms`` are those of the last transaction that brought a part of it."""

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
        """Whether there are any; may be looked at from other threads."""
        self.reread()

    def reread(self) -> None:
        """Look whether the state has any."""
        known = self._store.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'unread_row'").fetchone()
        self.any = bool(known) and self._store.db.execute("SELECT 1 FROM unread_row LIMIT 1").fetchone() is not None

    def add(self, row: UnreadRow) -> None:
        """The row has to be read, anew if it is being read now. UnsupportedEventError if there is no server."""
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
        """Those that the log named first."""
        rows = self._store.db.execute("SELECT tbl, key, lsn, commit_ms FROM unread_row ORDER BY lsn LIMIT ?", (limit,))
        return [UnreadRow(table, tuple(json.loads(key)), lsn, ms) for table, key, lsn, ms in rows]

    def is_current(self, row: UnreadRow) -> bool:
        """Whether the log has said no more of the row since it was ``due``, nor all of it."""
        found = self._store.db.execute(
            "SELECT 1 FROM unread_row WHERE tbl = ? AND key = ? AND lsn = ?", (row.table, _text(row.key), row.lsn)
        )
        return found.fetchone() is not None

    def drop(self, table: str, key: Sequence[Value], lsn: int) -> None:
        """The row is whole as of ``lsn``, or gone."""
        if self.any:
            self._drop("tbl = ? AND key = ? AND lsn <= ?", (table, _text(key), lsn))

    def drop_table(self, table: str, lsn: int) -> None:
        """All rows of the table are gone as of ``lsn``."""
        if self.any:
            self._drop("tbl = ? AND lsn <= ?", (table, lsn))

    def _drop(self, where: str, arguments: tuple[object, ...]) -> None:
        if self._store.db.execute(f"DELETE FROM unread_row WHERE {where}", arguments).rowcount:
            self.reread()


def _text(key: Sequence[Value]) -> str:
    return json.dumps(list(key))
