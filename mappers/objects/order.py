"""DEAL: ``sales_order`` with its payment, invoices, shipments' tracks and the shipped quantities of its items.

Amounts are in the order's currency, or in the website's base currency (``mapping.currency``). When an order is edited,
Magento cancels it and places a new order; the old order has the number of the new one. total_refunded is the order's
own column, so credit memos need not be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, RowsUsed, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers import customer_value, money, stages, times
from mappers.currency import in_chosen_currency
from mappers.custom_properties import ColumnGroup
from mappers.guests import guest_id, possible_guest
from mappers.objects import address_contacts, contact, open_carts
from mappers.objects.descriptor import Name, ObjectDescriptor, Property
from mappers.options import SHIPS_APART
from mappers.plain_columns import PlainColumns
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, RowChange, named_in, refs
from mappers.scope import order_in_scope
from mappers.shop import shop
from mappers.text import clean

PAID: Final = 2  # sales_invoice.state
ENDED: Final = ("canceled", "closed")  # nothing is left to ship, whatever the items say
NOT_SHIPPED: Final = ("virtual", "downloadable")  # sales_order_item.product_type

COLUMNS: Final = frozenset(
    {"increment_id", "store_id", "state", "status", "hold_before_state", "hold_before_status", "customer_id",
     "customer_is_guest", "quote_id", "guest_id", "shipping_method", "coupon_code", "order_currency_code",
     "grand_total", "total_refunded", "tax_amount", "discount_amount", "shipping_amount", "relation_child_real_id",
     "relation_parent_real_id", "created_at"}
)  # fmt: skip
"""The columns of ``sales_order`` for a deal."""

ITEM_COLUMNS: Final = frozenset(
    {"order_id", "parent_item_id", "product_type", "is_virtual", "qty_ordered", "qty_shipped", "qty_canceled",
     "qty_refunded", "ship_mode"}
)  # fmt: skip
"""The columns of ``sales_order_item`` for a deal."""

OWN: Final = ColumnGroup(Kind.ORDER, "sales_order", "entity_id", lambda asked: asked.deal.properties)
_BILLING: Final = ColumnGroup(Kind.ORDER, "sales_order_address", "parent_id", lambda asked: asked.deal.billing_address)
_SHIPPING: Final = ColumnGroup(
    Kind.ORDER, "sales_order_address", "parent_id", lambda asked: asked.deal.shipping_address
)

_ORDERS: Final = TableSpec(
    "sales_order",
    ("entity_id",),
    ("entity_id", "increment_id", "store_id", "state", "status", "hold_before_state", "hold_before_status",
     "customer_id", "customer_is_guest", "customer_group_id", "customer_email", "customer_firstname",
     "customer_lastname", "shipping_method", "coupon_code", "order_currency_code", "grand_total",
     "total_refunded", "tax_amount", "discount_amount", "shipping_amount", "relation_child_real_id",
     "relation_parent_real_id", "created_at"),
    indexes=(("customer_id", "created_at", "entity_id"), ("guest_id", "created_at", "entity_id")),
    derived=("guest_id",),
)  # fmt: skip
_ADDRESSES: Final = TableSpec(
    "sales_order_address",
    ("entity_id",),
    ("entity_id", "parent_id", "address_type", "firstname", "lastname", "company", "street", "city", "region",
     "postcode", "country_id", "telephone"),
    indexes=(("parent_id",),),
    kept_by=frozenset({"address_type"}),
)  # fmt: skip
_PARTS: Final = (
    TableSpec("sales_order_payment", ("entity_id",), ("entity_id", "parent_id", "method"), indexes=(("parent_id",),)),
    TableSpec(
        "sales_invoice", ("entity_id",), ("entity_id", "order_id", "state", "created_at"), indexes=(("order_id",),)
    ),
    TableSpec(
        "sales_shipment_track", ("entity_id",), ("entity_id", "order_id", "track_number"), indexes=(("order_id",),)
    ),
)

_TEXT, _MONEY, _TIME, _BOOL = PropertyType.TEXT, PropertyType.MONEY, PropertyType.DATETIME, PropertyType.BOOL
_PROPERTIES: Final = {
    "name": Property(_TEXT, "sales_order.increment_id"),
    "amount": Property(_MONEY, "sales_order.{grand_total} - {total_refunded}"),
    "currency": Property(_TEXT, "sales_order.{order_currency_code}"),
    "stage": Property(_TEXT, "sales_order.state, status"),  # no options: mapping.stages may name any other stage
    "order_number": Property(_TEXT, "sales_order.increment_id"),
    "created_at": Property(_TIME, "sales_order.created_at"),
    "closed_at": Property(_TIME, "sales_invoice.created_at"),
    "tax_amount": Property(_MONEY, "sales_order.{tax_amount}"),
    "discount_amount": Property(_MONEY, "sales_order.{discount_amount}"),
    "shipping_amount": Property(_MONEY, "sales_order.{shipping_amount}"),
    "coupon_code": Property(_TEXT, "sales_order.coupon_code"),
    "payment_method": Property(_TEXT, "sales_order_payment.method"),
    "shipping_method": Property(_TEXT, "sales_order.shipping_method"),
    "tracking_numbers": Property(_TEXT, "sales_shipment_track.track_number"),
    "store": Property(_TEXT, "store.code"),
    "state": Property(_TEXT, "sales_order.state"),
    "status": Property(_TEXT, "sales_order.status"),
    "on_hold": Property(_BOOL, "sales_order.state"),
    "partially_shipped": Property(_BOOL, "sales_order_item.qty_shipped, qty_ordered"),
    "replaced_by": Property(_TEXT, "sales_order.relation_child_real_id"),
    "replaces": Property(_TEXT, "sales_order.relation_parent_real_id"),
}

PLAIN: Final = PlainColumns(
    {
        "currency": ("order_currency_code", clean),
        "created_at": ("created_at", times.epoch_ms),
        "tax_amount": ("tax_amount", money.money),
        "discount_amount": ("discount_amount", money.positive),
        "shipping_amount": ("shipping_amount", money.money),
        "coupon_code": ("coupon_code", clean),
        "shipping_method": ("shipping_method", clean),
        "state": ("state", clean),
        "status": ("status", clean),
        "replaced_by": ("relation_child_real_id", clean),
        "replaces": ("relation_parent_real_id", clean),
    }
)
"""Properties that are columns of the order's own row."""


