"""The relay's queue: every effective change of the replica's rows, as records to publish.

Records are queued in the same local transaction as the rows and the position they come from, in **pieces**. Pieces are
numbered without gaps in the order of commits. A piece ends with its source transaction, or earlier when it is full;
then it ends between two rows of the source, so the cascaded changes of a row are in the piece of that row. Each piece
carries the ``Mark`` that is valid once the piece is published. So the topic's last mark shows which pieces are in the
topic, and nothing else has to be remembered across a crash. Runs in the state thread, inside its store transactions.
"""

from __future__ import annotations

import marshal
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from cdc.engine.journal import Reached
from cdc.kafka.record import KafkaRecord, Mark, Origin, RowChange, as_last, encode, mark_text, read_mark
from cdc.model import Position, TableSchema, TableSpec
from cdc.relay.published_schemas import PublishedSchemas
from cdc.state.store import Store

PIECE_BYTES: Final = 512 * 1024
_AROUND_RECORD: Final = 200  # what a queued change takes beside its value
_VERSION: Final = 2  # of marshal: read by later Pythons too


class Piece(NamedTuple):
    """A queued piece: ``mark`` lacks the relay's name. ``is_end``: a source transaction ends with it."""

    sequence: int
    mark: Mark
    is_end: bool
    records: list[KafkaRecord]
    size: int


