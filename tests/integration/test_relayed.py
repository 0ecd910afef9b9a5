"""Members of the relay's own topic, fed by its codec: rebuilt after compaction, and refused what is not theirs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cdc.kafka.record import KafkaRecord, Mark, Origin, RowChange, TableRecord, encode
from cdc.members.opening import as_published
from cdc.model import Position, Row
from tests.kit import topics
from tests.kit.broker import Broker, compacting
from tests.kit.daemon import wait_until
from tests.kit.topics import Member
from tests.unit.kafka.test_foreign_shop import specs
from tests.unit.mappers.shops import REFERENCES

pytestmark = pytest.mark.slow


class Writer:
    """Writes transactions as the relay does."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.broker, self.topic = broker, topic
        self.is_complete = True
        self._at = 0
        self._held: list[topics.Headed] = []

    def write(
        self, *changes: tuple[str, tuple[Any, ...], Row | None, Row | None], ends: bool = True, flush: bool = True
    ) -> None:
        """One source transaction of (table, key, before, after)."""
        self._at += 1
        position = Position("binlog.000001", self._at * 100, "", "server-1")
        commit_ms = int(time.time() * 1000)
        made: list[KafkaRecord] = []
        for number, (table, key, before, after) in enumerate(changes, 1):
            is_last = ends and number == len(changes)
            origin = Origin(position, self._at, commit_ms)
            made.append(encode(RowChange(table, key, before, after, origin, f"tx{self._at}", number, is_last)))
        if ends:
            made.append(encode(Mark(self._at, "relay-1", position, self._at, is_complete=self.is_complete)))
        self._held += [(self.topic, one.key, one.value, one.headers) for one in made]
        if flush:
            held, self._held = self._held, []
            topics.fill(self.broker, held)


def whole(table: str, **values: Any) -> dict[str, Any]:
    """A row with every published column."""
    spec = as_published(specs()[table])
    return {**dict.fromkeys(spec.columns), **values}


def customer(identity: int, **values: Any) -> Row:
    return whole(
        "customer_entity", entity_id=identity, email=f"c{identity}@example.com", website_id=1, group_id=1,
        firstname="Ann", created_at="2026-01-01 10:00:00", **values,
    )  # fmt: skip


def order(identity: int, customer_id: int | None) -> Row:
    return whole(
        "sales_order", entity_id=identity, increment_id=f"1000{identity}", store_id=1, state="new", status="pending",
        customer_id=customer_id, customer_is_guest=0, customer_email="c1@example.com", grand_total="10.0000",
        order_currency_code="EUR", created_at="2026-01-02 10:00:00",
    )  # fmt: skip


@pytest.fixture
def writer(kafka: Broker) -> Writer:
    """A topic with a shop's reference rows in it, compacted as soon as can be."""
    topic = f"r{uuid4().hex[:8]}.changes"
    topics.make(kafka, [topic], settings={"cleanup.policy": "compact", **compacting})
    made = Writer(kafka, topic)
    references(made)
    return made


def references(writer: Writer) -> None:
    """Write the reference rows with what comes next."""
    keys = {spec.name: spec.key for spec in specs().values()}
    for table, rows in REFERENCES.items():
        writer.write(
            *[(table, tuple(row[c] for c in keys[table]), None, whole(table, **row)) for row in rows], flush=False
        )


def member(
    folder: Path, writer: Writer, name: str, *, repairs: bool = False, mapping: str = "", **kafka: Any
) -> Member:
    """A member that reads to the end and writes lines; ``repairs``: what it does about a lost position."""
    (folder / name).mkdir(exist_ok=True)
    settings = {"prefix": writer.topic.removesuffix(".changes"), "account": name, **kafka}
    out = {"kind": "jsonl", "path": str(folder / f"{name}.jsonl")}
    source = {"on_lost_position": "repair" if repairs else "stop"}
    toml = topics.settings_of(writer.broker, settings, "http://127.0.0.1:1", sink=out, source=source)
    return Member(folder / name, toml + mapping, "--until-end")


def ended(one: Member) -> int:
    """Run it to its end; the exit code."""
    with one.start():
        return one.wait()


def said(one: Member, since: int = 0) -> set[tuple[str, str]]:
    """What it sent from a line on: action and object."""
    path = one.folder.with_suffix(".jsonl")
    lines = path.read_text().splitlines()[since:] if path.exists() else []
    return {(line["action"], line["external_id"]) for line in map(json.loads, lines)}


