"""Reads records back and compares them with the values that this sink would write: for ``verify``. Reads only.

Values are compared by their meaning: numbers by value, times by moment, as HubSpot returns both in its own forms.
Values that this sink would not write are not compared: properties that the account lacks, properties that people own,
an address that another record has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cdc.model import Comparison, Drift, Message, ObjectType, ValueType
from cdc.settings.mapping_switches import LIFECYCLE_TARGET
from sinks.crm import bodies, identity
from sinks.crm.answers import Record, next_page, records_of
from sinks.crm.api import ASSOCIATIONS, SEARCH
from sinks.crm.faults import record_id_of
from sinks.crm.links import End, needed_ends
from sinks.crm.lookup import Lookup
from sinks.crm.pieces import body_of, pieces
from sinks.crm.properties import BEFORE_CUSTOMER
from sinks.crm.tools import Tools
from sinks.crm.work import Work

READ_LINKS: Final = 1000
"""Records whose associations one call reads."""

MERGED_IDS: Final = ("hs_merged_object_ids", "hs_calculated_merged_vids")
"""Properties that list the records which were merged into a record."""

CREATED: Final = {ObjectType.CART: "hs_createdate"}
"""The property with the time of a record's creation, where it has another name than for most types."""

KEYS_PAGE: Final = 100
"""Records of a page when all of a type are listed."""


async def compare(tools: Tools, kind: ObjectType, messages: Sequence[Message]) -> list[Comparison]:
    """One result per message, in order."""
    works = [_work(tools, message) for message in messages]
    lookup = Lookup(kind, tools.batches, tools.table, tools.memory)
    await lookup.complete_references(works)
    written = {name for work in works for name in bodies.update_values(work, tools.table, tools.facts)}
    names = sorted(written | set(identity.reads(tools.table, kind)))
    found = await tools.batches.read(kind, [work.key for work in works], names, by=tools.table.key)
    records = {record.properties.get(tools.table.key, ""): record for record in found}
    # Not found by key: people may have merged the record into another one.
    absent = [work for work in works if work.key not in records]
    shared = await lookup.by_value(absent) if absent else {}
    pairs = [(records[work.key].id, work) for work in works if work.key in records]
    links = await _with_merged(tools, kind, pairs, await _links(tools, kind, pairs))
    return [_verdict(tools, work, records.get(work.key), shared.get(work.key), links) for work in works]


def _work(tools: Tools, message: Message) -> Work:
    work = Work(message, bodies.values_of(message, tools.table, tools.facts, tools.memory))
    work.references = message.references
    return work


def _verdict(
    tools: Tools,
    work: Work,
    record: Record | None,
    shared: identity.Holder | None,
    links: Mapping[str, frozenset[End]],
) -> Comparison:
    if record is None:
        # The values are on another object's record.
        if shared is not None and shared.key and not shared.is_deleted:
            return Comparison(work.key, Drift.MERGED, record_id=shared.id)
        return Comparison(work.key, Drift.MISSING)
    work.record_id = record.id
    values = dict(_differences(tools, work, record))
    if values:
        return Comparison(work.key, Drift.DIFFERING, values, record.id)
    if not needed_ends(work) <= links.get(record.id, frozenset()):
        return Comparison(work.key, Drift.LINK_MISSING, record_id=record.id)
    return Comparison(work.key, Drift.EQUAL, record_id=record.id)


def _differences(tools: Tools, work: Work, record: Record) -> Iterator[tuple[str, tuple[str, str]]]:
    """Property → our value and the record's."""
    kind = work.message.object_type
    holder = identity.holder_of(record, tools.table, kind)
    types = {target.name: target.type for target in tools.table.targets(kind).values()}
    types[tools.table.deleted_at] = ValueType.DATETIME
    for name, ours in bodies.update_values(work, tools.table, tools.facts).items():
        theirs = record.properties.get(name, "")
        if _same(ours, theirs, types.get(name, ValueType.STRING)):
            continue
        # The sink leaves such an address to the record that has it.
        if name == identity.EMAIL and holder.address == ours:
            continue  # another record has the address, or people made another one of this record's the first
        # People moved the contact further on, and HubSpot lets no write move it back.
        if name == LIFECYCLE_TARGET and theirs not in BEFORE_CUSTOMER:
            continue
        # The sink leaves out a SKU that another product has.
        if name == identity.SKU and not theirs:
            continue  # another product has it
        yield name, (ours, theirs)


def _same(ours: str, theirs: str, value_type: ValueType) -> bool:
    if ours == theirs:
        return True
    # HubSpot gives numbers back in its own notation.
    if value_type is ValueType.NUMBER:
        return _number(ours) is not None and _number(ours) == _number(theirs)
    # HubSpot gives times back as ISO 8601.
    if value_type is ValueType.DATETIME:
        return _moment(ours) is not None and _moment(ours) == _moment(theirs)
    if value_type is ValueType.DATE:
        # HubSpot may answer with a time at midnight.
        return ours == theirs[:10]
    return ours.strip() == theirs.strip()


def _number(text: str) -> Decimal | None:
    try:
        # A text of thousands of digits is no number that anybody wrote.
        return Decimal(text) if len(text) < 100 else None
    except InvalidOperation:
        return None


