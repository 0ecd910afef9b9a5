"""Contacts: one per address, adopted where HubSpot has them; one record through guest, customer and a new email."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from cdc.model import ObjectType, Outcome
from tests.kit.crm import Bench, again, bench, contact, deal, ref

CONTACT, DEAL = ObjectType.CONTACT, ObjectType.DEAL
GUEST = "magento-guest-" + "ab" * 12


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench() as made:
        yield made


async def test_a_contact_that_hubspot_has_is_adopted_with_what_people_typed_in(crm: Bench) -> None:
    """The record gets our key and what we know; empty values of ours leave theirs alone, and no backfill mark comes."""
    theirs = crm.crm.people.create(CONTACT, {"email": "ann@example.com", "phone": "123", "firstname": "Anna"})
    [receipt] = await crm.accept(contact(1, "ann@example.com", phone="", is_backfill=True))
    assert receipt.record_id == theirs.id
    held = crm.record(CONTACT, "magento-customer-1").properties
    assert (held["phone"], held["firstname"]) == ("123", "Ann")
    assert "magento_backfilled" not in held
    assert len(crm.crm.account.records.live[CONTACT]) == 1


async def test_an_additional_address_finds_its_contact_and_stays_additional(crm: Bench) -> None:
    """An address that is only an additional one in HubSpot leads to its contact; which one is primary stays."""
    theirs = crm.crm.people.create(CONTACT, {"email": "first@example.com"})
    crm.crm.people.add_email(theirs.id, "second@example.com")
    [receipt] = await crm.accept(contact(1, "second@example.com"))
    assert receipt.record_id == theirs.id
    record = crm.record(CONTACT, "magento-customer-1")
    assert record.properties["email"] == "first@example.com"
    assert record.additional_emails == ("second@example.com",)


async def test_backfilled_is_set_by_the_creating_call_only(crm: Bench) -> None:
    """History marks the records that it makes, and no later message sets or clears the mark."""
    first = contact(1, is_backfill=True)
    [receipt] = await crm.accept(first)
    assert crm.record(CONTACT, "magento-customer-1").properties["magento_backfilled"] == "true"
    await crm.accept(again(first, receipt, city="Brno"))
    assert crm.record(CONTACT, "magento-customer-1").properties["magento_backfilled"] == "true"
    [live] = await crm.accept(contact(2))
    await crm.accept(again(contact(2, is_backfill=True), live))
    assert "magento_backfilled" not in crm.record(CONTACT, "magento-customer-2").properties


async def test_a_guest_who_registers_keeps_the_record(crm: Bench) -> None:
    """The record's key becomes the customer's; deals stay; what the customer has no value for is cleared."""
    guest = contact(GUEST, "ann@example.com", newsletter="subscribed", company="Bakery")
    [receipt] = await crm.accept(guest)
    [order] = await crm.accept(deal(1, ref(receipt, CONTACT)))
    [customer] = await crm.accept(contact(7, "ann@example.com"))
    assert customer.record_id == receipt.record_id
    held = crm.record(CONTACT, "magento-customer-7").properties
    assert "company" not in held
    assert "magento_newsletter" not in held
    assert crm.linked(CONTACT, customer.record_id, DEAL) == [order.record_id]
    # the guest's deletion, which follows, must not touch the customer's record
    from tests.kit.crm import deletion

    [gone] = await crm.accept(deletion(again(guest, receipt)))
    assert "magento_deleted_at" not in crm.record(CONTACT, "magento-customer-7").properties
    assert gone.record_id == ""


async def test_a_changed_address_is_written_in_place(crm: Bench) -> None:
    """A customer who changes email keeps the record."""
    sent = contact(1, "old@example.com")
    [receipt] = await crm.accept(sent)
    [changed] = await crm.accept(again(sent, receipt, email="new@example.com"))
    assert changed.record_id == receipt.record_id
    held = crm.record(CONTACT, "magento-customer-1").properties
    assert (held["email"], held["magento_email"]) == ("new@example.com", "new@example.com")


async def conflict(crm: Bench, holder: str = "taken@example.com") -> tuple[str, list[object]]:
    """Customer 1 asks for an address that a foreign record has; returns that record's id and the receipts."""
    theirs = crm.crm.people.create(CONTACT, {"email": holder})
    sent = contact(1, "old@example.com")
    [receipt] = await crm.accept(sent)
    [order] = await crm.accept(deal(1, ref(receipt, CONTACT)))
    [changed] = await crm.accept(again(sent, receipt, email=holder, city="Brno"))
    return theirs.id, [receipt, order, changed]


