"""Lists the outbox entries that cannot be sent now, with the reason in words for operators. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cdc.messages.outbox import SUSPECT
from cdc.messages.refs import HELD_DELETE, parse_bulk_key, parse_key
from cdc.model import OBJECT_TYPE, Action, Kind, ObjectRef, ObjectType
from cdc.state.objects import has
from cdc.state.store import Store


@dataclass(frozen=True, slots=True)
class Waiting:
    """One entry that cannot be sent now, and the reason."""

    ref: ObjectRef
    action: Action
    cause: str
    rendered_ms: int
    attempts: int


def waiting(store: Store, limit: int = 100, *, held: bool = True) -> list[Waiting]:
    """Entries that wait for another object, are held by the circuit breaker, or are parked; the oldest first.

    ``held``: with those that the circuit breaker holds.
    """
    rows = store.db.execute(
        "SELECT kind, id, action, blocked_by, rendered_ms, attempts FROM outbox WHERE blocked_by IS NOT NULL"
        " AND (? OR blocked_by <> ?) ORDER BY seq LIMIT ?",
        (held, HELD_DELETE, limit),
    ).fetchall()
    found = [
        Waiting(ObjectRef(Kind(kind), key), Action(action), cause_of(store, action, blocked_by), rendered_ms, attempts)
        for kind, key, action, blocked_by, rendered_ms, attempts in rows
    ]
    parked = store.db.execute(
        "SELECT kind, id, action, rendered_ms, attempts FROM outbox WHERE blocked_by IS NULL AND attempts > 0"
        " ORDER BY seq LIMIT ?",
        (limit - len(found),),
    )
    for kind, key, action, rendered_ms, attempts in parked:
        cause = f"parked after {attempts} failed attempts" if attempts >= SUSPECT else "to be tried again"
        found.append(Waiting(ObjectRef(Kind(kind), key), Action(action), cause, rendered_ms, attempts))
    return found


TURN = "its turn"


def listed(store: Store, limit: int, kinds: Sequence[Kind] = ()) -> list[Waiting]:
    """Entries of the outbox, the oldest first, each with what it waits for. ``kinds``: only these kinds."""
    chosen = f" WHERE kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
    rows = store.db.execute(
        "SELECT kind, id, action, blocked_by, rendered_ms, attempts FROM outbox" + chosen + " ORDER BY seq LIMIT ?",
        (*(kind.value for kind in kinds), limit),
    ).fetchall()
    found = []
    for kind, key, action, blocked_by, rendered_ms, attempts in rows:
        if blocked_by is not None:
            cause = cause_of(store, action, blocked_by)
        elif attempts >= SUSPECT:
            cause = f"parked after {attempts} failed attempts"
        else:
            cause = "to be tried again" if attempts else TURN
        found.append(Waiting(ObjectRef(Kind(kind), key), Action(action), cause, rendered_ms, attempts))
    return found


def cause_of(store: Store, action: str, blocked_by: str) -> str:
    """What an entry waits for, in words."""
    kind = parse_bulk_key(blocked_by)
    if kind is not None:
        return f"a bulk invalidation may name objects of kind {kind.value} that still refer to it"
    ref = parse_key(blocked_by)
    # Not an object: the hold of the circuit breaker.
    if ref is None:
        return "held by the circuit breaker on deletions; `magento-cdc deletes release` lets them go"
    name = f"{ref.kind.value}-{ref.id}"
    # Contacts refer to nothing, so it can only be a record that is taken over.
    if action == Action.DELETE.value and OBJECT_TYPE[ref.kind] is ObjectType.CONTACT:
        return f"{name} may take its record over and has a message pending"  # contacts refer to nothing
    if action == Action.DELETE.value:
        return f"{name} still refers to it and has a message pending"
    for table, text in (
        ("outbox", "which is not accepted yet"),
        ("render_queue", "which is to be rendered"),
        ("resync_found", "which is to be rendered once the stale tables are read"),
        ("waiting_for_parent", "which was refused because HubSpot lacks the object that it refers to"),
        ("dead_letter", "which is a dead letter"),
    ):
        if has(store.db, table, ref):
            return f"waits for {name}, {text}"
    return f"waits for {name}, which was never accepted"
