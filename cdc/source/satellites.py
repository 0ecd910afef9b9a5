"""Primary keys of the modules' tables that the mapping names, read from the server: a merchant need not know them."""

from __future__ import annotations

from cdc.config import SourceSettings
from cdc.errors import SetupError
from cdc.mapping_config import MappingSettings, Satellite
from cdc.source.server import Connection, rows

_COLUMNS = (
    "SELECT c.column_name, k.ordinal_position FROM information_schema.columns c"
    " LEFT JOIN information_schema.key_column_usage k ON k.table_schema = c.table_schema"
    " AND k.table_name = c.table_name AND k.column_name = c.column_name AND k.constraint_name = 'PRIMARY'"
    " WHERE c.table_schema = %s AND c.table_name = %s"
)


def with_primary_keys(connection: Connection, source: SourceSettings, mapping: MappingSettings) -> MappingSettings:
    """The mapping with ``primary`` of every satellite filled in. Raises SetupError for a table without a primary key.

    A table that is not there is left as it is: the preflight says so with the nearest name.
    """
    if all(one.primary for one in mapping.satellites):
        return mapping
    return mapping.model_copy(
        update={"satellites": tuple(_with_primary(connection, source, one) for one in mapping.satellites)}
    )


def _with_primary(connection: Connection, source: SourceSettings, asked: Satellite) -> Satellite:
    if asked.primary:
        return asked
    table = source.table_prefix + asked.table
    columns = [(str(name), place) for name, place in rows(connection, _COLUMNS, (source.database, table))]
    primary = [name for name, place in sorted(columns, key=lambda column: column[1] or 0) if place is not None]
    if columns and not primary:
        raise SetupError(
            f"table {table!r} of mapping.satellites has no primary key, so its rows cannot be followed",
            hint="give the table a primary key, or leave it out of the mapping",
        )
    return asked.model_copy(update={"primary": tuple(primary)}) if primary else asked
