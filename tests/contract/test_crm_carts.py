"""A cart's deal becomes its order's deal: one record per purchase, whatever is lost or cut on the way."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.messages import journeys
from cdc.model import Kind, ObjectRef, ObjectType, Reference, Rendered, parse_external_id
from tests.kit.crm import Bench, bench, cart, contact, deal, deletion, message, ref
from tests.kit.crm_shop import RANKS, SmallDelivery, SmallShop, guest_key
from tests.kit.example_count import example_count

CONTACT, DEAL, CART_TYPE = ObjectType.CONTACT, ObjectType.DEAL, ObjectType.CART
CART = "magento-cart-17"
LEFT = {"name": "Cart 17", "amount": "23.80", "currency": "EUR", "stage": "checkout_abandoned"}
ADDRESSES = st.sampled_from([f"{name}@example.com" for name in ("ann", "bob")])


# ------------------------------------------------------------------------------------------------ one by one


async def test_the_order_gets_the_cart_deal_with_its_id_and_its_history() -> None:
    """Key, stage and values are the order's; nothing of the cart stays on it; the cart's DELETE changes nothing."""
    async with bench(mapping={"carts": {"enabled": True}}) as crm:
        [guest] = await crm.accept(contact(1))
        sent = message(
            DEAL, CART, LEFT | {"cart_url": "https://shop.example.com/?c=17"}, references=(ref(guest, CONTACT),)
        )
        [left] = await crm.accept(sent)
        assert crm.record(DEAL, CART).properties["magento_cart_url"]
        crm.calls()
        order = deal(42, ref(guest, CONTACT), predecessor=Reference(DEAL, CART, left.record_id))
        [taken] = await crm.accept(replace(order, linked=sent.references))
        assert taken.record_id == left.record_id
        held = crm.record(DEAL, order.external_id).properties
        assert (held["magento_stage"], held["dealname"]) == ("processed", "#000000042")
        assert not held.get("magento_cart_url")
        assert crm.linked(DEAL, taken.record_id, CONTACT) == [guest.record_id]
        [gone] = await crm.accept(deletion(sent, record_id=left.record_id, was_accepted=True))
        assert not gone.record_id
        assert crm.keys(DEAL) == [order.external_id]


async def test_the_order_of_another_buyer_takes_the_deal_and_leaves_the_first_contact() -> None:
    """Who typed one address into the cart and another one into the order has one deal, on the second contact."""
    async with bench() as crm:
        first, second = await crm.accept(contact(1), contact(2))
        before = ref(first, CONTACT)
        [left] = await crm.accept(message(DEAL, CART, LEFT, references=(before,)))
        order = deal(42, ref(second, CONTACT), predecessor=Reference(DEAL, CART, left.record_id), linked=(before,))
        [taken] = await crm.accept(order)
        assert crm.linked(DEAL, taken.record_id, CONTACT) == [second.record_id]


async def test_a_cart_deal_that_people_deleted_is_not_missed() -> None:
    """The order gets a deal of its own."""
    async with bench() as crm:
        [left] = await crm.accept(message(DEAL, CART, LEFT))
        crm.crm.people.delete(DEAL, left.record_id)
        [made] = await crm.accept(deal(42, predecessor=Reference(DEAL, CART, left.record_id)))
        assert made.record_id != left.record_id
        assert crm.keys(DEAL) == ["magento-order-42"]


async def test_an_order_whose_cart_was_never_answered_finds_its_deal_by_key() -> None:
    """The answer that had the record's id was lost."""
    async with bench() as crm:
        [left] = await crm.accept(message(DEAL, CART, LEFT))
        [taken] = await crm.accept(deal(42, predecessor=Reference(DEAL, CART)))
        assert taken.record_id == left.record_id


@pytest.mark.parametrize(
    ("policy", "left"), [("archive", []), ("cancel", ["cancelled"]), ("keep", ["checkout_abandoned"])]
)
async def test_a_cart_without_an_order_goes_by_its_own_setting(policy: str, left: list[str]) -> None:
    """An order that is deleted goes by the setting for deals."""
    async with bench(on_delete={"cart": policy, "deal": "archive"}) as crm:
        sent, order = message(DEAL, CART, LEFT), deal(42)
        held, placed = await crm.accept(sent, order)
        await crm.accept(deletion(sent, record_id=held.record_id), deletion(order, record_id=placed.record_id))
        live = crm.crm.account.records.live[DEAL].values()
        assert [one.properties["magento_stage"] for one in live] == left


# ------------------------------------------------------------------------------------------- drawn by lot


@dataclass
class CartShop(SmallShop):
    """A shop with carts. ``carts``: number → address of the carts that are open; ``ordered``: order → its cart."""

    carts: dict[int, str] = field(default_factory=dict)
    ordered: dict[int, int] = field(default_factory=dict)
    born: int = 0
    gone: int = 0
    """How many carts ended without an order."""

    def objects(self) -> Iterator[tuple[ObjectRef, Rendered]]:
        """Every object as the mapper would render it, contacts first."""
        for key, rendered in super().objects():
            began = self.ordered.get(int(key.id)) if key.kind is Kind.ORDER else None
            yield key, replace(rendered, journey=ObjectRef(Kind.CART, began)) if began else rendered
        for number, address in self.carts.items():
            itself = ObjectRef(Kind.CART, number)
            made = message(DEAL, f"magento-cart-{number}", LEFT | {"amount": str(self.amounts.get(-number, 1))})
            buyer = parse_external_id(self.stands_for(address) or guest_key(address), "magento")
            yield itself, Rendered(made.properties, (buyer,), journey=itself)
            sent = cart(number, amount=str(self.amounts.get(-number, 1)))
            yield ObjectRef(Kind.CART_OBJECT, number), Rendered(sent.properties, (buyer, itself))
        for order, number in self.ordered.items():
            buyer = parse_external_id(self.buyer(order), "magento")
            done = Rendered({"name": f"Cart {number}", "status": "completed"}, (buyer, ObjectRef(Kind.ORDER, order)))
            yield ObjectRef(Kind.CART_OBJECT, number), done


