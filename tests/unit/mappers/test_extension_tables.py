"""Modules' own tables: real layouts, rows that come early, late or move, and tables between."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import ConfigError
from cdc.model import FetchByKey, Kind, ObjectRef, Value
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import address, customer, order, properties, rendered, shop_rows

ORDER = ObjectRef(Kind.ORDER, 1)
DATE = {"delivery_date": {"column": "date", "type": "date"}}
AMASTY: dict[str, Any] = {
    "table": "amasty_deliverydate_deliverydate_order",
    "key": "order_id",
    "primary": ["deliverydate_id"],
    "properties": {
        **DATE,
        "delivery_from": {"column": "time_from", "type": "minutes"},
        "delivery_to": {"column": "time_to", "type": "minutes"},
        "delivery_comment": "comment",
    },
}
MAGEWORX: dict[str, Any] = {
    "table": "mageworx_dd_queue",
    "key": "order_address_id",
    "primary": ["entity_id", "store_id"],
    "via": {"table": "sales_order_address", "column": "entity_id", "to": "parent_id"},
    "properties": {"delivery_date": {"column": "delivery_day", "type": "date"}},
}


def a_shop(*extension_tables: dict[str, Any], **tables: list[dict[str, Value]]) -> DictRows:
    """Order 1 with a shipping address, and these extension tables."""
    held: dict[str, list[dict[str, Value]]] = {
        "sales_order": [order()],
        "sales_order_address": [address(1), address(2, address_type="shipping")],
        **tables,
    }
    return shop_rows(held, satellites=extension_tables)


def put_amasty(rows: DictRows, order_id: Value, day: Value = "2026-03-05", key: int = 1) -> list[Any]:
    """A row of Amasty's table; what it affected."""
    columns: dict[str, Value] = {"date": day, "time_from": 540, "time_to": 1080, "comment": "Ring twice"}
    return rows.put(AMASTY["table"], deliverydate_id=key, order_id=order_id, **columns)


def put_mageworx(rows: DictRows, address_id: Value, day: Value = "2026-03-05") -> list[Any]:
    """A row of MageWorx's queue; what it affected."""
    return rows.put("mageworx_dd_queue", entity_id=1, store_id=1, order_address_id=address_id, delivery_day=day)


def test_a_row_that_comes_after_the_order() -> None:
    """Layout 5: the order is there already; its extension row affects it and fills the properties."""
    rows = a_shop(AMASTY)
    assert properties(rows, Kind.ORDER, 1)["delivery_date"] == ""

    assert put_amasty(rows, 1) == [ORDER]

    found = properties(rows, Kind.ORDER, 1)
    assert [found[name] for name in AMASTY["properties"]] == ["2026-03-05", "09:00", "18:00", "Ring twice"]


def test_a_row_that_comes_before_the_order() -> None:
    """The order renders it as soon as it comes itself."""
    rows = a_shop(AMASTY, sales_order=[])
    assert put_amasty(rows, 1) == [ORDER]
    assert rows.mapper.render(ORDER, rows) is None

    rows.put("sales_order", **order())

    assert properties(rows, Kind.ORDER, 1)["delivery_date"] == "2026-03-05"


def test_a_row_that_is_born_without_an_order_and_moves() -> None:
    """Layouts 5, 7 and 10: keyed by the cart first, by the order later; then to another order."""
    rows = a_shop(AMASTY)
    assert put_amasty(rows, None) == []
    assert put_amasty(rows, 1) == [ORDER]
    assert set(put_amasty(rows, 2)) == {ORDER, ObjectRef(Kind.ORDER, 2)}

    assert properties(rows, Kind.ORDER, 1)["delivery_date"] == ""


def test_a_row_that_goes_clears_its_properties() -> None:
    """Also by a cascade: the replica deletes it as the server did."""
    rows = a_shop(AMASTY)
    put_amasty(rows, 1)

    assert rows.remove(AMASTY["table"], 1) == [ORDER]
    assert properties(rows, Kind.ORDER, 1)["delivery_comment"] == ""


def test_of_several_rows_the_newest_counts() -> None:
    """The one with the highest primary key."""
    rows = a_shop(AMASTY)
    put_amasty(rows, 1, "2026-03-07", key=9)
    put_amasty(rows, 1, "2026-03-06", key=10)
    put_amasty(rows, 1, "2026-03-05", key=2)

    assert properties(rows, Kind.ORDER, 1)["delivery_date"] == "2026-03-06"