@pytest.mark.parametrize("form", ["conflict", "unique_value"])
async def test_keep_leaves_the_old_address(crm: Bench, form: str) -> None:
    """on_email_conflict = keep: the old address stays, magento_email has the new one, all else is written."""
    crm.crm.account.behaviour.email_conflict = form  # type: ignore[assignment]
    _, [receipt, _, changed] = await conflict(crm)
    assert changed.record_id == receipt.record_id  # type: ignore[attr-defined]
    held = crm.record(CONTACT, "magento-customer-1").properties
    assert (held["email"], held["magento_email"], held["city"]) == ("old@example.com", "taken@example.com", "Brno")
    assert crm.sink.memory.counts["contact_email_conflict"] == 1
    assert changed.reason == "contact_email_conflict"  # type: ignore[attr-defined]
    kept = {"contacts": json.dumps([crm.sink.memory.shared, crm.sink.memory.conflicts])}
    [told] = [one for one in await crm.sink.check(crm.requests, kept) if one.name == "sink conflicts"]
    assert told.warning
    assert "magento-customer-1 (record " in told.text
    assert "@" not in told.text


async def test_move_goes_to_the_record_that_has_the_address() -> None:
    """on_email_conflict = move: key and deals go to that record, the old one gives way by on_delete."""
    async with bench(on_email_conflict="move") as crm:
        theirs, [receipt, order, changed] = await conflict(crm)
        assert changed.record_id == theirs  # type: ignore[attr-defined]
        assert crm.record(CONTACT, "magento-customer-1").id == theirs
        assert crm.linked(CONTACT, theirs, DEAL) == [order.record_id]  # type: ignore[attr-defined]
        old = crm.crm.account.records.live[CONTACT][receipt.record_id]  # type: ignore[attr-defined]
        assert "magento_key" not in old.properties
        assert old.properties["magento_deleted_at"]
        assert crm.linked(CONTACT, old.id, DEAL) == []


@pytest.mark.parametrize("new_id", [False, True])
async def test_merge_makes_our_record_the_primary_one(new_id: bool) -> None:
    """on_email_conflict = merge: HubSpot merges the two, whichever id the merged record gets."""
    async with bench(on_email_conflict="merge") as crm:
        crm.crm.account.behaviour.merge_makes_new_id = new_id
        _, [_, _, changed] = await conflict(crm)
        record = crm.record(CONTACT, "magento-customer-1")
        assert record.id == changed.record_id  # type: ignore[attr-defined]
        assert set(record.emails) == {"old@example.com", "taken@example.com"}
        assert record.properties["city"] == "Brno"
        assert len(crm.crm.account.records.live[CONTACT]) == 1


async def test_a_customer_takes_the_record_of_a_guest_with_the_new_address(crm: Bench) -> None:
    """A record of ours that has the new address stays and stands for the customer; the other one gives way."""
    [guest] = await crm.accept(contact(GUEST, "new@example.com"))
    sent = contact(1, "old@example.com")
    [receipt] = await crm.accept(sent)
    [order] = await crm.accept(deal(1, ref(receipt, CONTACT)))
    [changed] = await crm.accept(again(sent, receipt, email="new@example.com"))
    assert changed.record_id == guest.record_id
    assert crm.linked(CONTACT, guest.record_id, DEAL) == [order.record_id]
    assert crm.keys(CONTACT) == ["", "magento-customer-1"]


async def test_two_customers_swap_their_addresses(crm: Bench) -> None:
    """Neither takes the other's record: both keep their deals, magento_email has the new addresses."""
    one, two = contact(1, "one@example.com"), contact(2, "two@example.com")
    first, second = await crm.accept(one, two)
    [order] = await crm.accept(deal(1, ref(first, CONTACT)))
    swapped = [again(one, first, email="two@example.com"), again(two, second, email="one@example.com")]
    waiting = swapped
    for _ in range(8):
        receipts = await crm.send(*waiting)
        waiting = [m for m, r in zip(waiting, receipts, strict=True) if r.outcome is Outcome.RETRY]
        if not waiting:
            break
    assert not waiting
    assert crm.record(CONTACT, "magento-customer-1").id == first.record_id
    assert crm.record(CONTACT, "magento-customer-2").id == second.record_id
    assert crm.record(CONTACT, "magento-customer-1").properties["magento_email"] == "two@example.com"
    assert crm.linked(CONTACT, first.record_id, DEAL) == [order.record_id]


async def test_an_address_that_is_passed_on_in_one_batch_needs_no_second_try(crm: Bench) -> None:
    """Customer 2 lets go of an address that customer 1 takes in the same batch, in either order."""
    one, two = contact(1, "one@example.com"), contact(2, "two@example.com")
    first, second = await crm.accept(one, two)
    moves = [again(one, first, email="two@example.com"), again(two, second, email="free@example.com")]
    await crm.accept(*moves)
    assert crm.record(CONTACT, "magento-customer-1").properties["email"] == "two@example.com"
    assert crm.record(CONTACT, "magento-customer-2").properties["email"] == "free@example.com"


