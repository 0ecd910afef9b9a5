"""The email that the sink holds of a customer. The bridge never changes it, and another may make a second contact.

The ledger has marks of addresses, never an address: ``email`` of the one that was sent first (``email_at``: in which
message), ``email_new`` of the shop's, where that is another by now. The mark is set before the request leaves, as one
without an answer may have been taken, and goes if the message surely was not, if a refusal says that there is no such
contact, and with the contact's deletion. A follower sets it when it renders, as its leader may send just that, until
the leader's receipt comes. Use inside a store transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from cdc.messages import ledger, outbox, render_queue, unconfirmed
from cdc.model import ObjectRef
from cdc.state.objects import line
from cdc.state.store import Store


class EmailRule(NamedTuple):
    """``name``: the property that becomes the contact's email; "": the sink changes emails like all else.

    ``leave_out``: an email other than the one held is not sent. ``address``: the property by whose value the receiver
    tells contacts apart, so that a contact may take another one's record over; "": it does no such thing.
    """

    name: str = ""
    leave_out: bool = False
    address: str = ""


def mark_of(ref: ObjectRef, email: str) -> bytes:
    """Tells one object's addresses apart, and says nothing about another object with the same one."""
    return hashlib.blake2b(f"{ref.kind}-{ref.id}\0{email}".encode(), digest_size=16).digest()


def address_mark(email: str) -> bytes:
    """Tells whether two contacts have one address, as a receiver does that has one contact for each; b"" without one.

    What the receiver's record of a contact has is the ledger's ``address``, what a waiting message brings the outbox's.
    """
    return hashlib.blake2b(email.strip().lower().encode(), digest_size=12).digest() if email.strip() else b""


def note_new(store: Store, ref: ObjectRef, mark: bytes) -> None:
    """The shop has another address than the sink, or (b"") no longer has."""
    ledger.set_new_email(store, ref, mark)


def sent(store: Store, tried: Iterable[tuple[ObjectRef, int, bytes]]) -> None:
    """These messages (object, changed_at, mark) are about to be sent: the first address that was sent stays."""
    ledger.first_emails(store, tried)


def not_taken(store: Store, failed: Iterable[tuple[ObjectRef, int, bytes]]) -> None:
    """These attempts were surely not taken: an address that no other message brought is not known to the sink."""
    for ref, changed_at, mark in failed:
        # Another message may have brought the address since, or an unanswered one may still.
        if mark and _sent_at(store, ref) == changed_at and not unconfirmed.is_noted(store, ref):
            forget(store, [ref])


def learnt(store: Store, ref: ObjectRef, before: bytes, now: bytes) -> None:
    """A follower heard that the sink holds ``now``; what waits was rendered for the address held until then."""
    # What waits was made for another address, so it is rendered anew.
    if before != now and outbox.take_back_upsert(store, ref):
        _render_again(store, ref)


def refused(store: Store, ref: ObjectRef, changed_at: int, *, is_without_record: bool = False) -> None:
    """The message was refused; if it brought the address, or there is no record, the sink holds no address."""
    # A refused message that brought no address leaves the sink's address as it was.
    if is_without_record or _sent_at(store, ref) == changed_at:
        forget(store, [ref])


def is_missed(store: Store, ref: ObjectRef) -> bool:
    """Of a contact without a record: whether its address was left out because the sink was taken to hold another."""
    row = line(store.db, "ledger", "email_new <> x''", ref)
    return row is not None and bool(row[0])


def _sent_at(store: Store, ref: ObjectRef) -> int:
    row = line(store.db, "ledger", "email_at", ref)
    return row[0] if row else 0


def forget(store: Store, refs: Iterable[ObjectRef]) -> None:
    """These contacts are gone, and so is what was known of their addresses: what waits of them needs its own."""
    for ref in refs:
        # A message without an address would make no contact there.
        if ledger.forget_email(store, ref) and outbox.take_back_upsert(store, ref, only_without_email=True):
            _render_again(store, ref)


def _render_again(store: Store, ref: ObjectRef) -> None:
    ledger.forget_rendered(store, ref)
    render_queue.mark(store, ref)
