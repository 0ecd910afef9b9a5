"""CART: a cart as HubSpot's own object for carts (``mapping.carts.as`` "cart" or "both").

It exists from the time on when the cart was first abandoned, while the cart is open (``open_carts.py``). When an order
comes, the cart stays as the history of the purchase: in the status "completed", linked to the order's deal, with the
order's amounts. What only the quote tells (items, images, times) is not rendered any more, so HubSpot keeps it, also
after the shop has deleted the quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, TableSpec
from cdc.protocols import CART_CLOCK, RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers import money
from mappers.objects import address_contacts, cart, cart_changes, open_carts
from mappers.objects.cart_changes import if_asked
from mappers.objects.descriptor import ObjectDescriptor, Property
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange, refs
from mappers.shop import shop
from mappers.text import clean

ABANDONED: Final = "abandoned"
PENDING: Final = "pending"
COMPLETED: Final = "completed"

_ORDER_COLUMNS: Final = frozenset(
    {"quote_id", "increment_id", "store_id", "customer_id", "customer_is_guest", "guest_id", "coupon_code",
     "order_currency_code", "grand_total", "discount_amount"}
)  # fmt: skip
"""The columns of ``sales_order`` for the cart that was ordered; an order's states do not show on it."""

_TEXT, _MONEY = PropertyType.TEXT, PropertyType.MONEY
_PROPERTIES: Final = {
    "name": Property(_TEXT, "quote.entity_id"),
    "cart_id": Property(_TEXT, "quote.entity_id"),
    "amount": Property(_MONEY, "quote.{grand_total}, then sales_order.{grand_total}"),
    "currency": Property(_TEXT, "quote.{quote_currency_code}, then sales_order.{order_currency_code}"),
    "status": Property(_TEXT, "quote: abandoned, or pending after a later change; completed by an order"),
    "discount_amount": Property(_MONEY, "quote_item.{discount_amount}, then sales_order.{discount_amount}"),
    "created_at": Property(PropertyType.DATETIME, "quote.created_at"),
    "coupon_code": Property(_TEXT, "quote.coupon_code, then sales_order.coupon_code"),
    "store": Property(_TEXT, "store.code"),
    "order_number": Property(_TEXT, "sales_order.increment_id"),
}


def render(quote_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``cart_object-N``: see above."""
    if not plan.settings.carts.as_objects:
        return None
    clock = open_carts.clock_of(quote_id, rows)
    # The cheap look first: nearly all carts of a shop were never abandoned with an address.
    if clock is None:
        return None
    placed = open_carts.order_of(quote_id, rows, plan)
    if placed is not None:
        return _ordered(quote_id, placed, rows, plan)
    quote = rows.get("quote", quote_id)
    if quote is None or not open_carts.is_open(quote, rows, plan):
        return None
    return _open(quote_id, quote, clock, rows, plan)


def _open(quote_id: int, quote: Row, clock: Row, rows: RowReader, plan: Plan) -> Rendered:
    lines = open_carts.lines_of(quote_id, rows)
    properties = {
        **cart.shared_properties(quote, clock, rows, plan),
        "cart_id": str(quote_id),
        "status": ABANDONED if clock.get("abandoned_ms") else PENDING,
        "discount_amount": money.total(row.get(plan.paid("discount_amount")) for row in lines),
        "order_number": "",
    }
    owner = open_carts.contact_of(quote, open_carts.email_of(quote, rows), rows, plan)
    deal = ObjectRef(Kind.CART, quote_id) if plan.settings.carts.as_deals else None
    return Rendered(properties, tuple(one for one in (owner, deal) if one is not None))


def _ordered(quote_id: int, placed: Row, rows: RowReader, plan: Plan) -> Rendered:
    properties = {
        "name": f"Cart {quote_id}",
        "cart_id": str(quote_id),
        "amount": money.money(placed.get(plan.paid("grand_total"))),
        "currency": clean(placed.get(plan.paid("order_currency_code"))),
        "status": COMPLETED,
        "discount_amount": money.positive(placed.get(plan.paid("discount_amount"))),
        "coupon_code": clean(placed.get("coupon_code")),
        "store": shop(rows, plan).store_code(placed.get("store_id")),
        "order_number": clean(placed.get("increment_id")),
        # A link that brings a cart back is of no use once the cart is bought.
        "cart_url": "",
    }
    owner = address_contacts.contact_of(placed, rows, plan)
    deal = ObjectRef(Kind.ORDER, placed["entity_id"])  # type: ignore[arg-type]  # an integer key
    return Rendered(properties, (owner, deal) if owner is not None else (deal,))


# ------------------------------------------------------------------------------------------- affected objects


def _of_order(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The cart of an order, if a column changed that the cart shows."""
    if not change.concerns("guest_id", _ORDER_COLUMNS, plan.filter_columns, plan.base_columns):
        return ()
    return refs(Kind.CART_OBJECT, change.values("quote_id"))


def _of_discount(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    columns = frozenset({"discount_amount", "base_discount_amount"})
    return refs(Kind.CART_OBJECT, change.values("quote_id")) if change.concerns("item_id", columns) else ()


def _of_store(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # Carts that were ordered have no row of ``quote`` any more.
    yield BulkInvalidation(Kind.CART_OBJECT, CART_CLOCK, "quote_id", unless=("quote", "entity_id"))


# -------------------------------------------------------------------------------------------------- descriptor


def _switched_on(settings: MappingSettings) -> Mapping[str, Property]:
    return {**_PROPERTIES, **cart.shown_properties()} if settings.carts.as_objects else {}


def _no_tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    return ()


def _fetches(quote_id: int, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    placed = open_carts.order_of(quote_id, rows, plan) if plan.settings.carts.as_objects else None
    of_buyer = address_contacts.fetches_of_order(placed, rows, plan) if placed is not None else ()
    return (*cart.fetches(quote_id, rows, plan), *of_buyer)


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    if not plan.settings.carts.as_objects:
        return ()
    return (
        BulkInvalidation(Kind.CART_OBJECT, "quote", "entity_id"),
        BulkInvalidation(Kind.CART_OBJECT, CART_CLOCK, "quote_id", unless=("quote", "entity_id")),
    )


def _asked(affects: Affects) -> Affects:
    return partial(if_asked, lambda carts: carts.as_objects, affects)


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.CART_OBJECT,
    references=(Kind.CUSTOMER, Kind.GUEST, Kind.CART, Kind.ORDER),
    properties={},  # without the setting no table is read that any of them is made from
    tables=_no_tables,  # the descriptor of the deal names them
    render=render,
    affected_by=(
        *cart_changes.affected_by(Kind.CART_OBJECT, lambda carts: carts.as_objects),
        ("sales_order", _asked(_of_order)),
        ("quote_item", _asked(_of_discount)),
        ("store", _asked(_of_store)),
        *((table, _asked(affects)) for table, affects in address_contacts.affected_by(Kind.CART_OBJECT)),
    ),
    fetches=_fetches,
    everything=_everything,
    switched_on=_switched_on,
)
