"""The three forms in which HubSpot reports that another record has a unique value."""

from __future__ import annotations

from collections.abc import Mapping

from cdc.model import ObjectType
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.records import Records
from sinks.sandbox.crm.refusals import CONFLICT, Problem
from sinks.sandbox.crm.types import TYPES


def find_conflict(
    records: Records, behaviour: Behaviour, kind: ObjectType, own_id: str, values: Mapping[str, str], is_create: bool
) -> Problem | None:
    """The first unique value among ``values`` that another record has."""
    unique = records.unique_names(kind)
    for name in unique:
        value = values.get(name, "")
        other = records.other_holder(kind, name, value, own_id) if value else ""
        if not other:
            continue
        if name == "email" and (is_create or behaviour.email_conflict == "conflict"):
            return email_conflict(other, behaviour)
        return value_conflict(kind, name, value, own_id or records.peek_id(), other)
    return None


def email_conflict(other_id: str, behaviour: Behaviour) -> Problem:
    """409 CONFLICT. In a batch the other id is in the context; as a whole answer it has one of three forms."""
    more: dict[str, object] = {}
    text = f"Contact already exists. Existing ID: {other_id}"
    if behaviour.conflict_form == "no_id":
        text = "Contact already exists."
    elif behaviour.conflict_form == "identity_profile":
        text = "Contact already exists"
        more = {
            "category": "OBJECT_ALREADY_EXISTS",
            "error": "CONTACT_EXISTS",
            "identityProfile": {"vid": int(other_id), "isNew": False},
            "errors": [{"message": "Contact already exists", "in": "email"}],
        }
    return Problem(text, category=CONFLICT, status=409, more=more, existing_id=other_id)


def value_conflict(kind: ObjectType, name: str, value: str, own_id: str, other_id: str) -> Problem:
    """400: the text names the other record at its end."""
    where = f"objectTypeId=ObjectTypeId{{{TYPES[kind].type_id}}}, propertyName={name}, value={value}"
    text = f"Cannot set PropertyValueCoordinates{{portalId=1, {where}}} on {own_id}. {other_id} already has that value."
    return Problem(text)
