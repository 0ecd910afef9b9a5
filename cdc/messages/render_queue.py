"""Objects that wait to be rendered: for rows to be fetched, for a position in the log, or behind live work.

A bulk invalidation names many objects at once (a renamed group, the end of the first load). It is turned into single
requests slice by slice, so it never delays a live change. Use inside a store transaction.

Only this module writes the tables ``render_queue``, ``bulk_invalidation`` and ``resync_found``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from cdc.messages import outbox
from cdc.messages.bulk_members import members
from cdc.model import KINDS, BulkInvalidation, Kind, ObjectRef, Urgency
from cdc.replica.affected import AffectedObjects
from cdc.state.objects import OBJECT, as_refs, has, line, pair
from cdc.state.store import Store

NEVER: Final = (1 << 63) - 1
"""The position of a bulk invalidation that waits until the stale tables are read."""


_NOW_MS: Final = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
"""SQLite's clock, which is also the default of ``since_ms``: since when the object has waited in its urgency."""


_URGENCIES: Final = {int(urgency): urgency for urgency in Urgency}


class QueuedObject(NamedTuple):
    """One object to render, and its urgency."""

    ref: ObjectRef
    urgency: Urgency
    commit_ms: int
    force: bool
    links: bool = False


def mark(
    store: Store,
    ref: ObjectRef,
    *,
    urgency: Urgency = Urgency.LIVE,
    fetch: bool = False,
    not_before: int = 0,
    commit_ms: int = 0,
    force: bool = False,
    links: bool = False,
) -> None:
    """Ask for an object to be rendered. Requests for one object merge into the more urgent one and the later position.

    ``fetch``: first read its rows from the server. ``not_before``: render once the log has passed this LSN. ``force``:
    send the message even if it equals the last one. ``links``: make its links again, even if nothing changed.
    """
    store.db.execute(
        "INSERT INTO render_queue (kind, id, urgency, needs_fetch, not_before_lsn, commit_ms, is_forced, links_again)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, id) DO UPDATE SET since_ms = CASE WHEN excluded.urgency < urgency THEN excluded.since_ms"
        " ELSE since_ms END, urgency = min(urgency, excluded.urgency),"
        " needs_fetch = max(needs_fetch, excluded.needs_fetch),"
        " not_before_lsn = max(not_before_lsn, excluded.not_before_lsn),"
        " commit_ms = max(commit_ms, excluded.commit_ms), is_forced = max(is_forced, excluded.is_forced),"
        " links_again = max(links_again, excluded.links_again)",
        (ref.kind.value, ref.id, int(urgency), int(fetch), not_before, commit_ms, int(force), int(links)),
    )


def is_any(store: Store) -> bool:
    """Whether any object waits; then a live change checks the queue before its objects are rendered."""
    return store.db.execute("SELECT 1 FROM render_queue LIMIT 1").fetchone() is not None


def is_queued(store: Store, ref: ObjectRef) -> bool:
    """Whether the object is to be rendered, now or once the tables that are read again are through."""
    return any(has(store.db, table, ref) for table in ("render_queue", "resync_found"))


class Asked(NamedTuple):
    """The requests for one object so far."""

    fetch: bool
    not_before: int
    force: bool
    links: bool

    def waits(self, applied: int) -> bool:
        """Whether the object must not be rendered yet: a fetch is due, or a position in the log is not reached."""
        return self.fetch or self.not_before > applied


def get(store: Store, ref: ObjectRef) -> Asked | None:
    """The requests for the object, if there are any."""
    row = line(store.db, "render_queue", "needs_fetch, not_before_lsn, is_forced, links_again", ref)
    return Asked(bool(row[0]), row[1], bool(row[2]), bool(row[3])) if row is not None else None


def done(store: Store, refs: Iterable[ObjectRef]) -> None:
    """These objects have been rendered, or are rendered in this transaction."""
    store.db.executemany(f"DELETE FROM render_queue WHERE {OBJECT}", map(pair, refs))


def promote(store: Store, ref: ObjectRef) -> None:
    """A live message waits for this object: render the object before history."""
    store.db.execute(
        f"UPDATE render_queue SET urgency = 0, since_ms = {_NOW_MS} WHERE {OBJECT} AND urgency > 0", pair(ref)
    )


def ready(store: Store, applied: int, limit: int) -> list[QueuedObject]:
    """Objects that may be rendered now, the most urgent first."""
    rows = store.db.execute(
        "SELECT kind, id, urgency, commit_ms, is_forced, links_again FROM render_queue WHERE needs_fetch = 0"
        " AND not_before_lsn <= ? ORDER BY urgency LIMIT ?",
        (applied, limit),
    )
    return [QueuedObject(ObjectRef(KINDS[k], i), _URGENCIES[u], ms, bool(f), bool(n)) for k, i, u, ms, f, n in rows]


