"""The bridge sink's own wire form, sync errors and mapping, against the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from pydantic import SecretStr

from cdc.errors import BatchRefusedError
from cdc.model import Action, Message, ObjectType, Outcome, Quota
from cdc.settings.sink import SinkSettings
from sinks.bridge import error_pages
from sinks.bridge.sink import BridgeSink
from sinks.bridge.wire import FAMILY, message_v1
from sinks.sandbox.server import SandboxServer, start
from sinks.sandbox.store import SandboxStore
from tests.contract.test_sinks import NOW, contact
from tests.kit.requests import FreeRequests, sync_errors_of

DEAL = Message(
    object_type=ObjectType.DEAL,
    external_id="magento-order-1",
    action=Action.UPSERT,
    changed_at=NOW,
    properties={"name": "#000000001", "stage": "processed", "amount": "59.90"},
    associations={ObjectType.CONTACT: ("magento-customer-1",)},
)
PRODUCT = Message(
    object_type=ObjectType.PRODUCT,
    external_id="magento-product-9",
    action=Action.UPSERT,
    changed_at=NOW,
    properties={"name": "Yoga mat", "sku": "MAT-1"},
)
LINE = Message(
    object_type=ObjectType.LINE_ITEM,
    external_id="magento-item-5",
    action=Action.UPSERT,
    changed_at=NOW,
    properties={"name": "Yoga mat", "quantity": "2"},
    associations={ObjectType.DEAL: ("magento-order-1",), ObjectType.PRODUCT: ("magento-product-9",)},
)


def read_to(until_ms: int) -> str:
    """The progress of a sink that has read all errors up to this time and is to read none of them again."""
    return error_pages.dump(error_pages.Descent(done_ms=until_ms + error_pages.OVERLAP_MS))


def settings_for(sandbox: SandboxServer, **more: object) -> SinkSettings:
    """Settings that reach the sandbox with its key."""
    return SinkSettings.model_validate({"base_url": sandbox.url, "api_key": "sandbox", **more})


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    running = await start(auto_validate=False)
    yield running
    await running.close()


@pytest.fixture
async def sink(sandbox: SandboxServer) -> AsyncIterator[BridgeSink]:
    made = BridgeSink(settings_for(sandbox))
    yield made
    await made.close()


def test_associations_travel_as_mapped_properties() -> None:
    """Version 1 carries links as hs_assoc__* properties; one that is missing is sent empty, which ends it."""
    line, deal = message_v1(LINE), message_v1(replace(DEAL, associations={}))
    assert line["propertyNameToValues"]["hs_assoc__deal_id"] == "magento-order-1"
    assert line["propertyNameToValues"]["hs_assoc__product_id"] == "magento-product-9"
    assert deal["propertyNameToValues"]["hs_assoc__contact_ids"] == ""
    assert sorted(line) == ["action", "changeOccurredTimestamp", "integratorObjectId", "propertyNameToValues"]


async def test_all_four_types_arrive_and_are_linked(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """Contact, product, deal and line item end as linked records, and no rule is broken."""
    for message in (contact(1), PRODUCT, DEAL, LINE):
        await sink.send([message], FreeRequests())
    sandbox.store.validate_next(NOW)
    state = sandbox.store.state()
    assert state["magento-order-1"]["associations"] == {"CONTACT": ["magento-customer-1"]}
    assert state["magento-item-5"]["associations"] == {"DEAL": ["magento-order-1"], "PRODUCT": ["magento-product-9"]}
    assert not sandbox.store.watch.counts


async def test_a_token_wins_over_a_key(sandbox: SandboxServer) -> None:
    """With both set the bearer token is sent, and the key is not in the URL."""
    sink = BridgeSink(settings_for(sandbox, api_key="wrong", access_token=SecretStr("sandbox-token")))
    assert (await sink.send([contact(1)], FreeRequests())).receipts[0].outcome is Outcome.ACCEPTED
    await sink.close()


async def test_another_spelling_of_the_path_can_be_set(sandbox: SandboxServer) -> None:
    """``sink.paths`` changes a type's path segment; the sandbox knows only the documented one."""
    sink = BridgeSink(settings_for(sandbox, paths={"LINE_ITEM": "LINEITEM"}))
    with pytest.raises(BatchRefusedError, match="LINEITEM"):
        await sink.send([LINE], FreeRequests())
    await sink.close()