def test_a_value_that_does_not_fit_warns() -> None:
    """As in the order's own columns."""
    rows = a_shop(AMASTY)
    put_amasty(rows, 1, "soon")

    assert rendered(rows, Kind.ORDER, 1).warnings == (
        f"property delivery_date is left empty: {AMASTY['table']}.date is no date",
    )


def test_an_extension_table_keyed_through_another_table() -> None:
    """Layout 6: by the order's address, also the shipping one; the queue's row is there from the cart on."""
    rows = a_shop(MAGEWORX)
    assert put_mageworx(rows, None) == []

    assert put_mageworx(rows, 2) == [ORDER]
    assert properties(rows, Kind.ORDER, 1)["delivery_date"] == "2026-03-05"

    assert ORDER in rows.remove("sales_order_address", 2)
    assert properties(rows, Kind.ORDER, 1)["delivery_date"] == ""
    assert ORDER in rows.put("sales_order_address", **address(2, address_type="shipping"))
    assert properties(rows, Kind.ORDER, 1)["delivery_date"] == "2026-03-05"


def test_extension_tables_of_customers_and_products() -> None:
    """Each object has its own."""
    points = {"table": "points", "object": "contact", "key": "customer_id", "primary": ["id"]}
    stock = {"table": "labels", "object": "product", "key": "product_id", "primary": ["id"]}
    rows = a_shop(
        {**points, "properties": {"points": {"column": "balance", "type": "number"}}},
        {**stock, "properties": {"label": "text"}},
        customer_entity=[customer()],
        catalog_product_entity=[{"entity_id": 10, "sku": "MUG"}],
    )

    assert rows.put("points", id=1, customer_id=7, balance=120) == [ObjectRef(Kind.CUSTOMER, 7)]
    assert rows.put("labels", id=1, product_id=10, text="New") == [ObjectRef(Kind.PRODUCT, 10)]
    assert properties(rows, Kind.CUSTOMER, 7)["points"] == "120"
    assert properties(rows, Kind.PRODUCT, 10)["label"] == "New"
    assert "points" not in properties(rows, Kind.ORDER, 1)


def test_extension_tables_are_pulled_with_their_object() -> None:
    """By the object's id, or by the keys of the rows between as soon as these are known."""
    queue = MAGEWORX | {"properties": {"day": "delivery_day"}}
    rows = a_shop(AMASTY, queue, sales_order_address=[])
    assert FetchByKey(AMASTY["table"], "order_id", 1) in rows.mapper.fetches(ORDER, rows)
    assert all(pull.table != "mageworx_dd_queue" for pull in rows.mapper.fetches(ORDER, rows))

    rows.put("sales_order_address", **address(2, address_type="shipping"))

    assert FetchByKey("mageworx_dd_queue", "order_address_id", 2) in rows.mapper.fetches(ORDER, rows)


def test_shipping_addresses_are_kept_only_for_an_extension_table() -> None:
    """Nothing else needs them."""
    assert len(a_shop(AMASTY).every("sales_order_address")) == 1
    assert len(a_shop(MAGEWORX).every("sales_order_address")) == 2


def test_an_extension_table_that_needs_shipping_addresses_loads_addresses_again() -> None:
    """They were not kept before."""
    selection = {spec.name: spec.selection for spec in a_shop(MAGEWORX).mapper.tables}

    assert selection["sales_order_address"]
    assert not a_shop(AMASTY).specs["sales_order_address"].selection


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"table": "sales_invoice"}, "is one of Magento's tables that are read anyway"),
        ({"via": {"table": "wishlist", "column": "entity_id", "to": "x"}}, "via.table 'wishlist' is not read"),
        ({"via": MAGEWORX["via"] | {"column": "parent_id"}}, "via.column must be sales_order_address's primary key"),
        ({"via": MAGEWORX["via"] | {"to": "city"}}, "via.to must be one of sales_order_address's parent_id"),
    ],
)
def test_an_extension_table_that_cannot_be_reached_is_refused(change: dict[str, Any], said: str) -> None:
    """A fault of the settings, with what can be done."""
    with pytest.raises(ConfigError, match=said):
        a_shop(MAGEWORX | change)
