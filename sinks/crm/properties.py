"""Our neutral property names and HubSpot's properties: where each value is written, and which properties we add.

A standard property is used where HubSpot has one. All others are ``property_prefix`` + neutral name, created by
``mapping push`` in a group of their own. A property of the merchant's own mapping is preferred to a default property
with the same target. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cdc.errors import ConfigError
from cdc.model import ObjectType, ValueType
from cdc.settings.config import Settings
from cdc.settings.crm import CrmSettings
from cdc.settings.mapping import CustomProperties
from cdc.settings.mapping_columns import PropertyType
from cdc.settings.mapping_switches import LIFECYCLE_STAGE, LIFECYCLE_TARGET
from sinks.crm.paths import SEGMENT

GROUP: Final = "magento"
GROUP_LABEL: Final = "Magento"
MAX_TEXT: Final = 65_536
"""The most characters of a property value that HubSpot accepts."""


class Target(NamedTuple):
    """A HubSpot property. ``is_standard``: HubSpot has it in every account."""

    name: str
    type: ValueType = ValueType.STRING
    is_standard: bool = False


_FIELD_TYPE: Final = {
    ValueType.STRING: "text",
    ValueType.NUMBER: "number",
    ValueType.BOOL: "booleancheckbox",
    ValueType.DATE: "date",
    ValueType.DATETIME: "date",
}


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


STANDARD: Final[Mapping[ObjectType, Mapping[str, str]]] = {
    ObjectType.CONTACT: _same(
        "email", "firstname", "lastname", "phone", "company", "address", "city", "state", "zip", "country"
    )
    | _same("date_of_birth"),
    ObjectType.PRODUCT: {
        **_same("name", "price", "description"),
        "sku": "hs_sku",
        "image_url": "hs_images",
    },
    ObjectType.DEAL: {
        "name": "dealname",
        "amount": "amount",
        "stage": "dealstage",
        "currency": "deal_currency_code",
        "closed_at": "closedate",
    },
    ObjectType.LINE_ITEM: {
        **_same("name", "quantity", "price", "amount"),
        "sku": "hs_sku",
        "currency": "hs_line_item_currency_code",
        "tax_amount": "tax",
    },
    ObjectType.CART: {
        "name": "hs_cart_name",
        "cart_id": "hs_external_cart_id",
        "status": "hs_external_status",
        "store": "hs_source_store",
        "amount": "hs_total_price",
        "currency": "hs_currency_code",
        "discount_amount": "hs_cart_discount",
        "cart_url": "hs_cart_url",
    },
}
"""Neutral name → HubSpot's own property. A line's discount is not here: HubSpot's `discount` is per unit."""

SWITCHED: Final = frozenset({LIFECYCLE_TARGET})
"""HubSpot's own properties that are written only if a switch of the mapping asks for it."""

_STANDARD_TYPES: Final = {
    **dict.fromkeys(("price", "amount", "quantity", "tax", "hs_total_price", "hs_cart_discount"), ValueType.NUMBER),
    "closedate": ValueType.DATETIME,
}
"""Types of HubSpot's own properties; properties that are missing here are texts and options."""

OTHERS: Final[Mapping[ObjectType, Mapping[str, ValueType]]] = {
    ObjectType.CONTACT: {
        "customer_group": ValueType.STRING,
        "website": ValueType.STRING,
        "created_at": ValueType.DATETIME,
        "newsletter": ValueType.STRING,
    },
    ObjectType.PRODUCT: {
        "url_key": ValueType.STRING,
        "status": ValueType.STRING,
        "type": ValueType.STRING,
        "created_at": ValueType.DATETIME,
    },
    ObjectType.DEAL: {
        **dict.fromkeys(
            ("order_number", "coupon_code", "payment_method", "shipping_method", "tracking_numbers", "store"),
            ValueType.STRING,
        ),
        **dict.fromkeys(("state", "status", "replaced_by", "replaces"), ValueType.STRING),
        **dict.fromkeys(("tax_amount", "discount_amount", "shipping_amount"), ValueType.NUMBER),
        **dict.fromkeys(("on_hold", "partially_shipped"), ValueType.BOOL),
        "created_at": ValueType.DATETIME,
    },
    ObjectType.LINE_ITEM: {"discount_amount": ValueType.NUMBER},
    ObjectType.CART: {
        **dict.fromkeys(("coupon_code", "order_number"), ValueType.STRING),
        "created_at": ValueType.DATETIME,
    },
}
"""Default properties without a property of HubSpot's own, with their types."""

