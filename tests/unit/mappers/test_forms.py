"""Stored contact forms and newsletter subscribers: contacts of people without order or account."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import ConfigError
from cdc.model import BulkInvalidation, Kind, ObjectRef, Value
from mappers.guests import guest_id
from tests.kit.rows import DictRows
from tests.unit.mappers.shops import customer, exists, order, properties, shop_rows

ANN = str(guest_id("ann@example.com"))
GUEST = ObjectRef(Kind.GUEST, ANN)
HISTORY: dict[str, Any] = {
    "table": "vb_contact_us_history",
    "email": "email",
    "customer": "customer_id",
    "primary": ["note_id"],
    "properties": {"firstname": "contact_name", "phone": "phone", "last_message": "message"},
}
CUSTOM: dict[str, Any] = {
    "table": "am_customform_answer",
    "email": {"column": "response_json", "json": "$.mail.value"},
    "where": {"form_id": 3},
    "primary": ["answer_id"],
    "properties": {"last_message": {"column": "response_json", "json": "$.text.value"}},
}


def note(note_id: int = 1, **columns: Value) -> dict[str, Value]:
    """A row of the form with a column per field."""
    return {
        "note_id": note_id, "contact_name": "Ann", "email": "Ann@Example.com ", "phone": "0113 496 0000",
        "message": "Hello\x00 there", "customer_id": None, **columns,
    }  # fmt: skip


def a_shop(*forms: dict[str, Any], **tables: list[dict[str, Value]]) -> DictRows:
    """A shop with these forms."""
    return shop_rows(tables, contact_forms=forms or [HISTORY])


def test_a_form_makes_a_contact() -> None:
    """Known by the email; what is mapped of the row is all of it, control characters dropped."""
    rows = a_shop()

    assert rows.put(HISTORY["table"], **note()) == [GUEST]

    found = properties(rows, Kind.GUEST, ANN)
    assert {name: value for name, value in found.items() if value} == {
        "email": "ann@example.com", "firstname": "Ann", "phone": "0113 496 0000", "last_message": "Hello there",
        "newsletter": "none",
    }  # fmt: skip


def test_json_fields_are_told_apart_by_the_form() -> None:
    """Each form names its own fields; a row of another form is not kept."""
    rows = a_shop(CUSTOM)
    answer = '{"mail":{"value":"ann@example.com"},"text":{"value":"Hi"}}'

    assert rows.put(CUSTOM["table"], answer_id=1, form_id=4, response_json=answer) == []
    assert rows.every(CUSTOM["table"]) == []
    assert rows.put(CUSTOM["table"], answer_id=2, form_id=3, response_json=answer) == [GUEST]
    assert properties(rows, Kind.GUEST, ANN)["last_message"] == "Hi"


@pytest.mark.parametrize(
    "email", [None, "", "ann", "ann@", "a b@example.com", "<ann@example.com>", "x" * 250 + "@e.io"]
)
def test_what_is_no_address_makes_no_contact(email: Value) -> None:
    """HubSpot would refuse it; strangers can type anything."""
    rows = a_shop()

    assert rows.put(HISTORY["table"], **note(email=email)) == []
    assert rows.every(HISTORY["table"]) == []


def test_a_broken_json_makes_no_contact() -> None:
    """It names nobody."""
    assert a_shop(CUSTOM).put(CUSTOM["table"], answer_id=1, form_id=3, response_json='{"mail":') == []


def test_a_form_never_takes_the_place_of_what_an_order_says() -> None:
    """Anybody can type another's address: only what the order leaves empty is filled."""
    rows = a_shop(vb_contact_us_history=[note(contact_name="Mallory")])
    assert properties(rows, Kind.GUEST, ANN)["firstname"] == "Mallory"

    rows.put("sales_order", **order(customer_firstname="Ann"))

    found = properties(rows, Kind.GUEST, ANN)
    assert (found["firstname"], found["phone"], found["last_message"]) == ("Ann", "0113 496 0000", "Hello there")


