"""The steps that every CRM call passes: token, scopes, quota, faults on demand, and the request log."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import web

from sinks.sandbox.crm.account import CrmAccount
from sinks.sandbox.crm.associations import Link
from sinks.sandbox.crm.exchanges import Exchange, Exchanges
from sinks.sandbox.crm.faults import CrmFaults, Fault
from sinks.sandbox.crm.people import People
from sinks.sandbox.crm.quota import ASSOCIATIONS, OBJECTS, SEARCH, CallQuota, family_of
from sinks.sandbox.crm.refusals import CrmRefusalError, Problem, missing_scopes
from sinks.sandbox.crm.types import TYPES, type_named
from sinks.sandbox.crm.watch import CrmWatch, names_in
from sinks.sandbox.crm.writes import Written
from sinks.sandbox.exchanges import shortened
from sinks.sandbox.watch import Watch

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN: Final = "sandbox"  # noqa: S105  # protects nothing: lets clients show that they send one
PREFIXES: Final = ("/crm/", "/account-info/")


@dataclass(slots=True)
class CrmRuntime:
    """The CRM side of a running sandbox: a test's handle. ``closing`` ends calls that hang."""

    account: CrmAccount
    watch: CrmWatch
    token: str = TOKEN
    faults: CrmFaults = field(default_factory=CrmFaults)
    exchanges: Exchanges = field(default_factory=Exchanges)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    quotas: dict[str, CallQuota] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset_quotas()

    @property
    def people(self) -> People:
        """The actions of people on the account."""
        return People(self.account)

    def reset_quotas(self) -> None:
        """HubSpot's limits of a Professional account, unused."""
        self.quotas = {name: CallQuota(name, self.account.time_zone) for name in (OBJECTS, ASSOCIATIONS, SEARCH)}

    def reset(self) -> None:
        """A new account; faults end. Switches of the behaviour stay."""
        self.account.reset()
        self.watch.reset()
        self.faults.clear()
        self.exchanges.clear()
        self.reset_quotas()


@dataclass(slots=True)
class CallNote:
    """A handler's notes on its call: for the log, and for allowing a repetition if the answer is lost.

    ``fault``: the kind of fault on demand that hit the call.
    """

    inputs: int = 0
    fault: str = ""
    written: list[Written] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


CRM: Final = web.AppKey("crm", CrmRuntime)
_NOTE: Final[ContextVar[CallNote]] = ContextVar("crm_note")


def runtime_of(watch: Callable[[], Watch], account: CrmAccount | None = None, token: str = TOKEN) -> CrmRuntime:
    """The CRM side over an account (a new one, if None)."""
    return CrmRuntime(account if account is not None else CrmAccount(), CrmWatch(watch), token)


def note() -> CallNote:
    """The note of the call that is being handled."""
    return _NOTE.get()


