"""Which carts are open, whose they are, and what a contact shows of them. Pure.

A cart is a ``quote``. It is open while it is active, has an item and an email address, is in scope, is no negotiable
quote, and no order was placed from it. An open cart becomes an object once it was abandoned: the table ``cart_clock``
says so. No table of the shop does, as nothing happens there when a shopper leaves. The daemon writes that table
(``cdc/replica/cart_clock.py``), and rendering reads it like any other row.

A cart belongs to the contact of its account, else to the contact of the address that was typed at the checkout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final
from urllib.parse import quote as url_quoted

from cdc.model import BulkInvalidation, Kind, ObjectRef, Row, Value
from cdc.protocols import CART_CLOCK, RowReader
from cdc.settings.carts import MASKED_ID, QUOTE_ID
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_switches import CARTS_OF_CONTACTS
from mappers import times
from mappers.guests import address_of, guest_id
from mappers.objects import address_contacts, contact
from mappers.objects.descriptor import Property
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange
from mappers.scope import customer_in_scope, newest_orders, order_in_scope
from mappers.shop import Shop
from mappers.text import clean

QUOTE_COLUMNS: Final = frozenset(
    {"store_id", "is_active", "customer_id", "customer_email", "customer_firstname", "customer_lastname",
     "customer_group_id", "quote_currency_code", "base_currency_code", "grand_total", "base_grand_total", "coupon_code",
     "created_at"}
)  # fmt: skip
"""The columns of ``quote`` that decide what is sent. A changed ``updated_at`` alone changes nothing."""

ADDRESS_COLUMNS: Final = frozenset(
    {"quote_id", "address_type", "email", "firstname", "lastname", *contact.ADDRESS_COLUMNS.values()}
)
"""The columns of ``quote_address`` that decide what is sent: no totals, no shipping rates."""

_SOURCES: Final = {
    "cart_open": "quote: an abandoned cart without an order",
    "cart_url": "restore_url of the settings, with the id of the cart",
    "cart_changed_at": "quote, quote_item: the last change of what is sent",
}
"""Property of contacts → what it is made from; all are empty while the contact has no abandoned cart."""


def properties(settings: MappingSettings) -> dict[str, Property]:
    """The properties of contacts that the settings ask for, with their sources."""
    return (
        {name: Property(of, _SOURCES[name]) for name, of in CARTS_OF_CONTACTS.items()} if settings.carts.enabled else {}
    )


def email_of(quote: Row, rows: RowReader) -> str:
    """The cart's address: the account's, else the one typed at the checkout (the billing address's wins); "" without
    any.
    """
    known = address_of(quote.get("customer_email"))
    if known:
        return known
    typed = ""
    for row in rows.find("quote_address", "quote_id", quote["entity_id"]):
        address = address_of(row.get("email"))
        if address and (not typed or row.get("address_type") == "billing"):
            typed = address
    return typed


def lines_of(quote_id: Value, rows: RowReader) -> list[Row]:
    """The cart's lines: a configurable's or bundle's children are part of their parent's line."""
    return [row for row in rows.find("quote_item", "quote_id", quote_id) if row.get("parent_item_id") is None]


def is_open(quote: Row, rows: RowReader, plan: Plan) -> bool:
    """Whether the cart may become an object, or is one."""
    quote_id = quote["entity_id"]
    # Most carts end here: nobody has said who fills them.
    if quote.get("is_active") != 1 or not email_of(quote, rows):
        return False
    # An order ends its cart for good, whatever becomes of the quote or of the order.
    if rows.find("sales_order", "quote_id", quote_id):
        return False
    # A price that is being negotiated is no cart that somebody left.
    negotiable = rows.get("negotiable_quote", quote_id)
    # Without the column the row is NULL there, and every such row is of a negotiated quote.
    if negotiable is not None and negotiable.get("is_regular_quote") != 0:
        return False
    return bool(lines_of(quote_id, rows)) and order_in_scope(quote, rows, plan)


def order_of(quote_id: Value, rows: RowReader, plan: Plan) -> Row | None:
    """The first order in scope that was placed from the cart; it stands for the whole purchase."""
    placed = rows.find("sales_order", "quote_id", quote_id)
    return next((row for row in placed if order_in_scope(row, rows, plan)), None)


def clock_of(quote_id: Value, rows: RowReader) -> Row | None:
    """The cart's row of ``cart_clock`` if the cart was ever abandoned since it is open."""
    held = rows.get(CART_CLOCK, quote_id)
    return held if held is not None and held.get("is_shown") else None


def contact_of(quote: Row, email: str, rows: RowReader, plan: Plan) -> ObjectRef | None:
    """The contact to whom a cart with this address belongs; None if the filter leaves that contact out."""
    customer_id = quote.get("customer_id")
    customer = rows.get("customer_entity", customer_id) if customer_id else None
    # Without the account's row the address is all that is known of the buyer.
    address = guest_id(email) if customer is None else address_contacts.hash_of(customer)
    # Where one contact stands for an address, other accounts with it come first.
    if plan.contacts_by_email and address is not None:
        found = address_contacts.customer_of_address(address, rows, plan)
        if found is not None:
            return found
    if customer is not None:
        itself = ObjectRef(Kind.CUSTOMER, customer["entity_id"])  # type: ignore[arg-type]  # an integer key
        return itself if customer_in_scope(customer, rows, plan) else None
    return ObjectRef(Kind.GUEST, address) if address is not None else None


def url_of(quote_id: Value, rows: RowReader, plan: Plan) -> str:
    """The address that brings the cart back; "" if it needs a masked id and the cart has none."""
    url = plan.settings.carts.restore_url
    if MASKED_ID in url:
        masked = ""
        for row in rows.find("quote_id_mask", "quote_id", quote_id):
            masked = clean(row.get("masked_id")) or masked
        # Without it the address would lead nowhere.
        if not masked:
            return ""
        url = url.replace(MASKED_ID, url_quoted(masked, safe=""))
    return url.replace(QUOTE_ID, str(quote_id))


# ------------------------------------------------------------------------------------------------- on contacts


def newest_cart(ref: ObjectRef, rows: RowReader, plan: Plan, older_than_ms: int = -1) -> Row | None:
    """The contact's abandoned cart that changed last: its ``quote``; None without one, or if it is as old as
    ``older_than_ms``.
    """
    best: Row | None = None
    best_at: tuple[Value, Value] = (older_than_ms, 0)
    for quote in _quotes_of(ref, rows, plan):
        clock = clock_of(quote["entity_id"], rows)
        if clock is None or not is_open(quote, rows, plan):
            continue
        at = (clock["changed_ms"], quote["entity_id"])
        # An address may have been typed that is another contact's by now.
        if at > best_at and contact_of(quote, email_of(quote, rows), rows, plan) == ref:
            best, best_at = quote, at
    return best


def _quotes_of(ref: ObjectRef, rows: RowReader, plan: Plan) -> Iterator[Row]:
    """The quotes that may be a contact's; some may come twice, and some may be another's."""
    address: Value = ref.id
    if ref.kind is Kind.CUSTOMER:
        yield from rows.find("quote", "customer_id", ref.id)
        row = rows.get("customer_entity", ref.id) if plan.contacts_by_email else None
        # Only where one contact stands for an address do other accounts and guests count.
        if row is None:
            return
        address = address_contacts.hash_of(row)
        for other in rows.find("customer_entity", "email_hash", address):
            if other["entity_id"] != ref.id:
                yield from rows.find("quote", "customer_id", other["entity_id"])
    yield from quotes_of_address(address, rows)


def quotes_of_address(address: Value, rows: RowReader) -> Iterator[Row]:
    """The quotes with the address of this hash, the account's or a typed one."""
    if address is None:
        return
    yield from rows.find("quote", "guest_id", address)
    for row in rows.find("quote_address", "guest_id", address):
        held = rows.get("quote", row["quote_id"])
        if held is not None:
            yield held


def of_contact(ref: ObjectRef, rows: RowReader, plan: Plan) -> dict[str, str]:
    """The contact's properties of its newest abandoned cart; nothing where carts are not sent."""
    if not plan.settings.carts.enabled:
        return {}
    # Who has ordered since has no cart to be reminded of: on another device, the same cart is another quote.
    quote = newest_cart(ref, rows, plan, _ordered_ms(ref, rows, plan))
    if quote is None:
        return dict.fromkeys(CARTS_OF_CONTACTS, "")
    clock = clock_of(quote["entity_id"], rows)
    assert clock is not None, "the newest cart has a clock"
    return {
        "cart_open": "true",
        "cart_url": url_of(quote["entity_id"], rows, plan),
        "cart_changed_at": str(clock["changed_ms"]),
    }


def _ordered_ms(ref: ObjectRef, rows: RowReader, plan: Plan) -> int:
    """When the contact last placed an order in scope, epoch milliseconds; -1 if never."""
    found: list[Row | None] = []
    address: Value = ref.id
    if ref.kind is Kind.CUSTOMER:
        found.append(next(newest_orders("customer_id", ref.id, rows, plan), None))
        row = rows.get("customer_entity", ref.id) if plan.contacts_by_email else None
        address = address_contacts.hash_of(row) if row is not None else None
    if isinstance(address, str):
        found.append(next(newest_orders("guest_id", address, rows, plan), None))
    return max((int(times.epoch_ms(one.get("created_at")) or -1) for one in found if one is not None), default=-1)


def guest_from_cart(guest: str, rows: RowReader, plan: Plan, shop: Shop) -> dict[str, str] | None:
    """A contact's properties from the newest abandoned cart, without the newsletter; None without one."""
    if not plan.settings.carts.enabled:
        return None
    quote = newest_cart(ObjectRef(Kind.GUEST, guest), rows, plan)
    if quote is None:
        return None
    billing: Row = {}
    for row in rows.find("quote_address", "quote_id", quote["entity_id"]):
        if row.get("address_type") == "billing":
            billing = row
    return {
        "email": email_of(quote, rows),
        "firstname": clean(quote.get("customer_firstname")) or clean(billing.get("firstname")),
        "lastname": clean(quote.get("customer_lastname")) or clean(billing.get("lastname")),
        **contact.address(billing),
        "customer_group": shop.group_code(quote.get("customer_group_id")),
        "website": shop.website_code_of(quote.get("store_id")),
    }


# ------------------------------------------------------------------------------------------- affected objects


def _of_quote(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    if not change.concerns("guest_id", QUOTE_COLUMNS):
        return ()
    return [ref for row in change.rows() for ref in _contacts(row, (email_of(row, rows),), rows, plan)]


def _of_address(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    if not change.concerns("guest_id", ADDRESS_COLUMNS):
        return ()
    found: list[ObjectRef] = []
    for quote_id in change.values("quote_id"):
        quote = rows.get("quote", quote_id)
        if quote is not None:
            emails = (email_of(quote, rows), *(address_of(row.get("email")) for row in change.rows()))
            found += _contacts(quote, emails, rows, plan)
    return found


def _of_part(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    """The contact of the cart that the row names: an order closes it, and so does the end of its last line."""
    before, after = change.before, change.after
    parts = ("quote_id", "parent_item_id", "masked_id", "is_regular_quote")
    # What a line costs shows on no contact; how often the cart changes, the clock tells.
    if before is not None and after is not None and all(before.get(name) == after.get(name) for name in parts):
        return ()
    quotes = (rows.get("quote", quote_id) for quote_id in change.values("quote_id"))
    held = (quote for quote in quotes if quote is not None)
    return [ref for quote in held for ref in _contacts(quote, (email_of(quote, rows),), rows, plan)]


def _of_order(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    """The contacts of an order: it makes their carts old. A contact without a cart shows nothing of it."""
    if not contact.order_bears_on_contact(change, plan):
        return ()
    found = {ObjectRef(Kind.CUSTOMER, one): None for one in change.values("customer_id") if isinstance(one, int)}
    for row in change.rows():
        address = guest_id(row.get("customer_email"))
        if address is not None:
            found[ObjectRef(Kind.GUEST, address)] = None
            stands = address_contacts.customer_of_address(address, rows, plan) if plan.contacts_by_email else None
            found |= {stands: None} if stands is not None else {}
    return [ref for ref in found if newest_cart(ref, rows, plan) is not None]


def _of_clock(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    # A cart that was never abandoned shows on no contact.
    if not any(row.get("is_shown") for row in change.rows()):
        return ()
    quotes = (rows.get("quote", quote_id) for quote_id in change.values("quote_id"))
    return [
        ref
        for quote in quotes
        if quote is not None
        for ref in _contacts(quote, (email_of(quote, rows),), rows, plan, is_shown=True)
    ]


def _contacts(
    quote: Row, emails: Sequence[str], rows: RowReader, plan: Plan, *, is_shown: bool = False
) -> Iterator[ObjectRef]:
    """The contacts of the cart under these addresses, if the cart shows on contacts."""
    if not is_shown and clock_of(quote.get("entity_id"), rows) is None:
        return
    for email in dict.fromkeys(emails):
        found = contact_of(quote, email, rows, plan)
        if found is not None:
            yield found


def _of_customer(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    """The contacts of the addresses of a customer's carts: such a cart is theirs while the customer has no row."""
    # Which contact an address has, and what that contact shows, is told by other functions.
    if change.before is not None and change.after is not None:
        return ()
    quotes = [row for one in change.values("entity_id") for row in rows.find("quote", "customer_id", one)]
    hashes = [guest for quote in quotes if (guest := guest_id(email_of(quote, rows))) is not None]
    found = [ObjectRef(Kind.GUEST, guest) for guest in hashes]
    if not plan.contacts_by_email:
        return found
    others = (address_contacts.customer_of_address(guest, rows, plan) for guest in hashes)
    return [*found, *(other for other in others if other is not None)]


_Read = Callable[[RowChange, RowReader, Plan], Sequence[ObjectRef]]
_READS: Final[tuple[tuple[str, _Read], ...]] = (
    ("quote", _of_quote),
    ("quote_address", _of_address),
    (CART_CLOCK, _of_clock),
    ("customer_entity", _of_customer),
    ("sales_order", _of_order),
    *((table, _of_part) for table in ("quote_item", "quote_id_mask", "negotiable_quote", "sales_order")),
)


def _affected(kind: Kind, read: _Read, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    return [ref for ref in change.once(read, rows, plan) if ref.kind is kind]


def contacts_affected_by(kind: Kind) -> tuple[tuple[str, Affects], ...]:
    """Table → the contacts of this kind whose cart a row of that table changes."""
    return tuple((table, partial(_affected, kind, read)) for table, read in _READS)


def every_guest(plan: Plan, column: str = "", value: Value = None) -> tuple[BulkInvalidation, ...]:
    """Every guest whom only a cart may know, or those whose cart has this value in a column of ``quote``."""
    if not plan.settings.carts.enabled:
        return ()
    # An address that was typed at the checkout stands in another table, without that column.
    return (
        BulkInvalidation(Kind.GUEST, "quote", "guest_id", column, value),
        BulkInvalidation(Kind.GUEST, "quote_address", "guest_id"),
    )
