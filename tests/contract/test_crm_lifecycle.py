"""The lifecycle stage of contacts in HubSpot: it goes on, and no message moves it back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cdc.model import Drift, ObjectType
from tests.kit.crm import Bench, again, bench, contact

CONTACT = ObjectType.CONTACT
GUEST = "magento-guest-" + "ab" * 12


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    """An account, and a mapping that writes the stage."""
    async with bench(mapping={"contact": {"lifecycle_stage": True}}) as made:
        yield made


async def test_the_stage_is_hubspot_s_own_property(crm: Bench) -> None:
    """Nothing is made for it: a second push finds everything in place."""
    assert await crm.sink.push_mapping(crm.requests, dry_run=True) == [
        "properties and pipeline are in place; nothing to do"
    ]


async def test_a_lifecycle_stage_is_never_moved_back(crm: Bench) -> None:
    """A contact that people moved further on stays there, also when a customer takes over the guest's record."""
    guest = contact(GUEST, "ann@example.com", lifecycle_stage="customer")
    [receipt] = await crm.accept(guest)
    assert crm.record(CONTACT, GUEST).properties["lifecyclestage"] == "customer"

    crm.crm.people.edit(CONTACT, receipt.record_id, {"lifecyclestage": "evangelist"})
    [receipt] = await crm.accept(again(guest, receipt, city="Brno"))
    assert crm.record(CONTACT, GUEST).properties["lifecyclestage"] == "evangelist"

    await crm.accept(contact(1, "ann@example.com"))
    assert crm.record(CONTACT, "magento-customer-1").properties["lifecyclestage"] == "evangelist"


@pytest.mark.parametrize(("theirs", "drift"), [("evangelist", Drift.EQUAL), ("lead", Drift.DIFFERING)])
async def test_a_lifecycle_stage_that_went_on_is_no_difference(crm: Bench, theirs: str, drift: Drift) -> None:
    """People move contacts on, and no write moves them back; a stage before customer is a write that was lost."""
    sent = contact(1, lifecycle_stage="customer")
    [receipt] = await crm.accept(sent)
    crm.crm.people.edit(CONTACT, receipt.record_id, {"lifecyclestage": ""})
    crm.crm.people.edit(CONTACT, receipt.record_id, {"lifecyclestage": theirs})

    [found] = await crm.sink.compare([sent], crm.requests)
    assert found.drift is drift
