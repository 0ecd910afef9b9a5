"""``mapping adopt``: writes our keys onto records of shop objects that another connector, the old bridge or people
made.

Contacts are found by address, products by SKU, deals by a property with the order's number. A value that leads to
several records, or to several objects, is listed and not changed. A record that has a key already keeps it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from cdc.model import Adoption, ObjectType
from sinks.crm import identity
from sinks.crm.answers import Record, next_page, records_of
from sinks.crm.batches import Input
from sinks.crm.lookup import NATURAL, Lookup
from sinks.crm.tools import Tools

PAGE: Final = 100


async def adopt(
    tools: Tools, kind: ObjectType, keys: Mapping[str, Sequence[str]], *, order_property: str, dry_run: bool
) -> Adoption:
    """``keys``: address, SKU or order number → external ids of the shop's objects with it."""
    holders = await _holders(tools, kind, list(keys), order_property)
    # One value that leads to two records, or two objects: a person has to choose.
    ambiguous = sorted(value for value, found in holders.items() if len(found) > 1 or len(keys[value]) > 1)
    ours = taken = 0
    wanted: dict[str, str] = {}
    for value, found in holders.items():
        if value in ambiguous:
            continue
        key, holder = keys[value][0], found[0]
        if holder.key == key:
            ours += 1
        elif holder.key:
            # Another object of ours stands on the record; adopting must not take it away.
            taken += 1
        elif holder.id in wanted:
            # people merged two of the shop's customers: the record stands for both, under the key of the lowest one
            taken += 1
            wanted[holder.id] = _first_of(wanted[holder.id], key)
        else:
            wanted[holder.id] = key
    failed = [] if dry_run else await _write(tools, kind, list(wanted.items()))
    return Adoption(kind, len(holders), len(wanted) - len(failed), ours, taken, tuple(ambiguous), tuple(failed))


def _first_of(one: str, other: str) -> str:
    """The key for a record that two contacts share."""
    rank, other_rank = identity.rank_of(one, one), identity.rank_of(other, one)
    return other if rank is not None and other_rank is not None and other_rank < rank else one


async def _holders(
    tools: Tools, kind: ObjectType, values: Sequence[str], order_property: str
) -> dict[str, list[identity.Holder]]:
    found: dict[str, list[identity.Holder]] = defaultdict(list)
    # HubSpot finds contacts by address and products by SKU.
    if kind in NATURAL:
        records = await Lookup(kind, tools.batches, tools.table, tools.memory).records_with(values)
    else:
        records = await _all(tools, kind, order_property)
    wanted = set(values)
    for record in records:
        holder = identity.holder_of(record, tools.table, kind)
        for value in _values(kind, record, holder, order_property) & wanted:
            found[value].append(holder)
    return found


def _values(kind: ObjectType, record: Record, holder: identity.Holder, order_property: str) -> set[str]:
    if kind is ObjectType.CONTACT:
        return {holder.email, *holder.more_emails} - {""}
    if kind is ObjectType.PRODUCT:
        return {holder.sku} - {""}
    return {record.properties.get(order_property, "").strip().removeprefix("#")} - {""}


async def _all(tools: Tools, kind: ObjectType, order_property: str) -> list[Record]:
    """Every record of a type: the property with the order's number is not unique, so no batch call finds
    records by it.
    """
    api = tools.batches.api
    names = [*identity.reads(tools.table, kind), order_property]
    found: list[Record] = []
    after = ""
    while True:
        query: dict[str, str | int] = {"limit": PAGE, "properties": ",".join(names)}
        if after:
            query["after"] = after
        what = f"the list of {kind.value} records"
        content = await api.get(tools.batches.requests, api.paths.objects(kind), what=what, query=query)
        found += records_of(content)
        following = next_page(content)
        # The same cursor twice would be an endless loop.
        if not following or following == after:
            return found
        after = following


async def _write(tools: Tools, kind: ObjectType, wanted: Sequence[tuple[str, str]]) -> list[str]:
    """Write the keys. Returns the keys that HubSpot did not accept."""
    failed = []
    for start in range(0, len(wanted), PAGE):
        chunk = wanted[start : start + PAGE]
        inputs = [
            Input(str(at), record_id, {"id": record_id, "properties": {tools.table.key: key}})
            for at, (record_id, key) in enumerate(chunk)
        ]
        outcomes = await tools.batches.write(kind, "update", inputs)
        failed += [key for at, (_, key) in enumerate(chunk) if not isinstance(outcomes.get(str(at)), Record)]
    return failed