async def test_a_new_customer_without_a_record_takes_a_kept_one(crm: Bench) -> None:
    """Who registers anew with the address of a kept, deleted contact takes that record, and the mark goes."""
    from tests.kit.crm import deletion

    sent = contact(1, "ann@example.com")
    [receipt] = await crm.accept(sent)
    await crm.accept(deletion(again(sent, receipt)))
    assert crm.record(CONTACT, "magento-customer-1").properties["magento_deleted_at"]
    [renewed] = await crm.accept(contact(9, "ann@example.com"))
    assert renewed.record_id == receipt.record_id
    assert "magento_deleted_at" not in crm.record(CONTACT, "magento-customer-9").properties


@pytest.mark.parametrize("merged_ids", ["survivor", "not_found"])
async def test_two_of_ours_that_people_merged_stand_on_one_record(crm: Bench, merged_ids: str) -> None:
    """The record's key is the lowest customer's, its primary address stays as people left it, and the other customer's
    messages are accepted without a fight over values; a warning comes once.
    """
    crm.crm.account.behaviour.merged_ids = merged_ids  # type: ignore[assignment]
    one, two = contact(1, "one@example.com"), contact(2, "two@example.com", firstname="Bob")
    first, second = await crm.accept(one, two)
    crm.crm.people.merge(CONTACT, second.record_id, first.record_id)  # customer 2's record survives
    [got] = await crm.accept(again(one, first, city="Brno"))
    record = crm.record(CONTACT, "magento-customer-1")
    assert got.record_id == record.id == second.record_id
    assert record.properties["email"] == "two@example.com"
    # in every later message too: our address must not become the first one again
    await crm.accept(again(again(one, got), got, city="Praha"))
    assert crm.record(CONTACT, "magento-customer-1").properties["email"] == "two@example.com"
    [other] = await crm.accept(again(two, second, firstname="Robert"))
    assert other.record_id == record.id
    assert crm.record(CONTACT, "magento-customer-1").properties["firstname"] == "Ann"
    assert crm.sink.memory.counts["contacts_merged"] >= 1
    assert len(crm.crm.account.records.live[CONTACT]) == 1


async def test_a_merged_customer_who_changes_address_gets_a_record_again(crm: Bench) -> None:
    """Once an address is neither the record's email nor an additional one, the two part."""
    one, two = contact(1, "one@example.com"), contact(2, "two@example.com")
    first, second = await crm.accept(one, two)
    crm.crm.people.merge(CONTACT, first.record_id, second.record_id)
    [joined] = await crm.accept(again(two, second))
    assert joined.record_id == first.record_id
    [parted] = await crm.accept(again(again(two, joined), joined, email="new@example.com"))
    assert parted.record_id != first.record_id
    assert crm.record(CONTACT, "magento-customer-2").properties["email"] == "new@example.com"


async def test_the_lower_of_two_merged_customers_gets_a_record_of_its_own(crm: Bench) -> None:
    """The one whose key stands on the shared record leaves it, and the other one's key takes its place."""
    one, two = contact(1, "one@example.com"), contact(2, "two@example.com")
    first, second = await crm.accept(one, two)
    crm.crm.people.merge(CONTACT, second.record_id, first.record_id)
    [joined] = await crm.accept(again(one, first))
    assert joined.record_id == second.record_id
    [parted] = await crm.accept(again(again(one, joined), joined, email="new@example.com"))
    [stays] = await crm.accept(again(two, second, city="Brno"))
    assert parted.record_id != stays.record_id == second.record_id
    assert crm.record(CONTACT, "magento-customer-2").properties["email"] == "two@example.com"
    assert crm.record(CONTACT, "magento-customer-1").properties["email"] == "new@example.com"


async def test_a_key_that_somebody_removed_is_put_back(crm: Bench) -> None:
    """A record whose key was cleared by hand is still the object's: nothing is made twice."""
    sent = contact(1, "ann@example.com")
    [receipt] = await crm.accept(sent)
    crm.crm.people.edit(CONTACT, receipt.record_id, {"magento_key": ""})
    [changed] = await crm.accept(again(sent, receipt, city="Brno"))
    assert changed.record_id == receipt.record_id
    assert len(crm.crm.account.records.live[CONTACT]) == 1


async def test_the_record_of_another_shop_is_not_taken(crm: Bench) -> None:
    """Two shops may write into one account: a record with another namespace's key keeps its address."""
    [theirs] = await crm.accept(contact("other-customer-1", "ann@example.com"))
    [ours] = await crm.accept(contact(1, "ann@example.com"))
    assert ours.record_id != theirs.record_id
    held = crm.record(CONTACT, "magento-customer-1").properties
    assert "email" not in held
    assert held["magento_email"] == "ann@example.com"