class Journal:
    """Collects changes of rows and writes them into the queue. One per state.

    ``look`` returns how far the state has come at the end of a piece.
    """

    def __init__(self, store: Store, look: Callable[[], Reached]) -> None:
        self._store = store
        self._look = look
        self.schemas = PublishedSchemas(store)
        self._heads: list[KafkaRecord] = []  # what the transaction at hand defines, before its rows
        self._noted: list[KafkaRecord] = []
        self._bytes = 0
        self._source: tuple[Position, int, int] | None = None  # end, its LSN, commit time
        self._resume: tuple[Position, int] | None = None  # where the transaction at hand begins
        self._from = Origin(Position("", 0), 0, 0)
        self._tx = ""
        self._row = 0  # records of the transaction in earlier pieces
        self._source_row = 0
        self._noted_row = 0  # the source's row that the last change noted is of
        self._began = 0  # where that row's changes begin among those noted
        self.blind: set[str] = set()
        """Tables whose rows were dropped locally without being deleted: a deletion
        of a row that is not held counts too.
        """

    def put(self, spec: TableSpec, key: Sequence[Any], before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        """A row is now ``after``."""
        # An update that left all published columns as they were is no news.
        if before != after:
            self._note(spec, tuple(key), before, after)

    def delete(self, spec: TableSpec, key: Sequence[Any], before: dict[str, Any] | None) -> None:
        """A row is gone."""
        # A deletion of a row that is not held is published only where rows were forgotten: there followers may
        # hold it.
        if before is not None or spec.name in self.blind:
            self._note(spec, tuple(key), before, None)

    def _note(
        self, spec: TableSpec, key: tuple[Any, ...], before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        # The first change of a new source row: the piece may be cut before it, never within.
        if self._source_row != self._noted_row:
            self._noted_row, self._began = self._source_row, len(self._noted)
        if self._source is None and not self._noted:
            self._from, self._tx, self._row = self._origin(), f"read:{secrets.token_hex(8)}", 0
        number = self._row + len(self._noted) + 1
        record = encode(RowChange(spec.name, key, before, after, self._from, self._tx, number, is_last=False))
        self._noted.append(record)
        self._bytes += len(record.value or record.key) + _AROUND_RECORD

    def begin(self, end: Position, lsn: int, commit_ms: int, row: int = 0) -> None:
        """The next changes are those of the source transaction that ends here.
        ``row`` of them were published before.
        """
        # A transaction without its own end (rows read at once) is closed first.
        if self._noted:
            self.end()
        position, at = self._resume or self._look()[:2]
        assert position is not None
        self._resume = (position, at)
        self._source = (end, lsn, commit_ms)
        self._from = Origin(end, lsn, commit_ms)
        self._tx, self._row = f"{end.server}:{end}", row
        self._source_row = self._noted_row = self._began = 0

    def step(self, number: int) -> None:
        """The next change is the source transaction's row of this number."""
        if (
            self._bytes >= PIECE_BYTES and self._began
        ):  # the last row's changes wait: they may be the transaction's last
            self._queue(self._noted[: self._began], is_end=False, kept=self._noted[self._began :])
            self._began = 0
        self._source_row = number

    def end(self) -> None:
        """The source transaction, or the rows that were read together, are complete."""
        self._queue(self._noted, is_end=True, kept=[])
        # From here on a restart begins behind this transaction.
        if self._source is not None:
            self._resume = (self._source[0], self._source[1])
        self._source, self._row = None, 0

    def settle(self) -> None:
        """The position of the state is that of the last transaction again."""
        self._resume = None

    def publish(self, specs: Iterable[TableSpec]) -> None:
        """Publish the tables whose published columns have changed, as a piece of its own."""
        found = [self.schemas.published(spec) for spec in specs]
        self._queue_heads(encode(record) for record in found if record is not None)

    def define(self, schemas: Iterable[TableSchema]) -> None:
        """Publish the tables' new definitions, in the piece of their transaction, before its rows."""
        if self._row:
            return  # a transaction that goes on: its first piece had it
        found = [self.schemas.define(schema, self._origin()) for schema in schemas]
        self._heads += [encode(record) for record in found if record is not None]
        # Outside a transaction the definition is a piece of its own, or it would wait for the next row.
        if self._source is None:
            heads, self._heads = self._heads, []
            self._queue_heads(heads)

    def truncate(self, table: str) -> None:
        """The source emptied this table."""
        self._heads.append(encode(self.schemas.truncate(table, self._origin())))

    def _origin(self) -> Origin:
        if self._source is not None:
            return Origin(*self._source)
        position, lsn, _, _ = self._look()
        return Origin(position or Position("", 0), lsn, 0, is_read=True)

    def _queue_heads(self, heads: Iterable[KafkaRecord]) -> None:
        records = list(heads)
        # No empty pieces: each one costs a Kafka transaction.
        if records:
            position, lsn, complete, settled = self._look()
            mark = Mark(0, "", *(self._resume or (position or Position("", 0), lsn)))
            self._insert(mark, complete, settled, is_end=True, records=records)

    def position(self) -> Mark:
        """The mark of the position reached, for a time when nothing waits."""
        position, lsn, complete, settled = self._look()
        return Mark(0, "", position or Position("", 0), lsn, is_complete=complete, is_settled=settled)

    def loaded(self) -> None:
        """All tables are read: a row that is not held does not exist."""
        self.blind.clear()

    def clear(self) -> None:
        """The store's transaction was undone."""
        self._noted, self._bytes, self._source, self._resume, self._heads, self._row = [], 0, None, None, [], 0
        self._source_row = self._noted_row = self._began = 0
        self.schemas.reread()

    def _queue(self, noted: Sequence[KafkaRecord], *, is_end: bool, kept: list[KafkaRecord]) -> None:
        # Nothing effective changed, so followers need not hear of it.
        if not noted and not self._heads:
            return
        position, lsn, complete, settled = self._look()
        # Rows that were read from the server have no source transaction.
        if self._source is None:
            assert position is not None
            mark = Mark(0, "", position, lsn)
        else:
            end, at, _ = self._source
            assert self._resume is not None
            # A piece within a transaction keeps the position before it, plus how many rows are out already.
            if is_end:
                mark = Mark(0, "", end, at)
            else:
                mark = Mark(0, "", *self._resume, rows=self._noted_row - 1, row=self._row + len(noted), ends_at=at)
        records = [*self._heads, *noted]
        # Followers apply a transaction when they see its last record.
        if is_end and noted:
            records[-1] = as_last(records[-1])
        self._heads = []
        self._row += len(noted)
        self._noted, self._bytes = kept, 0
        self._insert(mark, complete, settled, is_end=is_end, records=records)

    def _insert(self, mark: Mark, complete: bool, settled: bool, *, is_end: bool, records: list[KafkaRecord]) -> None:
        whole = replace(mark, is_complete=complete, is_settled=settled)
        size = sum(record.size for record in records)
        self._store.db.execute(
            "INSERT INTO relay_queue (mark, is_end, size, records) VALUES (?, ?, ?, ?)",
            (mark_text(whole).decode(), int(is_end), size, marshal.dumps([tuple(r) for r in records], _VERSION)),
        )


def pieces(store: Store, after: int, max_bytes: int) -> list[Piece]:
    """The next pieces of about ``max_bytes``, at least one if there are any.

    They go up to the end of a source transaction if there is an end among them.
    """
    found: list[Piece] = []
    size = 0
    rows = store.db.execute(
        "SELECT seq, mark, is_end, size, records FROM relay_queue WHERE seq > ? ORDER BY seq", (after,)
    )
    for sequence, mark, is_end, of_piece, records in rows:
        # At least one, even if it is larger: else it would never be published.
        if found and size + of_piece > max_bytes:
            break
        size += of_piece
        unpacked = [KafkaRecord(*record) for record in marshal.loads(records)]  # noqa: S302  # our own file
        found.append(Piece(sequence, read_mark(mark), bool(is_end), unpacked, of_piece))
    # Cut at the end of a transaction if there is one, so that followers see whole ones where possible.
    ends = [at for at, piece in enumerate(found) if piece.is_end]
    return found[: ends[-1] + 1] if ends else found


def forget(store: Store, up_to: int) -> None:
    """These pieces are in the topic: remove them."""
    store.db.execute("DELETE FROM relay_queue WHERE seq <= ?", (up_to,))


def waiting(store: Store) -> tuple[int, int]:
    """Pieces and bytes that are not published yet."""
    count, size = store.db.execute("SELECT count(*), coalesce(sum(size), 0) FROM relay_queue").fetchone()
    return int(count), int(size)


def last_sequence(store: Store) -> int:
    """The highest number ever given; 0 before the first."""
    row = store.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'relay_queue'").fetchone()
    return int(row[0]) if row else 0


def go_on_from(store: Store, sequence: int) -> None:
    """Empty the queue. The next piece has the number after this number."""
    store.db.execute("DELETE FROM relay_queue")
    store.db.execute("DELETE FROM sqlite_sequence WHERE name = 'relay_queue'")
    store.db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('relay_queue', ?)", (sequence,))
