"""Names of object types and numbers of association types, as HubSpot publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cdc.model import ObjectType


@dataclass(frozen=True, slots=True)
class TypeNames:
    """One object type's names in paths and answers. ``default_properties``: those of a read that asks for none."""

    type_id: str
    plural: str
    singular: str
    title: str
    modified: str
    default_properties: tuple[str, ...]
    created: str = "createdate"


TYPES: Final[Mapping[ObjectType, TypeNames]] = {
    ObjectType.CONTACT: TypeNames(
        "0-1", "contacts", "contact", "Contact", "lastmodifieddate", ("email", "firstname", "lastname")
    ),
    ObjectType.DEAL: TypeNames(
        "0-3",
        "deals",
        "deal",
        "Deal",
        "hs_lastmodifieddate",
        ("amount", "closedate", "dealname", "dealstage", "pipeline"),
    ),
    ObjectType.PRODUCT: TypeNames(
        "0-7", "products", "product", "Product", "hs_lastmodifieddate", ("description", "name", "price")
    ),
    ObjectType.LINE_ITEM: TypeNames(
        "0-8",
        "line_items",
        "line_item",
        "Line item",
        "hs_lastmodifieddate",
        ("amount", "hs_product_id", "name", "quantity"),
    ),
    ObjectType.CART: TypeNames("0-142", "carts", "cart", "Cart", "hs_lastmodifieddate", (), created="hs_createdate"),
}

_BY_NAME: Final = {
    name: object_type for object_type, names in TYPES.items() for name in (names.type_id, names.plural, names.singular)
}

ASSOCIATION_TYPES: Final[Mapping[tuple[ObjectType, ObjectType], int]] = {
    (ObjectType.CONTACT, ObjectType.DEAL): 4,
    (ObjectType.DEAL, ObjectType.CONTACT): 3,
    (ObjectType.DEAL, ObjectType.LINE_ITEM): 19,
    (ObjectType.LINE_ITEM, ObjectType.DEAL): 20,
    (ObjectType.CART, ObjectType.CONTACT): 586,
    (ObjectType.CONTACT, ObjectType.CART): 587,
    (ObjectType.CART, ObjectType.LINE_ITEM): 590,
    (ObjectType.LINE_ITEM, ObjectType.CART): 591,
    (ObjectType.CART, ObjectType.DEAL): 1347,
    (ObjectType.DEAL, ObjectType.CART): 1346,
}
"""Direction → number of the type without a label. Products are not in it: HubSpot associates them with nothing."""


def type_named(text: str) -> ObjectType | None:
    """The object type that a path names as ``0-3``, ``deals`` or ``deal``; None if the sandbox has no such type."""
    return _BY_NAME.get(text.lower())
