"""The forms that both versions of the bridge share, off the wire: messages, settings, refusals. Pure.

A refusal concerns the whole request. The content of a message is validated later (validation.py). wire_v1.py and
wire_v2.py have the forms on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.model import ObjectType
from sinks.bridge.mapping import MAPPED

MAX_BATCH: Final = 200
MAX_ID: Final = 100
"""Characters of an external id, ASCII only."""

SECONDS_BELOW: Final = 100_000_000_000
"""A time below this number (March 1973 in milliseconds, the year 5138 in seconds) looks like seconds."""

DATA_TYPES: Final = ("STRING", "NUMBER", "DATETIME", "AVATAR_IMAGE")
LINKS: Final[Mapping[str, ObjectType]] = {
    "hs_assoc__contact_ids": ObjectType.CONTACT,
    "hs_assoc__deal_id": ObjectType.DEAL,
    "hs_assoc__product_id": ObjectType.PRODUCT,
}
"""The special target properties whose value is another object's external id."""

LINK_TO: Final[Mapping[ObjectType, str]] = {other: target for target, other in LINKS.items()}

DEFAULT_STORE: Final = "default"
"""The store of version 1's traffic."""


class Refusal(Exception):
    """The request is refused: HTTP status and text."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def key_in(store_id: str, external_id: str) -> str:
    """The key under which a store's external id is kept: the id itself in the default store. Ids hold no control
    characters.
    """
    return external_id if store_id == DEFAULT_STORE else f"{store_id}\t{external_id}"


@dataclass(slots=True)
class Accepted:
    """An accepted message. ``order``: its number among all; ``verdict``: "" until validated, then "ok" or an error.

    ``associations``: version 2's member, None in version 1, where mapped properties carry them.
    """

    order: int
    object_type: ObjectType
    external_id: str
    action: str
    changed_at: int
    properties: Mapping[str, str]
    arrived_ms: int
    verdict: str = ""
    store_id: str = DEFAULT_STORE
    associations: Mapping[ObjectType, tuple[str, ...]] | None = None

    @property
    def key(self) -> str:
        """The key under which its object is kept."""
        return key_in(self.store_id, self.external_id)

    def says_the_same(self, other: Accepted) -> bool:
        """Whether this is a repeat of the identical message."""
        return (
            self.changed_at == other.changed_at
            and self.action == other.action
            and self.properties == other.properties
            and self.associations == other.associations
        )

    def refers_to(self, links: Mapping[str, ObjectType]) -> Iterator[tuple[ObjectType, str]]:
        """Type and external id of every object that it names. ``links``: properties that carry associations."""
        if self.associations is not None:
            for other, ids in self.associations.items():
                yield from ((other, external_id) for external_id in ids)
            return
        for name, other in links.items():
            yield from ((other, external_id) for external_id in split_ids(self.properties.get(name, "")))


def split_ids(text: str) -> tuple[str, ...]:
    """The external ids in the value of an association property."""
    return tuple(part for part in text.split(";") if part)


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping of the settings: target property and dataType."""

    target: str
    data_type: str


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """The account's settings, which both versions read and write. ``others``: version 2's mappings of other types."""

    enabled: bool = False
    rows: Mapping[ObjectType, Mapping[str, Row]] = field(default_factory=dict)
    import_on_install: bool = False
    webhook_uri: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    def links(self, object_type: ObjectType) -> Mapping[str, ObjectType]:
        """Our names that carry associations of this type → the object types that they name."""
        rows = self.rows.get(object_type, {})
        return {name: LINKS[row.target] for name, row in rows.items() if row.target in LINKS}


def object_type_of(segment: Any) -> ObjectType:
    """The type with this name; Refusal for any other spelling, also LINEITEM."""
    if not isinstance(segment, str) or segment not in MAPPED:
        raise Refusal(f"{str(segment)[:40]!r} is not an object type; there are {', '.join(MAPPED)}")
    return ObjectType(segment)


def check_count(items: Any, *, most: int = MAX_BATCH, what: str = "messages") -> list[Any]:
    """The array itself. Refusal if it is not an array, or too long."""
    if not isinstance(items, list):
        raise Refusal(f"the {what} must be an array")
    if len(items) > most:
        raise Refusal(f"{len(items)} {what}; at most {most} are taken at once")
    return items


@dataclass(frozen=True, slots=True)
class Members:
    """A version's names for the members of a message."""

    external_id: str
    action: str
    changed_at: str
    properties: str

    @property
    def names(self) -> Sequence[str]:
        """The names in the order in which they are read."""
        return (self.external_id, self.action, self.changed_at, self.properties)

    def read(self, item: Any, object_type: ObjectType, order: int, now_ms: int) -> Accepted:
        """Read one message. Refusal if its form is wrong."""
        if not isinstance(item, dict):
            raise Refusal("a message must be an object")
        for name in self.names:
            if name not in item:
                raise Refusal(f"a message lacks {name}")
        if item[self.action] not in ("UPSERT", "DELETE"):
            raise Refusal(f"{self.action} must be UPSERT or DELETE")
        if type(item[self.changed_at]) is not int:
            raise Refusal(f"{self.changed_at} must be an integer (epoch milliseconds)")
        return Accepted(
            order,
            object_type,
            check_id(item[self.external_id], self.external_id),
            item[self.action],
            item[self.changed_at],
            check_properties(item[self.properties], self.properties),
            now_ms,
        )


def check_id(external_id: Any, member: str) -> str:
    """An external id. Refusal if its form is wrong."""
    if not isinstance(external_id, str) or not 0 < len(external_id) <= MAX_ID:
        raise Refusal(f"{member} must be ASCII text of 1 to {MAX_ID} characters")
    if not external_id.isascii() or not external_id.isprintable():
        raise Refusal(f"{member} must be ASCII text of 1 to {MAX_ID} characters")
    return external_id


def check_properties(properties: Any, member: str) -> dict[str, str]:
    """Names → text. Refusal if the form is wrong. Production clients sent numbers, which were accepted."""
    if not isinstance(properties, dict):
        raise Refusal(f"{member} must be an object")
    values: dict[str, str] = {}
    for name, value in properties.items():
        if type(value) is str:
            values[name] = value
        elif type(value) in (int, float):
            values[name] = str(value)
        else:
            raise Refusal(f"the value of {name!r} must be text or a number")
    return values


def check_data_type(data_type: Any, where: str) -> str:
    """A dataType. Refusal for an unknown one."""
    if data_type not in DATA_TYPES:
        raise Refusal(f"{where}: {data_type!r} is not a dataType; there are {', '.join(DATA_TYPES)}")
    return str(data_type)
