"""Reads which objects a bulk invalidation names, slice by slice. Nothing is written here."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from cdc.model import BulkInvalidation, ObjectRef, TableSpec
from cdc.protocols import CART_CLOCK
from cdc.state.schema import quoted, table_name, uses_rowid
from cdc.state.store import Store

LEDGER: Final = "ledger"
"""As the table of a bulk invalidation: the objects that were rendered and not deleted since."""


class Members(NamedTuple):
    """Objects that one slice of a bulk invalidation names; ``cursor``: where the next slice begins."""

    refs: list[ObjectRef]
    cursor: int | str
    is_last: bool


def members(
    store: Store, invalidation: BulkInvalidation, cursor: int | str, limit: int, most: int | None = None
) -> Members:
    """The objects that the next ``limit`` rows or ids name, at most ``most`` objects. ``cursor`` -1: from the first row
    on.
    """
    refs: list[ObjectRef] = []
    count = 0
    rows = _slice(store, invalidation, cursor, limit)
    if rows is None:
        return Members([], cursor, True)
    for cursor, object_id, belongs in rows:  # the next slice begins behind the last row seen
        count += 1
        if belongs and object_id is not None:
            refs.append(ObjectRef(invalidation.kind, object_id))
            # A statement that is left open would see what is written next.
            if len(refs) == most:
                rows.close()
                return Members(refs, cursor, False)
    return Members(refs, cursor, count < limit)


def _slice(store: Store, invalidation: BulkInvalidation, cursor: int | str, limit: int) -> sqlite3.Cursor | None:
    """Per row or id: the cursor behind it, the object's id, and whether the row belongs. None if there is no such
    table: the mapping has dropped it since.
    """
    if invalidation.table == LEDGER:
        sql = "SELECT id, id, 1 FROM ledger WHERE kind = ? AND id > ? AND rendered_delete = 0 ORDER BY id LIMIT ?"
        return store.db.execute(sql, (invalidation.kind.value, cursor, limit))
    store.write_gathered()
    # Carts that were ordered have no row of the shop that would name them.
    if invalidation.table == CART_CLOCK:
        elsewhere = _not_elsewhere(store, invalidation, "held.quote_id")
        sql = (
            f"SELECT quote_id, quote_id, {elsewhere} FROM cart_clock AS held WHERE quote_id > ? ORDER BY quote_id"
            " LIMIT ?"
        )
        return store.db.execute(sql, (cursor, limit))
    spec = store.tables.get(invalidation.table)
    if spec is None:
        return None
    slice_of = _by_ids if _is_by_ids(spec, invalidation) else _by_rows
    return slice_of(store, spec, invalidation, cursor, limit)


def _is_by_ids(spec: TableSpec, invalidation: BulkInvalidation) -> bool:
    """Whether an index leads from id to id. Then a product with a thousand lines is named once, not in every slice."""
    # Without an index every id would cost a scan.
    return not invalidation.column and any(index[0] == invalidation.id_column for index in spec.indexes)


def _by_ids(
    store: Store, spec: TableSpec, invalidation: BulkInvalidation, cursor: int | str, limit: int
) -> sqlite3.Cursor:
    """Per id: the cursor behind it, the id, and whether it belongs. Each id once, found by one index look-up per id."""
    table, column = table_name(spec.name), quoted(invalidation.id_column)
    following = f"SELECT min({column}) FROM {table} WHERE {column} >"
    sql = (
        f"WITH RECURSIVE ids (id) AS ({following} ? UNION ALL SELECT ({following} ids.id) FROM ids"
        f" WHERE ids.id IS NOT NULL) SELECT id, id, {_not_elsewhere(store, invalidation, 'id')} FROM ids"
        " WHERE id IS NOT NULL LIMIT ?"
    )
    return store.db.execute(sql, (cursor, limit))


def _by_rows(
    store: Store, spec: TableSpec, invalidation: BulkInvalidation, cursor: int | str, limit: int
) -> sqlite3.Cursor:
    """Per row: the cursor behind it, the object's id, and whether the row belongs. Rows that do not belong are marked
    and not skipped, so a slice reads a bounded number of rows.
    """
    row_id = quoted(spec.key[0]) if uses_rowid(spec) else "rowid"
    id_column = quoted(invalidation.id_column)
    match = f"{quoted(invalidation.column)} IS ?" if invalidation.column else "1"
    elsewhere = _not_elsewhere(store, invalidation, f"held.{id_column}")
    sql = (
        f"SELECT {row_id}, {id_column}, {match} AND {elsewhere} FROM {table_name(spec.name)} AS held"
        f" WHERE {row_id} > ? ORDER BY {row_id} LIMIT ?"
    )
    return store.db.execute(sql, (*([invalidation.value] if invalidation.column else []), cursor, limit))


def _not_elsewhere(store: Store, invalidation: BulkInvalidation, identity: str) -> str:
    """SQL: whether no other bulk invalidation names this id."""
    table, column = invalidation.unless
    # The other table is not mapped, so nothing there can name the object.
    if table not in store.tables:
        return "1"
    return f"NOT EXISTS (SELECT 1 FROM {table_name(table)} AS other WHERE other.{quoted(column)} = {identity})"
