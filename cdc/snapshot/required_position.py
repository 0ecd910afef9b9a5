"""Whether rows read from the server contain the changes up to a position in its log. Pure.

A definition (DDL) locks its table until the engine has committed it, and an older snapshot is refused (error 1412). So
every read after the definition was seen in the log contains it. A statement that changes rows has no such lock: the log
shows it before the engine does. Then MariaDB's snapshot position decides, which is exact, or MySQL's executed set,
which gets a transaction only after the engine's commit.
"""

from __future__ import annotations

from typing import NamedTuple

from cdc.binlog.gtid import GtidSet
from cdc.model import Position
from cdc.replica.table_loads import RequiredPosition


class Snapshot(NamedTuple):
    """``safe``: a position that its rows certainly contain. ``exact``: nothing behind ``safe`` is in them. ``noted``:
    the end of the log just before the snapshot.
    """

    safe: Position
    noted: Position
    exact: bool


def contains(snapshot: Snapshot, required: RequiredPosition) -> bool:
    """Whether rows of this snapshot contain the required position; never if the server is another one."""
    if _behind(snapshot.safe, required.position):
        return True
    if snapshot.exact or not _behind(snapshot.noted, required.position):
        return False
    if not required.by_statement:
        return True
    return bool(required.position.gtid) and GtidSet.parse(snapshot.noted.gtid).contains(
        GtidSet.parse(required.position.gtid)
    )


def _behind(position: Position, other: Position) -> bool:
    if position.server and other.server and position.server != other.server:
        return False
    return (position.file_number, position.offset) >= (other.file_number, other.offset)
