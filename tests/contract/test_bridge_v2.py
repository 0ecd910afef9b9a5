"""The bridge sink in version 2, against the sandbox: envelope, store, pages, status, settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
from pydantic import ValidationError

from cdc.model import Action, ObjectType, SyncStatus
from cdc.settings.sink import SinkSettings
from sinks.bridge.sink import BridgeSink
from sinks.bridge.wire import FAMILY, message_v2
from sinks.sandbox.server import SandboxServer, start
from sinks.sandbox.store import SandboxStore
from tests.contract.test_bridge import DEAL, LINE, PRODUCT, read_to, settings_for
from tests.contract.test_sinks import NOW, contact
from tests.kit.requests import FreeRequests, sync_errors_of


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    running = await start(auto_validate=False, strict=True)
    yield running
    await running.close()


@pytest.fixture
async def sink(sandbox: SandboxServer) -> AsyncIterator[BridgeSink]:
    made = BridgeSink(settings_for(sandbox, api_version=2, store_id="mg1", store_label="My shop"))
    await made.push_mapping(FreeRequests(), dry_run=False)
    yield made
    await made.close()


def test_associations_are_a_member_and_end_with_an_empty_list() -> None:
    """Version 2 names the other objects by type; a DELETE names none."""
    assert message_v2(LINE) == {
        "externalObjectId": "magento-item-5",
        "action": "UPSERT",
        "changedAt": NOW,
        "properties": {"name": "Yoga mat", "quantity": "2"},
        "associations": {"DEAL": ["magento-order-1"], "PRODUCT": ["magento-product-9"]},
    }
    assert message_v2(replace(DEAL, associations={}))["associations"] == {"CONTACT": []}
    assert "associations" not in message_v2(replace(DEAL, action=Action.DELETE))


async def test_all_four_types_arrive_in_the_store_and_are_linked(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """What is sent lies in the store of ``sink.store_id``, linked, and no rule is broken."""
    for message in (contact(1), PRODUCT, DEAL, LINE):
        await sink.send([message], FreeRequests())
    sandbox.store.validate_next(NOW)

    state = sandbox.store.state("mg1")
    assert sandbox.store.state("default") == {}
    assert state["magento-order-1"]["associations"] == {"CONTACT": ["magento-customer-1"]}
    assert state["magento-item-5"]["associations"] == {"DEAL": ["magento-order-1"], "PRODUCT": ["magento-product-9"]}
    assert sandbox.store.errors == {}
    assert sandbox.store.watch.counts == {}


async def test_a_link_ends_and_a_deletion_stops_the_id(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """An empty list takes the association away; DELETE keeps the record."""
    for message in (contact(1), DEAL, replace(DEAL, changed_at=NOW + 1, associations={})):
        await sink.send([message], FreeRequests())
    sandbox.store.validate_next(NOW)
    assert sandbox.store.state("mg1")["magento-order-1"]["associations"] == {}

    await sink.send([replace(DEAL, changed_at=NOW + 2, action=Action.DELETE)], FreeRequests())
    sandbox.store.validate_next(NOW)
    assert sandbox.store.state("mg1")["magento-order-1"]["deleted"]


async def test_sync_errors_are_read_to_the_last_page(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """The answer's own ``paging`` leads on; reading stops at a page that is not newer; other stores are passed over."""
    other = BridgeSink(settings_for(sandbox))
    await other.send([contact(1, email="bad")], FreeRequests())
    for first in range(0, 450, 150):
        await sink.send([contact(n, email="bad") for n in range(first, first + 150)], FreeRequests())
        sandbox.store.validate_next(NOW + first)
    await sink.send([contact(7, changed_at=NOW + 1)], FreeRequests())
    sandbox.store.validate_next(NOW + 999)

    assert len((await sync_errors_of(sink))[0]) == 449
    before = sandbox.store.counts["requests"]
    assert len((await sync_errors_of(sink, read_to(NOW + 200)))[0]) == 150
    assert sandbox.store.counts["requests"] - before == 1
    await other.close()


