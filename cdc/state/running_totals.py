"""Running totals of mapped tables: per group of rows how many rows there are, their sum, the first row and the last.

Triggers of SQLite keep them. So they are right after every statement that writes rows of the table (a first load, the
log, a replay, a resync), inside the same transaction. A write costs some look-ups by index, however many rows its group
has. ``t_<table>`` has a row for each group that has rows. A definition that changed is made anew from the rows held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from cdc.model import RunningTotals, TableSpec
from cdc.state.schema import quoted, table_name


def totals_name(table: str) -> str:
    """The table with the running totals of a mapped table, as SQL."""
    return quoted(f"t_{table}")


def totals_columns(totals: RunningTotals) -> tuple[str, ...]:
    """The columns of ``totals_name``: the group, the columns that its rows share, and the totals."""
    return (totals.group, *totals.shared, *RunningTotals.COLUMNS)


def set_up(connection: sqlite3.Connection, specs: Iterable[TableSpec]) -> None:
    """Make what is missing or defined otherwise, and fill it; remove the totals that no table has any more.

    Runs inside a transaction, after the mapped tables were made. SQLite drops the triggers with their table.
    """
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name GLOB 't_*'").fetchall()
    held = {name: (kind, sql) for kind, name, sql in found}
    wanted = {spec: _definitions(spec, spec.totals) for spec in specs if spec.totals is not None}
    known = {name for definitions in wanted.values() for name in definitions}
    # Switched off, or of a table that is mapped no more: what nobody reads must not cost every write.
    _drop(connection, {name: kind for name, (kind, _) in held.items() if name not in known})
    for spec, definitions in wanted.items():
        present = {name: held[name][1] for name in definitions if name in held}
        if present == definitions:
            continue
        _drop(connection, {name: held[name][0] for name in present})
        for sql in definitions.values():
            connection.execute(sql)
        _fill(connection, spec)


def _drop(connection: sqlite3.Connection, named: Mapping[str, str]) -> None:
    # Triggers first: they name the table.
    for name in (name for name, kind in named.items() if kind == "trigger"):
        connection.execute(f"DROP TRIGGER {quoted(name)}")
    for name in (name for name, kind in named.items() if kind == "table"):
        connection.execute(f"DROP TABLE {quoted(name)}")


def _definitions(spec: TableSpec, totals: RunningTotals) -> dict[str, str]:
    """Name → the SQL of the table, its indexes and its triggers."""
    table, rows = totals_name(spec.name), table_name(spec.name)
    columns = ", ".join(quoted(column) for column in totals.shared)
    made = {
        f"t_{spec.name}": f"CREATE TABLE {table} ({quoted(totals.group)} TEXT PRIMARY KEY, {columns},"
        " row_count INTEGER NOT NULL, amount INTEGER NOT NULL, unreadable INTEGER NOT NULL, first_key, last_key)"
        " WITHOUT ROWID"
    }
    for column in totals.found_by:
        name = f"t_{spec.name}_{column}"
        made[name] = f"CREATE INDEX {quoted(name)} ON {table} ({quoted(column)}) WHERE {quoted(column)} IS NOT NULL"
    add, remove = _add(spec, totals), _remove(spec, totals)
    for event, statements in (("insert", add), ("delete", remove), ("update", (*remove, *add))):
        name = f"t_{spec.name}_after_{event}"
        body = " ".join(f"{statement};" for statement in statements)
        made[name] = f"CREATE TRIGGER {quoted(name)} AFTER {event.upper()} ON {rows} BEGIN {body} END"
    return made


def _add(spec: TableSpec, totals: RunningTotals) -> tuple[str, ...]:
    """Count the new row. A row whose group is NULL finds nothing to change."""
    table, group, new = totals_name(spec.name), quoted(totals.group), f"NEW.{quoted(totals.group)}"
    names = ", ".join(quoted(column) for column in (totals.group, *totals.shared))
    values = ", ".join(f"NEW.{quoted(column)}" for column in (totals.group, *totals.shared))
    amount, ends = f"NEW.{quoted(totals.amount)}", _ends(spec, totals, new)
    return (
        # no OR IGNORE and no upsert: the statement that fires the trigger decides what becomes of conflicts inside it
        f"INSERT INTO {table} ({names}, row_count, amount, unreadable) SELECT {values}, 0, 0, 0"
        f" WHERE {new} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {table} WHERE {group} = {new})",
        f"UPDATE {table} SET row_count = row_count + 1, amount = amount + ifnull({amount}, 0),"
        f" unreadable = unreadable + ({amount} IS NULL), {ends} WHERE {group} = {new}",
    )


def _remove(spec: TableSpec, totals: RunningTotals) -> tuple[str, ...]:
    """Take back what the old row counted for; a group without rows goes."""
    table, group, old = totals_name(spec.name), quoted(totals.group), f"OLD.{quoted(totals.group)}"
    amount, ends = f"OLD.{quoted(totals.amount)}", _ends(spec, totals, old)
    return (
        f"UPDATE {table} SET row_count = row_count - 1, amount = amount - ifnull({amount}, 0),"
        f" unreadable = unreadable - ({amount} IS NULL), {ends} WHERE {group} = {old}",
        f"DELETE FROM {table} WHERE {group} = {old} AND row_count = 0",
    )


def _ends(spec: TableSpec, totals: RunningTotals, value: str) -> str:
    """Assignments: the keys of the group's first and last row, each one look-up in an index."""
    rows = f"{table_name(spec.name)} WHERE {quoted(totals.group)} = {value}"
    first = ", ".join(quoted(column) for column in totals.order)
    last = ", ".join(f"{quoted(column)} DESC" for column in totals.order)
    return ", ".join(
        f"{column} = (SELECT {quoted(spec.key[0])} FROM {rows} ORDER BY {order} LIMIT 1)"
        for column, order in (("first_key", first), ("last_key", last))
    )


def _fill(connection: sqlite3.Connection, spec: TableSpec) -> None:
    """Count the rows that are held already."""
    totals = spec.totals
    assert totals is not None, "only tables with totals are filled"
    table, rows = totals_name(spec.name), table_name(spec.name)
    group, amount = quoted(totals.group), quoted(totals.amount)
    names = ", ".join(quoted(column) for column in (totals.group, *totals.shared))
    shared = "".join(f"max({quoted(column)}), " for column in totals.shared)  # equal in all rows of a group
    ends = _ends(spec, totals, f"{table}.{group}")
    connection.execute(
        f"INSERT INTO {table} ({names}, row_count, amount, unreadable) SELECT {group}, {shared}count(*),"
        f" sum(ifnull({amount}, 0)), sum({amount} IS NULL) FROM {rows} WHERE {group} IS NOT NULL GROUP BY {group}"
    )
    connection.execute(f"UPDATE {table} SET {ends}")
