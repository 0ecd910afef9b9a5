"""Records read back: each class of drift is told from the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cdc.model import Comparison, Drift, Message, ObjectType
from tests.kit.crm import Bench, again, bench, contact, deal, deletion, line, product, ref

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench() as made:
        yield made


async def compare(crm: Bench, *messages: Message) -> list[Comparison]:
    """The verdicts on these messages."""
    return list(await crm.sink.compare(messages, crm.requests))


async def test_what_was_written_is_equal(crm: Bench) -> None:
    """HubSpot gives numbers, times and truths back in forms of its own; they compare equal all the same."""
    buyer_sent = contact(1, created_at="1700000000123", date_of_birth="1980-02-29")
    goods_sent = product(1, price="9.9000", created_at="1700000000000")
    [buyer], [goods] = await crm.accept(buyer_sent), await crm.accept(goods_sent)
    order_sent = deal(1, ref(buyer, CONTACT), on_hold="false", closed_at="1700000000000", shipping_amount="5.00")
    [order] = await crm.accept(order_sent)
    line_sent = line(1, ref(order, DEAL), ref(goods, PRODUCT))
    [item] = await crm.accept(line_sent)
    for sent, receipt in ((buyer_sent, buyer), (goods_sent, goods), (order_sent, order), (line_sent, item)):
        assert await compare(crm, sent) == [Comparison(sent.external_id, Drift.EQUAL, record_id=receipt.record_id)]


async def test_a_value_changed_by_hand_is_named_with_both_values(crm: Bench) -> None:
    """The property's name, and our value beside the record's."""
    sent = contact(1)
    [receipt] = await crm.accept(sent)
    crm.crm.people.edit(CONTACT, receipt.record_id, {"firstname": "Anne"})
    [found] = await compare(crm, sent)
    assert (found.drift, found.values) == (Drift.DIFFERING, {"firstname": ("Ann", "Anne")})


async def test_a_deleted_record_is_missing(crm: Bench) -> None:
    """A record in the recycle bin is not there."""
    sent = deal(1)
    [receipt] = await crm.accept(sent)
    crm.crm.people.delete(DEAL, receipt.record_id)
    [found] = await compare(crm, again(sent, receipt))
    assert found.drift is Drift.MISSING


async def test_a_removed_link_is_missing(crm: Bench) -> None:
    """The deal is as it should be, and its contact is not linked."""
    [buyer] = await crm.accept(contact(1))
    sent = deal(1, ref(buyer, CONTACT))
    [receipt] = await crm.accept(sent)
    crm.crm.people.unlink(DEAL, receipt.record_id, CONTACT, buyer.record_id)
    [found] = await compare(crm, sent)
    assert found.drift is Drift.LINK_MISSING


async def test_merged_contacts_are_told(crm: Bench) -> None:
    """A contact whose record went into another one of ours has no record of its own, and that is no fault."""
    first, second = await crm.accept(contact(1), contact(2))
    crm.crm.people.merge(CONTACT, first.record_id, second.record_id)
    found = await compare(crm, contact(1), contact(2))
    assert [one.drift for one in found] == [Drift.EQUAL, Drift.MERGED]


async def test_a_link_to_the_record_that_a_contact_was_merged_into_is_no_missing_link(crm: Bench) -> None:
    """HubSpot moves the deals to the merged record; the state still names the record that is part of it now."""
    first, second = await crm.accept(contact(1), contact(2))
    sent = deal(1, ref(second, CONTACT))
    [receipt] = await crm.accept(sent)
    crm.crm.people.merge(CONTACT, first.record_id, second.record_id)
    assert [one.drift for one in await compare(crm, sent)] == [Drift.EQUAL]
    crm.crm.people.unlink(DEAL, receipt.record_id, CONTACT, first.record_id)
    assert [one.drift for one in await compare(crm, sent)] == [Drift.LINK_MISSING]


async def test_an_address_that_another_record_has_is_no_drift(crm: Bench) -> None:
    """on_email_conflict = keep leaves the old address for good: magento_email shows the new one."""
    crm.crm.people.create(CONTACT, {"email": "taken@example.com"})
    sent = contact(1)
    [receipt] = await crm.accept(sent)
    changed = again(sent, receipt, email="taken@example.com")
    await crm.accept(changed)
    [found] = await compare(crm, changed)
    assert found.drift is Drift.EQUAL


async def test_keys_are_listed_page_by_page_without_deleted_ones(crm: Bench) -> None:
    """Records with our key, but those that are marked as deleted, and those of nobody's."""
    receipts = []
    for at in range(0, 230, 100):
        receipts += await crm.accept(*[contact(n) for n in range(at, min(at + 100, 230))])
    await crm.accept(replace(deletion(contact(7)), record_id=receipts[7].record_id))
    crm.crm.people.create(CONTACT, {"email": "their@example.com"})
    found: dict[str, str] = {}
    after = ""
    for _ in range(3):
        page, after = await crm.sink.keys(CONTACT, after, crm.requests)
        found |= dict(page)
    assert after == ""
    assert len(found) == 229
    assert "magento-customer-7" not in found


async def test_the_newest_records_are_told_with_their_keys(crm: Bench) -> None:
    """Those made last come first, people's own records without a key are left out."""
    await crm.accept(contact(1))
    crm.crm.account.behaviour.search_lag_ms = 0
    found = await crm.sink.newest(CONTACT, crm.requests)
    assert [key for key, _ in found] == ["magento-customer-1"]
    assert found[0][1] == crm.record(CONTACT, "magento-customer-1").id
