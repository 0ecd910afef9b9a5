"""What ``[mapping.filter]`` leaves in, and the orders that count for a contact.

Pure. Each answer is a function of the rows held, so that a row that moves in or out of the filter makes or deletes its
objects. An order that is left out does not exist, nor do its lines. What an order that is in refers to exists whatever
the filter says of it: a link always holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cdc.model import Row, Value
from cdc.protocols import RowReader
from mappers.attributes import ADMIN
from mappers.plan import Plan
from mappers.shop import Shop, shop
from mappers.text import clean
from mappers.versions import live_row

ORDER_AGE: Final = ("created_at", "entity_id")
"""What makes one order newer than another."""

VISIBILITY: Final = {1: "not_visible", 2: "catalog", 3: "search", 4: "both"}


def order_is_in(order: Row, rows: RowReader, plan: Plan) -> bool:
    """By its store view, that one's website, its customer group as it was bought, and the rules on its columns."""
    asked = plan.settings.filter
    if not asked.on_orders:
        return True
    known = shop(rows, plan)
    if not _place_is_in(order.get("store_id"), known, plan):
        return False
    if asked.customer_groups and not asked.customer_groups.allows(known.group_code(order.get("customer_group_id"))):
        return False
    return not any(rule.fits(clean(order.get(rule.column))) for rule in asked.test_orders)


def subscriber_is_in(subscriber: Row, rows: RowReader, plan: Plan) -> bool:
    """By its store view and that one's website."""
    return _place_is_in(subscriber.get("store_id"), shop(rows, plan), plan)


def customer_is_in(customer: Row, rows: RowReader, plan: Plan) -> bool:
    """By the website and the group of the account."""
    asked = plan.settings.filter
    if not asked.on_customers:
        return True
    known = shop(rows, plan)
    if asked.websites and not asked.websites.allows(known.website_code(customer.get("website_id"))):
        return False
    return not asked.customer_groups or asked.customer_groups.allows(known.group_code(customer.get("group_id")))


def product_row(product_id: int | str, rows: RowReader, plan: Plan) -> Row | None:
    """The product's row; in Adobe Commerce the one that is live now."""
    if not plan.row_ids:
        return rows.get("catalog_product_entity", product_id)
    return live_row([*rows.find("catalog_product_entity", "entity_id", product_id)], shop(rows, plan).version)


def product_is_in(product: Row, rows: RowReader, plan: Plan) -> bool:
    """By its type, its visibility, and the websites it is assigned to: one that is followed is enough."""
    asked = plan.settings.filter
    if not asked.on_products:
        return True
    if asked.product_types and not asked.product_types.allows(clean(product.get("type_id"))):
        return False
    known = shop(rows, plan)
    if asked.websites:
        assigned = rows.find("catalog_product_website", "product_id", product.get("entity_id"))
        if not any(asked.websites.allows(known.website_code(row.get("website_id"))) for row in assigned):
            return False
    return not asked.product_visibility or asked.product_visibility.allows(_visibility(product, rows, known, plan))


def newest_orders(column: str, value: int | str, rows: RowReader, plan: Plan) -> Iterator[Row]:
    """A customer's (``customer_id``) or guest's (``guest_id``) orders that are in, newest first, read lazily."""
    found = rows.descending("sales_order", column, value, ORDER_AGE)
    return (order for order in found if order_is_in(order, rows, plan)) if plan.settings.filter.on_orders else found


def _place_is_in(store_id: Value, known: Shop, plan: Plan) -> bool:
    asked = plan.settings.filter
    if asked.stores and not asked.stores.allows(known.store_code(store_id)):
        return False
    return not asked.websites or asked.websites.allows(known.website_code_of(store_id))


def _visibility(product: Row, rows: RowReader, known: Shop, plan: Plan) -> str:
    """In the chosen store view, else in the default scope; "" where neither says."""
    attribute = known.products.by_code.get("visibility")
    if attribute is None:
        return ""
    held = {
        row.get("store_id"): row.get("value")
        for row in rows.find(attribute.table, plan.product_key, product.get(plan.product_key))
        if row.get("attribute_id") == attribute.id
    }
    return VISIBILITY.get(held.get(known.view, held.get(ADMIN)), "")  # type: ignore[arg-type]  # any value may come
