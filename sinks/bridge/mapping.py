"""The Ecommerce Bridge's settings: which HubSpot property gets the value of which neutral property name.

``MAPPED`` and ``UNMAPPED`` together name every default property. A message may hold names that the settings do not map:
the bridge ignores them, and a merchant may map them to a property of their own. ``merged_settings`` keeps such rows.
Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cdc.model import ObjectType
from cdc.settings.mapping import CustomProperties
from cdc.settings.mapping_columns import PropertyType


class Target(NamedTuple):
    """A HubSpot property, and the bridge's name for the type of its value."""

    name: str
    data_type: str  # STRING, NUMBER, DATETIME (epoch milliseconds as text) or AVATAR_IMAGE (one, PRODUCT only)


_ECOMM = "ip__ecomm_bridge__"  # prefix of the properties that the bridge's install created


def _text(*names: str) -> dict[str, Target]:
    return {name: Target(name, "STRING") for name in names}


ASSOCIATIONS: Final[Mapping[ObjectType, Mapping[ObjectType, str]]] = {
    ObjectType.DEAL: {ObjectType.CONTACT: "hs_assoc__contact_ids"},
    ObjectType.LINE_ITEM: {ObjectType.DEAL: "hs_assoc__deal_id", ObjectType.PRODUCT: "hs_assoc__product_id"},
}
"""Version 1 has no member for associations: these properties carry the other object's external id (two underscores)."""

MAPPED: Final[Mapping[ObjectType, Mapping[str, Target]]] = {
    ObjectType.CONTACT: _text(
        "email", "firstname", "lastname", "phone", "company", "address", "city", "state", "zip", "country"
    )
    | _text("date_of_birth"),  # a standard text property of contacts
    ObjectType.PRODUCT: {
        "name": Target("name", "STRING"),
        "sku": Target("hs_sku", "STRING"),
        "price": Target("price", "NUMBER"),
        "description": Target("description", "STRING"),
        "image_url": Target(f"{_ECOMM}image_url", "AVATAR_IMAGE"),
        "created_at": Target("createdate", "DATETIME"),
    },
    ObjectType.DEAL: {
        "name": Target("dealname", "STRING"),
        "amount": Target("amount", "NUMBER"),
        "stage": Target("dealstage", "STRING"),  # a stage id of the Ecommerce Pipeline
        "order_number": Target(f"{_ECOMM}order_number", "STRING"),
        "created_at": Target("createdate", "DATETIME"),
        "closed_at": Target("closedate", "DATETIME"),
        "tax_amount": Target(f"{_ECOMM}tax_amount", "NUMBER"),
        "discount_amount": Target(f"{_ECOMM}discount_amount", "NUMBER"),
        "tracking_numbers": Target(f"{_ECOMM}shipment_ids", "STRING"),
    },
    ObjectType.LINE_ITEM: {
        "name": Target("name", "STRING"),
        "sku": Target("hs_sku", "STRING"),
        "quantity": Target("quantity", "NUMBER"),
        "price": Target("price", "NUMBER"),
        "amount": Target("amount", "NUMBER"),
        # not HubSpot's own `discount`: that one is per unit, ours is the whole row's
        "discount_amount": Target(f"{_ECOMM}discount_amount", "NUMBER"),
        "tax_amount": Target("tax", "NUMBER"),
        "currency": Target("hs_line_item_currency_code", "STRING"),
    },
}

UNMAPPED: Final[Mapping[ObjectType, Mapping[str, str]]] = {
    ObjectType.CONTACT: {
        "customer_group": "HubSpot has no such property; map it to one of your own",
        "website": "HubSpot's `website` is the contact's own site, ours is a shop code",
        "created_at": "HubSpot's `createdate` says when HubSpot first knew the contact",
        "newsletter": "consent belongs to HubSpot's subscription types; map it to a property of your own",
    },
    ObjectType.PRODUCT: {
        "url_key": "HubSpot's `hs_url` wants a whole URL",
        "status": "no such property; map it to one of your own",
        "type": "HubSpot's `hs_product_type` is a fixed list with other meanings",
    },
    ObjectType.DEAL: {
        "currency": "`deal_currency_code` fails the whole message in accounts without that currency",
        **dict.fromkeys(
            (
                "shipping_amount",
                "coupon_code",
                "payment_method",
                "shipping_method",
                "state",
                "status",
                "on_hold",
                "partially_shipped",
                "replaced_by",
                "replaces",
            ),
            "the bridge installed no such property; map it to one of your own",
        ),
        "store": f"`{_ECOMM}source_store_id` is the bridge's own",
    },
    ObjectType.LINE_ITEM: {},
}
"""Default properties without a HubSpot target, each with the reason.

They are left out because the bridge checks a target only when a message arrives: a single property that an account does
not have would make every message of that type fail.
"""

SECTION: Final[Mapping[ObjectType, str]] = {
    ObjectType.CONTACT: "contactSyncSettings",
    ObjectType.PRODUCT: "productSyncSettings",
    ObjectType.DEAL: "dealSyncSettings",
    ObjectType.LINE_ITEM: "lineItemSyncSettings",
}


