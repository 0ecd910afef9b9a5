"""``/_sandbox/crm``: the requests of tests and people to the CRM side. JSON in and out, no token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import orjson
from aiohttp import web

from cdc.model import ObjectType
from sinks.sandbox.crm.gate import CRM, CrmRuntime, answer_json, no_content
from sinks.sandbox.crm.people import People
from sinks.sandbox.crm.records import Record
from sinks.sandbox.crm.refusals import CrmRefusalError
from sinks.sandbox.crm.types import TYPES, type_named
from sinks.sandbox.crm.wire import property_json, record_url

API: Final = "/_sandbox/crm"
DEFAULT_LIMIT: Final = 100


def _wrong(text: str) -> web.Response:
    return answer_json({"status": "error", "message": text}, status=400)


def short_json(runtime: CrmRuntime, record: Record) -> dict[str, Any]:
    """A record in a list: its key, emails, properties and the records associated with it."""
    account = runtime.account
    product = account.records.live[ObjectType.PRODUCT].get(record.properties.get("hs_product_id", ""))
    return {
        **name_json(runtime, record),
        "keys": _keys(runtime, record),
        "product": name_json(runtime, product) if product is not None else None,
        "emails": list(record.emails),
        "archived": bool(record.archived_ms),
        "merged_ids": list(record.merged_ids),
        "properties": dict(sorted(account.view(record).items())),
        "associations": [
            {
                **name_json(runtime, account.records.live[other][pair.to_id]),
                "labels": _labels(runtime, record, other, pair.type_ids),
            }
            for other, pair in account.links.all_of(record)
        ],
        "created_at": record.created_ms,
        "updated_at": record.updated_ms,
        "url": record_url(account, record.kind, record.id),
    }


def _keys(runtime: CrmRuntime, record: Record) -> dict[str, str]:
    """Values of unique properties that the account created: a connector finds its records by these."""
    found = {}
    for name in runtime.account.records.unique_names(record.kind):
        # HubSpot's own unique properties are no keys of a connector.
        definition = runtime.account.properties.used(record.kind, name)
        if definition is not None and not definition.is_hubspots and name in record.properties:
            found[name] = record.properties[name]
    return found


def _labels(runtime: CrmRuntime, record: Record, other: ObjectType, type_ids: set[int]) -> list[str]:
    found = (runtime.account.links.label((record.kind, other), type_id) for type_id in sorted(type_ids))
    return [label for label in found if label]


def name_json(runtime: CrmRuntime, record: Record) -> dict[str, Any]:
    """The parts of a link to a record: its id, its key and its name for people."""
    held = record.properties
    person = " ".join(filter(None, (held.get("firstname"), held.get("lastname")))) or held.get("email", "")
    name = (
        person
        if record.kind is ObjectType.CONTACT
        else held.get("dealname") or held.get("hs_cart_name") or held.get("name", "")
    )
    key = held.get(runtime.watch.key_property, "")
    return {"type": record.kind.value, "id": record.id, "key": key, "name": name or key or record.id}


async def get_records(request: web.Request) -> web.Response:
    """GET records?type=&q=&limit=&offset=&archived=: newest change first; q looks into values and linked records."""
    runtime, query = request.app[CRM], request.query
    kind = type_named(query.get("type", "contacts"))
    limit, offset = query.get("limit", str(DEFAULT_LIMIT)), query.get("offset", "0")
    if kind is None or not limit.isdecimal() or not offset.isdecimal():
        return _wrong("type is contacts, deals, products, line_items or carts; limit and offset are whole numbers")
    records = runtime.account.records
    held = (records.bin if query.get("archived") == "true" else records.live)[kind]
    text = query.get("q", "").strip().lower()
    found = [record for record in held.values() if not text or holds(runtime, record, text)]
    found.sort(key=lambda record: (record.updated_ms, int(record.id)), reverse=True)
    page = found[int(offset) : int(offset) + int(limit)]
    return answer_json({"total": len(found), "records": [short_json(runtime, record) for record in page]})


def holds(runtime: CrmRuntime, record: Record, text: str) -> bool:
    """Whether a record, or a record associated with it, has the text in it: a person's name finds the
    person's deals.
    """
    # The record itself first: most searches end here.
    if _has(record, text):
        return True
    records = runtime.account.records
    return any(_has(records.live[other][pair.to_id], text) for other, pair in runtime.account.links.all_of(record))


def _has(record: Record, text: str) -> bool:
    values = (record.id, *record.properties.values(), *record.additional_emails)
    # Any value may match: people search for what they see.
    if any(text in value.lower() for value in values):
        return True
    # A full name stands in two properties.
    held = record.properties
    return text in f"{held.get('firstname', '')} {held.get('lastname', '')}".lower()


async def get_record(request: web.Request) -> web.Response:
    """GET records/{type}/{id}: one record, with what is associated and what was changed; the id may be a key."""
    runtime, match = request.app[CRM], request.match_info
    kind = type_named(match["type"])
    if kind is None:
        return _wrong("there is no such type")
    records = runtime.account.records
    record = records.get(kind, match["id"]) or records.bin[kind].get(match["id"])
    # People know keys, programs know ids.
    record = record or runtime.account.by_key(kind, match["id"], key_property=runtime.watch.key_property)
    if record is None:
        return answer_json({"status": "error", "message": "there is no such record"}, status=404)
    links = runtime.account.links
    product = record.properties.get("hs_product_id", "")
    linked = [records.live[other][pair.to_id] for other, pair in links.all_of(record)]
    # A line item's product is a property, and no association.
    if product in records.live[ObjectType.PRODUCT]:
        linked.append(records.live[ObjectType.PRODUCT][product])
    return answer_json(
        short_json(runtime, record)
        | {
            "linked": [short_json(runtime, other) for other in linked],
            "changes": [asdict(change) for change in reversed(record.changes)],
        }
    )


async def get_state(request: web.Request) -> web.Response:
    """GET state: all records by key, with associations by key, for comparing; without a key under ``#<id>``."""
    return answer_json(state_of(request.app[CRM]))


