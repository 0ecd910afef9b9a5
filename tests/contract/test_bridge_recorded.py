"""The bridge sink against written-down answers: HubSpot's documented examples of both versions, replayed over HTTP.

The sandbox is of the same hands as the sink; these answers are not, so what both misread alike shows here. A request
that stands in no recording is answered 418, which fails the call.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cdc.model import ObjectType, Outcome, SyncError, SyncStatus
from cdc.settings.sink import SinkSettings
from sinks.bridge.sink import BridgeSink
from tests.contract.test_bridge import DEAL
from tests.kit.requests import FreeRequests, sync_errors_of

RECORDED = Path(__file__).parent / "recorded"


@dataclass
class Replay:
    """A server that answers as recorded, the sink that asks it, and what was asked."""

    sink: BridgeSink
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
async def replay(version: int) -> AsyncIterator[Replay]:
    exchanges: list[dict[str, Any]] = json.loads((RECORDED / f"bridge-v{version}.json").read_text(encoding="utf-8"))
    by_ask = {exchange["ask"]: exchange for exchange in exchanges}

    async def answer(request: web.Request) -> web.Response:
        query = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "hapikey")
        ask = f"{request.method} {request.path}" + (f"?{query}" if query else "")
        made.asked.append(ask)
        exchange = by_ask.get(ask)
        body = await request.read()
        if exchange is None or ("body" in exchange and json.loads(body) != exchange["body"]):
            made.wrong.append(f"{ask} {body.decode()}")
            return web.Response(status=418)
        if "answer" not in exchange:
            return web.Response(status=exchange["status"])
        return web.json_response(exchange["answer"], status=exchange["status"])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    more = {"api_version": 2, "store_id": "mg1"} if version == 2 else {}
    made = Replay(BridgeSink(SinkSettings.model_validate({"base_url": url, "api_key": "key", **more})))
    yield made
    await made.sink.close()
    await runner.cleanup()
    assert made.wrong == []


async def test_a_deal_is_sent_as_documented(replay: Replay) -> None:
    """The body equals the documented example; 204 without a body accepts it."""
    answer = await replay.sink.send([DEAL], FreeRequests())
    assert [receipt.outcome for receipt in answer.receipts] == [Outcome.ACCEPTED]


async def test_sync_errors_are_understood(replay: Replay, version: int) -> None:
    """Open ones of our types and store, over all pages; the rest is passed over."""
    found, _ = await sync_errors_of(replay.sink)
    assert [(j.object_type, j.external_id, j.changed_at, j.errored_at, j.kind) for j in found] == [
        (ObjectType.LINE_ITEM, "magento-item-9", 1700000000123, 1700000001500, "INVALID_ASSOCIATION_PROPERTY")
    ]
    assert all(isinstance(sync_error, SyncError) for sync_error in found)
    assert len(replay.asked) == version  # version 2's recording has a second page


async def test_sync_status_is_understood(replay: Replay) -> None:
    """A processed object has its HubSpot id and a good last attempt; 400 is "not processed yet"."""
    standing = await replay.sink.sync_status(ObjectType.DEAL, "magento-order-1", FreeRequests())
    assert standing == SyncStatus("501", 1700000002000, failed=False)
    assert not await replay.sink.is_known(ObjectType.DEAL, "magento-order-2", FreeRequests())


async def test_a_blank_account_is_set_up_install_first(replay: Replay, version: int) -> None:
    """Install or store, then settings; a dry run asks the same and puts nothing."""
    await replay.sink.push_mapping(FreeRequests(), dry_run=True)
    assert not [ask for ask in replay.asked if not ask.startswith("GET")]

    await replay.sink.push_mapping(FreeRequests(), dry_run=False)
    first = "POST /extensions/ecomm/v1/installs" if version == 1 else "PUT /extensions/ecomm/v2/stores"
    puts = [ask for ask in replay.asked if not ask.startswith("GET")]
    assert puts == [first, f"PUT /extensions/ecomm/v{version}/settings"]
