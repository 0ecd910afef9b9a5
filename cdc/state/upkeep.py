"""The state file as a whole: damage is looked for, and empty pages are given back. For commands, not for the daemon."""

from __future__ import annotations

import sqlite3
from typing import Final

from cdc.errors import StateError
from cdc.state.store import Store

MOST: Final = 20
"""Faults of a damaged file that are told; one is enough to act on."""


def damage(store: Store) -> list[str]:
    """What SQLite finds wrong with the file, read from end to end; nothing if it is whole."""
    try:
        found = [str(row[0]) for row in store.db.execute(f"PRAGMA integrity_check({MOST})")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def compact(store: Store) -> None:
    """Rewrite the file without its empty pages. Nobody else may have it open. Raises StateError, nothing being lost."""
    try:
        store.db.execute("VACUUM")
        store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise StateError(
            f"state folder {store.folder}: {error}", hint="nothing is lost; free some disk space, try again"
        ) from error
