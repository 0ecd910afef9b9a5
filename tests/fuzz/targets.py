"""What must hold for any bytes: a typed error or a result, both readings of the same bytes equal.

A target takes bytes and returns nothing; whatever else it raises, and a hang or too much memory, is a finding.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import zstandard

from cdc.binlog.compressed import payload_events, unpack_column, unpack_record
from cdc.binlog.decoder import LogDecoder
from cdc.binlog.events import EventType
from cdc.binlog.gtid import GtidPosition, GtidSet, parse_gtids
from cdc.binlog.rows.decode import TableReader
from cdc.binlog.rows.metadata import read_metadata
from cdc.binlog.rows.table_map import read_table_map
from cdc.binlog.schema.query import read_statement
from cdc.binlog.schema.row_layout import make_row_layout
from cdc.binlog.schema.tokens import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, Dialect, cut
from cdc.binlog.values.charsets import text_decoder
from cdc.binlog.values.json_binary import json_text
from cdc.errors import SourceDisconnectedError, SourceStoppedError, UnsupportedEventError
from cdc.model import Change, Op, Position, TableSpec, Transaction
from tests.fuzz.answers import bridge_answer, crm_answer, http_answer
from tests.unit.binlog.build import MARIADB, MYSQL, TWO_COLUMNS, Log, table_map_body

_REFUSED: Final = (ValueError, IndexError, KeyError, OverflowError, struct.error, zlib.error, zstandard.ZstdError)
"""What the decoder turns into LogFormatError when it reads a body (cdc/binlog/decoder.py)."""

THINGS: Final = TableSpec("things", ("id",), ("id", "note"))
WIDE: Final = TableSpec("things", ("c0",), tuple(f"c{number}" for number in range(12)))
_WIDE_NAMES: Final = [f"c{number}" for number in range(12)]
_CHARSETS: Final = ("latin1", "gb18030", "ujis", "big5", "sjis", "utf32", "utf16le", "ucs2", "utf8mb4", "swe7")
_CLIENT_CHARSETS: Final = ("utf8mb4", "latin1", "gbk", "big5", "sjis", "cp932", "gb18030", "eucjpms", "swe7", None)


def decoder(spec: TableSpec = THINGS) -> LogDecoder:
    """One that begins at the head of a file."""
    return LogDecoder([spec], database="shop", schemas=None, start=Position("binlog.000001", 4))


def _says_where(error: SourceStoppedError) -> None:
    assert ":" in error.position, f"no position: {error}"


# ------------------------------------------------------------------------------------------- streams


def file(raw: bytes) -> None:
    """A file's bytes behind the magic number: transactions, then an end, a wait for more or an error with its place."""
    for step in (1, len(raw) or 1):
        reader, held, at = decoder(), bytearray(), 0
        try:
            while at < len(raw) or at == 0:
                held += raw[at : at + max(step, 7)]
                at += max(step, 7)
                used = 1
                while used:
                    _, used = reader.feed_file(memoryview(bytes(held)), len(held))
                    del held[:used]
        except SourceStoppedError as error:
            _says_where(error)


def packets(raw: bytes) -> None:
    """Bytes from the network."""
    reader = decoder()
    with contextlib.suppress(SourceDisconnectedError):
        try:
            used = 1
            while used and raw:
                _, used = reader.feed_packets(memoryview(raw), len(raw))
                raw = raw[used:]
        except SourceStoppedError as error:
            _says_where(error)


