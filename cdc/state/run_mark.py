"""Notices that an older copy of the state was restored. Such a copy does not know what was sent since it was made.

Each run has a mark of its own, kept inside the state and in a file beside the state. The file also has the position up
to which the log had been applied, at most a few seconds ago. A state that does not match the file is an older copy. If
the whole folder was restored, the two match. Then the lock file shows it: nobody writes that file, so the time of its
last status change is the time of the restore. A folder that was moved, or whose rights were changed, looks the same. It
is not an older copy, and the only effect of the mistake is that changes made while nothing ran are sent again.

The state is written first, with the earlier mark in it. So a run that ends between the two writes still matches the
file. Only a copy of the whole disk (a snapshot of the volume) matches like the original: nothing on the disk shows it.
Two places outside show it: HubSpot's newest records (cdc/delivery/state_age.py), and the members' receipts
(cdc/members/handover.py).
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
from cdc.state.faults import hint_of_system
from cdc.state.store import LOCK_FILE, Store

MARK_FILE: Final = "run-mark"


class RunMark(TypedDict):
    """The mark inside the state: this run's mark, the earlier mark, and the lock file's inode and status
    change (ns).
    """

    mark: str
    before: str
    lock: list[int]


def why_restored(store: Store) -> str:
    """The sign that the state is an older copy, in words; "" if there is none. A state that no run has used
    is not a copy.
    """
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
    """A run begins: give it a new mark, inside the caller's transaction. Call ``write`` once that is on disk."""
    beside = _read(store.folder)
    before = str(beside.get("mark", "")) if beside else ""
    store.meta.run_mark = {"mark": uuid4().hex, "before": before, "lock": _lock(store.folder)}


class MarkFile:
    """The file beside the state. Its writer may run in another thread than the state's."""

    def __init__(self, store: Store) -> None:
        held = store.meta.run_mark
        self._folder = store.folder
        self._mark = held["mark"] if held else ""

    def write(self, applied_lsn: int) -> None:
        """This run uses the state, and the log was applied at least up to this position. Raises StateError."""
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
            raise StateError(f"{path} cannot be written: {error.strerror}", hint=hint_of_system(error)) from None


def _read(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / MARK_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lock(folder: Path) -> list[int]:
    found = (folder / LOCK_FILE).stat()
    return [found.st_ino, found.st_ctime_ns]
