"""CONTACT of a person without an account: one contact for each email address.

All properties come from the newest order placed with that address. If there is no such order, a stored contact form or
a newsletter subscription (``mapping.subscribers``) makes the contact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Rendered, Row, RowsUsed, TableSpec, Value
from cdc.protocols import RowReader
from cdc.settings.mapping import MappingSettings
from cdc.settings.mapping_columns import PropertyType
from mappers import customer_value, customer_value_changes
from mappers.forms import filled
from mappers.guests import address_of, guest_id, possible_guest
from mappers.objects import address_contacts, contact, open_carts
from mappers.objects.descriptor import ObjectDescriptor, Property
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange, refs
from mappers.scope import newest_orders, subscriber_in_scope
from mappers.shop import shop

_SUBSCRIBERS: Final = TableSpec(
    "newsletter_subscriber",
    ("subscriber_id",),
    ("subscriber_id", "customer_id", "subscriber_email", "subscriber_status"),
    indexes=(("customer_id",), ("guest_id",)),
    derived=("guest_id",),
    transient=frozenset({"subscriber_email"}),  # only its hash is needed
    required=False,  # the newsletter module can be removed from a shop
)

_TEXT: Final = PropertyType.TEXT
_PROPERTIES: Final = {
    **{name: Property(_TEXT, f"sales_order.customer_{name}") for name in ("email", "firstname", "lastname")},
    **{name: Property(_TEXT, f"sales_order_address.{column}") for name, column in contact.ADDRESS_COLUMNS.items()},
    **contact.SHARED,
}


def render(guest_id: str, rows: RowReader, plan: Plan) -> Rendered | None:
    """``guest-H``: exists while an order of that guest exists, or a row of a form or subscriber that makes contacts."""
    # A customer stands for the address: the guest does not exist beside it.
    if plan.contacts_by_email and address_contacts.customer_of_address(guest_id, rows, plan) is not None:
        return None
    order = newest_order(guest_id, rows, plan)
    is_of_carts = False
    subscribers = rows.find("newsletter_subscriber", "guest_id", guest_id)
    said = plan.forms.of_guest(guest_id, rows)
    # Orders say more about a person than a form or a subscription.
    if order is not None:
        properties = contact.from_order(order, rows, shop(rows, plan))
    else:
        of_cart = open_carts.guest_from_cart(guest_id, rows, plan, shop(rows, plan))
        of_subscriber = _from_subscriber(subscribers, rows, plan)
        found = of_cart or of_subscriber
        is_of_carts = of_cart is not None and of_subscriber is None and said is None
        # Nothing makes this contact any more.
        if found is None and said is None:
            return None
        properties = found or contact.nobody()
    properties["newsletter"] = contact.newsletter(subscribers)
    worth, warnings = customer_value.of_contact(ObjectRef(Kind.GUEST, guest_id), rows, plan)
    properties |= worth
    properties |= open_carts.of_contact(ObjectRef(Kind.GUEST, guest_id), rows, plan)
    if plan.forms.names or said is not None:
        filling, more = said or ({}, ())
        properties, warnings = filled(properties, plan.forms.names, filling), (*warnings, *more)
    address = properties["email"] if plan.contacts_by_email else ""
    return Rendered(properties, warnings=warnings, address=address, is_of_carts=is_of_carts)


def _from_subscriber(subscribers: Sequence[Row], rows: RowReader, plan: Plan) -> dict[str, str] | None:
    """The contact from the newest subscription without an account, if subscriptions make contacts."""
    # Subscribers alone make contacts only where the merchant wants that.
    if not plan.settings.subscribers:
        return None
    own = [row for row in subscribers if not row.get("customer_id") and subscriber_in_scope(row, rows, plan)]
    if not own:
        return None
    website = shop(rows, plan).website_code_of(own[-1].get("store_id"))
    return {**contact.nobody(), "email": address_of(own[-1].get("subscriber_email")), "website": website}


def newest_order(guest_id: str, rows: RowReader, plan: Plan) -> Row | None:
    """The newest order (created_at, then entity_id) that counts as this guest's."""
    orders = newest_orders("guest_id", guest_id, rows, plan)
    return next((order for order in orders if address_contacts.is_guests(order, rows, plan)), None)


# ------------------------------------------------------------------------------------------- affected objects


