"""The sandbox's HTTP interface for the sender: the parts that both versions of the bridge share, and version 1.

Form and statuses follow HubSpot's OpenAPI file of the bridge. Where that file is silent, the whole request is refused
with 400. Faults on demand and the quota hit sync-messages only, so that polling for errors does not use them up.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import web

from sinks.sandbox.exchanges import shortened
from sinks.sandbox.faults import Faults
from sinks.sandbox.store import Request, SandboxStore
from sinks.sandbox.wire import Accepted, Refusal, SyncSettings, object_type_of
from sinks.sandbox.wire_v1 import read_settings, settings_body

API: Final = "/extensions/ecomm/"
ROOT: Final = f"{API}v1"
PORTAL_ID: Final = 1

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Runtime:
    """The objects that the routes share. ``arrived`` wakes the validation; ``closing`` ends requests that hang."""

    store: SandboxStore
    api_key: str
    token: str
    faults: Faults = field(default_factory=Faults)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: dict[tuple[str, str], asyncio.Transport | None] = field(default_factory=dict)
    validation_delay_ms: int = 5
    strict: bool = False


@dataclass(slots=True)
class _Note:
    """A handler's notes for the request log."""

    messages: int = 0
    is_cut: bool = False


_KEY_ONLY: Final = re.compile(
    f"{API}(v1/(installs|settings|sync-errors/(app|portal))|v2/(settings|sync/errors/(app|portal)))(/|$)"
)
"""Paths that HubSpot's file opens to keys alone; of version 2 it says "same keys and scope"."""

_OF_SENDING: Final = re.compile(f"{API}v[12]/sync[-/](messages|errors)")
"""Paths that a sender calls by itself. Other paths may be called by a person's command, which does not know of the
silence that the sender was asked for.
"""

_NOTE: Final[ContextVar[_Note]] = ContextVar("note")
RUNTIME: Final = web.AppKey("runtime", Runtime)


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def answer_error(status: int, message: str, headers: Mapping[str, str] | None = None, **more: str) -> web.Response:
    """A refusal in the bridge's form: status, message, requestId."""
    body = {"status": "error", "message": message, "requestId": uuid.uuid4().hex, **more}
    return answer_json(body, status=status, headers=headers)


