"""The relay's topic and writer against a real broker: settings, logins, sizes, hung brokers, fencing, compaction."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, ProducerFenced

from cdc.errors import CdcError, SetupError
from cdc.kafka.connect import client_arguments
from cdc.kafka.record import KafkaRecord, Mark, Origin, RowChange, encode
from cdc.model import Position, Row
from cdc.relay.topic import Topic
from cdc.relay.writer import Writer
from cdc.settings.config import load
from cdc.settings.kafka import KafkaSettings
from tests.kit.broker import PASSWORD, USER, Broker, Listener, compacting
from tests.kit.changes_topic import read

HERE = Position("binlog.000001", 4)


def settings(broker: Broker, prefix: str, **more: Any) -> KafkaSettings:
    """[kafka] for this broker."""
    return load(None, {"kafka": {"brokers": [broker.bootstrap], "prefix": prefix, **more}}).kafka


def topic_of(kafka: KafkaSettings) -> Topic:
    """The topic with a login of its own."""
    return Topic(kafka, client_arguments(kafka))


def writer_of(kafka: KafkaSettings) -> Writer:
    """A writer with a login of its own."""
    return Writer(kafka, client_arguments(kafka))


def row(number: int, size: int = 10, *, gone: bool = False) -> KafkaRecord:
    """A change of one row."""
    after: Row | None = None if gone else {"id": number, "text": "x" * size}
    return encode(RowChange("t", (number,), None, after, Origin(HERE, number, 1_700_000_000_000), "tx", 1, True))


def mark(sequence: int) -> KafkaRecord:
    """A position."""
    return encode(Mark(sequence, "run", HERE, sequence))


async def opened(kafka: KafkaSettings) -> tuple[Topic, Writer]:
    """The topic, made, and a writer on it."""
    topic, writer = topic_of(kafka), writer_of(kafka)
    await topic.ensure()
    await writer.open()
    return topic, writer


async def test_the_topic_is_made_as_it_must_be(kafka: Broker) -> None:
    """One partition, compacted, tombstones for a week; a second look finds nothing to mend."""
    topic = topic_of(settings(kafka, "made"))
    await topic.ensure()

    findings = {finding.name: finding for finding in await topic.check()}

    assert all(finding.ok for finding in findings.values())
    assert findings["kafka min.insync.replicas"].warning  # one broker: what it confirmed may go with it


@pytest.mark.parametrize(
    ("partitions", "held", "said"),
    [
        pytest.param(2, {}, "has 2 partitions", id="order"),
        pytest.param(1, {"cleanup.policy": "delete"}, "cleanup.policy=compact", id="age"),
        pytest.param(1, {"cleanup.policy": "compact,delete"}, "cleanup.policy=compact", id="age too"),
        pytest.param(1, {"delete.retention.ms": "86400000"}, "delete.retention.ms=604800000", id="tombstones"),
        pytest.param(1, {"max.message.bytes": "1000000"}, "max.message.bytes=8388608", id="size"),
    ],
)
async def test_a_topic_that_would_lose_rows_is_refused(
    kafka: Broker, partitions: int, held: dict[str, str], said: str
) -> None:
    """With the command that mends it, before anything is written."""
    right = {"cleanup.policy": "compact", "delete.retention.ms": "604800000", "max.message.bytes": "8388608"}
    prefix = f"wrong.{partitions}.{len(held)}.{abs(hash(said + str(held)))}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(f"{prefix}.changes", partitions, 1, topic_configs=right | held)])
    await admin.close()

    with pytest.raises(SetupError, match=said):
        await topic_of(settings(kafka, prefix)).ensure()


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [("ssl", ""), ("sasl_plaintext", "PLAIN"), ("sasl_ssl", "SCRAM-SHA-256"), ("sasl_ssl", "SCRAM-SHA-512")],
)
async def test_the_relay_logs_in(kafka: Broker, tmp_path: Path, protocol: str, mechanism: str) -> None:
    """TLS with the CA from a file, PLAIN and SCRAM with the password from a file."""
    assert kafka.authority is not None
    more: dict[str, Any] = {"protocol": protocol, "brokers": [kafka.address(Listener(protocol.upper()))]}
    if mechanism:
        (tmp_path / "password").write_text(PASSWORD)
        more |= {"sasl_mechanism": mechanism, "user": USER, "password_file": str(tmp_path / "password")}
    if protocol.endswith("ssl"):
        more["tls"] = {"ca": str(kafka.authority.ca)}
    topic, writer = await opened(settings(kafka, f"login.{protocol}.{mechanism}", **more))
    try:
        await writer.write([row(1), mark(1)])
        found = await topic.last_mark("read_committed")
    finally:
        await writer.close()

    assert found is not None
    assert found.sequence == 1


async def test_a_wrong_password_is_an_error_and_no_wait(kafka: Broker) -> None:
    """It is told, and neither user nor password is in it."""
    wrong = settings(
        kafka,
        "wrong.password",
        protocol="sasl_plaintext",
        sasl_mechanism="SCRAM-SHA-256",
        brokers=[kafka.address(Listener.SASL_PLAINTEXT)],
        user=USER,
        password="not the password",
    )
    with pytest.raises(KafkaError) as caught:
        await topic_of(wrong).ensure()

    assert "not the password" not in repr(caught.value)


async def test_the_newest_writer_fences_the_others(kafka: Broker) -> None:
    """What the older one had open is undone, and it can write no more."""
    held = settings(kafka, "fence")
    topic, first = await opened(held)
    await first.write([row(1), mark(1)])
    second = writer_of(held)
    await second.open()
    with pytest.raises(KafkaError) as caught:
        await first.write([row(2), mark(2)])
    await second.write([row(3), mark(3)])
    last = await topic.last_mark("read_committed")
    await first.close()
    await second.close()

    assert isinstance(caught.value, ProducerFenced)
    assert last is not None
    assert last.sequence == 3
    assert [change.key for change in (await read(kafka, topic.name)).changes] == [(1,), (3,)]


async def test_a_row_over_the_limit_is_told_by_its_table(kafka: Broker) -> None:
    """Nothing is left out silently: it is said which table, and which setting to raise."""
    held = settings(kafka, "sizes", max_record_mb=1)
    _, writer = await opened(held)
    try:
        await writer.write([row(1, 900_000), row(2, 100), row(3, 900_000), mark(1)])
        with pytest.raises(CdcError, match=r"a row of t makes a record of .* raise kafka.max_record_mb"):
            await writer.write([row(4, 2_000_000), mark(2)])
    finally:
        await writer.close()

    assert [change.key for change in (await read(kafka, held.changes_topic)).changes] == [(1,), (2,), (3,)]


async def test_compaction_keeps_rows_deletions_and_position(kafka: Broker) -> None:
    """However often a row changed: its last record, the tombstone of what is gone, and the last position stay."""
    held = settings(kafka, "compact")
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    right = {"cleanup.policy": "compact", "delete.retention.ms": "604800000", "max.message.bytes": "8388608"}
    await admin.create_topics([NewTopic(held.changes_topic, 1, 1, topic_configs=right | dict(compacting))])
    await admin.close()
    topic, writer = await opened(held)
    try:
        for turn in range(1, 200):
            await writer.write([row(1, turn), row(2, 5, gone=turn == 150), mark(turn)] if turn <= 150 else [mark(turn)])
            found = await read(kafka, topic.name) if turn > 150 else None
            if found is not None and len(found.changes) <= 3:
                break
            await asyncio.sleep(0.1 if turn > 150 else 0)
        last = await topic.last_mark("read_committed")
    finally:
        await writer.close()

    assert found is not None
    assert {change.key: change.after is None for change in found.changes} == {(1,): False, (2,): True}
    assert last is not None
    assert last.sequence == turn


async def test_a_broker_that_hangs_is_left_and_found_again() -> None:
    """Its connections stay open and nothing answers: the write ends in time, and the next writer goes on."""
    with Broker() as broker:
        held = settings(broker, "hang", request_timeout_s=2, transaction_timeout_s=4)
        topic, writer = await opened(held)
        await writer.write([row(1), mark(1)])
        broker.freeze()
        started = time.monotonic()
        with pytest.raises((KafkaError, TimeoutError)):
            await writer.write([row(2), mark(2)])
        await writer.discard()
        waited = time.monotonic() - started
        broker.thaw()
        for _ in range(30):
            try:
                await writer.open()
                break
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(0.5)
        last = await topic.last_mark("read_committed")
        assert last is not None
        if last.sequence == 1:  # its outcome was unknown; the topic tells
            await writer.write([row(2), mark(2)])
        found = await read(broker, topic.name)
        await writer.close()

    assert waited < 15
    assert [change.key for change in found.changes] == [(1,), (2,)]
