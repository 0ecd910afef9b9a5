"""``mapping adopt``: an account that holds shop records of others gets our keys, once and without guessing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest

from cdc.model import Adoption, ObjectType
from tests.kit.crm import Bench, bench, contact, deal, product, ref

CONTACT, PRODUCT, DEAL = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL
NUMBER = "order_no"


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench() as made:
        book = made.crm.account.properties
        body = {"name": NUMBER, "label": "No", "groupName": "magento", "type": "string", "fieldType": "text"}
        book.create(DEAL, body, made.crm.account.now_ms())
        yield made


async def adopt(
    crm: Bench, kind: ObjectType, keys: Mapping[str, tuple[str, ...]], *, dry_run: bool = False
) -> Adoption:
    """One run over one type."""
    return await crm.sink.adopt(kind, keys, crm.requests, order_property=NUMBER, dry_run=dry_run)


async def test_deals_of_the_old_bridge_get_our_keys_and_run_makes_none_twice(crm: Bench) -> None:
    """A dry run says the same numbers; after adopting, sending the orders makes no second deal."""
    for n in range(230):
        crm.crm.people.create(DEAL, {"dealname": f"Order {n}", NUMBER: f"{n:09}"})
    keys = {f"{n:09}": (f"magento-order-{n}",) for n in range(250)}
    told = await adopt(crm, DEAL, keys, dry_run=True)
    assert crm.keys(DEAL) == [""] * 230
    done = await adopt(crm, DEAL, keys)
    assert told == done == Adoption(DEAL, 230, 230, 0, 0)
    assert (await adopt(crm, DEAL, keys)).ours == 230
    for at in range(0, 250, 50):
        await crm.accept(*[deal(n) for n in range(at, at + 50)])
    assert len(crm.crm.account.records.live[DEAL]) == 250


async def test_what_is_ambiguous_is_listed_and_left_alone(crm: Bench) -> None:
    """A number on two deals, and a number of two orders, lead to nothing sure."""
    for number in ("1", "1", "2", "3"):
        crm.crm.people.create(DEAL, {"dealname": "Order", NUMBER: number})
    keys = {"1": ("magento-order-1",), "2": ("magento-order-2", "magento-order-20"), "3": ("magento-order-3",)}
    done = await adopt(crm, DEAL, keys)
    assert done == Adoption(DEAL, 3, 1, 0, 0, ambiguous=("1", "2"))
    assert crm.keys(DEAL) == ["", "", "", "magento-order-3"]


async def test_contacts_and_products_are_found_by_address_and_sku(crm: Bench) -> None:
    """Additional addresses count; a record with another key keeps it."""
    first = crm.crm.people.create(CONTACT, {"email": "first@example.com"})
    crm.crm.people.add_email(first.id, "second@example.com")
    crm.crm.people.create(PRODUCT, {"name": "Mug", "hs_sku": "MUG"})
    await crm.accept(contact(9, "taken@example.com"))
    contacts = await adopt(crm, CONTACT, {"second@example.com": ("magento-customer-1",), "taken@example.com": ("x",)})
    assert contacts == Adoption(CONTACT, 2, 1, 0, 1)
    products = await adopt(crm, PRODUCT, {"MUG": ("magento-product-1",), "CUP": ("magento-product-2",)})
    assert products == Adoption(PRODUCT, 1, 1, 0, 0)
    assert crm.record(CONTACT, "magento-customer-1").id == first.id
    await crm.accept(product(1, "MUG"))
    assert len(crm.crm.account.records.live[PRODUCT]) == 1


async def test_a_record_that_has_the_addresses_of_two_customers_gets_one_key(crm: Bench) -> None:
    """The record stands for both customers, under the key of the lowest one; HubSpot takes an id once a call."""
    held = crm.crm.people.create(CONTACT, {"email": "second@example.com"})
    crm.crm.people.add_email(held.id, "first@example.com")
    keys = {
        "second@example.com": ("magento-customer-10",),
        "first@example.com": ("magento-customer-9",),
    }
    told = await adopt(crm, CONTACT, keys, dry_run=True)
    done = await adopt(crm, CONTACT, keys)
    assert told == done == Adoption(CONTACT, 2, 1, 0, 1)
    assert crm.keys(CONTACT) == ["magento-customer-9"]
    again = await adopt(crm, CONTACT, keys)
    assert (again.adopted, again.ours, again.taken) == (0, 1, 1)


async def test_an_adopted_deal_is_linked_to_its_contact(crm: Bench) -> None:
    """The call that would have made the deal would have linked it; the record that was there is linked afterwards."""
    [buyer] = await crm.accept(contact(1))
    held = crm.crm.people.create(DEAL, {"dealname": "Order", NUMBER: "1"})
    await adopt(crm, DEAL, {"1": ("magento-order-1",)})
    [order] = await crm.accept(deal(1, ref(buyer, CONTACT)))
    assert order.record_id == held.id
    assert crm.linked(DEAL, held.id, CONTACT) == [buyer.record_id]
