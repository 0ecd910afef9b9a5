"""DEAL: ``sales_order`` with its payment, invoices, shipments' tracks and the shipped quantities of its items.

Amounts are in the order's currency, or in the website's base currency (``mapping.currency``). An order that was edited
says by number what replaced it: Magento cancels it and places another. total_refunded is the order's own column, so
credit memos need not be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from cdc.model import Rendered, Row, Value
from cdc.protocols import RowReader
from mappers import money, stages, times
from mappers.custom_properties import Extras
from mappers.guests import contact_of
from mappers.objects import contact
from mappers.options import SHIPS_APART
from mappers.plan import Plan
from mappers.scope import order_is_in
from mappers.shop import shop
from mappers.text import clean

PAID: Final = 2  # sales_invoice.state
ENDED: Final = ("canceled", "closed")  # nothing is left to ship, whatever the items say
NOT_SHIPPED: Final = ("virtual", "downloadable")  # sales_order_item.product_type

COLUMNS: Final = frozenset(
    {"increment_id", "store_id", "state", "status", "hold_before_state", "hold_before_status", "customer_id",
     "customer_is_guest", "guest_id", "shipping_method", "coupon_code", "order_currency_code", "grand_total",
     "total_refunded", "tax_amount", "discount_amount", "shipping_amount", "relation_child_real_id",
     "relation_parent_real_id", "created_at"}
)  # fmt: skip
"""The columns of ``sales_order`` that a deal is made from."""

CONTACT_COLUMNS: Final = frozenset(
    {"customer_id", "customer_is_guest", "customer_group_id", "customer_email", "customer_firstname",
     "customer_lastname", "store_id", "created_at"}
)  # fmt: skip
"""The columns of ``sales_order`` that a contact without a customer row is made from."""

ITEM_COLUMNS: Final = frozenset(
    {"order_id", "parent_item_id", "product_type", "is_virtual", "qty_ordered", "qty_shipped", "qty_canceled",
     "qty_refunded", "ship_mode"}
)  # fmt: skip
"""The columns of ``sales_order_item`` that a deal is made from."""


def render(order_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``order-N``: exists with its row, unless that is left out. A deal without an email or customer has no contact."""
    order = rows.get("sales_order", order_id)
    if order is None or not order_is_in(order, rows, plan):
        return None
    number = clean(order.get("increment_id"))
    stage, warning = stages.stage(order, plan.settings.stages, plan.settings.stage_preset)
    properties = {
        "name": f"#{number}" if number else "",
        "amount": money.difference(order.get(plan.paid("grand_total")), order.get(plan.paid("total_refunded"))),
        "currency": clean(order.get(plan.paid("order_currency_code"))),
        "stage": stage,
        "order_number": number,
        "created_at": times.epoch_ms(order.get("created_at")),
        "closed_at": _closed_at(rows.find("sales_invoice", "order_id", order_id)),
        "tax_amount": money.money(order.get(plan.paid("tax_amount"))),
        "discount_amount": money.positive(order.get(plan.paid("discount_amount"))),
        "shipping_amount": money.money(order.get(plan.paid("shipping_amount"))),
        "coupon_code": clean(order.get("coupon_code")),
        "payment_method": _payment_method(rows.find("sales_order_payment", "parent_id", order_id)),
        "shipping_method": clean(order.get("shipping_method")),
        "tracking_numbers": _tracking(rows.find("sales_shipment_track", "order_id", order_id)),
        "store": shop(rows, plan).store_code(order.get("store_id")),
        "state": clean(order.get("state")),
        "status": clean(order.get("status")),
        "on_hold": _truth(order.get("state") == stages.HELD),
        "partially_shipped": _truth(
            order.get("state") not in ENDED and partially_shipped(rows.find("sales_order_item", "order_id", order_id))
        ),
        "replaced_by": clean(order.get("relation_child_real_id")),
        "replaces": clean(order.get("relation_parent_real_id")),
    }
    own, warnings = plan.deal.of(order, rows)
    for kind, extras in (("billing", plan.billing), ("shipping", plan.shipping)):
        if extras.names:
            found, stale_tables = _of_address(kind, order_id, rows, extras)
            own |= found
            warnings += stale_tables
    owner = contact_of(order, deleted_are_guests=plan.settings.deleted_customers == "guest")
    return Rendered(properties | own, (owner,) if owner else (), (warning, *warnings) if warning else warnings)


def _of_address(kind: str, order_id: int, rows: RowReader, extras: Extras) -> tuple[dict[str, str], tuple[str, ...]]:
    address = contact.address_of(order_id, kind, rows)
    return extras.of(address, rows) if address is not None else (extras.empty(), ())


def partially_shipped(items: Sequence[Row]) -> bool:
    """Whether some but not all of the shippable quantity of these rows (one order's) has shipped.

    The quantity counts on the parent, but on the children of a bundle that ships separately. What can still ship is
    Magento's own rule: ordered - the greater of shipped and refunded - canceled.
    """
    if all(money.is_zero(item.get("qty_shipped")) for item in items):
        return False  # nearly every order that is new
    counted = list(_shipping_rows(items))
    return any(not money.is_zero(row.get("qty_shipped")) for row in counted) and any(map(_can_ship, counted))


def _shipping_rows(items: Sequence[Row]) -> Iterable[Row]:
    children: dict[Value, list[Row]] = defaultdict(list)
    for item in items:
        if item.get("parent_item_id") is not None:
            children[item["parent_item_id"]].append(item)
    for item in items:
        if item.get("parent_item_id") is None:
            parts = children.get(item["item_id"])
            counted = parts if parts and item.get("ship_mode") == SHIPS_APART else (item,)
            yield from (row for row in counted if not _is_virtual(row))


def _is_virtual(item: Row) -> bool:
    return item.get("is_virtual") == 1 or item.get("product_type") in NOT_SHIPPED


def _can_ship(item: Row) -> bool:
    used = max(money.number(item.get("qty_shipped")), money.number(item.get("qty_refunded")))
    return money.number(item.get("qty_ordered")) - used > money.number(item.get("qty_canceled"))


def _closed_at(invoices: Iterable[Row]) -> str:
    """created_at of the earliest paid invoice."""
    paid = (times.epoch_ms(row.get("created_at")) for row in invoices if row.get("state") == PAID)
    return min((moment for moment in paid if moment), key=int, default="")


def _payment_method(payments: Iterable[Row]) -> str:
    """Magento writes one payment row per order; should there be more, the newest counts."""
    method = ""
    for row in payments:
        method = clean(row.get("method"))
    return method


def _tracking(tracks: Iterable[Row]) -> str:
    numbers = (clean(row.get("track_number")) for row in tracks)
    return clean(", ".join(number for number in numbers if number))


def _truth(value: bool) -> str:
    return "true" if value else "false"
