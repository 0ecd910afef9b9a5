"""What each event type does: one method per type, found in a table by number.

A handler takes (buffer, offset of the event, end of its body, header). It returns what the event means for the
position. It raises UnsupportedEventError for an event that must not be skipped. The decoder adds the position to that
error, and turns every other failure to read the bytes into a LogFormatError.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Final

from cdc.binlog.assembly import Assembly
from cdc.binlog.compressed import payload_events, unpack_record
from cdc.binlog.events import (
    ACTIONS,
    CHECKSUM_BYTES,
    DONE,
    FLAG_ARTIFICIAL,
    FLAG_IGNORABLE,
    FLAG_IN_USE,
    GO_ON,
    HEADER,
    HEADER_BYTES,
    MOVED,
    STAY,
    WHY_STOP,
    Action,
    EventType,
)
from cdc.binlog.gtid import GtidSet
from cdc.binlog.reading_position import ReadingPosition
from cdc.binlog.rows import headers
from cdc.binlog.rows.events import ADVICE_START, RowEvents
from cdc.binlog.rows.fragments import Fragments
from cdc.binlog.schema.tables import MappedTables
from cdc.binlog.statements import Statements
from cdc.errors import UnsupportedEventError
from cdc.model import Xa, XaStep

_E = EventType
Head = Sequence[int]
"""The header's fields, as ``events.HEADER`` unpacks them."""


Handler = Callable[[memoryview, int, int, Head], int]

_MARIADB_GTID: Final = headers.MARIADB_GTID.unpack_from
_QUERY_POST: Final = 13
_LOAD_POST: Final = 26
_TABLE_MAP_POST: Final = 8


