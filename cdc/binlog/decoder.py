"""Takes events and gives whole transactions. The decoder is the only stateful part of this package; it does no I/O.

    framing → header and checksum → a handler per event type → Assembly → Transaction at XID, COMMIT or a lone statement

``events.py`` says what is done with each type of event. ``headers.py``, ``schema/query.py`` and ``rows/`` read the
bodies.
"""

from __future__ import annotations

import struct
import zlib
from binascii import crc32
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import zstandard

from cdc.binlog.assembly import Assembly, Room
from cdc.binlog.checksums import CRC_OF_ALL, WRONG_CHECKSUM, body_end
from cdc.binlog.events import (
    ACTIONS,
    CHECKSUM_BYTES,
    HEADER,
    HEADER_BYTES,
    MOVED,
    STAY,
    Action,
    EventType,
)
from cdc.binlog.framing import LONG_PACKET, PACKET_HEADER_BYTES, check_length, packet_at
from cdc.binlog.handlers import Handler, Handlers, event_name
from cdc.binlog.reading_position import ReadingPosition
from cdc.binlog.schema.columns import SchemaLookup
from cdc.binlog.schema.tables import MappedTables
from cdc.errors import CdcError, LogFormatError, SourceStoppedError
from cdc.model import Position, TableSchema, TableSpec, Transaction

_MALFORMED: Final = (
    ValueError, IndexError, KeyError, OverflowError, struct.error, zlib.error, zstandard.ZstdError, RecursionError
)  # fmt: skip
_U32: Final = struct.Struct("<I").unpack_from
_XID: Final = int(EventType.XID)
_ROTATE: Final = int(EventType.ROTATE)
_FORMAT: Final = int(EventType.FORMAT_DESCRIPTION)
_UNUSUAL: Final = frozenset({_FORMAT, _ROTATE})
_GATHERED: Final = (
    EventType.TABLE_MAP, EventType.GTID, EventType.ANONYMOUS_GTID, EventType.GTID_TAGGED, EventType.MARIADB_GTID
)  # fmt: skip
_QUIET: Final = frozenset(
    int(kind) for kind, action in ACTIONS.items() if action in (Action.DECODE, Action.IGNORE) or kind in _GATHERED
)
"""Types of events that never end a transaction: their handlers only gather."""

_EMPTY_BYTES: Final = 500  # about what a transaction takes in memory without its changes
_ADVICE: Final = "check the file (mariadb-binlog --verify-binlog-checksum), or start at a later transaction"


