"""Attempts with an unknown outcome: a time-out, a lost connection, a process that was killed with requests on the wire.

Such an attempt may still arrive late and overwrite a newer version. So the object's newest state is sent once more,
some time after its next acceptance. Only this module writes the table ``unconfirmed``. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cdc.messages import render_queue
from cdc.messages.refs import dump_refs
from cdc.model import Kind, ObjectRef, Urgency
from cdc.state.objects import OBJECT, as_refs, has, pair
from cdc.state.store import Store

if TYPE_CHECKING:
    from cdc.messages.outbox import Entry

_NOTE_REFS: Final = (
    "ON CONFLICT (kind, id) DO UPDATE SET due_ms = 0,"
    " refs = CASE WHEN length(excluded.refs) > 2 THEN excluded.refs ELSE refs END"
)
"""A DELETE without an answer has no references; those of the attempt before may still be what the receiver holds."""

AT_ONCE: Final = 2000
"""The most objects that one call of ``send_again`` takes: a receipt may have to wait behind the call."""


def note(store: Store, refs: Iterable[ObjectRef]) -> None:
    """Another member may have sent these objects; it is not known with which references."""
    store.db.executemany(
        "INSERT INTO unconfirmed (kind, id) VALUES (?, ?) ON CONFLICT (kind, id) DO UPDATE SET due_ms = 0",
        [pair(ref) for ref in refs],
    )


def note_unanswered(store: Store, entries: Iterable[Entry]) -> None:
    """Requests with these messages ended without an answer.

    The receiver may hold the references of such a message: a DELETE of what it refers to waits for the object's next
    message (``referrers.pending_referrers``).
    """
    store.db.executemany(
        f"INSERT INTO unconfirmed (kind, id, refs) VALUES (?, ?, ?) {_NOTE_REFS}",
        [(*pair(entry.ref), dump_refs(entry.refs)) for entry in entries],
    )


def is_noted(store: Store, ref: ObjectRef) -> bool:
    """Whether an unconfirmed attempt with the object is noted."""
    return has(store.db, "unconfirmed", ref)


def is_any(store: Store) -> bool:
    """Whether any object has an unconfirmed attempt."""
    return store.db.execute("SELECT 1 FROM unconfirmed LIMIT 1").fetchone() is not None


def note_interrupted(store: Store) -> None:
    """At start: an entry that waits though it was tried may have been on the wire when the last run ended.

    Call it before the log goes on: a newer version of the object takes the entry's place, and its references are lost.
    """
    store.db.execute(
        "INSERT INTO unconfirmed (kind, id, refs) SELECT o.kind, o.id, o.refs FROM outbox o"
        " CROSS JOIN ledger l ON l.kind = o.kind AND l.id = o.id WHERE l.tried_at > l.accepted_at"
        f" {_NOTE_REFS}"
    )


def forget(store: Store, ref: ObjectRef) -> None:
    """The outcome of the object's attempts is known."""
    store.db.execute(f"DELETE FROM unconfirmed WHERE {OBJECT}", pair(ref))


def accepted(store: Store, refs: Iterable[ObjectRef], due_ms: int) -> None:
    """These objects were accepted. Those with an unconfirmed attempt are due
    again at ``due_ms``, epoch milliseconds.
    """
    # Mostly there are none, and this saves a write per batch.
    if store.db.execute("SELECT 1 FROM unconfirmed WHERE due_ms = 0 LIMIT 1").fetchone() is None:
        return
    store.db.executemany(
        f"UPDATE unconfirmed SET due_ms = ? WHERE {OBJECT} AND due_ms = 0", [(due_ms, *pair(ref)) for ref in refs]
    )


def send_what_is_not_pending(store: Store, since_ms: int) -> None:
    """A member leads from now on: send the objects once more that have an unconfirmed attempt and nothing pending.

    An object that was gone before ``since_ms`` (epoch milliseconds), and that no member published, was never sent.
    """
    store.db.execute(
        "DELETE FROM unconfirmed WHERE due_ms = 0 AND EXISTS (SELECT 1 FROM ledger l WHERE l.kind = unconfirmed.kind"
        " AND l.id = unconfirmed.id AND l.rendered_delete AND l.accepted_at = 0 AND l.rendered_at < ?)",
        (since_ms,),
    )
    rows = store.db.execute(
        "SELECT kind, id FROM unconfirmed u WHERE due_ms = 0"
        " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = u.kind AND o.id = u.id)"
        " AND NOT EXISTS (SELECT 1 FROM dead_letter d WHERE d.kind = u.kind AND d.id = u.id)"
    )
    for kind, object_id in rows:  # one by one, as there may be very many; none of these tables is written meanwhile
        _send(store, ObjectRef(Kind(kind), object_id))


def send_again(store: Store, now_ms: int) -> int:
    """Have the due objects rendered and sent once more, behind live work. Returns how many objects that is.

    One call takes at most ``AT_ONCE``: after a long outage very many are due together.
    """
    rows = store.db.execute(
        "SELECT kind, id FROM unconfirmed WHERE due_ms > 0 AND due_ms <= ? ORDER BY due_ms LIMIT ?", (now_ms, AT_ONCE)
    ).fetchall()
    for ref in as_refs(rows):
        _send(store, ref)
        forget(store, ref)
    return len(rows)


def _send(store: Store, ref: ObjectRef) -> None:
    render_queue.mark(store, ref, urgency=Urgency.HISTORY, force=True)
