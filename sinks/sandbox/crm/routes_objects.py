"""Paths under ``/crm/objects``: batches, single records, search, merge and GDPR delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from cdc.model import ObjectType
from sinks.sandbox.crm.account import CrmAccount
from sinks.sandbox.crm.gate import CRM, CrmRuntime, Handler, answer_json, json_of, no_content, note
from sinks.sandbox.crm.inputs import list_of_inputs
from sinks.sandbox.crm.merging import gdpr_delete, merge_by_ids
from sinks.sandbox.crm.paths import add, asks_archived, has_rules, kind_in
from sinks.sandbox.crm.records import Record
from sinks.sandbox.crm.refusals import NOT_FOUND, CrmRefusalError, Problem, refuse
from sinks.sandbox.crm.search import search
from sinks.sandbox.crm.types import TYPES
from sinks.sandbox.crm.wire import batch_json, read_json, written_json
from sinks.sandbox.crm.writes import MAX_INPUTS, Outcome, Verb


def _batch_write(verb: Verb) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        runtime, kind, body = request.app[CRM], kind_in(request), await json_of(request)
        started_ms = runtime.account.now_ms()
        inputs = body.get("inputs") if isinstance(body, dict) else None
        note().inputs = len(inputs) if isinstance(inputs, list) else 0
        outcome = _write(request, runtime, verb, kind, body)
        written = list(outcome.written)
        # HubSpot promises no order, so a sink that relies on one must fail here.
        if not runtime.account.behaviour.results_in_input_order:
            written.reverse()
        results = [written_json(runtime.account, item, with_new=verb == "upsert") for item in written]
        done = 201 if verb == "create" else 200
        status = runtime.account.behaviour.partial_status if outcome.problems else done
        return answer_json(batch_json(runtime.account, started_ms, results, outcome.problems), status=status)

    return handle


def _write(request: web.Request, runtime: CrmRuntime, verb: Verb, kind: ObjectType, body: Any) -> Outcome:
    """Make a write, and check whether the sender keeps the rules."""
    account = runtime.account
    try:
        outcome = account.write(verb, kind, body, has_rules=has_rules(request))
    except CrmRefusalError as refusal:
        _look_for_unknown_ends(runtime, kind, refusal.problem)
        raise
    for problem in outcome.problems:
        _look_for_unknown_ends(runtime, kind, problem)
    note().written = outcome.written
    runtime.watch.wrote(account.records, kind, outcome.written, account.now_ms())
    return outcome


def _look_for_unknown_ends(runtime: CrmRuntime, kind: ObjectType, problem: Problem) -> None:
    # A link to a record that does not exist: the sender should have known.
    if problem.sub_category.endswith("INVALID_IDENTIFIER"):
        # The refusal names an id and no type; deals and carts begin with their contact, lines with their deal.
        other = ObjectType.CONTACT if kind in (ObjectType.DEAL, ObjectType.CART) else ObjectType.DEAL
        runtime.watch.unknown_end(kind, other, problem.context["id"][0], runtime.account.now_ms())


async def batch_read(request: web.Request) -> web.Response:
    """POST batch/read: by id or by a unique property; 207 names what is not there."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    started_ms = account.now_ms()
    wanted = [str(item.get("id", "")) for item in list_of_inputs(body, MAX_INPUTS)]
    note().inputs = len(wanted)
    name = str(body.get("idProperty") or "")
    archived = asks_archived(request)
    found, missing = [], []
    for record_id in dict.fromkeys(wanted):
        record = find_record(account, kind, record_id, name, archived=archived)
        if record is None:
            missing.append(record_id)
        elif record not in found:
            # Two ids may name one record; it is answered once.
            found.append(record)
    results = [read_json(account, record, _names(body.get("properties"))) for record in found]
    if not account.behaviour.results_in_input_order:
        results.reverse()
    problems = []
    if missing:
        text = "Could not get some objects, they may be deleted or not exist. Check that ids are valid."
        problems.append(Problem(text, category=NOT_FOUND, context={"ids": missing}))
    status = account.behaviour.partial_status if problems else 200
    return answer_json(batch_json(account, started_ms, results, problems), status=status)