class LogDecoder:
    """Decodes one log from ``start`` on. Used by one thread.

    ``tables``: the mapped tables of ``database``; their names get ``prefix``. Only their mapped columns are decoded. Of
    an event of another table only the table's id is read. ``schemas`` names columns where the log does not. ``known``:
    the columns of tables as an earlier run had them at ``start``. ``repair_statements``: a statement that changes
    mapped rows makes their tables stale if a read can tell that it contains the change; any other such statement stops
    the decoder. ``case_sensitive``: table names may differ by case alone (lower_case_table_names = 0); where that is
    not known, such names are taken for equal. ``room`` bounds the memory of one transaction; without it all changes are
    held.

    ``feed`` and ``feed_packets`` take a server's stream, in which the server may leave out transactions that we have
    already. ``feed_file`` takes a file's bytes. After an error the decoder stands before the faulty event, and raises
    the same error when it is fed that event again.
    """

    def __init__(
        self,
        tables: Sequence[TableSpec],
        *,
        database: str,
        prefix: str = "",
        schemas: SchemaLookup | None,
        start: Position,
        known: Iterable[TableSchema] = (),
        repair_statements: bool = False,
        case_sensitive: bool = False,
        verify_checksum: bool = True,
        room: Room | None = None,
    ) -> None:
        try:
            self._position = ReadingPosition(start)
        except ValueError as error:  # a GTID set from the settings or an older state may be damaged
            raise LogFormatError(f"the position's GTID set cannot be read: {error}") from error
        self._assembly = Assembly(room)
        mapped = MappedTables(
            tables, database=database, prefix=prefix, schemas=schemas, known=known, case_sensitive=case_sensitive
        )
        self._handlers = Handlers(mapped, self._position, self._assembly, repair_statements=repair_statements)
        self._table = self._handlers.table()
        self._verify = verify_checksum
        self._commit_ms = 0
        self._events = [0] * 256

    @property
    def position(self) -> Position:
        """The resume point after the last completed transaction or mark."""
        return self._position.resume

    @property
    def counters(self) -> dict[str, int]:
        """Events by type, also those in compressed transactions; rows decoded; decoded rows that changed no wanted
        column; and rows events skipped.
        """
        met = zip(self._events, self._handlers.unwrapped, strict=True)
        named = {event_name(kind): sum(counts) for kind, counts in enumerate(met) if any(counts)}
        rows = self._handlers.rows
        return named | {
            "rows_decoded": rows.decoded,
            "rows_unchanged": rows.unchanged,
            "rows_events_skipped": rows.skipped,
        }

    # ------------------------------------------------------------------------------------------ feeding

    def feed(self, event: memoryview) -> Transaction | None:
        """Take one whole event. Returns the transaction that it completes, or a mark.

        A mark is a transaction without changes that only moves the resume point. Raises LogFormatError or
        UnsupportedEventError, both with the position.
        """
        self._handlers.exact = False  # the caller of ``feed`` holds events of a stream
        head = self._head(event, 0, len(event))
        return self._transaction() if self._event(event, 0, len(event), head) else None

    def feed_packets(self, buffer: memoryview, length: int) -> tuple[list[Transaction], int]:
        """Take the network packets that are whole in the first ``length`` bytes → (transactions, bytes consumed).

        Transactions without changes only move the position, so all but the last are left out. Raises like ``feed``, and
        SourceDisconnectedError for the server's error packet. If something was complete before the error, it is
        returned first, and the next call raises the error.
        """
        self._handlers.exact = False
        return self._batch(self._packets, buffer, length)

    def feed_file(self, buffer: memoryview, length: int) -> tuple[list[Transaction], int]:
        """Like ``feed_packets``, for the events of a binlog file without the magic number."""
        self._handlers.exact = True
        return self._batch(self._file_events, buffer, length)

    def begin_file(self, name: str, offset: int) -> None:
        """The bytes that ``feed_file`` gets next are those of the file ``name``, from ``offset`` on."""
        self._position.move(name, offset)

    @property
    def reading(self) -> str:
        """``file:offset`` of the event that will be fed next."""
        return str(self._position)

    def read_format(self, event: memoryview) -> None:
        """Read a file's FORMAT_DESCRIPTION without moving the position.

        Call it before events from the middle of the file are fed.
        """
        try:
            self._handlers.on_format(event, 0, len(event), HEADER.unpack_from(event))
        except _MALFORMED as error:
            raise self._malformed(_FORMAT, error) from error

    def _batch(
        self, feed: Callable[[memoryview, int, _Batch], None], buffer: memoryview, length: int
    ) -> tuple[list[Transaction], int]:
        batch = _Batch()
        try:
            feed(buffer, length, batch)
        except SourceStoppedError as error:
            if not batch.out and not batch.marked:
                raise self._placed(error) from error.__cause__
        except CdcError:
            if not batch.out and not batch.marked:
                raise
        if batch.marked:  # the next transaction may be open already: this must not touch it
            batch.out.append(Transaction((), self._position.resume, self._commit_ms, _EMPTY_BYTES))
        return batch.out, batch.used

    def _file_events(self, buffer: memoryview, length: int, batch: _Batch) -> None:
        """The loop over a file's events.

        Most events of a shop's log are of other tables. They cost only this: the header, the checksum, and the table's
        id or name. The position is brought up to date only where other code may read it. All other events go through
        ``_event``.
        """
        unpack, events, quiet = HEADER.unpack_from, self._events, self._quiet()
        position, may_pass = self._position, self._handlers.commits_nothing
        at = counted = kind = 0
        last = length - HEADER_BYTES  # without a whole header the length cannot be known
        try:
            while at <= last:
                head = unpack(buffer, at)
                kind, size = head[1], head[3]
                end = at + size
                if end > length or size < HEADER_BYTES:  # the event is not all here: keep it for the next call
                    check_length(size)
                    return
                handler = quiet[kind]
                if handler is not None and crc32(buffer[at:end]) == CRC_OF_ALL:
                    handler(buffer, at, end - CHECKSUM_BYTES, head)
                    events[kind] += 1
                elif kind == _XID and may_pass() and crc32(buffer[at:end]) == CRC_OF_ALL:
                    position.offset += end - counted
                    counted = end
                    self._pass(head)
                    events[kind] += 1
                    batch.marked = True
                else:
                    position.offset += at - counted
                    counted = at
                    settles = self._event(buffer, at, end, head)
                    counted = end
                    if settles:
                        self._settled(batch)
                    if kind == _FORMAT:  # a file may begin with or without checksums
                        quiet = self._quiet()
                at = end
        except _MALFORMED as error:
            position.offset += at - counted
            counted = at
            raise self._malformed(kind, error) from error
        finally:
            position.offset += at - counted
            batch.used = at

    def _quiet(self) -> list[Handler | None]:
        """The handlers of events that never end a transaction, by type; no
        handlers at all in a log without checksums.
        """
        has_checksums = self._handlers.has_checksums
        return [at if has_checksums and kind in _QUIET else None for kind, at in enumerate(self._table)]

    def _packets(self, buffer: memoryview, length: int, batch: _Batch) -> None:
        """The loop over network packets. framing.py reads the unusual packets.

        The server leaves out events that no replica needs, so counting bytes does not give the position.
        """
        unpack, u32, events, quiet = HEADER.unpack_from, _U32, self._events, self._quiet()
        position, may_pass = self._position, self._handlers.commits_nothing
        at = kind = 0
        try:
            while length - at >= PACKET_HEADER_BYTES:
                size = u32(buffer, at)[0] & LONG_PACKET
                start, end = at + PACKET_HEADER_BYTES + 1, at + PACKET_HEADER_BYTES + size
                view = buffer
                if size < LONG_PACKET and size > HEADER_BYTES and end <= length and not buffer[start - 1]:
                    head = unpack(buffer, start)
                    if head[3] != size - 1:  # a packet holds exactly one event, or framing is lost
                        raise LogFormatError(f"an event of {head[3]} bytes in a packet of {size - 1}")
                else:
                    frame = packet_at(buffer, at, length)
                    if frame is None:
                        return  # the packet is not all here
                    view, start, size, end = frame
                    head = self._head(view, start, size)
                kind, beyond = head[1], start + head[3]
                handler = quiet[kind]
                if handler is not None and crc32(view[start:beyond]) == CRC_OF_ALL:
                    handler(view, start, beyond - CHECKSUM_BYTES, head)
                    events[kind] += 1
                    position.offset = position.after(head[3], head[4])
                elif kind == _XID and may_pass() and crc32(view[start:beyond]) == CRC_OF_ALL:
                    position.offset = position.after(head[3], head[4])
                    self._pass(head)
                    events[kind] += 1
                    batch.marked = True
                else:
                    if self._event(view, start, beyond, head):
                        self._settled(batch)
                    if kind == _FORMAT:
                        quiet = self._quiet()
                at = batch.used = end
        except _MALFORMED as error:
            raise self._malformed(kind, error) from error

    def _pass(self, head: tuple[int, ...]) -> None:
        """End a transaction that changed no wanted column, as most do."""
        self._handlers.rows.end_transaction()
        self._mark(head)
        self._assembly.close_empty()

    def _mark(self, head: tuple[int, ...]) -> None:
        """A restart would go on at this position."""
        assembly, position = self._assembly, self._position
        position.settle()
        position.add(assembly.source, assembly.domain)
        self._commit_ms = assembly.commit_us // 1000 or head[0] * 1000

    def _settled(self, batch: _Batch) -> None:
        """What the event that was just taken completed: a transaction, or a mark."""
        assembly = self._assembly
        if assembly.has_news:
            batch.out.append(self._transaction())
            batch.marked = False
        else:
            assembly.reset()
            batch.marked = True

    def _transaction(self) -> Transaction:
        assembly = self._assembly
        size = _EMPTY_BYTES + assembly.weight
        stale, schemas = tuple(assembly.stale), tuple(assembly.schemas.values())
        made = Transaction(
            assembly.take(),
            self._position.resume,
            self._commit_ms,
            size,
            stale,
            assembly.xa,
            schemas=schemas,
            keys_of=tuple(assembly.keys_of),
        )
        assembly.schemas.clear()  # they outlive ``reset``: the transaction carries them now
        assembly.reset()
        return made

    # ------------------------------------------------------------------------------------------ one event

    def _event(self, view: memoryview, at: int, end: int, head: tuple[int, ...]) -> bool:
        """Take one event. Returns whether it ends a transaction or moves the resume point."""
        kind = head[1]
        handlers = self._handlers
        try:
            if kind in _UNUSUAL or not handlers.has_checksums:
                body = body_end(view, at, end, head, has_checksums=handlers.has_checksums, verify=self._verify)
            else:
                body = end - CHECKSUM_BYTES
                if self._verify and crc32(view[at:end]) != CRC_OF_ALL:
                    raise ValueError(WRONG_CHECKSUM)
            result = self._table[kind](view, at, body, head)
        except SourceStoppedError as error:
            raise self._placed(error) from error.__cause__
        except _MALFORMED as error:
            raise self._malformed(kind, error) from error
        self._events[kind] += 1
        if result == STAY:  # it is no part of the file: counting it would shift every later offset
            return False
        length = end - at
        position = self._position
        if result != MOVED:
            if handlers.exact:
                position.offset += length
            else:
                position.offset = position.after(length, head[4])
            if not result:  # GO_ON: no resume point here
                return False
        self._mark(head)
        return True

    def _head(self, view: memoryview, at: int, length: int) -> tuple[int, ...]:
        """The header of a whole event of ``length`` bytes. LogFormatError when the header states another length."""
        if length < HEADER_BYTES:
            raise LogFormatError(f"an event of {length} bytes", position=str(self._position), hint=_ADVICE)
        head = HEADER.unpack_from(view, at)
        if head[3] != length:
            message = f"an event of {head[3]} bytes in a frame of {length}"
            raise LogFormatError(message, position=str(self._position), hint=_ADVICE)
        return head

    def _placed(self, error: SourceStoppedError) -> SourceStoppedError:
        if error.position:  # raised further inside, with a better position
            return error
        return type(error)(error.message, position=str(self._position), hint=error.hint)

    def _malformed(self, kind: int, error: Exception) -> LogFormatError:
        reason = str(error) if type(error) is ValueError else "it is cut short or damaged"
        return LogFormatError(
            f"a {event_name(kind)} event cannot be read: {reason}", position=str(self._position), hint=_ADVICE
        )


class _Batch:
    """What one call of ``feed_packets`` or ``feed_file`` has brought so far.

    ``marked``: whether the resume point has moved since the last transaction in ``out``.
    """

    __slots__ = ("marked", "out", "used")

    def __init__(self) -> None:
        self.out: list[Transaction] = []
        self.used = 0
        self.marked = False
