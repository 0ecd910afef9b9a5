"""Links objects again after the receiver gave an object another record. The work goes at the pace of history.

A receiver that names records itself may give an object another record: people deleted the old record or merged it, or
the object took over the record of another object. Then the links of its referrers lead nowhere. The referrers are found
in the ledger, slice by slice, in one pass for all such objects, and are rendered once more. Use inside a store
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cdc.messages import ledger, render_queue
from cdc.messages.refs import dump_refs, parse_refs
from cdc.model import REFERRERS, Kind, ObjectRef, Urgency
from cdc.state.store import Store

SLICE: Final = 500
"""Lines of the ledger that one slice reads: some milliseconds of the state thread."""


def note(store: Store, refs: Iterable[ObjectRef]) -> None:
    """These objects have another record, or will get one."""
    store.db.executemany(
        "INSERT OR REPLACE INTO relink (kind, id, is_looked_for) VALUES (?, ?, 0)",
        [(ref.kind.value, ref.id) for ref in refs],
    )


def work(store: Store) -> bool:
    """Work off one slice; False when there is nothing to do."""
    targets = _targets(store, is_looked_for=True)
    # No pass is under way.
    if not targets:
        if not _begin(store):
            return False
        targets = _targets(store, is_looked_for=True)
    kinds = sorted({referrer for target in targets for referrer in REFERRERS[target.kind]})
    cursor = store.meta.relink_cursor
    at = Kind(cursor[0]) if cursor else None
    kind = at if at in kinds else next(iter(kinds), None)
    # No kind refers to the targets, so there is nothing to find.
    if kind is None:
        _end(store)
        return True
    after = cursor[1] if cursor and at is kind else -1
    rows = store.db.execute(
        "SELECT id, accepted_refs FROM ledger WHERE kind = ? AND id > ? ORDER BY id LIMIT ?", (kind.value, after, SLICE)
    ).fetchall()
    for object_id, refs in rows:
        _look(store, ObjectRef(kind, object_id), parse_refs(refs), targets)
    if len(rows) == SLICE:
        store.meta.relink_cursor = (kind.value, rows[-1][0])
        return True
    following = [other for other in kinds if other > kind]
    # The next kind, from its first object.
    if following:
        store.meta.relink_cursor = (following[0].value, -1)
    else:
        _end(store)
    return True


def _look(store: Store, ref: ObjectRef, linked: tuple[ObjectRef, ...], targets: frozenset[ObjectRef]) -> None:
    """Link one object again if it refers to one of the targets."""
    # It refers to none of them.
    if targets.isdisjoint(linked):
        return
    # what is not among the links of the accepted version counts as never linked, so the next message links it
    ledger.set_links(store, ref, dump_refs(other for other in linked if other not in targets))
    render_queue.mark(store, ref, urgency=Urgency.HISTORY, links=True)


def _targets(store: Store, *, is_looked_for: bool) -> frozenset[ObjectRef]:
    rows = store.db.execute("SELECT kind, id FROM relink WHERE is_looked_for = ?", (int(is_looked_for),)).fetchall()
    return frozenset(ObjectRef(Kind(kind), object_id) for kind, object_id in rows)


def _begin(store: Store) -> bool:
    """Begin a pass for all objects that have their new record by now; False if there are none."""
    cursor = store.db.execute(
        "UPDATE relink SET is_looked_for = 1 WHERE EXISTS (SELECT 1 FROM ledger l WHERE l.kind = relink.kind"
        " AND l.id = relink.id AND l.record_id <> '')"
    )
    store.meta.relink_cursor = None
    return cursor.rowcount > 0


def _end(store: Store) -> None:
    store.db.execute("DELETE FROM relink WHERE is_looked_for = 1")
    store.meta.relink_cursor = None
