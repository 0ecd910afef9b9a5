"""An outcome per input: what HubSpot refuses, leaves out or does not mention, and what follows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cdc.errors import (
    OutcomeUnknownError,
    SinkSwitchedOffError,
    SinkThrottledError,
    SinkUnauthorizedError,
    SinkUnavailableError,
)
from cdc.model import ObjectType, Outcome
from sinks.crm.paths import SEGMENT
from sinks.sandbox.crm.behaviour import ConditionalRule
from tests.kit.crm import Bench, again, bench, contact, deal, line, outcomes, product, ref

CONTACT, PRODUCT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.PRODUCT, ObjectType.DEAL, ObjectType.LINE_ITEM


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench() as made:
        yield made


async def test_one_bad_value_rejects_one_message(crm: Bench) -> None:
    """A bad address is one dead letter with HubSpot's code and the property's name, never its value."""
    receipts = await crm.send(contact(1), contact(2, "nobody"), contact(3))
    assert outcomes(receipts) == [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
    assert receipts[1].reason == "INVALID_EMAIL"
    assert "email" in receipts[1].detail
    assert "nobody" not in receipts[1].detail


async def test_a_rule_of_the_account_rejects_what_breaks_it(crm: Bench) -> None:
    """A required property of the create form, or of a conditional rule, names itself in the dead letter."""
    crm.crm.account.behaviour.required_on_create[CONTACT] = ["jobtitle"]
    [receipt] = await crm.send(contact(1))
    assert (receipt.outcome, receipt.reason) == (Outcome.REJECTED, "MISSING_REQUIRED_PROPERTY")
    assert "jobtitle" in receipt.detail
    crm.crm.account.behaviour.required_on_create.clear()
    crm.crm.account.behaviour.conditional_rules[CONTACT] = [ConditionalRule("city", "Brno", ("jobtitle",))]
    receipts = await crm.send(contact(2, city="Brno"), contact(3))
    assert receipts[0].reason == "MISSING_CONDITIONAL_REQUIRED_PROPERTY"
    assert receipts[1].outcome is Outcome.ACCEPTED


async def test_a_blocked_address_is_rejected(crm: Bench) -> None:
    """An address that GDPR delete put on the block list is never tried again."""
    crm.crm.account.behaviour.blocked_emails.add("customer1@example.com")
    [receipt] = await crm.send(contact(1))
    assert receipt.outcome is Outcome.REJECTED


async def test_an_unknown_property_is_left_out(crm: Bench) -> None:
    """A property that was archived since the last look is left out, counted, and the rest is written."""
    await crm.accept(contact(1))
    crm.crm.account.properties.archive(CONTACT, "magento_newsletter", crm.crm.account.now_ms())
    [receipt] = await crm.accept(contact(2, newsletter="subscribed", city="Brno"))
    assert crm.record(CONTACT, "magento-customer-2").properties["city"] == "Brno"
    assert crm.sink.memory.counts["crm_property_left_out"] == 1
    crm.calls()
    # the account is asked anew, so the next message is sent without it at once
    await crm.accept(contact(3, newsletter="subscribed"))
    assert [call for call in crm.calls() if "batch/create" in call] == ["objects/contacts/batch/create"]
    assert receipt.record_id


@pytest.mark.parametrize("is_new", [True, False])
async def test_a_key_property_that_went_away_stops_sending(crm: Bench, is_new: bool) -> None:
    """Nobody's message is at fault, and no record may be made without its key."""
    sent = deal(1)
    [receipt] = await crm.accept(sent)
    crm.crm.account.properties.archive(DEAL, "magento_key", crm.crm.account.now_ms())
    with pytest.raises(SinkSwitchedOffError, match="mapping push"):
        await crm.send(deal(2) if is_new else again(sent, receipt, amount="1"))
    assert len(crm.crm.account.records.live[DEAL]) == 1


async def test_an_account_that_was_not_pushed_gets_what_it_takes() -> None:
    """Only the key property is needed: everything else of ours that lacks is left out."""
    async with bench(push=False) as crm:
        for kind in SEGMENT:
            body = {"name": "magento_key", "label": "Key", "groupName": f"{kind.value.lower()}information",
                    "type": "string", "fieldType": "text", "hasUniqueValue": True}  # fmt: skip
            groups = crm.crm.account.properties.groups[kind]
            body["groupName"] = next(iter(groups))
            crm.crm.account.properties.create(kind, body, 1)
        [buyer] = await crm.accept(contact(1, newsletter="subscribed"))
        [made] = await crm.accept(deal(1, ref(buyer, CONTACT)))
        held = crm.record(DEAL, "magento-order-1").properties
        assert (held["dealname"], held["dealstage"]) == ("#000000001", "appointmentscheduled")
        assert made.record_id


