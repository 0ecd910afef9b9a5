"""The topic ``<prefix>.changes`` from the relay's side: creates it, checks it, reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import ConsumerRecord

from cdc.clock import DAY_MS
from cdc.errors import SetupError
from cdc.kafka.connect import ClientArguments
from cdc.kafka.record import POSITION_KEY, KafkaRecord, Mark, decode
from cdc.kafka.topic_settings import topic_settings
from cdc.model import CheckResult
from cdc.settings.kafka import KafkaSettings

MB: Final = 1024 * 1024
_ALREADY_EXISTS: Final = 36
_TAIL: Final = 64  # records looked at first for the last position; it is among the last two if nothing was aborted

Isolation = Literal["read_committed", "read_uncommitted"]


class Topic:
    """One changes topic. Methods raise aiokafka's KafkaError, OSError or TimeoutError while brokers do not answer."""

    def __init__(self, settings: KafkaSettings, connect: ClientArguments) -> None:
        self._settings = settings
        self._connect = connect
        self.name = settings.changes_topic
        self._partition = TopicPartition(self.name, 0)

    async def ensure(self) -> None:
        """Create the topic if it is missing. SetupError if it exists and would lose or refuse records."""
        async with self._admin() as admin:
            # Made by us with the right settings; a topic made by the broker itself would have its defaults.
            if self.name not in await admin.list_topics():
                await self._create(admin)
        faults = [finding for finding in await self.check() if not finding.ok]
        # An existing topic is never changed: other programs may depend on its settings.
        if faults:
            text = "; ".join(f"{one.text}" for one in faults)
            raise SetupError(f"topic {self.name}: {text}", hint="; ".join(one.fix for one in faults))

    async def check(self) -> list[CheckResult]:
        """The topic's settings, one line each; nothing is changed. ``relay`` creates a missing topic."""
        async with self._admin() as admin:
            # A check must not create anything.
            if self.name not in await admin.list_topics():
                return [CheckResult("kafka topic", True, f"{self.name} is not there yet; relay makes it", warning=True)]
            [topic] = await admin.describe_topics([self.name])
            settings = (await topic_settings(admin, [self.name])).get(self.name)
            # Without DESCRIBE_CONFIGS nothing can be said about losing records, and silence would look like
            # health.
            if settings is None:
                raise SetupError(
                    f"Kafka does not show the settings of topic {self.name}", hint="grant DESCRIBE_CONFIGS on the topic"
                )
        return self._findings(len(topic["partitions"]), len(topic["partitions"][0]["replicas"]), settings)

    def _findings(self, partitions: int, replicas: int, held: Mapping[str, str]) -> list[CheckResult]:
        keep_ms, most = self._settings.tombstone_days * DAY_MS, self._settings.max_record_mb * MB
        alter = f"kafka-configs.sh --alter --entity-type topics --entity-name {self.name} --add-config"
        policy = held.get("cleanup.policy", "")
        in_sync = held.get("min.insync.replicas", "1")
        is_durable = replicas >= 3 and int(in_sync) >= 2
        return [
            CheckResult(
                "kafka partitions",
                partitions == 1,
                f"{self.name} has {partitions} partition{'s' * (partitions != 1)}; one keeps the order of commits",
                "remove the topic and let relay make it, or set another kafka.prefix",
            ),
            CheckResult(
                "kafka cleanup.policy",
                policy == "compact",
                f"cleanup.policy of {self.name} is {policy}; it must be compact, or rows are lost with age",
                f"{alter} cleanup.policy=compact",
            ),
            CheckResult(
                "kafka delete.retention.ms",
                int(held.get("delete.retention.ms", "0")) >= keep_ms,
                f"delete.retention.ms of {self.name} is {held.get('delete.retention.ms')}; deletions must stay"
                f" {self._settings.tombstone_days} days (kafka.tombstone_days)",
                f"{alter} delete.retention.ms={keep_ms}",
            ),
            CheckResult(
                "kafka max.message.bytes",
                int(held.get("max.message.bytes", "0")) >= most,
                f"max.message.bytes of {self.name} is {held.get('max.message.bytes')}; kafka.max_record_mb asks {most}",
                f"{alter} max.message.bytes={most}",
            ),
            CheckResult(
                "kafka min.insync.replicas",
                True,
                f"{self.name} has {replicas} replica{'s' * (replicas != 1)}, min.insync.replicas is {in_sync}"
                + ("" if is_durable else ": if a broker dies, records that it confirmed may be lost"),
                "" if is_durable else f"keep it on three brokers, and {alter} min.insync.replicas=2",
                warning=not is_durable,
            ),
        ]

    async def _create(self, admin: AIOKafkaAdminClient) -> None:
        cluster = await admin.describe_cluster()
        replicas = min(self._settings.replication, len(cluster["brokers"]))
        wanted = {
            "cleanup.policy": "compact",
            "delete.retention.ms": str(self._settings.tombstone_days * DAY_MS),
            "max.message.bytes": str(self._settings.max_record_mb * MB),
            "min.insync.replicas": "2" if replicas >= 3 else "1",
        }
        answer = await admin.create_topics([NewTopic(self.name, 1, replicas, topic_configs=wanted)])
        for topic, code, *reason in answer.topic_errors:
            # Another relay may have made it between the look and the creation.
            if code not in (0, _ALREADY_EXISTS):
                raise SetupError(
                    f"topic {topic} cannot be made: {for_code(code).__name__} {reason[0] if reason else ''}".rstrip(),
                    hint="make it by hand with one partition and cleanup.policy=compact, or grant CREATE on it",
                )

    async def last_mark(self, isolation: Isolation) -> Mark | None:
        """The last position in the topic; None if there is none."""
        async with self._consumer(isolation) as consumer:
            begin = (await consumer.beginning_offsets([self._partition]))[self._partition]
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            back = _TAIL
            while True:
                start = max(begin, end - back)
                found: Mark | None = None
                async for record in self._records(consumer, start, end):
                    if record.key == POSITION_KEY:
                        item = decode(_plain(record))
                        assert isinstance(item, Mark)
                        found = item
                # Control records of aborted transactions may fill the end of the topic: look further back.
                if found is not None or start == begin:
                    return found
                back *= 16

    async def read_all(self) -> AsyncIterator[KafkaRecord]:
        """Every committed record from the first to the present last one."""
        async with self._consumer("read_committed") as consumer:
            begin = (await consumer.beginning_offsets([self._partition]))[self._partition]
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            async for record in self._records(consumer, begin, end):
                yield _plain(record)

    async def _records(self, consumer: AIOKafkaConsumer, start: int, end: int) -> AsyncIterator[ConsumerRecord]:
        """Records of the partition up to ``end``. TimeoutError if ``end`` is not
        reached (a transaction was left open).
        """
        consumer.seek(self._partition, start)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.request_timeout_s
        while await consumer.position(self._partition) < end:
            got = await consumer.getmany(self._partition, timeout_ms=200)
            for record in got.get(self._partition, ()):
                # Records behind the end noted at the start belong to the next read.
                if record.offset < end:
                    yield record
            # As long as anything comes, the broker is alive.
            if got:
                deadline = loop.time() + self._settings.request_timeout_s
            elif loop.time() > deadline:
                raise TimeoutError(f"topic {self.name} cannot be read to its end")

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._connect)
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                await admin.start()
            yield admin
        finally:
            await admin.close()

    @asynccontextmanager
    async def _consumer(self, isolation: Isolation) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._connect,
            isolation_level=isolation,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=self._settings.max_record_mb * MB,
        )
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                await consumer.start()
            consumer.assign([self._partition])
            yield consumer
        finally:
            await consumer.stop()


def _plain(record: Any) -> KafkaRecord:
    return KafkaRecord(record.key, record.value, tuple(record.headers), record.timestamp)


__all__ = ["KafkaError", "Topic"]
