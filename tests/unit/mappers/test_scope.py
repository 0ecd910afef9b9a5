"""What is in scope, one test for each rule: what comes and goes with which row, told as messages.

Through the real replica and mapping, with core's foreign keys: what a server cascades silently goes here too. Each rule
is a function of the rows alone; that the order of events does not matter is in ``test_interleavings.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.model import Message, ObjectType, Op, Value
from mappers.guests import guest_id
from tests.kit.replica_harness import ReplicaHarness, replica_harness
from tests.unit.mappers.shops import REFERENCES, address, customer, item, order

ANN, BOB = (f"guest-{guest_id(f'{name}@example.com')}" for name in ("ann", "bob"))
PRODUCT: dict[str, Value] = {"entity_id": 10, "sku": "MUG", "type_id": "simple", "created_at": "2026-01-01 00:00:00"}
ACCOUNT = customer(7)
BOUGHT: dict[str, Value] = {"customer_id": 7, "customer_is_guest": 0, "customer_email": "bob@example.com"}
ORPHANED = BOUGHT | {"customer_id": None}  # what SET NULL leaves
BARE: dict[str, Value] = {"product_id": None}


@pytest.fixture
def harness() -> Iterator[ReplicaHarness]:
    """A shop with its reference rows, on a server that cascades."""
    with replica_harness() as made:
        yield opened(made)


def opened(harness: ReplicaHarness) -> ReplicaHarness:
    """With a fresh install's reference rows."""
    for table, rows in REFERENCES.items():
        for row in rows:
            harness.insert(table, **row)
    return harness


def sent(harness: ReplicaHarness) -> dict[str, str]:
    """Object → action of what was sent since, in the order sent."""
    return {_name(message): str(message.action) for message in harness.sent()}


def contents(harness: ReplicaHarness) -> dict[str, Message]:
    """Object → message of what was sent since."""
    return {_name(message): message for message in harness.sent()}


def _name(message: Message) -> str:
    return message.external_id.removeprefix("magento-")


def comes_before(found: dict[str, str], *names: str) -> bool:
    """Whether these were sent in this order."""
    places = [list(found).index(name) for name in names]
    return places == sorted(places)


def contact_of(message: Message) -> list[str]:
    """Whom a deal refers to."""
    return [one.removeprefix("magento-") for one in message.associations.get(ObjectType.CONTACT, ())]


# ---------------------------------------------------------------------------------------------- customers


def test_a_customer_exists_while_its_row_does(harness: ReplicaHarness) -> None:
    """Without any order, too."""
    harness.insert("customer_entity", **ACCOUNT)
    assert sent(harness) == {"customer-7": "UPSERT"}

    harness.delete("customer_entity", ACCOUNT)
    assert sent(harness) == {"customer-7": "DELETE"}


def test_a_customer_without_a_row_exists_while_an_order_names_it(harness: ReplicaHarness) -> None:
    """The newest such order stands in; a row that comes takes over; with the last order goes the stand-in."""
    older, newer = order(1, **BOUGHT), order(2, **BOUGHT, customer_firstname="Rob", created_at="2026-04-01 00:00:00")
    harness.insert("sales_order", **newer)
    assert list(sent(harness)) == ["customer-7", "order-2"]
    harness.insert("sales_order", **older)
    assert list(sent(harness)) == ["order-1"], "an older one changes nothing"
    harness.insert("customer_entity", **ACCOUNT)
    assert contents(harness)["customer-7"].properties["firstname"] == "Bob"

    with replica_harness(keys=()) as bare:  # a server that deletes nothing along
        opened(bare)
        bare.insert("customer_entity", **ACCOUNT)
        bare.insert("sales_order", **older)
        bare.insert("sales_order", **newer)
        bare.sent()
        bare.delete("customer_entity", ACCOUNT)
        assert contents(bare)["customer-7"].properties["firstname"] == "Rob"
        bare.delete("sales_order", newer)
        assert sent(bare) == {"order-2": "DELETE", "customer-7": "UPSERT"}
        bare.delete("sales_order", older)
        assert sent(bare) == {"order-1": "DELETE", "customer-7": "DELETE"}


def test_a_deleted_customers_orders_stay_without_a_contact(harness: ReplicaHarness) -> None:
    """The server empties their customer_id without a word: the deals live on, linked to nobody."""
    harness.insert("customer_entity", **ACCOUNT)
    harness.insert("sales_order", **order(1, **BOUGHT))
    harness.sent()

    harness.delete("customer_entity", ACCOUNT)

    found = contents(harness)
    assert {name: str(message.action) for name, message in found.items()} == {
        "order-1": "UPSERT", "customer-7": "DELETE",
    }  # fmt: skip
    assert contact_of(found["order-1"]) == []


