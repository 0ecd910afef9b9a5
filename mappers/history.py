"""What ``history.send`` asks of the shop: when an order was placed, and what goes with an order. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.model import Kind, ObjectRef, Row
from cdc.protocols import RowReader
from mappers import times

MAIN_TABLE: Final[Mapping[Kind, str]] = {
    Kind.CUSTOMER: "customer_entity",
    Kind.PRODUCT: "catalog_product_entity",
    Kind.ORDER: "sales_order",
    Kind.ITEM: "sales_order_item",
}
"""The table whose row an object is, first of all. A guest has none."""


def main_row(ref: ObjectRef, rows: RowReader) -> Row | None:
    """The row of the object's main table; None for a guest, and for an object whose row is gone."""
    table = MAIN_TABLE.get(ref.kind)
    return rows.get(table, ref.id) if table else None


def placed_ms(ref: ObjectRef, rows: RowReader) -> int | None:
    """When the order was placed that this is, or is a line of, epoch milliseconds.

    None for contacts and products, which have no place in time of their own, and for an order that does not say.
    """
    order = None
    if ref.kind is Kind.ORDER:
        order = rows.get("sales_order", ref.id)
    elif ref.kind is Kind.ITEM:
        item = rows.get("sales_order_item", ref.id)
        order = rows.get("sales_order", item.get("order_id")) if item else None
    text = times.epoch_ms(order.get("created_at")) if order else ""
    return int(text) if text else None


def parts(ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
    """An order's lines; nothing for other objects. Lines that are only parts of a bundle are no objects."""
    if ref.kind is not Kind.ORDER:
        return ()
    lines = rows.find("sales_order_item", "order_id", ref.id)
    return tuple(
        ObjectRef(Kind.ITEM, line["item_id"])  # type: ignore[arg-type]  # the key of every row held
        for line in lines
        if line.get("parent_item_id") is None
    )
