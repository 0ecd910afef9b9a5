"""Writes records with a transactional producer, and stops Kafka clients within a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

DRAIN_S: Final = 5.0
"""How long requests in flight may delay a change of the leader."""


async def send_records(producer: AIOKafkaProducer, to: TopicPartition, records: Sequence[tuple[bytes, bytes]]) -> int:
    """Write the records in one transaction. Returns the last record's offset."""
    async with producer.transaction():
        waiting = [await producer.send(to.topic, value, key=key, partition=to.partition) for key, value in records]
        written = await asyncio.gather(*waiting)
    return max(int(one.offset) for one in written)


async def stop_client(client: Any) -> None:
    """Stop the client within ``DRAIN_S``; a broker that does not answer must not keep the member."""
    with contextlib.suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(DRAIN_S):
            await client.stop()
