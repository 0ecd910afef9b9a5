"""The one contact of an email address, where the receiver has one contact for each address (``contacts_by_email``).

Pure. Several accounts of Magento may have one address: on several websites, or a guest's orders beside an account. One
contact represents all of them: the existing customer with the lowest id, else the guest. The other customers and the
guest do not exist as objects, and the deals of all of them refer to that contact. The result depends only on the
present rows: an address is compared as it is in the row now, in lower case.

A customer exists if its row is in the replica, and is in scope or named by an order in scope. An order may name a
customer whose row is not in the replica (a server that does not cascade, a log without history). Such an order counts
as a guest's, with the order's own address.

The contact of an address changes with the rows of customers, and, if a filter leaves customers out, with the orders
that name them. Then the old and the new contact are affected, and all orders of the address: a few are named one by
one, more of them by a bulk invalidation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

from cdc.model import BulkInvalidation, FetchByKey, Kind, ObjectRef, Row, TableSpec, Value
from cdc.protocols import RowReader
from mappers import guests
from mappers.guests import guest_id
from mappers.objects import contact
from mappers.plan import Plan
from mappers.row_changes import AffectedObjects, Affects, RowChange, refs
from mappers.scope import ORDER_AGE, customer_in_scope, newest_orders

FEW: Final = 20
"""Up to this many orders of one customer or address are named one by one."""

_DECIDING: Final = frozenset({"email_hash", "website_id", "group_id"})
"""The columns of ``customer_entity`` that decide which contact an address has."""


def with_addresses(spec: TableSpec) -> TableSpec:
    """The table, with the derived columns and indexes that find customers and orders by their address."""
    if spec.name == "customer_entity":
        return replace(
            spec,
            derived=(*spec.derived, "email_hash"),
            indexes=(*spec.indexes, ("email_hash",), ("email",)),  # by email: what fetches name
        )
    # a registered customer's order has a guest_id too: what was derived without it has to be read again
    if spec.name == "sales_order":
        return replace(spec, selection=", ".join(filter(None, ("guest_id of every order", spec.selection))))
    return spec


def customer_exists(customer: Row, rows: RowReader, plan: Plan) -> bool:
    """Whether a customer with a row is in scope, or named by an order in scope."""
    # Left out by the filter, but an order in scope names the customer.
    if customer_in_scope(customer, rows, plan):
        return True
    customer_id = customer["entity_id"]
    named = newest_orders("customer_id", customer_id, rows, plan)  # type: ignore[arg-type]  # an integer key
    return next(named, None) is not None


def customer_of_address(address: Value, rows: RowReader, plan: Plan) -> ObjectRef | None:
    """The customer who is the contact of the address with this hash; None if the guest is."""
    for row in rows.find("customer_entity", "email_hash", address):  # the lowest id comes first
        if customer_exists(row, rows, plan):
            return ObjectRef(Kind.CUSTOMER, row["entity_id"])  # type: ignore[arg-type]  # an integer key
    return None


def is_contact_of_address(customer: Row, rows: RowReader, plan: Plan) -> bool:
    """Whether the customer exists as an object. A customer without an address is always a contact of its own."""
    address = customer.get("email_hash")
    # Without an address no other contact can represent the customer.
    if not plan.contacts_by_email or address is None:
        return customer_exists(customer, rows, plan)
    found = customer_of_address(address, rows, plan)
    return found is not None and found.id == customer["entity_id"]


def is_guests(order: Row, rows: RowReader, plan: Plan) -> bool:
    """Whether an order with a ``guest_id`` counts as the guest's."""
    customer = order.get("customer_id")
    if customer:  # only orders of contacts by email have both ids
        return rows.get("customer_entity", customer) is None
    return guests.counts(order, deleted_are_guests=plan.deleted_are_guests)


def contact_of(order: Row, rows: RowReader, plan: Plan) -> ObjectRef | None:
    """The contact that an order in scope refers to, or None."""
    # One contact per account: the account or the guest, as the order says.
    if not plan.contacts_by_email:
        return guests.contact_of(order, deleted_are_guests=plan.deleted_are_guests)
    customer_id = order.get("customer_id")
    customer = rows.get("customer_entity", customer_id) if customer_id else None
    # The order's customer is held, so its account's address decides.
    if customer is not None:
        itself = ObjectRef(Kind.CUSTOMER, customer["entity_id"])  # type: ignore[arg-type]  # an integer key
        return customer_of_address(customer.get("email_hash"), rows, plan) or itself
    guest = order.get("guest_id")
    # Neither a customer that is held nor an address.
    if not isinstance(guest, str) or not is_guests(order, rows, plan):
        return None
    return customer_of_address(guest, rows, plan) or ObjectRef(Kind.GUEST, guest)


# ------------------------------------------------------------------------------------------- affected objects


def hash_of(customer: Row) -> str | None:
    """The hash of a customer's address. An image from the log does not have the derived column."""
    # Images from the log have no derived columns.
    if "email_hash" not in customer:
        return guest_id(customer.get("email"))
    held = customer["email_hash"]
    return held if isinstance(held, str) else None


