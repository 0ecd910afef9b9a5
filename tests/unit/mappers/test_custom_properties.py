"""The shop's own columns: on the object's table, inside JSON, over a default property, and when they make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.model import Kind, Value
from tests.unit.mappers.shops import customer, item, order, properties, rendered, shop_rows

Tables = dict[str, list[dict[str, Value]]]

US_DATE = "%m/%d/%Y"
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Value], dict[str, str]]] = {
    "1 SR_DeliveryDate": (
        {"delivery_date": {"column": "delivery_date", "type": "date"}, "delivery_comment": "delivery_comment"},
        {"delivery_date": "2026-03-05 00:00:00", "delivery_comment": "Ring twice"},
        {"delivery_date": "2026-03-05", "delivery_comment": "Ring twice"},
    ),
    "1 no choice": (
        {"delivery_date": {"column": "delivery_date", "type": "date"}},
        {"delivery_date": "0000-00-00 00:00:00"},
        {"delivery_date": ""},
    ),
    "2 Bss_OrderDeliveryDate": (
        {"date": {"column": "shipping_arrival_date", "type": "date"}, "slot": "shipping_arrival_timeslot"},
        {"shipping_arrival_date": "2026-03-05", "shipping_arrival_timeslot": "9:00 - 12:00"},
        {"date": "2026-03-05", "slot": "9:00 - 12:00"},
    ),
    "3 Mageplaza_DeliveryTime": (
        {
            "date": {"column": "mp_delivery_information", "json": "$.deliveryDate", "type": "date", "format": US_DATE},
            "note": {"column": "mp_delivery_information", "json": "$.deliveryComment"},
            "code": {"column": "mp_delivery_information", "json": "$.houseSecurityCode"},
        },
        {"mp_delivery_information": '{"deliveryDate":"03/05/2026","deliveryComment":"Ring twice"}'},
        {"date": "2026-03-05", "note": "Ring twice", "code": ""},
    ),
    "8 MyParcel": (
        {
            "date": {"column": "myparcel_delivery_options", "json": "$.date", "type": "date"},
            "pickup": {"column": "myparcel_delivery_options", "json": "$.isPickup", "type": "bool"},
            "drop_off": {"column": "drop_off_day", "type": "date"},
        },
        {
            "myparcel_delivery_options": '{"isPickup":false,"date":"2026-03-05T00:00:00.000Z"}',
            "drop_off_day": "2026-03-04",
        },
        {"date": "2026-03-05", "pickup": "false", "drop_off": "2026-03-04"},
    ),
    "9 ETechFlow": (
        {
            "date": {"column": "etechflow_delivery_date", "type": "date", "format": "%d-%m-%Y"},
            "note": "etechflow_delivery_comment",
        },
        {"etechflow_delivery_date": "05-03-2026", "etechflow_delivery_comment": None},
        {"date": "2026-03-05", "note": ""},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_delivery_dates_of_real_modules(layout: str) -> None:
    """Modules that write on the order itself are mapped by settings alone."""
    asked, columns, expected = LAYOUTS[layout]
    rows = shop_rows({"sales_order": [order(**columns)]}, deal={"properties": asked})
    found = properties(rows, Kind.ORDER, 1)

    assert {name: found[name] for name in expected} == expected
    assert rendered(rows, Kind.ORDER, 1).warnings == ()


def with_json(held: Value, path: str, kind: str = "text") -> tuple[str, tuple[str, ...]]:
    """The property made of ``path`` in this JSON, and the warnings."""
    asked = {"own": {"column": "options", "json": path, "type": kind}}
    made = rendered(shop_rows({"sales_order": [order(options=held)]}, deal={"properties": asked}), Kind.ORDER, 1)
    return made.properties["own"], made.warnings


@pytest.mark.parametrize(
    ("held", "path", "expected"),
    [
        ('{"a":{"b":["x","y"]}}', "$.a.b[1]", "y"),
        ('{"a b":{"c-d":1}}', '$["a b"].c-d', "1"),
        ('[{"a":2.50}]', "$[0].a", "2.5"),
        (b'{"a":"x"}', "$.a", "x"),
        ('{"a":{"b":1}}', "$.a", '{"b":1}'),
        ('{"a":true}', "$.a", "true"),
        ('{"a":null}', "$.a", ""),
        ('{"a":[]}', "$.a[3]", ""),
        ('{"a":"text"}', "$.a.b", ""),
        ('{"a":{}}', "$.a[0]", ""),
        ('"text"', "$.a", ""),
        (None, "$.a", ""),
        ("", "$.a", ""),
    ],
)
def test_a_path_into_json(held: Value, path: str, expected: str) -> None:
    """A path leads to a member or an element; where it leads nowhere there is no value, and that is no fault."""
    assert with_json(held, path) == (expected, ())


@pytest.mark.parametrize("held", ["{", "a:1:{s:1;}", '{"a":1', b"\xff\xfe"])
def test_bad_json_leaves_the_property_empty_with_a_warning(held: Value) -> None:
    """The order is sent all the same; the warning names property and column, never the text."""
    value, [warning] = with_json(held, "$.a")

    assert value == ""
    assert warning == "property own is left empty: sales_order.options .a is not valid JSON"


def test_a_value_that_does_not_fit_leaves_the_property_empty_with_a_warning() -> None:
    """A module's text in a column that was said to hold numbers holds back nothing."""
    value, [warning] = with_json('{"a":"lots"}', "$.a", "number")

    assert value == ""
    assert "own" in warning
    assert "is no number" in warning
    assert "lots" not in warning