def state_of(runtime: CrmRuntime) -> dict[str, dict[str, dict[str, Any]]]:
    """The account's records in use: object type → key (``#<id>`` without one) → properties and associations."""
    # Keys compare between runs; record ids do not.
    found: dict[str, dict[str, dict[str, Any]]] = {}
    account = runtime.account
    for kind, held in account.records.live.items():
        found[kind.value] = {}
        for record in held.values():
            links: dict[str, list[str]] = {}
            for other, pair in account.links.all_of(record):
                links.setdefault(other.value, []).append(_key_of(runtime, account.records.live[other][pair.to_id]))
            found[kind.value][_key_of(runtime, record)] = {
                "id": record.id,
                "properties": dict(sorted(record.properties.items())),
                "additional_emails": sorted(record.additional_emails),
                "associations": {other: sorted(keys) for other, keys in sorted(links.items())},
            }
        found[kind.value] = dict(sorted(found[kind.value].items()))
    return found


def _key_of(runtime: CrmRuntime, record: Record) -> str:
    return record.properties.get(runtime.watch.key_property, "") or f"#{record.id}"


async def get_summary(request: web.Request) -> web.Response:
    """GET summary: counts of records, calls and quotas."""
    return answer_json(summary_of(request.app[CRM]))


def summary_of(runtime: CrmRuntime) -> dict[str, Any]:
    """Counts of records, calls and quotas."""
    records = runtime.account.records
    return {
        "records": {TYPES[kind].plural: len(held) for kind, held in records.live.items()},
        "archived": {TYPES[kind].plural: len(held) for kind, held in records.bin.items()},
        "calls": dict(sorted(runtime.exchanges.counts.items())),
        "quotas": {name: quota.view() for name, quota in runtime.quotas.items()},
    }


