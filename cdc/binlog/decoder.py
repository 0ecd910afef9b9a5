"""Events in, whole transactions out. The one stateful thing of this package; it does no I/O.

    framing → header and checksum → a handler per event type → Assembly → Transaction at XID, COMMIT or a lone statement

What each type means to us is in events.py, how its body is read in headers.py, query.py and rows.py.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import zstandard

from cdc.binlog.assembly import Assembly
from cdc.binlog.events import CHECKSUM_BYTES, FLAG_ARTIFICIAL, HEADER, HEADER_BYTES, EventType
from cdc.binlog.framing import Frame, event_at, packet_at
from cdc.binlog.handlers import Handlers, Result, event_name
from cdc.binlog.place import Place
from cdc.binlog.schema import SchemaLookup
from cdc.binlog.tables import MappedTables
from cdc.errors import CdcError, LogFormatError, SourceStoppedError
from cdc.model import Position, TableSpec, Transaction

_MALFORMED: Final = (
    ValueError, IndexError, KeyError, OverflowError, struct.error, zlib.error, zstandard.ZstdError, RecursionError
)  # fmt: skip
_U32: Final = struct.Struct("<I").unpack_from
_ROTATE: Final = int(EventType.ROTATE)
_FORMAT: Final = int(EventType.FORMAT_DESCRIPTION)
_ADVICE: Final = "check the file (mariadb-binlog --verify-binlog-checksum), or start at a later transaction"

_Cut = Callable[[memoryview, int, int], Frame | None]


class LogDecoder:
    """Decodes one log from ``start`` on. Used by one thread.

    ``tables`` are decoded in ``database`` (names get ``prefix``), only their mapped columns; of anything else only the
    table's id is looked at. ``schemas`` names columns where the log does not. After an error the decoder stands before
    the event at fault and says the same again when fed it again.

    ``feed`` and ``feed_packets`` take a server's stream, where the server may leave out transactions that it was told
    we have; ``feed_file`` takes a file's bytes.
    """

    def __init__(
        self,
        tables: Sequence[TableSpec],
        *,
        database: str,
        prefix: str = "",
        schemas: SchemaLookup | None,
        start: Position,
        verify_checksum: bool = True,
    ) -> None:
        try:
            self._place = Place(start)
        except ValueError as error:
            raise LogFormatError(f"the position's GTID set cannot be read: {error}") from error
        self._assembly = Assembly()
        mapped = MappedTables(tables, database=database, prefix=prefix, schemas=schemas)
        self._handlers = Handlers(mapped, self._place, self._assembly)
        self._table = self._handlers.table()
        self._verify = verify_checksum
        self._bytes = 0
        self._commit_ms = 0
        self._events = [0] * 256

    @property
    def position(self) -> Position:
        """The resume point after the last completed transaction or mark."""
        return self._place.resume

    @property
    def counters(self) -> dict[str, int]:
        """Events met by type, rows decoded, decoded rows that changed nothing wanted, and rows events skipped."""
        named = {event_name(kind): count for kind, count in enumerate(self._events) if count}
        rows = self._handlers.rows
        return named | {
            "rows_decoded": rows.decoded,
            "rows_unchanged": rows.unchanged,
            "rows_events_skipped": rows.skipped,
        }

    # ------------------------------------------------------------------------------------------ feeding

    def feed(self, event: memoryview) -> Transaction | None:
        """Take one whole event. Returns the transaction it completes, or a mark: one without changes that moves the
        resume point. Raises LogFormatError or UnsupportedEventError, both with the place.
        """
        self._handlers.exact = False
        return self._transaction() if self._event(event, 0, len(event)) else None

    def feed_packets(self, buffer: memoryview, length: int) -> tuple[list[Transaction], int]:
        """Take the network packets that are whole in the first ``length`` bytes → (transactions, bytes consumed).

        Transactions without changes are left out but for the last, as they only move the position. Raises like
        ``feed``, and SourceDisconnectedError for the server's error packet; what was complete before is returned
        first, and the error comes with the next call.
        """
        return self._feed(buffer, length, packet_at, exact=False)

    def feed_file(self, buffer: memoryview, length: int) -> tuple[list[Transaction], int]:
        """The same for a binlog file's events, without the magic number."""
        return self._feed(buffer, length, event_at, exact=True)

    def begin_file(self, name: str, offset: int) -> None:
        """The bytes that ``feed_file`` gets next are those of this file, from this offset on."""
        self._place.move(name, offset)

    @property
    def reading(self) -> str:
        """``file:offset`` of the event to be fed next."""
        return str(self._place)

    def read_format(self, event: memoryview) -> None:
        """Take a file's FORMAT_DESCRIPTION without moving: before events from its middle are fed."""
        try:
            self._handlers.on_format(event, 0, len(event), HEADER.unpack_from(event))
        except _MALFORMED as error:
            raise self._malformed(event, 0, error) from error

    def _feed(self, buffer: memoryview, length: int, cut: _Cut, *, exact: bool) -> tuple[list[Transaction], int]:
        out: list[Transaction] = []
        at = 0
        marked = 0  # bytes since the last transaction that were settled without one
        assembly = self._assembly
        self._handlers.exact = exact
        try:
            while (frame := cut(buffer, at, length)) is not None:
                view, start, size, beyond = frame
                if self._event(view, start, size):
                    if assembly.changes or assembly.schema_changed:
                        out.append(self._transaction(marked))
                        marked = 0
                    else:
                        assembly.reset()
                        marked += self._bytes
                        self._bytes = 0
                at = beyond
        except SourceStoppedError as error:
            if not out and not marked:
                raise self._placed(error) from error.__cause__
        except CdcError:
            if not out and not marked:
                raise
        if marked:  # the next transaction may be open already: this must not touch it
            out.append(Transaction((), self._place.resume, self._commit_ms, marked))
        return out, at

    def _transaction(self, marked: int = 0) -> Transaction:
        assembly = self._assembly
        size = marked + self._bytes
        made = Transaction(
            assembly.changes, self._place.resume, self._commit_ms, size, tuple(assembly.schema_changed)
        )
        assembly.reset()
        self._bytes = 0
        return made

    # ------------------------------------------------------------------------------------------ one event

    def _event(self, view: memoryview, at: int, length: int) -> bool:
        """Take one event; whether it ends a transaction or moves the resume point."""
        try:
            head = HEADER.unpack_from(view, at)
            kind, size = head[1], head[3]
            if size != length:
                raise ValueError(f"it says it has {size} bytes and has {length}")
            result = self._table[kind](view, at, self._body_end(view, at, at + length, head), head)
        except SourceStoppedError as error:
            raise self._placed(error) from error.__cause__
        except _MALFORMED as error:
            raise self._malformed(view, at, error) from error
        self._events[kind] += 1
        if result == Result.STAY:
            return False
        self._bytes += length
        place = self._place
        if result != Result.MOVED:
            place.offset = place.after(length, head[4], exact=self._handlers.exact)
            if result == Result.GO_ON:
                return False
        assembly = self._assembly
        place.settle()
        place.add(assembly.source, assembly.domain)
        self._commit_ms = assembly.commit_us // 1000 or head[0] * 1000
        return True

    def _body_end(self, view: memoryview, at: int, end: int, head: tuple[int, ...]) -> int:
        """Where the body ends: before the checksum, which is verified. ValueError for a wrong one.

        FORMAT_DESCRIPTION keeps its checksum, as it says itself whether there are any. A ROTATE may stand before the
        first FORMAT_DESCRIPTION, so there the bytes themselves have to tell.
        """
        kind = head[1]
        if kind == _FORMAT:
            return end
        if kind == _ROTATE and (head[5] & FLAG_ARTIFICIAL or not head[4]):
            body = end - CHECKSUM_BYTES
            return body if body > at and zlib.crc32(view[at:body]) == _U32(view, body)[0] else end
        if not self._handlers.has_checksums:
            return end
        end -= CHECKSUM_BYTES
        if self._verify and zlib.crc32(view[at:end]) != _U32(view, end)[0]:
            raise ValueError("its checksum does not fit its bytes")
        return end

    def _placed(self, error: SourceStoppedError) -> SourceStoppedError:
        if error.place:
            return error
        return type(error)(error.message, place=str(self._place), hint=error.hint)

    def _malformed(self, view: memoryview, at: int, error: Exception) -> LogFormatError:
        name = event_name(view[at + 4]) if len(view) - at >= HEADER_BYTES else "cut-off"
        reason = str(error) if type(error) is ValueError else "it is cut short or damaged"
        return LogFormatError(f"a {name} event cannot be read: {reason}", place=str(self._place), hint=_ADVICE)
