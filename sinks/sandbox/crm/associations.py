"""Associations between records, in both directions, with their types and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cdc.model import ObjectType
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.records import Record, Records, Undo
from sinks.sandbox.crm.refusals import CrmRefusalError, Problem, refuse
from sinks.sandbox.crm.types import ASSOCIATION_TYPES, TYPES

FIRST_LABEL: Final = 10_001

Direction = tuple[ObjectType, ObjectType]


@dataclass(frozen=True, slots=True)
class Link:
    """One association as it was asked for. ``is_new``: it was not there with this type."""

    direction: Direction
    from_id: str
    to_id: str
    type_id: int
    is_new: bool


@dataclass(slots=True)
class Pair:
    """Types of the associations from one record to another."""

    to_id: str
    type_ids: set[int]


class Associations:
    """All associations of an account. Associations of a record in the recycle bin are kept, but not shown."""

    def __init__(self, records: Records, behaviour: Behaviour) -> None:
        self._records = records
        self._behaviour = behaviour
        self._pairs: dict[Direction, dict[str, dict[str, set[int]]]] = {}
        self._opposite = {number: ASSOCIATION_TYPES[to, start] for (start, to), number in ASSOCIATION_TYPES.items()}
        self.labels: dict[Direction, dict[int, str]] = {}

    # ---------------------------------------------------------------------------------------------------- look

    def of(self, kind: ObjectType, record_id: str, other: ObjectType) -> list[Pair]:
        """The records in use with which a record is associated, oldest first."""
        held = self._pairs.get((kind, other), {}).get(record_id, {})
        return [Pair(to_id, types) for to_id, types in held.items() if to_id in self._records.live[other]]

    def all_of(self, record: Record) -> Iterator[tuple[ObjectType, Pair]]:
        """The same for all object types."""
        for other in TYPES:
            for pair in self.of(record.kind, record.id, other):
                yield other, pair

    def default_type(self, direction: Direction) -> int:
        """The type without a label. CrmRefusalError for object types that HubSpot never associates."""
        found = ASSOCIATION_TYPES.get(direction)
        if found is None:
            start, end = (TYPES[kind].plural for kind in direction)
            raise refuse(f"No association type exists from {start} to {end}", category="VALIDATION_ERROR")
        return found

    def record_id(self, kind: ObjectType, raw: Any) -> str:
        """The id of the record in use that an input names; CrmRefusalError (INVALID_IDENTIFIER) if there is none."""
        wanted = str(raw.get("id", "")) if isinstance(raw, dict) else ""
        found = self._records.get(kind, wanted)
        if found is None:
            names = TYPES[kind].singular
            raise CrmRefusalError(
                Problem(
                    f"{names.upper()} {wanted} is not valid or does not exist",
                    sub_category="crm.associations.INVALID_IDENTIFIER",
                    context={"id": [wanted]},
                )
            )
        return found.id

    # -------------------------------------------------------------------------------------------------- change

    def add(self, direction: Direction, from_id: str, to_id: str, type_ids: Sequence[int], undo: Undo) -> list[Link]:
        """Associate two records in both directions. An existing association stays."""
        # A record cannot be linked to itself.
        if direction[0] is direction[1] and from_id == to_id:
            raise refuse("Cannot associate an object with itself")
        self._check_parent(direction, from_id, to_id)
        self._check_limits(direction, from_id, to_id)
        self._check_limits((direction[1], direction[0]), to_id, from_id)
        return [self._add_one(direction, from_id, to_id, type_id, undo) for type_id in type_ids]

    def _check_parent(self, direction: Direction, from_id: str, to_id: str) -> None:
        """Refuse a second deal of a line item, if the account is set to allow only one."""
        # Accounts differ: some keep both deals of a line item, some refuse the second.
        if self._behaviour.second_deal_of_line == "keep_both" or ObjectType.LINE_ITEM not in direction:
            return
        line, deal = (from_id, to_id) if direction[0] is ObjectType.LINE_ITEM else (to_id, from_id)
        if any(pair.to_id != deal for pair in self.of(ObjectType.LINE_ITEM, line, ObjectType.DEAL)):
            raise refuse(f"Line item {line} already has a parent object")

    def limit(self, direction: Direction) -> int | None:
        """How many records of the other type an admin lets a record have; None: as many as HubSpot does."""
        start, end = (TYPES[kind].plural for kind in direction)
        return self._behaviour.association_limits.get(f"{start}/{end}")

    def _check_limits(self, direction: Direction, from_id: str, to_id: str) -> None:
        most = self.limit(direction)
        # An association that is there already takes no further place.
        if most is None or to_id in self._pairs.get(direction, {}).get(from_id, {}):
            return
        if len(self.of(direction[0], from_id, direction[1])) >= most:
            names = TYPES[direction[0]].singular, TYPES[direction[1]].plural
            raise refuse(f"The {names[0]} {from_id} has {most} {names[1]}, which is the limit of this account")

    def _add_one(self, direction: Direction, from_id: str, to_id: str, type_id: int, undo: Undo) -> Link:
        reverse = (direction[1], direction[0])
        opposite = self._opposite.get(type_id, type_id)
        is_new = self._put(direction, from_id, to_id, type_id)
        self._put(reverse, to_id, from_id, opposite)
        # Only what this call made may be undone with it.
        if is_new:
            undo.append(lambda: self._take(direction, from_id, to_id, {type_id}))
        return Link(direction, from_id, to_id, type_id, is_new)

    def add_inline(self, record: Record, raw_links: Sequence[Any], undo: Undo) -> list[Link]:
        """Associations in a create's input: ``{"to": {"id"}, "types": [...]}``."""
        made: list[Link] = []
        for raw in raw_links:
            types = raw.get("types") if isinstance(raw, dict) else None
            # The dated version sends types as a list, and needs at least one.
            if not isinstance(types, list) or not types:
                raise refuse("Invalid input JSON: an association has to and types")
            number = types[0].get("associationTypeId") if isinstance(types[0], dict) else None
            other = next((end for (start, end), n in self._known(record.kind) if n == number), None)
            # The number belongs to another pair of types.
            if other is None:
                raise refuse(f"Association type {number} does not start at {TYPES[record.kind].plural}")
            direction = (record.kind, other)
            made += self.add(
                direction, record.id, self.record_id(other, raw.get("to")), self.read_types(direction, types), undo
            )
        return made

    def _known(self, start: ObjectType) -> Iterator[tuple[Direction, int]]:
        for direction, number in ASSOCIATION_TYPES.items():
            if direction[0] is start:
                yield direction, number
        for direction, labels in self.labels.items():
            if direction[0] is start:
                yield from ((direction, number) for number in labels)

    def read_types(self, direction: Direction, raw: Any) -> list[int]:
        """The type numbers of ``[{associationCategory, associationTypeId}]``."""
        if not isinstance(raw, list) or not raw:
            raise refuse("Invalid input JSON: types must be a list")
        found: list[int] = []
        for item in raw:
            category = item.get("associationCategory") if isinstance(item, dict) else None
            number = item.get("associationTypeId") if isinstance(item, dict) else None
            # Category and number must belong together: HubSpot refuses a number under the other category.
            if not isinstance(number, int) or (category, number) not in self._spelled(direction):
                raise refuse(f"Association type {category} {number} does not exist for this pair of objects")
            found.append(number)
        return found

    def _spelled(self, direction: Direction) -> set[tuple[str, int]]:
        own = {("USER_DEFINED", number) for number in self.labels.get(direction, ())}
        default = ASSOCIATION_TYPES.get(direction)
        return own | ({("HUBSPOT_DEFINED", default)} if default is not None else set())

    def category(self, type_id: int) -> str:
        """HubSpot's own type, or a label that people made."""
        return "USER_DEFINED" if type_id >= FIRST_LABEL else "HUBSPOT_DEFINED"

    def label(self, direction: Direction, type_id: int) -> str | None:
        """The label of a type; None for the default one."""
        return self.labels.get(direction, {}).get(type_id)

    def remove(self, direction: Direction, from_id: str, to_id: str, type_ids: set[int] | None = None) -> bool:
        """End associations of a pair: these types, or all. Removing the default type removes all labels too."""
        held = self._pairs.get(direction, {}).get(from_id, {}).get(to_id)
        if not held:
            return False
        # The default type carries the labels: without it they have nothing to stand on.
        gone = set(held) if type_ids is None or ASSOCIATION_TYPES.get(direction) in type_ids else held & type_ids
        self._take(direction, from_id, to_id, gone)
        return bool(gone)

    def make_label(self, direction: Direction, label: str) -> int:
        """Create a label of the account's own, as an admin does. Returns the type's number, the same in
        both directions.
        """
        number = FIRST_LABEL + sum(len(labels) for labels in self.labels.values())
        self.labels.setdefault(direction, {})[number] = label
        self.labels.setdefault((direction[1], direction[0]), {})[number] = label
        return number

    def move_all(self, kind: ObjectType, old_id: str, new_id: str) -> None:
        """Move all associations of one record to another, as a merge does."""
        for other in TYPES:
            for to_id, types in dict(self._pairs.get((kind, other), {}).get(old_id, {})).items():
                for type_id in set(types):
                    self._add_one((kind, other), new_id, to_id, type_id, [])
                self._take((kind, other), old_id, to_id, set(types))

    def drop_all(self, record: Record) -> None:
        """End all associations of a record that is deleted for good."""
        for other in TYPES:
            for to_id, types in dict(self._pairs.get((record.kind, other), {}).get(record.id, {})).items():
                self._take((record.kind, other), record.id, to_id, set(types))

    # -------------------------------------------------------------------------------------------------- inside

    def _put(self, direction: Direction, from_id: str, to_id: str, type_id: int) -> bool:
        types = self._pairs.setdefault(direction, {}).setdefault(from_id, {}).setdefault(to_id, set())
        # There already, so nothing is new.
        if type_id in types:
            return False
        types.add(type_id)
        return True

    def _take(self, direction: Direction, from_id: str, to_id: str, type_ids: set[int]) -> None:
        opposite = {self._opposite.get(number, number) for number in type_ids}
        self._discard(direction, from_id, to_id, type_ids)
        self._discard((direction[1], direction[0]), to_id, from_id, opposite)

    def _discard(self, direction: Direction, from_id: str, to_id: str, type_ids: set[int]) -> None:
        ends: dict[str, set[int]] = self._pairs.get(direction, {}).get(from_id, {})
        types = ends.get(to_id, set())
        types -= type_ids
        # Empty entries would show up in counts.
        if not types:
            ends.pop(to_id, None)
            if not ends:
                self._pairs.get(direction, {}).pop(from_id, None)

    def counts(self) -> Mapping[Direction, int]:
        """Associated pairs per direction."""
        return {direction: sum(map(len, held.values())) for direction, held in self._pairs.items()}
