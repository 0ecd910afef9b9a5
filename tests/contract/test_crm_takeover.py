"""A member that may not send any more stops between two calls of one batch; another member finishes the batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from cdc.errors import SendingStoppedError
from cdc.model import Message, ObjectType, Outcome, Reference
from cdc.protocols import Permit
from sinks.crm.sink import CrmSink
from tests.kit.crm import Bench, bench, contact, deal, line, product, ref, settings
from tests.kit.requests import FreeRequests

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM
MOST_CALLS = 6


class StopsAfter(FreeRequests):
    """``Requests`` of a process that loses the lead after so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    @asynccontextmanager
    async def permit(self, family: str) -> AsyncIterator[Permit]:
        """At once, as long as this process leads."""
        if not self._left:
            raise SendingStoppedError("another member leads")
        self._left -= 1
        async with super().permit(family) as permit:
            yield permit


async def hand_over(crm: Bench, calls: int, messages: Sequence[Message]) -> list[str]:
    """One member sends and is stopped after ``calls`` calls; another one, which knows of no answer, sends the same.

    The record ids.
    """
    await crm.sink.account.facts(crm.requests)  # what the account is like was read at the start
    with suppress(SendingStoppedError):
        await crm.sink.send(messages, StopsAfter(calls))
    other = CrmSink(settings(crm.server.url))
    try:
        repeated = [replace(message, may_repeat=True) for message in messages]
        for _ in range(3):  # what is put off is sent again
            answer = await other.send(repeated, FreeRequests())
            if all(receipt.outcome is Outcome.ACCEPTED for receipt in answer.receipts):
                return [receipt.record_id for receipt in answer.receipts]
            await asyncio.sleep(0)
    finally:
        await other.close()
    raise AssertionError(answer.receipts)


@pytest.mark.parametrize("calls", range(MOST_CALLS))
async def test_a_batch_of_new_contacts_is_finished_by_another_member(calls: int) -> None:
    """One record each, whichever was the first member's last call; a contact that HubSpot has is adopted."""
    async with bench() as crm:
        held = crm.crm.people.create(CONTACT, {"email": "customer2@example.com", "city": "Brno"})
        ids = await hand_over(crm, calls, [contact(1), contact(2)])
        assert crm.keys(CONTACT) == ["magento-customer-1", "magento-customer-2"]
        assert ids[1] == held.id
        assert not crm.server.store.watch.counts.keys() & {"second_record", "record_without_key"}


@pytest.mark.parametrize("calls", range(MOST_CALLS))
async def test_a_deal_that_changes_its_contact_is_finished_by_another_member(calls: int) -> None:
    """The deal is written by one call, linked by the next, and let go of by a third: in the end it has one contact."""
    async with bench() as crm:
        first, second = await crm.accept(contact(1), contact(2))
        before = ref(first, CONTACT)
        [order] = await crm.accept(deal(1, before))
        known = replace(
            deal(1, ref(second, CONTACT), stage="shipped"),
            changed_at=deal(1).changed_at + 1,
            record_id=order.record_id,
            was_accepted=True,
            linked=(before,),
        )
        [record_id] = await hand_over(crm, calls, [known])
        assert record_id == order.record_id
        assert crm.linked(DEAL, record_id, CONTACT) == [second.record_id]
        assert crm.record(DEAL, known.external_id).properties["magento_stage"] == "shipped"
        assert not crm.server.store.watch.counts.keys() & {"second_record", "record_without_key"}


@pytest.mark.parametrize("calls", range(MOST_CALLS))
async def test_new_deals_and_lines_are_finished_by_another_member(calls: int) -> None:
    """Their links are made by the creating call, or by the one that repeats it; no record is made twice."""
    async with bench() as crm:
        [buyer], [goods] = await crm.accept(contact(1)), await crm.accept(product(1))
        [record_id] = await hand_over(crm, calls, [deal(1, ref(buyer, CONTACT))])
        parent = Reference(DEAL, "magento-order-1", record_id)
        lines = await hand_over(crm, calls, [line(n, parent, ref(goods, PRODUCT)) for n in (1, 2)])
        assert crm.keys(DEAL) == ["magento-order-1"]
        assert crm.keys(LINE_ITEM) == ["magento-item-1", "magento-item-2"]
        assert crm.linked(DEAL, record_id, CONTACT) == [buyer.record_id]
        assert [crm.linked(LINE_ITEM, one, DEAL) for one in lines] == [[record_id]] * 2
        assert not crm.server.store.watch.counts.keys() & {"second_record", "record_without_key"}
