"""What a filter leaves out does not exist; what is in keeps all that it refers to."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import Kind, ObjectRef, Value
from mappers.guests import guest_id
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import REFERENCES, customer, exists, item, order, properties, shop_rows

ANN = str(guest_id("ann@example.com"))
ORDER, ITEM, GUEST = ObjectRef(Kind.ORDER, 1), ObjectRef(Kind.ITEM, 1), ObjectRef(Kind.GUEST, ANN)
CUSTOMER, PRODUCT = ObjectRef(Kind.CUSTOMER, 7), ObjectRef(Kind.PRODUCT, 10)
MUG: dict[str, Value] = {"entity_id": 10, "sku": "MUG", "type_id": "simple"}


def a_shop(filters: dict[str, Any], **tables: list[dict[str, Value]]) -> DictRows:
    """Ann's order in the default view of website base, with a line; these tables in place of its."""
    held: dict[str, list[dict[str, Value]]] = {"sales_order": [order()], "sales_order_item": [item()], **tables}
    return shop_rows(held, filter=filters)


def which(rows: DictRows) -> set[ObjectRef]:
    """What exists of the objects here."""
    return {ref for ref in (ORDER, ITEM, GUEST, CUSTOMER, PRODUCT) if exists(rows, ref.kind, ref.id)}


LEAVES_OUT = [
    {"websites": {"only": ["outlet"]}},
    {"websites": {"without": ["base"]}},
    {"stores": {"only": "de"}},
    {"stores": {"without": ["default", "de"]}},
    {"customer_groups": {"without": ["NOT LOGGED IN"]}},
    {"test_orders": [{"column": "customer_email", "ends_with": "@EXAMPLE.com"}]},
    {"test_orders": [{"column": "status", "equals": ["x", "Pending"]}]},
    {"test_orders": [{"column": "is_test", "equals": 1}]},
    {"test_orders": [{"column": "increment_id", "contains": "no"}, {"column": "increment_id", "starts_with": "0000"}]},
]


@pytest.mark.parametrize("filters", LEAVES_OUT, ids=str)
def test_an_order_that_is_left_out_does_not_exist(filters: dict[str, Any]) -> None:
    """Nor do its lines, nor the guest and the product that only it named."""
    assert which(
        a_shop(filters, sales_order=[{**order(), **({"is_test": 1} if "is_test" in str(filters) else {})}])
    ) == (set())


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"websites": {"only": ["base"]}},
        {"stores": {"without": "de"}},
        {"customer_groups": {"only": ["NOT LOGGED IN"]}},
        {"test_orders": [{"column": "customer_email", "ends_with": "@test.example.com"}]},
    ],
    ids=str,
)
def test_an_order_that_is_in_has_all_it_refers_to(filters: dict[str, Any]) -> None:
    """Its guest and its product, which it stands in for."""
    assert which(a_shop(filters)) == {ORDER, ITEM, GUEST, PRODUCT}


def test_an_order_that_moves_out_and_in_takes_everything_along() -> None:
    """Deal, line, guest and product are affected both ways, so that DELETEs and UPSERTs follow."""
    rows = a_shop({"test_orders": [{"column": "status", "equals": "test"}]})

    assert {ORDER, ITEM, GUEST, PRODUCT} <= {*rows.put("sales_order", entity_id=1, status="test")}
    assert which(rows) == set()
    assert {ORDER, ITEM, GUEST, PRODUCT} <= {*rows.put("sales_order", entity_id=1, status="pending")}
    assert which(rows) == {ORDER, ITEM, GUEST, PRODUCT}


def test_a_customer_who_is_left_out_is_there_while_an_order_needs_him() -> None:
    """With his account's data: the order names him; when it goes he goes."""
    bought = order(customer_id=7, customer_is_guest=0, customer_group_id=1)
    rows = a_shop({"customer_groups": {"without": ["Wholesale"]}}, customer_entity=[customer()], sales_order=[bought])
    assert CUSTOMER in which(rows)
    assert properties(rows, Kind.CUSTOMER, 7)["firstname"] == "Bob"

    assert CUSTOMER in rows.put("sales_order", entity_id=1, customer_group_id=2)
    assert which(rows) == set()


