"""When an order was placed, and which objects belong to it: what ``history.send`` needs to know of the shop. Pure."""

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
    Kind.CART: "quote",
}
"""The table of each kind's main row. A guest has none."""


def main_row(ref: ObjectRef, rows: RowReader) -> Row | None:
    """The row of the object's main table; None for a guest, and for an object without a row."""
    table = MAIN_TABLE.get(ref.kind)
    return rows.get(table, ref.id) if table else None


def placed_ms(ref: ObjectRef, rows: RowReader) -> int | None:
    """When this order, or this line's order, was placed, or this cart was begun, epoch milliseconds.

    None for contacts and products, which have no date of their own, and for an order without a date.
    """
    order = None
    if ref.kind in (Kind.ORDER, Kind.CART):
        order = rows.get(MAIN_TABLE[ref.kind], ref.id)
    elif ref.kind is Kind.ITEM:
        item = rows.get("sales_order_item", ref.id)
        order = rows.get("sales_order", item.get("order_id")) if item else None
    text = times.epoch_ms(order.get("created_at")) if order else ""
    return int(text) if text else None


def parts(ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
    """An order's lines; nothing for other objects. Lines that are only parts of a bundle are not objects."""
    if ref.kind is not Kind.ORDER:
        return ()
    lines = rows.find("sales_order_item", "order_id", ref.id)
    return tuple(
        ObjectRef(Kind.ITEM, line["item_id"])  # type: ignore[arg-type]  # the key of every row held
        for line in lines
        if line.get("parent_item_id") is None
    )
