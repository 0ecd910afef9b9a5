"""The email address of each customer that the sink holds.

The bridge never changes a contact's email, and another address may make a second contact. The ledger has marks (hashes)
of addresses, never an address. ``email`` is the mark of the address that was sent first, ``email_at`` the message that
sent it, ``email_new`` the mark of the shop's address if the shop has another address by now.

The mark is set before the request leaves, as a request without an answer may have been taken. The mark is removed if
the message was certainly not taken, if a refusal says that there is no such contact, and with the contact's deletion. A
follower sets the mark when it renders, as the leader may send the same message, and keeps it until the leader's receipt
comes. Use inside a store transaction.
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
    """``name``: the property that becomes the contact's email; "": the sink changes emails like any other property.

    ``leave_out``: an email other than the one that the sink holds is not sent. ``address``: the property by whose value
    the receiver recognises contacts, so a contact may take over the record of another contact; "": the receiver has no
    such property.
    """

    name: str = ""
    leave_out: bool = False
    address: str = ""


def mark_of(ref: ObjectRef, email: str) -> bytes:
    """A mark that tells apart the addresses of one object. Two objects with the same address have different marks."""
    return hashlib.blake2b(f"{ref.kind}-{ref.id}\0{email}".encode(), digest_size=16).digest()


def address_mark(email: str) -> bytes:
    """A mark that is equal for two contacts with one address; b"" without an address.

    Some receivers have one contact per address. The ledger's ``address`` is the mark of the receiver's record, the
    outbox's ``address`` is the mark in the waiting message.
    """
    return hashlib.blake2b(email.strip().lower().encode(), digest_size=12).digest() if email.strip() else b""


def note_new(store: Store, ref: ObjectRef, mark: bytes) -> None:
    """The shop has another address than the sink, or (b"") no longer has."""
    ledger.set_new_email(store, ref, mark)


def sent(store: Store, tried: Iterable[tuple[ObjectRef, int, bytes]]) -> None:
    """These messages (object, changed_at, mark) are about to be sent. The mark of the first address stays."""
    ledger.first_emails(store, tried)


def not_taken(store: Store, failed: Iterable[tuple[ObjectRef, int, bytes]]) -> None:
    """These attempts were certainly not taken. If no other message brought the address, the sink does not have it."""
    for ref, changed_at, mark in failed:
        # Another message may have brought the address since, or an unanswered one may still.
        if mark and _sent_at(store, ref) == changed_at and not unconfirmed.is_noted(store, ref):
            forget(store, [ref])


def learnt(store: Store, ref: ObjectRef, before: bytes, now: bytes) -> None:
    """A follower heard that the sink holds ``now``. A waiting message was rendered for the earlier address, so it is
    rendered again.
    """
    # The waiting message was made for another address, so it is rendered again.
    if before != now and outbox.take_back_upsert(store, ref):
        _render_again(store, ref)


def refused(store: Store, ref: ObjectRef, changed_at: int, *, is_without_record: bool = False) -> None:
    """The message was refused. If it brought the address, or the sink has no record, the sink holds no address."""
    # A refused message that brought no address leaves the sink's address as it was.
    if is_without_record or _sent_at(store, ref) == changed_at:
        forget(store, [ref])


def is_missed(store: Store, ref: ObjectRef) -> bool:
    """Whether the address of a contact without a record was left out, because
    the sink seemed to hold another address.
    """
    row = line(store.db, "ledger", "email_new <> x''", ref)
    return row is not None and bool(row[0])


def _sent_at(store: Store, ref: ObjectRef) -> int:
    row = line(store.db, "ledger", "email_at", ref)
    return row[0] if row else 0


def forget(store: Store, refs: Iterable[ObjectRef]) -> None:
    """These contacts are gone, and so are their addresses in the sink: their
    waiting messages must bring the address.
    """
    for ref in refs:
        # A message without an address would make no contact there.
        if ledger.forget_email(store, ref) and outbox.take_back_upsert(store, ref, only_without_email=True):
            _render_again(store, ref)


def _render_again(store: Store, ref: ObjectRef) -> None:
    ledger.forget_rendered(store, ref)
    render_queue.mark(store, ref)
