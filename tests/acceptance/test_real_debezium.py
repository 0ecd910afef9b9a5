"""Debezium itself fills topics from a real server: through snapshots, restarts, repetitions HubSpot ends as the shop.

Two checks, of which the second does not go through our code: what the sandbox holds equals a full render of the
database, and a member's replica has the rows, by count and key, that the newest records of the topics tell.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.acceptance.conftest import Rig, a_rig
from tests.acceptance.test_shop_day import Traffic
from tests.kit import topics
from tests.kit.broker import Broker
from tests.kit.connect import RealDebezium
from tests.kit.daemon import wait_until
from tests.kit.install import Unavailable
from tests.kit.schema import tables as schema_tables
from tests.kit.servers import Server
from tests.kit.shop import Shop
from tests.kit.shop_day import play, random_ops
from tests.kit.topics import Member
from tests.unit.kafka.test_foreign_shop import specs

pytestmark = pytest.mark.slow

ENTITIES = ("sales_order", "sales_order_item", "customer_entity", "catalog_product_entity")
LIMIT_S = 120.0


@dataclass
class Scene:
    """A shop, Debezium, topics and members."""

    rig: Rig
    broker: Broker
    connector: RealDebezium
    folder: Path
    prefix: str
    topics: dict[str, str]
    """By table."""

    @property
    def kafka(self) -> Mapping[str, Any]:
        """Settings of members: they read the topic of schema changes too."""
        return {"prefix": self.prefix, "format": "debezium", "topics": [*self.topics.values(), self.prefix]}

    def member(self, name: str) -> Member:
        """A member with a state of its own; all of them share the account."""
        (self.folder / name).mkdir(exist_ok=True)
        toml = topics.settings_of(
            self.broker, self.kafka, self.rig.sandbox.url, source={"database": self.rig.database},
            delivery={"max_deletes_per_hour": 1000, "max_deletes_share": 1},
        )  # fmt: skip
        return Member(self.folder / name, toml)

    def until_right(self, *members: Member) -> None:
        """HubSpot is as the shop, and members hold what the topics' newest records tell."""
        try:
            self.rig.wait_for_equality(LIMIT_S)
        except AssertionError as late:
            why = [str(late), self.connector.said(), *(member.why_waiting() for member in members)]
            raise AssertionError("\n".join(why)) from None
        topics.until_nothing_waits(members, 60.0)
        for table in ENTITIES:
            told = newest(self.broker, self.topics[table], specs()[table].key[0])
            for member in members:
                held = {key for (key,) in member.rows(f'SELECT "{specs()[table].key[0]}" FROM "r_{table}"')}
                assert held <= told, f"{table}: {sorted(held - told)[:5]} are in no record"
                assert self.in_shop(table) == held, table
        for member in members:
            self._must_say_nothing(member)

    @staticmethod
    def _must_say_nothing(member: Member) -> None:
        """The member's own check of its rows found nothing, and a snapshot's definitions are no dropped tables."""
        assert "rows_not_as_topics_tell" not in {line["event"] for line in member.lines()}
        reasons = member.ask("/ready")["reasons"]
        assert not [one for one in reasons if "no record tells which" in one or "newest records" in one], reasons

    def in_shop(self, table: str) -> set[int]:
        """Keys of the table's rows."""
        connection = self.rig.server.connect(database=self.rig.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {specs()[table].key[0]} FROM {table}")
                return {key for (key,) in cursor.fetchall()}
        finally:
            connection.close()

    def has_topics(self, *tables: str) -> bool:
        """Whether all of these topics hold something."""
        return all(newest(self.broker, self.topics[table], specs()[table].key[0]) for table in tables)


def newest(broker: Broker, topic: str, key: str) -> set[int]:
    """The keys whose newest record of this topic is a row, read by a plain consumer: a deleted row's is a tombstone."""

    async def work() -> set[int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        partition = TopicPartition(topic, 0)
        found: set[int] = set()
        try:
            if topic not in await consumer.topics():
                return found
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            await consumer.seek_to_beginning(partition)
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(timeout_ms=500)).get(partition, ()):
                    identity = orjson.loads(record.key)[key]
                    (found.discard if record.value in (None, b"null") else found.add)(identity)
        finally:
            await consumer.stop()
        return found

    return asyncio.run(work())


@contextmanager
def a_scene(
    server: Server, broker: Broker, folder: Path, route: str = "", worker: Mapping[str, str] | None = None,
    connector: Mapping[str, str] | None = None,
) -> Iterator[Scene]:  # fmt: skip
    """``route``: what stands before a table's name in its topic, Debezium's own name without."""
    with a_rig(server, folder) as rig:
        prefix = f"d{uuid4().hex[:8]}"
        names = [spec.name for spec in specs().values() if spec.name in schema_tables()]
        told = {name: text.format(prefix=prefix, database=rig.database) for name, text in (connector or {}).items()}
        made = RealDebezium(
            broker, server, rig.database, folder / "connect", prefix=prefix, tables=names, worker=worker, connector=told
        )
        before = f"{prefix}{route}" if route else f"{prefix}.{rig.database}."
        scene = Scene(rig, broker, made, folder, prefix, {name: f"{before}{name}" for name in names})
        try:
            made.prepare()
            yield scene
        except Unavailable as reason:
            pytest.skip(str(reason))
        finally:
            made.kill()


def do(shop: Shop, count: int) -> None:
    """So many random operations."""
    operations = random_ops(shop, random.Random(5))
    for _ in range(count):
        next(operations)


def unheard(rig: Rig) -> None:
    """Changes that no connector reads: a new one tells the rows that it finds, and nothing of those deleted."""
    for _ in range(3):
        rig.shop.register(newsletter=True)
    connection = rig.server.connect(database=rig.database)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE customer_entity SET firstname = 'Zara' WHERE entity_id < 4")
        cursor.execute("UPDATE sales_order SET shipping_description = 'By hand' WHERE entity_id < 4")
    connection.commit()
    connection.close()


def test_members_that_start_early_late_and_again(mysql: Server, kafka: Broker, tmp_path: Path) -> None:
    """First snapshot under traffic, a killed connector, an incremental snapshot, a connector made anew; lz4."""
    with a_scene(mysql, kafka, tmp_path, worker={"producer.compression.type": "lz4"}) as scene:
        early, late, last = (scene.member(name) for name in ("early", "late", "last"))
        traffic = Traffic(lambda: play(scene.rig.shop, seed=4, pace=0.4))
        with early, late, last:
            scene.connector.start()
            wait_until(lambda: scene.has_topics("store"), LIMIT_S, "the snapshot has begun")
            traffic.start()
            early.start()
            wait_until(lambda: scene.has_topics("sales_order_item"), LIMIT_S, "changes are told")
            late.start()
            topics.pause(1.0)
            scene.connector.kill()  # and tells some changes twice
            early.kill()
            scene.connector.start()
            early.start()
            traffic.finish()
            scene.until_right(early, late)
            scene.connector.snapshot_again(1, ["sales_order", "sales_order_item", "customer_entity"])
            do(scene.rig.shop, 60)
            scene.until_right(early, late)
            late.kill()
            scene.connector.stop()
            scene.connector.forget()
            unheard(scene.rig)
            scene.connector.start()
            late.start()
            last.start()
            scene.until_right(early, late, last)
            for member in (early, late, last):
                assert member.stop() == 0


@pytest.mark.skipif("SOAK_SEED" not in os.environ, reason="takes two minutes: part of `make soak`")
@pytest.mark.parametrize("fields", ["", "op,table,source.db,source.file,source.pos,source.ts_ms,source.snapshot"])
def test_flattened_and_routed_rows(mysql: Server, kafka: Broker, tmp_path: Path, fields: str) -> None:
    """ExtractNewRecordState and RegexRouter as people set them up, with and without positions in the rows."""
    transforms = {
        "transforms": "unwrap,route",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState",
        "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
        "transforms.route.regex": r"{prefix}\.{database}\.(.*)",
        "transforms.route.replacement": "{prefix}-$1",
        **({"transforms.unwrap.add.fields": fields} if fields else {}),
    }
    with a_scene(mysql, kafka, tmp_path, "-", connector=transforms) as scene:
        first, second = scene.member("first"), scene.member("second")
        with first, second:
            scene.connector.start()
            wait_until(lambda: scene.has_topics("store"), LIMIT_S, "the snapshot is told")
            first.start()
            play(scene.rig.shop, seed=7)
            second.start()
            scene.until_right(first, second)