def render(order_id: int, rows: RowReader, plan: Plan) -> Rendered | None:
    """``order-N``: exists with its row, unless the filter leaves it out. A deal without an email or customer has no
    contact.
    """
    order = rows.get("sales_order", order_id)
    # Without its row, or left out by a filter, the deal does not exist.
    if order is None or not order_in_scope(order, rows, plan):
        return None
    number = clean(order.get("increment_id"))
    stage, warning = stages.stage(order, plan.settings.stages, plan.settings.stage_preset)
    properties = {
        **PLAIN.of(order, in_base=plan.in_base),
        "name": f"#{number}" if number else "",
        "amount": money.difference(order.get(plan.paid("grand_total")), order.get(plan.paid("total_refunded"))),
        "stage": stage,
        "order_number": number,
        "closed_at": _closed_at(rows.find("sales_invoice", "order_id", order_id)),
        "payment_method": _payment_method(rows.find("sales_order_payment", "parent_id", order_id)),
        "tracking_numbers": _tracking(rows.find("sales_shipment_track", "order_id", order_id)),
        "store": shop(rows, plan).store_code(order.get("store_id")),
        "on_hold": _truth(order.get("state") == stages.HELD),
        "partially_shipped": _truth(
            order.get("state") not in ENDED and partially_shipped(rows.find("sales_order_item", "order_id", order_id))
        ),
    }
    own, warnings = plan.custom[OWN].of(order, rows)
    for address_type, group in (("billing", _BILLING), ("shipping", _SHIPPING)):
        # Addresses are looked up only where the settings ask for a column of theirs.
        if plan.custom[group].names:
            found, further = _of_address(address_type, group, order_id, rows, plan)
            own |= found
            warnings += further
    owner = address_contacts.contact_of(order, rows, plan)
    return Rendered(
        properties | own,
        (owner,) if owner else (),
        (warning, *warnings) if warning else warnings,
        journey=_cart_of(order, rows, plan),
    )


