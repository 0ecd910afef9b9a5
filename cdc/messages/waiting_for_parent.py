"""Objects that the receiver accepted and refused afterwards, because it did not know their parent yet.

Each is rendered again once its parent is known (``late_rejections.py`` decides). Only this module writes the table
``waiting_for_parent``. Use inside a store transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cdc.messages.refs import parse_refs
from cdc.model import Kind, ObjectRef
from cdc.state.objects import OBJECT, line, pair
from cdc.state.store import Store


class LateRejection(NamedTuple):
    """A refusal after acceptance: the refused version, since when it is known, and the receiver's error type and
    details.

    ``is_without_record``: the receiver said that it holds no record of the object.
    """

    ref: ObjectRef
    changed_at: int
    since_ms: int
    reason: str
    detail: str
    parents: tuple[ObjectRef, ...] = ()
    is_without_record: bool = False


def add(store: Store, rejection: LateRejection) -> None:
    """The object waits from now on. If it waits already, its time of waiting goes on."""
    store.db.execute(
        "INSERT INTO waiting_for_parent (kind, id, changed_at, since_ms, reason, detail) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, id) DO UPDATE SET changed_at = excluded.changed_at, reason = excluded.reason,"
        " detail = excluded.detail",
        (*pair(rejection.ref), rejection.changed_at, rejection.since_ms, rejection.reason, rejection.detail),
    )


def oldest(store: Store, limit: int) -> list[LateRejection]:
    """The objects that have waited longest, each with the references that it was sent with."""
    rows = store.db.execute(
        "SELECT o.kind, o.id, o.changed_at, o.since_ms, o.reason, o.detail, l.accepted_refs FROM waiting_for_parent o"
        " JOIN ledger l ON l.kind = o.kind AND l.id = o.id ORDER BY o.since_ms LIMIT ?",
        (limit,),
    ).fetchall()
    return [
        LateRejection(ObjectRef(Kind(kind), key), changed_at, since_ms, reason, detail, parse_refs(refs))
        for kind, key, changed_at, since_ms, reason, detail, refs in rows
    ]


def get(store: Store, ref: ObjectRef) -> tuple[int, int, str, str] | None:
    """The wait of an object: changed_at, since when (both epoch milliseconds), reason, detail."""
    return line(store.db, "waiting_for_parent", "changed_at, since_ms, reason, detail", ref)


def remove(store: Store, ref: ObjectRef) -> None:
    """The object no longer waits."""
    store.db.execute(f"DELETE FROM waiting_for_parent WHERE {OBJECT}", pair(ref))


def supersede(store: Store, accepted: Sequence[tuple[ObjectRef, int]]) -> None:
    """These objects' messages (object, changed_at) were accepted: remove the waits of older messages."""
    if store.db.execute("SELECT 1 FROM waiting_for_parent LIMIT 1").fetchone():
        store.db.executemany(
            f"DELETE FROM waiting_for_parent WHERE {OBJECT} AND changed_at < ?",
            [(*pair(ref), changed_at) for ref, changed_at in accepted],
        )


def forget_detail(store: Store, ref: ObjectRef) -> None:
    """The object is gone from the shop: remove the receiver's text, which may quote its values."""
    store.db.execute(f"UPDATE waiting_for_parent SET detail = '' WHERE {OBJECT} AND detail <> ''", pair(ref))
