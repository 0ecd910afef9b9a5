"""What a test can set about the account: an admin's rules, limits, and answers that no source confirms.

HubSpot's documents leave some behaviour open. Each such point is a switch here: a sender has to work with both values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args, get_type_hints

from cdc.model import ObjectType
from sinks.sandbox.crm.types import TYPES, type_named


@dataclass(frozen=True, slots=True)
class ConditionalRule:
    """While ``when_property`` has ``when_value``, ``required`` may not be empty."""

    when_property: str
    when_value: str
    required: tuple[str, ...]


@dataclass(slots=True)
class Behaviour:
    """The account's switches. A test sets them on the object, or by HTTP with ``PUT /_sandbox/crm/behaviour``."""

    archived_keeps_unique: bool = False
    """Unconfirmed: a record in the recycle bin still holds its unique values (emails are free in any case)."""
    merged_ids: Literal["survivor", "not_found"] = "survivor"
    """Unconfirmed: the answer for the id of a record that was merged into another."""
    merge_makes_new_id: bool = False
    """Sources disagree: the merged record keeps the id of the first one, or gets a new id."""
    additional_email_is_taken: bool = True
    """Sources disagree: a new contact may be made with an address that another contact has as an additional one."""
    writing_additional_email: Literal["promote", "keep"] = "promote"
    """Unconfirmed: whether a contact's additional address that is written into ``email`` becomes the primary one."""
    old_email_on_change: Literal["drop", "additional"] = "drop"
    """Unconfirmed: what happens to the address that an update replaces."""
    email_conflict: Literal["conflict", "unique_value"] = "conflict"
    """Unconfirmed: how an update or upsert reports that another contact has the address."""
    conflict_form: Literal["id_in_text", "no_id", "identity_profile"] = "id_in_text"
    """Seen in all three forms: the 409 of a whole call."""
    missing_form: Literal["not_found", "coordinates"] = "not_found"
    """Seen in both forms: how a batch update names ids that are not there."""
    same_record_twice: Literal["refuse", "refuse_late"] = "refuse"
    """Two inputs of a call that lead to one record: the call is refused before or after the first one was written."""
    partial_status: Literal[207, 200] = 207
    """Sources disagree: the status of a call that was done only in part."""
    no_associations_is_error: bool = True
    """Unconfirmed: a batch read names a record without associations under ``errors``, or leaves it out."""
    chosen_ids_honoured: bool = False
    """Unconfirmed: ``pipelineId`` and ``stageId`` of a create become the ids."""
    normalise_dates: bool = True
    """2026-09 stores a date off midnight as its day and says so in ``warnings``; before that it was INVALID_DATE."""
    unknown_product_is_refused: bool = False
    """Unconfirmed: whether ``hs_product_id`` is checked."""
    second_deal_of_line: Literal["keep_both", "refuse"] = "keep_both"
    """Unconfirmed: a line item is associated with a second deal."""
    gdpr_blocks_email: bool = False
    """Unconfirmed: GDPR delete blocks the address of a contact that it removed, as it blocks an address
    without a contact.
    """
    sku_is_unique: bool = True
    """Weakly confirmed: a product's ``hs_sku`` belongs to one product only, and names it as ``idProperty``."""
    read_lag_ms: int = 0
    """Unconfirmed: how long a read does not see a new record."""
    results_in_input_order: bool = False
    """HubSpot gives results in an order of its own."""
    search_lag_ms: int = 2000
    """How far the search index is behind the records."""
    property_delay_ms: int = 0
    """How long a new property cannot be read (250 to 700 in HubSpot)."""
    max_archive_inputs: int = 100
    """Inputs of associations/batch/archive, by a secondary source."""
    max_pipelines: int = 15
    """Pipelines per object type. One more is refused with API_LIMIT."""
    max_unique_properties: int = 10
    """Properties with unique values per object type."""
    max_text: int = 65_536
    """Characters of a text."""
    max_body: int = 0
    """The largest body of a call, in bytes, that a proxy on the way accepts; 0: any size. A larger body is
    answered 413.
    """
    scopes: set[str] | None = None
    """Scopes of the token; None: all."""
    record_limits: dict[ObjectType, int] = field(default_factory=dict)
    """Records that the account may hold. HubSpot's own number where a type is missing."""
    required_on_create: dict[ObjectType, list[str]] = field(default_factory=dict)
    """An admin's rule: properties that a new record must have."""
    conditional_rules: dict[ObjectType, list[ConditionalRule]] = field(default_factory=dict)
    """An admin's rules on the values of other properties."""
    value_rules: dict[str, list[str]] = field(default_factory=dict)
    """An admin's rules on values: ``contacts.phone`` → rule types, e.g. MAX_LENGTH. The API only lists them."""
    association_limits: dict[str, int] = field(default_factory=dict)
    """An admin's limits: ``deals/contacts`` → contacts that a deal may have."""
    blocked_emails: set[str] = field(default_factory=set)
    """Addresses that GDPR delete put on the block list, lower case."""
    refused_values: dict[str, str] = field(default_factory=dict)
    """A test's bad values: an input with such an id or value is refused with this code, for example INVALID_OPTION."""

    def change(self, wanted: Mapping[str, Any]) -> None:
        """Set switches from JSON; object types are keys like ``contacts``. ValueError names what is not a switch."""
        hints = get_type_hints(Behaviour)
        values = {name: _read(name, hints.get(name), value) for name, value in wanted.items()}
        for name, value in values.items():
            setattr(self, name, value)

    def view(self) -> dict[str, Any]:
        """All switches as JSON."""
        return {item.name: _shown(getattr(self, item.name)) for item in fields(self)}


