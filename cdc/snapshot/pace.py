"""How many rows a chunk has: as many as the server reads in about half a second. Pure.

A slow chunk keeps an old snapshot open, and the server keeps old row versions for it. A chunk of few rows spends its
time on the network. Rows of one table are alike, so each table has a size of its own.
"""

from __future__ import annotations

from typing import Final

LEAST: Final = 50
MOST: Final = 2000
"""Objects that live changes affect are read by the same connection, so they wait for a chunk; and its rows are in
memory.
"""
STEP: Final = 2.0
"""From one chunk to the next, the size at most doubles or halves: one slow moment of the server means little."""


class ChunkSizes:
    """Sizes by table. ``first``: rows of a table's first chunk. ``target_s``: the seconds a chunk should take; 0: all
    chunks have the first size.
    """

    def __init__(self, first: int, target_s: float) -> None:
        self._first = first
        self._target_s = target_s
        self._rows: dict[str, int] = {}

    def of(self, table: str) -> int:
        """Rows of the table's next chunk."""
        return self._rows.get(table, self._first)

    def took(self, table: str, rows: int, seconds: float) -> None:
        """A chunk brought this many rows in this many seconds. A table's last chunk is short and does not
        change the size.
        """
        asked = self.of(table)
        if not self._target_s or rows < asked:
            return
        factor = min(STEP, max(1 / STEP, self._target_s / max(seconds, 0.001)))
        self._rows[table] = _bounded(int(asked * factor), self._first)

    def timed_out(self, table: str) -> None:
        """The server ended the chunk's SELECT: the next chunk is far smaller."""
        self._rows[table] = _bounded(self.of(table) // 4, self._first)


def _bounded(rows: int, first: int) -> int:
    return max(min(LEAST, first), min(max(MOST, first), rows))
