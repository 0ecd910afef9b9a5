"""LINE_ITEM: each way Magento writes a line."""

from __future__ import annotations

import pytest

from cdc.model import Kind, ObjectRef, Value
from tests.unit.mappers.shops import exists, item, order, properties, rendered, shop_rows

DYNAMIC = '{"product_calculations":0,"shipment_type":0}'
FIXED = '{"product_calculations":1,"shipment_type":0}'
DEAL = ObjectRef(Kind.ORDER, 1)


def test_a_simple_line_has_every_default_property() -> None:
    """A simple product's line gives exactly these texts."""
    line = item(discount_amount="5.9900", qty_ordered="2.0000")
    rows = shop_rows({"sales_order": [order()], "sales_order_item": [line]})

    assert properties(rows, Kind.ITEM, 1) == {
        "name": "Mug",
        "sku": "MUG",
        "quantity": "2",
        "price": "29.95",
        "amount": "59.90",
        "discount_amount": "5.99",
        "tax_amount": "9.56",
        "currency": "EUR",
    }
    assert rendered(rows, Kind.ITEM, 1).references == (DEAL, ObjectRef(Kind.PRODUCT, 10))


def test_a_configurable_line_is_its_parent_and_refers_to_the_variant() -> None:
    """The parent carries the money and the variant's sku, the child the variant's product id; the child is no line."""
    rows = shop_rows(
        {
            "sales_order": [order()],
            "sales_order_item": [
                item(1, product_type="configurable", product_id=20, product_options=FIXED, sku="TEE-M", name="Tee"),
                item(2, parent_item_id=1, product_id=21, sku="TEE-M", name="Tee M", price="0.0000", row_total="0.0000"),
            ],
        }
    )

    assert rendered(rows, Kind.ITEM, 1).references == (DEAL, ObjectRef(Kind.PRODUCT, 21))
    assert properties(rows, Kind.ITEM, 1)["amount"] == "59.90"
    assert not exists(rows, Kind.ITEM, 2)


def test_a_configurable_line_without_its_child_refers_to_the_family() -> None:
    """Should the child be missing, the parent's own product is the next best."""
    rows = shop_rows({"sales_order": [order()], "sales_order_item": [item(product_type="configurable", product_id=20)]})

    assert rendered(rows, Kind.ITEM, 1).references == (DEAL, ObjectRef(Kind.PRODUCT, 20))


@pytest.mark.parametrize(
    ("options", "own", "children", "discount"),
    [
        pytest.param(DYNAMIC, "0.0000", ["1.1000", None, "2.2500"], "3.35", id="dynamic: the children's"),
        pytest.param(FIXED, "4.0000", ["0.0000", "0.0000"], "4.00", id="fixed: its own"),
        pytest.param(None, "4.0000", ["0.0000"], "4.00", id="options unknown: its own"),
        pytest.param(DYNAMIC, "4.0000", [], "4.00", id="dynamic without children: its own"),
    ],
)
def test_a_bundle_line_counts_its_discount_once(options: Value, own: str, children: list[Value], discount: str) -> None:
    """A dynamic bundle's discount is its children's sum; price, amount and tax are the parent's for both kinds."""
    parts = [item(n, parent_item_id=1, product_id=30 + n, discount_amount=d) for n, d in enumerate(children, 2)]
    parent = item(1, product_type="bundle", product_id=30, product_options=options, discount_amount=own)
    rows = shop_rows({"sales_order": [order()], "sales_order_item": [parent, *parts]})

    found = properties(rows, Kind.ITEM, 1)
    assert (found["discount_amount"], found["amount"], found["tax_amount"]) == (discount, "59.90", "9.56")
    assert rendered(rows, Kind.ITEM, 1).references == (DEAL, ObjectRef(Kind.PRODUCT, 30))


def test_lines_add_up_to_the_subtotal_once() -> None:
    """Rows without a parent are the lines: a dynamic bundle's children, which repeat its money, are none."""
    rows = shop_rows(
        {
            "sales_order": [order()],
            "sales_order_item": [
                item(1, product_type="bundle", product_options=DYNAMIC, row_total="30.0000"),
                item(2, parent_item_id=1, row_total="10.0000"),
                item(3, parent_item_id=1, row_total="20.0000"),
                item(4, product_type="grouped", row_total="5.0000"),
            ],
        }
    )

    assert [number for number in (1, 2, 3, 4) if exists(rows, Kind.ITEM, number)] == [1, 4]
    assert properties(rows, Kind.ITEM, 1)["amount"] == "30.00"


def test_a_line_without_a_product_id_has_no_product() -> None:
    """product_id may be NULL (imported orders): the line refers to its deal alone."""
    rows = shop_rows({"sales_order": [order()], "sales_order_item": [item(product_id=None, qty_ordered="0.5000")]})

    assert rendered(rows, Kind.ITEM, 1).references == (DEAL,)
    assert properties(rows, Kind.ITEM, 1)["quantity"] == "0.5"


def test_a_line_exists_with_its_own_and_its_orders_row() -> None:
    """Without the order there is no line."""
    rows = shop_rows({"sales_order": [order()], "sales_order_item": [item()]})
    assert exists(rows, Kind.ITEM, 1)

    rows.remove("sales_order", 1)

    assert not exists(rows, Kind.ITEM, 1)


def test_product_options_are_not_kept() -> None:
    """Of product_options only two small numbers stay; serialised text of old releases does not raise."""
    php = 'a:2:{s:15:"info_buyRequest";a:0:{}s:20:"product_calculations";i:0;}'
    rows = shop_rows({"sales_order_item": [item(product_options=php)]})

    (row,) = rows.every("sales_order_item")
    assert "product_options" not in row
    assert (row["price_mode"], row["ship_mode"]) == (0, None)


def test_options_stay_known_when_an_image_leaves_them_out() -> None:
    """A partial image without product_options does not forget what was derived from them."""
    rows = shop_rows({"sales_order_item": [item(product_options=DYNAMIC)]})
    row: dict[str, Value] = {"item_id": 1, "price_mode": 0, "ship_mode": 0, "qty_shipped": "1.0000"}

    assert rows.mapper.derive("sales_order_item", row) == {}
