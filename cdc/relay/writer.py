"""The transactional producer: one Kafka transaction at a time, and a new producer after any error.

aiokafka retries by itself, without end while no broker answers. After any error, and after any call that takes too
long, the outcome is unknown. Then the producer is closed, and the start of the next producer ends the open transaction.
After that the topic's last mark shows what was committed (``Topic.last_mark``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, RecordListTooLargeError

from cdc.errors import CdcError
from cdc.kafka.connect import ClientArguments
from cdc.kafka.record import KafkaRecord
from cdc.settings.kafka import KafkaSettings

_OVERHEAD: Final = 1024  # of a batch around one record
_DISCARD_S: Final = 3.0
_MB: Final = 1024 * 1024


class Writer:
    """Writes into the one partition of a topic. Raises aiokafka's KafkaError, OSError or TimeoutError."""

    def __init__(self, settings: KafkaSettings, connect: ClientArguments) -> None:
        self._settings = settings
        self._connect = connect
        self._topic = settings.changes_topic
        self._most = settings.max_record_mb * _MB
        self._producer: AIOKafkaProducer | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a producer without an error so far."""
        return self._producer is not None

    async def open(self) -> None:
        """Take over the transactional id: other producers with this id are fenced,
        and their open transactions are undone.
        """
        await self.discard()
        producer = self._producer = AIOKafkaProducer(
            **self._connect,
            transactional_id=self._settings.writer,
            transaction_timeout_ms=int(self._settings.transaction_timeout_s * 1000),
            max_batch_size=min(_MB, self._most - _OVERHEAD),
            max_request_size=self._most,
            compression_type=None if self._settings.compression == "none" else self._settings.compression,
        )
        try:
            async with asyncio.timeout(self._settings.transaction_timeout_s):
                await producer.start()
        except BaseException:
            await self.discard()
            raise

    async def write(self, records: Sequence[KafkaRecord]) -> None:
        """Write all records in one transaction. CdcError for a record that is too large."""
        producer = self._producer
        assert producer is not None
        for record in records:
            if record.size + _OVERHEAD > self._most:
                raise _too_large(record, self._topic)
        try:
            async with asyncio.timeout(self._settings.transaction_timeout_s):
                await producer.begin_transaction()
                await self._send(producer, records)
                await producer.commit_transaction()
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise _too_large(max(records, key=lambda record: record.size), self._topic) from error

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[KafkaRecord]) -> None:
        """Send the records in order: aiokafka has one batch of a partition in flight."""
        sent = []
        batch = producer.create_batch()
        for count, record in enumerate(records, 1):
            if not self._append(batch, record):
                sent.append(await producer.send_batch(batch, self._topic, partition=0))
                batch = producer.create_batch()
                self._append(batch, record)
            if not count % 1000:
                await asyncio.sleep(0)  # probes are answered meanwhile
        sent.append(await producer.send_batch(batch, self._topic, partition=0))
        await asyncio.gather(*sent)

    def _append(self, batch: object, record: KafkaRecord) -> bool:
        timestamp = record.timestamp_ms or None
        appended = batch.append(  # type: ignore[attr-defined]  # aiokafka has no types
            key=record.key, value=record.value, timestamp=timestamp, headers=list(record.headers)
        )
        return appended is not None

    def renew_login(self) -> None:
        """The running producer opens its next connections with the present password and certificates."""
        self._connect.renew(self._producer)

    async def look(self) -> None:
        """Whether a broker still answers. Without writes, a lost connection would stay unnoticed."""
        producer = self._producer
        assert producer is not None
        async with asyncio.timeout(self._settings.transaction_timeout_s):
            if not await producer.client.force_metadata_update():
                raise KafkaConnectionError("no broker answers")

    async def discard(self) -> None:
        """Close the producer without waiting for its running work."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        sender = producer._sender.sender_task  # stop() would flush first, and so wait for brokers that are away
        if sender is not None:
            for _ in range(2):  # the second cancels what the task waits for at its end
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await asyncio.wait_for(asyncio.shield(sender), _DISCARD_S / 2)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(producer.client.close(), _DISCARD_S)
        producer._closed = True

    async def close(self) -> None:
        """Close the producer; nothing is in flight any more."""
        await self.discard()


def _too_large(record: KafkaRecord, topic: str) -> CdcError:
    table = record.key.partition(b"/")[0].decode(errors="replace")
    return CdcError(
        f"a row of {table} makes a record of {record.size:,} bytes, more than topic {topic} takes",
        hint="raise kafka.max_record_mb and the topic's max.message.bytes with it; no record is left out",
    )
