"""Takes rows of a doubtful table that is read from the server again, and notes which objects that changes.

Rows that are as they were get the read's LSN all the same: what is older than the table's floor when the whole table
is through was not met by any read, so the server does not have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cdc.messages import render_queue
from cdc.model import ABSENT, Cells, Change, Op, Urgency
from cdc.protocols import Mapper
from cdc.replica.affected import AffectedObjects, When
from cdc.replica.apply import Applier
from cdc.replica.rows import ReplicaRows, TableRows
from cdc.state.store import Store

NEVER: Final = (1 << 63) - 1  # the place of a sweep that waits for the end of the reading
DROP_AT_ONCE: Final = 5000  # rows dropped in one turn of the state thread: a receipt may have to wait behind them


class Resync:
    """Reads of doubtful tables go into the replica here. Use inside a store transaction."""

    def __init__(self, store: Store, rows: ReplicaRows, applier: Applier, mapper: Mapper) -> None:
        self._store = store
        self._rows = rows
        self._applier = applier
        self._mapper = mapper

    def take(self, table: str, chunk: Iterable[Cells], lsn: int) -> int:
        """Rows that contain everything before ``lsn``. Returns how many there were."""
        target = self._rows.tables[table]
        affected_objects = AffectedObjects()
        count = 0
        for cells in chunk:
            key = cells[: target.key_width]
            held = target.get(key)  # type: ignore[arg-type]  # key columns come first and are always there
            self._applier.load(table, (cells,), lsn)
            now = target.get(key)  # type: ignore[arg-type]
            if held is not None and now == held:
                if held[-1] < lsn:
                    target.put(held[:-1], lsn, held)
            elif not target.spec.keys_only:
                before = target.as_row(held) if held is not None else None
                after = target.as_row(now) if now is not None else None
                affected_objects.add(self._mapper.affected(table, before, after, self._rows), 0)
            count += 1
        self._note(affected_objects)
        return count

    def drop_unseen(self, table: str, lsn: int) -> bool:
        """Drop rows that no read has met, some at a time; True when there are no more.

        They go as the log's deletions do, without cascades: children are rows of tables that were read themselves, or
        rows that a definition left alone.
        """
        target = self._rows.tables[table]
        unseen = target.older_than(lsn, DROP_AT_ONCE)
        aside = self._applier.take_affected()
        for stored in unseen:
            gone = Change(table, Op.DELETE, _image(target, stored), None, cascades=False)
            self._applier.apply(gone, When(lsn, False, 0))
        self._note(self._applier.take_affected())
        self._applier.affected_objects = aside
        return len(unseen) < DROP_AT_ONCE

    def _note(self, affected_objects: AffectedObjects) -> None:
        self._store.db.executemany(
            "INSERT OR IGNORE INTO found VALUES (?, ?)", [(ref.kind.value, ref.id) for ref in affected_objects.objects]
        )
        for invalidation in affected_objects.invalidations:
            render_queue.add_invalidation(self._store, invalidation, urgency=Urgency.HISTORY, not_before=NEVER)

    def release(self, not_before: int) -> None:
        """All reads are through: what they found changed may be rendered once the log has passed ``not_before``."""
        self._store.db.execute(
            "INSERT INTO dirty (kind, id, urgency, not_before) SELECT kind, id, ?, ? FROM found WHERE true"
            " ON CONFLICT (kind, id) DO UPDATE SET not_before = max(not_before, excluded.not_before)",
            (int(Urgency.HISTORY), not_before),
        )
        self._store.db.execute("DELETE FROM found")
        self._store.db.execute("UPDATE sweep SET not_before = ? WHERE not_before = ?", (not_before, NEVER))


def _image(table: TableRows, stored: tuple[object, ...]) -> Cells:
    row = table.as_row(stored)
    return tuple(row.get(column, ABSENT) for column in table.spec.columns)
