"""The DELETEs that the circuit breaker holds, as operators see them. Nothing is written here."""

from __future__ import annotations

from typing import NamedTuple

from cdc.messages.refs import HELD_DELETE
from cdc.model import Kind, ObjectRef
from cdc.state.store import Store


class HeldDelete(NamedTuple):
    """A held DELETE: ``rendered_ms`` (epoch milliseconds) is since when, ``position`` the change's, in the log."""

    ref: ObjectRef
    rendered_ms: int
    position: str


def list_held_deletes(store: Store) -> list[HeldDelete]:
    """All DELETEs that the circuit breaker holds, the oldest first."""
    rows = store.db.execute(
        "SELECT kind, id, rendered_ms, position FROM outbox WHERE blocked_by = ? AND action = 'DELETE' ORDER BY seq",
        (HELD_DELETE,),
    )
    return [HeldDelete(ObjectRef(Kind(kind), key), rendered_ms, at) for kind, key, rendered_ms, at in rows]
