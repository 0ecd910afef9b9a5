"""What the CRM sink costs: the exact calls for each kind of work, a hundred objects to a call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cdc.model import ObjectType
from tests.kit import crm_cost
from tests.kit.crm import Bench, bench, contact, deal, message, ref

CONTACT, DEAL = ObjectType.CONTACT, ObjectType.DEAL


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench() as made:
        yield made


async def test_orders_of_new_guests(crm: Bench) -> None:
    """Contacts are looked for by address and made, deals and lines are made with their links in the creating call."""
    calls = await crm_cost.new_orders(crm)
    assert {call: calls.count(call) for call in calls} == {
        "objects/contacts/batch/read": 10,
        "objects/contacts/batch/create": 10,
        "objects/deals/batch/create": 10,
        "objects/line_items/batch/create": 30,
    }
    assert not crm.crm.watch.watch.counts


async def test_orders_of_contacts_that_hubspot_has(crm: Bench) -> None:
    """Where all contacts are in HubSpot already they are adopted: as many calls, and no contact is made."""
    calls = await crm_cost.orders_of_known_contacts(crm)
    assert calls.count("objects/contacts/batch/update") == 10
    assert len(calls) == 60
    assert len(crm.crm.account.records.live[CONTACT]) == 1000


async def test_order_updates(crm: Bench) -> None:
    """1,000 order updates without a new link: 10 calls, which is the minimum."""
    assert await crm_cost.order_updates(crm) == ["objects/deals/batch/update"] * 10


async def test_customers_change_a_field(crm: Bench) -> None:
    """1,000 customers change a field: 10 calls, which is the minimum."""
    assert await crm_cost.field_changes(crm) == ["objects/contacts/batch/update"] * 10


async def test_links_alone(crm: Bench) -> None:
    """A message whose properties are written already costs the linking only."""
    [buyer] = await crm.accept(contact(1))
    [made] = await crm.accept(deal(1))
    crm.calls()
    await crm.accept(
        message(DEAL, 1, {"amount": "5"}, references=(ref(buyer, CONTACT),), record_id=made.record_id, only_links=True)
    )
    assert crm.calls() == ["associations/deals/contacts/batch/associate/default"]
    assert crm.linked(DEAL, made.record_id, CONTACT) == [buyer.record_id]
    assert crm.record(DEAL, "magento-order-1").properties["amount"] == "19.80"