def to_fetch(store: Store, limit: int) -> list[ObjectRef]:
    """Objects whose rows are to be read from the server first, the most urgent first."""
    rows = store.db.execute(
        "SELECT kind, id FROM render_queue WHERE needs_fetch = 1 ORDER BY urgency LIMIT ?", (limit,)
    )
    return as_refs(rows)


def fetched(store: Store, refs: Sequence[ObjectRef], not_before: int) -> None:
    """The objects' rows have arrived. The objects may be rendered once the log has passed ``not_before``."""
    store.db.executemany(
        f"UPDATE render_queue SET needs_fetch = 0, not_before_lsn = max(not_before_lsn, ?) WHERE {OBJECT}",
        [(not_before, ref.kind.value, ref.id) for ref in refs],
    )


def fetch_all(store: Store) -> None:
    """Rows are no longer known to be complete: every waiting object has its rows fetched first."""
    store.db.execute("UPDATE render_queue SET needs_fetch = 1")


def rows_complete(store: Store, not_before: int) -> None:
    """All rows have arrived: no object waits for a fetch, only for the log to pass ``not_before``."""
    store.db.execute(
        "UPDATE render_queue SET needs_fetch = 0, not_before_lsn = max(not_before_lsn, ?) WHERE needs_fetch = 1",
        (not_before,),
    )


def fetch_whatever_was_rendered(store: Store) -> None:
    """Fetch and render every object that was ever rendered and is not deleted, behind live work."""
    store.db.execute(
        "INSERT INTO render_queue (kind, id, urgency, needs_fetch)"
        " SELECT kind, id, ?, 1 FROM ledger WHERE rendered_delete = 0"
        " ON CONFLICT (kind, id) DO UPDATE SET needs_fetch = 1",
        (int(Urgency.HISTORY),),
    )


def hold_found(store: Store, changed: AffectedObjects) -> None:
    """A read of stale tables changed these objects. They are rendered when all
    stale tables are read (``release_found``).
    """
    store.db.executemany(
        "INSERT OR IGNORE INTO resync_found (kind, id) VALUES (?, ?)", [pair(ref) for ref in changed.objects]
    )
    for invalidation in changed.invalidations:
        add_invalidation(store, invalidation, urgency=Urgency.HISTORY, not_before=NEVER)


def count_found(store: Store) -> dict[str, int]:
    """How many objects the reads of stale tables changed, by kind."""
    return dict(store.db.execute("SELECT kind, count(*) FROM resync_found GROUP BY kind"))


def release_found(store: Store, not_before: int) -> None:
    """All stale tables are read: render the objects that changed, once the log has passed ``not_before``."""
    store.db.execute(
        "INSERT INTO render_queue (kind, id, urgency, not_before_lsn)"
        " SELECT kind, id, ?, ? FROM resync_found WHERE true"
        " ON CONFLICT (kind, id) DO UPDATE SET not_before_lsn = max(not_before_lsn, excluded.not_before_lsn)",
        (int(Urgency.HISTORY), not_before),
    )
    store.db.execute("DELETE FROM resync_found")
    store.db.execute("UPDATE bulk_invalidation SET not_before_lsn = ? WHERE not_before_lsn = ?", (not_before, NEVER))


def add_invalidation(store: Store, invalidation: BulkInvalidation, *, urgency: Urgency, not_before: int = 0) -> None:
    """Queue a bulk invalidation. If it is queued already, it starts over."""
    same = (
        invalidation.kind.value,
        invalidation.table,
        invalidation.id_column,
        invalidation.column,
        invalidation.value,
        *invalidation.unless,
    )
    store.db.execute(
        "DELETE FROM bulk_invalidation WHERE kind = ? AND tbl = ? AND id_column = ? AND column_name = ? AND value IS ?"
        " AND unless_table = ? AND unless_column = ?",
        same,
    )
    store.db.execute(
        "INSERT INTO bulk_invalidation (kind, tbl, id_column, column_name, value, unless_table, unless_column, urgency,"
        " not_before_lsn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*same, int(urgency), not_before),
    )


def is_invalidated(store: Store, kind: Kind) -> bool:
    """Whether a bulk invalidation of this kind is queued: objects that are not named yet will be rendered."""
    row = store.db.execute("SELECT 1 FROM bulk_invalidation WHERE kind = ? LIMIT 1", (kind.value,)).fetchone()
    return row is not None


def clear_invalidations(store: Store) -> None:
    """Drop all bulk invalidations: a new one will name every object."""
    store.db.execute("DELETE FROM bulk_invalidation")