_BY_TYPE: Final = ("record_limits", "required_on_create", "conditional_rules")


def _read(name: str, hint: Any, value: Any) -> Any:
    if hint is None:
        raise ValueError(f"there is no switch {name!r}")
    if name in _BY_TYPE:
        return _read_by_type(name, value)
    if name in ("scopes", "blocked_emails"):
        # A token without a list has all scopes.
        if value is None and name == "scopes":
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{name} is a list of texts")
        return set(value)
    if name == "refused_values":
        if not isinstance(value, dict) or not all(isinstance(code, str) for code in value.values()):
            raise ValueError("refused_values is an object from texts to codes")
        return dict(value)
    if name in ("value_rules", "association_limits"):
        if not isinstance(value, dict):
            raise ValueError(f"{name} is an object")
        return dict(value)
    choices = get_args(hint)
    if choices and value not in choices:
        raise ValueError(f"{name} is one of {', '.join(map(str, choices))}")
    # Not isinstance: True would be taken for a whole number.
    if not choices and type(value) is not hint:
        raise ValueError(f"{name} is a {'whole number' if hint is int else 'true or false'}")
    return value


def _read_by_type(name: str, value: Any) -> dict[ObjectType, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is an object with a member per object type")
    found: dict[ObjectType, Any] = {}
    for key, item in value.items():
        object_type = type_named(key)
        if object_type is None:
            raise ValueError(f"{name}: there is no object type {key!r}")
        try:
            found[object_type] = [_rule(entry) for entry in item] if name == "conditional_rules" else item
        except (TypeError, KeyError):
            raise ValueError(f"{name}: a rule has when_property, when_value and required") from None
    return found


def _rule(entry: Mapping[str, Any]) -> ConditionalRule:
    return ConditionalRule(entry["when_property"], entry["when_value"], tuple(entry["required"]))


def _shown(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, dict) and all(isinstance(kind, ObjectType) for kind in value):
        return {
            TYPES[kind].plural: [_shown_rule(r) for r in v] if isinstance(v, list) else v for kind, v in value.items()
        }
    return value


def _shown_rule(rule: Any) -> Any:
    if isinstance(rule, ConditionalRule):
        return {"when_property": rule.when_property, "when_value": rule.when_value, "required": list(rule.required)}
    return rule
