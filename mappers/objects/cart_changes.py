"""The carts that a changed row affects, as deals (``cart.py``) and as HubSpot's carts (``cart_object.py``). Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from cdc.model import BulkInvalidation, Kind
from cdc.protocols import CART_CLOCK, RowReader
from cdc.settings.carts import CartMapping
from mappers.objects import address_contacts, cart_images, open_carts
from mappers.objects.open_carts import ADDRESS_COLUMNS, QUOTE_COLUMNS
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange, refs

ITEM_COLUMNS: Final = frozenset(
    {"quote_id", "parent_item_id", "product_id", "sku", "name", "qty", "price", "base_price"}
)
"""The columns of ``quote_item`` for a cart."""

IsAsked = Callable[[CartMapping], bool]
"""Whether the settings ask for a kind of object."""


def affected_by(kind: Kind, is_asked: IsAsked) -> tuple[tuple[str, Affects], ...]:
    """Table → the carts of this kind that a row of that table affects."""
    own: tuple[tuple[str, Affects], ...] = (
        ("quote", partial(_of_quote, kind)),
        ("quote_item", partial(_of_item, kind)),
        ("quote_address", partial(_of_address, kind)),
        ("quote_id_mask", partial(_named, kind)),
        ("negotiable_quote", partial(_named, kind)),
        (CART_CLOCK, partial(_named, kind)),
        ("sales_order", partial(_of_order, kind)),
        ("store", partial(_of_store, kind)),
        ("customer_entity", partial(_of_customer, kind)),
        *address_contacts.of_addresses(partial(_of_contacts, kind)),
        *cart_images.affected_by(kind),
    )
    return tuple((table, partial(if_asked, is_asked, affects)) for table, affects in own)


def if_asked(is_asked: IsAsked, affects: Affects, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """What ``affects`` names; nothing where the settings do not ask for such objects, as their tables are not read."""
    return affects(change, rows, plan) if is_asked(plan.settings.carts) else ()


def _named(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return refs(kind, change.values("quote_id"))


def _of_quote(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # Every page of the checkout saves the quote; most of these saves change nothing that is sent.
    return refs(kind, change.values("entity_id")) if change.concerns("guest_id", QUOTE_COLUMNS) else ()


def _of_item(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return refs(kind, change.values("quote_id")) if change.concerns("item_id", ITEM_COLUMNS) else ()


def _of_address(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # Totals and shipping rates are written into it all the time.
    return refs(kind, change.values("quote_id")) if change.concerns("guest_id", ADDRESS_COLUMNS) else ()


def _of_order(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """An order's cart: only the order's coming and going counts."""
    before, after = change.before, change.after
    if before is not None and after is not None and before.get("quote_id") == after.get("quote_id"):
        return ()
    return refs(kind, change.values("quote_id"))


def _of_store(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    yield BulkInvalidation(kind, "quote", "entity_id", "store_id", change.now().get("store_id"))


def _of_contacts(kind: Kind, address: str, rows: RowReader) -> AffectedObjects:
    """The carts of all customers of the address, and those with the address itself."""
    found = [quote["entity_id"] for quote in open_carts.quotes_of_address(address, rows)]
    for customer in rows.find("customer_entity", "email_hash", address):
        found += [quote["entity_id"] for quote in rows.find("quote", "customer_id", customer["entity_id"])]
    return refs(kind, dict.fromkeys(found))


def _of_customer(kind: Kind, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The carts of a customer: its row says whose they are, and whether a filter leaves that contact out."""
    quotes = [row for one in change.values("entity_id") for row in rows.find("quote", "customer_id", one)]
    return refs(kind, [quote["entity_id"] for quote in quotes])
