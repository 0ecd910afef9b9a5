"""What customers and guests share: address properties, newsletter status, and a contact made from an order alone.

Pure. Tables: ``customer_address_entity`` and ``sales_order_address`` (same column names), ``newsletter_subscriber``,
``sales_order``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cdc.model import Row, Value
from cdc.protocols import RowReader
from mappers.shop import Shop
from mappers.text import clean, lines

NEWSLETTER: Final = {1: "subscribed", 2: "not_active", 3: "unsubscribed", 4: "unconfirmed"}
"""``newsletter_subscriber.subscriber_status``; 2 is an opt-in mail not answered, 4 an account not confirmed."""

_NOWHERE: Final[Row] = {}


def email(value: object) -> str:
    """An address in lower case: HubSpot tells contacts apart by it."""
    return clean(value).lower() if isinstance(value, str) else ""


def address(row: Row | None) -> dict[str, str]:
    """The properties of an address row; all empty without one. ``country`` is the ISO code as stored."""
    row = row or _NOWHERE
    return {
        "phone": clean(row.get("telephone")),
        "company": clean(row.get("company")),
        "address": lines(row.get("street")),
        "city": clean(row.get("city")),
        "state": clean(row.get("region")),
        "zip": clean(row.get("postcode")),
        "country": clean(row.get("country_id")),
    }


def newsletter(subscribers: Iterable[Row]) -> str:
    """The status of the newest of these rows (in key order): one email may be subscribed per website."""
    status = "none"
    for row in subscribers:
        status = NEWSLETTER.get(row.get("subscriber_status"), "none")  # type: ignore[arg-type]  # any value may come
    return status


def address_of(order_id: Value, kind: str, rows: RowReader) -> Row | None:
    """The order's ``billing`` or ``shipping`` address row (the newest, should there be several)."""
    found = None
    for row in rows.find("sales_order_address", "parent_id", order_id):
        if row.get("address_type") == kind:
            found = row
    return found


def nobody() -> dict[str, str]:
    """The properties that ``from_order`` gives, all empty."""
    return {"email": "", "firstname": "", "lastname": "", **address(None), "customer_group": "", "website": ""}


def from_order(order: Row, rows: RowReader, shop: Shop) -> dict[str, str]:
    """All of a contact that one order tells, but the newsletter: names are the order's, else its billing address's."""
    billing = address_of(order["entity_id"], "billing", rows)
    named = billing or _NOWHERE
    return {
        "email": email(order.get("customer_email")),
        "firstname": clean(order.get("customer_firstname")) or clean(named.get("firstname")),
        "lastname": clean(order.get("customer_lastname")) or clean(named.get("lastname")),
        **address(billing),
        "customer_group": shop.group_code(order.get("customer_group_id")),
        "website": shop.website_code_of(order.get("store_id")),
    }