async def test_a_mixed_or_oversized_batch_is_a_programming_error(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """The sink never sends what the bridge is known not to take."""
    for batch in ([contact(1), PRODUCT], [contact(n) for n in range(201)]):
        with pytest.raises(ValueError, match="at most 200"):
            await sink.send(batch, FreeRequests())
    assert not sandbox.store.requests


async def test_the_quota_is_read_from_the_headers(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """X-HubSpot-RateLimit-* is what each answer says; without them it says nothing."""
    requests = FreeRequests()
    await sink.send([contact(1)], requests)
    await _fault(sandbox, {"quota": {"limit": 100, "interval_ms": 10_000, "daily": 250_000}})
    await sink.send([contact(2)], requests)
    assert requests.quotas == [Quota(), Quota(100, 99, 10_000, 250_000, 249_999)]
    assert requests.families == [FAMILY, FAMILY]


async def test_judgements_come_newer_than_asked_oldest_first_and_redacted(
    sandbox: SandboxServer, sink: BridgeSink
) -> None:
    """Only errors that were not read before are given, with HubSpot's type and no email address."""
    bad = [replace(contact(n, email="who@example"), external_id=f"magento-customer-{n}") for n in range(4)]
    for n, message in enumerate(bad):
        await sink.send([message], FreeRequests())
        sandbox.store.validate_next(NOW + n)
    found, _ = await sync_errors_of(sink, read_to(NOW + 1))
    assert [(j.external_id, j.changed_at, j.errored_at, j.kind) for j in found] == [
        (f"magento-customer-{n}", NOW, NOW + n, "INVALID_EMAIL_ADDRESS") for n in (2, 3)
    ]
    assert not any("@" in j.detail for j in found)


async def test_judgements_are_read_page_by_page(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """All pages are read until one ends or is not newer; resolved errors are left out."""
    for start_at in range(0, 450, 150):
        await sink.send([contact(n, email="bad") for n in range(start_at, start_at + 150)], FreeRequests())
        sandbox.store.validate_next(NOW + start_at)
    await sink.send([contact(7, changed_at=NOW + 1)], FreeRequests())
    sandbox.store.validate_next(NOW + 999)
    assert len((await sync_errors_of(sink))[0]) == 449
    before = sandbox.store.counts["requests"]
    assert len((await sync_errors_of(sink, read_to(NOW + 200)))[0]) == 150
    assert sandbox.store.counts["requests"] - before == 1


async def test_an_object_is_not_known_before_it_passed_validation(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """sync-status 400 (not processed) and a failed first message both mean: not known."""
    await sink.send([contact(1), contact(2, email="bad")], FreeRequests())
    assert not await sink.is_known(ObjectType.CONTACT, "magento-customer-1", FreeRequests())
    sandbox.store.validate_next(NOW)
    assert await sink.is_known(ObjectType.CONTACT, "magento-customer-1", FreeRequests())
    assert not await sink.is_known(ObjectType.CONTACT, "magento-customer-2", FreeRequests())


async def test_push_installs_and_sets_up_a_blank_account_once() -> None:
    """``check`` names what is missing and its fix; a dry run changes nothing; a push makes ``check`` good."""
    sandbox = await start(store=SandboxStore(ready=False))
    sink = BridgeSink(settings_for(sandbox))
    bad = [finding for finding in await sink.check(FreeRequests()) if not finding.ok]
    assert [finding.name for finding in bad] == ["sink install", "sink mapping"]
    assert {finding.fix for finding in bad} == {"magento-cdc mapping push"}
    told = await sink.push_mapping(FreeRequests(), dry_run=True)
    assert "would be" in told[0]
    assert not sandbox.store.installed
    assert (await sink.push_mapping(FreeRequests(), dry_run=False))[0] == "install: made"
    assert all(finding.ok for finding in await sink.check(FreeRequests()))
    assert (await sink.push_mapping(FreeRequests(), dry_run=False)) == [
        "install and settings are in place; nothing to do"
    ]
    await sink.close()
    await sandbox.close()


async def _fault(sandbox: SandboxServer, spec: dict[str, object]) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{sandbox.url}/_sandbox/faults", json=spec) as answer:
        assert answer.status == 200
