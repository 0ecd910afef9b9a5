"""What a customer is worth: numbers and sums of a contact's orders, and which changes of a row reach the contact."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cdc.model import Kind, ObjectRef, ObjectType, Value
from cdc.settings.mapping import MappingSettings
from mappers.customer_value import AMOUNT, GROUP
from mappers.customer_value_changes import FEW
from mappers.guests import guest_id
from mappers.mapping import MagentoMapping
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import REFERENCES, customer, item, properties, rendered, shop_rows
from tests.unit.mappers.shops import order as shop_order

BOB = ObjectRef(Kind.CUSTOMER, 7)
ANN = str(guest_id("ann@example.com"))
EMPTY = {
    "orders_count": "0", "orders_revenue": "0.00", "revenue_currency": "", "average_order_value": "",
    "first_order_at": "", "last_order_at": "", "last_order_number": "", "last_order_products": "",
}  # fmt: skip


def order(entity_id: int = 1, /, **columns: Value) -> dict[str, Value]:
    """Bob's order over 64.90 EUR."""
    base: dict[str, Value] = {
        "customer_id": 7, "customer_is_guest": 0, "customer_email": "bob@example.com", "base_currency_code": "EUR",
        "base_grand_total": "64.9000", "created_at": f"2026-03-{entity_id:02} 10:00:00",
    }  # fmt: skip
    return shop_order(entity_id, **{**base, **columns})


def guest_order(entity_id: int, /, **columns: Value) -> dict[str, Value]:
    """An order that Ann placed without an account."""
    guest: dict[str, Value] = {"customer_id": None, "customer_is_guest": 1, "customer_email": "ann@example.com"}
    return order(entity_id, **{**guest, **columns})


def shop(*orders: dict[str, Value], worth: dict[str, Any] | None = None, **settings: Any) -> DictRows:
    """Bob and these orders."""
    tables = {"customer_entity": [customer()], "sales_order": [*orders]}
    return shop_rows(tables, customer_value={"enabled": True, **(worth or {})}, **settings)


def worth_of(rows: DictRows, kind: Kind = Kind.CUSTOMER, identity: int | str = 7) -> dict[str, str]:
    """The contact's numbers and sums."""
    found = properties(rows, kind, identity)
    return {name: found[name] for name in found if name in {*EMPTY, "frequency_score", "monetary_score"}}


def test_a_contact_has_numbers_and_sums_of_its_orders() -> None:
    """All orders count; the last one gives its number and the names of its top-level lines."""
    rows = shop(order(1), order(2, base_grand_total="35.1250"), order(3, base_grand_total="0.0000"))
    rows.put("sales_order_item", **item(1, order_id=3, name="Mug"))
    rows.put("sales_order_item", **item(2, order_id=3, name="Mug M", parent_item_id=1))
    rows.put("sales_order_item", **item(3, order_id=3, name="Cap"))
    rows.put("sales_order_item", **item(4, order_id=2, name="Poster"))

    assert worth_of(rows) == {
        "orders_count": "3", "orders_revenue": "100.025", "revenue_currency": "EUR", "average_order_value": "33.34",
        "first_order_at": "1772359200000", "last_order_at": "1772532000000", "last_order_number": "000000003",
        "last_order_products": "Mug;Cap",
    }  # fmt: skip


def test_a_contact_without_orders_has_none() -> None:
    """The number is 0, so that a list of those who never bought can be made; the rest is empty."""
    assert worth_of(shop()) == EMPTY


def test_money_is_net_of_refunds_and_of_what_was_canceled() -> None:
    """A refund and a part that was canceled are taken off; a closed order stays an order."""
    rows = shop(
        order(1, base_total_refunded="4.9000"),
        order(2, base_total_canceled="14.9000"),
        order(3, state="closed", base_total_refunded="64.9000"),
    )

    assert worth_of(rows) | {"last_order_at": ""} == {
        **EMPTY, "orders_count": "3", "orders_revenue": "110.00", "revenue_currency": "EUR",
        "average_order_value": "36.67", "first_order_at": "1772359200000", "last_order_number": "000000003",
    }  # fmt: skip


