"""The validation of an accepted message: the rules of the bridge's later step. Pure.

Error types and texts are those of HubSpot's published list. Where no source knows the service's behaviour, a comment at
the rule names the choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cdc.model import ObjectType
from sinks.sandbox.wire import LINK_TO, LINKS, Accepted, Row, SyncSettings, split_ids

STAGES: Final = frozenset(
    {"checkout_abandoned", "checkout_pending", "checkout_completed", "processed", "shipped", "cancelled"}
)
"""Stage ids of the Ecommerce Pipeline that the bridge's install created."""

REQUIRED: Final[Mapping[ObjectType, tuple[str, ...]]] = {
    ObjectType.CONTACT: ("email",),
    ObjectType.PRODUCT: ("name",),
    ObjectType.DEAL: ("dealname", "dealstage"),
    ObjectType.LINE_ITEM: ("hs_assoc__deal_id", "hs_assoc__product_id"),
}
"""HubSpot properties without which no record is created.

The official list is not known. This list follows what clients always sent (one of them says that a line without a
product is refused).
"""

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\".]+(\.[^@\s,;<>\".]+)+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MILLIS = re.compile(r"-?\d{1,15}")

IsThere = Callable[[ObjectType, str], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``error`` is HubSpot's type, "" when all is well; then ``values`` holds HubSpot names → text."""

    error: str = ""
    details: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[ObjectType, tuple[str, ...]] = field(default_factory=dict)


def validate(
    message: Accepted, settings: SyncSettings | None, *, installed: bool, held: Mapping[str, str], is_there: IsThere
) -> Verdict:
    """Validate one message. ``held``: the record's HubSpot properties so far; ``is_there``: synced and not
    deleted."""
    if not installed:
        return Verdict("PORTAL_NOT_SYNC_ENABLED", "The bridge is not installed.")
    if settings is None:
        return Verdict("NO_SYNC_SETTINGS", "There are no settings.")
    if not settings.enabled:
        return Verdict("SETTINGS_NOT_ENABLED", "The settings are not enabled.")
    # A deletion carries no properties, so no mapping is needed.
    if message.action == "DELETE":
        return Verdict()
    rows = settings.rows.get(message.object_type)
    if not rows:
        return Verdict("NO_MAPPINGS_DEFINED", f"Nothing is mapped for {message.object_type}.")
    if not message.properties and not message.associations:
        return Verdict("NO_PROPERTIES_DEFINED", "The message has no properties.")
    values, links = _mapped(message.properties, rows)
    if message.associations is not None:  # version 2 knows no mapped associations
        links = {LINK_TO[other]: ids for other, ids in message.associations.items() if other in LINK_TO}
    # No property of the message is mapped, so the record could not change.
    if not values and not links:
        return Verdict("NO_DEFINED_PROPERTIES", "None of the message's properties is mapped.")
    fault = (
        _missing(message.object_type, values, links, held)
        or _dangling(links, is_there)
        or _bad_value(message.object_type, values, rows)
    )
    return fault or Verdict(values=values, links={LINKS[target]: ids for target, ids in links.items()})


def _mapped(
    properties: Mapping[str, str], rows: Mapping[str, Row]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Values by HubSpot name, and external ids by association property. Names without a mapping are skipped."""
    values: dict[str, str] = {}
    links: dict[str, tuple[str, ...]] = {}
    for name, text in properties.items():
        row = rows.get(name)
        if row is None:
            continue
        if row.target in LINKS:
            links[row.target] = split_ids(text)
        else:
            values[row.target] = text
    return values, links


def _missing(
    object_type: ObjectType,
    values: Mapping[str, str],
    links: Mapping[str, tuple[str, ...]],
    held: Mapping[str, str],
) -> Verdict | None:
    """A required property that the record would lack. A property that is not sent keeps its value."""
    for name in REQUIRED[object_type]:
        if name in LINKS:
            is_set = bool(links[name]) if name in links else bool(held)
        else:
            # a contact's email never changes, so an empty one changes nothing
            is_set = bool(values.get(name, held.get(name, ""))) or (name == "email" and bool(held.get(name)))
        if not is_set:
            return Verdict("MISSING_REQUIRED_PROPERTY", f"The property {name} is required.")
    return None


def _dangling(links: Mapping[str, tuple[str, ...]], is_there: IsThere) -> Verdict | None:
    gone = [
        f"{target}: {external_id}"
        for target, ids in links.items()
        for external_id in ids
        if not is_there(LINKS[target], external_id)
    ]
    if not gone:
        return None
    return Verdict("INVALID_ASSOCIATION_PROPERTY", f"Invalid associations [{', '.join(gone)}]. Do those objects exist?")


def _bad_value(object_type: ObjectType, values: Mapping[str, str], rows: Mapping[str, Row]) -> Verdict | None:
    if object_type is ObjectType.DEAL and values.get("dealstage", "processed") not in STAGES:
        return Verdict("INVALID_DEAL_STAGE", f"{values['dealstage']!r} is not a stage of the Ecommerce Pipeline.")
    if object_type is ObjectType.CONTACT and values.get("email") and not _EMAIL.fullmatch(values["email"]):
        return Verdict("INVALID_EMAIL_ADDRESS", "The email address is not valid.")
    for row in rows.values():
        text = values.get(row.target, "")
        if not text:
            continue  # clears the property, whatever its type
        if row.data_type == "DATETIME" and not _MILLIS.fullmatch(text):
            return Verdict("ERROR_INVALID_DATE_PROPERTY", f"{row.target} is not a number of milliseconds.")
        if row.data_type == "NUMBER" and not _NUMBER.fullmatch(text):
            return Verdict("UNKNOWN_ERROR", f"Property values were not valid: INVALID_NUMBER for {row.target}.")
    return None
