"""CONTACT: customers and guests."""

from __future__ import annotations

import pytest

from cdc.model import Kind, ObjectRef, Value
from mappers.guests import guest_id
from tests.unit.mappers.shops import address, customer, exists, order, properties, rendered, shop_rows

ANN = str(guest_id("ann@example.com"))
HOME: dict[str, Value] = {
    "entity_id": 5, "parent_id": 7, "company": " Ray & Co ", "street": "2 Low Road\n\nUnit 4", "city": "York",
    "region": "Yorkshire", "postcode": "YO1 1AA", "country_id": "GB", "telephone": "+44 1904 000000",
}  # fmt: skip


def test_a_customer_has_every_default_property() -> None:
    """A customer with a default billing address and a subscription gives exactly these texts."""
    rows = shop_rows(
        {
            "customer_entity": [customer(default_billing=5)],
            "customer_address_entity": [HOME],
            "newsletter_subscriber": [{"subscriber_id": 1, "customer_id": 7, "subscriber_status": 1}],
        }
    )

    assert properties(rows, Kind.CUSTOMER, 7) == {
        "email": "bob@example.com",
        "firstname": "Bob",
        "lastname": "Ray",
        "phone": "+44 1904 000000",
        "company": "Ray & Co",
        "address": "2 Low Road, Unit 4",
        "city": "York",
        "state": "Yorkshire",
        "zip": "YO1 1AA",
        "country": "GB",
        "customer_group": "Wholesale",
        "website": "base",
        "created_at": "1767323045000",
        "date_of_birth": "1980-02-29",
        "newsletter": "subscribed",
    }
    assert rendered(rows, Kind.CUSTOMER, 7).references == ()


def test_a_customer_takes_columns_of_the_default_billing_address() -> None:
    """Empty without one, and for who stands on an order; changes of the address affect as those of any column."""
    offices = [{**HOME, "vat_id": "GB123"}, {**HOME, "entity_id": 6, "vat_id": "GB456"}]
    rows = shop_rows(
        {"customer_entity": [customer(default_billing=5)], "customer_address_entity": offices},
        contact={"billing_address": {"vat": "vat_id"}},
    )
    assert properties(rows, Kind.CUSTOMER, 7)["vat"] == "GB123"
    assert rows.put("customer_address_entity", entity_id=5, vat_id="GB789") == [ObjectRef(Kind.CUSTOMER, 7)]
    assert properties(rows, Kind.CUSTOMER, 7)["vat"] == "GB789"

    rows.put("customer_entity", entity_id=7, default_billing=None)
    assert properties(rows, Kind.CUSTOMER, 7)["vat"] == ""

    rows.put("sales_order", **order(customer_id=7))
    rows.remove("customer_entity", 7)
    assert properties(rows, Kind.CUSTOMER, 7)["vat"] == ""


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"default_billing": None}, id="none chosen"),
        pytest.param({"default_billing": 99}, id="it is gone (no foreign key)"),
        pytest.param({"default_billing": 6}, id="it is another customer's"),
    ],
)
def test_a_customer_without_a_default_billing_address_has_none(columns: dict[str, Value]) -> None:
    """Only the default billing address counts, and only the customer's own."""
    rows = shop_rows(
        {
            "customer_entity": [customer(**columns)],
            "customer_address_entity": [HOME, {**HOME, "entity_id": 6, "parent_id": 8}],
        }
    )

    found = properties(rows, Kind.CUSTOMER, 7)
    assert {found[name] for name in ("phone", "company", "address", "city", "state", "zip", "country")} == {""}


@pytest.mark.parametrize(
    ("subscribers", "expected"),
    [
        pytest.param([], "none", id="no row"),
        pytest.param([1], "subscribed", id="1"),
        pytest.param([2], "not_active", id="2"),
        pytest.param([3], "unsubscribed", id="3"),
        pytest.param([4], "unconfirmed", id="4"),
        pytest.param([0], "none", id="the column's default"),
        pytest.param([1, 3], "unsubscribed", id="several: the highest subscriber_id"),
    ],
)
def test_newsletter(subscribers: list[int], expected: str) -> None:
    """A customer's subscription is found by customer_id, a guest's by email."""
    theirs: list[dict[str, Value]] = [
        {"subscriber_id": n, "customer_id": 7, "subscriber_email": "Bob@example.com", "subscriber_status": status}
        for n, status in enumerate(subscribers, 1)
    ]
    guests: list[dict[str, Value]] = [
        {"subscriber_id": n, "customer_id": 0, "subscriber_email": " ANN@example.com", "subscriber_status": status}
        for n, status in enumerate(subscribers, 11)
    ]
    rows = shop_rows(
        {
            "customer_entity": [customer()],
            "sales_order": [order()],
            "newsletter_subscriber": [*theirs, *guests],
        }
    )

    assert properties(rows, Kind.CUSTOMER, 7)["newsletter"] == expected
    assert properties(rows, Kind.GUEST, ANN)["newsletter"] == expected


def test_a_subscribers_email_is_not_kept() -> None:
    """Only its hash is needed to find a guest's subscription."""
    subscriber: dict[str, Value] = {"subscriber_id": 1, "customer_id": 0, "subscriber_email": "ann@example.com"}
    rows = shop_rows({"newsletter_subscriber": [subscriber]})

    (row,) = rows.every("newsletter_subscriber")
    assert "subscriber_email" not in row
    assert row["guest_id"] == ANN


