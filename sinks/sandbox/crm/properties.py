"""Property definitions and groups of each object type, and HubSpot's refusals of wrong ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.model import ObjectType
from sinks.sandbox.crm.behaviour import Behaviour
from sinks.sandbox.crm.refusals import NOT_FOUND, Problem, refuse
from sinks.sandbox.crm.standard import GROUPS, OPTIONS, PROPERTIES, READ_ONLY, UNIQUE

FIELD_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"text", "textarea", "file", "html", "phonenumber"}),
    "number": frozenset({"number", "calculation_equation"}),
    "bool": frozenset({"booleancheckbox", "calculation_equation"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"date"}),
    "enumeration": frozenset({"booleancheckbox", "checkbox", "radio", "select"}),
    "phone_number": frozenset({"phonenumber", "text"}),
}
"""Type → the field types that are allowed with it."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")


@dataclass(slots=True)
class Property:
    """One definition. ``archived_ms`` 0: it is in use."""

    name: str
    label: str
    group: str
    type: str
    field_type: str
    created_ms: int
    updated_ms: int
    description: str = ""
    options: list[dict[str, Any]] = field(default_factory=list)
    is_unique: bool = False
    is_read_only: bool = False
    is_hubspots: bool = False
    is_hidden: bool = False
    is_form_field: bool = False
    display_order: int = -1
    archived_ms: int = 0


@dataclass(slots=True)
class Group:
    """A group of properties. ``archived``: it was deleted."""

    name: str
    label: str
    display_order: int = -1
    archived: bool = False


