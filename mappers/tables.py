"""The tables and columns that are decoded and kept: an allow-list; nothing else of the shop is ever looked at.

Reference tables come first, then parents before their children, which is the order they are loaded in. Column facts:
Magento 2.3 to 2.4.8. Columns that must never leave the shop (password hashes, tokens, addresses of computers, card
data) are in no list here, and a test keeps it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cdc.model import TableSpec

_REFERENCES = (
    TableSpec("store_website", ("website_id",), ("website_id", "code"), reference=True),
    TableSpec(
        "store", ("store_id",), ("store_id", "code", "website_id"), indexes=(("code",), ("website_id",)), reference=True
    ),
    TableSpec("customer_group", ("customer_group_id",), ("customer_group_id", "customer_group_code"), reference=True),
    TableSpec(
        "eav_entity_type",
        ("entity_type_id",),
        ("entity_type_id", "entity_type_code"),
        indexes=(("entity_type_code",),),
        reference=True,
    ),
    TableSpec(
        "eav_attribute",
        ("attribute_id",),
        ("attribute_id", "entity_type_id", "attribute_code", "backend_type"),
        indexes=(("attribute_code",),),
        reference=True,
    ),
)

_CUSTOMERS = (
    TableSpec(
        "customer_entity",
        ("entity_id",),
        ("entity_id", "website_id", "email", "group_id", "firstname", "lastname", "dob", "default_billing",
         "created_at"),
    ),
    TableSpec(
        "customer_address_entity",
        ("entity_id",),
        ("entity_id", "parent_id", "company", "street", "city", "region", "postcode", "country_id", "telephone"),
    ),
    TableSpec(
        "newsletter_subscriber",
        ("subscriber_id",),
        ("subscriber_id", "customer_id", "subscriber_email", "subscriber_status"),
        indexes=(("customer_id",), ("guest_id",)),
        derived=("guest_id",),
        transient=frozenset({"subscriber_email"}),  # only its hash is needed
        required=False,  # the newsletter module can be removed from a shop
    ),
)  # fmt: skip

PRODUCT_VALUES: Final = {
    backend: f"catalog_product_entity_{backend}" for backend in ("varchar", "int", "decimal", "text")
}
"""``eav_attribute.backend_type`` → the table that holds such values of products."""

_ATTRIBUTE: Final = frozenset({"attribute_id"})

_PRODUCTS = (
    TableSpec("catalog_product_entity", ("entity_id",), ("entity_id", "sku", "type_id", "created_at")),
    *(
        TableSpec(
            table,
            ("value_id",),
            ("value_id", "entity_id", "attribute_id", "store_id", "value"),
            indexes=(("entity_id",),),
            kept_by=_ATTRIBUTE,
        )
        for table in PRODUCT_VALUES.values()
    ),
)

CUSTOMER_VALUES: Final = {
    backend: f"customer_entity_{backend}" for backend in ("varchar", "int", "decimal", "text", "datetime")
}
"""The same for values of customers; they have no store."""

ADDRESS_VALUES: Final = {backend: f"customer_address_entity_{backend}" for backend in CUSTOMER_VALUES}
"""The same for values of customers' addresses; ``entity_id`` is the address."""

_DATETIMES: Final = "catalog_product_entity_datetime"  # no default property is made from a date attribute
ALL_PRODUCT_VALUES: Final = {**PRODUCT_VALUES, "datetime": _DATETIMES}

_ORDERS = (
    TableSpec(
        "sales_order",
        ("entity_id",),
        ("entity_id", "increment_id", "store_id", "state", "status", "hold_before_state", "hold_before_status",
         "customer_id", "customer_is_guest", "customer_group_id", "customer_email", "customer_firstname",
         "customer_lastname", "shipping_method", "coupon_code", "order_currency_code", "grand_total",
         "total_refunded", "tax_amount", "discount_amount", "shipping_amount", "relation_child_real_id",
         "relation_parent_real_id", "created_at"),
        indexes=(("customer_id", "created_at", "entity_id"), ("guest_id", "created_at", "entity_id")),
        derived=("guest_id",),
    ),
    TableSpec(
        "sales_order_item",
        ("item_id",),
        ("item_id", "order_id", "parent_item_id", "product_id", "product_type", "sku", "name", "product_options",
         "qty_ordered", "qty_shipped", "qty_canceled", "qty_refunded", "is_virtual", "price", "row_total",
         "tax_amount", "discount_amount"),
        indexes=(("order_id",), ("parent_item_id",), ("product_id", "item_id")),
        derived=("price_mode", "ship_mode"),
        transient=frozenset({"product_options"}),
    ),
    TableSpec(
        "sales_order_address",
        ("entity_id",),
        ("entity_id", "parent_id", "address_type", "firstname", "lastname", "company", "street", "city", "region",
         "postcode", "country_id", "telephone"),
        indexes=(("parent_id",),),
        kept_by=frozenset({"address_type"}),
    ),
    TableSpec("sales_order_payment", ("entity_id",), ("entity_id", "parent_id", "method"), indexes=(("parent_id",),)),
    TableSpec(
        "sales_invoice", ("entity_id",), ("entity_id", "order_id", "state", "created_at"), indexes=(("order_id",),)
    ),
    TableSpec(
        "sales_shipment_track",
        ("entity_id",),
        ("entity_id", "order_id", "track_number"),
        indexes=(("order_id",),),
    ),
)  # fmt: skip

