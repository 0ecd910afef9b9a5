"""Objects that were sent without a reference, as the object referred to is a dead letter. They are linked once it
comes.

Only this module writes the table ``sent_without_reference``. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Iterable

from cdc.messages import render_queue
from cdc.model import Kind, ObjectRef
from cdc.state.objects import OBJECT, as_refs, pair
from cdc.state.store import Store


def note(store: Store, ref: ObjectRef, missing: Iterable[ObjectRef]) -> None:
    """The object is sent without these references."""
    store.db.executemany(
        "INSERT OR IGNORE INTO sent_without_reference (ref_kind, ref_id, kind, id) VALUES (?, ?, ?, ?)",
        [(*pair(other), *pair(ref)) for other in missing],
    )


def replace(store: Store, ref: ObjectRef, missing: Iterable[ObjectRef]) -> None:
    """The object's last message lacked these references, and no others."""
    store.db.execute(f"DELETE FROM sent_without_reference WHERE {OBJECT}", pair(ref))
    note(store, ref, missing)


def of(store: Store, ref: ObjectRef) -> tuple[ObjectRef, ...]:
    """The references that the object was sent without."""
    rows = store.db.execute(f"SELECT ref_kind, ref_id FROM sent_without_reference WHERE {OBJECT}", pair(ref))
    return tuple(as_refs(rows))


def missing(store: Store) -> list[ObjectRef]:
    """All objects that were missing as a reference of another object."""
    return as_refs(store.db.execute("SELECT DISTINCT ref_kind, ref_id FROM sent_without_reference"))


def link_again(store: Store, refs: Iterable[ObjectRef]) -> int:
    """These objects were accepted after all: render the objects that were sent without them. Returns how many."""
    if store.db.execute("SELECT 1 FROM sent_without_reference LIMIT 1").fetchone() is None:
        return 0
    count = 0
    for ref in refs:
        rows = store.db.execute(
            "SELECT kind, id FROM sent_without_reference WHERE ref_kind = ? AND ref_id = ?", pair(ref)
        )
        for kind, object_id in rows:  # one by one: very many may refer to one object
            render_queue.mark(store, ObjectRef(Kind(kind), object_id), force=True)
            count += 1
        store.db.execute("DELETE FROM sent_without_reference WHERE ref_kind = ? AND ref_id = ?", pair(ref))
    return count