def _guest_of(order: Row, rows: RowReader, plan: Plan) -> Value:
    """The guest to whom an order may belong. An image from the log does not have the derived column."""
    if not plan.contacts_by_email:
        return order["guest_id"] if "guest_id" in order else possible_guest(order)
    customer_id = order.get("customer_id")
    if customer_id and rows.get("customer_entity", customer_id) is not None:
        return None  # nearly every order of an account: spares looking at a guest who does not exist
    return guest_id(order.get("customer_email"))


def _affected_by_order(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    if not contact.order_bears_on_contact(change, plan):
        return ()
    return refs(Kind.GUEST, {_guest_of(row, rows, plan) for row in change.rows()})


def _affected_by_order_address(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    orders = change.once(contact.orders_of_billing_address, rows, plan)
    return refs(Kind.GUEST, [_guest_of(order, rows, plan) for order in orders])


def _affected_by_subscriber(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    guests = {row["guest_id"] if "guest_id" in row else guest_id(row.get("subscriber_email")) for row in change.rows()}
    yield from refs(Kind.GUEST, guests)


def _affected_by_group(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    group = change.now().get("customer_group_id")  # 0 is the group of those not logged in
    yield contact.of_orders(Kind.GUEST, "guest_id", "customer_group_id", group)
    yield from open_carts.every_guest(plan, "customer_group_id", group)


def _affected_by_store(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    yield from _of_store(change.now().get("store_id"), plan)


def _affected_by_website(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    for store_id in contact.stores_of(change.now(), rows):
        yield from _of_store(store_id, plan)


def _of_store(store_id: Value, plan: Plan) -> AffectedObjects:
    yield contact.of_orders(Kind.GUEST, "guest_id", "store_id", store_id)
    yield from open_carts.every_guest(plan, "store_id", store_id)
    if plan.settings.subscribers:
        yield BulkInvalidation(Kind.GUEST, "newsletter_subscriber", "guest_id", "store_id", store_id)


# -------------------------------------------------------------------------------------------------- descriptor


def _tables(settings: MappingSettings) -> tuple[TableSpec, ...]:
    if not settings.subscribers:
        return (_SUBSCRIBERS,)
    # a contact without order or account is made from the subscription: its address and its store are kept
    return (replace(_SUBSCRIBERS, columns=(*_SUBSCRIBERS.columns, "store_id"), transient=frozenset()),)


def _derive(row: Row, plan: Plan) -> Mapping[str, Value]:
    return {"guest_id": guest_id(row["subscriber_email"])} if "subscriber_email" in row else {}


def _fetches(guest: str, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """The address of the newest order in the replica, and the other rows with its email.

    A subscriber's email has no index before 2.4, so that row comes with the first load.
    """
    order = newest_order(guest, rows, plan)
    if order is None:
        return ()
    return (*contact.fetch_address_of(order), *address_contacts.fetches_of_order(order, rows, plan))


def _everything(plan: Plan) -> tuple[BulkInvalidation, ...]:
    orders = BulkInvalidation(Kind.GUEST, "sales_order", "guest_id")
    subscribers = BulkInvalidation(Kind.GUEST, "newsletter_subscriber", "guest_id", unless=("sales_order", "guest_id"))
    carts = open_carts.every_guest(plan)
    return (orders, subscribers, *carts) if plan.settings.subscribers else (orders, *carts)


def _affected_if(settings: MappingSettings) -> tuple[tuple[str, Affects], ...]:
    carts = open_carts.contacts_affected_by(Kind.GUEST) if settings.carts.enabled else ()
    return (*customer_value_changes.affected_by(Kind.GUEST, _everything, settings), *carts)


def _switched_on(settings: MappingSettings) -> Mapping[str, Property]:
    return {**customer_value.properties(settings), **open_carts.properties(settings)}


def _rows_used(plan: Plan) -> tuple[RowsUsed, ...]:
    return (RowsUsed("newsletter_subscriber", "guest_id"),)


DESCRIPTOR: Final = ObjectDescriptor(
    kind=Kind.GUEST,
    properties=_PROPERTIES,
    tables=_tables,
    render=render,
    affected_by=(
        ("sales_order", _affected_by_order),
        ("sales_order_address", _affected_by_order_address),
        ("newsletter_subscriber", _affected_by_subscriber),
        ("customer_group", _affected_by_group),
        ("store", _affected_by_store),
        ("store_website", _affected_by_website),
        *address_contacts.affected_by(Kind.GUEST),
    ),
    fetches=_fetches,
    everything=_everything,
    rows_used=_rows_used,
    derive={"newsletter_subscriber": _derive},
    switched_on=_switched_on,
    affected_if=_affected_if,
)
