"""Turns the requested start into a position that the server still has, or says why that is impossible.

Every function takes an open connection. They raise PyMySQL's errors, and PositionLostError with advice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pymysql

from cdc.binlog.gtid import GtidPosition, GtidSet
from cdc.errors import REPAIR, PositionLostError, SetupError
from cdc.model import Position, Start, StartKind
from cdc.source.server import (
    LOG_HEADER_BYTES,
    Connection,
    ServerIdentity,
    current_position,
    executed_gtids,
    gtids_before,
    log_files,
    rows,
)

_ADVICE: Final = f"{REPAIR}; or start at earliest or latest"
_WRONG_OFFSET = 1220

# A position is the start of a transaction (or between two) when one of these events begins there.
_STARTS = frozenset({
    "Format_desc", "Previous_gtids", "Gtid_list", "Binlog_checkpoint", "Start_encryption", "Rotate", "Stop",
    "Gtid", "Anonymous_Gtid", "Gtid_tagged", "Ignorable", "Heartbeat",
})  # fmt: skip


class NotExecutedError(PositionLostError):
    """The server has not executed a transaction that was read already, or does not show it yet."""


def resolve(connection: Connection, identity: ServerIdentity, start: Start) -> Position:
    """The position that ``start`` means on this server. SetupError for a position inside a transaction."""
    match start.kind:
        case StartKind.LATEST:
            return current_position(connection)
        case StartKind.EARLIEST:
            file = log_files(connection)[0][0]
            gtid = gtids_before(connection, identity, file)
            return Position(file, LOG_HEADER_BYTES, gtid, identity.server)
        case StartKind.FILE_OFFSET:
            assert start.position is not None
            return _resolve_file_offset(connection, identity, start.position)
        case StartKind.GTID:
            assert start.position is not None
            return _resolve_gtid(connection, identity, start.position.gtid)
        case StartKind.IMPORT:
            raise ValueError("import is no position in the log; take the loader's safe point")


def confirm(connection: Connection, identity: ServerIdentity, position: Position) -> Position:
    """The same position, confirmed to be in this server's log. If the server has changed, the position in the new log.

    A position without a GTID set gets one, if the server can say what was executed up to that position.
    """
    is_same = position.server in ("", identity.server)
    gtid = position.gtid
    if gtid and identity.gtid_enabled:
        _must_have_executed(connection, identity, gtid, is_same=is_same)
        located = locate(connection, identity, gtid)
        return replace(position, server=identity.server) if is_same and position.file else located
    if not is_same:
        raise PositionLostError(
            f"the position {position} is of server {position.server}, this is server {identity.server}, and there are "
            "no GTIDs to find the same position here",
            hint=f"point source.host at the server it is of, or {_ADVICE}",
        )
    _must_hold(connection, position)
    gtid = gtids_before(connection, identity, position.file, position.offset)
    return replace(position, gtid=gtid, server=identity.server)


# ---------------------------------------------------------------------------------------- file and offset


def _resolve_file_offset(connection: Connection, identity: ServerIdentity, asked: Position) -> Position:
    position = replace(asked, offset=max(asked.offset, LOG_HEADER_BYTES), server=identity.server)
    size = _must_hold(connection, position)
    if LOG_HEADER_BYTES < position.offset < size:
        _must_begin_transaction(connection, position)
    return replace(position, gtid=gtids_before(connection, identity, position.file, position.offset))


def _must_hold(connection: Connection, position: Position) -> int:
    """The size of the position's file in bytes. Raises PositionLostError if the file is gone."""
    files = log_files(connection)
    sizes = dict(files)
    if position.file not in sizes:
        held = f"{files[0][0]} to {files[-1][0]}" if files else "no files"
        raise PositionLostError(
            f"the server no longer holds {position.file} (its log has {held})",
            hint=f"{_ADVICE}; raise the server's log retention so that it outlasts a stop of this daemon",
        )
    size = sizes[position.file]
    if position.offset > size:
        raise PositionLostError(
            f"{position} lies beyond the end of {position.file}, which has {size} bytes: the server lost the end of "
            "its log, or the log was begun anew",
            hint=_ADVICE,
        )
    return size


def _must_begin_transaction(connection: Connection, position: Position) -> None:
    hint = "write the position where its transaction begins (SHOW BINLOG EVENTS lists them)"
    try:
        events = rows(connection, f"SHOW BINLOG EVENTS IN %s FROM {position.offset} LIMIT 1", (position.file,))
    except pymysql.err.OperationalError as error:
        if error.args[0] != _WRONG_OFFSET:
            raise
        raise SetupError(f"no event begins at {position}", hint=hint) from error
    if not events or int(events[0][1]) != position.offset:
        raise SetupError(f"no event begins at {position}", hint=hint)
    if str(events[0][2]) not in _STARTS:
        raise SetupError(f"{position} is inside a transaction (a {events[0][2]} event begins there)", hint=hint)


# --------------------------------------------------------------------------------------------------- GTID


def _resolve_gtid(connection: Connection, identity: ServerIdentity, gtid: str) -> Position:
    if not identity.gtid_enabled:
        raise SetupError(
            "the server writes no GTIDs, so it cannot start at gtid:…",
            hint="give a file and offset, as binlog.000123:4",
        )
    _must_have_executed(connection, identity, gtid, is_same=True)
    return locate(connection, identity, gtid)


def _must_have_executed(connection: Connection, identity: ServerIdentity, gtid: str, *, is_same: bool) -> None:
    executed = executed_gtids(connection, identity)
    if not _contains(identity, executed, gtid):
        cause = "its log was begun anew or it was restored" if is_same else "it missed some before it took over"
        raise NotExecutedError(
            f"server {identity.server} has not executed all transactions that were read already: {cause}",
            hint=f"{_ADVICE}; executed there: {_shortened(executed)}",
        )


def locate(connection: Connection, identity: ServerIdentity, gtid: str) -> Position:
    """The start of the newest log file that begins within ``gtid``. Raises PositionLostError if the log has no such
    file.
    """
    for file, _ in reversed(log_files(connection)):
        if _contains(identity, gtid, gtids_before(connection, identity, file)):
            return Position(file, LOG_HEADER_BYTES, gtid, identity.server)
    raise PositionLostError(
        "the server has purged log files with transactions that were not read yet",
        hint=f"{_ADVICE}; raise the server's log retention so that it outlasts a stop of this daemon",
    )


def _contains(identity: ServerIdentity, whole: str, part: str) -> bool:
    """Whether ``part`` is within ``whole``. SetupError when one of them is not a GTID set of this kind of server."""
    try:
        if identity.flavor == "mariadb":
            return GtidPosition.parse(whole).contains(GtidPosition.parse(part))
        return GtidSet.parse(whole).contains(GtidSet.parse(part))
    except ValueError as error:
        form = "0-1-42" if identity.flavor == "mariadb" else "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-42"
        raise SetupError(f"no GTID set of {identity}: {error}", hint=f"write it as {form}") from error


def _shortened(gtid: str) -> str:
    return gtid if len(gtid) <= 120 else f"{gtid[:117]}..."
