"""Access rights of the state's files, and temporary copies of the state: they contain customers' data.

Only the owner may read the state's files. A copy is in a folder beside the state, and is locked as long as the process
that made it is alive. The next process that opens the state removes the copies that no process has locked.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cdc.errors import StateError

STATE_FILE = "state.sqlite3"

_PREFIX = "dry-run-"
_IN_USE = "in-use"


def make_private(path: Path) -> None:
    """Create the file if it is missing, and let only its owner read it. SQLite gives its -wal and -shm the same mode.

    Raises OSError if the file cannot be created.
    """
    made = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if os.fstat(made).st_uid == os.geteuid():  # another user's file, which its group may write, is left to them
            os.fchmod(made, 0o600)
    finally:
        os.close(made)


def copy_state(source: Path, target: Path) -> None:
    """Copy the state as it is at one moment, even while a daemon writes it. No copy is made if there is no state yet.

    Raises StateError if the state cannot be read or the copy cannot be written.
    """
    if not source.exists():
        return
    make_private(target)
    try:
        with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as held, sqlite3.connect(target) as copy:
            held.backup(copy)
        held.close()
        copy.close()
    except sqlite3.Error as error:
        raise StateError(f"state file {source}: {error}", hint="is there room for a copy beside it?") from None


def has_state(folder: Path) -> bool:
    """Whether a run has created a state in this folder."""
    return (folder / STATE_FILE).exists()


class DiskUse(NamedTuple):
    """Bytes: of the state file, of its write-ahead log, and free on their disk."""

    state_bytes: int
    wal_bytes: int
    free_bytes: int


def disk_use(folder: Path) -> DiskUse:
    """The state's size and the free space of its disk. Raises OSError if the folder is gone."""
    path = folder / STATE_FILE
    log = path.with_name(f"{STATE_FILE}-wal")
    disk = os.statvfs(folder)
    return DiskUse(
        state_bytes=path.stat().st_size,
        wal_bytes=log.stat().st_size if log.exists() else 0,  # none while nobody has the file open
        free_bytes=disk.f_bavail * disk.f_frsize,
    )


@contextmanager
def folder_for_copy(beside: Path) -> Iterator[Path]:
    """A folder for a copy, inside the state's folder; removed at the end. Raises OSError if it cannot be created."""
    remove_abandoned_copies(beside)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=beside) as name:  # mode 0700
        folder = Path(name)
        held = os.open(folder / _IN_USE, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)  # before a state file is there: a folder without one is not looked at
            yield folder
        finally:
            os.close(held)


def remove_abandoned_copies(beside: Path) -> None:
    """Remove the copies of processes that were killed. The kernel has released their locks."""
    for folder in beside.glob(f"{_PREFIX}*"):
        if (folder / STATE_FILE).exists() and _is_free(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_free(folder: Path) -> bool:
    try:
        with (folder / _IN_USE).open("r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held, or has just gone
        return False
    return True
