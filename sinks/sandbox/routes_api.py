"""The sandbox's HTTP interface for people and tests: see what arrived, validate, make faults, reset.

All paths are under ``/_sandbox``, without a key: the sandbox is for the local machine. JSON in and out.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from typing import Any, Final

import orjson
from aiohttp import web

from cdc.model import ObjectType
from sinks.bridge.error_types import ADVICE
from sinks.sandbox.crm.gate import CRM
from sinks.sandbox.crm.routes_sandbox import summary_of
from sinks.sandbox.routes_bridge import RUNTIME, answer_error, answer_json, now_ms
from sinks.sandbox.store import Object, SandboxStore
from sinks.sandbox.wire import DEFAULT_STORE, Refusal, key_in, object_type_of

API: Final = "/_sandbox"
DEFAULT_LIMIT: Final = 100


PARTS: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "page_format.js": "text/javascript",
    "page_bridge.js": "text/javascript",
    "page_crm.js": "text/javascript",
}
"""The page's files besides the page itself."""


async def get_page(request: web.Request) -> web.Response:
    """GET / and its parts: the page needs nothing but this server."""
    name = request.match_info.get("part", "page.html")
    if name not in PARTS and name != "page.html":
        raise web.HTTPNotFound
    text = resources.files("sinks.sandbox").joinpath(name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=PARTS.get(name, "text/html"))


async def get_objects(request: web.Request) -> web.Response:
    """GET objects?type=&q=&limit=&offset=: newest arrival first; q looks into ids and values."""
    store = request.app[RUNTIME].store
    try:
        kinds = [object_type_of(request.query["type"])] if "type" in request.query else list(store.objects)
        limit, offset = _whole(request, "limit", DEFAULT_LIMIT), _whole(request, "offset", 0)
    except Refusal as refusal:
        return answer_error(refusal.status, refusal.message)
    text = request.query.get("q", "").strip().lower()
    found = [held for kind in kinds for held in store.objects[kind].values() if not text or _finds(store, held, text)]
    found.sort(key=lambda held: held.history[-1].order, reverse=True)
    return answer_json(
        {"total": len(found), "objects": [_short(store, held) for held in found[offset : offset + limit]]}
    )


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal():
        raise Refusal(f"{name} must be a whole number")
    return int(text)


def _finds(store: SandboxStore, held: Object, text: str) -> bool:
    """Whether an object, or an object that it names, has the text in it: a person's name finds the person's deals."""
    return _holds(held, text) or any(_holds(other, text) for other in _targets(store, held))


def _holds(held: Object, text: str) -> bool:
    values = held.properties
    person = f"{values.get('firstname', '')} {values.get('lastname', '')}"
    return any(text in part.lower() for part in (held.external_id, person, *values.values()))


def _named(store: SandboxStore, kind: ObjectType, key: str) -> dict[str, str]:
    """The parts of a link to an object: its store, its id and its name for people."""
    held = store.objects[kind][key]
    values = held.properties
    person = " ".join(filter(None, (values.get("firstname"), values.get("lastname")))) or values.get("email", "")
    name = person if kind is ObjectType.CONTACT else values.get("name", "")
    return {"store_id": held.store_id, "external_id": held.external_id, "name": name or held.external_id}


def _short(store: SandboxStore, held: Object) -> dict[str, Any]:
    newest = held.history[-1]
    return {
        "type": held.object_type.value,
        "store_id": held.store_id,
        "external_id": held.external_id,
        "hubspot_id": held.record.hubspot_id if held.record is not None else None,
        "deleted": held.deleted,
        "properties": held.properties,
        "associations": {kind.value: [_named(store, kind, key) for key in keys] for kind, keys in held.links.items()},
        "changed_at": newest.changed_at,
        "arrived_at": newest.arrived_ms,
        "verdict": newest.verdict,
    }


