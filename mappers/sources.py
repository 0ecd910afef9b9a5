"""What every property is made from, as a list: for ``mapping show`` and for settings that name properties.

Pure. A test holds the default properties here to those that are rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from cdc.model import ObjectType
from cdc.settings.mapping_columns import AttributeProperty, ColumnProperty, PropertyType
from mappers.plan import Plan


class Source(NamedTuple):
    """One property of one type of object: its name, how its value reads, and the tables and columns it is made from."""

    object_type: ObjectType
    name: str
    type: PropertyType
    place: str


_TEXT, _MONEY, _TIME, _BOOL = PropertyType.TEXT, PropertyType.MONEY, PropertyType.DATETIME, PropertyType.BOOL
_ADDRESS: Final = {
    "phone": "telephone",
    "company": "company",
    "address": "street",
    "city": "city",
    "state": "region",
    "zip": "postcode",
    "country": "country_id",
}
_VALUES: Final = "catalog_product_entity_*"

_DEFAULTS: Final[Mapping[ObjectType, Mapping[str, tuple[PropertyType, str]]]] = {
    ObjectType.CONTACT: {
        "email": (_TEXT, "customer_entity.email, else sales_order.customer_email"),
        "firstname": (_TEXT, "customer_entity.firstname, else sales_order.customer_firstname"),
        "lastname": (_TEXT, "customer_entity.lastname, else sales_order.customer_lastname"),
        **{
            name: (_TEXT, f"customer_address_entity.{column}, else sales_order_address.{column}")
            for name, column in _ADDRESS.items()
        },
        "customer_group": (_TEXT, "customer_group.customer_group_code"),
        "website": (_TEXT, "store_website.code"),
        "created_at": (_TIME, "customer_entity.created_at"),
        "date_of_birth": (PropertyType.DATE, "customer_entity.dob"),
        "newsletter": (_TEXT, "newsletter_subscriber.subscriber_status"),
    },
    ObjectType.PRODUCT: {
        "name": (_TEXT, f"{_VALUES}: name"),
        "sku": (_TEXT, "catalog_product_entity.sku"),
        "price": (_MONEY, f"{_VALUES}: price"),
        "description": (_TEXT, f"{_VALUES}: description, else short_description"),
        "image_url": (_TEXT, f"{_VALUES}: image"),
        "url_key": (_TEXT, f"{_VALUES}: url_key"),
        "status": (_TEXT, f"{_VALUES}: status"),
        "type": (_TEXT, "catalog_product_entity.type_id"),
        "created_at": (_TIME, "catalog_product_entity.created_at"),
    },
    ObjectType.DEAL: {
        "name": (_TEXT, "sales_order.increment_id"),
        "amount": (_MONEY, "sales_order.{grand_total} - {total_refunded}"),
        "currency": (_TEXT, "sales_order.{order_currency_code}"),
        "stage": (_TEXT, "sales_order.state, status"),
        "order_number": (_TEXT, "sales_order.increment_id"),
        "created_at": (_TIME, "sales_order.created_at"),
        "closed_at": (_TIME, "sales_invoice.created_at"),
        "tax_amount": (_MONEY, "sales_order.{tax_amount}"),
        "discount_amount": (_MONEY, "sales_order.{discount_amount}"),
        "shipping_amount": (_MONEY, "sales_order.{shipping_amount}"),
        "coupon_code": (_TEXT, "sales_order.coupon_code"),
        "payment_method": (_TEXT, "sales_order_payment.method"),
        "shipping_method": (_TEXT, "sales_order.shipping_method"),
        "tracking_numbers": (_TEXT, "sales_shipment_track.track_number"),
        "store": (_TEXT, "store.code"),
        "state": (_TEXT, "sales_order.state"),
        "status": (_TEXT, "sales_order.status"),
        "on_hold": (_BOOL, "sales_order.state"),
        "partially_shipped": (_BOOL, "sales_order_item.qty_shipped, qty_ordered"),
        "replaced_by": (_TEXT, "sales_order.relation_child_real_id"),
        "replaces": (_TEXT, "sales_order.relation_parent_real_id"),
    },
    ObjectType.LINE_ITEM: {
        "name": (_TEXT, "sales_order_item.name"),
        "sku": (_TEXT, "sales_order_item.sku"),
        "quantity": (PropertyType.NUMBER, "sales_order_item.qty_ordered"),
        "price": (_MONEY, "sales_order_item.{price}"),
        "amount": (_MONEY, "sales_order_item.{row_total}"),
        "discount_amount": (_MONEY, "sales_order_item.{discount_amount}"),
        "tax_amount": (_MONEY, "sales_order_item.{tax_amount}"),
        "currency": (_TEXT, "sales_order.{order_currency_code}"),
    },
}
"""In braces: columns that ``mapping.currency`` swaps."""


def sources(plan: Plan) -> list[Source]:
    """Every property that may be sent: the default ones, then the merchant's own; a name of theirs wins."""
    found: dict[tuple[ObjectType, str], Source] = {}
    for object_type, defaults in _DEFAULTS.items():
        for name, (kind, place) in defaults.items():
            found[object_type, name] = Source(object_type, name, kind, _paid(place, plan))
    for source in _own(plan):
        found[source.object_type, source.name] = source
    for form in plan.settings.contact_forms:
        for name, made in form.properties.items():
            key = ObjectType.CONTACT, name
            place = _place(form.table, made)
            held = found.get(key)
            found[key] = held._replace(place=f"{held.place}, else {place}") if held else Source(*key, made.type, place)
    return list(found.values())


def _own(plan: Plan) -> Iterator[Source]:
    for object_type, table, properties in plan.settings.sources():
        for name, made in properties.items():
            yield Source(object_type, name, made.type or PropertyType.TEXT, _place(table, made))


def _place(table: str, made: ColumnProperty | AttributeProperty) -> str:
    if isinstance(made, AttributeProperty):
        return f"{table}: {made.code}"
    place = f"{table}.{made.column}{f' {made.json_path}' if made.json_path else ''}"
    return f"{place}, label in {made.lookup.table}.{made.lookup.key}" if made.lookup else place


def _paid(place: str, plan: Plan) -> str:
    return re.sub(r"\{(\w+)\}", lambda column: plan.paid(column[1]), place)