async def test_a_currency_that_the_account_lacks_is_left_out(crm: Bench) -> None:
    """HubSpot refuses such a value; magento_currency holds it in any case."""
    await crm.accept(deal(1, currency="ISK"))
    held = crm.record(DEAL, "magento-order-1").properties
    assert "deal_currency_code" not in held
    assert held["magento_currency"] == "ISK"
    assert crm.sink.memory.counts["crm_currency_left_out"] == 1


async def test_a_currency_that_was_removed_since_is_left_out(crm: Bench) -> None:
    """The account's list is known from the start; HubSpot's refusal tells when it has changed."""
    await crm.accept(deal(1))
    crm.crm.account.currencies = ("USD",)
    await crm.accept(deal(2))
    assert "deal_currency_code" not in crm.record(DEAL, "magento-order-2").properties


async def test_an_answer_that_mentions_nobody_accepts_nobody(crm: Bench) -> None:
    """A 2xx without results and errors: every message is sent alone once, then tried again after 1, 5, 30 minutes."""
    await crm.accept(contact(1))
    crm.add_fault(empty=True, path="batch/create", count=3)
    receipts = await crm.send(contact(2), contact(3))
    assert outcomes(receipts) == [Outcome.RETRY, Outcome.RETRY]
    assert [receipt.retry_after_s for receipt in receipts] == [60.0, 60.0]
    waits = []
    for _ in range(4):
        crm.add_fault(empty=True, path="batch/create", count=1)
        [receipt] = await crm.send(contact(2))
        waits.append(receipt.retry_after_s)
    assert waits == [300.0, 1800.0, 3600.0, 3600.0]


async def test_inputs_that_an_answer_leaves_out_are_sent_alone(crm: Bench) -> None:
    """What was written but not mentioned is found again by its key: no second record."""
    crm.add_fault(omit=2, path="batch/create")
    receipts = await crm.accept(*[contact(n) for n in range(5)])
    assert len({receipt.record_id for receipt in receipts}) == 5
    assert len(crm.crm.account.records.live[CONTACT]) == 5


async def test_a_page_of_a_proxy_accepts_nothing(crm: Bench) -> None:
    """200 with a maintenance page cannot come from HubSpot: the outcome is unknown, and nothing counts as taken."""
    await crm.accept(contact(1))
    crm.add_fault(html=True, path="batch/create")
    with pytest.raises(OutcomeUnknownError):
        await crm.send(contact(2))


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_cut_answer_makes_no_second_record(crm: Bench, cut: str) -> None:
    """A create whose answer was cut may have been done: the message comes again, and its record is found by key."""
    [buyer] = await crm.accept(contact(1))
    crm.add_fault(cut=cut, path="deals/batch/create")
    sent = deal(1, ref(buyer, CONTACT))
    with pytest.raises(OutcomeUnknownError):
        await crm.send(sent)
    [receipt] = await crm.accept(replace(sent, may_repeat=True))
    assert crm.keys(DEAL) == ["magento-order-1"]
    assert crm.linked(DEAL, receipt.record_id, CONTACT) == [buyer.record_id]


async def test_a_lost_state_makes_no_second_record(crm: Bench) -> None:
    """Records of an installation whose state is gone are found by their keys, of all types."""
    [buyer], [goods] = await crm.accept(contact(1)), await crm.accept(product(1))
    [order] = await crm.accept(deal(1, ref(buyer, CONTACT)))
    await crm.accept(line(1, ref(order, DEAL), ref(goods, PRODUCT)))
    first = {kind: set(crm.crm.account.records.live[kind]) for kind in SEGMENT}
    [buyer], [goods] = await crm.accept(contact(1, city="Brno")), await crm.accept(product(1, price="8"))
    [order] = await crm.accept(deal(1, ref(buyer, CONTACT), amount="5"))
    await crm.accept(line(1, ref(order, DEAL), ref(goods, PRODUCT), quantity="3"))
    assert {kind: set(crm.crm.account.records.live[kind]) for kind in SEGMENT} == first
    assert crm.record(LINE_ITEM, "magento-item-1").properties["quantity"] == "3"


