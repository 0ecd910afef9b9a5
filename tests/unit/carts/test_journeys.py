"""A cart and the order made of it are never on the wire together, and the cart's deletion comes last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdc.delivery.circuit_breaker import CircuitBreaker
from cdc.messages import outbox
from cdc.messages.outbox import Entry
from cdc.messages.receipts import Settlement, settle
from cdc.messages.selection import Limits, note_on_wire, ready
from cdc.model import Action, Kind, ObjectRef, Outcome, Urgency
from cdc.settings.config import DeliverySettings
from sinks.jsonl import OPTIONAL_REFERENCES
from tests.kit.replica_harness import replica_harness
from tests.unit.carts.shop import EVE, CartShop, cart_shop, line

CART, ORDER = ObjectRef(Kind.CART, 17), ObjectRef(Kind.ORDER, 42)
CONTACTS, DEALS = 0, 1


@pytest.fixture
def shop() -> Iterator[CartShop]:
    """A shop with an abandoned cart whose contact is accepted, and whose deal waits to be sent."""
    with cart_shop() as made:
        made.fill()
        made.wait(61)
        answer(made, take(made, CONTACTS))
        yield made


def take(shop: CartShop, rank: int = DEALS, in_flight: frozenset[ObjectRef] = frozenset()) -> list[Entry]:
    """What a lane would send now, marked as sent."""
    store = shop.engine.store
    limits = Limits(100, 1 << 20, skip=in_flight, optional=OPTIONAL_REFERENCES)
    with store.transaction():
        entries = ready(store, rank, 1 << 50, Urgency.LIVE, limits).entries
        note_on_wire(store, entries)
    return entries


def answer(shop: CartShop, entries: list[Entry], outcome: Outcome = Outcome.ACCEPTED, record_id: str = "") -> None:
    """The receiver's answer to these messages."""
    with shop.engine.store.transaction():
        found = [Settlement(entry, outcome, retry_at_ms=1, record_id=record_id) for entry in entries]
        settle(shop.engine.store, found, 0)


def test_an_order_waits_while_its_cart_is_on_the_wire(shop: CartShop) -> None:
    """The cart's record may come into being any moment; then the order takes it over."""
    [sent] = take(shop)
    assert sent.ref == CART
    shop.order()
    answer(shop, take(shop, CONTACTS))
    assert take(shop, in_flight=frozenset({CART})) == []
    answer(shop, [sent], record_id="901")

    [order] = take(shop)
    assert (order.ref, order.predecessor, order.record_ids[CART]) == (ORDER, CART, "901")
    assert [one.kind for one in order.linked] == [Kind.GUEST]


def test_a_cart_is_deleted_only_after_its_order_is_there(shop: CartShop) -> None:
    """Until then it is the purchase's only record; a refused order still leaves it."""
    answer(shop, take(shop), record_id="901")
    shop.order()
    answer(shop, take(shop, CONTACTS))
    [order] = take(shop)
    assert order.ref == ORDER
    assert take(shop, in_flight=frozenset({ORDER})) == []
    answer(shop, [order], Outcome.RETRY)
    assert CART not in [entry.ref for entry in take(shop, in_flight=frozenset({ORDER}))]
    answer(shop, [order], record_id="901")

    [gone] = take(shop)
    assert (gone.ref, gone.action) == (CART, Action.DELETE)


def test_a_cart_that_was_never_sent_is_no_predecessor(shop: CartShop) -> None:
    """Then nothing is looked for, and no deletion is sent."""
    shop.order()
    answer(shop, take(shop, CONTACTS))

    [order] = take(shop)
    assert (order.ref, order.predecessor) == (ORDER, None)
    assert not outbox.is_pending(shop.engine.store, CART)


def test_an_order_waits_for_a_cart_that_is_still_to_be_sent(shop: CartShop) -> None:
    """The order's rows may be rendered before its cart's; what waits of the cart is replaced then."""
    shop.order()
    answer(shop, take(shop, CONTACTS))
    store = shop.engine.store
    with store.transaction():  # as between the two renderings: the cart's message has not been taken back yet
        entry = outbox.NewMessage(CART, Action.UPSERT, 1, b"x", "{}", "", Urgency.LIVE, 1, 1, 1, "", address=b"cart:17")
        outbox.put(store, entry)

    assert [entry.ref for entry in take(shop)] == [CART]


def test_deletions_of_carts_trip_no_circuit_breaker(shop: CartShop) -> None:
    """A nightly job deletes hundreds of carts in one go, and every order deletes one."""
    answer(shop, take(shop))
    shop.harness.delete("quote_item", line())
    store = shop.engine.store

    assert outbox.deletes_rendered_since(store, -1, 10) == 0
    held = Limits(100, 1 << 20, holds_deletes=lambda: True, optional=OPTIONAL_REFERENCES)
    with store.transaction():
        assert [entry.ref for entry in ready(store, DEALS, 1 << 50, Urgency.LIVE, held).entries] == [CART]
        breaker = CircuitBreaker(DeliverySettings(max_deletes_per_hour=0))
        assert not breaker.holds_deletes(store, 1 << 50)
    answer(shop, [gone for gone in take(shop) if gone.ref == CART])
    with store.transaction():
        [guest] = ready(store, CONTACTS, 1 << 50, Urgency.LIVE, held).entries
        assert (guest.ref.kind, guest.action) == (Kind.GUEST, Action.DELETE)
        breaker.count_deletes(store, [guest], 1 << 50)
        assert not store.meta.delete_breaker["sent"]


@pytest.mark.parametrize("also", ["newsletter_subscriber", "sales_order"])
def test_a_contact_that_more_than_a_cart_made_counts(also: str) -> None:
    """A subscription or an order that goes is no everyday matter, whatever the contact began with."""
    with replica_harness(contacts_by_email=True, subscribers=True, carts={"enabled": True}) as harness:
        shop = CartShop(harness)
        shop.fill()
        shop.wait(61)
        shop.sent()
        if also == "sales_order":
            row, gone = shop.order(), also
        else:
            row, gone = {"subscriber_id": 1, "store_id": 1, "subscriber_email": EVE, "subscriber_status": 1}, also
            shop.harness.insert(also, **row)
            shop.harness.delete("quote_item", line())
        shop.sent()
        shop.harness.delete(gone, row)

        assert outbox.deletes_rendered_since(shop.engine.store, -1, 10) >= 1
        kinds = shop.engine.store.db.execute("SELECT kind FROM outbox WHERE action = 'DELETE' AND is_counted = 1")
        assert "guest" in [kind for (kind,) in kinds]
