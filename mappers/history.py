"""When an order was placed, and which objects belong to it: what ``history.send`` needs to know of the shop. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cdc.model import OF_CARTS, Kind, ObjectRef, Row, Value
from cdc.protocols import RowReader
from mappers import times

MAIN_TABLE: Final[Mapping[Kind, str]] = {
    Kind.CUSTOMER: "customer_entity",
    Kind.PRODUCT: "catalog_product_entity",
    Kind.ORDER: "sales_order",
    Kind.ITEM: "sales_order_item",
    Kind.CART: "quote",
    Kind.CART_OBJECT: "quote",
    Kind.CART_ITEM: "quote_item",
}
"""The table of each kind's main row. A guest has none."""


_LINES: Final = {
    Kind.ORDER: (Kind.ITEM, "sales_order_item", "order_id"),
    Kind.CART_OBJECT: (Kind.CART_ITEM, "quote_item", "quote_id"),
}
"""Kind → the kind of its lines, their table, and the column that names the object."""


def main_row(ref: ObjectRef, rows: RowReader) -> Row | None:
    """The row of the object's main table; None for a guest, and for an object without a row."""
    table = MAIN_TABLE.get(ref.kind)
    return rows.get(table, ref.id) if table else None


def placed_ms(ref: ObjectRef, rows: RowReader) -> int | None:
    """When this order, or this line's order, was placed, or this cart was begun, epoch milliseconds. Of a cart that the
    shop has deleted: when it was ordered.

    None for contacts and products, which have no date of their own, and for an order without a date.
    """
    dated = None
    if ref.kind is Kind.ORDER:
        dated = rows.get("sales_order", ref.id)
    elif ref.kind is Kind.ITEM:
        item = rows.get("sales_order_item", ref.id)
        dated = rows.get("sales_order", item.get("order_id")) if item else None
    elif ref.kind is Kind.CART_ITEM:
        item = rows.get("quote_item", ref.id)
        dated = _cart(item.get("quote_id"), rows) if item else None
    elif ref.kind in OF_CARTS:
        dated = _cart(ref.id, rows)
    text = times.epoch_ms(dated.get("created_at")) if dated else ""
    return int(text) if text else None


def _cart(quote_id: Value, rows: RowReader) -> Row | None:
    return rows.get("quote", quote_id) or next(iter(rows.find("sales_order", "quote_id", quote_id)), None)


def parts(ref: ObjectRef, rows: RowReader) -> tuple[ObjectRef, ...]:
    """The lines of an order or of a cart; nothing for other objects. Lines that are only parts of a bundle are not
    objects.
    """
    if ref.kind not in _LINES:
        return ()
    kind, table, column = _LINES[ref.kind]
    return tuple(
        ObjectRef(kind, line["item_id"])  # type: ignore[arg-type]  # the key of every row held
        for line in rows.find(table, column, ref.id)
        if line.get("parent_item_id") is None
    )
