"""How far each table has been read from the server, and which tables have to be read again.

A table is *stale* when its rows changed without row events: by a definition, by a statement in the log, in a gap of the
log. It gets a **required position**: a read counts only if it contains everything before that position in the log.
Every row of such a read gets at least the required position's LSN. So once the whole table is read, a row with a lower
LSN is no longer on the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Final, NamedTuple

from cdc.model import Position, TableSpec
from cdc.state.schema import signature
from cdc.state.store import Store


class RequiredPosition(NamedTuple):
    """``position``: what a read of the table must contain. ``lsn``: just behind it, for the rows of such a read.

    ``by_statement``: the rows changed without a metadata lock. Then a read may miss changes that the log already has,
    and ``cdc/snapshot/required_position.py`` asks for more proof.
    """

    position: Position
    lsn: int
    by_statement: bool


RequiredPositions = Mapping[str, RequiredPosition]
"""Table → required position, for stale tables."""

NOTHING_REQUIRED: Final[RequiredPositions] = MappingProxyType({})


class TableLoad(NamedTuple):
    """Where a table's load goes on, whether the table is finished, and how many rows the load has brought."""

    cursor: str | None
    done: bool
    rows: int


class TableLoads:
    """The state's tables ``table_load`` and ``stale_table``. Use in a store transaction. Call ``reread``
    after an undo.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.required_positions: dict[str, RequiredPosition] = {}
        self.reread()

    def reread(self) -> None:
        """Read the required positions from the state. A folder that no run has used yet has none."""
        known = self._store.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'stale_table'").fetchone()
        rows = self._store.db.execute("SELECT tbl, position, lsn, by_statement FROM stale_table") if known else ()
        self.required_positions = {
            table: RequiredPosition(Position(**json.loads(position)), lsn, bool(by_statement))
            for table, position, lsn, by_statement in rows
        }

    def lay_out(self, specs: Iterable[TableSpec]) -> None:
        """Give each table its line. A table whose mapped columns changed is loaded again."""
        self._store.db.executemany(
            "INSERT INTO table_load (tbl, signature) VALUES (?, ?) ON CONFLICT (tbl) DO UPDATE"
            " SET signature = excluded.signature, cursor = NULL, done = 0, rows = 0"
            " WHERE signature <> excluded.signature",
            [(spec.name, signature(spec)) for spec in specs],
        )

    def states(self) -> dict[str, TableLoad]:
        """Mapped table → its load."""
        rows = self._store.db.execute("SELECT tbl, cursor, done, rows FROM table_load")
        return {table: TableLoad(cursor, bool(done), count) for table, cursor, done, count in rows}

    def set_stale(self, table: str, required: RequiredPosition, reason: str) -> None:
        """The table has to be read again from its first row; ``reason`` is a sentence for operators."""
        held = self.required_positions.get(table)
        # Of two reasons the stricter one counts.
        if held is not None and held.by_statement:
            required = required._replace(by_statement=True)  # a read must contain both
        self.required_positions[table] = required
        self._store.db.execute(
            "INSERT INTO stale_table (tbl, position, lsn, by_statement, reason) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (tbl) DO UPDATE SET position = excluded.position, lsn = excluded.lsn,"
            " by_statement = excluded.by_statement, reason = excluded.reason",
            (table, json.dumps(asdict(required.position)), required.lsn, int(required.by_statement), reason),
        )
        self._store.db.execute("UPDATE table_load SET cursor = NULL, done = 0, rows = 0 WHERE tbl = ?", (table,))

    def follow(self, position: Position) -> None:
        """The log goes on at ``position`` on another server. That position is behind all required positions, and only
        it can be found in the new log, so it replaces them.
        """
        for table, required in self.required_positions.items():
            self.required_positions[table] = required._replace(position=position)
        self._store.db.execute("UPDATE stale_table SET position = ?", (json.dumps(asdict(position)),))

    def reasons(self) -> dict[str, str]:
        """Why tables are read again."""
        return dict(self._store.db.execute("SELECT tbl, reason FROM stale_table"))

    def take(self, table: str, cursor: str | None, count: int, *, done: bool) -> None:
        """A chunk was applied."""
        self._store.db.execute(
            "UPDATE table_load SET cursor = ?, done = ?, rows = rows + ? WHERE tbl = ?",
            (cursor, int(done), count, table),
        )

    def set_done(self, tables: Iterable[str]) -> None:
        """These tables need not be read: all their rows came in another way."""
        self._store.db.executemany("UPDATE table_load SET done = 1 WHERE tbl = ?", [(table,) for table in tables])

    def unfinished(self, tables: Iterable[str]) -> set[str]:
        """The tables among these whose load is not finished."""
        states = self.states()
        return {table for table in tables if table in states and not states[table].done}

    def finish(self) -> None:
        """All tables are read: no table is stale any more."""
        self.required_positions = {}
        self._store.db.execute("DELETE FROM stale_table")
