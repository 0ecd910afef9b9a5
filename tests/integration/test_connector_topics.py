"""Topics as connectors and brokers are often set up, on a real broker: read whole, or refused; never "deleted"."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from cdc.model import Op
from tests.integration.test_members import after_the_day, the_day
from tests.kit import topics
from tests.kit.broker import Broker
from tests.kit.daemon import command, wait_until
from tests.kit.foreign import Connector, Debezium
from tests.kit.full_render import State
from tests.kit.topics import Member, Message
from tests.unit.kafka.test_foreign_shop import as_row, recorded, specs, types

pytestmark = pytest.mark.slow

KEEPS_ALL = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
COMPACT = {"cleanup.policy": "compact"}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> State:
    """What a receiver holds after the recorded day."""
    return after_the_day(tmp_path_factory.mktemp("day"))


class Stage:
    """Topics of a connector with a name of their own, and members that read them to the end."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.broker, self.folder = broker, folder
        self.prefix = f"c{uuid4().hex[:8]}"
        self.topics: list[str] = []

    def make(self, messages: Sequence[Message], settings: dict[str, str] | None = None) -> None:
        """Make the topics of these messages and write them."""
        self.topics = sorted({topic for topic, _, _ in messages})
        topics.make(self.broker, self.topics, settings=settings or COMPACT)
        topics.fill(self.broker, messages, int(time.time() * 1000) - len(messages))

    def member(self, name: str, *arguments: str, source: dict[str, Any] | None = None, **kafka: Any) -> Member:
        """A member that writes lines; ``source`` and ``kafka``: settings."""
        (self.folder / name).mkdir(exist_ok=True)
        settings = {"prefix": self.prefix, "format": "debezium", "topics": self.topics, "account": name, **kafka}
        out = {"kind": "jsonl", "path": str(self.folder / f"{name}.jsonl")}
        toml = topics.settings_of(self.broker, settings, "http://127.0.0.1:1", sink=out, source=source or {})
        return Member(self.folder / name, toml, *arguments)

    def read_to_the_end(self, name: str, **kafka: Any) -> tuple[int, str]:
        """Exit code and log of a member that reads what is there."""
        member = self.member(name, "--until-end", **kafka).start()
        code = member.wait(90.0)
        return code, (member.folder / "run.log").read_text()

    def sent(self, name: str) -> State:
        """What the lines of this account add up to, in the form of ``after_the_day``."""
        found: State = {}
        path = self.folder / f"{name}.jsonl"
        for line in map(orjson.loads, path.read_bytes().splitlines() if path.exists() else ()):
            if line["action"] == "DELETE":
                found.pop(line["external_id"], None)
            else:
                found[line["external_id"]] = {name for name, value in line["properties"].items() if value}  # type: ignore[assignment]  # names are enough
        return found


@pytest.fixture
def stage(kafka: Broker, tmp_path: Path) -> Stage:
    return Stage(kafka, tmp_path)


def names_of(state: State) -> State:
    return {name: {*held["properties"]} for name, held in state.items()}  # type: ignore[misc]  # see Stage.sent


def routed(prefix: str, name: Callable[[str], str] = lambda table: f"-{table}") -> list[Message]:
    """The day as ExtractNewRecordState and RegexRouter leave it: rows alone, JSON's null for deletions."""
    writer = Debezium(Connector(schemas=False), types=types())
    made: list[Message] = []
    for change, _, _ in recorded():
        before, after = as_row(change, change.before), as_row(change, change.after)
        row, spec, kinds = after or before, specs()[change.table], types()[change.table]
        assert row is not None
        assert change.op is not Op.TRUNCATE
        told = None if after is None else {c: writer.encode(v, kinds.get(c, "int")) for c, v in after.items()}
        value = orjson.dumps(told)
        made.append((prefix + name(change.table), writer.key(change.table, spec.key, row), value))
    return made


def named(stage: Stage, messages: Sequence[Message]) -> list[Message]:
    return [(f"{stage.prefix}.{topic}", key, value) for topic, key, value in messages]


def test_routed_rows_with_null_tombstones_end_as_the_shop(stage: Stage, expected: State) -> None:
    """Nothing but columns, topics named ``shop-<table>``, the four bytes ``null``: all is read."""
    stage.make(routed(stage.prefix))
    code, text = stage.read_to_the_end("routed")

    assert code == 0, text[-2000:]
    assert stage.sent("routed") == names_of(expected)


