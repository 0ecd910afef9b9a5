"""Assembles the relay's records into the source's transactions. Runs in the reader thread.

A transaction ends at its last record's end mark, or at the first record of another transaction. The second case means
that compaction removed the end, because a later transaction changed the same row. The relay's own position is not used:
a member's positions are offsets.

Anyone with write access to the topic can write anything. So a record that is not a row of a published table is a bad
record, and never reaches the state. A transaction that is too large for memory goes into a file, like a transaction
that is read from the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiokafka.structs import ConsumerRecord

from cdc.binlog.assembly import Assembly, Room
from cdc.errors import SetupError
from cdc.kafka.foreign import MOST_KEY
from cdc.kafka.record import BadRecordError, KafkaRecord, Mark, RowChange, TableRecord, decode
from cdc.model import (
    ABSENT,
    BadRecord,
    Cells,
    Change,
    Feed,
    NewestRow,
    Op,
    Position,
    TableSchema,
    TableSpec,
    Transaction,
)

OVERHEAD = 300  # bytes that a change takes in memory beside its values


class RelayDecoder:
    """See ``cdc.source.record_decoder.Decoder``. ``stops``: a record that cannot be read ends the reading.

    ``is_whole``: whether the relay has marked the records before ``arrived`` as the whole store. ``room``: the memory
    that a transaction may take.
    """

    def __init__(
        self,
        specs: Mapping[str, TableSpec],
        arrived: Position,
        *,
        stops: bool,
        is_whole: bool,
        room: Room | None = None,
    ) -> None:
        self.arrived = arrived
        self.is_whole = is_whole
        self._specs = specs
        self._stops = stops
        self._tx = ""
        self._gathered = Assembly(room)
        self._commit_ms = 0
        self._end = arrived.offset

    def take(self, record: ConsumerRecord) -> Iterator[Transaction]:
        """The transactions that this record completes. StateError when a large transaction does not fit on the disk."""
        try:
            item = decode(KafkaRecord(record.key, record.value, tuple(record.headers)))
            change = self._change_of(item) if isinstance(item, RowChange) else None
        except (BadRecordError, AttributeError) as error:
            yield from self._finished()
            yield self._bad(record, str(error))
            return
        if isinstance(item, Mark):
            self.is_whole = item.is_complete
        if isinstance(item, RowChange):
            yield from self._row(item, change, record)
        elif isinstance(item, TableRecord):
            yield from self._finished()
            yield from self._table(item, record.offset)
        elif isinstance(item, Mark) and not self._gathered.has_changes:
            self._end = record.offset + 1

    def _change_of(self, row: RowChange) -> Change | None:
        """The change of a mapped table's row; None for a row of another table. Raises BadRecordError."""
        spec = self._specs.get(row.table)
        return _change(spec, row) if spec is not None else None

    def _row(self, row: RowChange, change: Change | None, record: ConsumerRecord) -> Iterator[Transaction]:
        if row.tx != self._tx:
            yield from self._finished()
            self._tx = row.tx
        if change is not None:
            self._gathered.make_room()
            self._gathered.changes.append(change)
            self._gathered.weight += OVERHEAD + len(record.value or b"")
        self._commit_ms = row.origin.commit_ms
        self._end = record.offset + 1
        if row.is_last:
            yield from self._finished()

    def _finished(self) -> Iterator[Transaction]:
        """The current transaction, if there is one. Its position is behind its last record."""
        self._tx = ""
        gathered = self._gathered
        if not gathered.has_changes:
            return
        changes, size = gathered.take(), gathered.weight
        gathered.reset()
        self.arrived = self._at(self._end)
        yield Transaction(changes, self.arrived, self._commit_ms, size, feed=self._feed())

    def _table(self, table: TableRecord, offset: int) -> Iterator[Transaction]:
        self._end = offset + 1
        spec = self._specs.get(table.table)
        if spec is None:
            return
        needed = [c for c in spec.columns if c not in spec.optional]
        lost = {c for c in needed if c not in table.columns} if table.exists else set()
        lost |= {c for c in table.lost if c in spec.columns or c not in table.columns}  # not what others map of it
        self.arrived = self._at(self._end)
        schema = TableSchema(
            spec.name, spec.name, "", exists=table.exists, lost=tuple(sorted(lost)), change=table.change,
            other=table.other,
        )  # fmt: skip
        yield Transaction((), self.arrived, 0, schemas=(schema,), feed=self._feed())

    def _bad(self, record: ConsumerRecord, reason: str) -> Transaction:
        if self._stops:
            raise SetupError(
                f"record {record.offset} of {record.topic}/{record.partition} cannot be read: {reason}",
                hint='is it the relay\'s topic? kafka.on_bad_record = "deadletter" goes on without such records',
            )
        self.arrived = self._at(record.offset + 1)
        bad = BadRecord(record.topic, record.partition, record.offset, reason)
        return Transaction((), self.arrived, 0, feed=self._feed(bad))

    def pause(self) -> Iterator[Transaction]:
        """Nothing: an unfinished transaction goes on with the next batch. After a crash it is read again."""
        yield from ()

    def idle(self, offset: int) -> Iterator[Transaction]:
        """Every record before ``offset`` was taken; at ``offset`` there is the end of a Kafka transaction, or a gap."""
        if not self._gathered.has_changes and offset > self.arrived.offset:
            self.arrived = self._at(offset)
            yield Transaction((), self.arrived, 0, feed=self._feed())

    def sample(self) -> tuple[NewestRow, ...]:
        """Empty: the relay's topic has one order, so the newest record is the one that was applied last."""
        return ()

    def _feed(self, *bad: BadRecord) -> Feed:
        return Feed(bad=bad, is_whole=self.is_whole)

    def _at(self, offset: int) -> Position:
        return Position(self.arrived.file, offset, "", self.arrived.server)


def _change(spec: TableSpec, row: RowChange) -> Change:
    def cells(values: Mapping[str, object]) -> Cells:
        return tuple(values.get(column, ABSENT) for column in spec.columns)  # type: ignore[misc]  # they are Values

    if len(row.key) != len(spec.key):
        raise BadRecordError(f"its key has {len(row.key)} parts, and the primary key of {spec.name} {len(spec.key)}")
    if any(isinstance(part, int) and not -MOST_KEY <= part < MOST_KEY for part in row.key):
        raise BadRecordError(f"the primary key of {spec.name} is beyond 64 bits")
    key = dict(zip(spec.key, row.key, strict=True))
    if row.after is None:
        return Change(spec.name, Op.DELETE, cells(key), None, cascades=False)
    return Change(spec.name, Op.INSERT, None, cells({**row.after, **key}), cascades=False)