def test_a_canceled_order_counts_nowhere() -> None:
    """Neither in numbers and sums nor as the first or the last order; an edit cancels the old order."""
    rows = shop(order(1, state="canceled"), order(2), order(3, state="canceled"))

    assert worth_of(rows)["orders_count"] == "1"
    assert worth_of(rows)["last_order_number"] == "000000002"
    assert worth_of(rows)["first_order_at"] == worth_of(rows)["last_order_at"]


def test_two_base_currencies_are_not_added_up() -> None:
    """A sum would mean nothing: it is left empty with a warning, until the settings choose a currency."""
    rows = shop(order(1), order(2, base_currency_code="USD", base_grand_total="9.0000"))
    found = worth_of(rows)
    assert (found["orders_count"], found["orders_revenue"], found["average_order_value"]) == ("2", "", "")
    [warning] = rendered(rows, Kind.CUSTOMER, 7).warnings
    assert "EUR, USD" in warning
    assert "mapping.customer_value.currency" in warning

    chosen = shop(order(1), order(2, base_currency_code="USD", base_grand_total="9.0000"), worth={"currency": "USD"})
    found = worth_of(chosen)
    assert (found["orders_revenue"], found["revenue_currency"], found["average_order_value"]) == ("9.00", "USD", "9.00")
    assert found["orders_count"] == "2"


@pytest.mark.parametrize("amount", ["free", None, "1" + "0" * 20])
def test_an_amount_that_is_no_number_leaves_the_sum_empty(amount: Value) -> None:
    """A sum without that order would be wrong and look right; the other properties are sent."""
    rows = shop(order(1), order(2, base_grand_total=amount))
    found = worth_of(rows)

    assert (found["orders_count"], found["orders_revenue"], found["last_order_number"]) == ("2", "", "000000002")
    assert "no number" in rendered(rows, Kind.CUSTOMER, 7).warnings[0]


def test_scores_follow_their_thresholds() -> None:
    """Each threshold that is reached adds one; without orders, or without a sum, there is no score."""
    worth = {"frequency": [2, 4], "monetary": [50, 65, 130]}
    scores = [
        [worth_of(shop(*orders, worth=worth))[name] for name in ("frequency_score", "monetary_score")]
        for orders in (
            [], [order(1)], [order(1), order(2, base_grand_total="0.1000")], [order(1), order(2)],
            [order(1), order(2, base_currency_code="USD")],
        )
    ]  # fmt: skip

    assert scores == [["", ""], ["1", "2"], ["2", "3"], ["2", "3"], ["2", ""]]


@pytest.mark.parametrize("thresholds", [[3, 2], [2, 2], [0]])
def test_thresholds_must_rise(thresholds: list[int]) -> None:
    """One that is not above the one before it would never decide anything."""
    with pytest.raises(ValidationError):
        MappingSettings.model_validate({"customer_value": {"frequency": thresholds}})


def test_names_of_the_last_order_are_bounded() -> None:
    """Of many products the first ones are named, each once."""
    rows = shop(order(1), worth={"last_order_names": 2})
    for number, name in enumerate(("Mug", "Mug", "Cap", "Poster"), 1):
        rows.put("sales_order_item", **item(number, name=name))

    assert worth_of(rows)["last_order_products"] == "Mug;Cap"


def test_a_guest_s_orders_are_the_guest_s() -> None:
    """They are told apart by address; deleted customers' orders count as the setting says."""
    deleted = guest_order(2, customer_is_guest=0)
    assert worth_of(shop(guest_order(1), deleted, order(3)), Kind.GUEST, ANN)["orders_count"] == "1"

    kept = shop(guest_order(1), deleted, deleted_customers="guest")
    assert worth_of(kept, Kind.GUEST, ANN)["orders_count"] == "2"


