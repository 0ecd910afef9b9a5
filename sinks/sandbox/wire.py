"""The bridge's wire forms, version 1: what is refused at once, and what is taken. Pure.

A refusal concerns the whole request. Everything about the content of a message is judged later (judge.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.model import ObjectType

MAX_BATCH: Final = 200
MAX_ID: Final = 100
"""Characters of an external id, ASCII only."""

SECONDS_BELOW: Final = 100_000_000_000
"""A time stamp below this (March 1973 in milliseconds, the year 5138 in seconds) looks like seconds."""

DATA_TYPES: Final = ("STRING", "NUMBER", "DATETIME", "AVATAR_IMAGE")
SECTIONS: Final[Mapping[ObjectType, str]] = {
    ObjectType.CONTACT: "contactSyncSettings",
    ObjectType.PRODUCT: "productSyncSettings",
    ObjectType.DEAL: "dealSyncSettings",
    ObjectType.LINE_ITEM: "lineItemSyncSettings",
}
LINKS: Final[Mapping[str, ObjectType]] = {
    "hs_assoc__contact_ids": ObjectType.CONTACT,
    "hs_assoc__deal_id": ObjectType.DEAL,
    "hs_assoc__product_id": ObjectType.PRODUCT,
}
"""The special target properties whose value is another object's external id."""


class Refusal(Exception):
    """The request is refused: HTTP status and text."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Accepted:
    """A message that was taken. ``order``: its place among all; ``verdict``: "" until judged, then "ok" or an error."""

    order: int
    object_type: ObjectType
    external_id: str
    action: str
    changed_at: int
    properties: Mapping[str, str]
    arrived_ms: int
    verdict: str = ""

    def says_the_same(self, other: Accepted) -> bool:
        """Whether this is a repeat of the identical message."""
        return (
            self.changed_at == other.changed_at and self.action == other.action and self.properties == other.properties
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping of the settings: target property and dataType."""

    target: str
    data_type: str


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """The settings as stored: ``body`` to give back, ``rows`` to map by."""

    enabled: bool = False
    rows: Mapping[ObjectType, Mapping[str, Row]] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    def links(self, object_type: ObjectType) -> Mapping[str, ObjectType]:
        """Names (ours) that carry associations of this type → what they point at."""
        rows = self.rows.get(object_type, {})
        return {name: LINKS[row.target] for name, row in rows.items() if row.target in LINKS}


def object_type_of(segment: str) -> ObjectType:
    """The type that a path segment names; Refusal for any other spelling, LINEITEM too."""
    try:
        return ObjectType(segment)
    except ValueError:
        known = ", ".join(ObjectType)
        raise Refusal(f"{segment[:40]!r} is not an object type; there are {known}") from None


def read_messages(body: Any, object_type: ObjectType, *, first: int, now_ms: int) -> list[Accepted]:
    """The messages of one request, numbered from ``first``. Refusal if any of them has not the form."""
    if not isinstance(body, list):
        raise Refusal("the body must be an array of messages")
    if len(body) > MAX_BATCH:
        raise Refusal(f"{len(body)} messages; at most {MAX_BATCH} are taken at once")
    return [_read_message(item, object_type, first + n, now_ms) for n, item in enumerate(body)]


def _read_message(item: Any, object_type: ObjectType, order: int, now_ms: int) -> Accepted:
    if not isinstance(item, dict):
        raise Refusal("a message must be an object")
    try:
        external_id, action = item["integratorObjectId"], item["action"]
        changed_at, properties = item["changeOccurredTimestamp"], item["propertyNameToValues"]
    except KeyError as error:
        raise Refusal(f"a message lacks {error.args[0]}") from None
    if not isinstance(external_id, str) or not external_id.isascii() or not 0 < len(external_id) <= MAX_ID:
        raise Refusal(f"integratorObjectId must be ASCII text of 1 to {MAX_ID} characters")
    if action not in ("UPSERT", "DELETE"):
        raise Refusal("action must be UPSERT or DELETE")
    if type(changed_at) is not int:
        raise Refusal("changeOccurredTimestamp must be an integer (epoch milliseconds)")
    if not isinstance(properties, dict):
        raise Refusal("propertyNameToValues must be an object")
    values: dict[str, str] = {}
    for name, value in properties.items():
        if type(value) is str:
            values[name] = value
        elif type(value) in (int, float):  # production clients sent numbers, and were understood
            values[name] = str(value)
        else:
            raise Refusal(f"the value of {name!r} must be text or a number")
    return Accepted(order, object_type, external_id, action, changed_at, values, now_ms)


def read_settings(body: Any) -> SyncSettings:
    """The settings of a PUT. Refusal if a member is missing (only importOnInstall may be) or has the wrong form."""
    if not isinstance(body, dict) or not isinstance(body.get("enabled"), bool):
        raise Refusal("settings must be an object with enabled")
    rows: dict[ObjectType, dict[str, Row]] = {}
    for object_type, section in SECTIONS.items():
        held = body.get(section)
        properties = held.get("properties") if isinstance(held, dict) else None
        if not isinstance(properties, list):
            raise Refusal(f"settings lack {section}.properties")
        rows[object_type] = {}
        for item in properties:
            name, row = _read_row(item, section)
            rows[object_type][name] = row
    return SyncSettings(body["enabled"], rows, body)


def _read_row(item: Any, section: str) -> tuple[str, Row]:
    members = ("propertyName", "targetHubspotProperty", "dataType")
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) and item[name] for name in members):
        raise Refusal(f"a mapping of {section} needs {', '.join(members)}")
    name, target, data_type = (item[member] for member in members)
    if data_type not in DATA_TYPES:
        raise Refusal(f"{section}: {data_type!r} is not a dataType; there are {', '.join(DATA_TYPES)}")
    return name, Row(target, data_type)
