"""Reads from the server what the log does not hold: the first load, stale tables, rows of changed objects by key.

It is a thread of its own that lives as long as the log is followed. Each chunk is on disk before the next is read, so a
killed load goes on from its last chunk. Objects that a live change affects do not wait for their chunk: their rows are
read by key (``SnapshotIngest.to_fetch``).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import TypeVar

from cdc.engine.engine import Engine
from cdc.engine.state_thread import StateThread
from cdc.errors import CdcError, SourceDisconnectedError
from cdc.log_events import get_logger
from cdc.model import Cells, DeleteRule, FetchByKey, ForeignKey, ObjectRef, TableSpec
from cdc.replica.table_loads import RequiredPosition, RequiredPositions, TableLoad
from cdc.replica.unread import UnreadRow
from cdc.retry_pause import jittered_s
from cdc.settings.history import HistorySettings
from cdc.snapshot.pace import ChunkSizes
from cdc.snapshot.reader import TIMED_OUT, Chunk, RowLoader
from cdc.snapshot.replica_lag import ReplicaLag
from cdc.snapshot.replica_reader import ReplicaReader, ReplicaWaitError
from cdc.snapshot.required_position import Snapshot, contains

log = get_logger(__name__)

T = TypeVar("T")

FETCH_BATCH = 50  # objects fetched under one snapshot
PIECE_ROWS = 1000  # some 20 ms of the state thread
READ_BATCH = 100  # rows that the log holds only in part, read between two commits
FETCH_ROUNDS = 5  # an item's order, the order's customer ...: deeper than any object's rows lie
LOOK_EVERY_S = 1.0  # bulk invalidations and commands ask for fetches without a commit that wakes the loader
PROGRESS_EVERY_S = 10.0
RETRY_MIN_S, RETRY_MAX_S = 1.0, 30.0
LAG_WAIT_S = 0.05  # until the engine shows what the log has shown already
LAG_TRIES = 100
PAUSED = "`magento-cdc import pause` was asked for; `magento-cdc import resume` goes on"


class Loader(threading.Thread):
    """Loads missing and stale tables, and serves fetches by key while the replica is not complete.

    At any time it also reads unread rows, of which the log has only a part.

    Without ``LoadState.reads_whole_tables`` (``start = "latest"``) only reference tables are loaded.
    """

    def __init__(
        self,
        reader: RowLoader,
        state: StateThread,
        keys: Sequence[ForeignKey],
        *,
        history: HistorySettings,
        on_failure: Callable[[BaseException], None],
        replica: ReplicaLag | None = None,
        tables: ReplicaReader | None = None,
        piece_rows: int = PIECE_ROWS,
    ) -> None:
        """``replica``: tables are read only while this replica is near enough to its primary; None: always.

        ``tables``: whole tables are read from this replica; None: from the server of ``reader``. ``piece_rows``: rows
        of a chunk that the state takes in one turn.
        """
        super().__init__(name="loader", daemon=True)
        self._reader = reader
        self._state = state
        self._engine: Engine = state.engine
        self._order = load_order(self._engine.tables, keys)
        self._sizes = ChunkSizes(history.chunk_rows, history.chunk_s)
        self._max_threads = history.max_threads_running
        self._replica = replica
        self._tables = tables
        self._piece_rows = piece_rows
        self._tables_failures = 0
        self._tables_again_s = 0.0
        self._tables_fault = ""
        self._on_failure = on_failure
        self._ending = threading.Event()
        self._work_wanted = threading.Event()
        self._said = 0.0
        self.rows = 0
        self.table = ""
        self.waits_for = ""
        """Why no table is read now although some are to be read; "" while tables are read."""

    @property
    def is_done(self) -> bool:
        """Whether every table and row is read that has to be read. Fetches by key may still wait."""
        return self._engine.load.is_loaded and not self._engine.unread.any

    def wake(self) -> None:
        """A commit is on disk: an object may wait to be fetched, or a table to be read again."""
        # Without unread rows and after the load nobody waits, and waking would cost a round.
        if not self._engine.load.is_complete or self._engine.unread.any:
            self._work_wanted.set()

    def stop(self) -> None:
        """End after the present read."""
        self._ending.set()
        self._work_wanted.set()

    def run(self) -> None:
        """Load, and retry lost connections with back-off. Other errors go to the daemon."""
        failures = 0
        while not self._ending.is_set():
            try:
                while not self._ending.is_set():
                    self._work_wanted.clear()
                    # Nothing to do: rest until something is committed.
                    if not self._work():
                        self._rest()
                    failures = 0
            except SourceDisconnectedError as error:
                failures += 1
                wait_s = jittered_s(failures, RETRY_MIN_S, RETRY_MAX_S)
                log.warning(
                    "load_disconnected",
                    errno=error.errno,
                    reason=error.message,
                    failures=failures,
                    retry_in_s=round(wait_s, 1),
                )
                self._ending.wait(wait_s)
            except CancelledError:
                return  # the state thread has stopped
            except BaseException as error:  # noqa: BLE001  # the thread's top: the daemon must hear of it
                self._on_failure(error)
                return
            finally:
                self._close()

    def _work(self) -> bool:
        """Read one chunk or finish a load, fetches by key first. False when there is nothing to do."""
        self._read_unread()
        # After the load only unread rows are read.
        if self._engine.load.is_complete:
            self.waits_for = ""
            return False
        self._serve_fetches()  # first: a killed run may have left some, and then nobody wakes us
        if self._call(lambda: self._engine.store.meta.is_import_paused):
            self.table = ""
            self.waits_for = "" if self._engine.load.is_loaded else PAUSED
            return False  # rows of changed objects are fetched all the same
        self.waits_for = "" if self._engine.load.is_loaded else self._reason_to_wait()
        if self.waits_for:
            log.info("load_waits", limit="load_waits", reason=self.waits_for)
            return False  # asked again within a second
        task = self._call(self._next)
        if task is not None:
            return self._load_if_possible(*task)
        self.table = ""
        # Loaded: what is left waits for the log, not for a read.
        if self._engine.load.is_loaded or self._ending.is_set():
            return False
        # References first: without labels and stores nothing renders rightly.
        if not self._engine.load.are_references_loaded:
            self._call(self._engine.ingest.references_read)
        else:
            seen = self._reader.position()
            self._call(lambda: self._engine.ingest.load_done(seen))
            log.info("load_done", rows=self.rows)
        return True

    def _rest(self) -> None:
        """Wait to be woken. Also look from time to time, as commands ask for reads without a commit that
        wakes the loader.
        """
        # Nothing can be asked for any more, so the connection is given back to the server.
        if self._engine.load.is_complete and not self._engine.unread.any:
            self._close()
        self._work_wanted.wait(LOOK_EVERY_S)

    def _next(self) -> tuple[TableSpec, TableLoad, RequiredPosition | None] | None:
        """The table to read next: reference tables before all others."""
        loads = self._engine.table_loads.states()
        for spec in self._order:
            if not loads[spec.name].done and (spec.reference or self._wants_all):
                return spec, loads[spec.name], self._engine.table_loads.required_positions.get(spec.name)
        return None

    @property
    def _wants_all(self) -> bool:
        """Whether tables other than reference tables are loaded, which begins after the reference tables."""
        return self._engine.load.are_references_loaded and self._engine.load.reads_whole_tables

    def _load_if_possible(self, spec: TableSpec, held: TableLoad, required: RequiredPosition | None) -> bool:
        """Read one chunk. False if the replica that tables are read from cannot be read now: a later round tries again,
        and meanwhile live changes and rows by key, which come from the primary, do not wait for it.
        """
        # A replica that does not answer would hold up each round until the connection times out.
        if self._tables_failures and time.monotonic() < self._tables_again_s:
            self.waits_for = self._tables_fault
            return False
        try:
            self._load(spec, held, required)
        except ReplicaWaitError as error:
            self._tables_failures += 1
            wait_s = jittered_s(self._tables_failures, RETRY_MIN_S, RETRY_MAX_S)
            self._tables_again_s = time.monotonic() + wait_s
            self.waits_for = self._tables_fault = error.message
            log.info("load_waits", limit="load_waits", reason=error.message)
            return False
        self._tables_failures = 0
        return True

    def _load(self, spec: TableSpec, held: TableLoad, required: RequiredPosition | None) -> None:
        self.table = spec.name
        # The table is read from its first row: its columns may have changed since the last time.
        if held.cursor is None:
            self._reader.forget(spec.name)
            if self._tables is not None:
                self._tables.forget(spec.name)
        chunk = self._read(lambda: self._chunk(spec.name, held.cursor, required), _snapshot, [required])
        # The loader ends.
        if chunk is None:
            return
        self._take(spec, chunk, required)
        # A line per chunk would flood the log.
        if time.monotonic() - self._said > PROGRESS_EVERY_S:
            self._said = time.monotonic()
            log.info("load_progress", table=spec.name, rows=self.rows)

    def _take(self, spec: TableSpec, chunk: Chunk, required: RequiredPosition | None) -> None:
        """Give the chunk's rows to the state piece by piece: live changes wait for a piece, not for the whole chunk."""
        width = len(spec.key)
        pieces = [*batched(chunk.rows, self._piece_rows)] or [()]
        for number, piece in enumerate(pieces, 1):
            is_last = number == len(pieces)
            cursor = chunk.cursor if is_last else json.dumps(list(piece[-1][:width]))
            take = partial(
                self._engine.ingest.load_chunk, spec.name, piece, chunk.safe, cursor,
                done=chunk.done and is_last, required=required, exists=chunk.exists,
            )  # fmt: skip
            is_taken = self._call(take)
            # The table became stale meanwhile, so the chunk's other rows are too old as well.
            if not is_taken or self._ending.is_set():
                return
            self.rows += len(piece)
            if not is_last:
                self._serve_fetches()

    def _chunk(self, table: str, cursor: str | None, required: RequiredPosition | None) -> Chunk:
        """Read one chunk. Its size follows from the time of the table's earlier chunks."""
        began_s = time.monotonic()
        reader = self._reader
        # A table that is read again changed without row events, and a replica knows no more than the log. With `start =
        # "latest"` deletions are remembered only until the next row is fetched by key from the primary, so a replica
        # that is behind would bring deleted rows back.
        if self._tables is not None and required is None and self._engine.load.reads_whole_tables:
            reader = self._tables
        try:
            chunk = reader.chunk(table, cursor, self._sizes.of(table))
        except SourceDisconnectedError as error:
            if error.errno in TIMED_OUT:
                self._sizes.timed_out(table)
            raise
        self._sizes.took(table, len(chunk.rows), time.monotonic() - began_s)
        return chunk

    def _reason_to_wait(self) -> str:
        """Why the server is not to be asked for a chunk now: it is busy, or its replica lags; "" if it may be asked."""
        if self._max_threads:
            try:
                running = (self._tables or self._reader).threads_running()
            except CdcError as error:
                # A replica that cannot be asked makes tables wait; it must not end the daemon, nor delay rows by key.
                if self._tables is None:
                    raise
                return error.message
            if running > self._max_threads:
                return f"the server runs {running} threads; history.max_threads_running is {self._max_threads}"
        return self._replica.reason_to_wait() if self._replica is not None else ""

    def _close(self) -> None:
        self._reader.close()
        if self._tables is not None:
            self._tables.close()
        if self._replica is not None:
            self._replica.close()

    def _read(
        self,
        read: Callable[[], T],
        snapshot_of: Callable[[T], Snapshot],
        required_positions: Sequence[RequiredPosition | None],
    ) -> T | None:
        """The result of ``read`` once it contains the required positions; None when the loader is to end."""
        for _ in range(LAG_TRIES):
            found = read()
            # MySQL shows a commit some moments after it is in the log.
            if all(required is None or contains(snapshot_of(found), required) for required in required_positions):
                return found
            if self._ending.wait(LAG_WAIT_S):
                return None
        raise SourceDisconnectedError("the server's tables do not show yet the changes that its log has shown")

    def _read_unread(self) -> None:
        """Read the unread rows, except rows that the shop has locked.

        Rows of a dropped table stay as they are in the replica, like the table's other rows.
        """
        while self._engine.unread.any and not self._ending.is_set():
            rows, lsn = self._call(lambda: self._engine.ingest.unread_rows(READ_BATCH))
            read: list[tuple[UnreadRow, Cells | None]] = []
            kept = [row for row in rows if not self._reader.has(row.table)]
            for row in rows:
                if row in kept:
                    continue
                found = self._reader.row(row.table, row.key)
                # None: the shop holds the row locked. It is tried again with the next round.
                if found is not None:
                    read.append((row, found[0] if found else None))
            seen = self._reader.position()
            self._call(lambda: self._engine.ingest.take_unread(read, lsn, seen, kept))  # noqa: B023  # runs now
            # Locked rows are left: another round at once would only wait for the same locks.
            if len(read) + len(kept) < len(rows):
                return

    def _serve_fetches(self) -> None:
        """Read the rows of objects that wait for a fetch, until no object waits."""
        while not self._ending.is_set():
            refs: list[ObjectRef] = self._call(lambda: self._engine.ingest.to_fetch(FETCH_BATCH))
            if not refs:
                return
            asked: set[FetchByKey] = set()
            for _ in range(FETCH_ROUNDS):
                wanted, required_positions = self._call(lambda: self._wanted(refs, frozenset(asked)))  # noqa: B023  # runs now
                # The objects name no further rows.
                if not wanted:
                    break
                lowest = [required_positions.get(fetch.table) for fetch in wanted]
                found = self._read(lambda: self._reader.by_key(wanted), _second, lowest)  # noqa: B023  # runs now
                if found is None:
                    return
                read, snapshot = found
                # Not taken: a table became stale meanwhile, so the same rows are asked for again.
                if self._call(lambda: self._engine.ingest.take_fetched(read, snapshot.safe, required_positions)):  # noqa: B023  # runs now
                    asked.update(wanted)
            seen = self._reader.position()
            self._call(lambda: self._engine.ingest.fetched(refs, seen, frozenset(asked)))  # noqa: B023  # runs now

    def _wanted(
        self, refs: Sequence[ObjectRef], asked: frozenset[FetchByKey]
    ) -> tuple[list[FetchByKey], RequiredPositions]:
        return self._engine.ingest.fetches_for(refs, asked), dict(self._engine.table_loads.required_positions)

    def _call(self, work: Callable[[], T]) -> T:
        return self._state.submit(lambda _: work()).result()


def batched(rows: Sequence[Cells], size: int) -> Iterator[Sequence[Cells]]:
    """The rows in pieces of at most this size, in order."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _snapshot(chunk: Chunk) -> Snapshot:
    return chunk.snapshot


def _second(found: tuple[object, Snapshot]) -> Snapshot:
    return found[1]


def load_order(specs: Sequence[TableSpec], keys: Sequence[ForeignKey]) -> list[TableSpec]:
    """Reference tables first, then parents before their children, so that no effect of a deletion is missed."""
    names = {spec.name for spec in specs}
    parents = {
        spec.name: {k.parent for k in keys if k.child == spec.name and k.rule is DeleteRule.CASCADE}
        & names - {spec.name}
        for spec in specs
    }
    ordered: list[TableSpec] = []
    waiting = sorted(specs, key=lambda spec: not spec.reference)
    while waiting:
        placed = {spec.name for spec in ordered}
        # Tables that refer to each other in a circle have no right order.
        free = [spec for spec in waiting if parents[spec.name] <= placed] or waiting[:1]  # a circle: any first
        ordered.append(free[0])
        waiting.remove(free[0])
    return ordered
