"""What a member keeps of the topics that it reads: offsets, the order of rows, records set aside.

Rows that do not arrive in the source's order have LSNs made of the source's own positions (``cdc.kafka.row_order``).
Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cdc.errors import SetupError, StateError
from cdc.kafka.row_order import PositionsExhaustedError, RowOrder
from cdc.log_events import get_logger
from cdc.model import BadRecord, Feed, ReportedPosition
from cdc.state.store import Store

log = get_logger(__name__)


HOUR_MS: Final = 3_600_000
REMEMBERED_MS: Final = 24 * HOUR_MS
"""How long a deletion is remembered at least: a child of the deleted row may come late, from another topic."""
KEPT: Final = 30
"""Hours noted at most."""

MOST_BAD: Final = 10_000
"""The most records that may be set aside and not dropped: beyond that, the fault is not in single records."""


class WrongRows(NamedTuple):
    """The result of comparing ``sampled`` rows of a table: how many the replica lacks, and how many it has too many."""

    sampled: int
    lacking: int
    extra: int


class Feeds:
    """Keeps the order of rows in memory. Call ``reread`` after a transaction was undone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._meta = store.meta
        self._order = RowOrder()
        self.is_whole = False
        """Whether the records read from the relay's topic so far are the whole store."""
        self.missing_deletions: Mapping[str, int] = {}
        """Table → how many rows were inserted again without a deletion in between."""
        self.wrong_rows: Mapping[str, WrongRows] = {}
        """Table → where the replica differed from the topics' newest records, at the last check of this run."""
        self.reread()

    def reread(self) -> None:
        """Read the values from the state."""
        self._order = RowOrder(self._meta.row_order)
        self.is_whole = self._meta.is_topic_whole
        self.missing_deletions = self._meta.missing_deletions

    def lsn(self, reported: ReportedPosition) -> int:
        """The LSN of a record's rows. Raises StateError when LSNs have no room for another log of the source."""
        epochs = self._order.epochs
        try:
            lsn = self._order.lsn(reported)
        except PositionsExhaustedError as error:
            raise StateError(
                f"{error}: the state has no room for more",
                hint="two connectors that read different servers may write to the same topics: let one of them write,"
                " then remove the state folder, which is filled again from the topics",
            ) from error
        if self._order.epochs > epochs:
            log.warning(
                "source_log_changed", topic=reported.partition, position=str(reported.position), logs=self._order.epochs
            )
        if self._order.is_to_be_kept:  # rows of this commit carry LSNs of it
            self._meta.row_order = self._order.dump()
        return lsn

    def take(self, feed: Feed, now_ms: int) -> None:
        """Keep offsets and bad records with the rows they belong to."""
        self._meta.fed_ms = now_ms
        if feed.offsets is not None:
            self._meta.topic_offsets = {**self.offsets(), **feed.offsets}
            self._meta.row_order = self._order.dump()
        if feed.topics is not None:
            self._meta.topic_notes = dict(feed.topics)
        if feed.is_whole is not None:
            self.note_whole(feed.is_whole)
        self._store.db.executemany(
            "INSERT OR REPLACE INTO bad_record (topic, partition, offset, at_ms, reason) VALUES (?, ?, ?, ?, ?)",
            [(bad.topic, bad.partition, bad.offset, now_ms, bad.reason) for bad in feed.bad],
        )
        if feed.bad and count_bad(self._store) > MOST_BAD:
            raise SetupError(
                f"more than {MOST_BAD} records of topics could not be read, the last one of {feed.bad[-1].topic}:"
                f" {feed.bad[-1].reason}",
                hint="mend the program that writes the records; `magento-cdc deadletter list` shows the records,"
                " `deadletter drop` forgets them",
            )

    def forgettable(self, now_ms: int) -> int | None:
        """Everything that the topics held a while ago is applied. The LSN up to which deletions may be forgotten now.

        That is where the rows were a day ago: what a connector wrote since is newer, but for repetitions after its
        restart, and those end with the deletion again. None: nothing may be forgotten yet.
        """
        newest, noted = self._order.newest(), [(at_ms, lsn) for at_ms, lsn in self._meta.caught_up]
        # Once an hour; a clock that was set back must not keep it from going on.
        if newest is None or (noted and 0 <= now_ms - noted[-1][0] < HOUR_MS):
            return None
        old = [lsn for at_ms, lsn in noted if at_ms <= now_ms - REMEMBERED_MS]
        young = [one for one in noted if one[0] > now_ms - REMEMBERED_MS]
        self._meta.caught_up = [*young, (now_ms, newest)][-KEPT:]
        return max(old, default=None)

    def note_whole(self, is_whole: bool) -> None:
        """Note whether the relay marks the records so far as the whole store."""
        if is_whole != self.is_whole:
            self.is_whole = is_whole
            self._meta.is_topic_whole = is_whole

    def note_missing_deletion(self, table: str) -> int:
        """One more row of this table was inserted again. Returns how many there are by now."""
        count = self.missing_deletions.get(table, 0) + 1
        self.missing_deletions = {**self.missing_deletions, table: count}
        self._meta.missing_deletions = self.missing_deletions
        return count

    def begin(self, now_ms: int) -> None:
        """A fresh state: no deletion is missing so far."""
        self._meta.fed_ms = now_ms

    def topics(self) -> Mapping[str, Any]:
        """Facts from each topic's records so far that later records need."""
        return self._meta.topic_notes

    def forget_offsets(self) -> None:
        """The topics are read from their beginning again, and their rows are ordered anew."""
        self._meta.topic_offsets = {}
        self._order.begin_again()
        self._meta.row_order = self._order.dump()

    def fed_ms(self) -> int:
        """When a record was last taken, or no record was waiting; epoch milliseconds."""
        return self._meta.fed_ms

    def offsets(self) -> Mapping[str, int]:
        """Where to read on, per ``topic/partition``."""
        return self._meta.topic_offsets


def bad_records(store: Store) -> list[tuple[BadRecord, int]]:
    """Records that were set aside, each with its time (epoch milliseconds), the oldest first."""
    rows = store.db.execute(
        "SELECT topic, partition, offset, reason, at_ms FROM bad_record ORDER BY at_ms, topic, partition, offset"
    )
    return [(BadRecord(*row), at_ms) for *row, at_ms in rows]


def count_bad(store: Store) -> int:
    """How many records are set aside."""
    count: int = store.db.execute("SELECT count(*) FROM bad_record").fetchone()[0]
    return count


def drop_bad(store: Store, record: BadRecord) -> None:
    """Remove a record that was set aside. It is not read again."""
    store.db.execute("DELETE FROM bad_record WHERE topic = ? AND partition = ? AND offset = ?", record[:3])