def test_a_deleted_customers_orders_may_be_a_guests() -> None:
    """``mapping.deleted_customers = "guest"``: the contact that the email makes is linked instead."""
    with replica_harness(deleted_customers="guest") as harness:
        opened(harness)
        harness.insert("customer_entity", **ACCOUNT)
        harness.insert("sales_order", **order(1, **BOUGHT))
        harness.sent()

        harness.delete("customer_entity", ACCOUNT)

        found = contents(harness)
        assert {name: str(message.action) for name, message in found.items()} == {
            BOB: "UPSERT", "order-1": "UPSERT", "customer-7": "DELETE",
        }  # fmt: skip
        assert contact_of(found["order-1"]) == [BOB]


def test_who_registers_again_is_another_contact(harness: ReplicaHarness) -> None:
    """A new row is a new id; the old one is not brought back."""
    harness.insert("customer_entity", **ACCOUNT)
    harness.delete("customer_entity", ACCOUNT)
    harness.sent()

    harness.insert("customer_entity", **customer(8))

    assert sent(harness) == {"customer-8": "UPSERT"}


# ------------------------------------------------------------------------------------------------- guests


def test_a_guest_exists_while_an_order_of_that_email_does(harness: ReplicaHarness) -> None:
    """Of several orders the newest tells who it is; when that goes the next one does; with the last goes the guest."""
    first, second = order(1, customer_firstname="Ann"), order(2, customer_firstname="Annie")
    other = order(3, customer_email="bob@example.com")
    for row in (first, second, other):
        harness.insert("sales_order", **row)
    assert contents(harness)[ANN].properties["firstname"] == "Annie"

    harness.delete("sales_order", second)
    found = contents(harness)
    assert (str(found["order-2"].action), found[ANN].properties["firstname"]) == ("DELETE", "Ann")
    harness.delete("sales_order", first)
    assert sent(harness) == {"order-1": "DELETE", ANN: "DELETE"}


def test_a_guest_moves_with_the_email_of_its_orders(harness: ReplicaHarness) -> None:
    """An order whose email is corrected makes another guest; the old one goes once no order is left to it."""
    first, second = order(1), order(2)
    harness.insert("sales_order", **first)
    harness.insert("sales_order", **second)
    harness.sent()

    harness.update("sales_order", first, customer_email="bob@example.com")
    found = contents(harness)
    assert found.keys() == {BOB, "order-1"}
    assert contact_of(found["order-1"]) == [BOB]
    harness.update("sales_order", second, customer_email="bob@example.com")
    assert sent(harness) == {"order-2": "UPSERT", ANN: "DELETE"}


def test_a_guest_who_registers_is_the_customer_from_then_on(harness: ReplicaHarness) -> None:
    """Orders that the account takes over leave the guest; one that it does not take over keeps him."""
    first, second = order(1), order(2)
    harness.insert("sales_order", **first)
    harness.insert("sales_order", **second)
    harness.insert("customer_entity", **customer(7, email="ann@example.com"))
    assert sent(harness).keys() == {ANN, "order-1", "order-2", "customer-7"}

    harness.update("sales_order", second, customer_id=7, customer_is_guest=0)
    found = contents(harness)
    assert contact_of(found["order-2"]) == ["customer-7"]
    assert found.keys() - {ANN} == {"order-2"}
    harness.update("sales_order", first, customer_id=7, customer_is_guest=0)
    assert sent(harness) == {"order-1": "UPSERT", ANN: "DELETE"}


def test_an_order_without_an_email_has_no_contact(harness: ReplicaHarness) -> None:
    """There is nobody to know by it; a deal it is all the same."""
    harness.insert("sales_order", **order(1, customer_email=None))

    found = contents(harness)
    assert found.keys() == {"order-1"}
    assert contact_of(found["order-1"]) == []


def test_a_subscriber_exists_while_its_row_or_an_order_does() -> None:
    """``mapping.subscribers = true``: a contact without order or account, who becomes a guest with the first order."""
    subscriber: dict[str, Value] = {
        "subscriber_id": 1, "customer_id": 0, "subscriber_email": "ann@example.com", "subscriber_status": 1,
    }  # fmt: skip
    with replica_harness(subscribers=True) as harness:
        opened(harness)
        harness.insert("newsletter_subscriber", **subscriber)
        assert sent(harness) == {ANN: "UPSERT"}
        harness.insert("sales_order", **order(1))
        assert sent(harness) == {ANN: "UPSERT", "order-1": "UPSERT"}
        harness.delete("newsletter_subscriber", subscriber)
        assert sent(harness) == {ANN: "UPSERT"}
        harness.delete("sales_order", order(1))
        assert sent(harness) == {"order-1": "DELETE", ANN: "DELETE"}


# ---------------------------------------------------------------------------------------- products, lines


def test_a_product_exists_while_its_row_does(harness: ReplicaHarness) -> None:
    """Sold or not."""
    harness.insert("catalog_product_entity", **PRODUCT)
    assert sent(harness) == {"product-10": "UPSERT"}

    harness.delete("catalog_product_entity", PRODUCT)
    assert sent(harness) == {"product-10": "DELETE"}


