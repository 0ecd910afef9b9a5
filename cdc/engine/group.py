"""Applies a group of whole transactions, and renders the objects that they affect. Use inside a store transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple

from cdc.engine.log_moves import LogMoves
from cdc.engine.missing_deletions import MissingDeletions
from cdc.engine.newest_rows import NewestRows
from cdc.engine.parts import Parts
from cdc.engine.rendering import Rendering
from cdc.engine.snapshot_ingest import SnapshotIngest
from cdc.engine.stale_tables import StaleTables
from cdc.log_events import get_logger
from cdc.model import Change, Op, Position, Transaction
from cdc.replica import prepared
from cdc.replica.affected import AffectedObjects, When

log = get_logger(__name__)

AFFECTED_AT_ONCE: Final = 10_000  # objects and bulk invalidations of one transaction held in memory; more are queued
BEAT_CHANGES: Final = 1000  # changes between two signs of life


@dataclass
class Progress:
    """Counts of applied work since the start, for metrics."""

    transactions: int = 0
    changes: int = 0


class _Applied(NamedTuple):
    """The relation of one transaction to the work applied before.

    ``is_replay``: the transaction was applied before. ``is_covered``: the end of the load renders its affected objects.
    """

    transaction: Transaction
    lsn: int
    is_replay: bool
    is_covered: bool


class GroupApplier:
    """Applies groups of transactions.

    ``on_beat`` is called from time to time while a group is applied: one transaction may take many minutes.
    """

    def __init__(
        self,
        parts: Parts,
        rendering: Rendering,
        stale_tables: StaleTables,
        moves: LogMoves,
        ingest: SnapshotIngest,
        on_beat: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._rendering = rendering
        self._stale_tables = stale_tables
        self._moves = moves
        self._ingest = ingest
        self._on_beat = on_beat
        self._missing_deletions = MissingDeletions(parts)
        self._newest_rows = NewestRows(parts)
        self.progress = Progress()

    def apply(self, group: Iterable[Transaction]) -> None:
        """Apply whole transactions and render the objects that they affect."""
        with self._parts.rows.gathering():
            self._apply(group)

    def _apply(self, group: Iterable[Transaction]) -> None:
        first_time_from = self._parts.positions.high
        before = replace(self.progress)
        live, replayed = AffectedObjects(), AffectedObjects()
        end: Position | None = None
        read_at: dict[int, int] = {}  # commit time → when it was read, as far as a group needs to tell them apart
        for transaction in group:
            end = transaction.end
            read_at[transaction.commit_ms] = transaction.read_ms
            applied = self._begin(transaction, first_time_from)
            count = self._apply_changes(applied, first_time_from)
            # Covered objects are rendered at the end of the load; doing it here as well would render them
            # twice.
            if count and not applied.is_covered:
                self._collect(replayed if applied.is_replay else live)
            self.progress.transactions += transaction.count
            self.progress.changes += count
        # An empty group has no position to keep.
        if end is not None:
            log.debug(
                "group_applied",
                transactions=self.progress.transactions - before.transactions,
                changes=self.progress.changes - before.changes,
                objects=len(live.objects),
                position=str(end),
            )
            self._finish(end, first_time_from, live, replayed, read_at)

    def _begin(self, transaction: Transaction, first_time_from: int) -> _Applied:
        """Move to the transaction's position in the log, and find out whether it was applied before."""
        # Behind a gap positions start a new epoch: comparing them with the old ones would hide changes.
        if transaction.is_new_log:
            self._moves.begin_log(transaction.end)
        else:
            self._moves.follow_server(transaction.end)
        lsn = self._parts.positions.lsn(transaction.end)
        return _Applied(transaction, lsn, lsn <= first_time_from, self._parts.load.covers(lsn))

    def _apply_changes(self, applied: _Applied, first_time_from: int) -> int:
        """Apply one transaction's changes, and its notes on tables and topics. Returns how many changes."""
        parts, transaction = self._parts, applied.transaction
        not_before = first_time_from if applied.is_replay else max(0, parts.load.settled_lsn)
        # more objects than memory should hold go to the render queue; the end of the load renders covered ones anyway
        on_full = AffectedObjects.clear if applied.is_covered else partial(self._rendering.defer, not_before)
        parts.applier.affected_objects = AffectedObjects(AFFECTED_AT_ONCE, on_full)
        first = self._begin_journal(applied)
        if transaction.schemas:
            self._stale_tables.keep_schemas(transaction.schemas, transaction.end)
        due = prepared.due(parts.store, transaction, applied.lsn, is_replay=applied.is_replay)
        when = self._when(applied)
        self._missing_deletions.look(transaction, when)
        count = self._apply_all(due.changes, when, first)
        stale = [*due.stale, *parts.key_changes.follow(transaction, parts.mapper.tables)]
        # The definition's rows were read again when it was met first, and that read is still good.
        if stale and not applied.is_replay:  # a replay's were read again the first time
            self._stale_tables.read_again(stale, transaction.end)
        self._take_feed(transaction)
        if parts.journal is not None:
            parts.journal.end()
        return count

    def _when(self, applied: _Applied) -> When:
        """The LSN of a change. Rows of a feed may come in another order than the
        source's; their own positions decide.
        """
        feed = applied.transaction.feed
        # The record's own position decides which row is newer, not the moment of its arrival.
        if feed is not None and feed.rows_at is not None:
            return When(self._parts.feeds.lsn(feed.rows_at), False, applied.transaction.commit_ms)
        return When(applied.lsn, applied.is_replay, applied.transaction.commit_ms)

    def _begin_journal(self, applied: _Applied) -> int:
        """Announce the transaction to the journal. Returns how many of its
        changes are already published and applied.
        """
        # Only a relay has a journal.
        journal = self._parts.journal
        if journal is None:
            return 0
        published, row = self._parts.published_rows.get(applied.lsn, (0, 0))
        journal.begin(applied.transaction.end, applied.lsn, applied.transaction.commit_ms, row)
        return published

    def _apply_all(self, changes: Iterable[Change], when: When, published: int) -> int:
        """Apply the changes after the first ``published``. Returns how many changes there were."""
        apply, journal = self._parts.applier.apply, self._parts.journal
        count = 0
        for change in changes:
            count += 1
            if journal is not None:
                # Rows that the topic holds already: publishing them once more would break the numbering.
                if count <= published:
                    continue
                journal.step(count)
                # Followers need the TRUNCATE itself: their rows may differ from ours.
                if change.op is Op.TRUNCATE:
                    journal.truncate(change.table)
            apply(change, when)
            # One transaction may take minutes, and a silent thread counts as hanging.
            if not count % BEAT_CHANGES:
                self._on_beat()
        return count

    def _take_feed(self, transaction: Transaction) -> None:
        """Keep what the topics say beside changes. At the end of the records that they held at the start, the load is
        complete.
        """
        feed = transaction.feed
        if feed is None:
            return
        self._parts.feeds.take(feed, self._parts.clock.now_ms())
        # The last record of what the topics held at the start: from here on the replica is complete.
        if feed.is_loaded and not self._parts.load.is_complete:
            self._parts.positions.advance(transaction.end)
            self._ingest.topic_read(transaction.end, self._on_beat)
        # What is gone must not be remembered for ever, or the table grows with every deletion.
        if feed.is_caught_up and self._parts.load.is_complete:
            lsn = self._parts.feeds.forgettable(self._parts.clock.now_ms())
            if lsn is not None:
                self._parts.applier.tombstones.forget_until(lsn)
        # Everything read so far is applied, so rows and newest records must agree.
        if feed.sample and self._parts.load.is_complete:
            self._newest_rows.compare(feed.sample)

    def _collect(self, into: AffectedObjects) -> None:
        affected = self._parts.applier.take_affected()
        for ref, commit_ms in affected.objects.items():
            into.add((ref,), commit_ms)
        into.invalidations.update(affected.invalidations)

    def _finish(
        self,
        end: Position,
        first_time_from: int,
        live: AffectedObjects,
        replayed: AffectedObjects,
        read_at: dict[int, int],
    ) -> None:
        """The group is applied up to ``end``: render live objects now, leave the rest to the render queue."""
        # The position moves in the same commit as the rows: a crash either has both or neither.
        self._parts.positions.advance(end)
        if self._parts.journal is not None:
            self._parts.journal.settle()
        # Replayed objects may be older than what was sent, so they wait until the replay has caught up.
        self._rendering.defer(first_time_from, replayed)
        self._rendering.defer_invalidations(0, live)
        self._rendering.render_live(live, read_at)