def find_record(
    account: CrmAccount, kind: ObjectType, record_id: str, name: str, *, archived: bool = False
) -> Record | None:
    """A record by id or by a unique property. CrmRefusalError if the property's values are not unique."""
    if name and name != "hs_object_id":
        # A name that is not unique could mean several records.
        if not account.properties.is_unique(kind, name):
            type_id = TYPES[kind].type_id
            raise refuse(f"Unable to perform read by non-unique {type_id} property {name}")
        # Records in the bin are asked for explicitly.
        if archived:
            binned = account.records.bin[kind].values()
            return next((record for record in binned if record.properties.get(name) == record_id), None)
        return _seen(account, account.records.find(kind, name, record_id))
    if archived:
        return account.records.bin[kind].get(record_id)
    return _seen(account, account.records.get(kind, record_id))


def _seen(account: CrmAccount, record: Record | None) -> Record | None:
    """The record, unless it is so new that a read does not see it yet."""
    lag_ms = account.behaviour.read_lag_ms
    # HubSpot's reads trail behind its writes for a moment.
    if record is not None and lag_ms and account.now_ms() < record.created_ms + lag_ms:
        return None
    return record


def _names(raw: Any) -> Sequence[str]:
    """Property names that a read asks for."""
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(name, str) for name in raw):
        raise refuse("Invalid input JSON: properties is a list of names")
    return raw


async def batch_archive(request: web.Request) -> web.Response:
    """POST batch/archive: to the recycle bin; ids that are not there count as done."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    inputs = list_of_inputs(body, MAX_INPUTS)
    note().inputs = len(inputs)
    for item in inputs:
        record = account.records.get(kind, str(item.get("id", "")))
        if record is not None:
            account.records.archive(record, account.now_ms())
    return no_content()


async def create(request: web.Request) -> web.Response:
    """POST one record."""
    runtime, body = request.app[CRM], await json_of(request)
    note().inputs = 1
    outcome = _write(request, runtime, "create", kind_in(request), {"inputs": [body]})
    return answer_json(written_json(runtime.account, outcome.written[0], with_new=False), status=201)


async def update(request: web.Request) -> web.Response:
    """PATCH one record, named by id or by a unique property in the query."""
    runtime, kind, body = request.app[CRM], kind_in(request), await json_of(request)
    note().inputs = 1
    record = _one(request, kind)
    if not isinstance(body, dict):
        raise refuse("Invalid input JSON: an object is wanted")
    inputs = [{"id": record.id, "properties": body.get("properties")}]
    outcome = _write(request, runtime, "update", kind, {"inputs": inputs})
    return answer_json(written_json(runtime.account, outcome.written[0], with_new=False))


def _one(request: web.Request, kind: ObjectType) -> Record:
    """The record in the path. CrmRefusalError with one of HubSpot's two bodies for 404."""
    account, record_id = request.app[CRM].account, request.match_info["id"]
    name = request.query.get("idProperty", "")
    archived = asks_archived(request)
    record = find_record(account, kind, record_id, name, archived=archived)
    if record is not None:
        return record
    # HubSpot has two bodies for 404, depending on how the record was named.
    if record_id.isdecimal() and not name:
        raise refuse("resource not found", category="", status=404)
    raise refuse(f"Object not found. objectId {record_id}", category=NOT_FOUND, status=404)


async def get_one(request: web.Request) -> web.Response:
    """GET one record; ``associations`` names types whose ids come along."""
    account, kind = request.app[CRM].account, kind_in(request)
    record = _one(request, kind)
    found = read_json(account, record, _listed(request, "properties"))
    links = {}
    for text in _listed(request, "associations"):
        for other in TYPES:
            if text in (TYPES[other].plural, TYPES[other].singular, TYPES[other].type_id):
                label = f"{TYPES[kind].singular}_to_{TYPES[other].singular}"
                pairs = account.links.of(kind, record.id, other)
                links[TYPES[other].plural] = {"results": [{"id": pair.to_id, "type": label} for pair in pairs]}
    if links:
        found["associations"] = links
    return answer_json(found)