async def get_object(request: web.Request) -> web.Response:
    """GET objects/{type}/{external_id}: by our names, by HubSpot's, links both ways, accepted messages oldest first."""
    store = request.app[RUNTIME].store
    try:
        object_type = object_type_of(request.match_info["type"])
    except Refusal as refusal:
        return answer_error(refusal.status, refusal.message)
    key = key_in(request.query.get("store", DEFAULT_STORE), request.match_info["id"])
    held = store.objects[object_type].get(key)
    if held is None:
        return answer_error(404, "no message for such an object was accepted")
    error = store.errors.get((held.object_type, held.key))
    return answer_json(
        _short(store, held)
        | {
            "hubspot_properties": dict(sorted(held.record.properties.items())) if held.record is not None else {},
            "linked_by": [_short(store, store.objects[kind][key]) for kind, key in held.linked_by],
            "links": [_short(store, other) for other in _targets(store, held)],
            "processed_at": held.processed_ms or None,
            "error": asdict(error) if error is not None else None,
            "history": [
                {
                    "order": message.order,
                    "action": message.action,
                    "changed_at": message.changed_at,
                    "arrived_at": message.arrived_ms,
                    "verdict": message.verdict,
                    "properties": message.properties,
                }
                for message in held.history
            ],
        }
    )


def _targets(store: SandboxStore, held: Object) -> list[Object]:
    pairs = [(kind, external_id) for kind, ids in held.links.items() for external_id in ids]
    return [store.objects[kind][external_id] for kind, external_id in pairs]


async def get_summary(request: web.Request) -> web.Response:
    """GET summary: counts."""
    return answer_json(request.app[RUNTIME].store.summary() | {"crm": summary_of(request.app[CRM])})


async def get_errors(request: web.Request) -> web.Response:
    """GET errors?q=: sync-errors, newest first, resolved ones too."""
    text = request.query.get("q", "").strip().lower()
    errors = (asdict(error) for error in request.app[RUNTIME].store.error_list(with_resolved=True))
    return answer_json({"errors": [error for error in errors if text in str(error).lower()]})


async def get_requests(request: web.Request) -> web.Response:
    """GET requests?limit=&q=: newest first, without bodies; q looks into them."""
    try:
        limit = _whole(request, "limit", DEFAULT_LIMIT)
    except Refusal as refusal:
        return answer_error(refusal.status, refusal.message)
    text = request.query.get("q", "").strip().lower()
    newest = [
        {name: value for name, value in asdict(item).items() if name not in ("request", "answer")}
        for item in reversed(request.app[RUNTIME].store.requests)
        if not text or any(text in part.lower() for part in (item.what, item.request, item.answer))
    ]
    return answer_json({"requests": newest[:limit]})


async def get_request(request: web.Request) -> web.Response:
    """GET requests/{number}: one request with its body and answer."""
    wanted = request.match_info["number"]
    found = (item for item in request.app[RUNTIME].store.requests if str(item.number) == wanted)
    item = next(found, None)
    return answer_json(asdict(item)) if item is not None else answer_error(404, "this request is not kept any more")


async def get_state(request: web.Request) -> web.Response:
    """GET state?store=: all objects validated, in one canonical form, for comparing."""
    return answer_json(request.app[RUNTIME].store.state(request.query.get("store")))


async def get_violations(request: web.Request) -> web.Response:
    """GET violations: broken rules, oldest first (the newest 1,000), and the count of all by rule."""
    watch = request.app[RUNTIME].store.watch
    return answer_json({"counts": dict(watch.counts), "violations": [asdict(item) for item in watch.kept]})


async def get_report(request: web.Request) -> web.Response:
    """GET report: whether all rules of sending were kept. In strict mode 500 if not, so that ``curl --fail`` fails."""
    runtime = request.app[RUNTIME]
    watch = runtime.store.watch
    status = 500 if runtime.strict and watch.counts else 200
    body = {
        "ok": not watch.counts,
        "strict": runtime.strict,
        "rules_broken": dict(sorted(watch.counts.items())),
        "violations": [asdict(item) for item in watch.kept],
        "accepted": runtime.store.accepted,
    }
    return answer_json(body, status=status)


