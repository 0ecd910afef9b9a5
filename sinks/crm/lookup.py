"""Finds an object's record: by record id, by our key, by address or SKU.

Where HubSpot has a unique property, no search is used: the search index is seconds behind the writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cdc.model import ObjectType
from sinks.crm import bodies, identity
from sinks.crm.answers import Record, records_of
from sinks.crm.api import SEARCH
from sinks.crm.batches import Batches, RefusedCallError
from sinks.crm.identity import Holder
from sinks.crm.memory import Memory
from sinks.crm.pieces import pieces
from sinks.crm.properties import PropertyTable
from sinks.crm.work import Work

NATURAL: Final[Mapping[ObjectType, str]] = {
    ObjectType.CONTACT: identity.EMAIL,
    ObjectType.PRODUCT: identity.SKU,
}
"""The property by which HubSpot knows an object that we never wrote."""


class Lookup:
    """Looks for records of one type."""

    def __init__(self, kind: ObjectType, batches: Batches, table: PropertyTable, memory: Memory) -> None:
        self._kind = kind
        self._batches = batches
        self._table = table
        self._memory = memory
        self._reads = identity.reads(table, kind)
        self._natural = NATURAL.get(kind, "")

    def natural_value(self, work: Work) -> str:
        """The object's address or SKU; "" if it has none, or if its record must not have it."""
        return "" if self._natural in work.left_out else work.values.get(self._natural, "")

    async def find(self, works: Sequence[Work]) -> dict[str, Holder]:
        """Key → the record that the object meets. A record that certainly belongs to another object is skipped."""
        found: dict[str, Holder] = {}
        known = {work.message.record_id: work for work in works if work.message.record_id}
        # The record may have changed hands since the state learned its id.
        for holder in (await self.by_record_id(known)).values():
            if self._may_meet(known[holder.id], holder):
                found[known[holder.id].key] = holder
        # after a write by key that found nothing there is no need to ask by key again
        unknown = [work for work in works if work.key not in found and not work.message.record_id]
        may_exist = [work.key for work in unknown if work.may_have_record or self._kind.value in self._memory.has_ours]
        by_key = await self._by_key(may_exist)
        # No record of ours was found by key: the account is as empty as the state says.
        if may_exist and not by_key:
            self._memory.has_ours.discard(self._kind.value)
        found |= by_key
        found |= await self._by_predecessor([work for work in unknown if work.key not in found])
        return found | await self._by_natural([work for work in works if work.key not in found])

    def _may_meet(self, work: Work, holder: Holder) -> bool:
        address = work.values.get(identity.EMAIL, "") if self._kind is ObjectType.CONTACT else ""
        # The address is stronger evidence than a key that people may have copied.
        if holder.has(address):
            return True
        # A free record, or the object's own; a deleted one waits for its own object.
        return holder.key == work.key or (not holder.key and not holder.is_deleted)

    async def by_record_id(self, ids: Iterable[str]) -> dict[str, Holder]:
        """Record id → record, for those that exist under exactly this id."""
        wanted = list(ids)
        if not wanted:
            return {}
        records = await self._batches.read(self._kind, wanted, self._reads)
        asked = set(wanted)
        # HubSpot answers a merged id with the record that took it over, which is another record.
        return {record.id: self._holder(record) for record in records if record.id in asked}

    async def archived(self, ids: Sequence[str]) -> set[str]:
        """The records among these that are in the recycle bin."""
        if not ids:
            return set()
        records = await self._batches.read(self._kind, ids, [self._table.key], archived=True)
        return {record.id for record in records} & set(ids)

    async def by_value(self, works: Sequence[Work]) -> dict[str, Holder]:
        """Key → the record with the object's key, else with its address or SKU."""
        found = await self._by_key([work.key for work in works])
        return found | await self._by_natural([work for work in works if work.key not in found])

    async def _by_key(self, keys: Sequence[str]) -> dict[str, Holder]:
        # HubSpot refuses a batch without inputs.
        if not keys:
            return {}
        records = await self._batches.read(self._kind, keys, self._reads, by=self._table.key)
        holders = [self._holder(record) for record in records]
        return {holder.key: holder for holder in holders if holder.key}

    async def _by_predecessor(self, works: Sequence[Work]) -> dict[str, Holder]:
        """Key → the record of the object's predecessor. By key alone: its record id may be another object's by now."""
        heirs = {work.message.predecessor.external_id: work.key for work in works if work.message.predecessor}
        return {heirs[key]: holder for key, holder in (await self._by_key(list(heirs))).items() if key in heirs}

    async def _by_natural(self, works: Sequence[Work]) -> dict[str, Holder]:
        # of two objects with one value the first goes ahead; the other one meets its record at its own write
        wanted = {value: work for work in reversed(works) if (value := self.natural_value(work))}
        if not wanted:
            return {}
        records = await self._naturally(list(wanted))
        found: dict[str, Holder] = {}
        for holder in sorted(map(self._holder, records), key=lambda one: (len(one.id), one.id)):
            # A contact is found by any of its addresses.
            for value in (holder.email, *holder.more_emails) if self._natural == identity.EMAIL else (holder.sku,):
                work = wanted.get(value)
                # where HubSpot lets a SKU stand twice, the object's own record comes first, then the oldest
                if work is not None and (work.key not in found or holder.key == work.key):
                    found[work.key] = holder
        return found

    async def records_with(self, values: Sequence[str]) -> list[Record]:
        """Every record with one of these addresses or SKUs."""
        return await self._naturally(list(dict.fromkeys(values)))

    async def _naturally(self, values: Sequence[str]) -> list[Record]:
        if self._natural not in self._memory.not_unique:
            try:
                return await self._batches.read(self._kind, values, self._reads, by=self._natural)
            except RefusedCallError:
                # no source proves that every account has hs_sku unique: without it only the search is left
                self._memory.not_unique.add(self._natural)
        found: list[Record] = []
        for chunk in pieces(values, str, self._batches.api.max_body, rest=self._question(())):
            found += await self._search(chunk)
        return found

    def _question(self, values: Sequence[str]) -> dict[str, Any]:
        """The body of a search for these values."""
        return {
            "filterGroups": [{"filters": [{"propertyName": self._natural, "operator": "IN", "values": list(values)}]}],
            "properties": self._reads,
            "limit": 200,
        }

    async def _search(self, values: Sequence[str]) -> list[Record]:
        body = self._question(values)
        api = self._batches.api
        what = f"{len(values)} {self._kind.value} record(s) by {self._natural}"
        path = api.paths.objects(self._kind, "search")
        reply = await api.call(self._batches.requests, "POST", path, what=what, body=body, family=SEARCH)
        return records_of(api.content(reply, what))

    async def complete_references(self, works: Sequence[Work]) -> None:
        """Find, by key, the records of references whose record the state does not know: those that must be linked or
        written.
        """
        lacking: dict[ObjectType, list[str]] = {}
        # Products of lines are properties, and deals' contacts are links: both need record ids.
        products = (ObjectType.PRODUCT,) if self._kind is ObjectType.LINE_ITEM else ()
        wanted = (*bodies.ASSOCIATED[self._kind], *products)
        for work in works:
            for ref in work.references:
                # References that the state knows need no question.
                if not ref.record_id and ref.object_type in wanted:
                    lacking.setdefault(ref.object_type, []).append(ref.external_id)
        ids: dict[str, str] = {}
        for kind, keys in lacking.items():
            for record in await self._batches.read(kind, keys, [self._table.key], by=self._table.key):
                ids[record.properties.get(self._table.key, "")] = record.id
        if not ids:
            return
        for work in works:
            work.references = tuple(
                ref if ref.record_id else ref._replace(record_id=ids.get(ref.external_id, ""))
                for ref in work.references
            )

    def _holder(self, record: Record) -> Holder:
        return identity.holder_of(record, self._table, self._kind)