def test_a_sender_with_an_account_is_that_customer() -> None:
    """The row names the account: no guest is made; 0 is nobody."""
    rows = a_shop(customer_entity=[customer(7, firstname="")])

    assert rows.put(HISTORY["table"], **note(customer_id=7)) == [ObjectRef(Kind.CUSTOMER, 7)]
    assert not exists(rows, Kind.GUEST, ANN)
    found = properties(rows, Kind.CUSTOMER, 7)
    assert (found["firstname"], found["lastname"], found["last_message"]) == ("Ann", "Ray", "Hello there")
    assert found["email"] == "bob@example.com"

    assert GUEST in rows.put(HISTORY["table"], note_id=1, customer_id=0)


def test_a_form_alone_makes_no_customer() -> None:
    """An account's contact exists with its row or an order, whatever a form says."""
    rows = a_shop(vb_contact_us_history=[note(customer_id=7)])

    assert not exists(rows, Kind.CUSTOMER, 7)


def test_of_several_messages_the_newest_counts() -> None:
    """The one with the highest key; of several forms the first that says something."""
    answer = '{"mail":{"value":"ann@example.com"},"text":{"value":"By the other form"}}'
    rows = a_shop(
        HISTORY,
        CUSTOM,
        vb_contact_us_history=[note(9, message="old"), note(10, message="new")],
        am_customform_answer=[{"answer_id": 1, "form_id": 3, "response_json": answer}],
    )
    assert properties(rows, Kind.GUEST, ANN)["last_message"] == "new"

    rows.put(HISTORY["table"], note_id=10, message="")
    assert properties(rows, Kind.GUEST, ANN)["last_message"] == "By the other form"


def test_an_answer_written_into_the_row_changes_nothing() -> None:
    """Only mapped columns are read: a status or an answer sends nothing."""
    rows = a_shop(vb_contact_us_history=[note()])

    assert "answer" not in rows.specs[HISTORY["table"]].columns
    assert rows.put(HISTORY["table"], **note()) == []


def test_a_message_that_goes_takes_the_contact_it_made() -> None:
    """What the shop forgets is forgotten, unless an order or another message still names the guest."""
    rows = a_shop(vb_contact_us_history=[note(1), note(2)])

    rows.remove(HISTORY["table"], 2)
    assert exists(rows, Kind.GUEST, ANN)
    assert rows.remove(HISTORY["table"], 1) == [GUEST]
    assert not exists(rows, Kind.GUEST, ANN)


def test_forms_are_part_of_everything() -> None:
    """A full render finds the contacts that only a form makes."""
    named_already = ("sales_order", "guest_id")
    assert (
        BulkInvalidation(Kind.GUEST, HISTORY["table"], "guest_id", unless=named_already) in a_shop().mapper.everything()
    )


def test_a_table_that_is_read_anyway_is_refused() -> None:
    """A fault of the settings."""
    with pytest.raises(ConfigError, match="sales_order is read anyway"):
        a_shop(HISTORY | {"table": "sales_order"})


SUBSCRIBER: dict[str, Value] = {
    "subscriber_id": 4, "store_id": 3, "customer_id": 0, "subscriber_email": "Ann@example.com", "subscriber_status": 1,
}  # fmt: skip


def test_subscribers_are_contacts_when_asked() -> None:
    """With email, website and newsletter; an account's subscription makes no guest."""
    rows = shop_rows(subscribers=True)

    assert GUEST in rows.put("newsletter_subscriber", **SUBSCRIBER)
    found = {name: value for name, value in properties(rows, Kind.GUEST, ANN).items() if value}
    assert found == {"email": "ann@example.com", "website": "outlet", "newsletter": "subscribed"}

    rows.put("newsletter_subscriber", subscriber_id=4, customer_id=7)
    assert not exists(rows, Kind.GUEST, ANN)


def test_subscribers_are_no_contacts_by_default() -> None:
    """And their addresses are not even kept."""
    rows = shop_rows()
    columns = {name: value for name, value in SUBSCRIBER.items() if name != "store_id"}
    rows.put("newsletter_subscriber", **columns)

    assert not exists(rows, Kind.GUEST, ANN)
    assert "subscriber_email" not in rows.every("newsletter_subscriber")[0]
