"""Topics as a source of transactions: the event loop fetches records, the reader thread reads them.

The consumer belongs to no group. Partitions are assigned by hand, and the next offsets are kept in the local state, in
the commit that holds the rows. So a full queue may block the reader thread for any time: there is no membership to
lose. ``FETCH_BYTES`` bounds what is fetched ahead.
"""

from __future__ import annotations

import asyncio
import math
import struct
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
    UnsupportedVersionError,
)
from aiokafka.structs import ConsumerRecord
from cramjam import DecompressionError

from cdc.errors import CdcError, SetupError, SourceDisconnectedError
from cdc.kafka.connect import ClientArguments, login_fault, refusal
from cdc.kafka.topic_id import topic_ids
from cdc.kafka.topic_settings import Retention, retentions
from cdc.log_events import get_logger
from cdc.model import Feed, Transaction
from cdc.source.event_loop import Loop
from cdc.source.reconnect import OnState
from cdc.source.record_decoder import Decoder, LogPositions
from cdc.source.topic_gaps import must_be_whole, position_lost

log = get_logger(__name__)

T = TypeVar("T")

FETCH_BYTES: Final = 4 << 20
FETCH_WAIT_MS: Final = 50
"""How long the broker holds a fetch that finds nothing. A commit does not end that wait.

Measured with Kafka 4.1: at 250 ms, what the relay commits came 215 ms later than from the server itself; at 50 ms, some
55 ms later.
"""
RECORDS: Final = 1000
"""The most records that one fetch hands over: about ten ms of the reader thread."""
POLL_S: Final = 0.5
LOOK_S: Final = 5.0
"""How often the end of an idle topic is asked for. The answer shows whether the broker is up."""
NEWS_S: Final = 60.0  # how often an idle member notes in its state that it has missed nothing
UNREADABLE: Final = (ValueError, EOFError, OSError, struct.error, zlib.error, DecompressionError)
"""Errors of unpacking a damaged batch, beside KafkaError."""


class _CaughtUp:
    """Where the topics ended some time ago: once that is passed, no record of an earlier time can come any more.

    Looked at also while the topics never fall silent.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._began_s = -math.inf
        self.targets: Mapping[TopicPartition, int] = {}

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for a look."""
        return now_s - self._began_s >= self._every_s

    def begin(self, ends: Mapping[TopicPartition, int], now_s: float) -> None:
        """Wait for these ends from now on."""
        self.targets, self._began_s = ends, now_s


