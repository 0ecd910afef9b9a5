"""Notices that an older copy of the state was put back: what was sent since, it does not know.

Each run has a mark of its own, kept inside the state and in a file beside it. The file also says how far the log had
been applied, a few seconds ago at most. A state that does not fit the file is an older copy. Where the whole folder was
put back the two fit; then the lock file tells, which nobody writes: the time of its last change of status is that of
the restore. A folder that was moved, or whose rights were changed, looks the same. It is no older, and taking it for
older only sends again what the log changed while nothing ran.

The state is written first, with the mark before; a run that ends between the two writes fits the file all the same.
Only a copy of the whole disk (a snapshot of the volume) fits like the original: nothing on the disk can tell it. What
lies elsewhere can: HubSpot's newest records (cdc/delivery/state_age.py), and members' receipts (handover.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict
from uuid import uuid4

from cdc.errors import StateError
from cdc.state.copies import make_private
from cdc.state.store import LOCK_FILE, Store

MARK_FILE: Final = "run-mark"


class RunMark(TypedDict):
    """The state's side: this run's mark, the one before, and the lock file's inode and change of status (ns)."""

    mark: str
    before: str
    lock: list[int]


def why_restored(store: Store) -> str:
    """What shows that the state is a copy, in words; "" if nothing does. A state that no run has used is no copy."""
    held = store.meta.run_mark
    if held is None:
        return ""
    beside = _read(store.folder)
    if not beside:
        return f"{MARK_FILE}, which lies beside the state, is missing or unreadable"
    if beside.get("mark") not in (held["mark"], held["before"]):
        return "another run has used this folder since"
    applied = beside.get("applied_lsn")
    if not isinstance(applied, int) or applied > store.meta.applied_lsn:
        return "the log had been applied further"
    if held["lock"] != _lock(store.folder):
        return "the folder was put back, moved, or given other rights since the last run"
    return ""


def renew(store: Store) -> None:
    """A run begins: give it its mark, inside the caller's transaction. ``write`` follows once that is on disk."""
    beside = _read(store.folder)
    before = str(beside.get("mark", "")) if beside else ""
    store.meta.run_mark = {"mark": uuid4().hex, "before": before, "lock": _lock(store.folder)}


class MarkFile:
    """The file beside the state. Its writer may live in another thread than the state's."""

    def __init__(self, store: Store) -> None:
        held = store.meta.run_mark
        self._folder = store.folder
        self._mark = held["mark"] if held else ""

    def write(self, applied_lsn: int) -> None:
        """This run has the state, and the log was applied up to here at least. Raises StateError."""
        path = self._folder / MARK_FILE
        fresh = path.with_suffix(".new")
        try:
            make_private(fresh)
            with fresh.open("w", encoding="ascii") as file:
                json.dump({"mark": self._mark, "applied_lsn": applied_lsn}, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise StateError(
                f"{path} cannot be written: {error.strerror}", hint="free some disk space or mend the volume"
            ) from None


def _read(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / MARK_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lock(folder: Path) -> list[int]:
    found = (folder / LOCK_FILE).stat()
    return [found.st_ino, found.st_ctime_ns]
