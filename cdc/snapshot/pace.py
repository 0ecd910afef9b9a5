"""How many rows a chunk has: as many as the server reads in about half a second. Pure.

A chunk that takes long holds an old snapshot open, and the server keeps old row versions for it; a chunk of few rows
spends its time on the way. Rows of one table are like each other, so each table has a size of its own.
"""

from __future__ import annotations

from typing import Final

LEAST: Final = 50
MOST: Final = 50_000
STEP: Final = 2.0
"""The size at most doubles or halves from one chunk to the next: one slow moment of the server says little."""


class ChunkSizes:
    """Sizes by table. ``first``: rows of a table's first chunk. ``target_s``: seconds a chunk is to take; 0: all chunks
    are like the first.
    """

    def __init__(self, first: int, target_s: float) -> None:
        self._first = first
        self._target_s = target_s
        self._rows: dict[str, int] = {}

    def of(self, table: str) -> int:
        """Rows of the table's next chunk."""
        return self._rows.get(table, self._first)

    def took(self, table: str, rows: int, seconds: float) -> None:
        """A chunk brought so many rows in so many seconds. A last chunk, which is short, says nothing of the size."""
        asked = self.of(table)
        if not self._target_s or rows < asked:
            return
        factor = min(STEP, max(1 / STEP, self._target_s / max(seconds, 0.001)))
        self._rows[table] = _bounded(int(asked * factor), self._first)

    def timed_out(self, table: str) -> None:
        """The server ended the chunk's SELECT: the next one is far smaller."""
        self._rows[table] = _bounded(self.of(table) // 4, self._first)


def _bounded(rows: int, first: int) -> int:
    return max(min(LEAST, first), min(MOST, rows))
