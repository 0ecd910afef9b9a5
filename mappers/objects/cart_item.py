"""LINE_ITEM of HubSpot's cart: a ``quote_item`` row without a parent, while its cart is an object.

After the order the line stays as it was in the cart; it goes when the shop deletes the quote with its lines.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, TableSpec, Value
from cdc.protocols import CART_CLOCK, RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers import money
from mappers.objects import cart, open_carts
from mappers.objects.cart_changes import ITEM_COLUMNS, if_asked
from mappers.objects.descriptor import ObjectDescriptor, Property
from mappers.objects.line_item import CONFIGURABLE
from mappers.objects.open_carts import ADDRESS_COLUMNS, QUOTE_COLUMNS
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange, refs
from mappers.text import clean

_COLUMNS: Final = ITEM_COLUMNS | {*cart.LINE_COLUMNS, "base_row_total", "base_discount_amount"}
"""The columns of ``quote_item`` for a line."""

_ORDER_COLUMNS: Final = frozenset({"quote_id", "order_currency_code", "base_currency_code"})

_TEXT, _MONEY = PropertyType.TEXT, PropertyType.MONEY
_PROPERTIES: Final = {
    "name": Property(_TEXT, "quote_item.name"),
    "sku": Property(_TEXT, "quote_item.sku"),
    "quantity": Property(PropertyType.NUMBER, "quote_item.qty"),
    "price": Property(_MONEY, "quote_item.{price}"),
    "amount": Property(_MONEY, "quote_item.{row_total}"),
    "discount_amount": Property(_MONEY, "quote_item.{discount_amount}"),
    "currency": Property(_TEXT, "quote.{quote_currency_code}"),
}


def render(item_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``cart_item-N``: see above."""
    item = rows.get("quote_item", item_id) if plan.settings.carts.as_objects else None
    # A child is part of its parent's line.
    if item is None or item.get("parent_item_id") is not None:
        return None
    quote_id = item.get("quote_id")
    currency = _currency_of(quote_id, rows, plan)
    # The cart was never left, or is none any more.
    if currency is None or not isinstance(quote_id, int):
        return None
    properties = {
        "name": clean(item.get("name")),
        "sku": clean(item.get("sku")),
        "quantity": money.quantity(item.get("qty")),
        "price": money.money(item.get(plan.paid("price"))),
        "amount": money.money(item.get(plan.paid("row_total"))),
        "discount_amount": money.money(item.get(plan.paid("discount_amount"))),
        "currency": currency,
    }
    product = _product_of(item, rows)
    itself = ObjectRef(Kind.CART_OBJECT, quote_id)
    return Rendered(properties, (itself, product) if product is not None else (itself,))


def _currency_of(quote_id: Value, rows: RowReader, plan: Plan) -> str | None:
    """The currency of the line's cart; None if the cart is no object."""
    if open_carts.clock_of(quote_id, rows) is None:
        return None
    placed = open_carts.order_of(quote_id, rows, plan)
    # The shop gives the order the currency of its cart, whose row is not kept.
    if placed is not None:
        return clean(placed.get(plan.paid("order_currency_code")))
    quote = rows.get("quote", quote_id)
    if quote is None or not open_carts.is_open(quote, rows, plan):
        return None
    return clean(quote.get(plan.paid("quote_currency_code")))


def _product_of(item: Row, rows: RowReader) -> ObjectRef | None:
    """The product of a line: a configurable's variant, which its child's row names, else the row's own."""
    product = item.get("product_id")
    if item.get("product_type") == CONFIGURABLE:
        family = rows.find("quote_item", "quote_id", item.get("quote_id"))
        children = [row for row in family if row.get("parent_item_id") == item["item_id"]]
        product = next((child["product_id"] for child in children if child.get("product_id")), product)
    return ObjectRef(Kind.PRODUCT, product) if isinstance(product, int) and product else None


# ------------------------------------------------------------------------------------------- affected objects


def _lines_of_carts(quote_ids: list[Value], rows: RowReader) -> AffectedObjects:
    found = [row for one in quote_ids for row in rows.find("quote_item", "quote_id", one)]
    return refs(Kind.CART_ITEM, dict.fromkeys(row["item_id"] for row in found))


def _of_item(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The line itself, or the line of which the row is a part. A cart's first line makes the cart, and so the other
    lines, and the last one ends them.
    """
    if not change.concerns("item_id", _COLUMNS):
        return ()
    is_moved = change.before is None or change.after is None or len(change.values("quote_id")) > 1
    is_moved = is_moved or change.now().get("parent_item_id") != (change.before or {}).get("parent_item_id")
    own = [*change.values("item_id"), *change.values("parent_item_id")]
    more = _lines_of_carts(change.values("quote_id"), rows) if is_moved else ()
    return dict.fromkeys((*refs(Kind.CART_ITEM, own), *more))


def _of_quote(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _lines_of_carts(change.values("entity_id"), rows) if change.concerns("guest_id", QUOTE_COLUMNS) else ()


def _of_address(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # Only an address can make a cart somebody's.
    return _lines_of_carts(change.values("quote_id"), rows) if change.concerns("guest_id", ADDRESS_COLUMNS) else ()


def _of_order(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    if not change.concerns("guest_id", _ORDER_COLUMNS, plan.filter_columns):
        return ()
    return _lines_of_carts(change.values("quote_id"), rows)


def _of_negotiation(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return _lines_of_carts(change.values("quote_id"), rows)


def _of_clock(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The lines of a cart that became an object, or is none any more; when it changed does not show on them."""
    before, after = ((row or {}).get("is_shown") for row in (change.before, change.after))
    return _lines_of_carts(change.values("quote_id"), rows) if bool(before) != bool(after) else ()


def _of_store(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # A store view decides by a filter alone, and is rarely moved.
    return _everything(plan) if plan.settings.filter.on_orders else ()


# -------------------------------------------------------------------------------------------------- descriptor


def _no_tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    return ()


def _fetches(item_id: int, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """Its own row, which then names the cart."""
    if not plan.settings.carts.as_objects:
        return ()
    item = rows.get("quote_item", item_id)
    quote_id = item.get("quote_id") if item is not None else None
    known = cart.fetches(quote_id, rows, plan) if isinstance(quote_id, int) else ()
    return (FetchByKey("quote_item", "item_id", item_id), *known)


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    return (BulkInvalidation(Kind.CART_ITEM, "quote_item", "item_id"),) if plan.settings.carts.as_objects else ()


def _asked(affects: Affects) -> Affects:
    return partial(if_asked, lambda carts: carts.as_objects, affects)


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.CART_ITEM,
    references=(Kind.CART_OBJECT, Kind.PRODUCT),
    properties=_PROPERTIES,
    tables=_no_tables,  # the descriptor of the deal names them
    render=render,
    affected_by=(
        ("quote_item", _asked(_of_item)),
        ("quote", _asked(_of_quote)),
        ("quote_address", _asked(_of_address)),
        ("sales_order", _asked(_of_order)),
        ("negotiable_quote", _asked(_of_negotiation)),
        (CART_CLOCK, _asked(_of_clock)),
        ("store", _asked(_of_store)),
    ),
    fetches=_fetches,
    everything=_everything,
)
