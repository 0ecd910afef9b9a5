"""Which orders, customers and subscribers are in scope (``[mapping.filter]``), and the orders that count for a contact.

Pure. Each answer depends only on the present rows: when a row enters or leaves the filter, its objects come or go. An
order that is out of scope does not exist, and its lines do not either. A contact or product that an order in scope
refers to exists even if the filter leaves it out, so that a link always holds. The rule for products is in
``mappers/objects/product.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cdc.model import Row, Value
from cdc.protocols import RowReader
from mappers.plan import Plan
from mappers.shop import Shop, shop
from mappers.text import clean

ORDER_AGE: Final = ("created_at", "entity_id")
"""The columns that decide which of two orders is newer."""


def order_in_scope(order: Row, rows: RowReader, plan: Plan) -> bool:
    """By its store view, that view's website, its customer group at the time of the order, and the rules on
    its columns.
    """
    # Without a filter no store and no group is looked up: this runs for every order.
    if not plan.filters_orders:
        return True
    return order_place_in_scope(order, rows, plan) and not is_test_order(order, plan)


def is_test_order(order: Row, plan: Plan) -> bool:
    """Whether one of the rules for test orders fits."""
    return any(rule.fits(clean(order.get(rule.column))) for rule in plan.settings.filter.test_orders)


def order_place_in_scope(order: Row, rows: RowReader, plan: Plan) -> bool:
    """By the order's store view, that view's website, and the customer group; for one order or for many that agree."""
    asked = plan.settings.filter
    if not plan.filters_orders:
        return True
    known = shop(rows, plan)
    # An order follows its store view, which a merchant can move to another website.
    if not _place_is_in(order.get("store_id"), known, plan):
        return False
    # The group at the time of buying: a customer who changes groups keeps the old orders.
    return not asked.customer_groups or asked.customer_groups.allows(known.group_code(order.get("customer_group_id")))


def subscriber_in_scope(subscriber: Row, rows: RowReader, plan: Plan) -> bool:
    """By its store view and that view's website."""
    return _place_is_in(subscriber.get("store_id"), shop(rows, plan), plan)


def customer_in_scope(customer: Row, rows: RowReader, plan: Plan) -> bool:
    """By the account's website and group."""
    asked = plan.settings.filter
    # Without a filter no website and no group is looked up.
    if not plan.filters_customers:
        return True
    known = shop(rows, plan)
    # Accounts belong to a website, not to a store view.
    if asked.websites and not asked.websites.allows(known.website_code(customer.get("website_id"))):
        return False
    return not asked.customer_groups or asked.customer_groups.allows(known.group_code(customer.get("group_id")))


def newest_orders(column: str, value: int | str, rows: RowReader, plan: Plan) -> Iterator[Row]:
    """A customer's (``customer_id``) or guest's (``guest_id``) orders in scope, newest first, read lazily."""
    found = rows.descending("sales_order", column, value, ORDER_AGE)
    return (order for order in found if order_in_scope(order, rows, plan)) if plan.filters_orders else found


def _place_is_in(store_id: Value, known: Shop, plan: Plan) -> bool:
    asked = plan.settings.filter
    # A store view is the narrower rule.
    if asked.stores and not asked.stores.allows(known.store_code(store_id)):
        return False
    return not asked.websites or asked.websites.allows(known.website_code_of(store_id))
