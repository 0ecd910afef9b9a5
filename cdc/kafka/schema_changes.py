"""Reads another tool's record of a statement: the columns of mapped tables, and rows that the statement removed. Pure.

Debezium writes such records to its topic of schema changes, Maxwell (``output_ddl``) among its rows. No record of a row
shows the effect of DROP TABLE, TRUNCATE or a renamed table on the rows. So the replica keeps the rows, and an operator
has to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

_MOST: Final = 1000
"""Tables or columns of one record that are read: a table of MySQL has at most 4096 columns, Magento's
tables some 140.
"""
_MOST_COLUMNS: Final = 4096
_MOST_TEXT: Final = 1 << 16

_ID: Final = re.compile(r'(?:"([^"]*)"\.)?"([^"]*)"')
"""Debezium's table id: ``"database"."table"``."""
_NAMES: Final = re.compile(r"[\w$]+")
_HARMLESS: Final = re.compile(
    r"\s*(?:ANALYZE|CHECK|OPTIMIZE|FLUSH|GRANT|REVOKE|SET|USE"
    r"|(?:CREATE|ALTER|DROP)\b[^;]{0,200}?\b(?:INDEX|VIEW|TRIGGER|PROCEDURE|FUNCTION|EVENT|USER|ROLE))\b",
    re.IGNORECASE,
)
"""Statements that leave the rows of the tables that they name as they are."""
_RENAMES: Final = re.compile(
    r"\s*RENAME\s+TABLE|\s*ALTER\b.*?\bRENAME\s+(?!COLUMN\b|INDEX\b|KEY\b)", re.IGNORECASE | re.DOTALL
)
"""Statements that give a table another name. Debezium's topic does not tell the name before."""


class SchemaChange(NamedTuple):
    """A statement's effect on one mapped table, by its name with the store's prefix.

    ``columns``: the table's columns from now on; None where the record does not have them. ``exists``: whether the
    table exists from now on. ``rows_gone``: what happened to its rows without a record of each row; "" for nothing.
    """

    table: str
    columns: frozenset[str] | None = None
    exists: bool = True
    rows_gone: str = ""


IsMapped = Callable[[str | None, str], bool]
"""Whether a database (None: not known) and table are mapped."""


def of_debezium(message: Mapping[str, Any], is_mapped: IsMapped, mapped: Collection[str]) -> list[SchemaChange]:
    """The changes in a record of the topic of schema changes. ``mapped``: names of all mapped tables.

    A snapshot writes a DROP and a CREATE of each table that it reads; nothing was dropped then.
    """
    database = message.get("databaseName")
    tables = message.get("tableChanges")
    found = [*_of_tables(tables if isinstance(tables, list) else [], database, is_mapped)]
    source = message.get("source")
    snapshot = source.get("snapshot") if isinstance(source, Mapping) else None
    if snapshot is True or (isinstance(snapshot, str) and snapshot.lower() not in ("", "false")):
        return [one for one in found if one.columns is not None]
    ddl = message.get("ddl")
    if isinstance(ddl, str) and _RENAMES.match(ddl[:_MOST_TEXT]):
        return [*_renamed(ddl, database, found, is_mapped, mapped)]
    # The record names no table: the statement was not understood, or does not change columns.
    if not found and isinstance(ddl, str) and not _HARMLESS.match(ddl):
        words = {*_NAMES.findall(ddl[:_MOST_TEXT])}
        is_here = not isinstance(database, str) or any(is_mapped(database, table) for table in mapped)
        kind = " ".join(_NAMES.findall(ddl[:200])[:2]).upper()[:40]
        found += [
            SchemaChange(table, rows_gone=f"was named by {kind or 'a statement'}")
            for table in sorted(mapped)
            if is_here and table in words
        ]
    return found


def _renamed(
    ddl: str, database: object, found: list[SchemaChange], is_mapped: IsMapped, mapped: Collection[str]
) -> Iterator[SchemaChange]:
    """A mapped name in the record now belongs to another table; a mapped name only in the statement is free now."""
    columns = {one.table: one.columns for one in found if one.exists}
    words = {*_NAMES.findall(ddl[:_MOST_TEXT])}
    held = database if isinstance(database, str) else None
    for table in sorted(words.intersection(mapped) | columns.keys()):
        if table in columns:
            yield SchemaChange(table, columns[table], rows_gone="took another table's place")
        elif is_mapped(held, table):
            yield SchemaChange(table, exists=False, rows_gone="was renamed")


def _of_tables(tables: list[Any], database: object, is_mapped: IsMapped) -> Iterator[SchemaChange]:
    for one in tables[:_MOST]:
        # One entry of another form must not hide the others.
        if not isinstance(one, Mapping):
            continue
        table, before = (_name(one.get(name), database, is_mapped) for name in ("id", "previousId"))
        # The mapped name is free now: whatever comes under it later is another table's.
        if before and before != table:
            yield SchemaChange(before, exists=False, rows_gone="was renamed")
        # It is another database's, or nobody maps it.
        if not table:
            continue
        if one.get("type") == "DROP":
            yield SchemaChange(table, exists=False, rows_gone="was dropped")
            continue
        replaced = one.get("previousId") is not None and before != table
        columns = one.get("table")
        yield SchemaChange(table, _columns(columns), rows_gone="took another table's place" if replaced else "")


def _name(identity: object, database: object, is_mapped: IsMapped) -> str:
    """The mapped table that an id names, "" for another table."""
    named = _ID.fullmatch(identity) if isinstance(identity, str) and len(identity) < 400 else None
    # Not Debezium's form of a table: the record is read by its statement's words.
    if named is None:
        return ""
    held = named[1] or (database if isinstance(database, str) else None)
    return named[2] if is_mapped(held, named[2]) else ""


def of_maxwell(message: Mapping[str, Any], is_mapped: IsMapped, mapped: Collection[str]) -> list[SchemaChange]:
    """The changes in a record of one of Maxwell's types ``table-…`` and ``database-…``."""
    kind, database, table = message.get("type"), message.get("database"), message.get("table")
    held = database if isinstance(database, str) else None
    # Maxwell names no tables then.
    if kind == "database-drop":
        gone = "went with its database"
        return [SchemaChange(one, exists=False, rows_gone=gone) for one in sorted(mapped) if is_mapped(held, one)]
    if not isinstance(table, str) or kind not in ("table-create", "table-alter", "table-drop"):
        return []
    if kind == "table-drop":
        return [SchemaChange(table, exists=False, rows_gone="was dropped")] if is_mapped(held, table) else []
    made = message.get("def")
    name = made.get("table", table) if isinstance(made, Mapping) else table
    found = []
    # An ALTER that renames: the definition has the new name.
    if isinstance(name, str) and name != table and is_mapped(held, table):
        found.append(SchemaChange(table, exists=False, rows_gone="was renamed"))
    if isinstance(name, str) and is_mapped(held, name):
        gone = "took another table's place" if name != table else ""
        found.append(SchemaChange(name, _columns(made), rows_gone=gone))
    return found


def _columns(table: object) -> frozenset[str] | None:
    """The names of a definition's columns; None if no columns could be read."""
    columns = table.get("columns") if isinstance(table, Mapping) else None
    if not isinstance(columns, list) or not columns or len(columns) > _MOST_COLUMNS:
        return None
    given = [column.get("name") if isinstance(column, Mapping) else None for column in columns]
    names = [name for name in given if isinstance(name, str)]
    return frozenset(names) if len(names) == len(given) else None
