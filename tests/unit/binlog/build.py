"""Makes logs byte by byte: events with right lengths, positions and checksums."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence

from cdc.binlog.events import EventType
from cdc.binlog.rows.table_map import ColumnType

SOURCE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
COMMIT_S = 1_700_000_000
MYSQL = "9.7.0"
MARIADB = "10.11.19-MariaDB-log"


def lenenc(number: int) -> bytes:
    if number < 0xFB:
        return bytes([number])
    return b"\xfc" + number.to_bytes(2, "little") if number < 1 << 16 else b"\xfe" + number.to_bytes(8, "little")


def text(value: bytes) -> bytes:
    return lenenc(len(value)) + value


class Log:
    """Events one after another, as a file holds them from offset 4 on. ``server``: the version it says it is."""

    def __init__(self, server: str = MYSQL, *, checksum: bool = True, offset: int = 4, zero_ends: bool = False) -> None:
        self.server = server
        self.checksum = checksum
        self.offset = offset
        self.zero_ends = zero_ends
        self.events: list[bytes] = []

    def put(
        self,
        kind: int,
        body: bytes,
        *,
        seconds: int = COMMIT_S,
        flags: int = 0,
        end: int | None = None,
        server_id: int = 1,
    ) -> bytes:
        """Append one event; ``end`` overrides the end position in its header."""
        length = 19 + len(body) + (4 if self.checksum or kind == EventType.FORMAT_DESCRIPTION else 0)
        self.offset += length
        shown = self.offset & 0xFFFFFFFF if end is None else end
        event = struct.pack("<IBIIIH", seconds, kind, server_id, length, shown, flags) + body
        if len(event) < length:
            event += struct.pack("<I", zlib.crc32(event))
        self.events.append(event)
        return event

    def format(self, **options: int) -> bytes:
        lengths = bytearray(42 if "Maria" not in self.server else 172)
        lengths[EventType.TABLE_MAP - 1] = 8
        body = struct.pack("<H50sIB", 4, self.server.encode(), COMMIT_S, 19) + bytes(lengths) + bytes([self.checksum])
        return self.put(EventType.FORMAT_DESCRIPTION, body, **options)

    def gtid(self, number: int, *, commit_us: int = 0) -> bytes:
        body = b"\x00" + uuid.UUID(SOURCE).bytes + struct.pack("<q", number) + b"\x02" + bytes(16)
        body += commit_us.to_bytes(7, "little")
        return self.put(EventType.GTID, body)

    def maria_gtid(self, sequence: int, *, flags: int = 0, domain: int = 0, extra: int = 0) -> bytes:
        return self.put(
            EventType.MARIADB_GTID, struct.pack("<QIB", sequence, domain, flags) + bytes([extra]) + bytes(5)
        )

    def query(
        self, statement: str | bytes, database: str = "shop", *, variables: bytes = b"", flags: int = 0, thread: int = 7
    ) -> bytes:
        name = database.encode()
        head = struct.pack("<IIBHH", thread, 0, len(name), 0, len(variables))
        text = statement.encode() if isinstance(statement, str) else statement
        return self.put(EventType.QUERY, head + variables + name + b"\0" + text, flags=flags)

    def xid(self) -> bytes:
        return self.put(EventType.XID, struct.pack("<Q", 1))

    def table_map(self, table_id: int, body: bytes) -> bytes:
        return self.put(EventType.TABLE_MAP, table_id.to_bytes(6, "little") + b"\x01\x00" + body)

    def rows(self, kind: EventType, table_id: int, body: bytes, *, flags: int = 1) -> bytes:
        extra = b"\x02\x00" if kind >= EventType.WRITE_ROWS else b""
        return self.put(kind, table_id.to_bytes(6, "little") + struct.pack("<H", flags) + extra + body)

    def rotate(self, name: str, offset: int = 4, *, artificial: bool = False) -> bytes:
        before = self.offset
        body = struct.pack("<Q", offset) + name.encode()
        if artificial:
            event = self.put(EventType.ROTATE, body, seconds=0, flags=0x20, end=0)
            self.offset = before
            return event
        return self.put(EventType.ROTATE, body)

    @property
    def data(self) -> bytes:
        return b"".join(self.events)


def table_map_body(
    types: Sequence[tuple[int, bytes]], names: Sequence[str], *, database: str = "shop", table: str = "things",
    unsigned: bytes = b"", collation: int = 45,
) -> bytes:  # fmt: skip
    """A TABLE_MAP after id and flags, with full metadata; no names, no metadata."""
    body = b"".join(bytes([len(name)]) + name.encode() + b"\0" for name in (database, table))
    details = b"".join(detail for _, detail in types)
    body += lenenc(len(types)) + bytes(kind for kind, _ in types) + text(details) + bytes((len(types) + 7) // 8)
    if names:
        if unsigned:
            body += b"\x01" + text(unsigned)
        body += b"\x02" + text(lenenc(collation)) + b"\x04" + text(b"".join(text(name.encode()) for name in names))
    return body


TWO_COLUMNS = table_map_body([(ColumnType.LONG, b""), (ColumnType.VARCHAR, b"\x28\x00")], ["id", "note"])
"""``shop.things`` (id int, note varchar(10) utf8mb4)."""


def image(*values: bytes | None) -> bytes:
    """One row image with all columns present."""
    nulls = sum(1 << index for index, value in enumerate(values) if value is None)
    return nulls.to_bytes((len(values) + 7) // 8, "little") + b"".join(value for value in values if value is not None)


def thing(number: int, note: str | None) -> bytes:
    """A row of ``TWO_COLUMNS``."""
    return image(struct.pack("<i", number), None if note is None else bytes([len(note.encode())]) + note.encode())


def packet(payload: bytes, sequence: int = 0) -> bytes:
    """Network packets that carry this payload."""
    out = b""
    while True:
        piece, payload = payload[:0xFFFFFF], payload[0xFFFFFF:]
        out += len(piece).to_bytes(3, "little") + bytes([sequence & 0xFF]) + piece
        sequence += 1
        if len(piece) < 0xFFFFFF:
            return out
