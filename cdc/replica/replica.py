"""The replica as one thing: groups of transactions go in, outbox rows come out, all in one local transaction.

Runs in the state thread only. What is rendered when:

* a live change of an object whose rows are complete: in the same group;
* before the first load is through (or with ``start = "latest"``, where there is none): the object is pulled from the
  server by key first, and rendered once the log has passed the place noted after the pull;
* a replayed change: once the log has passed the highest place ever applied (nothing at all is rendered before that);
* reference fan-out and history: from the dirty table, in slices, when no live work waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from cdc.errors import PositionLostError, SourceDisconnectedError, StateError
from cdc.model import Cells, ForeignKey, ObjectRef, Position, Pull, Transaction, Urgency
from cdc.protocols import Clock, Mapper
from cdc.replica import dirty, prepared
from cdc.replica.apply import Applier, Touches, When
from cdc.replica.cascades import Cascades, with_between
from cdc.replica.places import Places
from cdc.replica.render import Cause, Renderer
from cdc.replica.rows import ReplicaRows
from cdc.replica.store import Store

log = structlog.get_logger(__name__)

RENDER_AT_ONCE = 2000  # objects of a group rendered in its own commit; a larger fan-out goes through the dirty table
SLICE_OBJECTS = 200  # about 20 ms of rendering: what a live change may have to wait behind
SLICE_ROWS = 5000  # rows a sweep looks at in one slice


@dataclass
class Progress:
    """What the replica did, for metrics and the caller."""

    transactions: int = 0
    changes: int = 0


class Replica:
    """Replica, ledger and outbox of one state folder.

    Raises StateError or SetupError from the constructor when the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        mapper: Mapper,
        keys: Sequence[ForeignKey],
        clock: Clock,
        *,
        exclusive: bool = True,
        create: bool = True,
    ) -> None:
        self.tables = with_between(mapper.tables, keys)
        cascades = Cascades(self.tables, keys)
        self.store = Store(folder, self.tables, indexes=cascades.indexes(), exclusive=exclusive, create=create)
        self.rows = ReplicaRows(self.store.db, self.tables)
        self.places = Places(self.store)
        self.applier = Applier(self.store, self.rows, mapper, cascades)
        self.renderer = Renderer(self.store, self.rows, mapper, clock)
        self._mapper = mapper
        self._clock = clock
        self.progress = Progress()
        self._read_flags()

    def _read_flags(self) -> None:
        meta = self.store.meta
        self.complete: bool = meta("complete", False)
        self.references_loaded: bool = meta("references_loaded", False)
        self.loads_everything: bool = meta("load_everything", False)
        self._covered: int = meta("covered_stamp", -1)
        self._settled: int = meta("settled_stamp", -1)
        self.applier.is_partial = not self.complete

    def _set_flag(self, name: str, value: bool | int) -> None:
        self.store.set_meta(name, value)
        self._read_flags()

    def undo(self) -> None:
        """A transaction was rolled back: forget what memory holds of it."""
        self.applier.take_touches()
        self.rows.forget_references()
        self.renderer.ledger.reload()
        self.places = Places(self.store)
        self._read_flags()

    # --------------------------------------------------------------------------------------------- live work

    def apply_group(self, group: Iterable[Transaction]) -> None:
        """Apply whole transactions and render what they touch, inside the caller's store transaction."""
        first_time_from = self.places.high
        live, replayed = Touches(), Touches()
        end: Position | None = None
        for transaction in group:
            end = transaction.end
            self._follow_server(end)
            self.progress.transactions += 1
            stamp = self.places.stamp(transaction.end)
            is_replay = stamp <= first_time_from
            when = When(stamp, is_replay, transaction.commit_ms)
            count = 0
            for change in prepared.due(self.store, transaction, stamp, is_replay=is_replay):
                self.applier.apply(change, when)
                count += 1
            if count:
                touched = self.applier.take_touches()
                if stamp <= self._covered and not self.complete:
                    continue  # the first load renders everything at its end; reading up to its start adds nothing
                into = replayed if is_replay else live
                for ref, commit_ms in touched.objects.items():
                    into.add((ref,), commit_ms)
                into.sweeps.update(touched.sweeps)
            self.progress.changes += count
        if end is None:
            return
        self.places.advance(end)
        for ref, commit_ms in replayed.objects.items():
            dirty.mark(self.store, ref, commit_ms=commit_ms, pull=not self.complete, not_before=first_time_from)
        if self.complete or not self.loads_everything:  # else the load ends in a sweep over everything
            for touches, not_before in ((live, 0), (replayed, first_time_from)):
                for sweep in touches.sweeps:
                    dirty.add_sweep(self.store, sweep, urgency=Urgency.HISTORY, not_before=not_before)
        self._render_live(live)

    def _follow_server(self, end: Position) -> None:
        """A failover: the source made sure that this server has all that was read; its places mean something else."""
        held = self.places.position
        if held is None or not held.server or not end.server or held.server == end.server:
            return
        self.must_not_be_loading(end.server)
        log.warning("server_changed", old=held.server, new=end.server, position=str(end))
        self._begin_epoch(end)

    def must_not_be_loading(self, server: str) -> None:
        """Raises PositionLostError if a load of everything is unfinished and ``server`` is not the one it reads.

        What was loaded may be ahead of the log that was read, so that nobody can tell whether ``server`` has it all.
        """
        held = self.places.position
        if held is None or held.server in ("", server) or self.complete or not self.loads_everything:
            return
        raise PositionLostError(
            f"the first load began on server {held.server} and is not finished; this is server {server}",
            hint="remove the state folder to import afresh, or point source.host at the server it began on",
        )

    def _begin_epoch(self, position: Position) -> None:
        self.places.begin_epoch(position)
        self._raise_floor()

    def _raise_floor(self) -> None:
        self.renderer.floor_ms = self._clock.now_ms()
        self.store.set_meta("floor_ms", self.renderer.floor_ms)

    def _render_live(self, touches: Touches) -> None:
        has_dirty = dirty.is_any(self.store)
        applied = self.places.current()
        not_before = self._settled if applied < self._settled else 0
        for count, (ref, commit_ms) in enumerate(touches.objects.items()):
            if not self.complete or not_before or count >= RENDER_AT_ONCE:
                dirty.mark(self.store, ref, commit_ms=commit_ms, pull=not self.complete, not_before=not_before)
                continue
            asked = dirty.get(self.store, ref) if has_dirty else None
            if asked is not None and asked.waits(applied):
                dirty.mark(self.store, ref, commit_ms=commit_ms)
            else:
                self._render(ref, Urgency.LIVE, commit_ms, force=asked is not None and asked.force)
                if asked is not None:
                    dirty.done(self.store, ref)

    def _render(self, ref: ObjectRef, urgency: Urgency, commit_ms: int, *, force: bool = False) -> None:
        """Render an object, and those it refers to that were never rendered: a link must hold."""
        todo = [ref]
        seen = {ref}
        while todo:
            current = todo.pop()
            cause = Cause(str(self.places.position or ""), commit_ms, urgency, force and current == ref)
            for other in self.renderer.render(current, cause):
                if other in seen:
                    continue
                seen.add(other)
                if self.complete:
                    todo.append(other)
                else:
                    dirty.mark(self.store, other, commit_ms=commit_ms, urgency=urgency, pull=True)

    def work(self) -> bool:
        """Render one slice of what waits; False when nothing is ready."""
        applied = self.places.current()
        if not self.references_loaded or applied < max(self.places.high, self._settled):
            return False  # during a replay, and while the log is behind what was loaded, rows are of several moments
        ready = dirty.ready(self.store, applied, SLICE_OBJECTS)
        for item in ready:
            dirty.done(self.store, item.ref)
            self._render(item.ref, item.urgency, item.commit_ms, force=item.force)
        if len(ready) < SLICE_OBJECTS and dirty.work_sweep(self.store, applied, SLICE_ROWS, pull=not self.complete):
            return True
        return bool(ready)

    # ----------------------------------------------------------------------------------------- start and load

    def begin(self, position: Position, *, complete: bool, covered: Position | None = None) -> None:
        """A fresh state starts here. ``complete``: there is no server to load from. ``covered``: see apply_group."""
        if self.places.position is None:
            self.places.advance(position)
        else:
            self._begin_epoch(position)
        self._set_flag("complete", complete)
        self._set_flag("references_loaded", complete)
        if complete:
            self.store.db.execute("UPDATE load SET done = 1")
        self._set_flag("covered_stamp", self.places.stamp(covered) if covered else -1)
        self._raise_floor()

    def rewind(self, position: Position, *, is_new_log: bool = False) -> None:
        """Go on from another place: an earlier one replays, a later one skips what lies between.

        ``is_new_log``: places of this log cannot be compared with those so far (it was begun anew, or what we stood at
        is gone); another server's never can. Raises StateError for an empty state.
        """
        held = self.places.position
        if held is None:
            raise StateError("there is no state to replay into", hint="run once without --start first")
        if is_new_log or (held.server and position.server and held.server != position.server):
            self._begin_epoch(position)
        else:
            self.places.advance(position)

    def reopen_loads(self) -> bool:
        """Load again what the mapping asks of changed tables; True if anything has to be.

        Those tables are empty now: until they are filled, objects are pulled before they are rendered, as in a first
        load, and what waited for its turn waits for its pull.
        """
        reopened = {spec.name for spec in self.tables} & {
            table for table, (_, done, _) in self.load_state().items() if not done
        }
        if not self.complete or not reopened:
            return False
        self._set_flag("complete", False)
        if any(self.store.tables[table].reference for table in reopened):
            self._set_flag("references_loaded", False)
        self._set_flag("load_everything", True)
        self.store.db.execute("UPDATE dirty SET pull = 1")
        self.store.db.execute("DELETE FROM sweep")  # the load ends in a sweep over everything
        log.info("tables_reloaded", tables=sorted(reopened), reason="the mapping asks for other columns of them")
        return True

    def resume_mapping(self) -> bool:
        """Render everything afresh, as history, if mapping or renderers changed; True if they did."""
        if self.store.meta("mapping_version", None) == self._mapper.version:
            return False
        changed = self.store.meta("mapping_version", None) is not None
        self.store.set_meta("mapping_version", self._mapper.version)
        if changed:
            self._render_all_again()
        return changed

    def resend_everything(self) -> None:
        """Send every object once more, equal or not (``run --resend``), behind live work."""
        self.store.db.execute("UPDATE ledger SET rendered_hash = x'', accepted_hash = NULL WHERE rendered_delete = 0")
        self._render_all_again()

    def _render_all_again(self) -> None:
        """As history. A load of everything that is going on ends in just that; without one, what was rendered is."""
        if self.complete:
            self._sweep_everything(0)
        elif not self.loads_everything:
            self.store.db.execute(
                "INSERT INTO dirty (kind, id, urgency, pull)"
                " SELECT kind, id, ?, 1 FROM ledger WHERE rendered_delete = 0"
                " ON CONFLICT (kind, id) DO UPDATE SET pull = 1",
                (int(Urgency.HISTORY),),
            )

    def _sweep_everything(self, not_before: int) -> None:
        for sweep in self._mapper.everything():
            dirty.add_sweep(self.store, sweep, urgency=Urgency.HISTORY, not_before=not_before)

    def load_state(self) -> dict[str, tuple[str | None, bool, int]]:
        """Per mapped table: the cursor of the first load, whether it is done, rows so far."""
        rows = self.store.db.execute("SELECT tbl, cursor, done, rows FROM load")
        return {table: (cursor, bool(done), count) for table, cursor, done, count in rows}

    def load_chunk(self, table: str, rows: Iterable[Cells], safe: Position, cursor: str | None, *, done: bool) -> None:
        """Take one chunk of the first load; ``safe`` is a place that its rows surely contain."""
        count = self.applier.load(table, rows, self._stamp_here(safe))
        self.store.db.execute(
            "UPDATE load SET cursor = ?, done = ?, rows = rows + ? WHERE tbl = ?", (cursor, int(done), count, table)
        )

    def references_done(self) -> None:
        """All reference tables are loaded: objects may be pulled and rendered."""
        self._set_flag("references_loaded", True)

    def load_done(self, seen: Position) -> None:
        """The first load is through: everything is rendered once the log has passed ``seen``."""
        stamp = self._stamp_here(seen)
        self._sweep_everything(stamp)
        self.store.db.execute("UPDATE dirty SET pull = 0, not_before = max(not_before, ?) WHERE pull = 1", (stamp,))
        self.store.db.execute("DELETE FROM tombstone")
        self._set_flag("settled_stamp", stamp)
        self._set_flag("complete", True)

    def to_pull(self, limit: int) -> list[ObjectRef]:
        """Objects that wait for a pull, most urgent first."""
        return dirty.to_pull(self.store, limit) if self.references_loaded else []

    def pulls_for(self, refs: Sequence[ObjectRef], asked: frozenset[Pull]) -> list[Pull]:
        """The reads these objects need, as far as they can be named now, without those ``asked`` already."""
        wanted = {pull: None for ref in refs for pull in self._mapper.pulls(ref, self.rows) if pull not in asked}
        return list(wanted)

    def pull(self, read: Sequence[tuple[str, Sequence[Cells]]], safe: Position) -> None:
        """Take rows that were read by key."""
        stamp = self._stamp_here(safe)
        for table, rows in read:
            self.applier.load(table, rows, stamp)

    def pulled(self, refs: Sequence[ObjectRef], seen: Position, asked: frozenset[Pull]) -> None:
        """All reads of these objects (``asked``) are in; ``seen`` was noted after the last.

        An object whose rows now name more than that goes on waiting for its pull: the log changed them meanwhile.
        """
        stamp = self._stamp_here(seen)
        done = [ref for ref in refs if asked.issuperset(self._mapper.pulls(ref, self.rows))]
        dirty.pulled(self.store, done, stamp)

    def _stamp_here(self, place: Position) -> int:
        """The stamp of a place that the server was asked for, if it is the server whose log is read.

        Raises SourceDisconnectedError if it is not (yet): ask again once the log's reader has followed.
        """
        held = self.places.position
        if held is not None and held.server and place.server and held.server != place.server:
            raise SourceDisconnectedError(
                f"rows were read from server {place.server}, while the log is still that of server {held.server}"
            )
        return self.places.stamp(place)

    def close(self) -> None:
        """Close the state file."""
        self.store.close()
