"""Reads which objects the receiver holds from the state file of another process (``run --dry-run``)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cdc.model import ObjectRef
from cdc.state.objects import line


class HeldObjects:
    """A read-only connection of its own. The file may still be missing before the first question."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def count(self) -> int:
        """How many objects the receiver holds; 0 without a file."""
        if not self._path.exists():
            return 0
        sql = "SELECT count(*) FROM ledger WHERE accepted_at > 0 AND accepted_delete = 0"
        found: int = self._open().execute(sql).fetchone()[0]
        return found

    def has(self, ref: ObjectRef) -> bool:
        """Whether the receiver holds the object, by the receipts so far. A
        DELETE that is on its way changes nothing.
        """
        row = line(self._open(), "ledger", "accepted_at > 0 AND accepted_delete = 0", ref)
        return row is not None and bool(row[0])

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, check_same_thread=False)
        return self._database

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
