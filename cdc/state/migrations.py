"""The version of the state file's layout, and the steps from an older version to the present version.

The version is in the file's head (``PRAGMA user_version``). A release that changes a fixed table raises
``SCHEMA_VERSION`` by one and adds the statements that change the earlier version into it. Mapped tables need no
migration: the state loads a table again when its columns change. Version 1 is the version of release 0.1.0, the first
release.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cdc.errors import StateError

SCHEMA_VERSION: Final = 1
"""The version that this program reads and writes."""

MIGRATIONS: Final[Mapping[int, Sequence[str]]] = {}
"""Version → the statements that change a file of the version before into this version."""

AFRESH: Final = "remove the folder to import the store afresh"


def migrate(
    connection: sqlite3.Connection,
    folder: Path,
    *,
    may_write: bool,
    version: int = SCHEMA_VERSION,
    migrations: Mapping[int, Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring the file to ``version``, inside the caller's transaction. A new file only gets the number.

    ``may_write`` False: the caller only reads. Raises StateError for a file that cannot be changed: a file of a later
    release, a file from before release 0.1.0, or an older file while the caller only reads.
    """
    held = connection.execute("PRAGMA user_version").fetchone()[0]
    if held > version:
        raise StateError(
            f"state folder {folder} was written by a later release of magento-cdc (layout {held}, this release reads"
            f" layout {version})",
            hint=f"run the release that wrote it, or {AFRESH}",
        )
    if held == version:
        return
    is_new = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    if not held and not is_new:  # builds before 0.1.0 kept no number in the file's head
        raise StateError(
            f"state folder {folder} was written by a build of magento-cdc from before release 0.1.0, which this release"
            " cannot read",
            hint=AFRESH,
        )
    if not may_write:
        if is_new:  # a command looks into a folder where nothing ever ran: there is nothing to bring anywhere
            return
        raise StateError(
            f"state folder {folder} was written by an earlier release of magento-cdc (layout {held}, this release reads"
            f" layout {version})",
            hint="start `magento-cdc run` of this release once: it brings the folder to its own layout",
        )
    for number in range(held + 1, version + 1) if held else ():
        for statement in migrations[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")
