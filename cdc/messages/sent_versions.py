"""What was sent of objects so far, read from the ledger (ledger.py). Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from cdc.model import KIND_NAMES, Kind, ObjectRef
from cdc.state.objects import as_refs, line, pair
from cdc.state.store import Store


class SentSide(NamedTuple):
    """What was sent of an object so far. ``accepted_refs``: the links of its last accepted version (refs.py).

    ``address``: the mark of the address in a contact's record (contact_emails.py), b"" where it is not known.

    ``is_held``: the receiver holds a version, and nothing has deleted it since.
    """

    record_id: str = ""
    accepted_at: int = 0
    accepted_refs: str = ""
    tried_at: int = 0
    is_held: bool = False
    address: bytes = b""
    accepted_hash: bytes | None = None


_NEVER_SENT: Final = SentSide()
_STANDS: Final = "accepted_at > 0 AND accepted_delete = 0 AND delete_on_wire = 0"

SENT_SIDE: Final = f"l.record_id, l.accepted_at, l.accepted_refs, l.tried_at, {_STANDS}, l.address, l.accepted_hash"
"""The columns of a ``SentSide``, for statements that join the ledger as ``l``; see ``as_sent_side``."""

_SENT_SIDE: Final = f"SELECT {SENT_SIDE} FROM ledger l WHERE l.kind = ? AND l.id = ?"
_HELD_AND_RECORDS: Final = (
    f"SELECT l.id, {_STANDS}, l.record_id FROM ledger l WHERE l.kind = ? AND l.id IN (SELECT value FROM json_each(?))"
)


def sent_side(store: Store, ref: ObjectRef) -> SentSide:
    """What was sent of the object; all fields are empty if nothing was sent."""
    row = store.db.execute(_SENT_SIDE, pair(ref)).fetchone()
    return _NEVER_SENT if row is None else SentSide._make(row)


def held_and_records(store: Store, refs: Iterable[ObjectRef]) -> dict[ObjectRef, tuple[bool, str]]:
    """``is_held`` and ``record_id`` of ``SentSide`` for each of these objects: one statement for each kind."""
    by_kind: dict[Kind, list[int | str]] = {}
    for ref in refs:
        by_kind.setdefault(ref.kind, []).append(ref.id)
    found: dict[ObjectRef, tuple[bool, str]] = {}
    for kind, ids in by_kind.items():
        rows = store.db.execute(_HELD_AND_RECORDS, (KIND_NAMES[kind], orjson.dumps(ids).decode()))
        found.update({ObjectRef(kind, object_id): (bool(is_held), record) for object_id, is_held, record in rows})
    return found


def as_sent_side(cells: Sequence[Any]) -> SentSide:
    """The values of ``SENT_SIDE`` after a left join; all fields are empty where the ledger has no line."""
    return _NEVER_SENT if cells[1] is None else SentSide._make(cells)


def held_after(store: Store, after: ObjectRef | None, limit: int) -> list[ObjectRef]:
    """The next objects that the receiver holds, in the ledger's order. ``after`` None: from the first object on."""
    place = pair(after) if after is not None else ("", 0)
    rows = store.db.execute(
        f"SELECT kind, id FROM ledger WHERE (kind, id) > (?, ?) AND {_STANDS} ORDER BY kind, id LIMIT ?",
        (*place, limit),
    )
    return as_refs(rows)


def kinds(store: Store) -> set[Kind]:
    """The kinds of objects that were ever rendered."""
    asked = "SELECT 1 FROM ledger WHERE kind = ? LIMIT 1"
    return {kind for kind in Kind if store.db.execute(asked, (kind.value,)).fetchone() is not None}


def size(store: Store) -> int:
    """How many objects were ever rendered; takes a second for millions."""
    count: int = store.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
    return count


def count_held(store: Store, at_most: int) -> int:
    """How many objects the receiver holds, counted up to ``at_most``. A DELETE
    on the wire does not change the count.
    """
    count: int = store.db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM ledger WHERE accepted_at > 0 AND accepted_delete = 0 LIMIT ?)", (at_most,)
    ).fetchone()[0]
    return count


def highest_changed_at(store: Store) -> int:
    """The highest ``changed_at`` that was ever on the wire, here or at an earlier leader; 0 if nothing was."""
    highest: int | None = store.db.execute("SELECT max(max(accepted_at), max(tried_at)) FROM ledger").fetchone()[0]
    return highest or 0


def is_current(store: Store, ref: ObjectRef, changed_at: int) -> bool:
    """Whether this version was sent last, is accepted, and was not revoked before."""
    row = line(store.db, "ledger", "accepted_at, tried_at, accepted_hash", ref)
    return row is not None and row[:2] == (changed_at, changed_at) and row[2] is not None


def which_are_held(store: Store, refs: Sequence[ObjectRef]) -> list[ObjectRef]:
    """The objects among these that the receiver holds."""
    sent = held_and_records(store, refs)
    return [ref for ref in refs if ref in sent and sent[ref][0]]
