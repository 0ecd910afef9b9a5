"""DELETEs by ``crm.on_delete``: keep and mark, cancel, archive, or have HubSpot erase the person.

A record is changed only while it has the object's key. If another object has the record now, or people merged it, the
deletion is finished without a change. Before a record is archived, the call that marks it also clears its key and SKU,
so that neither blocks a new record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cdc.model import ObjectType, Outcome
from cdc.settings.crm import DeletePolicy
from sinks.crm import bodies, identity
from sinks.crm.answers import Record
from sinks.crm.batches import Input
from sinks.crm.faults import Fault, FaultKind
from sinks.crm.properties import STANDARD
from sinks.crm.tools import Tools
from sinks.crm.work import Work

CANCELLED: Final = "cancelled"
CART_STATUS: Final = STANDARD[ObjectType.CART]["status"]


def policy_of(tools: Tools, kind: ObjectType, key: str = "") -> DeletePolicy:
    """The policy in the settings for a type; carts, as deals too, have a policy of their own."""
    on_delete = tools.settings.on_delete
    if identity.is_cart(key):
        return on_delete.cart
    return {
        ObjectType.CONTACT: on_delete.contact,
        ObjectType.PRODUCT: on_delete.product,
        ObjectType.DEAL: on_delete.deal,
        ObjectType.LINE_ITEM: on_delete.line_item,
        ObjectType.CART: on_delete.cart,
    }[kind]


def marks(tools: Tools, kind: ObjectType, changed_at: int, policy: DeletePolicy) -> dict[str, str]:
    """The values that mark a deleted object's record."""
    values = {tools.table.deleted_at: str(changed_at)}
    # The record stays as one of the past, in the state for what came to nothing.
    if policy is DeletePolicy.CANCEL and kind is ObjectType.CART:
        values[CART_STATUS] = CANCELLED
    elif policy is DeletePolicy.CANCEL:
        pipeline = tools.facts.pipeline
        stage = pipeline.stage(CANCELLED) if pipeline is not None else ""
        if pipeline is not None and stage and "dealstage" not in tools.table.once(kind):
            values |= {"dealstage": stage, bodies.PIPELINE: pipeline.id}
        values[tools.table.own("stage")] = CANCELLED
    elif policy in (DeletePolicy.ARCHIVE, DeletePolicy.GDPR_DELETE):
        # Key and SKU go in the same call: after a crash in between they would block a new record.
        values[tools.table.key] = ""
        if kind is ObjectType.PRODUCT:
            values[identity.SKU] = ""
    return {name: text for name, text in values.items() if name == tools.table.key or not tools.facts.lacks(kind, name)}


async def delete(tools: Tools, kind: ObjectType, works: Sequence[Work]) -> None:
    """Carry out deletions of one type and settle their messages."""
    by_policy: dict[DeletePolicy, list[Work]] = {}
    for work in works:
        by_policy.setdefault(policy_of(tools, kind, work.key), []).append(work)
    for policy, alike in by_policy.items():
        await _delete(tools, kind, alike, policy)


async def _delete(tools: Tools, kind: ObjectType, works: Sequence[Work], policy: DeletePolicy) -> None:
    inputs = [
        Input(
            str(at),
            work.key,
            {
                "id": work.key,
                "idProperty": tools.table.key,
                "properties": marks(tools, kind, work.message.changed_at, policy),
            },
        )
        for at, work in enumerate(works)
    ]
    outcomes = await tools.batches.write(kind, "update", inputs, identity=tools.table.key)
    ids: dict[str, Work] = {}
    absent: list[Work] = []
    for at, work in enumerate(works):
        outcome = outcomes.get(str(at))
        if isinstance(outcome, Record):
            ids[outcome.id] = work
        elif isinstance(outcome, Fault) and outcome.kind is FaultKind.NOT_FOUND:
            # No record has the key: it was deleted, merged or taken over.
            absent.append(work)
        elif isinstance(outcome, Fault) and outcome.kind is FaultKind.INVALID:
            # HubSpot refuses the mark itself, for ever.
            work.settle(Outcome.REJECTED, outcome.code, outcome.text)
        else:
            reason = outcome.code if isinstance(outcome, Fault) else "not_mentioned"
            work.settle(Outcome.RETRY, reason, retry_after_s=tools.memory.retry_s(work.key))
    is_removed = policy in (DeletePolicy.ARCHIVE, DeletePolicy.GDPR_DELETE)
    # Kept records stay, so there is nothing to dispose of.
    if is_removed:
        ids |= await _half_done(tools, kind, absent)
        await dispose(tools, kind, list(ids), policy)
    for record_id, work in ids.items():
        work.record_id, work.is_record_gone = ("", True) if is_removed else (record_id, False)
        work.settle(Outcome.ACCEPTED)
    for work in absent:
        # What the earlier attempt began is finished above.
        if work not in ids.values():
            # nothing has the object's key: deleted by people, merged, or another object stands for the record
            work.record_id = ""
            work.settle(Outcome.ACCEPTED)


async def _half_done(tools: Tools, kind: ObjectType, works: Sequence[Work]) -> dict[str, Work]:
    """Records that an earlier deletion marked and cleared of the key, but did not archive."""
    known = {work.message.record_id: work for work in works if work.message.record_id}
    # Without a record id nothing of an earlier attempt can be found.
    if not known:
        return {}
    records = await tools.batches.read(kind, list(known), identity.reads(tools.table, kind))
    holders = [identity.holder_of(record, tools.table, kind) for record in records if record.id in known]
    return {holder.id: known[holder.id] for holder in holders if not holder.key and holder.is_deleted}


async def dispose(tools: Tools, kind: ObjectType, ids: Sequence[str], policy: DeletePolicy) -> None:
    """Archive or erase records that lost their key; records that are to be kept stay as they are."""
    if policy is DeletePolicy.ARCHIVE:
        await tools.batches.archive(kind, ids)
    elif policy is DeletePolicy.GDPR_DELETE:
        api = tools.batches.api
        for record_id in ids:
            # by record id only: an address that matches nobody would be put on a block list
            path, what = api.paths.objects(kind, "gdpr-delete"), "the erasure of a contact"
            body = {"objectId": record_id}
            reply = await api.call(tools.batches.requests, "POST", path, what=what, body=body, writes=True)
            # 404: people have deleted it meanwhile.
            if not reply.is_ok and reply.status != 404:
                raise api.refused(reply, what)