_OPTIONS = (
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


BASE: Final = {
    "order_currency_code": "base_currency_code",
    **{
        column: f"base_{column}"
        for column in ("grand_total", "total_refunded", "tax_amount", "discount_amount", "shipping_amount", "price",
                       "row_total")
    },
}  # fmt: skip
"""Columns of ``sales_order`` and ``sales_order_item`` → the same in the website's base currency."""


def in_base_currency(spec: TableSpec) -> TableSpec:
    """The table of an order or of its lines with the amounts of the base currency in place of the order's."""
    return replace(spec, columns=tuple(BASE.get(column, column) for column in spec.columns))


PRODUCT_WEBSITES: Final = TableSpec(
    "catalog_product_website", ("product_id", "website_id"), ("product_id", "website_id"), indexes=(("product_id",),)
)
"""Where products are sold; only a filter by website needs it."""


VERSIONS: Final = TableSpec(
    "flag",
    ("flag_id",),
    ("flag_id", "flag_code", "flag_data"),
    indexes=(("flag_code",),),
    reference=True,
    required=False,
    selection="staging",
    kept_by=frozenset({"flag_code"}),
)
"""Adobe Commerce's cron notes here which version of the catalogue is live; of all flags only that one is kept."""

_SEQUENCE: Final = TableSpec(
    "sequence_product", ("sequence_value",), ("sequence_value",), required=False, keys_only=True
)
"""What a product's deletion deletes in Adobe Commerce: its rows, and all that hangs on them, go silently."""


def in_row_ids(tables: tuple[TableSpec, ...]) -> tuple[TableSpec, ...]:
    """The tables of Adobe Commerce: a product has a row per scheduled version, and values hang on rows."""
    values = {*ALL_PRODUCT_VALUES.values()}
    found: list[TableSpec] = [VERSIONS]
    for spec in tables:
        if spec.name == "catalog_product_entity":
            columns = ("row_id", *spec.columns[:1], "created_in", "updated_in", *spec.columns[1:])
            found.append(_SEQUENCE)
            found.append(replace(spec, key=("row_id",), columns=columns, indexes=(("entity_id",),)))
        elif spec.name in values:
            columns = tuple("row_id" if column == "entity_id" else column for column in spec.columns)
            found.append(replace(spec, columns=columns, indexes=(("row_id",),)))
        else:
            found.append(spec)
    return tuple(found)


def with_subscribers(spec: TableSpec) -> TableSpec:
    """``newsletter_subscriber`` with what a contact without order or account is made from."""
    return replace(spec, columns=(*spec.columns, "store_id"), transient=frozenset())


def with_attributes(
    tables: tuple[TableSpec, ...],
    product_codes: frozenset[str],
    customer_codes: frozenset[str],
    address_codes: frozenset[str],
) -> tuple[TableSpec, ...]:
    """The tables that further attributes need as well: the rest of the value tables, inputs and options."""
    if not product_codes and not customer_codes and not address_codes:
        return tables
    people = {"customer_entity": (CUSTOMER_VALUES, customer_codes),
              "customer_address_entity": (ADDRESS_VALUES, address_codes)}  # fmt: skip
    found: list[TableSpec] = []
    for spec in tables:
        if spec.name == "eav_attribute":
            found += [replace(spec, columns=(*spec.columns, "frontend_input")), *_OPTIONS]
        elif spec.name in PRODUCT_VALUES.values() and product_codes:
            found.append(replace(spec, selection=",".join(sorted(product_codes))))
            if spec.name == PRODUCT_VALUES["varchar"]:
                found.append(replace(found[-1], name=_DATETIMES))
        else:
            found.append(spec)
            values, codes = people.get(spec.name, ({}, frozenset()))
            if codes:
                found += _without_store(values, codes)
    return tuple(found)


def _without_store(values: Mapping[str, str], codes: frozenset[str]) -> list[TableSpec]:
    columns = ("value_id", "entity_id", "attribute_id", "value")
    selection = ",".join(sorted(codes))
    return [
        TableSpec(table, ("value_id",), columns, indexes=(("entity_id",),), selection=selection, kept_by=_ATTRIBUTE)
        for table in values.values()
    ]


TABLES: Final[tuple[TableSpec, ...]] = (*_REFERENCES, *_CUSTOMERS, *_PRODUCTS, *_ORDERS)
"""Every table the default properties are made from."""