async def test_after_a_lost_state_records_are_looked_for_before_they_are_made(crm: Bench) -> None:
    """One refused create tells that HubSpot knows our objects: from then on a look by key comes first, not an error."""
    await crm.accept(*[deal(n) for n in range(20)])
    crm.calls()
    await crm.accept(*[deal(n, amount="1") for n in range(10)])
    assert crm.calls()[0] == "objects/deals/batch/create"
    await crm.accept(*[deal(n, amount="1") for n in range(10, 20)])
    assert crm.calls() == ["objects/deals/batch/read", "objects/deals/batch/update"]
    await crm.accept(*[deal(n) for n in range(20, 30)])
    await crm.accept(*[deal(n) for n in range(30, 40)])
    assert crm.calls() == ["objects/deals/batch/read", *["objects/deals/batch/create"] * 2]


async def test_a_failed_second_call_keeps_what_the_first_one_did(crm: Bench) -> None:
    """A deal that is written and not linked is WRITTEN: only its linking is repeated."""
    [first], [second] = await crm.accept(contact(1)), await crm.accept(contact(2))
    sent = deal(1, ref(first, CONTACT))
    [made] = await crm.accept(sent)
    crm.add_fault(status=503, path="associate/default")
    changed = replace(again(sent, made), references=(ref(second, CONTACT),))
    [receipt] = await crm.send(changed)
    assert (receipt.outcome, receipt.record_id) == (Outcome.WRITTEN, made.record_id)
    await crm.accept(replace(changed, only_links=True))
    assert crm.linked(DEAL, made.record_id, CONTACT) == [second.record_id]


async def test_a_server_error_on_a_create_is_an_unknown_outcome(crm: Bench) -> None:
    """HubSpot says of 5xx that the write may have happened."""
    await crm.accept(contact(1))
    crm.add_fault(status=502, path="batch/create")
    with pytest.raises(OutcomeUnknownError):
        await crm.send(contact(2))


@pytest.mark.parametrize(
    ("status", "error"), [(401, SinkUnauthorizedError), (423, SinkUnavailableError), (477, SinkUnavailableError)]
)
async def test_a_refusal_that_is_not_about_content_is_raised(crm: Bench, status: int, error: type[Exception]) -> None:
    """Locked, moved and unauthorized are nobody's message's fault."""
    await crm.accept(contact(1))
    crm.add_fault(status=status, path="contacts/batch")
    with pytest.raises(error):
        await crm.send(contact(2))


async def test_429_names_its_policy(crm: Bench) -> None:
    """Delivery waits as long as the limit's window lasts, so it has to know which limit it was."""
    await crm.accept(contact(1))
    crm.add_fault(status=429, policy="TEN_SECONDLY_ROLLING", path="contacts/batch")
    with pytest.raises(SinkThrottledError) as caught:
        await crm.send(contact(2))
    assert caught.value.policy == "TEN_SECONDLY_ROLLING"


async def test_a_missing_scope_is_named(crm: Bench) -> None:
    """403 stops sending with the scopes that the token lacks."""
    await crm.accept(contact(1))
    crm.crm.account.behaviour.scopes = {"crm.objects.contacts.read"}
    with pytest.raises(SinkUnauthorizedError, match=r"crm\.objects\.contacts\.write"):
        await crm.send(contact(2))


async def test_two_messages_that_lead_to_one_record_are_not_sent_in_one_call(crm: Bench) -> None:
    """HubSpot refuses two inputs with one id; the second message takes its turn after the first."""
    crm.crm.people.create(CONTACT, {"email": "ann@example.com"})
    receipts = await crm.send(contact(1, "ann@example.com"), contact(2, "ann@example.com"))
    assert Outcome.ACCEPTED in outcomes(receipts)
    assert "malformed" not in crm.crm.watch.watch.counts
    assert len(crm.crm.account.records.live[CONTACT]) == 1


async def test_a_text_of_the_longest_size_is_taken(crm: Bench) -> None:
    """HubSpot takes 65,536 characters; what is longer is cut to that."""
    await crm.accept(product(1, description="x" * 70_000))
    assert len(crm.record(PRODUCT, "magento-product-1").properties["description"]) == 65_536
