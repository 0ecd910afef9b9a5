"""Strict mode: a run in which a client broke a rule of sending fails, and says which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sinks.sandbox import routes_bridge
from sinks.sandbox.server import SandboxServer, start
from tests.unit.sandbox.test_store import T, message

V1, V2 = "/extensions/ecomm/v1", "/extensions/ecomm/v2"


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    running = await start(strict=True)
    yield running
    await running.close()


async def call(sandbox: SandboxServer, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request with the key: status and JSON."""
    query = {} if path.startswith("/_") else {"hapikey": "sandbox"}
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, sandbox.url + path, json=body, params=query, headers=headers) as answer,
    ):
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def test_the_report_fails_once_a_rule_was_broken(sandbox: SandboxServer) -> None:
    """200 while all is well, 500 with the rule and the object afterwards."""
    await call(sandbox, "PUT", f"{V1}/sync-messages/CONTACT", [message("c1", email="ann@example.com")])
    status, report = await call(sandbox, "GET", "/_sandbox/report")
    assert (status, report["ok"], report["accepted"]) == (200, True, 1)

    await call(sandbox, "PUT", f"{V1}/sync-messages/CONTACT", [message("c1", T - 1, email="ann@example.com")])
    status, report = await call(sandbox, "GET", "/_sandbox/report")
    assert (status, report["ok"], report["rules_broken"]) == (500, False, {"changed_at_not_rising": 1})
    assert report["violations"][0]["external_id"] == "c1"


async def test_another_email_for_a_known_contact_breaks_a_rule(sandbox: SandboxServer) -> None:
    """Whether it was validated yet or not; none, the first again, or another after a deletion or a refusal does not."""
    store, path = sandbox.store, f"{V1}/sync-messages/CONTACT"
    for at, fields in enumerate(({"email": "ann@example.com"}, {"firstname": "Ann"}, {"email": "Ann@example.com"})):
        await call(sandbox, "PUT", path, [message("c1", T + at, **fields)])
    await call(sandbox, "PUT", path, [message("c2", T, email="no address")])
    store.validate_next(T)
    await call(sandbox, "PUT", path, [message("c2", T + 1, email="bo@example.com")])
    assert store.watch.counts == {}
    for at in (3, 4):
        await call(sandbox, "PUT", path, [message("c1", T + at, email="lee@example.com")])
        store.validate_next(T)
    assert store.watch.counts == {"email_changed": 2}
    await call(sandbox, "PUT", path, [message("c1", T + 5, action="DELETE")])
    await call(sandbox, "PUT", path, [message("c1", T + 6, email="kim@example.com")])

    assert store.watch.counts == {"email_changed": 2}


async def test_deleting_what_others_refer_to_breaks_a_rule(sandbox: SandboxServer) -> None:
    """While a deal's newest message names the contact: not once it names none, was refused or is deleted itself."""
    store = sandbox.store
    at = iter(range(T, T + 100))

    async def put(kind: str, object_id: str, action: str = "UPSERT", **fields: Any) -> None:
        await call(sandbox, "PUT", f"{V1}/sync-messages/{kind}", [message(object_id, next(at), action, **fields)])

    async def deal(contact: str, **fields: Any) -> None:
        await put("DEAL", "d1", name="#1", stage="shipped", hs_assoc__contact_ids=contact, **fields)

    await put("CONTACT", "c1", email="ann@example.com")
    await deal("c1")
    await put("CONTACT", "c1", "DELETE")
    assert store.watch.counts == {"deleted_under_others": 1}
    assert store.watch.kept[0].external_id == "c1"
    await put("CONTACT", "c1", email="ann@example.com")
    await deal("")
    await put("CONTACT", "c1", "DELETE")
    await put("CONTACT", "c1", email="ann@example.com")
    await deal("c1")
    await put("DEAL", "d1", "DELETE")
    await put("CONTACT", "c1", "DELETE")
    await put("CONTACT", "c1", email="ann@example.com")
    store.validate_next(T)
    store.to_fail["d1"] = ("INVALID_DEAL_STAGE", "")
    await deal("c1")
    store.validate_next(T)
    await put("CONTACT", "c1", "DELETE")

    assert store.watch.counts == {"deleted_under_others": 1}


