"""What a member keeps of the topics it reads: offsets, LSNs of the source's places, records set aside.

Rows that do not arrive in the source's order carry LSNs of the source's own places, one rising number per server:
a server that was not seen before (a failover) counts as newer than all before it. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

from cdc.errors import StateError
from cdc.model import LSN_FILE_BITS, LSN_OFFSET_BITS, BadRecord, Feed, Position
from cdc.state.store import Store

_OFFSETS, _SERVERS, _HIGH, _FED, _WHOLE = "topic_offsets", "source_servers", "source_high", "fed_ms", "topic_is_whole"


class Feeds:
    """Holds the bases of the servers' LSNs in memory; to be made anew after a transaction was undone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._servers: dict[str, int] = store.meta(_SERVERS, {})
        self._high: int = store.meta(_HIGH, 0)
        self.is_whole: bool = store.meta(_WHOLE, False)
        """Whether what was read of the relay's topic is the whole store."""

    def lsn(self, place: Position) -> int:
        """The place as an integer; 0 for no place. Raises StateError past 33 million log files."""
        if not place.file:
            return 0
        base = self._servers.get(place.server)
        if base is None:
            base = self._servers[place.server] = self._high + 1 if self._servers else 0
            self._store.set_meta(_SERVERS, self._servers)
        number = base + place.file_number
        if number >= 1 << LSN_FILE_BITS or place.offset >= 1 << LSN_OFFSET_BITS:
            raise StateError(f"place {place} of the source does not fit the state's lsns")
        if number > self._high:
            self._high = number
            self._store.set_meta(_HIGH, number)
        return number << LSN_OFFSET_BITS | place.offset

    def take(self, feed: Feed, now_ms: int) -> None:
        """Keep offsets and bad records with the rows they belong to."""
        self._store.set_meta(_FED, now_ms)
        if feed.offsets is not None:
            self._store.set_meta(_OFFSETS, {**self.offsets(), **feed.offsets})
        if feed.is_whole is not None:
            self.note_whole(feed.is_whole)
        self._store.db.executemany(
            "INSERT OR REPLACE INTO bad_record (topic, partition, offset, at_ms, reason) VALUES (?, ?, ?, ?, ?)",
            [(bad.topic, bad.partition, bad.offset, now_ms, bad.reason) for bad in feed.bad],
        )

    def note_whole(self, is_whole: bool) -> None:
        """What the relay says."""
        if is_whole != self.is_whole:
            self.is_whole = is_whole
            self._store.set_meta(_WHOLE, is_whole)

    def forget_offsets(self) -> None:
        """The topics are read from their beginning again."""
        self._store.set_meta(_OFFSETS, {})

    def fed_ms(self) -> int:
        """When something was last taken, or it was seen that there is nothing; epoch milliseconds."""
        held: int = self._store.meta(_FED, 0)
        return held

    def offsets(self) -> Mapping[str, tuple[int, str]]:
        """Per ``topic/partition`` where to read on, and the last place there."""
        held = self._store.meta(_OFFSETS, {})
        return {name: (int(offset), str(place)) for name, (offset, place) in held.items()}


def bad_records(store: Store) -> list[tuple[BadRecord, int]]:
    """Records that were set aside and when (epoch milliseconds), the oldest first."""
    rows = store.db.execute(
        "SELECT topic, partition, offset, reason, at_ms FROM bad_record ORDER BY at_ms, topic, partition, offset"
    )
    return [(BadRecord(*row), at_ms) for *row, at_ms in rows]


def count_bad(store: Store) -> int:
    """How many there are."""
    count: int = store.db.execute("SELECT count(*) FROM bad_record").fetchone()[0]
    return count


def drop_bad(store: Store, record: BadRecord) -> None:
    """Forget that it was set aside; it is not read again."""
    store.db.execute("DELETE FROM bad_record WHERE topic = ? AND partition = ? AND offset = ?", record[:3])
