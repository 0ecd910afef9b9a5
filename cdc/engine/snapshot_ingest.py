"""The side of the replica by which rows read from the server come in: first loads, tables read again, pulls by key.

Runs in the state thread only. Until everything is loaded (``complete``), an object is pulled before it is rendered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog

from cdc.errors import SourceDisconnectedError
from cdc.messages import render_queue
from cdc.model import Cells, FetchByKey, ForeignKey, ObjectRef, Position, StaleTable, TableSchema, Urgency
from cdc.protocols import Mapper
from cdc.relay.journal import Journal
from cdc.replica import table_schemas
from cdc.replica.apply import Applier
from cdc.replica.cascades import Cascades, with_between
from cdc.replica.load_state import NO_FLOORS, Loads, LoadState, RequiredPosition, RequiredPositions
from cdc.replica.resync import Resync
from cdc.replica.rows import ReplicaRows
from cdc.replica.unread import Unread, UnreadRow
from cdc.state.positions import LogPositions
from cdc.state.schema import table_name
from cdc.state.store import Store

log = structlog.get_logger(__name__)


class Intake:
    """Tables, flags and loads of one state folder; ``Replica`` is the whole of it."""

    def __init__(
        self,
        folder: Path,
        mapper: Mapper,
        keys: Sequence[ForeignKey],
        *,
        exclusive: bool,
        create: bool,
        has_server: bool,
    ) -> None:
        self.tables = with_between(mapper.tables, keys)
        self._cascades = Cascades(self.tables, keys)
        indexes = self._cascades.indexes()
        self.store = Store(folder, self.tables, indexes=indexes, exclusive=exclusive, create=create)
        self.rows = ReplicaRows(self.store.db, self.tables)
        self.places = LogPositions(self.store)
        self.loads = Loads(self.store)
        self.unread = Unread(self.store, can_read=has_server)
        self.applier = Applier(self.store, self.rows, mapper, self._cascades, self.unread)
        self._again = Resync(self.store, self.rows, self.applier, mapper)
        self._mapper = mapper
        self.journal: Journal | None = None
        self.published_rows: dict[int, tuple[int, int]] = {}
        """Of the source transaction that ends at this LSN so many rows are in the replica, in so many records."""
        self._read_flags()

    def _read_flags(self) -> None:
        meta = self.store.meta
        self.complete: bool = meta("complete", False)
        self.references_loaded: bool = meta("references_loaded", False)
        self.loads_everything: bool = meta("load_everything", False)
        self._covered: int = meta("covered_lsn", -1)
        self._settled: int = meta("settled_lsn", -1)
        self.applier.is_partial = not self.complete
        self.applier.is_read_again = meta("topic_read_again", False)
        self.applier.is_told_in_part = meta("told_in_part", False)
        self.published_rows = {int(lsn): tuple(rows) for lsn, rows in meta("published_rows", {}).items()}

    def _set_flag(self, name: str, value: bool | int) -> None:
        self.store.set_meta(name, value)
        self._read_flags()

    def keep_journal(self) -> Journal:
        """From now on every effective change of a row is queued for publication."""
        self.journal = Journal(self.store, self._look)
        for table in self.rows.tables.values():
            table.journal = self.journal
        return self.journal

    def _look(self) -> tuple[Position | None, int, bool, bool]:
        prepared = self.store.db.execute("SELECT 1 FROM prepared LIMIT 1").fetchone()
        is_settled = not self.unread.any and not self.loads.required_positions and prepared is None
        return self.places.position, self.places.current(), self.complete, is_settled

    def _end_reading(self) -> None:
        if self.journal is not None:
            self.journal.end()

    # ------------------------------------------------------------------------------------- what has to be loaded

    def reopen_loads(self) -> bool:
        """Load again what the mapping asks of changed tables; True if anything has to be.

        Those tables are empty now: until they are filled, objects are pulled before they are rendered, as in a first
        load, and what waited for its turn waits for its pull.
        """
        reopened = {spec.name for spec in self.tables} & {
            table for table, held in self.load_state().items() if not held.done
        }
        if not self.complete or not reopened:
            return False
        self._set_flag("complete", False)
        if any(self.store.tables[table].reference for table in reopened):
            self._set_flag("references_loaded", False)
        self._set_flag("load_everything", True)
        self._set_flag("invalidation_at_end", True)
        self.store.db.execute("UPDATE dirty SET pull = 1")
        self.store.db.execute("DELETE FROM sweep")  # the load ends in a sweep over everything
        log.info("tables_reloaded", tables=sorted(reopened), reason="the mapping asks for other columns of them")
        return True

    def reload(self, stale_tables: Iterable[StaleTable], at: Position) -> None:
        """Read these tables again, without emptying them: before ``at`` their rows changed without row events.

        Where rows are only a cache of what was pulled (``start = "latest"``), they are forgotten instead, and what was
        ever rendered is pulled and rendered again.
        """
        stale = {
            stale_table.table: stale_table
            for stale_table in reversed([*stale_tables])
            if stale_table.table in self.store.tables
        }
        for stale_table in [one for one in stale.values() if one.by_statement]:
            for child in self._cascades.below(stale_table.table):
                stale.setdefault(child, stale_table._replace(table=child))
        for table, stale_table in stale.items():
            floor = RequiredPosition(at, self.places.lsn(at) + 1, stale_table.by_statement)
            self.loads.stale_table(table, floor, stale_table.reason)
            log.warning("table_stale", table=table, reason=stale_table.reason, position=str(at))
        if any(self.store.tables[table].reference for table in stale):
            self._set_flag("references_loaded", False)
        if self.complete:
            self._set_flag("invalidation_at_end", False)
            self._set_flag("load_everything", True)
            self._set_flag("complete", False)
            self.store.db.execute("UPDATE dirty SET pull = 1")
        elif not self.loads_everything:
            for table in stale:
                if not self.store.tables[table].reference:
                    self.store.db.execute(f"DELETE FROM {table_name(table)}")
            self._render_all_again()

    def keep_schemas(self, schemas: Sequence[TableSchema], at: Position) -> None:
        """These columns hold from ``at`` on; where they are assumed, nothing is rendered until the log tells."""
        table_schemas.keep(self.store, schemas, self.places.lsn(at))
        if self.journal is not None:
            self.journal.define(schemas)
        for one in schemas:
            if one.until is not None and one.until.server in ("", at.server):
                self._set_flag("settled_lsn", max(self._settled, self.places.lsn(one.until)))
            if one.table and (one.lost or not one.exists):
                log.warning("columns_missing", table=one.table, columns=one.lost, exists=one.exists, position=str(at))

    def schemas_at(self, position: Position) -> list[TableSchema]:
        """What is known of tables' columns at this place."""
        return table_schemas.at(self.store, self.places.lsn(position))

    def load_state(self) -> dict[str, LoadState]:
        """Per mapped table, how far its load has come."""
        return self.loads.states()

    @property
    def is_loaded(self) -> bool:
        """Whether all is read that has to be read as a whole."""
        return self.references_loaded and (self.complete or not self.loads_everything)

    def load_chunk(
        self,
        table: str,
        rows: Iterable[Cells],
        safe: Position,
        cursor: str | None,
        *,
        done: bool,
        floor: RequiredPosition | None = None,
        exists: bool = True,
    ) -> bool:
        """Take one chunk of a load; ``safe`` is a place that its rows surely contain, as they do ``floor``'s.

        False, and nothing is taken, if the table has another floor by now: read it anew. ``exists`` False: the server
        has no such table, and rows held stay.
        """
        if self.loads.required_positions.get(table) != floor:
            return False
        lsn = self._lsn_here(safe)
        if floor is None:
            count = self.applier.load(table, rows, lsn)
        else:
            count = self._again.take(table, rows, max(lsn, floor.lsn))
            if done and exists:
                done = self._again.drop_unseen(table, floor.lsn)
        self.loads.take(table, cursor, count, done=done)
        self._end_reading()
        return True

    def references_done(self) -> None:
        """All reference tables are loaded: objects may be pulled and rendered."""
        self._set_flag("references_loaded", True)

    def load_done(self, seen: Position) -> None:
        """The load is through: everything, or what it found changed, is rendered once the log has passed ``seen``.

        Does nothing if a table has to be read again by now.
        """
        if self.loads.unfinished(self.loads.required_positions):
            return
        lsn = self._lsn_here(seen)
        if self.store.meta("invalidation_at_end", True):
            self._invalidate_everything(lsn)
        self._again.release(lsn)
        self.store.db.execute("UPDATE dirty SET pull = 0, not_before = max(not_before, ?) WHERE pull = 1", (lsn,))
        self._forget_deletions(while_loading=False)
        self.loads.finish()
        if self.journal is not None:
            self.journal.blind.clear()
        self._set_flag("covered_lsn", -1)
        self._set_flag("settled_lsn", lsn)
        self._set_flag("complete", True)

    def read_again(self, stale_tables: Iterable[StaleTable], at: Position, end: Position) -> None:
        """All that a topic holds, from ``at`` up to ``end``, says anew what there is; all is rendered behind it."""
        self.reload(stale_tables, at)
        self._set_flag("invalidation_at_end", True)
        self._set_flag("topic_read_again", True)
        self.cover(end)

    def cover(self, end: Position) -> None:
        """What is read up to ``end`` is not rendered one by one, but all of it once everything is loaded."""
        self._set_flag("covered_lsn", self.places.lsn(end))

    def all_loaded(self, at: Position) -> None:
        """Everything there is was read from a topic up to ``at``, not from a server: render it.

        What a topic that is read again did not bring is not there any more.
        """
        for table, floor in self.loads.required_positions.items():
            while not self._again.drop_unseen(table, floor.lsn):
                pass
        self._set_flag("topic_read_again", False)
        self.store.db.execute("UPDATE load SET done = 1")
        self.references_done()
        self.load_done(at)

    def to_pull(self, limit: int) -> list[ObjectRef]:
        """Objects that wait for a pull, most urgent first."""
        return render_queue.to_pull(self.store, limit) if self.references_loaded else []

    def fetches_for(self, refs: Sequence[ObjectRef], asked: frozenset[FetchByKey]) -> list[FetchByKey]:
        """The reads these objects need, as far as they can be named now, without those ``asked`` already."""
        wanted = {pull: None for ref in refs for pull in self._mapper.fetches(ref, self.rows) if pull not in asked}
        return list(wanted)

    def pull(
        self,
        read: Sequence[tuple[str, Sequence[Cells]]],
        safe: Position,
        required_positions: RequiredPositions = NO_FLOORS,
    ) -> bool:
        """Take rows that were read by key and contain ``safe`` and ``required_positions``; False, and nothing
        is taken, if a table
        has another floor by now.
        """
        if any(self.loads.required_positions.get(table) != required_positions.get(table) for table, _ in read):
            return False
        lsn = self._lsn_here(safe)
        for table, rows in read:
            floor = required_positions.get(table)
            if floor is None and self.applier.is_told_in_part:
                self._touch_replaced(table, rows, lsn)
            elif floor is None:
                self.applier.load(table, rows, lsn)
            else:
                self._again.take(table, rows, max(lsn, floor.lsn))
        return True

    def _touch_replaced(self, table: str, rows: Sequence[Cells], lsn: int) -> None:
        """Take rows read by key, and have pulled what those that they replace bore on: the log's before-images, which
        tell that otherwise, may hold no more than keys.
        """
        target = self.rows.tables[table]
        for cells in rows:
            key = cells[: target.key_width]
            held = target.get(key)  # type: ignore[arg-type]  # key columns come first and are always there
            self.applier.load(table, (cells,), lsn)
            now = target.get(key)  # type: ignore[arg-type]
            if held is None or held == now or target.spec.keys_only:
                continue
            after = target.as_row(now) if now is not None else None
            for affected in self._mapper.affected(table, target.as_row(held), after, self.rows):
                if isinstance(affected, ObjectRef):
                    render_queue.mark(self.store, affected, pull=True)
                else:
                    render_queue.add_invalidation(self.store, affected, urgency=Urgency.HISTORY)

    def pulled(self, refs: Sequence[ObjectRef], seen: Position, asked: frozenset[FetchByKey]) -> None:
        """All reads of these objects (``asked``) are in; ``seen`` was noted after the last.

        An object whose rows now name more than that goes on waiting for its pull: the log changed them meanwhile.
        """
        lsn = self._lsn_here(seen)
        done = [ref for ref in refs if asked.issuperset(self._mapper.fetches(ref, self.rows))]
        render_queue.pulled(self.store, done, lsn)

    def unread_rows(self, limit: int) -> tuple[list[UnreadRow], int]:
        """Rows that have to be read, and an LSN: rows read with a lock from now on contain everything before it."""
        return self.unread.due(limit), self.places.current()

    def take_unread(
        self,
        read: Sequence[tuple[UnreadRow, Cells | None]],
        lsn: int,
        seen: Position,
        kept: Sequence[UnreadRow] = (),
    ) -> None:
        """Take rows that had to be read: they contain everything before ``lsn``, and ``seen`` was noted after them.

        What they bear on is rendered once the log has passed ``seen``. ``kept`` are rows that nothing can be read of.
        """
        not_before = self._lsn_here(seen)
        aside = self.applier.take_affected()
        for row, cells in read:
            self.applier.take_read(row, cells, max(lsn, row.lsn))
        for row in kept:
            self.unread.drop(row.table, row.key, row.lsn)
        self._end_reading()
        affected_objects, self.applier.affected_objects = self.applier.take_affected(), aside
        for ref, commit_ms in affected_objects.objects.items():
            render_queue.mark(self.store, ref, commit_ms=commit_ms, pull=not self.complete, not_before=not_before)
        if self.complete or not self.loads_everything or not self.store.meta("invalidation_at_end", True):
            for invalidation in affected_objects.invalidations:
                render_queue.add_invalidation(self.store, invalidation, urgency=Urgency.HISTORY, not_before=not_before)
        self._forget_deletions(while_loading=not self.complete)

    def _forget_deletions(self, *, while_loading: bool) -> None:
        """Tombstones are for rows that may still arrive."""
        if not while_loading and not self.unread.any and not self.applier.is_unordered:
            self.store.db.execute("DELETE FROM tombstone")

    def _lsn_here(self, place: Position) -> int:
        """The LSN of a place that the server was asked for, if it is the server whose log is read.

        Raises SourceDisconnectedError if it is not (yet): ask again once the log's reader has followed.
        """
        held = self.places.position
        if held is not None and held.server and place.server and held.server != place.server:
            raise SourceDisconnectedError(
                f"rows were read from server {place.server}, while the log is still that of server {held.server}"
            )
        return self.places.lsn(place)

    def _render_all_again(self) -> None:
        """As history. A load of everything that is going on ends in just that; without one, what was rendered is."""
        if self.complete:
            self._invalidate_everything(0)
        elif self.loads_everything:
            self._set_flag("invalidation_at_end", True)
        else:
            self.store.db.execute(
                "INSERT INTO dirty (kind, id, urgency, pull)"
                " SELECT kind, id, ?, 1 FROM ledger WHERE rendered_delete = 0"
                " ON CONFLICT (kind, id) DO UPDATE SET pull = 1",
                (int(Urgency.HISTORY),),
            )

    def _invalidate_everything(self, not_before: int) -> None:
        for invalidation in self._mapper.everything():
            render_queue.add_invalidation(self.store, invalidation, urgency=Urgency.HISTORY, not_before=not_before)
