"""Turns each record of another tool into a transaction. Runs in the reader thread.

Rows carry the source's own positions, as topics are not ordered among each other. The resume point is one offset per
partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from aiokafka.structs import ConsumerRecord

from cdc.clock import DAY_MS
from cdc.errors import SetupError
from cdc.kafka.foreign import BadRecordError, SourceChange, Tables
from cdc.kafka.newest_records import NewestRecords
from cdc.log_events import get_logger
from cdc.model import BadRecord, Feed, NewestRow, Position, ReportedPosition, Transaction

log = get_logger(__name__)


class ForeignDecoder:
    """Turns each record of another tool into a transaction.

    Rows carry the source's position; the resume point is one offset per partition. ``read`` raises BadRecordError for a
    record that makes no sense: the record is set aside, or with ``stops`` reading ends. ``tables``: what topics have
    said of their tables so far; it is kept with the offsets.
    """

    def __init__(
        self,
        read: Callable[..., Sequence[SourceChange]],
        tables: Tables,
        arrived: Position,
        *,
        stops: bool,
    ) -> None:
        self._read = read
        self._tables = tables
        self.arrived = arrived
        self.is_whole = True
        self._stops = stops
        self._offsets: dict[str, int] = {}
        self._newest = NewestRecords()
        self._widths = {spec.name: len(spec.key) for spec in tables.specs.values()}

    def take(self, record: ConsumerRecord) -> Iterator[Transaction]:
        """See Decoder."""
        name = f"{record.topic}/{record.partition}"
        self.arrived = Position(self.arrived.file, self.arrived.offset + 1, server=self.arrived.server)
        found: Sequence[SourceChange] = ()
        bad: tuple[BadRecord, ...] = ()
        try:
            found = self._read(record.topic, record.key, record.value, record.headers or ())
        except BadRecordError as error:
            if self._stops:
                raise SetupError(
                    f"record {record.offset} of {name} cannot be read: {error}",
                    hint='mend the connector, or set kafka.on_bad_record = "deadletter" to go on without such records',
                ) from error
            bad = (BadRecord(record.topic, record.partition, record.offset, str(error)),)
            log.error(
                "bad_record",
                limit=record.topic,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                reason=str(error),
            )
        self._offsets[name] = record.offset + 1
        changes = tuple(one.change for one in found)
        written_ms = min(max(0, record.timestamp), int(time.time() * 1000) + DAY_MS)  # a producer may write any number
        at_ms = max((one.commit_ms for one in found), default=0)
        if 0 < written_ms < at_ms - DAY_MS:  # a session's SET TIMESTAMP: the record was written after the commit
            at_ms = written_ms
        reported = None
        if found:
            last = found[-1]
            reported = ReportedPosition(name, last.position, at_ms, last.is_snapshot, written_ms, last.is_created)
        for one in found:
            self._newest.note(one.change, self._widths[one.change.table], name)
        schemas = self._tables.take_schemas()
        feed = Feed(reported, bad=bad)
        yield Transaction(changes, self.arrived, at_ms, record_size(record), schemas=schemas, feed=feed)

    def pause(self) -> Iterator[Transaction]:
        """See Decoder."""
        offsets, self._offsets = self._offsets, {}
        yield Transaction((), self.arrived, 0, feed=Feed(offsets=offsets, topics=self._tables.dump()))

    def idle(self, offset: int) -> Iterator[Transaction]:
        """See Decoder: offsets are kept with each batch."""
        yield from ()

    def sample(self) -> tuple[NewestRow, ...]:
        """See Decoder."""
        return self._newest.sample()


def record_size(record: ConsumerRecord) -> int:
    """Roughly the bytes that the record takes in memory."""
    return 300 + len(record.value or b"") + len(record.key or b"")