@pytest.mark.parametrize("status", [429, 503])
async def test_a_request_before_retry_after_has_passed_breaks_a_rule(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Messages and polls wait; what was on the way when the answer went, and what a person asks, does not count."""
    now = [T]
    monkeypatch.setattr(routes_bridge, "now_ms", lambda: now[0])
    send = (f"{V1}/sync-messages/CONTACT", [message("c1", email="ann@example.com")])
    await call(sandbox, "POST", "/_sandbox/faults", {"status": status, "retry_after": 5})
    assert (await call(sandbox, "PUT", *send))[0] == status
    now[0] = T + 400
    await call(sandbox, "PUT", *send)
    now[0] = T + 4000
    await call(sandbox, "GET", f"{V1}/settings")
    assert sandbox.store.watch.counts == {}
    for path in (f"{V1}/sync-errors", f"{V2}/sync/errors/portal"):
        await call(sandbox, "GET", path)
    await call(sandbox, "PUT", *send)
    now[0] = T + 5000
    await call(sandbox, "PUT", *send)

    assert sandbox.store.watch.counts == {"before_retry_after": 3}


async def test_two_messages_of_one_object_under_way_break_a_rule(sandbox: SandboxServer) -> None:
    """The second came before the first was answered; other objects may overlap."""
    await call(sandbox, "POST", "/_sandbox/faults", {"delay_ms": 200})
    path = f"{V1}/sync-messages/CONTACT"
    first = asyncio.create_task(call(sandbox, "PUT", path, [message("c1", email="ann@example.com")]))
    other = asyncio.create_task(call(sandbox, "PUT", path, [message("c2", email="bo@example.com")]))
    await asyncio.sleep(0.05)
    assert sandbox.store.watch.counts == {}
    await call(sandbox, "PUT", path, [message("c1", T + 1, email="ann@example.com")])
    await asyncio.gather(first, other)

    assert sandbox.store.watch.counts == {"two_in_flight": 1}


async def test_a_client_that_gave_up_may_send_again(sandbox: SandboxServer) -> None:
    """A closed connection ends the flight: the repeat breaks nothing."""
    await call(sandbox, "POST", "/_sandbox/faults", {"hang": 1})
    path = f"{V1}/sync-messages/CONTACT"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(sandbox, "PUT", path, [message("c1", email="ann@example.com")]), 0.2)
    await call(sandbox, "PUT", path, [message("c1", email="ann@example.com")])

    assert sandbox.store.watch.counts == {}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param([], "object", id="no envelope"),
        pytest.param({"objectType": "DEAL", "messages": []}, "storeId", id="no store"),
        pytest.param({"storeId": "default", "objectType": "LINEITEM", "messages": []}, "LINEITEM", id="type"),
        pytest.param({"storeId": "nope", "objectType": "DEAL", "messages": []}, "no store", id="unknown store"),
        pytest.param({"storeId": "default", "objectType": "DEAL"}, "messages", id="no messages"),
        pytest.param({"storeId": "default", "objectType": "DEAL", "messages": [{}] * 201}, "at most 200", id="201"),
    ],
)
async def test_version_2_refuses_what_has_not_its_form(sandbox: SandboxServer, body: Any, text: str) -> None:
    """The whole request, with a sentence, and a broken rule."""
    status, answer = await call(sandbox, "PUT", f"{V2}/sync/messages", body)

    assert status == 400
    assert text in answer["message"]
    assert sum(sandbox.store.watch.counts.values()) == 1


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}], ids=["no json", "no gzip"])
async def test_a_body_that_cannot_be_read_is_refused_in_a_sentence(
    sandbox: SandboxServer, headers: dict[str, str]
) -> None:
    """400 in the bridge's form, and a broken rule."""
    url = f"{sandbox.url}{V2}/sync/messages?hapikey=sandbox"
    async with aiohttp.ClientSession() as session, session.put(url, data=b"plain", headers=headers) as answer:
        assert answer.status == 400
        assert "the body" in (await answer.json())["message"]
    assert sandbox.store.watch.counts == {"malformed": 1}


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        (f"{V1}/installs/status", True, 403),
        (f"{V1}/settings", True, 403),
        (f"{V1}/sync-errors", True, 200),
        (f"{V1}/sync-errors/portal/1", True, 403),
        (f"{V2}/sync/errors", True, 200),
        (f"{V2}/sync/errors", False, 403),
        (f"{V2}/sync/errors/portal", False, 200),
        (f"{V2}/sync/errors/portal", True, 403),
    ],
)
async def test_each_path_takes_its_own_kind_of_credential(
    sandbox: SandboxServer, path: str, token: bool, status: int
) -> None:
    """Access tokens never reach installs and settings; version 2's plain list of errors is for tokens only."""
    headers = {"Authorization": "Bearer sandbox-token"} if token else {}
    query = {} if token else {"hapikey": "sandbox"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(sandbox.url + path, params=query) as answer,
    ):
        assert answer.status == status


