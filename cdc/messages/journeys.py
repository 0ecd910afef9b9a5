"""A purchase begins as a cart and goes on as an order: the two never have two records in the receiver.

Both messages carry the mark of the cart, in the column in which contacts carry the mark of their address: it names the
record that an object takes over from another object. The cart's DELETE waits for its order (``dependencies.py``), and
the order waits while its cart is on the wire or waits to be sent (``selection.py``). So the order finds the cart's
record or none, and no record of the cart can be made after it.
"""

from __future__ import annotations

from typing import NamedTuple

from cdc.messages import outbox, sent_versions
from cdc.messages.refs import key_of, parse_key
from cdc.model import Action, Kind, ObjectRef
from cdc.state.store import Store


def mark_of(cart: ObjectRef) -> bytes:
    """The mark of the cart itself, and of the order that was made of it."""
    return key_of(cart).encode()


def cart_in(ref: ObjectRef, mark: bytes) -> ObjectRef | None:
    """The cart of this order; None for every other object."""
    # A contact's mark is a hash, which may be any bytes; a cart has no cart before it.
    return parse_key(mark.decode()) if ref.kind is Kind.ORDER and mark else None


class Predecessor(NamedTuple):
    """A cart that the receiver may hold. ``links``: of its last accepted version, as text (refs.py)."""

    ref: ObjectRef
    record_id: str
    links: str


def predecessor(store: Store, cart: ObjectRef) -> Predecessor | None:
    """The cart as the receiver may hold it; None if it was never sent."""
    sent = sent_versions.sent_side(store, cart)
    return Predecessor(cart, sent.record_id, sent.accepted_refs) if sent.tried_at else None


def is_to_be_sent(store: Store, cart: ObjectRef) -> bool:
    """Whether an UPSERT of the cart waits. It is rendered again with the order, and is a DELETE from then on."""
    row = outbox.pending(store, cart, "action, attempts")
    return row is not None and row[0] == Action.UPSERT.value and row[1] < outbox.SUSPECT
