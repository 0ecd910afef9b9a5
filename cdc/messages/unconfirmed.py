"""Attempts whose outcome nobody knows: a time-out, a cut connection, a process that was killed with requests out.

Such an attempt may still land late, over a newer version. So the object's newest state is sent once more, some time
after its next acceptance. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from cdc.messages import render_queue
from cdc.model import Kind, ObjectRef, Urgency
from cdc.state.store import Store


def note(store: Store, refs: Iterable[ObjectRef]) -> None:
    """Requests with these objects ended without an answer."""
    store.db.executemany(
        "INSERT INTO unknown (kind, id) VALUES (?, ?) ON CONFLICT (kind, id) DO UPDATE SET due_ms = 0",
        [(ref.kind.value, ref.id) for ref in refs],
    )


def is_noted(store: Store, ref: ObjectRef) -> bool:
    """Whether an attempt with the object may have landed, or may yet."""
    pair = (ref.kind.value, ref.id)
    return store.db.execute("SELECT 1 FROM unknown WHERE kind = ? AND id = ?", pair).fetchone() is not None


def is_any(store: Store) -> bool:
    """Whether any object has such an attempt."""
    return store.db.execute("SELECT 1 FROM unknown LIMIT 1").fetchone() is not None


def note_interrupted(store: Store) -> None:
    """At start: what waits though it was tried may have been on the wire when the last run ended."""
    store.db.execute(
        "INSERT INTO unknown (kind, id) SELECT o.kind, o.id FROM outbox o"
        " JOIN ledger l ON l.kind = o.kind AND l.id = o.id WHERE l.tried_at > l.accepted_at"
        " ON CONFLICT (kind, id) DO UPDATE SET due_ms = 0"
    )


def forget(store: Store, ref: ObjectRef) -> None:
    """It is known what became of its attempts."""
    store.db.execute("DELETE FROM unknown WHERE kind = ? AND id = ?", (ref.kind.value, ref.id))


def accepted(store: Store, refs: Iterable[ObjectRef], due_ms: int) -> None:
    """These were accepted since: those with an unknown attempt are due again at ``due_ms``, epoch milliseconds."""
    if store.db.execute("SELECT 1 FROM unknown WHERE due_ms = 0 LIMIT 1").fetchone() is None:
        return
    store.db.executemany(
        "UPDATE unknown SET due_ms = ? WHERE kind = ? AND id = ? AND due_ms = 0",
        [(due_ms, ref.kind.value, ref.id) for ref in refs],
    )


def send_what_is_not_pending(store: Store, since_ms: int) -> None:
    """A member leads from now on: what seemed settled, but for an attempt of another, is said once more.

    Objects that nobody told of and that are gone since before ``since_ms`` (epoch milliseconds) were never sent.
    """
    store.db.execute(
        "DELETE FROM unknown WHERE due_ms = 0 AND EXISTS (SELECT 1 FROM ledger l WHERE l.kind = unknown.kind"
        " AND l.id = unknown.id AND l.rendered_delete AND l.accepted_at = 0 AND l.rendered_at < ?)",
        (since_ms,),
    )
    rows = store.db.execute(
        "SELECT kind, id FROM unknown u WHERE due_ms = 0"
        " AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = u.kind AND o.id = u.id)"
        " AND NOT EXISTS (SELECT 1 FROM dead_letter d WHERE d.kind = u.kind AND d.id = u.id)"
    ).fetchall()
    _say_again(store, rows)


def send_again(store: Store, now_ms: int) -> int:
    """Have what is due rendered and sent once more, behind live work. Returns how many objects that is."""
    rows = store.db.execute("SELECT kind, id FROM unknown WHERE due_ms > 0 AND due_ms <= ?", (now_ms,)).fetchall()
    _say_again(store, rows)
    if rows:
        store.db.execute("DELETE FROM unknown WHERE due_ms > 0 AND due_ms <= ?", (now_ms,))
    return len(rows)


def _say_again(store: Store, rows: Iterable[tuple[str, int | str]]) -> None:
    """Have these rendered and sent once more, behind live work."""
    for kind, key in rows:
        render_queue.mark(store, ObjectRef(Kind(kind), key), urgency=Urgency.HISTORY, force=True)
