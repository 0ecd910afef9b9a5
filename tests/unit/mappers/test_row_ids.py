"""Adobe Commerce: a product has a row per scheduled version, values hang on rows, and a flag says which is live."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cdc.model import Action, Message, Value
from cdc.replica.cascades import core_foreign_keys, in_row_ids
from mappers.versions import FIRST_VERSION, version_in
from tests.kit.replica_harness import ReplicaHarness, replica_harness
from tests.unit.mappers.shops import ATTRIBUTE_IDS, REFERENCES, item, order

LAST = 2147483647
SALE, END = 1_800_000_000, 1_800_086_400


def version(row_id: int, created_in: int = 1, updated_in: int = LAST, product: int = 10) -> dict[str, Value]:
    return {
        "row_id": row_id, "entity_id": product, "created_in": created_in, "updated_in": updated_in, "sku": "MUG",
        "type_id": "simple", "created_at": "2026-01-01 00:00:00",
    }  # fmt: skip


def value(value_id: int, row_id: int, code: str, held: Value) -> dict[str, Value]:
    attribute, _ = ATTRIBUTE_IDS[code]
    return {"value_id": value_id, "row_id": row_id, "attribute_id": attribute, "store_id": 0, "value": held}


def flag(number: object) -> dict[str, Value]:
    return {"flag_id": 5, "flag_code": "staging", "flag_data": json.dumps({"current_version": number})}


@pytest.fixture
def harness() -> Iterator[ReplicaHarness]:
    """A product that costs 20, with a sale at 15 scheduled, as its three rows."""
    with replica_harness(keys=in_row_ids(core_foreign_keys()), product_key="row_id") as made:
        for table, rows in REFERENCES.items():
            for row in rows:
                made.insert(table, **row)
        made.insert("flag", flag_id=1, flag_code="report_order_aggregated", flag_data='{"current_version": 9}')
        made.insert("flag", **flag("1"))
        made.insert("sequence_product", sequence_value=10)
        for number, (row_id, begins, ends, price) in enumerate(
            [(100, 1, SALE, "20.000000"), (101, SALE, END, "15.000000"), (102, END, LAST, "20.000000")]
        ):
            made.insert("catalog_product_entity", **version(row_id, begins, ends))
            made.insert("catalog_product_entity_decimal", **value(number + 1, row_id, "price", price))
        yield made


def only(messages: list[Message]) -> Message:
    [message] = messages
    return message


def test_what_is_scheduled_is_not_sent_before_it_is_live(harness: ReplicaHarness) -> None:
    """The row is live whose time the flag's version lies in; other flags say nothing."""
    assert only(harness.sent()).properties["price"] == "20.00"

    harness.update("catalog_product_entity_decimal", value(2, 101, "price", "15.000000"), value="14.000000")
    assert harness.sent() == []


def test_the_shop_s_cron_makes_a_version_live(harness: ReplicaHarness) -> None:
    """No row of the product changes at that moment: the flag's row does, and all products are looked at."""
    harness.sent()
    harness.update("flag", flag("1"), **flag(SALE))
    assert only(harness.sent()).properties["price"] == "15.00"

    harness.update("flag", flag(SALE), **flag(str(END)))
    assert only(harness.sent()).properties["price"] == "20.00"

    harness.update("flag", flag(str(END)), flag_data=json.dumps({"current_version": END, "maximum_versions_in_db": 3}))
    assert harness.sent() == []


def test_a_change_of_the_live_row_is_sent(harness: ReplicaHarness) -> None:
    """A value of the live row, and the row itself, are the product's."""
    harness.sent()
    harness.update("catalog_product_entity_decimal", value(1, 100, "price", "20.000000"), value="21.000000")
    assert only(harness.sent()).properties["price"] == "21.00"

    harness.update("catalog_product_entity", version(100, 1, SALE), sku="MUG-2")
    assert only(harness.sent()).properties["sku"] == "MUG-2"


def test_a_product_goes_with_its_number_in_the_sequence(harness: ReplicaHarness) -> None:
    """The sequence's row is deleted; the product's rows and their values go silently."""
    harness.sent()
    harness.delete("sequence_product", {"sequence_value": 10})

    assert only(harness.sent()).action is Action.DELETE
    assert harness.engine.store.db.execute("SELECT count(*) FROM r_catalog_product_entity_decimal").fetchone() == (0,)


def test_a_product_that_only_begins_later_does_not_exist_yet(harness: ReplicaHarness) -> None:
    """A line that names it makes it stand in, as for a product that is gone."""
    harness.sent()
    harness.insert("catalog_product_entity", **version(200, SALE, LAST, product=11))
    assert harness.sent() == []

    harness.insert("sales_order", **order(1))
    harness.insert("sales_order_item", **item(1, product_id=11))
    assert {message.external_id for message in harness.sent()} >= {"magento-product-11", "magento-item-1"}


@pytest.mark.parametrize(
    ("data", "number"),
    [
        ('{"current_version":"1496739600"}', 1496739600),
        ('{"maximum_versions_in_db": 2, "current_version": 7}', 7),
        ('a:1:{s:15:"current_version";i:1496739600;}', 1496739600),
        ('a:1:{s:15:"current_version";s:10:"1496739600";}', 1496739600),
        ("{}", FIRST_VERSION),
        (None, FIRST_VERSION),
        ("no JSON", FIRST_VERSION),
    ],
)
def test_the_flag_s_number_is_read_in_both_forms(data: str | None, number: int) -> None:
    """JSON since 2.2, serialised PHP before; nothing said is the first version."""
    assert version_in({"flag_data": data}) == number


def test_attributes_options_reach_products_through_their_rows() -> None:
    """A renamed option goes to the product whose live row uses it."""
    select: dict[str, Value] = {
        "attribute_id": 300,
        "entity_type_id": 4,
        "attribute_code": "color",
        "backend_type": "int",
    }
    wanted = {"attributes": {"color": "color"}}
    with replica_harness(keys=in_row_ids(core_foreign_keys()), product_key="row_id", product=wanted) as harness:
        for table, rows in REFERENCES.items():
            for row in rows:
                harness.insert(table, **row)
        harness.insert("eav_attribute", **select, frontend_input="select")
        harness.insert("eav_attribute_option", option_id=1, attribute_id=300)
        label: dict[str, Value] = {"value_id": 1, "option_id": 1, "store_id": 0, "value": "Blue"}
        harness.insert("eav_attribute_option_value", **label)
        harness.insert("catalog_product_entity", **version(100))
        used = {"value_id": 1, "row_id": 100, "attribute_id": 300, "store_id": 0, "value": 1}
        harness.insert("catalog_product_entity_int", **used)
        assert harness.sent()[-1].properties["color"] == "Blue"

        harness.update("eav_attribute_option_value", label, value="Navy")
        assert only(harness.sent()).properties["color"] == "Navy"
