"""Tables that have to be read from the server again: their rows, or the columns that are wanted of them, changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cdc.engine.parts import Parts
from cdc.engine.rendering import Rendering
from cdc.log_events import get_logger
from cdc.messages import render_queue
from cdc.model import Position, StaleTable, TableSchema
from cdc.replica import table_schemas
from cdc.replica.table_loads import RequiredPosition

log = get_logger(__name__)


class StaleTables:
    """Starts reads of whole tables, and notes the columns that the log announces. Use inside a store transaction."""

    def __init__(self, parts: Parts, rendering: Rendering) -> None:
        self._parts = parts
        self._rendering = rendering
        self._load = parts.load

    def reopen(self) -> bool:
        """Load the tables again whose wanted columns changed; True if any table has to be loaded.

        Those tables are empty now. Until they are filled, objects are fetched before they are rendered, as in a first
        load, and every waiting object waits for its rows.
        """
        parts = self._parts
        states = parts.table_loads.states()
        reopened = {spec for spec in parts.tables if spec.name in states and not states[spec.name].done}
        # In a first load all tables are read anyway.
        if not self._load.is_complete or not reopened:
            return False
        self._load.columns_changed(with_references=any(spec.reference for spec in reopened))
        render_queue.fetch_all(parts.store)
        render_queue.clear_invalidations(parts.store)  # the load ends in an invalidation of everything
        names = sorted(spec.name for spec in reopened)
        log.info("tables_reloaded", tables=names, reason="the mapping asks for other columns of them")
        return True

    def read_again(self, stale_tables: Iterable[StaleTable], at: Position) -> None:
        """Read these tables again without emptying them: before ``at`` their rows changed without row events.

        Where rows are only a cache of what was fetched (``start = "latest"``), they are dropped instead, and every
        object that was ever rendered is fetched and rendered again.
        """
        parts = self._parts
        stale = self._with_children(stale_tables)
        for table, stale_table in stale.items():
            required = RequiredPosition(at, parts.positions.lsn(at) + 1, stale_table.by_statement)
            parts.table_loads.set_stale(table, required, stale_table.reason)
        # A lost position makes all tables stale for one reason: that is one line.
        for reason in dict.fromkeys(one.reason for one in stale.values()):
            names = sorted(name for name, one in stale.items() if one.reason == reason)
            log.warning("tables_stale", tables=names, reason=reason, position=str(at))
        was_complete, is_cache = self._load.is_complete, not self._load.reads_whole_tables
        with_references = any(parts.store.tables[table].reference for table in stale)
        self._load.tables_stale(with_references=with_references)
        # What waits for its turn needs rows that may be wrong now.
        if was_complete:
            render_queue.fetch_all(parts.store)
        elif is_cache:
            # Rows are only a cache here: forgetting them makes each object fetch its own.
            for table in stale:
                if not parts.store.tables[table].reference:
                    parts.rows.tables[table].clear()
            self._rendering.render_all_again()

    def _with_children(self, stale_tables: Iterable[StaleTable]) -> dict[str, StaleTable]:
        """The mapped tables by name, each with its first reason. A statement, or rows that could not be read, may
        also have changed rows of child tables.
        """
        stale = {
            stale_table.table: stale_table
            for stale_table in reversed([*stale_tables])
            if stale_table.table in self._parts.store.tables
        }
        # Cascades leave no trace in the log, in any table below.
        for stale_table in [found for found in stale.values() if found.by_statement or found.by_rows]:
            for child in self._parts.cascades.below(stale_table.table):
                stale.setdefault(child, stale_table._replace(table=child))
        return stale

    def read_topic_again(self, stale_tables: Iterable[StaleTable], at: Position, end: Position) -> None:
        """The records of a topic from ``at`` to ``end`` replace all rows; every object is rendered after that."""
        self.read_again(stale_tables, at)
        self._load.topic_begun_again()
        self.cover(end)

    def cover(self, end: Position) -> None:
        """Changes up to ``end`` are not rendered one by one: the end of the load renders every object."""
        self._load.cover(self._parts.positions.lsn(end))

    # ------------------------------------------------------------------------------------------- tables' columns

    def keep_schemas(self, schemas: Sequence[TableSchema], at: Position) -> None:
        """These columns are valid from ``at`` on. Where they are assumed, nothing
        is rendered until the log confirms them.
        """
        parts = self._parts
        table_schemas.keep(parts.store, schemas, parts.positions.lsn(at))
        if parts.journal is not None:
            parts.journal.define(schemas)
        for schema in schemas:
            if schema.until is not None and schema.until.server in ("", at.server):
                self._load.settle_at(parts.positions.lsn(schema.until))
            if schema.table and (schema.lost or not schema.exists):
                log.warning(
                    "columns_missing",
                    table=schema.table,
                    columns=schema.lost,
                    exists=schema.exists,
                    position=str(at),
                )

    def schemas_at(self, position: Position) -> list[TableSchema]:
        """The known columns of tables at this position."""
        return table_schemas.at(self._parts.store, self._parts.positions.lsn(position))
