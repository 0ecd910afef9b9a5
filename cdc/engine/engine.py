"""The replica as one thing: groups of transactions go in, outbox rows come out, all in one local transaction.

Runs in the state thread only. What is rendered when:

* a live change of an object whose rows are complete: in the same group;
* before the first load is through (or with ``start = "latest"``, where there is none): the object is pulled from the
  server by key first, and rendered once the log has passed the place noted after the pull;
* a replayed change: once the log has passed the highest place ever applied (nothing at all is rendered before that);
* reference fan-out and history: from the dirty table, in slices, when no live work waits;
* tables whose rows may have changed without row events are read again (``reload``): meanwhile as before the first load,
  and what that finds changed is rendered at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from cdc.engine.snapshot_ingest import Intake
from cdc.errors import PositionLostError, StateError
from cdc.messages import render_queue
from cdc.messages.renderer import Renderer, RenderRequest
from cdc.model import Feed, ForeignKey, ObjectRef, Op, Position, StaleTable, Transaction, Urgency
from cdc.protocols import Clock, Mapper
from cdc.replica import prepared, table_schemas
from cdc.replica.affected import AffectedObjects, When
from cdc.replica.feeds import Feeds
from cdc.state.positions import LogPositions

log = structlog.get_logger(__name__)

TOUCHES_AT_ONCE = 10_000  # objects and sweeps of one transaction held in memory; more go to the dirty table at once
BEAT_CHANGES = 1000  # changes between two signs of life
RENDER_AT_ONCE = 2000  # objects of a group rendered in its own commit; a larger fan-out goes through the dirty table
SLICE_OBJECTS = 200  # about 20 ms of rendering: what a live change may have to wait behind
SLICE_ROWS = 5000  # rows a sweep looks at in one slice


@dataclass
class Progress:
    """What the replica did, for metrics and the caller."""

    transactions: int = 0
    changes: int = 0


class Replica(Intake):
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
        has_server: bool = True,
    ) -> None:
        super().__init__(folder, mapper, keys, exclusive=exclusive, create=create, has_server=has_server)
        self.renderer = Renderer(self.store, self.rows, mapper, clock)
        self._clock = clock
        self.feeds = Feeds(self.store)
        self.progress = Progress()
        self.on_beat: Callable[[], None] = lambda: None
        """Called now and then while a group is applied: one transaction may take many minutes."""

    def undo(self) -> None:
        """A transaction was rolled back: forget what memory holds of it."""
        self.applier.take_affected()
        self.rows.forget_references()
        self.renderer.ledger.reload()
        self.places = LogPositions(self.store)
        self.feeds = Feeds(self.store)
        self.loads.reread()
        self.unread.reread()
        self._read_flags()
        if self.journal is not None:
            self.journal.clear()

    # --------------------------------------------------------------------------------------------- live work

    def apply_group(self, group: Iterable[Transaction]) -> None:  # noqa: C901  # the steps of one turn, in order
        """Apply whole transactions and render what they touch, inside the caller's store transaction."""
        first_time_from = self.places.high
        live, replayed = AffectedObjects(), AffectedObjects()
        end: Position | None = None
        read_at: dict[int, int] = {}  # commit time → when it was read, as far as a group needs to tell them apart
        for transaction in group:
            end = transaction.end
            read_at[transaction.commit_ms] = transaction.read_ms
            if transaction.is_new_log:
                self._begin_epoch(end)
                table_schemas.forget(self.store)
            else:
                self._follow_server(end)
            self.progress.transactions += 1
            lsn = self.places.lsn(transaction.end)
            is_replay = lsn <= first_time_from
            feed = transaction.feed
            when = When(lsn, is_replay, transaction.commit_ms)
            if feed is not None and feed.rows_at is not None:
                when = When(self.feeds.lsn(feed.rows_at), False, transaction.commit_ms)
            is_covered = lsn <= self._covered and not self.complete
            not_before = first_time_from if is_replay else max(0, self._settled)
            put_off = AffectedObjects.clear if is_covered else partial(self._put_off, not_before)
            self.applier.affected_objects = AffectedObjects(TOUCHES_AT_ONCE, put_off)
            count = 0
            journal = self.journal
            if journal is not None:
                published, row = self.published_rows.get(lsn, (0, 0))
                journal.begin(end, lsn, transaction.commit_ms, row)
            if transaction.schemas:
                self.keep_schemas(transaction.schemas, end)
            due = prepared.due(self.store, transaction, lsn, is_replay=is_replay)
            for change in due.changes:
                count += 1
                if journal is not None:
                    if count <= published:
                        continue
                    journal.step(count)
                    if change.op is Op.TRUNCATE:
                        journal.truncate(change.table)
                self.applier.apply(change, when)
                if not count % BEAT_CHANGES:
                    self.on_beat()
            if due.stale and not is_replay:  # a replay's were read again the first time
                self.reload(due.stale, end)
            if feed is not None:
                self._take_feed(feed, end)
            if journal is not None:
                journal.end()
            if count:
                affected = self.applier.take_affected()
                if is_covered:
                    continue  # the first load renders everything at its end; reading up to its start adds nothing
                into = replayed if is_replay else live
                for ref, commit_ms in affected.objects.items():
                    into.add((ref,), commit_ms)
                into.invalidations.update(affected.invalidations)
            self.progress.changes += count
        if end is None:
            return
        self.places.advance(end)
        if self.journal is not None:
            self.journal.settle()
        self._put_off(first_time_from, replayed)
        self._put_off_invalidations(0, live)
        self._render_live(live, read_at)

    def _take_feed(self, feed: Feed, end: Position) -> None:
        self.feeds.take(feed, self._clock.now_ms())
        if feed.is_loaded and not self.complete:
            self.places.advance(end)
            self.all_loaded(end)

    def _put_off(self, not_before: int, affected_objects: AffectedObjects) -> None:
        """Leave what was touched to the dirty table, to be rendered once the log has passed ``not_before``."""
        for ref, commit_ms in affected_objects.objects.items():
            render_queue.mark(self.store, ref, commit_ms=commit_ms, pull=not self.complete, not_before=not_before)
        self._put_off_invalidations(not_before, affected_objects)

    def _put_off_invalidations(self, not_before: int, affected_objects: AffectedObjects) -> None:
        if self.complete or not self.loads_everything:  # else the load ends in a sweep over everything
            for invalidation in affected_objects.invalidations:
                render_queue.add_invalidation(self.store, invalidation, urgency=Urgency.HISTORY, not_before=not_before)

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
        self.loads.follow(position)
        self._raise_minimum_changed_at()

    def _raise_minimum_changed_at(self) -> None:
        self.raise_minimum_changed_at(self._clock.now_ms())

    def raise_minimum_changed_at(self, minimum_changed_at: int) -> None:
        """No ``changed_at`` from now on is lower, in epoch milliseconds."""
        self.renderer.minimum_changed_at = minimum_changed_at
        self.store.set_meta("minimum_changed_at", minimum_changed_at)

    def _render_live(self, affected_objects: AffectedObjects, read_at: Mapping[int, int]) -> None:
        has_dirty = render_queue.is_any(self.store)
        applied = self.places.current()
        not_before = self._settled if applied < self._settled else 0
        for count, (ref, commit_ms) in enumerate(affected_objects.objects.items()):
            if not self.complete or not_before or count >= RENDER_AT_ONCE:
                render_queue.mark(self.store, ref, commit_ms=commit_ms, pull=not self.complete, not_before=not_before)
                continue
            asked = render_queue.get(self.store, ref) if has_dirty else None
            if asked is not None and asked.waits(applied):
                render_queue.mark(self.store, ref, commit_ms=commit_ms)
            else:
                is_forced = asked is not None and asked.force
                self._render(ref, Urgency.LIVE, commit_ms, force=is_forced, read_ms=read_at.get(commit_ms, 0))
                if asked is not None:
                    render_queue.done(self.store, ref)

    def _render(
        self, ref: ObjectRef, urgency: Urgency, commit_ms: int, *, force: bool = False, read_ms: int = 0
    ) -> None:
        """Render an object, and those it refers to that were never rendered: a link must hold."""
        todo = [ref]
        seen = {ref}
        position, lsn = str(self.places.position or ""), self.places.current()
        while todo:
            current = todo.pop()
            cause = RenderRequest(position, commit_ms, urgency, force and current == ref, lsn, read_ms)
            for other in self.renderer.render(current, cause):
                if other in seen:
                    continue
                seen.add(other)
                if self.complete:
                    todo.append(other)
                else:
                    render_queue.mark(self.store, other, commit_ms=commit_ms, urgency=urgency, pull=True)

    def work(self) -> bool:
        """Render one slice of what waits; False when nothing is ready."""
        applied = self.places.current()
        if not self.references_loaded or applied < max(self.places.high, self._settled):
            return False  # during a replay, and while the log is behind what was loaded, rows are of several moments
        ready = render_queue.ready(self.store, applied, SLICE_OBJECTS)
        for item in ready:
            render_queue.done(self.store, item.ref)
            self._render(item.ref, item.urgency, item.commit_ms, force=item.force)
        if len(ready) < SLICE_OBJECTS and render_queue.work_invalidation(
            self.store, applied, SLICE_ROWS, pull=not self.complete
        ):
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
        self._set_flag("covered_lsn", self.places.lsn(covered) if covered else -1)
        self._raise_minimum_changed_at()

    def begin_anew(self, position: Position, stale_tables: Iterable[StaleTable]) -> None:
        """Go on at a place that has nothing to do with those so far, and read these tables again."""
        self._begin_epoch(position)
        table_schemas.forget(self.store)
        self.reload(stale_tables, position)

    def rewind(self, position: Position, *, is_new_log: bool = False, by_gtid: bool = False) -> None:
        """Go on from another place: an earlier one replays, a later one skips what lies between.

        ``is_new_log``: places of this log cannot be compared with those so far (it was begun anew, or what we stood at
        is gone); another server's never can. ``by_gtid``: behind the place the server passes over what
        the position's set has. Raises StateError for an empty state.
        """
        held = self.places.position
        if held is None:
            raise StateError("there is no state to replay into", hint="run once without --start first")
        is_elsewhere = is_new_log or (held.server and position.server and held.server != position.server)
        if is_elsewhere or by_gtid or self.places.lsn(position) > self.places.high:
            table_schemas.forget(self.store)  # definitions in what is skipped are never read
        if is_elsewhere:
            self._begin_epoch(position)
        else:
            self.places.advance(position)

    def resume_mapping(self) -> bool:
        """Render everything afresh, as history, if mapping or renderers changed; True if they did."""
        if self.store.meta("mapping_version", None) == self._mapper.version:
            return False
        changed = self.store.meta("mapping_version", None) is not None
        self.store.set_meta("mapping_version", self._mapper.version)
        if changed:
            self._render_all_again()
        return changed

    @property
    def mapping_version(self) -> str:
        """What changes whenever objects are rendered otherwise."""
        return self._mapper.version

    def resend_everything(self) -> None:
        """Send every object once more, equal or not (``run --resend``), behind live work."""
        self.store.db.execute("UPDATE ledger SET rendered_hash = x'', accepted_hash = NULL WHERE rendered_delete = 0")
        self._render_all_again()

    def close(self) -> None:
        """Close the state file."""
        self.store.close()