def test_topics_that_tell_no_table_are_refused_with_the_setting(stage: Stage, expected: State) -> None:
    """Underscores may be part of a table's name: exit code 2 names both cures, and ``kafka.tables`` is one."""
    stage.make(routed(stage.prefix, lambda table: f"_{table}"))
    code, text = stage.read_to_the_end("missing")

    assert code == 2
    assert "kafka.tables" in text
    assert "add.fields=table" in text
    mended = {topic: topic.removeprefix(f"{stage.prefix}_") for topic in stage.topics}
    member = stage.member("told", "--until-end")
    with (member.folder / "magento-cdc.toml").open("a") as toml:
        toml.write("[kafka.tables]\n" + "".join(f'"{topic}" = "{table}"\n' for topic, table in mended.items()))
    assert member.start().wait(90.0) == 0
    assert stage.sent("told") == names_of(expected)


def cut(broker: Broker, offsets: dict[str, int]) -> None:
    """What retention does: the records before these offsets go."""

    async def work() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.delete_records({TopicPartition(t, 0): RecordsToDelete(offset) for t, offset in offsets.items()})
        await admin.close()

    asyncio.run(work())


def test_a_topic_whose_beginning_is_cut_fills_no_empty_member(stage: Stage, expected: State) -> None:
    """The README's cure for exit code 3, an empty state folder, must not delete what the shop still has."""
    stage.make(named(stage, the_day()), {"cleanup.policy": "delete"})
    assert stage.read_to_the_end("a")[0] == 0
    before = stage.sent("a")
    orders = f"{stage.prefix}.shop.magento.sales_order"
    cut(stage.broker, {orders: 4, f"{stage.prefix}.shop.magento.customer_entity": 3})
    (stage.folder / "a" / "state").rename(stage.folder / "lost")
    code, text = stage.read_to_the_end("a")

    assert before == names_of(expected)
    assert code == 3
    assert "begins at offset 3" in text
    assert "does not hold the whole store" in text
    assert stage.sent("a") == before
    checked = command("check", cwd=stage.folder / "a")
    assert f"warn  kafka cleanup.policy: {orders} is delete" in checked.stdout


def test_a_member_that_goes_on_needs_no_beginning(stage: Stage) -> None:
    """What a member has read may go; a table whose topic it never read may not."""
    messages = named(stage, the_day())
    stage.make(messages, {"cleanup.policy": "delete"})
    orders = f"{stage.prefix}.shop.magento.sales_order"
    others = [topic for topic in stage.topics if topic != orders]
    assert stage.read_to_the_end("a", topics=others)[0] == 0
    cut(stage.broker, {others[0]: 1})
    assert stage.read_to_the_end("a", topics=others)[0] == 0
    cut(stage.broker, {orders: 4})
    code, text = stage.read_to_the_end("a")

    assert code == 3
    assert f"{orders}, partition 0, begins at offset 4" in text


@pytest.mark.parametrize("kind", ["lz4", "snappy", "zstd", "gzip"])
def test_compressed_topics_are_read(
    stage: Stage, expected: State, kind: Literal["lz4", "snappy", "zstd", "gzip"]
) -> None:
    """Whatever ``compression.type`` the writer has."""
    messages = named(stage, the_day())
    stage.topics = sorted({topic for topic, _, _ in messages})
    topics.make(stage.broker, stage.topics, settings=COMPACT)

    async def work() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=stage.broker.bootstrap, compression_type=kind)
        await producer.start()
        for topic, key, value in messages:
            await producer.send(topic, value, key=key)
        await producer.stop()

    asyncio.run(work())
    code, text = stage.read_to_the_end("packed")

    assert code == 0, text[-2000:]
    assert stage.sent("packed") == names_of(expected)


@pytest.mark.soak
def test_a_damaged_batch_is_neither_loaded_nor_costs_other_records(tmp_path: Path, expected: State) -> None:
    """A byte of one topic's log is flipped on disk: nothing is sent, and once it is mended all is there."""
    with Broker() as broker:
        stage = Stage(broker, tmp_path)
        stage.make(named(stage, the_day()))
        broker.stop()
        orders = f"{stage.prefix}.shop.magento.sales_order"
        [segment] = (broker.folder / "data" / f"{orders}-0").glob("*.log")
        held = segment.read_bytes()
        at = len(held) * 2 // 3
        segment.write_bytes(held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :])
        broker.start()
        with stage.member("a") as member:
            member.start()
            wait_until(lambda: "CorruptRecord" in str(member.ask("/ready")["reasons"]), 40, "the fault is told")
            topics.pause(8.0)  # longer than a quiet topic is waited for
            assert not member.ask("/ready")["ready"]
            assert "topics_loaded" not in (member.folder / "run.log").read_text()
            assert stage.sent("a") == {}
            broker.stop()
            segment.write_bytes(held)
            broker.start()
            wait_until(lambda: stage.sent("a") == names_of(expected), 60, "all is sent")
            assert member.stop() == 0


