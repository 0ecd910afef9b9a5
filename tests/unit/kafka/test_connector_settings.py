"""Common settings of connectors: each is read, or refused with the setting that mends it; nothing goes unheard."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from cdc.kafka.column_types import parse_type
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import BadRecordError, Tables
from cdc.kafka.maxwell import MaxwellReader
from cdc.model import Op, TableSpec

SPECS = [
    TableSpec("sales_order", ("entity_id",), ("entity_id", "status")),
    TableSpec("sales_order_item", ("item_id",), ("item_id", "order_id", "row_total")),
]
KNOWN = {"sales_order_item": {"row_total": parse_type("decimal(20,4)")}}
POSITION = {"db": "magento", "file": "binlog.000007", "pos": 4, "server_id": 1, "ts_ms": 1000, "snapshot": "false"}


def tables(**by_topic: str) -> Tables:
    return Tables.of(SPECS, "magento", "", {name.replace("__", "."): table for name, table in by_topic.items()})


def debezium(held: Tables) -> DebeziumReader:
    return DebeziumReader(held, KNOWN, ValueModes())


def json(value: Any) -> bytes:
    return orjson.dumps(value)


def envelope(table: str, op: str, before: Any, after: Any) -> bytes:
    return json({"before": before, "after": after, "op": op, "source": {**POSITION, "table": table}})


ORDER = {"entity_id": 1, "status": "new"}
ITEM = {"item_id": 5, "order_id": 1, "row_total": "JxA="}


@pytest.mark.parametrize("value", [b"null", b" null\n", b'{"schema": null, "payload": null}'])
@pytest.mark.parametrize("topic", ["shop.magento.sales_order", "shop-sales_order"])
def test_json_null_is_a_tombstone(topic: str, value: bytes) -> None:
    """JsonConverter writes the four bytes ``null`` for a deletion whose value still has a schema."""
    [found] = debezium(tables()).read(topic, b'{"entity_id":11}', value)

    assert (found.change.table, found.change.op) == ("sales_order", Op.DELETE)
    assert found.change.before is not None
    assert found.change.before[0] == 11


def test_json_null_is_a_tombstone_of_maxwell_too() -> None:
    """The same four bytes, with a key that names the table."""
    key = json({"database": "magento", "table": "sales_order", "pk.entity_id": 11})
    [found] = MaxwellReader(tables(), {}).read("maxwell", key, b"null")

    assert (found.change.table, found.change.op) == ("sales_order", Op.DELETE)


@pytest.mark.parametrize(
    ("topic", "by_topic"),
    [
        ("shop-sales_order", {}),
        ("sales_order", {}),
        ("prod.cdc-eu.sales_order", {}),
        ("orders", {"orders": "sales_order"}),
        ("shop.magento.wishlist", {"shop__magento__wishlist": "sales_order"}),
    ],
)
def test_a_routed_topic_tells_its_table(topic: str, by_topic: dict[str, str]) -> None:
    """Rows without any word of their table: the topic's name ends in it, or ``kafka.tables`` says it."""
    reader = debezium(tables(**by_topic))
    [row] = reader.read(topic, b'{"entity_id":1}', json(ORDER))
    [gone] = reader.read(topic, b'{"entity_id":1}', None)

    assert (row.change.table, row.change.op) == ("sales_order", Op.INSERT)
    assert (gone.change.table, gone.change.op) == ("sales_order", Op.DELETE)


@pytest.mark.parametrize("topic", ["orders", "shop_sales_order", "shop-vendor_sales_order", "shop"])
def test_a_row_whose_table_nobody_tells_is_refused(topic: str) -> None:
    """``vendor_sales_order`` is not ``sales_order``: such a row is no row of a mapped table, and none is guessed."""
    with pytest.raises(BadRecordError, match=r"add\.fields=table.*kafka\.tables"):
        debezium(tables()).read(topic, b'{"entity_id":1}', json(ORDER))


def test_tombstones_of_a_routed_topic_belong_to_the_table_that_its_rows_named() -> None:
    """Rows with ``__table`` say what the topic holds, also after a restart."""
    first = tables()
    debezium(first).read("orders", b'{"entity_id":1}', json({**ORDER, "__table": "sales_order"}))
    again = tables()
    again.restore(orjson.loads(orjson.dumps(first.dump())))
    [gone] = debezium(again).read("orders", b'{"entity_id":1}', None)

    assert (gone.change.table, gone.change.op) == ("sales_order", Op.DELETE)