def test_a_customer_changes_his_group() -> None:
    """In and out with his row; by the group he is in now."""
    rows = a_shop({"customer_groups": {"only": ["General"]}}, customer_entity=[customer()], sales_order=[])
    assert which(rows) == set()

    assert CUSTOMER in rows.put("customer_entity", entity_id=7, group_id=1)
    assert which(rows) == {CUSTOMER}


def test_a_stand_in_is_made_of_an_order_that_is_in() -> None:
    """The newer order is left out, so that the older one tells who he is."""
    newer = order(2, customer_id=7, customer_is_guest=0, customer_firstname="Test", created_at="2026-04-01 00:00:00")
    older = order(1, customer_id=7, customer_is_guest=0, customer_firstname="Bob")
    rows = a_shop({"test_orders": [{"column": "customer_firstname", "equals": "test"}]}, sales_order=[older, newer])

    assert properties(rows, Kind.CUSTOMER, 7)["firstname"] == "Bob"


def test_products_by_type() -> None:
    """One that is left out is there while a line that is in refers to it, with its own data."""
    rows = a_shop({"product_types": {"without": "simple"}}, catalog_product_entity=[MUG], sales_order_item=[])
    assert PRODUCT not in which(rows)

    assert PRODUCT in rows.put("sales_order_item", **item(name="Sold mug"))
    assert properties(rows, Kind.PRODUCT, 10)["type"] == "simple"
    assert PRODUCT in rows.remove("sales_order_item", 1)
    assert PRODUCT not in which(rows)


def test_products_by_visibility() -> None:
    """In the chosen store view over the default scope."""
    attribute: dict[str, Value] = {
        "attribute_id": 99,
        "entity_type_id": 4,
        "attribute_code": "visibility",
        "backend_type": "int",
    }
    rows = shop_rows(
        {
            "eav_attribute": [*REFERENCES["eav_attribute"], attribute],
            "catalog_product_entity": [MUG],
            "catalog_product_entity_int": [
                {"value_id": 1, "entity_id": 10, "attribute_id": 99, "store_id": 0, "value": 1}
            ],
        },
        filter={"product_visibility": {"without": ["not_visible"]}},
        store_view="de",
    )
    assert not exists(rows, Kind.PRODUCT, 10)

    own: dict[str, Value] = {"value_id": 2, "entity_id": 10, "attribute_id": 99, "store_id": 2, "value": 4}
    assert PRODUCT in rows.put("catalog_product_entity_int", **own)
    assert exists(rows, Kind.PRODUCT, 10)


def test_products_by_website() -> None:
    """By where they are sold; one website that is followed is enough."""
    rows = a_shop({"websites": {"only": "outlet"}}, catalog_product_entity=[MUG], sales_order=[])
    assert PRODUCT not in which(rows)

    assert rows.put("catalog_product_website", product_id=10, website_id=2) == [PRODUCT]
    assert PRODUCT in which(rows)


def test_a_renamed_store_is_judged_anew() -> None:
    """Codes are the merchant's: a rename may move everything in or out."""
    rows = a_shop({"stores": {"without": "closed"}})

    affected = rows.put("store", store_id=1, code="closed")

    assert {ORDER, ITEM, GUEST, PRODUCT} <= rows.spread(affected)
    assert which(rows) == set()


def test_nothing_is_looked_up_without_a_filter() -> None:
    """No further tables or columns are read."""
    plain = {spec.name: spec.columns for spec in shop_rows().mapper.tables}

    assert "catalog_product_website" not in plain
    assert plain == {spec.name: spec.columns for spec in shop_rows(filter={}).mapper.tables}
