"""Which tables are mapped, and how to read the rows behind each TABLE_MAP.

A reader is kept by the bytes of its TABLE_MAP without the id. So a repeated event or a reused id finds its reader at
once, and a changed table is never read in its old layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cdc.binlog.reading_position import ReadingPosition
from cdc.binlog.rows.decode import TableReader
from cdc.binlog.rows.images import ADVICE, Origin
from cdc.binlog.rows.metadata import Metadata, read_metadata
from cdc.binlog.rows.table_map import TableMap, read_table_map
from cdc.binlog.schema.agreement import disagreement
from cdc.binlog.schema.columns import Column, SchemaLookup, ViewLookup
from cdc.binlog.schema.history import SchemaHistory, versions_refused
from cdc.binlog.schema.query import Statement
from cdc.binlog.schema.row_layout import RowLayout, make_row_layout
from cdc.binlog.schema.undocumented import asks_for_schema
from cdc.errors import UnsupportedEventError
from cdc.model import StaleTable, TableSchema, TableSpec

_MOST_LAYOUTS: Final = 64  # per table; every ALTER makes one
_VERSION_COLUMNS: Final = ["row_start", "row_end"]  # what MariaDB's system versioning adds, hidden from SELECT


class MappedTables:
    """The mapped tables of one database. ``case_sensitive``: see LogDecoder."""

    def __init__(
        self,
        tables: Sequence[TableSpec],
        *,
        database: str,
        prefix: str,
        schemas: SchemaLookup | None,
        known: Iterable[TableSchema] = (),
        case_sensitive: bool = False,
    ) -> None:
        self._fold: Callable[[str], str] = str if case_sensitive else str.lower
        self.database = self._fold(database)
        self._asked_database = database
        self._schemas = schemas
        self._has_server = schemas is not None
        self._specs = {self._fold(prefix + spec.name): spec for spec in tables}
        self.history = SchemaHistory(
            schemas, database=database, specs=self._specs, known=known, case_sensitive=case_sensitive
        )
        self._by_name = {_key(database, prefix + spec.name): spec for spec in tables}
        if not case_sensitive:  # such a server writes the names of its tables in lower case, but into statements
            self._by_name |= {_key(self.database, name): spec for name, spec in self._specs.items()}
        self._readers: dict[str, dict[bytes, TableReader]] = {spec.name: {} for spec in tables}
        self._latest: dict[str, tuple[bytes, TableReader]] = {}  # comparing is cheaper than hashing some kilobytes

    def spec_of(self, names: bytes) -> TableSpec | None:
        """The mapped table that a TABLE_MAP names; ``name`` is the event's spelling: length, database, 0, length,
        table.
        """
        return self._by_name.get(names)

    def reader(self, spec: TableSpec, body: bytes, at: ReadingPosition, *, is_mariadb: bool) -> TableReader | None:
        """The reader for the rows behind a TABLE_MAP with this body (without id and flags), which stands at ``at``.

        None if nobody can read these rows: the log does not name their columns, and the table was changed before the
        server was asked. Raises what ``make_row_layout`` raises, and what the schema look-up raises.
        """
        latest = self._latest.get(spec.name)
        # Rows of one table mostly follow each other with the same map.
        if latest is not None and latest[0] == body:
            return latest[1]
        held = self._readers[spec.name]
        reader = held.get(body)
        if reader is None:
            found = read_table_map(body)
            # Every ALTER adds an entry, so old ones go at some time.
            if len(held) >= _MOST_LAYOUTS:
                held.clear()
            metadata = read_metadata(found.metadata, found.fields, is_mariadb=is_mariadb)
            origin = Origin(lambda: self._agreed(found, metadata), found.fields, is_mariadb)
            layout = self._row_layout(found, metadata, spec, at, is_mariadb=is_mariadb)
            # Not kept: behind the table's change a TABLE_MAP with these bytes may be readable.
            if layout is None:
                return None
            reader = held[body] = TableReader(layout, origin)
        self._latest[spec.name] = (body, reader)
        return reader

    def _row_layout(
        self, found: TableMap, metadata: Metadata, spec: TableSpec, at: ReadingPosition, *, is_mariadb: bool
    ) -> RowLayout | None:
        """The row layout, by the log's own column names or by the schema history's.

        If the schema does not fit, the server is asked once more. None: the server was asked too late.
        """
        if metadata.names is not None:
            # Such columns are invisible in the schema, but not in the log.
            if is_mariadb and [name.lower() for name in metadata.names[-2:]] == _VERSION_COLUMNS:
                raise versions_refused(found.table)
            asks = asks_for_schema(found.fields, metadata, is_mariadb=is_mariadb)
            columns = self.history.columns(found.database, found.table) if asks else None
            return make_row_layout(found, metadata, spec, columns, is_mariadb=is_mariadb)
        columns = self.history.columns(found.database, found.table)
        try:
            return make_row_layout(found, metadata, spec, columns, is_mariadb=is_mariadb)
        except UnsupportedEventError:
            # The columns are those of a later position: a change of the table stands between.
            if columns is not None and self.history.is_assumed(found.table, at):
                return None
            self.history.refresh(found.table)
            fresh = self.history.columns(found.database, found.table)
            # The same answer as before, or none: the log itself is not understood, and would not be later on.
            if fresh is None or fresh == columns:
                raise
        try:
            return make_row_layout(found, metadata, spec, fresh, is_mariadb=is_mariadb)
        except UnsupportedEventError:
            # The table has changed once more since these rows were written.
            if self.history.is_assumed(found.table, at):
                return None
            raise

    def _agreed(self, found: TableMap, metadata: Metadata) -> Sequence[Column] | None:
        """The table's schema, if it is still the schema with which the rows were written."""
        columns = self.history.columns(found.database, found.table)
        if columns is None and not self._has_server:
            raise UnsupportedEventError(
                f"rows of {found.database}.{found.table} that are not whole (binlog_row_image is not FULL), and"
                " there is no schema to complete them",
                hint=ADVICE,
            )
        if columns is None or disagreement(found.fields, metadata, columns):
            return None
        names = [column.name.lower() for column in columns]
        return columns if metadata.names is None or names == [name.lower() for name in metadata.names] else None

    def mapped(self, names: Iterable[tuple[str, str]]) -> list[str]:
        """The mapped tables among these (database, table) pairs, without prefix, each once."""
        fold = self._fold
        found = (self._specs.get(fold(table)) for database, table in names if fold(database) == self.database)
        return list(dict.fromkeys(spec.name for spec in found if spec is not None))

    def changed_by(self, statement: Statement, database: str) -> list[str]:
        """The mapped tables that the statement may have changed, without prefix. ``database``: the session's default.

        Of a statement that could not be cut into words, those whose name its bytes hold anywhere.
        """
        if statement.everything:
            return self.names()
        if any(self._fold(one) == self.database for one in statement.databases):
            return self.names()
        if not statement.text:
            return self.mapped(statement.tables)
        ours = self.database.lower()
        if database.lower() != ours and ours.encode() not in statement.text:
            return []
        return [spec.name for name, spec in self._specs.items() if name.lower().encode() in statement.text]

    def is_view(self, name: tuple[str, str]) -> bool:
        """Whether this name of our database is a view; False without a server to ask."""
        database, table = name
        if self._fold(database) != self.database or not isinstance(self._schemas, ViewLookup):
            return False
        return self._schemas.is_view(self._asked_database, table)

    def ask_again(self, names: Iterable[str]) -> None:
        """Ask the server again for the columns of these tables."""
        stale = set(names)
        for name, spec in self._specs.items():
            if spec.name in stale:
                self._forget_readers(spec.name)
                self.history.refresh(name)

    def names(self) -> list[str]:
        """All mapped tables, without prefix."""
        return list(self._readers)

    def define(self, statement: Statement, *, is_mariadb: bool) -> list[StaleTable]:
        """Tables are made, changed, renamed or dropped: read their next rows in the new form.

        Returns the mapped tables whose rows the definition may have changed.
        """
        for table in self.changed_by(statement, ""):
            self._forget_readers(table)
        return self.history.define(statement, is_mariadb=is_mariadb)

    def _forget_readers(self, table: str) -> None:
        self._readers[table].clear()
        self._latest.pop(table, None)


def _key(database: str, table: str) -> bytes:
    names = database.encode("utf-8"), table.encode("utf-8")
    return b"\0".join(bytes([len(name)]) + name for name in names)
