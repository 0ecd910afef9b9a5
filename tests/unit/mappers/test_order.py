"""DEAL."""

from __future__ import annotations

import pytest

from cdc.model import Kind, ObjectRef, Value
from cdc.settings.mapping import MappingSettings
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import REFERENCES, address, exists, item, order, properties, rendered, shop_rows

APART = '{"product_calculations":0,"shipment_type":1}'
TOGETHER = '{"product_calculations":1,"shipment_type":0}'


def test_a_deal_has_every_default_property() -> None:
    """A paid, shipped order with everything on it gives exactly these texts."""
    rows = shop_rows(
        {
            "sales_order": [
                order(
                    state="complete", status="complete", coupon_code="SPRING", grand_total="58.4100",
                    total_refunded="8.4000", discount_amount="-6.4900", customer_id=7, customer_is_guest=0,
                )
            ],
            "sales_order_payment": [{"entity_id": 1, "parent_id": 1, "method": "checkmo"}],
            "sales_invoice": [{"entity_id": 1, "order_id": 1, "state": 2, "created_at": "2026-03-02 08:00:00"}],
            "sales_shipment_track": [
                {"entity_id": 2, "order_id": 1, "track_number": "TRACK-2"},
                {"entity_id": 1, "order_id": 1, "track_number": " TRACK-1 "},
                {"entity_id": 3, "order_id": 1, "track_number": None},
            ],
            "sales_order_item": [item(qty_shipped="2.0000")],
        }
    )  # fmt: skip

    assert properties(rows, Kind.ORDER, 1) == {
        "name": "#000000001",
        "amount": "50.01",
        "currency": "EUR",
        "stage": "shipped",
        "order_number": "000000001",
        "created_at": "1772359200000",
        "closed_at": "1772438400000",
        "tax_amount": "10.36",
        "discount_amount": "6.49",
        "shipping_amount": "5.00",
        "coupon_code": "SPRING",
        "payment_method": "checkmo",
        "shipping_method": "flatrate_flatrate",
        "tracking_numbers": "TRACK-1, TRACK-2",
        "store": "default",
        "state": "complete",
        "status": "complete",
        "on_hold": "false",
        "partially_shipped": "false",
        "replaced_by": "",
        "replaces": "",
    }
    assert rendered(rows, Kind.ORDER, 1).references == (ObjectRef(Kind.CUSTOMER, 7),)


def test_a_deal_exists_with_its_order_alone() -> None:
    """An order without addresses, items, payment, store or number is a deal; what the shop does not say is empty."""
    bare: dict[str, Value] = {"entity_id": 1, "state": "new"}
    found = properties(shop_rows({"sales_order": [bare]}), Kind.ORDER, 1)

    empty = {name for name, text in found.items() if text == ""}
    assert found.keys() - empty == {"stage", "state", "on_hold", "partially_shipped"}
    assert not exists(shop_rows(), Kind.ORDER, 1)


@pytest.mark.parametrize(
    ("columns", "settings", "contact"),
    [
        pytest.param({}, {}, ObjectRef(Kind.GUEST, str(guest_id("ann@example.com"))), id="guest"),
        pytest.param({"customer_id": 7}, {}, ObjectRef(Kind.CUSTOMER, 7), id="customer"),
        pytest.param({"customer_is_guest": 0}, {}, None, id="deleted customer"),
        pytest.param(
            {"customer_is_guest": 0},
            {"deleted_customers": "guest"},
            ObjectRef(Kind.GUEST, str(guest_id("ann@example.com"))),
            id="deleted customer as guest",
        ),
        pytest.param({"customer_email": None}, {}, None, id="guest without email"),
    ],
)
def test_a_deal_refers_to_its_contact(
    columns: dict[str, Value], settings: dict[str, str], contact: ObjectRef | None
) -> None:
    """A deal keeps living without a contact when its customer was deleted or it has no email."""
    made = rendered(shop_rows({"sales_order": [order(**columns)]}, **settings), Kind.ORDER, 1)

    assert made.references == ((contact,) if contact else ())


