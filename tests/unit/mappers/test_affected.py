"""What a row change affects, and what it must not: the hot tables are kept narrow."""

from __future__ import annotations

import pytest

from cdc.model import BulkInvalidation, Kind, ObjectRef, Value
from mappers.guests import guest_id
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import address, customer, item, order, shop_rows, value

ANN = ObjectRef(Kind.GUEST, str(guest_id("ann@example.com")))
DEAL, LINE, BOB = ObjectRef(Kind.ORDER, 1), ObjectRef(Kind.ITEM, 1), ObjectRef(Kind.CUSTOMER, 7)
MUG = ObjectRef(Kind.PRODUCT, 10)


def shop(*, by_customer: bool = False, with_customer: bool = True) -> DictRows:
    """One order with one line; a guest's or a customer's."""
    placed = order(customer_id=7, customer_is_guest=0) if by_customer else order()
    return shop_rows(
        {
            "customer_entity": [customer(default_billing=5)] if with_customer else [],
            "customer_address_entity": [{"entity_id": 5, "parent_id": 7}, {"entity_id": 6, "parent_id": 7}],
            "catalog_product_entity": [{"entity_id": 10, "sku": "MUG"}],
            "sales_order": [placed],
            "sales_order_item": [item()],
            "sales_order_address": [address(1)],
        }
    )


@pytest.mark.parametrize(
    ("by_customer", "columns", "affected"),
    [
        pytest.param(False, {"state": "processing", "status": "processing"}, {DEAL}, id="paid"),
        pytest.param(False, {"total_refunded": "1.0000"}, {DEAL}, id="refunded"),
        pytest.param(False, {"customer_firstname": "Ann"}, {ANN}, id="a name is the guest's"),
        pytest.param(
            True, {"customer_email": "new@example.com"}, set(), id="email storm: the customer's own row tells"
        ),
        pytest.param(True, {"customer_firstname": "Bob"}, set(), id="name of a customer with a row"),
        pytest.param(False, {"order_currency_code": "USD"}, {DEAL, LINE}, id="currency is the lines' too"),
        pytest.param(False, {"customer_id": 7, "customer_is_guest": 0}, {DEAL, ANN}, id="guest registers"),
    ],
)
def test_an_order_affects_what_it_changes(
    by_customer: bool, columns: dict[str, Value], affected: set[ObjectRef]
) -> None:
    """An order's change renders its deal, its lines or its contact, whichever show it."""
    rows = shop(by_customer=by_customer)

    assert set(rows.put("sales_order", entity_id=1, **columns)) == affected


def test_an_email_change_of_a_guest_affects_old_and_new() -> None:
    """The old guest may vanish, the new one appear; the deal refers to another contact."""
    affected = shop().put("sales_order", entity_id=1, customer_email="cat@example.com")

    assert set(affected) == {DEAL, ANN, ObjectRef(Kind.GUEST, str(guest_id("cat@example.com")))}


def test_an_order_stands_in_for_a_customer_without_a_row() -> None:
    """Only then do the order's and its billing address's changes bear on the customer."""
    rows = shop(by_customer=True, with_customer=False)

    assert BOB in rows.put("sales_order", entity_id=1, customer_firstname="Rob")
    assert rows.put("sales_order_address", entity_id=1, city="Hull") == [BOB]
    rows.put("customer_entity", **customer())
    assert rows.put("sales_order_address", entity_id=1, city="York") == []


@pytest.mark.parametrize(
    ("columns", "affected"),
    [
        pytest.param({"qty_shipped": "1.0000"}, {DEAL}, id="shipped: the deal"),
        pytest.param({"qty_ordered": "3.0000"}, {DEAL, LINE}, id="ordered: both"),
        pytest.param({"name": "Cup"}, {LINE}, id="renamed: the line"),
        pytest.param({"discount_amount": "1.0000"}, {LINE}, id="discount: the line"),
    ],
)
def test_an_item_affects_its_line_or_its_deal(columns: dict[str, Value], affected: set[ObjectRef]) -> None:
    """Quantities for shipping are the deal's; names and money are the line's; the product has its own row."""
    assert set(shop().put("sales_order_item", item_id=1, **columns)) == affected


def test_a_child_affects_its_parents_line_and_products_without_a_row() -> None:
    """A configurable's child decides what its parent's line refers to, and what stands in for which product."""
    rows = shop()
    affected = rows.put("sales_order_item", **item(2, parent_item_id=1, product_id=11))

    assert set(affected) == {DEAL, LINE, ObjectRef(Kind.PRODUCT, 11)}


