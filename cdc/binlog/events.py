"""Event types of both servers, by number, and what is done with each. No event is skipped by accident.

Numbers: MySQL's libs/mysql/binlog/event/binlog_event.h (``Log_event_type``); MariaDB's sql/log_event.h.
"""

from __future__ import annotations

import struct
from enum import Enum, IntEnum
from typing import Final

HEADER: Final = struct.Struct("<IBIIIH")
"""Timestamp (s), type, server id, length of the whole event, end position (low 32 bits), flags."""

HEADER_BYTES: Final = 19
CHECKSUM_BYTES: Final = 4
MAGIC: Final = b"\xfebin"
MAGIC_ENCRYPTED: Final = b"\xfd\x62\x69\x6e"

FLAG_IN_USE: Final = 0x01  # on FORMAT_DESCRIPTION while the server writes the file; not part of its checksum
FLAG_THREAD_SPECIFIC: Final = 0x04  # on QUERY: the statement uses temporary tables of its connection
FLAG_ARTIFICIAL: Final = 0x20  # made for the stream, not in the file
FLAG_IGNORABLE: Final = 0x80  # whoever does not know this type may skip it

# What an event means for the position. Plain numbers, as they are compared for every event of the log.
GO_ON: Final = 0  # it is part of something, or of no interest
DONE: Final = 1  # behind it is a resume point
MOVED: Final = 2  # the same, and the handler has set the position
STAY: Final = 3  # it is not in the log's file


class EventType(IntEnum):
    """Every type of event that a supported server may write."""

    START_V3 = 1
    QUERY = 2
    STOP = 3
    ROTATE = 4
    INTVAR = 5
    LOAD = 6
    SLAVE = 7
    CREATE_FILE = 8
    APPEND_BLOCK = 9
    EXEC_LOAD = 10
    DELETE_FILE = 11
    NEW_LOAD = 12
    RAND = 13
    USER_VAR = 14
    FORMAT_DESCRIPTION = 15
    XID = 16
    BEGIN_LOAD_QUERY = 17
    EXECUTE_LOAD_QUERY = 18
    TABLE_MAP = 19
    WRITE_ROWS_V0 = 20
    UPDATE_ROWS_V0 = 21
    DELETE_ROWS_V0 = 22
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    INCIDENT = 26
    HEARTBEAT = 27
    IGNORABLE = 28
    ROWS_QUERY = 29
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    TRANSACTION_CONTEXT = 36
    VIEW_CHANGE = 37
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42
    MARIADB_ANNOTATE_ROWS = 160
    MARIADB_BINLOG_CHECKPOINT = 161
    MARIADB_GTID = 162
    MARIADB_GTID_LIST = 163
    MARIADB_START_ENCRYPTION = 164
    MARIADB_QUERY_COMPRESSED = 165
    MARIADB_WRITE_ROWS_COMPRESSED_V1 = 166
    MARIADB_UPDATE_ROWS_COMPRESSED_V1 = 167
    MARIADB_DELETE_ROWS_COMPRESSED_V1 = 168
    MARIADB_WRITE_ROWS_COMPRESSED = 169
    MARIADB_UPDATE_ROWS_COMPRESSED = 170
    MARIADB_DELETE_ROWS_COMPRESSED = 171
    MARIADB_PARTIAL_ROW_DATA = 172


class Action(Enum):
    """What is done with a type of event."""

    DECODE = "decode"  # it may carry rows of mapped tables
    UNWRAP = "unwrap"  # it carries other events
    NOTE = "note"  # it moves the position, bounds a transaction, names a table or changes how we read
    IGNORE = "ignore"  # it says nothing about rows, or only what the rows events say as well
    STOP = "stop"  # it cannot be passed over without losing changes


_E = EventType

ACTIONS: Final = {
    **dict.fromkeys(
        (
            _E.WRITE_ROWS_V0, _E.UPDATE_ROWS_V0, _E.DELETE_ROWS_V0, _E.WRITE_ROWS_V1, _E.UPDATE_ROWS_V1,
            _E.DELETE_ROWS_V1, _E.WRITE_ROWS, _E.UPDATE_ROWS, _E.DELETE_ROWS, _E.MARIADB_WRITE_ROWS_COMPRESSED_V1,
            _E.MARIADB_UPDATE_ROWS_COMPRESSED_V1, _E.MARIADB_DELETE_ROWS_COMPRESSED_V1,
            _E.MARIADB_WRITE_ROWS_COMPRESSED, _E.MARIADB_UPDATE_ROWS_COMPRESSED, _E.MARIADB_DELETE_ROWS_COMPRESSED,
        ),
        Action.DECODE,
    ),
    _E.TRANSACTION_PAYLOAD: Action.UNWRAP,
    _E.MARIADB_PARTIAL_ROW_DATA: Action.UNWRAP,
    **dict.fromkeys(
        (
            _E.QUERY, _E.STOP, _E.ROTATE, _E.FORMAT_DESCRIPTION, _E.XID, _E.TABLE_MAP, _E.HEARTBEAT, _E.HEARTBEAT_V2,
            _E.GTID, _E.ANONYMOUS_GTID, _E.GTID_TAGGED, _E.PREVIOUS_GTIDS, _E.XA_PREPARE, _E.EXECUTE_LOAD_QUERY,
            _E.MARIADB_GTID, _E.MARIADB_GTID_LIST, _E.MARIADB_QUERY_COMPRESSED, _E.MARIADB_START_ENCRYPTION,
            _E.MARIADB_BINLOG_CHECKPOINT, _E.PARTIAL_UPDATE_ROWS,
        ),
        Action.NOTE,
    ),
    **dict.fromkeys(
        (
            _E.INTVAR, _E.RAND, _E.USER_VAR,  # prefaces of a statement, which is handled itself
            _E.BEGIN_LOAD_QUERY, _E.APPEND_BLOCK, _E.DELETE_FILE,  # data of EXECUTE_LOAD_QUERY, which is handled itself
            _E.SLAVE, _E.IGNORABLE, _E.ROWS_QUERY, _E.TRANSACTION_CONTEXT, _E.VIEW_CHANGE, _E.MARIADB_ANNOTATE_ROWS,
        ),
        Action.IGNORE,
    ),
    **dict.fromkeys(
        (
            _E.START_V3, _E.LOAD, _E.CREATE_FILE, _E.EXEC_LOAD, _E.NEW_LOAD,  # logs of MySQL 4
            _E.INCIDENT,
        ),
        Action.STOP,
    ),
}  # fmt: skip
"""What is done with each type. A type that is missing stops the reader, unless the event's own flag lets it be ignored.
"""

WHY_STOP: Final = {
    _E.INCIDENT: (
        "the server wrote that its log has a gap (INCIDENT)",
        "import afresh from a position after it, as the changes in the gap are in no log",
    ),
}