async def test_the_status_says_whether_the_last_attempt_failed(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """Unprocessed is None; a failure stands in ``erroredAt == lastProcessedAt`` and goes with the next success."""
    await sink.send([contact(1, email="bad")], FreeRequests())
    assert await sink.sync_status(ObjectType.CONTACT, "magento-customer-1", FreeRequests()) is None

    sandbox.store.validate_next(NOW + 5)
    assert await sink.sync_status(ObjectType.CONTACT, "magento-customer-1", FreeRequests()) == SyncStatus(
        "", NOW + 5, failed=True
    )
    await sink.send([contact(1, changed_at=NOW + 1)], FreeRequests())
    sandbox.store.validate_next(NOW + 9)
    assert await sink.sync_status(ObjectType.CONTACT, "magento-customer-1", FreeRequests()) == SyncStatus(
        "1001", NOW + 9, failed=False
    )
    assert await sink.is_known(ObjectType.CONTACT, "magento-customer-1", FreeRequests())


async def test_push_makes_store_and_settings_once_and_a_dry_run_only_tells() -> None:
    """A blank account: what is missing, what would be done, what was done, and then nothing."""
    sandbox = await start(store=SandboxStore(ready=False))
    sink = BridgeSink(settings_for(sandbox, api_version=2, store_id="mg1", store_label="My shop"))
    assert [finding.name for finding in await sink.check(FreeRequests()) if not finding.ok] == [
        "sink store",
        "sink mapping",
    ]

    told = await sink.push_mapping(FreeRequests(), dry_run=True)
    assert told[0] == "store mg1: would be made"
    assert "  DEAL: stage → dealstage (STRING): new" in told
    assert not any("hs_assoc__" in line for line in told)
    assert not sandbox.store.installed

    assert (await sink.push_mapping(FreeRequests(), dry_run=False))[0] == "store mg1: made"
    assert sandbox.store.installed
    assert all(finding.ok for finding in await sink.check(FreeRequests()))
    assert await sink.push_mapping(FreeRequests(), dry_run=False) == ["store and settings are in place; nothing to do"]
    await sink.close()
    await sandbox.close()


async def test_a_changed_label_is_a_difference_of_the_store(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """The dry run names old and new; the push changes the store and nothing else."""
    renamed = BridgeSink(settings_for(sandbox, api_version=2, store_id="mg1", store_label="New name"))
    expected = ["store mg1: would be changed", "  label: 'My shop' → 'New name'"]
    assert await renamed.push_mapping(FreeRequests(), dry_run=True) == expected

    await renamed.push_mapping(FreeRequests(), dry_run=False)
    assert sandbox.store.stores["mg1"]["label"] == "New name"
    await renamed.close()


async def test_mappings_of_others_are_put_again(sandbox: SandboxServer, sink: BridgeSink) -> None:
    """PUT replaces everything: rows and types that are not ours, and a webhook, stay."""
    held = {"properties": [{"externalPropertyName": "x", "hubspotPropertyName": "y"}]}
    body = {"enabled": True, "webhookUri": "https://hooks.example.com", "mappings": {"TICKET": held, "DEAL": held}}
    await sink._api.call(
        FreeRequests(), FAMILY, "PUT", "/extensions/ecomm/v2/settings", what="settings", body=orjson.dumps(body)
    )
    await sink.push_mapping(FreeRequests(), dry_run=False)

    settings = sandbox.store.settings
    assert settings is not None
    assert settings.webhook_uri == "https://hooks.example.com"
    assert settings.others == {"TICKET": held}
    assert settings.rows[ObjectType.DEAL]["x"].target == "y"


@pytest.mark.parametrize("version", [1, 2])
async def test_bodies_may_be_compressed(sandbox: SandboxServer, version: int) -> None:
    """``sink.gzip`` sends fewer bytes, and the same messages arrive."""
    plain = BridgeSink(settings_for(sandbox, api_version=version))
    packed = BridgeSink(settings_for(sandbox, api_version=version, gzip=True))
    await plain.send([contact(n) for n in range(100)], FreeRequests())
    await packed.send([contact(n) for n in range(100)], FreeRequests())
    first, second = list(sandbox.store.requests)[-2:]

    assert (first.status, second.status, second.messages) == (204, 204, 100)
    assert second.size < first.size / 4
    assert sandbox.store.watch.counts == {}
    await plain.close()
    await packed.close()


def test_version_1_knows_only_one_store() -> None:
    """Another store with version 1 is a fault of the settings that names both."""
    with pytest.raises(ValidationError, match="api_version = 2"):
        SinkSettings(kind="bridge", store_id="mg1")
