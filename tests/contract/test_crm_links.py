"""Links: deals to contacts, lines to deals and products; a replaced link of ours goes, people's stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cdc.model import ObjectType, Outcome, Reference
from tests.kit.crm import Bench, again, bench, contact, deal, line, product, ref

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench() as made:
        yield made


async def test_a_replaced_contact_loses_our_link_and_people_keep_theirs(crm: Bench) -> None:
    """An order that moves to another customer is linked to that one alone, besides whom people linked."""
    first, second = await crm.accept(contact(1), contact(2))
    theirs = crm.crm.people.create(CONTACT, {"email": "their@example.com"})
    sent = deal(1, ref(first, CONTACT))
    [made] = await crm.accept(sent)
    crm.crm.people.link(DEAL, made.record_id, CONTACT, theirs.id)
    await crm.accept(replace(again(sent, made), references=(ref(second, CONTACT),)))
    assert crm.linked(DEAL, made.record_id, CONTACT) == sorted([second.record_id, theirs.id])


async def test_a_reference_that_ends_leaves_the_link(crm: Bench) -> None:
    """A deal whose customer was deleted stays with the kept contact."""
    [buyer] = await crm.accept(contact(1))
    sent = deal(1, ref(buyer, CONTACT))
    [made] = await crm.accept(sent)
    await crm.accept(replace(again(sent, made), references=()))
    assert crm.linked(DEAL, made.record_id, CONTACT) == [buyer.record_id]


async def test_an_unchanged_link_costs_nothing(crm: Bench) -> None:
    """An association that exists is not made again."""
    [buyer] = await crm.accept(contact(1))
    sent = deal(1, ref(buyer, CONTACT))
    [made] = await crm.accept(sent)
    crm.calls()
    await crm.accept(again(sent, made, amount="7"))
    assert crm.calls() == ["objects/deals/batch/update"]


async def test_a_line_without_its_product_is_linked_when_the_product_comes(crm: Bench) -> None:
    """The line is sent without it, and hs_product_id is written as soon as the product has a record."""
    [order] = await crm.accept(deal(1))
    sent = line(1, ref(order, DEAL))
    [made] = await crm.accept(sent)
    assert "hs_product_id" not in crm.record(LINE_ITEM, "magento-item-1").properties
    [goods] = await crm.accept(product(1))
    await crm.accept(replace(again(sent, made), references=(ref(order, DEAL), ref(goods, PRODUCT))))
    assert crm.record(LINE_ITEM, "magento-item-1").properties["hs_product_id"] == goods.record_id


async def test_a_record_that_the_state_does_not_know_is_found_by_key(crm: Bench) -> None:
    """A reference without a record id is looked up before the message that needs it."""
    [buyer] = await crm.accept(contact(1))
    [order] = await crm.accept(deal(1, Reference(CONTACT, "magento-customer-1")))
    assert crm.linked(DEAL, order.record_id, CONTACT) == [buyer.record_id]


async def test_a_line_waits_for_the_record_of_its_order(crm: Bench) -> None:
    """A line item is never made without its parent."""
    [receipt] = await crm.send(line(1, Reference(DEAL, "magento-order-1")))
    assert (receipt.outcome, receipt.reason) == (Outcome.RETRY, "parent_not_found")
    assert not crm.crm.account.records.live[LINE_ITEM]


async def test_a_contact_that_people_deleted_does_not_hold_up_its_deal(crm: Bench) -> None:
    """The deal is written; its receipt says that the contact has no record."""
    [buyer] = await crm.accept(contact(1))
    crm.crm.people.delete(CONTACT, buyer.record_id)
    [receipt] = await crm.accept(deal(1, ref(buyer, CONTACT)))
    assert receipt.reason == "link_target_gone"
    assert crm.record(DEAL, "magento-order-1")


async def test_links_that_an_answer_leaves_out_are_asked_for_again(crm: Bench) -> None:
    """An association counts only if the answer names it."""
    [first], [second] = await crm.accept(contact(1)), await crm.accept(contact(2))
    sent = [deal(n, ref(first, CONTACT)) for n in range(3)]
    made = await crm.accept(*sent)
    crm.add_fault(empty=True, path="associate/default")
    moved = [replace(again(one, got), references=(ref(second, CONTACT),)) for one, got in zip(sent, made, strict=True)]
    await crm.accept(*moved)
    assert len(crm.linked(CONTACT, second.record_id, DEAL)) == 3


async def test_a_line_whose_product_got_another_record_writes_that_alone(crm: Bench) -> None:
    """Linking again costs a write of the one property, as the product of a line is a property."""
    [order], [goods] = await crm.accept(deal(1)), await crm.accept(product(1))
    sent = line(1, ref(order, DEAL), ref(goods, PRODUCT))
    [made] = await crm.accept(sent)
    crm.crm.people.delete(PRODUCT, goods.record_id)
    [renewed] = await crm.accept(again(product(1), goods, price="1"))
    crm.crm.people.edit(LINE_ITEM, made.record_id, {"quantity": "9"})
    linked = again(sent, made)
    references = (ref(order, DEAL), ref(renewed, PRODUCT))
    known = frozenset({(DEAL, order.record_id)})
    await crm.accept(replace(linked, references=references, linked_records=known, only_links=True))
    held = crm.record(LINE_ITEM, "magento-item-1").properties
    assert (held["hs_product_id"], held["quantity"]) == (renewed.record_id, "9")


async def test_a_refused_call_of_many_links_is_halved(crm: Bench) -> None:
    """Whichever link is the bad one, the good ones cost a few calls more, not one call each."""
    buyers = await crm.accept(*[contact(n) for n in range(2)])
    first, second = (ref(buyer, CONTACT) for buyer in buyers)
    sent = [deal(n, first) for n in range(40)]
    receipts = await crm.accept(*sent)
    crm.calls()
    crm.add_fault(status=400, path="associate/default")
    moved = [replace(again(one, got), references=(second,)) for one, got in zip(sent, receipts, strict=True)]
    await crm.accept(*moved)
    made = [path for path in crm.calls() if "associate/default" in path]
    assert len(made) == 3
    assert all(crm.linked(DEAL, got.record_id, CONTACT) == [second.record_id] for got in receipts)


@pytest.mark.parametrize("policy", ["recreate", "leave"])
async def test_linking_finds_out_that_people_deleted_the_deal(policy: str) -> None:
    """A message whose links alone are left notices that its own record is gone: the deal is made anew, or left."""
    async with bench(on_deleted_by_people=policy) as crm:
        first, second = await crm.accept(contact(1), contact(2))
        sent = deal(1, ref(first, CONTACT))
        [made] = await crm.accept(sent)
        crm.crm.people.delete(DEAL, made.record_id)
        moved = replace(again(sent, made), references=(ref(second, CONTACT),), only_links=True)
        [receipt] = await crm.send(moved)
        if policy == "leave":
            assert (receipt.outcome, receipt.reason) == (Outcome.REJECTED, "deleted_by_people")
            return
        assert (receipt.outcome, receipt.is_record_gone, receipt.gone) == (Outcome.RETRY, True, ())
        [renewed] = await crm.accept(replace(moved, record_id=""))
        assert crm.linked(DEAL, renewed.record_id, CONTACT) == [second.record_id]


async def test_another_object_on_the_same_record_needs_no_link(crm: Bench) -> None:
    """A deal whose guest registered hangs on the customer already: nothing is called."""
    guest = "magento-guest-" + "ab" * 12
    [before] = await crm.accept(contact(guest, "ann@example.com"))
    sent = deal(1, ref(before, CONTACT))
    [made] = await crm.accept(sent)
    [customer] = await crm.accept(contact(7, "ann@example.com"))
    crm.calls()
    await crm.accept(replace(again(sent, made), references=(ref(customer, CONTACT),), only_links=True))
    assert crm.calls() == []
    assert crm.linked(DEAL, made.record_id, CONTACT) == [customer.record_id]
