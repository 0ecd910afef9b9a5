"""Deletions in Magento by policy, and in HubSpot by people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cdc.errors import OutcomeUnknownError
from cdc.model import ObjectType, Outcome
from sinks.crm.paths import SEGMENT
from tests.kit.crm import Bench, again, bench, cart, contact, deal, deletion, line, product, ref

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM
CART = ObjectType.CART


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench(mapping={"carts": {"enabled": True, "as": "cart"}}) as made:
        yield made


async def test_by_default_contacts_are_kept_and_orders_cancelled(crm: Bench) -> None:
    """keep and cancel mark the record with the time of the deletion and leave its links."""
    buyer_sent = contact(1)
    [buyer] = await crm.accept(buyer_sent)
    order_sent = deal(1, ref(buyer, CONTACT))
    [order] = await crm.accept(order_sent)
    [gone] = await crm.accept(deletion(again(order_sent, order)))
    await crm.accept(deletion(again(buyer_sent, buyer)))
    held = crm.record(DEAL, "magento-order-1")
    stage = crm.crm.account.pipelines.all[held.properties["pipeline"]].stages[held.properties["dealstage"]]
    assert (stage.label, held.properties["magento_stage"]) == ("Cancelled", "cancelled")
    assert held.properties["magento_deleted_at"]
    assert crm.record(CONTACT, "magento-customer-1").properties["magento_deleted_at"]
    assert crm.linked(DEAL, order.record_id, CONTACT) == [buyer.record_id]
    assert gone.record_id == order.record_id


async def test_archiving_frees_key_and_sku_first(crm: Bench) -> None:
    """An archived product blocks neither its key nor its SKU: an object that comes back is made anew."""
    crm.crm.account.behaviour.archived_keeps_unique = True
    sent = product(1)
    [receipt] = await crm.accept(sent)
    crm.calls()
    [gone] = await crm.accept(deletion(again(sent, receipt)))
    assert gone.is_record_gone
    assert crm.calls() == ["objects/products/batch/update", "objects/products/batch/archive"]
    binned = crm.crm.account.records.bin[PRODUCT][receipt.record_id].properties
    assert "magento_key" not in binned
    assert "hs_sku" not in binned
    assert binned["magento_deleted_at"]
    [renewed] = await crm.accept(replace(sent, changed_at=sent.changed_at + 5000, was_accepted=True))
    assert renewed.record_id != receipt.record_id


async def test_a_deletion_that_was_cut_half_way_is_finished(crm: Bench) -> None:
    """The key was taken and the archive call failed: the next try archives the record."""
    sent = product(1)
    [receipt] = await crm.accept(sent)
    crm.add_fault(status=503, path="batch/archive")
    gone = deletion(again(sent, receipt))
    with pytest.raises(OutcomeUnknownError):
        await crm.send(gone)
    await crm.accept(replace(gone, may_repeat=True))
    assert receipt.record_id in crm.crm.account.records.bin[PRODUCT]


async def test_a_kept_object_that_comes_back_is_the_same_record(crm: Bench) -> None:
    """The mark of the deletion goes."""
    sent = contact(1)
    [receipt] = await crm.accept(sent)
    [gone] = await crm.accept(deletion(again(sent, receipt)))
    [back] = await crm.accept(again(sent, gone, city="Brno"))
    assert back.record_id == receipt.record_id
    assert "magento_deleted_at" not in crm.record(CONTACT, "magento-customer-1").properties


async def test_gdpr_delete_erases_by_record_id() -> None:
    """HubSpot erases the person; nothing goes by address, which could block it."""
    async with bench(on_delete={"contact": "gdpr_delete"}) as crm:
        sent = contact(1)
        [receipt] = await crm.accept(sent)
        await crm.accept(deletion(again(sent, receipt)))
        assert not crm.crm.account.records.live[CONTACT]
        assert not crm.crm.account.behaviour.blocked_emails


async def test_what_hubspot_does_not_have_is_deleted_already(crm: Bench) -> None:
    """A deletion of an object without a record is accepted."""
    [receipt] = await crm.accept(deletion(contact(1)))
    assert receipt.record_id == ""


@pytest.mark.parametrize("kind", list(SEGMENT))
async def test_a_record_that_people_deleted_is_made_anew(crm: Bench, kind: ObjectType) -> None:
    """The next write finds no record and makes the object with all its links."""
    [buyer], [goods] = await crm.accept(contact(1)), await crm.accept(product(1))
    order_sent = deal(1, ref(buyer, CONTACT))
    [order] = await crm.accept(order_sent)
    line_sent = line(1, ref(order, DEAL), ref(goods, PRODUCT))
    [item] = await crm.accept(line_sent)
    cart_sent = cart(1, ref(buyer, CONTACT), ref(order, DEAL))
    [left] = await crm.accept(cart_sent)
    sent = {CONTACT: contact(1), PRODUCT: product(1), DEAL: order_sent, LINE_ITEM: line_sent, CART: cart_sent}[kind]
    receipt = {CONTACT: buyer, PRODUCT: goods, DEAL: order, LINE_ITEM: item, CART: left}[kind]
    crm.crm.people.delete(kind, receipt.record_id)
    [renewed] = await crm.accept(again(sent, receipt, name="New"))
    assert renewed.record_id not in ("", receipt.record_id)
    if kind is DEAL:
        assert crm.linked(DEAL, renewed.record_id, CONTACT) == [buyer.record_id]
    if kind is LINE_ITEM:
        assert crm.linked(LINE_ITEM, renewed.record_id, DEAL) == [order.record_id]
    if kind is CART:
        assert crm.linked(CART, renewed.record_id, CONTACT) == [buyer.record_id]
        assert crm.linked(CART, renewed.record_id, DEAL) == [order.record_id]


async def test_leave_sends_nothing_for_a_record_that_people_deleted() -> None:
    """on_deleted_by_people = leave: the object becomes a dead letter, and its record stays deleted."""
    async with bench(on_deleted_by_people="leave") as crm:
        sent = deal(1)
        [receipt] = await crm.accept(sent)
        crm.crm.people.delete(DEAL, receipt.record_id)
        [left] = await crm.send(again(sent, receipt, amount="1"))
        assert (left.outcome, left.reason) == (Outcome.REJECTED, "deleted_by_people")
        assert not crm.crm.account.records.live[DEAL]


async def test_unique_values_that_the_recycle_bin_keeps_park_one_object(crm: Bench) -> None:
    """Where HubSpot keeps the key of a deleted record, the object says so and the others go on."""
    crm.crm.account.behaviour.archived_keeps_unique = True
    sent = deal(1)
    [receipt] = await crm.accept(sent)
    crm.crm.people.delete(DEAL, receipt.record_id)
    receipts = await crm.send(again(sent, receipt, amount="1"), deal(2))
    assert (receipts[0].outcome, receipts[0].reason) == (Outcome.REJECTED, "deleted_in_hubspot")
    assert receipts[1].outcome is Outcome.ACCEPTED
    assert "restore" in crm.sink.traits.advice["deleted_in_hubspot"]


@pytest.mark.parametrize("form", ["not_found", "coordinates"])
async def test_both_forms_of_not_found_are_understood(crm: Bench, form: str) -> None:
    """HubSpot names missing records by ids or by coordinates; the others of the batch are written."""
    crm.crm.account.behaviour.missing_form = form  # type: ignore[assignment]
    one, two = deal(1), deal(2)
    first, second = await crm.accept(one, two)
    crm.crm.people.delete(DEAL, first.record_id)
    receipts = await crm.accept(again(one, first, amount="1"), again(two, second, amount="2"))
    assert receipts[0].record_id != first.record_id
    assert crm.record(DEAL, "magento-order-2").properties["amount"] == "2"


async def test_deals_that_people_merged_are_parted(crm: Bench) -> None:
    """A deal whose record went into another deal gets a record of its own; the other one's values stay."""
    one, two = deal(1), deal(2)
    first, second = await crm.accept(one, two)
    crm.crm.people.merge(DEAL, first.record_id, second.record_id)
    [renewed] = await crm.accept(again(two, second, amount="2"))
    assert renewed.record_id not in (first.record_id, second.record_id)
    assert crm.record(DEAL, "magento-order-1").properties["amount"] == "19.80"


