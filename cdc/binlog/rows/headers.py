"""Reads the bodies of all events but rows events. Pure functions of bytes; each docstring gives the layout.

Bytes that do not fit raise LogFormatError without a position, struct.error, IndexError or ValueError. The decoder turns
all of these into a LogFormatError with the position.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import Final, NamedTuple

from cdc.binlog.gtid import GtidPosition

CHECKSUM_OFF: Final = 0
CHECKSUM_CRC32: Final = 1

_FORMAT_FIXED: Final = 57  # version 2, server version 50, created 4, header length 1
_CHECKSUM_TRAILER: Final = 5  # algorithm 1, checksum 4

MARIADB_GTID: Final = struct.Struct("<QIB")
"""MariaDB GTID: 8 sequence, 4 domain, 1 flags; the server's id is in the event's header."""

MARIADB_STANDALONE: Final = 0x01  # the group is one event, without COMMIT (DDL)
MARIADB_DDL: Final = 0x20
_MARIADB_GROUP_COMMIT: Final = 0x02  # 8 more bytes
_START_OR_ROLLBACK_ALTER: Final = 0x02 | 0x08


def is_no_alter_yet(body: bytes) -> bool:
    """Whether this MariaDB GTID event belongs to an ALTER TABLE that only begins here or is rolled back.

    That is so with binlog_alter_two_phase, when ``flags`` have ``MARIADB_DDL``. If the ALTER TABLE succeeds, its
    statement comes again as COMMIT ALTER, and only that statement counts.
    """
    at = MARIADB_GTID.size + (8 if body[MARIADB_GTID.size - 1] & _MARIADB_GROUP_COMMIT else 0)
    return bool(body[at : at + 1]) and bool(body[at] & _START_OR_ROLLBACK_ALTER)


def lenenc(body: bytes, at: int) -> tuple[int, int]:
    """Read a length-encoded integer at ``at`` → (value, offset behind it). ValueError for the markers 0xFB and 0xFF."""
    first = body[at]
    if first < 0xFB:
        return first, at + 1
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
    # 0xFB means NULL and 0xFF an error packet: neither is a length.
    if width is None or at + 1 + width > len(body):
        raise ValueError("a length that is none")
    return int.from_bytes(body[at + 1 : at + 1 + width], "little"), at + 1 + width


def cut(body: bytes, at: int, length: int) -> bytes:
    """``length`` bytes at ``at``. ValueError when fewer bytes are left."""
    # Slicing would give fewer bytes without a word.
    if at + length > len(body):
        raise ValueError("a field that ends beyond its event")
    return body[at : at + length]


# ------------------------------------------------------------------------------------------- file level


@dataclass(frozen=True, slots=True)
class Format:
    """What FORMAT_DESCRIPTION says of the events after it. ``post_lengths[type - 1]``: bytes of the type's fixed
    fields.

    ``begins_server``: the server started with this file, so no earlier connection is still open.
    """

    server_version: str
    post_lengths: bytes
    checksum: int
    begins_server: bool = False

    @property
    def is_mariadb(self) -> bool:
        """Whether a MariaDB server wrote the log."""
        return "mariadb" in self.server_version.lower()

    def post_length(self, kind: int, default: int) -> int:
        """Bytes of the fixed fields of events of this type."""
        return self.post_lengths[kind - 1] if kind <= len(self.post_lengths) else default


DEFAULT_FORMAT: Final = Format("", b"", CHECKSUM_CRC32)


def read_format(body: bytes) -> Format:
    """FORMAT_DESCRIPTION: 2 log version (4), 50 server version, 4 created, 1 header length (19), per type 1 length,
    1 checksum algorithm, 4 checksum. ``body`` includes the checksum. ValueError for another version.
    """
    if len(body) < _FORMAT_FIXED + _CHECKSUM_TRAILER:
        raise ValueError("a format description that is too short")
    version, name, created, header = struct.unpack_from("<H50sIB", body)
    # Version 3 (MySQL 4.0) has other headers; reading on would take lengths for types.
    if version != 4 or header != 19:
        raise ValueError(f"a log of version {version} with headers of {header} bytes; version 4 with 19 is known")
    algorithm = body[-_CHECKSUM_TRAILER]
    # With an algorithm that is not known the four bytes at the end cannot be told from the body.
    if algorithm not in (CHECKSUM_OFF, CHECKSUM_CRC32):
        raise ValueError(f"checksum algorithm {algorithm}, which is not known")
    text = name.rstrip(b"\0").decode("ascii", "replace")
    return Format(text, body[_FORMAT_FIXED:-_CHECKSUM_TRAILER], algorithm, created != 0)


def read_rotate(body: bytes) -> tuple[str, int]:
    """ROTATE: 8 offset, the next file's name to the end."""
    (offset,) = struct.unpack_from("<Q", body)
    return body[8:].decode("utf-8"), int(offset)


