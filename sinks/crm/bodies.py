"""The values and bodies for writing one message, by the known facts of the account and of the record. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cdc.model import Message, ObjectType, Reference
from sinks.crm.account import Facts
from sinks.crm.properties import NEVER_CLEARED, STANDARD, PropertyTable
from sinks.crm.work import Work

if TYPE_CHECKING:
    from sinks.crm.memory import Memory

PIPELINE: Final = "pipeline"
PRODUCT_ID: Final = "hs_product_id"

ASSOCIATION_TYPE: Final[Mapping[tuple[ObjectType, ObjectType], int]] = {
    (ObjectType.DEAL, ObjectType.CONTACT): 3,
    (ObjectType.LINE_ITEM, ObjectType.DEAL): 20,
    (ObjectType.LINE_ITEM, ObjectType.CART): 591,
    (ObjectType.CART, ObjectType.CONTACT): 586,
    (ObjectType.CART, ObjectType.DEAL): 1347,
}
"""The pairs that are linked, and HubSpot's number of that association in this direction. The product of a line is a
property, ``hs_product_id``.
"""

ASSOCIATED: Final[Mapping[ObjectType, tuple[ObjectType, ...]]] = {
    kind: tuple(other for start, other in ASSOCIATION_TYPE if start is kind) for kind in ObjectType
}
"""Type → the types with which it is linked."""


def values_of(message: Message, table: PropertyTable, facts: Facts, memory: Memory) -> dict[str, str]:
    """A message's values under HubSpot's names, without those that this account does not accept."""
    kind = message.object_type
    values = table.values(kind, message.properties)
    _choose_stage(message, values, table, facts, memory)
    _choose_currency(message, values, table, facts, memory)
    for name in [name for name in values if facts.lacks(kind, name)]:
        del values[name]
        memory.warn("crm_property_left_out", f"{kind.value}.{name}")
    return values


def _choose_stage(message: Message, values: dict[str, str], table: PropertyTable, facts: Facts, memory: Memory) -> None:
    """HubSpot's stage and pipeline for our stage. If the account has no such stage, both are left out."""
    target = table.target(ObjectType.DEAL, "stage") if message.object_type is ObjectType.DEAL else None
    stage = values.pop(target.name, "") if target is not None and target.is_standard else ""
    # Not a deal, or its stage is not mapped.
    if not stage:
        return
    assert target is not None
    chosen = facts.pipeline.stage(stage) if facts.pipeline is not None else ""
    # Stage and pipeline belong together: HubSpot refuses a stage of another pipeline.
    if facts.pipeline is not None and chosen:
        values[target.name], values[PIPELINE] = chosen, facts.pipeline.id
    else:
        memory.warn("crm_stage_left_out", stage)


def _choose_currency(
    message: Message, values: dict[str, str], table: PropertyTable, facts: Facts, memory: Memory
) -> None:
    """Leave out a currency that the account does not have, as HubSpot refuses it; our own property has it
    in any case.
    """
    name = STANDARD[message.object_type].get("currency", "")
    code, known = values.get(name, ""), facts.details.currencies
    # Types without a currency of their own.
    if not name:
        return
    if not code:  # HubSpot clears no currency; the account's own one stands then
        values.pop(name, None)
    elif known is not None and code not in known:
        # One currency that the account lacks would make HubSpot refuse the whole input.
        del values[name]
        memory.warn("crm_currency_left_out", code)
        memory.lack(code, message.object_type.value)
    elif known is not None:
        memory.lack(code, "")


def product_id_of(work: Work) -> str:
    """The record of a line's product, "" if it is not known."""
    found = (ref.record_id for ref in work.references if ref.object_type is ObjectType.PRODUCT and ref.record_id)
    return next(found, "") if work.message.object_type is ObjectType.LINE_ITEM else ""


def needs_product(message: Message) -> bool:
    """Whether a line's product is missing among the records to which the line is linked."""
    products = [ref for ref in message.references if ref.object_type is ObjectType.PRODUCT and ref.record_id]
    wanted = {(ref.object_type, ref.record_id) for ref in products}
    return message.object_type is ObjectType.LINE_ITEM and not wanted <= message.linked_records


def update_values(work: Work, table: PropertyTable, facts: Facts) -> dict[str, str]:
    """The values for an existing record: everything but properties that people own and values that the record does not
    accept.

    An existing object is not deleted, so the mark of an earlier deletion is cleared.
    """
    kind = work.message.object_type
    # Everything else was accepted before: only the product is still to be written.
    if work.only_product:
        return _complete(work, {})
    once = table.once(kind)
    # A pipeline that is written with every update would undo what people moved.
    if "dealstage" in once:
        once |= {PIPELINE}
    # An order begins its life on the record of its cart: the cart's values must not stay.
    if work.clears and kind is ObjectType.DEAL:
        once = frozenset()
    values = {name: text for name, text in work.values.items() if name not in once}
    if work.keeps_values:
        # the record is somebody else's so far: nothing that people typed in is emptied
        values = {name: text for name, text in values.items() if text}
    elif not facts.lacks(kind, table.deleted_at):
        values[table.deleted_at] = ""
    if work.clears:
        values = {**_empty(kind, table, facts), **values}
    return _complete(work, values)


def _empty(kind: ObjectType, table: PropertyTable, facts: Facts) -> dict[str, str]:
    """All of our properties, cleared: values of the record's former object must not stay on the new object's record."""
    names = {target.name for name, target in table.targets(kind).items() if name not in NEVER_CLEARED}
    return {name: "" for name in names if not facts.lacks(kind, name)}


def create_values(work: Work, table: PropertyTable, facts: Facts) -> dict[str, str]:
    """The values of a new record."""
    message = work.message
    values = {name: text for name, text in work.values.items() if text}
    # HubSpot's workflows can then tell the backfill from new customers.
    if message.is_backfill and not facts.lacks(message.object_type, table.backfilled):
        values[table.backfilled] = "true"
    return {table.key: work.key, **_complete(work, values)}


def _complete(work: Work, values: dict[str, str]) -> dict[str, str]:
    # Without the product's record the line is written without it, and linked later.
    product = product_id_of(work)
    if product:
        values[PRODUCT_ID] = product
    return {name: text for name, text in values.items() if name not in work.left_out}


def update_by_key(work: Work, table: PropertyTable, facts: Facts) -> dict[str, Any]:
    """An input of batch/update that finds the record by our key.

    By key and not by record id: if people merged the record, or another object took it over, nothing is overwritten.
    """
    return {"id": work.key, "idProperty": table.key, "properties": update_values(work, table, facts)}


def update_by_id(work: Work, table: PropertyTable, facts: Facts) -> dict[str, Any]:
    """An input of batch/update that puts our key onto a record."""
    return {"id": work.record_id, "properties": {**update_values(work, table, facts), table.key: work.key}}


def association_types(kind: ObjectType, other: ObjectType) -> list[Mapping[str, Any]]:
    """The type of a link, as HubSpot's bodies spell it."""
    return [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": ASSOCIATION_TYPE[kind, other]}]


def create(work: Work, table: PropertyTable, facts: Facts, inlined: Sequence[Reference]) -> dict[str, Any]:
    """An input of batch/create, with links to ``inlined``."""
    kind = work.message.object_type
    links = [{"to": {"id": ref.record_id}, "types": association_types(kind, ref.object_type)} for ref in inlined]
    return {"properties": create_values(work, table, facts), "associations": links}
