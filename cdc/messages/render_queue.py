"""Objects that wait to be rendered: for a pull, for a place in the log, or for their turn behind live work.

BulkInvalidations name many objects at once (a renamed group, the end of the first load) and are turned into dirty
objects in
slices, so that no fan-out ever holds up a live change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from cdc.model import BulkInvalidation, Kind, ObjectRef, TableSpec, Urgency
from cdc.state.schema import quoted, table_name, uses_rowid
from cdc.state.store import Store


class DirtyObject(NamedTuple):
    """One object to render, and how urgently."""

    ref: ObjectRef
    urgency: Urgency
    commit_ms: int
    force: bool


def mark(
    store: Store,
    ref: ObjectRef,
    *,
    urgency: Urgency = Urgency.LIVE,
    pull: bool = False,
    not_before: int = 0,
    commit_ms: int = 0,
    force: bool = False,
) -> None:
    """Ask for an object to be rendered; requests for one object merge into the more urgent, the later place."""
    store.db.execute(
        "INSERT INTO dirty (kind, id, urgency, pull, not_before, commit_ms, force) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, id) DO UPDATE SET urgency = min(urgency, excluded.urgency),"
        " pull = max(pull, excluded.pull), not_before = max(not_before, excluded.not_before),"
        " commit_ms = max(commit_ms, excluded.commit_ms), force = max(force, excluded.force)",
        (ref.kind.value, ref.id, int(urgency), int(pull), not_before, commit_ms, int(force)),
    )


def is_any(store: Store) -> bool:
    """Whether anything at all waits (then a live touch has to look before it renders)."""
    return store.db.execute("SELECT 1 FROM dirty LIMIT 1").fetchone() is not None


class Asked(NamedTuple):
    """What is asked of one object already."""

    pull: bool
    not_before: int
    force: bool

    def waits(self, applied: int) -> bool:
        """Whether it must not be rendered yet: a pull is due, or a place in the log is not reached."""
        return self.pull or self.not_before > applied


def get(store: Store, ref: ObjectRef) -> Asked | None:
    """What is asked of the object, if anything is."""
    row = store.db.execute(
        "SELECT pull, not_before, force FROM dirty WHERE kind = ? AND id = ?", (ref.kind.value, ref.id)
    ).fetchone()
    return Asked(bool(row[0]), row[1], bool(row[2])) if row is not None else None


def done(store: Store, ref: ObjectRef) -> None:
    """The object has been rendered."""
    store.db.execute("DELETE FROM dirty WHERE kind = ? AND id = ?", (ref.kind.value, ref.id))


def ready(store: Store, applied: int, limit: int) -> list[DirtyObject]:
    """What may be rendered now, most urgent first."""
    rows = store.db.execute(
        "SELECT kind, id, urgency, commit_ms, force FROM dirty WHERE pull = 0 AND not_before <= ?"
        " ORDER BY urgency LIMIT ?",
        (applied, limit),
    )
    return [DirtyObject(ObjectRef(Kind(k), i), Urgency(u), ms, bool(f)) for k, i, u, ms, f in rows]


def to_pull(store: Store, limit: int) -> list[ObjectRef]:
    """Objects whose rows are to be read from the server first, most urgent first."""
    rows = store.db.execute("SELECT kind, id FROM dirty WHERE pull = 1 ORDER BY urgency LIMIT ?", (limit,))
    return [ObjectRef(Kind(k), i) for k, i in rows]


def pulled(store: Store, refs: Sequence[ObjectRef], not_before: int) -> None:
    """Their rows are here; they may be rendered once the log has passed ``not_before``."""
    store.db.executemany(
        "UPDATE dirty SET pull = 0, not_before = max(not_before, ?) WHERE kind = ? AND id = ?",
        [(not_before, ref.kind.value, ref.id) for ref in refs],
    )


def add_invalidation(store: Store, invalidation: BulkInvalidation, *, urgency: Urgency, not_before: int = 0) -> None:
    """Queue a bulk touch; one that is queued already starts over."""
    same = (
        invalidation.kind.value,
        invalidation.table,
        invalidation.id_column,
        invalidation.column,
        invalidation.value,
        *invalidation.unless,
    )
    store.db.execute(
        "DELETE FROM sweep WHERE kind = ? AND tbl = ? AND id_column = ? AND column_name = ? AND value IS ?"
        " AND unless_table = ? AND unless_column = ?",
        same,
    )
    store.db.execute(
        "INSERT INTO sweep (kind, tbl, id_column, column_name, value, unless_table, unless_column, urgency, not_before)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*same, int(urgency), not_before),
    )


def work_invalidation(store: Store, applied: int, limit: int, *, pull: bool = False) -> bool:
    """Turn the next ``limit`` rows or ids of the oldest sweep into dirty objects; False when no sweep is ready.

    ``pull``: their rows are not known to be complete.
    """
    row = store.db.execute(
        "SELECT seq, urgency, cursor, kind, tbl, id_column, column_name, value, unless_table, unless_column FROM sweep"
        " WHERE not_before <= ? ORDER BY urgency, seq LIMIT 1",
        (applied,),
    ).fetchone()
    if row is None:
        return False
    seq, urgency, cursor, kind, table, id_column, column, value, *unless = row
    invalidation = BulkInvalidation(Kind(kind), table, id_column, column, value, (unless[0], unless[1]))
    spec = store.tables.get(invalidation.table)
    if spec is None:
        store.db.execute("DELETE FROM sweep WHERE seq = ?", (seq,))
        return True
    found = (_by_ids if _is_by_ids(spec, invalidation) else _by_rows)(
        store, spec, invalidation, json.loads(str(cursor)), limit
    )
    store.db.executemany(
        "INSERT INTO dirty (kind, id, urgency, pull) VALUES (?, ?, ?, ?) ON CONFLICT (kind, id) DO UPDATE"
        " SET urgency = min(urgency, excluded.urgency), pull = max(pull, excluded.pull)",
        [
            (invalidation.kind.value, object_id, urgency, pull)
            for _, object_id, counts in found
            if counts and object_id is not None
        ],
    )
    if len(found) < limit:
        store.db.execute("DELETE FROM sweep WHERE seq = ?", (seq,))
    else:  # as JSON: a bare text that looks like a number would become one in this column
        store.db.execute("UPDATE sweep SET cursor = ? WHERE seq = ?", (json.dumps(found[-1][0]), seq))
    return True


Found = list[tuple[int | str, int | str | None, bool]]
"""Where a slice has come to with this row, the object's id there, and whether it is one of those asked for."""


