"""What was accepted and refused afterwards (the bridge judges later): the ledger's side, and the wait for a parent.

An orphan is an object refused because something it refers to was not known yet; it is rendered afresh once that is
known. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cdc.messages import contact_emails, dead_letters, render_queue
from cdc.messages.dependencies import OptionalReferences, Waits, free, parse_refs
from cdc.model import Action, Kind, ObjectRef
from cdc.state.store import Store


class Orphan(NamedTuple):
    """An object that waits for what it refers to: since when, and the receiver's error type and details.

    ``is_without_record``: the receiver said that it holds no record of the object.
    """

    ref: ObjectRef
    changed_at: int
    since_ms: int
    reason: str
    detail: str
    parents: tuple[ObjectRef, ...] = ()
    is_without_record: bool = False


def is_current(store: Store, ref: ObjectRef, changed_at: int) -> bool:
    """Whether that version is the last one sent, stands as accepted, and was not refuted before."""
    row = store.db.execute(
        "SELECT 1 FROM ledger WHERE kind = ? AND id = ? AND accepted_at = ? AND tried_at = ?"
        " AND accepted_hash IS NOT NULL",
        (ref.kind.value, ref.id, changed_at, changed_at),
    ).fetchone()
    return row is not None


def _refute(store: Store, ref: ObjectRef) -> None:
    """It is not accepted after all: nothing may refer to it, and an equal rendering is no repeat."""
    store.db.execute(
        "UPDATE ledger SET accepted_at = 0, accepted_hash = NULL WHERE kind = ? AND id = ?", (ref.kind.value, ref.id)
    )


def set_aside(store: Store, orphan: Orphan, now_ms: int) -> None:
    """Make it a dead letter; what waited for it is judged anew."""
    _refute(store, orphan.ref)
    contact_emails.refused(store, orphan.ref, orphan.changed_at, is_without_record=orphan.is_without_record)
    _forget(store, orphan.ref)
    letter = dead_letters.DeadLetter(
        orphan.ref, Action.UPSERT, orphan.changed_at, now_ms, orphan.reason, orphan.detail, position=""
    )
    dead_letters.add(store, letter)
    free(store, [orphan.ref])


def send_whole(store: Store, orphan: Orphan) -> None:
    """Have a contact sent once more, with its email: the sink does not hold the one it was taken to hold."""
    _refute(store, orphan.ref)
    contact_emails.forget(store, [orphan.ref])
    render_queue.mark(store, orphan.ref, force=True)


def send_again(store: Store, orphan: Orphan) -> None:
    """Have it rendered and sent once more: it was refused for no fault of its own."""
    _refute(store, orphan.ref)
    contact_emails.refused(store, orphan.ref, orphan.changed_at, is_without_record=orphan.is_without_record)
    render_queue.mark(store, orphan.ref, force=True)


def let_wait(store: Store, orphan: Orphan) -> None:
    """Have it wait until what it refers to is known."""
    _refute(store, orphan.ref)
    store.db.execute(
        "INSERT INTO orphan (kind, id, changed_at, since_ms, reason, detail) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, id) DO UPDATE SET changed_at = excluded.changed_at, reason = excluded.reason,"
        " detail = excluded.detail",
        (
            orphan.ref.kind.value,
            orphan.ref.id,
            orphan.changed_at,
            orphan.since_ms,
            orphan.reason,
            orphan.detail,
        ),
    )


def orphans(store: Store, limit: int) -> list[Orphan]:
    """Those that wait longest, each with the objects it was sent with."""
    rows = store.db.execute(
        "SELECT o.kind, o.id, o.changed_at, o.since_ms, o.reason, o.detail, l.accepted_refs FROM orphan o"
        " JOIN ledger l ON l.kind = o.kind AND l.id = o.id ORDER BY o.since_ms LIMIT ?",
        (limit,),
    ).fetchall()
    return [
        Orphan(ObjectRef(Kind(kind), key), changed_at, since_ms, reason, detail, parse_refs(refs))
        for kind, key, changed_at, since_ms, reason, detail, refs in rows
    ]


def can_do_without(store: Store, child: ObjectRef, parent: ObjectRef, optional: OptionalReferences) -> bool:
    """Whether the parent will never come and the sink takes the child without it."""
    waits = Waits(store, optional)
    return waits.may_go_without(child.kind, parent) and not waits.is_accepted(parent) and waits.is_hopeless(parent)


def render_again(store: Store, refs: Sequence[ObjectRef]) -> None:
    """What these waited for is known now."""
    for ref in refs:
        _forget(store, ref)
        render_queue.mark(store, ref, force=True)


def _forget(store: Store, ref: ObjectRef) -> None:
    store.db.execute("DELETE FROM orphan WHERE kind = ? AND id = ?", (ref.kind.value, ref.id))