def test_a_shared_address_counts_all_its_accounts_and_its_guest() -> None:
    """With one contact per address, the contact has every order that refers to it, each once."""
    mapper = MagentoMapping(
        MappingSettings.model_validate({"customer_value": {"enabled": True}}), contacts_by_email=True
    )
    accounts = [customer(), customer(8, email="bob@example.com", website_id=2), customer(9, email="eve@example.com")]
    orders = [
        order(1), order(2, customer_id=8, customer_email="old@example.com"), order(3, customer_id=9),
        order(4, customer_id=77), order(5, customer_id=None, customer_is_guest=1),
    ]  # fmt: skip
    rows = DictRows(mapper, {**REFERENCES, "customer_entity": accounts, "sales_order": orders})

    assert worth_of(rows)["orders_count"] == "4"
    assert worth_of(rows, identity=9)["orders_count"] == "1"


def test_a_filter_leaves_orders_out() -> None:
    """Orders of a website that is left out, and test orders, count nowhere."""
    rules = [{"column": "status", "equals": "test"}]
    orders = (order(1), order(2, store_id=3), order(3, status="test"))
    rows = shop(*orders, filter={"websites": {"only": ["base"]}, "test_orders": rules})

    assert worth_of(rows)["orders_count"] == "1"


def test_nothing_is_read_or_sent_unless_it_is_asked_for() -> None:
    """Off, tables, columns, indexes, properties and affected objects are those of a mapping without the section."""
    off = MagentoMapping(MappingSettings())
    on = MagentoMapping(MappingSettings.model_validate({"customer_value": {"enabled": True}}))
    [before], [after] = ([spec for spec in made.tables if spec.name == "sales_order"] for made in (off, on))

    assert before.totals is None
    assert not {GROUP, AMOUNT, "base_grand_total"} & {*before.columns, *before.derived}
    assert {spec.name for spec in off.tables} == {spec.name for spec in on.tables}
    assert {*after.columns} - {*before.columns} == {
        "base_currency_code", "base_grand_total", "base_total_refunded", "base_total_canceled",
    }  # fmt: skip
    assert not [source.name for source in off.sources if "order" in source.name and source.object_type == "CONTACT"]
    assert ObjectType.CONTACT not in off.types_affected_by("sales_order_item")
    assert ObjectType.CONTACT in on.types_affected_by("sales_order_item")


def contacts(rows: DictRows, affected: Any) -> set[ObjectRef]:
    """The contacts among the affected objects."""
    return {ref for ref in rows.spread(affected) if ref.kind in (Kind.CUSTOMER, Kind.GUEST)}


@pytest.mark.parametrize(
    ("columns", "is_counted"),
    [
        ({"state": "processing", "status": "processing"}, False),
        ({"shipping_method": "other"}, False),
        ({"state": "canceled"}, True),
        ({"base_total_refunded": "1.0000"}, True),
        ({"increment_id": "7"}, True),
        ({"created_at": "2026-01-01 00:00:00"}, True),
    ],
)
def test_an_order_reaches_its_contact_only_if_a_counted_value_changed(
    columns: dict[str, Value], is_counted: bool
) -> None:
    """Paying and shipping an order change no number, so they cost no rendering of the contact."""
    rows = shop(order(1))

    assert contacts(rows, rows.put("sales_order", entity_id=1, **columns)) == ({BOB} if is_counted else set())


def test_a_canceled_order_that_changes_reaches_no_contact() -> None:
    """It counts neither before nor after."""
    rows = shop(order(1, state="canceled"))

    assert contacts(rows, rows.put("sales_order", entity_id=1, base_total_refunded="1.0000")) == set()


def test_an_order_that_moves_reaches_both_contacts() -> None:
    """A guest's order is taken over by an account."""
    rows = shop(guest_order(1))
    moved = rows.put("sales_order", entity_id=1, customer_id=7, customer_is_guest=0)

    assert contacts(rows, moved) == {BOB, ObjectRef(Kind.GUEST, ANN)}


