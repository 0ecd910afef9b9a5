"""Which contacts a changed row affects through the numbers and sums of their orders. Pure.

See ``mappers/customer_value.py``. A contact is affected only if a value that is counted or shown changed: an order that
is invoiced or shipped affects no contact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final

from cdc.model import BulkInvalidation, Kind, ObjectRef, Row
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from mappers import categories
from mappers.customer_value import AMOUNT, GROUP, ORDERS, are_orders_counted
from mappers.eav_changes import affected_by as affected_by_eav
from mappers.guests import guest_id, possible_guest
from mappers.objects import address_contacts
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange
from mappers.versions import version_in

FEW: Final = 20
"""The contacts of up to this many lines of a product are named one by one."""

Everything = Callable[[Plan], tuple[BulkInvalidation, ...]]
"""The bulk invalidations that name every contact of a kind."""

_ORDER_COLUMNS: Final = frozenset({GROUP, AMOUNT, "created_at", "increment_id", "customer_id", "guest_id"})
_ITEM_COLUMNS: Final = frozenset({"order_id", "parent_item_id", "product_id", "name"})


def affected_by(kind: Kind, everything: Everything, settings: MappingSettings) -> tuple[tuple[str, Affects], ...]:
    """Table → the contacts of this kind that a row of that table affects; none if no orders are counted."""
    if not are_orders_counted(settings):
        return ()
    own: tuple[tuple[str, Affects], ...] = (
        (ORDERS, partial(_of_kind, kind, _contacts_of_order)),
        ("customer_entity", partial(_of_kind, kind, _contacts_of_customer)),
    )
    # Only what a customer is worth shows the last order.
    if not settings.customer_value.enabled:
        return own
    own = (*own, ("sales_order_item", partial(_of_kind, kind, _contacts_of_line)))
    if not settings.product.categories:
        return own
    links = categories.LINKS.name
    above = [*categories.affected_by(), *affected_by_eav(categories.EAV), ("flag", _is_other_version)]
    return (
        *own,
        (links, partial(_by_link, kind, everything)),
        *((table, partial(_by_category, everything, affects)) for table, affects in above if table != links),
    )


def _of_kind(
    kind: Kind,
    contacts: Callable[[RowChange, RowReader, Plan], Sequence[ObjectRef]],
    change: RowChange,
    rows: RowReader,
    plan: Plan,
) -> AffectedObjects:
    return [ref for ref in change.once(contacts, rows, plan) if ref.kind is kind]


def _contacts_of_order(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    if not change.concerns("guest_id", _ORDER_COLUMNS):
        return ()
    # Canceled before and after: it counts nowhere. An image from the log lacks the column, and may have counted.
    if all(row.get(GROUP, "") is None for row in change.rows()):
        return ()
    return _contacts(change.rows(), rows, plan)


def _contacts_of_line(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    """The contacts of a line's order: the line may be a part of the last order."""
    if not change.concerns("ship_mode", _ITEM_COLUMNS):
        return ()
    held = (rows.get(ORDERS, order_id) for order_id in change.values("order_id"))
    return _contacts((order for order in held if order is not None and order.get(GROUP) is not None), rows, plan)


def _contacts_of_customer(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    """The customers of the addresses of a customer's orders: while the customer's row is not in the replica, the orders
    are those of the contact of their own address.
    """
    # Only where contacts are told apart by address; a customer's own address is looked after by its own rules.
    if not plan.contacts_by_email or not (change.before is None or change.after is None):
        return ()
    found: dict[ObjectRef, None] = {}
    for customer_id in change.values("entity_id"):
        for total in rows.totals(ORDERS, "customer_id", customer_id) or ():
            address = total["guest_id"]
            if isinstance(address, str):
                found |= dict.fromkeys(address_contacts.customers_of(address, rows))
    return [*found]


def _contacts(orders: Iterator[Row], rows: RowReader, plan: Plan) -> Sequence[ObjectRef]:
    found: dict[ObjectRef, None] = {}
    for order in orders:
        guest = guest_id(order.get("customer_email")) if plan.contacts_by_email else possible_guest(order)
        held = order if "guest_id" in order else {**order, "guest_id": guest}  # an image from the log lacks it
        contact = address_contacts.contact_of(held, rows, plan)
        if contact is not None:
            found[contact] = None
    return [*found]


# ------------------------------------------------------------------------------------ categories of the last order


def _by_link(kind: Kind, everything: Everything, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """A product entered or left a category: the contacts who bought it, all contacts if it was bought often."""
    for product in change.values("product_id"):
        lines = [*islice(rows.descending("sales_order_item", "product_id", product, ("item_id",)), FEW + 1)]
        if len(lines) > FEW:
            yield from everything(plan)
            continue
        held = (rows.get(ORDERS, line.get("order_id")) for line in lines)
        orders = (order for order in held if order is not None and order.get(GROUP) is not None)
        yield from (ref for ref in _contacts(orders, rows, plan) if ref.kind is kind)


def _by_category(
    everything: Everything, affects: Affects, change: RowChange, rows: RowReader, plan: Plan
) -> AffectedObjects:
    """A category above products was changed, or what its name is: no index leads from there to the contacts."""
    return everything(plan) if any(True for _ in affects(change, rows, plan)) else ()


def _is_other_version(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    if change.before is None or change.after is None or version_in(change.before) != version_in(change.after):
        yield categories.EAV.everything
