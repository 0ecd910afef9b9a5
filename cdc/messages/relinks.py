"""Links objects again after the receiver gave an object another record. The work goes at the pace of history.

A receiver that names records itself may give an object another record: people deleted the old record or merged it, or
the object took over the record of another object. Then the links of its referrers lead nowhere. The referrers are found
in the ledger, slice by slice, in one pass for all such objects, and are rendered once more.

A contact that moves to another record takes along all of our deals that are linked to its old record. By then another
contact may have the old record. So the pass also finds the objects that were linked to the old record, whichever
contact they refer to. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from cdc.messages import ledger, render_queue
from cdc.messages.refs import Link, dump_links, parse_links
from cdc.model import REFERRERS, Kind, ObjectRef, Urgency
from cdc.state.store import Store

SLICE: Final = 500
"""Lines of the ledger that one slice reads: some milliseconds of the state thread."""


class _Targets(NamedTuple):
    """The targets of one pass: objects, and their earlier records, each with the object that left it."""

    refs: frozenset[ObjectRef]
    records: Mapping[str, ObjectRef]

    def moved(self, link: Link) -> ObjectRef | None:
        """The object whose move may have changed this link; None if none of them did."""
        if link.ref in self.refs:
            return link.ref
        mover = self.records.get(link.record_id) if link.record_id else None
        # records of different types may have the same number
        return mover if mover is not None and mover.object_type is link.ref.object_type else None


def note(store: Store, moved: Iterable[tuple[ObjectRef, str]]) -> None:
    """These objects have another record, or will get one; each with its earlier record."""
    store.db.executemany(
        "INSERT OR REPLACE INTO relink (kind, id, record_id, is_looked_for) VALUES (?, ?, ?, 0)",
        [(ref.kind.value, ref.id, record_id) for ref, record_id in moved],
    )


def is_any(store: Store) -> bool:
    """Whether there are objects whose links are still to be searched."""
    return store.db.execute("SELECT 1 FROM relink LIMIT 1").fetchone() is not None


def is_left(store: Store, record_id: str) -> bool:
    """Whether an object left this record, and the objects linked to the record are still being searched."""
    return store.db.execute("SELECT 1 FROM relink WHERE record_id = ?", (record_id,)).fetchone() is not None


def work(store: Store) -> bool:
    """Work off one slice; False when there is nothing to do."""
    targets = _targets(store, is_looked_for=True)
    # No pass is under way.
    if not targets.refs:
        if not _begin(store):
            return False
        targets = _targets(store, is_looked_for=True)
    kinds = sorted({referrer for target in targets.refs for referrer in REFERRERS[target.kind]})
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
        _look(store, ObjectRef(kind, object_id), parse_links(refs), targets)
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


def _look(store: Store, ref: ObjectRef, linked: tuple[Link, ...], targets: _Targets) -> None:
    """Link one object again if a target may have changed one of its links."""
    links: list[Link] = []
    is_changed = False
    for link in linked:
        mover = targets.moved(link)
        is_changed |= mover is not None
        if mover is None:
            links.append(link)
        elif mover != link.ref:
            # The mover may have taken the link along to its new record: as a link of ours it is ended there.
            links.append(Link(mover))
    if not is_changed:
        return
    # what is not among the links of the accepted version counts as never linked, so the next message links it
    ledger.set_links(store, ref, dump_links(links))
    render_queue.mark(store, ref, urgency=Urgency.HISTORY, links=True)


def _targets(store: Store, *, is_looked_for: bool) -> _Targets:
    rows = store.db.execute(
        "SELECT kind, id, record_id FROM relink WHERE is_looked_for = ?", (int(is_looked_for),)
    ).fetchall()
    refs = [(ObjectRef(Kind(kind), object_id), record_id) for kind, object_id, record_id in rows]
    return _Targets(frozenset(ref for ref, _ in refs), {record_id: ref for ref, record_id in refs if record_id})


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
