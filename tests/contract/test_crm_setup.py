"""``mapping push``, ``check`` and the guard at the start, against an account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cdc.errors import ConfigError, SetupError, SinkUnauthorizedError
from cdc.model import ObjectType
from sinks.crm.memory import Memory
from sinks.crm.paths import SEGMENT
from sinks.crm.sink import CrmSink
from tests.kit.crm import Bench, again, bench, contact, deal, settings

CONTACT, DEAL = ObjectType.CONTACT, ObjectType.DEAL


class Notes:
    """What the state keeps for a sink."""

    def __init__(self, held: dict[str, str]) -> None:
        self._held = held

    async def get(self, name: str) -> str:
        """The text under this name."""
        return self._held.get(name, "")

    async def put(self, name: str, text: str) -> None:
        """Keep a text."""
        self._held[name] = text


@pytest.fixture
async def blank() -> AsyncIterator[Bench]:
    async with bench(push=False) as made:
        yield made


def make_property(crm: Bench, kind: ObjectType, *, unique: bool) -> None:
    """A property with the key's name, as somebody made it."""
    book = crm.crm.account.properties
    body = {"name": "magento_key", "label": "Key", "groupName": next(iter(book.groups[kind])), "type": "string",
            "fieldType": "text", "hasUniqueValue": unique}  # fmt: skip
    book.create(kind, body, crm.crm.account.now_ms())


async def test_push_sets_up_a_blank_account_once(blank: Bench) -> None:
    """A dry run changes nothing and says the same; the second run has nothing to do; check is all good then."""
    told = await blank.sink.push_mapping(blank.requests, dry_run=True)
    assert not blank.crm.account.properties.used(CONTACT, "magento_key")
    done = await blank.sink.push_mapping(blank.requests, dry_run=False)
    assert [line.replace("would be ", "") for line in told] == list(done)
    assert blank.crm.account.properties.is_unique(CONTACT, "magento_key")
    again_told = await blank.sink.push_mapping(blank.requests, dry_run=False)
    assert "nothing to do" in again_told[0]
    findings = await blank.sink.check(blank.requests)
    assert all(finding.ok and not finding.warning for finding in findings), findings


async def test_push_waits_until_new_properties_can_be_read(blank: Bench) -> None:
    """HubSpot shows a new property after a moment only."""
    blank.crm.account.behaviour.property_delay_ms = 300
    await blank.sink.push_mapping(blank.requests, dry_run=False)
    assert blank.crm.account.properties.is_visible(
        blank.crm.account.properties.all[CONTACT]["magento_key"], blank.crm.account.now_ms()
    )


async def test_push_restores_an_archived_property() -> None:
    """HubSpot restores an archived property of the same name."""
    async with bench() as crm:
        crm.crm.account.properties.archive(CONTACT, "magento_website", crm.crm.account.now_ms())
        lines = await crm.sink.push_mapping(crm.requests, dry_run=False)
        assert lines == ["contacts: property magento_website (string): made"]


async def test_push_refuses_a_key_that_is_not_unique(blank: Bench) -> None:
    """HubSpot can never make it unique: the merchant has to choose another name."""
    make_property(blank, DEAL, unique=False)
    with pytest.raises(SetupError, match=r"not unique.*crm\.key_property"):
        await blank.sink.push_mapping(blank.requests, dry_run=False)


async def test_push_names_every_missing_scope(blank: Bench) -> None:
    """One run tells all that the token lacks."""
    blank.crm.account.behaviour.scopes = {"crm.schemas.contacts.read", "crm.schemas.contacts.write"}
    with pytest.raises(SinkUnauthorizedError) as caught:
        await blank.sink.push_mapping(blank.requests, dry_run=False)
    assert "crm.schemas.deals" in str(caught.value)
    assert "crm.schemas.line_items" in str(caught.value)


async def test_push_falls_back_where_no_pipeline_can_be_made(blank: Bench) -> None:
    """API_LIMIT: the default pipeline is used, and push says so."""
    blank.crm.account.behaviour.max_pipelines = 1
    lines = await blank.sink.push_mapping(blank.requests, dry_run=False)
    assert "no further pipeline" in lines[-1]
    [receipt] = await blank.accept(deal(1, stage="shipped"))
    held = blank.record(DEAL, "magento-order-1").properties
    assert (held["pipeline"], held["dealstage"], held["magento_stage"]) == ("default", "closedwon", "shipped")
    await blank.accept(again(deal(1), receipt, stage="cancelled"))
    assert blank.record(DEAL, "magento-order-1").properties["dealstage"] == "closedlost"


