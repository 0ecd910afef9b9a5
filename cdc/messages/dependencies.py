"""Who waits for whom: what an entry of the outbox has to wait for, and when it is set free.

An entry waits (``outbox.blocked_by``) for the first object it refers to that has no accepted, undeleted version; a
DELETE waits for a pending object whose accepted version still refers to it. What waits is out of the index that ready
entries are read from, so a backlog of waiting entries is never looked through twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from cdc.messages import render_queue
from cdc.model import OBJECT_TYPE, REFERRERS, Action, Kind, ObjectRef, ObjectType, Urgency, parse_object_id
from cdc.state.store import Store

HELD_DELETE: Final = "brake:deletes"
"""``blocked_by`` of a DELETE that the brake holds."""

OptionalReferences = Mapping[ObjectType, frozenset[ObjectType]]
"""Type of a message → types of references that the sink takes it without."""


class Judged(NamedTuple):
    """What an entry's references say: who they are without the hopeless ones, those, and whom it waits for."""

    refs: tuple[ObjectRef, ...]
    bare: tuple[ObjectRef, ...] = ()
    blocker: ObjectRef | None = None


def key_of(ref: ObjectRef) -> str:
    """The object as it stands in ``blocked_by``: ``customer:7``."""
    return f"{ref.kind.value}:{ref.id}"


def parse_key(text: str) -> ObjectRef | None:
    """The object that a ``blocked_by`` names; None for the brake."""
    kind, _, object_id = text.partition(":")
    if text == HELD_DELETE:
        return None
    return ObjectRef(Kind(kind), parse_object_id(Kind(kind), object_id))


def parse_refs(text: str) -> tuple[ObjectRef, ...]:
    """``[["customer", 7]]`` as objects; nothing for an empty text."""
    return tuple(ObjectRef(Kind(kind), object_id) for kind, object_id in orjson.loads(text)) if text else ()


def dump_refs(refs: Iterable[ObjectRef]) -> str:
    """The other way round."""
    return orjson.dumps([[ref.kind.value, ref.id] for ref in refs]).decode()


class Waits:
    """The rules of one look or one settling; remembers what it read, so use it within one transaction only.

    ``optional``: type of a message → types of references that the sink takes it without (``SinkTraits``).
    """

    def __init__(self, store: Store, optional: OptionalReferences) -> None:
        self._store = store
        self._optional = optional
        self._held: dict[ObjectRef, tuple[bool, str]] = {}
        self.promoted = False
        """Whether something was moved from the history class into the live class."""

    def is_accepted(self, ref: ObjectRef) -> bool:
        """Whether the receiver holds a version of it that has not since been deleted."""
        return self._of(ref)[0]

    def record_of(self, ref: ObjectRef) -> str:
        """The receiver's record of the object, "" if none is known."""
        return self._of(ref)[1]

    def _of(self, ref: ObjectRef) -> tuple[bool, str]:
        held = self._held.get(ref)
        if held is None:
            row = self._store.db.execute(
                "SELECT accepted_at > 0 AND accepted_delete = 0, record_id FROM ledger WHERE kind = ? AND id = ?",
                (ref.kind.value, ref.id),
            ).fetchone()
            held = self._held[ref] = (bool(row[0]), row[1]) if row else (False, "")
        return held

    def is_hopeless(self, ref: ObjectRef) -> bool:
        """Whether no version of it is on its way: set aside as a dead letter, or gone before it was ever sent."""
        pair = (ref.kind.value, ref.id)
        row = self._store.db.execute("SELECT action FROM outbox WHERE kind = ? AND id = ?", pair).fetchone()
        if row is not None:
            return bool(row[0] == Action.DELETE.value)
        for table in ("render_queue", "orphan"):
            if self._store.db.execute(f"SELECT 1 FROM {table} WHERE kind = ? AND id = ?", pair).fetchone():
                return False
        return True

    def may_go_without(self, kind: Kind, ref: ObjectRef) -> bool:
        """Whether the sink takes an object of ``kind`` without this reference."""
        return ref.object_type in self._optional.get(OBJECT_TYPE[kind], ())

    def judge(self, kind: Kind, refs: Sequence[ObjectRef]) -> Judged:
        """What these references mean for an UPSERT of an object of ``kind``."""
        if all(self.is_accepted(ref) for ref in refs):
            return Judged(tuple(refs))
        kept, bare = [], []
        for ref in refs:
            if self.is_accepted(ref):
                kept.append(ref)
            elif self.may_go_without(kind, ref) and self.is_hopeless(ref):
                bare.append(ref)
            else:
                return Judged((), (), ref)
        return Judged(tuple(kept), tuple(bare))

    def promote(self, ref: ObjectRef) -> None:
        """A live entry waits for this one: move it, and what it waits for itself, into the live class."""
        pair = (ref.kind.value, ref.id)
        row = self._store.db.execute("SELECT urgency, refs FROM outbox WHERE kind = ? AND id = ?", pair).fetchone()
        if row is None:
            render_queue.promote(self._store, ref)
            return
        urgency, refs = row
        if urgency != Urgency.LIVE:
            self._store.db.execute("UPDATE outbox SET urgency = 0 WHERE kind = ? AND id = ?", pair)
            self.promoted = True
        for other in parse_refs(refs):
            if not self.is_accepted(other):
                self.promote(other)

    def delete_blockers(self, deleted: Collection[ObjectRef]) -> dict[ObjectRef, ObjectRef]:
        """For each DELETE a pending object whose accepted version still refers to it, where there is one.

        Pending is what waits to be sent or to be rendered. One pass over the keys of that, whatever the number of
        DELETEs. A pending object that itself waits for the deleted one does not count: the two would wait for each
        other for ever.
        """
        found: dict[ObjectRef, ObjectRef] = {}
        wanted = set(deleted)
        for kind in sorted({referrer for ref in wanted for referrer in REFERRERS[ref.kind]}):
            rows = self._store.db.execute(
                "SELECT o.id, l.accepted_refs FROM outbox o JOIN ledger l ON l.kind = o.kind AND l.id = o.id"
                " WHERE o.kind = ?1 AND length(l.accepted_refs) > 2 UNION ALL"
                " SELECT d.id, l.accepted_refs FROM render_queue d JOIN ledger l ON l.kind = d.kind AND l.id = d.id"
                " WHERE d.kind = ?1 AND length(l.accepted_refs) > 2",
                (kind.value,),
            )
            for object_id, refs in rows.fetchall():
                for ref in parse_refs(refs):
                    if ref in wanted and ref not in found and not self._waits_for(ObjectRef(kind, object_id), ref):
                        found[ref] = ObjectRef(kind, object_id)
        return found

    def _waits_for(self, pending: ObjectRef, ref: ObjectRef) -> bool:
        """Whether ``pending`` waits for ``ref``, or will at its next look (a newer version has lost its mark)."""
        if self.is_accepted(ref):
            return False
        row = self._store.db.execute(
            "SELECT refs, action FROM outbox WHERE kind = ? AND id = ?", (pending.kind.value, pending.id)
        ).fetchone()
        return row is not None and row[1] == Action.UPSERT.value and ref in parse_refs(row[0])