async def test_any_documented_error_can_be_asked_for(sandbox: SandboxServer) -> None:
    """The next message of that id is validated so, once; a later success resolves it."""
    assert (await call(sandbox, "POST", "/_sandbox/sync-errors", {"ids": ["c1"], "type": "NONE_SUCH"}))[0] == 400
    asked = {"ids": ["c1"], "type": "CREATE_FAIL_NO_INFO"}
    assert (await call(sandbox, "POST", "/_sandbox/sync-errors", asked))[0] == 200
    for at in (T, T + 1):
        await call(sandbox, "PUT", f"{V1}/sync-messages/CONTACT", [message("c1", at, email="ann@example.com")])
        await call(sandbox, "POST", "/_sandbox/validate")
        shown = (await call(sandbox, "GET", "/_sandbox/errors"))[1]["errors"][0]
        assert (shown["kind"], shown["resolved"]) == ("CREATE_FAIL_NO_INFO", at > T)


async def test_an_image_is_for_one_property_of_products(sandbox: SandboxServer) -> None:
    """Version 2 refuses settings with AVATAR_IMAGE elsewhere."""
    row = {"externalPropertyName": "a", "hubspotPropertyName": "b", "dataType": "AVATAR_IMAGE"}
    body = {"enabled": True, "mappings": {"DEAL": {"properties": [row]}}}
    assert (await call(sandbox, "PUT", f"{V2}/settings", body))[0] == 400
    body["mappings"] = {"PRODUCT": {"properties": [row]}}
    assert (await call(sandbox, "PUT", f"{V2}/settings", body))[0] == 200


async def test_the_delay_of_validating_can_be_set(sandbox: SandboxServer) -> None:
    """Nothing is validated before it; a shorter one counts at once."""
    assert (await call(sandbox, "PUT", "/_sandbox/validation", {"delay_ms": "x"}))[0] == 400
    assert (await call(sandbox, "PUT", "/_sandbox/validation", {"delay_ms": 60_000}))[0] == 200
    await call(sandbox, "PUT", f"{V1}/sync-messages/CONTACT", [message("c1", email="ann@example.com")])
    assert (await call(sandbox, "GET", f"{V1}/sync-status/CONTACT/c1"))[0] == 400

    await call(sandbox, "PUT", "/_sandbox/validation", {"delay_ms": 0})
    for _ in range(200):
        if (await call(sandbox, "GET", f"{V1}/sync-status/CONTACT/c1"))[0] == 200:
            return
        await asyncio.sleep(0.01)
    pytest.fail("never validated")