NEVER_CLEARED: Final = frozenset({"email", "sku", "stage", "currency", LIFECYCLE_STAGE})
"""Neutral names that keep HubSpot's value when a record is taken over from another object. Unique values are written or
left out by rules of their own. HubSpot empties neither a deal's stage nor a currency, and with an empty lifecycle stage
the contact would begin anew.
"""

BEFORE_CUSTOMER: Final = frozenset(
    {"", "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity"}
)
"""HubSpot's lifecycle stages before ``customer``; all others, also an account's own, are where people moved it to."""

_COPIES: Final[Mapping[ObjectType, tuple[str, ...]]] = {
    ObjectType.CONTACT: ("email",),
    ObjectType.PRODUCT: (),
    ObjectType.DEAL: ("stage", "currency"),
    ObjectType.LINE_ITEM: ("currency",),
    ObjectType.CART: ("currency",),
}
"""Neutral names that are also written to a property of ours: people may own HubSpot's property, or it may
be refused.
"""


@dataclass(frozen=True, slots=True)
class Definition:
    """A property of ours, as ``mapping push`` creates it."""

    name: str
    label: str
    type: ValueType
    is_unique: bool = False

    def body(self) -> dict[str, Any]:
        """The body that creates the property."""
        made: dict[str, Any] = {
            "name": self.name,
            "label": self.label,
            "groupName": GROUP,
            "type": self.type.value,
            "fieldType": _FIELD_TYPE[self.type],
            "formField": False,
        }
        if self.is_unique:
            made["hasUniqueValue"] = True
        if self.type is ValueType.BOOL:  # HubSpot takes exactly these two options
            made["options"] = [
                {"label": label, "value": value, "displayOrder": order, "hidden": False}
                for order, (label, value) in enumerate((("Yes", "true"), ("No", "false")))
            ]
        return made


def types_of(*, with_carts: bool) -> tuple[ObjectType, ...]:
    """The types that are written. Carts are asked for by the settings, as they need scopes of their own."""
    return tuple(kind for kind in SEGMENT if with_carts or kind is not ObjectType.CART)


