"""Tables' columns by position: each entry is valid from its position in the log on. Only the log's reader reads the
text.

An entry is kept with the transaction that brought it. So a reader that begins at any position has the columns of then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from cdc.model import Position, TableSchema
from cdc.state.store import Store


def keep(store: Store, schemas: Iterable[TableSchema], lsn: int) -> None:
    """These columns are valid from ``lsn`` on. Use inside a store transaction."""
    store.db.executemany(
        "INSERT OR REPLACE INTO table_schema (name, lsn, tbl, columns, until, is_present, lost)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                one.name,
                lsn,
                one.table,
                one.columns,
                json.dumps(asdict(one.until)) if one.until is not None else "",
                int(one.exists),
                json.dumps(one.lost),
            )
            for one in schemas
        ],
    )


def at(store: Store, lsn: int) -> list[TableSchema]:
    """The columns that were valid at this position, as far as they are known."""
    rows = store.db.execute(  # SQLite gives the row that max() was found in
        "SELECT name, tbl, columns, until, is_present, lost, max(lsn) FROM table_schema WHERE lsn <= ? GROUP BY name",
        (lsn,),
    )
    return [
        TableSchema(name, table, columns, _position(until), bool(is_present), tuple(json.loads(lost)))
        for name, table, columns, until, is_present, lost, _ in rows
    ]


def missing(store: Store) -> list[str]:
    """Mapped tables and columns that the shop no longer has, in words. Their last values stay."""
    found = []
    newest = "SELECT tbl, is_present, lost, max(lsn) FROM table_schema WHERE tbl != '' GROUP BY name"
    for table, is_present, lost, _ in store.db.execute(newest):
        spec = store.tables.get(table)
        if spec is None or not spec.required:
            continue
        if not is_present:
            found.append(f"table {table} is gone")
        found += [f"column {table}.{column} is gone" for column in json.loads(lost)]
    return found


def forget(store: Store) -> None:
    """Earlier positions say nothing about later ones: remove all entries."""
    store.db.execute("DELETE FROM table_schema")


def _position(text: str) -> Position | None:
    return Position(**json.loads(text)) if text else None
