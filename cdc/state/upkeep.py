"""Checks the state file for damage, and frees its empty pages. For commands, not for the daemon."""

from __future__ import annotations

import sqlite3
from typing import Final

from cdc.errors import StateError
from cdc.state.store import Store

MOST: Final = 20
"""How many faults of a damaged file are reported; one is enough to act on."""


def damage(store: Store) -> list[str]:
    """The faults that SQLite finds in the file, which it reads from end to end; empty if the file is whole."""
    try:
        found = [str(row[0]) for row in store.db.execute(f"PRAGMA integrity_check({MOST})")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def compact(store: Store) -> None:
    """Rewrite the file without its empty pages. No other process may have it open.

    Raises StateError; the old file is then unchanged.
    """
    try:
        store.db.execute("VACUUM")
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StateError(
            f"state folder {store.folder}: {error}", hint="nothing is lost; free some disk space, try again"
        ) from error