async def get_requests(request: web.Request) -> web.Response:
    """GET requests?limit=&q=: newest first, without bodies; q looks into them."""
    limit, text = request.query.get("limit", str(DEFAULT_LIMIT)), request.query.get("q", "").strip().lower()
    if not limit.isdecimal():
        return _wrong("limit is a whole number")
    newest = [
        {name: value for name, value in asdict(item).items() if name not in ("request", "answer")}
        for item in reversed(request.app[CRM].exchanges.kept)
        # Bodies are looked into, and not shown in the list.
        if not text or any(text in part.lower() for part in (item.path, item.request, item.answer))
    ]
    return answer_json({"requests": newest[: int(limit)]})


async def get_request(request: web.Request) -> web.Response:
    """GET requests/{number}: one request with its body and answer."""
    wanted = request.match_info["number"]
    found = next((item for item in request.app[CRM].exchanges.kept if str(item.number) == wanted), None)
    if found is None:
        return answer_json({"status": "error", "message": "this request is not kept any more"}, status=404)
    return answer_json(asdict(found))


async def get_definitions(request: web.Request) -> web.Response:
    """GET definitions: object type → property → label, type and options, for showing values."""
    account = request.app[CRM].account
    found = {}
    for kind, definitions in account.properties.all.items():
        shown = (property_json(account, kind, item) for item in definitions.values())
        found[kind.value] = {
            item["name"]: {name: item[name] for name in ("label", "type", "options")} for item in shown
        }
    return answer_json(found)


async def get_behaviour(request: web.Request) -> web.Response:
    """GET behaviour: all switches."""
    return answer_json(request.app[CRM].account.behaviour.view())


async def put_behaviour(request: web.Request) -> web.Response:
    """PUT behaviour {"merged_ids": "not_found", ...}: set the named switches."""
    behaviour = request.app[CRM].account.behaviour
    try:
        wanted = orjson.loads(await request.read())
        if not isinstance(wanted, dict):
            raise ValueError("the body is an object")
        behaviour.change(wanted)
    except ValueError as error:
        return _wrong(f"behaviour: {error}")
    return answer_json(behaviour.view())


async def post_faults(request: web.Request) -> web.Response:
    """POST faults: add faults (faults.py says the form)."""
    faults = request.app[CRM].faults
    try:
        specs = orjson.loads(await request.read())
        for spec in specs if isinstance(specs, list) else [specs]:
            faults.add(spec)
    except ValueError as error:
        return _wrong(f"faults: {error}")
    return answer_json({"faults": faults.view()})


async def get_faults(request: web.Request) -> web.Response:
    """GET faults: the faults that are still to come."""
    return answer_json({"faults": request.app[CRM].faults.view()})


async def delete_faults(request: web.Request) -> web.Response:
    """DELETE faults: remove all faults."""
    request.app[CRM].faults.clear()
    return no_content()


async def put_quota(request: web.Request) -> web.Response:
    """PUT quota {"family": "objects", "limit": 190, "interval_ms": 10000, "daily": 625000}: daily null: none."""
    runtime = request.app[CRM]
    try:
        body = orjson.loads(await request.read())
        quota = runtime.quotas[body["family"]]
        limit, interval_ms, daily = body["limit"], body.get("interval_ms", 10_000), body.get("daily")
        # True is an int for Python.
        if any(type(number) is not int or number < 0 for number in (limit, interval_ms, daily or 0)):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        return _wrong(f"family is one of {', '.join(runtime.quotas)}; limit, interval_ms and daily are whole numbers")
    quota.set(limit, interval_ms, daily)
    return answer_json(quota.view())