def _is_by_ids(spec: TableSpec, invalidation: BulkInvalidation) -> bool:
    """Whether an index leads from id to id: a product of a thousand lines is named once, not in every slice."""
    return not invalidation.column and any(index[0] == invalidation.id_column for index in spec.indexes)


def _by_ids(store: Store, spec: TableSpec, invalidation: BulkInvalidation, cursor: int | str, limit: int) -> Found:
    """The next ids, each once, by a look into the index for each."""
    table, column = table_name(spec.name), quoted(invalidation.id_column)
    following = f"SELECT min({column}) FROM {table} WHERE {column} >"
    sql = (
        f"WITH RECURSIVE ids (id) AS ({following} ? UNION ALL SELECT ({following} ids.id) FROM ids"
        f" WHERE ids.id IS NOT NULL) SELECT id, id, {_not_elsewhere(store, invalidation, 'id')} FROM ids"
        " WHERE id IS NOT NULL LIMIT ?"
    )
    return store.db.execute(sql, (cursor, limit)).fetchall()


def _by_rows(store: Store, spec: TableSpec, invalidation: BulkInvalidation, cursor: int | str, limit: int) -> Found:
    """The next rows; what does not fit is a column of the result, so that a slice is bounded by rows looked at."""
    row_id = quoted(spec.key[0]) if uses_rowid(spec) else "rowid"
    id_column = quoted(invalidation.id_column)
    match = f"{quoted(invalidation.column)} IS ?" if invalidation.column else "1"
    elsewhere = _not_elsewhere(store, invalidation, f"held.{id_column}")
    sql = (
        f"SELECT {row_id}, {id_column}, {match} AND {elsewhere} FROM {table_name(spec.name)} AS held"
        f" WHERE {row_id} > ? ORDER BY {row_id} LIMIT ?"
    )
    return store.db.execute(sql, (*([invalidation.value] if invalidation.column else []), cursor, limit)).fetchall()


def _not_elsewhere(store: Store, invalidation: BulkInvalidation, identity: str) -> str:
    """SQL: whether another sweep does not name this id."""
    table, column = invalidation.unless
    if table not in store.tables:
        return "1"
    return f"NOT EXISTS (SELECT 1 FROM {table_name(table)} AS other WHERE other.{quoted(column)} = {identity})"


def counts(store: Store) -> dict[str, int]:
    """How many objects wait to be rendered, to be pulled, and how many sweeps are open."""
    waiting, fetches = store.db.execute("SELECT count(*), coalesce(sum(pull), 0) FROM dirty").fetchone()
    invalidations = store.db.execute("SELECT count(*) FROM sweep").fetchone()[0]
    return {"objects": waiting, "pulls": fetches, "sweeps": invalidations}