def remake(writer: Writer) -> Writer:
    """The topic goes, and an empty one of its name comes."""

    async def work() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=writer.broker.bootstrap)
        await admin.start()
        await admin.delete_topics([writer.topic])
        await admin.close()

    asyncio.run(work())
    topics.pause(1.0)
    topics.make(writer.broker, [writer.topic], settings={"cleanup.policy": "compact"})
    return Writer(writer.broker, writer.topic)


def offsets(writer: Writer) -> list[int]:
    """The offsets that the topic still holds."""

    async def work() -> list[int]:
        consumer = AIOKafkaConsumer(
            writer.topic, bootstrap_servers=writer.broker.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        found: list[int] = []
        while batch := await consumer.getmany(timeout_ms=700):
            found += [record.offset for records in batch.values() for record in records]
        await consumer.stop()
        return found

    return asyncio.run(work())


def test_a_compacted_topic_rebuilds_the_same_replica(writer: Writer, tmp_path: Path) -> None:
    """Deleted parents, SET NULL on a child, rows changed many times: an empty member ends as one that saw it all."""
    writer.write(("customer_entity", (1,), None, customer(1)), ("customer_entity", (2,), None, customer(2)))
    writer.write(("sales_order", (7,), None, order(7, 1)))
    with member(tmp_path, writer, "first").start() as first:
        assert first.wait() == 0
    for number in range(30):
        writer.write(("customer_entity", (2,), customer(2), customer(2, lastname=f"Name {number}")), flush=False)
    writer.write(("customer_entity", (1,), customer(1), None), ("sales_order", (7,), order(7, 1), order(7, None)))
    with first.start():
        assert first.wait() == 0

    def is_compacted() -> bool:
        writer.write(("store_website", (9,), None, whole("store_website", website_id=9, code=uuid4().hex[:8])))
        return len(offsets(writer)) < 45

    wait_until(is_compacted, 40, "the topic is compacted")
    with first.start(), member(tmp_path, writer, "second").start() as second:
        assert (first.wait(), second.wait()) == (0, 0)

    assert second.engine() == first.engine()
    assert second.rows("SELECT entity_id, customer_id FROM r_sales_order") == [(7, None)]
    assert second.rows("SELECT entity_id, lastname FROM r_customer_entity") == [(2, "Name 29")]


def test_half_a_transaction_waits_for_its_end(writer: Writer, tmp_path: Path) -> None:
    """Of a transaction whose last record is not there yet nothing is applied, and a later start reads it whole."""
    writer.write(("customer_entity", (1,), None, customer(1)))
    writer.write(("customer_entity", (2,), None, customer(2)), ends=False)
    with member(tmp_path, writer, "only").start() as only:
        assert only.wait() == 0
    assert only.rows("SELECT entity_id FROM r_customer_entity") == [(1,)]
    writer._at -= 1
    writer.write(("customer_entity", (2,), None, customer(2)), ("customer_entity", (3,), None, customer(3)))

    with only.start():
        assert only.wait() == 0

    assert only.rows("SELECT entity_id FROM r_customer_entity ORDER BY 1") == [(1,), (2,), (3,)]


def test_a_topic_made_anew(writer: Writer, tmp_path: Path) -> None:
    """Offsets of another topic of the same name mean something else: exit code 3, or, where that is asked for, it is
    read again; once the relay says that the store is whole there, what differs is sent, who is gone included.
    """
    writer.write(*[("customer_entity", (number,), None, customer(number)) for number in (1, 2, 4)])
    stopping = member(tmp_path, writer, "only")
    assert ended(stopping) == 0
    writer = remake(writer)
    writer.is_complete = False
    references(writer)
    writer.write(("customer_entity", (1,), None, customer(1, lastname="Changed")))
    first = len((tmp_path / "only.jsonl").read_text().splitlines())

    assert ended(stopping) == 3
    assert "was created again" in (stopping.folder / "run.log").read_text()

    repairing = member(tmp_path, writer, "only", repairs=True)
    assert ended(repairing) == 0
    assert said(repairing, first) == set()

    writer.write(("customer_entity", (3,), None, customer(3)))
    writer.is_complete = True
    writer.write(("customer_entity", (4,), None, customer(4)))
    assert ended(repairing) == 0
    assert said(repairing, first) == {
        ("UPSERT", "magento-customer-1"), ("UPSERT", "magento-customer-3"), ("DELETE", "magento-customer-2"),
    }  # fmt: skip
    assert repairing.rows("SELECT entity_id FROM r_customer_entity ORDER BY 1") == [(1,), (3,), (4,)]


def test_a_member_away_for_longer_than_deletions_are_kept(writer: Writer, tmp_path: Path) -> None:
    """Over kafka.tombstone_days it cannot know who is gone: it stops and says so, or reads the topic again."""
    writer.write(("customer_entity", (1,), None, customer(1)), ("customer_entity", (2,), None, customer(2)))
    stopping = member(tmp_path, writer, "only")
    assert ended(stopping) == 0

    def stay_away(days: float) -> None:
        with sqlite3.connect(stopping.folder / "state" / "state.sqlite3") as state:
            then_ms = int((time.time() - days * 86_400) * 1000)
            state.execute("UPDATE meta SET value = ? WHERE key = 'fed_ms'", (then_ms,))
        state.close()

    stay_away(6.5)
    assert ended(stopping) == 3
    assert "away for 6.5 days: the topic keeps deletions for 7" in (stopping.folder / "run.log").read_text()

    repairing = member(tmp_path, writer, "only", repairs=True)
    assert ended(repairing) == 0
    assert len((tmp_path / "only.jsonl").read_text().splitlines()) == 2
    assert repairing.rows("SELECT entity_id FROM r_customer_entity ORDER BY 1") == [(1,), (2,)]


def test_a_topic_whose_beginning_is_gone(writer: Writer, tmp_path: Path) -> None:
    """Rows are missing that the store still has: nobody is filled or repaired from it, and nothing is deleted."""
    writer.write(("customer_entity", (1,), None, customer(1)))
    assert ended(member(tmp_path, writer, "only", repairs=True)) == 0

    async def cut() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=writer.broker.bootstrap)
        await admin.start()
        both = ConfigResource(ConfigResourceType.TOPIC, writer.topic, {"cleanup.policy": "compact,delete"})
        await admin.alter_configs([both])
        await admin.delete_records({TopicPartition(writer.topic, 0): RecordsToDelete(-1)})
        await admin.close()

    writer.write(("customer_entity", (2,), None, customer(2)))
    asyncio.run(cut())
    writer.write(("customer_entity", (3,), None, customer(3)))

    for name in ("only", "new"):
        one = member(tmp_path, writer, name, repairs=True)
        assert ended(one) == 3
        assert "does not hold the whole store" in (one.folder / "run.log").read_text()
        assert said(one) <= {("UPSERT", "magento-customer-1")}