def test_a_deleted_product_exists_while_a_line_refers_to_it(harness: ReplicaHarness) -> None:
    """The line with the highest id stands in; the lines are not sent again; with the last line goes the product."""
    harness.insert("catalog_product_entity", **PRODUCT)
    for number, name in ((1, "Mug as first sold"), (2, "Mug as last sold")):
        harness.insert("sales_order", **order(number))
        harness.insert("sales_order_item", **item(number, order_id=number, name=name))
    harness.sent()

    harness.delete("catalog_product_entity", PRODUCT)
    [(name, stand_in)] = contents(harness).items()
    assert (name, stand_in.properties["name"]) == ("product-10", "Mug as last sold")
    harness.delete("sales_order", order(2))
    assert contents(harness)["product-10"].properties["name"] == "Mug as first sold"
    harness.delete("sales_order", order(1))
    assert sent(harness) == {"item-1": "DELETE", "order-1": "DELETE", "product-10": "DELETE", ANN: "DELETE"}


def test_a_product_whose_row_comes_after_its_lines_takes_over(harness: ReplicaHarness) -> None:
    """A log that begins in the middle: first the line stands in, then the row."""
    harness.insert("sales_order", **order(1))
    harness.insert("sales_order_item", **item(1))
    assert contents(harness)["product-10"].properties["sku"] == "MUG"

    harness.insert("catalog_product_entity", **PRODUCT | {"sku": "MUG-NEW"})

    [(name, taken_over)] = contents(harness).items()
    assert (name, taken_over.properties["sku"]) == ("product-10", "MUG-NEW")


def test_a_line_exists_with_its_own_row_and_its_orders(harness: ReplicaHarness) -> None:
    """A row of no order is nothing; a line that is taken out goes alone."""
    harness.insert("sales_order_item", **item(1) | BARE)
    assert sent(harness) == {}
    harness.insert("sales_order", **order(1))
    assert sent(harness).keys() == {ANN, "order-1", "item-1"}

    harness.delete("sales_order_item", item(1) | BARE)
    assert sent(harness) == {"item-1": "DELETE"}


def test_a_childs_row_is_no_line(harness: ReplicaHarness) -> None:
    """It belongs to its parent's, and goes without a DELETE of its own."""
    harness.insert("sales_order", **order(1))
    harness.insert("sales_order_item", **item(1, product_type="bundle") | BARE)
    harness.insert("sales_order_item", **item(2, parent_item_id=1) | BARE)
    assert sent(harness).keys() == {ANN, "order-1", "item-1"}

    harness.delete("sales_order_item", item(2, parent_item_id=1) | BARE)
    assert "item-2" not in sent(harness)


# -------------------------------------------------------------------------------------------- deals, links


def test_a_deal_exists_with_its_orders_row(harness: ReplicaHarness) -> None:
    """Cancelled or closed it stays; deleted it goes after its lines and before those who were there for it alone."""
    placed = order(1)
    harness.insert("sales_order", **placed)
    harness.insert("sales_order_item", **item(1))
    harness.sent()

    cancelled = harness.update("sales_order", placed, state="canceled", status="canceled")
    assert sent(harness) == {"order-1": "UPSERT"}
    harness.delete("sales_order", cancelled)
    found = sent(harness)
    assert found == dict.fromkeys(("item-1", "order-1", "product-10", ANN), "DELETE")
    assert comes_before(found, "item-1", "order-1", ANN)
    assert comes_before(found, "item-1", "product-10")


def test_with_an_order_go_its_customer_and_its_products(harness: ReplicaHarness) -> None:
    """What a message refers to exists, though no row of theirs was ever seen, and is sent before it."""
    harness.commit(
        harness.change("sales_order", Op.INSERT, None, order(1, **BOUGHT)),
        harness.change("sales_order_item", Op.INSERT, None, item(1)),
        harness.change("sales_order_address", Op.INSERT, None, address(1)),
    )

    found = sent(harness)
    assert found == dict.fromkeys(("customer-7", "product-10", "order-1", "item-1"), "UPSERT")
    assert comes_before(found, "customer-7", "order-1", "item-1")
    assert comes_before(found, "product-10", "item-1")


def test_what_goes_before_it_was_sent_is_never_spoken_of(harness: ReplicaHarness) -> None:
    """Neither within a transaction nor between two sendings: no DELETE of what nobody knows."""
    row = customer(8)
    harness.commit(
        harness.change("customer_entity", Op.INSERT, None, row), harness.change("customer_entity", Op.DELETE, row, None)
    )
    harness.insert("customer_entity", **ACCOUNT)
    harness.delete("customer_entity", ACCOUNT)

    assert sent(harness) == {}


def test_what_comes_back_clears_what_it_had(harness: ReplicaHarness) -> None:
    """Its row again under the same id: what HubSpot held before the deletion and is empty now is emptied."""
    harness.insert("sales_order", **order(1, coupon_code="TEN"))
    harness.sent()
    harness.delete("sales_order", order(1, coupon_code="TEN"))
    assert sent(harness) == {"order-1": "DELETE", ANN: "DELETE"}

    harness.insert("sales_order", **order(1))

    assert contents(harness)["order-1"].properties["coupon_code"] == ""
