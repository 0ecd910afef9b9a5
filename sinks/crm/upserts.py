"""UPSERTs of one type: finds each object's record if it is not known, writes it, and settles each input by itself.

Known records are written by key, new records are created with their links in the same call, and uncertain records are
looked up first. Rounds go on until every message is written or settled; each round makes at most one call of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from cdc.model import Message, ObjectType, Outcome
from sinks.crm import bodies, identity
from sinks.crm.answers import Record
from sinks.crm.batches import Input, key_lost
from sinks.crm.faults import Fault, FaultKind
from sinks.crm.lookup import NATURAL, Lookup
from sinks.crm.memory import ADDED, MERGED
from sinks.crm.succession import Succession
from sinks.crm.tools import Tools
from sinks.crm.work import MAX_STEPS, Step, Work

MAX_ROUNDS: Final = MAX_STEPS

RULE_CODES: Final = frozenset({"MISSING_REQUIRED_PROPERTY", "MISSING_CONDITIONAL_REQUIRED_PROPERTY"})
"""HubSpot's codes for requirements of the create form, and for an admin's rules on other properties' values."""

_LEFT_OUT_TOGETHER: Final = {"dealstage": frozenset({"dealstage", bodies.PIPELINE})}
_DISPENSABLE: Final = frozenset(
    {
        "dealstage",
        bodies.PIPELINE,
        "deal_currency_code",
        "hs_line_item_currency_code",
        "hs_currency_code",
        bodies.PRODUCT_ID,
    }
)
"""HubSpot's properties that depend on the account's own lists: a refused value is left out, the other
values are written.
"""


