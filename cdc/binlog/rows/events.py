"""TABLE_MAP and rows events: finds the table, then skips the event or has its rows read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from cdc.binlog.assembly import Assembly
from cdc.binlog.compressed import unpack_record
from cdc.binlog.events import HEADER_BYTES, EventType
from cdc.binlog.reading_position import ReadingPosition
from cdc.binlog.rows.decode import TableReader
from cdc.binlog.rows.headers import DEFAULT_FORMAT, Format, lenenc
from cdc.binlog.schema.tables import MappedTables
from cdc.errors import UnsupportedEventError
from cdc.model import Op, StaleTable

_E = EventType
FROM_INSIDE: Final = "the log is read from inside a transaction"
ADVICE_START: Final = "start at the beginning of a transaction: at its GTID event (or BEGIN), or by GTID"

_REASON_LATER: Final = "its columns were changed soon after rows were written, and the log does not name columns"

_U64: Final = struct.Struct("<Q").unpack_from
_ID: Final = 0xFFFFFFFFFFFF  # the table's id takes 48 bits, the flags 16
_FIXED: Final = 8
_NO_FOREIGN_KEY_CHECKS: Final = 0x02
_KEYS_IN_SQL: Final = 0x10
"""Flag of MySQL from 9.6 on (``innodb_native_foreign_keys`` off): the server logs the cascaded rows of children itself.