_DATA_TYPE: Final = {
    PropertyType.NUMBER: "NUMBER",
    PropertyType.MONEY: "NUMBER",
    PropertyType.DATETIME: "DATETIME",
}
"""Other types are STRING: the bridge has no type for a date without time, or for true and false."""


def rows(object_type: ObjectType, custom: CustomProperties | None = None, version: int = 1) -> dict[str, Target]:
    """Our rows for one object type: neutral name → target. In version 1 associations are among them.

    A default property whose value comes from another column keeps its target unless another target is asked for. A
    default property whose target one of the merchant's properties asks for is left out.
    """
    defaults = MAPPED[object_type]
    own = {
        name: Target(target or name, _DATA_TYPE.get(kind, "STRING"))
        for name, (target, kind) in (custom or {}).get(object_type, {}).items()
        if target or name not in defaults
    }
    taken = {target.name for target in own.values()}
    kept = {name: target for name, target in defaults.items() if name not in own and target.name not in taken}
    associations = ASSOCIATIONS.get(object_type, {}).values() if version == 1 else ()
    return {**kept, **own, **{name: Target(name, "STRING") for name in associations}}


def source_of(object_type: ObjectType, target: str, custom: CustomProperties | None = None) -> str:
    """The neutral name whose value this HubSpot property gets; "" if there is none."""
    return next((name for name, row in rows(object_type, custom).items() if row.name == target), "")


def default_settings(version: int = 1) -> dict[str, Any]:
    """The body of PUT settings for an account without settings."""
    return merged_settings({}, version=version)[0]


def merged_settings(
    theirs: Mapping[str, Any], custom: CustomProperties | None = None, version: int = 1
) -> tuple[dict[str, Any], list[str]]:
    """The settings to put, and one line per difference to ``theirs`` (the answer of GET settings; empty: none).

    PUT replaces everything. So rows for names that are not ours are kept, unless one of our rows has their target.
    """
    lines = [] if theirs.get("enabled") is True else ["enabled: false → true"]
    merged = {}
    for object_type in MAPPED:
        ours, held = rows(object_type, custom, version), _held_rows(_section(theirs, object_type, version), version)
        merged[object_type], differences = _merge(ours, held)
        lines += [f"{object_type}: {difference}" for difference in differences]
    return _body(theirs, merged, version), lines


def _merge(ours: Mapping[str, Target], held: Mapping[str, Target]) -> tuple[dict[str, Target], list[str]]:
    lines = []
    targets = {target.name for target in ours.values()}
    merged = dict(ours)
    for name, target in held.items():
        # Our names are set anew whatever they were mapped to before.
        if name in ours:
            if target != ours[name]:
                lines.append(f"{name}: {_shown(target)} → {_shown(ours[name])}")
        elif target.name in targets:
            # Two names for one property would overwrite each other with every message.
            lines.append(f"{name} → {target.name}: removed, the target is fed by another name")
        else:
            merged[name] = target
    lines += [f"{name} → {_shown(ours[name])}: new" for name in ours if name not in held]
    return merged, lines


_MEMBERS: Final = {
    1: ("propertyName", "targetHubspotProperty", "dataType"),
    2: ("externalPropertyName", "hubspotPropertyName", "dataType"),
}
"""The names of a row's members in each version."""


def _body(theirs: Mapping[str, Any], merged: Mapping[ObjectType, Mapping[str, Target]], version: int) -> dict[str, Any]:
    sections = {
        object_type: {
            "properties": [dict(zip(_MEMBERS[version], (name, *row), strict=True)) for name, row in held.items()]
        }
        for object_type, held in merged.items()
    }
    # Version 1 has a section per type, version 2 one table of mappings.
    if version == 1:
        imports = bool(theirs.get("importOnInstall", False))
        named = {SECTION[object_type]: section for object_type, section in sections.items()}
        return {"enabled": True, "importOnInstall": imports, **named}
    mappings = theirs.get("mappings")
    others = mappings if isinstance(mappings, Mapping) else {}
    body: dict[str, Any] = {
        "enabled": True,
        "mappings": {**others, **{kind.value: sections[kind] for kind in sections}},
    }
    # PUT replaces everything: what is left out here would be lost.
    if theirs.get("webhookUri"):
        body["webhookUri"] = theirs["webhookUri"]
    return body


def _section(theirs: Mapping[str, Any], object_type: ObjectType, version: int) -> Any:
    if version == 1:
        return theirs.get(SECTION[object_type])
    mappings = theirs.get("mappings")
    return mappings.get(object_type.value) if isinstance(mappings, Mapping) else None


def _shown(target: Target) -> str:
    return f"{target.name} ({target.data_type})"


def _held_rows(section: Any, version: int) -> dict[str, Target]:
    """The rows of one section of the answer. Anything that does not look like a row is skipped.

    Version 2 may leave out the dataType, which then counts as text.
    """
    held: dict[str, Target] = {}
    ours, target, data_type = _MEMBERS[version]
    properties = section.get("properties") if isinstance(section, Mapping) else None
    for row in properties if isinstance(properties, list) else []:
        # A row without a name maps nothing.
        if isinstance(row, Mapping) and isinstance(row.get(ours), str):
            held[row[ours]] = Target(str(row.get(target)), str(row.get(data_type) or "STRING"))
    return held
