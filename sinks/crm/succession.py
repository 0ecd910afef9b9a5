"""A contact moves to another record: because that record has its new address, or because HubSpot merges the two.

The old record first loses its key, so that no crash can leave two records with one object's key. Its deals move once
the new record has the key. If a send ends in between, the next send finishes the move: it notices that the object's key
is on another record than the state says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cdc.model import ObjectType
from sinks.crm import identity
from sinks.crm.answers import next_page
from sinks.crm.api import ASSOCIATIONS
from sinks.crm.batches import Input, RefusedCallError
from sinks.crm.deletes import dispose
from sinks.crm.faults import Fault, record_id_of
from sinks.crm.links import archive_pairs, associate
from sinks.crm.memory import ADDED
from sinks.crm.paths import SEGMENT
from sinks.crm.tools import Tools
from sinks.crm.work import Step, Work

READ_PAGE: Final = 500
"""The most pages of a contact's deals, or carts, that are read."""

CONTACT, DEAL, CART = ObjectType.CONTACT, ObjectType.DEAL, ObjectType.CART


class Succession:
    """Moves and merges of one send."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def move(self, work: Work, holder: identity.Holder) -> None:
        """Take the key from the object's old record; the object is written onto ``holder`` next."""
        tools = self._tools
        own_id = work.record_id
        values = {tools.table.key: "", tools.table.deleted_at: str(work.message.changed_at)}
        step = Input("0", own_id, {"id": own_id, "properties": values})
        outcome = (await tools.batches.write(CONTACT, "update", [step])).get("0")
        # Nothing was changed yet, so the message can be tried again as it is.
        if isinstance(outcome, Fault):
            raise RefusedCallError(f"record {own_id} could not be released from its key: {outcome.text}", outcome)
        tools.memory.warn("contact_moved", work.key, holder.id)
        work.gave_way, work.step, work.record_id = own_id, Step.WRITE, holder.id
        work.keeps_values = not holder.key and not holder.is_deleted
        work.clears = not work.keeps_values
        # The address is one of the record's further ones, and people chose the first.
        if work.values.get(identity.EMAIL) != holder.email:
            work.left_out.add(identity.EMAIL)
            tools.memory.share(work.key, ADDED)

    async def part(self, work: Work, holder: identity.Holder) -> None:
        """Two objects of ours share a record, and the object's address is no longer on it: the object gets
        its own record.
        """
        tools = self._tools
        body = {"id": holder.id, "properties": {tools.table.key: ""}}
        outcome = (await tools.batches.write(CONTACT, "update", [Input("0", holder.id, body)])).get("0")
        if isinstance(outcome, Fault):
            raise RefusedCallError(f"record {holder.id} could not be released from its key: {outcome.text}", outcome)
        tools.memory.share(work.key, "")
        work.step, work.record_id = Step.CREATE, ""

    async def merge(self, work: Work, holder: identity.Holder) -> None:
        """Let HubSpot merge the record that has the address into the object's own record, which stays primary."""
        tools = self._tools
        api = tools.batches.api
        body = {"primaryObjectId": work.record_id, "objectIdToMerge": holder.id}
        what = "a merge of two contacts"
        path = api.paths.objects(CONTACT, "merge")
        reply = await api.call(tools.batches.requests, "POST", path, what=what, body=body, writes=True)
        content = api.content(reply, what)
        # one page says that the primary record stays, another that the merged record gets a new id
        work.record_id = record_id_of(content.get("id")) or work.record_id
        work.step, work.links_all = Step.WRITE, True
        work.left_out.add(identity.EMAIL)  # the address is among the record's additional ones now
        tools.memory.share(work.key, ADDED)
        tools.memory.warn("contacts_merged", work.record_id, work.record_id)

    async def finish(self, works: Sequence[Work]) -> None:
        """Move the deals and carts of old records, and treat these records by ``on_delete``."""
        tools = self._tools
        moved = {work.gave_way: work for work in works if work.gave_way and work.gave_way != work.record_id}
        # No contact moved in this send.
        if not moved:
            return
        reads = identity.reads(tools.table, CONTACT)
        records = await tools.batches.read(CONTACT, list(moved), reads)
        holders = [identity.holder_of(record, tools.table, CONTACT) for record in records if record.id in moved]
        for holder in holders:
            # Only a record that this sink released may lose its deals and carts.
            if holder.key or not holder.is_deleted:
                continue  # not a record that gave way: people merged it, or another object has it
            for kind in (DEAL, CART) if CART in tools.table.types else (DEAL,):
                await self._move_linked(kind, holder.id, moved[holder.id].record_id)
            await dispose(tools, CONTACT, [holder.id], tools.settings.on_delete.contact)

    async def _move_linked(self, kind: ObjectType, from_id: str, to_id: str) -> None:
        """Move our deals or carts from one contact to another. What is not ours stays where people put it."""
        tools = self._tools
        linked = await self._linked_to(kind, from_id)
        records = await tools.batches.read(kind, linked, [tools.table.key])
        ours = [record.id for record in records if record.properties.get(tools.table.key)]
        if not ours:
            return
        await associate(tools, kind, CONTACT, [(one, to_id) for one in ours])
        await archive_pairs(tools, kind, CONTACT, [(one, from_id) for one in ours])

    async def _linked_to(self, kind: ObjectType, contact_id: str) -> list[str]:
        tools = self._tools
        api = tools.batches.api
        found: list[str] = []
        after = ""
        for _ in range(READ_PAGE):
            asked: dict[str, Any] = {"id": contact_id, **({"after": after} if after else {})}
            what = f"the {SEGMENT[kind]} of a contact"
            path = api.paths.associations(CONTACT, kind, "batch/read")
            reply = await api.call(
                tools.batches.requests, "POST", path, what=what, body={"inputs": [asked]}, family=ASSOCIATIONS
            )
            # The contact has none, or its record is gone: there is nothing to move.
            if reply.status == 404:
                return found
            content = api.content(reply, what)
            results = content.get("results")
            page: Any = next(iter(results), {}) if isinstance(results, list) else {}
            pairs = page.get("to") if isinstance(page, Mapping) else None
            ids = [record_id_of(pair.get("toObjectId")) for pair in pairs or [] if isinstance(pair, Mapping)]
            found += [one for one in ids if one]
            after = next_page(page)
            if not after:
                break
        return list(dict.fromkeys(found))
