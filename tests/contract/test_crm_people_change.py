"""Contacts through any order of registrations, changes of address, deletions, cut answers and lost states, held to a
model: one record per address, under the key of the one who stands for it, with all deals."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.model import ObjectType
from tests.kit.crm import Bench, bench
from tests.kit.crm_shop import SmallDelivery, SmallShop
from tests.kit.example_count import example_count

CONTACT, DEAL = ObjectType.CONTACT, ObjectType.DEAL

ADDRESSES = st.sampled_from([f"{name}@example.com" for name in ("ann", "bob", "eve")])
IDS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("registers"), IDS, ADDRESSES),
    st.tuples(st.just("orders as guest"), ADDRESSES),
    st.tuples(st.just("orders"), IDS),
    st.tuples(st.just("changes address"), IDS, ADDRESSES),
    st.tuples(st.just("is deleted"), IDS),
    st.tuples(st.just("answer is cut"), st.sampled_from(["before", "after"]), st.integers(1, 3)),
    st.tuples(st.just("answer leaves out"), st.integers(1, 2)),
    st.tuples(st.just("state is lost")),
    st.tuples(st.just("is delivered")),
)


async def play(steps: list[tuple[object, ...]], **behaviour: object) -> None:
    """Do the steps, let delivery come to rest, and compare the account with the shop."""
    async with bench() as crm:
        crm.crm.account.behaviour.change(behaviour)
        shop = SmallShop()
        delivery = SmallDelivery(crm, shop)
        for step in steps:
            await _do(step, shop, delivery, crm)
        crm.crm.faults.clear()
        await delivery.drain()
        _compare(crm, shop, was_lost=("state is lost",) in steps)


async def _do(step: tuple[object, ...], shop: SmallShop, delivery: SmallDelivery, crm: Bench) -> None:
    match step:
        case ("registers", int(number), str(address)) if number not in shop.customers:
            shop.customers[number] = address
        case ("orders as guest", str(address)):
            shop.guests.add(address)
            shop.orders[len(shop.orders) + 1] = address
        case ("orders", int(number)) if number in shop.customers:
            shop.orders[len(shop.orders) + 1] = number
        case ("changes address", int(number), str(address)) if number in shop.customers:
            shop.customers[number] = address
        case ("is deleted", int(number)):
            shop.customers.pop(number, None)
        case ("answer is cut", how, int(calls)):
            crm.add_fault(cut=how, path="/batch/", count=calls)
        case ("answer leaves out", int(inputs)):
            crm.add_fault(omit=inputs, path="/batch/", count=1)
        case ("state is lost",):
            delivery.lose_state()
        case ("is delivered",):
            await delivery.drain()


def _compare(crm: Bench, shop: SmallShop, *, was_lost: bool) -> None:
    """Every contact of the shop has one record, under its key or shared by its address, with all of its deals."""
    keyed = {
        one.properties["magento_key"]: one
        for one in crm.crm.account.records.live[CONTACT].values()
        if one.properties.get("magento_key")
    }
    contacts = shop.contacts()
    records = {}
    for key, address in contacts.items():
        shared = [one for one in keyed.values() if address in one.additional_emails]
        if key not in keyed and shared:
            # an address that another living contact has as an additional one leads to that record
            assert shared[0].properties["magento_key"] in contacts
            records[key] = shared[0]
            continue
        assert key in keyed, f"{key} has no record"
        records[key] = keyed[key]
        assert keyed[key].properties["magento_email"] == address
        assert "magento_deleted_at" not in keyed[key].properties
    for number in shop.orders:
        order = crm.record(DEAL, f"magento-order-{number}")
        buyer = shop.buyer(number)
        linked = crm.linked(DEAL, order.id, CONTACT)
        if buyer:
            assert records[buyer].id in linked
            # only the state knows whose an association is, so a lost one leaves what it cannot judge
            assert was_lost or len(linked) == 1


@settings(max_examples=example_count(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=14))
def test_people_come_and_go_in_any_order(steps: list[tuple[object, ...]]) -> None:
    """Whatever happened, and whichever answers were cut, the account shows the shop."""
    asyncio.run(play(steps))


@settings(max_examples=example_count(10), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=12))
def test_it_holds_where_hubspot_keeps_replaced_addresses(steps: list[tuple[object, ...]]) -> None:
    """Nobody has confirmed what becomes of an address that an update replaces."""
    asyncio.run(play(steps, old_email_on_change="additional"))


@pytest.mark.parametrize("email_conflict", ["conflict", "unique_value"])
def test_three_addresses_turn_in_a_circle(email_conflict: str) -> None:
    """Each customer gets the address of the next one, in one transaction."""
    names = ["ann", "bob", "eve"]
    steps: list[tuple[object, ...]] = [("registers", n + 1, f"{name}@example.com") for n, name in enumerate(names)]
    steps += [("orders", n) for n in (1, 2, 3)] + [("is delivered",)]
    steps += [("changes address", n + 1, f"{names[(n + 1) % 3]}@example.com") for n in range(3)]
    asyncio.run(play(steps, email_conflict=email_conflict))
