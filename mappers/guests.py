"""To whom an order belongs: a customer, a guest (known by email alone), or nobody.

Pure. A guest has no row in Magento; the guest's orders have customer_id NULL and customer_is_guest 1. An order whose
customer was deleted has customer_id NULL too, but customer_is_guest 0.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cdc.model import Kind, ObjectRef, Row, Value
from mappers.text import clean

ID_DIGITS: Final = 24  # hex digits of SHA-256: 96 bits, no collision among any number of shoppers


def address_of(email: Value) -> str:
    """The address in lower case, as it is sent: HubSpot identifies contacts by it. "" without an address."""
    return clean(email).lower() if isinstance(email, str) else ""


def guest_id(email: Value) -> str | None:
    """The first 24 hex digits of SHA-256 of the address; None if there is no address."""
    address = address_of(email)
    return hashlib.sha256(address.encode()).hexdigest()[:ID_DIGITS] if address else None


def possible_guest(order: Row) -> str | None:
    """``sales_order``'s derived ``guest_id``: set for any order without a customer that has an email.

    Rendering decides whether the order counts as that guest's (``counts``). So the replica need not be filled again
    when ``mapping.deleted_customers`` changes.
    """
    return None if order.get("customer_id") else guest_id(order.get("customer_email"))


def counts(order: Row, *, deleted_are_guests: bool) -> bool:
    """Whether an order without a customer is a guest's: always if it was placed by a guest; by a setting if its
    customer was deleted.
    """
    return deleted_are_guests or order.get("customer_is_guest") == 1


def contact_of(order: Row, *, deleted_are_guests: bool) -> ObjectRef | None:
    """The contact that a ``sales_order`` row belongs to, or None."""
    customer = order.get("customer_id")
    if isinstance(customer, int) and customer:
        return ObjectRef(Kind.CUSTOMER, customer)
    guest = order["guest_id"] if "guest_id" in order else possible_guest(order)
    if isinstance(guest, str) and counts(order, deleted_are_guests=deleted_are_guests):
        return ObjectRef(Kind.GUEST, guest)
    return None