STEPS = st.one_of(
    st.tuples(st.just("cart is left"), ADDRESSES),
    st.tuples(st.just("cart changes"), st.integers(1, 4)),
    st.tuples(st.just("cart is ordered"), st.integers(1, 4), ADDRESSES),
    st.tuples(st.just("cart is ordered"), st.integers(1, 4), ADDRESSES),
    st.tuples(st.just("cart goes"), st.integers(1, 4)),
    st.tuples(st.just("order without a cart"), ADDRESSES),
    st.tuples(st.just("is rendered")),
    st.tuples(st.just("is sent"), st.sampled_from(RANKS), st.booleans()),
    st.tuples(st.just("is sent"), st.just(2), st.booleans()),
    st.tuples(st.just("answers come")),
    st.tuples(st.just("is delivered"), st.booleans()),
    st.tuples(st.just("answer is cut"), st.sampled_from(["before", "after"]), st.integers(1, 3)),
)


@given(st.lists(STEPS, max_size=30))
@settings(max_examples=example_count(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_a_purchase_has_one_deal_whatever_happens(steps: list[tuple[object, ...]]) -> None:
    """Carts that are left, changed, ordered and cleaned away, cut answers and answers written down late: in the end
    each order and each open cart has one record, and there are no others.
    """
    with tempfile.TemporaryDirectory() as folder:
        async with bench(mapping={"carts": {"enabled": True, "as": "both"}}) as crm:
            shop = CartShop()
            delivery = SmallDelivery(crm, shop, Path(folder))
            await delivery.play(steps, partial(_do, shop=shop, delivery=delivery, crm=crm))
            wanted = [f"magento-order-{number}" for number in shop.orders]
            wanted += [f"magento-cart-{number}" for number in shop.carts]
            assert crm.keys(DEAL) == sorted(wanted)
            # What an order began with is never thrown away: it is the order's record now.
            assert len(crm.crm.account.records.bin[DEAL]) <= shop.gone
            carts = {number: f"magento-cart-{number}" for number in shop.carts}
            carts |= {number: f"magento-order-{order}" for order, number in shop.ordered.items()}
            assert crm.keys(CART_TYPE) == sorted(f"magento-cart_object-{number}" for number in carts)
            for number, its_deal in carts.items():
                held = crm.record(CART_TYPE, f"magento-cart_object-{number}")
                assert crm.linked(CART_TYPE, held.id, DEAL) == [crm.record(DEAL, its_deal).id]
                assert len(crm.linked(CART_TYPE, held.id, CONTACT)) == 1
                status = "abandoned" if number in shop.carts else "completed"
                assert held.properties["hs_external_status"] == status
            for number in shop.orders:
                record = crm.record(DEAL, f"magento-order-{number}")
                assert record.properties["magento_stage"] == "processed"
                assert len(crm.linked(DEAL, record.id, CONTACT)) == 1


async def _do(step: tuple[object, ...], shop: CartShop, delivery: SmallDelivery, crm: Bench) -> None:
    match step:
        case ("cart is left", str(address)):
            shop.born += 1
            shop.carts[shop.born] = address
            shop.guests.add(address)
        case ("cart changes", int(number)):
            shop.amounts[-number] = shop.amounts.get(-number, 1) + 1
        case ("cart is ordered", int(number), str(address)) if number in shop.carts:
            del shop.carts[number]
            shop.guests.add(address)
            shop.orders[len(shop.orders) + 1] = address
            shop.ordered[len(shop.orders)] = number
        case ("cart goes", int(number)):
            shop.gone += number in shop.carts
            shop.carts.pop(number, None)
        case ("order without a cart", str(address)):
            shop.guests.add(address)
            shop.orders[len(shop.orders) + 1] = address
        case ("answer is cut", how, int(calls)):
            crm.add_fault(cut=how, path="/batch/", count=calls)
        case ("is rendered",):
            delivery.render()
        case ("is sent", int(rank), bool(at_once)):
            await delivery.send(rank, at_once=at_once)
        case ("answers come",):
            delivery.settle()
        case ("is delivered", bool(at_once)):
            await delivery.drain(at_once=at_once)


def test_a_mark_of_a_contact_is_never_taken_for_a_cart() -> None:
    """Both stand in one column."""
    cart = ObjectRef(Kind.CART, 17)
    assert journeys.cart_in(ObjectRef(Kind.ORDER, 42), journeys.mark_of(cart)) == cart
    assert journeys.cart_in(cart, journeys.mark_of(cart)) is None
    assert journeys.cart_in(ObjectRef(Kind.GUEST, "ab"), b"0123456789ab") is None