class PropertyTable:
    """The mapping of one installation: the settings and the merchant's own properties."""

    def __init__(
        self, settings: CrmSettings, custom: CustomProperties | None = None, *, with_carts: bool = False
    ) -> None:
        """``with_carts``: carts are sent as HubSpot's own carts. ConfigError if ``owned_by_hubspot`` names a property
        that is not sent.
        """
        self.types = types_of(with_carts=with_carts)
        self.key = settings.key_property
        self._prefix = settings.property_prefix
        self.deleted_at = self.own("deleted_at")
        self.backfilled = self.own("backfilled")
        self._targets = {kind: self._of_type(kind, (custom or {}).get(kind, {})) for kind in STANDARD}
        owned = {ObjectType.CONTACT: settings.owned_by_hubspot.contact, ObjectType.DEAL: settings.owned_by_hubspot.deal}
        self.written_once = {kind: frozenset(owned.get(kind, ())) for kind in STANDARD}
        unknown = [
            f"crm.owned_by_hubspot.{kind.value.lower()}: {name!r} is no property of ours; `mapping show` lists them"
            for kind, names in self.written_once.items()
            for name in sorted(names - self._targets[kind].keys())
        ]
        if unknown:
            raise ConfigError(unknown)

    def own(self, name: str) -> str:
        """Our own property for a neutral name."""
        return f"{self._prefix}{name}"

    def _of_type(self, kind: ObjectType, custom: Mapping[str, tuple[str, PropertyType]]) -> dict[str, Target]:
        defaults = {
            name: Target(target, _STANDARD_TYPES.get(target, ValueType.STRING), True)
            for name, target in STANDARD[kind].items()
        }
        defaults |= {name: Target(self.own(name), value_type) for name, value_type in OTHERS[kind].items()}
        theirs = {
            name: Target(target or self.own(name), value_type.value_type, target in SWITCHED)
            for name, (target, value_type) in custom.items()
            # a default property that only comes from another column keeps its own target
            if target or name not in defaults
        }
        taken = {target.name for target in theirs.values()}
        kept = {name: target for name, target in defaults.items() if target.name not in taken}
        return {**kept, **theirs}

    def target(self, kind: ObjectType, name: str) -> Target | None:
        """The target of a neutral name; None if the merchant gave its target to another property."""
        held = self._targets[kind].get(name)
        if held is not None or name in STANDARD[kind] or name in OTHERS[kind]:
            return held
        return Target(self.own(name))

    def targets(self, kind: ObjectType) -> Mapping[str, Target]:
        """Every neutral name of a type with its target."""
        return self._targets[kind]

    def copies(self, kind: ObjectType) -> Iterator[tuple[str, str]]:
        """Neutral names that are also written to a property of ours, with that property's name."""
        for name in _COPIES[kind]:
            yield name, self.own(name)

    def values(self, kind: ObjectType, properties: Mapping[str, str]) -> dict[str, str]:
        """A message's properties under HubSpot's names. "" clears a value; a missing name leaves it as it is."""
        found = {}
        for name, text in properties.items():
            target = self.target(kind, name)
            if target is not None:
                found[target.name] = _fitting(text, target.type)
        for name, own in self.copies(kind):
            if name in properties:
                found[own] = _fitting(properties[name], ValueType.STRING)
        return found

    def once(self, kind: ObjectType) -> frozenset[str]:
        """HubSpot properties that are written only when the record is created, by ``owned_by_hubspot``."""
        names = (self.target(kind, name) for name in self.written_once[kind])
        return frozenset(target.name for target in names if target is not None)

    def definitions(self, kind: ObjectType) -> list[Definition]:
        """The properties that ``mapping push`` creates for one type; the key first."""
        made = [Definition(self.key, "Magento key", ValueType.STRING, is_unique=True)]
        made += [
            Definition(target.name, label_of(name), target.type)
            for name, target in self._targets[kind].items()
            if not target.is_standard
        ]
        made += [Definition(own, label_of(name), ValueType.STRING) for name, own in self.copies(kind)]
        made.append(Definition(self.deleted_at, label_of("deleted_at"), ValueType.DATETIME))
        made.append(Definition(self.backfilled, label_of("backfilled"), ValueType.BOOL))
        return list({definition.name: definition for definition in made}.values())


def table_of(settings: Settings) -> PropertyTable:
    """The properties that these settings ask for."""
    with_carts = settings.mapping.carts.as_objects
    return PropertyTable(settings.crm, settings.mapping.custom_properties(), with_carts=with_carts)


def label_of(name: str) -> str:
    """``order_number`` → ``Magento order number``."""
    return f"{GROUP_LABEL} {name.replace('_', ' ')}"


def _fitting(text: str, value_type: ValueType) -> str:
    """The text in the form of a HubSpot property of this type.

    Renderers give epoch milliseconds, ``YYYY-MM-DD``, plain decimals and true/false, which HubSpot accepts as they are.
    """
    if value_type is ValueType.STRING:
        return text[:MAX_TEXT]
    return text.strip()
