"""The sandbox's HTTP interface for the sender: the Ecommerce Bridge, version 2.

Form and statuses follow HubSpot's pages of that version and its own PHP client. Version 1's content is visible here
too: it is one account, and version 1's traffic is in the store ``default``.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from sinks.sandbox.routes_bridge import (
    API,
    PORTAL_ID,
    RUNTIME,
    answer_json,
    count_of,
    delete_settings,
    json_of,
    note_messages,
    now_ms,
    receive,
)
from sinks.sandbox.store import SyncError
from sinks.sandbox.wire import Refusal, SyncSettings, key_in, object_type_of
from sinks.sandbox.wire_v2 import read_settings, read_store, settings_body

ROOT: Final = f"{API}v2"
MAX_PAGE: Final = 200


async def put_messages(request: web.Request) -> web.StreamResponse:
    """PUT sync/messages: 204 with no body once the messages are queued."""
    store = request.app[RUNTIME].store
    body = await json_of(request)
    note_messages(body.get("messages") if isinstance(body, dict) else None)
    return await receive(request, lambda: store.read_v2(body, now_ms()))


async def get_errors(request: web.Request) -> web.StreamResponse:
    """GET sync/errors: includeResolved, errorType, objectType, limit, page (the number of a record, from 1)."""
    query = request.query
    errors = request.app[RUNTIME].store.error_list(with_resolved=query.get("includeResolved") == "true")
    wanted = object_type_of(query["objectType"]) if "objectType" in query else None
    found = [
        error
        for error in errors
        if wanted in (None, error.object_type) and query.get("errorType", error.kind) == error.kind
    ]
    limit, page = min(count_of(query, "limit", MAX_PAGE), MAX_PAGE) or MAX_PAGE, max(1, count_of(query, "page", 1))
    body: dict[str, Any] = {"results": [_error(error) for error in found[page - 1 : page - 1 + limit]]}
    if page - 1 + limit < len(found):
        path = f"{request.path}?limit={limit}&page={page + limit}"
        body["paging"] = {"next": {"page": str(page + limit), "link": str(request.url.origin()) + path}}
    return answer_json(body)


def _error(error: SyncError) -> dict[str, Any]:
    return {
        "portalId": PORTAL_ID,
        "storeId": error.store_id,
        "objectType": error.object_type.value,
        "externalObjectId": error.external_id,
        "changedAt": error.changed_at,
        "erroredAt": error.errored_at,
        "type": error.kind,
        "details": error.details,
        "status": "RESOLVED" if error.resolved else "OPEN",
    }


async def get_status(request: web.Request) -> web.StreamResponse:
    """GET sync/status/{store}/{type}/{id}: 400 until processed. ``errors`` is not emptied by a later success."""
    store = request.app[RUNTIME].store
    object_type = object_type_of(request.match_info["type"])
    external_id = request.match_info["id"]
    key = key_in(request.match_info["store"], external_id)
    held = store.objects[object_type].get(key)
    if held is None or not held.processed_ms:
        raise Refusal(f"{object_type} {external_id} was not processed yet")
    error = store.errors.get((object_type, key))
    body = {
        "storeId": held.store_id,
        "objectType": object_type.value,
        "externalObjectId": external_id,
        "hubspotId": held.record.hubspot_id if held.record is not None else None,
        "lastProcessedAt": held.processed_ms,
        "errors": [_error(error)] if error is not None else [],
    }
    if error is not None:
        body["erroredAt"] = error.errored_at
    return answer_json(body)


async def put_store(request: web.Request) -> web.StreamResponse:
    """PUT stores: make one or change it; the first one installs the bridge."""
    store = read_store(await json_of(request))
    request.app[RUNTIME].store.put_store(store)
    return answer_json(store)


async def get_stores(request: web.Request) -> web.StreamResponse:
    """GET stores: all of them."""
    return answer_json({"results": list(request.app[RUNTIME].store.stores.values())})


async def get_store(request: web.Request) -> web.StreamResponse:
    """GET stores/{id}: one store; 404 if it does not exist (no source says what HubSpot answered)."""
    store = request.app[RUNTIME].store.stores.get(request.match_info["id"])
    if store is None:
        raise Refusal("there is no such store", status=404)
    return answer_json(store)


async def get_settings(request: web.Request) -> web.StreamResponse:
    """GET settings: as put; disabled and empty before that."""
    return answer_json(settings_body(request.app[RUNTIME].store.settings or SyncSettings()))


async def put_settings(request: web.Request) -> web.StreamResponse:
    """PUT settings: replaces all of them. Target names are not checked here."""
    settings = read_settings(await json_of(request))
    request.app[RUNTIME].store.settings = settings
    return answer_json(settings_body(settings))


def add_v2_routes(app: web.Application) -> None:
    """Version 2's paths."""
    app.router.add_put(f"{ROOT}/sync/messages", put_messages)
    app.router.add_get(f"{ROOT}/sync/errors", get_errors)
    app.router.add_get(f"{ROOT}/sync/errors/portal", get_errors)
    app.router.add_get(f"{ROOT}/sync/errors/app/{{app}}", get_errors)
    app.router.add_get(f"{ROOT}/sync/status/{{store}}/{{type}}/{{id}}", get_status)
    app.router.add_put(f"{ROOT}/stores", put_store)
    app.router.add_get(f"{ROOT}/stores", get_stores)
    app.router.add_get(f"{ROOT}/stores/{{id}}", get_store)
    app.router.add_get(f"{ROOT}/settings", get_settings)
    app.router.add_put(f"{ROOT}/settings", put_settings)
    app.router.add_delete(f"{ROOT}/settings", delete_settings)