def _listed(request: web.Request, name: str) -> list[str]:
    """Names in a query, repeated or with commas between them."""
    return [part for text in request.query.getall(name, []) for part in text.split(",") if part]


async def get_many(request: web.Request) -> web.Response:
    """GET a page of records in the order of their ids: limit, after, properties, archived."""
    account, kind = request.app[CRM].account, kind_in(request)
    limit, after = request.query.get("limit", "10"), request.query.get("after", "0")
    if not limit.isdecimal() or not after.isdecimal() or not 0 < int(limit) <= 100:
        raise refuse("limit is 1 to 100, after is what the last page gave")
    held = account.records.bin if asks_archived(request) else account.records.live
    rest = sorted(int(record_id) for record_id in held[kind] if int(record_id) >= int(after))
    page = [held[kind][str(number)] for number in rest[: int(limit)]]
    body: dict[str, Any] = {"results": [read_json(account, r, _listed(request, "properties")) for r in page]}
    if len(rest) > int(limit):
        body["paging"] = {"next": {"after": str(rest[int(limit)]), "link": str(request.url.with_query(None))}}
    return answer_json(body)


async def delete(request: web.Request) -> web.Response:
    """DELETE one record: to the recycle bin. A record that is there already counts as done."""
    account, kind, record_id = request.app[CRM].account, kind_in(request), request.match_info["id"]
    note().inputs = 1
    record = account.records.get(kind, record_id)
    if record is not None:
        account.records.archive(record, account.now_ms())
    elif record_id not in account.records.bin[kind]:
        # A second deletion is no error; an id that never was is.
        raise refuse("resource not found", category="", status=404)
    return no_content()


async def post_search(request: web.Request) -> web.Response:
    """POST search: over an index that is behind the records."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    lag_ms = account.behaviour.search_lag_ms
    page, total, after = search(account.records, kind, body, account.now_ms(), lag_ms)
    names = _names(body.get("properties"))
    answer: dict[str, Any] = {"total": total, "results": [read_json(account, record, names) for record in page]}
    if after is not None:
        answer["paging"] = {"next": {"after": after}}
    return answer_json(answer)


async def post_merge(request: web.Request) -> web.Response:
    """POST merge: answers with the record that stays."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    note().inputs = 1
    # Of our types HubSpot merges only these.
    if kind not in (ObjectType.CONTACT, ObjectType.DEAL):
        raise refuse(f"{TYPES[kind].plural} cannot be merged")
    record = merge_by_ids(account.records, account.links, account.behaviour, kind, body, account.now_ms())
    return answer_json(read_json(account, record, ()))


async def post_gdpr_delete(request: web.Request) -> web.Response:
    """POST gdpr-delete: 204, also for an address that matches nobody (which is blocked from then on)."""
    account, kind, body = request.app[CRM].account, kind_in(request), await json_of(request)
    note().inputs = 1
    if kind is not ObjectType.CONTACT:
        raise refuse("gdpr-delete is for contacts only")
    gdpr_delete(account.records, account.links, account.behaviour, body)
    return no_content()


def add_object_routes(app: web.Application) -> None:
    """All paths of objects."""
    verbs: tuple[Verb, ...] = ("create", "update", "upsert")
    for verb in verbs:
        add(app, "POST", "objects", f"/{{type}}/batch/{verb}", _batch_write(verb))
    add(app, "POST", "objects", "/{type}/batch/read", batch_read)
    add(app, "POST", "objects", "/{type}/batch/archive", batch_archive)
    add(app, "POST", "objects", "/{type}/search", post_search)
    add(app, "POST", "objects", "/{type}/merge", post_merge)
    add(app, "POST", "objects", "/{type}/gdpr-delete", post_gdpr_delete)
    add(app, "POST", "objects", "/{type}", create)
    add(app, "GET", "objects", "/{type}", get_many)
    add(app, "GET", "objects", "/{type}/{id}", get_one)
    add(app, "PATCH", "objects", "/{type}/{id}", update)
    add(app, "DELETE", "objects", "/{type}/{id}", delete)