def test_a_property_of_ones_own_takes_the_place_of_a_default_one() -> None:
    """A name that collides with a default property means that property, from another column."""
    rows = shop_rows({"sales_order": [order(memo="Mine")]}, deal={"properties": {"name": "memo"}})

    assert properties(rows, Kind.ORDER, 1)["name"] == "Mine"


def test_every_object_can_have_columns_of_its_own() -> None:
    """Contacts, products and line items as deals; a column that is mapped anyway can be named too, in any case."""
    rows = shop_rows(
        {
            "sales_order": [order()],
            "sales_order_item": [item(gift_card="Love", product_options='{"product_calculations":0}')],
            "customer_entity": [customer(taxvat="DE1")],
            "catalog_product_entity": [{"entity_id": 10, "sku": "MUG", "has_options": 1}],
        },
        line_item={"properties": {"gift": "gift_card", "code": "SKU", "options": "product_options"}},
        contact={"properties": {"vat": "taxvat"}},
        product={"properties": {"options": {"column": "has_options", "type": "bool"}}},
    )
    line = properties(rows, Kind.ITEM, 1)

    assert (line["gift"], line["code"], line["options"]) == ("Love", "MUG", '{"product_calculations":0}')
    assert properties(rows, Kind.CUSTOMER, 7)["vat"] == "DE1"
    assert properties(rows, Kind.PRODUCT, 10)["options"] == "true"


def test_what_stands_in_for_a_row_clears_its_columns() -> None:
    """A customer or product whose row is gone keeps no value of a column it had; a default stand-in value stays."""
    tables: Tables = {"sales_order": [order(customer_id=7, customer_firstname="Ann")], "sales_order_item": [item()]}
    asked = {"properties": {"vat": "taxvat", "firstname": "prefix"}}
    rows = shop_rows(
        tables, contact=asked, product={"properties": {"options": "has_options", "name": "attribute_set_id"}}
    )
    contact, product = properties(rows, Kind.CUSTOMER, 7), properties(rows, Kind.PRODUCT, 10)

    assert (contact["vat"], contact["firstname"]) == ("", "Ann")
    assert (product["options"], product["name"]) == ("", "Mug")


def test_only_the_columns_asked_for_are_added_to_the_allow_list() -> None:
    """A mapped column widens its own table and nothing else."""
    plain = {spec.name: spec for spec in shop_rows().mapper.tables}
    asked = {"properties": {"a": "delivery_date", "b": {"column": "delivery_date", "type": "date"}}}

    for spec in shop_rows(deal=asked).mapper.tables:
        further = {"delivery_date"} if spec.name == "sales_order" else set()
        assert set(spec.columns) - set(plain[spec.name].columns) == further
        assert len(set(spec.columns)) == len(spec.columns)
