"""A shop's day told by Debezium or Maxwell ends in the same outbox as the binlog that it was told from."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import cdc
from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.kafka.column_types import known_types
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import SourceChange, Tables
from cdc.kafka.maxwell import MaxwellReader
from cdc.kafka.newest_records import NewestRecords
from cdc.model import Change, Feed, Op, Position, ReportedPosition, Start, StartKind, TableSpec, Transaction
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from cdc.source.files import FilesSource
from mappers.mapping import MagentoMapping
from sinks.registry import entry_of
from tests.kit import schema
from tests.kit.foreign import Connector, Debezium, maxwell

RECORDING = Path(cdc.__file__).parent / "demo" / "shop-day.000001"
Outbox = list[tuple[Any, ...]]
Message = tuple[str, bytes | None, bytes | None]
"""Topic, key, value."""

OPS = {Op.INSERT: "c", Op.UPDATE: "u", Op.DELETE: "d", Op.TRUNCATE: "t"}
WORDS = {Op.INSERT: "insert", Op.UPDATE: "update", Op.DELETE: "delete"}


@cache
def recorded() -> list[tuple[Change, Position, int]]:
    """Every change of the day, each with a position of its own."""
    replica_tables = specs()
    source = FilesSource([str(RECORDING)], list(replica_tables.values()), database="magento")
    found: list[tuple[Change, Position, int]] = []
    for transaction in source.transactions(Start(StartKind.EARLIEST)):
        for change in transaction.changes:
            position = Position("shop-day.000001", 1000 + len(found), "", "4201")
            found.append((change, position, transaction.commit_ms))
    return found


@cache
def specs() -> dict[str, TableSpec]:
    from cdc.replica.cascades import with_between

    tables = with_between(MagentoMapping(Settings().mapping).tables, core_foreign_keys())
    return {spec.name: spec for spec in tables}


@cache
def types() -> dict[str, dict[str, str]]:
    """The SQL types of the mapped columns, and of one that is not mapped."""
    found = {}
    for name, table in schema.tables().items():
        if name in specs():
            kinds = {column: _bare(definition) for column, definition in table.columns.items()}
            found[name] = {c: k for c, k in kinds.items() if c in specs()[name].columns} | {"unmapped": "varchar(9)"}
    return found


def _bare(definition: str) -> str:
    kind, _, rest = definition.partition(" ")
    return f"{kind} unsigned" if kind == "bigint" and rest.startswith("unsigned") else kind


def as_row(change: Change, cells: Any) -> dict[str, Any] | None:
    if cells is None:
        return None
    return dict(zip(specs()[change.table].columns, cells, strict=True)) | {"unmapped": "secret"}


def by_debezium(connector: Connector) -> list[Message]:
    """The day as messages, a tombstone after each deletion."""
    writer = Debezium(connector, types=types())
    made: list[Message] = []
    for change, position, commit_ms in recorded():
        before, after = as_row(change, change.before), as_row(change, change.after)
        row = after if after is not None else before
        spec, topic = specs()[change.table], writer.topic(change.table)
        key = writer.key(change.table, spec.key, row) if row is not None else None
        at = position.file, position.offset
        made.append((topic, key, writer.value(change.table, OPS[change.op], before, after, at, commit_ms)))
        if change.op is Op.DELETE:
            made.append((topic, key, None))
    return made


def by_maxwell(*, positions: bool) -> list[Message]:
    made: list[Message] = []
    for change, position, commit_ms in recorded():
        before, after = as_row(change, change.before), as_row(change, change.after)
        at = (position.file, position.offset) if positions else None
        value = maxwell(change.table, WORDS[change.op], before, after, at, commit_ms // 1000, types()[change.table])
        made.append((f"maxwell_{change.table}", None, value))
    return made


def shuffled(messages: list[Message], seed: int) -> list[Message]:
    """Each topic in its order, the topics among each other in any."""
    rng = random.Random(seed)
    topics: dict[str, list[Message]] = {}
    for message in messages:
        topics.setdefault(message[0], []).append(message)
    waiting = {topic: iter(queue) for topic, queue in topics.items()}
    mixed: list[Message] = []
    while waiting:
        topic = rng.choice(list(waiting))
        run = [message for _, message in zip(range(rng.randint(1, 60)), waiting[topic], strict=False)]
        mixed += run
        if not run:
            del waiting[topic]
    return mixed


def transactions(messages: list[Message], read: Callable[..., list[SourceChange]]) -> Iterator[Transaction]:
    """As the source makes them, of records that were written in this order, lately; at the end a sample of rows."""
    now_ms = int(time.time() * 1000)
    newest = NewestRecords()
    for number, (topic, key, value) in enumerate(messages, 1):
        for one in read(topic, key, value):
            at = ReportedPosition(topic, one.position, one.commit_ms, one.is_snapshot, now_ms + number, one.is_created)
            newest.note(one.change, len(specs()[one.change.table].key), topic)
            yield Transaction((one.change,), Position("arrival.0", number), one.commit_ms, feed=Feed(rows_at=at))
    sample = newest.sample()
    assert len(sample) > 100
    yield Transaction((), Position("arrival.0", len(messages) + 1), 0, feed=Feed(sample=sample))


def outbox_of(
    folder: Path, group: Iterator[Transaction], *, unordered: bool, settings: Settings | None = None
) -> Outbox:
    """What is to be sent once all of it is applied."""
    by_email = settings is not None and entry_of(settings).contacts_by_email
    mapping = MagentoMapping((settings or Settings()).mapping, contacts_by_email=by_email)
    engine = Engine(folder, mapping, core_foreign_keys(), SystemClock(), has_server=False)
    engine.applier.is_unordered = unordered
    with engine.store.transaction():
        engine.moves.begin(Position("arrival.0" if unordered else "shop-day.000001", 0), Phase.COMPLETE)
        engine.apply_group(group)
        while engine.work():
            pass
        rows = engine.store.db.execute("SELECT kind, id, action, properties, refs FROM outbox ORDER BY kind, id")
        found = rows.fetchall()
        assert engine.feeds.missing_deletions == {}
        assert engine.feeds.wrong_rows == {}
    engine.close()
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Outbox:
    """The outbox that the binlog itself makes."""
    group = (Transaction((change,), position, commit_ms) for change, position, commit_ms in recorded())
    found = outbox_of(tmp_path_factory.mktemp("binlog"), group, unordered=False)
    assert len(found) > 60
    return found


CONNECTORS = [
    Connector(),
    Connector(schemas=False),
    Connector(schemas=False, decimal="string", time="isostring", name="mariadb"),
    Connector(decimal="double", time="connect"),
    Connector(schemas=False, decimal="double"),
    Connector(flatten=("op", "table", "source.db", "source.file", "source.pos", "source.server_id", "source.ts_ms")),
]


@pytest.mark.parametrize("connector", CONNECTORS, ids=str)
def test_debezium_in_any_order_of_topics(connector: Connector, expected: Outbox, tmp_path: Path) -> None:
    """However the topics are mixed, the messages are complete in the end and those that the binlog makes."""
    modes = ValueModes(connector.decimal, connector.time)  # type: ignore[arg-type]  # the same words
    reader = DebeziumReader(Tables.of([*specs().values()], "magento", ""), known_types({}), modes)
    mixed = shuffled(by_debezium(connector), seed=len(str(connector)))

    assert outbox_of(tmp_path, transactions(mixed, reader.read), unordered=True) == expected


def test_debezium_repeats_itself_after_a_crash(expected: Outbox, tmp_path: Path) -> None:
    """Records that come twice, older after newer, change nothing."""
    reader = DebeziumReader(Tables.of([*specs().values()], "magento", ""), known_types({}), ValueModes())
    messages = by_debezium(Connector(schemas=False))
    repeated = [*messages[: len(messages) // 2], *messages[len(messages) // 4 :]]

    assert outbox_of(tmp_path, transactions(repeated, reader.read), unordered=True) == expected


def test_flattened_without_a_position_goes_by_arrival(expected: Outbox, tmp_path: Path) -> None:
    """With nothing but __deleted the order of arrival counts: one topic for all tables ends as the binlog."""
    reader = DebeziumReader(Tables.of([*specs().values()], "magento", ""), known_types({}), ValueModes())
    messages = by_debezium(Connector(schemas=False, flatten=()))

    assert outbox_of(tmp_path, transactions(messages, reader.read), unordered=True) == expected


@pytest.mark.parametrize("positions", [True, False])
def test_maxwell_in_its_own_order(positions: bool, expected: Outbox, tmp_path: Path) -> None:
    """Maxwell's messages make the binlog's outbox, over several topics in any order if they tell their position."""
    reader = MaxwellReader(Tables.of([*specs().values()], "magento", ""), known_types({}))
    messages = by_maxwell(positions=positions)
    mixed = shuffled(messages, seed=3) if positions else messages

    assert outbox_of(tmp_path, transactions(mixed, reader.read), unordered=True) == expected