A REPLACE, which is a DELETE here, leaves the children alone. Seen on 9.7, where SHOW BINLOG EVENTS calls the flag
USE_SQL_FOREIGN_KEY_F.
"""
_DUMMY_TABLE: Final = 0xFFFFFF  # an event that only says "end of statement"
_MOST_UNWANTED: Final = 1024
_CHANGE_BYTES: Final = 200  # about what a Change and its tuples take in memory, without cells
_CELL_BYTES: Final = 48  # about what a cell takes beyond its bytes in the log

_OPS: Final[dict[int, Op]] = {
    **dict.fromkeys((_E.WRITE_ROWS_V0, _E.WRITE_ROWS_V1, _E.WRITE_ROWS), Op.INSERT),
    **dict.fromkeys((_E.UPDATE_ROWS_V0, _E.UPDATE_ROWS_V1, _E.UPDATE_ROWS), Op.UPDATE),
    **dict.fromkeys((_E.DELETE_ROWS_V0, _E.DELETE_ROWS_V1, _E.DELETE_ROWS), Op.DELETE),
    **dict.fromkeys((_E.MARIADB_WRITE_ROWS_COMPRESSED_V1, _E.MARIADB_WRITE_ROWS_COMPRESSED), Op.INSERT),
    **dict.fromkeys((_E.MARIADB_UPDATE_ROWS_COMPRESSED_V1, _E.MARIADB_UPDATE_ROWS_COMPRESSED), Op.UPDATE),
    **dict.fromkeys((_E.MARIADB_DELETE_ROWS_COMPRESSED_V1, _E.MARIADB_DELETE_ROWS_COMPRESSED), Op.DELETE),
}
_WITH_EXTRA: Final = frozenset({
    _E.WRITE_ROWS, _E.UPDATE_ROWS, _E.DELETE_ROWS, _E.PARTIAL_UPDATE_ROWS, _E.MARIADB_WRITE_ROWS_COMPRESSED,
    _E.MARIADB_UPDATE_ROWS_COMPRESSED, _E.MARIADB_DELETE_ROWS_COMPRESSED,
})  # fmt: skip
_FIRST_COMPRESSED: Final = _E.MARIADB_WRITE_ROWS_COMPRESSED_V1


class RowEvents:
    """The tables that the current transaction named, by table id; None for tables that are not mapped."""

    def __init__(self, tables: MappedTables, position: ReadingPosition, assembly: Assembly) -> None:
        self._tables = tables
        self._position = position
        self._assembly = assembly
        self._open: dict[int, TableReader | None] = {}
        self._unwanted: dict[bytes, int] = {}  # whole bodies of TABLE_MAPs that were looked at, and their table's id
        self.format: Format = DEFAULT_FORMAT
        self.decoded = 0
        self.unchanged = 0
        self.skipped = 0

    def end_transaction(self) -> None:
        """Forget the table ids: they are valid for one transaction."""
        self._open.clear()

    def on_table_map(self, view: memoryview, at: int, end: int, head: Sequence[int]) -> int:
        """Remember which table this id means until the transaction ends."""
        # A table map before any BEGIN or GTID: its transaction's beginning lies before the start.
        if not self._assembly.is_open:
            raise UnsupportedEventError(FROM_INSIDE, hint=ADVICE_START)
        body = bytes(view[at + HEADER_BYTES : end])
        table_id = self._unwanted.get(body)
        # The same event as before for a table that nobody wants: one look-up instead of parsing names.
        if table_id is not None:
            self._open[table_id] = None
            return 0
        table_id = _U64(body)[0] & _ID
        table_at = _FIXED + body[_FIXED] + 2
        name_end = table_at + 1 + body[table_at]
        # The length byte of a name is damaged, or this is no table map.
        if name_end > len(body):
            raise IndexError("names that end beyond their event")
        spec = self._tables.spec_of(body[_FIXED:name_end])
        reader = None
        if spec is not None:
            reader = self._tables.reader(spec, body[_FIXED:], self._position, is_mariadb=self.format.is_mariadb)
            # A read of the table contains these rows: the table's change waited until they were committed.
            if reader is None:
                self._assembly.stale.append(StaleTable(spec.name, _REASON_LATER, by_rows=True))
        else:
            # Bounded: a server with many schemas names more tables than are worth remembering.
            if len(self._unwanted) >= _MOST_UNWANTED:
                self._unwanted.clear()
            self._unwanted[body] = table_id
        self._open[table_id] = reader
        return 0

    def on_rows(self, view: memoryview, at: int, end: int, head: Sequence[int]) -> int:
        """WRITE, UPDATE and DELETE rows of all versions, MariaDB's compressed rows events included."""
        # The fast path reads the id without slicing, so the length is checked here.
        if end - at < HEADER_BYTES + _FIXED:
            raise IndexError("a rows event without its fixed fields")
        word = _U64(view, at + HEADER_BYTES)[0]
        try:
            reader = self._open[word & _ID]
        except KeyError:
            # An id that no table map named.
            return self._on_unnamed(word & _ID)
        # The table is not mapped.
        if reader is None:
            self.skipped += 1
            return 0
        kind = head[1]
        body = bytes(view[at + HEADER_BYTES + _FIXED : end])
        start = int.from_bytes(body[:2], "little") if kind in _WITH_EXTRA else 0
        op = _OPS[kind]
        # Only the images are compressed, so bitmaps are read before unpacking.
        if kind >= _FIRST_COMPRESSED:
            body, start = _unpacked(body, start, op), 0
        assembly = self._assembly
        # Before decoding: a transaction that is too large for memory goes to disk piece by piece.
        assembly.make_room()
        changes = assembly.changes
        before = len(changes)
        # Without foreign-key checks the server cascades nothing, and with keys in SQL the children's rows are
        # in the log: in both cases a cascade of ours would change rows that the server left alone.
        silent = _NO_FOREIGN_KEY_CHECKS if op is not Op.DELETE else _NO_FOREIGN_KEY_CHECKS | _KEYS_IN_SQL
        rows = reader.read(op, body, start, not word >> 48 & silent, changes)
        gathered = len(changes) - before
        assembly.weight += _weight(reader, op, len(body), gathered)
        self._count(rows, gathered)
        return 0

    def on_partial_json(self, view: memoryview, at: int, end: int, head: Sequence[int]) -> int:
        """PARTIAL_UPDATE_ROWS: the after image holds differences of JSON documents."""
        word = _U64(view, at + HEADER_BYTES)[0]
        try:
            reader = self._open[word & _ID]
        except KeyError:
            return self._on_unnamed(word & _ID)
        if reader is None:
            self.skipped += 1
            return 0
        body = bytes(view[at + HEADER_BYTES + _FIXED : end])
        assembly = self._assembly
        assembly.make_room()
        changes = assembly.changes
        before = len(changes)
        cascades = not word >> 48 & _NO_FOREIGN_KEY_CHECKS
        rows = reader.read_partial(body, int.from_bytes(body[:2], "little"), cascades, changes)
        assembly.weight += _weight(reader, Op.UPDATE, len(body), len(changes) - before)
        self._count(rows, len(changes) - before)
        return 0

    def _count(self, rows: int, changed: int) -> None:
        self.decoded += rows
        self.unchanged += rows - changed

    def _on_unnamed(self, table_id: int) -> int:
        # MySQL ends a statement with an event of this id that has no rows. Any other id means lost events.
        if table_id != _DUMMY_TABLE:
            raise UnsupportedEventError("rows of a table that the log has not named", hint=ADVICE_START)
        self.skipped += 1
        return 0


def _weight(reader: TableReader, op: Op, length: int, changes: int) -> int:
    """Roughly the bytes that ``changes`` of an event of ``length`` bytes take in memory."""
    # Nothing was kept, so nothing is weighed.
    if not changes:
        return 0
    images = 2 if op is Op.UPDATE else 1
    return length + changes * (_CHANGE_BYTES + images * len(reader.row_layout.cells) * _CELL_BYTES)


def _unpacked(body: bytes, start: int, op: Op) -> bytes:
    """The event with its images uncompressed: MariaDB compresses the part behind the bitmaps."""
    count, at = lenenc(body, start)
    at += (count + 7) // 8 * (2 if op is Op.UPDATE else 1)
    return body[start:at] + unpack_record(body[at:])