def test_a_held_order_keeps_its_stage_and_says_so() -> None:
    """on_hold is true, the stage that of hold_before_state."""
    held = order(state="holded", status="holded", hold_before_state="processing", hold_before_status="processing")
    found = properties(shop_rows({"sales_order": [held]}), Kind.ORDER, 1)

    assert (found["on_hold"], found["stage"], found["state"]) == ("true", "processed", "holded")


def test_stage_overrides_come_from_the_settings_and_unknown_states_warn() -> None:
    """mapping.stages is used; a state that nobody knows is a warning, not a failure."""
    rows = shop_rows(
        {"sales_order": [order(1, state="made_up"), order(2, status="pending")]}, stages={"pending": "processed"}
    )

    assert rendered(rows, Kind.ORDER, 1).properties["stage"] == "processed"  # by its status
    rows.put("sales_order", entity_id=1, status="made_up")
    made = rendered(rows, Kind.ORDER, 1)
    assert made.properties["stage"] == "checkout_completed"
    assert len(made.warnings) == 1
    assert not rendered(rows, Kind.ORDER, 2).warnings


@pytest.mark.parametrize(
    ("invoices", "closed_at"),
    [
        pytest.param([], "", id="not paid"),
        pytest.param([(1, "2026-03-02 00:00:00"), (3, "2026-03-03 00:00:00")], "", id="open and canceled do not count"),
        pytest.param([(2, "2026-03-05 00:00:00"), (2, "2026-03-02 00:00:00")], "1772409600000", id="earliest"),
        pytest.param([(2, "0000-00-00 00:00:00"), (2, "2026-03-02 00:00:00")], "1772409600000", id="zero date"),
    ],
)
def test_a_deal_closes_with_its_first_paid_invoice(invoices: list[tuple[int, str]], closed_at: str) -> None:
    """closed_at is created_at of the earliest invoice with state 2."""
    paid: list[dict[str, Value]] = [
        {"entity_id": number, "order_id": 1, "state": state, "created_at": at}
        for number, (state, at) in enumerate(invoices)
    ]
    rows = shop_rows({"sales_order": [order()], "sales_invoice": paid})

    assert properties(rows, Kind.ORDER, 1)["closed_at"] == closed_at


def bundle(options: str, shipped: str, *children: str) -> list[dict[str, Value]]:
    """A bundle line of one, and a child line of two per shipped quantity given."""
    parent = item(1, product_type="bundle", product_options=options, qty_ordered="1.0000", qty_shipped=shipped)
    parts = (
        item(number, parent_item_id=1, product_options=options, qty_shipped=part)
        for number, part in enumerate(children, 2)
    )
    return [parent, *parts]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([item()], False, id="nothing shipped"),
        pytest.param([item(qty_shipped="1.0000")], True, id="one of two"),
        pytest.param([item(qty_shipped="2.0000")], False, id="all"),
        pytest.param([item(1, qty_shipped="2.0000"), item(2)], True, id="one line of two"),
        pytest.param([item(1, qty_shipped="2.0000"), item(2, is_virtual=1)], False, id="virtual does not ship"),
        pytest.param(
            [item(1, qty_shipped="2.0000"), item(2, product_type="downloadable")], False, id="downloadable neither"
        ),
        pytest.param([item(qty_shipped="1.0000", qty_canceled="1.0000")], False, id="the rest was canceled"),
        pytest.param([item(1, qty_shipped="2.0000"), item(2, qty_refunded="2.0000")], False, id="other line refunded"),
        pytest.param([item(qty_shipped="2.0000", qty_refunded="1.0000")], False, id="what shipped came back"),
        pytest.param([item(qty_ordered="0.5000", qty_shipped="0.2500")], True, id="parts of a piece"),
        pytest.param(bundle(TOGETHER, "1.0000", "0.0000"), False, id="bundle together: the parent counts"),
        pytest.param(bundle(APART, "0.0000", "2.0000", "0.0000"), True, id="bundle apart: the children count"),
        pytest.param(bundle(APART, "0.0000", "2.0000", "2.0000"), False, id="bundle apart: all children"),
        pytest.param(bundle(APART, "1.0000", "0.0000"), False, id="bundle apart: the parent's own does not count"),
        pytest.param(
            [
                item(1, product_type="configurable", product_options=TOGETHER, qty_shipped="1.0000"),
                item(2, parent_item_id=1, product_id=11),
            ],
            True,
            id="configurable: the parent counts",
        ),
    ],
)
def test_partially_shipped(items: list[dict[str, Value]], expected: bool) -> None:
    """True when some but not all of the shippable quantity of the lines has shipped."""
    rows = shop_rows({"sales_order": [order(state="processing")], "sales_order_item": items})

    assert properties(rows, Kind.ORDER, 1)["partially_shipped"] == ("true" if expected else "false")


