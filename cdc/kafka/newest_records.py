"""A sample of keys, each with its newest record: a check of the replica that shares no code with the replica.

The replica orders rows by the records' positions in the source's log (row_order.py). This sample only assumes that the
last record of a partition is the newest of its key. Once everything is read, both must agree on whether a row exists.
Kept in memory, bounded, and started again at each start. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

from cdc.model import Cells, Change, NewestRow, Op

MOST: Final = 50
"""Keys of one table: those with the lowest checksums. So a key is followed from its first record on, or never."""

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Newest:
    rank: int
    partition: str
    cells: Cells | None


class NewestRecords:
    """The newest record of some keys of each table, in this run."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[_Key, _Newest]] = {}
        self._limits: dict[str, int] = {}
        self._unsure: set[str] = set()

    def note(self, change: Change, width: int, partition: str) -> None:
        """A record was read. ``width``: how many columns the table's primary key has; ``partition``: the record's."""
        # A TRUNCATE came, and the order of its rows is lost for this run.
        if change.table in self._unsure:
            return
        # Partitions are not ordered among each other: nobody knows which rows came before a TRUNCATE.
        if change.op is Op.TRUNCATE:
            self._unsure.add(change.table)
            self._tables.pop(change.table, None)
            return
        before = change.before[:width] if change.before is not None else None
        after = change.after[:width] if change.after is not None else None
        # A deletion, or an UPDATE that moved the row to another key.
        if before is not None and before != after:
            self._note(change.table, before, None, partition)
        if after is not None:
            self._note(change.table, after, change.after, partition)

    def _note(self, table: str, key: _Key, cells: Cells | None, partition: str) -> None:
        rows = self._tables.setdefault(table, {})
        held = rows.get(key)
        if held is not None:
            # Records of one key in two partitions have no order.
            held.partition = partition if held.partition == partition else ""
            held.cells = cells
            return
        rank = crc32(repr(key).encode())
        # It was passed over once: nobody knows what its earlier records said.
        if rank >= self._limits.get(table, 1 << 32):
            return
        rows[key] = _Newest(rank, partition, cells)
        # The limit only falls, so a key that goes never comes back with a part of its history.
        if len(rows) > MOST:
            last = max(rows, key=lambda one: rows[one].rank)
            self._limits[table] = rows.pop(last).rank

    def sample(self) -> tuple[NewestRow, ...]:
        """Each key of the sample with its newest row, if all its records are in one partition."""
        return tuple(
            NewestRow(table, key, newest.cells)  # type: ignore[arg-type]  # keys are always in the image
            for table, rows in self._tables.items()
            for key, newest in rows.items()
            if newest.partition
        )