class PropertyBook:
    """All definitions of an account. Unknown names raise CrmRefusalError with 404."""

    def __init__(self, behaviour: Behaviour, now_ms: int) -> None:
        self._behaviour = behaviour
        self.all: dict[ObjectType, dict[str, Property]] = {kind: {} for kind in PROPERTIES}
        self.groups: dict[ObjectType, dict[str, Group]] = {}
        self._unique: dict[ObjectType, tuple[str, ...]] = {}
        for kind, definitions in PROPERTIES.items():
            group, label = GROUPS[kind]
            self.groups[kind] = {group: Group(group, label)}
            for name, title, (value_type, field_type), flag in definitions:
                self.all[kind][name] = Property(
                    name,
                    title,
                    group,
                    value_type,
                    field_type,
                    now_ms,
                    now_ms,
                    options=[_option(value) for value in OPTIONS.get((kind, name), ())],
                    is_unique=flag == UNIQUE,
                    is_read_only=flag == READ_ONLY,
                    is_hubspots=True,
                )

    # ---------------------------------------------------------------------------------------------------- look

    def used(self, kind: ObjectType, name: str) -> Property | None:
        """The definition of a property in use."""
        found = self.all[kind].get(name)
        return found if found is not None and not found.archived_ms else None

    def unique_names(self, kind: ObjectType) -> tuple[str, ...]:
        """Properties whose values are unique; an archived one still counts, as it may come back."""
        if kind not in self._unique:
            self._unique[kind] = tuple(found.name for found in self.all[kind].values() if found.is_unique)
        names = self._unique[kind]
        # HubSpot treats hs_sku as unique in some accounts only.
        if kind is ObjectType.PRODUCT and not self._behaviour.sku_is_unique:
            return tuple(name for name in names if name != "hs_sku")
        return names

    def is_unique(self, kind: ObjectType, name: str) -> bool:
        """Whether records can be named by this property's value."""
        return self.used(kind, name) is not None and name in self.unique_names(kind)

    def get(self, kind: ObjectType, name: str, now_ms: int, *, archived: bool = False) -> Property:
        """One definition for a read. A new definition is visible only after the account's delay."""
        found = self.all[kind].get(name)
        if found is None or bool(found.archived_ms) != archived or not self.is_visible(found, now_ms):
            raise refuse(f"Property {name!r} does not exist", category=NOT_FOUND, status=404)
        return found

    def is_visible(self, found: Property, now_ms: int) -> bool:
        """Whether reads see the definition yet."""
        return found.is_hubspots or now_ms >= found.updated_ms + self._behaviour.property_delay_ms

    # -------------------------------------------------------------------------------------------------- change

    def create(self, kind: ObjectType, body: Any, now_ms: int) -> Property:
        """Make a definition, or restore the archived one of that name with its old creation time."""
        made = self._read(kind, body, now_ms)
        before = self.all[kind].get(made.name)
        # A name in use cannot be made again.
        if before is not None and not before.archived_ms:
            raise refuse(
                f"A property named '{made.name}' already exists.",
                category="OBJECT_ALREADY_EXISTS",
                status=409,
                sub_category="Properties.PROPERTY_WITH_NAME_EXISTS",
                context={"name": [made.name]},
            )
        # HubSpot allows few properties with unique values per type.
        if made.is_unique and before is None and len(self._own_unique(kind)) >= self._behaviour.max_unique_properties:
            text = f"An object type has at most {self._behaviour.max_unique_properties} properties with unique values."
            raise refuse(text, sub_category="PropertyValidationError.UNIQUE_PROPERTY_LIMIT")
        if before is not None:
            # HubSpot keeps whether values are unique: nobody can make a property unique later.
            made.created_ms, made.is_unique = before.created_ms, before.is_unique
        self.all[kind][made.name] = made
        self._unique.pop(kind, None)
        return made

    def _own_unique(self, kind: ObjectType) -> list[str]:
        own = (self.all[kind][name] for name in self.unique_names(kind))
        return [found.name for found in own if not found.is_hubspots and not found.archived_ms]

    def _read(self, kind: ObjectType, body: Any, now_ms: int) -> Property:
        """The definition that a create asks for. Refused with 400 where it has not HubSpot's form."""
        if not isinstance(body, dict):
            raise refuse("Invalid input JSON: an object is wanted")
        missing = [name for name in ("name", "label", "groupName", "type", "fieldType") if not body.get(name)]
        if missing:
            raise refuse(f"Some required fields were not set: {missing}")
        name = str(body["name"])
        if not _NAME.fullmatch(name):
            raise refuse(f"Property name {name!r} is not valid", sub_category="PropertyValidationError.INVALID_NAME")
        self._check_group(kind, str(body["groupName"]))
        value_type, field_type = str(body["type"]), str(body["fieldType"])
        check_types(value_type, field_type)
        return Property(
            name,
            str(body["label"]),
            str(body["groupName"]),
            value_type,
            field_type,
            now_ms,
            now_ms,
            description=str(body.get("description", "")),
            options=read_options(value_type, body.get("options", [])),
            is_unique=body.get("hasUniqueValue") is True,
            is_hidden=body.get("hidden") is True,
            is_form_field=body.get("formField") is True,
            display_order=int(body.get("displayOrder", -1)),
        )

    def _check_group(self, kind: ObjectType, name: str) -> None:
        group = self.groups[kind].get(name)
        if group is None or group.archived:
            raise refuse(f"Property group {name!r} does not exist", sub_category="PropertyGroupError.GROUP_NOT_FOUND")

    def change(self, kind: ObjectType, name: str, body: Any, now_ms: int) -> Property:
        """PATCH: ``hasUniqueValue`` and ``dataSensitivity`` are ignored; ``options`` replace the list."""
        found = self.get(kind, name, now_ms)
        if not isinstance(body, dict):
            raise refuse("Invalid input JSON: an object is wanted")
        # HubSpot's own definitions cannot be changed.
        if found.is_hubspots:
            raise refuse(f"Property {name!r} is read only", sub_category="PropertyValidationError.READ_ONLY_DEFINITION")
        value_type = str(body.get("type", found.type))
        field_type = str(body.get("fieldType", found.field_type))
        check_types(value_type, field_type)
        if "groupName" in body:
            self._check_group(kind, str(body["groupName"]))
        if "options" in body:
            found.options = read_options(value_type, body["options"])
        found.type, found.field_type = value_type, field_type
        found.group = str(body.get("groupName", found.group))
        found.label = str(body.get("label", found.label))
        found.description = str(body.get("description", found.description))
        found.is_hidden = bool(body.get("hidden", found.is_hidden))
        found.updated_ms = now_ms
        return found

    def archive(self, kind: ObjectType, name: str, now_ms: int) -> None:
        """DELETE: the name can be used again later. HubSpot's own properties stay."""
        found = self.get(kind, name, now_ms)
        if found.is_hubspots:
            # HubSpot's own properties cannot be deleted.
            raise refuse(
                f"Property {name!r} is defined by HubSpot and cannot be deleted",
                sub_category="PropertyValidationError.CANNOT_DELETE_HUBSPOT_DEFINED_PROPERTY",
            )
        found.archived_ms = now_ms

    # -------------------------------------------------------------------------------------------------- groups

    def group(self, kind: ObjectType, name: str) -> Group:
        """A group in use."""
        found = self.groups[kind].get(name)
        if found is None or found.archived:
            raise refuse(f"Property group {name!r} does not exist", category=NOT_FOUND, status=404)
        return found

    def create_group(self, kind: ObjectType, body: Any) -> Group:
        """Make a group; 409 if its name is in use."""
        if not isinstance(body, dict) or not body.get("name") or not body.get("label"):
            raise refuse("Some required fields were not set: [name, label]")
        name = str(body["name"])
        before = self.groups[kind].get(name)
        if before is not None and not before.archived:
            raise refuse(
                f"A property group named '{name}' already exists.",
                category="OBJECT_ALREADY_EXISTS",
                status=409,
                sub_category="PropertyGroupError.GROUP_WITH_NAME_EXISTS",
            )
        made = Group(name, str(body["label"]), int(body.get("displayOrder", -1)))
        self.groups[kind][name] = made
        return made

    def archive_group(self, kind: ObjectType, name: str) -> None:
        """Delete a group; 400 while a property in use is in it."""
        found = self.group(kind, name)
        # A group that is in use stays.
        if any(item.group == name and not item.archived_ms for item in self.all[kind].values()):
            raise refuse(f"Property group {name!r} still has properties", sub_category="PropertyGroupError.NOT_EMPTY")
        found.archived = True