@pytest.mark.parametrize(
    ("columns", "is_shown"), [({"name": "Jug"}, True), ({"product_id": 11}, True), ({"qty_shipped": "1.0000"}, False)]
)
def test_a_line_reaches_its_contact_only_if_it_shows(columns: dict[str, Value], is_shown: bool) -> None:
    """A line's name and product may be those of the last order; what was shipped of it shows nowhere."""
    rows = shop(order(1))
    rows.put("sales_order_item", **item(1))

    assert contacts(rows, rows.put("sales_order_item", item_id=1, **columns)) == ({BOB} if is_shown else set())


def test_categories_of_the_last_order_are_shown_with_those_of_products() -> None:
    """The present paths of the last order's products; a link reaches the buyers, many buyers in bulk."""
    rows = shop(order(1), product={"categories": True})
    rows.put("sales_order_item", **item(1))
    for category, parent in ((1, 0), (2, 1), (3, 2)):
        rows.put("catalog_category_entity", entity_id=category, parent_id=parent)
    value: dict[str, Value] = {"value_id": 1, "entity_id": 3, "attribute_id": 45, "store_id": 0, "value": "Tea"}
    rows.put("catalog_category_entity_varchar", **value)
    rows.put("customer_entity", **customer(8, email="eve@example.com"))

    linked = rows.put("catalog_category_product", entity_id=1, category_id=3, product_id=10)
    assert contacts(rows, linked) == {BOB}
    assert properties(rows, Kind.CUSTOMER, 7)["last_order_categories"] == "Tea"

    renamed = rows.put("catalog_category_entity_varchar", **{**value, "value": "Coffee"})
    assert BOB in contacts(rows, renamed)
    for number in range(2, FEW + 3):
        rows.put("sales_order_item", **item(number, order_id=99))
    assert ObjectRef(Kind.CUSTOMER, 8) in contacts(rows, rows.remove("catalog_category_product", 1, 3, 10))


# ----------------------------------------------------------------------------------------------- lifecycle stage

STAGE: dict[str, Any] = {"contact": {"lifecycle_stage": True}}


def stage_of(rows: DictRows) -> str | None:
    """Bob's lifecycle stage; None if the message has none."""
    return properties(rows, Kind.CUSTOMER, 7).get("lifecycle_stage")


@pytest.mark.parametrize(
    ("columns", "stage"),
    [
        ({"base_total_paid": None}, None),
        ({"base_total_paid": "0.0000"}, None),
        ({"base_total_paid": "1.0000"}, "customer"),
        ({"base_total_paid": "64.9000", "base_total_refunded": "64.9000", "state": "closed"}, "customer"),
        ({"base_total_paid": "64.9000", "state": "canceled"}, None),
        ({"base_total_paid": "free"}, None),
    ],
)
def test_the_first_paid_order_makes_a_customer(columns: dict[str, Value], stage: str | None) -> None:
    """Any money that was paid counts. Without it the property is left out, so that HubSpot's stage stays."""
    rows = shop_rows({"customer_entity": [customer()], "sales_order": [order(1, **columns)]}, **STAGE)

    assert stage_of(rows) == stage
    assert "orders_count" not in properties(rows, Kind.CUSTOMER, 7)


def test_a_stage_is_never_taken_back() -> None:
    """When the paid order goes, the message says nothing of the stage: neither an earlier one nor an empty one."""
    rows = shop_rows({"customer_entity": [customer()], "sales_order": [order(1, base_total_paid="1.0000")]}, **STAGE)
    assert stage_of(rows) == "customer"

    rows.remove("sales_order", 1)
    assert stage_of(rows) is None


def test_paying_an_order_reaches_its_contact_where_the_stage_is_asked_for() -> None:
    """The first payment does; what is paid later, and lines, do not."""
    rows = shop_rows({"customer_entity": [customer()], "sales_order": [order(1)]}, **STAGE)

    assert contacts(rows, rows.put("sales_order", entity_id=1, base_total_paid="1.0000")) == {BOB}
    assert contacts(rows, rows.put("sales_order", entity_id=1, base_total_paid="2.0000")) == set()
    assert contacts(rows, rows.put("sales_order_item", **item(1))) == set()