def read_heartbeat_v2(body: bytes) -> tuple[str, int]:
    """HEARTBEAT_V2: fields of 1 type, length, value until type 0; 1 = file name, 2 = position."""
    name, position, at = "", 0, 0
    while at < len(body) and body[at]:
        kind = body[at]
        length, at = lenenc(body, at + 1)
        value = cut(body, at, length)
        if kind == 1:
            name = value.decode("utf-8")
        elif kind == 2:
            position = lenenc(value, 0)[0]
        at += length
    return name, position


# ------------------------------------------------------------------------------------------- transactions


@dataclass(frozen=True, slots=True)
class GtidHead:
    """A MySQL GTID event: source (uuid or uuid:tag), number (0 if anonymous),
    commit time in µs (0 if it is missing).
    """

    source: str
    number: int
    commit_us: int


def read_gtid(body: bytes) -> GtidHead:
    """GTID and ANONYMOUS_GTID: 1 flags, 16 uuid, 8 number, 1 type (2), 8 last committed, 8 sequence number, and from
    MySQL 8.0.1 on: 7 immediate commit time in µs, whose top bit says that 7 original commit time follow.
    """
    source = str(uuid.UUID(bytes=cut(body, 1, 16)))
    (number,) = struct.unpack_from("<q", body, 17)
    commit_us = 0
    # Older servers end here, without times.
    if len(body) >= 49:
        commit_us = int.from_bytes(body[42:49], "little")
        # The top bit: a replica repeats the source's own commit time, which is the one that orders changes.
        if commit_us >> 55:
            commit_us = int.from_bytes(cut(body, 49, 7), "little")
    return GtidHead(source, number, commit_us)


def read_gtid_tagged(body: bytes) -> GtidHead:
    """GTID_TAGGED, in MySQL's own serialisation (libs/mysql/serialization).

    The body holds version, size and the last field that a reader must understand, then pairs of field number and value.
    Numbers take 1 to 9 bytes; the low set bits of the first byte say how many bytes follow. Fields: 0 flags (fixed 1),
    1 uuid (16 numbers), 2 number, 3 tag, 4 last committed, 5 sequence number, 6 immediate commit time, 7 original
    commit time.
    """
    at = 0
    for _ in range(3):
        # Version, size and the last field that must be understood. All known fields are read below by their
        # numbers.
        _, at = _varint(body, at)
    name, tag, number, immediate, original = "", "", 0, 0, 0
    while at < len(body):
        field, at = _varint(body, at)
        # Flags are one plain byte, not a varint.
        if field == 0:
            at += 1
        elif field == 1:
            # Each byte of the uuid is a varint of its own, since values over 0x7F take two bytes.
            raw = bytearray()
            for _ in range(16):
                byte, at = _varint(body, at)
                raw.append(byte)
            name = str(uuid.UUID(bytes=bytes(raw)))
        elif field == 3:
            length, at = _varint(body, at)
            tag = cut(body, at, length).decode("ascii")
            at += length
        else:
            # Fields added later are varints too, as long as the server marks them as safe to ignore.
            value, at = _varint(body, at)
            if field == 2:
                number = _unzigzag(value)
            elif field == 6:
                immediate = value
            elif field == 7:
                original = value
    if not name:
        raise ValueError("a tagged GTID without its uuid")
    return GtidHead(f"{name}:{tag}" if tag else name, number, original or immediate)


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """An unsigned number. The first byte has n one-bits at the low end and a zero bit, then n more bytes follow.

    The bits that are left over are the value, lowest first.
    """
    first = body[at]
    more = (~first & (first + 1)).bit_length() - 1
    raw = cut(body, at + 1, more)
    # All eight bits of the first byte are the counter, so it holds no bits of the value.
    if more >= 8:
        return int.from_bytes(raw, "little"), at + 1 + more
    return first >> more + 1 | int.from_bytes(raw, "little") << 7 - more, at + 1 + more