async def post_people(request: web.Request) -> web.Response:
    """POST people {"do": "edit", "type": "contacts", "id": "…", …}: what a person does by hand in HubSpot.

    ``do``: create (properties), edit (id, properties), delete, restore, purge (id), merge (id, other_id),
    add_email (id, email), link (id, other_type, other_id, label), unlink (id, other_type, other_id).
    """
    people = request.app[CRM].people
    try:
        body = orjson.loads(await request.read())
        kind = type_named(str(body["type"]))
        if kind is None or body.get("do") not in _DEEDS:
            return _wrong(f"do is one of {', '.join(_DEEDS)}; type is an object type")
        record_id = _DEEDS[body["do"]](people, kind, body)
    except KeyError as error:
        return _wrong(f"{error.args[0]} is missing")
    except (ValueError, TypeError, AttributeError) as error:
        return _wrong(str(error))
    except CrmRefusalError as refusal:
        return _wrong(refusal.problem.message)
    return answer_json({"id": record_id})


def _other(body: Mapping[str, Any]) -> ObjectType:
    found = type_named(str(body["other_type"]))
    if found is None:
        raise ValueError("other_type is an object type")
    return found


def _edit(people: People, kind: ObjectType, body: Mapping[str, Any]) -> str:
    people.edit(kind, body["id"], body["properties"])
    return str(body["id"])


def _by_id(verb: Callable[[People, ObjectType, str], None]) -> Callable[[People, ObjectType, Mapping[str, Any]], str]:
    def do(people: People, kind: ObjectType, body: Mapping[str, Any]) -> str:
        verb(people, kind, body["id"])
        return str(body["id"])

    return do


def _add_email(people: People, _kind: ObjectType, body: Mapping[str, Any]) -> str:
    people.add_email(body["id"], body["email"])
    return str(body["id"])


def _link(people: People, kind: ObjectType, body: Mapping[str, Any]) -> str:
    people.link(kind, body["id"], _other(body), body["other_id"], str(body.get("label", "")))
    return str(body["id"])


def _unlink(people: People, kind: ObjectType, body: Mapping[str, Any]) -> str:
    people.unlink(kind, body["id"], _other(body), body["other_id"])
    return str(body["id"])


_DEEDS: Final[Mapping[str, Callable[[People, ObjectType, Mapping[str, Any]], str]]] = {
    "create": lambda people, kind, body: people.create(kind, body["properties"]).id,
    "edit": _edit,
    "delete": _by_id(People.delete),
    "restore": _by_id(People.restore),
    "purge": _by_id(People.purge),
    "merge": lambda people, kind, body: people.merge(kind, body["id"], body["other_id"]).id,
    "add_email": _add_email,
    "link": _link,
    "unlink": _unlink,
}


async def post_forgive(request: web.Request) -> web.Response:
    """POST forgive: the sender lost its state or was killed, so it may repeat everything once."""
    runtime = request.app[CRM]
    runtime.watch.forgive_all(runtime.account.records, runtime.account.links)
    return no_content()


def add_sandbox_routes(app: web.Application) -> None:
    """All paths under ``/_sandbox/crm``."""
    app.router.add_get(f"{API}/records", get_records)
    app.router.add_get(f"{API}/records/{{type}}/{{id}}", get_record)
    app.router.add_get(f"{API}/state", get_state)
    app.router.add_get(f"{API}/summary", get_summary)
    app.router.add_get(f"{API}/requests", get_requests)
    app.router.add_get(f"{API}/requests/{{number}}", get_request)
    app.router.add_get(f"{API}/definitions", get_definitions)
    app.router.add_get(f"{API}/behaviour", get_behaviour)
    app.router.add_put(f"{API}/behaviour", put_behaviour)
    app.router.add_get(f"{API}/faults", get_faults)
    app.router.add_post(f"{API}/faults", post_faults)
    app.router.add_delete(f"{API}/faults", delete_faults)
    app.router.add_put(f"{API}/quota", put_quota)
    app.router.add_post(f"{API}/people", post_people)
    app.router.add_post(f"{API}/forgive", post_forgive)