async def put_validation(request: web.Request) -> web.Response:
    """PUT validation {"delay_ms": n}: from now on, validate each message this long after its arrival."""
    runtime = request.app[RUNTIME]
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return answer_error(400, "the body is not JSON")
    delay = body.get("delay_ms") if isinstance(body, dict) else None
    if type(delay) is not int or delay < 0:
        return answer_error(400, "delay_ms must be a whole number of milliseconds")
    runtime.validation_delay_ms = delay
    return answer_json({"delay_ms": delay})


async def post_validate(request: web.Request) -> web.Response:
    """POST validate?limit=: validate waiting messages."""
    store = request.app[RUNTIME].store
    try:
        limit = _whole(request, "limit", 0)
    except Refusal as refusal:
        return answer_error(refusal.status, refusal.message)
    validated = store.validate_next(now_ms(), limit or None)
    return answer_json({"validated": validated, "waiting": len(store.waiting)})


async def post_reset(request: web.Request) -> web.Response:
    """POST reset: forget everything but install and settings; faults end."""
    runtime = request.app[RUNTIME]
    runtime.store.reset()
    request.app[CRM].reset()
    runtime.faults.clear()
    return web.Response(status=204)


async def post_faults(request: web.Request) -> web.Response:
    """POST faults: add faults (faults.py says the form)."""
    faults = request.app[RUNTIME].faults
    try:
        specs = orjson.loads(await request.read())
        for spec in specs if isinstance(specs, list) else [specs]:
            faults.add(spec)
    except ValueError as error:
        return answer_error(400, f"faults: {error}")
    return answer_json(faults.view())


async def post_sync_errors(request: web.Request) -> web.Response:
    """POST sync-errors {"ids": [...], "type": "...", "details": ""}: the next message of each id gets this error."""
    store = request.app[RUNTIME].store
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return answer_error(400, "the body is not JSON")
    ids = body.get("ids") if isinstance(body, dict) else None
    if not isinstance(ids, list) or not ids or not all(isinstance(name, str) for name in ids):
        return answer_error(400, "ids must be a list of external ids")
    if body.get("type") not in ADVICE:
        return answer_error(400, f"type must be one of {', '.join(ADVICE)}")
    details = str(body.get("details", "This is an error that was asked for."))
    store.to_fail.update({name: (body["type"], details) for name in ids})
    return answer_json({"to_fail": {name: kind for name, (kind, _) in store.to_fail.items()}})


async def get_faults(request: web.Request) -> web.Response:
    """GET faults: the faults that are still to come."""
    return answer_json(request.app[RUNTIME].faults.view())


async def delete_faults(request: web.Request) -> web.Response:
    """DELETE faults: remove all faults."""
    request.app[RUNTIME].faults.clear()
    return web.Response(status=204)


def add_api_routes(app: web.Application) -> None:
    """The page and the JSON API."""
    app.router.add_get("/", get_page)
    app.router.add_get(f"{API}/{{part:page[a-z_]*[.](?:js|css)}}", get_page)
    app.router.add_get(f"{API}/objects", get_objects)
    app.router.add_get(f"{API}/objects/{{type}}/{{id}}", get_object)
    app.router.add_get(f"{API}/summary", get_summary)
    app.router.add_get(f"{API}/errors", get_errors)
    app.router.add_get(f"{API}/requests", get_requests)
    app.router.add_get(f"{API}/requests/{{number}}", get_request)
    app.router.add_get(f"{API}/state", get_state)
    app.router.add_get(f"{API}/violations", get_violations)
    app.router.add_get(f"{API}/report", get_report)
    app.router.add_put(f"{API}/validation", put_validation)
    app.router.add_post(f"{API}/validate", post_validate)
    app.router.add_post(f"{API}/reset", post_reset)
    app.router.add_post(f"{API}/sync-errors", post_sync_errors)
    app.router.add_post(f"{API}/faults", post_faults)
    app.router.add_get(f"{API}/faults", get_faults)
    app.router.add_delete(f"{API}/faults", delete_faults)