def _cart_of(order: Row, rows: RowReader, plan: Plan) -> ObjectRef | None:
    """The cart whose deal becomes this order's deal.

    Several orders of one cart (several addresses of delivery, a cart that came back after a failed payment) cannot
    share one deal: the first of them in scope has it.
    """
    quote_id = order.get("quote_id") if plan.settings.carts.as_deals else None
    if not isinstance(quote_id, int) or not quote_id:
        return None
    first = open_carts.order_of(quote_id, rows, plan) or order
    return ObjectRef(Kind.CART, quote_id) if first["entity_id"] == order["entity_id"] else None


def _of_address(
    address_type: str, group: ColumnGroup, order_id: int, rows: RowReader, plan: Plan
) -> tuple[dict[str, str], tuple[str, ...]]:
    custom = plan.custom[group]
    address = contact.order_address(order_id, address_type, rows)
    return custom.of(address, rows) if address is not None else (custom.empty(), ())


def partially_shipped(items: Sequence[Row]) -> bool:
    """Whether some, but not all, of the shippable quantity of these rows (one order's) has shipped.

    The quantity counts on the parent, or on the children of a bundle that ships separately. The quantity that can still
    ship follows Magento's own rule: ordered - the greater of shipped and refunded - canceled.
    """
    if all(money.is_zero(item.get("qty_shipped")) for item in items):
        return False  # nearly every order that is new
    counted = list(_shipping_rows(items))
    return any(not money.is_zero(row.get("qty_shipped")) for row in counted) and any(map(_can_ship, counted))


def _shipping_rows(items: Sequence[Row]) -> Iterable[Row]:
    children: dict[Value, list[Row]] = defaultdict(list)
    for item in items:
        # A child belongs to its parent's line.
        if item.get("parent_item_id") is not None:
            children[item["parent_item_id"]].append(item)
    for item in items:
        if item.get("parent_item_id") is None:
            parts = children.get(item["item_id"])
            # Only a bundle that ships separately counts its children.
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
    """The payment method. Magento writes one payment row per order; if there are more, the newest counts."""
    method = ""
    for row in payments:
        method = clean(row.get("method"))
    return method


def _tracking(tracks: Iterable[Row]) -> str:
    numbers = (clean(row.get("track_number")) for row in tracks)
    return clean(", ".join(number for number in numbers if number))


def _truth(value: bool) -> str:
    return "true" if value else "false"


# ------------------------------------------------------------------------------------------- affected objects


