"""Statements that other tools tell of: columns are followed, and rows that went without a record of each are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from cdc.clock import SystemClock
from cdc.engine.engine import Engine
from cdc.kafka.debezium import DebeziumReader
from cdc.kafka.debezium_values import ValueModes
from cdc.kafka.foreign import Read, Tables, understood
from cdc.kafka.maxwell import MaxwellReader
from cdc.model import Position, TableSchema, TableSpec, Transaction
from cdc.replica import table_schemas
from cdc.replica.cascades import core_foreign_keys
from cdc.replica.load_state import Phase
from cdc.settings.config import Settings
from cdc.source.foreign import ForeignDecoder
from mappers.mapping import MagentoMapping

TOPIC = "shop"
SPEC = TableSpec("sales_order", ("entity_id",), ("entity_id", "status", "note"), optional=frozenset({"note"}))
ITEM = TableSpec("sales_order_item", ("item_id",), ("item_id",))


def tables() -> Tables:
    """Two mapped tables of a store with a prefix."""
    return Tables.of([SPEC, ITEM], "magento", "m2_")


def told(
    kind: str, table: str = "m2_sales_order", columns: tuple[str, ...] = (), database: str = "magento", **more: Any
) -> dict[str, Any]:
    """One entry of ``tableChanges``."""
    made = {"columns": [{"name": name} for name in columns]} if columns else None
    return {"type": kind, "id": f'"{database}"."{table}"', "table": made, **more}


def debezium(*changes: dict[str, Any], ddl: str = "", snapshot: Any = "false", database: Any = "magento") -> Any:
    """A record of the topic of schema changes."""
    source = {"db": database, "snapshot": snapshot, "ts_ms": 1}
    return {"source": source, "ts_ms": 1, "databaseName": database, "ddl": ddl, "tableChanges": [*changes]}


def decoded(message: Any, maxwell: bool = False) -> tuple[Tables, list[Transaction]]:
    """What the member makes of a record."""
    held = tables()
    read: Read = MaxwellReader(held, {}).read if maxwell else DebeziumReader(held, {}, ValueModes()).read
    decoder = ForeignDecoder(understood(read), held, Position("arrival.0", 0), stops=True)
    value = orjson.dumps(message)
    record: ConsumerRecord = ConsumerRecord(TOPIC, 0, 7, 1, 0, b"{}", value, None, 2, len(value), ())
    return held, [*decoder.take(record)]


GONE = TableSchema("m2_sales_order", "sales_order", "", exists=False)
ITEMS_GONE = TableSchema("m2_sales_order_item", "sales_order_item", "", exists=False)
THERE = TableSchema("m2_sales_order", "sales_order", "")
WHOLE = ("entity_id", "status")


@pytest.mark.parametrize(
    ("message", "schemas", "word"),
    [
        pytest.param(debezium(told("DROP"), ddl="DROP TABLE m2_sales_order"), (GONE,), "was dropped", id="dropped"),
        pytest.param(debezium(told("CREATE", columns=WHOLE)), (THERE,), "", id="made"),
        pytest.param(debezium(told("ALTER", columns=(*WHOLE, "more"))), (THERE,), "", id="a column more"),
        pytest.param(
            debezium(told("ALTER", columns=("entity_id",))),
            (THERE._replace(lost=("status",)),),
            "",
            id="a mapped column is gone",
        ),
        pytest.param(
            debezium(told("ALTER", "old", WHOLE, previousId='"magento"."m2_sales_order"')),
            (GONE,),
            "was renamed",
            id="renamed away",
        ),
        pytest.param(
            debezium(told("ALTER", "m2_sales_order", WHOLE, previousId='"magento"."_new"')),
            (THERE,),
            "took another table's place",
            id="renamed into place",
        ),
        pytest.param(
            debezium(told("ALTER", "old", WHOLE), ddl="RENAME TABLE m2_sales_order TO old"),
            (GONE,),
            "was renamed",
            id="renamed away, as Debezium's topic tells it",
        ),
        pytest.param(
            debezium(told("ALTER", columns=WHOLE), ddl="ALTER TABLE `_new` RENAME TO `m2_sales_order`"),
            (THERE,),
            "took another table's place",
            id="renamed into place, as Debezium's topic tells it",
        ),
        pytest.param(
            debezium(told("ALTER", columns=WHOLE), ddl="ALTER TABLE m2_sales_order RENAME COLUMN a TO b"),
            (THERE,),
            "",
            id="a column is renamed",
        ),
        pytest.param(debezium(ddl="TRUNCATE TABLE `m2_sales_order`"), (), "TRUNCATE TABLE", id="truncated"),
        pytest.param(debezium(ddl="IMPORT m2_sales_order WEIRDLY"), (), "IMPORT", id="not understood"),
    ],
)
def test_statements_on_mapped_tables_are_understood_or_named(
    message: Any, schemas: tuple[TableSchema, ...], word: str
) -> None:
    """Columns and existence go into the state; rows that no record tells of are a reason for whoever runs it."""
    held, [transaction] = decoded(message)

    assert transaction.schemas == schemas
    assert transaction.changes == ()
    reasons = held.rows_gone()
    assert len(reasons) == bool(word)
    assert all("m2_sales_order" in reason and word in reason for reason in reasons)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(debezium(told("DROP"), snapshot="true", ddl="DROP TABLE IF EXISTS m2_sales_order"), id="snapshot"),
        pytest.param(debezium(told("DROP"), snapshot=True), id="snapshot, a boolean"),
        pytest.param(debezium(told("DROP", database="other"), database="other"), id="another database"),
        pytest.param(debezium(ddl="TRUNCATE m2_sales_order", database="other"), id="another database, by its text"),
        pytest.param(debezium(told("DROP", "m2_quote"), ddl="DROP TABLE m2_quote"), id="a table that is not mapped"),
        pytest.param(debezium(told("DROP", "sales_order")), id="without the prefix it is another table"),
        pytest.param(debezium(ddl="CREATE INDEX x ON m2_sales_order (status)"), id="an index"),
        pytest.param(debezium(ddl="DROP TRIGGER m2_sales_order"), id="a trigger"),
        pytest.param(debezium(ddl="ANALYZE TABLE m2_sales_order"), id="looks only"),
        pytest.param(debezium(ddl="TRUNCATE m2_sales_order_grid"), id="a longer name"),
    ],
)
def test_what_leaves_rows_as_they_are_says_nothing(message: Any) -> None:
    """A snapshot writes a DROP of each table that it reads; tables of others, indexes and looks change no row."""
    held, [transaction] = decoded(message)

    assert (transaction.schemas, held.rows_gone()) == ((), [])


@pytest.mark.parametrize(
    ("message", "schemas", "word"),
    [
        ({"type": "table-drop", "table": "m2_sales_order"}, (GONE,), "was dropped"),
        (
            {
                "type": "table-alter",
                "table": "m2_sales_order",
                "def": {"table": "m2_sales_order", "columns": [{"name": "entity_id"}]},
            },
            (THERE._replace(lost=("status",)),),
            "",
        ),
        (
            {
                "type": "table-alter",
                "table": "m2_sales_order",
                "def": {"table": "old", "columns": [{"name": "entity_id"}]},
            },
            (GONE,),
            "was renamed",
        ),
        (
            {"type": "database-drop"},
            (GONE, GONE._replace(name="m2_sales_order_item", table="sales_order_item")),
            "went",
        ),
        ({"type": "table-drop", "table": "quote"}, (), ""),
    ],
)
def test_the_same_of_maxwell(message: Any, schemas: tuple[TableSchema, ...], word: str) -> None:
    """Maxwell tells definitions among its rows, if ``output_ddl`` is set."""
    held, [transaction] = decoded({"database": "magento", "ts": 1, **message}, maxwell=True)

    assert transaction.schemas == schemas
    assert all(word in reason for reason in held.rows_gone())
    assert bool(held.rows_gone()) == bool(word)


def test_the_state_keeps_what_was_told(tmp_path: Path) -> None:
    """A dropped table and a lost column are reasons of the shop, also after a restart, until they are there again."""
    mapper = MagentoMapping(Settings().mapping)

    def engine() -> Engine:
        return Engine(tmp_path, mapper, core_foreign_keys(), SystemClock(), has_server=False)

    def tell(made: Engine, number: int, *schemas: TableSchema) -> None:
        with made.store.transaction():
            made.apply_group([Transaction((), Position("arrival.0", number), 0, schemas=schemas)])

    first = engine()
    with first.store.transaction():
        first.moves.begin(Position("arrival.0", 0), Phase.COMPLETE)
    tell(first, 1, TableSchema("sales_order", "sales_order", "", exists=False))
    tell(first, 2, TableSchema("customer_entity", "customer_entity", "", lost=("email",)))
    first.close()
    second = engine()
    assert sorted(table_schemas.missing(second.store)) == [
        "column customer_entity.email is gone",
        "table sales_order is gone",
    ]
    tell(second, 3, TableSchema("sales_order", "sales_order", ""))
    assert table_schemas.missing(second.store) == ["column customer_entity.email is gone"]
    second.close()


def test_what_a_topic_said_of_rows_is_kept() -> None:
    """The reason goes with the offsets into the state, and comes back with them."""
    held, _ = decoded(debezium(told("DROP")))
    again = tables()
    again.restore(orjson.loads(orjson.dumps(held.dump())))

    assert again.rows_gone() == held.rows_gone() != []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["DROP", "ALTER", '"magento"."m2_sales_order"']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "previousId", "table", "columns", "name", "snapshot", "def", "database"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(changes=_JSON, source=_JSON, ddl=_JSON, name=_JSON)
def test_any_form_of_such_a_record_is_read_without_harm(changes: Any, source: Any, ddl: Any, name: Any) -> None:
    """Whatever stands where Debezium and Maxwell have their fields: schemas of mapped tables, or nothing."""
    message = {"ddl": ddl, "databaseName": name, "tableChanges": changes, "source": source}
    for maxwell, one in ((False, message), (True, {"type": "table-alter", "def": changes, "table": name})):
        held, [transaction] = decoded(one, maxwell)
        assert {schema.table for schema in transaction.schemas} <= {"sales_order", "sales_order_item"}
        assert len(held.rows_gone()) <= 2
