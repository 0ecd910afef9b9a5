"""What an outbox entry has to wait for, and when it is set free.

An entry waits (``outbox.blocked_by``) for the first object that it refers to and that has no accepted, undeleted
version. A DELETE waits for a pending object whose accepted version still refers to the deleted object. Waiting entries
are not in the index of ready entries, so a backlog of them is never read again.

A DELETE of a contact also waits for another contact that was never accepted and has the same address, and a DELETE of a
cart for the order that was made of it: that object takes over the record, and an earlier DELETE could archive it. And a
DELETE waits while a bulk invalidation is queued that may name objects which still refer to the deleted object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from cdc.messages import outbox, referrers, render_queue, sent_versions
from cdc.messages.refs import bulk_key, key_of, parse_bulk_key, parse_key, parse_refs
from cdc.model import OBJECT_TYPE, REFERRERS, Action, Kind, ObjectRef, ObjectType, Urgency
from cdc.state.objects import has, pair
from cdc.state.store import Store

OptionalReferences = Mapping[ObjectType, frozenset[ObjectType]]
"""Type of a message → types of references without which the sink takes the message."""

_NEVER_SENT: Final = (False, "")
_NEVER_ACCEPTED: Final = "(l.kind IS NULL OR l.accepted_at = 0 OR l.accepted_delete = 1)"
_ALIKE: Final = {
    object_type: f",{','.join(kind.value for kind in Kind if OBJECT_TYPE[kind] is object_type)},"
    for object_type in ObjectType
}
"""Type → its kinds, each between commas."""


class Checked(NamedTuple):
    """The result for an entry's references: those to send, those that will never come, and the object to wait for."""

    refs: tuple[ObjectRef, ...]
    missing: tuple[ObjectRef, ...] = ()
    blocker: ObjectRef | None = None