def check_types(value_type: str, field_type: str) -> None:
    """CrmRefusalError unless type and field type fit each other."""
    if field_type not in FIELD_TYPES.get(value_type, ()):
        raise refuse(
            f"Field type {field_type!r} does not go with type {value_type!r}",
            sub_category="PropertyValidationError.INVALID_FIELD_TYPE",
        )


def read_options(value_type: str, raw: Any) -> list[dict[str, Any]]:
    """The options of a definition. A ``bool`` needs exactly true and false; 2026-09 wants ``displayOrder`` in each."""
    if not isinstance(raw, list):
        raise refuse("options is a list")
    for item in raw:
        lacks = [
            name
            for name in ("label", "value", "hidden", "displayOrder")
            if not isinstance(item, dict) or name not in item
        ]
        if lacks:
            raise refuse(f"Some required fields of an option were not set: {lacks}")
    values = [str(item["value"]) for item in raw]
    # Two options with one value could not be told apart.
    if len(set(values)) != len(values):
        raise refuse("Two options have the same value", sub_category="PropertyValidationError.DUPLICATE_OPTION")
    # HubSpot accepts a bool only with exactly these two options.
    if value_type == "bool" and sorted(values) != ["false", "true"]:
        raise refuse(
            "A bool property must have exactly the options true and false",
            sub_category="PropertyValidationError.INVALID_BOOLEAN_OPTION",
            details=[{"message": "options must be true and false", "code": "INVALID_BOOLEAN_OPTION"}],
        )
    # Options of other types would never be shown.
    if value_type not in ("bool", "enumeration") and raw:
        raise refuse(f"A property of type {value_type!r} has no options")
    return [dict(item) for item in raw]


def _option(value: str) -> dict[str, Any]:
    return {"label": value.capitalize(), "value": value, "hidden": False, "displayOrder": -1}


def name_problem(problem: Problem, name: str) -> Problem:
    """The fault of a name, in the form of a batch's entry, which names the property in its context."""
    return problem.with_context(name=[name])


def names_of(inputs: Any) -> Sequence[str]:
    """Names in the ``inputs`` of a batch read or archive."""
    if not isinstance(inputs, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in inputs
    ):
        raise refuse("inputs is a list of objects with a name")
    return [item["name"] for item in inputs]
