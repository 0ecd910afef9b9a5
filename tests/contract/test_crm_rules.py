"""``check`` names the account's own rules that would refuse writes, as far as HubSpot tells them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import orjson
import pytest

from cdc.model import CheckResult, ObjectType, Outcome
from sinks.crm.sink import RULES_NOTE
from tests.kit.crm import Bench, again, bench, contact, deal, line, ref

CONTACT, DEAL, LINE_ITEM = ObjectType.CONTACT, ObjectType.DEAL, ObjectType.LINE_ITEM


@pytest.fixture
async def crm() -> AsyncIterator[Bench]:
    async with bench() as made:
        yield made


async def odd(crm: Bench) -> list[CheckResult]:
    """What ``check`` fails at or warns of."""
    return [one for one in await crm.sink.check(crm.requests, crm.notes) if one.warning or not one.ok]


async def test_an_account_without_rules_is_all_good(crm: Bench) -> None:
    """No rule, no warning; and asking wrote nothing."""
    before = {kind: dict(held) for kind, held in crm.crm.account.records.live.items()}
    assert await odd(crm) == []
    assert crm.crm.account.records.live == before
    assert not crm.crm.watch.watch.counts


async def test_rules_on_values_of_our_properties_are_named(crm: Bench) -> None:
    """A rule on a property that we write is a warning with the kinds of the rule; one on another property is not."""
    crm.crm.account.behaviour.value_rules = {
        "contacts.phone": ["MAX_LENGTH", "FORMAT"],
        "contacts.jobtitle": ["REGEX"],
        "deals.magento_status": ["MAX_LENGTH"],
    }
    found = await odd(crm)
    assert [one.name for one in found] == ["sink contacts", "sink deals"]
    assert "phone (FORMAT, MAX_LENGTH)" in found[0].text
    assert "jobtitle" not in found[0].text
    assert all(one.ok and "[mapping]" in one.fix for one in found)


async def test_limits_of_associations_are_named(crm: Bench) -> None:
    """A limit that our links may meet is a warning; a line has one deal anyway."""
    limits = {"contacts/deals": 5, "deals/contacts": 1, "line_items/deals": 1, "deals/line_items": 50}
    crm.crm.account.behaviour.association_limits = limits
    texts = [one.text for one in await odd(crm)]
    assert [text for text in texts if "deals have at most 1 associated contacts" in text]
    assert [text for text in texts if "contacts have at most 5 associated deals" in text]
    assert [text for text in texts if "deals have at most 50 associated line_items" in text]
    assert len(texts) == 3


async def test_records_at_a_limit_of_associations_are_told(crm: Bench) -> None:
    """HubSpot tells types that have such records, and the next link of one would be refused."""
    crm.crm.account.behaviour.association_limits = {"contacts/deals": 2}
    [buyer] = await crm.accept(contact(1))
    await crm.accept(*[deal(n, ref(buyer, CONTACT)) for n in (1, 2)])
    texts = [one.text for one in await odd(crm)]
    assert "there are contacts at HubSpot's limit of associated deals" in texts
    [receipt] = await crm.send(deal(3, ref(buyer, CONTACT)))
    assert receipt.outcome is not Outcome.ACCEPTED


async def test_stages_that_may_not_be_written_are_named(crm: Bench) -> None:
    """An admin may close a stage to everybody else."""
    pipeline = next(one for one in crm.crm.account.pipelines.all.values() if one.label == "Magento")
    key, stage = next((key, one) for key, one in pipeline.stages.items() if one.label == "Shipped")
    pipeline.stages[key] = dataclasses.replace(stage, permissions="READ_ONLY")
    [found] = await odd(crm)
    assert (found.name, found.ok) == ("sink pipeline", True)
    assert "Shipped" in found.text


async def test_a_token_that_may_only_read_fails_and_names_the_scopes(crm: Bench) -> None:
    """The missing right to write is found before the first message, and nothing is written to find it."""
    names = ("contacts", "products", "deals", "line_items")
    reads = {f"crm.{area}.{name}.read" for area in ("objects", "schemas") for name in names}
    crm.crm.account.behaviour.scopes = reads
    failed = [one for one in await odd(crm) if not one.ok]
    assert [one.name for one in failed] == [f"sink {name}" for name in names]
    assert "crm.objects.contacts.write" in failed[0].text


async def test_a_rule_that_cannot_be_asked_is_a_warning(crm: Bench) -> None:
    """What HubSpot does not answer says nothing about the account."""
    crm.add_fault(status=500, path="/property-validations/", count=4)
    found = await odd(crm)
    assert [(one.name, one.ok) for one in found] == [("sink rules", True)] * 4


class Kept:
    """Notes in the bench's dictionary."""

    def __init__(self, crm: Bench) -> None:
        self._held = crm.notes

    async def get(self, name: str) -> str:
        """The text under this name."""
        return self._held.get(name, "")

    async def put(self, name: str, text: str) -> None:
        """Keep a text."""
        self._held[name] = text


async def test_a_required_property_is_named_once_it_refused_a_record(crm: Bench) -> None:
    """HubSpot does not tell what its create form requires; the first refusal does, until the object is taken."""
    await crm.sink.start(crm.requests, Kept(crm))
    crm.crm.account.behaviour.required_on_create = {CONTACT: ["jobtitle"]}
    [receipt] = await crm.send(contact(1))
    assert receipt.outcome is Outcome.REJECTED
    [found] = await odd(crm)
    assert "MISSING_REQUIRED_PROPERTY contact.jobtitle" in found.text
    assert "deadletter retry" in found.fix
    crm.crm.account.behaviour.required_on_create = {}
    await crm.accept(contact(1))
    assert await odd(crm) == []


async def test_a_currency_that_the_account_lacks_is_named(crm: Bench) -> None:
    """Deals go without the currency; check says so until the account has it, also after a restart."""
    await crm.sink.start(crm.requests, Kept(crm))
    sent = deal(1, currency="JPY")
    [made] = await crm.accept(sent)
    [found] = await odd(crm)
    assert (found.name, found.ok) == ("sink currencies", True)
    assert "JPY" in found.text
    assert orjson.loads(crm.notes[RULES_NOTE])[1] == {"JPY": "DEAL"}
    await crm.sink.start(crm.requests, Kept(crm))
    crm.crm.account.currencies = (*crm.crm.account.currencies, "JPY")
    crm.sink.account.forget()
    await crm.accept(again(sent, made, amount="7"))
    assert await odd(crm) == []


async def test_the_lines_of_a_currency_count_too(crm: Bench) -> None:
    """A line has a currency of its own."""
    await crm.sink.start(crm.requests, Kept(crm))
    [order] = await crm.accept(deal(1))
    await crm.accept(line(1, ref(order, DEAL), currency="JPY"))
    [found] = await odd(crm)
    assert "JPY" in found.text
