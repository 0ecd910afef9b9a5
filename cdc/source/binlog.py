"""Reads a live server's log: connects, asks for the dump, gives whole transactions, and reconnects when the dump ends.

PyMySQL runs the set-up statements. From then on this module reads the socket itself, in large pieces, and
``cdc.binlog`` cuts and decodes the bytes. One thread reads; any other thread may call ``close``.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import pymysql

from cdc.binlog.assembly import Room
from cdc.binlog.decoder import LogDecoder
from cdc.binlog.gtid import GtidSet
from cdc.binlog.schema.history import SchemaHistory
from cdc.errors import CdcError, LoginRefusedError, SourceDisconnectedError
from cdc.log_events import get_logger
from cdc.model import Position, Start, TableSchema, TableSpec, Transaction
from cdc.settings.source import SourceSettings
from cdc.source import dump, start_positions
from cdc.source.buffer import ReceiveBuffer
from cdc.source.faults import TWIN, fault_of
from cdc.source.foreign_keys import ask_foreign_keys
from cdc.source.reconnect import OnState, counted, wait_to_retry
from cdc.source.schemas import ServerSchemas
from cdc.source.server import (
    Connection,
    ServerIdentity,
    connect,
    log_files,
    mapped,
    mapped_errors,
    read_identity,
    rows,
)
from cdc.source.skim import Skim, first_format

log = get_logger(__name__)

HEARTBEATS_MISSED: Final = 2.5  # silence for so many heartbeats means that the server or the path is gone
BEHIND_TRIES: Final = 10  # MySQL shows a transaction in gtid_executed a moment after it sent it
BEHIND_WAIT_S: Final = 0.2


def _say_nothing(name: str, details: Mapping[str, object]) -> None:
    """The default listener, which ignores the source's state."""