def _unzigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def read_gtid_list(body: bytes) -> GtidPosition:
    """MariaDB GTID_LIST: 4 count (low 28 bits), then per entry 4 domain, 4 server, 8 sequence. A domain's last entry
    counts.
    """
    (count,) = struct.unpack_from("<I", body)
    position = GtidPosition()
    for index in range(count & 0x0FFFFFFF):
        position.add(*struct.unpack_from("<IIQ", body, 4 + 16 * index))
    return position


class Query(NamedTuple):
    """A statement, the connection that ran it, and its status variables, raw (``read_modes``)."""

    database: str
    text: bytes
    thread: int
    variables: bytes


def read_query(body: bytes, post_length: int) -> Query:
    """QUERY: 4 thread, 4 seconds, 1 length of the database's name, 2 error, 2 length of status variables, (more in
    EXECUTE_LOAD_QUERY,) the variables, the name and a zero byte, the statement.
    """
    thread, _, name_length, _, length = struct.unpack_from("<IIBHH", body)
    at = post_length + length
    name = cut(body, at, name_length).decode("utf-8", "replace")
    return Query(name, body[at + name_length + 1 :], thread, body[post_length:at])


_VARIABLE_BYTES: Final = {0: 4, 1: 8, 3: 4, 4: 6, 7: 2, 8: 2, 9: 8, 10: 4, 13: 3, 16: 1, 17: 8, 18: 2, 19: 1, 20: 1}
_TEXT_VARIABLES: Final = frozenset({5, 6})  # time zone, catalogue: 1 length, text
_SQL_MODE: Final = 1
_CHARSET: Final = 4


def read_modes(variables: bytes) -> tuple[int, int | None]:
    """The session's sql_mode bits and its client's collation number, from the status variables of a QUERY.

    A variable is 1 number and its value. Servers write both variables before any variable that is not known here. The
    collation is None when it is missing.
    """
    sql_mode, collation, at = 0, None, 0
    while at < len(variables):
        kind = variables[at]
        if kind in _TEXT_VARIABLES:
            # Time zone and catalogue are texts with a length of their own.
            at += 2 + variables[at + 1]
            continue
        width = _VARIABLE_BYTES.get(kind)
        if width is None:
            # Without its width the next variable cannot be found. Mode and character set always come before
            # such ones.
            break
        value = cut(variables, at + 1, width)
        if kind == _SQL_MODE:
            sql_mode = int.from_bytes(value, "little")
        elif kind == _CHARSET:
            collation = int.from_bytes(value[:2], "little")
        at += 1 + width
    return sql_mode, collation


def read_xa_prepare(body: bytes) -> tuple[bool, str]:
    """XA_PREPARE: 1 one-phase, 4 format, 4 + 4 lengths, gtrid, bqual → (whether the transaction commits here, its id).

    The id is spelled as in the servers' XA statements.
    """
    one_phase, form, gtrid, bqual = struct.unpack_from("<BIII", body)
    branch = 13 + gtrid
    first, second = cut(body, 13, gtrid), cut(body, branch, bqual)
    return one_phase != 0, f"X'{first.hex()}',X'{second.hex()}',{form}"