def answer_json(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with JSON in it."""
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


@web.middleware
async def bridge_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the key, give refusals the bridge's form, and log the request (never its query: it holds the key)."""
    # Other paths have gates of their own.
    if not request.path.startswith("/extensions/"):
        return await handler(request)
    runtime = request.app[RUNTIME]
    note = _Note()
    _NOTE.set(note)
    response: web.StreamResponse
    # The key is checked before anything else.
    if not _may_enter(request, runtime):
        response = answer_error(401, "The API key or access token is missing or not valid.")
    elif wrong := _wrong_credential(request):
        response = answer_error(403, wrong)
    else:
        # Only a sender's own requests count against its rules.
        if _OF_SENDING.match(request.path):
            runtime.store.watch.request(now_ms())
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = answer_error(refusal.status, refusal.message)
        except web.HTTPException as error:
            response = answer_error(error.status, error.reason)
    status = 0 if note.is_cut else response.status
    what = request.path.removeprefix(f"{ROOT}/").removeprefix(API)
    size = request.content_length or 0
    number = runtime.store.counts["requests"] + 1
    body, answer = await _body_of(request), response.body if isinstance(response, web.Response) and status else b""
    runtime.store.note_request(
        Request(
            now_ms(),
            request.method,
            what,
            note.messages,
            size,
            status,
            number,
            shortened(body),
            shortened(answer if isinstance(answer, bytes) else b""),
        )
    )
    return response


async def _body_of(request: web.Request) -> bytes:
    """The request's body, for the request log; "" if it cannot be unpacked or was refused for its size."""
    try:
        return await request.read()
    except (web.RequestPayloadError, web.HTTPException, ConnectionError):
        return b""


def _may_enter(request: web.Request, runtime: Runtime) -> bool:
    bearer = request.headers.get("Authorization", "")
    # A bearer wins over a key, as HubSpot does it.
    if bearer:
        return hmac.compare_digest(bearer.encode(), f"Bearer {runtime.token}".encode())
    return hmac.compare_digest(request.query.get("hapikey", "").encode(), runtime.api_key.encode())


def _wrong_credential(request: web.Request) -> str:
    """Why this path does not accept this kind of credential; "": it does."""
    path, is_token = request.path, "Authorization" in request.headers
    # HubSpot opens set-up paths to keys alone.
    if is_token and _KEY_ONLY.match(path):
        return "This path takes the account's API key, no access token."
    if not is_token and path == f"{API}v2/sync/errors":
        return "This path takes an access token; with the account's key it is sync/errors/portal."
    return ""


async def put_messages(request: web.Request) -> web.StreamResponse:
    """PUT sync-messages/{type}: 204 with no body once the messages are queued."""
    store = request.app[RUNTIME].store
    try:
        object_type = object_type_of(request.match_info["type"])
    except Refusal as refusal:
        raise malformed(request, refusal.message) from None
    body = await json_of(request)
    note_messages(body)
    return await receive(request, lambda: store.read(object_type, body, now_ms()))


def note_messages(items: Any) -> None:
    """Tell the request log how many messages came."""
    _NOTE.get().messages = len(items) if isinstance(items, list) else 0


async def receive(request: web.Request, read: Callable[[], list[Accepted]]) -> web.StreamResponse:
    """Take the messages that ``read`` gives, or make the requested fault. Only this function meets faults
    and the quota.
    """
    runtime = request.app[RUNTIME]
    messages = read()
    _watch_flight(request, runtime, messages)
    try:
        return await _receive(request, runtime, messages)
    finally:
        for message in messages:
            # A newer request of the same object may have taken the entry over.
            if runtime.in_flight.get((message.object_type, message.key)) is request.transport:
                del runtime.in_flight[message.object_type, message.key]


def _watch_flight(request: web.Request, runtime: Runtime, messages: Sequence[Accepted]) -> None:
    """Note objects that have another message in flight on an open connection."""
    for key, message in {(message.object_type, message.key): message for message in messages}.items():
        other = runtime.in_flight.get(key)
        # On a closing connection the sender has given the other message up.
        if other is not None and not other.is_closing():
            runtime.store.watch.note_in_flight(message)
        runtime.in_flight[key] = request.transport


async def _receive(request: web.Request, runtime: Runtime, messages: list[Accepted]) -> web.StreamResponse:
    delay = runtime.faults.next_delay_s()
    if delay:
        await asyncio.sleep(delay)
    headers: Mapping[str, str] = {}
    # The quota is taken before a fault strikes: HubSpot counts refused requests too.
    if runtime.faults.quota is not None:
        limited = runtime.faults.quota.take(now_ms())
        headers = limited.headers
        if limited.policy:
            return _too_many(limited.policy, headers)
    rule = runtime.faults.next()
    # Faults come in the order in which they were asked for.
    if rule is not None and rule.kind == "status":
        headers = dict(headers)
        if rule.retry_after is not None:
            headers["Retry-After"] = f"{rule.retry_after:g}"
            runtime.store.watch.asked_to_wait(rule.retry_after, now_ms())
        if rule.status == 429:
            return _too_many(rule.policy, headers)
        return answer_error(rule.status, f"This is a fault that was asked for: {rule.status}.", headers)
    # The request was not taken, and the sender cannot know that.
    if rule is not None and rule.kind == "hang":
        return await _hang(request, runtime)
    if rule is not None and rule.kind == "cut_before":
        return _cut(request)
    # A single bad message refuses the whole request, as the bridge does it.
    if runtime.faults.refuses(message.external_id for message in messages):
        runtime.store.counts["refused_requests"] += 1
        runtime.store.counts["refused_messages"] += len(messages)
        raise Refusal("At least one message is not valid.")
    runtime.store.take(messages)
    runtime.arrived.set()
    # Taken, but the sender never hears of it.
    if rule is not None and rule.kind == "cut_after":
        return _cut(request)
    return web.Response(status=204, headers=headers)


def _too_many(policy: str, headers: Mapping[str, str]) -> web.Response:
    text = f"You have reached your {policy.lower()} limit."
    return answer_error(429, text, headers, errorType="RATE_LIMIT", policyName=policy)


def _cut(request: web.Request) -> web.Response:
    _NOTE.get().is_cut = True
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)  # goes nowhere: the connection is gone


async def _hang(request: web.Request, runtime: Runtime) -> web.Response:
    """Give no answer, until the sender gives up or the sandbox closes."""
    await runtime.closing.wait()
    return _cut(request)


