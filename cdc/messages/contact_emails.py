"""The email that the sink holds of a customer: the bridge never changes it, and another one may make a second contact.

The ledger has marks of addresses, never an address: ``email`` of the one that was sent first (``email_at``: in which
message), ``email_new`` of the shop's, where that is another by now. The mark is set before the request leaves, as one
without an answer may have been taken, and goes if the message surely was not, if a refusal says that there is no such
contact, and with the contact's deletion. A follower sets it when it renders, as its leader may send just that, until
the leader tells. Use inside a store transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from cdc.messages import render_queue, unconfirmed
from cdc.model import ObjectRef
from cdc.state.store import Store


class EmailRule(NamedTuple):
    """``name``: the property that becomes the contact's email; "": the sink changes emails like all else.

    ``leave_out``: an email other than the one held is not sent.
    """

    name: str = ""
    leave_out: bool = False


def mark_of(ref: ObjectRef, email: str) -> bytes:
    """Tells one object's addresses apart, and says nothing about another object with the same one."""
    return hashlib.blake2b(f"{ref.kind}-{ref.id}\0{email}".encode(), digest_size=16).digest()


def note_new(store: Store, ref: ObjectRef, mark: bytes) -> None:
    """The shop has another address than the sink, or (b"") no longer has."""
    store.db.execute("UPDATE ledger SET email_new = ? WHERE kind = ? AND id = ?", (mark, ref.kind.value, ref.id))


def told(store: Store, tried: Iterable[tuple[ObjectRef, int, bytes]]) -> None:
    """These messages (object, changed_at, mark) are about to be sent: the first address that is stays."""
    store.db.executemany(
        "UPDATE ledger SET email = ?, email_at = ? WHERE kind = ? AND id = ? AND email = x''",
        [(mark, changed_at, ref.kind.value, ref.id) for ref, changed_at, mark in tried if mark],
    )


def not_told(store: Store, failed: Iterable[tuple[ObjectRef, int, bytes]]) -> None:
    """These attempts were surely not taken: an address that nothing else told is not known to the sink."""
    for ref, changed_at, mark in failed:
        if mark and _told_at(store, ref) == changed_at and not unconfirmed.is_noted(store, ref):
            forget(store, [ref])


def learnt(store: Store, ref: ObjectRef, before: bytes, now: bytes) -> None:
    """A follower was told that the sink holds ``now``; what waits was rendered for what it took for that until then."""
    if before != now:
        _render_again(store, ref, "1")


def refused(store: Store, ref: ObjectRef, changed_at: int, *, is_without_record: bool = False) -> None:
    """The message was refused; if it was the one that told the address, or there is no record, nothing is held."""
    if is_without_record or _told_at(store, ref) == changed_at:
        forget(store, [ref])


def is_missed(store: Store, ref: ObjectRef) -> bool:
    """Of a contact without a record: whether its address was left out because the sink was taken to hold another."""
    row = store.db.execute(
        "SELECT email_new <> x'' FROM ledger WHERE kind = ? AND id = ?", (ref.kind.value, ref.id)
    ).fetchone()
    return row is not None and bool(row[0])


def _told_at(store: Store, ref: ObjectRef) -> int:
    row = store.db.execute("SELECT email_at FROM ledger WHERE kind = ? AND id = ?", (ref.kind.value, ref.id)).fetchone()
    return row[0] if row else 0


def forget(store: Store, refs: Iterable[ObjectRef]) -> None:
    """These contacts are gone, and so is what was known of their addresses: what waits of them needs its own."""
    for ref in refs:
        cursor = store.db.execute(
            "UPDATE ledger SET email = x'', email_at = 0, email_new = x'' WHERE kind = ? AND id = ? AND email <> x''",
            (ref.kind.value, ref.id),
        )
        if cursor.rowcount > 0:
            _render_again(store, ref, "email = x''")


def _render_again(store: Store, ref: ObjectRef, which: str) -> None:
    """Have the waiting UPSERT rendered anew, if it is such a one."""
    pair = (ref.kind.value, ref.id)
    sql = f"DELETE FROM outbox WHERE kind = ?1 AND id = ?2 AND action = 'UPSERT' AND {which}"
    if store.db.execute(sql, pair).rowcount > 0:
        store.db.execute("UPDATE ledger SET rendered_hash = x'' WHERE kind = ? AND id = ?", pair)
        render_queue.mark(store, ref)
