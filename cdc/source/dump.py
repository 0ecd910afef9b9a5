"""The commands that ask a server for its log, and the statements to run before them.

Layouts: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_binlog_dump.html and its neighbours;
MariaDB: https://mariadb.com/kb/en/com_binlog_dump/ and the "slave connect state" of its GTID pages.
"""

from __future__ import annotations

import struct
import uuid
from socket import socket
from typing import Final

from cdc.errors import LogFormatError, PositionLostError, SourceDisconnectedError

COM_BINLOG_DUMP: Final = 0x12
COM_REGISTER_SLAVE: Final = 0x15
COM_BINLOG_DUMP_GTID: Final = 0x1E

THROUGH_GTID: Final = 0x04
_LOG_HEADER_BYTES = 4
LAST_OFFSET: Final = 0xFFFFFFFF  # COM_BINLOG_DUMP has 32 bits for it
_STALL_S = 600  # a full queue here may stop reading for minutes; the server's default gives up after one
_NAMESPACE = uuid.UUID("0d4c2a3e-6a57-5f0e-9a39-6e1f0f2f7b11")


def session_statements(server_id: int, heartbeat_s: float) -> list[str]:
    """Statements that describe this session. The server reads the variables when the dump begins.

    Variables with ``source`` and ``replica`` in their names are MySQL's since 8.0.26; all other servers have the older
    names. Both are set.
    """
    heartbeat_ns = round(heartbeat_s * 1e9)
    name = replica_uuid(server_id)
    return [
        *checksum_statements(),
        f"SET @master_heartbeat_period = {heartbeat_ns}, @source_heartbeat_period = {heartbeat_ns}",
        f"SET @slave_uuid = '{name}', @replica_uuid = '{name}'",
        f"SET SESSION net_write_timeout = {_STALL_S}",
    ]


def checksum_statements() -> list[str]:
    """Ask for events with their checksums, as they are in the file."""
    return [
        "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum"
    ]


def mariadb_statements(gtid: str | None) -> list[str]:
    """MariaDB only: this reader knows MariaDB's GTID events (capability 4). ``gtid`` None means a dump by file and
    offset.
    """
    statements = ["SET @mariadb_slave_capability = 4"]
    if gtid is not None:
        if not set(gtid) <= set("0123456789-, "):
            raise PositionLostError(
                f"{gtid!r} is no MariaDB GTID position", hint="write domain-server-sequence, joined by commas"
            )
        statements += [
            f"SET @slave_connect_state = '{gtid}'",
            "SET @slave_gtid_strict_mode = 1",
            "SET @slave_gtid_ignore_duplicates = 0",
        ]
    return statements


def replica_uuid(server_id: int) -> str:
    """The uuid of this reader at the server. It is the same after every restart, so the server ends our abandoned
    dumps.
    """
    return str(uuid.uuid5(_NAMESPACE, str(server_id)))


def register(server_id: int) -> bytes:
    """COM_REGISTER_SLAVE: makes us visible in SHOW REPLICAS. Host, user and password stay empty."""
    return struct.pack("<BIBBBHII", COM_REGISTER_SLAVE, server_id, 0, 0, 0, 0, 0, 0)


def by_position(server_id: int, file: str, offset: int) -> bytes:
    """COM_BINLOG_DUMP from a file (the oldest, if empty) and an offset. ValueError over LAST_OFFSET: see skim.py."""
    if offset > LAST_OFFSET:
        raise ValueError(f"{file}:{offset} lies beyond 4 GiB, where no dump by position can begin")
    return struct.pack("<BIHI", COM_BINLOG_DUMP, max(offset, _LOG_HEADER_BYTES), 0, server_id) + file.encode()


def by_gtid(server_id: int, executed: bytes) -> bytes:
    """COM_BINLOG_DUMP_GTID: every transaction that is not in ``executed`` (a GTID set in the protocol's encoding)."""
    head = struct.pack("<BHIIQI", COM_BINLOG_DUMP_GTID, THROUGH_GTID, server_id, 0, _LOG_HEADER_BYTES, len(executed))
    return head + executed


def packet(payload: bytes) -> bytes:
    """A command as the first packet of a conversation. ``payload`` under 16 MiB."""
    if len(payload) >= 0xFFFFFF:
        raise ValueError("a command of 16 MiB or more does not fit one packet")
    return len(payload).to_bytes(3, "little") + b"\x00" + payload


def check_answer(payload: bytes) -> None:
    """Accept an OK packet. SourceDisconnectedError with the server's error number and text for an error packet."""
    if payload[:1] == b"\x00":
        return
    if payload[:1] == b"\xff" and len(payload) >= 3:
        words = payload[3:].decode("utf-8", "replace")
        raise SourceDisconnectedError(
            words[6:] if words.startswith("#") else words, errno=int.from_bytes(payload[1:3], "little")
        )
    raise LogFormatError("the server answered a command with neither OK nor an error")


def run_command(link: socket, payload: bytes) -> None:
    """Send a command outside of PyMySQL and wait for OK. Raises as ``check_answer``, and the socket's errors.

    Call it only when all answers were read: then PyMySQL's buffer is empty, and packet numbers start at 0 for each
    command.
    """
    link.sendall(packet(payload))
    header = _read_exactly(link, 4)
    check_answer(_read_exactly(link, int.from_bytes(header[:3], "little")))


def _read_exactly(link: socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = link.recv(count - len(parts))
        if not part:
            raise SourceDisconnectedError("the server closed the connection")
        parts += part
    return bytes(parts)
