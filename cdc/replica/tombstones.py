"""Tombstones: the LSN of each key's deletion, kept while an older read may still bring the deleted row.

Code that reads rows must also remove tombstones, or the table grows for ever. The end of a load clears the table. With
``start = "latest"``, where rows are always fetched, each fetch removes the tombstones that no later fetch can need. For
topics in another order than the source's, tombstones are kept for a day after every row of their time was read
(``Feeds.forgettable``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from cdc.model import Absent, Cells, DeleteRule, ForeignKey, TableSpec, Value
from cdc.state.store import Store

WHOLE_TABLE: Final[tuple[Value, ...]] = ()
"""The key of a TRUNCATE's tombstone: no row has an empty key."""

_NONE: Final = (-1, -1)


class Tombstones:
    """The state's table ``tombstone``. Use inside a store transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables: set[str] | None = None
        """Tables that may have tombstones. A load asks four times a row, and most tables have none. Never shrinks."""

    def last(self, table: str, key: Sequence[Value]) -> tuple[int, int]:
        """The LSNs of the key's last deletion and of its last deletion with cascades; -1 if there was none."""
        if self._tables is None:
            self._tables = {name for (name,) in self._store.db.execute("SELECT DISTINCT tbl FROM tombstone")}
        if table not in self._tables:
            return _NONE
        row: tuple[int, int] | None = self._store.db.execute(
            "SELECT lsn, cascaded FROM tombstone WHERE tbl = ? AND key = ?", (table, json.dumps(list(key)))
        ).fetchone()
        return row or _NONE

    def add(self, table: str, key: Sequence[Value], lsn: int, *, cascades: bool) -> None:
        """The row was deleted at this LSN. ``cascades``: rows of other tables that refer to it were deleted or changed
        too.
        """
        if self._tables is not None:
            self._tables.add(table)
        self._store.db.execute(
            "INSERT INTO tombstone (tbl, key, lsn, cascaded) VALUES (?, ?, ?, ?) ON CONFLICT (tbl, key) DO UPDATE"
            " SET lsn = max(lsn, excluded.lsn), cascaded = max(cascaded, excluded.cascaded)",
            (table, json.dumps(list(key)), lsn, lsn if cascades else -1),
        )

    def after_parents(
        self, spec: TableSpec, key: Sequence[Value], cells: Cells, lsn: int, keys: Iterable[ForeignKey]
    ) -> Cells | None:
        """A row that was read at ``lsn``, after its parents' deletions since. ``keys``: the row's foreign keys.

        With NULL for a SET NULL; None if the row was deleted with a parent.
        """
        for foreign in keys:
            at = spec.columns.index(foreign.child_column)
            parent = cells[at]
            # No parent is named, or the image does not say.
            if parent is None or isinstance(parent, Absent):
                continue
            buried = self.last(foreign.parent, (parent,))[1]
            # The parent was deleted after this row was read: what the server did to the row is done here.
            if buried > lsn:
                if foreign.rule is DeleteRule.CASCADE:
                    # A later chunk may bring children of this row.
                    self.add(spec.name, key, buried, cascades=True)
                    return None
                cells = (*cells[:at], None, *cells[at + 1 :])
        return cells

    def forget_until(self, lsn: int) -> None:
        """Every later read contains everything up to this LSN: remove the tombstones of older deletions."""
        self._store.db.execute("DELETE FROM tombstone WHERE lsn <= ?", (lsn,))

    def clear(self) -> None:
        """No row can arrive late any more: remove all tombstones."""
        self._store.db.execute("DELETE FROM tombstone")
