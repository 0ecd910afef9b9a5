"""Takes the rows of a stale table that is read from the server again, and finds the objects that this changes.

A row that is unchanged gets the read's LSN too. So a row whose LSN is below the table's required position once the
whole table is read is missing on the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cdc.model import ABSENT, Cells, Change, Op
from cdc.protocols import Mapper
from cdc.replica.affected import AffectedObjects, When
from cdc.replica.apply import Applier
from cdc.replica.rows import ReplicaRows, TableRows

DROP_AT_ONCE: Final = 5000  # rows dropped in one turn of the state thread: a receipt may have to wait behind them


class Resync:
    """Writes the rows of stale tables into the replica. Use inside a store transaction."""

    def __init__(self, rows: ReplicaRows, applier: Applier, mapper: Mapper) -> None:
        self._rows = rows
        self._applier = applier
        self._mapper = mapper

    def take(self, table: str, chunk: Iterable[Cells], lsn: int) -> tuple[int, AffectedObjects]:
        """Take rows that contain everything before ``lsn``. Returns how many there were, and the objects
        that they change.
        """
        with self._rows.gathering():
            return self._take(table, chunk, lsn)

    def _take(self, table: str, chunk: Iterable[Cells], lsn: int) -> tuple[int, AffectedObjects]:
        target = self._rows.tables[table]
        changed = AffectedObjects()
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
                changed.add(self._mapper.affected(table, before, after, self._rows), 0)
            count += 1
        return count, changed

    def drop_unseen(self, table: str, lsn: int) -> tuple[bool, AffectedObjects]:
        """Delete some rows that the server does not have. Returns whether there are no more, and the objects that this
        changes.

        The rows are deleted as the log's deletions are, but without cascades: their children are rows of tables that
        were read too, or rows that a definition left alone.
        """
        target = self._rows.tables[table]
        unseen = target.older_than(lsn, DROP_AT_ONCE)
        aside = self._applier.take_affected()
        for stored in unseen:
            gone = Change(table, Op.DELETE, _image(target, stored), None, cascades=False)
            self._applier.apply(gone, When(lsn, False, 0))
        changed = self._applier.take_affected()
        self._applier.affected_objects = aside
        return len(unseen) < DROP_AT_ONCE, changed


def _image(table: TableRows, stored: tuple[object, ...]) -> Cells:
    row = table.as_row(stored)
    return tuple(row.get(column, ABSENT) for column in table.spec.columns)
