"""Shared by customers and guests: address properties, newsletter status, and a contact made from an order alone.

Pure. Tables: ``customer_address_entity`` and ``sales_order_address`` (same column names), ``newsletter_subscriber``,
``sales_order``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, Row, Value
from cdc.protocols import RowReader
from cdc.settings.mapping_columns import PropertyType
from mappers.guests import address_of
from mappers.objects.descriptor import Property
from mappers.plain_columns import PlainColumns
from mappers.plan import Plan
from mappers.row_changes import RowChange
from mappers.shop import Shop
from mappers.text import clean, lines

NEWSLETTER: Final = {1: "subscribed", 2: "not_active", 3: "unsubscribed", 4: "unconfirmed"}
"""``newsletter_subscriber.subscriber_status``: 2 is an opt-in mail without an answer, 4 is an account without
confirmation.
"""

CONTACT_COLUMNS: Final = frozenset(
    {"customer_id", "customer_is_guest", "customer_group_id", "customer_email", "customer_firstname",
     "customer_lastname", "store_id", "created_at"}
)  # fmt: skip
"""The columns of ``sales_order`` for a contact without a customer row."""

ADDRESS_COLUMNS: Final = {
    "phone": "telephone",
    "company": "company",
    "address": "street",
    "city": "city",
    "state": "region",
    "zip": "postcode",
    "country": "country_id",
}
"""Property → column of an address row."""

SHARED: Final = {
    "customer_group": Property(PropertyType.TEXT, "customer_group.customer_group_code"),
    "website": Property(PropertyType.TEXT, "store_website.code"),
    "newsletter": Property(
        PropertyType.TEXT, "newsletter_subscriber.subscriber_status", ("none", *NEWSLETTER.values())
    ),
}
"""Properties that customers and guests make from the same columns."""

OF_ADDRESS: Final = PlainColumns(
    {name: (column, lines if column == "street" else clean) for name, column in ADDRESS_COLUMNS.items()}
)

_NOWHERE: Final[Row] = {}


def address(row: Row | None) -> dict[str, str]:
    """The properties of an address row; all empty without a row. ``country`` is the ISO code as stored."""
    return OF_ADDRESS.of(row or _NOWHERE)


def newsletter(subscribers: Iterable[Row]) -> str:
    """The status of the newest of these rows (in key order): one email may be subscribed per website."""
    status = "none"
    for row in subscribers:
        status = NEWSLETTER.get(row.get("subscriber_status"), "none")  # type: ignore[arg-type]  # any value may come
    return status


def order_address(order_id: Value, kind: str, rows: RowReader) -> Row | None:
    """The order's ``billing`` or ``shipping`` address row; the newest if there are several."""
    found = None
    for row in rows.find("sales_order_address", "parent_id", order_id):
        if row.get("address_type") == kind:
            found = row
    return found


def nobody() -> dict[str, str]:
    """The properties that ``from_order`` gives, all without a value."""
    return {"email": "", "firstname": "", "lastname": "", **address(None), "customer_group": "", "website": ""}


def from_order(order: Row, rows: RowReader, shop: Shop) -> dict[str, str]:
    """A contact's properties from one order, without the newsletter. Names are the order's, else its
    billing address's.
    """
    billing = order_address(order["entity_id"], "billing", rows)
    named = billing or _NOWHERE
    return {
        "email": address_of(order.get("customer_email")),
        "firstname": clean(order.get("customer_firstname")) or clean(named.get("firstname")),
        "lastname": clean(order.get("customer_lastname")) or clean(named.get("lastname")),
        **address(billing),
        "customer_group": shop.group_code(order.get("customer_group_id")),
        "website": shop.website_code_of(order.get("store_id")),
    }


def order_bears_on_contact(change: RowChange, plan: Plan) -> bool:
    """Whether a changed ``sales_order`` row may change a contact that is made from orders."""
    return change.concerns("guest_id", CONTACT_COLUMNS, plan.filter_columns)


def orders_of_billing_address(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[Row]:
    """The orders whose billing address is the changed ``sales_order_address`` row."""
    if "billing" not in change.values("address_type"):
        return ()
    held = (rows.get("sales_order", order_id) for order_id in change.values("parent_id"))
    return [order for order in held if order is not None]


def of_orders(kind: Kind, id_column: str, column: str, value: Value) -> BulkInvalidation:
    """The contacts of this kind that orders with this value in a column name."""
    return BulkInvalidation(kind, "sales_order", id_column, column, value)


def stores_of(website: Row, rows: RowReader) -> list[Value]:
    """The ids of a website's store views."""
    return [store["store_id"] for store in rows.find("store", "website_id", website.get("website_id"))]


def fetch_address_of(order: Row | None) -> tuple[FetchByKey, ...]:
    """The rows of an order's addresses; nothing without an order."""
    return (FetchByKey("sales_order_address", "parent_id", order["entity_id"]),) if order is not None else ()