def answer_json(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with JSON in it."""
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)


async def json_of(request: web.Request) -> Any:
    """The body's JSON. CrmRefusalError if it is not JSON or cannot be unpacked."""
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise CrmRefusalError(Problem("Invalid input JSON: the body cannot be read")) from None


@web.middleware
async def crm_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a CRM call through, or answer it as HubSpot would; log it without its token."""
    # Pages and the sandbox's own API pass without a token.
    if not request.path.startswith(PREFIXES):
        return await handler(request)
    runtime = request.app[CRM]
    started_ms = runtime.account.now_ms()
    call_note = CallNote()
    _NOTE.set(call_note)
    raw = await request.read()
    names = names_in(request.path, raw)
    way = request.transport
    runtime.watch.take_off(names, way, started_ms)
    try:
        response, is_cut = await _pass(request, runtime, handler, call_note)
    finally:
        runtime.watch.land(names, way)
    # The sender cannot know what became of the call, so it may repeat it.
    if is_cut or request.transport is None or request.transport.is_closing():
        runtime.watch.unanswered(call_note.written, call_note.links)
    _log(request, runtime, raw, response, 0 if is_cut else response.status, started_ms, call_note)
    # Cut after the log, so that the log shows the call.
    if is_cut and request.transport is not None:
        request.transport.abort()
    return response


async def _pass(
    request: web.Request, runtime: CrmRuntime, handler: Handler, call_note: CallNote
) -> tuple[web.Response, bool]:
    """The answer of a call, and whether its connection is cut instead."""
    bearer = request.headers.get("Authorization", "")
    if not hmac.compare_digest(bearer.encode(), f"Bearer {runtime.token}".encode()):
        text = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
        return refused(Problem(text, category="INVALID_AUTHENTICATION", status=401)), False
    runtime.watch.arrival(runtime.account.now_ms())
    delay_s = runtime.faults.delay_s(request.path)
    if delay_s:
        await asyncio.sleep(delay_s)
    limited = runtime.quotas[family_of(request.path)].take(runtime.account.now_ms())
    if limited.policy:
        runtime.watch.call(429, f"{request.method} {request.path}", runtime.account.now_ms())
        return _too_many(limited.policy, limited.headers), False
    most = runtime.account.behaviour.max_body
    # A gateway's limit: its answer is no JSON of HubSpot's.
    if most and len(await request.read()) > most:
        return web.Response(
            status=413, text="<html>413 Request Entity Too Large</html>", content_type="text/html"
        ), False
    fault = runtime.faults.next(request.path)
    call_note.fault = fault.kind if fault is not None else ""
    if fault is not None and not fault.is_after and fault.kind != "omit":
        response, is_cut = await _faulty(request, runtime, fault)
    else:
        response, is_cut = await _handled(request, runtime, handler), False
        if fault is not None:
            response, is_cut = await _spoiled(runtime, fault, response, call_note)
    response.headers.update({**limited.headers, **response.headers})
    return response, is_cut


async def _handled(request: web.Request, runtime: CrmRuntime, handler: Handler) -> web.Response:
    """The handler's answer, with refusals in HubSpot's form."""
    try:
        wrong = _missing_scope(request, runtime)
        if wrong is not None:
            raise CrmRefusalError(wrong)
        found = await handler(request)
        assert isinstance(found, web.Response)
        return found
    except CrmRefusalError as refusal:
        runtime.watch.call(refusal.problem.status, refusal.problem.message, runtime.account.now_ms())
        return refused(refusal.problem)
    except web.HTTPException as error:
        # HubSpot's body for an unknown path has no category.
        return refused(Problem(f"{error.reason}: {request.method} {request.path}", category="", status=error.status))


def refused(problem: Problem) -> web.Response:
    """A refusal of the whole call."""
    return answer_json(problem.body(), status=problem.status)


def _missing_scope(request: web.Request, runtime: CrmRuntime) -> Problem | None:
    """The scope that the token lacks for this path; None if it has all."""
    scopes = runtime.account.behaviour.scopes
    if scopes is None or request.path.startswith("/account-info/"):
        return None
    names = [name for name in ("type", "from") if name in request.match_info]
    kinds = [kind for kind in (type_named(request.match_info[name]) for name in names) if kind is not None]
    # The path names no object type, so no scope of a type is needed.
    if not kinds:
        return None
    is_schema = "/properties/" in request.path or "/pipelines/" in request.path
    is_read = request.method == "GET" or request.path.endswith(("/batch/read", "/search"))
    area = "schemas" if is_schema else "objects"
    wanted = f"crm.{area}.{TYPES[kinds[0]].plural}.{'read' if is_read else 'write'}"
    return None if wanted in scopes else missing_scopes([wanted])


def _too_many(policy: str, headers: Mapping[str, str]) -> web.Response:
    body = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": Problem("").body()["correlationId"],
        "policyName": policy,
        "groupName": "publicapi:private_app-api-calls-ten-secondly:1",
    }
    return answer_json(body, status=429, headers=headers)


async def _faulty(request: web.Request, runtime: CrmRuntime, fault: Fault) -> tuple[web.Response, bool]:
    """The answer of a call that is not done, because a fault was asked for."""
    if fault.kind == "hang":
        await runtime.closing.wait()
        return no_content(), True
    if fault.kind == "cut":
        return no_content(), True
    if fault.kind == "html":
        page = "<!doctype html><title>Maintenance</title><p>We will be back soon.</p>"
        return web.Response(text=page, content_type="text/html"), False
    if fault.kind == "empty":
        body = {"status": "COMPLETE", "results": [], "startedAt": "2026-11-30T00:00:00Z"}
        return answer_json(body | {"completedAt": "2026-11-30T00:00:00Z"}), False
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
        runtime.watch.asked_to_wait(fault.retry_after, runtime.account.now_ms())
    if fault.status == 429:
        return _too_many(fault.policy, headers), False
    category = {401: "INVALID_AUTHENTICATION", 403: "MISSING_SCOPES"}.get(fault.status, "")
    problem = Problem(f"This is a fault that was asked for: {fault.status}.", category=category)
    return answer_json(problem.body(), status=fault.status, headers=headers), False


async def _spoiled(
    runtime: CrmRuntime, fault: Fault, response: web.Response, call_note: CallNote
) -> tuple[web.Response, bool]:
    """The answer of a finished call, changed by the fault."""
    if fault.kind == "hang":
        await runtime.closing.wait()
    if fault.kind in ("hang", "cut"):
        return response, True
    body = orjson.loads(response.body) if isinstance(response.body, bytes) else {}
    if isinstance(body.get("results"), list):
        # The sender has to ask again for what the answer leaves out.
        body["results"] = body["results"][: max(len(body["results"]) - fault.amount, 0)]
        runtime.watch.unanswered(call_note.written, call_note.links)
        return answer_json(body, status=response.status), False
    return response, False


def _log(
    request: web.Request,
    runtime: CrmRuntime,
    raw: bytes,
    response: web.Response,
    status: int,
    started_ms: int,
    call_note: CallNote,
) -> None:
    answer = response.body if isinstance(response.body, bytes) and status else b""
    query = {name: value for name, value in request.query.items() if name != "hapikey"}
    done_ms = runtime.account.now_ms()
    number = runtime.exchanges.counts["all"] + 1
    exchange = Exchange(
        number,
        started_ms,
        done_ms - started_ms,
        request.method,
        request.path,
        query,
        status,
        call_note.inputs,
        shortened(raw),
        shortened(answer),
    )
    runtime.exchanges.note(family_of(request.path), exchange)
    runtime.exchanges.write_line(
        {
            "at_ms": started_ms,
            "method": request.method,
            "path": request.path,
            "query": query,
            "request": raw.decode("utf-8", "replace"),
            "status": status,
            "fault": call_note.fault,
            "answer": answer.decode("utf-8", "replace"),
        }
    )
