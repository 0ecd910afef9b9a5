"""Who still refers to an object as far as the receiver knows, and has a message to come: a DELETE waits for it.

Only reads: the tables are those of the ledger, of unconfirmed attempts, and of what is pending. Use inside a store
transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cdc.messages.refs import parse_refs
from cdc.model import KINDS, ObjectRef
from cdc.state.schema import first_ref, second_ref
from cdc.state.store import Store

_LOOKS: Final = tuple(
    f"l.{refs} FROM {table} l WHERE {place}"
    for table, refs in (("ledger_line", "accepted_refs"), ("unconfirmed", "refs"))
    for place in (
        f"l.{refs} <> '' AND {first_ref(f'l.{refs}')}",
        f"instr(l.{refs}, ' ') > 0 AND {second_ref(f'l.{refs}')}",
    )
)
_REFERRERS: Final = tuple(
    f"SELECT l.kind, l.id, {look} = ? AND (EXISTS (SELECT 1 FROM outbox o WHERE o.kind = l.kind AND o.id = l.id)"
    " OR EXISTS (SELECT 1 FROM render_queue d WHERE d.kind = l.kind AND d.id = l.id)"
    " OR EXISTS (SELECT 1 FROM resync_found f WHERE f.kind = l.kind AND f.id = l.id))"
    for look in _LOOKS
)
"""One query per table and position in its list of references, each with an index (at most MOST_REFERENCES)."""


def pending_referrers(store: Store, ref: ObjectRef) -> Iterator[ObjectRef]:
    """Objects with a message to come whose accepted or unconfirmed version refers to ``ref``; read lazily.

    A message is to come for an object that waits to be sent, waits to be rendered, or was changed by a read of stale
    tables that is still going on.
    """
    for sql in _REFERRERS:
        for kind, object_id, refs in store.db.execute(sql, (ref.id,)):
            if ref in parse_refs(refs):  # the indexes know ids, and an order and a customer may have the same
                yield ObjectRef(KINDS[kind], object_id)