async def test_a_foreign_product_with_the_sku_is_adopted(crm: Bench) -> None:
    """A product that HubSpot has already by SKU gets our key."""
    theirs = crm.crm.people.create(PRODUCT, {"name": "Their mug", "hs_sku": "MUG-1", "hs_url": "https://example.com"})
    [receipt] = await crm.accept(product(1, description=""))
    assert receipt.record_id == theirs.id
    assert crm.record(PRODUCT, "magento-product-1").properties["hs_url"] == "https://example.com"


async def test_a_sku_that_lives_on_in_order_lines_is_taken_over(crm: Bench) -> None:
    """The record of a product that only order lines keep goes to the new product, and both name it."""
    [old] = await crm.accept(product(1, "MUG", type="", status=""))
    [new] = await crm.accept(product(2, "MUG"))
    assert new.record_id == old.record_id
    [stand_in] = await crm.accept(again(product(1, "MUG", type="", status=""), old, name="Old mug"))
    assert stand_in.record_id == new.record_id
    assert crm.record(PRODUCT, "magento-product-2").properties["name"] == "Mug 2"


async def test_a_sku_of_a_living_product_is_left_out(crm: Bench) -> None:
    """Two products with one SKU: the second goes without it, warned, and gets it once it is free."""
    first_sent, second_sent = product(1, "MUG"), product(2, "MUG")
    [first] = await crm.accept(first_sent)
    [second] = await crm.accept(second_sent)
    assert "hs_sku" not in crm.record(PRODUCT, "magento-product-2").properties
    assert crm.sink.memory.counts["product_sku_conflict"] == 1
    await crm.accept(again(first_sent, first, sku="CUP"))
    await crm.accept(again(second_sent, second, price="1"))
    assert crm.record(PRODUCT, "magento-product-2").properties["hs_sku"] == "MUG"


async def test_skus_are_searched_for_where_they_are_not_unique(crm: Bench) -> None:
    """No source proves hs_sku unique in every account: without that the search finds what people made before."""
    crm.crm.account.properties.all[PRODUCT]["hs_sku"].is_unique = False
    crm.crm.account.behaviour.search_lag_ms = 0
    theirs = crm.crm.people.create(PRODUCT, {"name": "Their mug", "hs_sku": "MUG-1"})
    [receipt] = await crm.accept(product(1))
    assert receipt.record_id == theirs.id