def _addresses_of_customer(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[str]:
    """The addresses whose contact may change with a change of ``customer_entity``."""
    if not change.concerns("email_hash", _DECIDING):
        return ()
    return [*dict.fromkeys(address for row in change.rows() if (address := hash_of(row)) is not None)]


def _addresses_of_order(change: RowChange, rows: RowReader, plan: Plan) -> Sequence[str]:
    """The addresses whose contact may change with a change of ``sales_order``: an order in scope makes a customer exist
    whom the filter leaves out.
    """
    # Only a filter on customers makes orders decide who exists.
    if not plan.settings.filter.on_customers or not contact.order_bears_on_contact(change, plan):
        return ()
    held = (rows.get("customer_entity", customer_id) for customer_id in change.values("customer_id"))
    left_out = (row for row in held if row is not None and not customer_in_scope(row, rows, plan))
    return [*dict.fromkeys(address for row in left_out if (address := hash_of(row)) is not None)]


def customers_of(address: str, rows: RowReader) -> Sequence[ObjectRef]:
    """The customers with a row who have this address."""
    return refs(Kind.CUSTOMER, [row["entity_id"] for row in rows.find("customer_entity", "email_hash", address)])


def _guest_of(address: str, rows: RowReader) -> Sequence[ObjectRef]:
    return refs(Kind.GUEST, [address])


def _orders_of(kind: Kind, id_column: str, address: str, rows: RowReader) -> AffectedObjects:
    """What the orders of all customers of the address, and of its guest, name in ``id_column``."""
    yield from _orders(kind, id_column, "guest_id", address, rows)
    for customer in customers_of(address, rows):
        yield from _orders(kind, id_column, "customer_id", customer.id, rows)


def _affected(
    objects: Callable[[str, RowReader], AffectedObjects],
    addresses: Callable[[RowChange, RowReader, Plan], Sequence[str]],
    change: RowChange,
    rows: RowReader,
    plan: Plan,
) -> AffectedObjects:
    if plan.contacts_by_email:
        for address in change.once(addresses, rows, plan):
            yield from objects(address, rows)


def _orders_that_name(kind: Kind, id_column: str, change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """What the orders of a customer whose row came or went, or whose address changed, name in ``id_column``."""
    if plan.contacts_by_email and change.concerns("email_hash", _DECIDING):
        for customer_id in change.values("entity_id"):
            yield from _orders(kind, id_column, "customer_id", customer_id, rows)


def _guests_of_orders_that_name(change: RowChange, rows: RowReader, plan: Plan) -> AffectedObjects:
    """The guests of a customer's orders: the orders are a guest's while the customer's row is not in the replica."""
    if plan.contacts_by_email and (change.before is None or change.after is None):
        for customer_id in change.values("entity_id"):
            yield from _orders(Kind.GUEST, "guest_id", "customer_id", customer_id, rows)


_OBJECTS: Final[Mapping[Kind, Callable[[str, RowReader], AffectedObjects]]] = {
    Kind.CUSTOMER: customers_of,
    Kind.GUEST: _guest_of,
    Kind.ORDER: partial(_orders_of, Kind.ORDER, "entity_id"),
    Kind.CART_OBJECT: partial(_orders_of, Kind.CART_OBJECT, "quote_id"),
}
_FURTHER: Final[Mapping[Kind, tuple[tuple[str, Affects], ...]]] = {
    Kind.GUEST: (("customer_entity", _guests_of_orders_that_name),),
    Kind.ORDER: (("customer_entity", partial(_orders_that_name, Kind.ORDER, "entity_id")),),
    Kind.CART_OBJECT: (("customer_entity", partial(_orders_that_name, Kind.CART_OBJECT, "quote_id")),),
}


def affected_by(kind: Kind) -> tuple[tuple[str, Affects], ...]:
    """Table → the objects of this kind whose contact or existence may change with a row of that table.

    Of HubSpot's carts only those that were ordered: they are their order's contact's.
    """
    return (*of_addresses(_OBJECTS[kind]), *_FURTHER.get(kind, ()))


def of_addresses(objects: Callable[[str, RowReader], AffectedObjects]) -> tuple[tuple[str, Affects], ...]:
    """Table → the objects that ``objects`` names for an address whose contact may change with a row of that table."""
    return (
        ("customer_entity", partial(_affected, objects, _addresses_of_customer)),
        ("sales_order", partial(_affected, objects, _addresses_of_order)),
    )


def _orders(kind: Kind, id_column: str, column: str, value: Value, rows: RowReader) -> AffectedObjects:
    """The objects named in ``id_column`` of the orders with this value: a few by name, more of them by a bulk
    invalidation.

    An order that gets the value later, or loses it before the bulk invalidation is worked off, is affected by its own
    change.
    """
    found = [row[id_column] for row in islice(rows.descending("sales_order", column, value, ORDER_AGE), FEW + 1)]
    # Many orders: one bulk invalidation in place of thousands of names.
    if len(found) > FEW:
        return [BulkInvalidation(kind, "sales_order", id_column, column, value)]
    return refs(kind, found)


# -------------------------------------------------------------------------------------------------------- fetches


def fetches_by_email(email: Value, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """The rows that decide which contact an address has. The server compares emails without case, as we do."""
    if not plan.contacts_by_email or not isinstance(email, str) or not email:
        return ()
    held = rows.find("customer_entity", "email_hash", guest_id(email))
    left_out = [row["entity_id"] for row in held if not customer_in_scope(row, rows, plan)]
    return (
        FetchByKey("customer_entity", "email", email),
        *(FetchByKey("sales_order", "customer_id", customer_id) for customer_id in left_out),
    )


def fetches_of_order(order: Row, rows: RowReader, plan: Plan) -> tuple[FetchByKey, ...]:
    """The rows that decide which contact an order refers to."""
    if not plan.contacts_by_email:
        # Who stands does not matter where each account is a contact.
        return ()
    customer_id = order.get("customer_id")
    if not customer_id:
        return fetches_by_email(order.get("customer_email"), rows, plan)
    customer = rows.get("customer_entity", customer_id)
    email = customer.get("email") if customer is not None else order.get("customer_email")
    return (FetchByKey("customer_entity", "entity_id", customer_id), *fetches_by_email(email, rows, plan))