def keyed_by_order(messages: Sequence[Message]) -> list[Message]:
    """``message.key.columns`` of the connector: lines of an order share a key."""
    made: list[Message] = []
    for topic, key, value in messages:
        if topic.endswith(".sales_order_item") and value is not None:
            told = orjson.loads(value)
            key = orjson.dumps({"order_id": (told["after"] or told["before"])["order_id"]})
        elif topic.endswith(".sales_order_item"):
            key = made[-1][1]
        made.append((topic, key, value))
    return made


def test_keys_of_other_columns_are_read_where_nothing_is_compacted(stage: Stage, expected: State) -> None:
    """Their tombstones name no row, which is passed: each deletion has a record of its own before."""
    stage.make(keyed_by_order(named(stage, the_day())), KEEPS_ALL)
    code, text = stage.read_to_the_end("keys")

    assert code == 0, text[-2000:]
    assert stage.sent("keys") == names_of(expected)


def test_keys_of_other_columns_are_refused_where_topics_are_compacted(stage: Stage) -> None:
    """Of an order's lines the newest alone would stay: exit code 2 names the connector's setting."""
    stage.make(keyed_by_order(named(stage, the_day())))
    code, text = stage.read_to_the_end("keys")

    assert code == 2
    assert "message.key.columns" in text


def test_a_table_without_rows_has_no_topic_yet(stage: Stage, expected: State) -> None:
    """Its topic is named in ``/ready``, and read from its first record on once it is there."""
    messages = named(stage, the_day())
    tracks = f"{stage.prefix}.shop.magento.sales_shipment_track"
    stage.make([message for message in messages if message[0] != tracks])
    stage.topics = sorted([*stage.topics, tracks])
    with stage.member("young") as member:
        member.start()
        wait_until(lambda: member.role() == "leader", 40, "it leads")
        reasons = member.ask("/ready")["reasons"]
        checked = command("check", cwd=member.folder).stdout
        topics.make(stage.broker, [tracks], settings=COMPACT)
        topics.fill(stage.broker, [message for message in messages if message[0] == tracks])
        wait_until(lambda: stage.sent("young") == names_of(expected), 40, "the table is read")
        wait_until(lambda: member.ask("/ready")["reasons"] == [], 10, "nothing is missing any more")
        assert member.stop() == 0
    assert reasons == [f"kafka: topic {tracks} is not there yet: sales_shipment_track counts as empty"]
    assert f"warn  kafka topic: {tracks} is not there: sales_shipment_track counts as empty" in checked
    assert stage.read_to_the_end("young")[0] == 0


def test_a_missing_topic_of_orders_deletes_no_deal(stage: Stage, expected: State) -> None:
    """Once the account has objects, an empty state does not take a topic that is not there for an empty table."""
    stage.make(named(stage, the_day()))
    assert stage.read_to_the_end("a")[0] == 0
    (stage.folder / "a" / "state").rename(stage.folder / "lost")
    orders = f"{stage.prefix}.shop.magento.sales_order"
    misspelt = [f"sale.{topic}" if topic == orders else topic for topic in stage.topics]
    code, text = stage.read_to_the_end("a", topics=misspelt)

    assert code == 2, text[-2000:]
    assert f"sale.{orders}" in text
    assert stage.sent("a") == names_of(expected)


def test_records_of_another_database_are_a_reason(stage: Stage) -> None:
    """``source.database`` is not the shop's: nothing is read, and ``/ready`` says of which topics and why."""
    stage.make(named(stage, the_day()))
    with stage.member("elsewhere", source={"database": "shop_live"}) as member:
        member.start()
        wait_until(lambda: member.role() == "leader", 40, "it leads")
        reasons = member.ask("/ready")["reasons"]
        assert member.stop() == 0

    assert len(reasons) == len(stage.topics)
    assert "is of a mapped table of database shop_live (the last one is of magento." in reasons[0]