class KafkaSource:
    """Reads partitions of some topics. ``connect``: arguments of aiokafka's clients.

    Use from one thread, which is not the loop's thread. Any thread may call ``close``.
    """

    def __init__(
        self,
        topics: Sequence[str],
        connect: ClientArguments,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: threading.Event,
        on_state: OnState,
        may_be_missing: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.topics = tuple(topics)
        self._may_be_missing = may_be_missing
        self._connect = connect
        self._loop = Loop(loop)
        self._stop = stop
        self._on_state = on_state
        self._consumer: AIOKafkaConsumer | None = None
        self.partitions: tuple[TopicPartition, ...] = ()
        self.ids: dict[str, str] = {}
        self.missing: tuple[str, ...] = ()
        """Topics that do not exist yet, as nothing was ever written to them. They are read once they exist."""
        self.retentions: Mapping[str, Retention] = {}
        """The retention of each topic whose settings we may read."""
        self._read: dict[TopicPartition, int] = {}
        self.heard_s = time.monotonic()  # when a broker last sent records or answered
        self._fault = ""
        """Why the last fetch brought nothing; "" if there were no records."""
        self.counters: dict[str, int] = {"kafka_records": 0}

    def open(self) -> None:
        """Connect and find the partitions. Raises SourceDisconnectedError, SetupError."""
        try:
            self._loop.call(self._open())
        except KafkaError as error:
            self.close()
            raise self._shut_out(error) from error
        except CdcError:
            self.close()
            raise

    def _shut_out(self, error: KafkaError) -> CdcError:
        """The error for a failed connection. A refused login does not pass by itself, so it is another error."""
        why = self._loop.call(refusal(self._connect)) or error
        return login_fault(why, self._connect) or SourceDisconnectedError(f"Kafka cannot be reached: {why!r}")

    async def _open(self) -> None:
        self.ids = await topic_ids(self.topics, self._connect)
        self.missing = tuple(topic for topic in self.topics if topic not in self.ids)
        wanted = [topic for topic in self.missing if not self._may_be_missing(topic)]
        if wanted or not self.ids:
            raise SetupError(
                f"Kafka has no topic {', '.join(wanted or self.missing)}",
                hint="start the relay or the connector that fills it, or mend kafka.prefix or kafka.topics",
            )
        self.retentions = await retentions([*self.ids], self._connect)
        self._consumer = AIOKafkaConsumer(
            **self._connect,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a lost offset must stop the member, not move it without a word
            isolation_level="read_committed",  # else records of aborted transactions would be read
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=FETCH_BYTES // 4,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await self._consumer.start()
        self.partitions = await self._partitions_of(self.ids)
        self._consumer.assign(self.partitions)

    async def _partitions_of(self, topics: Iterable[str]) -> tuple[TopicPartition, ...]:
        assert self._consumer is not None
        found = []
        for topic in topics:
            numbers = self._consumer.partitions_for_topic(topic)
            # Right after the start the client may not know this topic yet.
            if not numbers:
                await self._consumer._client._wait_on_metadata(topic)
                numbers = self._consumer.partitions_for_topic(topic)
            found += [TopicPartition(topic, number) for number in sorted(numbers or ())]
        return tuple(found)

    def beginnings(self) -> dict[TopicPartition, int]:
        """The first offset that each partition still has. Raises SourceDisconnectedError."""
        found: dict[TopicPartition, int] = self._asked(self._open_consumer().beginning_offsets(self.partitions))
        return found

    def ends(self) -> dict[TopicPartition, int]:
        """The end of each partition now. Records of undecided transactions are behind it. Raises
        SourceDisconnectedError.
        """
        found: dict[TopicPartition, int] = self._asked(self._open_consumer().end_offsets(self.partitions))
        return found

    def _open_consumer(self) -> AIOKafkaConsumer:
        # Other threads ask for the topics' ends, and the run may end meanwhile.
        if self._consumer is None:
            raise SourceDisconnectedError("the topics are not read any more: the run ends")
        return self._consumer

    def _asked(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.call(work)
        except (KafkaError, UnsupportedVersionError) as error:
            raise SourceDisconnectedError(f"Kafka does not answer: {error!r}") from error

    def has_records(self, partition: TopicPartition) -> bool:
        """Whether anything was ever written to this partition. The partition need not be one that is read."""

        async def end() -> int:
            assert self._consumer is not None
            if partition.topic not in await topic_ids([partition.topic], self._connect):
                return 0
            return int((await self._consumer.end_offsets([partition]))[partition])

        return self._asked(end()) > 0

    def check_offsets(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raises PositionLostError if a topic no longer holds one of these positions."""
        first, end = self.beginnings(), self.ends()
        for partition, offset in offsets.items():
            name = f"{partition.topic}/{partition.partition}"
            # The topic was created again with fewer partitions.
            if partition not in end:
                raise position_lost(f"partition {name} is gone")
            # Retention removed the next records, or the topic was created again under the same name.
            if not first[partition] <= offset <= end[partition]:
                raise position_lost(
                    f"{name} holds offsets {first[partition]} to {end[partition]}, and offset {offset} comes next"
                )

    # --------------------------------------------------------------------------------------------------- reading

    def transactions(self, positions: LogPositions, decoder: Decoder) -> Iterator[Transaction]:
        """Transactions from these positions on, until stopped.

        Raises PositionLostError. Waits for a broker that cannot be reached.
        """
        self._read = dict(positions.offsets)
        self._loop.call(self._seek())
        targets = self.ends() if positions.is_loading else {}
        heard_s = asked_s = time.monotonic()
        caught_up = _CaughtUp(NEWS_S)
        looked_s = noted_s = -math.inf  # the first quiet moment is news: nothing was missed while we were away
        self._on_state("connected", {})
        while not self._stop.is_set():
            batches = self._fetched()
            for records in batches.values():
                for record in records:
                    yield from decoder.take(record)
                self.counters["kafka_records"] += len(records)
            now_s = time.monotonic()
            # Offsets are kept once for each fetch: a commit for each record would cost too much.
            if batches:
                yield from decoder.pause()
            if batches or self._fault:
                heard_s = now_s
                self.heard_s = self.heard_s if self._fault else now_s
            # After a fault the client counts records as read that it dropped.
            if not self._fault:
                self._note_positions()
            if self.missing and now_s - asked_s >= LOOK_S:  # also while other topics never fall silent
                asked_s = now_s
                self._take_up()
            if not batches and not self._fault:
                yield from decoder.idle(self._read[self.partitions[0]])
            is_quiet = now_s - heard_s >= LOOK_S  # what compaction took from a topic's end is not waited for
            if targets and decoder.is_whole and (self._is_past(targets) or (is_quiet and self._ends_now() is not None)):
                targets = {}
                log.info("topics_loaded", position=str(decoder.arrived))
                yield Transaction((), decoder.arrived, 0, feed=Feed(is_loaded=True, sample=decoder.sample()))
            if caught_up.is_due(now_s) and self._is_past(caught_up.targets):
                ends = self._ends_now()
                # The first look only notes where the topics end.
                if ends is not None and caught_up.targets:
                    yield Transaction((), decoder.arrived, 0, feed=Feed(is_caught_up=True))
                if ends is not None:
                    caught_up.begin(ends, now_s)
            if not batches and now_s - looked_s >= LOOK_S:
                looked_s = now_s
                ends = self._ends_now()
                if ends is not None and self._is_past(ends) and now_s - noted_s >= NEWS_S:
                    noted_s = now_s
                    yield Transaction((), decoder.arrived, 0, feed=Feed(sample=decoder.sample()))

    def _fetched(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        assert self._consumer is not None
        try:
            found: dict[TopicPartition, list[ConsumerRecord]] = self._loop.call(self._fetch(self._consumer))
        except OffsetOutOfRangeError as error:
            raise position_lost("a topic no longer holds the offset that comes next") from error
        except TopicAuthorizationFailedError as error:
            raise SetupError(f"Kafka lets us not read {error}", hint="grant READ and DESCRIBE on the topic") from error
        except UnsupportedCodecError as error:
            raise SetupError(
                f"records are compressed in a way that cannot be read: {error}",
                hint="set another compression.type of the topic, or another producer.compression.type of its writer",
            ) from error
        except (KafkaError, *UNREADABLE) as error:
            self._fault = repr(error)
            self._on_state("unreachable", {"reason": self._fault})
            log.warning("source_unreachable", limit="kafka", reason=self._fault)
            self._loop.call(self._seek())
            self._stop.wait(POLL_S)
            return {}
        self._fault = ""
        return found

    async def _fetch(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        # A broker that comes back asks for a login again, and the password may be another one by then.
        self._connect.renew(consumer)
        found: dict[TopicPartition, list[ConsumerRecord]]
        found = await consumer.getmany(timeout_ms=int(POLL_S * 1000), max_records=RECORDS)
        return found

    async def _seek(self) -> None:
        """Go back to the position behind the last record that was handed over.

        A batch that cannot be read makes the client drop records that it had already fetched: those of other
        partitions, and those before the bad record. The client's positions count them as read.
        """
        assert self._consumer is not None
        for partition, offset in self._read.items():
            self._consumer.seek(partition, offset)

    def _take_up(self) -> None:
        """Begin to read the missing topics that exist by now. Raises PositionLostError."""

        async def found() -> tuple[dict[str, str], dict[TopicPartition, int]]:
            assert self._consumer is not None
            ids = await topic_ids(self.missing, self._connect)
            partitions = await self._partitions_of(ids)
            first = await self._consumer.beginning_offsets(partitions) if partitions else {}
            return ids, first

        try:
            ids, first = self._asked(found())
        except SourceDisconnectedError as error:
            self._on_state("unreachable", {"reason": str(error)})  # asked again in some seconds, like the end
            return
        # None of them exists yet: ask again later.
        if not ids:
            return
        must_be_whole(first)
        self.ids |= ids
        self.missing = tuple(topic for topic in self.missing if topic not in ids)
        self.partitions = (*self.partitions, *first)
        self._read |= first

        async def assign() -> None:
            assert self._consumer is not None
            self._consumer.assign(self.partitions)
            await self._seek()

        self._asked(assign())
        log.info("topics_found", topics=sorted(ids))

    def _note_positions(self) -> None:
        """Every record before these positions was handed over."""
        assert self._consumer is not None
        consumer = self._consumer

        async def positions() -> dict[TopicPartition, int]:
            return {partition: await consumer.position(partition) for partition in self.partitions}

        self._read = self._asked(positions())

    def _is_past(self, targets: Mapping[TopicPartition, int]) -> bool:
        return all(self._read.get(partition, -1) >= end for partition, end in targets.items())

    def wait_for_end(self) -> None:
        """Wait until every record that the topics hold now was handed over, or until stopped.

        Call from another thread.
        """
        targets = self.ends()
        while not self._is_past(targets) and not self._stop.wait(0.05):
            pass

    def _ends_now(self) -> dict[TopicPartition, int] | None:
        """The end of each partition now; None while the broker does not answer, or after a fetch that failed.

        Asked once for each look: a second question could fail after the first was answered.
        """
        try:
            ends = self.ends()
        except SourceDisconnectedError as error:
            self._on_state("unreachable", {"reason": str(error)})
            return None
        self.heard_s = time.monotonic()
        if self._fault:
            return None
        self._on_state("connected", {})
        return ends

    def close(self) -> None:
        """Close the consumer. A running fetch ends without records."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            self._loop.start(consumer.stop())