async def test_push_adds_missing_stages_to_a_pipeline_that_it_found() -> None:
    """Nothing that exists is changed."""
    async with bench(push=False, pipeline="default") as crm:
        before = dict(crm.crm.account.pipelines.all["default"].stages)
        lines = await crm.sink.push_mapping(crm.requests, dry_run=False)
        after = crm.crm.account.pipelines.all["default"].stages
        assert {stage_id: after[stage_id] for stage_id in before} == before
        assert len(after) == len(before) + 6
        assert "stage Shipped: added" in lines[-2]


async def test_check_names_what_an_account_lacks(blank: Bench) -> None:
    """A key that is missing is a failure with its cure; what is merely left out is a warning."""
    findings = await blank.sink.check(blank.requests)
    bad = [finding for finding in findings if not finding.ok]
    assert [finding.name for finding in bad] == ["sink contacts", "sink products", "sink deals", "sink line_items"]
    assert {finding.fix for finding in bad} == {"run `magento-cdc mapping push`"}
    make_property(blank, CONTACT, unique=True)
    findings = await blank.sink.check(blank.requests)
    [held] = [finding for finding in findings if finding.name == "sink contacts"]
    assert held.ok
    assert held.warning
    assert "magento_" in held.text


async def test_check_says_that_a_token_is_refused(blank: Bench) -> None:
    """A wrong token is one failing line, and no exception."""
    sink = CrmSink(settings(blank.server.url, {"access_token": "wrong"}))
    [finding] = await sink.check(blank.requests)
    assert not finding.ok
    assert "401" in finding.text
    await sink.close()


async def test_the_start_refuses_without_a_unique_key(blank: Bench) -> None:
    """run ends with exit code 2 and names mapping push."""
    with pytest.raises(SetupError, match="mapping push"):
        await blank.sink.start(blank.requests, Notes({}))
    for kind in SEGMENT:
        make_property(blank, kind, unique=kind is not DEAL)
    blank.sink.account.forget()
    with pytest.raises(SetupError, match="not unique"):
        await blank.sink.start(blank.requests, Notes({}))


async def test_the_first_account_seen_is_kept() -> None:
    """A token of another account is refused at the next start: its records are not those that the state knows."""
    held: dict[str, str] = {}
    async with bench() as crm:
        await crm.sink.start(crm.requests, Notes(held))
        assert held == {"account_id": "1"}
        await crm.sink.start(crm.requests, Notes(held))
        with pytest.raises(SetupError, match="account 1"):
            await crm.sink.start(crm.requests, Notes({"account_id": "2"}))


async def test_shared_and_contested_addresses_outlive_a_restart() -> None:
    """What the sink has to know of a contact before it writes is kept in the state."""
    held: dict[str, str] = {}
    async with bench() as crm:
        await crm.sink.start(crm.requests, Notes(held))
        theirs = crm.crm.people.create(CONTACT, {"email": "first@example.com"})
        crm.crm.people.add_email(theirs.id, "second@example.com")
        crm.crm.people.create(CONTACT, {"email": "taken@example.com"})
        sent, other = contact(1, "second@example.com"), contact(2, "own@example.com")
        first, second = await crm.accept(sent, other)
        await crm.accept(again(other, second, email="taken@example.com"))
        crm.sink.memory = Memory()
        await crm.sink.start(crm.requests, Notes(held))
        await crm.accept(again(sent, first, city="Brno"))
        assert crm.record(CONTACT, "magento-customer-1").properties["email"] == "first@example.com"
        assert list(crm.sink.memory.conflicts) == ["magento-customer-2"]
        await crm.accept(again(again(other, second), second, email="free@example.com"))
        assert crm.sink.memory.conflicts == {}


async def test_account_id_must_be_the_tokens() -> None:
    """crm.account_id guards against a token of another account."""
    async with bench(account_id=7) as crm:
        with pytest.raises(SetupError, match="belongs to HubSpot account 1, this installation to 7"):
            await crm.sink.start(crm.requests, Notes({}))


async def test_a_token_without_schema_scopes_can_run() -> None:
    """A token for records alone cannot read properties: the key is probed by a read, and answers tell the rest."""
    async with bench() as crm:
        names = ("contacts", "products", "deals", "line_items")
        crm.crm.account.behaviour.scopes = {f"crm.objects.{name}.{may}" for name in names for may in ("read", "write")}
        await crm.sink.start(crm.requests, Notes({}))
        await crm.accept(contact(1, newsletter="subscribed"))


def test_a_token_is_needed() -> None:
    """Without a token nothing can be sent, and the settings say so."""
    with pytest.raises(ConfigError, match="access_token"):
        CrmSink(settings("http://127.0.0.1:1", {"access_token": ""}))
