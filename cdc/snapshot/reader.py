"""Reads rows from the server, each with an LSN that the row certainly contains.

A position noted just before a SELECT is not enough: a commit is in the log before InnoDB shows it. The LSN comes from:

* MariaDB: the snapshot's own position (START TRANSACTION WITH CONSISTENT SNAPSHOT, ``Binlog_snapshot_*``);
* MySQL: the start of the log file that was current before the SELECT, with GTID or without, because a rotation waits
  until every transaction of the file before is committed in the engine.

MySQL's LSN is coarse and costs nothing: rows that the log changed in that file are newer in the replica and stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pymysql
from pymysql.cursors import Cursor

from cdc.binlog.schema.columns import Column, ForgettingLookup
from cdc.errors import SourceDisconnectedError
from cdc.model import ABSENT, Absent, Cells, FetchByKey, Position, TableSpec, Value
from cdc.settings.source import SourceSettings
from cdc.snapshot.required_position import Snapshot
from cdc.snapshot.values import Cell, converter
from cdc.source.server import (
    Connection,
    ServerIdentity,
    connect,
    current_position,
    mapped_errors,
    quoted,
    read_identity,
)

LOG_HEADER_BYTES = 4  # a log file's first event lies behind its magic number

_CHANGED = frozenset({1054, 1146, 1412})  # no such column, no such table, the snapshot is from before a definition

_LOCKED = frozenset({1205, 1213})  # the shop holds the row, or has won a deadlock

TIMED_OUT = frozenset({1969, 3024})
"""Error numbers of a SELECT that took longer than ``statement_timeout_s``."""

_SESSION = (
    "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = ''",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION innodb_lock_wait_timeout = 1",
)


class Chunk(NamedTuple):
    """Rows in key order. ``cursor``: where the next chunk begins. ``done``: there is no next chunk. ``exists`` is False
    for a table that the server does not have.
    """

    rows: list[Cells]
    snapshot: Snapshot
    cursor: str | None
    done: bool
    exists: bool = True

    @property
    def safe(self) -> Position:
        """A position that the rows certainly contain."""
        return self.snapshot.safe


class _Plan(NamedTuple):
    """How one table is read: its columns on the server, and how a result row becomes cells."""

    select: str
    key: tuple[str, ...]
    convert: tuple[Callable[[Cell], Value], ...]
    column_indexes: tuple[int, ...]
    width: int


class RowLoader:
    """Reads chunks and single objects. It has one connection, which is opened again after it broke; used by one thread.

    Raises SourceDisconnectedError when the connection is lost (call again), SetupError when a connection is refused.
    """

    def __init__(
        self,
        settings: SourceSettings,
        specs: Sequence[TableSpec],
        identity: ServerIdentity,
        schemas: ForgettingLookup,
        *,
        statement_timeout_s: float = 0.0,
    ) -> None:
        """``statement_timeout_s``: the server ends a SELECT after this time (``TIMED_OUT``); 0: never."""
        self._settings = settings
        self._specs = {spec.name: spec for spec in specs}
        self._identity = identity
        self._schemas = schemas
        self._plans: dict[str, _Plan | None] = {}
        self._statement_timeout_s = statement_timeout_s
        self._connection: Connection | None = None

    def chunk(self, table: str, cursor: str | None, limit: int) -> Chunk:
        """The next rows of a table in key order. A table that the server does not have is finished at once."""
        plan = self._plan(table)
        # An optional table of a module that is not installed.
        if plan is None:
            return Chunk([], self._read([])[0], None, True, False)
        columns = ", ".join(quoted(c) for c in plan.key)
        where, arguments = "", []
        # Paged by key: OFFSET would read all earlier rows again.
        if cursor is not None:
            arguments = json.loads(cursor)
            where = f"WHERE ({columns}) > ({', '.join(['%s'] * len(arguments))})"
        sql = f"{plan.select} {where} ORDER BY {columns} LIMIT {int(limit)}"
        snapshot, (rows,) = self._read([(plan, sql, arguments)])
        last = json.dumps(list(rows[-1][: len(plan.key)])) if rows else cursor
        return Chunk(rows, snapshot, last, len(rows) < limit)

    def by_key(self, fetches: Sequence[FetchByKey]) -> tuple[list[tuple[str, list[Cells]]], Snapshot]:
        """The rows of these fetches, all read in one snapshot."""
        reads, tables = [], []
        for fetch in fetches:
            plan = self._plan(fetch.table)
            # A table that is not there has no rows to fetch.
            if plan is not None:
                reads.append((plan, f"{plan.select} WHERE {quoted(fetch.column)} = %s", [fetch.value]))
                tables.append(fetch.table)
        snapshot, results = self._read(reads)
        return list(zip(tables, results, strict=True)), snapshot

    def has(self, table: str) -> bool:
        """Whether the server has the table, as far as it was looked up since ``forget``."""
        return self._plan(table) is not None

    def row(self, table: str, key: Sequence[Value]) -> list[Cells] | None:
        """The row with this primary key as it is now, in which the log's changes so far are contained; [] if there is
        none.

        Call it only for a table that ``has`` confirms. None if the shop has the row locked: ask again later. The lock
        for this read lasts as long as the SELECT.
        """
        plan = self._plan(table)
        if plan is None:
            raise ValueError(f"the server has no table {table}")
        where = " AND ".join(f"{quoted(column)} = %s" for column in plan.key)
        with self._mapped(), self._open().cursor() as cursor:
            try:
                cursor.execute(f"{plan.select} WHERE {where} LOCK IN SHARE MODE", list(key))
            except pymysql.err.OperationalError as error:
                # Any other error is none of locking.
                if error.args[0] not in _LOCKED:
                    raise
                return None
            return [_cells(plan, row) for row in cursor.fetchall()]

    def position(self) -> Position:
        """The end of the log now. Rows read before this call contain no change behind it."""
        with self._mapped():
            return current_position(self._open())

    def threads_running(self) -> int:
        """How many threads the server is running, including ours."""
        with self._mapped(), self._open().cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_running'")
            found = cursor.fetchone()
            return int(found[1]) if found else 0

    def safe_point(self) -> Position:
        """A position that every later SELECT certainly contains: the stream of a first load starts there."""
        return self._read([])[0].safe

    def forget(self, table: str) -> None:
        """The table may have other columns now: look them up before the next read."""
        self._plans.pop(table, None)
        self._schemas.forget(self._settings.database, self._settings.table_prefix + table)

    def _read(self, reads: Sequence[tuple[_Plan, str, Sequence[Value]]]) -> tuple[Snapshot, list[list[Cells]]]:
        """Run SELECTs in one snapshot."""
        with self._mapped():
            connection = self._open()
            with connection.cursor() as cursor:
                snapshot = self._begin(connection, cursor)
                results = []
                for plan, sql, arguments in reads:
                    cursor.execute(sql, arguments)
                    results.append([_cells(plan, row) for row in cursor.fetchall()])
                connection.rollback()
            return snapshot, results

    def _begin(self, connection: Connection, cursor: Cursor) -> Snapshot:
        # MySQL cannot name the snapshot's own position: the start of the current file is surely before it.
        if self._identity.flavor == "mysql":
            position = current_position(connection)
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            return Snapshot(Position(position.file, LOG_HEADER_BYTES, "", position.server), position, exact=False)
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
        status = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
        file, offset = status["binlog_snapshot_file"], int(status["binlog_snapshot_position"])
        position = Position(file, offset, "", self._identity.server)
        return Snapshot(position, position, exact=True)

    def _open(self) -> Connection:
        # Opened on first use, and again after it broke.
        if self._connection is None:
            connection = connect(self._settings)
            self._identity = read_identity(connection)  # another server may stand behind the name by now
            connection.decoders = {}
            with connection.cursor() as cursor:
                for statement in (*_SESSION, *_time_limit(self._statement_timeout_s)):
                    cursor.execute(statement)
            self._connection = connection
        return self._connection

    def _plan(self, table: str) -> _Plan | None:
        # Columns are asked for once, until a definition changes them.
        if table not in self._plans:
            spec = self._specs[table]
            full_name = self._settings.table_prefix + table
            held = self._schemas.columns(self._settings.database, full_name)
            self._plans[table] = _plan_of(spec, full_name, held) if held else None
        return self._plans[table]

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Turn foreign errors into ours. A broken connection is dropped, so that the next call opens another one."""
        try:
            with mapped_errors(self._settings):
                yield
        except SourceDisconnectedError as error:
            # The table was changed while we read: ask for its columns again.
            if error.errno in _CHANGED:
                for table in list(self._plans):
                    self.forget(table)
            self.close()
            raise

    def close(self) -> None:
        """Close the connection. May be called twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _time_limit(seconds: float) -> tuple[str, ...]:
    """The statement's time limit. MariaDB ignores the comment for MySQL 5.7 and newer, MySQL the one for MariaDB."""
    if not seconds:
        return ()
    in_ms = max(1, int(seconds * 1000))
    return (
        "SET SESSION sql_mode = ''"
        f" /*M!100101 , max_statement_time = {seconds:.3f} */ /*!50708 , max_execution_time = {in_ms} */",
    )


def _plan_of(spec: TableSpec, full_name: str, held: Sequence[Column]) -> _Plan:
    by_name = {column.name: column for column in held}
    present = [at for at, name in enumerate(spec.columns) if name in by_name]
    columns = [spec.columns[at] for at in present]
    select = f"SELECT {', '.join(quoted(c) for c in columns)} FROM {quoted(full_name)}"
    convert = tuple(converter(by_name[c]) for c in columns)
    return _Plan(select, spec.key, convert, tuple(present), len(spec.columns))


def _cells(plan: _Plan, row: Sequence[Cell]) -> Cells:
    values = tuple(convert(cell) for convert, cell in zip(plan.convert, row, strict=True))
    # Usually all mapped columns exist.
    if len(plan.column_indexes) == plan.width:
        return values
    cells: list[Value | Absent] = [ABSENT] * plan.width
    for index, value in zip(plan.column_indexes, values, strict=True):
        cells[index] = value
    return tuple(cells)
