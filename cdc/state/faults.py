"""Tells a failure of the state's file or disk as a StateError: what failed, why, and what to do next."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from cdc.errors import CdcError, SetupError, StateError

FileFailure: Final = sqlite3.Error
"""What a statement raises when it fails, for modules that run no statements themselves."""

_DAMAGED: Final = (
    "the file is damaged: put a backup of it back (docs/upgrade.md); only without a backup remove it, to import afresh"
)
_FULL: Final = "free some disk space; nothing is lost, and the next start goes on from the last commit"
_READ_ONLY: Final = (
    "the disk is read-only, or the file is another user's; look at the kernel's log, mend the volume and start again;"
    " nothing is lost"
)
_FAILING: Final = (
    "the disk does not do what it is asked: look at the kernel's log, free some disk space or mend the volume, and"
    " start again; nothing is lost"
)
_NO_FILES: Final = (
    "raise the limit of open files (ulimit -n, LimitNOFILE), or mend the folder's rights; nothing is lost"
)
_NO_MEMORY: Final = "raise the memory limit; nothing is lost, and the next start goes on from the last commit"

_HINTS: Final = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_IOERR: _FAILING,
    sqlite3.SQLITE_CANTOPEN: _NO_FILES,
    sqlite3.SQLITE_NOMEM: _NO_MEMORY,
}
_HINTS_OF_SYSTEM: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f, LimitFSIZE); nothing is lost",
    errno.EROFS: _READ_ONLY,
    errno.EIO: _FAILING,
    errno.EMFILE: _NO_FILES,
    errno.ENFILE: _NO_FILES,
}


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary error code; -1 for an error of Python's own module, which has no code."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF  # the upper bits only say where in SQLite the error arose


def is_of_disk(error: BaseException) -> bool:
    """Whether the disk, the file or the memory failed, so that the next statement would fail as well."""
    return isinstance(error, sqlite3.Error) and code_of(error) in _HINTS


def state_fault(folder: Path, error: sqlite3.Error) -> StateError:
    """The error for the operator. The advice to remove a file is given for a damaged file only."""
    # Any other code is no word about the disk: the advice must not send anybody to remove the state.
    hint = _HINTS.get(code_of(error), _FAILING)
    return StateError(f"state folder {folder}: {error}", hint=hint)


def hint_of_system(error: OSError) -> str:
    """What to do about a failed call of the operating system on a file of the state."""
    return _HINTS_OF_SYSTEM.get(error.errno or 0, _FAILING)


def folder_fault(folder: Path, error: OSError) -> CdcError:
    """A failed call of the operating system on the state's folder.

    A disk that is full, read-only or failing is a StateError, as in a running daemon; all else is a SetupError.
    """
    what = f"state folder {folder} cannot be written: {error.strerror}"
    hint = _HINTS_OF_SYSTEM.get(error.errno or 0)
    if hint is not None:
        return StateError(what, hint=hint)
    return SetupError(what, hint="give the daemon's user a folder it may write (state.dir)")