def test_an_ended_order_is_not_partially_shipped() -> None:
    """Nothing of a canceled or closed order ships any more."""
    for state in ("canceled", "closed"):
        rows = shop_rows({"sales_order": [order(state=state)], "sales_order_item": [item(qty_shipped="1.0000")]})

        assert properties(rows, Kind.ORDER, 1)["partially_shipped"] == "false"


def test_order_numbers_repeat_per_store() -> None:
    """increment_id is unique per store only: two orders with one number are two deals."""
    rows = shop_rows({"sales_order": [order(1, increment_id="A-1"), order(2, increment_id="A-1", store_id=3)]})

    assert properties(rows, Kind.ORDER, 1)["store"] == "default"
    assert properties(rows, Kind.ORDER, 2)["store"] == "outlet_en"
    assert properties(rows, Kind.ORDER, 2)["name"] == "#A-1"


def test_only_billing_addresses_are_kept() -> None:
    """A shipping address says nothing that is sent: the replica does not hold it."""
    rows = shop_rows({"sales_order_address": [address(1), address(2, address_type="shipping")]})

    assert [row["entity_id"] for row in rows.every("sales_order_address")] == [1]


def test_amounts_in_the_base_currency() -> None:
    """Of the order, its lines and what stands in for a product; the order currency's columns are not even read."""
    base: dict[str, Value] = {
        "base_currency_code": "USD", "base_grand_total": "100.0000", "base_total_refunded": "40.0000",
        "base_tax_amount": "5.0000", "base_discount_amount": "-3.0000", "base_shipping_amount": "7.0000",
    }  # fmt: skip
    paid: dict[str, Value] = {
        "base_price": "11.0000", "base_row_total": "22.0000", "base_tax_amount": "1.0000", "base_discount_amount": "2",
    }  # fmt: skip
    mapper = MagentoMapping(MappingSettings(currency="base"))
    specs = {spec.name: spec.columns for spec in mapper.tables}
    tables = {"sales_order": order(**base), "sales_order_item": item(**paid)}
    kept = {name: [{c: v for c, v in row.items() if c in specs[name]}] for name, row in tables.items()}
    rows = DictRows(mapper, {**REFERENCES, **kept})

    deal, line = properties(rows, Kind.ORDER, 1), properties(rows, Kind.ITEM, 1)

    names = ("currency", "amount", "tax_amount", "discount_amount")
    assert [deal[name] for name in (*names, "shipping_amount")] == ["USD", "60.00", "5.00", "3.00", "7.00"]
    assert [line[name] for name in (*names, "price")] == ["USD", "22.00", "1.00", "2.00", "11.00"]
    assert properties(rows, Kind.PRODUCT, 10)["price"] == "11.00"
    assert "grand_total" not in specs["sales_order"]


def test_an_edited_order_says_what_replaced_it() -> None:
    """By number, both ways; Magento has cancelled the old one by then."""
    old = order(1, state="canceled", relation_child_real_id="000000001-1")
    rows = shop_rows({"sales_order": [old, order(2, relation_parent_real_id="000000001")]})

    assert [properties(rows, Kind.ORDER, 1)[name] for name in ("replaced_by", "replaces")] == ["000000001-1", ""]
    assert [properties(rows, Kind.ORDER, 2)[name] for name in ("replaced_by", "replaces")] == ["", "000000001"]