class Waits:
    """The rules for waiting. An instance remembers what it read, so use it within one transaction only.

    ``optional``: type of a message → types of references without which the sink takes the message (``SinkTraits``).
    """

    def __init__(self, store: Store, optional: OptionalReferences) -> None:
        self._store = store
        self._optional = optional
        self._held: dict[ObjectRef, tuple[bool, str]] = {}
        self.promoted = False
        """Whether an entry was moved from the history class to the live class."""

    def is_accepted(self, ref: ObjectRef) -> bool:
        """Whether the receiver holds a version of the object and has not deleted it since."""
        return self._of(ref)[0]

    def record_of(self, ref: ObjectRef) -> str:
        """The receiver's record of the object, "" if it is not known."""
        return self._of(ref)[1]

    def look_up(self, refs: Iterable[ObjectRef]) -> None:
        """Read what was sent of these objects together: a statement for each object takes three times as long."""
        unknown = set(refs).difference(self._held)
        if unknown:
            self._held.update(dict.fromkeys(unknown, _NEVER_SENT))
            self._held.update(sent_versions.held_and_records(self._store, unknown))

    def _of(self, ref: ObjectRef) -> tuple[bool, str]:
        # Looked up once per transaction: a batch of lines mostly shares few parents.
        if ref not in self._held:
            self.look_up((ref,))
        return self._held[ref]

    def will_never_come(self, ref: ObjectRef) -> bool:
        """Whether no version of the object is on its way: it is a dead letter, or
        it vanished before it was ever sent.
        """
        row = outbox.pending(self._store, ref, "action")
        # A message waits: if it is a DELETE, no version will be accepted before it.
        if row is not None:
            return bool(row[0] == Action.DELETE.value)
        return not (render_queue.is_queued(self._store, ref) or has(self._store.db, "waiting_for_parent", ref))

    def may_go_without(self, kind: Kind, ref: ObjectRef) -> bool:
        """Whether the sink takes an object of ``kind`` without this reference."""
        return ref.object_type in self._optional.get(OBJECT_TYPE[kind], ())

    def check(self, kind: Kind, refs: Sequence[ObjectRef]) -> Checked:
        """Decide on each reference of an UPSERT of an object of ``kind``."""
        if all([self._of(ref)[0] for ref in refs]):
            return Checked(tuple(refs))
        kept, missing = [], []
        for ref in refs:
            if self.is_accepted(ref):
                kept.append(ref)
            elif self.may_go_without(kind, ref) and self.will_never_come(ref):
                missing.append(ref)
            else:
                return Checked((), (), ref)
        return Checked(tuple(kept), tuple(missing))

    def promote(self, ref: ObjectRef) -> None:
        """A live entry waits for this object: move its entry, and the entries it waits for, to the live class."""
        row = outbox.pending(self._store, ref, "urgency, refs")
        if row is None:
            render_queue.promote(self._store, ref)
            return
        urgency, refs = row
        if urgency != Urgency.LIVE:
            outbox.promote(self._store, ref)
            self.promoted = True
        for other in parse_refs(refs):
            if not self.is_accepted(other):
                self.promote(other)

    def delete_blockers(self, deleted: Collection[ObjectRef]) -> dict[ObjectRef, str]:
        """For each DELETE that has to wait, the key of the object or invalidation
        to wait for (``outbox.blocked_by``).
        """
        found = {ref: key_of(by) for ref, by in self._referrers(deleted).items()}
        for ref in deleted:
            if ref in found:
                continue
            bulk = next((kind for kind in REFERRERS[ref.kind] if render_queue.is_invalidated(self._store, kind)), None)
            if bulk is not None:
                # which objects it names is known only once it is worked off; one of them may still refer to this one
                found[ref] = bulk_key(bulk)
            elif (successor := self._successor(ref)) is not None:
                found[ref] = key_of(successor)
        return found

    def _successor(self, deleted: ObjectRef) -> ObjectRef | None:
        """An object that was never accepted and takes over, or may take over, the record of the deleted object: a
        contact with the same address, the order of a cart.
        """
        address = sent_versions.sent_side(self._store, deleted).address
        if not address:
            return None
        waits = (
            "SELECT o.kind, o.id FROM outbox o LEFT JOIN ledger l ON l.kind = o.kind AND l.id = o.id WHERE"
            f" o.address = ? AND o.address <> x'' AND o.action = 'UPSERT' AND {_NEVER_ACCEPTED} LIMIT 1"
        )
        # the address of a contact that is to be rendered is not known yet; live ones are few, and soon rendered
        queued = (
            "SELECT d.kind, d.id FROM render_queue d LEFT JOIN ledger l ON l.kind = d.kind AND l.id = d.id WHERE"
            f" d.needs_fetch IN (0, 1) AND d.urgency = 0 AND instr(?, ',' || d.kind || ',') > 0"
            " AND NOT (d.kind = ? AND d.id = ?)"
            f" AND {_NEVER_ACCEPTED} LIMIT 1"
        )
        row = self._store.db.execute(waits, (address,)).fetchone()
        row = row or self._store.db.execute(queued, (_ALIKE[deleted.object_type], *pair(deleted))).fetchone()
        return ObjectRef(Kind(row[0]), row[1]) if row is not None else None

    def _referrers(self, deleted: Collection[ObjectRef]) -> dict[ObjectRef, ObjectRef]:
        """For each DELETE, a pending object whose accepted version still refers to the deleted object, if there is one.

        ``referrers.pending_referrers`` says which objects are pending. The time depends on the number of referrers and
        not on the backlog. A pending object that itself waits for the deleted object does not count: the two would wait
        for each other for ever.
        """
        found: dict[ObjectRef, ObjectRef] = {}
        for ref in deleted:
            for referrer in referrers.pending_referrers(self._store, ref):
                if not self._waits_for(referrer, ref):
                    found[ref] = referrer
                    break
        return found

    def _waits_for(self, pending: ObjectRef, ref: ObjectRef) -> bool:
        """Whether ``pending`` waits for ``ref``, or will wait after the next look (a newer version replaced the marked
        entry).
        """
        if self.is_accepted(ref):
            return False
        row = outbox.pending(self._store, pending, "refs, action")
        return row is not None and row[1] == Action.UPSERT.value and ref in parse_refs(row[0])


def look_again(store: Store, optional: OptionalReferences, *, after: str = "", limit: int = 500) -> tuple[str, int]:
    """Set free the entries that wait for an object which is neither pending nor to be rendered any more.

    Such waits arise when an object vanishes before it was ever sent, which gives no receipt. Looks at ``limit``
    blockers past ``after``. Returns the last blocker looked at ("" after the end) and how many entries were set free.
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
        bulk = parse_bulk_key(last)
        if bulk is not None and not render_queue.is_invalidated(store, bulk):
            freed += outbox.free_bulk(store, bulk)
        ref = parse_key(last)
        if ref is None:
            continue
        kind, action = store.db.execute(  # a waiting DELETE comes first: its wait ends soonest
            "SELECT kind, action FROM outbox WHERE blocked_by = ? ORDER BY action LIMIT 1", (last,)
        ).fetchone()
        if action == Action.DELETE.value:
            is_over = not (has(store.db, "outbox", ref) or render_queue.is_queued(store, ref))
        else:
            is_over = waits.is_accepted(ref) or (waits.may_go_without(Kind(kind), ref) and waits.will_never_come(ref))
        if is_over:
            freed += outbox.free(store, [ref])
    return last, freed