class BinlogSource:
    """Transactions of a live server.

    ``on_state`` is called in the reader thread with ``connected`` (position, server) or ``disconnected`` (reason,
    errno, retry_in_s). ``counters``: the decoder's counters, over all connections. ``room``: see LogDecoder. ``known``:
    columns of tables at the start position, where ``know`` is not called. ``before_wait`` is called when everything
    that arrived is given out.
    """

    def __init__(
        self,
        settings: SourceSettings,
        tables: Sequence[TableSpec],
        *,
        stop: threading.Event,
        on_state: OnState = _say_nothing,
        room: Room | None = None,
        known: Iterable[TableSchema] = (),
        before_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._tables = tuple(tables)
        self._stop = stop
        self._on_state = on_state
        self._room = room
        self._schemas = ServerSchemas(lambda: connect(settings))
        self._known = {schema.name: schema for schema in known}
        self._before_wait = before_wait
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_closed = False
        self._identity: ServerIdentity | None = None
        self._counted: Counter[str] = Counter()
        self._decoder: LogDecoder | None = None
        self.twin_s = -math.inf
        """When another reader with our server_id last ended our connection, in monotonic seconds."""
        self.heard_s = time.monotonic()
        """When the server last sent anything, in monotonic seconds. An idle server sends heartbeats."""

    # ------------------------------------------------------------------------------------------ questions

    def identity(self) -> ServerIdentity:
        """Which server this is; asked once. Raises SetupError, SourceDisconnectedError."""
        if self._identity is None:  # asked once: every caller needs it
            with self._control() as connection:
                self._identity = read_identity(connection)
        return self._identity

    def resolve(self, start: Start) -> Position:
        """The position that ``start`` (any value but ``import``) means on this server.

        Raises PositionLostError when the server no longer has that position; SetupError when the position is inside a
        transaction or is of another kind of server; SourceDisconnectedError.
        """
        identity = self.identity()
        with self._control() as connection:
            return start_positions.resolve(connection, identity, start)

    def is_other_log(self, position: Position) -> bool:
        """Whether the server's log was begun anew since the position was read, as far as the position shows it.

        Raises SourceDisconnectedError.
        """
        if not position.born or position.server != self.identity().server:
            return False
        with self._control() as connection:
            numbers = {name: int(name.rpartition(".")[2]) for name, _ in log_files(connection)}
            if position.file not in numbers:  # RESET starts numbering at 1 again
                return max(numbers.values()) < position.file_number
            link: socket.socket = connection._sock  # type: ignore[attr-defined]
            link.settimeout(HEARTBEATS_MISSED * self._settings.heartbeat_s)
            for statement in dump.session_statements(self._settings.server_id, self._settings.heartbeat_s):
                rows(connection, statement)
            link.sendall(dump.packet(dump.by_position(self._settings.server_id, position.file, 0)))
            try:
                return first_format(link) != position.born
            finally:
                _shut(link)  # else close() would send COM_QUIT into the dump

    def know(self, schemas: Iterable[TableSchema]) -> list[TableSchema]:
        """Learn the columns of tables at the start position; ask the server for the mapped tables that are not known.

        Returns all answers of the server; the caller keeps them. Raises SetupError, SourceDisconnectedError.
        """
        specs = {self._settings.table_prefix + spec.name: spec for spec in self._tables}
        self._known = {schema.name: schema for schema in schemas}
        history = SchemaHistory(
            self._schemas,
            database=self._settings.database,
            specs=specs,
            known=self._known.values(),
            case_sensitive=self.identity().case_sensitive,
        )
        answered = history.ask_for_unknown()
        self._known.update({schema.name: schema for schema in answered})
        return answered

    @property
    def known(self) -> tuple[TableSchema, ...]:
        """The columns of tables, as far as they are known at the position reached."""
        return tuple(self._known.values())

    @property
    def counters(self) -> dict[str, int]:
        """Counts by name since the start; may be read from any thread."""
        decoder = self._decoder
        return dict(self._counted + Counter(dict(decoder.counters) if decoder else {}))

    # -------------------------------------------------------------------------------------------- reading

    def transactions(self, start: Position) -> Iterator[Transaction]:
        """Whole transactions from ``start`` on, for ever. A transaction without changes only moves the position.

        Blocks. Reconnects by itself, and goes on behind the last transaction that it gave out: by GTID where the
        position has a GTID set and the server writes GTIDs, else by file and offset. Ends when ``stop`` is set or after
        ``close``. Raises PositionLostError, SetupError and the SourceStoppedError kinds.
        """
        at, failures = start, 0
        while not self._is_stopping():  # each round is one connection
            began = time.monotonic()
            try:
                with contextlib.closing(self._from(at)) as transactions:
                    for transaction in transactions:
                        at = transaction.end
                        self._known.update({schema.name: schema for schema in transaction.schemas})
                        yield transaction
                return
            except SourceDisconnectedError as error:
                if self._is_stopping():  # an error while stopping is the stop itself
                    return
                fault = fault_of(error, at)
                if not isinstance(fault, SourceDisconnectedError):  # setup faults do not pass by waiting
                    raise fault from error
                failures = counted(failures, began)
                self._wait_to_retry(fault, at, failures)
            except LoginRefusedError as refused:
                if self._settings.password_file is None:
                    raise
                failures += 1  # we were let in before: the password is being replaced, and its file follows
                hint = "put the new password into source.password_file; it is read at each try"
                self._wait_to_retry(SourceDisconnectedError(refused.message, hint=hint), at, failures)
            except CdcError:
                if self._is_stopping():  # closing the socket under a statement looks like many things
                    return
                raise

    def close(self) -> None:
        """End ``transactions``, also while it blocks on the network. May be called twice and from any thread."""
        with self._lock:
            self._is_closed = True
            if self._socket is not None:
                _shut(self._socket)
        self._schemas.close()

    def _from(self, at: Position) -> Generator[Transaction, None, None]:
        """One connection's transactions. Raises SourceDisconnectedError when it ends."""
        connection = connect(self._settings, database=False)
        try:
            link: socket.socket = connection._sock  # type: ignore[attr-defined]
            self._hold(link)
            begin, skim = self._begin_dump(connection, link, at)
            decoder = LogDecoder(
                self._tables,
                database=self._settings.database,
                prefix=self._settings.table_prefix,
                schemas=self._schemas,
                start=begin,
                known=self._known.values(),
                repair_statements=self._settings.on_statement == "repair",
                case_sensitive=self.identity().case_sensitive,
                room=self._room,
            )
            self._decoder = decoder
            yield from self._read(link, decoder, begin, skim)
        finally:
            self._hold(None)
            self._count()
            _shut(connection._sock)  # type: ignore[attr-defined]  # else close() would send COM_QUIT into the dump
            if connection.open:
                connection.close()

    def _read(
        self, link: socket.socket, decoder: LogDecoder, last: Position, skim: Skim | None
    ) -> Iterator[Transaction]:
        silence_s = HEARTBEATS_MISSED * self._settings.heartbeat_s
        link.settimeout(silence_s)
        buffer = ReceiveBuffer()
        is_new = True
        while not self._is_stopping():
            self._before_wait()
            try:
                count = buffer.receive(link)
            except TimeoutError as error:
                raise SourceDisconnectedError(f"nothing came for {silence_s:g} s, not even a heartbeat") from error
            except OSError as error:
                raise mapped(error, self._settings) from error
            self.heard_s = time.monotonic()
            if not count:  # the other side has closed
                raise SourceDisconnectedError("the server closed the connection")
            if skim is not None:
                if not skim.feed(buffer):  # the target is not reached yet
                    continue
                skim.teach(decoder)
                skim = None
            for transaction in _decoded(decoder, buffer):
                # By GTID the server begins at a file's start and tells how it skips what we have: no news.
                is_news = transaction.changes or transaction.stale or transaction.schemas or transaction.xa
                if transaction.keys_of:  # foreign keys may be others now
                    keys = ask_foreign_keys(self._settings)
                    yield replace(transaction, foreign_keys=keys)
                    last = transaction.end
                elif is_news or _is_ahead(transaction.end, last):
                    last = transaction.end
                    yield transaction
            if is_new:
                is_new = False
                log.info("source_connected", position=str(last), server=last.server)
                self._on_state("connected", {"position": str(last), "server": last.server})

    # ----------------------------------------------------------------------------------------- connecting

    def _begin_dump(self, connection: Connection, link: socket.socket, at: Position) -> tuple[Position, Skim | None]:
        """Find the position, register as a replica, ask for the dump.

        Returns the position to decode from, and the reader of the bytes before it.
        """
        with mapped_errors(self._settings):
            identity = read_identity(connection)
            self._identity = identity
            begin = self._confirm(connection, identity, at)
            by_gtid = bool(begin.gtid) and identity.gtid_enabled
            statements = dump.session_statements(self._settings.server_id, self._settings.heartbeat_s)
            if identity.flavor == "mariadb":
                statements += dump.mariadb_statements(begin.gtid if by_gtid else None)
            for statement in statements:
                rows(connection, statement)
        server_id = self._settings.server_id
        skim = Skim(begin) if not by_gtid and begin.offset > dump.LAST_OFFSET else None
        if not by_gtid:  # the file is named, not a set
            command = dump.by_position(server_id, begin.file, 0 if skim else begin.offset)
        elif identity.flavor == "mariadb":
            command = dump.by_position(server_id, "", 0)
        else:
            command = dump.by_gtid(server_id, GtidSet.parse(begin.gtid).encode())
        with mapped_errors(self._settings):
            self._register(link)
            link.sendall(dump.packet(command))
        return begin, skim

    def _confirm(self, connection: Connection, identity: ServerIdentity, at: Position) -> Position:
        """``start_positions.confirm``, repeated while the server has sent a transaction and does not count it as
        executed yet.
        """
        for tries_left in range(BEHIND_TRIES - 1, -1, -1):
            try:
                return start_positions.confirm(connection, identity, at)
            except start_positions.NotExecutedError:
                if not tries_left or self._stop.wait(BEHIND_WAIT_S):
                    raise
        raise AssertionError("the last try returns or raises")

    def _register(self, link: socket.socket) -> None:
        try:
            dump.run_command(link, dump.register(self._settings.server_id))
        except SourceDisconnectedError as error:
            raise mapped(pymysql.err.OperationalError(error.errno, error.message), self._settings) from error

    @contextlib.contextmanager
    def _control(self) -> Iterator[Connection]:
        connection = connect(self._settings, database=False)
        try:
            with mapped_errors(self._settings):
                yield connection
        finally:
            if connection.open:
                connection.close()

    def _wait_to_retry(self, fault: SourceDisconnectedError, at: Position, failures: int) -> None:
        if fault.message == TWIN:
            self.twin_s = time.monotonic()
        wait_to_retry(fault, at, failures, on_state=self._on_state, stop=self._stop)

    # --------------------------------------------------------------------------------------------- inside

    def _is_stopping(self) -> bool:
        return self._stop.is_set() or self._is_closed

    def _hold(self, link: socket.socket | None) -> None:
        """Remember the socket, so that ``close`` can shut it down."""
        with self._lock:
            self._socket = link
            if link is not None and self._is_closed:  # ``close`` came between
                _shut(link)

    def _count(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            self._counted.update(decoder.counters)


def _decoded(decoder: LogDecoder, buffer: ReceiveBuffer) -> Iterator[Transaction]:
    """All whole transactions in the buffer. An error behind them is raised last, as the next piece may never arrive."""
    consumed = 1
    while consumed and buffer.length:
        transactions, consumed = decoder.feed_packets(buffer.view, buffer.length)
        buffer.keep_from(consumed)
        yield from transactions


def _is_ahead(end: Position, last: Position) -> bool:
    if end.file == last.file and end.server == last.server:
        return end.offset > last.offset
    if end.server != last.server or not last.file:
        return True
    return (end.file_number, end.offset) > (last.file_number, last.offset)


def _shut(link: socket.socket | None) -> None:
    """Wake the thread that reads from the socket.

    The plain socket's shutdown is called: SSLSocket's would change the TLS state under the reading thread.
    """
    if link is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(link, socket.SHUT_RDWR)
