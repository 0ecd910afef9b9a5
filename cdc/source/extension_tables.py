"""Reads the primary keys of the extension tables that the mapping names, so
that a merchant need not write them down.
"""

from __future__ import annotations

from cdc.errors import SetupError
from cdc.settings.mapping import PRODUCTS, MappingSettings
from cdc.settings.mapping_columns import Lookup
from cdc.settings.source import SourceSettings
from cdc.source.server import Connection, rows

_COLUMNS = (
    "SELECT c.column_name, k.ordinal_position FROM information_schema.columns c"
    " LEFT JOIN information_schema.key_column_usage k ON k.table_schema = c.table_schema"
    " AND k.table_name = c.table_name AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY'"
    " WHERE c.table_schema = %s AND c.table_name = %s"
)


def with_primary_keys(connection: Connection, source: SourceSettings, mapping: MappingSettings) -> MappingSettings:
    """The mapping with ``primary`` filled in for every extension table and contact form, and with ``product_key``.

    Raises SetupError for a table without a primary key, and for a look-up by a column other than the primary key.

    A table that does not exist is left as it is: the preflight reports it with the nearest name.
    """
    for lookup in mapping.lookups():
        _require_key(connection, source, lookup)
    return mapping.with_primary_keys(
        {table: _found(connection, source, table) for table in (*mapping.without_primary_key(), PRODUCTS)}
    )


def _found(connection: Connection, source: SourceSettings, asked: str) -> tuple[str, ...]:
    table = source.table_prefix + asked
    columns, primary = _primary_of(connection, source, table)
    if columns and not primary:
        raise SetupError(
            f"table {table!r} of the mapping has no primary key, so its rows cannot be followed",
            hint="give the table a primary key, or leave it out of the mapping",
        )
    return tuple(primary)


def _require_key(connection: Connection, source: SourceSettings, lookup: Lookup) -> None:
    _, primary = _primary_of(connection, source, source.table_prefix + lookup.table)
    if primary and [name.casefold() for name in primary] != [lookup.key.casefold()]:
        raise SetupError(
            f"lookup: the primary key of {lookup.table!r} is {', '.join(primary)}, not {lookup.key}",
            hint="name that column as key; labels with a key of several columns cannot be looked up",
        )


def _primary_of(connection: Connection, source: SourceSettings, table: str) -> tuple[list[str], list[str]]:
    """The table's columns, and its primary key's columns in order; both empty for a table that does not exist."""
    columns = [(str(name), position) for name, position in rows(connection, _COLUMNS, (source.database, table))]
    primary = [name for name, position in sorted(columns, key=lambda column: column[1] or 0) if position is not None]
    return [name for name, _ in columns], primary
