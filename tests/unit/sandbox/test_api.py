"""The sandbox over HTTP: the bridge's refusals, and the JSON API that tests and the page use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from cdc.errors import SetupError
from sinks.sandbox.server import SandboxServer, start
from tests.unit.sandbox.test_store import T, message

V1 = "/extensions/ecomm/v1"
Ask = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    running = await start(auto_validate=False)
    yield running
    await running.close()


@pytest.fixture
async def ask(sandbox: SandboxServer) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession() as session:

        async def call(method: str, path: str, json: Any = None, key: str = "sandbox") -> tuple[int, Any]:
            bearer = {"Authorization": f"Bearer {key}"} if key.endswith("-token") else {}
            headers = {"Content-Type": "application/json"} | bearer
            query = {} if bearer or not key or path.startswith("/_") else {"hapikey": key}
            async with session.request(method, sandbox.url + path, json=json, headers=headers, params=query) as answer:
                return answer.status, await answer.json() if answer.content_type == "application/json" else None

        yield call


async def fill(ask: Ask) -> None:
    """A contact, a product, a deal and its line, validated."""
    for object_type, item in (
        ("CONTACT", message("c1", email="ann@example.com", firstname="Ann")),
        ("PRODUCT", message("p1", name="Yoga mat", sku="MAT-1")),
        ("DEAL", message("d1", name="#1", stage="processed", hs_assoc__contact_ids="c1")),
        ("LINE_ITEM", message("l1", name="Yoga mat", hs_assoc__deal_id="d1", hs_assoc__product_id="p1")),
    ):
        assert await ask("PUT", f"{V1}/sync-messages/{object_type}", [item]) == (204, None)
    assert await ask("POST", "/_sandbox/validate") == (200, {"validated": 4, "waiting": 0})


@pytest.mark.parametrize(
    ("key", "status"), [("", 401), ("wrong", 401), ("wrong-token", 401), ("sandbox", 204), ("sandbox-token", 204)]
)
async def test_a_key_or_a_token_is_needed(ask: Ask, key: str, status: int) -> None:
    """hapikey or bearer token; anything else is refused at once."""
    assert (await ask("PUT", f"{V1}/sync-messages/CONTACT", [message("c1")], key))[0] == status


@pytest.mark.parametrize("path", ["/sync-messages/LINEITEM", "/sync-messages/COMPANY", "/sync-status/LINEITEM/x"])
async def test_an_unknown_type_is_refused_in_the_bridges_form(ask: Ask, path: str) -> None:
    """status, message and requestId, as HubSpot's file says."""
    status, body = await ask("PUT" if "messages" in path else "GET", V1 + path, [])
    assert status == 400
    assert sorted(body) == ["message", "requestId", "status"]


async def test_an_object_shows_both_names_links_and_history(ask: Ask) -> None:
    """What the page opens a deal with."""
    await fill(ask)
    status, deal = await ask("GET", "/_sandbox/objects/DEAL/d1")
    assert status == 200
    assert deal["properties"] == {"name": "#1", "stage": "processed"}
    assert deal["hubspot_properties"] == {"dealname": "#1", "dealstage": "processed"}
    assert [other["external_id"] for other in deal["linked_by"]] == ["l1"]
    assert [other["external_id"] for other in deal["links"]] == ["c1"]
    assert [(item["order"], item["changed_at"], item["verdict"]) for item in deal["history"]] == [(3, T, "ok")]


async def test_search_looks_into_ids_and_values(ask: Ask) -> None:
    """Case does not matter; type narrows; total counts all."""
    await fill(ask)
    found = (await ask("GET", "/_sandbox/objects?q=YOGA"))[1]
    assert [item["external_id"] for item in found["objects"]] == ["l1", "p1"]
    assert (await ask("GET", "/_sandbox/objects?q=yoga&type=PRODUCT&limit=0"))[1] == {"total": 1, "objects": []}
    assert (await ask("GET", "/_sandbox/objects?type=X"))[0] == 400
    assert (await ask("GET", "/_sandbox/objects/DEAL/none"))[0] == 404


