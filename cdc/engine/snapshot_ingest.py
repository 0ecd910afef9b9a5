"""Takes rows that are read from the server: first loads, stale tables, rows fetched by key, partial rows.

Runs in the state thread only, inside its store transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cdc.engine.parts import Parts
from cdc.engine.rendering import Rendering
from cdc.errors import SourceDisconnectedError
from cdc.log_events import get_logger
from cdc.messages import render_queue
from cdc.model import Cells, FetchByKey, ObjectRef, Position, Urgency
from cdc.replica.load_state import Phase
from cdc.replica.table_loads import NOTHING_REQUIRED, RequiredPosition, RequiredPositions
from cdc.replica.unread import UnreadRow

log = get_logger(__name__)


class SnapshotIngest:
    """Takes the rows that the loader reads, and says which rows are still to be read."""

    def __init__(self, parts: Parts, rendering: Rendering) -> None:
        self._parts = parts
        self._rendering = rendering
        self._store = parts.store
        self._load = parts.load

    # ----------------------------------------------------------------------------------------------- whole tables

    def load_chunk(
        self,
        table: str,
        rows: Iterable[Cells],
        safe: Position,
        cursor: str | None,
        *,
        done: bool,
        required: RequiredPosition | None = None,
        exists: bool = True,
    ) -> bool:
        """Take one chunk of a load. ``safe``: a position that its rows certainly contain, like ``required``.

        False, and nothing is taken, if the table requires another position by now: read the chunk again. ``exists``
        False: the server has no such table, and the rows held stay.
        """
        parts = self._parts
        # The chunk was read before the table became stale (again): its rows may lack the newest changes.
        if parts.table_loads.required_positions.get(table) != required:
            return False
        lsn = self._lsn_here(safe)
        # A first load takes rows as they are; a table that is read again is compared, so that only differences
        # are rendered.
        if required is None:
            count = parts.applier.load(table, rows, lsn)
        else:
            count, changed = parts.resync.take(table, rows, max(lsn, required.lsn))
            render_queue.hold_found(self._store, changed)
            # A row with an older LSN after a whole read is gone from the server.
            if done and exists:
                done = self._drop_unseen(table, required)
        parts.table_loads.take(table, cursor, count, done=done)
        self._end_reading()
        return True

    def _drop_unseen(self, table: str, required: RequiredPosition) -> bool:
        """Drop some of the rows that the server no longer has; True when there are no more."""
        is_done, changed = self._parts.resync.drop_unseen(table, required.lsn)
        render_queue.hold_found(self._store, changed)
        return is_done

    def references_read(self) -> None:
        """All reference tables are loaded: objects may be fetched and rendered."""
        self._load.references_read()

    def load_done(self, seen: Position) -> None:
        """The load is complete. Its objects, or those that it changed, are rendered once the log has passed ``seen``.

        Does nothing if a table has to be read again by now.
        """
        parts = self._parts
        # A definition came in the meantime: the load is not through.
        if parts.table_loads.unfinished(parts.table_loads.required_positions):
            return
        lsn = self._lsn_here(seen)
        # After a first load every object is rendered; after reading again only what changed.
        if self._load.renders_all_at_end:
            self._rendering.invalidate_everything(lsn)
        reasons = sorted(set(parts.table_loads.reasons().values()))
        if reasons:  # what an operator who asked for a repair wants to know
            log.info("tables_read_again", objects=render_queue.count_found(self._store), reasons=reasons)
        render_queue.release_found(self._store, lsn)
        render_queue.rows_complete(self._store, lsn)
        parts.table_loads.finish()
        if parts.journal is not None:
            parts.journal.loaded()
        self._load.completed(lsn)
        self._forget_deletions()

    def topic_read(self, at: Position, on_beat: Callable[[], None]) -> None:
        """All rows were read from a topic up to ``at``, not from a server: render their objects.

        Rows that a topic did not bring when it was read again no longer exist. ``on_beat`` is called from time to time:
        dropping millions of rows takes minutes, and the topic's reader brings nothing else that could be taken
        meanwhile.
        """
        parts = self._parts
        for table, required in parts.table_loads.required_positions.items():
            # Slices, so that one call does not hold the whole table in memory.
            while not self._drop_unseen(table, required):
                on_beat()
        self._load.topic_read()
        parts.table_loads.set_done(spec.name for spec in parts.tables)
        self._load.references_read()
        self.load_done(at)

    # ------------------------------------------------------------------------------------------------ rows by key

    def to_fetch(self, limit: int) -> list[ObjectRef]:
        """Objects whose rows are to be fetched, the most urgent first."""
        return render_queue.to_fetch(self._store, limit) if self._load.are_references_loaded else []

    def fetches_for(self, refs: Sequence[ObjectRef], asked: frozenset[FetchByKey]) -> list[FetchByKey]:
        """The reads that these objects need, as far as they are known now, without those already ``asked``."""
        mapper, rows = self._parts.mapper, self._parts.rows
        wanted = {fetch: None for ref in refs for fetch in mapper.fetches(ref, rows) if fetch not in asked}
        return list(wanted)

    def take_fetched(
        self,
        read: Sequence[tuple[str, Sequence[Cells]]],
        safe: Position,
        required_positions: RequiredPositions = NOTHING_REQUIRED,
    ) -> bool:
        """Take rows that were read by key and that contain ``safe`` and ``required_positions``.

        False, and nothing is taken, if a table requires another position by now.
        """
        parts = self._parts
        held = parts.table_loads.required_positions
        # Between the question and the answer the table became stale: the answer may be too old.
        if any(held.get(table) != required_positions.get(table) for table, _ in read):
            return False
        lsn = self._lsn_here(safe)
        for table, rows in read:
            required = required_positions.get(table)
            # The table is stale: what was fetched counts only with the required position.
            if required is not None:
                _, changed = parts.resync.take(table, rows, max(lsn, required.lsn))
                render_queue.hold_found(self._store, changed)
            elif parts.applier.has_partial_images:
                # Before-images hold no more than keys, so the log will not say which objects the old row
                # affected.
                self._fetch_replaced(table, rows, lsn)
            else:
                parts.applier.load(table, rows, lsn)
        self._forget_before(lsn)
        return True

    def _fetch_replaced(self, table: str, rows: Sequence[Cells], lsn: int) -> None:
        """Take rows read by key, and fetch the objects that the replaced rows affected.

        Normally the log's before images name those objects, but the images may hold no more than keys.
        """
        parts = self._parts
        target = parts.rows.tables[table]
        for cells in rows:
            key = cells[: target.key_width]
            held = target.get(key)  # type: ignore[arg-type]  # key columns come first and are always there
            parts.applier.load(table, (cells,), lsn)
            now = target.get(key)  # type: ignore[arg-type]
            # Nothing was replaced, or the row affects no object.
            if held is None or held == now or target.spec.keys_only:
                continue
            after = target.as_row(now) if now is not None else None
            for affected in parts.mapper.affected(table, target.as_row(held), after, parts.rows):
                if isinstance(affected, ObjectRef):
                    render_queue.mark(self._store, affected, fetch=True)
                else:
                    render_queue.add_invalidation(self._store, affected, urgency=Urgency.HISTORY)

    def fetched(self, refs: Sequence[ObjectRef], seen: Position, asked: frozenset[FetchByKey]) -> None:
        """All reads of these objects (``asked``) are in; ``seen`` was noted after the last read.

        An object whose rows now need further reads goes on waiting: the log changed the rows meanwhile.
        """
        lsn = self._lsn_here(seen)
        mapper, rows = self._parts.mapper, self._parts.rows
        done = [ref for ref in refs if asked.issuperset(mapper.fetches(ref, rows))]
        render_queue.fetched(self._store, done, lsn)

    # ------------------------------------------------------------------------------------------ rows known in part

    def unread_rows(self, limit: int) -> tuple[list[UnreadRow], int]:
        """Rows that have to be read, and an LSN: rows read with a lock from now on contain everything before it."""
        return self._parts.unread.due(limit), self._parts.positions.current()

    def take_unread(
        self,
        read: Sequence[tuple[UnreadRow, Cells | None]],
        lsn: int,
        seen: Position,
        kept: Sequence[UnreadRow] = (),
    ) -> None:
        """Take rows that had to be read: they contain everything before ``lsn``, and ``seen`` was noted after them.

        The objects that they affect are rendered once the log has passed ``seen``. ``kept``: rows that cannot be read,
        which stay as they are.
        """
        parts = self._parts
        not_before = self._lsn_here(seen)
        aside = parts.applier.take_affected()
        for row, cells in read:
            parts.applier.take_read(row, cells, max(lsn, row.lsn))
        # Nothing can be read of them (the table or a column is gone), so waiting would never end.
        for row in kept:
            parts.unread.drop(row.table, row.key, row.lsn)
        self._end_reading()
        affected, parts.applier.affected_objects = parts.applier.take_affected(), aside
        self._rendering.defer(not_before, affected)
        # During a load older rows may still come.
        if self._load.is_complete:
            self._forget_deletions()

    # ----------------------------------------------------------------------------------------------------- inside

    def _end_reading(self) -> None:
        if self._parts.journal is not None:
            self._parts.journal.end()

    def _forget_deletions(self) -> None:
        """Remove tombstones: they are needed only for rows that may still arrive."""
        # Rows may still arrive that were read before a deletion.
        if not self._parts.unread.any and not self._parts.applier.is_unordered:
            self._parts.applier.tombstones.clear()

    def _forget_before(self, lsn: int) -> None:
        """A fetch contained everything up to ``lsn``. Fetches run one after the other, so later fetches contain that
        too.

        While tables are loaded, chunks that were read before may still arrive. Partial rows are read with a lock.
        """
        if self._load.phase is Phase.FETCHING and not self._parts.unread.any and not self._parts.applier.is_unordered:
            self._parts.applier.tombstones.forget_until(lsn)

    def _lsn_here(self, position: Position) -> int:
        """The LSN of a position of the server that was asked, if the log is read from that server.

        Raises SourceDisconnectedError if it is not (yet): ask again once the log's reader has changed to it.
        """
        held = self._parts.positions.position
        # After a failover loader and log may be connected to different servers for a moment.
        if held is not None and held.server and position.server and held.server != position.server:
            raise SourceDisconnectedError(
                f"rows were read from server {position.server}, while the log is still that of server {held.server}"
            )
        return self._parts.positions.lsn(position)