async def get_errors(request: web.Request) -> web.StreamResponse:
    """GET sync-errors: newest first; errorType, objectType, showResolvedErrors, limit, offset."""
    query = request.query
    errors = request.app[RUNTIME].store.error_list(with_resolved=query.get("showResolvedErrors") == "true")
    wanted_type = object_type_of(query["objectType"]) if "objectType" in query else None
    wanted_id = request.match_info.get("id")
    if "type" in request.match_info:
        wanted_type = object_type_of(request.match_info["type"])
    results = [
        {
            "portalId": PORTAL_ID,
            "objectType": error.object_type.value,
            "integratorObjectId": error.external_id,
            "changeOccurredTimestamp": error.changed_at,
            "errorTimestamp": error.errored_at,
            "type": error.kind,
            "details": error.details,
            "status": "RESOLVED" if error.resolved else "OPEN",
        }
        for error in errors
        if (wanted_type is None or error.object_type is wanted_type)
        and (wanted_id is None or error.external_id == wanted_id)
        and query.get("errorType", error.kind) == error.kind
    ]
    offset, limit = count_of(query, "offset", 0), count_of(query, "limit", 200)
    return answer_json({"results": results[offset : offset + min(limit, 200)]})


def count_of(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise Refusal(f"{name} must be a whole number")
    return int(text)


async def get_status(request: web.Request) -> web.StreamResponse:
    """GET sync-status/{type}/{id}: 400 until the object was processed."""
    store = request.app[RUNTIME].store
    object_type = object_type_of(request.match_info["type"])
    external_id = request.match_info["id"]
    held = store.objects[object_type].get(external_id)
    # The bridge says 400 for an object that it has not processed.
    if held is None or not held.processed_ms:
        raise Refusal(f"{object_type} {external_id} was not processed yet")
    error = store.errors.get((object_type, external_id))
    return answer_json(
        {
            "lastProcessedAt": held.processed_ms,
            "numErrors": 1 if error is not None and not error.resolved else 0,
            "hubspotId": held.record.hubspot_id if held.record is not None else None,
            "objectType": object_type.value,
            "externalObjectId": external_id,
        }
    )


async def post_install(request: web.Request) -> web.StreamResponse:
    """POST installs: 204."""
    request.app[RUNTIME].store.install()
    return web.Response(status=204)


async def post_uninstall(request: web.Request) -> web.StreamResponse:
    """POST installs/uninstall: 204."""
    request.app[RUNTIME].store.installed = False
    return web.Response(status=204)


async def get_install(request: web.Request) -> web.StreamResponse:
    """GET installs/status: both flags."""
    store = request.app[RUNTIME].store
    enabled = store.settings is not None and store.settings.enabled
    return answer_json({"installCompleted": store.installed, "ecommSettingsEnabled": store.installed and enabled})


async def get_settings(request: web.Request) -> web.StreamResponse:
    """GET settings: as put; disabled and empty before that."""
    return answer_json(settings_body(request.app[RUNTIME].store.settings or SyncSettings()))


async def put_settings(request: web.Request) -> web.StreamResponse:
    """PUT settings: replaces all of them, answers with what is stored. Target names are not checked here."""
    settings = read_settings(await json_of(request))
    request.app[RUNTIME].store.settings = settings
    return answer_json(settings_body(settings))


async def delete_settings(request: web.Request) -> web.StreamResponse:
    """DELETE settings: 204."""
    request.app[RUNTIME].store.settings = None
    return web.Response(status=204)


async def json_of(request: web.Request) -> Any:
    """The body's JSON. Refusal, and a broken rule, if it is not JSON or cannot be unpacked."""
    try:
        return orjson.loads(await request.read())
    except (orjson.JSONDecodeError, web.RequestPayloadError) as error:
        text = "the body is not JSON" if isinstance(error, orjson.JSONDecodeError) else "the body cannot be unpacked"
        raise malformed(request, text) from None


def malformed(request: web.Request, text: str) -> Refusal:
    """The refusal of a request that no good sender makes."""
    request.app[RUNTIME].store.watch.note_malformed(text, now_ms())
    return Refusal(text)


def add_bridge_routes(app: web.Application) -> None:
    """Version 1's paths."""
    app.router.add_put(f"{ROOT}/sync-messages/{{type}}", put_messages)
    app.router.add_get(f"{ROOT}/sync-errors", get_errors)
    app.router.add_get(f"{ROOT}/sync-errors/portal/{PORTAL_ID}", get_errors)
    app.router.add_get(f"{ROOT}/sync-errors/app/{{app}}", get_errors)
    app.router.add_get(f"{ROOT}/sync-errors/object/{{type}}/{{id}}", get_errors)
    app.router.add_get(f"{ROOT}/sync-status/{{type}}/{{id}}", get_status)
    app.router.add_post(f"{ROOT}/installs", post_install)
    app.router.add_post(f"{ROOT}/installs/uninstall", post_uninstall)
    app.router.add_get(f"{ROOT}/installs/status", get_install)
    app.router.add_get(f"{ROOT}/settings", get_settings)
    app.router.add_put(f"{ROOT}/settings", put_settings)
    app.router.add_delete(f"{ROOT}/settings", delete_settings)