class Upserts:
    """One send's UPSERTs of one type."""

    def __init__(self, kind: ObjectType, tools: Tools) -> None:
        self._kind = kind
        self._tools = tools
        self._lookup = Lookup(kind, tools.batches, tools.table, tools.memory)
        self._succession = Succession(tools)

    def work_of(self, message: Message) -> Work:
        """A message with the known facts at the beginning."""
        tools = self._tools
        work = Work(message, bodies.values_of(message, tools.table, tools.facts, tools.memory))
        work.references = message.references
        work.record_id = message.record_id
        # Only the linking failed the last time, so the properties are not sent again.
        if message.only_links and message.record_id:
            work.step = Step.WRITTEN
            if bodies.needs_product(message):  # a line's product is a property, so this link is a write
                work.step, work.only_product = Step.UPDATE, True
        elif not message.record_id:
            # a first message needs a search only where HubSpot has another way to know the object
            needs_search = work.may_have_record or bool(self._lookup.natural_value(work))
            needs_search = needs_search or self._kind.value in tools.memory.has_ours or message.predecessor is not None
            work.step = Step.LOOK_UP if needs_search else Step.CREATE
        elif self._kind is ObjectType.CONTACT and message.external_id in tools.memory.shared:
            work.step = Step.LOOK_UP  # which of the record's addresses is the first must be known before the write
        work.links_all = work.links_all or (work.may_have_record and not message.record_id)
        return work

    async def run(self, works: Sequence[Work]) -> None:
        """Write all messages. Raises the SinkError kinds; messages written before the error are marked in
        their works.
        """
        await self._lookup.complete_references(works)
        for work in works:
            if self._kind is ObjectType.LINE_ITEM and not work.record_id and _lacks_parent(work):
                # a line item cannot be given its parent later by the same safe call
                self._retry(work, "parent_not_found", "the record of its order or cart is not known in HubSpot")
        for _ in range(MAX_ROUNDS):
            pending = [work for work in works if work.is_open]
            if not pending:
                break
            await self._update([work for work in pending if work.step is Step.UPDATE])
            await self._look_up([work for work in pending if work.step is Step.LOOK_UP])
            await self._write([work for work in pending if work.step is Step.WRITE])
            await self._create([work for work in pending if work.step is Step.CREATE])
        # Every round changed something, but no end is in sight: better later than for ever.
        for work in works:
            if work.is_open:
                self._retry(work, "not_settled", "HubSpot's answers lead nowhere")

    async def finish(self, works: Sequence[Work]) -> None:
        """Finish moves to other records, after all messages are written."""
        await self._succession.finish(works)

    # ------------------------------------------------------------------------------------------ the four steps

    async def _update(self, works: Sequence[Work]) -> None:
        tools = self._tools
        made = await self._call("update", works, lambda work: bodies.update_by_key(work, tools.table, tools.facts))
        for work, record in made:
            if work.message.record_id and record.id != work.message.record_id:
                # people merged the record, or a send that was cut had moved the object to another one
                work.gave_way, work.links_all = work.message.record_id, True
            work.written(record.id)

    async def _look_up(self, works: Sequence[Work]) -> None:
        if not works:
            return
        holders = await self._lookup.find(works)
        for work in works:
            work.steps += 1
            work.looked_up = True
            holder = holders.get(work.key)
            if holder is None:
                self._not_there(work)
            elif self._has_parted(work, holder):
                # A merged contact whose address went elsewhere is separate again.
                await self._succession.part(work, holder)
            else:
                self._meet(work, holder)

    async def _write(self, works: Sequence[Work]) -> None:
        tools = self._tools
        # HubSpot refuses two inputs with one id; the second object of a record comes in the next round
        first = list({work.record_id: work for work in reversed(works)}.values())
        made = await self._call(
            "update", first, lambda work: bodies.update_by_id(work, tools.table, tools.facts), by_key=False
        )
        for work, record in made:
            work.links_all = True
            work.written(record.id)

    async def _create(self, works: Sequence[Work]) -> None:
        tools = self._tools

        def body(work: Work) -> dict[str, Any]:
            inlined = [ref for ref in _associated(work) if ref.record_id] if work.inlines else []
            work.inlined = frozenset(ref.external_id for ref in inlined)
            return bodies.create(work, tools.table, tools.facts, inlined)

        made = await self._call("create", works, body)
        for work, record in made:
            work.links_all = True
            work.written(record.id)
        for work in {*works} - {work for work, _ in made}:
            work.inlined = frozenset()  # this call linked nothing for it; a record that is there is linked like others

    async def _call(
        self, verb: str, works: Sequence[Work], body: Callable[[Work], dict[str, Any]], *, by_key: bool = True
    ) -> list[tuple[Work, Record]]:
        """Make one batch write. Returns the written inputs, and decides on the others."""
        if not works:
            return []
        inputs = [Input(str(at), work.key if by_key else work.record_id, body(work)) for at, work in enumerate(works)]
        key = self._tools.table.key if by_key else ""
        outcomes = await self._tools.batches.write(self._kind, verb, inputs, identity=key)
        made: list[tuple[Work, Record]] = []
        conflicts: list[tuple[Work, Fault]] = []
        for at, work in enumerate(works):
            work.steps += 1
            outcome = outcomes.get(str(at))
            # Other inputs of the same call may still fail.
            if isinstance(outcome, Record):
                made.append((work, outcome))
                self._tools.memory.settled(work.key)
            elif outcome is None:
                # HubSpot said nothing of this input, so it is neither written nor refused.
                self._tools.memory.warn("crm_answer_incomplete", verb)
                self._retry(work, "not_mentioned", f"HubSpot's answer to batch/{verb} does not mention it")
            elif outcome.kind is FaultKind.CONFLICT:
                # Conflicts are decided together: several inputs may meet the same record.
                conflicts.append((work, outcome))
            else:
                self._failed(work, outcome)
        unique = NATURAL.get(self._kind, "")
        for work, record in made:
            work.record_id = record.id
            self._tools.memory.refuse(work.key, "")
            # The unique value is written, so an older conflict is over.
            if unique and unique in work.values and unique not in work.left_out:
                self._tools.memory.conflict(work.key, "")
        if conflicts:
            await self._conflict(conflicts)
        return made

    # ------------------------------------------------------------------------------------------ what follows

    def _failed(self, work: Work, fault: Fault) -> None:
        """A refused input without a conflict: send it in another form, later, or never."""
        tools = self._tools
        # The last step was reached; further tries belong to a later batch.
        if work.steps >= MAX_STEPS:
            self._retry(work, fault.code, fault.text)
        elif fault.kind in (FaultKind.UNKNOWN_PROPERTY, FaultKind.READ_ONLY) and self._leave_out(work, fault):
            tools.account.forget()
        elif fault.kind is FaultKind.NOT_FOUND and work.step in (Step.UPDATE, Step.WRITE):
            # The record is gone: find it by its other values, then make a new one.
            work.step = Step.CREATE if work.looked_up else Step.LOOK_UP
        elif fault.kind in (FaultKind.BAD_LINK, FaultKind.NOT_FOUND) and work.step is Step.CREATE and work.inlines:
            work.inlines = False  # a linked record is gone: the links are made one by one afterwards
        elif fault.kind is FaultKind.INVALID and _DISPENSABLE.intersection(fault.properties):
            # The account does not know this stage or currency: everything else is still worth writing.
            self._leave_out(work, replace(fault, properties=tuple(_DISPENSABLE.intersection(fault.properties))))
        elif fault.kind is FaultKind.INVALID:
            # A rule of the account, and no value, is at fault: ``check`` names it.
            if fault.code in RULE_CODES:
                kind = self._kind.value.lower()
                named = ", ".join(f"{kind}.{name}" for name in fault.properties)
                tools.memory.refuse(work.key, f"{fault.code} {named or kind}")
            work.settle(Outcome.REJECTED, fault.code or "invalid", fault.text)
        else:
            self._retry(work, fault.code or fault.kind.value, fault.text)

    def _leave_out(self, work: Work, fault: Fault) -> bool:
        """From now on, send without these properties. False if they were left out before."""
        names = {name for one in fault.properties for name in _LEFT_OUT_TOGETHER.get(one, {one})}
        # Without the key, nothing of ours could be found again.
        if self._tools.table.key in names:
            raise key_lost(self._tools.table.key, self._kind)
        # Left out once and refused again: leaving it out did not help.
        if names <= work.left_out:
            work.settle(Outcome.REJECTED, fault.code, fault.text)
            return False
        work.left_out |= names
        for name in sorted(names):
            about = f"{self._kind.value}.{name}"
            self._tools.memory.warn("crm_property_left_out", about)
        return True

    def _retry(self, work: Work, reason: str, detail: str) -> None:
        """Try again later: after 1, 5 and 30 minutes, then hourly."""
        work.settle(Outcome.RETRY, reason, detail, retry_after_s=self._tools.memory.retry_s(work.key))

    def _not_there(self, work: Work) -> None:
        """The object has no record."""
        # The setting says that people's deletions count.
        if work.message.record_id and self._tools.settings.on_deleted_by_people == "leave":
            work.settle(Outcome.REJECTED, "deleted_by_people", "its record was deleted in HubSpot")
        else:
            work.step, work.record_id = Step.CREATE, ""

    def _has_parted(self, work: Work, holder: identity.Holder) -> bool:
        """Whether a record that two objects of ours share no longer belongs to this object: the object's address is not
        on it.
        """
        is_merged = self._tools.memory.shared.get(work.key) == MERGED
        address = work.values.get(identity.EMAIL, "")
        return is_merged and holder.key == work.key and bool(address) and not holder.has(address)

    def _share(self, work: Work, holder: identity.Holder, how: str) -> None:
        """Remember contacts whose own address is not the primary address of their record."""
        # Only contacts may have several addresses.
        if self._kind is not ObjectType.CONTACT:
            return
        address = work.values.get(identity.EMAIL, "")
        is_second = address != holder.email and holder.has(address)
        if is_second:
            work.left_out.add(identity.EMAIL)  # people chose which of its addresses is the first
        self._tools.memory.share(work.key, how if is_second else "")

    def _meet(self, work: Work, holder: identity.Holder) -> None:
        """The object meets a record that may be its own."""
        claim = self._claim(work, holder)
        match claim:
            case identity.Claim.OWN | identity.Claim.ADOPT | identity.Claim.TAKE_OVER:
                work.step, work.record_id = Step.WRITE, holder.id
                work.keeps_values = claim is identity.Claim.ADOPT
                work.clears = claim is identity.Claim.TAKE_OVER
                is_merged = claim is identity.Claim.TAKE_OVER or self._tools.memory.shared.get(work.key) == MERGED
                self._share(work, holder, MERGED if is_merged else ADDED)
            case identity.Claim.JOIN:
                # Two contacts of the shop are one record in HubSpot; people should know.
                if self._kind is ObjectType.CONTACT:
                    self._tools.memory.warn("contacts_merged", holder.id, holder.id)
                work.written(holder.id)
                work.links_all = True
            case identity.Claim.WAIT:
                self._tools.memory.waited(work.key, holder.id)
                text = f"its address is on record {holder.id} of another customer"
                work.settle(Outcome.RETRY, "waits_for_address", text, retry_after_s=5.0)
            case identity.Claim.STAY_OUT:
                self._stay_out(work, holder)

    def _claim(self, work: Work, holder: identity.Holder) -> identity.Claim:
        key = work.key
        if self._kind is ObjectType.CONTACT:
            address = work.values.get(identity.EMAIL, "")
            # The record has the contact's own address, which is stronger evidence than its key.
            if holder.has(address):
                return identity.claim_by_address(key, address, holder, self._tools.memory.waits(key, holder.id))
        # A stand-in for a deleted product must not take over a record that people made for the SKU.
        if self._kind is ObjectType.PRODUCT and holder.sku and holder.sku == work.values.get(identity.SKU):
            properties = work.message.properties
            is_stand_in = not properties.get("type") and not properties.get("status")
            return identity.claim_by_sku(key, is_stand_in=is_stand_in, holder=holder)
        before = work.message.predecessor
        return identity.claim_by_key(key, holder, before.external_id if before is not None else "")

    def _stay_out(self, work: Work, holder: identity.Holder) -> None:
        """The record belongs to another object for good: write the object without the value that leads to
        the record.
        """
        unique = {ObjectType.CONTACT: identity.EMAIL, ObjectType.PRODUCT: identity.SKU}.get(self._kind, "")
        # There is no unique value that could be left out, or it was left out already.
        if not unique or unique in work.left_out:
            self._retry(work, "record_taken", f"record {holder.id} stands for another object")
            return
        work.left_out.add(unique)
        self._warn_conflict(work, holder.id)
        work.step, work.record_id = Step.CREATE, ""

    def _warn_conflict(self, work: Work, record_id: str) -> None:
        event = "contact_email_conflict" if self._kind is ObjectType.CONTACT else "product_sku_conflict"
        self._tools.memory.warn(event, work.key, record_id)
        self._tools.memory.conflict(work.key, record_id)
        work.reason, work.detail = event, f"record {record_id} has it"

    # ------------------------------------------------------------------------------------------ conflicts

    async def _conflict(self, conflicts: Sequence[tuple[Work, Fault]]) -> None:
        """A unique value belongs to another record: read that record and decide."""
        holders = await self._lookup.by_record_id([fault.existing_id for _, fault in conflicts if fault.existing_id])
        unnamed = [work for work, fault in conflicts if fault.existing_id not in holders]
        found = await self._lookup.by_value(unnamed) if unnamed else {}
        # A deleted record keeps its unique values until it is removed for good.
        archived = {fault.existing_id for work, fault in conflicts if work in unnamed and work.key not in found}
        in_bin = await self._lookup.archived(sorted(archived - {""}))
        for work, fault in conflicts:
            holder = holders.get(fault.existing_id) or found.get(work.key)
            if work.steps >= MAX_STEPS:
                self._retry(work, fault.code, fault.text)
            elif holder is not None:
                await self._decide_conflict(work, holder)
            elif fault.existing_id in in_bin:
                # Only people can free the value, by restoring or removing the record.
                text = f"HubSpot keeps its unique value on the deleted record {fault.existing_id}"
                work.settle(Outcome.REJECTED, "deleted_in_hubspot", text)
            else:
                self._retry(work, fault.code, fault.text)

    async def _decide_conflict(self, work: Work, holder: identity.Holder) -> None:
        has_record = work.step in (Step.UPDATE, Step.WRITE)
        # Nothing was written yet, so the object may take the record.
        if not has_record:
            # Our own key on a record that we did not know: the state was lost or restored.
            if holder.key == work.key:
                self._tools.memory.has_ours.add(self._kind.value)
            self._meet(work, holder)
        elif self._kind is ObjectType.CONTACT and identity.EMAIL not in work.left_out:
            # With a record of its own the contact can go on without the address.
            await self._address_conflict(work, holder)
        elif self._kind is ObjectType.PRODUCT and identity.SKU not in work.left_out:
            work.left_out.add(identity.SKU)
            self._warn_conflict(work, holder.id)
        else:
            self._retry(work, "conflict", f"record {holder.id} has one of its unique values")

    async def _address_conflict(self, work: Work, holder: identity.Holder) -> None:
        """A contact with a record of its own gets an address that another record has."""
        tools = self._tools
        address, own_id = work.values.get(identity.EMAIL, ""), work.record_id
        waits = tools.memory.waits(work.key, holder.id)
        match identity.resolve_conflict(work.key, address, own_id, holder, tools.settings.on_email_conflict, waits):
            case identity.Conflict.AGAIN:
                pass  # another message of this batch freed the address: the next round writes it
            case identity.Conflict.OMIT:
                work.left_out.add(identity.EMAIL)
            case identity.Conflict.KEEP:
                work.left_out.add(identity.EMAIL)
                self._warn_conflict(work, holder.id)
            case identity.Conflict.MERGE:
                await self._succession.merge(work, holder)
            case identity.Conflict.MOVE:
                await self._succession.move(work, holder)
            case identity.Conflict.WAIT:
                tools.memory.waited(work.key, holder.id)
                text = f"its address is on record {holder.id} of another customer"
                work.settle(Outcome.RETRY, "waits_for_address", text, retry_after_s=5.0)


def _associated(work: Work) -> list[Any]:
    wanted = bodies.ASSOCIATED[work.message.object_type]
    return [ref for ref in work.references if ref.object_type in wanted]


def _lacks_parent(work: Work) -> bool:
    return any(not ref.record_id for ref in _associated(work))