def test_a_column_that_is_mapped_later(writer: Writer, tmp_path: Path) -> None:
    """What the topic holds of it is read from its beginning, and the objects are sent anew; nothing else is."""
    writer.write(("customer_entity", (1,), None, {**customer(1), "middlename": "Maria"}))
    writer.write(("customer_entity", (2,), None, customer(2)))
    assert ended(member(tmp_path, writer, "only")) == 0
    # half of what HubSpot holds changes, which would wait for `mapping accept`
    mapping = '[mapping.contact.properties]\nmiddle = "middlename"\n[delivery]\nmax_change_share = 1\n'
    more = member(tmp_path, writer, "only", mapping=mapping)

    assert ended(more) == 0

    assert said(more, 2) == {("UPSERT", "magento-customer-1")}
    assert more.rows("SELECT entity_id, middlename FROM r_customer_entity ORDER BY 1") == [(1, "Maria"), (2, None)]


def test_a_column_that_the_relay_does_not_publish(writer: Writer, tmp_path: Path) -> None:
    """It stays empty, everything else is sent, and a warning names it: the relay's mapping has to ask for it, too."""
    published = encode(TableRecord("customer_entity", ("entity_id",), tuple(customer(1))))
    topics.fill(writer.broker, [(writer.topic, published.key, published.value, published.headers)])
    writer.write(("customer_entity", (1,), None, customer(1)))
    one = member(tmp_path, writer, "only", mapping='[mapping.contact.properties]\nmiddle = "middlename"\n')

    assert ended(one) == 0

    assert said(one) == {("UPSERT", "magento-customer-1")}
    told = [line["columns"] for line in one.lines() if line["event"] == "columns_missing"]
    assert told == [["middlename"]]


def test_a_record_that_is_no_relays(writer: Writer, tmp_path: Path) -> None:
    """It stops the run with its place, or is noted and passed, as the setting says."""
    topics.fill(writer.broker, [(writer.topic, b"customer_entity/1", b"{}")])
    writer.write(("customer_entity", (2,), None, customer(2)))

    with member(tmp_path, writer, "strict").start() as strict:
        assert strict.wait() == 2
    with member(tmp_path, writer, "lenient", on_bad_record="deadletter").start() as lenient:
        assert lenient.wait() == 0

    assert "/0 cannot be read" in (strict.folder / "run.log").read_text()
    assert len(lenient.rows("SELECT * FROM bad_record")) == 1
    assert lenient.rows("SELECT entity_id FROM r_customer_entity") == [(2,)]