def _moment(text: str) -> int | None:
    """Epoch milliseconds from HubSpot's ISO 8601 or from our milliseconds."""
    if text.isdecimal():
        return int(text) if len(text) < 16 else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


async def _links(tools: Tools, kind: ObjectType, pairs: Sequence[tuple[str, Work]]) -> dict[str, frozenset[End]]:
    """Record id → the records with which it is associated, of the types that it should be associated with."""
    wanted = [record_id for record_id, work in pairs if needed_ends(work)]
    found: dict[str, frozenset[End]] = {}
    for other in bodies.ASSOCIATED[kind]:
        for record_id, ids in (await _links_to(tools, kind, other, wanted)).items():
            found[record_id] = found.get(record_id, frozenset()).union((other, one) for one in ids)
    return found


async def _links_to(
    tools: Tools, kind: ObjectType, other: ObjectType, wanted: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Record id → the records of one type with which it is associated."""
    found: dict[str, frozenset[str]] = {}
    api = tools.batches.api
    for chunk in pieces(wanted, lambda one: {"id": one}, api.max_body, most=READ_LINKS):
        what = f"the links of {len(chunk)} {kind.value} record(s)"
        body = body_of([{"id": one} for one in chunk])
        path = api.paths.associations(kind, other, "batch/read")
        reply = await api.call(tools.batches.requests, "POST", path, what=what, body=body, family=ASSOCIATIONS)
        # None of these records has a link.
        if reply.status == 404:
            continue
        results = api.content(reply, what).get("results")
        for item in results if isinstance(results, list) else []:
            if isinstance(item, Mapping):
                found |= _ends(item)
    return found


async def _with_merged(
    tools: Tools, kind: ObjectType, pairs: Sequence[tuple[str, Work]], links: Mapping[str, frozenset[End]]
) -> Mapping[str, frozenset[End]]:
    """The links, with the records that were merged into linked records: a link to the merged record counts for both.

    The state keeps a record's id until the next write of its object. So after people merged records, the id may be that
    of a record which is now part of another one.
    """
    lacking = [record_id for record_id, work in pairs if not needed_ends(work) <= links.get(record_id, frozenset())]
    parts: dict[End, frozenset[End]] = {}
    for other in bodies.ASSOCIATED[kind]:
        linked = {end for record_id in lacking for of_type, end in links.get(record_id, ()) if of_type is other}
        records = await tools.batches.read(other, sorted(linked), MERGED_IDS)
        parts |= {(other, record.id): frozenset((other, one) for one in _merged_into(record)) for record in records}
    if not parts:
        return links
    return {start: ends.union(*(parts.get(end, frozenset()) for end in ends)) for start, ends in links.items()}


def _merged_into(record: Record) -> Iterator[str]:
    """The ids of records that were merged into this one: ``1;2``, and of older merges ``1:<time>;2:<time>``."""
    for name in MERGED_IDS:
        for text in record.properties.get(name, "").split(";"):
            yield record_id_of(text.partition(":")[0].strip())


def _ends(item: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    start, ends = item.get("from"), item.get("to")
    record_id = record_id_of(start.get("id")) if isinstance(start, Mapping) else ""
    listed = ends if isinstance(ends, list) else []
    return {record_id: frozenset(record_id_of(end.get("toObjectId")) for end in listed if isinstance(end, Mapping))}


async def keys(tools: Tools, kind: ObjectType, after: str) -> tuple[list[tuple[str, str]], str]:
    """A page of a type's records: key and record id of those with a key, and the ``after`` of the next page."""
    api = tools.batches.api
    query: dict[str, str | int] = {"limit": KEYS_PAGE, "properties": f"{tools.table.key},{tools.table.deleted_at}"}
    if after:
        query["after"] = after
    what = f"the list of {kind.value} records"
    content = await api.get(tools.batches.requests, api.paths.objects(kind), what=what, query=query)
    results = content.get("results")
    found = []
    for item in results if isinstance(results, list) else []:
        held = item.get("properties") if isinstance(item, Mapping) else None
        record_id = record_id_of(item.get("id")) if isinstance(item, Mapping) else ""
        key = held.get(tools.table.key) if isinstance(held, Mapping) else None
        # Records that were set to deleted are kept by HubSpot, but no longer ours to hold.
        if (
            record_id
            and isinstance(key, str)
            and key
            and isinstance(held, Mapping)
            and not held.get(tools.table.deleted_at)
        ):
            found.append((key, record_id))
    later = next_page(content)
    # A page that leads to itself would never end.
    return found, later if later != after else ""


async def newest(tools: Tools, kind: ObjectType) -> list[tuple[str, str]]:
    """Key and record id of a type's records with a key that were created last, the newest first."""
    api, key = tools.batches.api, tools.table.key
    body = {
        "filterGroups": [{"filters": [{"propertyName": key, "operator": "HAS_PROPERTY"}]}],
        "sorts": [{"propertyName": CREATED.get(kind, "createdate"), "direction": "DESCENDING"}],
        "properties": [key],
        "limit": KEYS_PAGE,
    }
    what = f"the newest {kind.value} records"
    path = api.paths.objects(kind, "search")
    reply = await api.call(tools.batches.requests, "POST", path, what=what, body=body, family=SEARCH)
    found = records_of(api.content(reply, what))
    return [(record.properties.get(key, ""), record.id) for record in found if record.properties.get(key)]
