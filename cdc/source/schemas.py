"""The columns of tables as the server's information_schema has them now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import pymysql

from cdc.binlog.schema.column_definition import charset_of_collation
from cdc.binlog.schema.columns import Column, Look
from cdc.binlog.schema.history import versions_refused
from cdc.errors import SourceDisconnectedError
from cdc.source.server import Connection, current_position, rows

T = TypeVar("T")

_TABLE = "SELECT table_collation, table_type FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
_VERSIONED = "SYSTEM VERSIONED"

_COLUMNS = """
SELECT column_name, data_type, column_type, character_set_name, collation_name, is_nullable, column_default, column_key,
    extra
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"""


class ServerSchemas:
    """Columns of tables as they are now (a ``cdc.binlog.schema.columns.SchemaLookup``). Each table is asked for once.

    The connection is opened when it is first needed, and again after it broke. Answers are kept until ``forget``.
    Several threads may call. ``columns`` raises what ``open_connection`` raises, and SourceDisconnectedError.
    """

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open_connection = open_connection
        self._connection: Connection | None = None
        self._held: dict[tuple[str, str], tuple[Column, ...]] = {}
        self._lock = threading.Lock()

    def columns(self, database: str, table_with_prefix: str) -> tuple[Column, ...] | None:
        """The table's columns in order; None when there is no such table (the next call asks again)."""
        key = (database, table_with_prefix)
        with self._lock:
            if key not in self._held:
                found = self._on_connection(lambda connection: read_columns(connection, *key), key[1])
                if not found:
                    return None
                self._held[key] = found
            return self._held[key]

    def look(self, database: str, table_with_prefix: str) -> Look | None:
        """See ``DatedLookup``. Raises UnsupportedEventError for a table with system versioning."""
        key = (database, table_with_prefix)
        with self._lock:
            found = self._on_connection(lambda connection: _look(connection, *key), key[1])
            self._held.pop(key, None)
            if found is not None:
                self._held[key] = found.columns
            return found

    def is_view(self, database: str, table_with_prefix: str) -> bool:
        """See ``ViewLookup``; the server is asked each time."""
        key = (database, table_with_prefix)
        with self._lock:
            found = self._on_connection(lambda connection: rows(connection, _TABLE, key), key[1])
        return any(str(kind) == "VIEW" for _, kind in found)

    def forget(self, database: str, table_with_prefix: str) -> None:
        """The table changed: ask for it again when it is needed."""
        with self._lock:
            self._held.pop((database, table_with_prefix), None)

    def close(self) -> None:
        """Close the connection and keep the answers. May be called twice."""
        with self._lock:
            self._drop()

    def _on_connection(self, ask: Callable[[Connection], T], table: str) -> T:
        """Try again once on a fresh connection: the old connection has usually been idle longer than the server's
        wait_timeout.
        """
        if self._connection is not None:
            try:
                return ask(self._connection)
            except (pymysql.err.Error, OSError):
                self._drop()
        self._connection = self._open_connection()
        try:
            return ask(self._connection)
        except (pymysql.err.Error, OSError) as error:
            self._drop()
            number = error.args[0] if error.args and isinstance(error.args[0], int) else None
            raise SourceDisconnectedError(f"the columns of {table} could not be read", errno=number) from error

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            if connection.open:
                connection.close()


def _look(connection: Connection, database: str, table_with_prefix: str) -> Look | None:
    found = read_columns(connection, database, table_with_prefix)
    collation, kind = next(iter(rows(connection, _TABLE, (database, table_with_prefix))), (None, ""))
    if kind == _VERSIONED:
        raise versions_refused(table_with_prefix)
    charset = charset_of_collation(str(collation)) if collation else None
    return Look(found, charset, current_position(connection)) if found else None


def versioned_tables(connection: Connection, database: str) -> set[str]:
    """The tables of this database with MariaDB's system versioning. Raises PyMySQL's errors."""
    found = rows(
        connection, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = %s", (database,)
    )
    return {str(name) for name, kind in found if kind == _VERSIONED}


def read_columns(connection: Connection, database: str, table_with_prefix: str) -> tuple[Column, ...]:
    """The table's columns, () when there is no such table. Raises PyMySQL's errors."""
    return tuple(
        Column(
            name=str(name),
            data_type=str(data_type).lower(),
            column_type=str(column_type),
            charset=charset,
            collation=collation,
            nullable=nullable == "YES",
            default=default,
            is_key=key == "PRI",
            extra=str(extra),
        )
        for name, data_type, column_type, charset, collation, nullable, default, key, extra in rows(
            connection, _COLUMNS, (database, table_with_prefix)
        )
    )