def work_invalidation(store: Store, applied: int, limit: int, *, fetch: bool = False) -> bool:
    """Turn the next ``limit`` rows or ids of the oldest bulk invalidation into requests; False when none is ready.

    ``fetch``: the objects' rows may be incomplete, so they are fetched first.
    """
    found = _next_slice(store, applied, limit)
    if found is None:
        return False
    urgency, refs = found
    _mark_many(store, refs, urgency, fetch=fetch)
    return True


def take_invalidated(store: Store, applied: int, limit: int, most: int) -> list[QueuedObject] | None:
    """The objects that the next rows or ids of the oldest bulk invalidation name, to be rendered in this transaction;
    None when none is ready. At most ``limit`` rows or ids are looked at, and at most ``most`` objects taken.

    A request in the queue spares the object: it is rendered later, and may have to wait for rows or be forced.
    """
    found = _next_slice(store, applied, limit, most)
    if found is None:
        return None
    urgency, refs = found
    queued = _queued_among(store, refs)
    _mark_many(store, queued, urgency)
    return [QueuedObject(ref, _URGENCIES[urgency], 0, False) for ref in dict.fromkeys(refs) if ref not in queued]


def _next_slice(store: Store, applied: int, limit: int, most: int | None = None) -> tuple[int, list[ObjectRef]] | None:
    """The urgency of the oldest bulk invalidation, and the objects of its next slice, which then counts as done."""
    row = store.db.execute(
        "SELECT seq, urgency, cursor, kind, tbl, id_column, column_name, value, unless_table, unless_column"
        " FROM bulk_invalidation WHERE not_before_lsn <= ? ORDER BY urgency, seq LIMIT 1",
        (applied,),
    ).fetchone()
    # All that wait stand behind a position that is not reached.
    if row is None:
        return None
    seq, urgency, cursor, kind, table, id_column, column, value, *unless = row
    invalidation = BulkInvalidation(Kind(kind), table, id_column, column, value, (unless[0], unless[1]))
    found = members(store, invalidation, json.loads(str(cursor)), limit, most)
    if found.is_last:
        _finish(store, seq, invalidation.kind)
    else:  # as JSON: a bare text that looks like a number would become one in this column
        store.db.execute("UPDATE bulk_invalidation SET cursor = ? WHERE seq = ?", (json.dumps(found.cursor), seq))
    return urgency, found.refs


def _queued_among(store: Store, refs: Sequence[ObjectRef]) -> set[ObjectRef]:
    """Those of these objects, which are of one kind, that the queue has."""
    # Nearly always the queue is empty when bulk invalidations are worked off.
    if not refs or not is_any(store):
        return set()
    ids = json.dumps([ref.id for ref in refs])
    rows = store.db.execute(
        "SELECT kind, id FROM render_queue WHERE kind = ? AND id IN (SELECT value FROM json_each(?))",
        (refs[0].kind.value, ids),
    )
    return set(as_refs(rows))


def _mark_many(store: Store, refs: Iterable[ObjectRef], urgency: int, *, fetch: bool = False) -> None:
    store.db.executemany(
        "INSERT INTO render_queue (kind, id, urgency, needs_fetch) VALUES (?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE"
        " SET urgency = min(urgency, excluded.urgency), needs_fetch = max(needs_fetch, excluded.needs_fetch)",
        [(*pair(ref), urgency, fetch) for ref in refs],
    )


def _finish(store: Store, seq: int, kind: Kind) -> None:
    store.db.execute("DELETE FROM bulk_invalidation WHERE seq = ?", (seq,))
    # DELETEs wait for invalidations of their kind; the last one sets them free.
    if not is_invalidated(store, kind):
        outbox.free_bulk(store, kind)


def oldest_live_s(store: Store) -> float:
    """For how many seconds the oldest live object has waited to be rendered; 0 if none waits.

    History is left out: millions of its objects may properly wait for hours.
    """
    (seconds,) = store.db.execute(
        f"SELECT max(0, {_NOW_MS} - min(since_ms)) / 1000.0 FROM render_queue WHERE urgency = 0"
    ).fetchone()
    return float(seconds or 0.0)


def counts(store: Store) -> dict[str, int]:
    """How many objects wait to be rendered, how many of them to be fetched first, and how many bulk invalidations are
    open.
    """
    objects, fetches = store.db.execute("SELECT count(*), coalesce(sum(needs_fetch), 0) FROM render_queue").fetchone()
    invalidations = store.db.execute("SELECT count(*) FROM bulk_invalidation").fetchone()[0]
    return {"objects": objects, "fetches": fetches, "bulk_invalidations": invalidations}