class Handlers:
    """The handlers and the state that they share. ``exact``: events come from a file, not from a server's stream."""

    def __init__(
        self, tables: MappedTables, position: ReadingPosition, assembly: Assembly, *, repair_statements: bool = False
    ) -> None:
        assembly.schemas = tables.history.news
        self._position = position
        self._assembly = assembly
        self.rows = RowEvents(tables, position, assembly)
        self.statements = Statements(tables, position, assembly, self.rows, repair=repair_statements)
        self._fragments = Fragments()
        self.exact = False
        self.has_checksums = False
        self.unwrapped = [0] * 256  # events out of compressed transactions, by type
        self._table = self._made_table()

    def table(self) -> list[Handler]:
        """One handler per type number."""
        return self._table

    def _made_table(self) -> list[Handler]:
        notes: dict[EventType, Handler] = {
            _E.QUERY: self._on_query, _E.STOP: self._on_mark, _E.ROTATE: self._on_rotate,
            _E.FORMAT_DESCRIPTION: self.on_format, _E.XID: self._on_commit, _E.TABLE_MAP: self.rows.on_table_map,
            _E.HEARTBEAT: self._on_heartbeat, _E.HEARTBEAT_V2: self._on_heartbeat, _E.GTID: self._on_gtid,
            _E.ANONYMOUS_GTID: self._on_gtid, _E.GTID_TAGGED: self._on_gtid,
            _E.PREVIOUS_GTIDS: self._on_previous_gtids, _E.XA_PREPARE: self._on_xa_prepare,
            _E.EXECUTE_LOAD_QUERY: self._on_load, _E.PARTIAL_UPDATE_ROWS: self.rows.on_partial_json,
            _E.MARIADB_GTID: self._on_mariadb_gtid, _E.MARIADB_GTID_LIST: self._on_gtid_list,
            _E.MARIADB_BINLOG_CHECKPOINT: self._on_mark, _E.MARIADB_QUERY_COMPRESSED: self._on_query,
            _E.MARIADB_START_ENCRYPTION: self._on_encryption, _E.TRANSACTION_PAYLOAD: self._on_payload,
            _E.MARIADB_PARTIAL_ROW_DATA: self._on_fragment,
        }  # fmt: skip
        # A type that no table names stops the reader: a newer server may write rows in it.
        table: list[Handler] = [self._on_unknown] * 256
        for kind, action in ACTIONS.items():
            if action is Action.DECODE:
                table[kind] = self.rows.on_rows
            elif action is Action.IGNORE:
                table[kind] = _ignore
            elif action is Action.STOP:
                table[kind] = _stop
            else:
                table[kind] = notes[kind]
        return table

    # ------------------------------------------------------------------------------------------ the file

    def on_format(self, view: memoryview, at: int, end: int, head: Head) -> int:
        """FORMAT_DESCRIPTION: how the events after it are read. A transaction that a crash cut off ends here."""
        found = headers.read_format(bytes(view[at + HEADER_BYTES : end]))
        # The event's own checksum is computed as if the file was not in use, whatever its flag says now.
        if found.checksum == headers.CHECKSUM_CRC32:
            whole = bytearray(view[at : end - CHECKSUM_BYTES])
            whole[17] &= ~FLAG_IN_USE & 0xFF
            if zlib.crc32(whole) != struct.unpack_from("<I", view, end - CHECKSUM_BYTES)[0]:
                raise ValueError("its checksum does not fit its bytes")
        # Before MySQL 5.1.15 table ids had 4 bytes. Reading them as 6 would take flags for a part of the id.
        if found.post_length(_E.TABLE_MAP, _TABLE_MAP_POST) != _TABLE_MAP_POST:
            raise UnsupportedEventError(f"the log of a server of version {found.server_version}, which is too old")
        # First of all: if the log was begun anew, nothing of this file may be decoded.
        self._position.begun(head[0])
        self.has_checksums = found.checksum == headers.CHECKSUM_CRC32
        self.rows.format = found
        self.statements.expects_gtid = _always_writes_gtids(found)
        # Temporary tables end with their connections. A restart without this would take names of dead ones for
        # harmless.
        if found.begins_server:
            self.statements.temporary.clear()
        # A crash leaves the file in the middle of a transaction, which the server has rolled back.
        self._assembly.reset()
        self._fragments.clear()
        self.rows.end_transaction()
        # In a stream an artificial one (end position 0) only teaches how to read: the file is then read from
        # its middle.
        return DONE if self.exact or head[4] else STAY

    def _on_rotate(self, view: memoryview, at: int, end: int, head: Head) -> int:
        """ROTATE: the next file. An artificial ROTATE says where the stream begins, or repeats a real ROTATE."""
        name, offset = headers.read_rotate(bytes(view[at + HEADER_BYTES : end]))
        # A server's first event. It comes again with every reconnect, so it must not count as a transaction's
        # end.
        if head[5] & FLAG_ARTIFICIAL or not head[4]:
            # Files read from disk are named by their reader; the event's name is that of a server we do not
            # ask.
            if self.exact:
                return GO_ON
            self._position.move(name, offset)
            return STAY
        # The server rotates between transactions only, so whatever is open was cut off.
        self._assembly.reset()
        self._position.move(name, offset)
        return MOVED

    def _on_mark(self, view: memoryview, at: int, end: int, head: Head) -> int:
        """STOP, BINLOG_CHECKPOINT: they only move the resume point."""
        if head[5] & FLAG_ARTIFICIAL and not self.exact:
            return STAY
        # Within a transaction a checkpoint is no resume point: a restart there would lose the rows before it.
        return GO_ON if self._assembly.is_open else DONE

    def _on_previous_gtids(self, view: memoryview, at: int, end: int, head: Head) -> int:
        if head[5] & FLAG_ARTIFICIAL and not self.exact:
            return STAY
        self._position.learn(GtidSet.decode(bytes(view[at + HEADER_BYTES : end])))
        return DONE

    def _on_gtid_list(self, view: memoryview, at: int, end: int, head: Head) -> int:
        if head[5] & FLAG_ARTIFICIAL and not self.exact:
            return STAY
        self._position.learn(headers.read_gtid_list(bytes(view[at + HEADER_BYTES : end])))
        return DONE

    def _on_heartbeat(self, view: memoryview, at: int, end: int, head: Head) -> int:
        """HEARTBEAT: the server is at this position and has nothing to send.

        The server may have skipped events that we have already.
        """
        position = self._position
        body = bytes(view[at + HEADER_BYTES : end])
        name, offset = headers.read_heartbeat_v2(body) if head[1] == _E.HEARTBEAT_V2 else (body.decode("utf-8"), 0)
        # The heartbeat may come between the events of a transaction, or be of a file whose ROTATE is still
        # under way.
        if self._assembly.is_open or name != position.file:
            return STAY
        offset = offset or position.after(0, head[4])
        if offset < position.offset or position.is_settled(offset):
            return STAY  # else events that are no resume point may have led up to here
        position.move(name, offset)
        return MOVED

    def _on_encryption(self, view: memoryview, at: int, end: int, head: Head) -> int:
        # Without the server's key the bytes behind this event are noise.
        if self.exact:
            raise UnsupportedEventError(
                "the binlog file is encrypted from here on", hint="read it through the server (source.kind = binlog)"
            )
        return STAY  # the server decrypts what it sends

    # ------------------------------------------------------------------------------------------ transactions

    def _on_gtid(self, view: memoryview, at: int, end: int, head: Head) -> int:
        body = bytes(view[at + HEADER_BYTES : end])
        found = headers.read_gtid_tagged(body) if head[1] == _E.GTID_TAGGED else headers.read_gtid(body)
        self._open(has_begun=False)
        self._assembly.commit_us = found.commit_us
        # An anonymous group has no GTID to note; a source without its number would spoil the set.
        if head[1] != _E.ANONYMOUS_GTID and found.number:
            self._assembly.source = (found.source, found.number)
        return GO_ON

    def _on_mariadb_gtid(self, view: memoryview, at: int, end: int, head: Head) -> int:
        # Checked by hand: the struct would read into the checksum and give a wrong sequence without an error.
        if end - at < HEADER_BYTES + headers.MARIADB_GTID.size:
            raise IndexError("a GTID event that is too short")
        sequence, domain, flags = _MARIADB_GTID(view, at + HEADER_BYTES)
        assembly = self._assembly
        if assembly.is_open:
            self._give_up_open()
        assembly.is_open = True
        # A standalone group (DDL) is one statement without COMMIT; waiting for its end would swallow the next
        # group.
        assembly.has_begun = not flags & headers.MARIADB_STANDALONE
        assembly.domain = (domain, head[2], sequence)
        # MariaDB logs a long ALTER twice: when it starts and when it commits. Only the second one changes the
        # table.
        if flags & headers.MARIADB_DDL:
            assembly.is_void = headers.is_no_alter_yet(bytes(view[at + HEADER_BYTES : end]))
        return GO_ON

    def _open(self, *, has_begun: bool) -> None:
        if self._assembly.is_open:
            self._give_up_open()
        self._assembly.open(has_begun=has_begun)

    def _give_up_open(self) -> None:
        """Discard a transaction of which only the GTID event was read."""
        # Two transactions cannot be open at once. Something is missing between, and half a transaction would be
        # applied.
        if self._assembly.has_changes or self._assembly.has_begun:
            raise UnsupportedEventError("a transaction begins inside another", hint=ADVICE_START)
        self._assembly.reset()

    def _on_commit(self, view: memoryview, at: int, end: int, head: Head) -> int:
        # Reading began in the middle: the first half of this transaction was never seen.
        if not self._assembly.is_open:
            raise UnsupportedEventError("a transaction ends that did not begin", hint=ADVICE_START)
        # Fragments of one event never cross a transaction, so some are missing.
        if not self._fragments.is_empty:
            raise ValueError("the transaction ends inside a rows event that came in pieces")
        self.rows.end_transaction()
        return DONE

    def commits_nothing(self) -> bool:
        """Whether an XID now would end a transaction that changed no wanted column, in a log with checksums."""
        assembly = self._assembly
        return self.has_checksums and assembly.is_open and not assembly.has_news and self._fragments.is_empty

    def _on_xa_prepare(self, view: memoryview, at: int, end: int, head: Head) -> int:
        one_phase, xid = headers.read_xa_prepare(bytes(view[at + HEADER_BYTES : end]))
        # One-phase is a plain commit. Two-phase rows are held until XA COMMIT, maybe far behind, under this id.
        if not one_phase:
            self._assembly.xa = Xa(xid, XaStep.PREPARE)
        return self._on_commit(view, at, end, head)

    def _on_payload(self, view: memoryview, at: int, end: int, head: Head) -> int:
        """A whole transaction, compressed. The events inside have no positions of their own."""
        self._assembly.discard()  # what a try that failed in its middle gathered
        result = GO_ON
        for event in payload_events(view[at + HEADER_BYTES : end]):
            inner = HEADER.unpack_from(event)
            kind = inner[1]
            # A nested payload could be made to expand without end; the other two would move the position to
            # nowhere.
            if kind in (_E.TRANSACTION_PAYLOAD, _E.FORMAT_DESCRIPTION, _E.ROTATE):
                raise ValueError(f"it holds an event {event_name(kind)}")
            result = self._table[kind](memoryview(event), 0, len(event), inner)
            self.unwrapped[kind] += 1
        return result

    def _on_fragment(self, view: memoryview, at: int, end: int, head: Head) -> int:
        """A piece of a rows event. The last piece gives the whole event, which has no position of its own."""
        event = self._fragments.whole(bytes(view[at + HEADER_BYTES : end]))
        if event is None:
            return GO_ON
        inner = HEADER.unpack_from(event)
        kind = inner[1]
        # Fragments are made of rows events only; another type is damage that happens to have a valid header.
        if ACTIONS.get(EventType(kind)) is not Action.DECODE:
            raise ValueError(f"its pieces make an event {event_name(kind)}")
        # The checksum of the original event is kept inside the pieces, depending on the server's setting at
        # that time.
        has_checksum = (
            zlib.crc32(event[:-CHECKSUM_BYTES]) == struct.unpack_from("<I", event, len(event) - CHECKSUM_BYTES)[0]
        )
        body = len(event) - CHECKSUM_BYTES if has_checksum else len(event)
        result = self.rows.on_rows(memoryview(event), 0, body, inner)
        self.unwrapped[kind] += 1
        self._fragments.clear()
        return result

    # ------------------------------------------------------------------------------------------ statements

    def _on_query(self, view: memoryview, at: int, end: int, head: Head) -> int:
        query = headers.read_query(bytes(view[at + HEADER_BYTES : end]), _QUERY_POST)
        if head[1] == _E.MARIADB_QUERY_COMPRESSED:
            query = query._replace(text=unpack_record(query.text))
        return self.statements.on_query(query, head)

    def _on_load(self, view: memoryview, at: int, end: int, head: Head) -> int:
        return self.statements.on_query(headers.read_query(bytes(view[at + HEADER_BYTES : end]), _LOAD_POST), head)

    # ------------------------------------------------------------------------------------------ the rest

    def _on_unknown(self, view: memoryview, at: int, end: int, head: Head) -> int:
        # The server marks events that a replica may skip without losing rows.
        if head[5] & FLAG_IGNORABLE:
            return GO_ON
        raise UnsupportedEventError(
            f"an event of type {head[1]}, which is not known", hint="a newer magento-cdc may know it"
        )


def _ignore(view: memoryview, at: int, end: int, head: Head) -> int:
    return GO_ON


def _stop(view: memoryview, at: int, end: int, head: Head) -> int:
    kind = EventType(head[1])
    message, hint = WHY_STOP.get(kind, (f"an event {kind.name}, which only MySQL 4 wrote", ""))
    raise UnsupportedEventError(message, hint=hint)


def event_name(kind: int) -> str:
    """The type's name, or ``UNKNOWN_n`` for a number without a name."""
    try:
        return EventType(kind).name
    except ValueError:
        return f"UNKNOWN_{kind}"


def _always_writes_gtids(found: headers.Format) -> bool:
    """Whether each transaction of this server begins with a GTID event: MySQL from 5.7 on, MariaDB always."""
    if found.is_mariadb:
        return True
    numbers = found.server_version.split(".")
    return len(numbers) >= 2 and all(n.isdigit() for n in numbers[:2]) and (int(numbers[0]), int(numbers[1])) >= (5, 7)