def test_a_guest_is_its_newest_order() -> None:
    """All of a guest's contact comes from the newest order: created_at first, then entity_id."""
    rows = shop_rows(
        {
            "sales_order": [
                order(3, created_at="2026-03-01 10:00:00", customer_firstname="Third", store_id=3),
                order(2, created_at="2026-03-02 10:00:00", customer_firstname="Second"),
                order(4, created_at="2026-03-01 10:00:00", customer_firstname="Fourth"),
            ],
            "sales_order_address": [address(1, parent_id=3), address(2, parent_id=2, lastname="Moor", city="Hull")],
        }
    )

    assert properties(rows, Kind.GUEST, ANN) == {
        "email": "ann@example.com",
        "firstname": "Second",
        "lastname": "Moor",  # the order says none
        "phone": "+44 113 496 0000",
        "company": "Lee Ltd",
        "address": "1 High Street, Flat 2",
        "city": "Hull",
        "state": "Yorkshire",
        "zip": "LS1 1AA",
        "country": "GB",
        "customer_group": "NOT LOGGED IN",
        "website": "base",
        "newsletter": "none",
    }
    rows.remove("sales_order", 2)
    assert properties(rows, Kind.GUEST, ANN)["firstname"] == "Fourth"
    rows.remove("sales_order", 4)
    assert properties(rows, Kind.GUEST, ANN)["website"] == "outlet"
    rows.remove("sales_order", 3)
    assert not exists(rows, Kind.GUEST, ANN)


def test_a_guest_who_registers_is_a_guest_no_more() -> None:
    """When the order gets a customer_id, the guest made of it goes and the customer has it."""
    rows = shop_rows({"sales_order": [order()]})
    assert exists(rows, Kind.GUEST, ANN)

    rows.put("sales_order", entity_id=1, customer_id=7, customer_is_guest=0)

    assert not exists(rows, Kind.GUEST, ANN)
    assert exists(rows, Kind.CUSTOMER, 7)


@pytest.mark.parametrize("setting", ["drop", "guest"])
def test_an_order_of_a_deleted_customer_follows_the_setting(setting: str) -> None:
    """customer_id NULL with customer_is_guest 0: no contact, or a guest; real guest orders stand."""
    rows = shop_rows(
        {"sales_order": [order(customer_is_guest=0, created_at="2026-05-01 00:00:00", customer_firstname="Gone")]},
        deleted_customers=setting,
    )
    assert exists(rows, Kind.GUEST, ANN) == (setting == "guest")

    rows.put("sales_order", **order(2, customer_firstname="Guest"))

    assert properties(rows, Kind.GUEST, ANN)["firstname"] == ("Gone" if setting == "guest" else "Guest")


def test_a_customer_without_a_row_stands_on_the_newest_order() -> None:
    """An order names a customer that is not held: email, names and billing address are that order's."""
    rows = shop_rows(
        {
            "sales_order": [
                order(1, customer_id=7, customer_is_guest=0, customer_email="Old@example.com"),
                order(
                    2, customer_id=7, customer_is_guest=0, customer_email="New@example.com", customer_group_id=1,
                    customer_firstname="Bob", customer_lastname="Ray",
                ),
            ],
            "sales_order_address": [address(1, parent_id=2)],
        }
    )  # fmt: skip

    found = properties(rows, Kind.CUSTOMER, 7)
    assert (found["email"], found["firstname"], found["city"]) == ("new@example.com", "Bob", "Leeds")
    assert (found["customer_group"], found["website"]) == ("General", "base")
    assert (found["created_at"], found["date_of_birth"]) == ("", "")
    rows.put("customer_entity", **customer(email="row@example.com"))
    assert properties(rows, Kind.CUSTOMER, 7)["email"] == "row@example.com"


def test_a_customer_exists_while_a_row_or_an_order_does() -> None:
    """With the last order goes a customer whose row is gone."""
    rows = shop_rows({"customer_entity": [customer()], "sales_order": [order(customer_id=7)]})
    rows.remove("customer_entity", 7)
    assert exists(rows, Kind.CUSTOMER, 7)

    rows.remove("sales_order", 1)

    assert not exists(rows, Kind.CUSTOMER, 7)


def test_two_customers_may_share_an_email() -> None:
    """Emails are unique per website only: two rows are two contacts."""
    rows = shop_rows({"customer_entity": [customer(7), customer(8, website_id=2)]})

    emails = {properties(rows, Kind.CUSTOMER, number)["email"] for number in (7, 8)}
    assert emails == {"bob@example.com"}
    assert properties(rows, Kind.CUSTOMER, 8)["website"] == "outlet"


def test_codes_of_stores_and_groups_that_are_gone_are_empty() -> None:
    """A deleted group, website or store leaves empty texts, no error."""
    rows = shop_rows(
        {
            "customer_entity": [customer(website_id=None, group_id=99)],
            "sales_order": [order(store_id=None, customer_group_id=99)],
        }
    )

    for kind, identity in ((Kind.CUSTOMER, 7), (Kind.GUEST, ANN)):
        found = properties(rows, kind, identity)
        assert (found["website"], found["customer_group"]) == ("", "")
    assert properties(rows, Kind.ORDER, 1)["store"] == ""


def test_dates_that_were_never_set_are_empty() -> None:
    """Zero dates of birth and creation are empty."""
    rows = shop_rows({"customer_entity": [customer(dob="0000-00-00", created_at="0000-00-00 00:00:00")]})

    found = properties(rows, Kind.CUSTOMER, 7)
    assert (found["date_of_birth"], found["created_at"]) == ("", "")
