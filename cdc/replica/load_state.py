"""How far each table has been read from the server, and which of them have to be read again.

A table whose rows changed without row events (a DDL, a statement in the log, a gap in the log) is *doubtful*: it gets a
**floor**, the place from which on its rows must be read. Every row that a read brings then counts as of the floor at
least, so a row that is older than the floor when the whole table is through is not on the server any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Final, NamedTuple

from cdc.model import Position
from cdc.state.store import Store


class RequiredPosition(NamedTuple):
    """``place``: what a read of the table must contain. ``lsn``: just behind it, for rows read so.

    ``by_statement``: the rows changed without a metadata lock, so that having seen ``place`` in the server's log does
    not mean that a read contains it (``cdc/snapshot/required_position.py``).
    """

    place: Position
    lsn: int
    by_statement: bool


RequiredPositions = Mapping[str, RequiredPosition]
"""By table; a table that is not doubtful is not in it."""

NO_FLOORS: Final[RequiredPositions] = MappingProxyType({})


class LoadState(NamedTuple):
    """Where a table's load goes on, whether it is through, and how many rows it has brought."""

    cursor: str | None
    done: bool
    rows: int


class Loads:
    """The state's ``load`` and ``reload`` tables. Use inside a store transaction; ``reread`` after one was undone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.required_positions: dict[str, RequiredPosition] = {}
        self.reread()

    def reread(self) -> None:
        """Take the floors from the state."""
        known = self._store.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'reload'").fetchone()
        rows = self._store.db.execute("SELECT tbl, place, lsn, by_statement FROM reload") if known else ()
        self.required_positions = {
            table: RequiredPosition(Position(**json.loads(place)), lsn, bool(by_statement))
            for table, place, lsn, by_statement in rows
        }

    def states(self) -> dict[str, LoadState]:
        """Per mapped table."""
        rows = self._store.db.execute("SELECT tbl, cursor, done, rows FROM load")
        return {table: LoadState(cursor, bool(done), count) for table, cursor, done, count in rows}

    def stale_table(self, table: str, floor: RequiredPosition, reason: str) -> None:
        """The table has to be read again from its first row."""
        held = self.required_positions.get(table)
        if held is not None and held.by_statement:
            floor = floor._replace(by_statement=True)  # a read must contain both
        self.required_positions[table] = floor
        self._store.db.execute(
            "INSERT INTO reload (tbl, place, lsn, by_statement, reason) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (tbl) DO UPDATE SET place = excluded.place, lsn = excluded.lsn,"
            " by_statement = excluded.by_statement, reason = excluded.reason",
            (table, json.dumps(asdict(floor.place)), floor.lsn, int(floor.by_statement), reason),
        )
        self._store.db.execute("UPDATE load SET cursor = NULL, done = 0, rows = 0 WHERE tbl = ?", (table,))

    def follow(self, position: Position) -> None:
        """The log goes on at ``position``, elsewhere: it stands behind all floors, and only it can be found there."""
        for table, floor in self.required_positions.items():
            self.required_positions[table] = floor._replace(place=position)
        self._store.db.execute("UPDATE reload SET place = ?", (json.dumps(asdict(position)),))

    def reasons(self) -> dict[str, str]:
        """Why tables are read again."""
        return dict(self._store.db.execute("SELECT tbl, reason FROM reload"))

    def take(self, table: str, cursor: str | None, count: int, *, done: bool) -> None:
        """A chunk was applied."""
        self._store.db.execute(
            "UPDATE load SET cursor = ?, done = ?, rows = rows + ? WHERE tbl = ?", (cursor, int(done), count, table)
        )

    def unfinished(self, tables: Iterable[str]) -> set[str]:
        """Those of these tables whose load is not through."""
        states = self.states()
        return {table for table in tables if table in states and not states[table].done}

    def finish(self) -> None:
        """Everything is through: no table is doubtful any more."""
        self.required_positions = {}
        self._store.db.execute("DELETE FROM reload")
