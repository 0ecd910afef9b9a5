"""Definitions as the relay publishes them: at their place, with columns, and taken up again from the topic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cdc.engine.engine import Engine
from cdc.kafka.record import Item, TableRecord, decode
from cdc.model import Change, Op, Position, TableSchema, Transaction
from tests.kit.toy import insert, position, transaction
from tests.unit.relay.test_journal import SHOP, Log, apply, started


def schema(table: str = "items", *names: str, change: str = "ALTER TABLE", **more: Any) -> TableSchema:
    """What a definition made of a table."""
    columns = [{"name": name, "column_type": "int(11)", "default": "secret"} for name in names]
    held = json.dumps({"charset": "utf8mb4", "columns": columns}) if names else ""
    return TableSchema(f"m2_{table}", table, held, change=change, **more)


def defining(offset: int, *schemas: TableSchema, changes: tuple[Change, ...] = ()) -> Transaction:
    """A transaction of the log that brings these."""
    return Transaction(changes, position(offset), 1_700_000_000_000, schemas=schemas)


def items_of(log: Log, before: int = 0) -> list[Item]:
    return [item for record in log.records[before:] if (item := decode(record)) is not None]


def in_order(log: Log, before: int) -> list[str]:
    """Short: what each record is."""
    found = []
    for item in items_of(log, before):
        if isinstance(item, TableRecord):
            found.append(f"{item.change} {item.table}")
        else:
            found.append(f"{getattr(item, 'op', 'mark')} {getattr(item, 'key', '')}")
    return found


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def relay(tmp_path: Path, log: Log) -> tuple[Engine, str]:
    """A relay that has published a small shop."""
    engine, name = started(tmp_path / "state", log)
    apply(engine, *SHOP)
    log.publish(engine, name)
    return engine, name


def test_a_definition_stands_before_the_rows_it_bears_on(relay: tuple[Engine, str], log: Log) -> None:
    """Behind everything that was before it, with its columns; whoever resumes at its mark does not meet it again."""
    before = len(log.records)
    apply(
        relay[0],
        transaction(300, insert("items", 52, 5, "z")),
        defining(400, schema("items", "id", "order_id", "sku"), changes=(insert("items", 53, 5, "z"),)),
    )
    log.publish(*relay)
    [told] = [item for item in items_of(log, before) if isinstance(item, TableRecord)]

    assert in_order(log, before) == ["c (52,)", "ALTER TABLE items", "c (53,)"]
    assert told.columns == ("id", "order_id", "sku")
    assert told.definition is not None
    assert [column["name"] for column in told.definition["columns"]] == ["id", "order_id", "sku"]
    assert told.origin is not None
    assert told.origin.position == position(400)
    assert log.mark is not None
    assert log.mark.position == position(400)


def test_a_definition_without_rows_moves_the_position(relay: tuple[Engine, str], log: Log) -> None:
    """It is a transaction of its own in the log, and in the topic."""
    apply(relay[0], defining(300, schema("items", change="DROP TABLE", exists=False)))
    log.publish(*relay)

    assert in_order(log, len(log.records) - 1) == ["DROP TABLE items"]
    assert log.mark is not None
    assert log.mark.position == position(300)


def test_a_truncate_is_told_before_its_deletions(relay: tuple[Engine, str], log: Log) -> None:
    """The table stays as it was."""
    apply(relay[0], defining(300, schema("items", "id", "sku")))
    log.publish(*relay)
    before = len(log.records)
    apply(relay[0], transaction(400, Change("items", Op.TRUNCATE, None, None)))
    log.publish(*relay)
    [told] = [item for item in items_of(log, before) if isinstance(item, TableRecord)]

    assert in_order(log, before) == ["TRUNCATE TABLE items", "d (50,)", "d (51,)"]
    assert told.exists
    assert told.definition is not None


def test_only_statements_and_news_are_told(relay: tuple[Engine, str], log: Log) -> None:
    """Columns looked at again are none; a statement that left them alone is one; other tables are nobody's business."""
    apply(relay[0], defining(300, schema("items", "id", "sku", change="")))
    apply(relay[0], defining(400, schema("items", "id", "sku", change="")))
    apply(relay[0], defining(500, schema("items", "id", "sku")))
    apply(relay[0], defining(600, TableSchema("_items_gho", "", "", change="CREATE TABLE")))
    before = len(log.records)
    log.publish(*relay)

    assert in_order(log, before) == [" items", "ALTER TABLE items"]


def test_defaults_of_columns_that_are_not_mapped_stay_in_the_shop(relay: tuple[Engine, str], log: Log) -> None:
    """Their names are needed to follow later definitions; what they hold by default is not."""
    apply(relay[0], defining(300, schema("items", "id", "password_hash")))
    log.publish(*relay)
    [*_, told] = items_of(log)

    assert isinstance(told, TableRecord)
    assert told.definition is not None
    assert [column["default"] for column in told.definition["columns"]] == ["secret", None]


def test_an_undone_definition_is_told_when_it_comes_again(relay: tuple[Engine, str], log: Log) -> None:
    """Nothing of it is remembered but by the state."""
    engine, name = relay
    news = defining(300, schema("items", "id", "sku", change=""))

    def fail() -> None:
        with engine.store.transaction():
            engine.apply_group([news])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    engine.reread()
    before = len(log.records)
    apply(engine, news)
    log.publish(engine, name)

    assert in_order(log, before) == [" items"]


def test_columns_come_back_from_the_topic(relay: tuple[Engine, str], log: Log, tmp_path: Path) -> None:
    """A relay without its disk reads on with the columns that held there, not with those that the shop has by now."""
    engine, name = relay
    until = Position("binlog.000009", 4)
    apply(
        engine,
        defining(300, schema("items", "id", "sku"), schema("orders", "id", until=until)),
        defining(400, schema("customers", change="DROP TABLE", exists=False), schema("groups", change="")),
    )
    log.publish(engine, name)
    held = {one.name: one for one in engine.stale_tables.schemas_at(position(400))}
    engine.close()
    fresh, _ = started(tmp_path / "new", log)
    found = {one.name: one for one in fresh.stale_tables.schemas_at(position(400))}

    assert set(found) == {"m2_items", "m2_orders", "m2_customers"}
    assert not found["m2_customers"].exists
    assert found["m2_orders"].until == until
    names = [column["name"] for column in json.loads(found["m2_items"].columns)["columns"]]
    assert names == [column["name"] for column in json.loads(held["m2_items"].columns)["columns"]]
    fresh.close()


def test_a_second_start_tells_nothing_again(relay: tuple[Engine, str], log: Log, tmp_path: Path) -> None:
    """What the topic says of tables is known."""
    engine, name = relay
    apply(engine, defining(300, schema("items", "id", "sku")))
    log.publish(engine, name)
    engine.close()
    before = len(log.records)
    again, name = started(tmp_path / "state", log)
    log.publish(again, name)

    assert log.records[before:] == []
    again.close()