def block(store: Store, pairs: Iterable[tuple[int, str]]) -> None:
    """Let entries wait: (seq, key of the blocker)."""
    store.db.executemany("UPDATE outbox SET blocked_by = ? WHERE seq = ?", [(key, seq) for seq, key in pairs])


def free(store: Store, refs: Iterable[ObjectRef]) -> int:
    """Set free what waits for these objects, to be judged anew. Returns how many entries that was."""
    before = store.db.total_changes
    store.db.executemany("UPDATE outbox SET blocked_by = NULL WHERE blocked_by = ?", [(key_of(ref),) for ref in refs])
    return store.db.total_changes - before


def link_again(store: Store, refs: Iterable[ObjectRef]) -> int:
    """These came after all: whoever was sent without them is rendered afresh. Returns how many objects that is."""
    if store.db.execute("SELECT 1 FROM bare_link LIMIT 1").fetchone() is None:
        return 0
    count = 0
    for ref in refs:
        pair = (ref.kind.value, ref.id)
        rows = store.db.execute("SELECT kind, id FROM bare_link WHERE ref_kind = ? AND ref_id = ?", pair).fetchall()
        for kind, object_id in rows:
            render_queue.mark(store, ObjectRef(Kind(kind), object_id), force=True)
            count += 1
        store.db.execute("DELETE FROM bare_link WHERE ref_kind = ? AND ref_id = ?", pair)
    return count


def look_again(store: Store, optional: OptionalReferences, *, after: str = "", limit: int = 500) -> tuple[str, int]:
    """Set free what waits for an object that is neither pending nor to be rendered any more.

    Such waits arise when an object vanishes before it was ever sent, which leaves no receipt. Looks at ``limit``
    blockers past ``after``; returns the last one looked at ("" after the end) and how many entries were set free.
    """
    waits = Waits(store, optional)
    freed, last = 0, after
    for _ in range(limit):
        row = store.db.execute(
            "SELECT blocked_by FROM outbox WHERE blocked_by > ? ORDER BY blocked_by LIMIT 1", (last,)
        ).fetchone()
        if row is None:
            return "", freed
        last = row[0]
        ref = parse_key(last)
        if ref is None:
            continue
        kind, action = store.db.execute(  # a waiting DELETE comes first: its wait ends soonest
            "SELECT kind, action FROM outbox WHERE blocked_by = ? ORDER BY action LIMIT 1", (last,)
        ).fetchone()
        if action == Action.DELETE.value:
            pair = (ref.kind.value, ref.id)
            is_over = not any(
                store.db.execute(f"SELECT 1 FROM {table} WHERE kind = ? AND id = ?", pair).fetchone()
                for table in ("outbox", "render_queue")
            )
        else:
            is_over = waits.is_accepted(ref) or (waits.may_go_without(Kind(kind), ref) and waits.is_hopeless(ref))
        if is_over:
            freed += free(store, [ref])
    return last, freed