def test_records_of_no_mapped_table_are_counted_per_topic() -> None:
    """Of another database or of tables that are not mapped: said of topics that brought nothing else."""
    held = tables()
    reader = debezium(held)
    for number in range(3):
        assert reader.read("shop.quote", b"{}", envelope("quote", "c", None, {"entity_id": number})) == []
    reader.read("shop.all", b'{"entity_id":1}', envelope("sales_order", "c", None, ORDER))
    reader.read("shop.all", b"{}", envelope("quote", "c", None, {"entity_id": 1}))
    source = {**POSITION, "db": "shop2", "table": "sales_order"}
    other = json({"before": None, "after": ORDER, "op": "c", "source": source})
    reader.read("shop2.sales_order", b'{"entity_id":1}', other)
    reader.read("shop.magento.wishlist", b'{"wishlist_id":1}', json({"wishlist_id": 1}))

    assert [line.split(" (")[1] for line in held.outsiders()] == [
        "the last one is of wishlist)", "the last one is of magento.quote)", "the last one is of shop2.sales_order)",
    ]  # fmt: skip
    assert "none of its 3 records" in held.outsiders()[1]


def test_a_tombstone_by_other_keys_tells_nothing_new() -> None:
    """``message.key.columns``: the deletion before it named the row, so its key need not."""
    reader = debezium(tables())
    topic, key = "shop.magento.sales_order_item", b'{"order_id":1}'
    reader.read(topic, key, envelope("sales_order_item", "c", None, ITEM))
    [gone] = reader.read(topic, key, envelope("sales_order_item", "d", ITEM, None))

    assert gone.change.op is Op.DELETE
    assert reader.read(topic, key, None) == []


def test_rewritten_deletions_name_their_row() -> None:
    """ExtractNewRecordState with ``rewrite``: a row that says that it is deleted, then a tombstone by another key."""
    reader = debezium(tables())
    topic, key = "shop-sales_order_item", b'{"order_id":1}'
    [gone] = reader.read(topic, key, json({**ITEM, "__deleted": "true"}))

    assert gone.change.op is Op.DELETE
    assert reader.read(topic, key, b"null") == []


def test_a_deletion_that_nothing_names_is_refused() -> None:
    """Where tombstones alone tell deletions, one by another key would lose the deletion."""
    reader = debezium(tables())
    reader.read("shop-sales_order_item", b'{"order_id":1}', json(ITEM))

    with pytest.raises(BadRecordError, match=r"primary key of sales_order_item \(item_id\).*rewrite"):
        reader.read("shop-sales_order_item", b'{"order_id":1}', None)


def test_a_tombstone_among_several_tables_is_refused() -> None:
    """A topic of two flattened tables: whose row is gone cannot be told."""
    reader = debezium(tables())
    reader.read("all", b'{"entity_id":1}', json({**ORDER, "__table": "sales_order"}))
    reader.read("all", b'{"item_id":5}', json({**ITEM, "__table": "sales_order_item"}))

    with pytest.raises(BadRecordError, match="several tables"):
        reader.read("all", b'{"item_id":5}', None)


def test_keys_that_are_not_the_rows_are_reported_once() -> None:
    """A topic that is compacted by such keys loses rows, so whoever knows its policy is told."""
    told: list[tuple[str, str, list[str]]] = []
    held = Tables.of(SPECS, "magento", "", on_key=lambda topic, table, columns: told.append((topic, table, [*columns])))
    reader = debezium(held)
    for number in range(3):
        reader.read("a.sales_order", b'{"entity_id":1}', json({**ORDER, "entity_id": number}))
        reader.read("a.sales_order_item", b'{"schema":null,"payload":{"order_id":1}}', json(ITEM))

    assert told == [("a.sales_order_item", "sales_order_item", ["order_id"])]


@pytest.mark.parametrize(
    "source",
    [
        {"file": "binlog.99999999999999999999", "pos": 4},
        {"file": f"binlog.{1 << 25}", "pos": 4},
        {"file": "binlog.000001", "pos": 1 << 38},
        {"file": "binlog.000001", "pos": -1},
        {"ts_ms": 1 << 60},
        {"ts_ms": -5},
        {"ts_ms": "soon"},
        {"ts_ms": 1e300},
    ],
)
def test_numbers_that_no_source_has_make_a_bad_record(source: dict[str, Any]) -> None:
    """One record with such a position or time is set aside; it neither ends the member nor blinds it."""
    message = {"before": None, "after": ORDER, "op": "c", "source": {**POSITION, "table": "sales_order", **source}}

    with pytest.raises(BadRecordError):
        debezium(tables()).read("shop.magento.sales_order", b'{"entity_id":1}', json(message))


@pytest.mark.parametrize(
    ("position", "ts"), [(f"binlog.000001:{'9' * 5000}", 1), ("binlog.000001:4", 1 << 60), (f"b.{'7' * 300}:4", 1)]
)
def test_numbers_of_maxwell_have_bounds_too(position: str, ts: int) -> None:
    """Position and time of Maxwell's messages are looked at as those of Debezium are."""
    message = {"type": "insert", "database": "magento", "table": "sales_order", "data": ORDER, "position": position}

    with pytest.raises(BadRecordError):
        MaxwellReader(tables(), {}).read("maxwell", None, json({**message, "ts": ts}))


def test_kafka_tables_names_mapped_tables() -> None:
    """A table that is not mapped is refused with those that are."""
    with pytest.raises(ValueError, match=r"'wishlist' is no mapped table.*sales_order"):
        tables(orders="wishlist")
