"""LINE_ITEM: a ``sales_order_item`` row without a parent, with what its children add.

Configurable and bundle lines are several rows: the parent's row is the line; a configurable's
child says which variant it is; a dynamic bundle's children hold the discount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cdc.model import Kind, ObjectRef, Rendered, Row
from cdc.protocols import RowReader
from mappers import money
from mappers.options import PRICED_BY_CHILDREN
from mappers.plan import Plan
from mappers.scope import order_is_in
from mappers.text import clean

CONFIGURABLE: Final = "configurable"

COLUMNS: Final = frozenset(
    {"order_id", "parent_item_id", "product_id", "product_type", "sku", "name", "qty_ordered", "price", "row_total",
     "tax_amount", "discount_amount", "price_mode"}
)  # fmt: skip
"""The columns of ``sales_order_item`` that a line item is made from."""

ORDER_COLUMNS: Final = frozenset({"order_currency_code"})
"""The columns of ``sales_order`` that its lines are made from."""


def render(item_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``item-N``: exists with its own row (without a parent) and its order's."""
    item = rows.get("sales_order_item", item_id)
    if item is None or item.get("parent_item_id") is not None:
        return None
    order = rows.get("sales_order", item.get("order_id"))
    if order is None or not order_is_in(order, rows, plan):
        return None
    children = children_of(item, rows)
    product = product_of(item, children)
    deal = ObjectRef(Kind.ORDER, order["entity_id"])  # type: ignore[arg-type]  # an integer key
    properties = {
        "name": clean(item.get("name")),
        "sku": clean(item.get("sku")),
        "quantity": money.quantity(item.get("qty_ordered")),
        "price": money.money(item.get(plan.paid("price"))),
        "amount": money.money(item.get(plan.paid("row_total"))),
        "discount_amount": _discount(item, children, plan.paid("discount_amount")),
        "tax_amount": money.money(item.get(plan.paid("tax_amount"))),
        "currency": clean(order.get(plan.paid("order_currency_code"))),
    }
    own, warnings = plan.line_item.of(item, rows)
    return Rendered(properties | own, (deal, product) if product is not None else (deal,), warnings)


def children_of(item: Row, rows: RowReader) -> Sequence[Row]:
    """The children that the line needs: a configurable's and a dynamic bundle's; none are looked up for others."""
    if item.get("product_type") != CONFIGURABLE and item.get("price_mode") != PRICED_BY_CHILDREN:
        return ()
    order = item.get("order_id")  # a line and its children are one order's, whatever damaged rows may say
    return [row for row in rows.find("sales_order_item", "parent_item_id", item["item_id"]) if row["order_id"] == order]


def product_of(item: Row, children: Sequence[Row]) -> ObjectRef | None:
    """The product a line refers to: a configurable's variant, else the row's own; None if it names none."""
    product = item.get("product_id")
    if item.get("product_type") == CONFIGURABLE:
        product = next((child["product_id"] for child in children if child.get("product_id")), product)
    return ObjectRef(Kind.PRODUCT, product) if isinstance(product, int) and product else None


def _discount(item: Row, children: Sequence[Row], column: str) -> str:
    if children and item.get("price_mode") == PRICED_BY_CHILDREN:
        return money.total(child.get(column) for child in children)
    return money.money(item.get(column))