def _bodies(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Cut fuzzed bytes into (type, flags, body): 1 type, 1 flags, 2 length, body."""
    at = 0
    while at + 4 <= len(raw):
        kind, flags, length = struct.unpack_from("<BBH", raw, at)
        yield kind, flags, raw[at + 4 : at + 4 + length]
        at += 4 + length


def events(raw: bytes) -> None:
    """Events of right lengths and any content, after a head: a stream and a file's bytes bring the same changes."""
    log = Log(MARIADB if raw[:1] == b"m" else MYSQL, checksum=False)
    log.format()
    for kind, flags, body in _bodies(raw[1:]):
        log.put(kind, body, flags=flags & ~0x20 if kind == EventType.ROTATE else flags)
    streamed, refused = _changes(log.events)
    reader, held, got = decoder(), log.data, list[Change]()
    stopped = False
    try:
        while held:
            made, used = reader.feed_file(memoryview(held), len(held))
            got += [change for one in made for change in one.changes]
            held = held[used:]
            if not used:
                break
    except SourceStoppedError as error:
        _says_where(error)
        stopped = True
    artificial = any(flags & 0x20 for _, flags, _ in _bodies(raw[1:]))
    encrypted = any(kind == EventType.MARIADB_START_ENCRYPTION for kind, _, _ in _bodies(raw[1:]))
    if not artificial and not encrypted:
        assert (stopped, repr(got)) == (refused, repr(streamed)), (
            f"a file: {stopped} {got}; a stream: {refused} {streamed}"
        )


def _changes(fed: list[bytes]) -> tuple[list[Change], bool]:
    reader, made = decoder(), list[Transaction]()
    try:
        for event in fed:
            found = reader.feed(memoryview(event))
            if found is not None:
                made.append(found)
    except SourceStoppedError as error:
        _says_where(error)
        return [change for one in made for change in one.changes], True
    return [change for one in made for change in one.changes], False


def rows_event(raw: bytes) -> None:
    """A rows event of any version and body after the table map of a mapped table."""
    if not raw:
        return
    log = Log(MARIADB if raw[0] & 0x80 else MYSQL, checksum=False)
    log.format()
    if raw[0] & 0x80:
        log.maria_gtid(1)
    else:
        log.gtid(1)
        log.query("BEGIN")
    log.table_map(9, TWO_COLUMNS)
    kinds = (*range(20, 26), *range(30, 33), 39, *range(166, 172))
    log.put(kinds[raw[0] % len(kinds)], (9).to_bytes(6, "little") + raw[1:])
    log.xid()
    _changes(log.events)


# ------------------------------------------------------------------------------------------- rows


def rows(raw: bytes) -> None:
    """A table of any types, rows of any bytes: plans and the generic decoder say the same."""
    if len(raw) < 4:
        return
    types, details = raw[1] % 24, raw[2] % 64
    at = 3 + types + details
    column_types, detail, meta, body = raw[3 : 3 + types], raw[3 + types : at], raw[at : at + 24], raw[at + 24 :]
    head = b"\x04shop\0\x06things\0"
    table = head + bytes([types]) + column_types + bytes([len(detail)]) + detail + bytes((types + 7) // 8)
    names = b"".join(bytes([len(name)]) + name for name in (b"c%d" % number for number in range(types)))
    if len(names) < 251:
        table += b"\x04" + bytes([len(names)]) + names
    try:
        found = read_table_map(table + meta)
        metadata = read_metadata(found.metadata, found.fields, is_mariadb=bool(raw[0] & 1))
        shape = make_row_layout(found, metadata, WIDE, None, is_mariadb=bool(raw[0] & 1))
    except (*_REFUSED, UnsupportedEventError):
        return
    op = (Op.INSERT, Op.UPDATE, Op.DELETE)[raw[0] % 3]
    image = bytes([types]) + b"\xff" * ((types + 7) // 8 * (2 if op is Op.UPDATE else 1)) + body
    planned = _read(TableReader(shape, plan_after=0), op, image)
    generic = _read(TableReader(shape, most_plans=0), op, image)
    assert planned == generic


def _read(reader: TableReader, op: Op, body: bytes) -> str:
    out: list[Change] = []
    try:
        count = reader.read(op, body, 0, True, out)
    except (*_REFUSED, UnsupportedEventError):
        return "refused"
    return f"{count} {out!r}"


def table_map(raw: bytes) -> None:
    """A TABLE_MAP's body and its optional metadata."""
    for is_mariadb in (False, True):
        try:
            found = read_table_map(raw)
            metadata = read_metadata(found.metadata, found.fields, is_mariadb=is_mariadb)
            make_row_layout(found, metadata, THINGS, None, is_mariadb=is_mariadb)
        except (*_REFUSED, UnsupportedEventError):
            continue


def metadata(raw: bytes) -> None:
    """Optional metadata behind a table map of all kinds of columns."""
    kinds = [
        (3, b""),
        (15, b"\x28\0"),
        (252, b"\x02"),
        (254, b"\xf7\x01"),
        (254, b"\xf8\x02"),
        (255, b"\x04"),
        (246, b"\x0c\4"),
    ]
    found = read_table_map(table_map_body(kinds, []) + raw)
    for is_mariadb in (False, True):
        with contextlib.suppress(*_REFUSED):
            read_metadata(found.metadata, found.fields, is_mariadb=is_mariadb)


# ------------------------------------------------------------------------------------------- values


def json(raw: bytes) -> None:
    """Binary JSON: text of a bounded length, or a ValueError."""
    with contextlib.suppress(ValueError):
        assert len(json_text(raw)) <= 100 * (len(raw) + 10)


def text(raw: bytes) -> None:
    """Text of any character set is never refused."""
    decode = text_decoder(_CHARSETS[raw[0] % len(_CHARSETS)]) if raw else None
    if decode is not None:
        assert isinstance(decode(raw[1:]), str)


def gtids(raw: bytes) -> None:
    """GTID sets: binary and text, and back again."""
    with contextlib.suppress(ValueError):
        found = GtidSet.decode(raw)
        assert GtidSet.decode(found.encode()) == found
        assert GtidSet.parse(str(found)) == found
    with contextlib.suppress(ValueError):
        parsed = parse_gtids(raw.decode("utf-8", "replace"))
        assert str(parse_gtids(str(parsed))) == str(parsed) or not isinstance(parsed, GtidPosition | GtidSet)


def compressed(raw: bytes) -> None:
    """MariaDB's records and columns, MySQL's payloads."""
    for unpack in (unpack_record, unpack_column):
        with contextlib.suppress(*_REFUSED):
            unpack(raw)
    with contextlib.suppress(*_REFUSED):
        for event in payload_events(memoryview(raw)):
            assert len(event) >= 19


def statement(raw: bytes) -> None:
    """Any statement is of some kind, and a definition of any form is followed or given up, never an error of ours."""
    read_statement("shop", raw)
    log = Log(MYSQL, checksum=False)
    log.format()
    log.gtid(1)
    name = b"shop"
    log.put(EventType.QUERY, struct.pack("<IIBHH", 7, 0, len(name), 0, 0) + name + b"\0" + raw)
    _changes(log.events)


def words(raw: bytes) -> None:
    """A statement under any sql_mode and character set: once it could be cut, an open quote behind it is seen."""
    if not raw:
        return
    mode = (ANSI_QUOTES if raw[0] & 1 else 0) | (NO_BACKSLASH_ESCAPES if raw[0] & 2 else 0)
    charset = _CLIENT_CHARSETS[(raw[0] >> 3) % len(_CLIENT_CHARSETS)]
    dialect = Dialect(mode, charset, is_mariadb=bool(raw[0] & 4))
    text = raw[1:]
    found = cut(text, dialect)
    read_statement("shop", text, dialect)
    if found.is_whole:
        assert cut(text + b"\n", dialect) == found
        for quote in (b"'", b'"', b"`", b"/*", b"/*!"):
            assert not cut(text + b"\n" + quote, dialect).is_whole, quote


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        file, packets, events, rows_event, rows, table_map, metadata, json, text, gtids, compressed, statement, words,
        http_answer, crm_answer, bridge_answer,
    )
}  # fmt: skip
"""By name; the folders of the corpus are called so."""