def _affected_by_order(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    # Mail flags and the like touch the order's row without changing the deal.
    if not change.concerns("guest_id", COLUMNS, plan.custom[OWN].columns, plan.filter_columns, plan.base_columns):
        return ()
    ids = change.values("entity_id")
    # Which order of a cart is the first may change for the others too.
    if plan.settings.carts.enabled:
        quotes = change.values("quote_id")
        ids += [row["entity_id"] for one in quotes for row in rows.find("sales_order", "quote_id", one)]
    return refs(Kind.ORDER, dict.fromkeys(ids))


def _affected_by_item(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The deal of a line. This function runs often, so it is narrow: a changed price or tax of a line does not render
    its deal.
    """
    return refs(Kind.ORDER, change.values("order_id")) if change.concerns("ship_mode", ITEM_COLUMNS) else ()


def _affected_by_address(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The deal of an address, if the settings ask for columns of the address."""
    types = change.values("address_type")
    # A changed shipping address bears on no deal that shows only the billing address.
    if ("billing" in types and plan.custom[_BILLING].names) or ("shipping" in types and plan.custom[_SHIPPING].names):
        yield from refs(Kind.ORDER, change.values("parent_id"))


def _affected_by_store(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    row = change.now()
    yield BulkInvalidation(Kind.ORDER, "sales_order", "entity_id", "store_id", row.get("store_id"))


# -------------------------------------------------------------------------------------------------- descriptor


def _tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    addresses = replace(_ADDRESSES, selection="every row") if _needs_shipping(settings) else _ADDRESSES
    orders = customer_value.with_totals(in_chosen_currency(_ORDERS, settings), settings)
    return (_with_cart(orders, settings), addresses, *_PARTS)


def _with_cart(spec: TableSpec, settings: MappingSettings) -> TableSpec:
    """The table of orders, with the number of the cart where carts are sent."""
    if not settings.carts.enabled:
        return spec
    return replace(spec, columns=(*spec.columns, "quote_id"), indexes=(*spec.indexes, ("quote_id",)))


def _needs_shipping(settings: MappingSettings) -> bool:
    """Whether shipping addresses are kept: a deal shows them, or a module's table refers to an order's address."""
    between = {one.via.table for one in settings.satellites if one.via is not None}
    return bool(settings.deal.shipping_address) or _ADDRESSES.name in between


def _derive(row: Row, plan: Plan) -> Mapping[str, Value]:
    # With contacts by email every order counts for its address, a registered customer's too.
    guest = guest_id(row.get("customer_email")) if plan.contacts_by_email else possible_guest(row)
    return {"guest_id": guest, **customer_value.derive(row, plan, guest)}


def _keep_address(row: Row, rows: RowReader, plan: Plan) -> bool:
    return row.get("address_type") != "shipping" or _needs_shipping(plan.settings)


def rows_of(order_id: Value) -> tuple[FetchByKey, ...]:
    """All rows of an order on the server: its own row, and those of its lines and parts."""
    return (
        FetchByKey("sales_order", "entity_id", order_id),
        FetchByKey("sales_order_item", "order_id", order_id),
        FetchByKey("sales_order_address", "parent_id", order_id),
        FetchByKey("sales_order_payment", "parent_id", order_id),
        FetchByKey("sales_invoice", "order_id", order_id),
        FetchByKey("sales_shipment_track", "order_id", order_id),
    )


def _fetches(order_id: int, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    order = rows.get("sales_order", order_id) if plan.contacts_by_email else None
    return (*rows_of(order_id), *(address_contacts.fetches_of_order(order, rows, plan) if order is not None else ()))


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    return (BulkInvalidation(Kind.ORDER, "sales_order", "entity_id"),)


def _rows_used(plan: Plan) -> tuple[RowsUsed, ...]:
    of_address = plan.custom[_BILLING].names or plan.custom[_SHIPPING].names
    return (
        RowsUsed("sales_order", "entity_id"),
        RowsUsed("sales_invoice", "order_id"),
        RowsUsed("sales_order_payment", "parent_id"),
        RowsUsed("sales_shipment_track", "order_id"),
        RowsUsed("sales_order_item", "order_id"),
        *((RowsUsed("sales_order_address", "parent_id"),) if of_address else ()),
    )


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.ORDER,
    references=(Kind.CUSTOMER, Kind.GUEST),
    properties=_PROPERTIES,
    tables=_tables,
    render=render,
    affected_by=(
        ("sales_order", _affected_by_order),
        ("sales_order_item", _affected_by_item),
        ("sales_order_address", _affected_by_address),
        ("sales_order_payment", named_in(Kind.ORDER, "parent_id")),
        ("sales_invoice", named_in(Kind.ORDER, "order_id")),
        ("sales_shipment_track", named_in(Kind.ORDER, "order_id")),
        ("store", _affected_by_store),
        *address_contacts.affected_by(Kind.ORDER),
    ),
    fetches=_fetches,
    everything=_everything,
    column_groups=(OWN, _BILLING, _SHIPPING),
    derive={"sales_order": _derive},
    keep={"sales_order_address": _keep_address},
    rows_used=_rows_used,
    name=Name("sales_order", "increment_id", "entity_id"),
)
