"""Whether rows read from the server contain a position in its log that was read before. Pure.

What a definition changed is in every read after its position was seen in the log: it holds the table exclusively until
the engine has committed it, and a snapshot from before is refused (error 1412). A statement's rows are not held so: the
log shows them before the engine does. Then MariaDB's snapshot position tells, which is exact, and MySQL's executed set,
which gets a transaction only after the engine's commit.
"""

from __future__ import annotations

from typing import NamedTuple

from cdc.binlog.gtid import GtidSet
from cdc.model import Position
from cdc.replica.table_loads import RequiredPosition


class Snapshot(NamedTuple):
    """``safe``: a position that its rows surely contain; ``exact``: nothing behind it is in them. ``noted``: where the
    log ended just before it was taken.
    """

    safe: Position
    noted: Position
    exact: bool


def contains(snapshot: Snapshot, required: RequiredPosition) -> bool:
    """Whether rows read under this snapshot contain the required position; never while the server is another one."""
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
