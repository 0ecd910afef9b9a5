"""The tables that many objects use: websites, stores, customer groups, and the definitions of attributes.

Pure. They are loaded before anything is rendered. Each object's own descriptor says which objects a row of them
affects.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdc.model import TableSpec

_PLACES: Final = (
    TableSpec("store_website", ("website_id",), ("website_id", "code"), reference=True),
    TableSpec(
        "store", ("store_id",), ("store_id", "code", "website_id"), indexes=(("code",), ("website_id",)), reference=True
    ),
    TableSpec("customer_group", ("customer_group_id",), ("customer_group_id", "customer_group_code"), reference=True),
)

_TYPES: Final = TableSpec(
    "eav_entity_type",
    ("entity_type_id",),
    ("entity_type_id", "entity_type_code"),
    indexes=(("entity_type_code",),),
    reference=True,
)

_ATTRIBUTES: Final = TableSpec(
    "eav_attribute",
    ("attribute_id",),
    ("attribute_id", "entity_type_id", "attribute_code", "backend_type"),
    indexes=(("attribute_code",),),
    reference=True,
)

_OPTIONS: Final = (
    TableSpec(
        "eav_attribute_option",
        ("option_id",),
        ("option_id", "attribute_id"),
        indexes=(("attribute_id",),),
        reference=True,
    ),
    TableSpec(
        "eav_attribute_option_value",
        ("value_id",),
        ("value_id", "option_id", "store_id", "value"),
        indexes=(("option_id",),),
        reference=True,
    ),
)


def tables(*, with_options: bool) -> tuple[TableSpec, ...]:
    """The tables. ``with_options``: also the tables of attributes' options, which only the merchant's own
    properties need.
    """
    if not with_options:
        return (*_PLACES, _TYPES, _ATTRIBUTES)
    shown = replace(_ATTRIBUTES, columns=(*_ATTRIBUTES.columns, "frontend_input"))
    return (*_PLACES, _TYPES, shown, *_OPTIONS)