async def test_requests_are_listed_without_their_key(ask: Ask) -> None:
    """Time, what, how many, how big and the status; never the query."""
    await fill(ask)
    newest = (await ask("GET", "/_sandbox/requests?limit=1"))[1]["requests"][0]
    assert (newest["method"], newest["what"], newest["messages"], newest["status"]) == (
        "PUT",
        "sync-messages/LINE_ITEM",
        1,
        204,
    )
    assert newest["size"] > 100


async def test_errors_violations_and_summary_are_told(ask: Ask) -> None:
    """A line with no deal is one broken rule, one sync-error, and counted."""
    item = message("l9", hs_assoc__deal_id="d9", hs_assoc__product_id="")
    await ask("PUT", f"{V1}/sync-messages/LINE_ITEM", [item])
    await ask("POST", "/_sandbox/validate")
    assert (await ask("GET", "/_sandbox/errors"))[1]["errors"][0]["kind"] == "MISSING_REQUIRED_PROPERTY"
    assert (await ask("GET", "/_sandbox/violations"))[1]["counts"] == {"line_before_deal": 1}
    summary = (await ask("GET", "/_sandbox/summary"))[1]
    assert summary["errors"]["by_type"] == {"MISSING_REQUIRED_PROPERTY": 1}
    assert summary["objects"]["LINE_ITEM"] == {"synced": 0, "deleted": 0, "never_applied": 1}


async def test_sync_errors_can_be_narrowed_and_paged(ask: Ask) -> None:
    """errorType, objectType, limit and offset, newest first; resolved ones only when asked for."""
    await ask("PUT", f"{V1}/sync-messages/CONTACT", [message(f"c{n}", email="bad") for n in range(3)])
    await ask("POST", "/_sandbox/validate")
    await ask("PUT", f"{V1}/sync-messages/CONTACT", [message("c2", T + 1, email="ok@example.com")])
    await ask("POST", "/_sandbox/validate")

    async def ids(query: str) -> list[str]:
        return [item["integratorObjectId"] for item in (await ask("GET", f"{V1}/sync-errors{query}"))[1]["results"]]

    assert await ids("") == ["c1", "c0"]
    assert await ids("?showResolvedErrors=true&limit=2") == ["c2", "c1"]
    assert await ids("?showResolvedErrors=true&limit=2&offset=2") == ["c0"]
    assert await ids("?objectType=DEAL") == []
    assert await ids("?errorType=INVALID_EMAIL_ADDRESS") == ["c1", "c0"]


async def test_reset_starts_over(ask: Ask, sandbox: SandboxServer) -> None:
    """Content and faults go; the account stays ready."""
    await fill(ask)
    await ask("POST", "/_sandbox/faults", {"status": 500})
    assert (await ask("POST", "/_sandbox/reset"))[0] == 204
    assert (await ask("GET", "/_sandbox/state")) == (200, {})
    await fill(ask)
    assert list(sandbox.store.state()) == ["c1", "d1", "l1", "p1"]


async def test_a_fault_that_makes_no_sense_is_answered_with_a_sentence(ask: Ask) -> None:
    """400 and why."""
    status, body = await ask("POST", "/_sandbox/faults", {"staus": 500})
    assert status == 400
    assert "a fault has one of status" in body["message"]


async def test_the_page_needs_nothing_from_elsewhere(sandbox: SandboxServer) -> None:
    """One HTML file: no address of another host in it."""
    async with aiohttp.ClientSession() as session, session.get(sandbox.url) as answer:
        text = await answer.text()
    assert answer.content_type == "text/html"
    assert "http:" not in text
    assert "https:" not in text


async def test_a_taken_port_is_said_in_one_sentence(sandbox: SandboxServer) -> None:
    """The second sandbox names host and port and what to do."""
    with pytest.raises(SetupError, match="cannot listen"):
        await start(port=int(sandbox.url.rpartition(":")[2]))