def test_a_deleted_order_affects_all_that_it_held() -> None:
    """Its deal, lines and contact go (or change), also when no cascade follows."""
    assert set(shop().remove("sales_order", 1)) == {DEAL, LINE, ANN}


@pytest.mark.parametrize(
    ("table", "row", "affected"),
    [
        pytest.param("sales_order_payment", {"entity_id": 1, "parent_id": 1, "method": "free"}, {DEAL}, id="payment"),
        pytest.param("sales_invoice", {"entity_id": 1, "order_id": 1, "state": 2}, {DEAL}, id="invoice"),
        pytest.param("sales_shipment_track", {"entity_id": 1, "order_id": 1}, {DEAL}, id="track"),
        pytest.param("sales_order_address", {"entity_id": 1, "city": "Hull"}, {ANN}, id="billing address: the guest"),
        pytest.param("sales_order_address", address(2, address_type="shipping"), set(), id="shipping address"),
        pytest.param("customer_entity", {"entity_id": 7, "firstname": "Rob"}, {BOB}, id="customer"),
        pytest.param("customer_address_entity", {"entity_id": 5, "city": "Hull"}, {BOB}, id="default billing"),
        pytest.param("customer_address_entity", {"entity_id": 6, "city": "Hull"}, set(), id="another address"),
        pytest.param("catalog_product_entity", {"entity_id": 10, "sku": "CUP"}, {MUG}, id="product"),
        pytest.param("catalog_product_entity_varchar", value(1, "name", "Cup"), {MUG}, id="value"),
        pytest.param("catalog_product_entity_varchar", value(1, "name", "Cup", store=2), set(), id="another view's"),
        pytest.param("catalog_product_entity_decimal", value(1, "weight", "1.0"), set(), id="attribute not mapped"),
        pytest.param(
            "newsletter_subscriber",
            {"subscriber_id": 1, "customer_id": 7, "subscriber_email": "ann@example.com", "subscriber_status": 1},
            {BOB, ANN},
            id="subscriber: by id and by email",
        ),
    ],
)
def test_other_rows_affect_the_object_they_belong_to(
    table: str, row: dict[str, Value], affected: set[ObjectRef]
) -> None:
    """One row, one object; rows that nothing is made of affect nothing."""
    assert set(shop().put(table, **row)) == affected


def test_reference_rows_are_swept() -> None:
    """A renamed group, website, store view or attribute goes through bulk invalidations, never object by object."""
    rows = shop_rows(store_view="de")
    products = BulkInvalidation(Kind.PRODUCT, "catalog_product_entity", "entity_id")

    renamed: dict[str, dict[str, Value]] = {
        "customer_group": {"customer_group_id": 0, "customer_group_code": "Guests"},
        "store_website": {"website_id": 1, "code": "main"},
        "store": {"store_id": 1, "code": "english"},
    }
    for table, row in renamed.items():
        affected = rows.put(table, **row)
        assert affected
        assert all(isinstance(invalidation, BulkInvalidation) and invalidation.column for invalidation in affected)
    assert products in rows.put("store", store_id=2, code="at")
    assert rows.put("eav_attribute", attribute_id=73, backend_type="text") == [products]
    assert rows.put("eav_attribute", attribute_id=82, backend_type="text") == []


def test_a_replayed_change_affects_all_it_bears_on() -> None:
    """Its image may equal the row held, or lack derived columns: then nothing can be ruled out by comparing."""
    rows = shop()
    for table, expected in (("sales_order", {DEAL, LINE, ANN}), ("sales_order_item", {DEAL, LINE})):
        held = rows.get(table, 1)
        assert held is not None
        image = {column: held[column] for column in held if column not in rows.specs[table].derived}

        assert set(rows.mapper.affected(table, image, held, rows)) == expected


def test_tables_that_nothing_is_made_of_affect_nothing() -> None:
    """A table kept only to carry cascades is asked about as well."""
    assert list(shop().mapper.affected("store_group", None, {"group_id": 1}, shop())) == []


def test_a_child_that_comes_before_another_bears_on_the_other_s_product() -> None:
    """A line refers to its first child's product: with another first child, the product of the second stands alone."""
    rows = shop_rows(
        {
            "sales_order": [order(1), order(2)],
            "sales_order_item": [
                item(1, product_type="configurable", product_id=10),
                item(2, order_id=2, parent_item_id=1, product_id=11),
                item(3, parent_item_id=1, product_id=12),
            ],
        }
    )

    assert ObjectRef(Kind.PRODUCT, 12) in rows.put("sales_order_item", item_id=2, order_id=1)
